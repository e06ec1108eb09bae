//! What the fuzzer and the replay of its corpus call: parse any octets, then use all that was parsed.

use crate::dns::{DnsAnswer, DnsQuery};
use crate::ip::IpPacket;
use crate::udp::{UdpDatagram, encode_udp};

/// Reads a packet and what is in it; what was read must survive being written and read again.
#[doc(hidden)]
pub fn fuzz_packet(octets: &[u8]) {
    let Ok(packet) = IpPacket::parse(octets) else { return };
    let _ = packet.ports();
    let Ok(datagram) = UdpDatagram::parse(&packet) else { return };
    fuzz_query(datagram.payload);
    let Some(again) = encode_udp(datagram.src, datagram.dst, datagram.payload) else { return };
    let again = IpPacket::parse(&again);
    assert_eq!(again.and_then(|packet| UdpDatagram::parse(&packet)), Ok(datagram));
}

/// Reads a query; what blocks it must be an answer to it.
#[doc(hidden)]
pub fn fuzz_query(octets: &[u8]) {
    let Ok(query) = DnsQuery::parse(octets) else { return };
    assert!(query.asks_the_same_as(&query) && 512 <= query.max_answer_len());
    let Some(block) = query.block_answer(10, "blocked") else { return };
    let answer = DnsAnswer::parse(&block);
    assert!(answer.is_ok_and(|answer| answer.answers(&query) && answer.id() == query.id()));
}

/// Reads an answer.
#[doc(hidden)]
pub fn fuzz_answer(octets: &[u8]) {
    let Ok(answer) = DnsAnswer::parse(octets) else { return };
    assert!(answer.cname_targets().count() <= 16);
    let _ = (answer.id(), answer.rcode(), answer.is_truncated());
    // The same question, asked by a client, is answered by it.
    let mut octets = octets.to_vec();
    if let Some(flags) = octets.get_mut(2) {
        *flags &= 0x7f;
    }
    if let Ok(query) = DnsQuery::parse(&octets) {
        assert!(answer.answers(&query));
        assert!(query.truncated_answer(&answer).is_some());
    }
}
