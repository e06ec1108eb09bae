//! One direction of a TCP connection in a capture: segments come in any order, twice, or not at all.
//!
//! The first octet at a place counts. A gap is waited for until it is clear that the capture does not have it:
//! the receiver acknowledged what lies behind it, or too much waits.
//!
//! # Invariants
//! - At most [`MAX_WAITING`] segments wait.

use std::collections::BTreeMap;

use crate::inspect::message::Said;
use crate::inspect::segment::Segment;
use crate::inspect::talk::Talk;

/// What has come of one direction.
#[derive(Debug)]
pub(super) struct Stream {
    /// The number of the octet that comes next.
    next: u32,
    talk: Talk,
    /// Segments behind a gap, with the frames they came in, by how far behind the beginning they are.
    waiting: BTreeMap<u64, (u64, Vec<u8>)>,
    /// How far behind the beginning `next` is.
    offset: u64,
    is_dns_port: bool,
    pub(super) last_frame: u64,
}

impl Stream {
    /// Begins with a segment; without SYN it is somewhere in the midst.
    pub(super) fn new(segment: &Segment<'_>, is_dns_port: bool) -> Self {
        Self {
            next: segment.first_octet(),
            talk: Talk::new(is_dns_port),
            waiting: BTreeMap::new(),
            offset: 0,
            is_dns_port,
            last_frame: 0,
        }
    }

    /// Takes a segment; yields what is whole with it, and the frame that made it so.
    pub(super) fn hear(&mut self, segment: &Segment<'_>, frame: u64) -> Vec<(u64, Said)> {
        self.last_frame = frame;
        if segment.is_syn && segment.first_octet() != self.next && !self.is_earlier(segment) {
            *self = Self::new(segment, self.is_dns_port);
            self.last_frame = frame;
        }
        let ahead = distance(self.next, segment.first_octet());
        let mut heard = Vec::new();
        if let Ok(ahead @ 1..) = u64::try_from(ahead) {
            if !segment.payload.is_empty() && ahead <= MAX_AHEAD {
                let piece = (frame, segment.payload.to_vec());
                self.waiting.entry(self.offset + ahead).or_insert(piece);
            }
            while MAX_WAITING < self.waiting.len() {
                self.give_up_gap(&mut heard);
            }
        } else {
            let seen = usize::try_from(-ahead).unwrap_or(usize::MAX);
            if let Some(unseen @ [_, ..]) = segment.payload.get(seen..) {
                self.take(unseen, frame, &mut heard);
                self.take_waiting(Some(frame), &mut heard);
            }
        }
        heard
    }

    /// The receiver has everything before this octet.
    pub(super) fn acknowledge(&mut self, octet: u32) -> Vec<(u64, Said)> {
        let mut heard = Vec::new();
        while let (Some((&first, (_, piece))), Ok(acknowledged)) =
            (self.waiting.first_key_value(), u64::try_from(distance(self.next, octet)))
            && first + piece.len() as u64 <= self.offset + acknowledged
        {
            self.give_up_gap(&mut heard);
        }
        heard
    }

    /// The capture is over.
    pub(super) fn finish(&mut self) -> Vec<(u64, Said)> {
        let mut heard = Vec::new();
        while !self.waiting.is_empty() {
            self.give_up_gap(&mut heard);
        }
        heard
    }

    /// Tells whether a SYN is one of this connection that came late.
    fn is_earlier(&self, segment: &Segment<'_>) -> bool {
        u64::try_from(-distance(self.next, segment.first_octet()))
            .is_ok_and(|behind| behind <= self.offset)
    }

    fn give_up_gap(&mut self, heard: &mut Vec<(u64, Said)>) {
        if let Some((&first, _)) = self.waiting.first_key_value() {
            let gap = first.saturating_sub(self.offset);
            self.talk.miss(gap);
            self.advance(gap);
            self.take_waiting(None, heard);
        }
    }

    /// Takes what waits and is next. If a frame closed the gap before it, that made it whole.
    fn take_waiting(&mut self, closed_by: Option<u64>, heard: &mut Vec<(u64, Said)>) {
        while let Some(entry) = self.waiting.first_entry()
            && *entry.key() <= self.offset
        {
            let (first, (frame, piece)) = entry.remove_entry();
            let seen = usize::try_from(self.offset - first).unwrap_or(usize::MAX);
            if let Some(unseen @ [_, ..]) = piece.get(seen..) {
                self.take(unseen, closed_by.unwrap_or(frame), heard);
            }
        }
    }

    fn take(&mut self, octets: &[u8], frame: u64, heard: &mut Vec<(u64, Said)>) {
        heard.extend(self.talk.hear(octets).into_iter().map(|said| (frame, said)));
        self.advance(octets.len() as u64);
    }

    fn advance(&mut self, octets: u64) {
        self.offset += octets;
        self.next = self.next.wrapping_add(u32::try_from(octets).unwrap_or_default());
    }
}

/// Returns how far `to` lies behind `from`, in the arithmetic of RFC 9293 §3.4.
fn distance(from: u32, to: u32) -> i64 {
    i64::from(to.wrapping_sub(from).cast_signed())
}

/// A window of reordering that no path exceeds.
const MAX_WAITING: usize = 256;
/// RFC 7323 §2.3: no window is larger.
const MAX_AHEAD: u64 = 1 << 30;
