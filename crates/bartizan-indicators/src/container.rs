//! What indicator file and tenant file have in common: a signed header, a tree of hashes, a body.
//!
//! # Layout (all integers little-endian)
//!
//! | Octets | What |
//! |---|---|
//! | 0..8 | magic, which tells the kind of file |
//! | 8..12 | format version |
//! | 12..16 | zero |
//! | 16..24 | epoch: grows with every file of this kind that a tenant publishes |
//! | 24..32 | built at, Unix milliseconds |
//! | 32..40 | octets of the body |
//! | 40..72 | root: SHA-256 of the octet 1 and all page hashes |
//! | 72..256 | parameters of the kind |
//! | 256..320 | Ed25519 signature over octets 0..256 |
//! | 320.. | page hashes: SHA-256 of the octet 0 and a page, 32 octets each |
//! | | zero octets up to a multiple of 64, then the body |
//!
//! A page is [`PAGE`] octets of the body; the last may be shorter. Opening verifies the signature and the page
//! hashes, and so takes no longer for what is in the body; a page is verified when it is first read, or all at
//! once by [`Container::verify`].
//!
//! # Invariants
//! - No octet of the body is handed out before its page was verified.
//! - Nothing is copied, and nothing allocated but a bit a page at opening: octets may be a memory map.
//! - No input panics.

use std::sync::atomic::{AtomicU64, Ordering};

use bartizan_model::UnixMillis;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

/// Octets of a file, wherever they lie: on the heap or in a memory map.
pub type Octets = Box<dyn AsRef<[u8]> + Send + Sync>;

/// A file whose header is verified.
pub(crate) struct Container {
    octets: Octets,
    header: Header,
    body_at: usize,
    /// A bit for each page that was verified.
    verified: Box<[AtomicU64]>,
}

/// Why a file is not to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It does not start as such a file does.
    #[error("this is not an indicator file")]
    NotAnIndicatorFile,
    /// It is of a version this program does not read.
    #[error("indicator file has format version {found}, this program reads {read}")]
    UnsupportedVersion {
        /// The version it claims.
        found: u32,
        /// The only one that is read.
        read: u32,
    },
    /// It ends too early.
    #[error("indicator file is truncated")]
    Truncated,
    /// It was not signed by the portal's key, or its header was changed.
    #[error("indicator file is not signed by this portal")]
    BadSignature,
    /// Its contents are not those that were signed.
    #[error("indicator file is damaged")]
    Damaged,
    /// It is older than the one in use.
    #[error("indicator file has epoch {epoch}, older than {held} in use")]
    Older {
        /// Of this file.
        epoch: u64,
        /// Of the file in use.
        held: u64,
    },
    /// Signed, and yet its tables contradict each other: the fault of whoever built it.
    #[error("indicator file contradicts itself")]
    Inconsistent,
}

/// A page is not the one that was signed: the file changed after it was opened, or was damaged all along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("indicator file is damaged")]
pub struct Damaged;

/// A kind of file.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) magic: &'static [u8; 8],
    pub(crate) version: u32,
}

/// The first 320 octets.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Header {
    octets: [u8; HEADER],
}

impl Container {
    /// Verifies header and page hashes.
    pub(crate) fn open(
        octets: Octets,
        kind: Kind,
        key: &VerifyingKey,
        held_epoch: u64,
    ) -> Result<Self, OpenError> {
        let all = (*octets).as_ref();
        let header = Header::parse(all, kind)?;
        header.verify(key)?;
        let container = Self::place(octets, header)?;
        if container.header.epoch() < held_epoch {
            return Err(OpenError::Older { epoch: container.header.epoch(), held: held_epoch });
        }
        Ok(container)
    }

    /// Checks everything but the signature.
    pub(crate) fn place(octets: Octets, header: Header) -> Result<Self, OpenError> {
        let all = (*octets).as_ref();
        let body_len = usize::try_from(header.body_len()).map_err(|_| OpenError::Inconsistent)?;
        if MAX_PAGES * PAGE < body_len {
            return Err(OpenError::Inconsistent);
        }
        let pages = body_len.div_ceil(PAGE);
        let body_at = body_at(body_len);
        let len = body_at + body_len;
        if all.len() < len {
            return Err(OpenError::Truncated);
        }
        let leaves = all.get(HEADER..HEADER + pages * LEAF).ok_or(OpenError::Truncated)?;
        let padding = all.get(HEADER + pages * LEAF..body_at).ok_or(OpenError::Truncated)?;
        let is_whole = all.len() == len && padding.iter().all(|octet| *octet == 0);
        if !is_whole || root(leaves) != header.root() {
            return Err(OpenError::Damaged);
        }
        let verified = (0..pages.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { octets, header, body_at, verified })
    }

