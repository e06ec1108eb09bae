//! One indicator file as it is, and as parameters and body past signature and hashes.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_indicators::fuzz_open(octets));
