//! One UDP datagram (RFC 768), read from an IP packet or written as a whole one.

use std::net::{IpAddr, SocketAddr};

use crate::ParseError;
use crate::header::{V6_HEADER_LEN, write_ip_header};
use crate::ip::{IpPacket, Protocol, fold, pseudo_header_sum, sum};
use crate::tcp::Checksum;

/// One UDP datagram whose checksum was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpDatagram<'a> {
    /// Who sent it.
    pub src: SocketAddr,
    /// Whom it is for.
    pub dst: SocketAddr,
    /// What it says.
    pub payload: &'a [u8],
}

impl<'a> UdpDatagram<'a> {
    /// Reads the datagram in a packet.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn parse(packet: &IpPacket<'a>) -> Result<Self, ParseError> {
        Self::parse_with(packet, Checksum::Verify)
    }

    /// Reads the datagram in a packet whose checksum may not be filled in, or several that lie one behind the other.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn parse_with(packet: &IpPacket<'a>, checksum: Checksum) -> Result<Self, ParseError> {
        if packet.protocol() != Protocol::Udp {
            return Err(ParseError::malformed("Protocol"));
        }
        let Some((&[s1, s0, d1, d0, l1, l0, c1, c0], _)) = packet.payload().split_first_chunk()
        else {
            return Err(ParseError::malformed("header"));
        };
        let datagram = packet
            .payload()
            .get(..usize::from(u16::from_be_bytes([l1, l0])))
            .ok_or(ParseError::malformed("Length"))?;
        let payload = datagram.get(HEADER_LEN..).ok_or(ParseError::malformed("Length"))?;

        let is_right = || {
            let (src, dst) = (packet.src(), packet.dst());
            let pseudo = pseudo_header_sum(src, dst, Protocol::Udp, datagram.len());
            match [c1, c0] {
                // RFC 768: zero means none was computed; RFC 8200 §8.1 allows that no more.
                [0, 0] => src.is_ipv4(),
                [_, _] => fold(pseudo + sum(datagram)) == 0xffff,
            }
        };
        if checksum == Checksum::Verify && !is_right() {
            return Err(ParseError::malformed("Checksum"));
        }
        Ok(Self {
            src: SocketAddr::new(packet.src(), u16::from_be_bytes([s1, s0])),
            dst: SocketAddr::new(packet.dst(), u16::from_be_bytes([d1, d0])),
            payload,
        })
    }
}

/// The headers of a datagram to be written.
#[derive(Clone, Copy, Debug)]
pub struct UdpHeader {
    octets: [u8; V6_HEADER_LEN + HEADER_LEN],
    len: usize,
}

impl UdpHeader {
    /// Writes an IP and a UDP header for this payload. Where nobody checks the checksum, its place holds the
    /// pseudo-header's sum.
    ///
    /// `None` if both ends are not of one family, or the payload is too long for a packet.
    #[must_use]
    pub fn write(
        src: SocketAddr,
        dst: SocketAddr,
        payload: &[u8],
        checksum: Checksum,
    ) -> Option<Self> {
        let mut octets = [0; V6_HEADER_LEN + HEADER_LEN];
        let udp_len = payload.len().checked_add(HEADER_LEN)?;
        let ip_len = write_ip_header(src.ip(), dst.ip(), Protocol::Udp, udp_len, &mut octets)?;
        let pseudo = pseudo_header_sum(src.ip(), dst.ip(), Protocol::Udp, udp_len);
        let [l1, l0] = u16::try_from(udp_len).ok()?.to_be_bytes();
        let [s1, s0] = src.port().to_be_bytes();
        let [d1, d0] = dst.port().to_be_bytes();
        let header = [s1, s0, d1, d0, l1, l0];
        let checksum = match checksum {
            Checksum::Trust => fold(pseudo),
            // RFC 768: a checksum that comes out as zero is sent as ones, since zero means none.
            Checksum::Verify => match !fold(pseudo + sum(&header) + sum(payload)) {
                0 => 0xffff,
                checksum => checksum,
            },
        };
        let [c1, c0] = checksum.to_be_bytes();
        let place = octets.get_mut(ip_len..)?.first_chunk_mut()?;
        *place = [s1, s0, d1, d0, l1, l0, c1, c0];
        Some(Self { octets, len: ip_len + HEADER_LEN })
    }

    /// Returns where the UDP header begins.
    #[must_use]
    pub fn transport_at(&self) -> usize {
        self.len - HEADER_LEN
    }

    /// Returns them as they go before the payload.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

/// Writes a whole IP packet with one UDP datagram.
///
/// `None` if both ends are not of one family, or the payload is too long for a packet.
#[must_use]
pub fn encode_udp(src: SocketAddr, dst: SocketAddr, payload: &[u8]) -> Option<Vec<u8>> {
    let header = UdpHeader::write(src, dst, payload, Checksum::Verify)?;
    let mut packet = Vec::with_capacity(header.len + payload.len());
    packet.extend_from_slice(header.octets());
    packet.extend_from_slice(payload);
    Some(packet)
}

/// Returns how many octets the headers of a UDP packet between such addresses take.
#[must_use]
pub fn udp_overhead(address: IpAddr) -> usize {
    HEADER_LEN + if address.is_ipv4() { 20 } else { 40 }
}

const HEADER_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{Ipv4Packet, Ipv4Repr, Ipv6Packet, UdpPacket};

