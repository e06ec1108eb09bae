//! DNS over TCP (RFC 7766): connections to a resolver's port 53 end here.
//!
//! Whole queries come out, whole answers go in; each message has two octets of length before it. The
//! TCP itself is smoltcp's, which takes the time as an argument and so stays deterministic. It scans
//! all sockets for each packet, which is right for [`limits::TCP_CONNECTIONS`] and no more.
//!
//! Queries of one connection are answered one after the other; the next one waits in the receive
//! buffer, which closes the window when it is full.
//!
//! # Invariants
//! - A late answer never reaches another client: [`ConnectionId`] carries a generation.
//! - At most one query under way and one answer half sent per connection.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant as Stamp;
use smoltcp::wire::{HardwareAddress, IpCidr, Ipv4Address, Ipv6Address};

use crate::limits;

/// The server side of all connections.
pub(crate) struct TcpServer {
    interface: Interface,
    link: Link,
    sockets: SocketSet<'static>,
    connections: Vec<Connection>,
    start: Instant,
    /// When the stack has something to do by itself, or at once after an input.
    due_at: Option<Instant>,
}

impl TcpServer {
    pub(crate) fn new(mtu: usize, seed: u64, now: Instant) -> Self {
        let mut link = Link { mtu, received: None, sent: VecDeque::new() };
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut link, Stamp::ZERO);
        // Only packets to the resolvers come here, so it may be anybody, and everybody is on the link.
        interface.set_any_ip(true);
        interface.update_ip_addrs(|addresses| {
            for everybody in [
                IpCidr::new(Ipv4Address::UNSPECIFIED.into(), 0),
                IpCidr::new(Ipv6Address::UNSPECIFIED.into(), 0),
            ] {
                // There is room for two.
                let _ = addresses.push(everybody);
            }
        });
        let mut sockets = SocketSet::new(Vec::with_capacity(limits::TCP_CONNECTIONS));
        let connections = (0..limits::TCP_CONNECTIONS)
            .map(|_| Connection::listening(sockets.add(listener())))
            .collect();
        Self { interface, link, sockets, connections, start: now, due_at: None }
    }

    /// Takes in a packet for port 53.
    pub(crate) fn handle_packet(&mut self, packet: &[u8], now: Instant) {
        self.link.received = Some(packet.to_vec());
        self.poll(now);
    }

    /// Lets the stack do what is due: send, send again, give up.
    pub(crate) fn poll(&mut self, now: Instant) {
        let at = self.stamp(now);
        self.interface.poll(at, &mut self.link, &mut self.sockets);
        let mut touched = false;
        for connection in &mut self.connections {
            touched |= connection.step(self.sockets.get_mut(connection.handle));
        }
        self.due_at = if touched || self.link.is_full() {
            Some(now)
        } else {
            // What is due already was just done; a tick later at the earliest, or the host would spin.
            self.interface.poll_at(at, &self.sockets).map(|at| self.instant(at).max(now + TICK))
        };
    }

    /// Returns a query that is whole, one at a time; its connection then waits for the answer.
    pub(crate) fn take_query(&mut self, now: Instant) -> Option<TcpQuery> {
        for (slot, connection) in self.connections.iter_mut().enumerate() {
            let socket = self.sockets.get_mut::<Socket<'_>>(connection.handle);
            let Phase::Idle = connection.phase else { continue };
            let (Some(octets), Some(resolver)) = (take_message(socket), socket.local_endpoint())
            else {
                continue;
            };
            connection.phase = Phase::Waiting;
            // The window has opened again, which the client has to hear.
            self.due_at = Some(now);
            let id = ConnectionId { slot, generation: connection.generation };
            return Some(TcpQuery { connection: id, resolver: resolver.addr.into(), octets });
        }
        None
    }

    /// Answers the query under way, if its connection still is there.
    pub(crate) fn answer(&mut self, id: ConnectionId, answer: &[u8], now: Instant) {
        let Ok(len) = u16::try_from(answer.len()) else { return self.reset(id, now) };
        let Some(connection) = self.waiting(id) else { return };
        let mut octets = Vec::with_capacity(answer.len() + LEN_OCTETS);
        octets.extend_from_slice(&len.to_be_bytes());
        octets.extend_from_slice(answer);
        connection.phase = Phase::Answering { octets, sent: 0 };
        let handle = connection.handle;
        // Into the send buffer at once, so that the next query may be taken.
        if let Some(connection) = self.connections.get_mut(id.slot) {
            connection.step(self.sockets.get_mut(handle));
        }
        self.due_at = Some(now);
    }

    /// Resets the connection whose query has no answer: the client shall try again at once rather than
    /// wait, and a SERVFAIL would make some clients avoid the resolver.
    pub(crate) fn reset(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = self.waiting(id) else { return };
        let handle = connection.handle;
        self.sockets.get_mut::<Socket<'_>>(handle).abort();
        self.due_at = Some(now);
    }

    /// Returns a packet to write to the tunnel, one at a time.
    pub(crate) fn take_packet(&mut self) -> Option<Vec<u8>> {
        self.link.sent.pop_front()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due_at
    }

    fn waiting(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(id.slot)?;
        let waits = match connection.phase {
            Phase::Waiting => connection.generation == id.generation,
            Phase::Idle | Phase::Answering { .. } => false,
        };
        waits.then_some(connection)
    }

    fn stamp(&self, now: Instant) -> Stamp {
        let micros = now.saturating_duration_since(self.start).as_micros();
        Stamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    fn instant(&self, at: Stamp) -> Instant {
        self.start + Duration::from_micros(u64::try_from(at.total_micros()).unwrap_or(0))
    }
}

