//! Secrets of sinks, sealed for the database: AES-256-GCM under a key that follows from the installation's.
//!
//! # Invariants
//! - A tenant's secrets open for that tenant alone.

use bartizan_model::{Private, TenantId};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::Sha256;

use super::settings::Secrets;
use crate::random;

/// Seals and opens.
pub(crate) struct Seal {
    key: LessSafeKey,
}

/// What was sealed does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the secrets of this sink do not open: they were sealed by another installation; enter them again"
)]
pub(crate) struct Sealed;

impl Seal {
    /// Derives the key from the installation's.
    pub(crate) fn new(installation: &Private<[u8; 32]>) -> Result<Self, Sealed> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&installation.0).map_err(|_| Sealed)?;
        mac.update(b"bartizan: secrets of sinks");
        let key =
            UnboundKey::new(&AES_256_GCM, &mac.finalize().into_bytes()).map_err(|_| Sealed)?;
        Ok(Self { key: LessSafeKey::new(key) })
    }

    /// Seals for a tenant.
    pub(crate) fn seal(
        &self,
        tenant: TenantId,
        secrets: &Secrets,
    ) -> anyhow::Result<Private<Vec<u8>>> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut octets = serde_json::to_vec(secrets)?;
        let bound = Aad::from(tenant.0.to_be_bytes());
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound, &mut octets)
            .map_err(|_| Sealed)?;
        Ok(Private([&nonce[..], &octets].concat()))
    }

    /// Opens what was sealed for a tenant.
    pub(crate) fn open(
        &self,
        tenant: TenantId,
        sealed: &Private<Vec<u8>>,
    ) -> Result<Secrets, Sealed> {
        let (nonce, octets) = sealed.0.split_first_chunk::<NONCE_LEN>().ok_or(Sealed)?;
        let mut octets = octets.to_vec();
        let bound = Aad::from(tenant.0.to_be_bytes());
        let plain = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), bound, &mut octets)
            .map_err(|_| Sealed)?;
        serde_json::from_slice(plain).map_err(|_| Sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_tenant_and_nobody_else() {
        let seal = Seal::new(&Private([1; 32])).unwrap();
        let secrets = Secrets { password: "secret word".into(), ..Secrets::default() };
        let sealed = seal.seal(TenantId(1), &secrets).unwrap();
        assert!(!String::from_utf8_lossy(&sealed.0).contains("secret word"));
        assert_eq!(seal.open(TenantId(1), &sealed), Ok(secrets.clone()));
        assert_eq!(seal.open(TenantId(2), &sealed), Err(Sealed));
        assert_eq!(Seal::new(&Private([2; 32])).unwrap().open(TenantId(1), &sealed), Err(Sealed));
        let cut = Private(sealed.0[..sealed.0.len() - 1].to_vec());
        assert_eq!(seal.open(TenantId(1), &cut), Err(Sealed));
        assert_eq!(seal.open(TenantId(1), &Private(Vec::new())), Err(Sealed));
        assert_ne!(seal.seal(TenantId(1), &secrets).unwrap(), sealed, "no nonce comes twice");
    }
}
