//! Datagrams and echoes: each socket of an application has one of the host's.
//!
//! A socket of the host talks with everybody the application talks with (RFC 4787 §4.1: endpoint-independent mapping), and
//! whatever comes to it goes to the application. Errors go both ways: what cannot be sent, and what the network says about
//! what was sent, become ICMP messages to the application. What an application sends in one piece goes on in one
//! piece, so that it can find out how much the way takes. Datagrams that come one after the other from one sender, all of one
//! size, go to a tunnel that cuts as one packet: that costs one call, and the system takes it for one on most of its way.
//!
//! # Invariants
//! - At most so many mappings; the one that was silent for the longest time gives way.
//! - Nothing is sent to an address that was not judged.

use std::net::{IpAddr, SocketAddr};

use bartizan_wire::icmp::{Echo, Unreachable};
use bartizan_wire::ip::IpPacket;
use bartizan_wire::split;
use bartizan_wire::tcp::Checksum;
use bartizan_wire::udp::{UdpDatagram, UdpHeader, encode_udp, udp_overhead};

use super::flow::Endpoint;
use super::table::{Keyed, Millis, Table};
use super::{Cx, Datagram};
use crate::limits;
use crate::net::{
    Close, ConnectError, Incoming, Offload, Outgoing, SendError, SocketId, SocketKind, TUNNEL_V4,
    TUNNEL_V6, TunnelPacket,
};

/// All mappings of one kind.
pub(crate) struct Datagrams {
    kind: SocketKind,
    maps: Table<Endpoint, Mapping>,
}

/// One socket of an application; of an echo the identifier stands for the port.
struct Mapping {
    id: SocketId,
    app: SocketAddr,
    /// To whom it last sent, which was judged.
    to: Option<Endpoint>,
    active_at: Millis,
}

impl Keyed<Endpoint> for Mapping {
    fn key(&self) -> Endpoint {
        self.app.into()
    }
}

impl Datagrams {
    pub(crate) fn new(kind: SocketKind, key: [u8; 16]) -> Self {
        let max = match kind {
            SocketKind::Udp | SocketKind::Tcp => limits::UDP_MAPPINGS,
            SocketKind::Echo => limits::ECHO_MAPPINGS,
        };
        Self { kind, maps: Table::new(max, key) }
    }

    pub(crate) fn len(&self) -> usize {
        self.maps.len()
    }

    /// Takes in a datagram from the tunnel; `packet` is the whole packet.
    pub(crate) fn handle_datagram(
        &mut self,
        ip: &IpPacket<'_>,
        datagram: &UdpDatagram<'_>,
        packet: &[u8],
        cx: &mut Cx<'_>,
    ) {
        let UdpDatagram { src, dst, payload } = *datagram;
        match cx.judge.datagram(src, dst, payload) {
            Datagram::Pass => {}
            Datagram::Drop => return cx.stats.datagrams_stopped += 1,
            Datagram::Answer(answer) => {
                cx.stats.datagrams_stopped += 1;
                return answer_with(dst, src, &answer, cx);
            }
        }
        self.forward(src, dst, payload, ip, packet, cx);
    }

    /// Takes in datagrams that the tunnel gives as one packet; says whether it did. It leaves to be taken one by one what has
    /// no socket yet or goes to somebody new, what may be a handshake that is to be judged, and what cannot be sent at once.
    pub(crate) fn handle_train(
        &mut self,
        ip: &IpPacket<'_>,
        datagrams: &UdpDatagram<'_>,
        segment: u16,
        cx: &mut Cx<'_>,
    ) -> bool {
        let UdpDatagram { src, dst, payload: octets } = *datagrams;
        let Some(slot) = self.maps.find(&src.into()) else { return false };
        let Some(mapping) = self.maps.get_mut(slot) else { return false };
        let mut firsts = octets.iter().step_by(segment.max(1).into());
        if mapping.to != Some(dst.into())
            || ip.hop_limit() <= 1
            || firsts.any(|first| QUIC_LONG_HEADER <= *first)
        {
            return false;
        }
        let outgoing = Outgoing {
            to: dst,
            hop_limit: ip.hop_limit() - 1,
            may_fragment: ip.may_fragment(),
            segment: Some(segment),
            octets,
        };
        if cx.net.send_to(mapping.id, &outgoing).is_err() {
            return false;
        }
        mapping.active_at = cx.now;
        cx.stats.datagrams_up += count(octets.len(), segment.into());
        self.maps.touch(slot, cx.now);
        true
    }

