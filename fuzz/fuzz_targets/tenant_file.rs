//! Parameters and body of a tenant file, past signature and hashes.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_indicators::tenant::fuzz_tenant(octets));
