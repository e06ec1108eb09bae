//! One indicator file, with and without its signature.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_indicators::fuzz_open(octets));