    /// Takes in an echo request from the tunnel; `packet` is the whole packet.
    pub(crate) fn handle_echo(
        &mut self,
        ip: &IpPacket<'_>,
        echo: &Echo<'_>,
        packet: &[u8],
        cx: &mut Cx<'_>,
    ) {
        if !echo.is_request {
            return cx.stats.dropped_protocol += 1;
        }
        let src = SocketAddr::new(ip.src(), echo.ident);
        // The message as it stands: the host's socket puts its own identifier and checksum there.
        self.forward(src, SocketAddr::new(ip.dst(), 0), ip.payload(), ip, packet, cx);
    }

    fn forward(
        &mut self,
        src: SocketAddr,
        dst: SocketAddr,
        octets: &[u8],
        ip: &IpPacket<'_>,
        packet: &[u8],
        cx: &mut Cx<'_>,
    ) {
        let hop_limit = match ip.hop_limit() {
            0 | 1 => return tell(Unreachable::HopLimit, tunnel_address(dst), packet, cx),
            more => more - 1,
        };
        let Some(slot) = self.maps.find(&src.into()).or_else(|| self.open(src, dst, cx)) else {
            return;
        };
        self.maps.touch(slot, cx.now);
        let Some(mapping) = self.maps.get_mut(slot) else { return };
        if mapping.to != Some(dst.into()) {
            if !cx.judge.address(dst) {
                cx.stats.datagrams_stopped += 1;
                return tell(Unreachable::Prohibited, dst.ip(), packet, cx);
            }
            mapping.to = Some(dst.into());
        }
        mapping.active_at = cx.now;
        let may_fragment = ip.may_fragment();
        let outgoing = Outgoing { to: dst, hop_limit, may_fragment, segment: None, octets };
        match cx.net.send_to(mapping.id, &outgoing) {
            Ok(()) => cx.stats.datagrams_up += 1,
            Err(SendError::Full) => cx.stats.dropped_full += 1,
            Err(SendError::TooBig { mtu }) => {
                tell(Unreachable::TooBig { mtu }, tunnel_address(dst), packet, cx)
            }
            Err(SendError::Unreachable) => tell(Unreachable::Host, dst.ip(), packet, cx),
            Err(SendError::Prohibited) => tell(Unreachable::Prohibited, dst.ip(), packet, cx),
        }
    }

    fn open(&mut self, src: SocketAddr, dst: SocketAddr, cx: &mut Cx<'_>) -> Option<u16> {
        if self.maps.is_full() {
            self.evict(cx);
        }
        let kind = self.kind;
        let slot = self.maps.insert(cx.now, |slot, generation| Mapping {
            id: SocketId { kind, slot, generation },
            app: src,
            to: None,
            active_at: cx.now,
        })?;
        let id = self.maps.get(slot)?.id;
        let mut outcome = cx.net.open(id, dst);
        if outcome == Err(ConnectError::NoRoom) && self.maps.oldest() != Some(slot) {
            self.evict(cx);
            outcome = cx.net.open(id, dst);
        }
        if outcome.is_err() {
            cx.stats.dropped_no_socket += 1;
            self.maps.remove(slot);
            return None;
        }
        self.maps.schedule(slot, cx.now + limits::UDP_IDLE);
        Some(slot)
    }

    fn evict(&mut self, cx: &mut Cx<'_>) {
        if let Some(slot) = self.maps.oldest() {
            cx.stats.mappings_evicted += 1;
            self.close(slot, cx);
        }
    }

    fn close(&mut self, slot: u16, cx: &mut Cx<'_>) {
        if let Some(mapping) = self.maps.remove(slot) {
            cx.net.close(mapping.id, Close::Orderly);
        }
    }

