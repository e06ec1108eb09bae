//! Compact JSON Web Signatures with the two algorithms of this contract (RFC 7515, RFC 7518 §3.4,
//! RFC 8037 §3.1).
//!
//! There is no negotiation: the caller says which algorithm and which `typ` it expects, and anything
//! else is refused, so that one kind of token is never taken for another (RFC 8725 §3.11).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::Verifier as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::keys::Jwk;

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Not three base64url parts with JSON in the first two, or larger than [`MAX_LEN`].
    #[error("token is malformed")]
    Malformed,
    /// Another algorithm or another kind of token than is expected here.
    #[error("token is of another kind")]
    WrongKind,
    /// The signature is not the key's.
    #[error("signature is wrong")]
    BadSignature,
}

/// The protected header.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Header {
    /// `ES256` or `EdDSA`.
    pub alg: String,
    /// What kind of token this is.
    pub typ: String,
    /// The signer's key, in a DPoP proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwk: Option<Jwk>,
}

/// Signs claims with a device's key.
#[must_use]
pub fn sign_es256(
    header: &Header,
    claims: &impl Serialize,
    key: &p256::ecdsa::SigningKey,
) -> String {
    sign_es256_by(header, claims, |input| {
        let signature: p256::ecdsa::Signature = key.sign(input);
        signature.to_bytes().into()
    })
}

/// Signs claims by whatever makes ES256 signatures: r and s of what it is given.
#[must_use]
pub fn sign_es256_by(
    header: &Header,
    claims: &impl Serialize,
    sign: impl FnOnce(&[u8]) -> [u8; ES256_LEN],
) -> String {
    let input = signing_input(header, claims);
    let signature = sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Signs claims with the portal's key.
#[must_use]
pub fn sign_eddsa(
    header: &Header,
    claims: &impl Serialize,
    key: &ed25519_dalek::SigningKey,
) -> String {
    let input = signing_input(header, claims);
    let signature = key.sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

/// Reads a token's claims without believing them, to find the key to verify with.
///
/// # Errors
/// [`JwsError::Malformed`].
pub fn peek_claims<C: DeserializeOwned>(token: &str) -> Result<C, JwsError> {
    decode(Parts::split(token)?.claims)
}

/// Verifies a token that a device signed.
///
/// # Errors
/// Why it is not accepted.
pub fn verify_es256<C: DeserializeOwned>(
    token: &str,
    typ: &str,
    key: &p256::ecdsa::VerifyingKey,
) -> Result<C, JwsError> {
    Token::parse(token)?.verify_es256_by(typ, |signed, signature| holds(key, signed, signature))
}

/// A token, taken apart and not believed yet.
pub struct Token<'token> {
    /// It names the key to verify with, where the token brings it along.
    pub header: Header,
    parts: Parts<'token>,
}

impl<'token> Token<'token> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`JwsError::Malformed`].
    pub fn parse(token: &'token str) -> Result<Self, JwsError> {
        let parts = Parts::split(token)?;
        Ok(Self { header: decode(parts.header)?, parts })
    }

    /// Verifies what a device signed, by whatever checks ES256 signatures: it is given what was signed, and r and s.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub fn verify_es256_by<C: DeserializeOwned>(
        &self,
        typ: &str,
        holds: impl FnOnce(&[u8], &[u8]) -> bool,
    ) -> Result<C, JwsError> {
        self.expect("ES256", typ)?;
        if !holds(self.parts.signed.as_bytes(), &self.parts.signature) {
            return Err(JwsError::BadSignature);
        }
        decode(self.parts.claims)
    }

    fn expect(&self, alg: &str, typ: &str) -> Result<(), JwsError> {
        let Header { alg: by, typ: kind, .. } = &self.header;
        if by == alg && kind == typ { Ok(()) } else { Err(JwsError::WrongKind) }
    }
}

/// Checks an ES256 signature in plain Rust, as devices do.
#[must_use]
pub fn holds(key: &p256::ecdsa::VerifyingKey, signed: &[u8], signature: &[u8]) -> bool {
    p256::ecdsa::Signature::from_slice(signature)
        .is_ok_and(|signature| key.verify(signed, &signature).is_ok())
}

