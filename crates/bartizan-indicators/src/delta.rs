//! Deltas: from one indicator file to a later one, in a hundredth of its octets.
//!
//! A delta says which rows go, by their number, and which come, by their hash; both Rice-coded. Whoever applies it
//! writes the later file anew ([`crate::body`]) and compares the root of what was written with the signed one, so a
//! delta itself needs no signature: a wrong one costs a download of the whole file and nothing else.
//!
//! # Layout (all integers little-endian)
//! | What | Octets |
//! |---|---|
//! | magic `BTZ-DELT` | 8 |
//! | version, [`DELTA_VERSION`] | 4 |
//! | SHA-256 of the header of the file it starts from | 32 |
//! | header of the file it leads to | 320 |
//! | for palette, sources, IPv4 and IPv6 networks each: 0, or 1, a length (4) and the section where it is another | 1 or more |
//! | attributes: how many, then for each number of the first file that of the second, 65,535 for none | 2 each |
//! | removals: count (4), Rice parameter (1), length (4), gaps between row numbers | |
//! | additions: count (4), Rice parameter (1), length (4), gaps between hashes, each followed by its attribute number | |
//!
//! # Invariants
//! - Applying holds one shard at a time: under 8 MiB, whatever the size of the file.
//! - No input panics, and the work is bounded by the two files' sizes.

use ed25519_dalek::VerifyingKey;
use sha2::{Digest, Sha256};

use crate::bits::BitReader;
use crate::body::{BodyError, BodyWriter, Sections};
use crate::container::{Container, Damaged, HEADER, Header, Pages, body_at, root};
use crate::file::{KIND, Parameters};
use crate::networks::Place;
use crate::shard::Row;
use crate::{IndicatorFile, OpenError};

/// The format of deltas that this crate reads and writes.
pub const DELTA_VERSION: u32 = 1;

/// Why a delta was not applied. Fetch the whole file instead.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError<E> {
    /// The result could not be written.
    #[error("cannot write the indicator file: {0}")]
    Sink(E),
    /// It does not start as a delta does, ends early, or contradicts itself.
    #[error("this is not a delta, or it is damaged")]
    Malformed,
    /// It starts from another file.
    #[error("delta starts from another indicator file")]
    OtherBase,
    /// The file it leads to would be refused.
    #[error(transparent)]
    Target(#[from] OpenError),
    /// The file it starts from is damaged.
    #[error("the indicator file in use is damaged")]
    Base,
    /// What came out is not the file that was signed.
    #[error("delta does not lead to the file that it names")]
    Mismatch,
}

impl<E> From<Damaged> for DeltaError<E> {
    fn from(_: Damaged) -> Self {
        Self::Base
    }
}

impl<E> From<BodyError<E>> for DeltaError<E> {
    fn from(error: BodyError<E>) -> Self {
        match error {
            BodyError::Sink(error) => Self::Sink(error),
            BodyError::Damaged => Self::Base,
            BodyError::Unlucky => Self::Mismatch,
        }
    }
}

