//! A shard: one range of the 64-bit hashes that are listed, found in a few reads and kept in under 6.5 octets each.
//!
//! A hash is kept in two pieces. Its upper 48 bits are in a sorted table in Elias-Fano form; its lower 16 bits are
//! what a binary fuse map ([`crate::fuse`]) gives for the upper ones. So the map is a filter, which turns away all
//! but one in 65,536 of what is not listed after three reads, and what it lets through the table confirms: together
//! they compare all 64 bits. Since the map gives back what it was built from, the hashes can be read out again,
//! which deltas rely on.
//!
//! Two hashes that share their upper 48 bits have to share a place in the map: the second and further ones stand in
//! a short list of their own, nearly always empty.
//!
//! # Layout of a shard, each part padded to eight octets
//! | What | Octets |
//! |---|---|
//! | map | 2 a place |
//! | ranks: hashes before each 64th bucket | 4 each |
//! | buckets in unary: for each a one for each hash, then a zero | 1 bit each |
//! | lower bits of the hashes, packed | `low_bits` each |
//! | attribute numbers, packed, those of the list last | `attribute_bits` each |
//! | list of further hashes | 8 each |
//!
//! A bucket is what the upper bits of the hash say that are neither the shard's nor among `low_bits`.

use std::borrow::Cow;

use crate::bits::{BitWriter, mask, packed, packed_len, packed_place};
use crate::container::{Container, Damaged};
use crate::fuse::{self, Shape};

/// A listed hash and the number of its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) hash: u64,
    pub(crate) attribute: u16,
}

/// What all shards of a file share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Widths {
    /// Upper bits of a hash that say its shard.
    pub(crate) shard_bits: u32,
    /// Bits of an attribute number, at most 16.
    pub(crate) attribute_bits: u32,
}

/// Where a shard is, and what it takes to read it: one record of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    at: usize,
    /// Hashes in the table.
    keys: usize,
    /// Hashes in the list.
    further: usize,
    shape: Shape,
    low_bits: u32,
}

/// Where the parts of a shard begin.
struct Parts {
    ranks: usize,
    buckets: usize,
    low: usize,
    attributes: usize,
    further: usize,
    end: usize,
}

impl Shard {
    /// Lays out rows, which ascend by hash and all belong into this shard. `None` where no map can be built.
    pub(crate) fn encode(rows: &[Row], widths: Widths, at: usize) -> Option<(Self, Vec<u8>)> {
        let is_further = |pair: &[Row]| matches!(pair, [a, b] if a.hash >> 16 == b.hash >> 16);
        let further: Vec<Row> = rows
            .windows(2)
            .filter(|pair| is_further(pair))
            .filter_map(|pair| pair.last().copied())
            .collect();
        let mut rest = further.iter().peekable();
        let table: Cow<'_, [Row]> = if further.is_empty() {
            Cow::Borrowed(rows)
        } else {
            rows.iter()
                .filter(|row| rest.next_if(|further| further == row).is_none())
                .copied()
                .collect()
        };
        let keys: Vec<u64> = table.iter().map(|row| row.hash >> 16).collect();
        let values: Vec<u16> = table.iter().map(|row| lower(row.hash)).collect();
        let (shape, map) = fuse::build(&keys, &values)?;
        drop(values);

        let low_bits = low_bits(keys.len(), widths);
        let shard = Self { at, keys: keys.len(), further: further.len(), shape, low_bits };
        let parts = shard.parts(widths).ok()?;
        let mut octets = Vec::with_capacity(parts.end);
        for value in map {
            octets.extend_from_slice(&value.to_le_bytes());
        }
        octets.resize(parts.ranks, 0);

