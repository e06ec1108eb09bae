//! Signed heads, as the checkpoints of transparency logs are written (C2SP tlog-checkpoint and signed-note):
//!
//! ```text
//! bartizan/audit/1
//! 42
//! <root, Base64>
//! time 1800000000000
//!
//! — bartizan/audit/1 <Base64 of 4 octets that name the key, and the Ed25519 signature>
//! ```

use bartizan_model::{TenantId, UnixMillis};
use bartizan_store::AuditTree;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// The name of a tenant's log, and of the key that signs its heads.
pub(super) fn origin(tenant: TenantId) -> String {
    format!("bartizan/audit/{}", tenant.0)
}

/// Writes a head and signs it.
pub(super) fn sign(origin: &str, tree: AuditTree, at: UnixMillis, key: &SigningKey) -> String {
    let root = STANDARD.encode(tree.root);
    let text = format!("{origin}\n{}\n{root}\ntime {}\n", tree.size, at.0);
    let mut signed = key_id(origin, &key.verifying_key()).to_vec();
    signed.extend(key.sign(text.as_bytes()).to_bytes());
    format!("{text}\n\u{2014} {origin} {}\n", STANDARD.encode(signed))
}

/// A head that was read; nobody has looked at its signature yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) origin: String,
    pub(super) tree: AuditTree,
    pub(super) at: Option<UnixMillis>,
    text: String,
    signatures: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// Reads a note.
    pub(super) fn read(note: &str) -> Option<Self> {
        let (text, signatures) = note.rsplit_once("\n\n")?;
        let mut lines = text.lines();
        let origin = lines.next().filter(|origin| !origin.is_empty())?.to_owned();
        let size = lines.next()?.parse().ok()?;
        let root = STANDARD.decode(lines.next()?).ok()?.try_into().ok()?;
        let at = lines.find_map(|line| line.strip_prefix("time ")?.parse().ok()).map(UnixMillis);
        let signatures = signatures
            .lines()
            .map(|line| {
                let (name, octets) = line.strip_prefix("\u{2014} ")?.rsplit_once(' ')?;
                Some((name.to_owned(), STANDARD.decode(octets).ok()?))
            })
            .collect::<Option<_>>()?;
        let text = format!("{text}\n");
        Some(Self { origin, tree: AuditTree { size, root }, at, text, signatures })
    }

    /// Whether this key has signed it.
    pub(super) fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        let id = key_id(&self.origin, key);
        self.signatures.iter().any(|(name, octets)| {
            let signature =
                octets.strip_prefix(&id).and_then(|rest| Signature::from_slice(rest).ok());
            *name == self.origin
                && signature.is_some_and(|it| key.verify_strict(self.text.as_bytes(), &it).is_ok())
        })
    }
}

/// Tells keys of one name apart; 1 stands for Ed25519.
fn key_id(name: &str, key: &VerifyingKey) -> [u8; 4] {
    let digest = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', 1])
        .chain_update(key.as_bytes())
        .finalize();
    digest.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_and_its_signature_holds() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let tree = AuditTree { size: 42, root: [9; 32] };
        let note = sign("bartizan/audit/1", tree, UnixMillis(5), &key);
        let head = Head::read(&note).unwrap();
        assert_eq!((head.tree, head.at), (tree, Some(UnixMillis(5))));
        assert!(head.is_signed_by(&key.verifying_key()));
        assert!(!head.is_signed_by(&SigningKey::from_bytes(&[8; 32]).verifying_key()));
        let other = Head::read(&note.replacen("\n42\n", "\n43\n", 1)).unwrap();
        assert!(!other.is_signed_by(&key.verifying_key()));
    }

    #[test]
    fn what_is_no_head_is_not_read() {
        for text in
            ["", "\n\n", "a\n1\nx\n\n", "a\nb\nAA==\n\n\u{2014} a AA==\n", "a\n1\nAA==\n\nno dash"]
        {
            assert_eq!(Head::read(text), None, "{text:?}");
        }
    }
}
