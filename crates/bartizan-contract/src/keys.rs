//! Public keys as JSON Web Keys, and their thumbprints (RFC 7517, RFC 8037, RFC 7638).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::VerifyingKey as PortalKey;
use p256::ecdsa::VerifyingKey as DeviceKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A public key as JSON: a device's (`EC`, `P-256`) or a portal's (`OKP`, `Ed25519`).
///
/// The order of the fields is that of RFC 7638 §3.2, so that the thumbprint hashes this very text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// `P-256` or `Ed25519`.
    pub crv: String,
    /// `EC` or `OKP`.
    pub kty: String,
    /// First coordinate, or the whole of an Ed25519 key; base64url.
    pub x: String,
    /// Second coordinate of a P-256 key; base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
}

/// A key is not of the kind, curve or form that is asked for here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a public key of the expected kind")]
pub struct BadKey;

impl Jwk {
    /// Writes a device's key.
    #[must_use]
    pub fn from_device_key(key: &DeviceKey) -> Self {
        let point = key.to_sec1_point(false);
        let coordinate = |octets: Option<&[u8]>| URL_SAFE_NO_PAD.encode(octets.unwrap_or_default());
        let (x, y) = (point.x().map(|x| x.as_slice()), point.y().map(|y| y.as_slice()));
        Self { crv: "P-256".into(), kty: "EC".into(), x: coordinate(x), y: Some(coordinate(y)) }
    }

    /// Writes a portal's key.
    #[must_use]
    pub fn from_portal_key(key: &PortalKey) -> Self {
        Self {
            crv: "Ed25519".into(),
            kty: "OKP".into(),
            x: URL_SAFE_NO_PAD.encode(key.as_bytes()),
            y: None,
        }
    }

    /// Reads a device's key; the point is checked to lie on the curve.
    ///
    /// # Errors
    /// Another kind of key, or no key at all.
    pub fn device_key(&self) -> Result<DeviceKey, BadKey> {
        let (Some(y), "EC", "P-256") = (&self.y, self.kty.as_str(), self.crv.as_str()) else {
            return Err(BadKey);
        };
        let mut sec1 = vec![0x04];
        sec1.extend(coordinate(&self.x)?);
        sec1.extend(coordinate(y)?);
        DeviceKey::from_sec1_bytes(&sec1).map_err(|_| BadKey)
    }

    /// Reads a portal's key.
    ///
    /// # Errors
    /// Another kind of key, or no key at all.
    pub fn portal_key(&self) -> Result<PortalKey, BadKey> {
        if self.kty != "OKP" || self.crv != "Ed25519" {
            return Err(BadKey);
        }
        PortalKey::from_bytes(&coordinate(&self.x)?).map_err(|_| BadKey)
    }

    /// Returns the key's name: SHA-256 of its canonical JSON (RFC 7638 §3).
    #[must_use]
    pub fn thumbprint(&self) -> [u8; 32] {
        let canonical = match &self.y {
            Some(y) => format!(
                r#"{{"crv":"{}","kty":"{}","x":"{}","y":"{y}"}}"#,
                self.crv, self.kty, self.x
            ),
            None => format!(r#"{{"crv":"{}","kty":"{}","x":"{}"}}"#, self.crv, self.kty, self.x),
        };
        Sha256::digest(canonical).into()
    }
}

fn coordinate(text: &str) -> Result<[u8; 32], BadKey> {
    URL_SAFE_NO_PAD.decode(text).ok().and_then(|octets| octets.try_into().ok()).ok_or(BadKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037 Appendix A.3.
    #[test]
    fn the_thumbprint_of_rfc_8037() {
        let key = Jwk {
            crv: "Ed25519".into(),
            kty: "OKP".into(),
            x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into(),
            y: None,
        };
        assert_eq!(
            URL_SAFE_NO_PAD.encode(key.thumbprint()),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    /// RFC 9449 Figure 9 gives this thumbprint for the key of its Figure 2.
    #[test]
    fn the_thumbprint_of_rfc_9449() {
        let key = Jwk {
            crv: "P-256".into(),
            kty: "EC".into(),
            x: "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs".into(),
            y: Some("9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA".into()),
        };
        assert_eq!(
            URL_SAFE_NO_PAD.encode(key.thumbprint()),
            "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
        );
        assert_eq!(Jwk::from_device_key(&key.device_key().unwrap()), key);
    }

    #[test]
    fn a_point_off_the_curve_is_no_key() {
        let mut key = Jwk::from_device_key(
            p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap().verifying_key(),
        );
        key.y = Some(key.x.clone());
        assert_eq!(key.device_key(), Err(BadKey));
        assert_eq!(key.portal_key(), Err(BadKey));
    }
}
