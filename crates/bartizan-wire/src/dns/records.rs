//! The records of a message where they lie, and how a part of them is cut out.
//!
//! Names are stepped over and not followed, so a walk is linear in the message.
//!
//! # Invariants
//! - A walk ends at the first record that does not fit into the message.
//! - After a cut every pointer still says the name it said before, and lengths and counts are right.

use std::ops::Range;

use super::{HEADER_LEN, TYPE_AND_CLASS_LEN};
use crate::ParseError;

/// One record, by where its parts stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) section: Section,
    /// Where its owner's name begins.
    pub(super) at: usize,
    /// Where its time to live stands.
    pub(super) ttl_at: usize,
    pub(super) rtype: u16,
    pub(super) class: u16,
    pub(super) ttl: u32,
    pub(super) rdata: Range<usize>,
}

/// Where a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Answer,
    Authority,
    Additional,
}

impl Section {
    const ALL: [Self; 3] = [Self::Answer, Self::Authority, Self::Additional];

    /// Returns where the header counts its records (RFC 1035 §4.1.1).
    fn count_at(self) -> usize {
        match self {
            Self::Answer => 6,
            Self::Authority => 8,
            Self::Additional => 10,
        }
    }
}

/// Walks the records of all sections.
///
/// # Errors
/// The last item says that the message ends before its records do, or contradicts itself.
pub(super) fn records(octets: &[u8]) -> impl Iterator<Item = Result<Record, ParseError>> + use<'_> {
    let mut walk = Walk::new(octets);
    std::iter::from_fn(move || walk.next(octets))
}

/// A walk that does not hold the message, which may be written to meanwhile.
pub(super) struct Walk {
    /// Where the next record begins, unless one was malformed.
    at: Option<usize>,
    left: [(Section, u16); 3],
}

impl Walk {
    pub(super) fn new(octets: &[u8]) -> Self {
        let mut at = Some(HEADER_LEN);
        for _ in 0..u16_at(octets, QDCOUNT_AT).unwrap_or(0) {
            at = at.and_then(|at| Some(name_end(octets, at)? + TYPE_AND_CLASS_LEN));
        }
        let left =
            Section::ALL.map(|section| (section, u16_at(octets, section.count_at()).unwrap_or(0)));
        Self { at, left }
    }

    /// Returns the next record; after an error there is none.
    pub(super) fn next(&mut self, octets: &[u8]) -> Option<Result<Record, ParseError>> {
        let (section, left) = self.left.iter_mut().find(|(_, left)| 0 < *left)?;
        *left -= 1;
        let record = record(octets, self.at?, *section);
        self.at = record.as_ref().map(|record| record.rdata.end);
        Some(record.ok_or(ParseError::malformed("RR")))
    }
}

fn record(octets: &[u8], at: usize, section: Section) -> Option<Record> {
    let type_at = name_end(octets, at)?;
    let (&[t1, t0, c1, c0, l3, l2, l1, l0, r1, r0], _) =
        octets.get(type_at..)?.split_first_chunk()?;
    let rdata_at = type_at + FIXED_LEN;
    let rdata = rdata_at..rdata_at + usize::from(u16::from_be_bytes([r1, r0]));
    octets.get(rdata.clone())?;
    Some(Record {
        section,
        at,
        ttl_at: type_at + 4,
        rtype: u16::from_be_bytes([t1, t0]),
        class: u16::from_be_bytes([c1, c0]),
        ttl: u32::from_be_bytes([l3, l2, l1, l0]),
        rdata,
    })
}

/// Returns where a name ends that begins at `at`, a pointer being its last part.
pub(super) fn name_end(octets: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *octets.get(at)? {
            0 => return Some(at + 1),
            len @ 1..0x40 => at += 1 + usize::from(len),
            0x40..0xc0 => return None,
            0xc0.. => return octets.get(at + 1).map(|_| at + 2),
        }
    }
}

