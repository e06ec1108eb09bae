//! One form for hosts and URLs: what a feed lists and what a device sees must become the same octets.
//!
//! Hosts are brought to A-labels by UTS 46; addresses in whatever spelling (decimal, octal, hexadecimal,
//! short, IPv4-mapped IPv6) to one. URLs follow the Safe Browsing rules: escapes undone until none is
//! left, dot segments resolved, slashes folded, port, user-info and fragment dropped. As browsers do, and
//! those rules do not say, a backslash counts as a slash. Compiler and engine both come here.
//!
//! # What it does not do
//! - Judge, or know about public suffixes.
//! - Keep the scheme: a site is listed whether it is asked by `http` or `https`.
//!
//! # Invariants
//! - What comes out, written and read again, is the same.
//! - No input panics, and the work is linear in its length.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bartizan_model::{DomainName, MAX_NAME_LEN};

/// Who is spoken to: a name or an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// In A-labels.
    Name(DomainName),
    /// Never an IPv4-mapped IPv6 address.
    Address(IpAddr),
}

impl Host {
    /// Reads a host as people, feeds and URLs spell it.
    ///
    /// # Errors
    /// Why it is no host.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        if let Some(address) = bare {
            let address = address.parse::<Ipv6Addr>().map_err(|_| HostError::BadAddress)?;
            return Ok(Self::address(address.into()));
        }
        if text.is_ascii() {
            return Self::of_ascii(text);
        }
        if MAX_UNICODE < text.len() {
            return Err(HostError::TooLong);
        }
        let ascii = idna::domain_to_ascii(text).map_err(|_| HostError::BadInternationalName)?;
        Self::of_ascii(&ascii)
    }

    /// Brings an address to the one form it has here.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self::Address(address.to_canonical())
    }

    fn of_ascii(text: &str) -> Result<Self, HostError> {
        let text = text.trim_start_matches('.').trim_end_matches('.');
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if text.contains(':') {
            let address = text.parse::<Ipv6Addr>().map_err(|_| HostError::BadName)?;
            return Ok(Self::address(address.into()));
        }
        if let Some(address) = ipv4(text) {
            return address
                .map(|address| Self::Address(address.into()))
                .ok_or(HostError::BadAddress);
        }
        let name = if text.contains("..") {
            DomainName::parse(&folded(text, b'.'))
        } else {
            DomainName::parse(text.as_bytes())
        };
        name.map(Self::Name).map_err(|error| match error {
            bartizan_model::DomainNameError::TooLong { .. } => HostError::TooLong,
            bartizan_model::DomainNameError::BadLabel { .. }
            | bartizan_model::DomainNameError::BadOctet { .. } => HostError::BadName,
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(out),
            Self::Address(IpAddr::V4(address)) => address.fmt(out),
            Self::Address(IpAddr::V6(address)) => write!(out, "[{address}]"),
        }
    }
}

/// Why text is no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing, or only dots.
    #[error("has no host")]
    Empty,
    /// More than a name may have.
    #[error("is longer than a host name may be")]
    TooLong,
    /// A label is empty or too long, or an octet does not belong into a name.
    #[error("is not a host name")]
    BadName,
    /// UTS 46 does not allow it.
    #[error("is not a valid international name")]
    BadInternationalName,
    /// It ends in a number or stands in brackets, and yet is no address.
    #[error("is not an address")]
    BadAddress,
}

/// A URL in the one form it has here: host, path, query.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CanonicalUrl {
    host: Host,
    /// Starts with a slash; the query follows after a question mark.
    rest: String,
    /// Where the path ends.
    path_len: usize,
}

impl CanonicalUrl {
    /// Reads a URL, with or without a scheme.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let mut reader = UrlReader::default();
        reader.read(text)?;
        Ok(reader.url)
    }

    /// Returns a host's URL without path or query.
    #[must_use]
    pub fn of_host(host: Host) -> Self {
        Self { host, rest: "/".into(), path_len: 1 }
    }

    /// Returns who serves it.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the path: a slash, then segments; no slash at its end but the first.
    #[must_use]
    pub fn path(&self) -> &str {
        self.rest.get(..self.path_len).unwrap_or_default()
    }

    /// Returns path and query.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.rest
    }

    /// Returns what follows the question mark, if anything does.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.rest.get(self.path_len..)?.strip_prefix('?')
    }

    /// Yields what an entry's path may be to match, longest first: path with query, path, and each leading
    /// run of at most `directories` segments. The root alone is not among them: an entry for it is one for
    /// the host.
    pub fn path_prefixes(&self, directories: usize) -> impl Iterator<Item = &str> {
        let path = self.path();
        let with_query = self.query().map(|_| &*self.rest);
        let whole = (1 < path.len()).then_some(path);
        let ends = path.bytes().enumerate().skip(1).filter(|(_, octet)| *octet == b'/');
        let last = ends.clone().take(directories).count();
        let shorter = (0..last).rev().filter_map(move |n| {
            let (at, _) = ends.clone().nth(n)?;
            path.get(..at)
        });
        with_query.into_iter().chain(whole).chain(shorter)
    }
}

