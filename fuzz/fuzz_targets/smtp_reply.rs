//! Replies of a mail server to the portal.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_portal::fuzz::smtp(octets));
