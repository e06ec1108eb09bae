//! Where packets come from and go to: a descriptor, and how it frames them.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use bartizan_engine::net::TunnelPacket;
use bartizan_wire::tcp::Checksum;
use rustix::io::Errno;

use crate::utun::Utun;
use crate::vnet::{self, Came};

/// A descriptor that gives and takes one IP packet a call.
#[derive(Debug)]
pub enum Packets {
    /// Nothing but the packet: a Linux TUN, or one end of a socket pair.
    Plain(OwnedFd),
    /// The packet behind a virtio header, by which it may be larger than any network's: a Linux TUN with offloads.
    Vnet {
        /// The TUN.
        fd: OwnedFd,
        /// Whether it cuts datagrams too, and not only TCP: it does since Linux 6.2.
        cuts_datagrams: bool,
    },
    /// The packet behind its address family.
    Utun(Utun),
}

impl Packets {
    /// Makes reading and writing return at once.
    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Plain(fd) | Self::Vnet { fd, .. } => Ok(rustix::io::ioctl_fionbio(fd, true)?),
            Self::Utun(_) => Ok(()),
        }
    }

    /// Tells whether large packets of TCP and UDP are cut, and their checksums completed, beyond the descriptor.
    pub(crate) fn offloads(&self) -> bool {
        matches!(self, Self::Vnet { .. })
    }

    /// Gives one packet that is there, or several datagrams that came as one, again one by one if they are not taken so;
    /// returns whether there may be more.
    ///
    /// # Errors
    /// The tunnel is gone.
    pub(crate) fn read(
        &self,
        buffer: &mut [u8],
        mut each: impl FnMut(&[u8], Came) -> bool,
    ) -> io::Result<bool> {
        let fd = match self {
            Self::Plain(fd) | Self::Vnet { fd, .. } => fd,
            Self::Utun(utun) => {
                return utun.read_batch(buffer, 1, |packet| {
                    each(packet, Came::One(Checksum::Verify));
                });
            }
        };
        let octets = match rustix::io::read(fd, &mut *buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => buffer.get_mut(..len).unwrap_or_default(),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        if self.offloads() {
            vnet::read(octets, each);
        } else {
            each(octets, Came::One(Checksum::Verify));
        }
        Ok(true)
    }

    /// Writes one packet. What does not fit is lost, as on a network: writing into a tunnel knows no waiting.
    pub(crate) fn write(&self, packet: &TunnelPacket<'_>) {
        if let Self::Vnet { cuts_datagrams: false, .. } = self
            && vnet::is_train(packet)
        {
            return vnet::cut_train(packet, |datagram| self.write_whole(datagram));
        }
        let header = vnet::header(packet);
        let before = self.offloads().then_some(header.as_slice());
        let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
        let mut used = 0;
        let all = before.into_iter().chain([packet.headers]).chain(packet.payload.iter().copied());
        for (place, piece) in pieces.iter_mut().zip(all) {
            *place = IoSlice::new(piece);
            used += 1;
        }
        let pieces = pieces.get(..used).unwrap_or_default();
        let _ = match self {
            Self::Plain(fd) | Self::Vnet { fd, .. } => {
                rustix::io::writev(fd, pieces).map(drop).map_err(io::Error::from)
            }
            Self::Utun(utun) => utun.write(pieces),
        };
    }

    /// Writes one whole packet.
    pub(crate) fn write_whole(&self, packet: &[u8]) {
        self.write(&TunnelPacket { headers: packet, payload: &[], offload: None });
    }
}

impl AsRawFd for Packets {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Plain(fd) | Self::Vnet { fd, .. } => fd.as_raw_fd(),
            Self::Utun(utun) => utun.as_raw_fd(),
        }
    }
}

/// The virtio header, the packet's headers, and the chunks of 64 KiB.
const MAX_PIECES: usize = 8;
