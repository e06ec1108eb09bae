//! From the network to the application.
//!
//! No more is read from the socket than the application's window takes and there are chunks for, so the
//! kernel's buffer fills and the other end waits: that is the back-pressure. What was sent stays in its chunks until it is
//! acknowledged; what is lost is sent again after three duplicate acknowledgments, or when the time is up
//! (RFC 5681 §3.2, RFC 6298, with the first gap of RFC 2018's blocks as far as the application names it). What the
//! acknowledgments of a batch of packets make room for is read and sent at its end, so that the application wakes seldom.

use bartizan_wire::tcp::{Flags, TcpSegment, before};

use super::Cx;
use super::flow::{Fate, Flow, Mark};
use super::pool::Pool;
use super::table::{Millis, NEVER};
use crate::limits::{CHUNK_OCTETS, CHUNKS};
use crate::net::Received;

impl Flow {
    /// Moves octets from the socket to the application while both allow it.
    pub(super) fn pump(&mut self, pool: &mut Pool, cx: &mut Cx<'_>) -> Fate {
        if !self.is_open() {
            return Fate::Keep;
        }
        self.send_new(pool, cx);
        for _ in 0..READS_A_TURN {
            if !self.is(Mark::READABLE) || self.is(Mark::NET_FIN) || self.is(Mark::LOCAL) {
                return self.rest(cx);
            }
            let open = self.open_room();
            if open == 0 {
                return self.rest(cx);
            }
            let room = open.min(self.down.room(pool));
            if room == 0 {
                // What is in flight comes back; without that, others must give chunks back first.
                return if self.down.is_empty() { Fate::Starved } else { self.rest(cx) };
            }
            let (net, id) = (&mut *cx.net, self.id);
            let received = self.down.fill(pool, self.worth_reading(room), |places| {
                let received = net.receive(id, places);
                (if let Received::Took(count) = received { count } else { 0 }, received)
            });
            match received {
                Received::Took(count) => {
                    cx.stats.octets_down += count as u64;
                    self.send_new(pool, cx);
                }
                Received::Nothing => self.clear(Mark::READABLE),
                Received::End => {
                    self.set(Mark::NET_FIN);
                    self.send_new(pool, cx);
                }
                Received::Failed => return self.broken(cx),
            }
        }
        Fate::Again
    }

    /// Waits; for a window, if that is what is missing.
    fn rest(&mut self, cx: &Cx<'_>) -> Fate {
        let unsent = self.unsent() != 0 || self.is(Mark::READABLE) && !self.is(Mark::NET_FIN);
        if self.una == self.nxt && unsent && self.resend_at == NEVER && !self.is(Mark::LOCAL) {
            self.resend_at = cx.now + self.timeout(MIN_TIMEOUT);
        }
        Fate::Keep
    }

    /// Returns how much the application takes beyond what is in the queue. A sliver is not worth a segment while
    /// more room is on its way (RFC 9293 §3.8.6.2.1).
    fn open_room(&self) -> usize {
        let room = self.window.saturating_sub(self.down.len());
        let sliver = room < u32::from(self.mss) && self.una != self.nxt;
        if sliver { 0 } else { room as usize }
    }

    /// Returns how many octets are in the queue that were never sent.
    pub(super) fn unsent(&self) -> u32 {
        let fin = u32::from(self.is(Mark::FIN_SENT));
        let sent = self.nxt.wrapping_sub(self.una).saturating_sub(fin);
        self.down.len().saturating_sub(sent)
    }

    /// Sends what was not sent yet, as far as the window allows, and the FIN behind it.
    pub(super) fn send_new(&mut self, pool: &Pool, cx: &mut Cx<'_>) {
        while !self.is(Mark::FIN_SENT) {
            let at = self.nxt.wrapping_sub(self.una);
            let count = self.down.len().min(self.window).saturating_sub(at).min(self.largest());
            if count == 0 {
                break;
            }
            let last = at + count == self.down.len();
            if !self.is(Mark::TIMING) && !self.is(Mark::RECOVERING) {
                self.set(Mark::TIMING);
                (self.timed_seq, self.timed_at) = (self.nxt.wrapping_add(count), cx.now);
            }
            self.send(pool, at, count, last, cx);
            self.nxt = self.nxt.wrapping_add(count);
            self.arm(cx);
        }
        let all_sent = self.nxt.wrapping_sub(self.una) == self.down.len();
        if self.is(Mark::NET_FIN) && !self.is(Mark::FIN_SENT) && all_sent {
            self.write_plain(self.nxt, Flags::FIN, &[], cx);
            self.nxt = self.nxt.wrapping_add(1);
            self.set(Mark::FIN_SENT);
            self.arm(cx);
        }
    }