    /// Puts any parameters and any body under hashes that fit, so that a fuzzer gets past them to the tables.
    pub(crate) fn of_fuzz(kind: Kind, octets: &[u8]) -> Option<Self> {
        let (parameters, body) = octets.split_at_checked(SIGNED - PARAMETERS_AT)?;
        let mut pages = Pages::default();
        pages.write(body);
        let leaves = pages.finish();
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(kind.magic);
        header.extend_from_slice(&kind.version.to_le_bytes());
        header.resize(32, 0);
        header.extend_from_slice(&(body.len() as u64).to_le_bytes());
        header.extend_from_slice(&root(&leaves));
        header.extend_from_slice(parameters);
        header.resize(HEADER, 0);
        let mut file = header.clone();
        file.extend_from_slice(&leaves);
        file.resize(body_at(body.len()), 0);
        file.extend_from_slice(body);
        Self::place(Box::new(file), Header::parse(&header, kind).ok()?).ok()
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.body_at + self.body_len()
    }

    pub(crate) fn body_len(&self) -> usize {
        self.all().len() - self.body_at
    }

    /// Verifies every page that was not read yet.
    pub(crate) fn verify(&self) -> Result<(), Damaged> {
        match self.body_len() {
            0 => Ok(()),
            len => self.body(0, len).map(|_| ()),
        }
    }

    /// Returns part of the body, verified.
    ///
    /// A place outside of the body is damage too: only a file that contradicts itself asks for one.
    pub(crate) fn body(&self, at: usize, len: usize) -> Result<&[u8], Damaged> {
        let start = self.body_at.checked_add(at).ok_or(Damaged)?;
        let part = self.all().get(start..start.checked_add(len).ok_or(Damaged)?).ok_or(Damaged)?;
        let Some(end) = len.checked_sub(1) else { return Ok(part) };
        let (mut page, last) = (at / PAGE, (at + end) / PAGE);
        // Nearly every read lies in one page that was verified before.
        loop {
            if !self.is_verified(page) {
                self.verify_page(page)?;
            }
            if page == last {
                return Ok(part);
            }
            page += 1;
        }
    }

    fn is_verified(&self, page: usize) -> bool {
        let word = self.verified.get(page / 64);
        word.is_some_and(|word| word.load(Ordering::Relaxed) & (1 << (page % 64)) != 0)
    }

    /// Returns octets at a place of the body.
    pub(crate) fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], Damaged> {
        self.body(at, N)?.try_into().map_err(|_| Damaged)
    }

    #[cold]
    fn verify_page(&self, page: usize) -> Result<(), Damaged> {
        let all = self.all();
        let start = self.body_at + page * PAGE;
        let octets = all.get(start..all.len().min(start + PAGE)).ok_or(Damaged)?;
        let leaf = all.get(HEADER + page * LEAF..HEADER + (page + 1) * LEAF).ok_or(Damaged)?;
        let is_signed =
            Sha256::new_with_prefix([0]).chain_update(octets).finalize().as_slice() == leaf;
        if !is_signed {
            return Err(Damaged);
        }
        let word = self.verified.get(page / 64).ok_or(Damaged)?;
        word.fetch_or(1 << (page % 64), Ordering::Relaxed);
        Ok(())
    }

    fn all(&self) -> &[u8] {
        (*self.octets).as_ref()
    }
}

impl Header {
    pub(crate) fn parse(octets: &[u8], kind: Kind) -> Result<Self, OpenError> {
        let magic = octets.get(..kind.magic.len()).unwrap_or(octets);
        if !kind.magic.starts_with(magic) || magic.is_empty() {
            return Err(OpenError::NotAnIndicatorFile);
        }
        let version = u32::from_le_bytes(array_at(octets, 8).ok_or(OpenError::Truncated)?);
        if version != kind.version {
            return Err(OpenError::UnsupportedVersion { found: version, read: kind.version });
        }
        let octets = array_at(octets, 0).ok_or(OpenError::Truncated)?;
        Ok(Self { octets })
    }

    pub(crate) fn verify(&self, key: &VerifyingKey) -> Result<(), OpenError> {
        let (signed, signature) = self.octets.split_at(SIGNED);
        let signature = Signature::from_slice(signature).map_err(|_| OpenError::BadSignature)?;
        key.verify_strict(signed, &signature).map_err(|_| OpenError::BadSignature)
    }

    pub(crate) fn octets(&self) -> &[u8; HEADER] {
        &self.octets
    }

    pub(crate) fn epoch(&self) -> u64 {
        u64::from_le_bytes(self.number(16))
    }

