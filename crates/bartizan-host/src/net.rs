//! The engine's sockets: connections, datagrams, echoes, and the tunnel they are spliced to.
//!
//! # Invariants
//! - A socket leaves by the uplink or with the mark that [`Exit`] names, so that nothing comes back into the tunnel.
//! - A socket's slot here is the one the engine gave; its generation stands in the token, so that a late event
//!   of an earlier socket reaches nobody.

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bartizan_engine::net::{
    Close, ConnectError, Incoming, Net, Outgoing, Received, SendError, Sent, SocketId, SocketKind,
    TunnelPacket,
};
use bartizan_wire::icmp::Unreachable;
use mio::event::Event;
use mio::net::{TcpStream, UdpSocket};
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::complaint;
use crate::packets::Packets;
use crate::path_mtu;
use crate::train;
use crate::uplink;

/// How sockets leave the device.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exit {
    /// The interface to leave by.
    pub uplink: Option<String>,
    /// The mark by which routing rules know our own packets.
    pub mark: Option<u32>,
}

impl Exit {
    /// Makes a socket leave that way.
    pub(crate) fn apply(&self, socket: &Socket) -> io::Result<()> {
        if let Some(interface) = &self.uplink {
            uplink::bind(socket, interface)?;
        }
        if let Some(mark) = self.mark {
            uplink::mark(socket, mark)?;
        }
        Ok(())
    }
}

/// All sockets of the splice.
pub(crate) struct Sockets {
    packets: Arc<Packets>,
    registry: Registry,
    exit: Exit,
    tcp: Vec<Option<Connection>>,
    udp: Vec<Option<Datagrams>>,
    echo: Vec<Option<Datagrams>>,
    /// Octets of TCP, up and down, since it was last asked.
    moved: usize,
}

/// A socket for datagrams, or for echoes.
struct Datagrams {
    socket: UdpSocket,
    id: SocketId,
    hop_limit: u8,
    /// Whether what it sends may be cut, once that was said.
    may_fragment: Option<bool>,
}

struct Connection {
    stream: TcpStream,
    id: SocketId,
    is_connecting: bool,
    /// Its address is gone, and it is treated as failed.
    is_stranded: bool,
}

/// What an event means to the engine.
pub(crate) enum Happened {
    /// It was connected, or cannot be.
    Connected(SocketId, Result<(), ConnectError>),
    /// It can be read or written; the network may have to say something about what was sent.
    Ready { id: SocketId, readable: bool, writable: bool, failed: bool },
}

impl Sockets {
    pub(crate) fn new(packets: Arc<Packets>, registry: Registry, exit: Exit) -> Self {
        Self {
            packets,
            registry,
            exit,
            tcp: Vec::new(),
            udp: Vec::new(),
            echo: Vec::new(),
            moved: 0,
        }
    }

    /// Returns how many octets of TCP were moved since it was last asked.
    pub(crate) fn take_moved(&mut self) -> usize {
        std::mem::take(&mut self.moved)
    }

    /// Has sockets leave by this interface from now on.
    pub(crate) fn leave_by(&mut self, uplink: Option<String>) {
        self.exit.uplink = uplink;
    }

    /// Gives up the connections from addresses that the device does not have any more: nothing comes back to them. They
    /// are to be told of as ready, or as not connected.
    pub(crate) fn strand(&mut self) -> Vec<Happened> {
        let mut ours: BTreeMap<IpAddr, bool> = BTreeMap::new();
        let mut stranded = Vec::new();
        for connection in self.tcp.iter_mut().flatten() {
            let Ok(local) = connection.stream.local_addr() else { continue };
            if *ours.entry(local.ip()).or_insert_with_key(is_ours) {
                continue;
            }
            let id = connection.id;
            connection.is_stranded = true;
            stranded.push(if std::mem::take(&mut connection.is_connecting) {
                Happened::Connected(id, Err(ConnectError::Unreachable))
            } else {
                Happened::Ready { id, readable: true, writable: true, failed: false }
            });
        }
        stranded
    }

