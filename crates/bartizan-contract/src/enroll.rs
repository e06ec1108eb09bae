//! `POST enroll`: a device becomes known.
//!
//! The request carries a DPoP proof by the new key, without an access token.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::attestation::Attestation;
use crate::keys::Jwk;

/// What a device says to become known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollRequest {
    /// An [`EnrollmentToken`] as text.
    pub enrollment_token: String,
    /// The device's public key; the same that signed the DPoP proof.
    pub device_key: Jwk,
    /// What kind of device it is.
    pub platform: Platform,
    /// What is known of the installation; absent from devices that know nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation: Option<Installation>,
    /// What vouches for the key; absent from devices that have nothing that does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<Attestation>,
}

/// What a device knows of its installation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installation {
    /// Stays the same when the same hardware enrolls again, and tells nothing else: such as iOS's identifier for the
    /// vendor. Up to 100 characters; may be empty.
    #[serde(default)]
    pub hardware_id: String,
    /// Whether several people use the device.
    #[serde(default)]
    pub shared: bool,
}

impl Installation {
    /// Names hardware to one organization: a hash of what the system calls it, with what the enrollment token says of the
    /// organization's key, so that two organizations cannot tell that it is the same. Empty of what is empty.
    #[must_use]
    pub fn hardware_id(system_id: &str, portal_key: &[u8; 16]) -> String {
        if system_id.is_empty() {
            return String::new();
        }
        let hash = Sha256::new()
            .chain_update("bartizan hardware id 1")
            .chain_update(portal_key)
            .chain_update(system_id)
            .finalize();
        URL_SAFE_NO_PAD.encode(hash)
    }
}

/// `POST enrollment-code`: what somebody says who was given a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeRequest {
    /// As it was given; case, spaces and hyphens do not count.
    pub code: String,
}

/// The token that the code is worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeReply {
    /// An [`EnrollmentToken`] as text; it has to be used soon.
    pub enrollment_token: String,
    /// The portal's time.
    pub server_time_ms: u64,
}

/// What a code looks like to whoever compares it: upper case, without spaces and hyphens. A code of our making has
/// [`CODE_LENGTH`] characters.
#[must_use]
pub fn normal_code(text: &str) -> String {
    let kept = text.chars().filter(|c| !c.is_whitespace() && *c != '-');
    kept.take(2 * CODE_LENGTH).map(|c| c.to_ascii_uppercase()).collect()
}

/// Ten characters of thirty: 49 bits.
pub const CODE_LENGTH: usize = 10;

/// What a QR picture holds: the portal's address, a code, and the beginning of the thumbprint of the tenant's signing
/// key, so that the device knows the true key from the first moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrollmentLink {
    /// Such as `https://portal.example`, without a path.
    pub portal: String,
    /// Grouped for people.
    pub code: String,
    /// The first 128 bits of the signing key's thumbprint (RFC 7638).
    pub portal_key: [u8; 16],
}

impl EnrollmentLink {
    /// Binds a code to the tenant's signing key.
    #[must_use]
    pub fn new(portal: String, code: String, signing_key: &Jwk) -> Self {
        Self { portal, code, portal_key: beginning(signing_key) }
    }
}

/// A browser does not send what stands after `#`.
impl fmt::Display for EnrollmentLink {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = URL_SAFE_NO_PAD.encode(self.portal_key);
        write!(out, "{}/enroll#{}.{key}", self.portal, self.code)
    }
}

impl FromStr for EnrollmentLink {
    type Err = EnrollmentLinkError;

    fn from_str(text: &str) -> Result<Self, EnrollmentLinkError> {
        let (portal, secret) = text.trim().split_once("/enroll#").ok_or(EnrollmentLinkError)?;
        let (code, key) = secret.split_once('.').ok_or(EnrollmentLinkError)?;
        let key = URL_SAFE_NO_PAD.decode(key).map_err(|_| EnrollmentLinkError)?;
        let is_web = portal.starts_with("https://") || portal.starts_with("http://");
        if !is_web || normal_code(code).len() != CODE_LENGTH {
            return Err(EnrollmentLinkError);
        }
        Ok(Self {
            portal: portal.to_owned(),
            code: code.to_owned(),
            portal_key: key.try_into().map_err(|_| EnrollmentLinkError)?,
        })
    }
}

/// Not an enrollment link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an enrollment link: it has /enroll# and a code in it")]
pub struct EnrollmentLinkError;

/// What kind of device it is. All as the device says; up to 100 characters each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `iOS`, `iPadOS`, `Linux`.
    pub os: String,
    /// Such as `18.1`.
    pub os_version: String,
    /// Such as `iPhone17,3`.
    pub model: String,
    /// The name its person gave it.
    pub device_name: String,
    /// Version of this program.
    pub app_version: String,
}

