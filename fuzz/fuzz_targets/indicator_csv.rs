//! A CSV file of indicators, as an administrator uploads it.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_portal::fuzz::csv(octets));