        let (mut unary, mut low) = (BitWriter::default(), BitWriter::default());
        let (mut rank, mut rest) = (0_u32, keys.iter().peekable());
        for bucket in 0..shard.buckets(widths) {
            if bucket % RANK_EVERY == 0 {
                octets.extend_from_slice(&rank.to_le_bytes());
            }
            while let Some(key) = rest.next_if(|key| shard.bucket_of(**key, widths) == bucket) {
                unary.push(1, 1);
                low.push(*key, low_bits);
                rank += 1;
            }
            unary.push(0, 1);
        }
        octets.resize(parts.buckets, 0);
        octets.extend(unary.finish());
        octets.resize(parts.low, 0);
        octets.extend(low.finish_packed());
        let mut attributes = BitWriter::default();
        for row in table.iter().chain(&further) {
            attributes.push(u64::from(row.attribute), widths.attribute_bits);
        }
        octets.extend(attributes.finish_packed());
        for row in &further {
            octets.extend_from_slice(&row.hash.to_le_bytes());
        }
        (octets.len() == parts.end).then_some((shard, octets))
    }

    /// Writes the record of the directory.
    pub(crate) fn record(&self) -> [u8; RECORD] {
        let mut record = [0; RECORD];
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        let fields = [
            number(self.at),
            number(self.keys),
            number(self.further),
            self.shape.segments.to_le_bytes(),
        ];
        let small = [self.shape.segment_bits, u8::try_from(self.low_bits).unwrap_or(u8::MAX)];
        let all = fields.into_iter().flatten().chain(small).chain(self.shape.attempt.to_le_bytes());
        record.iter_mut().zip(all).for_each(|(place, octet)| *place = octet);
        record
    }

    /// Reads a record of the directory.
    pub(crate) fn parse(record: &[u8; RECORD]) -> Result<Self, Damaged> {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, segment_bits, low_bits, q, r] =
            *record;
        let number = |octets| usize::try_from(u32::from_le_bytes(octets)).map_err(|_| Damaged);
        Ok(Self {
            at: number([a, b, c, d])?,
            keys: number([e, f, g, h])?,
            further: number([i, j, k, l])?,
            shape: Shape {
                segments: u32::from_le_bytes([m, n, o, p]),
                segment_bits,
                attempt: u16::from_le_bytes([q, r]),
            },
            low_bits: u32::from(low_bits),
        })
    }

    /// Returns how many hashes it holds.
    pub(crate) fn rows(&self) -> usize {
        self.keys + self.further
    }

    /// Returns the attribute number of a hash, if it is listed.
    pub(crate) fn find(
        &self,
        file: &Container,
        widths: Widths,
        hash: u64,
    ) -> Result<Option<u16>, Damaged> {
        if self.keys == 0 {
            return Ok(None);
        }
        if self.mapped(file, hash >> 16)? != lower(hash) {
            return if self.further == 0 {
                Ok(None)
            } else {
                self.find_further(file, widths, hash)
            };
        }
        let parts = self.parts(widths)?;
        let key = hash >> 16;
        let bucket = self.bucket_of(key, widths);
        let (mut index, mut bit) = self.start_of(file, &parts, bucket)?;
        let sought = key & mask(self.low_bits);
        while self.bit(file, &parts, bit)? {
            if self.low(file, &parts, index)? == sought {
                return self.attribute(file, widths, &parts, index).map(Some);
            }
            (index, bit) = (index + 1, bit + 1);
        }
        Ok(None)
    }

    /// Yields all rows, ascending by hash.
    pub(crate) fn read<'a>(
        &self,
        file: &'a Container,
        widths: Widths,
    ) -> Result<Rows<'a>, Damaged> {
        let parts = self.parts(widths)?;
        if file.body_len() < self.at.checked_add(parts.end).ok_or(Damaged)? {
            return Err(Damaged);
        }
        Ok(Rows { file, shard: *self, widths, parts, index: 0, bit: 0, bucket: 0, further: 0 })
    }

    /// Returns what the map gives for a key.
    fn mapped(&self, file: &Container, key: u64) -> Result<u16, Damaged> {
        let mut value = 0;
        for place in self.shape.places_of(key) {
            let at = place.checked_mul(2).and_then(|at| at.checked_add(self.at)).ok_or(Damaged)?;
            value ^= u16::from_le_bytes(file.array(at)?);
        }
        Ok(value)
    }

    #[cold]
    fn find_further(
        &self,
        file: &Container,
        widths: Widths,
        hash: u64,
    ) -> Result<Option<u16>, Damaged> {
        let parts = self.parts(widths)?;
        for place in 0..self.further {
            if self.further(file, &parts, place)? == hash {
                return self.attribute(file, widths, &parts, self.keys + place).map(Some);
            }
        }
        Ok(None)
    }

    /// Returns where a bucket begins: the index of its first hash, and the place of its first bit.
    fn start_of(
        &self,
        file: &Container,
        parts: &Parts,
        bucket: usize,
    ) -> Result<(usize, usize), Damaged> {
        let block = bucket / RANK_EVERY;
        let rank = u32::from_le_bytes(file.array(self.at + parts.ranks + block * 4)?);
        let rank = usize::try_from(rank).map_err(|_| Damaged)?;
        // Before the bucket's first bit stands a one for each hash before it and a zero for each bucket.
        let mut bit = rank.checked_add(block * RANK_EVERY).ok_or(Damaged)?;
        let mut zeros = bucket % RANK_EVERY;
        while 0 < zeros {
            let at = bit / 8;
            let octet = file.array::<1>(self.at + parts.buckets + at)?;
            let here = !u8::from_le_bytes(octet) >> (bit % 8);
            let count = usize::try_from(here.count_ones()).map_err(|_| Damaged)?;
            if count < zeros {
                zeros -= count;
                bit = (at + 1) * 8;
                continue;
            }
            let mut left = here;
            for _ in 1..zeros {
                left &= left - 1;
            }
            bit += usize::try_from(left.trailing_zeros()).map_err(|_| Damaged)? + 1;
            zeros = 0;
        }
        Ok((bit.checked_sub(bucket).ok_or(Damaged)?, bit))
    }

    fn bit(&self, file: &Container, parts: &Parts, bit: usize) -> Result<bool, Damaged> {
        let [octet] = file.array(self.at + parts.buckets + bit / 8)?;
        Ok((octet >> (bit % 8)) & 1 == 1)
    }

    fn low(&self, file: &Container, parts: &Parts, index: usize) -> Result<u64, Damaged> {
        let (at, shift) = packed_place(index, self.low_bits).ok_or(Damaged)?;
        Ok(packed(file.array(self.at + parts.low + at)?, shift, self.low_bits))
    }

    fn attribute(
        &self,
        file: &Container,
        widths: Widths,
        parts: &Parts,
        index: usize,
    ) -> Result<u16, Damaged> {
        let (at, shift) = packed_place(index, widths.attribute_bits).ok_or(Damaged)?;
        let number =
            packed(file.array(self.at + parts.attributes + at)?, shift, widths.attribute_bits);
        u16::try_from(number).map_err(|_| Damaged)
    }

    fn further(&self, file: &Container, parts: &Parts, place: usize) -> Result<u64, Damaged> {
        Ok(u64::from_le_bytes(file.array(self.at + parts.further + place * 8)?))
    }

    fn bucket_of(&self, key: u64, widths: Widths) -> usize {
        let within = key & mask(KEY_BITS - widths.shard_bits);
        usize::try_from(within >> self.low_bits).unwrap_or(usize::MAX)
    }

    fn buckets(&self, widths: Widths) -> usize {
        1_usize << (KEY_BITS - widths.shard_bits).saturating_sub(self.low_bits).min(MAX_BUCKET_BITS)
    }

    /// Says where everything is; an error if no builder makes such a shard.
    fn parts(&self, widths: Widths) -> Result<Parts, Damaged> {
        let parts = || {
            let bucket_bits =
                KEY_BITS.checked_sub(widths.shard_bits)?.checked_sub(self.low_bits)?;
            if MAX_BUCKET_BITS < bucket_bits || MAX_SHARD_KEYS < self.rows() {
                return None;
            }
            let buckets = self.buckets(widths);
            let padded = |len: usize| len.checked_next_multiple_of(8);
            let ranks = padded(self.shape.places()?.checked_mul(2)?)?;
            let unary = ranks.checked_add(padded(buckets.div_ceil(RANK_EVERY) * 4)?)?;
            let low = unary.checked_add(padded((self.keys + buckets).div_ceil(8))?)?;
            let attributes = low.checked_add(packed_len(self.keys, self.low_bits)?)?;
            let further =
                attributes.checked_add(packed_len(self.rows(), widths.attribute_bits)?)?;
            let end = further.checked_add(self.further.checked_mul(8)?)?;
            Some(Parts { ranks, buckets: unary, low, attributes, further, end })
        };
        parts().ok_or(Damaged)
    }
}

