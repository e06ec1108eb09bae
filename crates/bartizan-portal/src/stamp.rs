//! Text that only this portal makes and reads: octets with an authentication code, in Base64url. Not secret.
//!
//! # Invariants
//! - What was made for one purpose is not read for another.

use bartizan_model::Private;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Makes and reads it.
pub(crate) struct Stamper {
    key: Private<[u8; 32]>,
}

impl Stamper {
    pub(crate) fn new(key: Private<[u8; 32]>) -> Self {
        Self { key }
    }

    /// Makes text of octets.
    pub(crate) fn stamp(&self, purpose: &str, octets: &[u8]) -> String {
        let code = self.mac(purpose, octets).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode([octets, &code].concat())
    }

    /// Reads it back; the code is compared in constant time.
    pub(crate) fn open(&self, purpose: &str, text: &str) -> Option<Vec<u8>> {
        let mut octets = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (read, code) = octets.split_at_checked(octets.len().checked_sub(CODE_LEN)?)?;
        self.mac(purpose, read).verify_slice(code).ok()?;
        octets.truncate(octets.len().saturating_sub(CODE_LEN));
        Some(octets)
    }

    fn mac(&self, purpose: &str, octets: &[u8]) -> Hmac<Sha256> {
        // A key of the block's size, which any 32 octets padded with zeros are (RFC 2104 §2).
        let mut key = [0_u8; 64];
        key.iter_mut().zip(self.key.0).for_each(|(to, from)| *to = from);
        let mut mac = Hmac::<Sha256>::new(&key.into());
        mac.update(purpose.as_bytes());
        // No purpose holds a zero, so none is another's beginning.
        mac.update(&[0]);
        mac.update(octets);
        mac
    }
}

const CODE_LEN: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_sealed_is_read_back_for_its_purpose_alone(octets: Vec<u8>, at: usize) {
            let stamper = Stamper::new(Private([1; 32]));
            let text = stamper.stamp("a", &octets);
            prop_assert_eq!(stamper.open("a", &text), Some(octets));
            prop_assert_eq!(stamper.open("b", &text), None);
            prop_assert_eq!(Stamper::new(Private([2; 32])).open("a", &text), None);
            let mut changed = URL_SAFE_NO_PAD.decode(&text).unwrap();
            let at = at % changed.len();
            changed[at] ^= 1;
            prop_assert_eq!(stamper.open("a", &URL_SAFE_NO_PAD.encode(changed)), None);
        }

        #[test]
        fn no_text_is_too_strange(text: String) {
            prop_assert_eq!(Stamper::new(Private([1; 32])).open("a", &text), None);
        }
    }
}
