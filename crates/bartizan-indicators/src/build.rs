//! Laying out and signing an indicator file.
//!
//! Pure: the time, the epoch and the hash key are arguments, so the same names give the same octets.

use bartizan_model::UnixMillis;
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};

use crate::compile::Compiled;
use crate::file::{BODY_AT, Header, MAX_BUCKET_BITS, MAX_ENTRIES, bucket_of, name_hash};

/// What a file says about itself beside its names.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// Must be greater than that of every file the tenant's devices may hold.
    pub epoch: u64,
    /// By the portal's clock.
    pub built_at: UnixMillis,
    /// Random, so that nobody can prepare names whose hashes collide with a harmless one.
    pub hash_key: [u8; 16],
}

/// Builds a signed file from names and why they are listed.
///
/// # Errors
/// More names than the format allows.
pub fn build(
    compiled: &Compiled,
    stamp: Stamp,
    key: &SigningKey,
) -> Result<Vec<u8>, TooManyEntries> {
    let names = &compiled.names;
    if MAX_ENTRIES < names.len() {
        return Err(TooManyEntries { entries: names.len() });
    }
    let mut rows: Vec<(u64, u8)> = names
        .iter()
        .map(|(name, class)| (name_hash(&stamp.hash_key, name.as_str()), *class as u8))
        .collect();
    rows.sort_unstable();
    rows.dedup_by_key(|(hash, _)| *hash);

    let bucket_bits = bucket_bits_for(rows.len());
    let mut body = Vec::with_capacity(rows.len() * 9 + (4 << bucket_bits) + 4);
    let mut place = 0_u32;
    let mut rest = rows.iter().peekable();
    for bucket in 0..1_usize << bucket_bits {
        body.extend_from_slice(&place.to_le_bytes());
        while rest.next_if(|(hash, _)| bucket_of(*hash, bucket_bits) == bucket).is_some() {
            place += 1;
        }
    }
    body.extend_from_slice(&place.to_le_bytes());
    for (hash, _) in &rows {
        body.extend_from_slice(&hash.to_le_bytes());
    }
    body.extend(rows.iter().map(|(_, class)| *class));

    let header = Header {
        bucket_bits,
        epoch: stamp.epoch,
        built_at_ms: stamp.built_at.0,
        entries: rows.len(),
        hash_key: stamp.hash_key,
        body_digest: Sha256::digest(&body).into(),
    };
    let mut octets = header.encode();
    let signature = key.sign(&octets);
    octets.reserve_exact(BODY_AT + body.len());
    octets.extend_from_slice(&signature.to_bytes());
    octets.append(&mut body);
    Ok(octets)
}

/// More names than the format allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{entries} names, more than the {MAX_ENTRIES} that an indicator file holds")]
pub struct TooManyEntries {
    /// How many there are.
    pub entries: usize,
}

