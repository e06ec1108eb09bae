//! Initials that the keys themselves seal, ones that quinn sends, and closes that rustls opens and quinn obeys.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;
use proptest::sample::Index;
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{
    ClientConfig, Connection, ConnectionError, ConnectionHandle, DatagramEvent, Endpoint, Event,
};
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;

use super::*;
use crate::MAX_HELLO_LEN;
use crate::quic::keys::{NUMBER_LEN, TAG_LEN};
use crate::tls::tests::{hello, sni};

#[test]
fn a_hello_in_one_datagram_is_read() {
    for version in [QuicVersion::V1, QuicVersion::V2] {
        let datagram = initial(version, b"original", 0, &crypto(0, &message(0)));
        assert_eq!(name_in(&[datagram]), Some("example.test".to_owned()));
    }
}

#[test]
fn frames_come_in_any_order_over_packets_and_datagrams() {
    let message = message(1_500);
    let (first, rest) = message.split_at(700);
    let (second, third) = rest.split_at(400);
    let version = QuicVersion::V1;
    let mut coalesced = initial(version, b"original", 0, &crypto(1_100, third));
    coalesced.extend(initial(version, b"original", 1, &crypto(0, first)));
    let last = initial(
        version,
        b"original",
        2,
        &[crypto(600, &message[600..700]), crypto(700, second)].concat(),
    );
    assert_eq!(name_in(&[coalesced.clone()]), None);
    assert_eq!(name_in(&[coalesced, last]), Some("example.test".to_owned()));
}

#[test]
fn pings_acknowledgments_and_padding_are_passed_over() {
    let mut frames = vec![1, 0, 0, 2, 9, 0, 1, 0, 0, 0, 3, 9, 0, 0, 0, 1, 2, 3];
    frames.extend(crypto(0, &message(0)));
    frames.extend([0; 300]);
    let datagram = initial(QuicVersion::V1, b"original", 0, &frames);
    assert_eq!(name_in(&[datagram]), Some("example.test".to_owned()));
}

#[test]
fn keys_stay_when_the_server_chose_an_id_and_change_after_a_retry() {
    let message = message(0);
    let first = initial(QuicVersion::V1, b"original", 0, &crypto(0, &message[..40]));
    let keys = Keys::derive(QuicVersion::V1, b"original", Side::Client).unwrap();
    let chosen = sealed(&keys, QuicVersion::V1, b"chosen", 1, &crypto(40, &message[40..]));
    assert_eq!(name_in(&[first.clone(), chosen]), Some("example.test".to_owned()));
    let retried = initial(QuicVersion::V1, b"retried", 1, &crypto(0, &message));
    assert_eq!(name_in(&[first, retried]), Some("example.test".to_owned()));
}

#[test]
fn reading_takes_nothing_of_the_heap() {
    let message = message(600);
    let first = initial(QuicVersion::V1, b"original", 0, &crypto(300, &message[300..]));
    let second = initial(QuicVersion::V1, b"original", 1, &crypto(0, &message[..300]));
    let taken = allocation_counter::measure(|| {
        let mut reader = HelloReader::new();
        assert_eq!(reader.push(&first), Reading::More);
        let Reading::Done(hello) = reader.push(&second) else { panic!("it is a hello") };
        assert!(hello.server_name().is_some());
    });
    assert_eq!(taken.count_total, 0, "{taken:?}");
    assert!(size_of::<HelloReader>() <= 20_000, "{}", size_of::<HelloReader>());
}

#[test]
fn what_is_no_initial_that_can_be_read_is_told() {
    let good = initial(QuicVersion::V1, b"original", 0, &crypto(0, &message(0)));
    let mut other_version = good.clone();
    other_version[4] = 9;
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let not_crypto = initial(QuicVersion::V1, b"original", 0, &[0x08, 0, 0, 0, 0, 0]);
    let not_a_hello = initial(QuicVersion::V1, b"original", 0, &crypto(0, b"\x02\0\0\0"));
    for datagram in
        [&other_version[..], &damaged, &not_crypto, &not_a_hello, &good[..40], b"", b"\x40abc"]
    {
        assert_eq!(HelloReader::new().push(datagram), Reading::Not);
    }
    let mut reader = HelloReader::new();
    assert_eq!(reader.push(&damaged), Reading::Not);
    reader.restart();
    assert!(matches!(reader.push(&good), Reading::Done(_)));
}

#[test]
fn a_hello_without_end_is_given_up() {
    let mut reader = HelloReader::new();
    let mut message = message(0);
    message[1..4].copy_from_slice(&[0, 0x40, 0]);
    message.resize(MAX_HELLO_LEN + 2_000, 0);
    let mut last = Reading::More;
    for (number, part) in message.chunks(1_000).enumerate() {
        assert_eq!(last, Reading::More);
        let number = u32::try_from(number).unwrap();
        let offset = u16::try_from(number * 1_000).unwrap();
        last = reader.push(&initial(QuicVersion::V1, b"original", number, &crypto(offset, part)));
        if last == Reading::Not {
            return;
        }
    }
    panic!("{last:?}");
}

