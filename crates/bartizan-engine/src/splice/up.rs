//! From the application to the network.
//!
//! Octets go from the packet into the socket. What the socket does not take waits in shared chunks, and the window
//! closes. The first octets are held until they were judged, at most [`limits::HELD_OCTETS`] and
//! [`limits::HELD_FOR`].

use bartizan_wire::tcp::{Flags, TcpSegment, before};

use super::flow::{FIRST_WINDOW, Fate, Flow, Mark};
use super::pool::Pool;
use super::table::NEVER;
use super::{Cx, Look};
use crate::limits;
use crate::net::{Close, Sent};

impl Flow {
    /// Takes what a segment carries; says what becomes of the connection if that ends it.
    pub(super) fn take(
        &mut self,
        segment: &TcpSegment<'_>,
        pool: &mut Pool,
        cx: &mut Cx<'_>,
    ) -> Option<Fate> {
        let fin = segment.flags.has(Flags::FIN);
        if segment.payload.is_empty() && !fin {
            if before(segment.seq, self.taken) {
                // Somebody asks for a sign of life. An answer to what lies ahead would be answered in turn.
                self.acknowledge(pool, cx);
            }
            return None;
        }
        if self.is(Mark::APP_FIN) || before(self.taken, segment.seq) {
            // Behind a FIN there is nothing new; what is missing before this is asked for at once, since it takes
            // three of these to be believed.
            if !self.is(Mark::APP_FIN) && !self.is(Mark::LOCAL) {
                self.keep_early(segment, pool);
            }
            self.acknowledge(pool, cx);
            return None;
        }
        let known = self.taken.wrapping_sub(segment.seq) as usize;
        let allowed = self.edge.wrapping_sub(segment.seq) as usize;
        let within = segment.payload.get(..allowed).unwrap_or(segment.payload);
        let fresh = within.get(known..).unwrap_or_default();
        if fresh.is_empty() && !fin {
            // Known already, or a probe of a closed window.
            self.acknowledge(pool, cx);
            return None;
        }
        self.set(Mark::OWES_ACK);
        if !fresh.is_empty() {
            match self.deliver(fresh, pool, cx) {
                Ok(count) => self.taken = self.taken.wrapping_add(count),
                Err(fate) => return Some(fate),
            }
            if let Err(fate) = self.catch_up(pool, cx) {
                return Some(fate);
            }
            // Whatever is sent next may carry the acknowledgment, and must not close the window.
            self.open_window(pool);
        }
        if fin && segment.end().wrapping_sub(1) == self.taken {
            self.taken = self.taken.wrapping_add(1);
            self.set(Mark::APP_FIN);
            if !self.is(Mark::FIN_SENT) {
                self.set(Mark::APP_FIRST);
            }
            if self.is(Mark::UNJUDGED) && !self.up.is_empty() {
                // No more will come to make it readable.
                if let Err(fate) = self.stop_looking(pool, cx).goes_on() {
                    return Some(fate);
                }
            }
            return self.shut(cx);
        }
        None
    }

    /// Keeps octets that have a gap before them, if they continue what is kept.
    fn keep_early(&mut self, segment: &TcpSegment<'_>, pool: &mut Pool) {
        if self.late.is_empty() {
            self.late_at = segment.seq;
        }
        let end = self.late_at.wrapping_add(self.late.len());
        let allowed = self.edge.wrapping_sub(segment.seq) as usize;
        let within = segment.payload.get(..allowed).unwrap_or(segment.payload);
        // What begins before the range or behind its end does not fit, and is sent again.
        if let Some(fresh) = within.get(end.wrapping_sub(segment.seq) as usize..)
            && !before(segment.seq, self.late_at)
        {
            self.late.push(pool, fresh);
        }
    }

    /// Takes what was kept, once the gap before it is closed.
    fn catch_up(&mut self, pool: &mut Pool, cx: &mut Cx<'_>) -> Result<(), Fate> {
        while !self.late.is_empty() && !before(self.taken, self.late_at) {
            let known = self.taken.wrapping_sub(self.late_at).min(self.late.len());
            self.late.consume(pool, known);
            self.late_at = self.taken;
            let mut octets = [0; limits::CHUNK_OCTETS];
            let mut len = 0;
            if let Some(piece) = self.late.pieces(pool, 0, usize::MAX).next() {
                len = piece.len();
                if let Some(place) = octets.get_mut(..len) {
                    place.copy_from_slice(piece);
                }
            }
            if len == 0 {
                break;
            }
            let piece = octets.get(..len).unwrap_or_default();
            let taken = self.deliver(piece, pool, cx)?;
            self.taken = self.taken.wrapping_add(taken);
            if (taken as usize) < len {
                self.late.clear(pool);
            }
        }
        Ok(())
    }

