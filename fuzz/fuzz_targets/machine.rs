//! libFuzzer on programs of any bytes.
#![no_main]

use gvpie_core::pixel::proof::Target;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| Target::Machine.check(bytes).unwrap());
