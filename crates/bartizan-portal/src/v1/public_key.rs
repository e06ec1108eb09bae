//! Public keys that applications sign their assertions with: read from PEM, and used.
//!
//! A certificate is a key with things said about it, which nobody checks here: whoever may set up applications has said
//! that this is the key. Its expiry is the credential's.
//!
//! Keys are on P-256 (`ES256`), of RSA with 2,048 bits or more (`RS256`, `PS256`), or Ed25519 (`EdDSA`); RFC 7518 §3.1,
//! RFC 8037 §3.1.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    UnparsedPublicKey, VerificationAlgorithm,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::server::ParsedCertificate;

use crate::der::{BIT_STRING, INTEGER, SEQUENCE, element};

/// Why text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("this is no certificate and no public key in PEM")]
    NotPem,
    #[error("the key is not on P-256, not Ed25519, and not RSA with 2,048 bits or more")]
    Kind,
}

/// What a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    P256,
    Rsa,
    Ed25519,
}

/// Reads a certificate or a public key; returns the `SubjectPublicKeyInfo` and what kind of key it is, in words.
///
/// # Errors
/// It is none, or of a kind that is not used here.
pub(crate) fn read_pem(text: &str) -> Result<(Vec<u8>, &'static str), KeyError> {
    let octets = text.as_bytes();
    let spki = match CertificateDer::from_pem_slice(octets) {
        Ok(certificate) => ParsedCertificate::try_from(&certificate)
            .map_err(|_| KeyError::NotPem)?
            .subject_public_key_info()
            .to_vec(),
        Err(_) => {
            SubjectPublicKeyInfoDer::from_pem_slice(octets).map_err(|_| KeyError::NotPem)?.to_vec()
        }
    };
    let (kind, _) = parse(&spki).ok_or(KeyError::Kind)?;
    let words = match kind {
        Kind::P256 => "P-256",
        Kind::Rsa => "RSA",
        Kind::Ed25519 => "Ed25519",
    };
    Ok((spki, words))
}

/// Tells whether the signature is the key's, by an algorithm that goes with it.
pub(crate) fn holds(spki: &[u8], algorithm: &str, signed: &[u8], signature: &[u8]) -> bool {
    let Some((kind, key)) = parse(spki) else { return false };
    let algorithm: &dyn VerificationAlgorithm = match (kind, algorithm) {
        (Kind::P256, "ES256") => &ECDSA_P256_SHA256_FIXED,
        (Kind::Rsa, "RS256") => &RSA_PKCS1_2048_8192_SHA256,
        (Kind::Rsa, "PS256") => &RSA_PSS_2048_8192_SHA256,
        (Kind::Ed25519, "EdDSA") => &ED25519,
        (Kind::P256 | Kind::Rsa | Kind::Ed25519, _) => return false,
    };
    UnparsedPublicKey::new(algorithm, key).verify(signed, signature).is_ok()
}

/// Opens a `SubjectPublicKeyInfo` (RFC 5280 §4.1), DER.
fn parse(spki: &[u8]) -> Option<(Kind, &[u8])> {
    let (body, rest) = element(SEQUENCE, spki)?;
    let (algorithm, body) = element(SEQUENCE, body)?;
    let (bits, end) = element(BIT_STRING, body)?;
    let (unused, key) = bits.split_first()?;
    if !rest.is_empty() || !end.is_empty() || *unused != 0 {
        return None;
    }
    let kind = match algorithm {
        P256 if key.len() == 65 => Kind::P256,
        RSA if MIN_RSA_OCTETS <= modulus(key)?.len() => Kind::Rsa,
        ED25519_ID if key.len() == 32 => Kind::Ed25519,
        _ => return None,
    };
    Some((kind, key))
}

/// The point of a key on P-256 in a `SubjectPublicKeyInfo`, uncompressed.
pub(crate) fn p256(spki: &[u8]) -> Option<&[u8]> {
    match parse(spki)? {
        (Kind::P256, point) => Some(point),
        (Kind::Rsa | Kind::Ed25519, _) => None,
    }
}

/// The modulus in an `RSAPublicKey` (RFC 8017 §A.1.1), without the zero that keeps it positive.
fn modulus(key: &[u8]) -> Option<&[u8]> {
    let (body, _) = element(SEQUENCE, key)?;
    let (modulus, _) = element(INTEGER, body)?;
    Some(modulus.strip_prefix(&[0]).unwrap_or(modulus))
}

