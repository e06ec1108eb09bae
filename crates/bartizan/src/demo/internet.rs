//! The internet of the demo: two sites over HTTP and HTTPS, and a DNS server that knows them.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name, Ttl};
use domain::rdata::{A, Aaaa};

/// Where the internet listens.
pub(crate) struct Addresses {
    dns: &'static [SocketAddr],
    http: &'static [SocketAddr],
    https: &'static [SocketAddr],
    portal: Option<SocketAddr>,
}

impl Addresses {
    /// In a namespace of its own everything has its usual port.
    pub(crate) const IN_NAMESPACE: Self = Self {
        dns: &[v4([192, 0, 2, 53], 53), v6(0x53, 53)],
        http: &[v4([192, 0, 2, 80], 80), v6(0x80, 80)],
        https: &[v4([192, 0, 2, 80], 443), v6(0x80, 443)],
        portal: Some(v4([192, 0, 2, 10], 443)),
    };
    /// Beside other programs, whatever port is free.
    pub(crate) const LOOPBACK: Self = Self {
        dns: &[v4([127, 0, 0, 1], 0)],
        http: &[v4([127, 0, 0, 1], 0)],
        https: &[v4([127, 0, 0, 1], 0)],
        portal: None,
    };
}

/// Open, and not yet served.
pub(crate) struct Sockets {
    pub(crate) dns: Vec<(UdpSocket, TcpListener)>,
    pub(crate) http: Vec<TcpListener>,
    pub(crate) https: Vec<TcpListener>,
    pub(crate) portal: Option<TcpListener>,
}

impl Sockets {
    pub(crate) fn bind(addresses: &Addresses) -> anyhow::Result<Self> {
        let listen = |address: &SocketAddr| {
            let listener = TcpListener::bind(address)
                .with_context(|| format!("cannot listen on {address}"))?;
            listener.set_nonblocking(true)?;
            anyhow::Ok(listener)
        };
        let mut dns = Vec::new();
        for address in addresses.dns {
            let udp =
                UdpSocket::bind(address).with_context(|| format!("cannot listen on {address}"))?;
            let tcp = TcpListener::bind(udp.local_addr()?)
                .with_context(|| format!("cannot listen on {address}"))?;
            dns.push((udp, tcp));
        }
        Ok(Self {
            dns,
            http: addresses.http.iter().map(listen).collect::<Result<_, _>>()?,
            https: addresses.https.iter().map(listen).collect::<Result<_, _>>()?,
            portal: addresses.portal.as_ref().map(listen).transpose()?,
        })
    }
}

/// A site by its host name.
pub(crate) type Sites = Arc<BTreeMap<String, Vec<u8>>>;

/// Serves the same sites on each address, chosen by the `Host` header.
pub(crate) fn site(sites: Sites) -> Router {
    Router::new().fallback(serve).with_state(sites)
}

async fn serve(State(sites): State<Sites>, headers: HeaderMap) -> (StatusCode, Vec<u8>) {
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    match sites.get(host) {
        Some(body) => (StatusCode::OK, body.clone()),
        None => (StatusCode::NOT_FOUND, Vec::new()),
    }
}

/// What the DNS server knows.
pub(crate) type Zone = Arc<BTreeMap<String, (Ipv4Addr, Option<Ipv6Addr>)>>;

/// The addresses by which the sites are known.
pub(crate) const SITE: (Ipv4Addr, Option<Ipv6Addr>) =
    (Ipv4Addr::new(192, 0, 2, 80), Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x80)));
/// The address by which the portal is known; the demo's console is at another.
pub(crate) const PORTAL: (Ipv4Addr, Option<Ipv6Addr>) = (Ipv4Addr::new(192, 0, 2, 10), None);

/// Starts the DNS server on its own threads; they end with the process.
pub(crate) fn start_dns(
    sockets: Vec<(UdpSocket, TcpListener)>,
    zone: &Zone,
) -> std::io::Result<()> {
    for (udp, tcp) in sockets {
        let known = Arc::clone(zone);
        std::thread::Builder::new().name("dns-udp".into()).spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok((length, client)) = udp.recv_from(&mut buffer) {
                if let Some(reply) = buffer.get(..length).and_then(|query| answer(query, &known)) {
                    let _ = udp.send_to(&reply, client);
                }
            }
        })?;
        let known = Arc::clone(zone);
        std::thread::Builder::new().name("dns-tcp".into()).spawn(move || {
            for stream in tcp.incoming().flatten() {
                let _ = answer_stream(stream, &known);
            }
        })?;
    }
    Ok(())
}

fn answer_stream(mut stream: TcpStream, zone: &Zone) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut query)?;
        let Some(reply) = answer(&query, zone) else { return Ok(()) };
        let length = u16::try_from(reply.len()).unwrap_or(0);
        stream.write_all(&[length.to_be_bytes().as_slice(), &reply].concat())?;
    }
    Ok(())
}

fn answer(query: &[u8], zone: &Zone) -> Option<Vec<u8>> {
    let query = Message::from_octets(query).ok()?;
    let question = query.first_question()?;
    let name = question.qname().to_string().to_ascii_lowercase();
    let known = zone.get(name.trim_end_matches('.'));
    let rcode = if known.is_some() { Rcode::NOERROR } else { Rcode::NXDOMAIN };
    let mut builder = MessageBuilder::new_vec().start_answer(&query, rcode).ok()?;
    builder.header_mut().set_ra(true);
    let owner: Name<Vec<u8>> = domain::base::name::ToName::try_to_name(&question.qname()).ok()?;
    let ttl = Ttl::from_secs(60);
    if let Some((v4, v6)) = known {
        match question.qtype() {
            Rtype::A => builder.push((&owner, Class::IN, ttl, A::new(*v4))).ok()?,
            Rtype::AAAA => {
                if let Some(v6) = v6 {
                    builder.push((&owner, Class::IN, ttl, Aaaa::new(*v6))).ok()?;
                }
            }
            _ => {}
        }
    }
    Some(builder.into_message().into_octets())
}

const fn v4(address: [u8; 4], port: u16) -> SocketAddr {
    let [a, b, c, d] = address;
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)
}

const fn v6(last: u16, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)), port)
}
