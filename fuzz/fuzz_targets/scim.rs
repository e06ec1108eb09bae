//! A filter, a path or a body of SCIM, as a directory sends it.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_portal::fuzz::scim(octets));
