//! Asks the resolver that policy names, over TLS: DNS over TLS (RFC 7858) or HTTPS (RFC 8484).
//!
//! One thread, one connection, many questions on it ([`framing`]). The certificate has to be for the name that
//! policy has, by the authorities that the device trusts for its portal too. A connection is opened when there is
//! something to ask, and closed when there was nothing for half a minute.
//!
//! # What it does not do
//! - Fall back to another resolver: whether lookups may go out in plain is the engine's to know.
//! - Try for long: one that takes neither connection nor question within seconds fails, and the engine asks again.
//!
//! # Invariants
//! - Each question gets one answer, or that there is none, unless nobody waits for it any more.
//! - A question is put twice only where a connection that had worked was lost with it.

mod connection;
mod framing;
mod http2;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use bartizan_host::clock::Clock;
use bartizan_host::secure::{
    Answers, DnsUpstream, SecureResolver, SecureUpstream, StartSecureUpstream, UpstreamFailed,
    UpstreamId,
};
use mio::{Events, Poll, Token, Waker};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use self::connection::{Connection, Pending};
use self::framing::Framing;
use self::http2::Http2;

/// What it takes to ask over TLS.
#[derive(Debug)]
pub struct SecureDns {
    roots: Arc<RootCertStore>,
    uplink: Option<String>,
}

impl SecureDns {
    /// Trusts the certificates in a PEM file, and no others; leaves by the interface `uplink`.
    ///
    /// # Errors
    /// The file cannot be read or holds none.
    pub fn new(ca: &Path, uplink: Option<String>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(ca)
            .with_context(|| format!("cannot read certificates from {}", ca.display()))?;
        let (added, _) = roots.add_parsable_certificates(certificates.filter_map(Result::ok));
        anyhow::ensure!(0 < added, "{} holds no certificates", ca.display());
        Ok(Self { roots: Arc::new(roots), uplink })
    }

    fn config(&self, protocols: &[&[u8]]) -> io::Result<Arc<ClientConfig>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

impl StartSecureUpstream for SecureDns {
    fn start(self: Box<Self>, answers: Answers) -> io::Result<Box<dyn SecureUpstream>> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let (sender, commands) = sync_channel(COMMANDS);
        let mut worker = Worker {
            tls: self.config(&[])?,
            https: self.config(&[HTTP2])?,
            uplink: self.uplink,
            answers,
            clock: Clock::new(),
            poll,
            target: None,
            connection: None,
            waiting: VecDeque::new(),
            fails: false,
        };
        std::thread::Builder::new().name("secure dns".into()).spawn(move || {
            if let Err(error) = worker.run(&commands) {
                tracing::error!(error = %error, "no resolver can be asked over TLS any more");
            }
        })?;
        Ok(Box::new(Asker { commands: sender, waker }))
    }
}

/// The thread, from outside. It ends with this.
struct Asker {
    commands: SyncSender<Command>,
    waker: Waker,
}

enum Command {
    TurnTo(DnsUpstream),
    LeaveBy(Option<String>),
    Ask(UpstreamId, Vec<u8>),
}

impl SecureUpstream for Asker {
    fn turn_to(&mut self, upstream: &DnsUpstream) {
        // The thread never waits for anything but commands and sockets, so there is room soon.
        if self.commands.send(Command::TurnTo(upstream.clone())).is_ok() {
            let _ = self.waker.wake();
        }
    }

    fn leave_by(&mut self, uplink: Option<&str>) {
        if self.commands.send(Command::LeaveBy(uplink.map(str::to_owned))).is_ok() {
            let _ = self.waker.wake();
        }
    }

    fn ask(&mut self, id: UpstreamId, query: Vec<u8>) -> Result<(), UpstreamFailed> {
        self.commands.try_send(Command::Ask(id, query)).map_err(|_| UpstreamFailed)?;
        self.waker.wake().map_err(|_| UpstreamFailed)
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        let (closed, _) = sync_channel(1);
        self.commands = closed;
        let _ = self.waker.wake();
    }
}

/// Who is asked, and at which of the addresses.
struct Target {
    resolver: SecureResolver,
    name: ServerName<'static>,
    /// Where HTTPS is spoken.
    path: Option<Box<str>>,
    address: usize,
}

struct Worker {
    tls: Arc<ClientConfig>,
    https: Arc<ClientConfig>,
    uplink: Option<String>,
    answers: Answers,
    clock: Clock,
    poll: Poll,
    target: Option<Target>,
    connection: Option<Connection>,
    /// What is on no connection.
    waiting: VecDeque<Pending>,
    /// Whether the last connection failed, so that the log says it once.
    fails: bool,
}