    /// Takes what came to a socket to its application; says whether there may be more.
    pub(crate) fn handle_ready(
        &mut self,
        id: SocketId,
        scratch: &mut [u8],
        cx: &mut Cx<'_>,
    ) -> bool {
        let Some(mapping) = self.maps.get_mut(id.slot).filter(|mapping| mapping.id == id) else {
            return false;
        };
        mapping.active_at = cx.now;
        let app = mapping.app;
        let more = match self.kind {
            SocketKind::Udp | SocketKind::Tcp => relay(id, app, scratch, cx),
            SocketKind::Echo => relay_echoes(id, app, scratch, cx),
        };
        if !more {
            self.maps.touch(id.slot, cx.now);
        }
        more
    }

    /// Takes in what the network says about something that was sent to `to`.
    pub(crate) fn handle_error(
        &self,
        id: SocketId,
        to: SocketAddr,
        from: IpAddr,
        why: Unreachable,
        sent: &[u8],
        cx: &mut Cx<'_>,
    ) {
        let Some(mapping) = self.maps.get(id.slot).filter(|mapping| mapping.id == id) else {
            return;
        };
        let app = mapping.app;
        let about = match self.kind {
            SocketKind::Udp | SocketKind::Tcp => encode_udp(app, to, sent),
            SocketKind::Echo => {
                let data = sent.get(8..).unwrap_or_default();
                let sequence = sent.get(6..).and_then(|rest| rest.first_chunk());
                let sequence = sequence.map_or(0, |octets| u16::from_be_bytes(*octets));
                Echo { is_request: true, ident: app.port(), sequence, data }
                    .encode(app.ip(), to.ip())
            }
        };
        if let Some(about) = about {
            tell(why, from, &about, cx);
        }
    }

    /// Closes what was silent for too long.
    pub(crate) fn poll(&mut self, cx: &mut Cx<'_>) {
        while let Some(slot) = self.maps.take_due(cx.now) {
            let Some(mapping) = self.maps.get(slot) else { continue };
            let ends_at = mapping.active_at + limits::UDP_IDLE;
            if ends_at <= cx.now {
                self.close(slot, cx);
            } else {
                self.maps.schedule(slot, ends_at);
            }
        }
    }

    pub(crate) fn next_due(&self) -> Option<Millis> {
        self.maps.next_due()
    }
}

/// Takes datagrams that came to a socket to its application; says whether there may be more.
fn relay(id: SocketId, app: SocketAddr, scratch: &mut [u8], cx: &mut Cx<'_>) -> bool {
    let mut train: Option<Incoming> = None;
    for _ in 0..READS_A_TURN {
        let held = train.map_or(0, |train| train.len);
        let place = scratch.get_mut(held..).unwrap_or_default();
        let Some(came) = cx.net.receive_from(id, place) else {
            answer_with_all(train, app, scratch, cx);
            return false;
        };
        train = match train {
            Some(train) if grows_by(&train, &came) => {
                Some(Incoming { len: train.len + came.len, ..train })
            }
            Some(_) => {
                answer_with_all(train, app, scratch, cx);
                scratch.copy_within(held..held + came.len, 0);
                Some(came)
            }
            None => Some(came),
        };
    }
    answer_with_all(train, app, scratch, cx);
    true
}

/// Takes replies that came to a socket to its application; says whether there may be more.
fn relay_echoes(id: SocketId, app: SocketAddr, scratch: &mut [u8], cx: &mut Cx<'_>) -> bool {
    for _ in 0..READS_A_TURN {
        let Some(Incoming { from, len, .. }) = cx.net.receive_from(id, scratch) else {
            return false;
        };
        cx.stats.datagrams_down += 1;
        answer_echo(from.ip(), app, scratch.get(..len).unwrap_or_default(), cx);
    }
    true
}

/// Tells whether what came may stand behind what is there: all of one sender and size but the last, and not too many.
fn grows_by(train: &Incoming, came: &Incoming) -> bool {
    let len = train.len + came.len;
    train.from == came.from
        && train.segment != 0
        && train.len.is_multiple_of(train.segment)
        && came.len != 0
        && (came.segment == train.segment || came.segment == came.len && came.len < train.segment)
        && len <= MAX_TRAIN_OCTETS
        && len.div_ceil(train.segment) <= MAX_TRAIN
}

