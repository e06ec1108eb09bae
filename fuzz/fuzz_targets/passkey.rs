//! What an authenticator answers: attestation objects, authenticator data, client data.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_portal::fuzz::passkey(octets));
