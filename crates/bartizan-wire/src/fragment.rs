//! IP fragments, put together again: RFC 791 §3.2 and RFC 8200 §4.5.
//!
//! Feed fragments with [`Reassembler::push`]; the one that makes a packet whole brings it back, with one header,
//! right in length and checksum, as if it had never been cut.
//!
//! # What it does not do
//! - Answer: that time ran out (ICMP "reassembly time exceeded") is for the sender to notice.
//!
//! # Invariants
//! - At most [`MAX_PACKETS`] under way, which hold at most [`MAX_OCTETS`] together; the oldest goes first.
//! - Fragments that overlap make the packet be dropped, and what comes of it later too (RFC 5722 §4).
//!   One that came before, octet by octet, is no overlap.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::cursor::Cursor;
use crate::ip::{
    DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, MAX_EXTENSION_HEADERS, ROUTING, fold, sum,
};

/// The packets that are under way.
#[derive(Debug, Default)]
pub struct Reassembler {
    /// Oldest first.
    packets: Vec<Partial>,
}

impl Reassembler {
    /// Takes a packet that [`crate::ip::IpPacket::parse`] calls a fragment; returns the whole one if nothing
    /// is missing.
    pub fn push(&mut self, packet: &[u8], now: Instant) -> Option<Vec<u8>> {
        self.packets.retain(|partial| now < partial.deadline);
        let fragment = Fragment::parse(packet)?;
        let index = match self.packets.iter().position(|partial| partial.key == fragment.key) {
            Some(index) => index,
            None => {
                if MAX_PACKETS <= self.packets.len() {
                    self.packets.remove(0);
                }
                self.packets.push(Partial::new(fragment.key, now + LIFETIME));
                self.packets.len() - 1
            }
        };
        let whole = self.packets.get_mut(index)?.take(&fragment);
        if whole.is_some() {
            self.packets.remove(index);
        }
        while MAX_OCTETS < self.octets() {
            self.packets.remove(0);
        }
        whole
    }

    /// Returns how many octets are held.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.packets.iter().map(|partial| partial.header.len() + partial.payload.len()).sum()
    }
}

/// What fragments of one packet have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    /// RFC 791 has it in the key, RFC 8200 has not.
    protocol: Option<u8>,
}

/// A packet with gaps.
#[derive(Debug)]
struct Partial {
    key: Key,
    deadline: Instant,
    /// The header that the first fragment brought; empty before.
    header: Vec<u8>,
    payload: Vec<u8>,
    /// Where what is there begins and ends, in order.
    pieces: Vec<(usize, usize)>,
    /// Where the payload ends, once the last fragment is there.
    end: Option<usize>,
    is_refused: bool,
}

impl Partial {
    fn new(key: Key, deadline: Instant) -> Self {
        Self {
            key,
            deadline,
            header: Vec::new(),
            payload: Vec::new(),
            pieces: Vec::new(),
            end: None,
            is_refused: false,
        }
    }

    fn take(&mut self, fragment: &Fragment<'_>) -> Option<Vec<u8>> {
        if self.is_refused {
            return None;
        }
        let (begin, end) = (fragment.offset, fragment.offset + fragment.payload.len());
        if self.pieces.contains(&(begin, end))
            && self.payload.get(begin..end) == Some(fragment.payload)
        {
            return None;
        }
        let place = self.pieces.partition_point(|piece| piece.0 < begin);
        let fits_before =
            place == 0 || self.pieces.get(place - 1).is_some_and(|piece| piece.1 <= begin);
        let fits_behind = self.pieces.get(place).is_none_or(|piece| end <= piece.0);
        let is_within = self.end.is_none_or(|last| end <= last && fragment.has_more);
        let is_last = fragment.has_more || self.pieces.last().is_none_or(|piece| piece.1 <= end);
        if !(fits_before && fits_behind && is_within && is_last) {
            self.refuse();
            return None;
        }
        self.pieces.insert(place, (begin, end));
        if self.payload.len() < end {
            self.payload.resize(end, 0);
        }
        self.payload.get_mut(begin..end)?.copy_from_slice(fragment.payload);
        if begin == 0 {
            self.header = fragment.whole_header()?;
        }
        if !fragment.has_more {
            self.end = Some(end);
        }
        let mut reached = 0;
        for piece in &self.pieces {
            if piece.0 != reached {
                return None;
            }
            reached = piece.1;
        }
        if self.end != Some(reached) {
            return None;
        }
        whole(&self.header, &self.payload)
    }

    fn refuse(&mut self) {
        self.is_refused = true;
        self.header = Vec::new();
        self.payload = Vec::new();
        self.pieces = Vec::new();
    }
}

/// One fragment.
struct Fragment<'a> {
    key: Key,
    /// What comes before the payload, without the fragment header of IPv6.
    header: &'a [u8],
    /// For IPv6: where in the header the number of the next one stands, and what it becomes.
    next: Option<(usize, u8)>,
    offset: usize,
    has_more: bool,
    payload: &'a [u8],
}

