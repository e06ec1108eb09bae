//! The keys of Initial packets (RFC 9001 §5, RFC 9369 §3.3), and what is opened and sealed with them.

use std::fmt;
use std::ops::Range;

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes_gcm::Aes128Gcm;
use aes_gcm::aead::AeadInOut;
use hkdf::Hkdf;
use sha2::Sha256;

use crate::quic::{QuicInitial, QuicVersion};

/// Who sends what is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// The keys of one direction.
pub(super) struct Keys {
    version: QuicVersion,
    aead: Aes128Gcm,
    iv: [u8; 12],
    header: Aes128,
}

impl Keys {
    /// Derives them from the id to which the client wrote first.
    pub(super) fn derive(version: QuicVersion, dcid: &[u8], side: Side) -> Option<Self> {
        let (salt, [key, iv, header]) = match version {
            QuicVersion::V1 => {
                (SALT_V1, [&b"tls13 quic key"[..], b"tls13 quic iv", b"tls13 quic hp"])
            }
            QuicVersion::V2 => {
                (SALT_V2, [&b"tls13 quicv2 key"[..], b"tls13 quicv2 iv", b"tls13 quicv2 hp"])
            }
        };
        let side = match side {
            Side::Client => b"tls13 client in",
            Side::Server => b"tls13 server in",
        };
        let initial = Hkdf::<Sha256>::new(Some(&salt), dcid);
        let secret = Hkdf::<Sha256>::from_prk(&expand::<32>(&initial, side)?).ok()?;
        Some(Self {
            version,
            aead: Aes128Gcm::new(&expand::<16>(&secret, key)?.into()),
            iv: expand(&secret, iv)?,
            header: Aes128::new(&expand::<16>(&secret, header)?.into()),
        })
    }

    pub(super) fn version(&self) -> QuicVersion {
        self.version
    }

    /// Opens a packet into `scratch`; says where its frames lie there.
    pub(super) fn open(
        &self,
        initial: &QuicInitial<'_>,
        scratch: &mut [u8],
    ) -> Option<Range<usize>> {
        let packet = scratch.get_mut(..initial.packet.len())?;
        packet.copy_from_slice(initial.packet);
        let [first_mask, number_mask @ ..] = self.mask(packet, initial.number_at)?;
        let first = packet.first_mut()?;
        *first ^= first_mask & PROTECTED_BITS;
        let number_len = usize::from(*first & NUMBER_LEN_BITS) + 1;
        let header_len = initial.number_at + number_len;
        let mut number = 0;
        for (octet, mask) in
            packet.get_mut(initial.number_at..header_len)?.iter_mut().zip(number_mask)
        {
            *octet ^= mask;
            number = number << 8 | u64::from(*octet);
        }
        let (header, sealed) = packet.split_at_mut_checked(header_len)?;
        let (payload, tag) = sealed.split_at_mut_checked(sealed.len().checked_sub(TAG_LEN)?)?;
        let tag = <[u8; TAG_LEN]>::try_from(&*tag).ok()?;
        let payload_len = payload.len();
        self.aead
            .decrypt_inout_detached(&self.nonce(number).into(), header, payload.into(), &tag.into())
            .ok()?;
        Some(header_len..header_len + payload_len)
    }

    /// Seals a packet in place. It has its header, with a number of `NUMBER_LEN` octets at `number_at`,
    /// its frames, and room for the tag.
    pub(super) fn seal(&self, packet: &mut [u8], number_at: usize, number: u32) -> Option<()> {
        let (header, sealed) = packet.split_at_mut_checked(number_at + NUMBER_LEN)?;
        let (payload, tag) = sealed.split_at_mut_checked(sealed.len().checked_sub(TAG_LEN)?)?;
        let nonce = self.nonce(number.into());
        tag.copy_from_slice(
            &self.aead.encrypt_inout_detached(&nonce.into(), header, payload.into()).ok()?,
        );
        let [first_mask, number_mask @ ..] = self.mask(packet, number_at)?;
        *packet.first_mut()? ^= first_mask & PROTECTED_BITS;
        for (octet, mask) in
            packet.get_mut(number_at..number_at + NUMBER_LEN)?.iter_mut().zip(number_mask)
        {
            *octet ^= mask;
        }
        Some(())
    }

    /// RFC 9001 §5.4.2: the sample begins where it would if the number had four octets.
    fn mask(&self, packet: &[u8], number_at: usize) -> Option<[u8; 5]> {
        let sample: [u8; 16] = *packet.get(number_at + 4..)?.first_chunk()?;
        let mut block = sample.into();
        self.header.encrypt_block(&mut block);
        block.first_chunk().copied()
    }

    /// RFC 9001 §5.3.
    fn nonce(&self, number: u64) -> [u8; 12] {
        let mut nonce = self.iv;
        for (octet, number) in nonce.iter_mut().rev().zip(number.to_le_bytes()) {
            *octet ^= number;
        }
        nonce
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Keys").field("version", &self.version).finish_non_exhaustive()
    }
}

/// HKDF-Expand-Label of RFC 9846 §7.1 without context; the label comes with its prefix.
fn expand<const N: usize>(secret: &Hkdf<Sha256>, label: &[u8]) -> Option<[u8; N]> {
    let len = u16::try_from(N).ok()?.to_be_bytes();
    let label_len = [u8::try_from(label.len()).ok()?];
    let mut expanded = [0; N];
    secret.expand_multi_info(&[&len, &label_len, label, &[0]], &mut expanded).ok()?;
    Some(expanded)
}

/// How long the packet number of a sealed packet is.
pub(super) const NUMBER_LEN: usize = 4;
/// RFC 9001 §5.3.
pub(super) const TAG_LEN: usize = 16;
/// RFC 9001 §5.4.1, of a long header.
const PROTECTED_BITS: u8 = 0x0f;
const NUMBER_LEN_BITS: u8 = 0x03;
/// RFC 9001 §5.2.
const SALT_V1: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad,
    0xcc, 0xbb, 0x7f, 0x0a,
];
/// RFC 9369 §3.3.1.
const SALT_V2: [u8; 20] = [
    0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb,
    0xf9, 0xbd, 0x2e, 0xd9,
];
