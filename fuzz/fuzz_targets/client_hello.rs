//! What a TLS client sends first.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_wire::fuzz_hello(octets));
