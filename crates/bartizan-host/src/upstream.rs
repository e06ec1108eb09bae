//! Questions to the resolvers, each on a socket of its own; those for a resolver that policy names go to
//! [`crate::secure`].
//!
//! A socket a question costs two system calls more than a shared one, and gives each question a source
//! port that the kernel chose at random, which an off-path forger has to guess (RFC 5452 §9.2).
//!
//! # Invariants
//! - At most [`bartizan_engine::limits::QUESTION_ASKED`] sockets for each question that the engine has pending; it says
//!   [`Upstream::forget`] for each question.
//! - Sockets leave by the uplink, never into the tunnel that they serve.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use bartizan_engine::{Transport, UpstreamFailed, UpstreamId};
use bartizan_model::DnsUpstream;
use mio::net::{TcpStream, UdpSocket};
use mio::{Interest, Registry, Token, Waker};
use socket2::{Domain, Protocol, Socket, Type};

use crate::net::Exit;
use crate::secure::{Answers, SecureUpstream, StartSecureUpstream};

/// Where the resolvers really are, and by which way to reach them.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// Resolver as applications know it, to where it is asked. One that is missing is asked at port 53.
    pub resolvers: BTreeMap<IpAddr, SocketAddr>,
    /// The interface to leave by, so that a question does not come back through the tunnel.
    pub uplink: Option<String>,
    /// The mark by which routing rules know our own packets.
    pub mark: Option<u32>,
}

/// The open questions.
pub(crate) struct Upstream {
    route: Route,
    open: BTreeMap<Token, (UpstreamId, Socketed)>,
    next: usize,
    secure: Option<Secure>,
}

/// What speaks TLS, and the questions it has.
pub(crate) struct Secure {
    upstream: Box<dyn SecureUpstream>,
    answers: Receiver<Answer>,
    open: BTreeSet<UpstreamId>,
}

#[derive(Clone, Copy)]
enum Kind {
    Udp,
    Tcp,
}

enum Socketed {
    Udp(UdpSocket),
    Tcp { stream: TcpStream, unsent: Vec<u8>, received: Vec<u8> },
}

/// An answer, or that there will be none.
pub(crate) type Answer = (UpstreamId, Result<Vec<u8>, UpstreamFailed>);

impl Upstream {
    pub(crate) fn new(route: Route, first_token: usize, secure: Option<Secure>) -> Self {
        Self { route, open: BTreeMap::new(), next: first_token, secure }
    }

    /// Takes the resolver into use that policy names.
    pub(crate) fn turn_to(&mut self, upstream: &DnsUpstream) {
        match &mut self.secure {
            Some(secure) => secure.upstream.turn_to(upstream),
            None if upstream.secure().is_some() => {
                tracing::warn!("this device cannot ask a resolver over TLS");
            }
            None => {}
        }
    }

    /// Leaves by this interface from now on.
    pub(crate) fn leave_by(&mut self, uplink: Option<String>) {
        if let Some(secure) = &mut self.secure {
            secure.upstream.leave_by(uplink.as_deref());
        }
        self.route.uplink = uplink;
    }

    /// Returns where a resolver really is.
    pub(crate) fn place_of(&self, resolver: IpAddr) -> SocketAddr {
        let place = self.route.resolvers.get(&resolver).copied();
        place.unwrap_or_else(|| SocketAddr::new(resolver, DNS_PORT))
    }

    /// Returns how sockets leave.
    pub(crate) fn exit(&self) -> Exit {
        Exit { uplink: self.route.uplink.clone(), mark: self.route.mark }
    }

    /// Returns an answer of the resolver that policy names, one at a time.
    pub(crate) fn take_secure(&mut self) -> Option<Answer> {
        let secure = self.secure.as_mut()?;
        // One that is not waited for any more is nobody's.
        secure.answers.try_iter().find(|(id, _)| secure.open.remove(id))
    }