    /// Reads an event of one of these sockets.
    pub(crate) fn happened(&mut self, event: &Event) -> Option<Happened> {
        let id = id_of(event.token())?;
        match id.kind {
            SocketKind::Tcp => {
                let connection = self.connection(id)?;
                if connection.is_connecting {
                    let outcome = connection.outcome()?;
                    connection.is_connecting = false;
                    return Some(Happened::Connected(id, outcome));
                }
            }
            SocketKind::Udp | SocketKind::Echo => {}
        }
        let readable = event.is_readable() || event.is_read_closed() || event.is_error();
        let failed = event.is_error();
        Some(Happened::Ready { id, readable, writable: event.is_writable(), failed })
    }

    /// Takes what the network says about something that a socket sent.
    pub(crate) fn complaint(&mut self, id: SocketId) -> Option<Complaint> {
        let datagrams = self.datagrams(id)?;
        complaint::take(&datagrams.socket)
    }

    fn datagrams(&mut self, id: SocketId) -> Option<&mut Datagrams> {
        let all = match id.kind {
            SocketKind::Udp => &mut self.udp,
            SocketKind::Echo => &mut self.echo,
            SocketKind::Tcp => return None,
        };
        all.get_mut(usize::from(id.slot))?.as_mut().filter(|datagrams| datagrams.id == id)
    }

    fn bind(&mut self, id: SocketId, like: SocketAddr) -> io::Result<()> {
        let protocol = match (id.kind, like) {
            (SocketKind::Echo, SocketAddr::V4(_)) => Protocol::ICMPV4,
            (SocketKind::Echo, SocketAddr::V6(_)) => Protocol::ICMPV6,
            (SocketKind::Udp | SocketKind::Tcp, _) => Protocol::UDP,
        };
        let socket = Socket::new(Domain::for_address(like), Type::DGRAM, Some(protocol))?;
        socket.set_nonblocking(true)?;
        self.exit.apply(&socket)?;
        complaint::ask_for(&socket, like)?;
        if id.kind == SocketKind::Udp {
            train::ask_for(&socket);
        }
        // Bound before anything is sent, so that the address is there to be answered to.
        let any: IpAddr = match like {
            SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        socket.bind(&SocketAddr::new(any, 0).into())?;
        let mut socket = UdpSocket::from_std(socket.into());
        self.registry.register(&mut socket, token_of(id), Interest::READABLE)?;
        let all = if id.kind == SocketKind::Echo { &mut self.echo } else { &mut self.udp };
        place(all, id.slot, Datagrams { socket, id, hop_limit: 0, may_fragment: None });
        Ok(())
    }

    fn connection(&mut self, id: SocketId) -> Option<&mut Connection> {
        self.tcp.get_mut(usize::from(id.slot))?.as_mut().filter(|connection| connection.id == id)
    }

    fn begin(&mut self, id: SocketId, to: SocketAddr) -> io::Result<()> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        self.exit.apply(&socket)?;
        // The application has decided what goes into a segment.
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
        match socket.connect(&to.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        let mut stream = TcpStream::from_std(socket.into());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut stream, token_of(id), interest)?;
        place(
            &mut self.tcp,
            id.slot,
            Connection { stream, id, is_connecting: true, is_stranded: false },
        );
        Ok(())
    }
}

impl Connection {
    /// Returns how the attempt to connect went, if it is over.
    fn outcome(&self) -> Option<Result<(), ConnectError>> {
        match self.stream.take_error() {
            Ok(None) => match self.stream.peer_addr() {
                Ok(_) => Some(Ok(())),
                Err(_) => None,
            },
            Ok(Some(error)) | Err(error) => Some(Err(connect_error(&error))),
        }
    }
}

impl Net for Sockets {
    fn connect(&mut self, id: SocketId, to: SocketAddr) -> Result<(), ConnectError> {
        self.begin(id, to).map_err(|error| connect_error(&error))
    }