/// Writes the file that a delta leads to.
///
/// `write` is called with places and octets, each place once, but not in order. What it wrote is the signed file if
/// and only if this returns `Ok` with the file's length.
///
/// # Errors
/// Why nothing usable was written.
pub fn apply<E>(
    base: &IndicatorFile,
    delta: &[u8],
    key: &VerifyingKey,
    mut write: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<u64, DeltaError<E>> {
    let parsed = Delta::parse(delta).ok_or(DeltaError::Malformed)?;
    if parsed.base != header_digest(base.container().header()) {
        return Err(DeltaError::OtherBase);
    }
    let header = Header::parse(parsed.header, KIND)?;
    header.verify(key)?;
    if header.epoch() < base.epoch() {
        let (epoch, held) = (header.epoch(), base.epoch());
        return Err(OpenError::Older { epoch, held }.into());
    }
    let body_len = usize::try_from(header.body_len()).map_err(|_| OpenError::Inconsistent)?;
    let target = Parameters::parse(&header, body_len).ok_or(OpenError::Inconsistent)?;
    if target.hash_key != base.hash_key() {
        return Err(DeltaError::OtherBase);
    }

    let (start, mut pages) = (body_at(body_len), Pages::default());
    let sections = parsed.sections(base)?;
    let body = |octets: &[u8]| {
        let at = start + pages.len();
        pages.write(octets);
        write(at as u64, octets)
    };
    let mut writer =
        BodyWriter::start(body, target.hash_key, target.kinds, &sections, target.rows)?;
    let mut changes = Changes::of(&parsed, target.widths.attribute_bits)?;
    base.each_row(|row| -> Result<(), DeltaError<E>> {
        while let Some(added) = changes.addition_before(row.hash)? {
            writer.row(added)?;
        }
        match changes.kept(row)? {
            Some(row) => Ok(writer.row(row)?),
            None => Ok(()),
        }
    })?;
    while let Some(added) = changes.addition_before(u64::MAX)? {
        writer.row(added)?;
    }
    let written = writer.finish()?;
    let len = pages.len();
    let leaves = pages.finish();
    let is_meant =
        written.encode() == target.encode() && len == body_len && root(&leaves) == header.root();
    if !is_meant || !changes.is_done() {
        return Err(DeltaError::Mismatch);
    }
    write(0, header.octets()).map_err(DeltaError::Sink)?;
    write(HEADER as u64, &leaves).map_err(DeltaError::Sink)?;
    let padding = [0; 64];
    let padding_at = HEADER + leaves.len();
    let padding = padding.get(..start - padding_at).unwrap_or_default();
    write(padding_at as u64, padding).map_err(DeltaError::Sink)?;
    Ok((start + body_len) as u64)
}

/// A way from the file that is held to another: which deltas to apply, by their place, in their order.
///
/// `deltas` are epochs from and to, and octets. Returns the way with the fewest octets, if there is one with fewer
/// than `whole`, the octets of the file itself.
#[must_use]
pub fn shortest_way(
    held: u64,
    wanted: u64,
    whole: u64,
    deltas: &[(u64, u64, u64)],
) -> Option<Vec<usize>> {
    // Deltas lead from lower epochs to higher ones, so one pass in the order of where they start settles it.
    let mut order: Vec<usize> = (0..deltas.len()).collect();
    order.sort_by_key(|place| deltas.get(*place).map(|(from, _, _)| *from));
    let mut reached: Vec<(u64, u64, Vec<usize>)> = vec![(held, 0, Vec::new())];
    for place in order {
        let Some((from, to, octets)) = deltas.get(place).copied().filter(|(from, to, _)| from < to)
        else {
            continue;
        };
        let best =
            reached.iter().filter(|(epoch, _, _)| *epoch == from).min_by_key(|(_, cost, _)| *cost);
        if let Some((_, cost, way)) = best {
            let mut way = way.clone();
            way.push(place);
            reached.push((to, cost.saturating_add(octets), way));
        }
    }
    let best = reached
        .into_iter()
        .filter(|(epoch, _, _)| *epoch == wanted)
        .min_by_key(|(_, cost, _)| *cost);
    best.filter(|(_, cost, _)| *cost < whole).map(|(_, _, way)| way)
}

struct Delta<'a> {
    base: [u8; 32],
    header: &'a [u8],
    /// `None` where it is that of the base.
    sections: [Option<&'a [u8]>; 4],
    attributes: &'a [u8],
    removals: Coded<'a>,
    additions: Coded<'a>,
}

#[derive(Clone, Copy)]
struct Coded<'a> {
    count: u32,
    parameter: u32,
    octets: &'a [u8],
}

impl<'a> Delta<'a> {
    fn parse(octets: &'a [u8]) -> Option<Self> {
        let mut rest = Reader(octets);
        if rest.take(MAGIC.len())? != MAGIC || rest.number()? != DELTA_VERSION {
            return None;
        }
        let base = rest.take(32)?.try_into().ok()?;
        let header = rest.take(HEADER)?;
        let mut sections = [None; 4];
        for section in &mut sections {
            *section = match rest.take(1)? {
                [0] => None,
                [1] => Some(rest.part()?),
                _ => return None,
            };
        }
        let attributes = rest.take(2)?.try_into().ok()?;
        let attributes = rest.take(usize::from(u16::from_le_bytes(attributes)).checked_mul(2)?)?;
        let (removals, additions) = (rest.coded()?, rest.coded()?);
        rest.0.is_empty().then_some(Self {
            base,
            header,
            sections,
            attributes,
            removals,
            additions,
        })
    }