/// Writes datagrams that lie one behind the other to an application.
fn answer_with_all(train: Option<Incoming>, app: SocketAddr, scratch: &[u8], cx: &mut Cx<'_>) {
    let Some(Incoming { from, len, segment }) = train else { return };
    let octets = scratch.get(..len).unwrap_or_default();
    cx.stats.datagrams_down += count(len, segment);
    let fits = segment + udp_overhead(from.ip()) <= cx.mtu;
    let cut = u16::try_from(segment).ok().filter(|_| segment < len);
    if cx.offload && fits && (cut.is_some() || len <= segment) {
        return write_offloaded(from, app, octets, cut, cx);
    }
    if octets.is_empty() {
        return answer_with(from, app, &[], cx);
    }
    for datagram in octets.chunks(segment.max(1)) {
        answer_with(from, app, datagram, cx);
    }
}

/// Returns how many datagrams of this size so many octets are; one may be empty.
fn count(octets: usize, segment: usize) -> u64 {
    u64::try_from(octets.div_ceil(segment.max(1))).unwrap_or(1).max(1)
}

/// Writes one datagram, or several as one packet, and leaves the rest to the tunnel.
fn write_offloaded(
    from: SocketAddr,
    app: SocketAddr,
    octets: &[u8],
    segment: Option<u16>,
    cx: &mut Cx<'_>,
) {
    let header = UdpHeader::write(from, app, octets, Checksum::Trust);
    let begin = header.as_ref().and_then(|header| u16::try_from(header.transport_at()).ok());
    let (Some(header), Some(transport_at)) = (header, begin) else {
        return cx.stats.dropped_protocol += 1;
    };
    let offload = Some(Offload { transport_at, segment });
    cx.net.write_packet(&TunnelPacket { headers: header.octets(), payload: &[octets], offload });
}

/// Writes a datagram to an application.
fn answer_with(from: SocketAddr, app: SocketAddr, octets: &[u8], cx: &mut Cx<'_>) {
    if cx.mtu < octets.len() + udp_overhead(from.ip()) {
        return write_split(encode_udp(from, app, octets), cx);
    }
    let Some(header) = UdpHeader::write(from, app, octets, Checksum::Verify) else {
        return cx.stats.dropped_protocol += 1;
    };
    let packet = TunnelPacket { headers: header.octets(), payload: &[octets], offload: None };
    cx.net.write_packet(&packet);
}

fn answer_echo(from: IpAddr, app: SocketAddr, message: &[u8], cx: &mut Cx<'_>) {
    let Some((&[kind, 0, _, _, _, _, n1, n0], data)) = message.split_first_chunk() else { return };
    if !matches!((app.is_ipv4(), kind), (true, 0) | (false, 129)) {
        return;
    }
    let sequence = u16::from_be_bytes([n1, n0]);
    let echo = Echo { is_request: false, ident: app.port(), sequence, data };
    write_split(echo.encode(from, app.ip()), cx);
}

/// Writes a packet that may be larger than the tunnel takes.
fn write_split(packet: Option<Vec<u8>>, cx: &mut Cx<'_>) {
    let Some(packet) = packet else { return cx.stats.dropped_protocol += 1 };
    let id = cx.prf.draw_sequence();
    split(&packet, cx.mtu, id, |piece| {
        cx.net.write_packet(&TunnelPacket { headers: piece, payload: &[], offload: None });
    });
}

/// Tells an application why its packet went no further.
fn tell(why: Unreachable, from: IpAddr, about: &[u8], cx: &mut Cx<'_>) {
    cx.stats.icmp_errors += 1;
    if let Some(packet) = why.encode(from, about) {
        cx.net.write_packet(&TunnelPacket { headers: &packet, payload: &[], offload: None });
    }
}

fn tunnel_address(like: SocketAddr) -> IpAddr {
    if like.is_ipv4() { TUNNEL_V4.into() } else { TUNNEL_V6.into() }
}

/// Reads from one socket before others have their turn.
const READS_A_TURN: usize = 32;
/// RFC 9000 §17.2: the packets of a handshake begin with this or more.
const QUIC_LONG_HEADER: u8 = 0x80;
/// Datagrams in one packet: as many as any kernel cuts one into (`UDP_MAX_SEGMENTS`).
const MAX_TRAIN: usize = 64;
/// Octets of them: what the largest packet carries.
const MAX_TRAIN_OCTETS: usize = 65_535 - 48;
