//! Reading an indicator file: layout, verification, lookup.
//!
//! # Layout (all integers little-endian)
//!
//! | Octets | What |
//! |---|---|
//! | 0..8 | magic `BTZ-INDI` |
//! | 8..12 | format version, [`FORMAT_VERSION`] |
//! | 12..16 | bucket bits *b*, 0 to 20 |
//! | 16..24 | epoch: grows with every file of a tenant |
//! | 24..32 | built at, Unix milliseconds |
//! | 32..40 | number of entries *n* |
//! | 40..56 | key of the name hash, drawn anew for each file |
//! | 56..88 | SHA-256 of everything from octet 152 on |
//! | 88..152 | Ed25519 signature over octets 0..88 |
//! | 152.. | bucket index: 2^*b* + 1 numbers of 4 octets |
//! | | name hashes: *n* numbers of 8 octets, ascending |
//! | | classes: *n* octets |
//!
//! A name is listed if SipHash-2-4 of its text, or of a parent's, is among the hashes. The bucket of
//! a hash is its upper *b* bits, and the index gives where each bucket starts.
//!
//! # Invariants
//! - An [`IndicatorFile`] was whole, signed and consistent when opened; lookups neither fail nor allocate.
//! - No input panics (`fuzz_open`).
//! - Two names share a hash with probability 2^-64 a pair, under a key that a lister cannot know
//!   beforehand: at a million entries 5e-14 for each name asked.

use std::hash::Hasher;

use bartizan_model::{DomainName, IndicatorCategory, UnixMillis};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher24;

/// The format this crate reads and writes. Raise it with any change of the layout.
pub const FORMAT_VERSION: u32 = 1;

/// A verified indicator file in memory.
pub struct IndicatorFile {
    octets: Box<[u8]>,
    header: Header,
}

/// What is listed, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match<'name> {
    /// Why it is listed.
    pub class: IndicatorCategory,
    /// The entry that matched: the name asked for, or the nearest listed parent.
    pub matched: &'name str,
}

impl IndicatorFile {
    /// Verifies a file against the portal's key and takes it over.
    ///
    /// `held_epoch` is the epoch of the file in use, 0 if there is none; an older file is refused, so
    /// that nobody can bring back a list that lacks what was added since.
    ///
    /// # Errors
    /// Why the file is not to be used. Whatever is in use stays in use.
    pub fn open(octets: Box<[u8]>, key: &VerifyingKey, held_epoch: u64) -> Result<Self, OpenError> {
        let header = Header::parse(&octets)?;
        let (signed, rest) = octets.split_at_checked(SIGNED_LEN).ok_or(OpenError::Truncated)?;
        let (signature, body) = rest.split_at_checked(SIGNATURE_LEN).ok_or(OpenError::Truncated)?;
        let signature = Signature::from_slice(signature).map_err(|_| OpenError::BadSignature)?;
        key.verify_strict(signed, &signature).map_err(|_| OpenError::BadSignature)?;

        // From here on the header is the portal's word; the body still has to be the one it names.
        let expected_len = header.body_len().ok_or(OpenError::Inconsistent)?;
        if body.len() < expected_len {
            return Err(OpenError::Truncated);
        }
        if body.len() != expected_len || Sha256::digest(body).as_slice() != header.body_digest {
            return Err(OpenError::Damaged);
        }
        if header.epoch < held_epoch {
            return Err(OpenError::Older { epoch: header.epoch, held: held_epoch });
        }
        let file = Self { octets, header };
        if file.is_consistent() { Ok(file) } else { Err(OpenError::Inconsistent) }
    }

