//! An alert of another product, in each of the ways that one can be said.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_portal::fuzz::intake(octets));
