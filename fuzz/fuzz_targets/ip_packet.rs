//! One IP packet and the datagram in it.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_wire::fuzz_packet(octets));
