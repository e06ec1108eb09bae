//! Whether an authenticator's answer is one to a question of ours (WebAuthn Level 3 §7.1, §7.2).
//!
//! # What it does not do
//! - Look at attestation statements: none are asked for, so which make an authenticator is stays its owner's.
//! - Compare counts of signatures: the store does, which knows the last one.
//!
//! # Invariants
//! - Nothing is taken that was not said by this site, to this very question, with a person present, and signed.
//! - What is not read to its end is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minicbor::Decoder;
use minicbor::data::Type;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::key::{KeyError, PublicKey};
use super::site::Site;

/// What an authenticator was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    /// Random, and answered once.
    pub(crate) challenge: &'a [u8; 32],
    /// Who asks.
    pub(crate) site: &'a Site,
    /// Whether the authenticator has to see to it that it is its owner, by a PIN or a finger.
    pub(crate) must_verify: bool,
}

/// Why an answer is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnswerError {
    /// The browser's or the authenticator's data is not what it should be.
    #[error("the answer is malformed")]
    Malformed,
    /// It answers something else, such as how to make a key.
    #[error("the answer is of another kind")]
    OtherKind,
    /// It answers another question.
    #[error("the answer is to another challenge")]
    Challenge,
    /// It was given to a page that is not ours.
    #[error("the answer was given to another origin")]
    Origin,
    /// The key is another site's.
    #[error("the answer is for another site")]
    Site,
    /// Nobody was there.
    #[error("nobody was present")]
    Absent,
    /// Nobody saw to it that it was the owner.
    #[error("the authenticator did not verify its owner")]
    Unverified,
    /// It says of backups what cannot be, or what it did not say before.
    #[error("the answer contradicts itself or an earlier one about backups")]
    Backup,
    /// The key is of no kind that is known here.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key has not signed this.
    #[error("the signature is wrong")]
    Signature,
}

impl From<minicbor::decode::Error> for AnswerError {
    fn from(_: minicbor::decode::Error) -> Self {
        Self::Malformed
    }
}

/// A key that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Created {
    /// The authenticator's name for it.
    pub(crate) credential: Vec<u8>,
    /// A COSE key that [`PublicKey`] reads.
    pub(crate) public_key: Vec<u8>,
    pub(crate) told: Told,
}

/// What an authenticator tells each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// How often it has signed; 0 if it does not count.
    pub(crate) sign_count: u32,
    /// Whether the key is of a kind that may be backed up.
    pub(crate) may_be_backed_up: bool,
    /// Whether it is.
    pub(crate) is_backed_up: bool,
}

/// An answer by a key that is there already, as the browser hands it on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Assertion<'a> {
    /// JSON.
    pub(crate) client_data: &'a [u8],
    /// See §6.1.
    pub(crate) authenticator_data: &'a [u8],
    /// Over both.
    pub(crate) signature: &'a [u8],
}

/// Checks that an authenticator has made a key for this question (§7.1).
pub(crate) fn created(
    question: Question<'_>,
    client_data: &[u8],
    attestation: &[u8],
) -> Result<Created, AnswerError> {
    check_client(question, client_data, "webauthn.create")?;
    let (told, made) = read(question, authenticator_data(attestation)?)?;
    let (credential, public_key) = made.ok_or(AnswerError::Malformed)?;
    Ok(Created { credential: credential.to_vec(), public_key: public_key.to_vec(), told })
}

/// Checks that the holder of a key has answered this question (§7.2).
pub(crate) fn asserted(
    question: Question<'_>,
    answer: Assertion<'_>,
    public_key: &[u8],
    may_be_backed_up: bool,
) -> Result<Told, AnswerError> {
    check_client(question, answer.client_data, "webauthn.get")?;
    let (told, _) = read(question, answer.authenticator_data)?;
    let signed = [answer.authenticator_data, &Sha256::digest(answer.client_data)].concat();
    if !PublicKey::of_octets(public_key)?.holds(&signed, answer.signature) {
        return Err(AnswerError::Signature);
    }
    if told.may_be_backed_up != may_be_backed_up {
        return Err(AnswerError::Backup);
    }
    Ok(told)
}

/// Checks what the browser says of the page that asked (§5.8.1).
fn check_client(question: Question<'_>, octets: &[u8], kind: &str) -> Result<(), AnswerError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ClientData {
        #[serde(rename = "type")]
        kind: String,
        challenge: String,
        origin: String,
        #[serde(default)]
        cross_origin: bool,
        top_origin: Option<String>,
    }
    let told: ClientData = serde_json::from_slice(octets).map_err(|_| AnswerError::Malformed)?;
    if told.kind != kind {
        return Err(AnswerError::OtherKind);
    }
    if told.challenge != URL_SAFE_NO_PAD.encode(question.challenge) {
        return Err(AnswerError::Challenge);
    }
    if told.origin != question.site.origin || told.cross_origin || told.top_origin.is_some() {
        return Err(AnswerError::Origin);
    }
    Ok(())
}