    /// Asks; the answer comes through [`Upstream::ready`].
    pub(crate) fn ask(
        &mut self,
        id: UpstreamId,
        resolver: IpAddr,
        transport: Transport,
        query: &[u8],
        registry: &Registry,
    ) -> io::Result<()> {
        let kind = match transport {
            Transport::Udp => Kind::Udp,
            Transport::Tcp => Kind::Tcp,
            Transport::Secure => return self.ask_secure(id, query),
        };
        // Whoever was asked over TLS before is not waited for.
        if let Some(secure) = &mut self.secure {
            secure.open.remove(&id);
        }
        let at = self.place_of(resolver);
        let token = Token(self.next);
        self.next += 1;
        let socket = self.socket(at, kind)?;
        let socketed = match kind {
            Kind::Udp => {
                socket.connect(&at.into())?;
                let mut socket = UdpSocket::from_std(socket.into());
                registry.register(&mut socket, token, Interest::READABLE)?;
                socket.send(query)?;
                Socketed::Udp(socket)
            }
            Kind::Tcp => {
                match socket.connect(&at.into()) {
                    Ok(()) => {}
                    Err(error)
                        if error.raw_os_error()
                            == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
                    Err(error) => return Err(error),
                }
                let mut stream = TcpStream::from_std(socket.into());
                registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
                let length = u16::try_from(query.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
                let mut unsent = length.to_be_bytes().to_vec();
                unsent.extend_from_slice(query);
                Socketed::Tcp { stream, unsent, received: Vec::new() }
            }
        };
        self.open.insert(token, (id, socketed));
        Ok(())
    }

    /// Closes what the engine no longer waits for.
    pub(crate) fn forget(&mut self, id: UpstreamId) {
        self.open.retain(|_, (open, _)| *open != id);
        if let Some(secure) = &mut self.secure {
            secure.open.remove(&id);
        }
    }

    /// Moves a socket on that the kernel says is ready.
    pub(crate) fn ready(&mut self, token: Token) -> Option<Answer> {
        let (id, socketed) = self.open.get_mut(&token)?;
        let id = *id;
        match socketed.advance() {
            // A datagram may be forged: the engine judges, and says `forget` once it is content.
            Ok(Some(answer)) => Some((id, Ok(answer))),
            Ok(None) => None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(_) => {
                self.open.remove(&token);
                // Another socket of the same question may still bring an answer.
                let is_last = self.open.values().all(|(open, _)| *open != id);
                is_last.then_some((id, Err(UpstreamFailed)))
            }
        }
    }

    fn ask_secure(&mut self, id: UpstreamId, query: &[u8]) -> io::Result<()> {
        let secure = self.secure.as_mut().ok_or(io::ErrorKind::Unsupported)?;
        let asked = secure.upstream.ask(id, query.to_vec());
        asked.map_err(|UpstreamFailed| io::Error::other("too many questions"))?;
        secure.open.insert(id);
        Ok(())
    }

    fn socket(&self, at: SocketAddr, kind: Kind) -> io::Result<Socket> {
        let (kind, protocol) = match kind {
            Kind::Udp => (Type::DGRAM, Protocol::UDP),
            Kind::Tcp => (Type::STREAM, Protocol::TCP),
        };
        let socket = Socket::new(Domain::for_address(at), kind, Some(protocol))?;
        socket.set_nonblocking(true)?;
        self.exit().apply(&socket)?;
        Ok(socket)
    }
}

impl Socketed {
    fn advance(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Udp(socket) => {
                let mut buffer = vec![0; usize::from(u16::MAX)];
                let length = socket.recv(&mut buffer)?;
                buffer.truncate(length);
                Ok(Some(buffer))
            }
            Self::Tcp { stream, unsent, received } => {
                while !unsent.is_empty() {
                    match stream.write(unsent) {
                        Ok(sent) => drop(unsent.drain(..sent)),
                        // Not connected yet, or the window is full: the kernel will say.
                        Err(error)
                            if matches!(
                                error.kind(),
                                io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected
                            ) =>
                        {
                            return Ok(None);
                        }
                        Err(error) => return Err(error),
                    }
                }
                let mut buffer = [0; 4_096];
                loop {
                    if let Some((length, message)) = received.split_first_chunk::<2>()
                        && usize::from(u16::from_be_bytes(*length)) <= message.len()
                    {
                        let length = usize::from(u16::from_be_bytes(*length));
                        return Ok(Some(message.get(..length).unwrap_or_default().to_vec()));
                    }
                    match stream.read(&mut buffer)? {
                        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                        length => {
                            received.extend_from_slice(buffer.get(..length).unwrap_or_default())
                        }
                    }
                }
            }
        }
    }
}

impl Secure {
    /// Starts what speaks TLS; it wakes the thread that asks when there is an answer.
    pub(crate) fn start(
        upstream: Box<dyn StartSecureUpstream>,
        waker: Arc<Waker>,
    ) -> io::Result<Self> {
        let (sender, answers) = channel();
        let take = Answers::new(move |id, answer| {
            // Nobody listens any more only while everything ends.
            if sender.send((id, answer)).is_ok() {
                let _ = waker.wake();
            }
        });
        Ok(Self { upstream: upstream.start(take)?, answers, open: BTreeSet::new() })
    }
}

const DNS_PORT: u16 = 53;
