//! `POST token`: a signed assertion buys a short-lived access token (RFC 7523 §2.2, RFC 9449 §5).
//!
//! The request carries a DPoP proof by the same key, without an access token.

use bartizan_model::{DeviceId, UnixMillis};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::jws::{self, Header, JwsError};

/// What a device sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRequest {
    /// Always `client_credentials`.
    pub grant_type: String,
    /// Always `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`.
    pub client_assertion_type: String,
    /// Made by [`assertion`].
    pub client_assertion: String,
}

impl TokenRequest {
    /// Puts an assertion into a request.
    #[must_use]
    pub fn new(client_assertion: String) -> Self {
        Self {
            grant_type: "client_credentials".into(),
            client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".into(),
            client_assertion,
        }
    }
}

/// What the portal answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenReply {
    /// Means nothing to the device.
    pub access_token: String,
    /// Always `DPoP`.
    pub token_type: String,
    /// Seconds.
    pub expires_in: u64,
    /// The portal's time, to correct the device's clock by.
    pub server_time_ms: u64,
}

/// The claims of an assertion (RFC 7523 §3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    /// The device id.
    pub iss: String,
    /// The device id again.
    pub sub: String,
    /// The audience, [`AUDIENCE`].
    pub aud: String,
    /// Seconds.
    pub iat: u64,
    /// Seconds.
    pub exp: u64,
}

/// Makes an assertion that is good for a minute.
#[must_use]
pub fn assertion(device: DeviceId, key: &SigningKey, now: UnixMillis) -> String {
    assertion_by(device, now, |input| {
        let signature: Signature = key.sign(input);
        signature.to_bytes().into()
    })
}

/// The same, by whatever makes ES256 signatures with the device's key.
#[must_use]
pub fn assertion_by(
    device: DeviceId,
    now: UnixMillis,
    sign: impl FnOnce(&[u8]) -> [u8; jws::ES256_LEN],
) -> String {
    let iat = now.0 / 1_000;
    let claims = Assertion {
        iss: device.to_string(),
        sub: device.to_string(),
        aud: AUDIENCE.into(),
        iat,
        exp: iat + LIFETIME_S,
    };
    jws::sign_es256_by(
        &Header { alg: "ES256".into(), typ: ASSERTION_TYPE.into(), jwk: None },
        &claims,
        sign,
    )
}

/// Why an assertion is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// Not an assertion, or not signed by the key.
    #[error("assertion is not valid: {0}")]
    Token(#[from] JwsError),
    /// It is about another device or for another portal's kind of call.
    #[error("assertion is for another device or purpose")]
    OtherSubject,
    /// Its time is not now: the device's clock is wrong, or the assertion is old.
    #[error("assertion is not of this time; check the device's clock")]
    Stale,
}

/// Returns the device that an assertion speaks of, without believing it, to find the key to verify with.
#[must_use]
pub fn named_device(assertion: &str) -> Option<DeviceId> {
    let claims: Assertion = jws::peek_claims(assertion).ok()?;
    claims.iss.parse().ok()
}

/// Checks an assertion against the key of the device it names.
///
/// # Errors
/// Why it is not accepted.
pub fn verify_assertion(
    assertion: &str,
    device: DeviceId,
    key: &VerifyingKey,
    now: UnixMillis,
) -> Result<(), AssertionError> {
    let claims: Assertion = jws::verify_es256(assertion, ASSERTION_TYPE, key)?;
    let id = device.to_string();
    if claims.iss != id || claims.sub != id || claims.aud != AUDIENCE {
        return Err(AssertionError::OtherSubject);
    }
    let now = now.0 / 1_000;
    if claims.exp + SKEW_S < now
        || now + SKEW_S < claims.iat
        || claims.iat + LIFETIME_S < claims.exp
    {
        return Err(AssertionError::Stale);
    }
    Ok(())
}

/// The audience of assertions.
pub const AUDIENCE: &str = "bartizan-portal";
const ASSERTION_TYPE: &str = "client-authentication+jwt";
const LIFETIME_S: u64 = 60;
/// As for proofs.
const SKEW_S: u64 = crate::dpop::MAX_AGE_MS / 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assertion_speaks_for_one_device_at_one_time() {
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        let (device, now) = (DeviceId(1), UnixMillis(1_800_000_000_000));
        let text = assertion(device, &key, now);
        let check = |device, seconds: i64| {
            let now = UnixMillis(now.0.saturating_add_signed(seconds * 1_000));
            verify_assertion(&text, device, key.verifying_key(), now)
        };
        assert_eq!(named_device(&text), Some(device));
        assert_eq!(named_device("a.b.c"), None);
        assert_eq!(check(device, 0), Ok(()));
        assert_eq!(check(device, 180), Ok(()));
        assert_eq!(check(device, 181), Err(AssertionError::Stale));
        assert_eq!(check(device, -121), Err(AssertionError::Stale));
        assert_eq!(check(DeviceId(2), 0), Err(AssertionError::OtherSubject));
    }
}
