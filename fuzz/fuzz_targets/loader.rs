//! libFuzzer on files that may be cartridges.
#![no_main]

use gvpie_core::pixel::proof::Target;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| Target::Loader.check(bytes).unwrap());
