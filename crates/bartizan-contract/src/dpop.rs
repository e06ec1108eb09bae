//! Proof of possession for one request (RFC 9449).
//!
//! A proof names the method and the address, and with an access token its hash; it is signed with the
//! device's key, which it carries. It is good for one request within [`MAX_AGE_MS`] of the portal's time.

use bartizan_model::UnixMillis;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::jws::{self, Header, JwsError};
use crate::keys::Jwk;

/// What a request is, as far as a proof speaks of it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `POST`.
    pub method: &'a str,
    /// Scheme, host, port and path; no query (RFC 9449 §4.2).
    pub url: &'a str,
    /// The access token, where the request carries one.
    pub access_token: Option<&'a str>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    /// Seconds.
    iat: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
}

/// Makes the proof for one request. `random` must never repeat.
#[must_use]
pub fn prove(request: Request<'_>, key: &SigningKey, now: UnixMillis, random: [u8; 16]) -> String {
    prove_by(request, Jwk::from_device_key(key.verifying_key()), now, random, |input| {
        let signature: Signature = key.sign(input);
        signature.to_bytes().into()
    })
}

/// Makes the proof for one request, by whatever makes ES256 signatures with the key `jwk`.
#[must_use]
pub fn prove_by(
    request: Request<'_>,
    jwk: Jwk,
    now: UnixMillis,
    random: [u8; 16],
    sign: impl FnOnce(&[u8]) -> [u8; jws::ES256_LEN],
) -> String {
    let header = Header { alg: "ES256".into(), typ: PROOF_TYPE.into(), jwk: Some(jwk) };
    let claims = Claims {
        jti: URL_SAFE_NO_PAD.encode(random),
        htm: request.method.into(),
        htu: request.url.into(),
        iat: now.0 / 1_000,
        ath: request.access_token.map(token_hash),
    };
    jws::sign_es256_by(&header, &claims, sign)
}

/// A proof that holds for the request it came with.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The key that signed it.
    pub key: VerifyingKey,
    /// The key's thumbprint (RFC 7638), which an access token is bound to.
    pub thumbprint: [u8; 32],
    /// The proof's id, hashed to one size; the portal refuses to see it twice.
    pub id: [u8; 32],
}

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Not a proof at all, or not signed by the key it names.
    #[error("DPoP proof is not valid: {0}")]
    Token(#[from] JwsError),
    /// It carries no usable key.
    #[error("DPoP proof carries no P-256 key")]
    NoKey,
    /// It was made for another request or another access token.
    #[error("DPoP proof is for another {0}")]
    OtherRequest(&'static str),
    /// Its time is too far from the portal's: the device's clock is wrong, or the proof is old.
    #[error("DPoP proof is not of this time; check the device's clock")]
    Stale,
}

/// Checks a proof against the request it came with (RFC 9449 §4.3).
///
/// The scheme of `request.url` is not compared: behind a proxy that ends TLS the portal cannot know it.
///
/// # Errors
/// Why it does not hold.
pub fn verify(proof: &str, request: Request<'_>, now: UnixMillis) -> Result<Proof, ProofError> {
    verify_by(proof, request, now, jws::holds)
}

/// The same, by whatever checks ES256 signatures: it is given the key, what was signed, and r and s.
///
/// # Errors
/// Why it does not hold.
pub fn verify_by(
    proof: &str,
    request: Request<'_>,
    now: UnixMillis,
    holds: impl FnOnce(&VerifyingKey, &[u8], &[u8]) -> bool,
) -> Result<Proof, ProofError> {
    let token = jws::Token::parse(proof)?;
    let jwk = token.header.jwk.as_ref().ok_or(ProofError::NoKey)?;
    let key = jwk.device_key().map_err(|_| ProofError::NoKey)?;
    let claims: Claims =
        token.verify_es256_by(PROOF_TYPE, |signed, signature| holds(&key, signed, signature))?;
    if claims.htm != request.method {
        return Err(ProofError::OtherRequest("method"));
    }
    if without_scheme(&claims.htu) != without_scheme(request.url) {
        return Err(ProofError::OtherRequest("address"));
    }
    if claims.ath != request.access_token.map(token_hash) {
        return Err(ProofError::OtherRequest("access token"));
    }
    if MAX_AGE_MS < now.0.abs_diff(claims.iat.saturating_mul(1_000)) {
        return Err(ProofError::Stale);
    }
    Ok(Proof { key, thumbprint: jwk.thumbprint(), id: Sha256::digest(&claims.jti).into() })
}

fn without_scheme(url: &str) -> Option<&str> {
    url.split_once("://").map(|(_, rest)| rest)
}

fn token_hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

const PROOF_TYPE: &str = "dpop+jwt";
/// Two minutes either way: phones keep time within seconds, and the portal remembers ids this long.
pub const MAX_AGE_MS: u64 = 120_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const REQUEST: Request<'_> = Request {
        method: "POST",
        url: "https://portal.example/device/v1/alerts",
        access_token: Some("t"),
    };

    #[test]
    fn a_proof_holds_for_its_request_and_names_its_key() {
        let held = verify(&proof(), REQUEST, NOW).unwrap();
        assert_eq!(held.key, *key().verifying_key());
        assert_eq!(held.thumbprint, Jwk::from_device_key(key().verifying_key()).thumbprint());
        let behind_a_proxy = Request { url: "http://portal.example/device/v1/alerts", ..REQUEST };
        assert!(verify(&proof(), behind_a_proxy, NOW).is_ok());
    }

    #[test]
    fn a_proof_holds_for_nothing_else() {
        check(Request { method: "GET", ..REQUEST }, NOW, ProofError::OtherRequest("method"));
        check(
            Request { url: "https://portal.example/device/v1/policy", ..REQUEST },
            NOW,
            ProofError::OtherRequest("address"),
        );
        check(
            Request { url: "https://other.example/device/v1/alerts", ..REQUEST },
            NOW,
            ProofError::OtherRequest("address"),
        );
        check(
            Request { access_token: Some("u"), ..REQUEST },
            NOW,
            ProofError::OtherRequest("access token"),
        );
        check(
            Request { access_token: None, ..REQUEST },
            NOW,
            ProofError::OtherRequest("access token"),
        );
        check(REQUEST, UnixMillis(NOW.0 + MAX_AGE_MS + 1_000), ProofError::Stale);
        check(REQUEST, UnixMillis(NOW.0 - MAX_AGE_MS - 1_000), ProofError::Stale);
    }

    #[test]
    fn a_proof_with_another_key_put_in_does_not_hold() {
        let stranger = SigningKey::from_slice(&[8; 32]).unwrap();
        let header = Header {
            alg: "ES256".into(),
            typ: PROOF_TYPE.into(),
            jwk: Some(Jwk::from_device_key(key().verifying_key())),
        };
        let claims = Claims {
            jti: "j".into(),
            htm: "POST".into(),
            htu: REQUEST.url.into(),
            iat: NOW.0 / 1_000,
            ath: Some(token_hash("t")),
        };
        let forged = jws::sign_es256(&header, &claims, &stranger);
        assert_eq!(
            verify(&forged, REQUEST, NOW).unwrap_err(),
            ProofError::Token(JwsError::BadSignature)
        );
    }

    #[track_caller]
    fn check(request: Request<'_>, now: UnixMillis, expected: ProofError) {
        assert_eq!(verify(&proof(), request, now).unwrap_err(), expected);
    }

    fn proof() -> String {
        prove(REQUEST, &key(), NOW, [1; 16])
    }

    fn key() -> SigningKey {
        SigningKey::from_slice(&[7; 32]).unwrap()
    }
}