/// `id-ecPublicKey` with `secp256r1` (RFC 5480 §2.1.1).
const P256: &[u8] = &[
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
    0x03, 0x01, 0x07,
];
/// `rsaEncryption` (RFC 8017 §A.1).
const RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// `id-Ed25519` (RFC 8410 §3).
const ED25519_ID: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
const MIN_RSA_OCTETS: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{
        CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    };

    use super::*;

    #[test]
    fn keys_are_read_from_certificates_and_alone() {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate =
            CertificateParams::new(vec!["app.test".into()]).unwrap().self_signed(&key).unwrap();
        let alone = read_pem(&key.public_key_pem()).unwrap();
        assert_eq!(alone.1, "P-256");
        assert_eq!(read_pem(&certificate.pem()), Ok(alone));
        let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        assert_eq!(read_pem(&ed25519.public_key_pem()).unwrap().1, "Ed25519");
        assert_eq!(read_pem(RSA_KEY).unwrap().1, "RSA");
        let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        assert_eq!(read_pem(&p384.public_key_pem()), Err(KeyError::Kind));
        for text in ["", "key", &key.serialize_pem()] {
            assert_eq!(read_pem(text), Err(KeyError::NotPem), "{text}");
        }
    }

    #[test]
    fn an_algorithm_goes_with_its_kind_of_key() {
        let (rsa, _) = read_pem(RSA_KEY).unwrap();
        let signature = RSA_SIGNATURE.lines().collect::<String>();
        let signature: Vec<u8> = signature
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        assert!(holds(&rsa, "RS256", b"text", &signature));
        for algorithm in ["PS256", "ES256", "EdDSA", "none", "HS256", ""] {
            assert!(!holds(&rsa, algorithm, b"text", &signature), "{algorithm}");
        }
        assert!(!holds(&rsa, "RS256", b"texT", &signature));
    }

    proptest! {
        #[test]
        fn no_octets_are_too_strange(octets: Vec<u8>) {
            prop_assert!(!holds(&octets, "ES256", b"", b""));
        }

        #[test]
        fn no_damage_is_too_strange(at in 0_usize..91, to: u8) {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
            let (mut spki, _) = read_pem(&key.public_key_pem()).unwrap();
            spki[at] = to;
            prop_assert!(!holds(&spki, "ES256", b"", b""));
        }
    }

    /// A key of 2,048 bits that signed `text` with PKCS#1 v1.5 and SHA-256; its private half is gone.
    const RSA_KEY: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAsrFFX3pXYazlE70zQcmk
jnJMn31e3AqIfwtC7V2dQNryxwUhFbWMy95t1NuyAJnfgQeaahRg924Lk0nBgcL9
9dTJbcK+f8wgyInQONrHNLuhSX3LGxGJmCPZNvMF1Uc28b7RqjAclxvzikZ2CpN8
8sHn7VrdVTdzn0I+QaNNilGKsEJhnDXZ+wxO4cnc1e9qncrX5Ccmt0nq9qpsufDS
ttgBKp4q5Fd9Bbp5CaAjy4J20FFpe7WMGC18WJgJhsLIECj7UULVLiSlP6w16KNG
J7QEf4phxOoR6cP13QFbiDvqjqDXS5Q/jIDMchTiAXhe5eanX+MuMRfy6DACWT1k
kQIDAQAB
-----END PUBLIC KEY-----
";
    const RSA_SIGNATURE: &str = "\
3bf193f4ecf0776159b8662d96855aa4ccc2212398499d189b41d1fec252b0690937fa1b2abb39fd6a49fb2557a64b44
bfa56f58ed7b9d2f8b6854aca5cdeaea4d020c7a4ad6d465466fe85e2a4632b51d16cfe5468981f08ae5665e4f0926bb
ccd6e4cfe9c71b3487a237a3bb0a6611b017c3791648fbceabf68e7c190e13d562e3c0706b534f52f5b8366bb06c9ea7
fd37b7d6146d7af82c6a853b6a014f2ddb639767595573b83baae8c4b8ac7c85816bd046c68dcb6ef25ce150b7c44630
3d7fdef591e5c408660c6f993dbf74a9c6032741c5d4052d4d66fae7265454038117bd304baac951aee8569b80b61394
ee731fdb0db25df36cf9682c1bb4bdc4";
}
