//! One TCP segment (RFC 9293), read from an IP packet, and the headers of one written in front of its payload.
//!
//! What is read may be larger than a network's packet: a tunnel with segmentation offload hands over up to
//! 64 KiB under one header. Sequence numbers wrap; [`before`] compares them.
//!
//! # What it does not do
//! - Timestamps, urgent data: they are passed over.
//! - Decide what a segment means to a connection.

use std::net::SocketAddr;

use crate::ParseError;
use crate::header::{V6_HEADER_LEN, write_ip_header};
use crate::ip::{IpPacket, Protocol, fold, pseudo_header_sum, sum};

/// Flags of a segment (RFC 9293 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronizes sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Resets the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment number is significant.
    pub const ACK: Self = Self(0x10);

    /// Tells whether all of `flags` are set.
    #[must_use]
    pub fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Returns these and those.
    #[must_use]
    pub const fn and(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }
}

/// Tells whether sequence number `a` comes before `b`: at most 2³¹ away (RFC 9293 §3.4).
#[must_use]
pub fn before(a: u32, b: u32) -> bool {
    a != b && b.wrapping_sub(a) < 1 << 31
}

/// Who checks the checksum of what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// The reader does.
    Verify,
    /// Nobody: the packet never was on a wire and its checksum is not filled in.
    Trust,
}

/// One TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpSegment<'a> {
    /// Who sent it.
    pub src: SocketAddr,
    /// Whom it is for.
    pub dst: SocketAddr,
    /// Number of its first octet, or of the SYN.
    pub seq: u32,
    /// The number that its sender expects next, where [`Flags::ACK`] is set.
    pub ack: u32,
    /// What it is.
    pub flags: Flags,
    /// As written, before scaling.
    pub window: u16,
    options: &'a [u8],
    /// What it carries.
    pub payload: &'a [u8],
}

impl<'a> TcpSegment<'a> {
    /// Reads the segment in a packet.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn parse(packet: &IpPacket<'a>, checksum: Checksum) -> Result<Self, ParseError> {
        if packet.protocol() != Protocol::Tcp {
            return Err(ParseError::malformed("Protocol"));
        }
        let segment = packet.payload();
        let header: &[u8; HEADER_LEN] =
            segment.first_chunk().ok_or(ParseError::malformed("header"))?;
        let [s1, s0, d1, d0, seq @ .., offset, flags, w1, w0, _, _, _, _] = *header;
        let [q3, q2, q1, q0, a3, a2, a1, a0] = seq;
        let (header, payload) = segment
            .split_at_checked(usize::from(offset >> 4) * 4)
            .ok_or(ParseError::malformed("Data Offset"))?;
        let options = header.get(HEADER_LEN..).ok_or(ParseError::malformed("Data Offset"))?;
        if checksum == Checksum::Verify {
            let pseudo =
                pseudo_header_sum(packet.src(), packet.dst(), Protocol::Tcp, segment.len());
            if fold(pseudo + sum(segment)) != 0xffff {
                return Err(ParseError::malformed("Checksum"));
            }
        }
        Ok(Self {
            src: SocketAddr::new(packet.src(), u16::from_be_bytes([s1, s0])),
            dst: SocketAddr::new(packet.dst(), u16::from_be_bytes([d1, d0])),
            seq: u32::from_be_bytes([q3, q2, q1, q0]),
            ack: u32::from_be_bytes([a3, a2, a1, a0]),
            flags: Flags(flags),
            window: u16::from_be_bytes([w1, w0]),
            options,
            payload,
        })
    }

    /// Returns the sequence number after it: octets, and one each for SYN and FIN.
    #[must_use]
    pub fn end(&self) -> u32 {
        let signs = u32::from(self.flags.has(Flags::SYN)) + u32::from(self.flags.has(Flags::FIN));
        let octets = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        self.seq.wrapping_add(octets).wrapping_add(signs)
    }

    /// Reads what a SYN offers.
    #[must_use]
    pub fn offer(&self) -> Offer {
        let mut offer = Offer::default();
        for option in self.options() {
            match option {
                (MAXIMUM_SEGMENT_SIZE, &[m1, m0]) => {
                    offer.max_segment = Some(u16::from_be_bytes([m1, m0]));
                }
                // RFC 7323 §2.3: larger ones count as 14.
                (WINDOW_SCALE, &[shift]) => offer.window_scale = Some(shift.min(14)),
                (SACK_PERMITTED, []) => offer.sack_permitted = true,
                _ => {}
            }
        }
        offer
    }

    /// Yields the ranges that the sender holds beyond what it acknowledges (RFC 2018): first octet, and the one after the last.
    pub fn sack_blocks(&self) -> impl Iterator<Item = (u32, u32)> + use<'a> {
        let blocks = self.options().find_map(|(kind, data)| (kind == SACK).then_some(data));
        let (blocks, _) = blocks.unwrap_or_default().as_chunks::<8>();
        blocks.iter().map(|&[l3, l2, l1, l0, r3, r2, r1, r0]| {
            (u32::from_be_bytes([l3, l2, l1, l0]), u32::from_be_bytes([r3, r2, r1, r0]))
        })
    }

    /// Yields kind and data of each option, up to the first that makes no sense.
    fn options(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let mut rest = self.options;
        std::iter::from_fn(move || {
            loop {
                match *rest {
                    [END_OF_OPTIONS, ..] | [] => return None,
                    [NO_OPERATION, ref tail @ ..] => rest = tail,
                    [kind, len, ref tail @ ..] => {
                        let (data, tail) =
                            tail.split_at_checked(usize::from(len).checked_sub(2)?)?;
                        rest = tail;
                        return Some((kind, data));
                    }
                    [_] => return None,
                }
            }
        })
    }
}

