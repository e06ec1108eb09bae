//! Patterns of STIX from anybody.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_indicators::feed::stix_pattern::fuzz_stix_pattern(octets));