    pub(crate) fn built_at(&self) -> UnixMillis {
        UnixMillis(u64::from_le_bytes(self.number(24)))
    }

    pub(crate) fn body_len(&self) -> u64 {
        u64::from_le_bytes(self.number(32))
    }

    pub(crate) fn root(&self) -> [u8; LEAF] {
        self.number(40)
    }

    /// Returns a parameter; `at` counts from the first one.
    pub(crate) fn parameter<const N: usize>(&self, at: usize) -> [u8; N] {
        self.number(PARAMETERS_AT + at)
    }

    /// All places asked for are constants within the header.
    fn number<const N: usize>(&self, at: usize) -> [u8; N] {
        array_at(&self.octets, at).unwrap_or([0; N])
    }
}

/// Hashes a body as it is written, page by page.
#[derive(Default)]
pub(crate) struct Pages {
    leaves: Vec<u8>,
    page: Sha256,
    in_page: usize,
    len: usize,
}

impl Pages {
    pub(crate) fn write(&mut self, mut octets: &[u8]) {
        self.len += octets.len();
        while let Some((part, rest)) =
            octets.split_at_checked(octets.len().min(PAGE - self.in_page))
            && !part.is_empty()
        {
            if self.in_page == 0 {
                self.page.update([0]);
            }
            self.page.update(part);
            self.in_page += part.len();
            if self.in_page == PAGE {
                self.end_page();
            }
            octets = rest;
        }
    }

    /// Returns how many octets were written.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the page hashes.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.in_page != 0 {
            self.end_page();
        }
        self.leaves
    }

    fn end_page(&mut self) {
        self.leaves.extend_from_slice(self.page.finalize_reset().as_slice());
        self.in_page = 0;
    }
}

/// Returns where the body of this length begins.
pub(crate) fn body_at(body_len: usize) -> usize {
    (HEADER + body_len.div_ceil(PAGE) * LEAF).next_multiple_of(ALIGN)
}

pub(crate) fn root(leaves: &[u8]) -> [u8; LEAF] {
    Sha256::new_with_prefix([1]).chain_update(leaves).finalize().into()
}

pub(crate) fn array_at<const N: usize>(octets: &[u8], at: usize) -> Option<[u8; N]> {
    octets.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(feature = "build")]
mod seal {
    use bartizan_model::UnixMillis;
    use ed25519_dalek::{Signer, SigningKey};

    use super::{HEADER, Header, Kind, PARAMETERS_AT, SIGNED, body_at, root};

    impl Header {
        /// Describes a body and signs that.
        pub(crate) fn seal(
            kind: Kind,
            epoch: u64,
            built_at: UnixMillis,
            parameters: &[u8],
            body_len: usize,
            leaves: &[u8],
            key: &SigningKey,
        ) -> Self {
            let mut octets = Vec::with_capacity(HEADER);
            octets.extend_from_slice(kind.magic);
            octets.extend_from_slice(&kind.version.to_le_bytes());
            octets.extend_from_slice(&[0; 4]);
            octets.extend_from_slice(&epoch.to_le_bytes());
            octets.extend_from_slice(&built_at.0.to_le_bytes());
            octets.extend_from_slice(&(body_len as u64).to_le_bytes());
            octets.extend_from_slice(&root(leaves));
            octets.extend(parameters.iter().take(SIGNED - PARAMETERS_AT));
            octets.resize(SIGNED, 0);
            octets.extend_from_slice(&key.sign(&octets).to_bytes());
            // 256 octets and a signature of 64.
            Self { octets: octets.try_into().unwrap_or([0; HEADER]) }
        }
    }

    /// Puts a file together.
    pub(crate) fn assemble(header: &Header, leaves: &[u8], body: &[u8]) -> Vec<u8> {
        let body_at = body_at(body.len());
        let mut octets = Vec::with_capacity(body_at + body.len());
        octets.extend_from_slice(&header.octets);
        octets.extend_from_slice(leaves);
        octets.resize(body_at, 0);
        octets.extend_from_slice(body);
        octets
    }
}

#[cfg(feature = "build")]
pub(crate) use seal::assemble;

/// Octets of a page: a few dozen pages at a million entries, each verified in a few dozen microseconds.
pub(crate) const PAGE: usize = 64 * 1024;
/// Octets of a page's hash.
pub(crate) const LEAF: usize = 32;
/// Of the header with its signature.
pub(crate) const HEADER: usize = 320;
const SIGNED: usize = 256;
const PARAMETERS_AT: usize = 72;
const ALIGN: usize = 64;
/// 256 MiB: 40 million entries. The bits that say which are verified take at most 512 octets.
const MAX_PAGES: usize = 4_096;