/// Verifies a token that the portal signed.
///
/// # Errors
/// Why it is not accepted.
pub fn verify_eddsa<C: DeserializeOwned>(
    token: &str,
    typ: &str,
    key: &ed25519_dalek::VerifyingKey,
) -> Result<C, JwsError> {
    let token = Token::parse(token)?;
    token.expect("EdDSA", typ)?;
    let parts = &token.parts;
    let signature = ed25519_dalek::Signature::from_slice(&parts.signature)
        .map_err(|_| JwsError::BadSignature)?;
    key.verify_strict(parts.signed.as_bytes(), &signature).map_err(|_| JwsError::BadSignature)?;
    decode(parts.claims)
}

struct Parts<'token> {
    header: &'token str,
    claims: &'token str,
    signed: &'token str,
    signature: Vec<u8>,
}

impl<'token> Parts<'token> {
    fn split(token: &'token str) -> Result<Self, JwsError> {
        if MAX_LEN < token.len() {
            return Err(JwsError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(JwsError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(JwsError::Malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| JwsError::Malformed)?;
        Ok(Self { header, claims, signed, signature })
    }
}

fn signing_input(header: &Header, claims: &impl Serialize) -> String {
    // Our own types: strings and numbers, which always have a JSON form.
    let part = |json: serde_json::Result<Vec<u8>>| URL_SAFE_NO_PAD.encode(json.unwrap_or_default());
    format!("{}.{}", part(serde_json::to_vec(header)), part(serde_json::to_vec(claims)))
}

fn decode<T: DeserializeOwned>(part: &str) -> Result<T, JwsError> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| JwsError::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| JwsError::Malformed)
}

/// Octets of an ES256 signature: r and s (RFC 7518 §3.4).
pub const ES256_LEN: usize = 64;
/// Ours are under 1 KiB.
pub const MAX_LEN: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_accepted_only_as_what_it_is() {
        let key = p256::ecdsa::SigningKey::from_slice(&[5; 32]).unwrap();
        let stranger = p256::ecdsa::SigningKey::from_slice(&[6; 32]).unwrap();
        let token = sign_es256(&header("ES256", "a+jwt"), &7_u32, &key);

        assert_eq!(verify_es256::<u32>(&token, "a+jwt", key.verifying_key()), Ok(7));
        assert_eq!(
            verify_es256::<u32>(&token, "b+jwt", key.verifying_key()),
            Err(JwsError::WrongKind)
        );
        assert_eq!(
            verify_es256::<u32>(&token, "a+jwt", stranger.verifying_key()),
            Err(JwsError::BadSignature)
        );
        let portal = ed25519_dalek::SigningKey::from_bytes(&[5; 32]);
        assert_eq!(
            verify_eddsa::<u32>(&token, "a+jwt", &portal.verifying_key()),
            Err(JwsError::WrongKind)
        );
        let none = sign_es256(&header("none", "a+jwt"), &7_u32, &key);
        assert_eq!(
            verify_es256::<u32>(&none, "a+jwt", key.verifying_key()),
            Err(JwsError::WrongKind)
        );
    }

    #[test]
    fn what_is_no_token_is_malformed() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[5; 32]).verifying_key();
        let long = "a".repeat(MAX_LEN + 1);
        for token in ["", ".", "..", "a.b", "e30.e30.?", "e30.e30.", "bm8.bm8.bm8", &long] {
            assert_eq!(
                verify_eddsa::<u32>(token, "a+jwt", &key),
                Err(JwsError::Malformed),
                "{token}"
            );
        }
    }

    #[test]
    fn a_changed_claim_breaks_the_signature() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[5; 32]);
        let token = sign_eddsa(&header("EdDSA", "a+jwt"), &7_u32, &key);
        let other = sign_eddsa(&header("EdDSA", "a+jwt"), &8_u32, &key);
        let (signed, _) = other.rsplit_once('.').unwrap();
        let (_, signature) = token.rsplit_once('.').unwrap();
        let forged = format!("{signed}.{signature}");
        assert_eq!(
            verify_eddsa::<u32>(&forged, "a+jwt", &key.verifying_key()),
            Err(JwsError::BadSignature)
        );
    }

    fn header(alg: &str, typ: &str) -> Header {
        Header { alg: alg.into(), typ: typ.into(), jwk: None }
    }
}