    /// Passes octets on as far as there is room; returns how many were taken.
    fn deliver(&mut self, octets: &[u8], pool: &mut Pool, cx: &mut Cx<'_>) -> Result<u32, Fate> {
        if self.is(Mark::LOCAL) {
            return Ok(count(octets.len()));
        }
        if self.is(Mark::REQUESTS) && self.up.is_empty() {
            self.set(Mark::UNJUDGED);
        }
        if self.is(Mark::UNJUDGED) {
            return self.look(octets, pool, cx);
        }
        self.forward(octets, pool, cx)
    }

    fn forward(&mut self, octets: &[u8], pool: &mut Pool, cx: &mut Cx<'_>) -> Result<u32, Fate> {
        let mut sent = 0;
        if self.up.is_empty() && !self.is(Mark::FULL) {
            match cx.net.send(self.id, octets) {
                Sent::Took(taken) => sent = taken.min(octets.len()),
                Sent::Failed => return Err(self.broken(cx)),
            }
            cx.stats.octets_up += sent as u64;
            if sent == octets.len() {
                self.reach = (self.reach + count(sent) / 8).min(limits::UP_WINDOW);
                return Ok(count(sent));
            }
            self.set(Mark::FULL);
            self.reach = (self.reach / 2).max(FIRST_WINDOW);
        }
        let rest = octets.get(sent..).unwrap_or_default();
        let kept = self.up.push(pool, rest);
        if kept < rest.len() {
            cx.stats.dropped_no_chunk += 1;
        }
        Ok(count(sent + kept))
    }

    /// Judges the first octets, with those that came before; holds them while that cannot be done.
    fn look(&mut self, octets: &[u8], pool: &mut Pool, cx: &mut Cx<'_>) -> Result<u32, Fate> {
        if self.up.is_empty() {
            return match cx.judge.look(self.net.into(), octets) {
                Look::More => {
                    let kept = self.up.push(pool, octets);
                    if kept < octets.len() || limits::HELD_OCTETS <= kept {
                        self.taken = self.taken.wrapping_add(count(kept));
                        return self.overlong(pool, cx);
                    }
                    self.judge_at = cx.now + limits::HELD_FOR;
                    cx.stats.held += 1;
                    Ok(count(kept))
                }
                Look::Pass { again } => {
                    self.judged(again);
                    self.forward(octets, pool, cx)
                }
                Look::Reset => Err(self.stop(cx)),
                Look::Answer(answer) => {
                    self.answer(&answer, pool, cx).map(|()| count(octets.len()))
                }
            };
        }
        let kept = self.up.push(pool, octets);
        let held = self.up.pieces(pool, 0, limits::HELD_OCTETS).next().unwrap_or_default();
        let look = cx.judge.look(self.net.into(), held);
        let whole = held.len() == self.up.len() as usize && kept == octets.len();
        match look {
            Look::More if whole && held.len() < limits::HELD_OCTETS => Ok(count(kept)),
            Look::More => {
                self.taken = self.taken.wrapping_add(count(kept));
                self.overlong(pool, cx)
            }
            look @ (Look::Pass { .. } | Look::Reset | Look::Answer(_)) => {
                self.taken = self.taken.wrapping_add(count(kept));
                self.decide(look, pool, cx).goes_on().map(|()| 0)
            }
        }
    }

    fn overlong(&mut self, pool: &mut Pool, cx: &mut Cx<'_>) -> Result<u32, Fate> {
        cx.stats.held_too_long += 1;
        self.stop_looking(pool, cx).goes_on().map(|()| 0)
    }

    /// Judges without having read a name.
    pub(super) fn stop_looking(&mut self, pool: &mut Pool, cx: &mut Cx<'_>) -> Fate {
        let look = cx.judge.unreadable(self.net.into());
        self.decide(look, pool, cx)
    }

