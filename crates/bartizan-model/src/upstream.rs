//! Whom a device asks what it does not know itself, as policy has it and as text.
//!
//! ```text
//! system
//! tls://dns.example?ip=192.0.2.53&ip=2001:db8::53
//! tls://dns.example:8853?ip=192.0.2.53
//! https://dns.example/dns-query?ip=192.0.2.53
//! ```
//!
//! The addresses are part of it, since a resolver cannot be looked up before there is one. The name is what the
//! certificate has to be for. Ports are 853 (RFC 7858) and 443 where none is given, the path is `/dns-query`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::{DomainName, DomainNameError};

/// Whom lookups go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DnsUpstream {
    /// The resolver of the system that the application chose, in plain.
    #[default]
    System,
    /// DNS over TLS (RFC 7858).
    Tls(SecureResolver),
    /// DNS over HTTPS (RFC 8484).
    Https {
        /// Who answers.
        resolver: SecureResolver,
        /// Of the resource there; begins with a slash.
        path: Box<str>,
    },
}

/// A resolver that proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecureResolver {
    /// What its certificate is for.
    pub host: DomainName,
    /// Where it is, the first to be tried first; 1 to [`MAX_ADDRESSES`].
    pub addresses: Box<[IpAddr]>,
    /// The TCP port.
    pub port: u16,
}

impl DnsUpstream {
    /// Returns the resolver that proves who it is, where lookups go to one.
    #[must_use]
    pub fn secure(&self) -> Option<&SecureResolver> {
        match self {
            Self::System => None,
            Self::Tls(resolver) | Self::Https { resolver, .. } => Some(resolver),
        }
    }
}

impl fmt::Display for DnsUpstream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, resolver, default_port, path) = match self {
            Self::System => return out.write_str(SYSTEM),
            Self::Tls(resolver) => (TLS, resolver, TLS_PORT, ""),
            Self::Https { resolver, path } => (HTTPS, resolver, HTTPS_PORT, &**path),
        };
        write!(out, "{scheme}{}", resolver.host)?;
        if resolver.port != default_port {
            write!(out, ":{}", resolver.port)?;
        }
        out.write_str(path)?;
        for (place, address) in resolver.addresses.iter().enumerate() {
            write!(out, "{}ip={address}", if place == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

impl FromStr for DnsUpstream {
    type Err = DnsUpstreamError;

    fn from_str(text: &str) -> Result<Self, DnsUpstreamError> {
        if text == SYSTEM {
            return Ok(Self::System);
        }
        if let Some(rest) = text.strip_prefix(TLS) {
            let (authority, addresses) = split_addresses(rest)?;
            return Ok(Self::Tls(resolver(authority, addresses, TLS_PORT)?));
        }
        let rest = text.strip_prefix(HTTPS).ok_or(DnsUpstreamError::Scheme)?;
        let (rest, addresses) = split_addresses(rest)?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, DEFAULT_PATH),
        };
        // What may stand in a path (RFC 3986 §3.3), and nothing that could end a line of HTTP.
        let is_path = |octet: u8| octet.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&octet);
        if MAX_PATH_LEN < path.len() || !path.bytes().all(is_path) {
            return Err(DnsUpstreamError::Path);
        }
        let resolver = resolver(authority, addresses, HTTPS_PORT)?;
        Ok(Self::Https { resolver, path: path.into() })
    }
}

/// Why a text names nobody to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsUpstreamError {
    /// It begins with none of the three.
    #[error("a resolver is `system`, `tls://NAME?ip=ADDRESS` or `https://NAME/PATH?ip=ADDRESS`")]
    Scheme,
    /// The name is none.
    #[error("the resolver's name is wrong: {0}")]
    Host(#[from] DomainNameError),
    /// What follows the colon is no port.
    #[error("the port is no number from 1 to 65535")]
    Port,
    /// The path has octets that do not belong there, or is too long.
    #[error("the path is not one of at most {MAX_PATH_LEN} visible ASCII characters")]
    Path,
    /// There is none, too many, or one that is nobody's.
    #[error(
        "a resolver needs 1 to {MAX_ADDRESSES} addresses, such as ?ip=192.0.2.53&ip=2001:db8::53"
    )]
    Addresses,
}

