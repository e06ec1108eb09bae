//! The tenant file: the organization's own indicators, exact, with what their alerts say.
//!
//! Small beside the indicator file, so it keeps what it lists as text and is searched by bisection. Header and
//! page hashes are those of [`crate::container`]; magic `BTZ-TENA`.
//!
//! # Layout of the body
//! Parameters: number of records that are searched (8 octets), place and length (4 octets each) of the tables of
//! [`crate::networks`] for IPv4 and IPv6, number of all records (8 octets). The records come first, ascending by key; networks last, by number:
//!
//! | Octets | What |
//! |---|---|
//! | 0..4 | where the key is |
//! | 4..6 | its length |
//! | 6 | action |
//! | 7 | category |
//! | 8 | severity, 0 informational to 3 high |
//! | 9 | 1 if it raises alerts, else 0 |
//! | 10..12 | length of the title |
//! | 12..16 | where the title is |
//! | 16..24 | id |
//! | 24..32 | expires at, Unix milliseconds; 0 for never |
//!
//! The key is how [`crate::pattern::Pattern`] writes it. Keys and titles follow the records.
//!
//! # Invariants
//! - Look-ups do not allocate, and no input panics.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::net::IpAddr;

use bartizan_model::{DomainName, IndicatorAction, IndicatorCategory, Severity, UnixMillis};
use ed25519_dalek::VerifyingKey;

use crate::container::{Container, Damaged, Kind, Octets, OpenError};
use crate::found::{Entry, Found, Match, OwnIndicator, Source, UrlHost};
use crate::networks::{Networks, Place};
use crate::normal::{CanonicalUrl, Host};

/// The format of tenant files that this crate reads and writes.
pub const TENANT_FORMAT_VERSION: u32 = 1;

/// A tenant file whose header is verified; pages are verified as they are read.
pub struct TenantFile {
    file: Container,
    records: usize,
    networks: Networks,
}

impl TenantFile {
    /// Verifies header and page hashes against the portal's key, and takes the file over.
    ///
    /// `held_epoch` is the epoch of the file in use, 0 if there is none; an older file is refused.
    ///
    /// # Errors
    /// Why the file is not to be used. Whatever is in use stays in use.
    pub fn open(octets: Octets, key: &VerifyingKey, held_epoch: u64) -> Result<Self, OpenError> {
        Self::read(Container::open(octets, KIND, key, held_epoch)?)
    }

    fn read(file: Container) -> Result<Self, OpenError> {
        let header = file.header();
        let number = |at: usize| {
            usize::try_from(u32::from_le_bytes(header.parameter(at))).unwrap_or(usize::MAX)
        };
        let records = usize::try_from(u64::from_le_bytes(header.parameter(0)))
            .ok()
            .filter(|records| records.checked_mul(RECORD).is_some_and(|len| len <= file.body_len()))
            .ok_or(OpenError::Inconsistent)?;
        let networks = Networks {
            v4: Place { at: number(8), len: number(12) },
            v6: Place { at: number(16), len: number(20) },
        };
        Ok(Self { file, records, networks })
    }

    /// Verifies the whole of it.
    ///
    /// # Errors
    /// It is not what was signed.
    pub fn verify(&self) -> Result<(), Damaged> {
        self.file.verify()
    }

