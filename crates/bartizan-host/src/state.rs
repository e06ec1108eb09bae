//! What a device keeps on its disk.
//!
//! | File | What |
//! |---|---|
//! | `identity.json` | device id, private key, portal, the tenant's signing key; mode 0600 |
//! | `enrolling.key` | the private key, from the first try to enroll until there is an identity; mode 0600 |
//! | `policy.jws` | the policy in use, as the portal signed it |
//! | `indicators.bin` | the indicator file in use, as the portal signed it |
//! | `tenant.bin` | the organization's own indicators, likewise |
//! | `passes.json` | warnings that a person has passed; mode 0600 |
//! | `agent.sock` | where a person at the device asks the running agent ([`crate::pass`]) |
//! | `alerts/` | alerts the portal has not taken yet ([`crate::spool`]) |
//! | `status.json` | how the device is, for people and programs to read |
//!
//! # Invariants
//! - A file is replaced whole or not at all: written beside, flushed, renamed.
//! - What is read back is verified again; a file that fails is as good as absent, and said so.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bartizan_contract::keys::Jwk;
use bartizan_contract::policy::PolicyDocument;
use bartizan_contract::signed;
use bartizan_engine::passes::{Lister, Pass, Passes};
use bartizan_indicators::{IndicatorFile, Octets, TenantFile, mapping};
use bartizan_model::{DeviceId, Policy, UnixMillis};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::VerifyingKey;
use p256::ecdsa::SigningKey;
use serde::{Deserialize, Serialize};

use crate::random;

/// The folder.
#[derive(Clone, Debug)]
pub struct StateDir {
    root: PathBuf,
}

/// Who the device is, once it has enrolled.
#[derive(Clone)]
pub struct Identity {
    /// As the portal named it.
    pub device: DeviceId,
    /// Never leaves the device.
    pub key: SigningKey,
    /// Signs what the device obeys.
    pub portal_key: VerifyingKey,
    /// Where the portal is: scheme, host and port.
    pub portal_url: String,
    /// To show to the person.
    pub tenant_name: String,
}

/// A [`Pass`] on disk.
#[derive(Serialize, Deserialize)]
struct PassEntry {
    entry: Box<str>,
    /// Whether the organization itself lists it.
    own: bool,
    granted_at_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct IdentityFile {
    device_id: String,
    private_key: String,
    signing_key: Jwk,
    portal_url: String,
    tenant_name: String,
}

impl StateDir {
    /// Opens the folder, making it if need be.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(root.join("alerts"));
        made.with_context(|| format!("cannot make {}", root.display()))?;
        Ok(Self::at(root))
    }

    /// Takes the folder as it is, for who only reads; it may be absent.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Reads who the device is.
    ///
    /// # Errors
    /// There is an identity, but it cannot be read: better to stop than to enroll a second time.
    pub fn identity(&self) -> anyhow::Result<Option<Identity>> {
        let path = self.root.join("identity.json");
        let json = match fs::read(&path) {
            Ok(json) => json,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let read = || -> anyhow::Result<Identity> {
            let file: IdentityFile = serde_json::from_slice(&json)?;
            Ok(Identity {
                device: file.device_id.parse()?,
                key: SigningKey::from_slice(&URL_SAFE_NO_PAD.decode(&file.private_key)?)?,
                portal_key: file.signing_key.portal_key()?,
                portal_url: file.portal_url,
                tenant_name: file.tenant_name,
            })
        };
        let damaged = || {
            format!("{} is damaged; remove it and enroll again with a new token", path.display())
        };
        read().with_context(damaged).map(Some)
    }

    /// Returns the key to enroll with: one and the same for every try, so that a portal whose answer was
    /// lost knows the device again.
    ///
    /// # Errors
    /// The disk does not give or take it.
    pub fn enrolling_key(&self) -> anyhow::Result<SigningKey> {
        let path = self.root.join("enrolling.key");
        if let Ok(text) = fs::read_to_string(&path)
            && let Ok(octets) = URL_SAFE_NO_PAD.decode(text.trim())
            && let Ok(key) = SigningKey::from_slice(&octets)
        {
            return Ok(key);
        }
        let key = new_device_key();
        self.replace("enrolling.key", URL_SAFE_NO_PAD.encode(key.to_bytes()).as_bytes())?;
        Ok(key)
    }

    /// Keeps who the device is.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn keep_identity(&self, identity: &Identity) -> anyhow::Result<()> {
        let file = IdentityFile {
            device_id: identity.device.to_string(),
            private_key: URL_SAFE_NO_PAD.encode(identity.key.to_bytes()),
            signing_key: Jwk::from_portal_key(&identity.portal_key),
            portal_url: identity.portal_url.clone(),
            tenant_name: identity.tenant_name.clone(),
        };
        self.replace("identity.json", &serde_json::to_vec_pretty(&file)?)?;
        // The identity holds the key from here on. A file that stays is not used again.
        let _ = fs::remove_file(self.root.join("enrolling.key"));
        Ok(())
    }