    fn send(&mut self, id: SocketId, octets: &[u8]) -> Sent {
        let Some(connection) = self.connection(id) else { return Sent::Failed };
        if connection.is_stranded {
            return Sent::Failed;
        }
        let mut sent = 0;
        while let Some(rest) = octets.get(sent..).filter(|rest| !rest.is_empty()) {
            match connection.stream.write(rest) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Sent::Failed,
            }
        }
        self.moved += sent;
        Sent::Took(sent)
    }

    fn receive(&mut self, id: SocketId, into: &mut [&mut [u8]]) -> Received {
        let Some(connection) = self.connection(id) else { return Received::Failed };
        if connection.is_stranded {
            return Received::Failed;
        }
        let mut places = [const { None }; MAX_PLACES];
        let mut used = 0;
        for (place, octets) in
            places.iter_mut().zip(into.iter_mut().filter(|octets| !octets.is_empty()))
        {
            *place = Some(IoSliceMut::new(octets));
            used += 1;
        }
        let mut places = places.map(|place| place.unwrap_or_else(|| IoSliceMut::new(&mut [])));
        loop {
            return match connection.stream.read_vectored(places.get_mut(..used).unwrap_or_default())
            {
                Ok(0) => Received::End,
                Ok(count) => {
                    self.moved += count;
                    Received::Took(count)
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Received::Nothing,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => Received::Failed,
            };
        }
    }

    fn shutdown(&mut self, id: SocketId) {
        if let Some(connection) = self.connection(id) {
            // It may be gone already, which the next call finds out.
            let _ = connection.stream.shutdown(std::net::Shutdown::Write);
        }
    }

    fn close(&mut self, id: SocketId, how: Close) {
        match id.kind {
            SocketKind::Tcp => {
                if let Some(connection) = self.connection(id) {
                    if how == Close::Reset {
                        // With nothing to linger for, the kernel resets. If it cannot, it closes in order.
                        let _ = SockRef::from(&connection.stream)
                            .set_linger(Some(std::time::Duration::ZERO));
                    }
                    vacate(&mut self.tcp, id.slot);
                }
            }
            SocketKind::Udp => vacate(&mut self.udp, id.slot),
            SocketKind::Echo => vacate(&mut self.echo, id.slot),
        }
    }

    fn open(&mut self, id: SocketId, like: SocketAddr) -> Result<(), ConnectError> {
        self.bind(id, like).map_err(|error| connect_error(&error))
    }

    fn send_to(&mut self, id: SocketId, datagram: &Outgoing<'_>) -> Result<(), SendError> {
        let Outgoing { to, hop_limit, may_fragment, segment, octets } = *datagram;
        let Some(datagrams) = self.datagrams(id) else { return Err(SendError::Unreachable) };
        if datagrams.hop_limit != hop_limit {
            let socket = SockRef::from(&datagrams.socket);
            let set = match to {
                SocketAddr::V4(_) => socket.set_ttl_v4(hop_limit.into()),
                SocketAddr::V6(_) => socket.set_unicast_hops_v6(hop_limit.into()),
            };
            if set.is_ok() {
                datagrams.hop_limit = hop_limit;
            }
        }
        if datagrams.may_fragment != Some(may_fragment)
            && path_mtu::let_cut(&datagrams.socket, to, may_fragment).is_ok()
        {
            datagrams.may_fragment = Some(may_fragment);
        }
        if let Some(segment) = segment {
            let sent = train::send(&datagrams.socket, octets, to, segment);
            return sent.map_err(|error| send_error(&error));
        }
        // A pending complaint about an earlier datagram is reported in place of sending this one: once more.
        let sent = datagrams.socket.send_to(octets, to).or_else(|error| {
            if error.kind() == io::ErrorKind::WouldBlock {
                Err(error)
            } else {
                datagrams.socket.send_to(octets, to)
            }
        });
        match sent {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(SendError::Full),
            Err(error) if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) => {
                let mtu = path_mtu::towards(to, &self.exit).unwrap_or(MTU_OF_ALL);
                Err(SendError::TooBig { mtu })
            }
            Err(error) => Err(send_error(&error)),
        }
    }

    fn receive_from(&mut self, id: SocketId, into: &mut [u8]) -> Option<Incoming> {
        let datagrams = self.datagrams(id)?;
        for _ in 0..COMPLAINTS_IN_A_ROW {
            match train::receive(&datagrams.socket, into) {
                Ok(came) => return Some(came),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                // A complaint about what was sent; it comes another way.
                Err(_) => {}
            }
        }
        None
    }

    fn write_packet(&mut self, packet: &TunnelPacket<'_>) {
        self.packets.write(packet);
    }
}

