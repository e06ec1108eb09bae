//! All connections of the device, spliced between the tunnel and sockets of the host.
//!
//! A packet finds its connection in constant time; a connection without octets in flight holds no buffer.
//! Whether a connection may be is for [`Judge`] to say.
//!
//! # What it does not do
//! - Know names, policies or indicators.
//! - DNS: packets to port 53 do not come here, where they are taken for it.

mod datagrams;
mod down;
mod flow;
mod pool;
mod table;
mod tcp;
mod up;

use std::net::SocketAddr;

use crate::limits;
use crate::net::{Net, SocketId, SocketKind};
use crate::prf::Prf;
use crate::stats::TunnelStats;

use datagrams::Datagrams;
pub(crate) use table::Millis;
use tcp::Tcp;

/// All that is under way, and what happened to it.
pub(crate) struct Splice {
    pub(crate) parts: Parts,
    pub(crate) prf: Prf,
    pub(crate) stats: TunnelStats,
}

/// All that is under way.
pub(crate) struct Parts {
    pub(crate) tcp: Tcp,
    pub(crate) udp: Datagrams,
    pub(crate) echo: Datagrams,
    /// Where datagrams from the network are read to.
    pub(crate) scratch: Box<[u8]>,
    /// Sockets that may have more datagrams than were read in their turn.
    pub(crate) ready: Vec<SocketId>,
}

impl Splice {
    pub(crate) fn new(prf: &mut Prf) -> Self {
        let mut prf = Prf::new(prf.draw_wide().to_le_bytes());
        let parts = Parts {
            tcp: Tcp::new(&mut prf),
            udp: Datagrams::new(SocketKind::Udp, prf.draw_wide().to_le_bytes()),
            echo: Datagrams::new(SocketKind::Echo, prf.draw_wide().to_le_bytes()),
            scratch: vec![0; limits::TRAIN_OCTETS].into_boxed_slice(),
            ready: Vec::new(),
        };
        Self { parts, prf, stats: TunnelStats::default() }
    }
}

impl Parts {
    pub(crate) fn handle_ready(
        &mut self,
        id: SocketId,
        readable: bool,
        writable: bool,
        cx: &mut Cx<'_>,
    ) {
        let more = match id.kind {
            SocketKind::Tcp => {
                self.tcp.handle_ready(id, readable, writable, cx);
                false
            }
            SocketKind::Udp => readable && self.udp.handle_ready(id, &mut self.scratch, cx),
            SocketKind::Echo => readable && self.echo.handle_ready(id, &mut self.scratch, cx),
        };
        if more && !self.ready.contains(&id) {
            self.ready.push(id);
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Cx<'_>) {
        for _ in 0..self.ready.len() {
            let id = self.ready.remove(0);
            self.handle_ready(id, true, false, cx);
        }
        self.tcp.poll(cx);
        self.udp.poll(cx);
        self.echo.poll(cx);
    }

    /// Returns when [`Parts::poll`] has something to do: zero where it has at once.
    pub(crate) fn next_due(&self, now: Millis) -> Option<Millis> {
        let at_once = (!self.ready.is_empty()).then_some(0);
        let due = [at_once, self.tcp.next_due(now), self.udp.next_due(), self.echo.next_due()];
        due.into_iter().flatten().min()
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

    /// Judges a datagram of a client.
    fn datagram(&mut self, from: SocketAddr, to: SocketAddr, octets: &[u8]) -> Datagram;
}

/// What is to happen to a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Datagram {
    /// It may be.
    Pass,
    /// It is dropped.
    Drop,
    /// It is dropped, and answered with this one in the other end's place.
    Answer(Vec<u8>),
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
