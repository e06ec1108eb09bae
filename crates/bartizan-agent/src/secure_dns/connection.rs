//! One TLS connection with the questions that are on it.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bartizan_host::secure::UpstreamId;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ClientConnection;
use socket2::{Domain, Protocol, Socket, Type};

use super::framing::{Framing, Tag};

/// A question that is not answered.
pub(super) struct Pending {
    pub(super) id: UpstreamId,
    query: Vec<u8>,
    /// When it came; after [`FORGOTTEN`] nobody waits for it.
    since: Instant,
    /// How many addresses could not be connected to.
    pub(super) failed_at: usize,
    /// Whether a connection that had worked was lost with it.
    pub(super) put_again: bool,
}

impl Pending {
    pub(super) fn new(id: UpstreamId, query: Vec<u8>, now: Instant) -> Self {
        Self { id, query, since: now, failed_at: 0, put_again: false }
    }
}

/// A connection, from its first octet on.
pub(super) struct Connection {
    stream: TcpStream,
    tls: ClientConnection,
    framing: Framing,
    asked: BTreeMap<Tag, Pending>,
    found: Vec<(UpstreamId, Option<Vec<u8>>)>,
    opened_at: Instant,
    /// When something came last, or was asked when nothing was under way.
    moved_at: Instant,
    has_served: bool,
}

impl Connection {
    /// Begins to connect.
    pub(super) fn open(
        at: SocketAddr,
        uplink: Option<&str>,
        mut tls: ClientConnection,
        framing: Framing,
        registry: &Registry,
        token: Token,
        now: Instant,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        if let Some(uplink) = uplink {
            socket.bind_device(Some(uplink.as_bytes()))?;
        }
        match socket.connect(&at.into()) {
            Ok(()) => {}
            Err(error)
                if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        socket.set_tcp_nodelay(true)?;
        let mut stream = TcpStream::from_std(socket.into());
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        // Questions wait in there for the handshake; there are never many.
        tls.set_buffer_limit(None);
        Ok(Self {
            stream,
            tls,
            framing,
            asked: BTreeMap::new(),
            found: Vec::new(),
            opened_at: now,
            moved_at: now,
            has_served: false,
        })
    }

    /// Puts a question, or gives it back where there is no room for it.
    pub(super) fn ask(&mut self, pending: Pending, now: Instant) -> Result<(), Pending> {
        let mut out = Vec::new();
        let Some(tag) = self.framing.ask(&pending.query, &mut out) else { return Err(pending) };
        if self.tls.writer().write_all(&out).is_err() {
            return Err(pending);
        }
        if self.asked.is_empty() {
            self.moved_at = now;
        }
        self.asked.insert(tag, pending);
        Ok(())
    }

    /// Sends and receives what there is.
    ///
    /// # Errors
    /// The connection is of no use any more, and why.
    pub(super) fn advance(&mut self, now: Instant) -> Result<(), &'static str> {
        self.forget(now)?;
        self.send()?;
        loop {
            match self.tls.read_tls(&mut self.stream) {
                Ok(0) => return self.take_in(now).and(Err("the connection was closed")),
                Ok(_) => self.take_in(now)?,
                Err(error) if is_wait(&error) => break,
                Err(_) => return Err("the connection failed"),
            }
        }
        self.send()?;
        if self.tls.is_handshaking() && self.opened_at + CONNECTED_WITHIN <= now {
            return Err("it does not answer");
        }
        if !self.asked.is_empty() && self.moved_at + ANSWERED_WITHIN <= now {
            return Err("it does not answer");
        }
        Ok(())
    }

    pub(super) fn take_found(&mut self) -> Vec<(UpstreamId, Option<Vec<u8>>)> {
        std::mem::take(&mut self.found)
    }

    /// Tells whether anything was ever answered on it.
    pub(super) fn has_served(&self) -> bool {
        self.has_served
    }

    pub(super) fn is_idle_since(&self, now: Instant) -> bool {
        self.asked.is_empty() && self.moved_at + IDLE <= now
    }

    /// Returns when to look again, if nothing comes.
    pub(super) fn deadline(&self) -> Instant {
        if self.tls.is_handshaking() {
            self.opened_at + CONNECTED_WITHIN
        } else if self.asked.is_empty() {
            self.moved_at + IDLE
        } else {
            self.moved_at + ANSWERED_WITHIN
        }
    }

    pub(super) fn into_pending(self) -> impl DoubleEndedIterator<Item = Pending> {
        self.asked.into_values()
    }

    fn forget(&mut self, now: Instant) -> Result<(), &'static str> {
        let (framing, mut out) = (&mut self.framing, Vec::new());
        self.asked.retain(|tag, pending| {
            let is_waited_for = now < pending.since + FORGOTTEN;
            if !is_waited_for {
                framing.forget(*tag, &mut out);
            }
            is_waited_for
        });
        self.tls.writer().write_all(&out).map_err(|_| "the connection failed")
    }

    fn send(&mut self) -> Result<(), &'static str> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if is_wait(&error) => break,
                Err(_) => return Err("it cannot be connected to"),
            }
        }
        Ok(())
    }

    /// Decrypts what was received and reads it.
    fn take_in(&mut self, now: Instant) -> Result<(), &'static str> {
        let state = match self.tls.process_new_packets() {
            Ok(state) => state,
            Err(error) => {
                // The other side is told why, as far as it still listens.
                let _ = self.send();
                tracing::debug!(error = %error, "TLS failed");
                return Err("it does not prove who it is");
            }
        };
        if let Framing::Https(_) = &self.framing
            && !self.tls.is_handshaking()
            && self.tls.alpn_protocol() != Some(super::HTTP2)
        {
            return Err("it does not speak HTTP/2");
        }
        let mut octets = vec![0; state.plaintext_bytes_to_read()];
        self.tls.reader().read_exact(&mut octets).map_err(|_| "the connection failed")?;
        let mut out = Vec::new();
        let found =
            self.framing.receive(&octets, &mut out).map_err(|_| "it ends the connection")?;
        self.tls.writer().write_all(&out).map_err(|_| "the connection failed")?;
        for (tag, answer) in found {
            self.moved_at = now;
            self.has_served |= answer.is_some();
            if let Some(pending) = self.asked.remove(&tag) {
                let answer = answer.map(|answer| with_id_of(&pending.query, answer));
                self.found.push((pending.id, answer));
            }
        }
        Ok(())
    }
}

/// Gives an answer the id that the question had before it went out.
fn with_id_of(query: &[u8], mut answer: Vec<u8>) -> Vec<u8> {
    if let (Some(place), Some(id)) = (answer.first_chunk_mut::<2>(), query.first_chunk()) {
        *place = *id;
    }
    answer
}

/// Not connected yet, or nothing there, or no room: the kernel will say.
fn is_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}

/// TCP and TLS take three round trips, at 300 ms over a bad radio link.
const CONNECTED_WITHIN: Duration = Duration::from_millis(1_500);
/// A resolver that has to ask around takes a second or two; then some other answer should have come.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
/// Servers keep a connection for 10 to 30 s (RFC 7766 §6.2.3), and setting one up costs a few hundred milliseconds.
const IDLE: Duration = Duration::from_secs(30);
/// By then the engine has given up.
const FORGOTTEN: Duration = Duration::from_secs(10);
