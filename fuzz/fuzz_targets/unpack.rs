//! Packed feeds from anybody.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_indicators::unpack::fuzz_unpack(octets));
