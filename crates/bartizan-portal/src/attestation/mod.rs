//! App Attest: whether Apple vouches for a device's key, told offline, by Apple's "Validating apps that connect to your
//! server".
//!
//! Apple attests a key of an app's; what it signs over names the device's key ([`client_data_hash`]), so that
//! Apple's word about the one is the app's about the other.
//!
//! # What it does not do
//! - Ask Apple: neither its receipt, which a server can exchange for a measure of fraud, nor a list of revoked
//!   certificates, of which there is none for these.
//! - Read the public key in the authenticator data: the certificate has it, and that is what the key's name is compared with.
//!
//! # Invariants
//! - What a stranger sends is read up to a bound, and nothing of it is believed before its chain leads to a root.
//! - An attestation that does not hold is an error, never the absence of one.
//!
//! [`client_data_hash`]: bartizan_contract::attestation::client_data_hash

mod certificate;
pub(crate) mod challenge;
mod object;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use bartizan_model::UnixMillis;
use bartizan_store::Attestation;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use sha2::{Digest as _, Sha256};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert, ring};

use crate::v1::public_key::p256;
use object::{AuthData, Object};

/// Which apps a portal accepts attestations of.
#[derive(Clone, Debug, Default)]
pub struct AttestationSettings {
    /// Such as `A1B2C3D4E5.com.example.app`: the team's id and the app's. Without any, no attestation is accepted.
    pub app_ids: Vec<String>,
    /// Whether builds that are under development are accepted as well.
    pub allow_development: bool,
    /// Certificates in PEM to trust instead of Apple's.
    pub roots: Option<PathBuf>,
}

impl AttestationSettings {
    /// Refuses what could only fail later.
    ///
    /// # Errors
    /// An id is none, or the roots cannot be read.
    pub fn check(&self) -> anyhow::Result<()> {
        Verifier::open(self).map(drop)
    }
}

/// Why an attestation does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AttestationError {
    #[error("this portal accepts no attestations")]
    NotAccepted,
    #[error("its challenge is not this portal's and this key's, or is older than five minutes")]
    Challenge,
    #[error("it is no attestation of App Attest")]
    Malformed,
    #[error("its certificates do not lead to a root that is trusted here")]
    Chain,
    #[error("it was made for another challenge, device key or organization")]
    Nonce,
    #[error("it is about another key than it says")]
    KeyId,
    #[error("it is by an app that is not accepted here")]
    App,
    #[error("the key that it is about was used before")]
    Counter,
    #[error("it is by a build that is under development, which is not accepted here")]
    Development,
    #[error("it is of an environment that is not known")]
    Environment,
}

/// Verifies attestations.
pub(crate) struct Verifier {
    roots: Vec<TrustAnchor<'static>>,
    /// SHA-256 of each app's id.
    apps: Vec<[u8; 32]>,
    allow_development: bool,
}

impl Verifier {
    /// Reads the roots; `None` where no app is accepted.
    pub(crate) fn open(settings: &AttestationSettings) -> anyhow::Result<Option<Self>> {
        if settings.app_ids.is_empty() {
            return Ok(None);
        }
        for id in &settings.app_ids {
            let is_one = id.split_once('.').is_some_and(|(team, app)| {
                team.len() == 10
                    && team.bytes().all(|c| c.is_ascii_alphanumeric())
                    && !app.is_empty()
            });
            anyhow::ensure!(
                is_one,
                "attestation-app-ids: {id} is not the id of an app, as A1B2C3D4E5.com.example.app"
            );
        }
        let roots = match &settings.roots {
            None => roots(APPLE_ROOT)?,
            Some(path) => {
                let pem = std::fs::read(path).with_context(|| {
                    format!("attestation-roots: cannot read {}", path.display())
                })?;
                roots(&pem).with_context(|| format!("attestation-roots: {}", path.display()))?
            }
        };
        Ok(Some(Self {
            roots,
            apps: settings.app_ids.iter().map(|id| Sha256::digest(id).into()).collect(),
            allow_development: settings.allow_development,
        }))
    }

    /// Tells what vouches for the key of this name. The numbers are the steps of Apple's description.
    pub(crate) fn verify(
        &self,
        object: &[u8],
        key_id: &[u8],
        client_data_hash: &[u8; 32],
        now: UnixMillis,
    ) -> Result<Attestation, AttestationError> {
        let object = Object::parse(object).ok_or(AttestationError::Malformed)?;
        let auth_data = AuthData::parse(object.auth_data).ok_or(AttestationError::Malformed)?;
        // 1: the chain.
        let leaf = CertificateDer::from(object.leaf);
        let between: Vec<_> = object.between.iter().map(|der| CertificateDer::from(*der)).collect();
        let leaf = EndEntityCert::try_from(&leaf).map_err(|_| AttestationError::Chain)?;
        let time = UnixTime::since_unix_epoch(Duration::from_millis(now.0));
        leaf.verify_for_usage(
            ALGORITHMS,
            &self.roots,
            &between,
            time,
            // These certificates name no purpose.
            KeyUsage::client_auth(),
            None,
            None,
        )
        .map_err(|_| AttestationError::Chain)?;
        // 2 to 4: what was signed over.
        let nonce =
            Sha256::new().chain_update(object.auth_data).chain_update(client_data_hash).finalize();
        if certificate::nonce(object.leaf) != Some(nonce.as_slice()) {
            return Err(AttestationError::Nonce);
        }
        // 5 and 9: the key's name.
        let spki = leaf.subject_public_key_info();
        let point = p256(&spki).ok_or(AttestationError::KeyId)?;
        if Sha256::digest(point).as_slice() != key_id || auth_data.credential_id != key_id {
            return Err(AttestationError::KeyId);
        }
        // 6: the app.
        if !self.apps.contains(auth_data.rp_id_hash) {
            return Err(AttestationError::App);
        }
        // 7: a key that has signed nothing yet.
        if auth_data.counter != 0 {
            return Err(AttestationError::Counter);
        }
        // 8: the environment.
        match auth_data.aaguid {
            PRODUCTION => Ok(Attestation::Genuine),
            DEVELOPMENT if self.allow_development => Ok(Attestation::Development),
            DEVELOPMENT => Err(AttestationError::Development),
            _ => Err(AttestationError::Environment),
        }
    }
}