/// About 16 entries a bucket: four steps of binary search within two cache lines.
fn bucket_bits_for(entries: usize) -> u32 {
    (entries / 16).checked_ilog2().map_or(0, |bits| bits + 1).min(MAX_BUCKET_BITS)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use bartizan_model::{DomainName, IndicatorCategory};

    use super::*;
    use crate::pattern::Pattern;
    use crate::{FORMAT_VERSION, IndicatorFile, OpenError};

    #[test]
    fn a_listed_name_and_its_subdomains_match_and_the_longest_entry_wins() {
        let file = open(&sample()).unwrap();
        check(&file, "evil.test", Some((IndicatorCategory::Phishing, "evil.test")));
        check(&file, "login.evil.test", Some((IndicatorCategory::Phishing, "evil.test")));
        check(&file, "c2.evil.test", Some((IndicatorCategory::Malware, "c2.evil.test")));
        check(&file, "x.c2.evil.test", Some((IndicatorCategory::Malware, "c2.evil.test")));
        check(&file, "notevil.test", None);
        check(&file, "test", None);
        assert_eq!((file.epoch(), file.entries(), file.built_at()), (7, 2, UnixMillis(1_000)));
    }

    #[test]
    fn an_empty_file_lists_nothing() {
        let octets = build(&Compiled::of(&[]), stamp(), &key()).unwrap();
        let file = open(&octets).unwrap();
        check(&file, "a.test", None);
    }

    /// Small enough to try every octet: whatever is changed is refused.
    #[test]
    fn no_octet_can_be_changed_unnoticed() {
        let good = sample();
        for at in 0..good.len() {
            for flip in [0x01, 0x80] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                assert!(open(&bad).is_err(), "octet {at} changed unnoticed");
            }
        }
    }

    #[test]
    fn what_is_refused_says_why() {
        let good = sample();
        assert_eq!(open(b"<!DOCTYPE html>").unwrap_err(), OpenError::NotAnIndicatorFile);
        assert_eq!(open(b"").unwrap_err(), OpenError::NotAnIndicatorFile);
        for len in 1..good.len() {
            assert_eq!(open(&good[..len]).unwrap_err(), OpenError::Truncated, "{len} octets");
        }
        let mut longer = good.clone();
        longer.push(0);
        assert_eq!(open(&longer).unwrap_err(), OpenError::Damaged);

        let mut next = good.clone();
        next[8] = 2;
        assert_eq!(open(&next).unwrap_err(), OpenError::UnsupportedVersion { found: 2 });

        let stranger = SigningKey::from_bytes(&[2; 32]);
        let refused = IndicatorFile::open(good.clone().into(), &stranger.verifying_key(), 0);
        assert_eq!(refused.unwrap_err(), OpenError::BadSignature);

        let refused = IndicatorFile::open(good.clone().into(), &key().verifying_key(), 8);
        assert_eq!(refused.unwrap_err(), OpenError::Older { epoch: 7, held: 8 });
        assert!(IndicatorFile::open(good.into(), &key().verifying_key(), 7).is_ok());
    }

    /// The format is stable before its first user. If this fails, raise `FORMAT_VERSION`.
    #[test]
    fn the_format_has_not_changed() {
        let digest = Sha256::digest(sample());
        let start: String = digest.iter().take(8).map(|octet| format!("{octet:02x}")).collect();
        assert_eq!((FORMAT_VERSION, start.as_str()), (1, "0e047f2d7514a3f0"));
    }

    proptest! {
        /// Short names from a small alphabet, so that parents, siblings and near misses all occur.
        #[test]
        fn agrees_with_a_linear_scan(listed in vec(name(), 0..60), asked in name()) {
            let entry = |name| (Pattern::Domain(name), IndicatorCategory::Phishing);
            let entries: Vec<_> = listed.iter().cloned().map(entry).collect();
            let file = open(&build(&Compiled::of(&entries), stamp(), &key()).unwrap()).unwrap();
            let by_hand = listed.iter().any(|listed| {
                asked == *listed || asked.as_str().ends_with(&format!(".{listed}"))
            });
            prop_assert_eq!(file.lookup(&asked).is_some(), by_hand);
        }
    }

    #[track_caller]
    fn check(file: &IndicatorFile, name: &str, expected: Option<(IndicatorCategory, &str)>) {
        let name = DomainName::parse(name.as_bytes()).unwrap();
        assert_eq!(file.lookup(&name).map(|found| (found.class, found.matched)), expected);
    }

    fn name() -> impl Strategy<Value = DomainName> {
        "[ab]{1,2}(\\.[ab]{1,2}){0,3}".prop_map(|name| DomainName::parse(name.as_bytes()).unwrap())
    }

    fn open(octets: &[u8]) -> Result<IndicatorFile, OpenError> {
        IndicatorFile::open(octets.into(), &key().verifying_key(), 0)
    }

    fn sample() -> Vec<u8> {
        let names = [
            ("evil.test", IndicatorCategory::Phishing),
            ("c2.evil.test", IndicatorCategory::Malware),
        ]
        .map(|(name, class)| (name.parse().unwrap(), class));
        build(&Compiled::of(&names), stamp(), &key()).unwrap()
    }

    fn stamp() -> Stamp {
        Stamp { epoch: 7, built_at: UnixMillis(1_000), hash_key: [3; 16] }
    }

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[1; 32])
    }
}