/// What the portal answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollReply {
    /// A [`bartizan_model::DeviceId`] as text.
    pub device_id: String,
    /// The organization's name, to show to the person.
    pub tenant_name: String,
    /// The tenant's signing key. The device compares it with what its token names, and keeps it.
    pub signing_key: Jwk,
    /// The portal's time, to correct the device's clock by.
    pub server_time_ms: u64,
}

/// Lets one device in, once: a secret, and the beginning of the thumbprint of the tenant's signing key.
///
/// Since the token comes from the administrator, the device knows the true key from the first moment,
/// whoever answers for the portal. Text form: `bze1.SECRET.KEY`, both base64url.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EnrollmentToken {
    /// 256 random bits; the portal keeps only their hash.
    pub secret: [u8; 32],
    /// The first 128 bits of the signing key's thumbprint (RFC 7638).
    pub portal_key: [u8; 16],
}

impl EnrollmentToken {
    /// Binds a secret to the tenant's signing key.
    #[must_use]
    pub fn new(secret: [u8; 32], signing_key: &Jwk) -> Self {
        Self { secret, portal_key: beginning(signing_key) }
    }

    /// Tells whether this is the key that the administrator meant.
    #[must_use]
    pub fn names(&self, signing_key: &Jwk) -> bool {
        self.portal_key == beginning(signing_key)
    }
}

fn beginning(key: &Jwk) -> [u8; 16] {
    let mut half = [0; 16];
    half.iter_mut().zip(key.thumbprint()).for_each(|(to, from)| *to = from);
    half
}

/// Shows the token; take care where.
impl fmt::Display for EnrollmentToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [secret, key] =
            [URL_SAFE_NO_PAD.encode(self.secret), URL_SAFE_NO_PAD.encode(self.portal_key)];
        write!(out, "{TOKEN_PREFIX}.{secret}.{key}")
    }
}

impl fmt::Debug for EnrollmentToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("EnrollmentToken(<private>)")
    }
}

/// Not an enrollment token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an enrollment token: it starts with {TOKEN_PREFIX}. and has three parts")]
pub struct EnrollmentTokenError;

impl FromStr for EnrollmentToken {
    type Err = EnrollmentTokenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.trim().split('.');
        let (Some(TOKEN_PREFIX), Some(secret), Some(key), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(EnrollmentTokenError);
        };
        let octets = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| EnrollmentTokenError);
        Ok(Self {
            secret: octets(secret)?.try_into().map_err(|_| EnrollmentTokenError)?,
            portal_key: octets(key)?.try_into().map_err(|_| EnrollmentTokenError)?,
        })
    }
}

const TOKEN_PREFIX: &str = "bze1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_and_hides_in_logs() {
        let signing_key =
            Jwk::from_portal_key(&ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key());
        let other_key =
            Jwk::from_portal_key(&ed25519_dalek::SigningKey::from_bytes(&[2; 32]).verifying_key());
        let token = EnrollmentToken::new([9; 32], &signing_key);
        assert_eq!(token.to_string().parse(), Ok(token));
        assert!(token.names(&signing_key) && !token.names(&other_key));
        assert_eq!(format!("{token:?}"), "EnrollmentToken(<private>)");
    }

    #[test]
    fn a_link_survives_its_text() {
        let key =
            Jwk::from_portal_key(&ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key());
        let link = EnrollmentLink::new("https://portal.example".into(), "ABCDE-FGHJK".into(), &key);
        assert_eq!(link.to_string().parse(), Ok(link.clone()));
        assert!(EnrollmentToken::new([1; 32], &key).portal_key == link.portal_key);
        for text in [
            "",
            "https://portal.example/enroll",
            "x/enroll#ABCDE-FGHJK.AA",
            "https://a/enroll#ABC.AA",
        ] {
            assert_eq!(text.parse::<EnrollmentLink>(), Err(EnrollmentLinkError), "{text}");
        }
    }

    #[test]
    fn a_code_is_one_however_it_is_typed() {
        for text in ["ABCDE-FGHJK", "abcdefghjk", " abc de fgh-jk "] {
            assert_eq!(normal_code(text), "ABCDEFGHJK");
        }
        assert_eq!(normal_code(&"a".repeat(1_000)).len(), 2 * CODE_LENGTH);
    }

    #[test]
    fn hardware_is_the_same_to_one_organization_alone() {
        let of = |id: &str, key| Installation::hardware_id(id, &[key; 16]);
        assert_eq!(of("a", 1), of("a", 1));
        assert!(of("a", 1) != of("a", 2) && of("a", 1) != of("b", 1));
        assert!(of("a", 1).len() == 43 && of("", 1).is_empty());
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for text in ["", "bze1", "bze1.a.b", "bze2.AAAA.AAAA", "bze1.AA.AA.AA"] {
            assert_eq!(text.parse::<EnrollmentToken>(), Err(EnrollmentTokenError), "{text}");
        }
    }
}
