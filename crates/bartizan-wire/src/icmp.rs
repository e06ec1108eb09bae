//! ICMP (RFC 792) and `ICMPv6` (RFC 4443): echoes, and errors about a packet.

use std::net::IpAddr;

use crate::ParseError;
use crate::header::{V6_HEADER_LEN, write_ip_header};
use crate::ip::{IpPacket, Protocol, fold, pseudo_header_sum, sum};

/// An echo request or its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Whether it asks.
    pub is_request: bool,
    /// Tells conversations of one host apart.
    pub ident: u16,
    /// Counts within a conversation.
    pub sequence: u16,
    /// Comes back as it went.
    pub data: &'a [u8],
}

impl<'a> Echo<'a> {
    /// Reads the message in a packet; `None` where it is another one.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn parse(packet: &IpPacket<'a>) -> Result<Option<Self>, ParseError> {
        let message = packet.payload();
        let Some((&[kind, code, _, _, i1, i0, n1, n0], data)) = message.split_first_chunk() else {
            return Err(ParseError::malformed("header"));
        };
        let is_request = match (packet.protocol().number(), kind, code) {
            (ICMP, 8, 0) | (ICMPV6, 128, 0) => true,
            (ICMP, 0, 0) | (ICMPV6, 129, 0) => false,
            _ => return Ok(None),
        };
        if fold(pseudo(packet.src(), packet.dst(), message.len()) + sum(message)) != 0xffff {
            return Err(ParseError::malformed("Checksum"));
        }
        Ok(Some(Self {
            is_request,
            ident: u16::from_be_bytes([i1, i0]),
            sequence: u16::from_be_bytes([n1, n0]),
            data,
        }))
    }

    /// Writes it as a whole packet; `None` if both ends are not of one family or it is too long.
    #[must_use]
    pub fn encode(&self, src: IpAddr, dst: IpAddr) -> Option<Vec<u8>> {
        let kind = match (src, self.is_request) {
            (IpAddr::V4(_), true) => 8,
            (IpAddr::V4(_), false) => 0,
            (IpAddr::V6(_), true) => 128,
            (IpAddr::V6(_), false) => 129,
        };
        let [i1, i0] = self.ident.to_be_bytes();
        let [n1, n0] = self.sequence.to_be_bytes();
        encode(src, dst, [kind, 0], [i1, i0, n1, n0], self.data)
    }
}

/// Why a packet went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// No way to its network or host.
    Host,
    /// Nobody listens on its port.
    Port,
    /// Not allowed.
    Prohibited,
    /// Larger than what the way takes, with how much that is.
    TooBig {
        /// Octets of the largest packet.
        mtu: u16,
    },
    /// Its hop limit was used up.
    HopLimit,
}

impl Unreachable {
    /// Writes the error about this packet, as `from` sends it to the packet's sender.
    ///
    /// `None` if the packet is none, or `from` is not of its family.
    #[must_use]
    pub fn encode(self, from: IpAddr, about: &[u8]) -> Option<Vec<u8>> {
        let (to, room, code) = match (about.first()? >> 4, from) {
            (4, IpAddr::V4(_)) => {
                let src: [u8; 4] = *about.get(12..)?.first_chunk()?;
                // RFC 1812 §4.3.2.3: as much as fits into 576 octets.
                (IpAddr::from(src), 576 - 28, self.v4())
            }
            (6, IpAddr::V6(_)) => {
                let src: [u8; 16] = *about.get(8..)?.first_chunk()?;
                // RFC 4443 §2.4 (c): as much as fits into the smallest MTU.
                (IpAddr::from(src), 1_280 - 48, self.v6())
            }
            _ => return None,
        };
        let mtu = match self {
            Self::TooBig { mtu } => u32::from(mtu).to_be_bytes(),
            Self::Host | Self::Port | Self::Prohibited | Self::HopLimit => [0; 4],
        };
        encode(from, to, code, mtu, about.get(..room).unwrap_or(about))
    }

    fn v4(self) -> [u8; 2] {
        match self {
            Self::Host => [3, 1],
            Self::Port => [3, 3],
            Self::TooBig { .. } => [3, 4],
            Self::Prohibited => [3, 13],
            Self::HopLimit => [11, 0],
        }
    }

    fn v6(self) -> [u8; 2] {
        match self {
            Self::Host => [1, 3],
            Self::Port => [1, 4],
            Self::TooBig { .. } => [2, 0],
            Self::Prohibited => [1, 1],
            Self::HopLimit => [3, 0],
        }
    }

