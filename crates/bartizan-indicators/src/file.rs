//! The indicator file: what feeds list, as keyed hashes, a million and more in a few megabytes.
//!
//! Header and page hashes are those of [`crate::container`]; magic `BTZ-INDI`. `docs/indicator-format.md` is the
//! whole specification.
//!
//! # Layout of the body
//! | What | Octets |
//! |---|---|
//! | palette: the attributes that occur | 8 each: category, action, source (2), zero (4) |
//! | sources: where each name begins and the last ends, then the names | 4 each, then UTF-8 |
//! | networks, IPv4 and IPv6 | [`crate::networks`] |
//! | shards | [`crate::shard`] |
//! | directory of the shards | [`crate::shard::RECORD`] each |
//!
//! What is hashed is `evil.test` for a domain, `=evil.test` for a host alone, `*.evil.test` for what is under it,
//! `evil.test/path?query` for a URL; of an address a zero, 4 or 6, and its octets. The hash is SipHash-1-3 under the
//! file's key; its upper bits say the shard.
//!
//! # Invariants
//! - Look-ups do not allocate, and no input panics (`fuzz_open`).
//! - Two entries share a hash with probability 2^-64 a pair, under a key that a lister cannot know beforehand:
//!   at a million entries an unlisted name is taken for a listed one with probability 5e-14.

use std::hash::Hasher;
use std::net::IpAddr;

use bartizan_model::{DomainName, IndicatorAction, IndicatorCategory, UnixMillis};
use ed25519_dalek::VerifyingKey;
use siphasher::sip::SipHasher13;

use crate::container::{Container, Damaged, Header, Kind, Octets, OpenError};
use crate::found::{Entry, Found, Match, Source, UrlHost};
use crate::networks::{Networks, Place};
use crate::normal::{CanonicalUrl, Host};
use crate::shard::{self, Row, Shard, Widths};
use crate::tenant::AddressText;

/// The format of indicator files that this crate reads and writes. Raise it with any change of the layout.
pub const FORMAT_VERSION: u32 = 2;

/// An indicator file whose header is verified; pages are verified as they are read.
pub struct IndicatorFile {
    file: Container,
    parameters: Parameters,
}

impl IndicatorFile {
    /// Verifies header and page hashes against the portal's key, and takes the file over.
    ///
    /// `held_epoch` is the epoch of the file in use, 0 if there is none; an older file is refused, so
    /// that nobody can bring back a list that lacks what was added since.
    ///
    /// # Errors
    /// Why the file is not to be used. Whatever is in use stays in use.
    pub fn open(octets: Octets, key: &VerifyingKey, held_epoch: u64) -> Result<Self, OpenError> {
        Self::read(Container::open(octets, KIND, key, held_epoch)?)
    }

    /// Opens a file whoever signed it, for people who look into one. A device has no such function.
    ///
    /// # Errors
    /// It is damaged, or no indicator file at all.
    #[cfg(feature = "build")]
    pub fn inspect(octets: Octets) -> Result<Self, OpenError> {
        let header = Header::parse((*octets).as_ref(), KIND)?;
        Self::read(Container::place(octets, header)?)
    }

    fn read(file: Container) -> Result<Self, OpenError> {
        let parameters =
            Parameters::parse(file.header(), file.body_len()).ok_or(OpenError::Inconsistent)?;
        Ok(Self { file, parameters })
    }

    /// Verifies the whole of it, as is due once after it came.
    ///
    /// # Errors
    /// It is not what was signed.
    pub fn verify(&self) -> Result<(), Damaged> {
        self.file.verify()
    }

