//! Signed configuration profiles: the profile in a CMS `SignedData` (RFC 5652), as iPhones and iPads take it.
//!
//! # What it does not do
//! - Say whether a device will believe the certificate: its chain is put in, and the device decides.
//! - Encrypt.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bartizan_model::UnixMillis;
use rustls::SignatureScheme;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256, Sha384};

use crate::der::{self, FIRST, GENERALIZED_TIME, INTEGER, OBJECT, OCTETS, SET, UTC_TIME};

/// A certificate with its chain and its key.
#[derive(Clone)]
pub struct ProfileSigner {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<dyn rustls::sign::SigningKey>,
    issuer: Vec<u8>,
    number: Vec<u8>,
    algorithm: Algorithm,
}

/// What a key can make signatures by, of those that devices understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    RsaSha256,
    P256Sha256,
    P384Sha384,
}

/// Why profiles cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum BadSigner {
    /// A file is not what it has to be.
    #[error("{file}: {reason}")]
    File {
        /// Its name.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The two files have nothing to do with each other.
    #[error("the key does not belong to the certificate that signs profiles: {0}")]
    Pair(String),
    /// Devices do not understand signatures by such a key.
    #[error("profiles are signed by a key of RSA, P-256 or P-384; this one is of another kind")]
    Kind,
    /// The key made no signature.
    #[error("the profile was not signed: {0}")]
    Signature(String),
}

impl fmt::Debug for ProfileSigner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It holds a key.
        out.write_str("ProfileSigner")
    }
}

impl ProfileSigner {
    /// Reads a certificate, with its chain after it, and its key, in PEM.
    ///
    /// # Errors
    /// A file cannot be read or used.
    pub fn open(certificate: &Path, key: &Path) -> Result<Self, BadSigner> {
        let bad = |file: &Path, reason: String| BadSigner::File {
            file: file.display().to_string(),
            reason,
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| bad(certificate, format!("no certificates in PEM: {error}")))?;
        let key_der = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| bad(key, format!("no private key in PEM: {error}")))?;
        let (issuer, number) = chain
            .first()
            .and_then(|first| der::issuer_and_number(first))
            .map(|(issuer, number)| (issuer.to_vec(), number.to_vec()))
            .ok_or_else(|| bad(certificate, "no certificate in PEM".to_owned()))?;
        let provider = rustls::crypto::ring::default_provider();
        let pair = CertifiedKey::from_der(chain, key_der, &provider)
            .map_err(|error| BadSigner::Pair(error.to_string()))?;
        let algorithm = Algorithm::ALL.into_iter().find(|it| it.signer(&*pair.key).is_some());
        Ok(Self {
            chain: pair.cert,
            key: pair.key,
            issuer,
            number,
            algorithm: algorithm.ok_or(BadSigner::Kind)?,
        })
    }

    /// Returns the profile with a signature made `now`.
    ///
    /// # Errors
    /// The key made none.
    pub fn sign(&self, profile: &str, now: UnixMillis) -> Result<Vec<u8>, BadSigner> {
        let digest = self.algorithm.digest(profile.as_bytes());
        let signed_at = signing_time(now).map_err(BadSigner::Signature)?;
        let attributes = vec![
            attribute(CONTENT_TYPE, der::value(OBJECT, DATA)),
            attribute(SIGNING_TIME, signed_at),
            attribute(MESSAGE_DIGEST, der::value(OCTETS, &digest)),
        ];
        // Signed as a set, and written under another tag (RFC 5652 §5.4).
        let signer = self.algorithm.signer(&*self.key).ok_or(BadSigner::Kind)?;
        let signature = signer
            .sign(&der::set(SET, attributes.clone()))
            .map_err(|error| BadSigner::Signature(error.to_string()))?;
        let signer_info = der::sequence(&[
            &der::value(INTEGER, &[1]),
            &der::sequence(&[&self.issuer, &self.number]),
            &self.algorithm.of_digest(),
            &der::set(FIRST, attributes),
            &self.algorithm.of_signature(),
            &der::value(OCTETS, &signature),
        ]);
        let content = der::value(FIRST, &der::value(OCTETS, profile.as_bytes()));
        let certificates = self.chain.iter().map(|certificate| certificate.to_vec()).collect();
        let signed_data = der::sequence(&[
            &der::value(INTEGER, &[1]),
            &der::set(SET, vec![self.algorithm.of_digest()]),
            &der::sequence(&[&der::value(OBJECT, DATA), &content]),
            &der::set(FIRST, certificates),
            &der::set(SET, vec![signer_info]),
        ]);
        Ok(der::sequence(&[&der::value(OBJECT, SIGNED_DATA), &der::value(FIRST, &signed_data)]))
    }
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::RsaSha256, Self::P256Sha256, Self::P384Sha384];

    fn signer(self, key: &dyn rustls::sign::SigningKey) -> Option<Box<dyn rustls::sign::Signer>> {
        key.choose_scheme(&[match self {
            Self::RsaSha256 => SignatureScheme::RSA_PKCS1_SHA256,
            Self::P256Sha256 => SignatureScheme::ECDSA_NISTP256_SHA256,
            Self::P384Sha384 => SignatureScheme::ECDSA_NISTP384_SHA384,
        }])
    }

    fn digest(self, octets: &[u8]) -> Vec<u8> {
        match self {
            Self::RsaSha256 | Self::P256Sha256 => Sha256::digest(octets).to_vec(),
            Self::P384Sha384 => Sha384::digest(octets).to_vec(),
        }
    }

    fn of_digest(self) -> Vec<u8> {
        der::sequence(&[&der::value(
            OBJECT,
            match self {
                Self::RsaSha256 | Self::P256Sha256 => SHA256,
                Self::P384Sha384 => SHA384,
            },
        )])
    }

    fn of_signature(self) -> Vec<u8> {
        match self {
            Self::RsaSha256 => der::sequence(&[&der::value(OBJECT, RSA), NULL]),
            Self::P256Sha256 => der::sequence(&[&der::value(OBJECT, ECDSA_SHA256)]),
            Self::P384Sha384 => der::sequence(&[&der::value(OBJECT, ECDSA_SHA384)]),
        }
    }
}

