//! A signed head of an audit log, as somebody kept it.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_portal::fuzz::audit_head(octets));
