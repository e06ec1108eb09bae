//! Documents that the portal signs and a device obeys.

use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::jws::{self, Header, JwsError};

/// A kind of document that the portal signs.
pub trait Document: Serialize + DeserializeOwned {
    /// The `typ` of its signature, so that none is taken for another.
    const TYPE: &'static str;
}

/// Signs a document.
#[must_use]
pub fn seal<D: Document>(document: &D, key: &SigningKey) -> String {
    jws::sign_eddsa(&Header { alg: "EdDSA".into(), typ: D::TYPE.into(), jwk: None }, document, key)
}

/// Verifies a document and reads it.
///
/// # Errors
/// Not such a document, or not signed by this key.
pub fn open<D: Document>(sealed: &str, key: &VerifyingKey) -> Result<D, JwsError> {
    jws::verify_eddsa(sealed, D::TYPE, key)
}
