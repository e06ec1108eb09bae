//! From feeds to the entries of a file: merge, guard, count.
//!
//! A feed is added whole or not at all. Of several feeds that list the same, the action that takes
//! precedence stays, then the gravest category, then the feed with the most trust, then the one added first.
//!
//! Entries are hashed as they come, and only the hashes are kept: 16 octets each, so that ten million take 160 MB.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use bartizan_model::{DomainName, IndicatorAction, IndicatorCategory, UnixMillis};
use ipnet::IpNet;

use crate::body::Sections;
use crate::feed::{self, FeedEntry, FeedError, FeedReport};
use crate::file::{HAS_ADDRESS, HAS_HOST, HAS_SUBDOMAINS, HAS_URL, address_hash, hash_of};
use crate::guard::{Guard, HeldBack};
use crate::networks;
use crate::pattern::Pattern;
use crate::shard::Row;

/// What is known of a feed beside its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedTerms {
    /// Its name, at most [`MAX_SOURCE`] octets of it: alerts and reports say it.
    pub source: String,
    /// Why it lists something, where an entry does not say so itself.
    pub category: IndicatorCategory,
    /// What is done about its entries.
    pub action: IndicatorAction,
    /// 0 to 100; of two feeds that list the same, the one with more of it is named.
    pub trust: u8,
    /// What a URL on a host of its own lists.
    pub urls: UrlListing,
    /// How it is read.
    pub read: feed::Options,
}

impl FeedTerms {
    /// Returns the terms of a feed that blocks for this reason.
    #[must_use]
    pub fn new(source: &str, category: IndicatorCategory) -> Self {
        Self {
            source: source.to_owned(),
            category,
            action: IndicatorAction::Block,
            trust: 50,
            urls: UrlListing::Host,
            read: feed::Options::default(),
        }
    }
}

/// What a feed's URL lists. On a host that the guard protects it is always the URL alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlListing {
    /// Its host, since most connections show no more than that.
    Host,
    /// The URL alone.
    Url,
}

/// How a feed was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// How it was read.
    pub report: FeedReport,
    /// Entries that are listed, those included that other feeds list too.
    pub kept: u64,
    /// Entries held back, for each of [`HeldBack::ALL`].
    pub held_back: [u64; HeldBack::ALL.len()],
    /// Entries that had expired.
    pub expired: u64,
}

/// Collects the entries of several feeds.
#[derive(Debug)]
pub struct Compiler {
    guard: Guard,
    hash_key: [u8; 16],
    now: UnixMillis,
    rows: Vec<Row>,
    networks: Vec<(IpNet, u16)>,
    kinds: u16,
    claims: Vec<Claim>,
    sources: Vec<String>,
    held_back: BTreeMap<String, HeldBack>,
    sample: Option<DomainName>,
}

/// What a feed says about its entries: rows point here until the file's palette is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim {
    action: IndicatorAction,
    category: IndicatorCategory,
    trust: u8,
    source: u16,
}

impl Compiler {
    /// Starts without entries. `hash_key` is random, or that of the file to be followed, so that a delta
    /// leads from one to the other; entries that expire by `now` are left out.
    #[must_use]
    pub fn new(guard: Guard, hash_key: [u8; 16], now: UnixMillis) -> Self {
        Self {
            guard,
            hash_key,
            now,
            rows: Vec::new(),
            networks: Vec::new(),
            kinds: 0,
            claims: Vec::new(),
            sources: Vec::new(),
            held_back: BTreeMap::new(),
            sample: None,
        }
    }