/// What a SYN offers to its peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// The largest payload that it takes (RFC 9293 §3.7.1).
    pub max_segment: Option<u16>,
    /// How far its windows are to be shifted, 0 to 14 (RFC 7323 §2); `None` where it cannot.
    pub window_scale: Option<u8>,
    /// Whether it understands selective acknowledgments (RFC 2018).
    pub sack_permitted: bool,
}

/// The headers of a segment to be written.
#[derive(Clone, Copy, Debug)]
pub struct TcpHeader {
    /// Who sends it.
    pub src: SocketAddr,
    /// Whom it is for.
    pub dst: SocketAddr,
    /// See [`TcpSegment::seq`].
    pub seq: u32,
    /// See [`TcpSegment::ack`].
    pub ack: u32,
    /// See [`TcpSegment::flags`].
    pub flags: Flags,
    /// As written, before scaling.
    pub window: u16,
    /// Of a SYN.
    pub offer: Option<Offer>,
    /// What is held beyond the acknowledgment: first octet, and the one after the last (RFC 2018). Not in a SYN.
    pub sack: Option<(u32, u32)>,
}

impl TcpHeader {
    /// Writes an IP and a TCP header for this payload, which comes in pieces; returns how many octets they take.
    ///
    /// With [`Checksum::Trust`] the TCP checksum is left as the pseudo-header's sum, for whoever segments the
    /// packet to complete. `None` if both ends are not of one family, or the payload is too long for a packet.
    #[must_use]
    pub fn write(
        &self,
        payload: &[&[u8]],
        checksum: Checksum,
        into: &mut [u8; MAX_HEADERS_LEN],
    ) -> Option<usize> {
        let payload_len: usize = payload.iter().map(|piece| piece.len()).sum();
        let sack = self.sack.filter(|_| self.offer.is_none());
        let options_len = self.offer.map_or(0, Offer::len) + sack.map_or(0, |_| SACK_LEN);
        let tcp_len = HEADER_LEN + options_len;
        let segment_len = tcp_len + payload_len;
        let (src, dst) = (self.src.ip(), self.dst.ip());
        let ip_len = write_ip_header(src, dst, Protocol::Tcp, segment_len, into)?;
        let tcp = into.get_mut(ip_len..)?.get_mut(..tcp_len)?;
        let (fixed, options) = tcp.split_first_chunk_mut::<HEADER_LEN>()?;
        let [s1, s0] = self.src.port().to_be_bytes();
        let [d1, d0] = self.dst.port().to_be_bytes();
        let [q3, q2, q1, q0] = self.seq.to_be_bytes();
        let [a3, a2, a1, a0] = self.ack.to_be_bytes();
        let [w1, w0] = self.window.to_be_bytes();
        let offset = u8::try_from(tcp_len / 4).ok()? << 4;
        *fixed = [
            s1,
            s0,
            d1,
            d0,
            q3,
            q2,
            q1,
            q0,
            a3,
            a2,
            a1,
            a0,
            offset,
            self.flags.0,
            w1,
            w0,
            0,
            0,
            0,
            0,
        ];
        if let Some(offer) = self.offer {
            offer.write(options);
        } else if let (Some((left, right)), Some(options)) = (sack, options.first_chunk_mut()) {
            let [l3, l2, l1, l0] = left.to_be_bytes();
            let [r3, r2, r1, r0] = right.to_be_bytes();
            *options = [NO_OPERATION, NO_OPERATION, SACK, 10, l3, l2, l1, l0, r3, r2, r1, r0];
        }
        let pseudo = pseudo_header_sum(src, dst, Protocol::Tcp, segment_len);
        let value = match checksum {
            Checksum::Trust => fold(pseudo),
            Checksum::Verify => {
                let mut total = pseudo + sum(tcp);
                let mut odd = false;
                for piece in payload {
                    let folded = fold(sum(piece));
                    // RFC 1071 §2 (B): a piece that begins at an odd place counts with its octets swapped.
                    total += u64::from(if odd { folded.swap_bytes() } else { folded });
                    odd ^= piece.len() % 2 == 1;
                }
                !fold(total)
            }
        };
        into.get_mut(ip_len + CHECKSUM_OFFSET..)?
            .first_chunk_mut::<2>()
            .map(|place| *place = value.to_be_bytes())?;
        Some(ip_len + tcp_len)
    }
}

