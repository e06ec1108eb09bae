//! What no feed may block (invariant 3 of ARCHITECTURE.md).
//!
//! Feeds list shared and popular hosts by mistake: a sign-in page of a web office, a link shortener, a
//! suffix under which thousands publish, an address that everybody resolves names at. Blocking such a thing
//! does more harm than the threat, so the entry is held back and reported. A name *under* a shared host
//! stays: it belongs to one publisher. So does a URL: it touches nothing but itself.
//!
//! # What it does not do
//! - Know what is popular today: until an allow feed says, the embedded lists do (`data/`).
//! - Overrule the organization: what a tenant releases passes.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bartizan_model::DomainName;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::normal::{CanonicalUrl, Host};
use crate::pattern::Pattern;

/// Why an entry was held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeldBack {
    /// A public suffix of a registry, or a single label: others register names under it.
    PublicSuffix,
    /// A platform whose names or pages belong to many.
    SharedHosting,
    /// Well known, or the parent of a well-known name.
    Popular,
    /// The organization's or the portal's own name, a parent of it or a name under it.
    Own,
    /// An address with a special purpose, such as those of private networks (RFC 6890).
    Reserved,
    /// A network too wide to be one publisher's.
    TooWide,
}

impl HeldBack {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::PublicSuffix,
        Self::SharedHosting,
        Self::Popular,
        Self::Own,
        Self::Reserved,
        Self::TooWide,
    ];

    /// Returns the word for it in reports and in the store.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::PublicSuffix => "public-suffix",
            Self::SharedHosting => "shared-hosting",
            Self::Popular => "popular",
            Self::Own => "own",
            Self::Reserved => "reserved",
            Self::TooWide => "too-wide",
        }
    }
}

impl fmt::Display for HeldBack {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::PublicSuffix => "public suffix",
            Self::SharedHosting => "shared hosting",
            Self::Popular => "popular",
            Self::Own => "own",
            Self::Reserved => "reserved",
            Self::TooWide => "too wide",
        })
    }
}

/// What no feed may block.
#[derive(Clone, Debug)]
pub struct Guard {
    shared: HashSet<Box<str>>,
    popular: HashSet<Box<str>>,
    /// Popular, and one company's with everything under it.
    whole: HashSet<Box<str>>,
    own: HashSet<Box<str>>,
    parents_of_own: HashSet<Box<str>>,
    released: BTreeSet<Pattern>,
}

impl Guard {
    /// Starts with the public suffix list and the embedded lists of popular names and shared platforms.
    #[must_use]
    pub fn new() -> Self {
        let mut guard = Self {
            shared: HashSet::new(),
            popular: HashSet::new(),
            whole: HashSet::new(),
            own: HashSet::new(),
            parents_of_own: HashSet::new(),
            released: BTreeSet::new(),
        };
        for (name, is_whole) in names(POPULAR) {
            guard.allow(&name);
            if is_whole {
                guard.whole.insert(name.as_str().into());
            }
        }
        for (name, _) in names(SHARED) {
            guard.allow(&name);
            guard.shared.insert(name.as_str().into());
        }
        guard
    }

    /// Adds a popular name. Its parents count too, since blocking one of them would block it.
    pub fn allow(&mut self, name: &DomainName) {
        for name in name.suffixes() {
            // Its parents are there as well.
            if !self.popular.insert(name.into()) {
                break;
            }
        }
    }

    /// Adds a name of the organization or of the portal.
    pub fn protect(&mut self, name: &DomainName) {
        self.own.insert(name.as_str().into());
        self.parents_of_own.extend(name.suffixes().skip(1).map(Box::from));
    }

    /// Lets an entry pass, because an administrator says so. What is the organization's own stays protected.
    pub fn release(&mut self, pattern: &Pattern) {
        self.released.insert(pattern.clone());
    }

