//! Whether what a socket sends may be cut into fragments, and how large a packet may be.
//!
//! What may not be cut goes out as a router would pass it on: with "Don't Fragment", and only the interface's own
//! MTU keeps it back (`IP_PMTUDISC_PROBE`). What was learned of a path is for the application to remember, since it
//! alone knows which messages about its packets to believe (RFC 8899 §4.6.1), and since it has to be able to look again.
//!
//! # What it does not do
//! - Tell the MTU on Apple's systems, which do not say it of a path.

use std::io;
use std::net::SocketAddr;

use crate::net::Exit;

/// Has a socket that sends to addresses like this one cut what is too large, or not.
#[cfg(target_os = "linux")]
pub(crate) fn let_cut(
    socket: &impl std::os::fd::AsFd,
    like: SocketAddr,
    may: bool,
) -> io::Result<()> {
    use rustix::net::sockopt::{
        Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
    };

    match (like, may) {
        (SocketAddr::V4(_), true) => set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DONT)?,
        (SocketAddr::V4(_), false) => set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::PROBE)?,
        (SocketAddr::V6(_), true) => set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::DONT)?,
        (SocketAddr::V6(_), false) => set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::PROBE)?,
    }
    Ok(())
}

/// Returns how many octets a packet to this address may have, as far as the system knows.
#[cfg(target_os = "linux")]
pub(crate) fn towards(to: SocketAddr, exit: &Exit) -> io::Result<u16> {
    use rustix::net::sockopt::{ip_mtu, ipv6_mtu};
    use socket2::{Domain, Protocol, Socket, Type};

    // Only a socket that is connected is told.
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))?;
    exit.apply(&socket)?;
    socket.connect(&to.into())?;
    let mtu = match to {
        SocketAddr::V4(_) => ip_mtu(&socket)?,
        SocketAddr::V6(_) => ipv6_mtu(&socket)?,
    };
    Ok(u16::try_from(mtu).unwrap_or(u16::MAX))
}

/// See above.
#[cfg(target_vendor = "apple")]
pub(crate) fn let_cut(
    socket: &impl std::os::fd::AsFd,
    like: SocketAddr,
    may: bool,
) -> io::Result<()> {
    crate::utun::option::set_dont_fragment(socket.as_fd(), like.is_ipv6(), !may)
}

/// See above.
#[cfg(target_vendor = "apple")]
pub(crate) fn towards(_: SocketAddr, _: &Exit) -> io::Result<u16> {
    Err(io::ErrorKind::Unsupported.into())
}