    fn sections(&self, base: &IndicatorFile) -> Result<Sections, Damaged> {
        let parameters = base.parameters();
        let own = [
            parameters.palette,
            parameters.sources,
            parameters.networks.v4,
            parameters.networks.v6,
        ];
        let mut sections = self.sections.iter().zip(own).map(|(given, own)| match given {
            Some(octets) => Ok(octets.to_vec()),
            None => section(base.container(), own).map(<[u8]>::to_vec),
        });
        let mut next = || sections.next().unwrap_or(Err(Damaged));
        Ok(Sections { palette: next()?, sources: next()?, v4: next()?, v6: next()? })
    }
}

fn section(file: &Container, place: Place) -> Result<&[u8], Damaged> {
    file.body(place.at, place.len)
}

fn header_digest(header: &Header) -> [u8; 32] {
    Sha256::digest(header.octets()).into()
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (part, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(part)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn part(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        self.take(len)
    }

    fn coded(&mut self) -> Option<Coded<'a>> {
        let count = self.number()?;
        let [parameter] = self.take(1)? else { return None };
        let parameter = u32::from(*parameter);
        let octets = self.part()?;
        (parameter < u64::BITS).then_some(Coded { count, parameter, octets })
    }
}

/// What goes and what comes, in the order of the rows.
struct Changes<'a> {
    attributes: &'a [u8],
    attribute_bits: u32,
    row: u64,
    removals: (BitReader<'a>, Coded<'a>),
    next_removal: Option<u64>,
    additions: (BitReader<'a>, Coded<'a>),
    next_addition: Option<Row>,
}

impl<'a> Changes<'a> {
    fn of<E>(delta: &Delta<'a>, attribute_bits: u32) -> Result<Self, DeltaError<E>> {
        let start = |coded: Coded<'a>| (BitReader::new(coded.octets), coded);
        let mut changes = Self {
            attributes: delta.attributes,
            attribute_bits,
            row: 0,
            removals: start(delta.removals),
            next_removal: None,
            additions: start(delta.additions),
            next_addition: None,
        };
        changes.next_removal = changes.read_removal(None)?;
        changes.next_addition = changes.read_addition(None)?;
        Ok(changes)
    }