    /// Yields the names that are held back as they are, but for released ones.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let all =
            self.shared.iter().chain(&self.popular).chain(&self.own).chain(&self.parents_of_own);
        let is_released = |name: &str| {
            let released = DomainName::parse(name.as_bytes()).map(Pattern::Domain);
            released.is_ok_and(|pattern| self.released.contains(&pattern))
        };
        all.map(|name| &**name).filter(move |name| !is_released(name))
    }

    /// Tells whether an entry is to be held back, and why.
    #[must_use]
    pub fn holds_back(&self, pattern: &Pattern) -> Option<HeldBack> {
        let held = match pattern {
            Pattern::Domain(name) | Pattern::Host(name) | Pattern::Subdomains(name) => {
                self.holds_back_name(name)
            }
            Pattern::Url(url) => self.holds_back_url(url),
            Pattern::Address(address) => holds_back_network((*address).into()),
            Pattern::Network(network) => holds_back_network(*network),
        }?;
        let is_released = held != HeldBack::Own && self.released.contains(pattern);
        if is_released { None } else { Some(held) }
    }

    fn holds_back_name(&self, name: &DomainName) -> Option<HeldBack> {
        let text = name.as_str();
        let bare = text.strip_prefix("www.").unwrap_or(text);
        if self.is_own(name) || self.parents_of_own.contains(text) {
            return Some(HeldBack::Own);
        }
        let suffix = psl::suffix(text.as_bytes());
        if let Some(suffix) = suffix.filter(|suffix| suffix.as_bytes() == text.as_bytes()) {
            return Some(match suffix.typ() {
                Some(psl::Type::Private) => HeldBack::SharedHosting,
                Some(psl::Type::Icann) | None => HeldBack::PublicSuffix,
            });
        }
        if self.shared.contains(bare) {
            Some(HeldBack::SharedHosting)
        } else if self.popular.contains(bare)
            || self.popular.contains(text)
            || name.suffixes().skip(1).any(|parent| self.whole.contains(parent))
        {
            Some(HeldBack::Popular)
        } else {
            None
        }
    }

    fn holds_back_url(&self, url: &CanonicalUrl) -> Option<HeldBack> {
        match url.host() {
            Host::Name(name) => self.is_own(name).then_some(HeldBack::Own),
            Host::Address(_) => None,
        }
    }

    fn is_own(&self, name: &DomainName) -> bool {
        !self.own.is_empty() && name.suffixes().any(|name| self.own.contains(name))
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self::new()
    }
}

fn holds_back_network(network: IpNet) -> Option<HeldBack> {
    let (least, reserved) = match network {
        IpNet::V4(network) => (
            LEAST_PREFIX_V4,
            RESERVED_V4.iter().any(|known| known.contains(&network) || network.contains(known)),
        ),
        IpNet::V6(network) => (
            LEAST_PREFIX_V6,
            RESERVED_V6.iter().any(|known| known.contains(&network) || network.contains(known)),
        ),
    };
    if reserved {
        Some(HeldBack::Reserved)
    } else if network.prefix_len() < least {
        Some(HeldBack::TooWide)
    } else if RESOLVERS.iter().any(|address| network.contains(address)) {
        Some(HeldBack::Popular)
    } else {
        None
    }
}

/// Yields the names of an embedded list, and whether everything under each is meant.
fn names(list: &str) -> impl Iterator<Item = (DomainName, bool)> {
    list.lines().filter_map(|line| {
        let name = line.strip_prefix("*.").unwrap_or(line);
        Some((DomainName::parse(name.as_bytes()).ok()?, name != line))
    })
}

/// Written for this project: see the head of the file.
const POPULAR: &str = include_str!("../data/popular.txt");
/// Written for this project: see the head of the file.
const SHARED: &str = include_str!("../data/shared.txt");

const LEAST_PREFIX_V4: u8 = 16;
const LEAST_PREFIX_V6: u8 = 32;

