//! A policy document, as an administrator or a program sends it.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_portal::fuzz::policy(octets));
