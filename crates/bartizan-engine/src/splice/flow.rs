//! One TCP connection: the application's end in the tunnel, spliced to a socket of the host.
//!
//! The handshake is mirrored: the application gets its SYN-ACK when the other end has accepted, a reset
//! when it refused, silence when there is silence. Octets go up from the packet into the socket ([`super::up`]) and
//! come down from the socket through shared chunks ([`super::down`]); both ends may stop sending on their own.
//!
//! # What it does not do
//! - Congestion control: the tunnel is a queue within the device, and the way beyond is the socket's business.
//! - Keep more than one range of what comes out of order: the rest the application sends again.
//!
//! # Invariants
//! - `una <= nxt <= una + down.len() + 1`, the one for a FIN; in flight is only what stands in `down`.
//! - Only what the socket took is acknowledged: `taken - up.len()`.

use std::net::{IpAddr, SocketAddr};

use bartizan_wire::icmp::Unreachable;
use bartizan_wire::tcp::{
    Checksum, Flags, HEADER_LEN, MAX_HEADERS_LEN, Offer, TcpHeader, TcpSegment, before,
};

use super::Cx;
use super::pool::{Pool, Queue};
use super::table::{Keyed, Millis, NEVER};
use crate::net::{Close, ConnectError, Offload, SocketId, TunnelPacket};

/// Address and port, smaller than a [`SocketAddr`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    ip: IpAddr,
    port: u16,
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { ip: address.ip(), port: address.port() }
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(endpoint: Endpoint) -> Self {
        Self::new(endpoint.ip, endpoint.port)
    }
}

/// What is to happen to a connection after it was dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It waits for what comes.
    Keep,
    /// It has more to do at once; others may come first.
    Again,
    /// It has more to do once there are chunks.
    Starved,
    /// It is over.
    Remove,
    /// It is over, and the segment begins another one.
    Reopen,
}

impl Fate {
    /// Goes on with what waits for nothing else.
    pub(super) fn goes_on(self) -> Result<(), Self> {
        if self == Self::Keep { Ok(()) } else { Err(self) }
    }
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The socket connects; the application waits.
    Connecting,
    /// The application was told, and has not confirmed.
    Answered,
    /// Octets may flow.
    Open,
    /// Both ends have finished; a FIN that comes again is answered.
    TimeWait,
}

/// What has happened, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(u16);

impl Mark {
    /// The first octets have not been judged yet.
    pub(crate) const UNJUDGED: Self = Self(1);
    /// Later requests of the application are to be judged too.
    pub(crate) const REQUESTS: Self = Self(1 << 1);
    /// The engine answers itself; there is no socket any more.
    pub(crate) const LOCAL: Self = Self(1 << 2);
    /// The socket may have octets.
    pub(crate) const READABLE: Self = Self(1 << 3);
    /// The socket has no room.
    pub(crate) const FULL: Self = Self(1 << 4);
    /// The application has finished sending.
    pub(crate) const APP_FIN: Self = Self(1 << 5);
    /// The socket was told so.
    pub(crate) const SHUT: Self = Self(1 << 6);
    /// The other end has finished sending.
    pub(crate) const NET_FIN: Self = Self(1 << 7);
    /// The application was told so.
    pub(crate) const FIN_SENT: Self = Self(1 << 8);
    /// The application confirmed it.
    pub(crate) const FIN_ACKED: Self = Self(1 << 9);
    /// The application is owed an acknowledgment.
    pub(crate) const OWES_ACK: Self = Self(1 << 10);
    /// Octets are being sent again until `recover` is acknowledged.
    pub(crate) const RECOVERING: Self = Self(1 << 11);
    /// `timed_seq` is being timed.
    pub(crate) const TIMING: Self = Self(1 << 12);
    /// The application's FIN came before the engine's own was confirmed.
    pub(crate) const APP_FIRST: Self = Self(1 << 13);
    /// It stands in a list of those that have more to do.
    pub(crate) const LISTED: Self = Self(1 << 14);
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) id: SocketId,
    app: Endpoint,
    pub(super) net: Endpoint,
    phase: Phase,
    marks: u16,

    /// The number after the last octet that was taken from the application.
    pub(super) taken: u32,
    /// The acknowledgment number and the window that were sent last.
    acked: u32,
    shown: u16,
    /// The number up to which the application may send.
    pub(super) edge: u32,
    /// How far beyond `taken` the application may go: grows while the socket takes all, and shrinks when it does not.
    pub(super) reach: u32,
    /// What was taken and the socket has not: octets whose name is not known yet, or for which there was no room.
    pub(super) up: Queue,
    /// One range of what came early: from `late_at` on, with a gap before it.
    pub(super) late: Queue,
    pub(super) late_at: u32,

    /// The oldest number that the application has not acknowledged.
    pub(super) una: u32,
    /// The next number to send.
    pub(super) nxt: u32,
    /// How much the application takes beyond `una`.
    pub(super) window: u32,
    /// Sequence and acknowledgment number of the segment that set the window (RFC 9293 §3.10.7.4).
    window_seq: u32,
    window_ack: u32,
    /// What came from the other end and is not acknowledged.
    pub(super) down: Queue,
    /// Until this is acknowledged octets are sent again, and so far they were.
    pub(super) recover: u32,
    pub(super) again: u32,
    pub(super) timed_seq: u32,
    pub(super) timed_at: Millis,
    /// When to send again; [`NEVER`] where nothing is in flight and nothing waits for a window.
    pub(super) resend_at: Millis,
    /// When the application last said something, or the phase began.
    active_at: Millis,
    /// When to judge what is there, while octets are held.
    pub(super) judge_at: Millis,
    pub(super) mss: u16,
    /// Smoothed round-trip time and its variation in milliseconds (RFC 6298).
    pub(super) srtt: u16,
    pub(super) rttvar: u16,
    their_scale: u8,
    our_scale: u8,
    sack: bool,
    pub(super) duplicates: u8,
    pub(super) resent: u8,
    probes: u8,
}