#[test]
fn rustls_opens_what_is_sealed() {
    for (version, theirs) in
        [(QuicVersion::V1, rustls::quic::Version::V1), (QuicVersion::V2, rustls::quic::Version::V2)]
    {
        let frames = crypto(0, &message(0));
        let packet = initial(version, b"original", 0x0102_0304, &frames);
        assert_eq!(opened_by_rustls(theirs, rustls::Side::Server, &packet), (0x0102_0304, frames));
        let mut reader = HelloReader::new();
        assert!(matches!(reader.push(&packet), Reading::Done(_)));
        let close = reader.close().unwrap().write(&packet, CloseReason::ConnectionRefused).unwrap();
        let initial = QuicInitial::parse(&close).unwrap();
        assert_eq!((initial.dcid(), initial.scid()), (&b"client"[..], &b"original"[..]));
        let opened = opened_by_rustls(theirs, rustls::Side::Client, &close);
        assert_eq!(opened, (u64::from(close::CLOSE_NUMBER), vec![0x1c, 0x40, 0x02, 0, 0]));
    }
}

#[test]
fn a_close_after_the_server_answered_has_the_keys_of_the_first_id_and_comes_from_the_server_s() {
    let message = message(0);
    let first = initial(QuicVersion::V1, b"original", 0, &crypto(0, &message[..40]));
    let keys = Keys::derive(QuicVersion::V1, b"original", Side::Client).unwrap();
    let chosen = sealed(&keys, QuicVersion::V1, b"chosen", 1, &crypto(40, &message[40..]));
    let mut reader = HelloReader::new();
    assert!(reader.close().is_none());
    assert_eq!(reader.push(&first), Reading::More);
    assert!(matches!(reader.push(&chosen), Reading::Done(_)));
    let close = reader.close().unwrap().write(&chosen, CloseReason::ConnectionRefused).unwrap();
    let initial = QuicInitial::parse(&close).unwrap();
    assert_eq!((initial.dcid(), initial.scid()), (&b"client"[..], &b"chosen"[..]));
    let (_, frames) = opened_by_rustls(rustls::quic::Version::V1, rustls::Side::Client, &close);
    assert_eq!(frames, [0x1c, 0x40, 0x02, 0, 0]);
    // One that has not heard of the server yet is answered from the id that it made up.
    let close = reader.close().unwrap().write(&first, CloseReason::ConnectionRefused).unwrap();
    let initial = QuicInitial::parse(&close).unwrap();
    assert_eq!((initial.dcid(), initial.scid()), (&b"client"[..], &b"original"[..]));
}

#[test]
fn the_hello_of_quinn_is_read_and_a_close_makes_it_give_up_at_once() {
    for protocols in [1, 150] {
        let mut client = Client::connect(protocols);
        let mut reader = HelloReader::new();
        let mut datagrams = Vec::new();
        let hello = loop {
            datagrams.push(client.send().expect("the hello is not whole yet"));
            match reader.push(datagrams.last().unwrap()) {
                Reading::More => {}
                Reading::Done(hello) => break hello,
                Reading::Not => panic!("quinn says hello"),
            }
        };
        assert_eq!(1 < datagrams.len(), 1 < protocols);
        assert_eq!(hello.server_name().unwrap().as_str(), "example.test");
        assert_eq!(hello.protocols().next(), Some(&b"h3-0"[..]));

        let last = datagrams.last().unwrap();
        client.receive(&reader.close().unwrap().write(last, CloseReason::AccessDenied).unwrap());
        let Some(Event::ConnectionLost { reason: ConnectionError::ConnectionClosed(close) }) =
            client.connection.poll()
        else {
            panic!("it goes on")
        };
        assert_eq!(u64::from(close.error_code), 0x131);
    }
}

proptest! {
    #[test]
    fn any_pieces_in_any_order_make_the_hello(
        padding in 0_usize..3_000, size in 1_usize..900,
        swaps in prop::collection::vec((any::<Index>(), any::<Index>()), 0..20),
    ) {
        let message = message(padding);
        let mut pieces: Vec<_> = message.chunks(size).enumerate().map(|(index, part)| {
            crypto(u16::try_from(index * size).unwrap(), part)
        }).collect();
        for (a, b) in swaps {
            let (a, b) = (a.index(pieces.len()), b.index(pieces.len()));
            pieces.swap(a, b);
        }
        let datagrams: Vec<_> = pieces.chunks(1_000_usize.div_ceil(size)).enumerate().map(|(number, frames)| {
            initial(QuicVersion::V2, b"original", u32::try_from(number).unwrap(), &frames.concat())
        }).collect();
        prop_assert_eq!(name_in(&datagrams), Some("example.test".to_owned()));
    }
}

