//! The table of TCP connections: which segment belongs to which, and whose turn it is.

use std::collections::VecDeque;

use bartizan_wire::tcp::{Flags, TcpSegment};

use super::Cx;
use super::flow::{Endpoint, Fate, Flow, Mark, answer_stray};
use super::pool::Pool;
use super::table::{Millis, Table};
use crate::limits;
use crate::net::{Close, ConnectError, SocketId, SocketKind};
use crate::prf::Prf;

/// All TCP connections.
pub(crate) struct Tcp {
    flows: Table<(Endpoint, Endpoint), Flow>,
    pool: Pool,
    /// Who owes an acknowledgment, once.
    owing: Vec<u16>,
    /// Who has more to do at once.
    ready: VecDeque<u16>,
    /// Who waits for chunks.
    starved: VecDeque<u16>,
    half_open: usize,
    syn_budget: SynBudget,
}

impl Tcp {
    pub(crate) fn new(prf: &mut Prf) -> Self {
        Self {
            flows: Table::new(limits::TCP_FLOWS, prf.draw_wide().to_le_bytes()),
            pool: Pool::default(),
            owing: Vec::new(),
            ready: VecDeque::new(),
            starved: VecDeque::new(),
            half_open: 0,
            syn_budget: SynBudget::default(),
        }
    }

    /// Returns how many connections there are.
    pub(crate) fn len(&self) -> usize {
        self.flows.len()
    }

    /// Returns how many chunks hold octets in flight.
    pub(crate) fn chunks_in_use(&self) -> usize {
        limits::CHUNKS - self.pool.available()
    }

    /// Takes in a segment from the tunnel.
    pub(crate) fn handle_segment(&mut self, segment: &TcpSegment<'_>, cx: &mut Cx<'_>) {
        let key = (segment.src.into(), segment.dst.into());
        let Some(slot) = self.flows.find(&key) else {
            let opens = segment.flags.has(Flags::SYN) && !segment.flags.has(Flags::ACK);
            return if opens { self.open(segment, cx) } else { answer_stray(segment, cx) };
        };
        self.flows.touch(slot, cx.now);
        let reopened = self.with(slot, cx, |flow, pool, cx| flow.segment(segment, pool, cx));
        if reopened == Some(Fate::Reopen) {
            self.open(segment, cx);
        }
    }

    fn open(&mut self, syn: &TcpSegment<'_>, cx: &mut Cx<'_>) {
        if limits::HALF_OPEN <= self.half_open || !self.syn_budget.spend(cx.now) {
            // The application asks again.
            return cx.stats.dropped_syn += 1;
        }
        if !cx.judge.address(syn.dst) {
            cx.stats.tcp_stopped += 1;
            return answer_stray(syn, cx);
        }
        if self.flows.is_full() && !self.evict(cx) {
            return cx.stats.dropped_syn += 1;
        }
        let iss = cx.prf.draw_sequence();
        let made = &*cx;
        let slot = self.flows.insert(cx.now, |slot, generation| {
            Flow::new(SocketId { kind: SocketKind::Tcp, slot, generation }, syn, iss, made)
        });
        let Some(slot) = slot else { return cx.stats.dropped_syn += 1 };
        self.half_open += 1;
        cx.stats.tcp_opened += 1;
        let Some(id) = self.id(slot) else { return };
        let mut outcome = cx.net.connect(id, syn.dst);
        if outcome == Err(ConnectError::NoRoom) && self.evict_other(slot, cx) {
            outcome = cx.net.connect(id, syn.dst);
        }
        match outcome {
            Ok(()) => self.schedule(slot),
            Err(why) => self.refuse(slot, why, cx),
        }
    }

    /// Takes in how an attempt to connect went.
    pub(crate) fn handle_connected(
        &mut self,
        id: SocketId,
        outcome: Result<(), ConnectError>,
        cx: &mut Cx<'_>,
    ) {
        if self.id(id.slot) != Some(id) {
            return;
        }
        match outcome {
            Ok(()) => {
                self.with(id.slot, cx, |flow, _, cx| {
                    flow.connected(cx);
                    Fate::Keep
                });
            }
            Err(why) => {
                cx.net.close(id, Close::Reset);
                self.refuse(id.slot, why, cx);
            }
        }
    }

    fn refuse(&mut self, slot: u16, why: ConnectError, cx: &mut Cx<'_>) {
        match why {
            ConnectError::Refused => cx.stats.tcp_refused += 1,
            ConnectError::Unreachable | ConnectError::TimedOut => cx.stats.tcp_unreachable += 1,
            ConnectError::NoRoom => cx.stats.dropped_no_socket += 1,
        }
        if let Some(flow) = self.flows.get_mut(slot) {
            flow.refused(why, cx);
            self.remove(slot);
        }
    }