    /// Returns the file's place in the tenant's sequence of files.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.file.header().epoch()
    }

    /// Returns when the portal built it, by the portal's clock.
    #[must_use]
    pub fn built_at(&self) -> UnixMillis {
        self.file.header().built_at()
    }

    /// Returns how many entries it holds but for networks.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.parameters.rows
    }

    /// Returns how many octets the file has.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.file.size_bytes()
    }

    /// Returns the key of its hashes; a file that follows it has the same, so that a delta leads there.
    #[must_use]
    pub fn hash_key(&self) -> [u8; 16] {
        self.parameters.hash_key
    }

    /// Adds what is listed of a name and its parents.
    pub(crate) fn find_name<'a>(
        &'a self,
        name: &'a DomainName,
        found: &mut Option<Found<'a>>,
    ) -> Result<(), Damaged> {
        let has = |kind| self.parameters.kinds & kind != 0;
        if has(HAS_HOST) {
            self.find(&[b"=", name.as_str().as_bytes()], Entry::Host(name.as_str()), found)?;
        }
        for (place, suffix) in name.suffixes().enumerate() {
            self.find(&[suffix.as_bytes()], Entry::Domain(suffix), found)?;
            if place != 0 && has(HAS_SUBDOMAINS) {
                self.find(&[b"*.", suffix.as_bytes()], Entry::Subdomains(suffix), found)?;
            }
        }
        Ok(())
    }

    /// Adds what is listed of a URL's paths, but not of its host.
    pub(crate) fn find_paths<'a>(
        &'a self,
        url: &'a CanonicalUrl,
        found: &mut Option<Found<'a>>,
    ) -> Result<(), Damaged> {
        if self.parameters.kinds & HAS_URL == 0 {
            return Ok(());
        }
        for path in url.path_prefixes(PATH_SEGMENTS) {
            match url.host() {
                Host::Name(name) => {
                    for suffix in url_hosts(name) {
                        let entry = Entry::Url { host: UrlHost::Name(suffix), path };
                        self.find(&[suffix.as_bytes(), path.as_bytes()], entry, found)?;
                    }
                }
                Host::Address(address) => {
                    let entry = Entry::Url { host: UrlHost::Address(*address), path };
                    let host = AddressText::of_url_host(*address);
                    self.find(&[host.octets(), path.as_bytes()], entry, found)?;
                }
            }
        }
        Ok(())
    }

    /// Adds what is listed of an address, in its canonical form, and the networks that hold it.
    pub(crate) fn find_address<'a>(
        &'a self,
        address: IpAddr,
        found: &mut Option<Found<'a>>,
    ) -> Result<(), Damaged> {
        if self.parameters.kinds & HAS_ADDRESS != 0 {
            let hash = address_hash(&self.parameters.hash_key, address);
            self.find_hash(hash, Entry::Address(address), found)?;
        }
        self.parameters.networks.holding(&self.file, address, |network, number| {
            let number = u16::try_from(number).map_err(|_| Damaged)?;
            self.take(number, Entry::Network(network), found)
        })
    }

    fn find<'a>(
        &'a self,
        parts: &[&[u8]],
        entry: Entry<'a>,
        found: &mut Option<Found<'a>>,
    ) -> Result<(), Damaged> {
        self.find_hash(hash_of(&self.parameters.hash_key, parts), entry, found)
    }

    fn find_hash<'a>(
        &'a self,
        hash: u64,
        entry: Entry<'a>,
        found: &mut Option<Found<'a>>,
    ) -> Result<(), Damaged> {
        // With no shard bits there is one shard, and a shift by 64 is not defined.
        let number = hash.checked_shr(u64::BITS - self.parameters.widths.shard_bits).unwrap_or(0);
        let shard = self.shard(usize::try_from(number).map_err(|_| Damaged)?)?;
        match shard.find(&self.file, self.parameters.widths, hash)? {
            Some(attribute) => self.take(attribute, entry, found),
            None => Ok(()),
        }
    }

    #[cold]
    fn take<'a>(
        &'a self,
        attribute: u16,
        entry: Entry<'a>,
        found: &mut Option<Found<'a>>,
    ) -> Result<(), Damaged> {
        let Attribute { category, action, source } = self.attribute(attribute)?;
        let source = Source::Feed(self.source(source)?);
        Found::add(found, Match { entry, action, category, source });
        Ok(())
    }

    pub(crate) fn attribute(&self, number: u16) -> Result<Attribute, Damaged> {
        let at = usize::from(number) * PALETTE_RECORD;
        let place = self.parameters.palette;
        if place.len < at + PALETTE_RECORD {
            return Err(Damaged);
        }
        let [category, action, low, high, ..] = self.file.array::<PALETTE_RECORD>(place.at + at)?;
        Ok(Attribute {
            category: IndicatorCategory::from_octet(category).ok_or(Damaged)?,
            action: IndicatorAction::from_octet(action).ok_or(Damaged)?,
            source: u16::from_le_bytes([low, high]),
        })
    }

    pub(crate) fn source(&self, number: u16) -> Result<&str, Damaged> {
        let place = self.parameters.sources;
        let start = |number: usize| -> Result<usize, Damaged> {
            let octets = self.file.array(place.at + number * 4)?;
            usize::try_from(u32::from_le_bytes(octets)).map_err(|_| Damaged)
        };
        let number = usize::from(number);
        let (from, to) = (start(number)?, start(number + 1)?);
        if to < from || place.len < to {
            return Err(Damaged);
        }
        std::str::from_utf8(self.file.body(place.at + from, to - from)?).map_err(|_| Damaged)
    }

    pub(crate) fn shard(&self, number: usize) -> Result<Shard, Damaged> {
        let at = number.checked_mul(shard::RECORD).ok_or(Damaged)?;
        Shard::parse(&self.file.array(self.parameters.directory.checked_add(at).ok_or(Damaged)?)?)
    }

    pub(crate) fn container(&self) -> &Container {
        &self.file
    }

    pub(crate) fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Hands out every row, ascending by hash, until `each` says no.
    pub(crate) fn each_row<E: From<Damaged>>(
        &self,
        mut each: impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        for number in 0..1_u64 << self.parameters.widths.shard_bits {
            let shard = self.shard(usize::try_from(number).map_err(|_| Damaged)?)?;
            if shard.rows() == 0 {
                continue;
            }
            let mut rows = shard.read(&self.file, self.parameters.widths)?;
            while let Some(row) = rows.next(number)? {
                each(row)?;
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for IndicatorFile {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("IndicatorFile")
            .field("epoch", &self.epoch())
            .field("entries", &self.entries())
            .finish_non_exhaustive()
    }
}

/// What a row's number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub(crate) category: IndicatorCategory,
    pub(crate) action: IndicatorAction,
    pub(crate) source: u16,
}

/// The parameters of the header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters {
    pub(crate) hash_key: [u8; 16],
    pub(crate) rows: u64,
    pub(crate) widths: Widths,
    /// Which kinds of entries there are beside domains.
    pub(crate) kinds: u16,
    pub(crate) directory: usize,
    pub(crate) palette: Place,
    pub(crate) sources: Place,
    pub(crate) networks: Networks,
}

