//! Which addresses a feed may come from: public ones, unless its row says otherwise.
//!
//! An administrator of one tenant must not make the portal fetch from the network that it stands in. The
//! check is made where a connection is opened, on the addresses that it is opened to, so that neither a
//! redirect nor a name that resolves differently a moment later gets around it.
//!
//! Behind a proxy the proxy resolves names, so only what is written as an address can be checked here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bartizan_indicators::normal::Host;
use ureq::http::Uri;
use ureq::unversioned::transport::{ConnectionDetails, Connector, DefaultConnector, Transport};

/// A host that a feed must not come from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host} has the address {address}, which is {reason}")]
pub struct PrivateAddress {
    /// As it stands in the feed's address, or in a redirect.
    pub host: String,
    /// What it resolves to.
    pub address: IpAddr,
    /// What that is.
    pub reason: &'static str,
}

/// Opens connections to public addresses only.
pub(super) struct PublicOnly {
    inner: DefaultConnector,
    /// The proxy itself is mostly a private address, and is the administrator's of the machine.
    proxy: Option<Uri>,
}

impl PublicOnly {
    pub(super) fn new(proxy: Option<Uri>) -> Self {
        Self { inner: DefaultConnector::new(), proxy }
    }

    fn check(&self, details: &ConnectionDetails<'_>) -> Result<(), PrivateAddress> {
        if self.proxy.as_ref() == Some(details.uri) {
            return Ok(());
        }
        let host = details.uri.host().unwrap_or_default();
        let written = match Host::parse(host.trim_start_matches('[').trim_end_matches(']')) {
            Ok(Host::Address(address)) => Some(address),
            Ok(Host::Name(name)) if name.as_str().rsplit('.').next() == Some("localhost") => {
                Some(IpAddr::V4(Ipv4Addr::LOCALHOST))
            }
            Ok(Host::Name(_)) | Err(_) => None,
        };
        let resolved = details.addrs.iter().map(std::net::SocketAddr::ip);
        for address in resolved.chain(written) {
            if let Some(reason) = not_public(address) {
                return Err(PrivateAddress { host: host.to_owned(), address, reason });
            }
        }
        Ok(())
    }
}

impl fmt::Debug for PublicOnly {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("PublicOnly")
    }
}

impl Connector<()> for PublicOnly {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        self.check(details).map_err(|error| ureq::Error::Other(Box::new(error)))?;
        self.inner.connect(details, chained)
    }
}

/// Tells what an address is, if it is not one of the public internet.
pub(crate) fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_public_v4(address),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            V6.iter()
                .find(|(network, length, _)| {
                    bits >> (128 - length) == network.to_bits() >> (128 - length)
                })
                .map(|(_, _, reason)| *reason)
                .or_else(|| embedded(address).and_then(not_public_v4))
        }
    }
}

fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    let bits = address.to_bits();
    V4.iter()
        .find(|(network, length, _)| bits >> (32 - length) == network.to_bits() >> (32 - length))
        .map(|(_, _, reason)| *reason)
}

/// The IPv4 address that packets to this one end at: mapped, by NAT64 (RFC 6052) or by 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return Some(mapped);
    }
    let [a, b, c, d, e, f, g, h] = address.segments();
    let of = |high: u16, low: u16| Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
    match (a, b) {
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => Some(of(g, h)),
        (0x2002, _) => Some(of(b, c)),
        _ => None,
    }
}

/// RFC 6890 and its registry.
const V4: [(Ipv4Addr, u32, &str); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this machine"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared by a provider"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "this machine"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "reserved"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "reserved"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "reserved"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "reserved"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "reserved"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "reserved"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];
const V6: [(Ipv6Addr, u32, &str); 12] = [
    (Ipv6Addr::LOCALHOST, 128, "this machine"),
    // Unspecified, and IPv4 addresses in a form that nothing public uses.
    (Ipv6Addr::UNSPECIFIED, 96, "reserved"),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, "translated locally"),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, "reserved"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, "a tunnel"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "reserved"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "reserved"),
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16, "reserved"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "private"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local"),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, "private"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
];

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use ureq::unversioned::resolver::DefaultResolver;

    use super::*;

    /// The first address passes as a proxy's would; the one that it leads to must not.
    #[test]
    fn a_redirect_to_a_private_address_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while !lines.next().unwrap().unwrap().is_empty() {}
            let head =
                "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2/b\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
        });
        let first: Uri = format!("http://{address}/a").parse().unwrap();
        let connector = PublicOnly::new(Some(first.clone()));
        let config = ureq::Agent::config_builder().proxy(None).build();
        let agent = ureq::Agent::with_parts(config, connector, DefaultResolver::default());
        let ureq::Error::Other(error) = agent.get(first).call().unwrap_err() else {
            panic!("it was let through")
        };
        let error = *error.downcast::<PrivateAddress>().unwrap();
        assert_eq!(error.to_string(), "127.0.0.2 has the address 127.0.0.2, which is this machine");
        server.join().unwrap();
    }

    #[test]
    fn only_public_addresses_pass() {
        check("1.1.1.1", None);
        check("100.63.255.255", None);
        check("172.32.0.1", None);
        check("2606:4700::1111", None);
        check("64:ff9b::1.1.1.1", None);
        check("::ffff:1.1.1.1", None);
        check("2002:101:101::1", None);
        check("0.0.0.0", Some("this machine"));
        check("127.8.8.8", Some("this machine"));
        check("::1", Some("this machine"));
        check("::", Some("reserved"));
        check("::127.0.0.1", Some("reserved"));
        check("10.0.0.1", Some("private"));
        check("172.31.255.255", Some("private"));
        check("192.168.1.1", Some("private"));
        check("fd00::1", Some("private"));
        check("169.254.169.254", Some("link-local"));
        check("fe80::1", Some("link-local"));
        check("100.64.0.1", Some("shared by a provider"));
        check("224.0.0.251", Some("multicast"));
        check("255.255.255.255", Some("reserved"));
        check("ff02::fb", Some("multicast"));
        check("::ffff:10.0.0.1", Some("private"));
        check("64:ff9b::10.0.0.1", Some("private"));
        check("64:ff9b:1::1", Some("translated locally"));
        check("2002:a00:1::1", Some("private"));
        check("2001:0:1::1", Some("a tunnel"));
    }

    #[track_caller]
    fn check(address: &str, expected: Option<&str>) {
        assert_eq!(not_public(address.parse().unwrap()), expected, "{address}");
    }
}