    /// Returns the file's place in the tenant's sequence of files.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.header.epoch
    }

    /// Returns when the portal built it, by the portal's clock.
    #[must_use]
    pub fn built_at(&self) -> UnixMillis {
        UnixMillis(self.header.built_at_ms)
    }

    /// Returns how many names are listed.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.header.entries as u64
    }

    /// Returns how many octets the file occupies in memory.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.octets.len()
    }

    /// Returns the entry that lists this name: the longest one among the name and its parents.
    #[must_use]
    pub fn lookup<'name>(&self, name: &'name DomainName) -> Option<Match<'name>> {
        name.suffixes()
            .find_map(|suffix| Some(Match { class: self.class_of(suffix)?, matched: suffix }))
    }

    fn class_of(&self, name: &str) -> Option<IndicatorCategory> {
        let hash = name_hash(&self.header.hash_key, name);
        let bucket = bucket_of(hash, self.header.bucket_bits);
        let mut low = self.bucket_start(bucket)?;
        let mut high = self.bucket_start(bucket + 1)?;
        while low < high {
            let middle = low + (high - low) / 2;
            match self.hash_at(middle)?.cmp(&hash) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    return IndicatorCategory::from_octet(self.class_at(middle)?);
                }
            }
        }
        None
    }

    /// Checks once what lookups rely on: buckets ascend and end at the last entry, hashes ascend, lie in
    /// their bucket, and every class is known.
    fn is_consistent(&self) -> bool {
        let mut previous = None;
        let mut start = 0;
        for bucket in 0..self.header.buckets() {
            let (Some(first), Some(end)) =
                (self.bucket_start(bucket), self.bucket_start(bucket + 1))
            else {
                return false;
            };
            if first != start || end < first || self.header.entries < end {
                return false;
            }
            for place in first..end {
                let (Some(hash), Some(class)) = (self.hash_at(place), self.class_at(place)) else {
                    return false;
                };
                let ascends = previous.is_none_or(|previous| previous < hash);
                let in_place = bucket_of(hash, self.header.bucket_bits) == bucket;
                if !ascends || !in_place || IndicatorCategory::from_octet(class).is_none() {
                    return false;
                }
                previous = Some(hash);
            }
            start = end;
        }
        start == self.header.entries
    }

    fn bucket_start(&self, bucket: usize) -> Option<usize> {
        let octets = array_at::<4>(&self.octets, BODY_AT + bucket * 4)?;
        usize::try_from(u32::from_le_bytes(octets)).ok()
    }

    fn hash_at(&self, place: usize) -> Option<u64> {
        let at = BODY_AT + self.header.index_len() + place * 8;
        array_at::<8>(&self.octets, at).map(u64::from_le_bytes)
    }

    fn class_at(&self, place: usize) -> Option<u8> {
        let at = BODY_AT + self.header.index_len() + self.header.entries * 8 + place;
        self.octets.get(at).copied()
    }
}

impl std::fmt::Debug for IndicatorFile {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("IndicatorFile")
            .field("epoch", &self.header.epoch)
            .field("entries", &self.header.entries)
            .finish_non_exhaustive()
    }
}

/// Why a file is not to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It does not start as an indicator file does.
    #[error("this is not an indicator file")]
    NotAnIndicatorFile,
    /// It is of a version this program does not read.
    #[error("indicator file has format version {found}, this program reads {FORMAT_VERSION}")]
    UnsupportedVersion {
        /// The version it claims.
        found: u32,
    },
    /// It ends too early.
    #[error("indicator file is truncated")]
    Truncated,
    /// It was not signed by the portal's key, or its header was changed.
    #[error("indicator file is not signed by this portal")]
    BadSignature,
    /// Its contents are not those that were signed.
    #[error("indicator file is damaged")]
    Damaged,
    /// It is older than the one in use.
    #[error("indicator file has epoch {epoch}, older than {held} in use")]
    Older {
        /// Of this file.
        epoch: u64,
        /// Of the file in use.
        held: u64,
    },
    /// Signed, and yet its tables contradict each other: the fault of whoever built it.
    #[error("indicator file contradicts itself")]
    Inconsistent,
}

/// The first 88 octets, as numbers.
pub(crate) struct Header {
    pub(crate) bucket_bits: u32,
    pub(crate) epoch: u64,
    pub(crate) built_at_ms: u64,
    pub(crate) entries: usize,
    pub(crate) hash_key: [u8; 16],
    pub(crate) body_digest: [u8; 32],
}

