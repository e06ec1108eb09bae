//! One DNS answer and its aliases.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_wire::fuzz_answer(octets));
