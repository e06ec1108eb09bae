//! Datagrams between the same ends that the kernel gives or takes at once: one call instead of one for each (udp(7),
//! `UDP_GRO` and `UDP_SEGMENT`).
//!
//! A network card or a sender on the same machine may have them together already; what came alone is given alone.
//! Elsewhere than on Linux each is.

use std::io;

use bartizan_engine::net::Incoming;
use mio::net::UdpSocket;
use socket2::Socket;

/// Asks for datagrams that are together to be handed over together, and for room for many. Older kernels know no such
/// thing.
#[cfg(target_os = "linux")]
pub(crate) fn ask_for(socket: &Socket) {
    use nix::sys::socket::{setsockopt, sockopt};

    if let Err(error) = setsockopt(socket, sockopt::UdpGroSegment, &true) {
        tracing::debug!(error = %error, "datagrams come one by one");
    }
    // Beyond what every process may have, where this one may. Without it more is lost, as on a busy network.
    if rustix::net::sockopt::set_socket_recv_buffer_size_force(socket, RECEIVE_BUFFER).is_err() {
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    }
}

/// Takes what came next.
///
/// # Errors
/// `WouldBlock` if nothing did; others are about what was sent.
#[cfg(target_os = "linux")]
pub(crate) fn receive(socket: &UdpSocket, into: &mut [u8]) -> io::Result<Incoming> {
    use std::io::IoSliceMut;
    use std::net::SocketAddr;
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};

    let mut control = Control([0; CONTROL_LEN]);
    let mut pieces = [IoSliceMut::new(into)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut pieces, Some(&mut control.0), flags)?;
    let len = message.bytes;
    let from =
        message.address.and_then(|from| match (from.as_sockaddr_in(), from.as_sockaddr_in6()) {
            (Some(v4), _) => Some(SocketAddr::new(v4.ip().into(), v4.port())),
            (None, Some(v6)) => Some(SocketAddr::new(v6.ip().into(), v6.port())),
            (None, None) => None,
        });
    let from = from.ok_or(io::ErrorKind::InvalidData)?;
    let segment = message.cmsgs()?.find_map(|control| {
        if let ControlMessageOwned::UdpGroSegments(octets) = control {
            usize::try_from(octets).ok()
        } else {
            None
        }
    });
    Ok(Incoming { from, len, segment: segment.unwrap_or(len) })
}

/// Sends several, each of so many octets but the last.
///
/// # Errors
/// As a socket has them, and where the kernel does not cut.
#[cfg(target_os = "linux")]
pub(crate) fn send(
    socket: &UdpSocket,
    octets: &[u8],
    to: std::net::SocketAddr,
    segment: u16,
) -> io::Result<()> {
    use std::io::IoSlice;
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};

    let to = SockaddrStorage::from(to);
    let control = [ControlMessage::UdpGsoSegments(&segment)];
    let (pieces, flags) = ([IoSlice::new(octets)], MsgFlags::MSG_DONTWAIT);
    sendmsg(socket.as_raw_fd(), &pieces, &control, flags, Some(&to))?;
    Ok(())
}

/// Octets that may wait while this thread does something else: 8 ms of 1 Gbit/s.
#[cfg(target_os = "linux")]
const RECEIVE_BUFFER: usize = 1 << 20;

/// Room for one control message, where the kernel's structures may lie.
#[cfg(target_os = "linux")]
#[repr(align(8))]
struct Control([u8; CONTROL_LEN]);

/// A header of 16 octets and a number, with room to spare.
#[cfg(target_os = "linux")]
const CONTROL_LEN: usize = 64;

/// See above.
#[cfg(not(target_os = "linux"))]
pub(crate) fn ask_for(_: &Socket) {}

/// See above.
#[cfg(not(target_os = "linux"))]
pub(crate) fn receive(socket: &UdpSocket, into: &mut [u8]) -> io::Result<Incoming> {
    let (len, from) = socket.recv_from(into)?;
    Ok(Incoming { from, len, segment: len })
}

/// See above.
#[cfg(not(target_os = "linux"))]
pub(crate) fn send(_: &UdpSocket, _: &[u8], _: std::net::SocketAddr, _: u16) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