type Made<'a> = Option<(&'a [u8], &'a [u8])>;

/// Reads authenticator data (§6.1): what is told each time, and name and key of what was made.
fn read<'a>(question: Question<'_>, data: &'a [u8]) -> Result<(Told, Made<'a>), AnswerError> {
    if MAX_DATA < data.len() {
        return Err(AnswerError::Malformed);
    }
    let (site, rest) = cut::<32>(data)?;
    let ([flags], rest) = cut::<1>(rest)?;
    let (count, mut rest) = cut::<4>(rest)?;
    let has = |flag: u8| flags & flag != 0;
    if site[..] != Sha256::digest(&question.site.host)[..] {
        return Err(AnswerError::Site);
    }
    if !has(PRESENT) {
        return Err(AnswerError::Absent);
    }
    if question.must_verify && !has(VERIFIED) {
        return Err(AnswerError::Unverified);
    }
    if has(BACKED_UP) && !has(MAY_BE_BACKED_UP) {
        return Err(AnswerError::Backup);
    }
    let mut made = None;
    if has(MADE) {
        // Which make it is of is not asked.
        let (_, after) = cut::<16>(rest)?;
        let (length, after) = cut::<2>(after)?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length == 0 || MAX_CREDENTIAL < length {
            return Err(AnswerError::Malformed);
        }
        let (credential, after) = after.split_at_checked(length).ok_or(AnswerError::Malformed)?;
        let mut reader = Decoder::new(after);
        PublicKey::read(&mut reader)?;
        let (key, after) =
            after.split_at_checked(reader.position()).ok_or(AnswerError::Malformed)?;
        made = Some((credential, key));
        rest = after;
    }
    if has(EXTENDED) {
        let mut reader = Decoder::new(rest);
        if reader.datatype()? != Type::Map {
            return Err(AnswerError::Malformed);
        }
        reader.skip()?;
        rest = rest.get(reader.position()..).ok_or(AnswerError::Malformed)?;
    }
    if !rest.is_empty() {
        return Err(AnswerError::Malformed);
    }
    let told = Told {
        sign_count: u32::from_be_bytes(*count),
        may_be_backed_up: has(MAY_BE_BACKED_UP),
        is_backed_up: has(BACKED_UP),
    };
    Ok((told, made))
}

/// Finds the authenticator data in an attestation object (§6.5.4); the statement is passed over.
fn authenticator_data(attestation: &[u8]) -> Result<&[u8], AnswerError> {
    if MAX_DATA < attestation.len() {
        return Err(AnswerError::Malformed);
    }
    let mut reader = Decoder::new(attestation);
    let labels = reader.map()?.filter(|labels| *labels == 3).ok_or(AnswerError::Malformed)?;
    let mut found = None;
    for _ in 0..labels {
        match reader.str()? {
            "authData" => found = Some(reader.bytes()?),
            "fmt" | "attStmt" => reader.skip()?,
            _ => return Err(AnswerError::Malformed),
        }
    }
    if reader.position() != attestation.len() {
        return Err(AnswerError::Malformed);
    }
    found.ok_or(AnswerError::Malformed)
}

fn cut<const N: usize>(octets: &[u8]) -> Result<(&[u8; N], &[u8]), AnswerError> {
    octets.split_first_chunk().ok_or(AnswerError::Malformed)
}

/// What the fuzzer and the replay of its corpus call: an attestation object, and the same octets as authenticator data.
pub(crate) fn fuzz(octets: &[u8]) {
    let site = Site { host: "portal.test".into(), origin: "https://portal.test".into() };
    let question = Question { challenge: &[7; 32], site: &site, must_verify: false };
    let inner = authenticator_data(octets).ok();
    for data in [Some(octets), inner].into_iter().flatten() {
        if let Ok((_, Some((credential, key)))) = read(question, data) {
            assert!((1..=MAX_CREDENTIAL).contains(&credential.len()));
            assert!(PublicKey::of_octets(key).is_ok(), "what was read is read again");
        }
    }
    let _ = check_client(question, octets, "webauthn.get");
}

/// §6.1: a person was there; was verified; the key may be, and is, backed up; a key was made; extensions follow.
const PRESENT: u8 = 1;
const VERIFIED: u8 = 1 << 2;
const MAY_BE_BACKED_UP: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const MADE: u8 = 1 << 6;
const EXTENDED: u8 = 1 << 7;
/// §5.8.3.
pub(crate) const MAX_CREDENTIAL: usize = 1_023;
/// Certificates come along where a browser leaves a statement in.
const MAX_DATA: usize = 16 * 1_024;

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