fn roots(pem: &[u8]) -> anyhow::Result<Vec<TrustAnchor<'static>>> {
    let mut roots = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem) {
        let der = der.context("not certificates in PEM")?;
        let root = anchor_from_trusted_cert(&der).context("not the certificate of a root")?;
        roots.push(root.to_owned());
    }
    anyhow::ensure!(!roots.is_empty(), "there is no certificate in it");
    Ok(roots)
}

/// Reads octets as an attestation object and as its first certificate, for the fuzzer and its replay.
pub(crate) fn fuzz(octets: &[u8]) {
    let settings = AttestationSettings {
        app_ids: vec!["A1B2C3D4E5.test.app".into()],
        allow_development: true,
        roots: None,
    };
    if let Ok(Some(verifier)) = Verifier::open(&settings) {
        let verified = verifier.verify(octets, &[7; 32], &[7; 32], UnixMillis(1_800_000_000_000));
        assert!(verified.is_err(), "only Apple can make one that holds");
    }
    let _ = certificate::nonce(octets);
    let _ = p256(octets);
}

/// What Apple signs these certificates by.
const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    ring::ECDSA_P256_SHA256,
    ring::ECDSA_P256_SHA384,
    ring::ECDSA_P384_SHA256,
    ring::ECDSA_P384_SHA384,
];
const PRODUCTION: &[u8; 16] = b"appattest\0\0\0\0\0\0\0";
const DEVELOPMENT: &[u8; 16] = b"appattestdevelop";
const APPLE_ROOT: &[u8] = include_bytes!("apple_app_attestation_root_ca.pem");

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::der::element;

    #[test]
    fn apple_s_root_is_whole() {
        assert_eq!(roots(APPLE_ROOT).unwrap().len(), 1);
        let der = CertificateDer::from_pem_slice(APPLE_ROOT).unwrap();
        let fingerprint: String =
            Sha256::digest(&der).iter().map(|octet| format!("{octet:02x}")).collect();
        let text = std::str::from_utf8(APPLE_ROOT).unwrap();
        assert!(text.contains(&format!("SHA-256 {fingerprint},")), "{fingerprint}");
        // It signed itself.
        let root = EndEntityCert::try_from(&der).unwrap();
        assert_eq!(root.subject(), root.issuer());
        let (body, _) = element(0x30, &der).unwrap();
        let (_, rest) = element(0x30, body).unwrap();
        let signed = &body[..body.len() - rest.len()];
        let (_, rest) = element(0x30, rest).unwrap();
        let (signature, _) = element(0x03, rest).unwrap();
        root.verify_signature(ring::ECDSA_P384_SHA384, signed, &signature[1..]).unwrap();
    }

    #[test]
    fn settings_are_read_or_told_what_is_wrong() {
        let open = |ids: &[&str], roots: Option<&Path>| {
            let settings = AttestationSettings {
                app_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
                allow_development: false,
                roots: roots.map(Path::to_owned),
            };
            Verifier::open(&settings).map(|verifier| verifier.is_some()).map_err(|e| e.to_string())
        };
        assert_eq!(open(&[], None), Ok(false));
        assert_eq!(open(&["A1B2C3D4E5.com.example.app"], None), Ok(true));
        for id in ["com.example.app", "A1B2C3D4E5.", "A1B2C3D4E5", ""] {
            assert!(open(&[id], None).unwrap_err().contains("is not the id of an app"), "{id}");
        }
        let none = Path::new("/there/is/none.pem");
        assert!(open(&["A1B2C3D4E5.a"], Some(none)).unwrap_err().contains("cannot read"));
        let empty = tempfile::NamedTempFile::new().unwrap();
        assert!(open(&["A1B2C3D4E5.a"], Some(empty.path())).unwrap_err().contains("roots"));
    }

    #[test]
    fn the_committed_corpus_is_replayed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/attestation");
        let mut files = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let octets = std::fs::read(entry.unwrap().path()).unwrap();
            fuzz(&octets);
            for at in 0..octets.len().min(400) {
                fuzz(&octets[..at]);
            }
            files += 1;
        }
        assert!(5 < files, "{files}");
    }
}
