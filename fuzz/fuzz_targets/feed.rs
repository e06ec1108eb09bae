//! One threat feed, whatever its form.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_indicators::feed::fuzz_read(octets));
