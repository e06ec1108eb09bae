//! The files as octets: golden ones, damaged ones, foreign ones.

use bartizan_indicators::tenant::TENANT_FORMAT_VERSION;
use bartizan_indicators::{FORMAT_VERSION, IndicatorFile, Indicators, OpenError, TenantFile};
use bartizan_model::IndicatorAction;
use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};

use crate::world::{base, key, listed, matches, octets_of, open, tenant_octets};

const ENTRIES: &[&str] = &[
    "evil.test",
    "=exact.test",
    "*.under.test",
    "shared.test/bad/page?id=1",
    "192.0.2.7",
    "198.51.100.0/24",
    "2001:db8::/32",
];
const QUESTIONS: &[&str] = &[
    "login.evil.test",
    "exact.test",
    "a.under.test",
    "shared.test/bad/page?id=1",
    "192.0.2.7",
    "198.51.100.9",
    "2001:db8::1",
    "good.test",
    "203.0.113.1",
];

/// The format is stable before its first user. If this fails, raise the version of the format.
#[test]
fn the_formats_have_not_changed() {
    let start = |octets: &[u8]| {
        let digest = Sha256::digest(octets);
        digest.iter().take(8).map(|octet| format!("{octet:02x}")).collect::<String>()
    };
    let base = octets_of(&listed(ENTRIES));
    let tenant = tenant_octets(&[
        ("evil.test", IndicatorAction::Block),
        ("192.0.2.0/24", IndicatorAction::Allow),
    ]);
    assert_eq!((FORMAT_VERSION, start(&base).as_str()), (2, "eb302c00a01752d3"));
    assert_eq!((TENANT_FORMAT_VERSION, start(&tenant).as_str()), (1, "b2c1c71d2ce288c0"));
}

/// Small enough to try every octet: whatever is changed is refused at once, or when it is read.
#[test]
fn no_octet_can_be_changed_unnoticed() {
    let good = octets_of(&listed(ENTRIES));
    let expected: Vec<_> =
        QUESTIONS.iter().map(|question| matches(&base(ENTRIES), question)).collect();
    let mut read_lazily = 0;
    for at in 0..good.len() {
        for flip in [0x01, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            let Ok(file) = open(&bad) else { continue };
            assert!(file.verify().is_err(), "octet {at} changed unnoticed");
            read_lazily += 1;
            let lazily = Indicators { base: Some(open(&bad).unwrap()), tenant: None };
            for (question, expected) in QUESTIONS.iter().zip(&expected) {
                let answer = crate::world::ask(&lazily, question, |found| {
                    found.iter().flat_map(bartizan_indicators::found::Found::iter).count()
                });
                assert!(
                    answer.is_err() || answer == Ok(expected.len()),
                    "octet {at} changes what is said of {question}"
                );
            }
        }
    }
    assert!(500 < read_lazily, "{read_lazily} changes were in the body");
}

#[test]
fn no_octet_of_a_tenant_file_can_be_changed_unnoticed() {
    let good = tenant_octets(&[
        ("evil.test", IndicatorAction::Block),
        ("192.0.2.0/24", IndicatorAction::Warn),
    ]);
    for at in 0..good.len() {
        for flip in [0x01, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            let file = TenantFile::open(Box::new(bad), &key().verifying_key(), 0);
            assert!(
                file.map_or(true, |file| file.verify().is_err()),
                "octet {at} changed unnoticed"
            );
        }
    }
}

#[test]
fn what_is_refused_says_why() {
    let good = octets_of(&listed(ENTRIES));
    assert_eq!(open(b"<!DOCTYPE html>").unwrap_err(), OpenError::NotAnIndicatorFile);
    assert_eq!(open(b"").unwrap_err(), OpenError::NotAnIndicatorFile);
    let tenant = tenant_octets(&[]);
    assert_eq!(open(&tenant).unwrap_err(), OpenError::NotAnIndicatorFile);
    for len in 1..good.len() {
        assert_eq!(open(&good[..len]).unwrap_err(), OpenError::Truncated, "{len} octets");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(open(&longer).unwrap_err(), OpenError::Damaged);

    let mut next = good.clone();
    next[8] = 9;
    let refused = OpenError::UnsupportedVersion { found: 9, read: FORMAT_VERSION };
    assert_eq!(open(&next).unwrap_err(), refused);

    let opened = |key: &SigningKey, held| {
        IndicatorFile::open(Box::new(good.clone()), &key.verifying_key(), held).map(|_| ())
    };
    assert_eq!(opened(&SigningKey::from_bytes(&[2; 32]), 0), Err(OpenError::BadSignature));
    assert_eq!(opened(&key(), 8), Err(OpenError::Older { epoch: 7, held: 8 }));
    assert_eq!(opened(&key(), 7), Ok(()));
}

#[test]
fn a_file_says_what_it_is() {
    let file = open(&octets_of(&listed(ENTRIES))).unwrap();
    assert_eq!((file.epoch(), file.entries(), file.built_at().0), (7, 5, 1_000));
    assert_eq!(format!("{file:?}"), "IndicatorFile { epoch: 7, entries: 5, .. }");
}