impl<'a> Fragment<'a> {
    fn parse(packet: &'a [u8]) -> Option<Self> {
        let fragment = match packet.first()? >> 4 {
            4 => Self::parse_v4(packet),
            6 => Self::parse_v6(packet),
            _ => None,
        }?;
        let is_filled = !fragment.has_more || fragment.payload.len() % 8 == 0;
        let fits = fragment.offset + fragment.payload.len() + fragment.header.len() <= MAX_LEN;
        (is_filled && fits && !fragment.payload.is_empty()).then_some(fragment)
    }

    fn parse_v4(packet: &'a [u8]) -> Option<Self> {
        let header_len = usize::from(packet.first()? & 0x0f) * 4;
        let header = packet.get(..header_len)?;
        let [_, _, l1, l0, i1, i0, f1, f0, _, protocol, _, _, src @ ..]: [u8; 20] =
            *header.first_chunk()?;
        if fold(sum(header)) != 0xffff {
            return None;
        }
        let (src, dst) = src.split_first_chunk::<4>()?;
        let flags_and_offset = u16::from_be_bytes([f1, f0]);
        Some(Self {
            key: Key {
                src: (*src).into(),
                dst: dst.first_chunk::<4>().copied().map(IpAddr::from)?,
                id: u16::from_be_bytes([i1, i0]).into(),
                protocol: Some(protocol),
            },
            header,
            next: None,
            offset: usize::from(flags_and_offset & 0x1fff) * 8,
            has_more: flags_and_offset & 0x2000 != 0,
            payload: packet.get(header_len..usize::from(u16::from_be_bytes([l1, l0])))?,
        })
    }

    fn parse_v6(packet: &'a [u8]) -> Option<Self> {
        let mut rest = Cursor(packet);
        let [_, _, _, _, l1, l0, mut next, _, addresses @ ..] = rest.array::<40>()?;
        let (src, dst) = addresses.split_first_chunk::<16>()?;
        let mut rest = Cursor(rest.0.get(..usize::from(u16::from_be_bytes([l1, l0])))?);
        let mut header_len = 40;
        let mut next_at = 6;
        for _ in 0..MAX_EXTENSION_HEADERS {
            if !matches!(next, HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS) {
                break;
            }
            let [following, len, ..] = *rest.0 else { return None };
            let len = usize::from(len) * 8 + 8;
            rest.take(len)?;
            (next_at, next) = (header_len, following);
            header_len += len;
        }
        if next != FRAGMENT {
            return None;
        }
        let [following, _, o1, o0, id @ ..] = rest.array::<8>()?;
        let offset_and_more = u16::from_be_bytes([o1, o0]);
        Some(Self {
            key: Key {
                src: (*src).into(),
                dst: dst.first_chunk::<16>().copied().map(IpAddr::from)?,
                id: u32::from_be_bytes(id),
                protocol: None,
            },
            header: packet.get(..header_len)?,
            next: Some((next_at, following)),
            offset: usize::from(offset_and_more & 0xfff8),
            has_more: offset_and_more & 1 != 0,
            payload: rest.0,
        })
    }

    /// Returns the header of the whole packet but for its length and checksum.
    fn whole_header(&self) -> Option<Vec<u8>> {
        let mut header = self.header.to_vec();
        if let Some((at, next)) = self.next {
            *header.get_mut(at)? = next;
        }
        Some(header)
    }
}

/// Writes the packet as it was before it was cut.
fn whole(header: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
    let mut packet = Vec::with_capacity(header.len() + payload.len());
    packet.extend_from_slice(header);
    packet.extend_from_slice(payload);
    let len = packet.len();
    if packet.first()? >> 4 == 4 {
        put(&mut packet, 2, u16::try_from(len).ok()?)?;
        // Don't Fragment and the reserved bit stay.
        *packet.get_mut(6)? &= 0xc0;
        *packet.get_mut(7)? = 0;
        put(&mut packet, 10, 0)?;
        let checksum = !fold(sum(packet.get(..header.len())?));
        put(&mut packet, 10, checksum)?;
    } else {
        put(&mut packet, 4, u16::try_from(len.checked_sub(40)?).ok()?)?;
    }
    Some(packet)
}

fn put(packet: &mut [u8], at: usize, value: u16) -> Option<()> {
    *packet.get_mut(at..)?.first_chunk_mut()? = value.to_be_bytes();
    Some(())
}

/// How many packets may be under way.
pub const MAX_PACKETS: usize = 8;
/// What they may hold together: two of the longest, or the eight of any ordinary sender.
pub const MAX_OCTETS: usize = 128 * 1024;
/// RFC 791 §3.2 has 15 seconds as a start, RFC 8200 §4.5 has 60; systems keep to 30.
const LIFETIME: Duration = Duration::from_secs(30);
/// What the length fields can say, with the fixed header of IPv6 on top left aside.
const MAX_LEN: usize = 0xffff;

#[cfg(test)]
mod tests;
