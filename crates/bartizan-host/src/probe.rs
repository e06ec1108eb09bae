//! Finds out whether the network is captive: one request in plain HTTP, and who answers it.
//!
//! A network that wants a person to sign in answers such requests itself, with a page or with the way to one
//! (RFC 8952 §2, and 511 of RFC 6585 §6). What the answer means for lookups is the engine's to know.
//!
//! # What it does not do
//! - Ask anybody but the organization: without a URL of its own the portal's host is asked, at port 80. Whether
//!   something listens there does not matter, since a captive network answers in its place.
//! - Wait on the thread that asks for it: each probe has a thread of its own, and there is one at a time.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context;
use bartizan_engine::Probed;
use bartizan_model::DomainName;
use bartizan_wire::Reading;
use bartizan_wire::dns::{DnsAnswer, write_question};
use bartizan_wire::http::{ResponseHead, read_response};
use socket2::{Domain, Protocol, Socket, Type};

use crate::net::Exit;
use crate::random;

/// What to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    host: Host,
    port: u16,
    path: String,
    /// Whether the server is there to be probed, so that any page instead of 204 is the network's.
    is_for_probes: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Name(DomainName),
    Address(IpAddr),
}

impl Probe {
    /// Asks this URL, which answers 204.
    ///
    /// # Errors
    /// It is none of plain HTTP, for people to read.
    pub fn at(url: &str) -> anyhow::Result<Self> {
        let rest = url.trim().strip_prefix("http://");
        let rest =
            rest.context("a probe is asked for in plain: its address starts with http://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let is_visible = |octet: u8| octet.is_ascii_graphic();
        anyhow::ensure!(
            path.bytes().all(is_visible),
            "the address of the probe has odd characters"
        );
        let (host, port) = host_and_port(authority).context("the probe's address has no host")?;
        Ok(Self { host, port: port.unwrap_or(80), path: format!("/{path}"), is_for_probes: true })
    }

    /// Asks the portal's host; `None` for one that no network stands before.
    #[must_use]
    pub fn of_portal(url: &str) -> Option<Self> {
        let (host, _) = host_and_port(url.trim_end_matches('/').strip_prefix("https://")?)?;
        Some(Self { host, port: 80, path: "/".to_owned(), is_for_probes: false })
    }

    /// Asks on a thread of its own, and gives what came of it.
    pub(crate) fn start(
        &self,
        resolvers: Vec<SocketAddr>,
        exit: Exit,
        done: impl FnOnce(Probed) + Send + 'static,
    ) -> io::Result<()> {
        let probe = self.clone();
        std::thread::Builder::new().name("probe".into()).spawn(move || {
            let outcome = probe.ask(&resolvers, &exit).unwrap_or_else(|error| {
                tracing::debug!(error = %error, "the network does not answer the probe");
                Probed::Unanswered
            });
            done(outcome);
        })?;
        Ok(())
    }

    fn ask(&self, resolvers: &[SocketAddr], exit: &Exit) -> io::Result<Probed> {
        let address = match &self.host {
            Host::Address(address) => *address,
            Host::Name(name) => look_up(name, resolvers, exit)?,
        };
        let at = SocketAddr::new(address, self.port);
        let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
        exit.apply(&socket)?;
        socket.connect_timeout(&at.into(), CONNECTED_WITHIN)?;
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(ANSWERED_WITHIN))?;
        stream.set_write_timeout(Some(ANSWERED_WITHIN))?;
        let host = match &self.host {
            Host::Name(name) => name.to_string(),
            Host::Address(IpAddr::V4(address)) => address.to_string(),
            Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
        };
        let path = &self.path;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
        )?;
        let mut head = Vec::new();
        let mut part = [0; 2_048];
        // Bounded by what is read as a head, and each part by a time.
        loop {
            match read_response(&head) {
                Reading::Done(response) => return Ok(self.judge(&response)),
                Reading::Not => return Ok(Probed::Unanswered),
                Reading::More => {}
            }
            match stream.read(&mut part)? {
                0 => return Ok(Probed::Unanswered),
                len => head.extend_from_slice(part.get(..len).unwrap_or_default()),
            }
        }
    }

    fn judge(&self, response: &ResponseHead<'_>) -> Probed {
        match response.status() {
            204 => Probed::Open,
            511 => Probed::Captive,
            300..400 => self.judge_way(response.location().unwrap_or_default()),
            200..300 if self.is_for_probes => Probed::Captive,
            _ => Probed::Unanswered,
        }
    }

    /// Judges a redirection: servers lead to themselves by HTTPS, which no network can do in their place, and networks
    /// lead elsewhere. One that stays in plain on the same host may be either.
    fn judge_way(&self, location: &str) -> Probed {
        let place = location.split_once("//");
        let authority = place.map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(rest));
        let is_here = authority
            .and_then(host_and_port)
            .map_or_else(|| place.is_none(), |(host, _)| host == self.host);
        match place {
            Some(("https:", _)) if is_here => Probed::Open,
            _ if is_here && !self.is_for_probes => Probed::Unanswered,
            _ => Probed::Captive,
        }
    }
}

