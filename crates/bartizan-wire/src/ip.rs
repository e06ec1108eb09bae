//! One IP packet: who sends what to whom.
//!
//! Reads IPv4 (RFC 791) with options, verifies its header checksum, and IPv6 (RFC 8200) behind
//! hop-by-hop, routing and destination option headers. Octets after the length that the header
//! states are padding and ignored.
//!
//! # What it does not do
//! - Reassemble: a fragment is [`ParseError::Fragment`], and `fragment` puts it together.
//! - Read jumbograms (RFC 2675) or look behind ESP (RFC 4303): the one is malformed, the other is
//!   [`Protocol::Other`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::ParseError;
pub(crate) use crate::checksum::{fold, pseudo_header_sum, sum};

/// One whole IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpPacket<'a> {
    src: IpAddr,
    dst: IpAddr,
    protocol: Protocol,
    hop_limit: u8,
    may_fragment: bool,
    payload: &'a [u8],
}

impl<'a> IpPacket<'a> {
    /// Reads a packet as it comes from a TUN device.
    ///
    /// # Errors
    /// The first field that is wrong, or that it is a fragment.
    pub fn parse(octets: &'a [u8]) -> Result<Self, ParseError> {
        match octets.first().map(|first| first >> 4) {
            Some(4) => Self::parse_v4(octets),
            Some(6) => Self::parse_v6(octets),
            Some(_) | None => Err(ParseError::malformed("Version")),
        }
    }

    fn parse_v4(octets: &'a [u8]) -> Result<Self, ParseError> {
        let header_len = octets.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
        let header = octets.get(..header_len).ok_or(ParseError::malformed("IHL"))?;
        let fixed: &[u8; 20] = header.first_chunk().ok_or(ParseError::malformed("IHL"))?;
        if fold(sum(header)) != 0xffff {
            return Err(ParseError::malformed("Header Checksum"));
        }
        let [_, _, l1, l0, _, _, f1, f0, hop_limit, protocol, _, _, s3, s2, s1, s0, d3, d2, d1, d0] =
            *fixed;
        let payload = octets
            .get(header_len..usize::from(u16::from_be_bytes([l1, l0])))
            .ok_or(ParseError::malformed("Total Length"))?;
        let flags = u16::from_be_bytes([f1, f0]);
        // More Fragments or a Fragment Offset; the reserved bit does not matter.
        if flags & 0x3fff != 0 {
            return Err(ParseError::Fragment);
        }
        Ok(Self {
            src: Ipv4Addr::new(s3, s2, s1, s0).into(),
            dst: Ipv4Addr::new(d3, d2, d1, d0).into(),
            protocol: Protocol::from_number(protocol),
            hop_limit,
            may_fragment: flags & DONT_FRAGMENT == 0,
            payload,
        })
    }

    fn parse_v6(octets: &'a [u8]) -> Result<Self, ParseError> {
        let (header, rest) =
            octets.split_first_chunk::<40>().ok_or(ParseError::malformed("header"))?;
        let [_, _, _, _, l1, l0, mut next, hop_limit, addresses @ ..] = *header;
        let (src, dst) = addresses.split_at(16);
        let mut payload = rest
            .get(..usize::from(u16::from_be_bytes([l1, l0])))
            .ok_or(ParseError::malformed("Payload Length"))?;
        let mut skipped = 0;
        while let HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS = next {
            skipped += 1;
            if MAX_EXTENSION_HEADERS < skipped {
                return Err(ParseError::malformed("Next Header"));
            }
            let [following, len, ..] = *payload else {
                return Err(ParseError::malformed("Hdr Ext Len"));
            };
            // RFC 8200 §4.3: in units of 8 octets, without the first 8.
            payload = payload
                .get(usize::from(len) * 8 + 8..)
                .ok_or(ParseError::malformed("Hdr Ext Len"))?;
            next = following;
        }
        if next == FRAGMENT {
            return Err(ParseError::Fragment);
        }
        Ok(Self {
            src: v6(src)?,
            dst: v6(dst)?,
            protocol: Protocol::from_number(next),
            hop_limit,
            may_fragment: false,
            payload,
        })
    }

    /// Returns who sent it.
    #[must_use]
    pub fn src(&self) -> IpAddr {
        self.src
    }