    /// Sends octets of the queue: as one large segment where the tunnel cuts it, in pieces otherwise.
    fn send(&mut self, pool: &Pool, at: u32, count: u32, last: bool, cx: &mut Cx<'_>) {
        let step = if cx.offload { count } else { u32::from(self.mss) };
        let mut done = 0;
        while done < count {
            let now = step.min(count - done);
            let mut pieces: [&[u8]; MAX_PIECES] = [&[]; MAX_PIECES];
            let mut used = 0;
            let queue = self.down.pieces(pool, at + done, now as usize);
            for (place, piece) in pieces.iter_mut().zip(queue) {
                *place = piece;
                used += 1;
            }
            let push = last && done + now == count;
            let flags = if push { Flags::PSH } else { Flags::ACK };
            let seq = self.una.wrapping_add(at + done);
            self.write_plain(seq, flags, pieces.get(..used).unwrap_or_default(), cx);
            done += now;
        }
    }

    /// Returns how much goes under one header: whole segments that fit into 64 KiB with it.
    fn largest(&self) -> u32 {
        let mss = u32::from(self.mss);
        LARGEST / mss * mss
    }

    /// Returns how much of so much room to fill at once: what goes under whole headers, since a few octets more would take
    /// one of their own, with all that the application's side does for it.
    fn worth_reading(&self, room: usize) -> usize {
        let largest = self.largest() as usize;
        let headers = (room / largest).min(HEADERS_A_READ);
        if headers == 0 { room } else { headers * largest }
    }

    /// Starts the timer, if it does not run.
    fn arm(&mut self, cx: &Cx<'_>) {
        if self.resend_at == NEVER || self.una == self.nxt {
            self.resend_at = cx.now + self.timeout(MIN_TIMEOUT);
        }
    }

    /// Takes in what a segment acknowledges.
    pub(super) fn acknowledged(
        &mut self,
        segment: &TcpSegment<'_>,
        pool: &mut Pool,
        cx: &mut Cx<'_>,
    ) {
        if before(self.una, segment.ack) {
            let advance = segment.ack.wrapping_sub(self.una);
            self.down.consume(pool, advance);
            self.una = segment.ack;
            self.duplicates = 0;
            self.resent = 0;
            if self.is(Mark::FIN_SENT) && self.una == self.nxt {
                self.set(Mark::FIN_ACKED);
            }
            if self.is(Mark::TIMING) && !before(segment.ack, self.timed_seq) {
                self.clear(Mark::TIMING);
                self.measure(cx.now.saturating_sub(self.timed_at));
            }
            self.resend_at =
                if self.una == self.nxt { NEVER } else { cx.now + self.timeout(MIN_TIMEOUT) };
            if self.is(Mark::RECOVERING) {
                if !before(self.una, self.recover) {
                    self.clear(Mark::RECOVERING);
                } else if !before(self.una, self.again) {
                    // The next gap; what is within this one is under way.
                    self.send_gap(Some(segment), pool, cx);
                }
            }
            return;
        }
        if segment.ack != self.una || self.una == self.nxt {
            // Old, or the answer to a probe: whatever was waited for, the window says it now.
            if segment.ack == self.una && 0 < self.window_of(segment) {
                self.resend_at = NEVER;
                self.resent = 0;
            }
            return;
        }
        let says_gap = segment.sack_blocks().next().is_some();
        let same = self.window_of(segment) == self.window || says_gap;
        if segment.payload.is_empty() && same && !segment.flags.has(Flags::FIN) {
            self.duplicates = self.duplicates.saturating_add(1);
            if self.duplicates == DUPLICATES && !self.is(Mark::RECOVERING) {
                cx.stats.tcp_resent += 1;
                self.recover = self.nxt;
                self.set(Mark::RECOVERING);
                self.clear(Mark::TIMING);
                self.send_gap(Some(segment), pool, cx);
            }
        }
    }

