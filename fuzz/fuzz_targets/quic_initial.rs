//! A datagram of QUIC, and the frames of Initial packets.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| bartizan_wire::fuzz_initial(octets));