    /// Does with the held octets as was judged.
    fn decide(&mut self, look: Look, pool: &mut Pool, cx: &mut Cx<'_>) -> Fate {
        match look {
            Look::More | Look::Pass { .. } => {
                self.judged(matches!(look, Look::Pass { again: true }));
                self.flush(pool, cx)
            }
            Look::Reset => self.stop(cx),
            Look::Answer(answer) => match self.answer(&answer, pool, cx) {
                Ok(()) => Fate::Keep,
                Err(fate) => fate,
            },
        }
    }

    fn judged(&mut self, again: bool) {
        self.judge_at = NEVER;
        self.clear(Mark::UNJUDGED);
        if again {
            self.set(Mark::REQUESTS);
        } else {
            self.clear(Mark::REQUESTS);
        }
    }

    /// Ends a connection that may not be.
    fn stop(&mut self, cx: &mut Cx<'_>) -> Fate {
        cx.stats.tcp_stopped += 1;
        self.reset(cx);
        self.abandon(cx)
    }

    /// Answers in the other end's place, and finishes.
    fn answer(&mut self, answer: &[u8], pool: &mut Pool, cx: &mut Cx<'_>) -> Result<(), Fate> {
        self.judge_at = NEVER;
        self.clear(Mark::UNJUDGED);
        self.up.clear(pool);
        self.late.clear(pool);
        cx.net.close(self.id, Close::Reset);
        self.set(Mark::LOCAL);
        self.clear(Mark::READABLE);
        if self.down.push(pool, answer) < answer.len() {
            cx.stats.dropped_no_chunk += 1;
            self.reset(cx);
            return Err(Fate::Remove);
        }
        self.set(Mark::NET_FIN);
        self.send_new(pool, cx);
        Ok(())
    }

    /// Hands held octets to the socket, as far as it takes them.
    pub(super) fn flush(&mut self, pool: &mut Pool, cx: &mut Cx<'_>) -> Fate {
        if self.is(Mark::UNJUDGED) && !self.up.is_empty() {
            return Fate::Keep;
        }
        while let Some(piece) = self.up.pieces(pool, 0, usize::MAX).next() {
            let len = piece.len();
            match cx.net.send(self.id, piece) {
                Sent::Took(taken) => {
                    cx.stats.octets_up += taken as u64;
                    self.up.consume(pool, count(taken));
                    self.set(Mark::OWES_ACK);
                    if taken < len {
                        self.set(Mark::FULL);
                        return Fate::Keep;
                    }
                }
                Sent::Failed => return self.broken(cx),
            }
        }
        self.shut(cx).unwrap_or(Fate::Keep)
    }

    /// The socket has room again.
    pub(super) fn writable(&mut self, pool: &mut Pool, cx: &mut Cx<'_>) -> Fate {
        if !self.is(Mark::FULL) || self.is(Mark::LOCAL) {
            return Fate::Keep;
        }
        self.clear(Mark::FULL);
        let fate = self.flush(pool, cx);
        if fate == Fate::Keep {
            // The application waits for what it was not allowed to send, and for what it has sent.
            self.set(Mark::OWES_ACK);
            self.open_window(pool);
        }
        fate
    }

    /// Tells the socket that the application has finished, once it has all octets.
    fn shut(&mut self, cx: &mut Cx<'_>) -> Option<Fate> {
        if !self.is(Mark::APP_FIN) || self.is(Mark::SHUT) || !self.up.is_empty() {
            return None;
        }
        self.set(Mark::SHUT);
        self.set(Mark::OWES_ACK);
        if !self.is(Mark::LOCAL) {
            cx.net.shutdown(self.id);
        }
        let ended = self.finished(cx).goes_on().err();
        if ended.is_some() {
            // Nothing will be sent later, so what is owed goes now.
            self.write_plain(self.nxt, Flags::ACK, &[], cx);
        }
        ended
    }

    /// The socket is gone: so is the connection.
    pub(super) fn broken(&mut self, cx: &mut Cx<'_>) -> Fate {
        self.reset(cx);
        self.abandon(cx)
    }
}

fn count(octets: usize) -> u32 {
    u32::try_from(octets).unwrap_or(u32::MAX)
}
