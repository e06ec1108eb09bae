//! What routers and hosts say about datagrams that a socket sent: ICMP errors, by Linux' error queue (ip(7), `IP_RECVERR`).
//!
//! Elsewhere there is no such queue, and an application learns by silence.

use std::io;
use std::net::SocketAddr;

use mio::net::UdpSocket;
use socket2::Socket;

use crate::net::Complaint;

/// Asks for complaints about what this socket will send.
#[cfg(target_os = "linux")]
pub(crate) fn ask_for(socket: &Socket, like: SocketAddr) -> io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt};

    match like {
        SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4RecvErr, &true)?,
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvErr, &true)?,
    }
    Ok(())
}

/// Takes one complaint, if there is one.
#[cfg(target_os = "linux")]
pub(crate) fn take(socket: &UdpSocket) -> Option<Complaint> {
    std::iter::from_fn(|| read(socket)).flatten().next()
}

/// Takes what is next in the queue, if anything is; it may be none of a router's or host's.
#[cfg(target_os = "linux")]
fn read(socket: &UdpSocket) -> Option<Option<Complaint>> {
    use std::io::IoSliceMut;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::os::fd::AsRawFd;

    use bartizan_wire::icmp::Unreachable;
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};

    let mut sent = [0; 1_500];
    let mut control = nix::cmsg_space!([u8; 128]);
    let mut pieces = [IoSliceMut::new(&mut sent)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut pieces, Some(&mut control), flags)
            .ok()?;
    let len = message.bytes;
    let to = message.address.and_then(|to| match (to.as_sockaddr_in(), to.as_sockaddr_in6()) {
        (Some(v4), _) => Some(SocketAddr::new(v4.ip().into(), v4.port())),
        (None, Some(v6)) => Some(SocketAddr::new(v6.ip().into(), v6.port())),
        (None, None) => None,
    });
    let mut said = None;
    for control in message.cmsgs().ok()? {
        if let ControlMessageOwned::Ipv4RecvErr(error, by) = control {
            let by = by.map(|by| IpAddr::from(Ipv4Addr::from(u32::from_be(by.sin_addr.s_addr))));
            said = Some((false, error, by));
        } else if let ControlMessageOwned::Ipv6RecvErr(error, by) = control {
            let by = by.map(|by| IpAddr::from(Ipv6Addr::from(by.sin6_addr.s6_addr)));
            said = Some((true, error, by));
        }
    }
    // What the system itself has against a datagram, it said when that was sent.
    let said = said.filter(|(_, error, _)| error.ee_origin != ORIGIN_LOCAL);
    let (Some(to), Some((is_v6, error, by))) = (to, said) else { return Some(None) };
    let why = if error.ee_errno == nix::errno::Errno::EMSGSIZE as u32 {
        Some(Unreachable::TooBig { mtu: u16::try_from(error.ee_info).unwrap_or(u16::MAX) })
    } else {
        Unreachable::from_code(is_v6, error.ee_type, error.ee_code, error.ee_info)
    };
    let sent = sent.get(..len).unwrap_or_default().to_vec();
    Some(why.map(|why| Complaint { to, from: by.unwrap_or_else(|| to.ip()), why, sent }))
}

/// `SO_EE_ORIGIN_LOCAL` of `linux/errqueue.h`.
#[cfg(target_os = "linux")]
const ORIGIN_LOCAL: u8 = 1;

/// See above.
#[cfg(not(target_os = "linux"))]
pub(crate) fn ask_for(_: &Socket, _: SocketAddr) -> io::Result<()> {
    Ok(())
}

/// See above.
#[cfg(not(target_os = "linux"))]
pub(crate) fn take(_: &UdpSocket) -> Option<Complaint> {
    None
}