    /// Returns the file's place in the tenant's sequence of such files.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.file.header().epoch()
    }

    /// Returns how many indicators it holds, expired ones included.
    #[must_use]
    pub fn entries(&self) -> u64 {
        u64::from_le_bytes(self.file.header().parameter(24))
    }

    /// Adds what is listed of a name and its parents.
    pub(crate) fn find_name<'a>(
        &'a self,
        name: &'a DomainName,
        now: UnixMillis,
        found: &mut Option<Found<'a>>,
    ) -> Result<(), Damaged> {
        self.find(&[b"=", name.as_str().as_bytes()], Entry::Host(name.as_str()), now, found)?;
        for (place, suffix) in name.suffixes().enumerate() {
            self.find(&[suffix.as_bytes()], Entry::Domain(suffix), now, found)?;
            if place != 0 {
                let entry = Entry::Subdomains(suffix);
                self.find(&[b"*.", suffix.as_bytes()], entry, now, found)?;
            }
        }
        Ok(())
    }

    /// Adds what is listed of a URL's paths, but not of its host.
    pub(crate) fn find_paths<'a>(
        &'a self,
        url: &'a CanonicalUrl,
        now: UnixMillis,
        found: &mut Option<Found<'a>>,
    ) -> Result<(), Damaged> {
        for path in url.path_prefixes(PATH_SEGMENTS) {
            match url.host() {
                Host::Name(name) => {
                    for suffix in name.suffixes() {
                        let entry = Entry::Url { host: UrlHost::Name(suffix), path };
                        self.find(&[suffix.as_bytes(), path.as_bytes()], entry, now, found)?;
                    }
                }
                Host::Address(address) => {
                    let entry = Entry::Url { host: UrlHost::Address(*address), path };
                    let host = AddressText::of_url_host(*address);
                    self.find(&[host.octets(), path.as_bytes()], entry, now, found)?;
                }
            }
        }
        Ok(())
    }

    /// Adds what is listed of an address, in its canonical form, and the networks that hold it.
    pub(crate) fn find_address<'a>(
        &'a self,
        address: IpAddr,
        now: UnixMillis,
        found: &mut Option<Found<'a>>,
    ) -> Result<(), Damaged> {
        let text = AddressText::of(address);
        self.find(&[text.octets()], Entry::Address(address), now, found)?;
        self.networks.holding(&self.file, address, |network, number| {
            let place = usize::try_from(number).map_err(|_| Damaged)?;
            let record = self.record(place)?;
            self.take(&record, Entry::Network(network), now, found)
        })
    }

    fn find<'a>(
        &'a self,
        key: &[&[u8]],
        entry: Entry<'a>,
        now: UnixMillis,
        found: &mut Option<Found<'a>>,
    ) -> Result<(), Damaged> {
        let (mut low, mut high) = (0, self.records);
        while low < high {
            let middle = low + (high - low) / 2;
            let record = self.record(middle)?;
            match compare(self.text(record.key)?, key) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return self.take(&record, entry, now, found),
            }
        }
        Ok(())
    }

    fn take<'a>(
        &'a self,
        record: &Record,
        entry: Entry<'a>,
        now: UnixMillis,
        found: &mut Option<Found<'a>>,
    ) -> Result<(), Damaged> {
        if record.expires_at_ms != 0 && record.expires_at_ms <= now.0 {
            return Ok(());
        }
        let title = std::str::from_utf8(self.text(record.title)?).map_err(|_| Damaged)?;
        let own = OwnIndicator {
            id: record.id,
            title,
            severity: record.severity,
            generate_alert: record.generate_alert,
        };
        let (action, category) = (record.action, record.category);
        Found::add(found, Match { entry, action, category, source: Source::Tenant(own) });
        Ok(())
    }

    fn record(&self, place: usize) -> Result<Record, Damaged> {
        let at = place.checked_mul(RECORD).ok_or(Damaged)?;
        Record::parse(&self.file.array(at)?).ok_or(Damaged)
    }

    fn text(&self, place: Place) -> Result<&[u8], Damaged> {
        self.file.body(place.at, place.len)
    }
}

impl std::fmt::Debug for TenantFile {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("TenantFile")
            .field("epoch", &self.epoch())
            .field("entries", &self.entries())
            .finish_non_exhaustive()
    }
}

struct Record {
    key: Place,
    action: IndicatorAction,
    category: IndicatorCategory,
    severity: Severity,
    generate_alert: bool,
    title: Place,
    id: u64,
    expires_at_ms: u64,
}

impl Record {
    fn parse(octets: &[u8; RECORD]) -> Option<Self> {
        let [k0, k1, k2, k3, l0, l1, action, category, severity, generate_alert, rest @ ..] =
            octets;
        let [t0, t1, a0, a1, a2, a3, rest @ ..] = rest;
        let (id, expires_at) = rest.split_first_chunk::<8>()?;
        let place = |at: [u8; 4], len: [u8; 2]| {
            let at = usize::try_from(u32::from_le_bytes(at)).ok()?;
            Some(Place { at, len: usize::from(u16::from_le_bytes(len)) })
        };
        Some(Self {
            key: place([*k0, *k1, *k2, *k3], [*l0, *l1])?,
            action: IndicatorAction::from_octet(*action)?,
            category: IndicatorCategory::from_octet(*category)?,
            severity: Severity::ALL.get(usize::from(*severity)).copied()?,
            generate_alert: *generate_alert != 0,
            title: place([*a0, *a1, *a2, *a3], [*t0, *t1])?,
            id: u64::from_le_bytes(*id),
            expires_at_ms: u64::from_le_bytes(expires_at.try_into().ok()?),
        })
    }
}

