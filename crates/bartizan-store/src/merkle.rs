//! The Merkle tree of RFC 6962 (its text since is RFC 9162 §2.1): roots, and proofs that an entry is in a tree and
//! that one tree continues another.
//!
//! A leaf's hash is `SHA-256(0x00 ‖ entry)`, an inner node's `SHA-256(0x01 ‖ left ‖ right)`. The node at `(level,
//! place)` covers the leaves from `place · 2^level` on, `2^level` of them; one that is complete never changes again.
//!
//! # What it does not do
//! - Keep nodes: whoever calls reads those that are complete. To append reads one for each carry, so O(log n) at most.

use sha2::{Digest as _, Sha256};

/// A node's hash.
pub type Hash = [u8; 32];

/// Hashes an entry.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

/// Hashes two nodes into the one above them.
#[must_use]
pub fn inner_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of the tree without leaves.
#[must_use]
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// Where a complete node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// 0 for leaves.
    pub level: u32,
    /// Counts from the left, on its level.
    pub place: u64,
}

/// Complete nodes, by their places.
pub trait Nodes {
    /// Why one could not be read.
    type Error;

    /// Reads one that is complete.
    ///
    /// # Errors
    /// It is not there.
    fn node(&self, at: Place) -> Result<Hash, Self::Error>;
}

/// Appends the leaf after `size` others; returns the nodes that become complete, the leaf first.
///
/// # Errors
/// A node that must be there is not.
pub fn append<N: Nodes>(nodes: &N, size: u64, leaf: Hash) -> Result<Vec<(Place, Hash)>, N::Error> {
    let mut at = Place { level: 0, place: size };
    let mut hash = leaf;
    let mut complete = vec![(at, hash)];
    while at.place % 2 == 1 {
        let left = nodes.node(Place { place: at.place - 1, ..at })?;
        hash = inner_hash(&left, &hash);
        at = Place { level: at.level + 1, place: at.place / 2 };
        complete.push((at, hash));
    }
    Ok(complete)
}

/// Returns the root of the first `size` leaves.
///
/// # Errors
/// A node that must be there is not.
pub fn root<N: Nodes>(nodes: &N, size: u64) -> Result<Hash, N::Error> {
    if size == 0 { Ok(empty_root()) } else { range(nodes, 0, size) }
}

