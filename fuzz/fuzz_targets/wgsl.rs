//! libFuzzer on texts as WGSL.
#![no_main]

use gvpie_vgpu::fuzz::Target;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| Target::Wgsl.check(bytes).unwrap());
