//! The engine's side of the splice: what is not DNS goes there, and it asks here what may pass.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bartizan_model::UnixMillis;
use bartizan_wire::ip::{IpPacket, Protocol};
use bartizan_wire::tcp::{Checksum, TcpSegment};

use crate::net::{ConnectError, Net, SocketId, SocketKind};
use crate::splice::{Cx, Judge, Look, Millis, Splice, Tcp};
use crate::{Engine, TunnelStats};

impl Engine {
    /// Takes in how it went to connect a socket: after [`Net::connect`] said that it had begun.
    pub fn handle_connected(
        &mut self,
        id: SocketId,
        outcome: Result<(), ConnectError>,
        net: &mut dyn Net,
        wall: UnixMillis,
        now: Instant,
    ) {
        self.splice(net, wall, now, |tcp, cx| tcp.handle_connected(id, outcome, cx));
    }

    /// Takes in that a socket may have octets, or room for some. Telling once is enough, until [`Net::receive`]
    /// found nothing or [`Net::send`] took less than it was given.
    pub fn handle_ready(
        &mut self,
        id: SocketId,
        readable: bool,
        writable: bool,
        net: &mut dyn Net,
        wall: UnixMillis,
        now: Instant,
    ) {
        self.splice(net, wall, now, |tcp, cx| match id.kind {
            SocketKind::Tcp => tcp.handle_ready(id, readable, writable, cx),
            SocketKind::Udp | SocketKind::Echo => {}
        });
    }

    /// Returns what happened to all that is not DNS.
    #[must_use]
    pub fn tunnel_stats(&self) -> TunnelStats {
        self.splice.as_ref().map(|splice| splice.stats.clone()).unwrap_or_default()
    }

    /// Returns how many TCP connections there are.
    #[must_use]
    pub fn tcp_flows(&self) -> usize {
        self.splice.as_ref().map_or(0, |splice| splice.tcp.len())
    }

    /// Returns how many chunks of [`crate::limits::CHUNK_OCTETS`] hold octets in flight.
    #[must_use]
    pub fn chunks_in_use(&self) -> usize {
        self.splice.as_ref().map_or(0, |splice| splice.tcp.chunks_in_use())
    }

    pub(crate) fn handle_traffic(
        &mut self,
        ip: &IpPacket<'_>,
        packet: &[u8],
        checksum: Checksum,
        net: &mut dyn Net,
        wall: UnixMillis,
        now: Instant,
    ) {
        let _ = packet;
        self.splice(net, wall, now, |tcp, cx| match ip.protocol() {
            Protocol::Tcp => match TcpSegment::parse(ip, checksum) {
                Ok(segment) => tcp.handle_segment(&segment, cx),
                Err(_) => cx.stats.dropped_malformed += 1,
            },
            Protocol::Udp | Protocol::Other(_) => cx.stats.dropped_protocol += 1,
        });
    }

    pub(crate) fn turn_splice(&mut self, net: &mut dyn Net, wall: UnixMillis, now: Instant) {
        self.splice(net, wall, now, |tcp, cx| tcp.poll(cx));
    }

    pub(crate) fn splice_deadline(&self, now: Instant) -> Option<Instant> {
        let due = self.splice.as_ref()?.tcp.next_due(self.millis(now))?;
        Some((self.start + Duration::from_millis(due)).max(now))
    }

    /// Lets the splice work, with the engine as its judge.
    fn splice(
        &mut self,
        net: &mut dyn Net,
        wall: UnixMillis,
        now: Instant,
        work: impl FnOnce(&mut Tcp, &mut Cx<'_>),
    ) {
        let Some(mut splice) = self.splice.take() else { return };
        let (millis, mtu, offload) = (self.millis(now), self.mtu, self.offload);
        let Splice { tcp, prf, stats } = &mut *splice;
        let mut judge = Judging { engine: self, wall, now };
        work(tcp, &mut Cx { net, judge: &mut judge, prf, stats, now: millis, mtu, offload });
        self.splice = Some(splice);
    }

    fn millis(&self, now: Instant) -> Millis {
        let passed = now.saturating_duration_since(self.start).as_millis();
        Millis::try_from(passed).unwrap_or(Millis::MAX)
    }
}

/// The engine while it judges.
struct Judging<'a> {
    engine: &'a mut Engine,
    wall: UnixMillis,
    now: Instant,
}

impl Judge for Judging<'_> {
    fn address(&mut self, _to: SocketAddr) -> bool {
        true
    }

    fn look(&mut self, _to: SocketAddr, _octets: &[u8]) -> Look {
        Look::Pass { again: false }
    }

    fn unreadable(&mut self, _to: SocketAddr) -> Look {
        Look::Pass { again: false }
    }
}