    /// Reads the policy in use, verified; `None` if there is none that can be used.
    #[must_use]
    pub fn policy(&self, identity: &Identity) -> Option<Policy> {
        let sealed = fs::read_to_string(self.root.join("policy.jws")).ok()?;
        verify_policy(&sealed, identity)
            .inspect_err(|error| tracing::warn!(error = %error, "kept policy not usable"))
            .ok()
    }

    /// Keeps a policy that was verified.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn keep_policy(&self, sealed: &str) -> anyhow::Result<()> {
        self.replace("policy.jws", sealed.as_bytes())
    }

    /// Opens the indicator file in use; `None` if there is none that can be used. Pages are verified as they are read.
    #[must_use]
    pub fn indicators(&self, identity: &Identity) -> Option<IndicatorFile> {
        let octets = mapping::map(&self.root.join(INDICATORS)).ok()?;
        IndicatorFile::open(octets, &identity.portal_key, 0)
            .inspect_err(|error| tracing::warn!(error = %error, "kept indicator file not usable"))
            .ok()
    }

    /// Opens the tenant file in use; `None` if there is none that can be used.
    #[must_use]
    pub fn tenant(&self, identity: &Identity) -> Option<TenantFile> {
        let octets = mapping::map(&self.root.join(TENANT)).ok()?;
        TenantFile::open(octets, &identity.portal_key, 0)
            .inspect_err(|error| tracing::warn!(error = %error, "kept tenant file not usable"))
            .ok()
    }

    /// Starts a file that is to replace another once it is whole.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(crate) fn unfinished(&self, name: &'static str) -> anyhow::Result<Unfinished> {
        let beside = self.root.join(format!("{name}.new"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)
            .with_context(|| format!("cannot write {}", beside.display()))?;
        Ok(Unfinished { folder: self.root.clone(), name, file })
    }

    /// Reads the warnings that a person has passed; none if there are none that can be read.
    #[must_use]
    pub fn passes(&self) -> Passes {
        let Ok(json) = fs::read(self.root.join("passes.json")) else { return Passes::default() };
        let entries: Vec<PassEntry> = serde_json::from_slice(&json)
            .inspect_err(|error| tracing::warn!(error = %error, "passed warnings not usable"))
            .unwrap_or_default();
        Passes::restore(entries.into_iter().map(|kept| Pass {
            entry: kept.entry,
            lister: if kept.own { Lister::Tenant } else { Lister::Feed },
            granted_at: UnixMillis(kept.granted_at_ms),
        }))
    }

    /// Keeps the warnings that a person has passed.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn keep_passes(&self, passes: &[Pass]) -> anyhow::Result<()> {
        let entries = passes.iter().map(|pass| PassEntry {
            entry: pass.entry.clone(),
            own: pass.lister == Lister::Tenant,
            granted_at_ms: pass.granted_at.0,
        });
        self.replace("passes.json", &serde_json::to_vec_pretty(&entries.collect::<Vec<_>>())?)
    }

    /// Shows how the device is. Whole or not at all, but not flushed: nothing depends on it.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn show_status(&self, status: &impl Serialize) -> anyhow::Result<()> {
        let beside = self.root.join("status.json.new");
        fs::write(&beside, serde_json::to_vec_pretty(status)?)?;
        fs::rename(&beside, self.root.join("status.json")).context("cannot show the status")
    }

    /// Returns where alerts wait.
    #[must_use]
    pub fn alerts(&self) -> PathBuf {
        self.root.join("alerts")
    }

    fn replace(&self, name: &str, octets: &[u8]) -> anyhow::Result<()> {
        replace(&self.root, name, octets)
            .with_context(|| format!("cannot write {}", self.root.join(name).display()))
    }
}

