//! How the device's own sockets leave: by the uplink, never into the tunnel that they serve.

use std::io;

use socket2::Socket;

/// Makes a socket leave by the interface of this name.
///
/// # Errors
/// There is no such interface, or no right to choose.
#[cfg(target_os = "linux")]
pub(crate) fn bind(socket: &Socket, interface: &str) -> io::Result<()> {
    socket.bind_device(Some(interface.as_bytes()))
}

/// Refuses: on Apple's systems sockets of a packet tunnel's own process never enter its tunnel, so that there is
/// nothing to choose, and the system changes the uplink as the phone moves.
#[cfg(target_vendor = "apple")]
pub(crate) fn bind(_: &Socket, _: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Marks what a socket sends, for a routing rule that keeps it out of the tunnel.
///
/// # Errors
/// No right to do so.
#[cfg(target_os = "linux")]
pub(crate) fn mark(socket: &Socket, mark: u32) -> io::Result<()> {
    socket.set_mark(mark)
}

/// Refuses, as [`bind`] does.
#[cfg(target_vendor = "apple")]
pub(crate) fn mark(_: &Socket, _: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
