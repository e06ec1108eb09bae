//! An attestation of a device's key, as a device that enrolls sends it, and the certificate in it.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_portal::fuzz::attestation(octets));
