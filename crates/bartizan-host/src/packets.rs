//! Where packets come from and go to: a descriptor, and how it frames them.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

use crate::utun::Utun;

/// A descriptor that gives and takes one IP packet a call.
#[derive(Debug)]
pub enum Packets {
    /// Nothing but the packet: a Linux TUN, or one end of a socket pair.
    Plain(OwnedFd),
    /// The packet behind its address family.
    Utun(Utun),
}

impl Packets {
    /// Makes reading and writing return at once.
    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Plain(fd) => Ok(rustix::io::ioctl_fionbio(fd, true)?),
            Self::Utun(_) => Ok(()),
        }
    }

    /// Gives up to `most` packets that are there, each in `buffer`; returns whether there may be more.
    pub(crate) fn read_batch(
        &self,
        buffer: &mut [u8],
        most: usize,
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<bool> {
        let fd = match self {
            Self::Plain(fd) => fd,
            Self::Utun(utun) => return utun.read_batch(buffer, most, each),
        };
        for _ in 0..most {
            match rustix::io::read(fd, &mut *buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => each(buffer.get(..length).unwrap_or_default()),
                Err(Errno::WOULDBLOCK) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Writes one packet.
    pub(crate) fn write(&self, packet: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(fd) => Ok(rustix::io::write(fd, packet).map(drop)?),
            Self::Utun(utun) => utun.write(&[IoSlice::new(packet)]),
        }
    }
}

impl AsRawFd for Packets {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Plain(fd) => fd.as_raw_fd(),
            Self::Utun(utun) => utun.as_raw_fd(),
        }
    }
}
