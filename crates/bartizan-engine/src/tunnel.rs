//! The engine's side of the splice: what is not DNS goes there, and it asks here what may pass.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bartizan_model::UnixMillis;
use bartizan_wire::icmp::{Echo, ICMP, ICMPV6, Unreachable};
use bartizan_wire::ip::{IpPacket, Protocol};
use bartizan_wire::tcp::{Checksum, TcpSegment};
use bartizan_wire::udp::UdpDatagram;

use crate::judging::Judging;
use crate::net::{ConnectError, Net, SocketId, SocketKind};
use crate::splice::{Cx, Millis, Parts, Splice};
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
        self.splice(net, wall, now, |parts, cx| parts.tcp.handle_connected(id, outcome, cx));
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
        self.splice(net, wall, now, |parts, cx| parts.handle_ready(id, readable, writable, cx));
    }

    /// Takes in what the network says, by `from`, about octets that a socket sent to `to`.
    #[expect(clippy::too_many_arguments, reason = "an error quotes all that")]
    pub fn handle_unreachable(
        &mut self,
        id: SocketId,
        to: SocketAddr,
        from: IpAddr,
        why: Unreachable,
        sent: &[u8],
        net: &mut dyn Net,
        wall: UnixMillis,
        now: Instant,
    ) {
        self.splice(net, wall, now, |parts, cx| match id.kind {
            SocketKind::Tcp => {}
            SocketKind::Udp => parts.udp.handle_error(id, to, from, why, sent, cx),
            SocketKind::Echo => parts.echo.handle_error(id, to, from, why, sent, cx),
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
        self.splice.as_ref().map_or(0, |splice| splice.parts.tcp.len())
    }

    /// Returns for how many sockets of applications there is one for datagrams.
    #[must_use]
    pub fn udp_mappings(&self) -> usize {
        self.splice.as_ref().map_or(0, |splice| splice.parts.udp.len())
    }

    /// Returns how many chunks of [`crate::limits::CHUNK_OCTETS`] hold octets in flight.
    #[must_use]
    pub fn chunks_in_use(&self) -> usize {
        self.splice.as_ref().map_or(0, |splice| splice.parts.tcp.chunks_in_use())
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
        self.splice(net, wall, now, |parts, cx| match ip.protocol() {
            Protocol::Tcp => match TcpSegment::parse(ip, checksum) {
                Ok(segment) => parts.tcp.handle_segment(&segment, cx),
                Err(_) => cx.stats.dropped_malformed += 1,
            },
            Protocol::Udp => match UdpDatagram::parse(ip) {
                Ok(datagram) => parts.udp.handle_datagram(ip, &datagram, packet, cx),
                Err(_) => cx.stats.dropped_malformed += 1,
            },
            Protocol::Other(ICMP | ICMPV6) => match Echo::parse(ip) {
                Ok(Some(echo)) => parts.echo.handle_echo(ip, &echo, packet, cx),
                Ok(None) => cx.stats.dropped_protocol += 1,
                Err(_) => cx.stats.dropped_malformed += 1,
            },
            Protocol::Other(_) => cx.stats.dropped_protocol += 1,
        });
    }

    pub(crate) fn handle_datagrams(
        &mut self,
        ip: &IpPacket<'_>,
        segment: u16,
        net: &mut dyn Net,
        wall: UnixMillis,
        now: Instant,
    ) -> bool {
        let Ok(datagrams) = UdpDatagram::parse_with(ip, Checksum::Trust) else { return false };
        let mut taken = false;
        self.splice(net, wall, now, |parts, cx| {
            taken = parts.udp.handle_train(ip, &datagrams, segment, cx);
        });
        taken
    }

    pub(crate) fn turn_splice(&mut self, net: &mut dyn Net, wall: UnixMillis, now: Instant) {
        self.splice(net, wall, now, Parts::poll);
    }

    pub(crate) fn splice_deadline(&self, now: Instant) -> Option<Instant> {
        let due = self.splice.as_ref()?.parts.next_due(self.millis(now))?;
        Some((self.start + Duration::from_millis(due)).max(now))
    }

    /// Lets the splice work, with the engine as its judge.
    fn splice(
        &mut self,
        net: &mut dyn Net,
        wall: UnixMillis,
        now: Instant,
        work: impl FnOnce(&mut Parts, &mut Cx<'_>),
    ) {
        let Some(mut splice) = self.splice.take() else { return };
        let (millis, mtu, offload) = (self.millis(now), self.mtu, self.offload);
        let Splice { parts, prf, stats } = &mut *splice;
        let mut judge = Judging { engine: self, wall, now };
        work(parts, &mut Cx { net, judge: &mut judge, prf, stats, now: millis, mtu, offload });
        self.splice = Some(splice);
    }

    fn millis(&self, now: Instant) -> Millis {
        let passed = now.saturating_duration_since(self.start).as_millis();
        Millis::try_from(passed).unwrap_or(Millis::MAX)
    }
}
