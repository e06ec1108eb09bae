//! Public keys of passkeys: COSE keys (RFC 9052 §7, RFC 9053 §7, RFC 8230 §4), as authenticators write them.
//!
//! Known are P-256 with ECDSA, Ed25519, and RSA with PKCS #1 v1.5, which Windows' authenticators use; each with SHA-256 or
//! what it has built in. `ring` checks signatures.
//!
//! # Invariants
//! - A key is of one kind, with the one algorithm that goes with it, whole, and no label comes twice.

use minicbor::Decoder;
use minicbor::data::Type;
use p256::ecdsa::VerifyingKey;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublicKey {
    /// An uncompressed point of P-256.
    Es256(Vec<u8>),
    /// A point in its one form.
    Ed25519([u8; 32]),
    /// Modulus and exponent, with their highest octets first.
    Rs256 {
        /// 2,048 to 4,096 bits.
        modulus: Vec<u8>,
        /// Few octets.
        exponent: Vec<u8>,
    },
}

/// Not a key that is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key is malformed or of a kind that is not known here")]
pub(crate) struct KeyError;

impl From<minicbor::decode::Error> for KeyError {
    fn from(_: minicbor::decode::Error) -> Self {
        Self
    }
}

/// The algorithms that are asked for, best first (IANA COSE Algorithms).
pub(crate) const ALGORITHMS: [i64; 3] = [EDDSA, ES256, RS256];

impl PublicKey {
    /// Reads a key from where the reader stands; what follows is left.
    pub(crate) fn read(reader: &mut Decoder<'_>) -> Result<Self, KeyError> {
        let labels = reader.map()?.filter(|labels| *labels <= MAX_LABELS).ok_or(KeyError)?;
        let mut parts = Parts::default();
        for _ in 0..labels {
            match reader.i64()? {
                1 => once(&mut parts.kind, reader.i64()?)?,
                3 => once(&mut parts.algorithm, reader.i64()?)?,
                // A curve's number or a modulus, by the kind.
                -1 if reader.datatype()? == Type::Bytes => once(&mut parts.first, reader.bytes()?)?,
                -1 => once(&mut parts.curve, reader.i64()?)?,
                -2 => once(&mut parts.second, reader.bytes()?)?,
                -3 => once(&mut parts.third, reader.bytes()?)?,
                _ => reader.skip()?,
            }
        }
        parts.key()
    }

    /// Reads a key that is all there is.
    pub(crate) fn of_octets(octets: &[u8]) -> Result<Self, KeyError> {
        let mut reader = Decoder::new(octets);
        let key = Self::read(&mut reader)?;
        if reader.position() == octets.len() { Ok(key) } else { Err(KeyError) }
    }

    /// Tells whether a signature is the key's.
    pub(crate) fn holds(&self, signed: &[u8], signature: &[u8]) -> bool {
        let told = match self {
            Self::Es256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(signed, signature)
            }
            Self::Ed25519(point) => {
                UnparsedPublicKey::new(&ED25519, point).verify(signed, signature)
            }
            Self::Rs256 { modulus, exponent } => {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
            }
        };
        told.is_ok()
    }
}

/// What a key's labels hold.
#[derive(Default)]
struct Parts<'a> {
    kind: Option<i64>,
    algorithm: Option<i64>,
    curve: Option<i64>,
    first: Option<&'a [u8]>,
    second: Option<&'a [u8]>,
    third: Option<&'a [u8]>,
}

impl Parts<'_> {
    fn key(self) -> Result<PublicKey, KeyError> {
        let Self { kind, algorithm, curve, first, second, third } = self;
        match (kind, algorithm, curve, first, second, third) {
            (Some(EC2), Some(ES256), Some(P256), None, Some(x), Some(y)) => {
                if x.len() != COORDINATE || y.len() != COORDINATE {
                    return Err(KeyError);
                }
                let point = [&[UNCOMPRESSED][..], x, y].concat();
                VerifyingKey::from_sec1_bytes(&point).map_err(|_| KeyError)?;
                Ok(PublicKey::Es256(point))
            }
            (Some(OKP), Some(EDDSA), Some(ON_25519), None, Some(x), None) => {
                let point: [u8; COORDINATE] = x.try_into().map_err(|_| KeyError)?;
                ed25519_dalek::VerifyingKey::from_bytes(&point).map_err(|_| KeyError)?;
                Ok(PublicKey::Ed25519(point))
            }
            (Some(RSA), Some(RS256), None, Some(modulus), Some(exponent), None) => {
                let is_usual = MODULUS.contains(&modulus.len())
                    && modulus.first().is_some_and(|first| *first != 0)
                    && exponent.len() <= MAX_EXPONENT
                    && exponent.first().is_some_and(|first| *first != 0);
                let key = PublicKey::Rs256 { modulus: modulus.into(), exponent: exponent.into() };
                if is_usual { Ok(key) } else { Err(KeyError) }
            }
            _ => Err(KeyError),
        }
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), KeyError> {
    if slot.replace(value).is_none() { Ok(()) } else { Err(KeyError) }
}

const OKP: i64 = 1;
const EC2: i64 = 2;
const RSA: i64 = 3;
const ES256: i64 = -7;
const EDDSA: i64 = -8;
const RS256: i64 = -257;
const P256: i64 = 1;
const ON_25519: i64 = 6;
const UNCOMPRESSED: u8 = 4;
const COORDINATE: usize = 32;
const MODULUS: std::ops::RangeInclusive<usize> = 256..=512;
const MAX_EXPONENT: usize = 4;
/// Keys have five; what else a maker writes is passed over.
const MAX_LABELS: u64 = 16;