/// Cuts ranges out of a message; they are in order and apart from each other. Each is a whole record, or a
/// part of a record's data.
///
/// # Errors
/// Something points into what is cut, or the message is malformed; it is as it was.
pub(super) fn cut(message: &mut Vec<u8>, ranges: &[Range<usize>]) -> Result<(), ParseError> {
    let before = |at: usize| -> usize {
        ranges.iter().filter(|range| range.end <= at).map(ExactSizeIterator::len).sum()
    };
    let is_cut = |at: usize| ranges.iter().any(|range| range.contains(&at));
    let mut patches: Vec<(usize, u16)> = Vec::new();
    let mut gone = [0_u16; 3];
    for record in records(message) {
        let record = record?;
        if is_cut(record.at) {
            if let Some(gone) = gone.get_mut(record.section as usize) {
                *gone += 1;
            }
            continue;
        }
        let inside = ranges
            .iter()
            .filter(|range| record.rdata.start <= range.start && range.end <= record.rdata.end);
        let left = record.rdata.len() - inside.map(ExactSizeIterator::len).sum::<usize>();
        patches.push((record.rdata.start - 2, u16::try_from(left).unwrap_or(u16::MAX)));
        for name_at in names_of(message, &record) {
            let Some(pointer_at) = pointer_at(message, name_at) else { continue };
            let pointer = u16_at(message, pointer_at).unwrap_or(0);
            let target = usize::from(pointer & POINTER_MASK);
            if is_cut(target) {
                return Err(ParseError::malformed("pointer"));
            }
            let target = u16::try_from(target - before(target)).unwrap_or(0);
            patches.push((pointer_at, target | !POINTER_MASK));
        }
    }
    for section in Section::ALL {
        let count = u16_at(message, section.count_at()).unwrap_or(0);
        let gone = gone.get(section as usize).copied().unwrap_or(0);
        patches.push((section.count_at(), count.saturating_sub(gone)));
    }
    for (at, value) in patches {
        put(message, at, &value.to_be_bytes());
    }
    for range in ranges.iter().rev() {
        message.drain(range.clone());
    }
    Ok(())
}

/// Yields where names begin that may be compressed: the owner's, and those in data of the types that
/// existed when compression was invented. In any other (RFC 3597 §4) there is none.
fn names_of(octets: &[u8], record: &Record) -> impl Iterator<Item = usize> + use<> {
    let (skipped, names) = match record.rtype {
        NS | CNAME | PTR | DNAME => (0, 1),
        SOA => (0, 2),
        MX | SVCB | HTTPS => (2, 1),
        SRV => (6, 1),
        _ => (0, 0),
    };
    let mut found = [Some(record.at), None, None];
    let mut at = Some(record.rdata.start + skipped);
    for place in found.iter_mut().skip(1).take(names) {
        *place = at.filter(|at| record.rdata.contains(at));
        at = at.and_then(|at| name_end(octets, at));
    }
    found.into_iter().flatten()
}

/// Returns where the pointer stands in which a name ends, if it does.
fn pointer_at(octets: &[u8], name_at: usize) -> Option<usize> {
    let last = name_end(octets, name_at)?.checked_sub(2)?;
    // A name without one ends in a zero octet, and what is before that is no pointer's first.
    let mut at = name_at;
    while at < last {
        at += 1 + usize::from(*octets.get(at)?);
    }
    (at == last && 0xc0 <= *octets.get(at)?).then_some(last)
}

/// Writes octets over those at a place, where there are as many.
pub(super) fn put(message: &mut [u8], at: usize, octets: &[u8]) {
    if let Some(place) = message.get_mut(at..).and_then(|rest| rest.get_mut(..octets.len())) {
        place.copy_from_slice(octets);
    }
}

/// Reads a number; `None` beyond the end.
pub(super) fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..)?.first_chunk().map(|octets| u16::from_be_bytes(*octets))
}

pub(super) const A: u16 = 1;
pub(super) const NS: u16 = 2;
pub(super) const CNAME: u16 = 5;
pub(super) const SOA: u16 = 6;
pub(super) const PTR: u16 = 12;
pub(super) const MX: u16 = 15;
pub(super) const AAAA: u16 = 28;
pub(super) const SRV: u16 = 33;
pub(super) const DNAME: u16 = 39;
pub(super) const OPT: u16 = 41;
pub(super) const RRSIG: u16 = 46;
pub(super) const SVCB: u16 = 64;
pub(super) const HTTPS: u16 = 65;
/// The Internet's class.
pub(super) const IN: u16 = 1;

/// Type, class, TTL and length.
const FIXED_LEN: usize = 10;
const QDCOUNT_AT: usize = 4;
/// RFC 1035 §4.1.4.
const POINTER_MASK: u16 = 0x3fff;
