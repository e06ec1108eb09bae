//! From one file to the next.

use std::convert::Infallible;

use bartizan_indicators::build::{Stamp, build};
use bartizan_indicators::compile::Compiled;
use bartizan_indicators::delta::{self, DeltaError};
use bartizan_indicators::{IndicatorFile, OpenError};
use bartizan_model::{IndicatorCategory, UnixMillis};
use ed25519_dalek::SigningKey;
use proptest::collection::btree_map;
use proptest::prelude::*;

use crate::world::key;

type Listed = std::collections::BTreeMap<u16, bool>;

#[test]
fn a_delta_is_small_and_leads_to_the_very_file() {
    let old: Listed = (0..20_000).map(|n| (n, false)).collect();
    let mut new = old.clone();
    for n in 0..500 {
        new.remove(&(n * 37));
    }
    new.extend((20_000..21_000).map(|n| (n, true)));
    let (old, new) = (octets(1, &old), octets(2, &new));
    let delta = delta::encode(&open(&old), &open(&new)).unwrap().unwrap();
    assert!(delta.len() < 10_000, "{} octets", delta.len());
    assert_eq!(apply(&old, &delta), Ok(new));
}

#[test]
fn a_delta_that_does_not_fit_says_why() {
    let few: Listed = (0..100).map(|n| (n, false)).collect();
    let many: Listed = (0..200).map(|n| (n, false)).collect();
    let (first, second, third) = (octets(1, &few), octets(2, &many), octets(3, &few));
    let delta = delta::encode(&open(&first), &open(&second)).unwrap().unwrap();
    assert_eq!(apply(&second, &delta), Err(DeltaError::OtherBase));
    assert_eq!(apply(&first, b"<html>"), Err(DeltaError::Malformed));
    assert_eq!(apply(&first, &delta[..delta.len() - 1]), Err(DeltaError::Malformed));

    let back = delta::encode(&open(&third), &open(&second)).unwrap().unwrap();
    let older = DeltaError::Target(OpenError::Older { epoch: 2, held: 3 });
    assert_eq!(apply(&third, &back), Err(older));

    let stranger = SigningKey::from_bytes(&[2; 32]).verifying_key();
    let refused = delta::apply(&open(&first), &delta, &stranger, |_, _| Ok::<_, Infallible>(()));
    assert_eq!(refused, Err(DeltaError::Target(OpenError::BadSignature)));

    let full =
        delta::apply(&open(&first), &delta, &key().verifying_key(), |_, _| Err("disk is full"));
    assert_eq!(full, Err(DeltaError::Sink("disk is full")));
}

/// Small enough to try every octet: a changed delta gives an error, or the signed file all the same.
#[test]
fn a_damaged_delta_never_gives_another_file() {
    let old: Listed = (0..60).map(|n| (n, n % 2 == 0)).collect();
    let new: Listed = (30..90).map(|n| (n, n % 2 == 0)).collect();
    let (old, new) = (octets(1, &old), octets(2, &new));
    let delta = delta::encode(&open(&old), &open(&new)).unwrap().unwrap();
    for at in 0..delta.len() {
        for flip in [0x01, 0x10, 0x80] {
            let mut bad = delta.clone();
            bad[at] ^= flip;
            if let Ok(octets) = apply(&old, &bad) {
                assert!(octets == new, "octet {at} leads elsewhere");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_two_files_are_joined_by_a_delta(
        old in btree_map(0_u16..300, any::<bool>(), 0..200),
        new in btree_map(0_u16..300, any::<bool>(), 0..200),
    ) {
        let (old, new) = (octets(1, &old), octets(2, &new));
        let delta = delta::encode(&open(&old), &open(&new)).unwrap().unwrap();
        prop_assert_eq!(apply(&old, &delta), Ok(new));
    }
}

fn octets(epoch: u64, listed: &Listed) -> Vec<u8> {
    let entries: Vec<_> = listed
        .iter()
        .map(|(n, is_malware)| {
            let category =
                if *is_malware { IndicatorCategory::Malware } else { IndicatorCategory::Phishing };
            let text = match n % 5 {
                0 => format!("h{n}.test/path"),
                1 => format!("10.0.{}.0/24", n % 250),
                2 => format!("10.1.{}.{}", n / 250, n % 250),
                _ => format!("h{n}.test"),
            };
            (text.parse().unwrap(), category)
        })
        .collect();
    build(&Compiled::of(&entries), Stamp { epoch, built_at: UnixMillis(0) }, &key()).unwrap()
}

fn open(octets: &[u8]) -> IndicatorFile {
    IndicatorFile::open(Box::new(octets.to_vec()), &key().verifying_key(), 0).unwrap()
}

fn apply(base: &[u8], delta: &[u8]) -> Result<Vec<u8>, DeltaError<Infallible>> {
    let mut octets = Vec::new();
    let len = delta::apply(&open(base), delta, &key().verifying_key(), |at, part| {
        let at = usize::try_from(at).unwrap();
        octets.resize(octets.len().max(at + part.len()), 0);
        octets[at..at + part.len()].copy_from_slice(part);
        Ok(())
    })?;
    assert_eq!(len, octets.len() as u64);
    Ok(octets)
}
