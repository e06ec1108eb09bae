//! The committed corpora of the fuzzer, replayed: no file panics or breaks what the entry asserts.

use std::fs;
use std::path::PathBuf;

use bartizan_wire::dns::{DnsAnswer, DnsQuery};
use bartizan_wire::ip::IpPacket;

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
