//! What no feed may block (invariant 3 of ARCHITECTURE.md).
//!
//! Feeds list shared and popular hosts by mistake: a sign-in page of a web office, a link shortener, a
//! suffix under which thousands publish. Blocking such a name does more harm than the threat, so the
//! entry is held back and reported. A name *under* a shared host stays: it belongs to one publisher.

use std::collections::HashSet;
use std::fmt;

use bartizan_model::DomainName;

use crate::pattern::Pattern;

/// Why an entry was held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeldBack {
    /// A public suffix, ICANN's or private, or a single label: others register names under it.
    PublicSuffix,
    /// Well known, or the parent of a well-known name.
    Popular,
    /// The portal's own name or its parent.
    Own,
}

impl HeldBack {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::PublicSuffix, Self::Popular, Self::Own];
}

impl HeldBack {
    /// Returns the word for it in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::PublicSuffix => "public-suffix",
            Self::Popular => "popular",
            Self::Own => "own",
        }
    }
}

impl fmt::Display for HeldBack {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::PublicSuffix => "public suffix",
            Self::Popular => "popular",
            Self::Own => "own",
        })
    }
}

/// The names that no feed may block.
#[derive(Clone, Debug)]
pub struct Guard {
    popular: HashSet<Box<str>>,
    own: HashSet<Box<str>>,
    released: HashSet<Box<str>>,
}

impl Guard {
    /// Starts with the public suffix list and the embedded list of popular names.
    #[must_use]
    pub fn new() -> Self {
        let mut guard =
            Self { popular: HashSet::new(), own: HashSet::new(), released: HashSet::new() };
        for line in POPULAR.lines().filter(|line| !line.starts_with('#')) {
            if let Ok(name) = DomainName::parse(line.trim().as_bytes()) {
                guard.allow(&name);
            }
        }
        guard
    }

    /// Adds a popular name. Its parents count too, since blocking one of them would block it.
    pub fn allow(&mut self, name: &DomainName) {
        self.popular.extend(name.suffixes().map(Box::from));
    }

    /// Adds a name of the portal itself.
    pub fn protect(&mut self, name: &DomainName) {
        self.own.extend(name.suffixes().map(Box::from));
    }

    /// Lets feeds block a name after all, because a person says so. An own name stays protected.
    pub fn release(&mut self, name: &DomainName) {
        self.released.insert(Box::from(name.as_str()));
    }

    /// Tells whether an entry is to be held back, and why.
    #[must_use]
    pub fn holds_back(&self, pattern: &Pattern) -> Option<HeldBack> {
        let (Pattern::Domain(name) | Pattern::Host(name) | Pattern::Subdomains(name)) = pattern
        else {
            return None;
        };
        let text = name.as_str();
        if self.own.contains(text) {
            Some(HeldBack::Own)
        } else if self.released.contains(text) {
            None
        } else if psl::suffix_str(text) == Some(text) {
            Some(HeldBack::PublicSuffix)
        } else if self.popular.contains(text.strip_prefix("www.").unwrap_or(text)) {
            Some(HeldBack::Popular)
        } else {
            None
        }
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self::new()
    }
}

/// Written for this project: see the head of the file.
const POPULAR: &str = include_str!("../data/popular.txt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_and_popular_names_are_held_back() {
        check("com", Some(HeldBack::PublicSuffix));
        check("localhost", Some(HeldBack::PublicSuffix));
        check("co.uk", Some(HeldBack::PublicSuffix));
        check("github.io", Some(HeldBack::PublicSuffix));
        check("google.com", Some(HeldBack::Popular));
        check("www.google.com", Some(HeldBack::Popular));
        check("sites.google.com", Some(HeldBack::Popular));
        check("portal.example.test", Some(HeldBack::Own));
        check("example.test", Some(HeldBack::Own));
    }

    #[test]
    fn one_publisher_among_many_is_not() {
        check("evil.github.io", None);
        check("google.com.evil.test", None);
        check("evil.test", None);
        check("other.example.test", None);
    }

    #[test]
    fn a_released_name_is_listed_unless_it_is_our_own() {
        let mut guard = Guard::new();
        let name = |text: &str| DomainName::parse(text.as_bytes()).unwrap();
        let (popular, own) = (name("google.com"), name("acme.test"));
        guard.protect(&own);
        guard.release(&popular);
        guard.release(&own);
        let held = |name: DomainName| guard.holds_back(&Pattern::Domain(name));
        assert_eq!(held(popular), None);
        assert_eq!(held(own), Some(HeldBack::Own));
        assert_eq!(held(name("mail.google.com")), Some(HeldBack::Popular));
    }

    #[test]
    fn the_embedded_list_is_clean() {
        let names: Vec<_> =
            POPULAR.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        assert!(1_000 < names.len(), "{} names", names.len());
        for name in &names {
            let parsed = DomainName::parse(name.as_bytes());
            assert_eq!(parsed.map(|name| name.to_string()).as_deref(), Ok(*name));
        }
        let unique: HashSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
    }

    #[track_caller]
    fn check(name: &str, expected: Option<HeldBack>) {
        let mut guard = Guard::new();
        guard.protect(&DomainName::parse(b"portal.example.test").unwrap());
        assert_eq!(guard.holds_back(&name.parse().unwrap()), expected);
    }
}
