//! An exported audit log, as somebody brings it to be proven.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_portal::fuzz::audit_log(octets));
