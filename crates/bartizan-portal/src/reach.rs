//! Whom the portal believes about where a request comes from, and which networks it connects to: for who runs it to say,
//! and for no organization on it.
//!
//! # Invariants
//! - What a header says of an address counts only if the connection comes from a proxy that was named.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};

/// The network around a portal.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Proxies that end TLS before the portal and say in `X-Forwarded-For` who called them.
    pub proxies: Vec<IpAddr>,
    /// Whether feeds, sinks and providers of an organization may be at private addresses, where their settings say so.
    pub private_addresses: bool,
}

impl Reach {
    /// Where a request comes from: the last address that a proxy of ours names and that is not one itself.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let is_ours = |address: IpAddr| self.proxies.contains(&address.to_canonical());
        if !is_ours(peer) {
            return peer;
        }
        let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
        let said = lines.iter().rev().filter_map(|line| line.to_str().ok());
        let mut nearest = peer;
        for part in said.flat_map(|line| line.rsplit(',')) {
            // What cannot be read was written by nobody whom we believe, nor was anything before it.
            let Some(address) = address(part.trim()) else { return nearest };
            nearest = address;
            if !is_ours(address) {
                return address;
            }
        }
        nearest
    }
}

/// Reads an address; some proxies add the port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let with_port = || text.parse().ok().map(|it: SocketAddr| it.ip());
    bare.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proxy_that_was_named_is_believed() {
        // Nobody but the proxy counts, whatever they say.
        check("192.0.2.9", &["203.0.113.1"], "192.0.2.9");
        check("198.51.100.1", &["203.0.113.1"], "203.0.113.1");
        check("::ffff:198.51.100.1", &["203.0.113.1"], "203.0.113.1");
        // What a client sent itself stands before what the proxy adds.
        check("198.51.100.1", &["10.0.0.1, 203.0.113.1"], "203.0.113.1");
        check("198.51.100.1", &["10.0.0.1", "203.0.113.1"], "203.0.113.1");
        check("198.51.100.1", &["203.0.113.1, 198.51.100.2"], "203.0.113.1");
        check("198.51.100.1", &["203.0.113.1:4711"], "203.0.113.1");
        check("198.51.100.1", &["2001:db8::1"], "2001:db8::1");
        check("198.51.100.1", &["[2001:db8::1]:4711"], "2001:db8::1");
        // Without a word of it, or with one that cannot be read, it is the proxy's.
        check("198.51.100.1", &[], "198.51.100.1");
        check("198.51.100.1", &[""], "198.51.100.1");
        check("198.51.100.1", &["203.0.113.1, unknown"], "198.51.100.1");
        check("198.51.100.1", &["x, 198.51.100.2"], "198.51.100.2");
    }

    #[track_caller]
    fn check(peer: &str, lines: &[&str], expected: &str) {
        let proxies = ["198.51.100.1", "198.51.100.2"].map(|it| it.parse().unwrap()).to_vec();
        let reach = Reach { proxies, ..Reach::default() };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let client = reach.client(peer.parse().unwrap(), &headers);
        assert_eq!(client, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
    }
}
