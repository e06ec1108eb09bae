//! Proves an exported log, without a portal.
//!
//! The key in the file is believed only as far as whoever reads the report knows it: the report names it.

use std::io::BufRead;

use bartizan_model::UnixMillis;
use bartizan_store::merkle::{self, Growing, Hash};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::export::{FORMAT, Header, Line};
use super::note::Head;
use crate::files::hexadecimal;

/// What was proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    /// The log's name.
    pub origin: String,
    /// How many entries the head covers.
    pub size: u64,
    /// How many of them the file has.
    pub entries: u64,
    /// When the head was signed.
    pub signed_at: Option<UnixMillis>,
    /// The thumbprint of the key that signed it.
    pub key: String,
    /// Of how many pieces of what was said of people the text was erased.
    pub erased: u64,
    /// The size of the older head that this log continues.
    pub continues: Option<u64>,
}

/// Why a file proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum AuditProblem {
    /// It cannot be read.
    #[error("the file cannot be read")]
    Unreadable(#[from] std::io::Error),
    /// It is something else.
    #[error("the file does not begin as an exported audit log does")]
    NotALog,
    /// A line is something else.
    #[error("line {line} is not an entry: {why}")]
    NotAnEntry {
        /// Counts from 1.
        line: u64,
        /// In the parser's words.
        why: String,
    },
    /// The head is not what the key signed.
    #[error("the head was changed, or signed by another key than the file names")]
    Signature,
    /// Entries are not there.
    #[error("entries {from} to {to} are missing")]
    Missing {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// An entry stands where it does not belong.
    #[error("entry {seq} stands after entry {after}: entries were reordered or repeated")]
    Reordered {
        /// Its number.
        seq: u64,
        /// That of the one before.
        after: u64,
    },
    /// There are more entries than the head covers.
    #[error("entry {seq} was added: the head covers {size} entries")]
    Added {
        /// Its number.
        seq: u64,
        /// How many there are to be.
        size: u64,
    },
    /// An entry is not what it was.
    #[error("entry {seq} was changed")]
    Changed {
        /// Its number.
        seq: u64,
    },
    /// What an entry says of a person is not what it was.
    #[error("what entry {seq} says of a person was changed")]
    PersonalChanged {
        /// Its number.
        seq: u64,
    },
    /// The entries agree with themselves but not with the head.
    #[error(
        "the entries do not give the signed root: some were changed together with their hashes"
    )]
    Root,
    /// The older head cannot be read, or is another log's or key's.
    #[error("the older head is not one of this log, or its signature does not hold")]
    OlderHead,
    /// The older head is newer.
    #[error(
        "the older head covers {older} entries, more than this log's {size}: the log was cut short"
    )]
    CutShort {
        /// How many it covers.
        older: u64,
        /// How many the log has.
        size: u64,
    },
    /// What the older head covers is not in this log.
    #[error(
        "the log's first {older} entries are not those that the older head covers: the past was changed"
    )]
    OtherPast {
        /// How many it covers.
        older: u64,
    },
    /// Only a file of all entries continues a head.
    #[error("the file has only some entries; export all of them to compare with an older head")]
    Partial,
}

/// Proves a file against the head in it, and that head against an older one.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(file: impl BufRead, older: Option<&str>) -> Result<AuditReport, AuditProblem> {
    let mut lines = file.lines();
    let header = lines.next().ok_or(AuditProblem::NotALog)??;
    let header: Header = serde_json::from_str(&header).map_err(|_| AuditProblem::NotALog)?;
    if header.format != FORMAT {
        return Err(AuditProblem::NotALog);
    }
    let head = Head::read(&header.head).ok_or(AuditProblem::NotALog)?;
    let key = header.key.portal_key().map_err(|_| AuditProblem::NotALog)?;
    if !head.is_signed_by(&key) {
        return Err(AuditProblem::Signature);
    }
    let older = older.map(|note| {
        let older = Head::read(note).filter(|older| older.origin == head.origin);
        older.filter(|older| older.is_signed_by(&key)).ok_or(AuditProblem::OlderHead)
    });
    let older = older.transpose()?.map(|older| older.tree);
    let size = head.tree.size;
    if let Some(older) = older {
        if size < older.size {
            return Err(AuditProblem::CutShort { older: older.size, size });
        }
        if !header.complete {
            return Err(AuditProblem::Partial);
        }
    }

    let mut growing = Growing::default();
    let is_older = |growing: &Growing| {
        older
            .filter(|older| older.size == growing.size())
            .is_none_or(|older| older.root == growing.root())
    };
    let other_past = || AuditProblem::OtherPast { older: older.map_or(0, |older| older.size) };
    let (mut before, mut entries, mut erased) = (None, 0, 0);
    for (line, number) in lines.zip(2..) {
        let line: Line = serde_json::from_str(&line?)
            .map_err(|error| AuditProblem::NotAnEntry { line: number, why: error.to_string() })?;
        let seq = line.entry.seq;
        if let Some(after) = before.filter(|before| seq <= *before) {
            return Err(AuditProblem::Reordered { seq, after });
        }
        if size <= seq {
            return Err(AuditProblem::Added { seq, size });
        }
        let expected = before.map_or(0, |before| before + 1);
        if header.complete && expected < seq {
            return Err(AuditProblem::Missing { from: expected, to: seq - 1 });
        }
        let leaf = merkle::leaf_hash(&line.entry.leaf());
        if hexadecimal(&leaf) != line.leaf {
            return Err(AuditProblem::Changed { seq });
        }
        erased += personal(&line)?;
        if header.complete {
            growing.push(leaf);
            if !is_older(&growing) {
                return Err(other_past());
            }
        } else if !is_proven(&line, &leaf, &head) {
            return Err(AuditProblem::Changed { seq });
        }
        before = Some(seq);
        entries += 1;
    }
    if header.complete {
        if growing.size() < size {
            return Err(AuditProblem::Missing { from: growing.size(), to: size - 1 });
        }
        if growing.root() != head.tree.root {
            return Err(AuditProblem::Root);
        }
    }
    Ok(AuditReport {
        origin: head.origin,
        size,
        entries,
        signed_at: head.at,
        key: hexadecimal(&header.key.thumbprint()),
        erased,
        continues: older.map(|older| older.size),
    })
}

/// Looks at what the entry says of people; returns how much of it was erased.
fn personal(line: &Line) -> Result<u64, AuditProblem> {
    let seq = line.entry.seq;
    if line.personal.len() != line.entry.personal.len() {
        return Err(AuditProblem::PersonalChanged { seq });
    }
    let mut erased = 0;
    for (kept, hash) in line.personal.iter().zip(&line.entry.personal) {
        match kept {
            Some(kept) if hexadecimal(&kept.hash()) != *hash => {
                return Err(AuditProblem::PersonalChanged { seq });
            }
            Some(_) => {}
            None => erased += 1,
        }
    }
    Ok(erased)
}

fn is_proven(line: &Line, leaf: &Hash, head: &Head) -> bool {
    let steps = line.proof.iter().flatten();
    let proof: Option<Vec<Hash>> =
        steps.map(|step| STANDARD.decode(step).ok()?.try_into().ok()).collect();
    let (seq, tree) = (line.entry.seq, head.tree);
    proof.is_some_and(|proof| merkle::is_included(leaf, seq, tree.size, &proof, &tree.root))
}