fn split_addresses(text: &str) -> Result<(&str, Box<[IpAddr]>), DnsUpstreamError> {
    let (rest, query) = text.split_once('?').ok_or(DnsUpstreamError::Addresses)?;
    let addresses: Option<Box<[IpAddr]>> = query
        .split('&')
        .map(|parameter| {
            let address: IpAddr = parameter.strip_prefix("ip=")?.parse().ok()?;
            (!address.is_unspecified() && !address.is_multicast()).then_some(address)
        })
        .collect();
    let addresses = addresses.filter(|addresses| addresses.len() <= MAX_ADDRESSES);
    Ok((rest, addresses.ok_or(DnsUpstreamError::Addresses)?))
}

fn resolver(
    authority: &str,
    addresses: Box<[IpAddr]>,
    default_port: u16,
) -> Result<SecureResolver, DnsUpstreamError> {
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => {
            let port = port.parse().ok().filter(|port| 0 < *port);
            (host, port.ok_or(DnsUpstreamError::Port)?)
        }
        None => (authority, default_port),
    };
    Ok(SecureResolver { host: DomainName::parse(host.as_bytes())?, addresses, port })
}

const SYSTEM: &str = "system";
const TLS: &str = "tls://";
const HTTPS: &str = "https://";
const TLS_PORT: u16 = 853;
const HTTPS_PORT: u16 = 443;
const DEFAULT_PATH: &str = "/dns-query";
/// Two of each family, as the known services have.
const MAX_ADDRESSES: usize = 4;
const MAX_PATH_LEN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_is_printed_as_it_was_written() {
        for text in [
            "system",
            "tls://dns.example?ip=192.0.2.53",
            "tls://dns.example:8853?ip=192.0.2.53&ip=2001:db8::53",
            "https://dns.example/dns-query?ip=2001:db8::53",
            "https://dns.example:8443/a/b-c?ip=192.0.2.1&ip=192.0.2.2&ip=192.0.2.3&ip=192.0.2.4",
        ] {
            assert_eq!(text.parse::<DnsUpstream>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_left_out_is_what_the_standards_say() {
        let tls: DnsUpstream = "tls://DNS.example?ip=192.0.2.53".parse().unwrap();
        assert_eq!(tls.secure().map(|resolver| resolver.port), Some(853));
        let https: DnsUpstream = "https://dns.example?ip=192.0.2.53".parse().unwrap();
        assert_eq!(https.to_string(), "https://dns.example/dns-query?ip=192.0.2.53");
        assert_eq!(https.secure().map(|resolver| resolver.port), Some(443));
    }

    #[test]
    fn what_names_nobody_says_why() {
        check("", DnsUpstreamError::Scheme);
        check("System", DnsUpstreamError::Scheme);
        check("http://dns.example?ip=192.0.2.53", DnsUpstreamError::Scheme);
        check("tls://dns.example", DnsUpstreamError::Addresses);
        check("tls://dns.example?", DnsUpstreamError::Addresses);
        check("tls://dns.example?ip=dns.example", DnsUpstreamError::Addresses);
        check("tls://dns.example?ip=0.0.0.0", DnsUpstreamError::Addresses);
        check("tls://dns.example?ip=192.0.2.53&port=1", DnsUpstreamError::Addresses);
        check(
            &format!("tls://dns.example?{}", ["ip=::1"; 5].join("&")),
            DnsUpstreamError::Addresses,
        );
        check("tls://dns.example:0?ip=192.0.2.53", DnsUpstreamError::Port);
        check("https://dns.example:x/?ip=192.0.2.53", DnsUpstreamError::Port);
        check("https://dns.example/a b?ip=192.0.2.53", DnsUpstreamError::Path);
        check("https://dns.example/a\r\nb?ip=192.0.2.53", DnsUpstreamError::Path);
        let octet = DomainNameError::BadOctet { octet: b'/' };
        check("tls://dns.example/path?ip=192.0.2.53", DnsUpstreamError::Host(octet));
        let empty = DomainNameError::BadLabel { octets: 0 };
        check("https:///dns-query?ip=192.0.2.53", DnsUpstreamError::Host(empty));
    }

    #[track_caller]
    fn check(text: &str, expected: DnsUpstreamError) {
        assert_eq!(text.parse::<DnsUpstream>(), Err(expected), "{text}");
    }
}
