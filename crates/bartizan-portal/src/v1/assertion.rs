//! Assertions: an application proves itself by a JWT that its key signed (RFC 7523 §3), without sending a secret.
//!
//! # What it does not do
//! - Remember which were seen: whoever calls does, by [`Assertion::id`].

use bartizan_model::UnixMillis;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::access::ClientId;
use super::public_key;

/// An assertion that has been taken apart, not yet believed.
pub(crate) struct Assertion<'a> {
    signed: &'a str,
    signature: Vec<u8>,
    algorithm: String,
    claims: Claims,
    /// Whom it says it is of.
    pub(crate) client: ClientId,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// Extensions that must be understood (RFC 7515 §4.1.11); none is.
    crit: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: f64,
    nbf: Option<f64>,
    jti: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl<'a> Assertion<'a> {
    /// Takes a compact JWS apart; nothing if it is none, or not of an application about itself.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        if MAX_LEN < text.len() {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
        let claims: Claims = serde_json::from_slice(&decode(claims)?).ok()?;
        if header.crit.is_some() || claims.iss != claims.sub {
            return None;
        }
        let client = claims.sub.parse().ok()?;
        let signature = decode(signature)?;
        Some(Self { signed, signature, algorithm: header.alg, claims, client })
    }

    /// Tells whether the key's owner made it for this endpoint and this time.
    ///
    /// The endpoint is named by host and path: behind a proxy the scheme is unknown here.
    pub(crate) fn holds(&self, spki: &[u8], endpoint: &str, now: UnixMillis) -> bool {
        let is_here = |audience: &String| {
            audience.split_once("://").is_some_and(|(_, rest)| rest == endpoint)
        };
        let for_us = match &self.claims.aud {
            Audience::One(audience) => is_here(audience),
            Audience::Several(all) => all.iter().any(is_here),
        };
        let seconds = std::time::Duration::from_millis(now.0).as_secs_f64();
        let in_time = seconds < self.claims.exp + CLOCK_SKEW_S
            && self.claims.exp <= seconds + LONGEST_S
            && self.claims.nbf.is_none_or(|from| from <= seconds + CLOCK_SKEW_S);
        for_us
            && in_time
            && !self.claims.jti.is_empty()
            && public_key::holds(spki, &self.algorithm, self.signed.as_bytes(), &self.signature)
    }

    /// Names this one among all applications'.
    pub(crate) fn id(&self) -> [u8; 32] {
        Sha256::digest(format!("assertion {} {}", self.client, self.claims.jti)).into()
    }
}

/// Ours are a few hundred octets; one signed by RSA with 8,192 bits fits.
const MAX_LEN: usize = 8 * 1024;
/// An id is remembered for four minutes (`replay`), so none may be good for longer.
const LONGEST_S: f64 = 200.0;
const CLOCK_SKEW_S: f64 = 30.0;

#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::Signer as _;
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const CLIENT: &str = "7.0192f3a4-b5c6-7d8e-9f00-112233445566";

    #[test]
    fn an_assertion_counts_for_its_endpoint_and_time_alone() {
        let good = serde_json::json!({
            "iss": CLIENT, "sub": CLIENT, "aud": "https://portal.test/oauth2/token",
            "exp": 1_800_000_060_u64, "jti": "1",
        });
        check(&good, "ES256", true);
        check(&good, "RS256", false);
        for (claim, value, expected) in [
            (
                "aud",
                serde_json::json!(["https://other.test/", "https://portal.test/oauth2/token"]),
                true,
            ),
            ("aud", "https://other.test/oauth2/token".into(), false),
            ("aud", "portal.test/oauth2/token".into(), false),
            ("exp", 1_799_999_980_u64.into(), true),
            ("exp", 1_799_999_970_u64.into(), false),
            ("exp", 1_800_000_201_u64.into(), false),
            ("nbf", 1_800_000_020_u64.into(), true),
            ("nbf", 1_800_000_040_u64.into(), false),
            ("iss", "somebody".into(), false),
            ("sub", "somebody".into(), false),
            ("jti", "".into(), false),
            ("jti", serde_json::Value::Null, false),
        ] {
            let mut claims = good.clone();
            claims[claim] = value;
            check(&claims, "ES256", expected);
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[a-zA-Z0-9_.-]{0,200}") {
            let _ = Assertion::parse(&text);
        }
    }

    #[track_caller]
    fn check(claims: &serde_json::Value, algorithm: &str, expected: bool) {
        let key = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = serde_json::json!({ "alg": algorithm, "typ": "JWT", "kid": "x" });
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature: p256::ecdsa::Signature = key.sign(signed.as_bytes());
        let text = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()));
        let mut spki = vec![0x30, 0x59, 0x30, 0x13];
        spki.extend([0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01]);
        spki.extend([0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
        spki.extend([0x03, 0x42, 0x00]);
        spki.extend(key.verifying_key().to_sec1_point(false).as_bytes());
        let found = Assertion::parse(&text);
        let holds = found.is_some_and(|it| it.holds(&spki, "portal.test/oauth2/token", NOW));
        assert_eq!(holds, expected, "{claims}");
    }
}