impl Parameters {
    pub(crate) fn parse(header: &Header, body_len: usize) -> Option<Self> {
        let number = |at| usize::try_from(u32::from_le_bytes(header.parameter(at))).ok();
        let place = |at| Some(Place { at: number(at)?, len: number(at + 4)? });
        let [shard_bits, attribute_bits] = header.parameter(24);
        let parameters = Self {
            hash_key: header.parameter(0),
            rows: u64::from_le_bytes(header.parameter(16)),
            widths: Widths { shard_bits: shard_bits.into(), attribute_bits: attribute_bits.into() },
            kinds: u16::from_le_bytes(header.parameter(26)),
            directory: number(28)?,
            palette: place(32)?,
            sources: place(40)?,
            networks: Networks { v4: place(48)?, v6: place(56)? },
        };
        let directory_len =
            shard::RECORD.checked_mul(1_usize.checked_shl(parameters.widths.shard_bits)?)?;
        let fits = parameters.widths.shard_bits <= MAX_SHARD_BITS
            && parameters.widths.attribute_bits <= u16::BITS
            && parameters.directory.checked_add(directory_len)? <= body_len;
        fits.then_some(parameters)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut octets = self.hash_key.to_vec();
        octets.extend_from_slice(&self.rows.to_le_bytes());
        octets.extend(
            [self.widths.shard_bits, self.widths.attribute_bits]
                .map(|bits| u8::try_from(bits).unwrap_or(u8::MAX)),
        );
        octets.extend_from_slice(&self.kinds.to_le_bytes());
        let places = [self.palette, self.sources, self.networks.v4, self.networks.v6];
        let numbers = places.into_iter().flat_map(|place| [place.at, place.len]);
        for number in std::iter::once(self.directory).chain(numbers) {
            octets.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
        }
        octets
    }
}

/// Returns the hash of an entry, given in parts.
pub(crate) fn hash_of(key: &[u8; 16], parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher13::new_with_key(key);
    parts.iter().for_each(|part| hasher.write(part));
    hasher.finish()
}

pub(crate) fn address_hash(key: &[u8; 16], address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => hash_of(key, &[&[0, 4], &address.octets()]),
        IpAddr::V6(address) => hash_of(key, &[&[0, 6], &address.octets()]),
    }
}

/// Yields the names that an entry for a URL may have to match one of this host: itself, and those of its parents
/// with two to five labels, as Safe Browsing has it.
fn url_hosts(name: &DomainName) -> impl Iterator<Item = &str> {
    name.suffixes().enumerate().filter_map(|(place, suffix)| {
        let labels = suffix.bytes().filter(|octet| *octet == b'.').count() + 1;
        (place == 0 || (2..=5).contains(&labels)).then_some(suffix)
    })
}

/// Opens any octets with a fixed key, for the fuzzer and its replay.
#[doc(hidden)]
pub fn fuzz_open(octets: &[u8]) {
    if let Ok(key) = VerifyingKey::from_bytes(&[0; 32]) {
        let _ = IndicatorFile::open(Box::new(octets.to_vec()), &key, 0);
    }
    // Signature and hashes keep random input from the tables, so go there directly as well.
    let Some(Ok(file)) = Container::of_fuzz(KIND, octets).map(IndicatorFile::read) else { return };
    let (Ok(name), Ok(url)) =
        (DomainName::parse(b"a.b.test"), CanonicalUrl::parse("a.b.test/c/d?e"))
    else {
        return;
    };
    let mut found = None;
    let _ = file.find_name(&name, &mut found);
    let _ = file.find_paths(&url, &mut found);
    let _ = file.find_address(IpAddr::from([192, 0, 2, 1]), &mut found);
    let mut rows = 0;
    let _ = file.each_row(|_| {
        rows += 1;
        if rows < 1_000 { Ok(()) } else { Err(Damaged) }
    });
}

pub(crate) const KIND: Kind = Kind { magic: b"BTZ-INDI", version: FORMAT_VERSION };
pub(crate) const HAS_HOST: u16 = 1;
pub(crate) const HAS_SUBDOMAINS: u16 = 2;
pub(crate) const HAS_URL: u16 = 4;
pub(crate) const HAS_ADDRESS: u16 = 8;
pub(crate) const PALETTE_RECORD: usize = 8;
/// As Safe Browsing has it: the root, which here is the host's own entry, and three more.
const PATH_SEGMENTS: usize = 3;
/// 4,096 shards hold half a billion entries.
const MAX_SHARD_BITS: u32 = 12;
