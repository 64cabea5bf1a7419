//! libFuzzer on texts of PXL-1, right and wrong.
#![no_main]

use gvpie_core::pixel::proof::Target;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| Target::Assembler.check(bytes).unwrap());