    /// Reads type and code of an error, with the MTU that it names; `None` for what is no such error.
    #[must_use]
    pub fn from_code(is_v6: bool, kind: u8, code: u8, mtu: u32) -> Option<Self> {
        let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
        match (is_v6, kind, code) {
            (false, 3, 3) | (true, 1, 4) => Some(Self::Port),
            (false, 3, 9 | 10 | 13) | (true, 1, 1 | 5 | 6) => Some(Self::Prohibited),
            (false, 3, 4) | (true, 2, _) => Some(Self::TooBig { mtu }),
            (false, 11, 0) | (true, 3, 0) => Some(Self::HopLimit),
            (false, 3, _) | (true, 1, _) => Some(Self::Host),
            _ => None,
        }
    }
}

/// The protocol numbers of ICMP and `ICMPv6`.
pub const ICMP: u8 = 1;
/// See [`ICMP`].
pub const ICMPV6: u8 = 58;

fn encode(src: IpAddr, dst: IpAddr, code: [u8; 2], rest: [u8; 4], data: &[u8]) -> Option<Vec<u8>> {
    let protocol = Protocol::from_number(if src.is_ipv4() { ICMP } else { ICMPV6 });
    let len = 8 + data.len();
    let mut ip = [0; V6_HEADER_LEN];
    let ip_len = write_ip_header(src, dst, protocol, len, &mut ip)?;
    let checksum = !fold(pseudo(src, dst, len) + sum(&code) + sum(&rest) + sum(data));
    let mut packet = Vec::with_capacity(ip_len + len);
    packet.extend_from_slice(ip.get(..ip_len)?);
    packet.extend_from_slice(&code);
    packet.extend_from_slice(&checksum.to_be_bytes());
    packet.extend_from_slice(&rest);
    packet.extend_from_slice(data);
    Some(packet)
}

/// `ICMPv6` counts a pseudo-header (RFC 4443 §2.3), ICMP does not.
fn pseudo(src: IpAddr, dst: IpAddr, len: usize) -> u64 {
    if src.is_ipv4() { 0 } else { pseudo_header_sum(src, dst, Protocol::from_number(ICMPV6), len) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_survives_being_written_and_read() {
        for (src, dst) in ENDS {
            for is_request in [true, false] {
                let echo = Echo { is_request, ident: 7, sequence: 65_535, data: b"odd" };
                let packet = echo.encode(ip(src), ip(dst)).unwrap();
                let read = IpPacket::parse(&packet).unwrap();
                assert_eq!(Echo::parse(&read), Ok(Some(echo)));
            }
        }
    }

    #[test]
    fn a_changed_echo_is_malformed() {
        for (src, dst) in ENDS {
            let echo = Echo { is_request: true, ident: 7, sequence: 1, data: b"abcd" };
            let mut packet = echo.encode(ip(src), ip(dst)).unwrap();
            *packet.last_mut().unwrap() ^= 1;
            let read = IpPacket::parse(&packet).unwrap();
            assert_eq!(Echo::parse(&read), Err(ParseError::malformed("Checksum")));
        }
    }

    #[test]
    fn an_error_quotes_the_packet_and_goes_to_its_sender() {
        for (src, dst) in ENDS {
            let about = Echo { is_request: true, ident: 7, sequence: 1, data: &[1; 2_000] };
            let about = about.encode(ip(src), ip(dst)).unwrap();
            for error in [
                Unreachable::Host,
                Unreachable::Port,
                Unreachable::Prohibited,
                Unreachable::TooBig { mtu: 1_400 },
                Unreachable::HopLimit,
            ] {
                let packet = error.encode(ip(dst), &about).unwrap();
                let read = IpPacket::parse(&packet).unwrap();
                assert_eq!((read.src(), read.dst()), (ip(dst), ip(src)));
                assert!(packet.len() <= if ip(src).is_ipv4() { 576 } else { 1_280 });
                let &[kind, code, _, _, a, b, c, d, ref quoted @ ..] = read.payload() else {
                    panic!("too short")
                };
                assert!(about.starts_with(quoted));
                let mtu = u32::from_be_bytes([a, b, c, d]);
                let found = Unreachable::from_code(ip(src).is_ipv6(), kind, code, mtu);
                assert_eq!(found, Some(error));
            }
        }
    }

    const ENDS: [(&str, &str); 2] = [("192.0.2.1", "198.51.100.7"), ("2001:db8::1", "2001:db8::7")];

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }
}