    /// Sends the oldest octets again: up to what the application says it has, or one segment if it does not say.
    fn send_gap(&mut self, segment: Option<&TcpSegment<'_>>, pool: &Pool, cx: &mut Cx<'_>) {
        let blocks = segment.into_iter().flat_map(TcpSegment::sack_blocks);
        let gap = blocks
            .map(|(left, _)| left.wrapping_sub(self.una))
            .filter(|gap| 0 < *gap && *gap <= self.nxt.wrapping_sub(self.una))
            .min();
        let sent = self.nxt.wrapping_sub(self.una);
        let count = gap.unwrap_or_else(|| self.largest()).min(sent).min(self.down.len());
        let count = count.min(self.largest()).min(self.window.max(u32::from(self.mss)));
        self.again = self.una.wrapping_add(count.max(1));
        if 0 < count {
            self.send(pool, 0, count, count == self.down.len(), cx);
        } else if self.is(Mark::FIN_SENT) {
            self.write_plain(self.una, Flags::FIN, &[], cx);
        }
    }

    /// The time is up: the oldest octets are sent again, or the application is asked for its window.
    pub(super) fn resend(&mut self, pool: &mut Pool, cx: &mut Cx<'_>) -> Fate {
        if self.una == self.nxt {
            // Closed windows may stay so for as long as the application says so (RFC 9293 §3.8.6.1).
            self.resent = self.resent.saturating_add(1).min(8);
            self.resend_at = NEVER;
            self.probe(cx);
            let fate = self.pump(pool, cx);
            return if fate == Fate::Keep { self.rest(cx) } else { fate };
        }
        self.resent = self.resent.saturating_add(1);
        if MAX_RESENDS < self.resent {
            cx.stats.tcp_vanished += 1;
            self.reset(cx);
            return self.abandon(cx);
        }
        cx.stats.tcp_resent += 1;
        self.recover = self.nxt;
        self.set(Mark::RECOVERING);
        self.clear(Mark::TIMING);
        self.duplicates = 0;
        self.send_gap(None, pool, cx);
        self.resend_at = cx.now + self.timeout(MIN_TIMEOUT);
        Fate::Keep
    }

    /// RFC 6298 §2.2 and §2.3.
    fn measure(&mut self, took: Millis) {
        let took = u16::try_from(took).unwrap_or(u16::MAX);
        if self.srtt == 0 && self.rttvar == 0 {
            self.srtt = took;
            self.rttvar = took / 2;
            return;
        }
        let off = self.srtt.abs_diff(took);
        self.rttvar = weighted(self.rttvar, off, 4);
        self.srtt = weighted(self.srtt, took, 8);
    }
}

/// Moves an average by one part in `parts` towards a new value.
fn weighted(average: u16, value: u16, parts: u32) -> u16 {
    let sum = u32::from(average) * (parts - 1) + u32::from(value);
    u16::try_from(sum.div_ceil(parts)).unwrap_or(u16::MAX)
}

/// Reads from one socket before others have their turn.
const READS_A_TURN: usize = 8;
/// Packets of the largest size that are read for at once.
const HEADERS_A_READ: usize = 2;
/// Payload under one header: an IPv6 header, TCP with SACK-free options, and what 16 bits count.
const LARGEST: u32 = 65_535 - 40 - 20;
/// Chunks that a payload may touch.
const MAX_PIECES: usize = LARGEST as usize / CHUNK_OCTETS + 2;
/// RFC 5681 §3.2.
const DUPLICATES: u8 = 3;
/// Below the second of RFC 6298 §2.4: the way is within the device.
const MIN_TIMEOUT: Millis = 200;
/// Some four minutes, when each waits twice as long as the one before.
const MAX_RESENDS: u8 = 10;

const _: () = assert!(CHUNKS < u16::MAX as usize, "a chunk's number is not NONE");
