//! The structures that are compared, each behind the same few functions.
//!
//! Each is made of the same names, kept in a file, opened from there, and asked whether a name or one of its parents is listed.

use std::collections::HashSet;
use std::fs;
use std::hash::Hasher;
use std::path::Path;

use adblock::Engine;
use adblock::lists::{FilterSet, ParseOptions};
use adblock::request::Request;
use bartizan_indicators::{IndicatorFile, Indicators, Octets, mapping};
use bartizan_model::{DomainName, UnixMillis};
use siphasher::sip::SipHasher13;
use xorf::{BinaryFuse16, Filter};

use crate::{compile, feed, key};

/// Something that knows which names are listed.
pub trait Structure: Sized + Send + Sync + 'static {
    /// What it is called in tables.
    const NAME: &'static str;
    /// A name in the form in which it is asked.
    type Question: Send + Sync;
    /// Returns what is kept in a file.
    fn make(names: &[DomainName]) -> Vec<u8>;
    /// Opens that file.
    fn open(path: &Path) -> Self;
    /// Brings a name to the form in which it is asked.
    fn question(name: &str) -> Self::Question;
    /// Tells whether the name or one of its parents is listed.
    fn lists(&self, question: &Self::Question) -> bool;
}

/// The indicator file.
pub struct Ours(pub Indicators);

impl Structure for Ours {
    const NAME: &'static str = "indicator file";
    type Question = DomainName;

    fn make(names: &[DomainName]) -> Vec<u8> {
        compile(feed(names).as_bytes(), 1)
    }

    fn open(path: &Path) -> Self {
        let octets = mapping::map(path).expect("the file is there");
        let base = IndicatorFile::open(octets, &key().verifying_key(), 0).expect("it is signed");
        Self(Indicators { base: Some(base), tenant: None })
    }

    fn question(name: &str) -> DomainName {
        parsed(name)
    }

    fn lists(&self, name: &DomainName) -> bool {
        self.0.lookup(name, UnixMillis(0)).expect("it is whole").is_some()
    }
}

/// The `fst` crate, of names written backwards, so that one walk meets all parents.
pub struct Reversed(fst::Set<Mapped>);

impl Structure for Reversed {
    const NAME: &'static str = "fst, reversed";
    type Question = DomainName;

    fn make(names: &[DomainName]) -> Vec<u8> {
        let mut reversed: Vec<Vec<u8>> =
            names.iter().map(|name| name.as_str().bytes().rev().collect()).collect();
        reversed.sort_unstable();
        fst::Set::from_iter(reversed).expect("they are sorted").into_fst().into_inner()
    }

    fn open(path: &Path) -> Self {
        let octets = Mapped(mapping::map(path).expect("the file is there"));
        Self(fst::Set::new(octets).expect("it is a set"))
    }

    fn question(name: &str) -> DomainName {
        parsed(name)
    }

    fn lists(&self, name: &DomainName) -> bool {
        let fst = self.0.as_fst();
        let mut node = fst.root();
        for octet in name.as_str().bytes().rev() {
            if octet == b'.' && node.is_final() {
                return true;
            }
            let Some(way) = node.find_input(octet) else { return false };
            node = fst.node(node.transition_addr(way));
        }
        node.is_final()
    }
}

struct Mapped(Octets);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

/// What first comes to mind.
pub struct Plain(HashSet<Box<str>>);

impl Structure for Plain {
    const NAME: &'static str = "HashSet<Box<str>>";
    type Question = DomainName;

    fn make(names: &[DomainName]) -> Vec<u8> {
        feed(names).into_bytes()
    }

    fn open(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("the file is there");
        Self(text.lines().map(Box::from).collect())
    }

    fn question(name: &str) -> DomainName {
        parsed(name)
    }

    fn lists(&self, name: &DomainName) -> bool {
        name.suffixes().any(|name| self.0.contains(name))
    }
}

/// Brave's `adblock` crate, with a rule for each name.
pub struct Rules(pub Engine);

impl Structure for Rules {
    const NAME: &'static str = "adblock, ||name^";
    type Question = Request;

    fn make(names: &[DomainName]) -> Vec<u8> {
        let text = names.iter().map(|name| format!("||{}^\n", name.as_str())).collect();
        let mut rules = FilterSet::new(false);
        rules.add_filter_list(text, ParseOptions::default());
        Engine::new_with_filter_set(rules).serialize()
    }

    fn open(path: &Path) -> Self {
        let octets = fs::read(path).expect("the file is there");
        let mut engine = Engine::default();
        engine.deserialize(&octets).expect("it is an engine");
        Self(engine)
    }

    fn question(name: &str) -> Request {
        request(&format!("https://{name}/"))
    }

    fn lists(&self, request: &Request) -> bool {
        self.0.check_network_request(request).filter.is_some()
    }
}

/// Only a filter: what a binary fuse map of 16 bits costs by itself, in the `xorf` crate.
pub struct Fuse(BinaryFuse16);

impl Structure for Fuse {
    const NAME: &'static str = "xorf, filter alone";
    type Question = DomainName;

    /// The hashes; the crate's own way into a file needs a reader of our own, and is not what is measured.
    fn make(names: &[DomainName]) -> Vec<u8> {
        names.iter().flat_map(|name| hash(name.as_str()).to_le_bytes()).collect()
    }

    fn open(path: &Path) -> Self {
        let octets = fs::read(path).expect("the file is there");
        let (hashes, _) = octets.as_chunks();
        let hashes: Vec<u64> = hashes.iter().copied().map(u64::from_le_bytes).collect();
        Self(BinaryFuse16::try_from(&hashes).expect("no hash is there twice"))
    }

    fn question(name: &str) -> DomainName {
        parsed(name)
    }

    fn lists(&self, name: &DomainName) -> bool {
        name.suffixes().any(|name| self.0.contains(&hash(name)))
    }
}

/// Returns a request for a URL as `adblock` is asked.
#[must_use]
pub fn request(url: &str) -> Request {
    Request::new(url, "https://site.example/", "xmlhttprequest", "GET").expect("it is a URL")
}

fn parsed(name: &str) -> DomainName {
    DomainName::parse(name.as_bytes()).expect("it is a name")
}

fn hash(name: &str) -> u64 {
    let mut hasher = SipHasher13::new_with_key(&[7; 16]);
    hasher.write(name.as_bytes());
    hasher.finish()
}