/// Proves that the leaf `index` is in the tree of `size` leaves. Nothing where there is no such leaf.
///
/// # Errors
/// A node that must be there is not.
pub fn inclusion<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Vec<Hash>, N::Error> {
    let mut proof = Vec::new();
    let (mut start, mut end) = (0, size);
    if size <= index {
        return Ok(proof);
    }
    while 1 < end - start {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(range(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range(nodes, start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Proves that the tree of `size` leaves begins with that of `older`. Nothing where it cannot, or need not.
///
/// # Errors
/// A node that must be there is not.
pub fn consistency<N: Nodes>(nodes: &N, older: u64, size: u64) -> Result<Vec<Hash>, N::Error> {
    let mut proof = Vec::new();
    if older == 0 || size <= older {
        return Ok(proof);
    }
    let (mut start, mut end) = (0, size);
    while older != end {
        let middle = start + split(end - start);
        if older <= middle {
            proof.push(range(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range(nodes, start, middle)?);
            start = middle;
        }
    }
    if start != 0 {
        proof.push(range(nodes, start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Whether the proof leads from the leaf to the root (RFC 9162 §2.1.3.2).
#[must_use]
pub fn is_included(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if size <= index {
        return false;
    }
    let (mut place, mut last, mut hash) = (index, size - 1, *leaf);
    for step in proof {
        if last == 0 {
            return false;
        }
        if place % 2 == 1 || place == last {
            hash = inner_hash(step, &hash);
            while place % 2 == 0 && place != 0 {
                (place, last) = (place / 2, last / 2);
            }
        } else {
            hash = inner_hash(&hash, step);
        }
        (place, last) = (place / 2, last / 2);
    }
    last == 0 && hash == *root
}

/// Whether the proof shows that the newer tree begins with the older (RFC 9162 §2.1.4.2).
#[must_use]
pub fn is_consistent(older: (u64, &Hash), newer: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((older, older_root), (size, root)) = (older, newer);
    if older == 0 || older == size {
        let expected = if older == 0 { empty_root() } else { *root };
        return proof.is_empty() && *older_root == expected;
    }
    if size < older {
        return false;
    }
    let (mut place, mut last) = (older - 1, size - 1);
    while place % 2 == 1 {
        (place, last) = (place / 2, last / 2);
    }
    let mut steps = proof.iter();
    // A tree that is complete stands in the newer one as a node, which needs no telling.
    let first = if older.is_power_of_two() { Some(older_root) } else { steps.next() };
    let Some(first) = first else { return false };
    let (mut older_hash, mut hash) = (*first, *first);
    for step in steps {
        if last == 0 {
            return false;
        }
        if place % 2 == 1 || place == last {
            older_hash = inner_hash(step, &older_hash);
            hash = inner_hash(step, &hash);
            while place % 2 == 0 && place != 0 {
                (place, last) = (place / 2, last / 2);
            }
        } else {
            hash = inner_hash(&hash, step);
        }
        (place, last) = (place / 2, last / 2);
    }
    last == 0 && older_hash == *older_root && hash == *root
}

/// A tree that is built leaf by leaf and remembers no more than its right edge.
#[derive(Clone, Debug, Default)]
pub struct Growing {
    size: u64,
    /// One hash for each bit that is set in the size, of the largest tree first.
    edge: Vec<Hash>,
}

impl Growing {
    /// Appends a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        let mut carries = self.size;
        while carries % 2 == 1
            && let Some(left) = self.edge.pop()
        {
            hash = inner_hash(&left, &hash);
            carries /= 2;
        }
        self.edge.push(hash);
        self.size += 1;
    }

    /// How many leaves there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the root.
    #[must_use]
    pub fn root(&self) -> Hash {
        let above = |right: Hash, left: &Hash| inner_hash(left, &right);
        let mut edge = self.edge.iter().rev();
        edge.next().map_or_else(empty_root, |last| edge.fold(*last, above))
    }
}

/// Hashes the leaves from `start` to `end`, where `start` is where such a subtree begins.
fn range<N: Nodes>(nodes: &N, start: u64, end: u64) -> Result<Hash, N::Error> {
    let length = end - start;
    if length.is_power_of_two() {
        let level = length.trailing_zeros();
        return nodes.node(Place { level, place: start >> level });
    }
    let middle = start + split(length);
    Ok(inner_hash(&range(nodes, start, middle)?, &range(nodes, middle, end)?))
}

/// The largest power of two that is smaller; `length` is 2 or more.
fn split(length: u64) -> u64 {
    1 << (u64::BITS - 1 - (length - 1).leading_zeros())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Kept(BTreeMap<Place, Hash>);

    impl Nodes for Kept {
        type Error = Place;

        fn node(&self, at: Place) -> Result<Hash, Place> {
            self.0.get(&at).copied().ok_or(at)
        }
    }

    fn leaf(number: u64) -> Hash {
        leaf_hash(&number.to_be_bytes())
    }

    fn tree(size: u64) -> Kept {
        let mut kept = Kept::default();
        for number in 0..size {
            let complete = append(&kept, number, leaf(number)).unwrap();
            kept.0.extend(complete);
        }
        kept
    }

    /// As the RFC defines it.
    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [one] => *one,
            many => {
                let k = usize::try_from(split(many.len().try_into().unwrap())).unwrap();
                inner_hash(&naive(&many[..k]), &naive(&many[k..]))
            }
        }
    }

    fn leaves(size: u64) -> Vec<Hash> {
        (0..size).map(leaf).collect()
    }

    /// The roots that RFC 6962's authors published for their eight test leaves.
    #[test]
    fn the_published_roots_come_out() {
        let inputs: [&[u8]; 8] = [
            &[],
            &[0],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[
                0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d,
                0x6e, 0x6f,
            ],
        ];
        let mut growing = Growing::default();
        let mut roots = vec![growing.root()];
        for input in inputs {
            growing.push(leaf_hash(input));
            roots.push(growing.root());
        }
        let text = |root: &Hash| root.map(|octet| format!("{octet:02x}")).concat();
        assert_eq!(
            text(&roots[0]),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            text(&roots[1]),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
        assert_eq!(
            text(&roots[8]),
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
        );
    }

    proptest! {
        #[test]
        fn every_way_to_the_root_gives_what_the_definition_gives(size in 0_u64..300) {
            let expected = naive(&leaves(size));
            prop_assert_eq!(root(&tree(size), size), Ok(expected));
            let mut growing = Growing::default();
            leaves(size).into_iter().for_each(|leaf| growing.push(leaf));
            prop_assert_eq!((growing.size(), growing.root()), (size, expected));
        }

        #[test]
        fn a_leaf_is_proven_and_no_other_is(size in 1_u64..200, at in any::<u64>(), bad in any::<u64>()) {
            let index = at % size;
            let (kept, root) = (tree(size), naive(&leaves(size)));
            let proof = inclusion(&kept, index, size).unwrap();
            prop_assert!(is_included(&leaf(index), index, size, &proof, &root));
            prop_assert!(!is_included(&leaf(index + 1), index, size, &proof, &root));
            prop_assert!(bad % size == index || !is_included(&leaf(index), bad % size, size, &proof, &root));
            let mut longer = proof.clone();
            longer.push(root);
            prop_assert!(!is_included(&leaf(index), index, size, &longer, &root));
            prop_assert!(proof.is_empty() || !is_included(&leaf(index), index, size, &proof[1..], &root));
        }

        #[test]
        fn a_tree_is_proven_to_continue_an_older_one(size in 0_u64..200, at in any::<u64>()) {
            let older = at % (size + 1);
            let kept = tree(size);
            let roots = (naive(&leaves(older)), naive(&leaves(size)));
            let proof = consistency(&kept, older, size).unwrap();
            prop_assert!(is_consistent((older, &roots.0), (size, &roots.1), &proof));
            let other = leaf(u64::MAX);
            prop_assert!(!is_consistent((older, &other), (size, &roots.1), &proof));
            prop_assert!(older == 0 || !is_consistent((older, &roots.0), (size, &other), &proof));
        }
    }
}