    /// Returns whom it is for.
    #[must_use]
    pub fn dst(&self) -> IpAddr {
        self.dst
    }

    /// Returns what the payload is.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Returns how many more routers may pass it on: Time to Live, or Hop Limit.
    #[must_use]
    pub fn hop_limit(&self) -> u8 {
        self.hop_limit
    }

    /// Returns whether it may be cut on its way: IPv4 unless it says "Don't Fragment", and what came in fragments.
    #[must_use]
    pub fn may_fragment(&self) -> bool {
        self.may_fragment
    }

    /// Takes note that it came in fragments, so that it may go on in some.
    #[must_use]
    pub fn put_together(self) -> Self {
        Self { may_fragment: true, ..self }
    }

    /// Returns what follows the headers.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Returns source and destination port, if the protocol has ports and they are there.
    #[must_use]
    pub fn ports(&self) -> Option<(u16, u16)> {
        match (self.protocol, self.payload) {
            (Protocol::Tcp | Protocol::Udp, [s1, s0, d1, d0, ..]) => {
                Some((u16::from_be_bytes([*s1, *s0]), u16::from_be_bytes([*d1, *d0])))
            }
            (Protocol::Tcp | Protocol::Udp | Protocol::Other(_), _) => None,
        }
    }
}

/// What an IP packet carries (IANA's "Assigned Internet Protocol Numbers").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// 6.
    Tcp,
    /// 17.
    Udp,
    /// Any other number.
    Other(u8),
}

impl Protocol {
    pub(crate) fn from_number(number: u8) -> Self {
        match number {
            6 => Self::Tcp,
            17 => Self::Udp,
            other => Self::Other(other),
        }
    }

    /// Returns its number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Other(number) => number,
        }
    }
}

fn v6(octets: &[u8]) -> Result<IpAddr, ParseError> {
    let octets: [u8; 16] = octets.try_into().map_err(|_| ParseError::malformed("header"))?;
    Ok(Ipv6Addr::from(octets).into())
}