    /// Takes in that a socket can be read or written.
    pub(crate) fn handle_ready(
        &mut self,
        id: SocketId,
        readable: bool,
        writable: bool,
        cx: &mut Cx<'_>,
    ) {
        if self.id(id.slot) != Some(id) {
            return;
        }
        if writable {
            self.with(id.slot, cx, |flow, pool, cx| flow.writable(pool, cx));
        }
        if readable {
            self.with(id.slot, cx, |flow, pool, cx| {
                flow.set(Mark::READABLE);
                flow.pump(pool, cx)
            });
        }
    }

    /// Does what has waited for the end of a batch of packets, or for its time.
    pub(crate) fn poll(&mut self, cx: &mut Cx<'_>) {
        for _ in 0..self.starved.len() {
            self.ready.extend(self.starved.pop_front());
        }
        for _ in 0..self.ready.len() {
            let Some(slot) = self.ready.pop_front() else { break };
            self.with(slot, cx, |flow, pool, cx| {
                flow.clear(Mark::LISTED);
                flow.pump(pool, cx)
            });
        }
        while let Some(slot) = self.flows.take_due(cx.now) {
            self.with(slot, cx, |flow, pool, cx| flow.expired(pool, cx));
        }
        let mut owing = std::mem::take(&mut self.owing);
        for slot in owing.drain(..) {
            if let Some(flow) = self.flows.get_mut(slot)
                && flow.is(Mark::OWES_ACK)
            {
                flow.settle(&self.pool, cx);
            }
        }
        self.owing = owing;
    }

    /// Returns when [`Tcp::poll`] has something to do: zero where it has at once.
    pub(crate) fn next_due(&self, now: Millis) -> Option<Millis> {
        if !self.ready.is_empty() {
            return Some(0);
        }
        let starved = (!self.starved.is_empty()).then_some(now + STARVED_FOR);
        [starved, self.flows.next_due()].into_iter().flatten().min()
    }

    /// Deals with a connection, then does what its fate asks for; returns that.
    fn with(
        &mut self,
        slot: u16,
        cx: &mut Cx<'_>,
        deal: impl FnOnce(&mut Flow, &mut Pool, &mut Cx<'_>) -> Fate,
    ) -> Option<Fate> {
        let flow = self.flows.get_mut(slot)?;
        let (was_half_open, owed) = (flow.is_half_open(), flow.is(Mark::OWES_ACK));
        let mut fate = deal(flow, &mut self.pool, cx);
        if fate == Fate::Keep {
            fate = flow.finished(cx);
        }
        if was_half_open && !flow.is_half_open() {
            self.half_open -= 1;
        }
        match fate {
            Fate::Keep | Fate::Again | Fate::Starved => {
                if !owed && flow.is(Mark::OWES_ACK) {
                    self.owing.push(slot);
                }
                if fate == Fate::Again && flow.enlist() {
                    self.ready.push_back(slot);
                } else if fate == Fate::Starved && flow.enlist() {
                    self.starved.push_back(slot);
                }
                self.schedule(slot);
            }
            Fate::Remove | Fate::Reopen => self.remove(slot),
        }
        Some(fate)
    }

    fn schedule(&mut self, slot: u16) {
        if let Some(flow) = self.flows.get(slot) {
            let at = flow.deadline();
            self.flows.schedule(slot, at);
        }
    }

    fn id(&self, slot: u16) -> Option<SocketId> {
        self.flows.get(slot).map(|flow| flow.id)
    }

    fn remove(&mut self, slot: u16) {
        if let Some(mut flow) = self.flows.remove(slot) {
            self.half_open -= usize::from(flow.is_half_open());
            flow.release(&mut self.pool);
        }
    }

    /// Ends the connection that was silent for the longest time; says whether there was one.
    fn evict(&mut self, cx: &mut Cx<'_>) -> bool {
        let Some(slot) = self.flows.oldest() else { return false };
        cx.stats.tcp_evicted += 1;
        self.end(slot, cx);
        true
    }

    fn evict_other(&mut self, slot: u16, cx: &mut Cx<'_>) -> bool {
        self.flows.oldest().is_some_and(|oldest| oldest != slot) && self.evict(cx)
    }

    fn end(&mut self, slot: u16, cx: &mut Cx<'_>) {
        if let Some(flow) = self.flows.get_mut(slot) {
            flow.reset(cx);
            flow.abandon(cx);
            self.remove(slot);
        }
    }
}

/// How many connections may be begun at once, and then each second.
struct SynBudget {
    left: u32,
    filled_at: Millis,
}

impl Default for SynBudget {
    fn default() -> Self {
        Self { left: limits::SYN_BURST, filled_at: 0 }
    }
}

impl SynBudget {
    fn spend(&mut self, now: Millis) -> bool {
        let passed = now.saturating_sub(self.filled_at);
        let earned = passed * u64::from(limits::SYNS_A_SECOND) / 1_000;
        if 0 < earned {
            self.left = self.left.saturating_add(u32::try_from(earned).unwrap_or(u32::MAX));
            self.left = self.left.min(limits::SYN_BURST);
            self.filled_at = now;
        }
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        true
    }
}

/// How long to wait before looking again for chunks that others gave back.
const STARVED_FOR: Millis = 5;
