//! A binary fuse map: from keys to 16 bits each, in little more room than those bits take.
//!
//! The construction is that of binary fuse filters (Graf and Lemire, "Binary Fuse Filters", 2022, three places
//! a key), but what is kept of a key is a number of the caller's instead of a fingerprint of the key. A key that
//! was not there at the build gives any number.
//!
//! # Invariants
//! - The same keys and values give the same table everywhere: no floating point, no randomness.
//! - Reading takes three places in three neighboring segments.

/// How a table is laid out. Stored beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Places of a segment, as a power of two, at most 18.
    pub(crate) segment_bits: u8,
    /// Segments in which a key's first place may be; two more follow.
    pub(crate) segments: u32,
    /// Which seed it was built with.
    pub(crate) attempt: u16,
}

impl Shape {
    fn of(keys: usize, attempt: u16) -> Self {
        let fits = |bits: &usize| SEGMENT_FROM.get(*bits).is_some_and(|from| *from <= keys);
        let segment_bits = (2..SEGMENT_FROM.len()).rev().find(fits).unwrap_or(2);
        let magnitude =
            keys.checked_ilog2().and_then(|bits| usize::try_from(bits).ok()).unwrap_or(0);
        let per_mille = PER_MILLE.get(magnitude).or(PER_MILLE.last()).copied().unwrap_or(1_125);
        let capacity = keys.saturating_mul(per_mille).div_ceil(1_000);
        let segments = capacity.div_ceil(1 << segment_bits).saturating_sub(2).max(1);
        Self {
            segment_bits: u8::try_from(segment_bits).unwrap_or(2),
            segments: u32::try_from(segments).unwrap_or(u32::MAX),
            attempt,
        }
    }

    /// Returns how many places the table has; `None` if no builder makes such a one.
    pub(crate) fn places(self) -> Option<usize> {
        if MAX_SEGMENT_BITS < self.segment_bits {
            return None;
        }
        usize::try_from(self.segments).ok()?.checked_add(2)?.checked_mul(1 << self.segment_bits)
    }

    /// Returns a key's three places.
    pub(crate) fn places_of(self, key: u64) -> [usize; 3] {
        let hash = mixed(key ^ mixed(u64::from(self.attempt) + 1));
        let length = 1_u64 << self.segment_bits.min(MAX_SEGMENT_BITS);
        let span = u128::from(u64::from(self.segments) * length);
        let mask = length - 1;
        // The upper half of a product is less than either factor.
        let first = u64::try_from((u128::from(hash) * span) >> 64).unwrap_or(0);
        let second = (first + length) ^ ((hash >> 18) & mask);
        let third = (first + 2 * length) ^ (hash & mask);
        [first, second, third].map(|place| usize::try_from(place).unwrap_or(usize::MAX))
    }
}

/// Builds a table. Keys are distinct; of both slices the shorter counts.
///
/// `None` if no seed worked, which takes keys that are made for it.
pub(crate) fn build(keys: &[u64], values: &[u16]) -> Option<(Shape, Vec<u16>)> {
    (0..ATTEMPTS).find_map(|attempt| {
        let shape = Shape::of(keys.len(), attempt);
        Some((shape, fill(shape, keys, values)?))
    })
}

/// Peels the hypergraph in which each key joins its places, and fills the table in the reverse order.
fn fill(shape: Shape, keys: &[u64], values: &[u16]) -> Option<Vec<u16>> {
    let places = shape.places()?;
    // Of each place: how many keys have it, and those keys' numbers, each added by exclusive or.
    let mut slots = vec![(0_u32, 0_u32); places];
    for (number, key) in (0_u32..).zip(keys) {
        for place in shape.places_of(*key) {
            let (count, numbers) = slots.get_mut(place)?;
            *count += 1;
            *numbers ^= number;
        }
    }
    let is_single = |slot: &(u32, u32)| slot.0 == 1;
    let mut single: Vec<u32> =
        (0_u32..).zip(&slots).filter(|(_, slot)| is_single(slot)).map(|(place, _)| place).collect();
    let mut order: Vec<(u32, u32)> = Vec::with_capacity(keys.len());
    while let Some(place) = single.pop() {
        let (count, number) = *slots.get(usize::try_from(place).ok()?)?;
        if count != 1 {
            continue;
        }
        order.push((number, place));
        for other in shape.places_of(*keys.get(usize::try_from(number).ok()?)?) {
            let slot = slots.get_mut(other)?;
            slot.0 -= 1;
            slot.1 ^= number;
            if is_single(slot) {
                single.push(u32::try_from(other).ok()?);
            }
        }
    }
    if order.len() != keys.len() {
        return None;
    }
    drop(slots);
    let mut table = vec![0_u16; places];
    for (number, place) in order.into_iter().rev() {
        let (number, place) = (usize::try_from(number).ok()?, usize::try_from(place).ok()?);
        let mut value = *values.get(number)?;
        for other in shape.places_of(*keys.get(number)?) {
            value ^= if other == place { 0 } else { *table.get(other)? };
        }
        *table.get_mut(place)? = value;
    }
    Some(table)
}

/// Spreads what differs anywhere over all bits (the finalizer of `MurmurHash3`, which is public domain).
fn mixed(mut value: u64) -> u64 {
    value ^= value >> 33;
    value = value.wrapping_mul(0xff51_afd7_ed55_8ccd);
    value ^= value >> 33;
    value = value.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    value ^ (value >> 33)
}

/// From how many keys on a segment has 2^index places: 3.33^(index - 2.25), as the authors found best.
const SEGMENT_FROM: [usize; 15] =
    [0, 0, 0, 3, 9, 28, 91, 304, 1_012, 3_369, 11_218, 37_356, 124_395, 414_236, 1_379_406];
/// Places for a thousand keys, by the magnitude of their number: 875 + 250 ln 10^6 / ln keys, at the least 1,125.
const PER_MILLE: [usize; 21] = [
    6_000, 5_858, 3_366, 2_536, 2_121, 1_872, 1_705, 1_587, 1_498, 1_429, 1_373, 1_328, 1_290,
    1_258, 1_231, 1_207, 1_186, 1_168, 1_152, 1_137, 1_125,
];
const MAX_SEGMENT_BITS: u8 = 18;
/// A seed fails about once in a hundred; all of these never do by chance.
const ATTEMPTS: u16 = 1_000;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_key_has_its_value(rows in btree_map(any::<u64>(), any::<u16>(), 0..600)) {
            check(&rows);
        }
    }

    #[test]
    fn a_large_table_takes_a_fifth_more_than_its_values() {
        let rows =
            (0..120_000_u64).map(|n| (mixed(n), u16::try_from(n % 65_536).unwrap())).collect();
        let shape = check(&rows);
        assert!(shape.places().unwrap() < 120_000 * 120 / 100, "{shape:?}");
    }

    #[test]
    fn keys_that_repeat_cannot_be_built_and_end() {
        assert_eq!(build(&[7, 7], &[1, 2]), None);
    }

    #[track_caller]
    fn check(rows: &BTreeMap<u64, u16>) -> Shape {
        let keys: Vec<u64> = rows.keys().copied().collect();
        let values: Vec<u16> = rows.values().copied().collect();
        let (shape, table) = build(&keys, &values).unwrap();
        for (key, value) in rows {
            let found =
                shape.places_of(*key).into_iter().fold(0, |found, place| found ^ table[place]);
            assert_eq!(found, *value);
        }
        shape
    }
}
