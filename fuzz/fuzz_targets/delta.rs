//! A delta: what it says goes and comes.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_indicators::delta::fuzz_delta(octets));