    /// Adds a feed, whole or not at all.
    ///
    /// # Errors
    /// Why it is not a feed; what was added before stays.
    pub fn add(&mut self, input: impl BufRead, terms: &FeedTerms) -> Result<Added, FeedError> {
        let (rows, networks, kinds) = (self.rows.len(), self.networks.len(), self.kinds);
        let sample = self.sample.clone();
        let mut taken = Taken { held_back: Vec::new(), counts: Counts::default() };
        let source = self.source(&terms.source);
        let read =
            feed::read_as(input, &terms.read, |entry| self.take(entry, terms, source, &mut taken));
        match read {
            Ok(report) => {
                self.held_back.extend(taken.held_back);
                let Counts { kept, held_back, expired } = taken.counts;
                Ok(Added { report, kept, held_back, expired })
            }
            Err(error) => {
                self.rows.truncate(rows);
                self.networks.truncate(networks);
                (self.kinds, self.sample) = (kinds, sample);
                Err(error)
            }
        }
    }

    /// Returns what the guard held back, by how it is written, and why: at most [`MAX_HELD_BACK`] of each feed.
    #[must_use]
    pub fn held_back(&self) -> &BTreeMap<String, HeldBack> {
        &self.held_back
    }

    /// Returns one of the listed domains, for a test: of a large feed one from its second half.
    #[must_use]
    pub fn sample(&self) -> Option<&DomainName> {
        self.sample.as_ref()
    }

    /// Returns what is to be listed.
    #[must_use]
    pub fn finish(mut self) -> Compiled {
        // A name that no feed may block is not to be blocked by accident either, nor by somebody who registered one
        // with the same hash: such an entry is left out.
        let hashes = self.guard.names().map(|name| hash_of(&self.hash_key, &[name.as_bytes()]));
        let protected: BTreeSet<u64> = hashes.collect();
        let claims = &self.claims;
        self.rows.retain(|row| {
            let claim = claims.get(usize::from(row.attribute));
            claim.is_some_and(|claim| claim.action == IndicatorAction::Allow)
                || !protected.contains(&row.hash)
        });
        self.merge()
    }