/// Of the registries of RFC 6890, without what is for documentation: that is nobody's, and good for examples.
const RESERVED_V4: [Ipv4Net; 11] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
];
const RESERVED_V6: [Ipv6Net; 9] = [
    v6([0, 0, 0, 0], 16), // unspecified, loopback, IPv4-mapped
    v6([0x64, 0xff9b, 0, 0], 96),
    v6([0x64, 0xff9b, 1, 0], 48),
    v6([0x100, 0, 0, 0], 64),
    v6([0x2001, 0, 0, 0], 23),
    v6([0x2002, 0, 0, 0], 16),
    v6([0xfc00, 0, 0, 0], 7),
    v6([0xfe80, 0, 0, 0], 10),
    v6([0xff00, 0, 0, 0], 8),
];

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6([a, b, c, d]: [u16; 4], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix)
}

/// Where everybody may resolve names: without them a device may have no network.
const RESOLVERS: [IpAddr; 44] = [
    // Cloudflare, with its filtering twins.
    a4([1, 1, 1, 1]),
    a4([1, 0, 0, 1]),
    a4([1, 1, 1, 2]),
    a4([1, 0, 0, 2]),
    a4([1, 1, 1, 3]),
    a4([1, 0, 0, 3]),
    a6([0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111]),
    a6([0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1001]),
    a6([0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1112]),
    a6([0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1002]),
    // Google.
    a4([8, 8, 8, 8]),
    a4([8, 8, 4, 4]),
    a6([0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888]),
    a6([0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8844]),
    // Quad9.
    a4([9, 9, 9, 9]),
    a4([9, 9, 9, 10]),
    a4([9, 9, 9, 11]),
    a4([149, 112, 112, 112]),
    a4([149, 112, 112, 10]),
    a4([149, 112, 112, 11]),
    a6([0x2620, 0xfe, 0, 0, 0, 0, 0, 0xfe]),
    a6([0x2620, 0xfe, 0, 0, 0, 0, 0, 0x9]),
    // OpenDNS.
    a4([208, 67, 222, 222]),
    a4([208, 67, 220, 220]),
    a4([208, 67, 222, 123]),
    a4([208, 67, 220, 123]),
    a6([0x2620, 0x119, 0x35, 0, 0, 0, 0, 0x35]),
    a6([0x2620, 0x119, 0x53, 0, 0, 0, 0, 0x53]),
    // AdGuard.
    a4([94, 140, 14, 14]),
    a4([94, 140, 15, 15]),
    a4([94, 140, 14, 140]),
    a4([94, 140, 14, 141]),
    // CleanBrowsing.
    a4([185, 228, 168, 9]),
    a4([185, 228, 169, 9]),
    // Level 3, and Verisign's heirs.
    a4([4, 2, 2, 1]),
    a4([4, 2, 2, 2]),
    a4([64, 6, 64, 6]),
    a4([64, 6, 65, 6]),
    // Yandex.
    a4([77, 88, 8, 8]),
    a4([77, 88, 8, 1]),
    // AliDNS, DNSPod, 114DNS.
    a4([223, 5, 5, 5]),
    a4([223, 6, 6, 6]),
    a4([119, 29, 29, 29]),
    a4([114, 114, 114, 114]),
];

