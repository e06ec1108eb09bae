//! The server packets that close a connection open with the keys of the server.

use super::*;

#[test]
fn a_close_is_an_initial_of_the_server_that_its_client_can_open() {
    let hello = tests_datagram();
    let close = write_close(&hello, CloseReason::ConnectionRefused).unwrap();
    let initial = QuicInitial::parse(&close).unwrap();
    assert_eq!((initial.dcid(), initial.scid()), (&b"client"[..], &b"original"[..]));
    let keys = Keys::derive(QuicVersion::V1, b"original", Side::Server).unwrap();
    let mut scratch = [0; 128];
    let frames = keys.open(&initial, &mut scratch).unwrap();
    assert_eq!(scratch[frames], [0x1c, 0x40, 0x02, 0, 0]);
}

fn tests_datagram() -> Vec<u8> {
    let mut packet = vec![0xc3, 0, 0, 0, 1, 8];
    packet.extend(b"original");
    packet.push(6);
    packet.extend(b"client");
    packet.extend([0, 0x40, 40]);
    packet.extend([0; 40]);
    packet
}