impl Keyed<(Endpoint, Endpoint)> for Flow {
    fn key(&self) -> (Endpoint, Endpoint) {
        (self.app, self.net)
    }
}

impl Flow {
    /// Begins with the application's SYN. The socket is to be told to connect.
    pub(super) fn new(id: SocketId, syn: &TcpSegment<'_>, iss: u32, cx: &Cx<'_>) -> Self {
        let offer = syn.offer();
        let headers = HEADER_LEN + if syn.src.is_ipv4() { 20 } else { 40 };
        let fits = u16::try_from(cx.mtu.saturating_sub(headers)).unwrap_or(u16::MAX);
        // RFC 9293 §3.7.1: what counts where nothing is said.
        let default = if syn.src.is_ipv4() { 536 } else { 1_220 };
        let taken = syn.seq.wrapping_add(1);
        Self {
            id,
            app: syn.src.into(),
            net: syn.dst.into(),
            phase: Phase::Connecting,
            marks: Mark::UNJUDGED.0,
            taken,
            acked: taken,
            shown: u16::MAX,
            edge: taken.wrapping_add(FIRST_WINDOW),
            reach: FIRST_WINDOW,
            up: Queue::default(),
            late: Queue::default(),
            late_at: 0,
            una: iss,
            nxt: iss,
            window: u32::from(syn.window),
            window_seq: syn.seq,
            window_ack: iss,
            down: Queue::default(),
            recover: iss,
            again: iss,
            timed_seq: iss,
            timed_at: 0,
            resend_at: NEVER,
            active_at: cx.now,
            judge_at: NEVER,
            mss: offer.max_segment.unwrap_or(default).clamp(MIN_SEGMENT, fits),
            srtt: 0,
            rttvar: 0,
            their_scale: offer.window_scale.unwrap_or(0),
            our_scale: if offer.window_scale.is_some() { OUR_SCALE } else { 0 },
            sack: offer.sack_permitted,
            duplicates: 0,
            resent: 0,
            probes: 0,
        }
    }

    pub(super) fn is(&self, mark: Mark) -> bool {
        self.marks & mark.0 != 0
    }

    pub(super) fn set(&mut self, mark: Mark) {
        self.marks |= mark.0;
    }

    pub(super) fn clear(&mut self, mark: Mark) {
        self.marks &= !mark.0;
    }

