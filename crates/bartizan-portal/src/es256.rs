//! Signatures of devices, checked by the assembly of `ring` and not by the plain Rust that devices carry.
//!
//! A portal checks one with every request, which is most of what a request costs.

use p256::ecdsa::VerifyingKey;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

/// Tells whether `signature`, r and s, is the key's over `signed`.
pub(crate) fn holds(key: &VerifyingKey, signed: &[u8], signature: &[u8]) -> bool {
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.to_sec1_point(false));
    key.verify(signed, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use bartizan_contract::jws;
    use p256::ecdsa::SigningKey;
    use p256::ecdsa::signature::Signer as _;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_exactly_what_plain_rust_holds(
            // 255 times 32 is beyond the order of the curve, hence no key.
            seed in 1_u8..255,
            text: Vec<u8>,
            flipped in proptest::option::of(0_usize..64),
        ) {
            let key = SigningKey::from_slice(&[seed; 32]).unwrap();
            let signature: p256::ecdsa::Signature = key.sign(&text);
            let mut signature: [u8; 64] = signature.to_bytes().into();
            if let Some(at) = flipped {
                signature[at] ^= 1;
            }
            let plain = jws::holds(key.verifying_key(), &text, &signature);
            prop_assert_eq!(holds(key.verifying_key(), &text, &signature), plain);
            prop_assert_eq!(plain, flipped.is_none());
        }
    }

    #[test]
    fn what_is_no_signature_does_not_hold() {
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        for signature in [&[][..], &[0; 64], &[0xff; 64], &[1; 65]] {
            assert!(!holds(key.verifying_key(), b"text", signature), "{signature:?}");
        }
    }
}
