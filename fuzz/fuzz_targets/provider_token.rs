//! Keys and a signed token, as an OpenID provider sends them.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_portal::fuzz::provider_token(octets));
