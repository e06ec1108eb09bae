//! What the fuzzer and the replay of its corpus call: parse any octets, then use all that was parsed.

use crate::dns::{self, DnsAnswer, DnsQuery, Explanation, Refusal};
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

/// Reads a query; what refuses it must be an answer to it.
#[doc(hidden)]
pub fn fuzz_query(octets: &[u8]) {
    let Ok(query) = DnsQuery::parse(octets) else { return };
    assert!(query.asks_the_same_as(&query) && 512 <= query.max_answer_len());
    let _ = (query.is_shareable(), query.flags());
    let mut answer = Vec::new();
    for refusal in [Refusal::Sinkhole, Refusal::NoData, Refusal::NoSuchName] {
        query.write_refusal(refusal, 10, ERROR, &mut answer);
        let parsed = DnsAnswer::parse(&answer);
        assert!(parsed.is_ok_and(|parsed| {
            parsed.answers(&query) && parsed.id() == query.id() && parsed.lifetime_s().is_some()
        }));
    }
}

/// Reads an answer, keeps it, and takes parts out of it: what is left must be an answer to the same.
#[doc(hidden)]
pub fn fuzz_answer(octets: &[u8]) {
    let Ok(answer) = DnsAnswer::parse(octets) else { return };
    assert!(answer.aliases().count() <= 16 && answer.addresses().count() <= 64);
    let _ = (answer.id(), answer.rcode(), answer.is_truncated());

    let mut kept = octets.to_vec();
    if dns::remove_opt(&mut kept).is_ok() && answer.lifetime_s().is_some() {
        dns::count_down(&mut kept, 7);
        dns::set_ttls(&mut kept, 30);
        let lifetime = DnsAnswer::parse(&kept).ok().and_then(|kept| kept.lifetime_s());
        assert!(lifetime.is_some_and(|lifetime| lifetime <= 30));
    }
    let mut stripped = octets.to_vec();
    if dns::strip_ech(&mut stripped) == Ok(true) {
        assert!(stripped.len() < octets.len());
        assert_eq!(dns::strip_ech(&mut stripped), Ok(false));
        assert!(DnsAnswer::parse(&stripped).is_ok_and(|stripped| stripped.id() == answer.id()));
    }
    // The same question, asked by a client, is answered by it.
    let mut octets = octets.to_vec();
    if let Some(flags) = octets.get_mut(2) {
        *flags &= 0x7f;
    }
    if let Ok(query) = DnsQuery::parse(&octets) {
        assert!(answer.answers(&query));
        let mut truncated = Vec::new();
        query.write_truncated(&answer, &mut truncated);
        assert!(DnsAnswer::parse(&truncated).is_ok_and(|answer| answer.is_truncated()));
        query.adopt(&mut kept, Some(ERROR));
        assert!(DnsAnswer::parse(&kept).is_ok_and(|kept| kept.answers(&query)));
    }
}

const ERROR: Explanation<'_> = Explanation { code: Explanation::BLOCKED, text: "blocked" };