const fn a4([a, b, c, d]: [u8; 4]) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn a6([a, b, c, d, e, f, g, h]: [u16; 8]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_and_popular_names_are_held_back() {
        check("com", Some(HeldBack::PublicSuffix));
        check("localhost", Some(HeldBack::PublicSuffix));
        check("co.uk", Some(HeldBack::PublicSuffix));
        check("github.io", Some(HeldBack::SharedHosting));
        check("weebly.com", Some(HeldBack::SharedHosting));
        check("www.weebly.com", Some(HeldBack::SharedHosting));
        check("bit.ly", Some(HeldBack::SharedHosting));
        check("sites.google.com", Some(HeldBack::SharedHosting));
        check("google.com", Some(HeldBack::Popular));
        check("www.google.com", Some(HeldBack::Popular));
        check("=google.com", Some(HeldBack::Popular));
        check("*.google.com", Some(HeldBack::Popular));
        check("docs.google.com", Some(HeldBack::Popular));
        check("login.live.com", Some(HeldBack::Popular));
        check("any.name.of.paypal.com", Some(HeldBack::Popular));
    }

    #[test]
    fn one_publisher_among_many_is_not() {
        check("evil.github.io", None);
        check("evil.weebly.com", None);
        check("google.com.evil.test", None);
        check("evil.test", None);
        check("other.example.test", None);
    }

    #[test]
    fn the_organization_itself_is_held_back() {
        check("portal.example.test", Some(HeldBack::Own));
        check("a.portal.example.test", Some(HeldBack::Own));
        check("example.test", Some(HeldBack::Own));
        check("portal.example.test/a", Some(HeldBack::Own));
    }

    #[test]
    fn a_url_touches_nothing_but_itself() {
        check("sites.google.com/view/evil", None);
        check("bit.ly/a", None);
        check("example.test/a", None);
        check("10.0.0.1/a", None);
    }

    #[test]
    fn addresses_of_everybody_and_of_nobody_are_held_back() {
        check("192.0.2.1", None);
        check("2001:db8::1", None);
        check("192.0.2.0/24", None);
        check("203.0.0.0/16", None);
        check("203.0.0.0/15", Some(HeldBack::TooWide));
        check("2a00::/31", Some(HeldBack::TooWide));
        check("2a00::/32", None);
        check("10.1.2.3", Some(HeldBack::Reserved));
        check("127.0.0.1", Some(HeldBack::Reserved));
        check("::1", Some(HeldBack::Reserved));
        check("fe80::1", Some(HeldBack::Reserved));
        check("224.0.0.251", Some(HeldBack::Reserved));
        check("192.0.0.0/16", Some(HeldBack::Reserved));
        check("0.0.0.0/0", Some(HeldBack::Reserved));
        check("::/0", Some(HeldBack::Reserved));
        check("8.8.8.8", Some(HeldBack::Popular));
        check("8.8.8.0/24", Some(HeldBack::Popular));
        check("2606:4700:4700::1111", Some(HeldBack::Popular));
    }

    #[test]
    fn what_is_released_passes_and_nothing_else() {
        let mut guard = Guard::new();
        guard.release(&"google.com".parse().unwrap());
        assert_eq!(guard.holds_back(&"google.com".parse().unwrap()), None);
        let other = guard.holds_back(&"docs.google.com".parse().unwrap());
        assert_eq!(other, Some(HeldBack::Popular));
    }

    #[test]
    fn the_parents_of_an_allowed_name_are_popular_too() {
        let mut guard = Guard::new();
        for name in ["a.b.popular.test", "c.popular.test"] {
            guard.allow(&DomainName::parse(name.as_bytes()).unwrap());
        }
        for name in ["popular.test", "b.popular.test", "www.c.popular.test"] {
            let held = guard.holds_back(&name.parse().unwrap());
            assert_eq!(held, Some(HeldBack::Popular), "{name}");
        }
        assert_eq!(guard.holds_back(&"d.popular.test".parse().unwrap()), None);
    }

    #[test]
    fn the_embedded_lists_are_clean() {
        let mut unique = HashSet::new();
        for (list, least) in [(POPULAR, 1_000), (SHARED, 200)] {
            let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
            let lines: Vec<_> = lines.collect();
            assert!(least < lines.len(), "{} names", lines.len());
            for line in &lines {
                let line = &line.strip_prefix("*.").unwrap_or(line);
                let parsed = DomainName::parse(line.as_bytes());
                assert_eq!(parsed.map(|name| name.to_string()).as_deref(), Ok(*line));
                assert!(line.contains('.') && unique.insert(*line), "{line} is there twice");
            }
        }
    }

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let words: BTreeSet<_> = HeldBack::ALL.iter().map(|reason| reason.word()).collect();
        assert_eq!(words.len(), HeldBack::ALL.len());
    }

    #[track_caller]
    fn check(pattern: &str, expected: Option<HeldBack>) {
        let mut guard = Guard::new();
        guard.protect(&DomainName::parse(b"portal.example.test").unwrap());
        assert_eq!(guard.holds_back(&pattern.parse().unwrap()), expected, "{pattern}");
    }
}