impl Header {
    fn parse(octets: &[u8]) -> Result<Self, OpenError> {
        let magic = octets.get(..MAGIC.len()).unwrap_or(octets);
        if !MAGIC.starts_with(magic) || magic.is_empty() {
            return Err(OpenError::NotAnIndicatorFile);
        }
        let version = u32::from_le_bytes(array_at(octets, 8).ok_or(OpenError::Truncated)?);
        if version != FORMAT_VERSION {
            return Err(OpenError::UnsupportedVersion { found: version });
        }
        let parsed = (|| {
            Some(Self {
                bucket_bits: u32::from_le_bytes(array_at(octets, 12)?),
                epoch: u64::from_le_bytes(array_at(octets, 16)?),
                built_at_ms: u64::from_le_bytes(array_at(octets, 24)?),
                entries: usize::try_from(u64::from_le_bytes(array_at(octets, 32)?)).ok()?,
                hash_key: array_at(octets, 40)?,
                body_digest: array_at(octets, 56)?,
            })
        })();
        parsed.ok_or(OpenError::Truncated)
    }

    #[cfg(feature = "build")]
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(SIGNED_LEN);
        octets.extend_from_slice(MAGIC);
        octets.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        octets.extend_from_slice(&self.bucket_bits.to_le_bytes());
        octets.extend_from_slice(&self.epoch.to_le_bytes());
        octets.extend_from_slice(&self.built_at_ms.to_le_bytes());
        octets.extend_from_slice(&(self.entries as u64).to_le_bytes());
        octets.extend_from_slice(&self.hash_key);
        octets.extend_from_slice(&self.body_digest);
        octets
    }

    fn buckets(&self) -> usize {
        1_usize << self.bucket_bits.min(MAX_BUCKET_BITS)
    }

    fn index_len(&self) -> usize {
        (self.buckets() + 1) * 4
    }

    /// Returns the length that the numbers ask for; `None` if they cannot be meant.
    fn body_len(&self) -> Option<usize> {
        if MAX_BUCKET_BITS < self.bucket_bits || MAX_ENTRIES < self.entries {
            return None;
        }
        self.entries.checked_mul(9)?.checked_add(self.index_len())
    }
}

/// Opens any octets with a fixed key, for the fuzzer and its replay.
#[doc(hidden)]
pub fn fuzz_open(octets: &[u8]) {
    if let Ok(key) = VerifyingKey::from_bytes(&[0; 32]) {
        let _ = IndicatorFile::open(octets.into(), &key, 0);
    }
    // The signature keeps random input from the tables, so go there directly as well.
    if let Ok(header) = Header::parse(octets)
        && header.body_len().and_then(|len| len.checked_add(BODY_AT)) == Some(octets.len())
    {
        let file = IndicatorFile { octets: octets.into(), header };
        if file.is_consistent()
            && let Ok(name) = DomainName::parse(b"a.b.test")
        {
            let _ = file.lookup(&name);
        }
    }
}

pub(crate) fn name_hash(key: &[u8; 16], name: &str) -> u64 {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(name.as_bytes());
    hasher.finish()
}

pub(crate) fn bucket_of(hash: u64, bucket_bits: u32) -> usize {
    // A shift by 64 is not defined; with no bits there is one bucket.
    let bucket = hash.checked_shr(u64::BITS - bucket_bits).unwrap_or(0);
    usize::try_from(bucket).unwrap_or(usize::MAX)
}

fn array_at<const N: usize>(octets: &[u8], at: usize) -> Option<[u8; N]> {
    octets.get(at..at.checked_add(N)?)?.try_into().ok()
}

const MAGIC: &[u8; 8] = b"BTZ-INDI";
/// Up to the signature.
pub(crate) const SIGNED_LEN: usize = 88;
const SIGNATURE_LEN: usize = 64;
pub(crate) const BODY_AT: usize = SIGNED_LEN + SIGNATURE_LEN;
/// 2^20 buckets hold 16 entries each at the largest size.
pub(crate) const MAX_BUCKET_BITS: u32 = 20;
/// Four times the largest list planned for; 150 MB.
pub(crate) const MAX_ENTRIES: usize = 16_000_000;