fn host_and_port(authority: &str) -> Option<(Host, Option<u16>)> {
    if let Ok(at) = authority.parse::<SocketAddr>() {
        return Some((Host::Address(at.ip()), Some(at.port())));
    }
    if let Ok(address) = authority.trim_matches(['[', ']']).parse() {
        return Some((Host::Address(address), None));
    }
    let (name, port) = match authority.split_once(':') {
        Some((name, port)) => (name, Some(port.parse().ok()?)),
        None => (authority, None),
    };
    Some((Host::Name(DomainName::parse(name.as_bytes()).ok()?), port))
}

/// Asks the network's resolvers in plain: it is their answer that counts.
fn look_up(name: &DomainName, resolvers: &[SocketAddr], exit: &Exit) -> io::Result<IpAddr> {
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for at in resolvers {
        for rtype in [A, AAAA] {
            match put(name, rtype, *at, exit) {
                Ok(Some(address)) => return Ok(address),
                Ok(None) => {}
                Err(error) => {
                    failed = error;
                    break;
                }
            }
        }
    }
    Err(failed)
}

fn put(name: &DomainName, rtype: u16, at: SocketAddr, exit: &Exit) -> io::Result<Option<IpAddr>> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
    exit.apply(&socket)?;
    socket.connect(&at.into())?;
    let socket = std::net::UdpSocket::from(socket);
    socket.set_read_timeout(Some(LOOKED_UP_WITHIN))?;
    let id = u16::from_be_bytes(random::octets());
    socket.send(&write_question(name, rtype, id))?;
    let mut buffer = [0; 2_048];
    for _ in 0..ANSWERS {
        let len = socket.recv(&mut buffer)?;
        if let Ok(answer) = DnsAnswer::parse(buffer.get(..len).unwrap_or_default())
            && answer.id() == id
        {
            return Ok(answer.addresses().map(|(address, _)| address).next());
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

const A: u16 = 1;
const AAAA: u16 = 28;
const LOOKED_UP_WITHIN: Duration = Duration::from_secs(2);
const CONNECTED_WITHIN: Duration = Duration::from_secs(3);
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
/// Forged ones may come before the right one.
const ANSWERS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_says_whether_the_network_is_captive() {
        let portal = Probe::of_portal("https://portal.example:8443/").unwrap();
        let own = Probe::at("http://probe.example/204").unwrap();
        for (head, of_portal, of_own) in [
            ("HTTP/1.1 204 No Content", Probed::Open, Probed::Open),
            ("HTTP/1.1 301 x\r\nLocation: https://portal.example/", Probed::Open, Probed::Captive),
            ("HTTP/1.1 301 x\r\nlocation: https://PROBE.example:1/", Probed::Captive, Probed::Open),
            ("HTTP/1.1 302 x\r\nLocation: /login", Probed::Unanswered, Probed::Captive),
            ("HTTP/1.1 302 x\r\nLocation: //wifi.example/", Probed::Captive, Probed::Captive),
            ("HTTP/1.1 307 x\r\nLocation: http://192.0.2.1/", Probed::Captive, Probed::Captive),
            ("HTTP/1.0 303 x", Probed::Unanswered, Probed::Captive),
            ("HTTP/1.1 511 x", Probed::Captive, Probed::Captive),
            // The portal's host may have a page there; a server for probes has none.
            ("HTTP/1.1 200 OK", Probed::Unanswered, Probed::Captive),
            ("HTTP/1.1 404 x", Probed::Unanswered, Probed::Unanswered),
            ("HTTP/1.1 502 x", Probed::Unanswered, Probed::Unanswered),
        ] {
            let octets = format!("{head}\r\n\r\n");
            let Reading::Done(response) = read_response(octets.as_bytes()) else {
                panic!("{head}")
            };
            assert_eq!(portal.judge(&response), of_portal, "{head}");
            assert_eq!(own.judge(&response), of_own, "{head}");
        }
    }

    #[test]
    fn only_a_url_in_plain_is_a_probe() {
        for (url, taken) in [
            ("http://probe.example", true),
            ("http://192.0.2.1:8080/x", true),
            ("http://[2001:db8::1]/x", true),
            ("https://probe.example/", false),
            ("http:///x", false),
            ("http://probe.example/a b", false),
            ("http://probe.example:x/", false),
        ] {
            assert_eq!(Probe::at(url).is_ok(), taken, "{url}");
        }
        assert_eq!(Probe::of_portal("http://127.0.0.1:8080"), None);
    }
}
