//! Numbers of any width, packed bit by bit, least significant bit first; and Rice codes.

/// Writes numbers one after the other.
#[derive(Default)]
pub(crate) struct BitWriter {
    octets: Vec<u8>,
    /// Bits in use of the last octet, 0 for all.
    used: u32,
}

impl BitWriter {
    /// Appends the lower `width` bits, at most 64.
    pub(crate) fn push(&mut self, mut value: u64, mut width: u32) {
        while 0 < width {
            if self.used == 0 {
                self.octets.push(0);
            }
            let step = width.min(8 - self.used);
            if let Some(last) = self.octets.last_mut() {
                let part = value & ((1 << step) - 1);
                // At most eight bits, shifted within the octet.
                *last |= u8::try_from(part << self.used).unwrap_or(0);
            }
            self.used = (self.used + step) % 8;
            value >>= step;
            width -= step;
        }
    }

    /// Appends a Rice code: the upper bits in unary, then the lower `parameter` bits, fewer than 64.
    #[cfg(any(test, feature = "build"))]
    pub(crate) fn push_rice(&mut self, value: u64, parameter: u32) {
        for _ in 0..value >> parameter {
            self.push(1, 1);
        }
        self.push(0, 1);
        self.push(value, parameter);
    }

    /// Returns the octets, with eight zeros behind, so that [`packed`] may read on, up to a multiple of eight.
    pub(crate) fn finish_packed(mut self) -> Vec<u8> {
        self.octets.resize((self.octets.len() + 8).next_multiple_of(8), 0);
        self.octets
    }

    /// Returns the octets.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.octets
    }
}

/// Returns octets that `count` numbers of this width take with what follows them.
pub(crate) fn packed_len(count: usize, width: u32) -> Option<usize> {
    let width = usize::try_from(width).ok()?;
    count.checked_mul(width)?.div_ceil(8).checked_add(8)?.checked_next_multiple_of(8)
}

/// Returns which octets hold the number at `index`, and by how much to shift them.
pub(crate) fn packed_place(index: usize, width: u32) -> Option<(usize, u32)> {
    let bit = index.checked_mul(usize::try_from(width).ok()?)?;
    Some((bit / 8, u32::try_from(bit % 8).ok()?))
}

/// Takes a number of at most 57 bits out of the eight octets that [`packed_place`] names.
pub(crate) fn packed(octets: [u8; 8], shift: u32, width: u32) -> u64 {
    (u64::from_le_bytes(octets) >> shift) & mask(width)
}

/// Returns a number with the lower `width` bits set.
pub(crate) fn mask(width: u32) -> u64 {
    1_u64.checked_shl(width).map_or(u64::MAX, |bit| bit - 1)
}

/// Reads numbers one after the other. `None` at the end of the octets.
pub(crate) struct BitReader<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self { octets, at: 0 }
    }

    pub(crate) fn take(&mut self, width: u32) -> Option<u64> {
        let (mut value, mut done) = (0, 0);
        while done < width {
            let octet = *self.octets.get(self.at / 8)?;
            let offset = u32::try_from(self.at % 8).ok()?;
            let step = (8 - offset).min(width - done);
            value |= (u64::from(octet >> offset) & mask(step)) << done;
            done += step;
            self.at += usize::try_from(step).ok()?;
        }
        Some(value)
    }

    pub(crate) fn take_rice(&mut self, parameter: u32) -> Option<u64> {
        let mut upper: u64 = 0;
        while self.take(1)? == 1 {
            upper += 1;
        }
        let lower = self.take(parameter)?;
        upper.checked_mul(1_u64.checked_shl(parameter)?)?.checked_add(lower)
    }
}

/// Returns the parameter that makes Rice codes of numbers with this mean shortest, or nearly so.
#[cfg(any(test, feature = "build"))]
pub(crate) fn rice_parameter(mean: u64) -> u32 {
    mean.checked_ilog2().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back_one_by_one(numbers in vec((any::<u64>(), 0_u32..=64), 0..50)) {
            let mut writer = BitWriter::default();
            for (value, width) in &numbers {
                writer.push(*value, *width);
            }
            let octets = writer.finish();
            let mut reader = BitReader::new(&octets);
            for (value, width) in &numbers {
                prop_assert_eq!(reader.take(*width), Some(value & mask(*width)));
            }
        }

        #[test]
        fn numbers_come_back_by_their_index(numbers in vec(any::<u64>(), 1..50), width in 0_u32..=57) {
            let mut writer = BitWriter::default();
            for value in &numbers {
                writer.push(*value, width);
            }
            let octets = writer.finish_packed();
            prop_assert_eq!(Some(octets.len()), packed_len(numbers.len(), width));
            for (index, value) in numbers.iter().enumerate() {
                let (at, shift) = packed_place(index, width).unwrap();
                let eight = octets[at..at + 8].try_into().unwrap();
                prop_assert_eq!(packed(eight, shift, width), value & mask(width));
            }
        }

        #[test]
        fn rice_codes_come_back(numbers in vec(0_u64..1 << 20, 0..50), parameter in 12_u32..64) {
            let mut writer = BitWriter::default();
            numbers.iter().for_each(|value| writer.push_rice(*value, parameter));
            let octets = writer.finish();
            let mut reader = BitReader::new(&octets);
            for value in &numbers {
                prop_assert_eq!(reader.take_rice(parameter), Some(*value));
            }
        }

        #[test]
        fn no_octets_panic(octets in vec(any::<u8>(), 0..40), parameter in 0_u32..64) {
            let mut reader = BitReader::new(&octets);
            while reader.take_rice(parameter).is_some() {}
        }
    }
}