/// An address as text, without a heap.
pub(crate) struct AddressText {
    octets: [u8; 48],
    len: usize,
}

impl AddressText {
    pub(crate) fn of(address: IpAddr) -> Self {
        let mut text = Self { octets: [0; 48], len: 0 };
        // The longest IPv6 address has 45 octets.
        let _ = write!(text, "{address}");
        text
    }

    /// As the host of a URL: an IPv6 address stands in brackets.
    pub(crate) fn of_url_host(address: IpAddr) -> Self {
        let mut text = Self { octets: [0; 48], len: 0 };
        let _ = match address {
            IpAddr::V4(address) => write!(text, "{address}"),
            IpAddr::V6(address) => write!(text, "[{address}]"),
        };
        text
    }

    pub(crate) fn octets(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

impl std::fmt::Write for AddressText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.len + text.len();
        let place = self.octets.get_mut(self.len..end).ok_or(std::fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Compares a key with the parts of another.
fn compare(key: &[u8], parts: &[&[u8]]) -> Ordering {
    let mut rest = key;
    for part in parts {
        let (start, behind) = rest.split_at(rest.len().min(part.len()));
        match start.cmp(part) {
            Ordering::Equal => rest = behind,
            unequal @ (Ordering::Less | Ordering::Greater) => return unequal,
        }
    }
    if rest.is_empty() { Ordering::Equal } else { Ordering::Greater }
}

/// Opens any octets, for the fuzzer and its replay: goes to the tables directly, past the signature.
#[doc(hidden)]
pub fn fuzz_tenant(octets: &[u8]) {
    let Some(Ok(file)) = Container::of_fuzz(KIND, octets).map(TenantFile::read) else { return };
    let (Ok(name), Ok(url)) =
        (DomainName::parse(b"a.b.test"), CanonicalUrl::parse("a.b.test/c/d?e"))
    else {
        return;
    };
    let mut found = None;
    let _ = file.find_name(&name, UnixMillis(0), &mut found);
    let _ = file.find_paths(&url, UnixMillis(0), &mut found);
    let _ = file.find_address(IpAddr::from([192, 0, 2, 1]), UnixMillis(0), &mut found);
}

const KIND: Kind = Kind { magic: b"BTZ-TENA", version: TENANT_FORMAT_VERSION };
const RECORD: usize = 32;
/// An organization's own path may be longer than those of feeds.
const PATH_SEGMENTS: usize = 32;

#[cfg(feature = "build")]
mod build {
    use std::collections::BTreeMap;

    use bartizan_model::{IndicatorAction, IndicatorCategory, Severity, UnixMillis};
    use ed25519_dalek::SigningKey;

    use super::KIND;
    use crate::container::{Header, Pages, assemble};
    use crate::networks;
    use crate::pattern::Pattern;

    /// An indicator of the organization's own.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct TenantIndicator {
        /// As the portal numbers it.
        pub id: u64,
        /// What it names. Of two for the same the first one stays.
        pub pattern: Pattern,
        /// What is to be done.
        pub action: IndicatorAction,
        /// Why it is listed.
        pub category: IndicatorCategory,
        /// Of its alerts.
        pub severity: Severity,
        /// Of its alerts; at most [`MAX_TITLE`] octets are kept.
        pub title: String,
        /// When it ends to do anything; `None` for never.
        pub expires_at: Option<UnixMillis>,
        /// Whether it raises alerts.
        pub generate_alert: bool,
    }

    /// Builds a signed tenant file. The same indicators give the same octets.
    #[must_use]
    pub fn build_tenant(
        indicators: &[TenantIndicator],
        epoch: u64,
        built_at: UnixMillis,
        key: &SigningKey,
    ) -> Vec<u8> {
        let mut by_key: BTreeMap<Vec<u8>, &TenantIndicator> = BTreeMap::new();
        let mut ranges: BTreeMap<ipnet::IpNet, &TenantIndicator> = BTreeMap::new();
        for indicator in indicators {
            match &indicator.pattern {
                Pattern::Network(network) => {
                    ranges.entry(*network).or_insert(indicator);
                }
                named @ (Pattern::Domain(_)
                | Pattern::Host(_)
                | Pattern::Subdomains(_)
                | Pattern::Url(_)
                | Pattern::Address(_)) => {
                    by_key.entry(named.to_string().into_bytes()).or_insert(indicator);
                }
            }
        }
        let mut body = Body::default();
        for (key, indicator) in &by_key {
            body.add(key, indicator);
        }
        let mut table = Vec::new();
        for (number, (network, indicator)) in (body.count()..).zip(&ranges) {
            table.push((*network, number));
            body.add(b"", indicator);
        }
        let records = u64::from(body.count() - u32::try_from(ranges.len()).unwrap_or(0));
        let (octets, parameters) = body.finish(records, &table);
        let mut pages = Pages::default();
        pages.write(&octets);
        let leaves = pages.finish();
        let header = Header::seal(KIND, epoch, built_at, &parameters, octets.len(), &leaves, key);
        assemble(&header, &leaves, &octets)
    }

    /// Records in their order, and the texts they point at.
    #[derive(Default)]
    struct Body<'a> {
        rows: Vec<(Vec<u8>, &'a TenantIndicator)>,
    }

    impl<'a> Body<'a> {
        fn count(&self) -> u32 {
            u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
        }

        fn add(&mut self, key: &[u8], indicator: &'a TenantIndicator) {
            self.rows.push((key.to_vec(), indicator));
        }

        fn finish(self, searched: u64, table: &[(ipnet::IpNet, u32)]) -> (Vec<u8>, Vec<u8>) {
            let texts_at = self.rows.len() * super::RECORD;
            let (mut octets, mut texts) = (Vec::with_capacity(texts_at), Vec::new());
            let mut place = |text: &[u8]| {
                let at = u32::try_from(texts_at + texts.len()).unwrap_or(u32::MAX);
                texts.extend_from_slice(text);
                (at.to_le_bytes(), u16::try_from(text.len()).unwrap_or(0).to_le_bytes())
            };
            for (key, indicator) in &self.rows {
                let end = indicator.title.floor_char_boundary(MAX_TITLE);
                let (key_at, key_len) = place(key);
                let (title_at, title_len) =
                    place(indicator.title.get(..end).unwrap_or_default().as_bytes());
                let severity = Severity::ALL.iter().position(|known| *known == indicator.severity);
                octets.extend_from_slice(&key_at);
                octets.extend_from_slice(&key_len);
                octets.push(indicator.action as u8);
                octets.push(indicator.category as u8);
                octets.push(severity.and_then(|place| u8::try_from(place).ok()).unwrap_or(0));
                octets.push(u8::from(indicator.generate_alert));
                octets.extend_from_slice(&title_len);
                octets.extend_from_slice(&title_at);
                octets.extend_from_slice(&indicator.id.to_le_bytes());
                let expires_at = indicator.expires_at.map_or(0, |at| at.0);
                octets.extend_from_slice(&expires_at.to_le_bytes());
            }
            octets.append(&mut texts);
            let mut parameters = searched.to_le_bytes().to_vec();
            for is_v6 in [false, true] {
                let encoded = networks::encode(table, is_v6);
                for number in [octets.len(), encoded.len()] {
                    let number = u32::try_from(number).unwrap_or(u32::MAX);
                    parameters.extend_from_slice(&number.to_le_bytes());
                }
                octets.extend(encoded);
            }
            parameters.extend_from_slice(&(self.rows.len() as u64).to_le_bytes());
            (octets, parameters)
        }
    }

    /// Octets of a title that a file keeps.
    /// 200 characters, whatever they are.
    pub const MAX_TITLE: usize = 800;
}

#[cfg(feature = "build")]
pub use build::{MAX_TITLE, TenantIndicator, build_tenant};