/// A query that came over TCP.
pub(crate) struct TcpQuery {
    pub(crate) connection: ConnectionId,
    /// The address that the client connected to.
    pub(crate) resolver: IpAddr,
    /// Without its length.
    pub(crate) octets: Vec<u8>,
}

/// One connection, and no later one on the same socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionId {
    slot: usize,
    generation: u64,
}

struct Connection {
    handle: SocketHandle,
    generation: u64,
    phase: Phase,
}

enum Phase {
    /// No query is under way; one may be coming in.
    Idle,
    /// A query was taken and has no answer yet.
    Waiting,
    /// The answer with its length; the first `sent` octets have gone into the send buffer.
    Answering { octets: Vec<u8>, sent: usize },
}

impl Connection {
    fn listening(handle: SocketHandle) -> Self {
        Self { handle, generation: 0, phase: Phase::Idle }
    }

    /// Moves on as far as the socket lets it; says whether the stack has something to do after it.
    fn step(&mut self, socket: &mut Socket<'static>) -> bool {
        // A socket that was reset keeps its peer until the RST is out.
        if socket.state() == State::Closed && socket.remote_endpoint().is_none() {
            self.generation += 1;
            self.phase = Phase::Idle;
            // Port 53 is a port, and the socket is closed: there is no error left.
            let _ = socket.listen(DNS_PORT);
            return false;
        }
        match &mut self.phase {
            Phase::Answering { octets, sent } => {
                let rest = octets.get(*sent..).unwrap_or_default();
                let taken = socket.send_slice(rest).unwrap_or(0);
                *sent += taken;
                if *sent == octets.len() || !socket.may_send() {
                    self.phase = Phase::Idle;
                }
                0 < taken
            }
            // Nothing more can come: what the client began to write stays a part.
            Phase::Idle if socket.state() == State::CloseWait => match peek_message_len(socket) {
                Some(len) if len <= socket.recv_queue() || limits::QUERY_OCTETS < len => false,
                Some(_) | None => {
                    socket.close();
                    true
                }
            },
            Phase::Idle | Phase::Waiting => false,
        }
    }
}

/// Takes the first message out of the receive buffer, if it is whole. One that can never be whole is
/// taken as empty, which is no query either.
fn take_message(socket: &mut Socket<'static>) -> Option<Vec<u8>> {
    let len = peek_message_len(socket)?;
    if limits::QUERY_OCTETS < len {
        return Some(Vec::new());
    }
    if socket.recv_queue() < len {
        return None;
    }
    let mut octets = vec![0; len];
    // There are as many, as was just seen.
    let _ = socket.recv_slice(&mut octets);
    octets.drain(..LEN_OCTETS);
    Some(octets)
}

/// Returns how long the first message is together with its length, once that is there.
fn peek_message_len(socket: &mut Socket<'static>) -> Option<usize> {
    let mut len = [0; LEN_OCTETS];
    let peeked = socket.peek_slice(&mut len).ok()?;
    (peeked == LEN_OCTETS).then(|| usize::from(u16::from_be_bytes(len)) + LEN_OCTETS)
}

fn listener() -> Socket<'static> {
    let mut socket = Socket::new(
        SocketBuffer::new(vec![0; limits::TCP_RX_OCTETS]),
        SocketBuffer::new(vec![0; limits::TCP_TX_OCTETS]),
    );
    socket.set_timeout(Some(smoltcp::time::Duration::from_micros(
        u64::try_from(limits::TCP_IDLE.as_micros()).unwrap_or(u64::MAX),
    )));
    // An answer is written whole: nothing is won by waiting for more.
    socket.set_nagle_enabled(false);
    socket.set_ack_delay(None);
    let _ = socket.listen(DNS_PORT);
    socket
}

/// The tunnel as smoltcp sees it: at most one packet in, a burst of packets out.
struct Link {
    mtu: usize,
    received: Option<Vec<u8>>,
    sent: VecDeque<Vec<u8>>,
}

impl Link {
    fn is_full(&self) -> bool {
        limits::TCP_BURST <= self.sent.len()
    }
}

impl Device for Link {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sent<'a>;

    fn receive(&mut self, _: Stamp) -> Option<(Received, Sent<'_>)> {
        let packet = self.received.take()?;
        Some((Received(packet), Sent(&mut self.sent)))
    }

    fn transmit(&mut self, _: Stamp) -> Option<Sent<'_>> {
        if self.is_full() { None } else { Some(Sent(&mut self.sent)) }
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        // What comes in was checked, or never was on a wire and has none.
        capabilities.checksum.tcp = smoltcp::phy::Checksum::Tx;
        capabilities
    }
}

struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

struct Sent<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for Sent<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut packet = vec![0; len];
        let result = write(&mut packet);
        self.0.push_back(packet);
        result
    }
}

pub(crate) const DNS_PORT: u16 = 53;
/// RFC 1035 §4.2.2.
const LEN_OCTETS: usize = 2;
/// The finest the stack counts in is a microsecond, and TCP needs none finer than this.
const TICK: Duration = Duration::from_millis(1);
