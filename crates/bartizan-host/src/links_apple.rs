//! On Apple's systems the app learns of the network (`NWPathMonitor`) and says so by
//! [`crate::Device::handle_network_change`].

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Instant;

/// Nothing listens.
pub(crate) enum Links {}

impl Links {
    /// Refuses.
    pub(crate) fn listen() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn hear(&mut self, _: Instant) {}

    pub(crate) fn take_change(&mut self, _: Instant) -> bool {
        false
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        None
    }
}

impl AsRawFd for Links {
    fn as_raw_fd(&self) -> RawFd {
        match *self {}
    }
}
