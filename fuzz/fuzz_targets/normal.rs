//! Hosts and URLs from anybody.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_indicators::normal::fuzz_normal(octets));
