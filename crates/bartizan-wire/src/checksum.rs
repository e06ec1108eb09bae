//! The Internet checksum (RFC 1071): sums to be added up, folded at the end, and complemented.

use std::net::IpAddr;

use crate::ip::Protocol;

/// Adds octets up as pairs; an odd one at the end counts as the first of a pair. Not folded, not complemented.
#[must_use]
pub fn sum(octets: &[u8]) -> u64 {
    // RFC 1071 §2 (B): the sum comes out the same in either byte order, so words are added as the machine reads them.
    let (words, rest) = octets.as_chunks::<4>();
    let mut total: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    let (pairs, last) = rest.as_chunks::<2>();
    total += pairs.iter().map(|pair| u64::from(u16::from_ne_bytes(*pair))).sum::<u64>();
    total += last.first().map_or(0, |last| u64::from(u16::from_ne_bytes([*last, 0])));
    u64::from(u16::from_be_bytes(fold(total).to_ne_bytes()))
}

/// Folds the carries of a sum back in.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the loop leaves 16 bits")]
pub fn fold(mut sum: u64) -> u16 {
    while 0xffff < sum {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Adds up the pseudo-header of RFC 768 or RFC 8200 §8.1.
pub(crate) fn pseudo_header_sum(src: IpAddr, dst: IpAddr, protocol: Protocol, len: usize) -> u64 {
    let address = |address: IpAddr| match address {
        IpAddr::V4(v4) => sum(&v4.octets()),
        IpAddr::V6(v6) => sum(&v6.octets()),
    };
    address(src) + address(dst) + u64::from(protocol.number()) + len as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_add_up_to_what_pairs_do(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let pairs = octets.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0)));
            prop_assert_eq!(fold(sum(&octets)) % 0xffff, fold(pairs.sum()) % 0xffff);
        }
    }
}