impl fmt::Display for CanonicalUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", self.host, self.rest)
    }
}

impl fmt::Debug for CanonicalUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\"{self}\"")
    }
}

/// Reads URLs one after the other into the same memory: once it has room for them, nothing is allocated.
#[derive(Debug)]
pub struct UrlReader {
    url: CanonicalUrl,
    /// A part of the URL with its escapes undone.
    plain: Vec<u8>,
}

impl Default for UrlReader {
    fn default() -> Self {
        let host = Host::Address(Ipv4Addr::UNSPECIFIED.into());
        Self { url: CanonicalUrl { host, rest: String::new(), path_len: 0 }, plain: Vec::new() }
    }
}

impl UrlReader {
    /// Reads a URL, with or without a scheme.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(&mut self, text: &str) -> Result<&CanonicalUrl, UrlError> {
        if MAX_URL < text.len() {
            return Err(UrlError::TooLong);
        }
        let text = text.trim_matches(is_trimmed);
        let without_breaks;
        let text = if text.contains(BREAKS) {
            without_breaks = text.replace(BREAKS, "");
            &without_breaks
        } else {
            text
        };
        let rest = without_scheme(text);
        let rest = rest.split('#').next().unwrap_or(rest);
        let (authority, rest) = rest.split_at(rest.find(['/', '\\', '?']).unwrap_or(rest.len()));
        self.fill(authority, rest)
    }

    /// Reads what a request says: the host it goes to, perhaps with a port, and its target from the first slash on.
    ///
    /// # Errors
    /// Why they are no URL.
    pub fn read_request(
        &mut self,
        authority: &str,
        target: &str,
    ) -> Result<&CanonicalUrl, UrlError> {
        if MAX_URL < authority.len() + target.len() {
            return Err(UrlError::TooLong);
        }
        self.fill(authority, target.split('#').next().unwrap_or(target))
    }

    /// Returns the octets that it holds on to.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.plain.capacity() + self.url.rest.capacity()
    }

    fn fill(&mut self, authority: &str, rest: &str) -> Result<&CanonicalUrl, UrlError> {
        let Self { url, plain } = self;
        // What few URLs need is not held on to.
        plain.clear();
        plain.shrink_to(KEPT_ROOM);
        url.rest.clear();
        url.rest.shrink_to(KEPT_ROOM);

        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        unescape(without_port(host).as_bytes(), plain);
        let host = str::from_utf8(plain).map_err(|_| UrlError::Host(HostError::BadName))?;
        url.host = Host::parse(host).map_err(UrlError::Host)?;

        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, query),
            None => (rest, ""),
        };
        unescape(path.as_bytes(), plain);
        put_path(plain, &mut url.rest);
        url.path_len = url.rest.len();
        if !query.is_empty() {
            url.rest.push('?');
            unescape(query.as_bytes(), plain);
            put_escaped(plain, b"", &mut url.rest);
        }
        Ok(url)
    }
}

/// Why text is no URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// More than [`MAX_URL`] octets.
    #[error("is longer than {MAX_URL} octets")]
    TooLong,
    /// The part that names the host.
    #[error(transparent)]
    Host(HostError),
}

/// Reads an IPv4 address as `inet_aton` does: one to four numbers, decimal, octal or hexadecimal.
///
/// `None` if it does not end in a number, and so is a name; `Some(None)` if it does and is no address.
fn ipv4(text: &str) -> Option<Option<Ipv4Addr>> {
    let last = text.rsplit('.').next().unwrap_or(text);
    let is_hexadecimal = |digits: &str| digits.bytes().all(|octet| octet.is_ascii_hexdigit());
    let is_number = last.bytes().all(|octet| octet.is_ascii_digit())
        || last.strip_prefix("0x").or_else(|| last.strip_prefix("0X")).is_some_and(is_hexadecimal);
    if !is_number {
        return None;
    }
    let address = || {
        let mut whole: u64 = 0;
        let mut parts = text.split('.').peekable();
        let mut left: u32 = 4;
        while let Some(part) = parts.next() {
            let value = number(part)?;
            left = left.checked_sub(1)?;
            let is_last = parts.peek().is_none();
            // The last number fills all octets that are left.
            let octets = if is_last { left + 1 } else { 1 };
            if 1_u64.checked_shl(8 * octets)? <= value {
                return None;
            }
            whole = (whole << (8 * octets)) | value;
        }
        u32::try_from(whole).ok().map(Ipv4Addr::from)
    };
    Some(address())
}

fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.as_bytes() {
        [] => return None,
        [b'0', b'x' | b'X', ..] => (text.get(2..)?, 16),
        [b'0', _, ..] => (text.get(1..)?, 8),
        _ => (text, 10),
    };
    // Browsers take a bare `0x` for zero.
    if digits.is_empty() {
        return Some(0);
    }
    let is_digit = |octet: u8| char::from(octet).is_digit(radix);
    digits.bytes().all(is_digit).then(|| u64::from_str_radix(digits, radix).ok())?
}

fn without_scheme(text: &str) -> &str {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet))
    };
    let slashes = ["//", "\\\\", "/\\", "\\/"];
    match text.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => {
            slashes.iter().find_map(|slashes| rest.strip_prefix(slashes)).unwrap_or(text)
        }
        Some(_) | None => text,
    }
}

fn is_trimmed(character: char) -> bool {
    character <= ' '
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // Colons within brackets, and those of a bare IPv6 address, are none of a port.
        Some((before, port)) if !before.contains(':') || before.ends_with(']') => {
            if port.bytes().all(|octet| octet.is_ascii_digit()) { before } else { host }
        }
        Some(_) | None => host,
    }
}

/// Undoes escapes until none is left.
///
/// What comes of an escape may be part of the next: the output is scanned on from its end, so that each
/// octet of input is touched a bounded number of times.
fn unescape(octets: &[u8], into: &mut Vec<u8>) {
    into.clear();
    for octet in octets {
        into.push(*octet);
        while let [.., b'%', high, low] = *into.as_slice()
            && let (Some(high), Some(low)) = (hexadecimal(high), hexadecimal(low))
        {
            into.truncate(into.len() - 3);
            into.push(high * 16 + low);
        }
    }
}

