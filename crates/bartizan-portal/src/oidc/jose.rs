//! Signed tokens of a provider, and the keys that sign them (RFC 7515, RFC 7517, RFC 7518).
//!
//! `ring` checks signatures; RSA of 2,048 to 8,192 bits, ECDSA over P-256 and P-384, and Ed25519 are known.
//!
//! # What it does not do
//! - Unsigned tokens, codes by a shared key (`HS256`), encryption, critical extensions: refused.
//! - Judge what a token says: `claims` does.
//!
//! # Invariants
//! - A key is used with the algorithms of its kind alone, and with none but its own where it names one.
//! - Tokens and sets of keys are bounded in octets and number.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;

/// Why a token or a set of keys is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JoseError {
    /// Not three parts of base64url with JSON in the first two, or too large.
    #[error("the token is malformed")]
    Malformed,
    /// Unsigned, encrypted, by a shared key, or by an algorithm that is not known here.
    #[error("the token is signed by an algorithm that is not accepted")]
    Algorithm,
    /// It must not be read by who does not know an extension.
    #[error("the token has a critical extension")]
    Critical,
    /// No key of the set fits the token.
    #[error("no key of the provider fits the token's")]
    UnknownKey,
    /// The key's owner did not sign this.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// Not a set of keys.
    #[error("the provider's keys are malformed")]
    BadKeys,
}

/// A token, taken apart and not verified yet.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    header: Header,
    signed: &'a str,
    signature: Vec<u8>,
    claims: Claims,
}