    fn merge(self) -> Compiled {
        let Self { hash_key, mut rows, mut networks, kinds, claims, sources, .. } = self;
        let rank = |claim: u16| {
            claims.get(usize::from(claim)).map(|claim| {
                (claim.action, Reverse(claim.category), Reverse(claim.trust), claim.source)
            })
        };
        rows.sort_unstable_by(|a, b| {
            a.hash.cmp(&b.hash).then_with(|| rank(a.attribute).cmp(&rank(b.attribute)))
        });
        rows.dedup_by_key(|row| row.hash);
        networks.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| rank(a.1).cmp(&rank(b.1))));
        networks.dedup_by_key(|(network, _)| *network);
        rows.shrink_to_fit();

        // Of the claims only those that are left get a color, the same for the same claims in any order.
        let mut left: Vec<u16> = Vec::new();
        let mut seen = vec![false; claims.len()];
        let numbers = rows.iter().map(|row| row.attribute).chain(networks.iter().map(|row| row.1));
        for number in numbers {
            if let Some(seen) = seen.get_mut(usize::from(number))
                && !std::mem::replace(seen, true)
            {
                left.push(number);
            }
        }
        let octets = |number: &u16| {
            let claim = claims.get(usize::from(*number));
            claim.map_or([0; 8], |claim| {
                let [low, high] = claim.source.to_le_bytes();
                [claim.category as u8, claim.action as u8, low, high, 0, 0, 0, 0]
            })
        };
        let mut palette: Vec<[u8; 8]> = left.iter().map(octets).collect();
        palette.sort_unstable();
        palette.dedup();
        let colors: Vec<u16> = (0..claims.len())
            .map(|number| {
                let number = u16::try_from(number).unwrap_or(u16::MAX);
                let color = palette.binary_search(&octets(&number)).unwrap_or(0);
                u16::try_from(color).unwrap_or(u16::MAX)
            })
            .collect();
        let color = |claim: u16| colors.get(usize::from(claim)).copied().unwrap_or(0);
        for row in &mut rows {
            row.attribute = color(row.attribute);
        }
        let networks: Vec<(IpNet, u32)> =
            networks.into_iter().map(|(network, claim)| (network, color(claim).into())).collect();
        let sections = Sections {
            palette: palette.concat(),
            sources: encode_sources(&sources),
            v4: networks::encode(&networks, false),
            v6: networks::encode(&networks, true),
        };
        Compiled { hash_key, kinds, rows, networks: networks.len(), sections }
    }

    fn take(&mut self, entry: FeedEntry, terms: &FeedTerms, source: u16, taken: &mut Taken) {
        if entry.expires_at.is_some_and(|at| at <= self.now) {
            taken.counts.expired += 1;
            return;
        }
        let pattern = match self.admitted(entry.pattern, terms) {
            Ok(pattern) => pattern,
            Err((pattern, reason)) => {
                taken.hold_back(&pattern, reason);
                return;
            }
        };
        let claim = Claim {
            action: terms.action,
            category: entry.category.unwrap_or(terms.category),
            trust: terms.trust,
            source,
        };
        let Some(claim) = self.claim(claim) else { return };
        taken.counts.kept += 1;
        if taken.counts.kept.is_power_of_two()
            && let Pattern::Domain(name) = &pattern
        {
            self.sample = Some(name.clone());
        }
        self.list(&pattern, claim);
    }

    /// Says what is listed for an entry, or why nothing is.
    fn admitted(
        &self,
        pattern: Pattern,
        terms: &FeedTerms,
    ) -> Result<Pattern, (Pattern, HeldBack)> {
        // The guard is against stopping what people need; what is let through needs none.
        if terms.action == IndicatorAction::Allow {
            return Ok(pattern);
        }
        if let (Pattern::Url(url), UrlListing::Host) = (&pattern, terms.urls) {
            let host = Pattern::of_host(url.host().clone());
            if self.guard.holds_back(&host).is_none() {
                return Ok(host);
            }
        }
        match self.guard.holds_back(&pattern) {
            Some(reason) => Err((pattern, reason)),
            None => Ok(pattern),
        }
    }

    fn list(&mut self, pattern: &Pattern, claim: u16) {
        let key = &self.hash_key;
        let (hash, kind) = match pattern {
            Pattern::Domain(name) => (hash_of(key, &[name.as_str().as_bytes()]), 0),
            Pattern::Host(name) => (hash_of(key, &[b"=", name.as_str().as_bytes()]), HAS_HOST),
            Pattern::Subdomains(name) => {
                (hash_of(key, &[b"*.", name.as_str().as_bytes()]), HAS_SUBDOMAINS)
            }
            Pattern::Url(url) => (hash_of(key, &[url.to_string().as_bytes()]), HAS_URL),
            Pattern::Address(address) => (address_hash(key, *address), HAS_ADDRESS),
            Pattern::Network(network) => return self.networks.push((*network, claim)),
        };
        self.kinds |= kind;
        self.rows.push(Row { hash, attribute: claim });
    }

    fn source(&mut self, name: &str) -> u16 {
        let name = name.get(..name.floor_char_boundary(MAX_SOURCE)).unwrap_or(name);
        let place = self.sources.iter().position(|known| known == name).unwrap_or_else(|| {
            self.sources.push(name.to_owned());
            self.sources.len() - 1
        });
        u16::try_from(place).unwrap_or(u16::MAX)
    }

    /// Returns the number of a claim; `None` if there are more than a file can tell apart.
    fn claim(&mut self, claim: Claim) -> Option<u16> {
        // The last one is nearly always the one meant.
        let place = self.claims.iter().rposition(|known| *known == claim).unwrap_or_else(|| {
            self.claims.push(claim);
            self.claims.len() - 1
        });
        u16::try_from(place).ok()
    }
}

/// What was taken of a feed so far.
struct Taken {
    held_back: Vec<(String, HeldBack)>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    kept: u64,
    held_back: [u64; HeldBack::ALL.len()],
    expired: u64,
}

impl Taken {
    fn hold_back(&mut self, pattern: &Pattern, reason: HeldBack) {
        for (known, count) in HeldBack::ALL.iter().zip(&mut self.counts.held_back) {
            *count += u64::from(*known == reason);
        }
        if self.held_back.len() < MAX_HELD_BACK {
            self.held_back.push((pattern.to_string(), reason));
        }
    }
}

