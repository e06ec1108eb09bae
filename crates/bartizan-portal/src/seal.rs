//! Secrets that have to be read again, sealed: ChaCha20-Poly1305 under a key derived from the installation's.
//!
//! What it is good for: a column or a cookie by itself tells nothing and cannot be changed or moved. Whoever has the
//! whole database has the installation's key as well.
//!
//! # Invariants
//! - What is sealed for one purpose opens for no other.

use bartizan_model::Private;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;

use crate::random;

/// Seals and opens.
pub(crate) struct Sealer {
    key: LessSafeKey,
}

impl Sealer {
    /// Derives the key.
    pub(crate) fn new(installation: &Private<[u8; 32]>) -> anyhow::Result<Self> {
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &installation.0), PURPOSE);
        let key = UnboundKey::new(&CHACHA20_POLY1305, derived.as_ref())
            .map_err(|_| anyhow::anyhow!("the key for sealing has another length"))?;
        Ok(Self { key: LessSafeKey::new(key) })
    }

    /// Seals; 28 octets longer than what is given.
    pub(crate) fn seal(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>, getrandom::Error> {
        // 96 random bits: two alike are no matter before four billion seals.
        let nonce = random::<NONCE_LEN>()?;
        let mut sealed = plain.to_vec();
        let aad = Aad::from(purpose.as_bytes());
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .map_err(|_| getrandom::Error::UNEXPECTED)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens what was sealed for this purpose.
    pub(crate) fn open(&self, purpose: &str, sealed: &[u8]) -> Option<Private<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut opened = sealed.to_vec();
        let aad = Aad::from(purpose.as_bytes());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.key.open_in_place(nonce, aad, &mut opened).ok()?.len();
        opened.truncate(length);
        Some(Private(opened))
    }
}

/// So that the key is good for nothing else that is derived from the installation's.
const PURPOSE: &[u8] = b"bartizan seal 1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_purpose_and_as_it_was() {
        let sealer = Sealer::new(&Private([1; 32])).unwrap();
        let sealed = sealer.seal("a", b"secret").unwrap();
        assert_eq!(sealed.len(), 6 + 28);
        assert_eq!(sealer.open("a", &sealed).unwrap().0, b"secret");
        assert!(sealer.open("b", &sealed).is_none());
        assert!(Sealer::new(&Private([2; 32])).unwrap().open("a", &sealed).is_none());
        assert_ne!(sealer.seal("a", b"secret").unwrap(), sealed);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(sealer.open("a", &changed).is_none(), "octet {at}");
            assert!(sealer.open("a", &sealed[..at]).is_none(), "cut at {at}");
        }
    }
}
