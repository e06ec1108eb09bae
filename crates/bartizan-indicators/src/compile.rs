//! From feeds to the names of a file: merge, guard, report.

use std::collections::BTreeMap;
use std::io::BufRead;

use bartizan_model::{DomainName, IndicatorClass};

use crate::feed::{self, FeedError, FeedReport};
use crate::guard::{Guard, HeldBack};

/// Collects the names of several feeds.
#[derive(Debug)]
pub struct Compiler {
    guard: Guard,
    names: BTreeMap<DomainName, IndicatorClass>,
    held_back: BTreeMap<DomainName, HeldBack>,
}

impl Compiler {
    /// Starts without names.
    #[must_use]
    pub fn new(guard: Guard) -> Self {
        Self { guard, names: BTreeMap::new(), held_back: BTreeMap::new() }
    }

    /// Adds a feed, whole or not at all. A name that several feeds list keeps the gravest class.
    ///
    /// # Errors
    /// Why it is not a feed; what was added before stays.
    pub fn add(
        &mut self,
        input: impl BufRead,
        class: IndicatorClass,
    ) -> Result<FeedReport, FeedError> {
        let mut names = Vec::new();
        let report = feed::read(input, |name| names.push(name))?;
        for name in names {
            match self.guard.holds_back(&name) {
                Some(reason) => {
                    self.held_back.insert(name, reason);
                }
                None => {
                    let listed = self.names.entry(name).or_insert(class);
                    *listed = (*listed).max(class);
                }
            }
        }
        Ok(report)
    }

    /// Returns what is to be listed.
    #[must_use]
    pub fn names(&self) -> &BTreeMap<DomainName, IndicatorClass> {
        &self.names
    }

    /// Returns what the guard held back, and why.
    #[must_use]
    pub fn held_back(&self) -> &BTreeMap<DomainName, HeldBack> {
        &self.held_back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrongly_listed_name_is_held_back_and_reported() {
        let mut compiler = Compiler::new(Guard::new());
        compiler.add(&b"evil.test\ngoogle.com\nco.uk\n"[..], IndicatorClass::Phishing).unwrap();
        compiler.add(&b"evil.test\n"[..], IndicatorClass::Spyware).unwrap();
        compiler.add(&b"evil.test\n"[..], IndicatorClass::Malware).unwrap();
        let text = format!("{:?} {:?}", compiler.names(), compiler.held_back());
        assert_eq!(
            text,
            r#"{"evil.test": Spyware} {"co.uk": PublicSuffix, "google.com": Popular}"#
        );
    }

    #[test]
    fn a_bad_feed_adds_nothing() {
        let mut compiler = Compiler::new(Guard::new());
        compiler.add(&b"evil.test\n"[..], IndicatorClass::Phishing).unwrap();
        assert!(compiler.add(&b"a.test\nno good\n"[..], IndicatorClass::Phishing).is_err());
        assert_eq!(compiler.names().len(), 1);
    }
}