/// The rows of a shard, ascending by hash.
pub(crate) struct Rows<'a> {
    file: &'a Container,
    shard: Shard,
    widths: Widths,
    parts: Parts,
    /// Next in the table.
    index: usize,
    /// Next in the buckets.
    bit: usize,
    bucket: u64,
    /// Next in the list.
    further: usize,
}

impl Rows<'_> {
    /// Returns the next row, given the upper bits that the shard stands for.
    pub(crate) fn next(&mut self, shard_number: u64) -> Result<Option<Row>, Damaged> {
        let (file, shard, parts) = (self.file, self.shard, &self.parts);
        let in_table = if self.index < shard.keys {
            while !shard.bit(file, parts, self.bit)? {
                (self.bit, self.bucket) = (self.bit + 1, self.bucket + 1);
            }
            let upper = shard_number << (KEY_BITS - self.widths.shard_bits);
            let key =
                upper | (self.bucket << shard.low_bits) | shard.low(file, parts, self.index)?;
            Some((key << 16) | u64::from(shard.mapped(file, key)?))
        } else {
            None
        };
        let in_list = match self.further < shard.further {
            true => Some(shard.further(file, parts, self.further)?),
            false => None,
        };
        let (hash, index) = match (in_table, in_list) {
            (Some(hash), Some(further)) if further < hash => (further, shard.keys + self.further),
            (Some(hash), _) => (hash, self.index),
            (None, Some(further)) => (further, shard.keys + self.further),
            (None, None) => return Ok(None),
        };
        let attribute = shard.attribute(file, self.widths, parts, index)?;
        if index < shard.keys {
            (self.index, self.bit) = (self.index + 1, self.bit + 1);
        } else {
            self.further += 1;
        }
        Ok(Some(Row { hash, attribute }))
    }
}

/// One bucket a hash, or a little more.
fn low_bits(keys: usize, widths: Widths) -> u32 {
    let bucket_bits = keys.checked_next_power_of_two().and_then(usize::checked_ilog2).unwrap_or(0);
    (KEY_BITS - widths.shard_bits).saturating_sub(bucket_bits)
}

fn lower(hash: u64) -> u16 {
    let [low, high, ..] = hash.to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// Octets of a record in the directory.
pub(crate) const RECORD: usize = 20;
/// Bits of a hash that the table keeps.
const KEY_BITS: u32 = 48;
const RANK_EVERY: usize = 64;
/// Far beyond the builder's; bounds what a reader computes.
const MAX_SHARD_KEYS: usize = 1 << 20;
const MAX_BUCKET_BITS: u32 = 21;