impl Offer {
    /// Returns how many octets its options take.
    fn len(self) -> usize {
        4 * (usize::from(self.max_segment.is_some())
            + usize::from(self.window_scale.is_some())
            + usize::from(self.sack_permitted))
    }

    fn write(self, into: &mut [u8]) {
        let size = self.max_segment.map(|size| {
            let [m1, m0] = size.to_be_bytes();
            [MAXIMUM_SEGMENT_SIZE, 4, m1, m0]
        });
        let scale = self.window_scale.map(|shift| [NO_OPERATION, WINDOW_SCALE, 3, shift]);
        let sack = self.sack_permitted.then_some([NO_OPERATION, NO_OPERATION, SACK_PERMITTED, 2]);
        let (places, _) = into.as_chunks_mut::<4>();
        for (place, option) in places.iter_mut().zip([size, scale, sack].into_iter().flatten()) {
            *place = option;
        }
    }
}

/// An IPv6 header, a TCP header, and the options of an [`Offer`] or one SACK block.
pub const MAX_HEADERS_LEN: usize = V6_HEADER_LEN + HEADER_LEN + 12;
/// Of TCP without options.
pub const HEADER_LEN: usize = 20;
/// Where in the TCP header the checksum stands.
pub const CHECKSUM_OFFSET: usize = 16;

const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAXIMUM_SEGMENT_SIZE: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
/// One block, and what brings it to a border of four octets.
const SACK_LEN: usize = 12;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{IpAddress, TcpPacket, TcpRepr};

    use super::*;

    proptest! {
        #[test]
        fn an_independent_stack_reads_what_was_written(
            seq: u32, ack: u32, window: u16, shift in 0..15u8, size: u16, v6: bool, syn: bool,
            payload in proptest::collection::vec(any::<u8>(), 0..300), cut in 0..300usize,
        ) {
            let (src, dst) = ends(v6);
            let offer = Offer { max_segment: Some(size), window_scale: Some(shift), sack_permitted: true };
            let flags = if syn { Flags::SYN } else { Flags::ACK };
            let header = TcpHeader {
                src, dst, seq, ack, flags, window,
                offer: syn.then_some(offer),
                sack: Some((ack.wrapping_add(1), ack.wrapping_add(9))),
            };
            let (first, second) = payload.split_at(cut.min(payload.len()));
            let packet = written(&header, &[first, second]);

            let ip = IpPacket::parse(&packet).unwrap();
            let read = TcpSegment::parse(&ip, Checksum::Verify).unwrap();
            prop_assert_eq!((read.src, read.dst, read.seq, read.ack), (src, dst, seq, ack));
            prop_assert_eq!((read.window, read.payload), (window, payload.as_slice()));
            if syn {
                prop_assert_eq!(read.offer(), offer);
            } else {
                prop_assert_eq!(read.sack_blocks().collect::<Vec<_>>(), [(ack.wrapping_add(1), ack.wrapping_add(9))]);
            }

            let theirs = TcpPacket::new_checked(ip.payload()).unwrap();
            let (from, to) = (IpAddress::from(src.ip()), IpAddress::from(dst.ip()));
            let theirs = TcpRepr::parse(&theirs, &from, &to, &ChecksumCapabilities::default()).unwrap();
            prop_assert_eq!(theirs.payload, payload.as_slice());
            prop_assert_eq!(theirs.window_scale, syn.then_some(shift));
        }
    }

    #[test]
    fn no_octet_of_a_segment_can_be_changed_unnoticed() {
        let (src, dst) = ends(false);
        let header = TcpHeader {
            src,
            dst,
            seq: 1,
            ack: 2,
            flags: Flags::ACK,
            window: 3,
            offer: None,
            sack: None,
        };
        let packet = written(&header, &[b"odd"]);
        for at in 0..packet.len() {
            let mut changed = packet.clone();
            changed[at] ^= 0x55;
            let read = IpPacket::parse(&changed)
                .and_then(|ip| TcpSegment::parse(&ip, Checksum::Verify).map(|_| ()));
            assert!(read.is_err(), "octet {at}");
        }
    }

    #[test]
    fn numbers_are_compared_around_the_wrap() {
        for (a, b, expected) in [(1, 2, true), (2, 1, false), (7, 7, false), (u32::MAX, 0, true)] {
            assert_eq!(before(a, b), expected, "{a} {b}");
        }
    }

    fn ends(v6: bool) -> (SocketAddr, SocketAddr) {
        if v6 {
            ("[2001:db8::1]:50000".parse().unwrap(), "[2001:db8::2]:443".parse().unwrap())
        } else {
            ("192.0.2.1:50000".parse().unwrap(), "198.51.100.2:443".parse().unwrap())
        }
    }

    fn written(header: &TcpHeader, payload: &[&[u8]]) -> Vec<u8> {
        let mut headers = [0; MAX_HEADERS_LEN];
        let len = header.write(payload, Checksum::Verify, &mut headers).unwrap();
        let mut packet = headers[..len].to_vec();
        packet.extend(payload.iter().copied().flatten());
        packet
    }
}
