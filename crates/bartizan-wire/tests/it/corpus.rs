//! The committed corpora of the fuzzer, replayed: no file panics or breaks what the entry asserts.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use bartizan_wire::dns::{DnsAnswer, DnsQuery};
use bartizan_wire::fragment::Reassembler;
use bartizan_wire::ip::IpPacket;
use bartizan_wire::quic::QuicInitial;
use bartizan_wire::{Reading, http, tls};

#[test]
fn the_committed_packets_are_replayed() {
    replay("ip_packet", bartizan_wire::fuzz_packet, |octets| IpPacket::parse(octets).is_ok());
}

#[test]
fn the_committed_queries_are_replayed() {
    replay("dns_query", bartizan_wire::fuzz_query, |octets| DnsQuery::parse(octets).is_ok());
}

#[test]
fn the_committed_answers_are_replayed() {
    replay("dns_answer", bartizan_wire::fuzz_answer, |octets| DnsAnswer::parse(octets).is_ok());
}

#[test]
fn the_committed_hellos_are_replayed() {
    replay("client_hello", bartizan_wire::fuzz_hello, |octets| {
        matches!(tls::read_client_hello(octets), Reading::Done(_))
    });
}

#[test]
fn the_committed_requests_are_replayed() {
    replay("http_request", bartizan_wire::fuzz_request, |octets| {
        matches!(http::read_request(octets), Reading::Done(_))
    });
}

#[test]
fn the_committed_initials_are_replayed() {
    replay("quic_initial", bartizan_wire::fuzz_initial, |octets| {
        QuicInitial::parse(octets).is_some()
    });
}

#[test]
fn the_committed_fragments_are_replayed() {
    replay(
        "fragments",
        |octets| bartizan_wire::fuzz_fragments(octets, t0()),
        |mut octets| {
            let mut reassembler = Reassembler::default();
            while let Some((&[l1, l0], rest)) = octets.split_first_chunk() {
                let len = usize::from(u16::from_be_bytes([l1, l0]));
                let Some((packet, rest)) = rest.split_at_checked(len) else { return false };
                if reassembler.push(packet, t0()).is_some() {
                    return true;
                }
                octets = rest;
            }
            false
        },
    );
}

#[expect(clippy::disallowed_methods, reason = "a test has to begin at some time")]
fn t0() -> Instant {
    Instant::now()
}

/// A corpus is of use only if some of it is read and some of it refused.
#[track_caller]
fn replay(target: &str, fuzz: fn(&[u8]), is_read: fn(&[u8]) -> bool) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut read = [0, 0];
    for entry in fs::read_dir(&folder).unwrap() {
        let octets = fs::read(entry.unwrap().path()).unwrap();
        fuzz(&octets);
        read[usize::from(is_read(&octets))] += 1;
    }
    assert!(4 <= read[0] && 8 <= read[1], "refused and read: {read:?}");
}