    /// Notes that it stands in a list; says whether it did not yet.
    pub(super) fn enlist(&mut self) -> bool {
        let fresh = !self.is(Mark::LISTED);
        self.set(Mark::LISTED);
        fresh
    }

    /// Tells whether it is a connection attempt that has not come about.
    pub(super) fn is_half_open(&self) -> bool {
        matches!(self.phase, Phase::Connecting | Phase::Answered)
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// The other end has accepted: so does this one.
    pub(super) fn connected(&mut self, cx: &mut Cx<'_>) {
        if self.phase != Phase::Connecting {
            return;
        }
        self.phase = Phase::Answered;
        self.active_at = cx.now;
        self.set(Mark::READABLE);
        self.nxt = self.una.wrapping_add(1);
        self.synchronize(cx);
    }

    fn synchronize(&mut self, cx: &mut Cx<'_>) {
        let headers = HEADER_LEN + if self.app.ip.is_ipv4() { 20 } else { 40 };
        let fits = u16::try_from(cx.mtu.saturating_sub(headers)).unwrap_or(u16::MAX);
        let offer = Offer {
            max_segment: Some(fits),
            window_scale: (0 < self.our_scale).then_some(self.our_scale),
            sack_permitted: self.sack,
        };
        // RFC 7323 §2.2: the window of a SYN is never scaled.
        let window = u16::try_from(FIRST_WINDOW).unwrap_or(u16::MAX);
        self.write(self.una, Flags::SYN.and(Flags::ACK), window, Some(offer), &[], cx);
        self.resend_at = cx.now + self.timeout(SYN_TIMEOUT);
    }

    /// The other end cannot be connected to: the application is told as it would have been without us.
    pub(super) fn refused(&mut self, why: ConnectError, cx: &mut Cx<'_>) {
        match why {
            ConnectError::Refused | ConnectError::NoRoom => self.reset(cx),
            ConnectError::Unreachable => {
                let syn = TcpHeader {
                    src: self.app.into(),
                    dst: self.net.into(),
                    seq: self.taken.wrapping_sub(1),
                    ack: 0,
                    flags: Flags::SYN,
                    window: 0,
                    offer: None,
                    sack: None,
                };
                let mut headers = [0; MAX_HEADERS_LEN];
                let about = syn.write(&[], Checksum::Verify, &mut headers);
                let about = about.and_then(|len| headers.get(..len)).unwrap_or_default();
                if let Some(packet) = Unreachable::Host.encode(self.net.ip, about) {
                    cx.net.write_packet(&TunnelPacket {
                        headers: &packet,
                        payload: &[],
                        offload: None,
                    });
                }
            }
            ConnectError::TimedOut => {}
        }
    }

    /// Takes in a segment of the application.
    pub(super) fn segment(
        &mut self,
        segment: &TcpSegment<'_>,
        pool: &mut Pool,
        cx: &mut Cx<'_>,
    ) -> Fate {
        self.active_at = cx.now;
        self.probes = 0;
        match self.phase {
            Phase::Connecting => {
                // One of an earlier connection of the same ports does not count.
                if segment.flags.has(Flags::RST) && segment.seq == self.taken {
                    self.abandon(cx)
                } else {
                    Fate::Keep
                }
            }
            Phase::Answered => self.confirm(segment, pool, cx),
            Phase::Open => self.exchange(segment, pool, cx),
            Phase::TimeWait => {
                if segment.flags.has(Flags::RST) {
                    Fate::Remove
                } else if segment.flags.has(Flags::SYN) && before(self.taken, segment.seq) {
                    Fate::Reopen
                } else {
                    self.acknowledge(pool, cx);
                    Fate::Keep
                }
            }
        }
    }

    fn confirm(&mut self, segment: &TcpSegment<'_>, pool: &mut Pool, cx: &mut Cx<'_>) -> Fate {
        if segment.flags.has(Flags::RST) {
            return if segment.seq == self.taken { self.abandon(cx) } else { Fate::Keep };
        }
        if segment.flags.has(Flags::SYN) {
            if segment.seq == self.taken.wrapping_sub(1) {
                self.synchronize(cx);
            }
            return Fate::Keep;
        }
        if !segment.flags.has(Flags::ACK) {
            return Fate::Keep;
        }
        if segment.ack != self.nxt {
            self.write(segment.ack, Flags::RST, 0, None, &[], cx);
            return Fate::Keep;
        }
        self.phase = Phase::Open;
        self.una = self.nxt;
        self.resend_at = NEVER;
        self.resent = 0;
        self.take_window(segment);
        self.exchange(segment, pool, cx)
    }

    fn exchange(&mut self, segment: &TcpSegment<'_>, pool: &mut Pool, cx: &mut Cx<'_>) -> Fate {
        if segment.flags.has(Flags::RST) {
            // RFC 5961 §3.2: only the exact number ends it; another one in the window is asked about.
            if segment.seq == self.taken {
                return self.abandon(cx);
            }
            if !before(segment.seq, self.taken) && before(segment.seq, self.edge) {
                self.acknowledge(pool, cx);
            }
            return Fate::Keep;
        }
        let beyond = before(self.edge, segment.seq);
        if segment.flags.has(Flags::SYN) || beyond || !segment.flags.has(Flags::ACK) {
            // RFC 5961 §4.2 for a SYN; RFC 9293 §3.10.7.4 for what lies beyond the window.
            self.acknowledge(pool, cx);
            return Fate::Keep;
        }
        if before(self.nxt, segment.ack) {
            self.acknowledge(pool, cx);
            return Fate::Keep;
        }
        self.acknowledged(segment, pool, cx);
        // RFC 9293 §3.10.7.4 asks for a newer octet first, but one that is sent again says what is new as well.
        let newer = before(self.window_ack, segment.ack)
            || self.window_ack == segment.ack
                && (!before(segment.seq, self.window_seq) || self.window < self.window_of(segment));
        if newer {
            self.take_window(segment);
        }
        if let Some(fate) = self.take(segment, pool, cx) {
            return fate;
        }
        if self.is_open() && (self.is(Mark::READABLE) || self.unsent() != 0) {
            // What one acknowledgment makes room for is sent with what those behind it do: the application is woken once.
            return Fate::Again;
        }
        self.pump(pool, cx)
    }

    fn take_window(&mut self, segment: &TcpSegment<'_>) {
        self.window = u32::from(segment.window) << self.their_scale;
        self.window_seq = segment.seq;
        self.window_ack = segment.ack;
    }

    /// Tells what a window in a segment means.
    pub(super) fn window_of(&self, segment: &TcpSegment<'_>) -> u32 {
        u32::from(segment.window) << self.their_scale
    }

    /// Ends with what both ends said and confirmed, or goes on.
    pub(super) fn finished(&mut self, cx: &mut Cx<'_>) -> Fate {
        if !self.is(Mark::FIN_ACKED) || !self.is(Mark::SHUT) || self.phase != Phase::Open {
            return Fate::Keep;
        }
        if !self.is(Mark::LOCAL) {
            cx.net.close(self.id, Close::Orderly);
            self.set(Mark::LOCAL);
        }
        if self.is(Mark::APP_FIRST) {
            // The application waits in its own TIME-WAIT. It has its acknowledgment, or asks for it: a
            // segment to nobody is answered too.
            return Fate::Remove;
        }
        self.phase = Phase::TimeWait;
        self.resend_at = NEVER;
        self.active_at = cx.now;
        Fate::Keep
    }

    /// Does what is due.
    pub(super) fn expired(&mut self, pool: &mut Pool, cx: &mut Cx<'_>) -> Fate {
        match self.phase {
            Phase::Connecting if self.active_at + CONNECT_TIMEOUT <= cx.now => self.abandon(cx),
            Phase::Answered if self.resend_at <= cx.now => {
                self.resent += 1;
                if SYN_RESENDS < self.resent {
                    return self.abandon(cx);
                }
                self.synchronize(cx);
                Fate::Keep
            }
            Phase::TimeWait if self.active_at + TIME_WAIT <= cx.now => Fate::Remove,
            Phase::Open if self.judge_at <= cx.now => {
                cx.stats.held_too_long += 1;
                self.judge_at = NEVER;
                self.stop_looking(pool, cx)
            }
            Phase::Open if self.resend_at <= cx.now => self.resend(pool, cx),
            Phase::Open if self.idle_at() <= cx.now => {
                if PROBES <= self.probes {
                    cx.stats.tcp_vanished += 1;
                    self.reset(cx);
                    return self.abandon(cx);
                }
                self.probes += 1;
                self.probe(cx);
                Fate::Keep
            }
            Phase::Connecting | Phase::Answered | Phase::Open | Phase::TimeWait => Fate::Keep,
        }
    }

    fn idle_at(&self) -> Millis {
        self.active_at + IDLE + Millis::from(self.probes) * PROBE_EVERY
    }

    /// Returns when [`Flow::expired`] has something to do.
    pub(super) fn deadline(&self) -> Millis {
        let phase = match self.phase {
            Phase::Connecting => self.active_at + CONNECT_TIMEOUT,
            Phase::Answered => NEVER,
            Phase::Open => self.idle_at(),
            Phase::TimeWait => self.active_at + TIME_WAIT,
        };
        phase.min(self.resend_at).min(self.judge_at)
    }

    /// Ends it on the network's side.
    pub(super) fn abandon(&mut self, cx: &mut Cx<'_>) -> Fate {
        if !self.is(Mark::LOCAL) {
            cx.net.close(self.id, Close::Reset);
            self.set(Mark::LOCAL);
        }
        Fate::Remove
    }

    /// Ends it on the application's side.
    pub(super) fn reset(&mut self, cx: &mut Cx<'_>) {
        cx.stats.tcp_resets += 1;
        if self.phase == Phase::Connecting {
            // RFC 9293 §3.10.7.3: a client in SYN-SENT believes a reset that acknowledges its SYN.
            self.nxt = 0;
        }
        self.acked = self.taken;
        self.write(self.nxt, Flags::RST.and(Flags::ACK), 0, None, &[], cx);
    }

    /// Gives back what it holds.
    pub(super) fn release(&mut self, pool: &mut Pool) {
        self.up.clear(pool);
        self.late.clear(pool);
        self.down.clear(pool);
    }

    /// Asks the application for a sign of life, or for its window: RFC 9293 §3.8.4 and §3.8.6.1 in one.
    pub(super) fn probe(&mut self, cx: &mut Cx<'_>) {
        self.write_plain(self.una.wrapping_sub(1), Flags::ACK, &[], cx);
    }

    /// Sends the acknowledgment that is owed, if it says anything: one that says the same again would be taken for
    /// a sign of loss.
    pub(super) fn settle(&mut self, pool: &Pool, cx: &mut Cx<'_>) {
        self.open_window(pool);
        if self.acked == self.acknowledgment() && self.shown == self.shown_window() {
            return self.clear(Mark::OWES_ACK);
        }
        self.write_plain(self.nxt, Flags::ACK, &[], cx);
    }

    /// Sends an acknowledgment.
    pub(super) fn acknowledge(&mut self, pool: &Pool, cx: &mut Cx<'_>) {
        self.open_window(pool);
        self.write_plain(self.nxt, Flags::ACK, &[], cx);
    }

    /// Lets the application send as far as there is room for what the socket may not take. What was allowed
    /// once stays allowed (RFC 9293 §3.8.6).
    pub(super) fn open_window(&mut self, pool: &Pool) {
        if self.is(Mark::FULL) && !self.up.is_empty() {
            return;
        }
        let room = u32::try_from(self.up.room(pool)).unwrap_or(u32::MAX).min(self.reach);
        let edge = self.taken.wrapping_add(room);
        if before(self.edge, edge) {
            self.edge = edge;
        }
    }

    /// Returns what the socket has taken.
    fn acknowledgment(&self) -> u32 {
        let fin = self.is(Mark::APP_FIN) && !self.is(Mark::SHUT);
        self.taken.wrapping_sub(self.up.len()).wrapping_sub(u32::from(fin))
    }

    /// Returns the window as it would be written now.
    pub(super) fn shown_window(&self) -> u16 {
        let open = self.edge.wrapping_sub(self.acknowledgment());
        let open = if before(self.edge, self.acknowledgment()) { 0 } else { open };
        u16::try_from(open >> self.our_scale).unwrap_or(u16::MAX)
    }

    /// Writes a segment of an open connection, with what is to be acknowledged.
    pub(super) fn write_plain(
        &mut self,
        seq: u32,
        flags: Flags,
        payload: &[&[u8]],
        cx: &mut Cx<'_>,
    ) {
        self.clear(Mark::OWES_ACK);
        self.acked = self.acknowledgment();
        let window = self.shown_window();
        self.shown = window;
        self.write(seq, flags.and(Flags::ACK), window, None, payload, cx);
    }

    fn write(
        &self,
        seq: u32,
        flags: Flags,
        window: u16,
        offer: Option<Offer>,
        payload: &[&[u8]],
        cx: &mut Cx<'_>,
    ) {
        let header = TcpHeader {
            src: self.net.into(),
            dst: self.app.into(),
            seq,
            ack: if flags.has(Flags::ACK) { self.acked } else { 0 },
            flags,
            window,
            offer,
            // RFC 6691 §2: a full segment has no room for options.
            sack: (self.sack && payload.is_empty() && !self.late.is_empty())
                .then(|| (self.late_at, self.late_at.wrapping_add(self.late.len()))),
        };
        let checksum = if cx.offload { Checksum::Trust } else { Checksum::Verify };
        let mut headers = [0; MAX_HEADERS_LEN];
        let Some(len) = header.write(payload, checksum, &mut headers) else { return };
        let octets: usize = payload.iter().map(|piece| piece.len()).sum();
        let offload = cx.offload.then(|| Offload {
            transport_at: if self.net.ip.is_ipv4() { 20 } else { 40 },
            segment: (usize::from(self.mss) < octets).then_some(self.mss),
        });
        let headers = headers.get(..len).unwrap_or_default();
        cx.net.write_packet(&TunnelPacket { headers, payload, offload });
    }

    /// Returns how long to wait for an acknowledgment, after so many times (RFC 6298 §5.5).
    pub(super) fn timeout(&self, at_least: Millis) -> Millis {
        let estimate = Millis::from(self.srtt) + 4 * Millis::from(self.rttvar);
        (estimate.max(at_least) << self.resent.min(8)).min(MAX_TIMEOUT)
    }
}

/// Answers a segment that belongs to no connection (RFC 9293 §3.10.7.1).
pub(super) fn answer_stray(segment: &TcpSegment<'_>, cx: &mut Cx<'_>) {
    if segment.flags.has(Flags::RST) {
        return;
    }
    let (seq, ack, flags) = if segment.flags.has(Flags::ACK) {
        (segment.ack, 0, Flags::RST)
    } else {
        (0, segment.end(), Flags::RST.and(Flags::ACK))
    };
    let header = TcpHeader {
        src: segment.dst,
        dst: segment.src,
        seq,
        ack,
        flags,
        window: 0,
        offer: None,
        sack: None,
    };
    let mut headers = [0; MAX_HEADERS_LEN];
    let Some(len) = header.write(&[], Checksum::Verify, &mut headers) else { return };
    let headers = headers.get(..len).unwrap_or_default();
    cx.net.write_packet(&TunnelPacket { headers, payload: &[], offload: None });
}

/// What the application may send before it has heard of a scaled window.
pub(super) const FIRST_WINDOW: u32 = 65_535;
/// 256 octets a step: windows up to 16 MiB.
const OUR_SCALE: u8 = 8;
/// RFC 879's default is the least that any host sends; smaller offers are an attack on whoever segments.
const MIN_SEGMENT: u16 = 88;
/// RFC 6298 §2.1.
const SYN_TIMEOUT: Millis = 1_000;
/// Half a minute in all: the other end waits as well.
const SYN_RESENDS: u8 = 4;
/// Longer than any host's own: it is a socket that was forgotten.
const CONNECT_TIMEOUT: Millis = 180_000;
/// RFC 9293 §3.4.2 has two minutes for packets that wander; within a device none does.
const TIME_WAIT: Millis = 2_000;
/// How long an application may be silent before it is asked whether it is there.
const IDLE: Millis = 240_000;
/// How long it may take to say so, each time.
const PROBE_EVERY: Millis = 15_000;
const PROBES: u8 = 4;
/// RFC 6298 §2.5.
const MAX_TIMEOUT: Millis = 60_000;