/// Returns the name once all are pushed; none must bring it before the last.
#[track_caller]
fn name_in(datagrams: &[Vec<u8>]) -> Option<String> {
    let mut reader = Box::new(HelloReader::new());
    let (last, before) = datagrams.split_last().unwrap();
    for datagram in before {
        assert_eq!(reader.push(datagram), Reading::More);
    }
    match reader.push(last) {
        Reading::Done(hello) => hello.server_name().map(|name| name.to_string()),
        Reading::More => None,
        Reading::Not => panic!("it is a hello"),
    }
}

fn message(padding: usize) -> Vec<u8> {
    hello(&[(21, vec![0; padding]), sni("example.test")])
}

fn crypto(offset: u16, octets: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x06];
    frame.extend((0x8000_0000 | u32::from(offset)).to_be_bytes());
    frame.extend((0x4000 | u16::try_from(octets.len()).unwrap()).to_be_bytes());
    frame.extend(octets);
    frame
}

fn initial(version: QuicVersion, dcid: &[u8], number: u32, frames: &[u8]) -> Vec<u8> {
    let keys = Keys::derive(version, dcid, Side::Client).unwrap();
    sealed(&keys, version, dcid, number, frames)
}

fn sealed(keys: &Keys, version: QuicVersion, dcid: &[u8], number: u32, frames: &[u8]) -> Vec<u8> {
    let mut packet = vec![0xc3 | version.initial_bits()];
    packet.extend(version.number().to_be_bytes());
    packet.push(u8::try_from(dcid.len()).unwrap());
    packet.extend(dcid);
    packet.extend(b"\x06client\x05token");
    let len = u16::try_from(NUMBER_LEN + frames.len() + TAG_LEN).unwrap();
    packet.extend((0x4000 | len).to_be_bytes());
    let number_at = packet.len();
    packet.extend(number.to_be_bytes());
    packet.extend(frames);
    packet.extend([0; TAG_LEN]);
    keys.seal(&mut packet, number_at, number).unwrap();
    packet
}

fn opened_by_rustls(
    version: rustls::quic::Version,
    side: rustls::Side,
    packet: &[u8],
) -> (u64, Vec<u8>) {
    let rustls::SupportedCipherSuite::Tls13(suite) = TLS13_AES_128_GCM_SHA256 else {
        panic!("it is of TLS 1.3")
    };
    let quic = suite.quic.unwrap();
    let keys = rustls::quic::Keys::initial(version, suite, quic, b"original", side);
    let number_at = QuicInitial::parse(packet).unwrap().number_at;
    let mut packet = packet.to_vec();
    let sample = packet[number_at + 4..][..16].to_vec();
    let (header, payload) = packet.split_at_mut(number_at + 4);
    let (first, rest) = header.split_first_mut().unwrap();
    let number = &mut rest[number_at - 1..];
    keys.remote.header.decrypt_in_place(&sample, first, number).unwrap();
    let number = u32::from_be_bytes(number.try_into().unwrap()).into();
    let opened = keys.remote.packet.decrypt_in_place(number, header, payload).unwrap();
    (number, opened.to_vec())
}

/// A client of quinn.
struct Client {
    endpoint: Endpoint,
    handle: ConnectionHandle,
    connection: Connection,
    now: Instant,
}

impl Client {
    #[expect(clippy::disallowed_methods, reason = "quinn takes the time as an argument")]
    fn connect(protocols: u8) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        tls.alpn_protocols =
            (0..protocols).map(|number| format!("h3-{number}").into_bytes()).collect();
        let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        let mut endpoint = Endpoint::new(Arc::default(), None, true, None);
        let now = Instant::now();
        let (handle, connection) = endpoint.connect(now, config, server(), "example.test").unwrap();
        Self { endpoint, handle, connection, now }
    }

    fn send(&mut self) -> Option<Vec<u8>> {
        let mut datagram = Vec::new();
        let _size = self.connection.poll_transmit(self.now, 1, &mut datagram)?;
        Some(datagram)
    }

    fn receive(&mut self, datagram: &[u8]) {
        let event =
            self.endpoint.handle(self.now, server(), None, None, datagram.into(), &mut Vec::new());
        let Some(DatagramEvent::ConnectionEvent(handle, event)) = event else {
            panic!("it belongs to the connection")
        };
        assert_eq!(handle, self.handle);
        self.connection.handle_event(event);
    }
}

fn server() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 443))
}