    use super::*;

    #[test]
    fn no_octet_of_an_ipv4_packet_can_be_changed_unnoticed() {
        let good = encode_udp(addr("192.0.2.1:4"), addr("192.0.2.53:53"), b"question").unwrap();
        assert!(parse(&good).is_ok());
        for at in 0..good.len() {
            for flip in [0x01, 0x10, 0x80] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                assert!(parse(&bad).is_err(), "octet {at} xor {flip:#x}");
            }
        }
    }

    #[test]
    fn a_missing_checksum_is_allowed_on_ipv4_only() {
        let mut v4 = encode_udp(addr("192.0.2.1:4"), addr("192.0.2.53:53"), b"question").unwrap();
        v4[26..28].fill(0);
        assert_eq!(parse(&v4), Ok(b"question".to_vec()));
        let mut v6 = encode_udp(addr("[2001:db8::1]:4"), addr("[2001:db8::2]:53"), b"q").unwrap();
        v6[46..48].fill(0);
        assert_eq!(parse(&v6), Err(ParseError::Malformed { field: "Checksum" }));
    }

    #[test]
    fn lengths_that_do_not_fit_are_malformed() {
        let good = encode_udp(addr("[2001:db8::1]:4"), addr("[2001:db8::2]:53"), b"q").unwrap();
        for (len, field) in [(7, "Length"), (10, "Length"), (8, "Checksum")] {
            let mut bad = good.clone();
            bad[45] = len;
            assert_eq!(parse(&bad), Err(ParseError::Malformed { field }), "{len}");
        }
        let mut short = good;
        short[5] = 7;
        assert_eq!(parse(&short), Err(ParseError::Malformed { field: "header" }));
    }

    #[test]
    fn what_cannot_be_one_packet_is_not_encoded() {
        assert_eq!(encode_udp(addr("192.0.2.1:4"), addr("[2001:db8::2]:53"), b""), None);
        assert_eq!(encode_udp(addr("192.0.2.1:4"), addr("192.0.2.2:53"), &[0; 65_508]), None);
        assert!(encode_udp(addr("192.0.2.1:4"), addr("192.0.2.2:53"), &[0; 65_507]).is_some());
        assert_eq!(encode_udp(addr("[::1]:4"), addr("[::2]:53"), &[0; 65_528]), None);
    }

    #[test]
    fn a_checksum_of_zero_is_sent_as_ones() {
        let (src, dst) = (addr("192.0.2.1:4"), addr("192.0.2.53:53"));
        let filler = encode_udp(src, dst, &[0, 0]).unwrap();
        let packet = encode_udp(src, dst, &filler[26..28]).unwrap();
        assert_eq!(packet[26..28], [0xff, 0xff]);
        assert!(parse(&packet).is_ok());
    }

    proptest! {
        #[test]
        fn parsing_what_was_encoded_gives_it_back(
            v6 in any::<bool>(), src in any::<(u128, u16)>(), dst in any::<(u128, u16)>(),
            payload in vec(any::<u8>(), 0..100),
        ) {
            let (src, dst) = (socket(v6, src), socket(v6, dst));
            let packet = encode_udp(src, dst, &payload).unwrap();
            prop_assert_eq!(packet.len(), payload.len() + udp_overhead(src.ip()));
            let ip = IpPacket::parse(&packet).unwrap();
            let expected = UdpDatagram { src, dst, payload: &payload };
            prop_assert_eq!(UdpDatagram::parse(&ip), Ok(expected));
        }

        #[test]
        fn an_independent_stack_reads_what_was_encoded(
            v6 in any::<bool>(), src in any::<(u128, u16)>(), dst in any::<(u128, u16)>(),
            payload in vec(any::<u8>(), 0..100),
        ) {
            let (src, dst) = (socket(v6, src), socket(v6, dst));
            let packet = encode_udp(src, dst, &payload).unwrap();
            let octets = if v6 {
                Ipv6Packet::new_checked(&packet).unwrap().payload().to_vec()
            } else {
                let packet = Ipv4Packet::new_checked(&packet).unwrap();
                prop_assert!(Ipv4Repr::parse(&packet, &ChecksumCapabilities::default()).is_ok());
                packet.payload().to_vec()
            };
            let udp = UdpPacket::new_checked(&octets).unwrap();
            prop_assert!(udp.verify_checksum(&src.ip().into(), &dst.ip().into()));
            prop_assert_eq!((udp.src_port(), udp.dst_port()), (src.port(), dst.port()));
            prop_assert_eq!(udp.payload(), &payload[..]);
        }
    }

    fn parse(octets: &[u8]) -> Result<Vec<u8>, ParseError> {
        let packet = IpPacket::parse(octets)?;
        UdpDatagram::parse(&packet).map(|datagram| datagram.payload.to_vec())
    }

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[expect(clippy::cast_possible_truncation, reason = "any 32 bits will do")]
    fn socket(v6: bool, (address, port): (u128, u16)) -> SocketAddr {
        let ip = if v6 { IpAddr::V6(address.into()) } else { IpAddr::V4((address as u32).into()) };
        SocketAddr::new(ip, port)
    }
}
