//! What the fuzzer and the replay of its corpus call: parse any octets, then use all that was parsed.

use std::time::Instant;

use crate::cursor::Cursor;
use crate::dns::{self, DnsAnswer, DnsQuery, Explanation, Refusal};
use crate::fragment::{self, Reassembler};
use crate::ip::IpPacket;
use crate::quic::{self, CloseReason, HelloReader, QuicInitial};
use crate::udp::{UdpDatagram, encode_udp};
use crate::{ParseError, Reading, http, tls};

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
/// Reads a ClientHello; no prefix of it may say another thing, or that it is none.
#[doc(hidden)]
pub fn fuzz_hello(octets: &[u8]) {
    let Reading::Done(hello) = tls::read_client_hello(octets) else { return };
    let _ = (hello.server_name(), hello.protocols().count(), hello.has_ech());
    for len in prefixes(octets.len()) {
        let earlier = tls::read_client_hello(octets.get(..len).unwrap_or_default());
        assert!(earlier == Reading::More || earlier == Reading::Done(hello.clone()));
    }
}

/// Reads the head of a request or of a response; no prefix of it may say another thing, or that it is none.
#[doc(hidden)]
pub fn fuzz_request(octets: &[u8]) {
    if let Reading::Done(response) = http::read_response(octets) {
        let _ = response.location();
        for len in prefixes(octets.len()) {
            let earlier = http::read_response(octets.get(..len).unwrap_or_default());
            assert!(earlier == Reading::More || earlier == Reading::Done(response));
        }
    }
    let Reading::Done(request) = http::read_request(octets) else { return };
    assert!(request.head_len() <= octets.len());
    let _ = (request.host_name(), request.host_address(), request.path());
    let _ = request.fields("Content-Length").count();
    for len in prefixes(octets.len()) {
        let earlier = http::read_request(octets.get(..len).unwrap_or_default());
        assert!(earlier == Reading::More || earlier == Reading::Done(request));
    }
}

/// Pushes a datagram as it is, and the octets as frames of a packet whose keys fit.
#[doc(hidden)]
pub fn fuzz_initial(octets: &[u8]) {
    let mut reader = HelloReader::new();
    let _ = reader.push(octets);
    let _ = reader.close().map(|close| close.write(octets, CloseReason::ConnectionRefused));
    reader.restart();
    for part in octets.chunks(1_200) {
        let Some(datagram) = quic::seal_client_initial(part) else { continue };
        match reader.push(&datagram) {
            Reading::More => {}
            Reading::Done(_) | Reading::Not => break,
        }
        let close =
            reader.close().and_then(|close| close.write(&datagram, CloseReason::AccessDenied));
        assert!(close.is_some_and(|close| QuicInitial::parse(&close).is_some()));
    }
}

/// Pushes packets, each behind its length of two octets; what comes out must be a packet.
#[doc(hidden)]
pub fn fuzz_fragments(octets: &[u8], now: Instant) {
    let mut reassembler = Reassembler::default();
    let mut rest = Cursor(octets);
    while let Some(packet) = rest.vector16() {
        if let Some(whole) = reassembler.push(packet, now) {
            let parsed = IpPacket::parse(&whole);
            // What IPv6 carries may be broken, or cut a second time.
            let is_v6 = whole.first().is_some_and(|first| first >> 4 == 6);
            assert!(parsed.is_ok() || is_v6, "{parsed:?}");
            assert_ne!(parsed, Err(ParseError::malformed("Payload Length")));
        }
        assert!(reassembler.octets() <= fragment::MAX_OCTETS);
    }
}

/// Returns a few lengths below this one, the near ones among them.
fn prefixes(len: usize) -> impl Iterator<Item = usize> {
    (0..len).rev().take(64).chain((0..len).step_by(1 + len / 64))
}
