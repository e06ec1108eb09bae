//! What the fuzzer and the replay of its corpus call: heads and exported logs of any octets.
//!
//! Signatures stop a fuzzer at the door. So the same octets are read three ways: as they are, as a head, and as the entries
//! of a log whose head this file signs itself.
//!
//! # Invariants
//! - A log that was proven has as many entries as the report says, and none more than its head covers.

use bartizan_contract::keys::Jwk;
use bartizan_model::UnixMillis;
use bartizan_store::AuditTree;
use bartizan_store::merkle::{self, Growing};
use ed25519_dalek::SigningKey;

use super::export::{FORMAT, Header, Line};
use super::note::{Head, sign};
use super::verify;

/// Reads a signed head.
pub(crate) fn head(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    if let Some(head) = Head::read(&text) {
        let key = SigningKey::from_bytes(&KEY).verifying_key();
        assert!(!head.is_signed_by(&key) || text.contains(&head.origin), "a head of itself");
    }
}

/// Reads an exported log; the first octet says in which way.
pub(crate) fn log(octets: &[u8]) {
    let Some((way, octets)) = octets.split_first() else { return };
    match way % 3 {
        0 => prove(octets, None),
        1 => prove(&signed(octets, true), None),
        _ => prove(&signed(octets, false), Some(&String::from_utf8_lossy(octets))),
    }
}

fn prove(file: &[u8], older: Option<&str>) {
    let Ok(report) = verify(file, older) else { return };
    let lines = file.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()).count();
    assert_eq!(u64::try_from(lines).ok(), Some(report.entries + 1), "the header and the entries");
    assert!(report.entries <= report.size, "no more than the head covers");
}

/// Puts a head before the lines that holds for those of them that are entries.
fn signed(lines: &[u8], complete: bool) -> Vec<u8> {
    let mut growing = Growing::default();
    for line in lines.split(|octet| *octet == b'\n') {
        if let Ok(line) = serde_json::from_slice::<Line>(line) {
            growing.push(merkle::leaf_hash(&line.entry.leaf()));
        }
    }
    let key = SigningKey::from_bytes(&KEY);
    let tree = AuditTree { size: growing.size(), root: growing.root() };
    let header = Header {
        format: FORMAT.into(),
        head: sign("bartizan/audit/1", tree, UnixMillis(0), &key),
        key: Jwk::from_portal_key(&key.verifying_key()),
        complete,
    };
    let header = serde_json::to_vec(&header).unwrap_or_default();
    [&header, &b"\n"[..], lines].concat()
}

/// Of nobody.
const KEY: [u8; 32] = [7; 32];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_committed_corpus_is_replayed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        for (name, read) in [("audit_head", head as fn(&[u8])), ("audit_log", log)] {
            let mut replayed = 0;
            for entry in std::fs::read_dir(folder.join(name)).unwrap() {
                read(&std::fs::read(entry.unwrap().path()).unwrap());
                replayed += 1;
            }
            assert!(2 < replayed, "{name}: {replayed}");
        }
    }

    /// The way that makes a head reaches the end of a log that is right.
    #[test]
    fn a_log_of_the_corpus_is_proven() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/audit_log/whole");
        let octets = std::fs::read(file).unwrap();
        let report = verify(&signed(&octets[1..], true)[..], None).unwrap();
        assert_eq!((report.entries, report.size, report.erased), (2, 2, 1));
    }
}
