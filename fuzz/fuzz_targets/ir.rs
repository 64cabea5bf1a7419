//! libFuzzer on bytes as kernels.
#![no_main]

use gvpie_vgpu::fuzz::Target;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| Target::Ir.check(bytes).unwrap());
