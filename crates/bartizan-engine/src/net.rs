//! What the engine wants of the host's sockets at once, since the outcome decides what it does next.
//!
//! Everything here returns without waiting. The engine gives the ids; the host tells it by
//! [`crate::Engine::handle_connected`] and [`crate::Engine::handle_ready`] what became of them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// A socket of the host. Its generation tells it from an earlier one in the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId {
    /// What it is.
    pub kind: SocketKind,
    /// Its place among those of its kind: small numbers, used again.
    pub slot: u16,
    /// Counts up with each use of the slot, and wraps.
    pub generation: u16,
}

/// What a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SocketKind {
    /// A connection.
    Tcp,
    /// Datagrams to and from anybody.
    Udp,
    /// ICMP echoes.
    Echo,
}

/// The sockets and the tunnel of the host.
pub trait Net {
    /// Begins to connect; [`crate::Engine::handle_connected`] tells how it went.
    ///
    /// # Errors
    /// It failed already.
    fn connect(&mut self, id: SocketId, to: SocketAddr) -> Result<(), ConnectError>;

    /// Hands octets to a connection, in order.
    fn send(&mut self, id: SocketId, octets: &[u8]) -> Sent;

    /// Takes octets from a connection into these places, in order. They are never all empty.
    fn receive(&mut self, id: SocketId, into: &mut [&mut [u8]]) -> Received;

    /// Says that nothing more will be sent.
    fn shutdown(&mut self, id: SocketId);

    /// Forgets a socket.
    fn close(&mut self, id: SocketId, how: Close);

    /// Opens a socket for datagrams or echoes of the family of this address.
    ///
    /// # Errors
    /// There is none to be had.
    fn open(&mut self, id: SocketId, like: SocketAddr) -> Result<(), ConnectError>;

    /// Sends a datagram or an echo request.
    ///
    /// # Errors
    /// It cannot be sent.
    fn send_to(&mut self, id: SocketId, datagram: &Outgoing<'_>) -> Result<(), SendError>;

    /// Takes one datagram or ICMP message, or several datagrams of one sender that came at once; `None` if there is
    /// none.
    fn receive_from(&mut self, id: SocketId, into: &mut [u8]) -> Option<Incoming>;

    /// Writes a packet to the tunnel. What does not fit is lost, as on a network.
    fn write_packet(&mut self, packet: &TunnelPacket<'_>);
}

/// A datagram, or several, or an echo request without its ICMP header's checksum, for the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// Whom it is for.
    pub to: SocketAddr,
    /// How many more routers may pass it on.
    pub hop_limit: u8,
    /// Whether it may be cut into fragments. If not, it goes whole or is [`SendError::TooBig`].
    pub may_fragment: bool,
    /// Octets of each datagram where there are several, one behind the other; only the last may have fewer.
    pub segment: Option<u16>,
    /// What it says.
    pub octets: &'a [u8],
}

/// What came from the network: datagrams of one sender, one behind the other, or an ICMP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Who sent it.
    pub from: SocketAddr,
    /// How many octets came.
    pub len: usize,
    /// Octets of each datagram; only the last may have fewer.
    pub segment: usize,
}

/// A packet for the tunnel.
#[derive(Clone, Copy, Debug)]
pub struct TunnelPacket<'a> {
    /// IP and transport header.
    pub headers: &'a [u8],
    /// What follows, in pieces.
    pub payload: &'a [&'a [u8]],
    /// What is left to do.
    pub offload: Option<Offload>,
}

/// What the tunnel is to do with a TCP or UDP packet: only asked for where [`crate::EngineConfig::offload`] is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offload {
    /// Where the transport header begins. Its checksum holds the pseudo-header's sum, and is to be completed.
    pub transport_at: u16,
    /// Octets of payload in each segment that it is to be cut into, where it is larger than that.
    pub segment: Option<u16>,
}

/// Why a connection did not come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// The other end said no.
    Refused,
    /// There is no way to it.
    Unreachable,
    /// The other end does not answer.
    TimedOut,
    /// The host has no room for another socket.
    NoRoom,
}

/// Why a datagram was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Larger than what the way takes: octets of the largest IP packet.
    TooBig {
        /// See above.
        mtu: u16,
    },
    /// There is no way to it.
    Unreachable,
    /// It may not be sent.
    Prohibited,
    /// The host's queue is full: lost, as on a network.
    Full,
}

/// What became of octets for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// So many were taken: fewer than given where there is no room for the rest; then
    /// [`crate::Engine::handle_ready`] tells when there is.
    Took(usize),
    /// The connection is gone.
    Failed,
}

/// What came from a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// So many octets, at least one.
    Took(usize),
    /// None now; [`crate::Engine::handle_ready`] tells when there are.
    Nothing,
    /// None any more.
    End,
    /// The connection is gone.
    Failed,
}

/// How to close a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// In order.
    Orderly,
    /// By a reset.
    Reset,
}

/// From whom the engine says that a packet's hop limit is used up. Beside the interface's own address, from which a system
/// takes nothing by the interface; of the range for tests of network devices (RFC 2544), which nobody else routes.
pub const TUNNEL_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// See [`TUNNEL_V4`]; a unique local address (RFC 4193).
pub const TUNNEL_V6: Ipv6Addr = Ipv6Addr::new(0xfd62, 0x6172, 0x7469, 0, 0, 0, 0, 2);
