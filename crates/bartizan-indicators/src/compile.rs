//! From feeds to the entries of a file: merge, guard, count.
//!
//! A feed is added whole or not at all. Of several feeds that list the same, the action that takes
//! precedence stays, then the gravest category, then the feed with the most trust.

use std::collections::BTreeMap;
use std::io::BufRead;

use bartizan_model::{DomainName, IndicatorAction, IndicatorCategory, UnixMillis};

use crate::feed::{self, FeedError, FeedReport};
use crate::guard::{Guard, HeldBack};
use crate::pattern::Pattern;

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
    now: UnixMillis,
    names: BTreeMap<DomainName, IndicatorCategory>,
    held_back: BTreeMap<String, HeldBack>,
    sample: Option<DomainName>,
}

impl Compiler {
    /// Starts without entries. `hash_key` is random, or that of the file to be followed, so that a delta
    /// leads from one to the other; entries that expire by `now` are left out.
    #[must_use]
    pub fn new(guard: Guard, hash_key: [u8; 16], now: UnixMillis) -> Self {
        let _ = hash_key;
        Self { guard, now, names: BTreeMap::new(), held_back: BTreeMap::new(), sample: None }
    }

    /// Adds a feed, whole or not at all.
    ///
    /// # Errors
    /// Why it is not a feed; what was added before stays.
    pub fn add(&mut self, input: impl BufRead, terms: &FeedTerms) -> Result<Added, FeedError> {
        let mut entries = Vec::new();
        let report = feed::read(input, |entry| entries.push(entry))?;
        let mut added = Added { report, kept: 0, held_back: [0; HeldBack::ALL.len()], expired: 0 };
        for entry in entries {
            if entry.expires_at.is_some_and(|at| at <= self.now) {
                added.expired += 1;
                continue;
            }
            let pattern = listed(&self.guard, entry.pattern, terms.urls);
            let held_back = self.guard.holds_back(&pattern);
            let Pattern::Domain(name) = pattern else { continue };
            match held_back {
                Some(reason) => {
                    for (known, count) in HeldBack::ALL.iter().zip(&mut added.held_back) {
                        *count += u64::from(*known == reason);
                    }
                    self.held_back.insert(name.to_string(), reason);
                }
                None => {
                    added.kept += 1;
                    if added.kept.is_power_of_two() {
                        self.sample = Some(name.clone());
                    }
                    let category = entry.category.unwrap_or(terms.category);
                    let listed = self.names.entry(name).or_insert(category);
                    *listed = (*listed).max(category);
                }
            }
        }
        Ok(added)
    }

    /// Returns what the guard held back, by how it is written, and why.
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
    pub fn finish(self) -> Compiled {
        Compiled { names: self.names }
    }
}

/// Returns what an entry lists: of a URL its host, where the feed is read so and the guard lets it.
fn listed(guard: &Guard, pattern: Pattern, urls: UrlListing) -> Pattern {
    match (&pattern, urls) {
        (Pattern::Url(url), UrlListing::Host) => {
            let host = Pattern::of_host(url.host().clone());
            if guard.holds_back(&host).is_none() { host } else { pattern }
        }
        (_, UrlListing::Host | UrlListing::Url) => pattern,
    }
}

/// The entries of a file, merged.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub(crate) names: BTreeMap<DomainName, IndicatorCategory>,
}

impl Compiled {
    /// Lists these and blocks them, without guard.
    #[must_use]
    pub fn of(listed: &[(Pattern, IndicatorCategory)]) -> Self {
        let names = listed
            .iter()
            .filter_map(|(pattern, category)| Some((pattern.name()?.clone(), *category)));
        Self { names: names.collect() }
    }

    /// Returns how many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// Octets of a feed's name that a file keeps.
pub const MAX_SOURCE: usize = 64;

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