const DONT_FRAGMENT: u16 = 0x4000;
pub(crate) const HOP_BY_HOP: u8 = 0;
pub(crate) const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
pub(crate) const DESTINATION_OPTIONS: u8 = 60;
/// RFC 8200 §4.1 has each at most once, destination options twice; twice that for the odd sender.
pub(crate) const MAX_EXTENSION_HEADERS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_says_who_sends_what_to_whom() {
        check(&v4_packet(&[], 0, b"abcd"), Ok(("192.0.2.1", "192.0.2.53", b"abcd")));
        check(&v4_packet(&[1, 1, 1, 0], 0, b"abcd"), Ok(("192.0.2.1", "192.0.2.53", b"abcd")));
        check(&v4_packet(&[], 0x4000, b""), Ok(("192.0.2.1", "192.0.2.53", b"")));
        check(&v6_packet(17, b"abcd"), Ok(("2001:db8::1", "2001:db8::53", b"abcd")));
    }

    #[test]
    fn octets_beyond_the_stated_length_are_padding() {
        for mut packet in [v4_packet(&[], 0, b"abcd"), v6_packet(17, b"abcd")] {
            packet.extend_from_slice(b"padding");
            assert_eq!(IpPacket::parse(&packet).unwrap().payload(), b"abcd");
        }
    }

    #[test]
    fn extension_headers_are_skipped_up_to_a_bound() {
        let udp = Ok(("2001:db8::1", "2001:db8::53", b"abcd".as_slice()));
        check(&v6_packet(HOP_BY_HOP, &options(17, 0, b"abcd")), udp);
        check(&v6_packet(DESTINATION_OPTIONS, &options(17, 3, b"abcd")), udp);
        check(&v6_packet(ROUTING, &options(DESTINATION_OPTIONS, 0, &options(17, 1, b"abcd"))), udp);
        let nested =
            |depth| (1..depth).fold(options(17, 0, b"abcd"), |inner, _| options(60, 0, &inner));
        check(&v6_packet(60, &nested(MAX_EXTENSION_HEADERS)), udp);
        check(&v6_packet(60, &nested(MAX_EXTENSION_HEADERS + 1)), malformed("Next Header"));
    }

    #[test]
    fn fragments_are_refused_as_such() {
        check(&v4_packet(&[], 0x2000, b"abcd"), Err(ParseError::Fragment));
        check(&v4_packet(&[], 0x0001, b"abcd"), Err(ParseError::Fragment));
        check(&v6_packet(FRAGMENT, &options(17, 0, b"abcd")), Err(ParseError::Fragment));
        check(&v6_packet(0, &options(FRAGMENT, 0, b"abcd")), Err(ParseError::Fragment));
    }

    #[test]
    fn what_contradicts_itself_is_malformed() {
        check(b"", malformed("Version"));
        check(&[0x50; 40], malformed("Version"));
        check(&[0x44; 40], malformed("IHL"));
        check(&[0x4f; 40], malformed("IHL"));
        check(&[0x45; 20], malformed("Header Checksum"));
        check(&[0x60; 39], malformed("header"));
        check(&[0x60; 40], malformed("Payload Length"));
        check(&v4_packet(&[], 0, b"abcd")[..23], malformed("Total Length"));
        check(&v6_packet(17, b"abcd")[..43], malformed("Payload Length"));
        check(&v6_packet(0, b""), malformed("Hdr Ext Len"));
        check(&v6_packet(0, &[17, 1, 0, 0, 0, 0, 0, 0]), malformed("Hdr Ext Len"));
        let mut short = v4_packet(&[], 0, b"");
        short[3] = 19;
        rewrite_checksum(&mut short);
        check(&short, malformed("Total Length"));
    }

    #[test]
    fn what_may_be_cut_is_ipv4_without_dont_fragment_and_what_came_in_fragments() {
        for (packet, may_fragment) in [
            (v4_packet(&[], 0, b"abcd"), true),
            (v4_packet(&[], 0x4000, b"abcd"), false),
            (v6_packet(17, b"abcd"), false),
        ] {
            let packet = IpPacket::parse(&packet).unwrap();
            assert_eq!(packet.may_fragment(), may_fragment);
            assert!(packet.put_together().may_fragment());
        }
    }

    #[test]
    fn only_tcp_and_udp_have_ports() {
        let udp = v6_packet(17, &[0xc0, 0x00, 0x00, 0x35]);
        assert_eq!(IpPacket::parse(&udp).unwrap().ports(), Some((49_152, 53)));
        let icmp = v6_packet(58, &[0xc0, 0x00, 0x00, 0x35]);
        assert_eq!(IpPacket::parse(&icmp).unwrap().ports(), None);
        assert_eq!(IpPacket::parse(&v6_packet(6, &[0, 1, 2])).unwrap().ports(), None);
    }

    #[track_caller]
    fn check(octets: &[u8], expected: Result<(&str, &str, &[u8]), ParseError>) {
        let found = IpPacket::parse(octets);
        let may_fragment = found.is_ok_and(|packet| packet.may_fragment());
        let expected = expected.map(|(src, dst, payload)| IpPacket {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            protocol: Protocol::Udp,
            hop_limit: 64,
            may_fragment,
            payload,
        });
        assert_eq!(found, expected);
    }

    fn malformed<T>(field: &'static str) -> Result<T, ParseError> {
        Err(ParseError::Malformed { field })
    }

    fn v4_packet(options: &[u8], flags_and_offset: u16, payload: &[u8]) -> Vec<u8> {
        let header_len = 20 + options.len();
        let mut packet = vec![0x40 | u8::try_from(header_len / 4).unwrap(), 0];
        packet.extend(u16::try_from(header_len + payload.len()).unwrap().to_be_bytes());
        packet.extend([0, 7]);
        packet.extend(flags_and_offset.to_be_bytes());
        packet.extend([64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 53]);
        packet.extend(options);
        rewrite_checksum(&mut packet);
        packet.extend(payload);
        packet
    }

    fn rewrite_checksum(header: &mut [u8]) {
        header[10..12].fill(0);
        let checksum = !fold(sum(header));
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
    }

    fn v6_packet(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        packet.extend([next, 64]);
        packet.extend("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend("2001:db8::53".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend(payload);
        packet
    }

    fn options(next: u8, units: u8, rest: &[u8]) -> Vec<u8> {
        let mut header = vec![next, units];
        header.resize(usize::from(units) * 8 + 8, 0);
        header.extend(rest);
        header
    }
}
