//! Where browsers reach the portal, as passkeys see it: a host and an origin.
//!
//! # What it does not do
//! - Believe the address: a browser tells its authenticator the true one, and what that signs is compared with this.

use std::net::IpAddr;

/// A place that passkeys can be made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// `rp.id` (WebAuthn §5.4.2).
    pub(crate) host: String,
    /// As browsers write it: without a port that is the scheme's own.
    pub(crate) origin: String,
}

/// Why passkeys cannot be used at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoSite {
    /// It is an IP address, for which no browser makes passkeys.
    #[error("passkeys need the portal's name: they do not work by its IP address")]
    Address,
    /// It is neither HTTPS nor this very machine.
    #[error("passkeys need HTTPS")]
    Insecure,
}

impl Site {
    /// Reads where browsers reach the portal, such as `https://portal.example:8443`.
    pub(crate) fn of(base: &str) -> Result<Self, NoSite> {
        let base = base.to_ascii_lowercase();
        let (scheme, place) = base.split_once("://").ok_or(NoSite::Address)?;
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => (host, port),
            Some(_) | None => (place, ""),
        };
        let is_name = host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._".contains(&octet))
            && !host.is_empty()
            && host.parse::<IpAddr>().is_err()
            // Browsers take `127.1` for an address as well (URL Standard, "ends in a number").
            && !host.trim_end_matches('.').rsplit('.').next().is_some_and(|last| {
                last.starts_with("0x") || last.bytes().all(|octet| octet.is_ascii_digit())
            });
        if !is_name {
            return Err(NoSite::Address);
        }
        let is_this_machine = host == "localhost" || host.ends_with(".localhost");
        if scheme != "https" && !is_this_machine {
            return Err(NoSite::Insecure);
        }
        let origin = match (scheme, port) {
            ("https", "443") | ("http", "80") | (_, "") => format!("{scheme}://{host}"),
            _ => format!("{scheme}://{host}:{port}"),
        };
        Ok(Self { host: host.to_owned(), origin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_has_a_name_and_is_secure() {
        check("https://portal.test", Ok(("portal.test", "https://portal.test")));
        check("https://Portal.Test:8443", Ok(("portal.test", "https://portal.test:8443")));
        check("https://portal.test:443", Ok(("portal.test", "https://portal.test")));
        check("https://portal", Ok(("portal", "https://portal")));
        check("http://localhost:8080", Ok(("localhost", "http://localhost:8080")));
        check("http://localhost:80", Ok(("localhost", "http://localhost")));
        check("http://a.localhost:1", Ok(("a.localhost", "http://a.localhost:1")));
        check("http://portal.test", Err(NoSite::Insecure));
        check("http://notlocalhost", Err(NoSite::Insecure));
        for address in
            ["192.0.2.1", "192.0.2.1:8443", "[2001:db8::1]", "[::1]:1", "127.1", "0x7f.1."]
        {
            check(&format!("https://{address}"), Err(NoSite::Address));
        }
        for odd in ["", "portal.test", "https://", "https://a b", "https://a@b", "https://a/b"] {
            check(odd, Err(NoSite::Address));
        }
    }

    #[track_caller]
    fn check(base: &str, expected: Result<(&str, &str), NoSite>) {
        let site = Site::of(base);
        let told = site.as_ref().map(|site| (site.host.as_str(), site.origin.as_str()));
        assert_eq!(told.map_err(|error| *error), expected, "{base}");
    }
}