/// The entries of a file, merged.
#[derive(Clone, Debug)]
pub struct Compiled {
    hash_key: [u8; 16],
    kinds: u16,
    rows: Vec<Row>,
    networks: usize,
    sections: Sections,
}

impl Compiled {
    /// Lists these and blocks them, without guard, under a fixed key.
    #[must_use]
    pub fn of(listed: &[(Pattern, IndicatorCategory)]) -> Self {
        let mut compiler = Compiler::new(Guard::new(), [9; 16], UnixMillis(0));
        let source = compiler.source("list");
        for (pattern, category) in listed {
            let claim =
                Claim { action: IndicatorAction::Block, category: *category, trust: 50, source };
            if let Some(claim) = compiler.claim(claim) {
                compiler.list(pattern, claim);
            }
        }
        compiler.merge()
    }

    /// Returns how many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len() + self.networks
    }

    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn hash_key(&self) -> [u8; 16] {
        self.hash_key
    }

    pub(crate) fn kinds(&self) -> u16 {
        self.kinds
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn sections(&self) -> &Sections {
        &self.sections
    }
}

fn encode_sources(sources: &[String]) -> Vec<u8> {
    let (mut octets, mut names) = (Vec::new(), Vec::new());
    let table = (sources.len() + 1) * 4;
    for name in sources.iter().map(String::as_str).chain([""]) {
        let at = u32::try_from(table + names.len()).unwrap_or(u32::MAX);
        octets.extend_from_slice(&at.to_le_bytes());
        names.extend_from_slice(name.as_bytes());
    }
    octets.append(&mut names);
    octets
}

/// Octets of a feed's name that a file keeps.
pub const MAX_SOURCE: usize = 64;
/// Entries of a feed that are held back and named; more are counted.
pub const MAX_HELD_BACK: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrongly_listed_name_is_held_back_and_reported() {
        let mut compiler = compiler();
        add(&mut compiler, "evil.test\ngoogle.com\nco.uk\n", IndicatorCategory::Phishing).unwrap();
        add(&mut compiler, "evil.test\n", IndicatorCategory::Spyware).unwrap();
        add(&mut compiler, "evil.test\n", IndicatorCategory::Malware).unwrap();
        let held_back = format!("{:?}", compiler.held_back());
        assert_eq!(held_back, r#"{"co.uk": PublicSuffix, "google.com": Popular}"#);
        assert_eq!(compiler.finish().len(), 1);
    }

    #[test]
    fn a_bad_feed_adds_nothing() {
        let mut compiler = compiler();
        add(&mut compiler, "evil.test\n", IndicatorCategory::Phishing).unwrap();
        assert!(add(&mut compiler, "a.test\nno good\n", IndicatorCategory::Phishing).is_err());
        assert_eq!(compiler.finish().len(), 1);
    }

    /// Nobody can make two names of the same hash, so one is put there by hand.
    #[test]
    fn what_hashes_like_a_popular_name_is_left_out() {
        let mut compiler = compiler();
        add(&mut compiler, "evil.test\n", IndicatorCategory::Phishing).unwrap();
        compiler.rows.push(Row { hash: hash_of(&[0; 16], &[b"google.com"]), attribute: 0 });
        assert_eq!(compiler.finish().len(), 1);
    }

    #[test]
    fn a_feed_that_allows_may_name_what_is_popular() {
        let mut compiler = compiler();
        let terms = FeedTerms {
            action: IndicatorAction::Allow,
            ..FeedTerms::new("test", IndicatorCategory::Custom)
        };
        compiler.add(&b"google.com\n"[..], &terms).unwrap();
        assert_eq!(compiler.finish().len(), 1);
    }

    fn compiler() -> Compiler {
        Compiler::new(Guard::new(), [0; 16], UnixMillis(0))
    }

    fn add(
        compiler: &mut Compiler,
        feed: &str,
        category: IndicatorCategory,
    ) -> Result<Added, FeedError> {
        compiler.add(feed.as_bytes(), &FeedTerms::new("test", category))
    }
}