fn attribute(kind: &[u8], value: Vec<u8>) -> Vec<u8> {
    der::sequence(&[&der::value(OBJECT, kind), &der::set(SET, vec![value])])
}

/// `UTCTime` until 2049, and `GeneralizedTime` after that (RFC 5652 §11.3).
fn signing_time(now: UnixMillis) -> Result<Vec<u8>, String> {
    let milliseconds = i64::try_from(now.0).map_err(|error| error.to_string())?;
    let time =
        jiff::Timestamp::from_millisecond(milliseconds).map_err(|error| error.to_string())?;
    let text = time.strftime("%Y%m%d%H%M%SZ").to_string();
    Ok(match text.strip_prefix("20") {
        Some(short) if short < "5" => der::value(UTC_TIME, short.as_bytes()),
        _ => der::value(GENERALIZED_TIME, text.as_bytes()),
    })
}

// Object identifiers, as they are written.
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 3];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 4];
const SIGNING_TIME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 5];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
const SHA384: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2];
/// `sha256WithRSAEncryption`.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11];
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
const NULL: &[u8] = &[5, 0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_written_as_it_was_meant() {
        let time = |s: u64| signing_time(UnixMillis(s * 1_000)).unwrap();
        assert_eq!(time(1_800_000_000), der::value(UTC_TIME, b"270115080000Z"));
        assert_eq!(time(2_524_607_999), der::value(UTC_TIME, b"491231235959Z"));
        assert_eq!(time(2_524_608_000), der::value(GENERALIZED_TIME, b"20500101000000Z"));
    }

    #[test]
    fn what_cannot_sign_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let made = rcgen::generate_simple_self_signed(vec!["profiles.test".into()]).unwrap();
        let certificate = write("certificate.pem", &made.cert.pem());
        let key = write("key.pem", &made.signing_key.serialize_pem());
        assert!(ProfileSigner::open(&certificate, &key).is_ok());
        let other = rcgen::KeyPair::generate().unwrap();
        let other = write("other.pem", &other.serialize_pem());
        let error = |certificate: &Path, key: &Path| {
            ProfileSigner::open(certificate, key).unwrap_err().to_string()
        };
        assert!(error(&certificate, &other).contains("does not belong to the certificate"));
        assert!(error(&key, &key).contains("no certificate in PEM"));
        assert!(error(&certificate, &certificate).contains("no private key in PEM"));
        assert!(error(&folder.path().join("absent"), &key).contains("absent"));
        let of_ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let params = rcgen::CertificateParams::new(vec!["profiles.test".to_owned()]).unwrap();
        let signed = write("ed.pem", &params.self_signed(&of_ed25519).unwrap().pem());
        let key = write("ed-key.pem", &of_ed25519.serialize_pem());
        assert!(error(&signed, &key).contains("RSA, P-256 or P-384"));
    }
}