    /// Returns the next addition, if its hash is below this one.
    fn addition_before<E>(&mut self, hash: u64) -> Result<Option<Row>, DeltaError<E>> {
        match self.next_addition {
            // The greatest hash there is has none above it.
            Some(row) if row.hash < hash || hash == u64::MAX => {
                self.next_addition = self.read_addition(Some(row.hash))?;
                Ok(Some(row))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Returns a row of the first file as it is in the second, unless it goes.
    fn kept<E>(&mut self, row: Row) -> Result<Option<Row>, DeltaError<E>> {
        let number = self.row;
        self.row += 1;
        if self.next_removal == Some(number) {
            self.next_removal = self.read_removal(Some(number))?;
            return Ok(None);
        }
        let at = usize::from(row.attribute) * 2;
        let attribute = self.attributes.get(at..at + 2).and_then(|octets| octets.try_into().ok());
        let attribute = attribute.map(u16::from_le_bytes).filter(|number| *number != GONE);
        Ok(Some(Row { hash: row.hash, attribute: attribute.ok_or(DeltaError::Malformed)? }))
    }

    fn is_done(&self) -> bool {
        self.next_removal.is_none() && self.next_addition.is_none()
    }

    fn read_removal<E>(&mut self, last: Option<u64>) -> Result<Option<u64>, DeltaError<E>> {
        let (bits, coded) = &mut self.removals;
        next(bits, coded, last)
    }

    fn read_addition<E>(&mut self, last: Option<u64>) -> Result<Option<Row>, DeltaError<E>> {
        let (bits, coded) = &mut self.additions;
        let Some(hash) = next(bits, coded, last)? else { return Ok(None) };
        let attribute =
            bits.take(self.attribute_bits).and_then(|number| u16::try_from(number).ok());
        Ok(Some(Row { hash, attribute: attribute.ok_or(DeltaError::Malformed)? }))
    }
}

/// Reads the next of ascending numbers: the first as it is, each further one as what it is more by, less one.
fn next<E>(
    bits: &mut BitReader<'_>,
    coded: &mut Coded<'_>,
    last: Option<u64>,
) -> Result<Option<u64>, DeltaError<E>> {
    let Some(left) = coded.count.checked_sub(1) else { return Ok(None) };
    coded.count = left;
    let gap = bits.take_rice(coded.parameter).ok_or(DeltaError::Malformed)?;
    let number = match last {
        Some(last) => last.checked_add(1).and_then(|last| last.checked_add(gap)),
        None => Some(gap),
    };
    number.map(Some).ok_or(DeltaError::Malformed)
}

/// Reads any octets as a delta to an empty base, for the fuzzer and its replay.
#[doc(hidden)]
pub fn fuzz_delta(octets: &[u8]) {
    let Some(delta) = Delta::parse(octets) else { return };
    let Ok(mut changes) = Changes::of::<()>(&delta, 3) else { return };
    for hash in [0, 1 << 32, u64::MAX - 1] {
        let _ = changes.kept::<()>(Row { hash, attribute: 0 });
        while let Ok(Some(_)) = changes.addition_before::<()>(hash) {}
    }
}

#[cfg(feature = "build")]
mod encode {
    use super::{DELTA_VERSION, Damaged, GONE, MAGIC, Row, header_digest, section};
    use crate::IndicatorFile;
    use crate::bits::{BitWriter, rice_parameter};
    use crate::file::PALETTE_RECORD;

    /// What differs between two files, and the delta that leads from one to the other.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Difference {
        /// Entries that only the later one has.
        pub added: u64,
        /// Entries that only the earlier one has.
        pub removed: u64,
        /// Entries of both with another category, action or feed.
        pub changed: u64,
        /// What leads from the earlier one to the later.
        pub delta: Vec<u8>,
    }

    /// Writes the delta that leads from one file to the other.
    ///
    /// `None` where none can: their hashes have different keys.
    ///
    /// # Errors
    /// One of the two is damaged.
    pub fn encode(
        base: &IndicatorFile,
        target: &IndicatorFile,
    ) -> Result<Option<Vec<u8>>, Damaged> {
        Ok(difference(base, target)?.map(|difference| difference.delta))
    }

    /// Compares two files. Networks are part of the delta, but are not counted.
    ///
    /// `None` where that cannot be: their hashes have different keys.
    ///
    /// # Errors
    /// One of the two is damaged.
    pub fn difference(
        base: &IndicatorFile,
        target: &IndicatorFile,
    ) -> Result<Option<Difference>, Damaged> {
        if base.hash_key() != target.hash_key() {
            return Ok(None);
        }
        let attributes = attribute_map(base, target)?;
        let mut rows = Vec::new();
        target.each_row(|row| -> Result<(), Damaged> {
            rows.push(row);
            Ok(())
        })?;
        let (mut removals, mut additions, mut changed) = (Vec::new(), Vec::new(), 0);
        let (mut number, mut rest) = (0_u64, rows.into_iter().peekable());
        base.each_row(|row| -> Result<(), Damaged> {
            while let Some(added) = rest.next_if(|target| target.hash < row.hash) {
                additions.push(added);
            }
            let mapped = attributes.get(usize::from(row.attribute)).copied().unwrap_or(GONE);
            match rest.next_if(|target| target.hash == row.hash) {
                Some(same) if same.attribute == mapped => {}
                Some(other) => {
                    changed += 1;
                    removals.push(number);
                    additions.push(other);
                }
                None => removals.push(number),
            }
            number += 1;
            Ok(())
        })?;
        additions.extend(rest);

        let mut octets = MAGIC.to_vec();
        octets.extend_from_slice(&DELTA_VERSION.to_le_bytes());
        octets.extend_from_slice(&header_digest(base.container().header()));
        octets.extend_from_slice(target.container().header().octets());
        for (old, new) in [
            (base.parameters().palette, target.parameters().palette),
            (base.parameters().sources, target.parameters().sources),
            (base.parameters().networks.v4, target.parameters().networks.v4),
            (base.parameters().networks.v6, target.parameters().networks.v6),
        ] {
            let new = section(target.container(), new)?;
            if section(base.container(), old)? == new {
                octets.push(0);
            } else {
                octets.push(1);
                part(&mut octets, new);
            }
        }
        octets
            .extend_from_slice(&u16::try_from(attributes.len()).unwrap_or(u16::MAX).to_le_bytes());
        octets.extend(attributes.iter().flat_map(|number| number.to_le_bytes()));
        coded(&mut octets, removals.iter().map(|number| (*number, 0)), number, 0);
        let bits = target.parameters().widths.attribute_bits;
        let hashes = additions.iter().map(|Row { hash, attribute }| (*hash, u64::from(*attribute)));
        coded(&mut octets, hashes, u64::MAX, bits);
        Ok(Some(Difference {
            added: additions.len() as u64 - changed,
            removed: removals.len() as u64 - changed,
            changed,
            delta: octets,
        }))
    }

    /// Says for each attribute of the one file which one of the other it is.
    fn attribute_map(base: &IndicatorFile, target: &IndicatorFile) -> Result<Vec<u16>, Damaged> {
        let all = |file: &IndicatorFile| -> Result<Vec<_>, Damaged> {
            let count = u16::try_from(file.parameters().palette.len / PALETTE_RECORD)
                .map_err(|_| Damaged)?;
            let attribute = |number| -> Result<_, Damaged> {
                let attribute = file.attribute(number)?;
                let source = file.source(attribute.source)?.to_owned();
                Ok((attribute.category, attribute.action, source))
            };
            (0..count).map(attribute).collect()
        };
        let (old, new) = (all(base)?, all(target)?);
        let place =
            |old| new.iter().position(|new| new == old).and_then(|place| u16::try_from(place).ok());
        Ok(old.iter().map(|old| place(old).unwrap_or(GONE)).collect())
    }

    /// Appends ascending numbers below `end`, each with `extra` bits of its own.
    fn coded(
        octets: &mut Vec<u8>,
        numbers: impl ExactSizeIterator<Item = (u64, u64)>,
        end: u64,
        extra: u32,
    ) {
        let count = numbers.len();
        let parameter = rice_parameter(end / (count as u64).max(1));
        let (mut bits, mut last) = (BitWriter::default(), None);
        for (number, own) in numbers {
            let gap =
                last.map_or(number, |last: u64| number.saturating_sub(last).saturating_sub(1));
            bits.push_rice(gap, parameter);
            bits.push(own, extra);
            last = Some(number);
        }
        octets.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
        octets.push(u8::try_from(parameter).unwrap_or(0));
        part(octets, &bits.finish());
    }

    fn part(octets: &mut Vec<u8>, part: &[u8]) {
        octets.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        octets.extend_from_slice(part);
    }
}

#[cfg(feature = "build")]
pub use encode::{Difference, difference, encode};

const MAGIC: &[u8] = b"BTZ-DELT";
/// An attribute that the later file does not have.
const GONE: u16 = u16::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_way_may_be_a_step_a_chain_or_none() {
        let deltas = [(1, 2, 10), (2, 3, 10), (1, 3, 25), (3, 4, 5), (2, 4, 16), (9, 4, 1)];
        let way = |held, whole| shortest_way(held, 4, whole, &deltas);
        assert_eq!(way(3, 100), Some(vec![3]));
        assert_eq!(way(2, 100), Some(vec![1, 3]));
        assert_eq!(way(1, 100), Some(vec![0, 1, 3]));
        assert_eq!(way(1, 25), None, "the whole file is as short");
        assert_eq!(way(7, 100), None, "no delta starts there");
        assert_eq!(way(4, 100), Some(vec![]), "already there");
    }
}