/// What a token says.
pub(crate) type Claims = serde_json::Map<String, serde_json::Value>;

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<serde_json::Value>,
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    pub(crate) fn parse(text: &'a str) -> Result<Self, JoseError> {
        if MAX_TOKEN < text.len() {
            return Err(JoseError::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(JoseError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(JoseError::Malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| JoseError::Malformed);
        let header: Header =
            serde_json::from_slice(&decode(header)?).map_err(|_| JoseError::Malformed)?;
        let claims = serde_json::from_slice(&decode(claims)?).map_err(|_| JoseError::Malformed)?;
        Ok(Self { header, signed, signature: decode(signature)?, claims })
    }

    /// What kind of token it says it is (RFC 8725 §3.11), in lower case.
    pub(crate) fn kind(&self) -> Option<String> {
        let kind = self.header.typ.as_deref()?.to_ascii_lowercase();
        Some(kind.strip_prefix("application/").map(str::to_owned).unwrap_or(kind))
    }

    /// Returns what it says, if one of the keys signed it.
    pub(crate) fn verify(&self, keys: &KeySet) -> Result<&Claims, JoseError> {
        if self.header.crit.is_some() {
            return Err(JoseError::Critical);
        }
        let algorithm = Algorithm::of(&self.header.alg).ok_or(JoseError::Algorithm)?;
        let mut fitting = keys
            .0
            .iter()
            .filter(|key| key.fits(&algorithm, &self.header.alg, self.header.kid.as_deref()))
            .peekable();
        if fitting.peek().is_none() {
            return Err(JoseError::UnknownKey);
        }
        let signed = self.signed.as_bytes();
        if fitting.any(|key| key.public.holds(&algorithm, signed, &self.signature)) {
            Ok(&self.claims)
        } else {
            Err(JoseError::BadSignature)
        }
    }
}

/// RFC 7518 §3.1 and RFC 8037 §3.1.
enum Algorithm {
    Rsa(&'static RsaParameters),
    P256(&'static dyn VerificationAlgorithm),
    P384(&'static dyn VerificationAlgorithm),
    Ed25519(&'static dyn VerificationAlgorithm),
}

impl Algorithm {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            "RS384" => Self::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            "RS512" => Self::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            "PS256" => Self::Rsa(&signature::RSA_PSS_2048_8192_SHA256),
            "PS384" => Self::Rsa(&signature::RSA_PSS_2048_8192_SHA384),
            "PS512" => Self::Rsa(&signature::RSA_PSS_2048_8192_SHA512),
            "ES256" => Self::P256(&signature::ECDSA_P256_SHA256_FIXED),
            "ES384" => Self::P384(&signature::ECDSA_P384_SHA384_FIXED),
            "EdDSA" | "Ed25519" => Self::Ed25519(&signature::ED25519),
            _ => return None,
        })
    }
}

/// The keys of a provider.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeySet(Vec<Key>);

#[derive(Clone, Debug)]
struct Key {
    id: Option<String>,
    algorithm: Option<String>,
    public: Public,
}

#[derive(Clone, Debug)]
enum Public {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// Uncompressed points.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// RFC 7517 §4, as far as it is used.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// Reads a set of keys. What is not known here or not for signatures is left out (RFC 7517 §5).
    pub(crate) fn parse(octets: &[u8]) -> Result<Self, JoseError> {
        let set: Jwks = serde_json::from_slice(octets).map_err(|_| JoseError::BadKeys)?;
        let keys = set.keys.into_iter().take(MAX_KEYS);
        Ok(Self(keys.filter_map(|key| Key::of(serde_json::from_value(key).ok()?)).collect()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Key {
    fn of(jwk: Jwk) -> Option<Self> {
        if jwk.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let number = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let point = |size: usize| {
            let (x, y) = (number(&jwk.x)?, number(&jwk.y)?);
            (x.len() == size && y.len() == size).then(|| [&[4][..], &x, &y].concat())
        };
        let public = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                Public::Rsa { n: without_zeros(number(&jwk.n)?), e: without_zeros(number(&jwk.e)?) }
            }
            ("EC", Some("P-256")) => Public::P256(point(32)?),
            ("EC", Some("P-384")) => Public::P384(point(48)?),
            ("OKP", Some("Ed25519")) => Public::Ed25519(number(&jwk.x)?),
            _ => return None,
        };
        Some(Self { id: jwk.kid, algorithm: jwk.alg, public })
    }

    fn fits(&self, algorithm: &Algorithm, name: &str, id: Option<&str>) -> bool {
        let of_kind = matches!(
            (algorithm, &self.public),
            (Algorithm::Rsa(_), Public::Rsa { .. })
                | (Algorithm::P256(_), Public::P256(_))
                | (Algorithm::P384(_), Public::P384(_))
                | (Algorithm::Ed25519(_), Public::Ed25519(_))
        );
        let named = match (id, &self.id) {
            (Some(id), Some(own)) => id == own,
            // A key without an id may be meant; a token without one means any.
            (Some(_) | None, None) | (None, Some(_)) => true,
        };
        of_kind && named && self.algorithm.as_deref().is_none_or(|own| own == name)
    }
}

impl Public {
    fn holds(&self, algorithm: &Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match (self, algorithm) {
            (Self::Rsa { n, e }, Algorithm::Rsa(parameters)) => {
                RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature).is_ok()
            }
            (Self::P256(key), Algorithm::P256(rule))
            | (Self::P384(key), Algorithm::P384(rule))
            | (Self::Ed25519(key), Algorithm::Ed25519(rule)) => {
                UnparsedPublicKey::new(*rule, key).verify(signed, signature).is_ok()
            }
            (
                Self::Rsa { .. } | Self::P256(_) | Self::P384(_) | Self::Ed25519(_),
                Algorithm::Rsa(_) | Algorithm::P256(_) | Algorithm::P384(_) | Algorithm::Ed25519(_),
            ) => false,
        }
    }
}

/// Some providers pad numbers, which RFC 7518 §6.3.1.1 forbids and `ring` refuses.
fn without_zeros(number: Vec<u8>) -> Vec<u8> {
    number.into_iter().skip_while(|octet| *octet == 0).collect()
}

/// What the fuzzer and the replay of its corpus call: keys and a token, a line each.
pub(crate) fn fuzz(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    let (keys, token) = text.split_once('\n').unwrap_or(("", &text));
    let keys = KeySet::parse(keys.as_bytes()).unwrap_or_default();
    if let Ok(token) = Token::parse(token.trim_end()) {
        let _ = token.kind();
        if let Ok(claims) = token.verify(&keys) {
            super::claims::fuzz(claims);
        }
    }
}

/// Entra puts up to 200 groups into a token, some 10 KiB.
const MAX_TOKEN: usize = 128 * 1024;
const MAX_KEYS: usize = 50;

#[cfg(test)]
#[path = "jose_tests.rs"]
mod tests;