fn hexadecimal(octet: u8) -> Option<u8> {
    char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Writes a path with dot segments resolved, slashes folded, and the one at the end dropped. A question mark in it was
/// escaped, and stays so: it must not be taken for the query's.
fn put_path(path: &[u8], into: &mut String) {
    for segment in path.split(|octet| matches!(octet, b'/' | b'\\')) {
        match segment {
            b"" | b"." => {}
            b".." => into.truncate(into.rfind('/').unwrap_or(0)),
            segment => {
                into.push('/');
                put_escaped(segment, b"?", into);
            }
        }
    }
    if into.is_empty() {
        into.push('/');
    }
}

/// Writes octets with what is no text, and what is in `besides`, escaped.
fn put_escaped(octets: &[u8], besides: &[u8], into: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for octet in octets {
        match octet {
            0..=b' ' | 0x7f.. | b'#' | b'%' => {}
            octet if besides.contains(octet) => {}
            octet => {
                into.push(char::from(*octet));
                continue;
            }
        }
        into.push('%');
        for digit in [octet >> 4, octet & 15] {
            into.extend(DIGITS.get(usize::from(digit)).map(|digit| char::from(*digit)));
        }
    }
}

/// Makes one of each run of an octet.
fn folded(text: &str, octet: u8) -> Vec<u8> {
    let mut folded = text.as_bytes().to_vec();
    folded.dedup_by(|a, b| *a == octet && *b == octet);
    folded
}

/// Octets of a URL. Browsers take more; what is listed is shorter.
pub const MAX_URL: usize = 16 * 1024;
/// The most octets that a reader takes: those of the longest URL, each escaped, in a buffer that doubled, and once more without.
pub const MAX_READER: usize = (2 * 3 + 2) * MAX_URL;
/// What browsers drop from within URLs.
const BREAKS: [char; 3] = ['\t', '\r', '\n'];
/// Octets of each of its buffers that a reader holds on to: more than nearly all URLs have.
const KEPT_ROOM: usize = 4_096;
/// Of a name not yet in A-labels: each character of such a label takes at least one octet there, and at most four here.
const MAX_UNICODE: usize = 4 * MAX_NAME_LEN;

/// Reads any octets, for the fuzzer and its replay: what comes out is the same when read again.
#[doc(hidden)]
pub fn fuzz_normal(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    if let Ok(url) = CanonicalUrl::parse(&text) {
        let again = CanonicalUrl::parse(&url.to_string());
        assert_eq!(again.as_ref(), Ok(&url), "not stable");
        assert!(url.path_prefixes(4).count() <= 6, "too many prefixes");
        let mut reader = UrlReader::default();
        // Whatever was read before must not show.
        let _ = reader.read_request(&text, &text);
        let host = url.host().to_string();
        assert_eq!(reader.read_request(&host, url.path_and_query()), Ok(&url), "as a request");
        assert!(reader.capacity() <= MAX_READER, "{} octets held", reader.capacity());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_host_are_one_host() {
        for (text, expected) in [
            ("Example.TEST.", "example.test"),
            ("..a..b.test..", "a.b.test"),
            ("b\u{fc}cher.test", "xn--bcher-kva.test"),
            ("BU\u{308}CHER.test", "xn--bcher-kva.test"),
            ("a\u{3002}test", "a.test"),
            ("192.0.2.1", "192.0.2.1"),
            ("3221225985", "192.0.2.1"),
            ("0xC0.0.2.1", "192.0.2.1"),
            ("0300.0.0x2.01", "192.0.2.1"),
            ("192.0.513", "192.0.2.1"),
            ("\u{ff11}92.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("[::FFFF:c000:0201]", "192.0.2.1"),
            ("[2001:DB8:0::1]", "[2001:db8::1]"),
            ("2001:db8::1", "[2001:db8::1]"),
        ] {
            assert_eq!(Host::parse(text).map(|host| host.to_string()).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_is_no_host_says_why() {
        for (text, expected) in [
            ("", HostError::Empty),
            ("...", HostError::Empty),
            ("a b.test", HostError::BadName),
            ("1.2.3.4.5", HostError::BadAddress),
            ("256.0.2.1", HostError::BadAddress),
            ("evil.09", HostError::BadAddress),
            ("4294967296", HostError::BadAddress),
            ("[192.0.2.1]", HostError::BadAddress),
            ("\u{2024}\u{200b}a.test\u{0}", HostError::BadInternationalName),
        ] {
            assert_eq!(Host::parse(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn spellings_of_one_url_are_one_url() {
        for (text, expected) in [
            ("http://evil.test", "evil.test/"),
            ("HTTPS://u:p@Evil.test:8443/A/b?q=1#f", "evil.test/A/b?q=1"),
            ("evil.test/a/", "evil.test/a"),
            ("evil.test//a///b", "evil.test/a/b"),
            ("evil.test/a/./b/../c", "evil.test/a/c"),
            ("evil.test/..", "evil.test/"),
            ("evil.test/%25%32%35", "evil.test/%25"),
            ("evil.test/%2525252e%252e/x", "evil.test/x"),
            ("evil.test/%41%%34%31", "evil.test/AA"),
            ("evil.test/a%2fb", "evil.test/a/b"),
            ("evil.test/ab%23cd", "evil.test/ab%23cd"),
            ("evil.test/%3Fa?b%3F", "evil.test/%3Fa?b?"),
            ("evil.test/\u{fc}", "evil.test/%C3%BC"),
            ("evil.test/a\tb\r\nc", "evil.test/abc"),
            ("  http://evil.test/ ", "evil.test/"),
            ("evil.test/a?more//slashes/../x", "evil.test/a?more//slashes/../x"),
            ("evil.test/a?", "evil.test/a"),
            ("evil.test?a/b", "evil.test/?a/b"),
            ("http:\\\\evil.test\\a\\b", "evil.test/a/b"),
            ("http://%65vil.test/", "evil.test/"),
            ("http://0xc0000201/blah", "192.0.2.1/blah"),
            ("http://[2001:db8::1]:80/a", "[2001:db8::1]/a"),
            ("http://evil.test:/a", "evil.test/a"),
        ] {
            let url = CanonicalUrl::parse(text).map(|url| url.to_string());
            assert_eq!(url.as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn an_entry_may_name_the_path_or_a_leading_part_of_it() {
        check("evil.test/", &[]);
        check("evil.test/?a", &["/?a"]);
        check("evil.test/a", &["/a"]);
        check("evil.test/a/b.html?q=1", &["/a/b.html?q=1", "/a/b.html", "/a"]);
        check("evil.test/a/b/c/d/e", &["/a/b/c/d/e", "/a/b/c", "/a/b", "/a"]);
    }

    proptest! {
        #[test]
        fn reading_what_was_written_changes_nothing(text in "[a-f%0-9/.?#@:\\\\ \u{fc}\\[\\]-]{0,60}") {
            fuzz_normal(text.as_bytes());
        }

        #[test]
        fn every_spelling_of_an_address_is_read(octets: u32, radix in 0..3) {
            let text = match radix {
                0 => format!("{octets}"),
                1 => format!("0x{octets:x}"),
                _ => format!("0{octets:o}"),
            };
            prop_assert_eq!(Host::parse(&text), Ok(Host::Address(Ipv4Addr::from(octets).into())));
        }
    }

    #[track_caller]
    fn check(url: &str, expected: &[&str]) {
        let url = CanonicalUrl::parse(url).unwrap();
        assert_eq!(url.path_prefixes(3).collect::<Vec<_>>(), expected);
    }
}