/// What the network says about something that was sent.
pub(crate) struct Complaint {
    /// To whom it was sent.
    pub(crate) to: SocketAddr,
    /// Who says so.
    pub(crate) from: IpAddr,
    pub(crate) why: Unreachable,
    /// The beginning of what was sent.
    pub(crate) sent: Vec<u8>,
}

/// Tells whether the device has an address: the kernel lets nobody bind another.
fn is_ours(address: &IpAddr) -> bool {
    let bound = std::net::UdpSocket::bind(SocketAddr::new(*address, 0));
    !matches!(bound, Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable)
}

fn place<T>(all: &mut Vec<Option<T>>, slot: u16, value: T) {
    let slot = usize::from(slot);
    if all.len() <= slot {
        all.resize_with(slot + 1, || None);
    }
    if let Some(place) = all.get_mut(slot) {
        *place = Some(value);
    }
}

fn vacate<T>(all: &mut [Option<T>], slot: u16) {
    if let Some(place) = all.get_mut(usize::from(slot)) {
        *place = None;
    }
}

fn send_error(error: &io::Error) -> SendError {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::PERM | Errno::ACCESS) => SendError::Prohibited,
        Some(Errno::NOBUFS | Errno::NOMEM) => SendError::Full,
        _ => SendError::Unreachable,
    }
}

fn connect_error(error: &io::Error) -> ConnectError {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::CONNREFUSED | Errno::CONNRESET) => ConnectError::Refused,
        Some(Errno::TIMEDOUT) => ConnectError::TimedOut,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL) => {
            ConnectError::NoRoom
        }
        _ => ConnectError::Unreachable,
    }
}

/// Tokens of these sockets have the highest bit, then kind, generation and slot.
pub(crate) fn token_of(id: SocketId) -> Token {
    let kind = match id.kind {
        SocketKind::Tcp => 0,
        SocketKind::Udp => 1,
        SocketKind::Echo => 2,
    };
    Token(SPLICE | kind << 32 | usize::from(id.generation) << 16 | usize::from(id.slot))
}

/// Tells whether a token is of one of these sockets.
pub(crate) fn is_spliced(token: Token) -> bool {
    token.0 & SPLICE != 0
}

#[expect(clippy::cast_possible_truncation, reason = "the parts that were put together")]
fn id_of(token: Token) -> Option<SocketId> {
    if !is_spliced(token) {
        return None;
    }
    let kind = match token.0 >> 32 & 3 {
        0 => SocketKind::Tcp,
        1 => SocketKind::Udp,
        _ => SocketKind::Echo,
    };
    Some(SocketId { kind, slot: token.0 as u16, generation: (token.0 >> 16) as u16 })
}

/// Octets of a packet that every path takes (RFC 8200 §5).
const MTU_OF_ALL: u16 = 1_280;
/// So that a socket with many does not keep the others waiting.
const COMPLAINTS_IN_A_ROW: usize = 8;
const SPLICE: usize = 1 << (usize::BITS - 1);
/// How long a connection may be silent before the other end is asked whether it is there.
const KEEPALIVE: std::time::Duration = std::time::Duration::from_secs(600);
/// As many as the engine gives at once.
const MAX_PLACES: usize = 9;
