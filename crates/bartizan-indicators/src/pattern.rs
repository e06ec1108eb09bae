//! What an indicator names: a domain, a host, a URL, an address, a network.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use bartizan_model::DomainName;
use ipnet::IpNet;

use crate::normal::{CanonicalUrl, Host, HostError, UrlError};

/// What an indicator names, in the one form it has here ([`crate::normal`]).
///
/// Written and read as: `evil.test` (the domain), `=evil.test` (the host alone), `*.evil.test` (what is
/// under it alone), `evil.test/path?query`, `192.0.2.1`, `192.0.2.0/24`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pattern {
    /// The name and everything under it.
    Domain(DomainName),
    /// The name alone.
    Host(DomainName),
    /// Everything under the name, but not the name.
    Subdomains(DomainName),
    /// A host with everything under it, and the start of a path up to a slash; or a whole path with its query.
    Url(CanonicalUrl),
    /// One address.
    Address(IpAddr),
    /// All addresses that share a prefix. Never a single address, and without host bits.
    Network(IpNet),
}

impl Pattern {
    /// Reads a URL as an indicator: one without path and query names its host.
    ///
    /// # Errors
    /// Why it is no URL.
    pub fn of_url(text: &str) -> Result<Self, UrlError> {
        let url = CanonicalUrl::parse(text)?;
        Ok(if url.path_and_query() == "/" {
            Self::of_host(url.host().clone())
        } else {
            Self::Url(url)
        })
    }

    /// Returns the indicator for a whole host: the domain, or the address.
    #[must_use]
    pub fn of_host(host: Host) -> Self {
        match host {
            Host::Name(name) => Self::Domain(name),
            Host::Address(address) => Self::Address(address),
        }
    }

    /// Returns the indicator for a network: one of a single address is that address.
    #[must_use]
    pub fn of_network(network: IpNet) -> Self {
        if network.prefix_len() == network.max_prefix_len() {
            return Self::of_host(Host::address(network.addr()));
        }
        Self::Network(network.trunc())
    }

    /// Returns which kind it is.
    #[must_use]
    pub fn kind(&self) -> PatternKind {
        match self {
            Self::Domain(_) => PatternKind::Domain,
            Self::Host(_) => PatternKind::Host,
            Self::Subdomains(_) => PatternKind::Subdomains,
            Self::Url(_) => PatternKind::Url,
            Self::Address(_) => PatternKind::Address,
            Self::Network(_) => PatternKind::Network,
        }
    }

    /// Returns the name it is about, if it is about one.
    #[must_use]
    pub fn name(&self) -> Option<&DomainName> {
        match self {
            Self::Domain(name) | Self::Host(name) | Self::Subdomains(name) => Some(name),
            Self::Url(url) => match url.host() {
                Host::Name(name) => Some(name),
                Host::Address(_) => None,
            },
            Self::Address(_) | Self::Network(_) => None,
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let text = text.trim();
        let name = |text: &str| match Host::parse(text)? {
            Host::Name(name) => Ok(name),
            Host::Address(_) => Err(PatternError::NotAName),
        };
        if let Some(rest) = text.strip_prefix("*.") {
            return name(rest).map(Self::Subdomains);
        }
        if let Some(rest) = text.strip_prefix('=') {
            return name(rest).map(Self::Host);
        }
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Self::of_network(network));
        }
        if text.contains(['/', '?', '\\']) {
            return Ok(Self::of_url(text)?);
        }
        Ok(Self::of_host(Host::parse(text)?))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => name.fmt(out),
            Self::Host(name) => write!(out, "={name}"),
            Self::Subdomains(name) => write!(out, "*.{name}"),
            Self::Url(url) => url.fmt(out),
            Self::Address(address) => address.fmt(out),
            Self::Network(network) => network.fmt(out),
        }
    }
}

/// Which kind a [`Pattern`] is. The number is the octet in the tenant file: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum PatternKind {
    /// [`Pattern::Domain`].
    Domain = 1,
    /// [`Pattern::Host`].
    Host = 2,
    /// [`Pattern::Subdomains`].
    Subdomains = 3,
    /// [`Pattern::Url`].
    Url = 4,
    /// [`Pattern::Address`].
    Address = 5,
    /// [`Pattern::Network`].
    Network = 6,
}

impl PatternKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Domain, Self::Host, Self::Subdomains, Self::Url, Self::Address, Self::Network];

    /// Returns the word for it on the wire and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::Host => "host",
            Self::Subdomains => "subdomains",
            Self::Url => "url",
            Self::Address => "address",
            Self::Network => "network",
        }
    }

    /// Returns it as people read it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Domain => "Domain",
            Self::Host => "Host",
            Self::Subdomains => "Subdomains",
            Self::Url => "URL",
            Self::Address => "IP address",
            Self::Network => "IP network",
        }
    }
}

/// Why text names nothing that an indicator can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not a host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Not a URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// `*.` or `=` before an address.
    #[error("is an address where a name is asked for")]
    NotAName,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_by_its_spelling() {
        for (text, kind, shown) in [
            ("Evil.test", PatternKind::Domain, "evil.test"),
            ("https://evil.test/", PatternKind::Domain, "evil.test"),
            ("=evil.test", PatternKind::Host, "=evil.test"),
            ("*.evil.test", PatternKind::Subdomains, "*.evil.test"),
            ("evil.test/a/", PatternKind::Url, "evil.test/a"),
            ("http://192.0.2.1:80/a?b", PatternKind::Url, "192.0.2.1/a?b"),
            ("http://0xc0.0.2.1/", PatternKind::Address, "192.0.2.1"),
            ("2001:DB8::1", PatternKind::Address, "2001:db8::1"),
            ("192.0.2.77/24", PatternKind::Network, "192.0.2.0/24"),
            ("192.0.2.7/32", PatternKind::Address, "192.0.2.7"),
            ("2001:db8::/32", PatternKind::Network, "2001:db8::/32"),
        ] {
            let pattern: Pattern = text.parse().unwrap();
            assert_eq!((pattern.kind(), pattern.to_string().as_str()), (kind, shown));
            assert_eq!(shown.parse(), Ok(pattern));
        }
    }

    #[test]
    fn what_names_nothing_says_why() {
        for (text, expected) in [
            ("", "has no host"),
            ("no good", "is not a host name"),
            ("*.192.0.2.1", "is an address where a name is asked for"),
            ("http:///a", "has no host"),
        ] {
            assert_eq!(text.parse::<Pattern>().unwrap_err().to_string(), expected);
        }
    }
}