impl Worker {
    fn run(&mut self, commands: &Receiver<Command>) -> io::Result<()> {
        let mut ready = Events::with_capacity(16);
        loop {
            let now = self.clock.now();
            let deadline = self.connection.as_ref().map(|connection| connection.deadline());
            let timeout = deadline.map(|deadline| deadline.saturating_duration_since(now) + TICK);
            match self.poll.poll(&mut ready, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            let now = self.clock.now();
            loop {
                match commands.try_recv() {
                    Ok(Command::TurnTo(upstream)) => self.turn_to(&upstream),
                    Ok(Command::LeaveBy(uplink)) => {
                        self.uplink = uplink;
                        self.give_up();
                    }
                    Ok(Command::Ask(id, query)) => {
                        self.waiting.push_back(Pending::new(id, query, now));
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                }
            }
            self.advance(now);
            // What a lost connection leaves waits again, until it is asked or has failed.
            while !self.waiting.is_empty() && self.put(now) {}
        }
    }

    fn turn_to(&mut self, upstream: &DnsUpstream) {
        let path = match upstream {
            DnsUpstream::System | DnsUpstream::Tls(_) => None,
            DnsUpstream::Https { path, .. } => Some(path.clone()),
        };
        let target = upstream.secure().and_then(|resolver| {
            let name = ServerName::try_from(resolver.host.to_string()).ok()?;
            Some(Target { resolver: resolver.clone(), name, path, address: 0 })
        });
        self.target = target;
        self.give_up();
    }

    /// Closes the connection; what was to go over it has failed.
    fn give_up(&mut self) {
        self.fails = false;
        if let Some(connection) = self.connection.take() {
            self.waiting.extend(connection.into_pending());
        }
        for pending in self.waiting.drain(..) {
            self.answers.give(pending.id, Err(UpstreamFailed));
        }
    }

    /// Moves the connection on, and hands over what was answered.
    fn advance(&mut self, now: Instant) {
        let Some(connection) = &mut self.connection else { return };
        let moved = connection.advance(now);
        for (id, answer) in connection.take_found() {
            self.answers.give(id, answer.ok_or(UpstreamFailed));
        }
        self.fails &= !connection.has_served();
        match moved {
            Ok(()) if connection.is_idle_since(now) => self.connection = None,
            Ok(()) => {}
            Err(why) => self.lose(why),
        }
    }

    /// Puts what waits on the connection, opening one; says whether it may be called again at once.
    fn put(&mut self, now: Instant) -> bool {
        if self.connection.is_none() {
            match self.connect(now) {
                Ok(connection) => self.connection = Some(connection),
                Err(_) => {
                    self.fail_on("no way there");
                    return true;
                }
            }
        }
        let Some(connection) = &mut self.connection else { return false };
        while let Some(pending) = self.waiting.pop_front() {
            if let Err(pending) = connection.ask(pending, now) {
                self.waiting.push_front(pending);
                break;
            }
        }
        let before = self.waiting.len();
        self.advance(now);
        before < self.waiting.len()
    }

    fn connect(&self, now: Instant) -> io::Result<Connection> {
        let target = self.target.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let addresses = &target.resolver.addresses;
        let address = addresses.get(target.address % addresses.len().max(1));
        let at = SocketAddr::new(*address.ok_or(io::ErrorKind::NotFound)?, target.resolver.port);
        let (config, framing) = match &target.path {
            None => (&self.tls, Framing::Tls(framing::Tls::default())),
            Some(path) => {
                let authority = match target.resolver.port {
                    443 => target.resolver.host.to_string(),
                    port => format!("{}:{port}", target.resolver.host),
                };
                (&self.https, Framing::Https(Http2::new(&authority, path)))
            }
        };
        let (config, name) = (Arc::clone(config), target.name.clone());
        let tls = rustls::ClientConnection::new(config, name).map_err(io::Error::other)?;
        let registry = self.poll.registry();
        Connection::open(at, self.uplink.as_deref(), tls, framing, registry, CONNECTION, now)
    }

    /// Gives up the connection: what was on it is put again, where that is of use.
    fn lose(&mut self, why: &'static str) {
        let Some(connection) = self.connection.take() else { return };
        let had_served = connection.has_served();
        for pending in connection.into_pending().rev() {
            self.waiting.push_front(pending);
        }
        if !had_served {
            return self.fail_on(why);
        }
        let answers = &self.answers;
        self.waiting.retain_mut(|pending| {
            let again = !std::mem::replace(&mut pending.put_again, true);
            if !again {
                answers.give(pending.id, Err(UpstreamFailed));
            }
            again
        });
    }

    /// Turns to the next address; what has been to all of them has failed.
    fn fail_on(&mut self, why: &'static str) {
        if !std::mem::replace(&mut self.fails, true) {
            tracing::warn!(why, "the resolver of the policy cannot be asked");
        }
        let addresses = self.target.as_mut().map_or(0, |target| {
            target.address = target.address.wrapping_add(1);
            target.resolver.addresses.len()
        });
        let answers = &self.answers;
        self.waiting.retain_mut(|pending| {
            pending.failed_at += 1;
            let goes_on = pending.failed_at < addresses;
            if !goes_on {
                answers.give(pending.id, Err(UpstreamFailed));
            }
            goes_on
        });
    }
}

const WAKER: Token = Token(0);
const CONNECTION: Token = Token(1);
/// ALPN's word for it (RFC 9113 §3.2).
const HTTP2: &[u8] = b"h2";
/// Twice what the engine has under way, each question being put again at most.
const COMMANDS: usize = 512;
/// A deadline is past, and not just reached, when it is looked at.
const TICK: Duration = Duration::from_millis(1);