/// Checks a sealed policy: signed by the tenant, for this device, and understood.
///
/// # Errors
/// Why it is not to be used.
pub fn verify_policy(sealed: &str, identity: &Identity) -> anyhow::Result<Policy> {
    let document: PolicyDocument = signed::open(sealed, &identity.portal_key)?;
    if document.device_id != identity.device.to_string() {
        bail!("policy is for another device");
    }
    document.policy().context("policy asks for something this version does not know")
}

/// Tries until the octets are a valid scalar, which nearly all are.
fn new_device_key() -> SigningKey {
    loop {
        if let Ok(key) = SigningKey::from_slice(&random::octets::<32>()) {
            return key;
        }
    }
}

/// A file beside the one that it is to replace.
pub(crate) struct Unfinished {
    folder: PathBuf,
    name: &'static str,
    file: File,
}

impl Unfinished {
    /// Writes octets at a place.
    pub(crate) fn write_at(&self, at: u64, octets: &[u8]) -> io::Result<()> {
        self.file.write_all_at(octets, at)
    }

    /// Maps what was written. Nothing may be written after that.
    pub(crate) fn map(&self) -> io::Result<Octets> {
        mapping::map(&self.beside())
    }

    /// Gives it its name, and returns once that is on disk.
    pub(crate) fn finish(&self) -> anyhow::Result<()> {
        let finished = || -> io::Result<()> {
            self.file.sync_all()?;
            fs::rename(self.beside(), self.folder.join(self.name))?;
            File::open(&self.folder)?.sync_all()
        };
        finished()
            .with_context(|| format!("cannot write {}", self.folder.join(self.name).display()))
    }

    fn beside(&self) -> PathBuf {
        self.folder.join(format!("{}.new", self.name))
    }
}

impl Write for Unfinished {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.file.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Replaces a file whole or not at all, and returns once that is on disk.
pub(crate) fn replace(folder: &Path, name: &str, octets: &[u8]) -> io::Result<()> {
    let beside = folder.join(format!("{name}.new"));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(octets)?;
    file.sync_all()?;
    fs::rename(&beside, folder.join(name))?;
    File::open(folder)?.sync_all()
}

/// Name of the indicator file.
pub(crate) const INDICATORS: &str = "indicators.bin";
/// Name of the tenant file.
pub(crate) const TENANT: &str = "tenant.bin";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_and_a_damaged_one_is_not_taken_for_none() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        assert!(state.identity().unwrap().is_none());
        state.keep_identity(&identity()).unwrap();
        let read = state.identity().unwrap().unwrap();
        assert_eq!((read.device, read.key), (identity().device, identity().key));

        fs::write(folder.path().join("identity.json"), "{").unwrap();
        let error = state.identity().err().unwrap().to_string();
        assert!(
            error.ends_with("is damaged; remove it and enroll again with a new token"),
            "{error}"
        );
    }

    #[test]
    fn a_policy_for_another_device_or_by_another_key_is_not_used() {
        let sealed = |device: DeviceId, key: u8| {
            let document = PolicyDocument::new(device.to_string(), &Policy::default());
            signed::seal(&document, &ed25519_dalek::SigningKey::from_bytes(&[key; 32]))
        };
        assert_eq!(verify_policy(&sealed(DeviceId(1), 2), &identity()).unwrap(), Policy::default());
        let error = verify_policy(&sealed(DeviceId(2), 2), &identity()).unwrap_err();
        assert_eq!(error.to_string(), "policy is for another device");
        let error = verify_policy(&sealed(DeviceId(1), 3), &identity()).unwrap_err();
        assert_eq!(error.to_string(), "signature is wrong");
    }

    #[test]
    fn passes_survive_and_a_damaged_file_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let read = || state.passes().snapshot().cloned().collect::<Vec<_>>();
        assert_eq!(read(), []);
        let passes = [Lister::Feed, Lister::Tenant].map(|lister| Pass {
            entry: "evil.test".into(),
            lister,
            granted_at: UnixMillis(7),
        });
        state.keep_passes(&passes).unwrap();
        assert_eq!(read(), passes);
        fs::write(folder.path().join("passes.json"), "[{").unwrap();
        assert_eq!(read(), []);
    }

    fn identity() -> Identity {
        Identity {
            device: DeviceId(1),
            key: SigningKey::from_slice(&[1; 32]).unwrap(),
            portal_key: ed25519_dalek::SigningKey::from_bytes(&[2; 32]).verifying_key(),
            portal_url: "https://portal.example".into(),
            tenant_name: "Example".into(),
        }
    }
}
