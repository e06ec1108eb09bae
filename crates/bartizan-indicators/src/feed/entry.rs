//! One entry as lists spell it: a name, a wildcard, a URL, an address, a network, with or without port, made
//! harmless for reading (`hxxp://evil[.]test`) or not.
//!
//! `*.name` and `.name` mean the name with everything under it, as feeds do. Of a URL the path is kept.

use std::borrow::Cow;

use ipnet::IpNet;

use super::report::Unread;
use crate::normal::{Host, HostError, UrlError};
use crate::pattern::Pattern;

/// Reads an entry.
pub(super) fn pattern(text: &str) -> Result<Pattern, Unread> {
    let text = text.trim();
    // Nearly all entries of nearly all feeds are this.
    let bare = text.strip_prefix("*.").unwrap_or(text);
    if bare.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-_".contains(&octet)) {
        return host(bare);
    }
    let text = refanged(text);
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
        Some(_) | None => (None, &*text),
    };
    let rest = rest.strip_prefix("*.").unwrap_or(rest);
    if scheme.is_none() {
        if rest.bytes().any(|octet| octet.is_ascii_whitespace()) {
            return Err(Unread::Because("is not one host name"));
        }
        if let Some(network) = network(rest) {
            return Ok(Pattern::of_network(network));
        }
        if !rest.contains(['/', '\\', '?']) {
            if rest.contains('@') {
                return Err(Unread::SaysNothing);
            }
            return host(without_port(rest.split('#').next().unwrap_or(rest)));
        }
        host(without_port(rest.split(['/', '\\', '?']).next().unwrap_or(rest)))?;
    }
    let rest = rest.strip_suffix("/*").unwrap_or(rest);
    Pattern::of_url(rest).map_err(|error| {
        Unread::Because(match error {
            UrlError::TooLong => "is longer than a URL may be",
            UrlError::Host(error) => reason(error),
        })
    })
}

/// Tells whether text can be nothing but an entry, so that a field of a table is known by it.
pub(super) fn is_certain(text: &str) -> bool {
    match pattern(text) {
        Ok(Pattern::Domain(name) | Pattern::Host(name) | Pattern::Subdomains(name)) => {
            let last = name.as_str().rsplit('.').next().unwrap_or_default();
            name.as_str().contains('.') && !last.starts_with(|first: char| first.is_ascii_digit())
        }
        Ok(Pattern::Url(url)) => text.contains("://") || url.host().to_string().contains('.'),
        Ok(Pattern::Address(_) | Pattern::Network(_)) => true,
        Err(_) => false,
    }
}

fn host(text: &str) -> Result<Pattern, Unread> {
    // Browsers take any number for an address; in a list it is a rank, a date, a version.
    let is_number = text.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.');
    if is_number && !text.is_empty() && text.bytes().filter(|octet| *octet == b'.').count() != 3 {
        return Err(Unread::Because("is not a host name"));
    }
    Host::parse(text).map(Pattern::of_host).map_err(|error| Unread::Because(reason(error)))
}

fn reason(error: HostError) -> &'static str {
    match error {
        HostError::Empty => "has no host",
        HostError::TooLong => "is longer than a host name may be",
        HostError::BadName => "is not a host name",
        HostError::BadInternationalName => "is not a valid international name",
        HostError::BadAddress => "is not an address",
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet))
}

/// Reads an address with the length of its prefix. `192.0.2.1/24` is no URL: nobody serves such a path.
fn network(text: &str) -> Option<IpNet> {
    let (_, length) = text.split_once('/')?;
    let is_length = length.len() <= 3 && length.bytes().all(|octet| octet.is_ascii_digit());
    if is_length { text.parse().ok() } else { None }
}

fn without_port(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((before, port))
            if (!before.contains(':') || before.ends_with(']'))
                && port.bytes().all(|octet| octet.is_ascii_digit()) =>
        {
            before
        }
        Some(_) | None => text,
    }
}

/// Undoes what keeps people from following it by mistake. The scheme, `hxxp`, does not matter.
fn refanged(text: &str) -> Cow<'_, str> {
    if !text.contains(['[', '(', '{']) {
        return Cow::Borrowed(text);
    }
    let mut plain = text.to_owned();
    for (written, meant) in DEFANGED {
        if plain.contains(written) {
            plain = plain.replace(written, meant);
        }
    }
    Cow::Owned(plain)
}

const DEFANGED: [(&str, &str); 14] = [
    ("[.]", "."),
    ("(.)", "."),
    ("{.}", "."),
    ("[.", "."),
    (".]", "."),
    ("[dot]", "."),
    ("(dot)", "."),
    ("{dot}", "."),
    ("[DOT]", "."),
    ("(DOT)", "."),
    ("[:]", ":"),
    ("[://]", "://"),
    ("[/]", "/"),
    ("[@]", "@"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_entry_is_read() {
        for (text, expected) in [
            ("Evil.TEST.", "evil.test"),
            ("*.evil.test", "evil.test"),
            (".evil.test", "evil.test"),
            ("evil.test:8443", "evil.test"),
            ("b\u{fc}cher.test", "xn--bcher-kva.test"),
            ("evil[.]test", "evil.test"),
            ("evil(.)test", "evil.test"),
            ("evil[dot]test", "evil.test"),
            ("hxxps://evil[.]test/a", "evil.test/a"),
            ("hxxp[:]//evil[.]test", "evil.test"),
            ("hxxp[://]192[.]0[.]2[.]1/a", "192.0.2.1/a"),
            ("https://u:p@evil.test:8443/a?b", "evil.test/a?b"),
            ("https://evil.test/", "evil.test"),
            ("evil.test/*", "evil.test"),
            ("evil.test/a/*", "evil.test/a"),
            ("http://*.evil.test/a", "evil.test/a"),
            ("evil.test/?u=http://good.test", "evil.test/?u=http://good.test"),
            ("http://evil.test/a b", "evil.test/a%20b"),
            ("http://3221225985/", "192.0.2.1"),
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:80", "192.0.2.1"),
            ("tcp://192.0.2.1:80", "192.0.2.1"),
            ("192.0.2.77/24", "192.0.2.0/24"),
            ("192.0.2.7/32", "192.0.2.7"),
            ("192.0.2.7/a", "192.0.2.7/a"),
            ("2001:DB8::1", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("2001:db8::/48", "2001:db8::/48"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            let read = pattern(text).map(|pattern| pattern.to_string());
            assert_eq!(read.as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_entry_says_why() {
        for (text, expected) in [
            ("", Unread::Because("has no host")),
            ("no good", Unread::Because("is not one host name")),
            ("20260101", Unread::Because("is not a host name")),
            ("1.5", Unread::Because("is not a host name")),
            ("256.0.2.1", Unread::Because("is not an address")),
            ("evil.*", Unread::Because("is not a host name")),
            ("http:///a", Unread::Because("has no host")),
            ("xn--a\u{200b}.\u{2024}test", Unread::Because("is not a valid international name")),
            ("someone@evil.test", Unread::SaysNothing),
        ] {
            assert_eq!(pattern(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_rank_or_a_date_is_not_taken_for_an_entry() {
        for (text, expected) in [
            ("evil.test", true),
            ("192.0.2.1", true),
            ("http://evil/a", true),
            ("evil", false),
            ("7", false),
            ("2026-01-01", false),
            ("1.5", false),
            ("2026/01/01", false),
            ("12:30", false),
        ] {
            assert_eq!(is_certain(text), expected, "{text}");
        }
    }
}
