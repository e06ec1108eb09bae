//! What strangers can send to the portal before anything is verified: tokens, proofs, messages.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_contract::fuzz_strangers(octets));
