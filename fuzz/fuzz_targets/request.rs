//! libFuzzer on bodies of requests.
#![no_main]

use gvpie::runtime::proof::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check(bytes).unwrap());
