//! One DNS query and the answer that blocks it.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_wire::fuzz_query(octets));
