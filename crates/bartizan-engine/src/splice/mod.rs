//! All connections of the device, spliced between the tunnel and sockets of the host.
//!
//! A packet finds its connection in constant time; a connection without octets in flight holds no buffer.
//! Whether a connection may be is for [`Judge`] to say.
//!
//! # What it does not do
//! - Know names, policies or indicators.
//! - DNS: packets to port 53 do not come here.

mod down;
mod flow;
mod pool;
mod table;
mod tcp;
mod up;

use std::net::SocketAddr;

use crate::net::Net;
use crate::prf::Prf;
use crate::stats::TunnelStats;

pub(crate) use table::Millis;
pub(crate) use tcp::Tcp;

/// All that is under way, and what happened to it.
pub(crate) struct Splice {
    pub(crate) tcp: Tcp,
    pub(crate) prf: Prf,
    pub(crate) stats: TunnelStats,
}

impl Splice {
    pub(crate) fn new(prf: &mut Prf) -> Self {
        let mut own = Prf::new(prf.draw_wide().to_le_bytes());
        Self { tcp: Tcp::new(&mut own), prf: own, stats: TunnelStats::default() }
    }
}

/// What a turn of the splice works with.
pub(crate) struct Cx<'a> {
    pub(crate) net: &'a mut dyn Net,
    pub(crate) judge: &'a mut dyn Judge,
    pub(crate) prf: &'a mut Prf,
    pub(crate) stats: &'a mut TunnelStats,
    pub(crate) now: Millis,
    /// Of the tunnel.
    pub(crate) mtu: usize,
    /// Whether the tunnel cuts large segments and completes checksums.
    pub(crate) offload: bool,
}

/// Who decides what may pass.
pub(crate) trait Judge {
    /// Judges an address before anything is sent to it; says whether it may be.
    fn address(&mut self, to: SocketAddr) -> bool;

    /// Judges the first octets of a client to this address, or as many as there are.
    fn look(&mut self, to: SocketAddr, octets: &[u8]) -> Look;

    /// Judges a connection whose first octets do not say what they are in time.
    fn unreadable(&mut self, to: SocketAddr) -> Look;
}

/// What is to happen to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// More octets are needed to tell.
    More,
    /// It may be; `again` where later requests in it are to be judged too.
    Pass {
        /// See above.
        again: bool,
    },
    /// It is reset.
    Reset,
    /// It is answered with these octets, and ends.
    Answer(Box<[u8]>),
}
