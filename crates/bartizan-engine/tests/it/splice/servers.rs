//! The host's sockets with servers at their other ends, and the tunnel that packets are written to.
//!
//! It checks at each call that what passes is what must pass: the octets, their order, what is acknowledged
//! before a socket took it, and how sockets are used.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use bartizan_engine::net::{
    Close, ConnectError, Incoming, Net, Outgoing, Received, SendError, Sent, SocketId, SocketKind,
    TunnelPacket,
};
use bartizan_wire::ip::{IpPacket, Protocol};
use bartizan_wire::tcp::{Checksum, Flags, TcpSegment};

use super::Micros;
use super::packets::cut;
use super::random::Random;
use super::scenario::{Begins, Connect, Scenario, ServerEnds};

pub(crate) struct Servers {
    scenario: Rc<Scenario>,
    random: Random,
    pub(crate) now: Micros,
    /// By the connection's number in the scenario; one that did not come about may be tried again.
    pub(crate) all: Vec<Server>,
    open: BTreeMap<SocketId, usize>,
    /// Which connection a SYN belongs to, by its sender and number; and the one in hand.
    pub(crate) syns: BTreeMap<(SocketAddr, u32), usize>,
    pub(crate) syn: Option<(SocketAddr, u32)>,
    /// What the engine wrote to the tunnel.
    pub(crate) packets: Vec<Vec<u8>>,
    pub(crate) progress: u64,
}

/// A socket and its server.
pub(crate) struct Server {
    pub(crate) plan: usize,
    id: SocketId,
    first_number: u32,
    connects_at: Option<Micros>,
    connected_at: Micros,
    pub(crate) connected: bool,
    /// How many octets the socket took from the engine, and the server from the socket.
    pub(crate) taken: usize,
    read: usize,
    /// How many octets the server gave to the socket, and the socket to the engine.
    written: usize,
    pub(crate) given: usize,
    /// The engine said that no more will come; the server said so; the engine was told.
    pub(crate) shut: bool,
    pub(crate) finished: bool,
    pub(crate) told_end: bool,
    pub(crate) is_reset: bool,
    pub(crate) closed: Option<Close>,
    reads_at: Micros,
    wakes_at: Option<Micros>,
    /// The socket took less than it was given; it had nothing to give.
    blocked: bool,
    drained: bool,
}

/// What the host would tell the engine.
pub(crate) enum Event {
    Connected(SocketId, Result<(), ConnectError>),
    Ready { id: SocketId, readable: bool, writable: bool },
}

impl Servers {
    pub(crate) fn new(scenario: Rc<Scenario>) -> Self {
        let random = Random::new(scenario.seed ^ 1);
        Self {
            scenario,
            random,
            now: 0,
            all: Vec::new(),
            open: BTreeMap::new(),
            syns: BTreeMap::new(),
            syn: None,
            packets: Vec::new(),
            progress: 0,
        }
    }

    pub(crate) fn next(&self) -> Option<Micros> {
        self.open.values().filter_map(|at| self.all[*at].wakes_at).min()
    }

    /// Returns how many sockets the engine holds.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// Lets the servers do what they do now.
    pub(crate) fn act(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for at in self.open.values() {
            let server = &mut self.all[*at];
            if server.wakes_at.is_none_or(|wakes_at| self.now < wakes_at) {
                continue;
            }
            server.wakes_at = None;
            events.extend(server.act(&self.scenario, self.now, &mut self.progress));
        }
        if self.scenario.false_alarms && self.random.per_mille(100) {
            let connected = self.open.values().map(|at| &self.all[*at]).filter(|it| it.connected);
            events.extend(connected.map(|server| Event::Ready {
                id: server.id,
                readable: true,
                writable: true,
            }));
        }
        events
    }

    fn server(&mut self, id: SocketId) -> &mut Server {
        let at = self.open.get(&id).unwrap_or_else(|| panic!("{id:?} is not open"));
        &mut self.all[*at]
    }

    /// Checks a packet for an application, as it will arrive.
    fn check(&self, packet: &[u8]) {
        assert!(packet.len() <= usize::from(self.scenario.engine_mtu), "larger than the tunnel");
        let ip = IpPacket::parse(packet).unwrap();
        if ip.protocol() != Protocol::Tcp {
            return;
        }
        let segment = TcpSegment::parse(&ip, Checksum::Verify).unwrap();
        let room = usize::from(self.scenario.client_mtu) - (packet.len() - segment.payload.len());
        assert!(segment.payload.len() <= room.max(88), "larger than the application takes");
        if segment.flags.has(Flags::RST) || !segment.flags.has(Flags::ACK) {
            return;
        }
        let plan = &self.scenario.plans;
        let servers = self.all.iter().rev().filter(|server| {
            (plan[server.plan].client, plan[server.plan].server) == (segment.dst, segment.src)
        });
        // A socket that is closed took all there was.
        let Some(server) = servers.into_iter().next() else { panic!("from nobody: {segment:?}") };
        let acknowledged = segment.ack.wrapping_sub(server.first_number.wrapping_add(1));
        let may = u32::try_from(server.taken).unwrap() + u32::from(server.shut);
        assert!(acknowledged <= may, "{acknowledged} acknowledged, {may} taken: {segment:?}");
    }
}

impl Server {
    fn act(&mut self, scenario: &Scenario, now: Micros, progress: &mut u64) -> Option<Event> {
        let plan = &scenario.plans[self.plan];
        if let Some(at) = self.connects_at {
            if now < at {
                self.wakes_at = Some(at);
                return None;
            }
            self.connects_at = None;
            self.wakes_at = Some(now);
            self.connected_at = now;
            let outcome = match plan.connect {
                Connect::Fails(_, why) | Connect::FailsAtOnce(why) => Err(why),
                Connect::Accepts(_) => Ok(()),
            };
            self.connected = outcome.is_ok();
            return Some(Event::Connected(self.id, outcome));
        }
        if !self.connected || self.is_reset {
            return None;
        }
        if let ServerEnds::ByReset(after) = plan.server_ends {
            let at = self.connected_at + after;
            if at <= now {
                self.is_reset = true;
                *progress += 1;
                return Some(Event::Ready { id: self.id, readable: true, writable: true });
            }
            self.wake(at);
        }
        if self.read < self.taken && self.reads_at <= now {
            let from = self.read;
            self.read += (self.taken - from).min(plan.server_reads.octets);
            self.reads_at = now + plan.server_reads.pause(from, self.read);
            *progress += 1;
        }
        if self.read < self.taken {
            self.wake(self.reads_at);
        }
        let writable = self.blocked && self.taken - self.read < plan.send_room.div_ceil(2);
        if writable {
            self.blocked = false;
        }
        let sees_end = self.shut && self.read == self.taken;
        let sendable = match plan.server_begins {
            _ if plan.echoes => self.read,
            Begins::AfterFirst if self.read == 0 => 0,
            Begins::AfterEnd if !sees_end => 0,
            Begins::AtOnce | Begins::AfterFirst | Begins::AfterEnd => plan.down.len(),
        };
        let room = plan.receive_room - (self.written - self.given);
        let written = (sendable - self.written).min(room);
        self.written += written;
        let mut readable = self.drained && 0 < written;
        let all_sent = self.written == plan.down.len();
        let ends = match plan.server_ends {
            ServerEnds::AfterSending => all_sent,
            ServerEnds::AfterClient => all_sent && sees_end,
            ServerEnds::ByReset(_) => false,
        };
        if ends && !self.finished {
            self.finished = true;
            *progress += 1;
            readable |= self.drained;
        }
        if readable {
            self.drained = false;
        }
        (readable || writable).then_some(Event::Ready { id: self.id, readable, writable })
    }

    fn wake(&mut self, at: Micros) {
        self.wakes_at = Some(self.wakes_at.map_or(at, |wakes_at| wakes_at.min(at)));
    }
}

impl Net for Servers {
    fn connect(&mut self, id: SocketId, to: SocketAddr) -> Result<(), ConnectError> {
        assert_eq!(id.kind, SocketKind::Tcp);
        assert!(!self.open.contains_key(&id), "{id:?} is open already");
        let (client, first_number) = self.syn.unwrap();
        let plan = self.syns[&(client, first_number)];
        assert_eq!(
            (client, to),
            (self.scenario.plans[plan].client, self.scenario.plans[plan].server)
        );
        let after = match self.scenario.plans[plan].connect {
            Connect::FailsAtOnce(why) => return Err(why),
            Connect::Fails(after, _) | Connect::Accepts(after) => after,
        };
        self.open.insert(id, self.all.len());
        self.all.push(Server {
            plan,
            id,
            first_number,
            connects_at: Some(self.now + after),
            connected_at: 0,
            connected: false,
            taken: 0,
            read: 0,
            written: 0,
            given: 0,
            shut: false,
            finished: false,
            told_end: false,
            is_reset: false,
            closed: None,
            reads_at: 0,
            wakes_at: Some(self.now + after),
            blocked: false,
            drained: false,
        });
        Ok(())
    }

    fn send(&mut self, id: SocketId, octets: &[u8]) -> Sent {
        let (scenario, now) = (Rc::clone(&self.scenario), self.now);
        let server = self.server(id);
        let plan = &scenario.plans[server.plan];
        assert!(server.connected && !server.shut, "sent before or after it may be");
        assert!(!octets.is_empty(), "nothing is sent");
        if server.is_reset {
            return Sent::Failed;
        }
        let room = plan.send_room.saturating_sub(server.taken - server.read);
        let count = room.min(octets.len());
        assert!(server.taken + count <= plan.up.len(), "more arrives than was sent");
        let expected = &plan.up[server.taken..server.taken + count];
        assert!(octets[..count] == *expected, "other octets arrive than were sent");
        server.taken += count;
        server.blocked |= count < octets.len();
        server.wake(now);
        self.progress += u64::from(0 < count);
        Sent::Took(count)
    }

    fn receive(&mut self, id: SocketId, into: &mut [&mut [u8]]) -> Received {
        let (scenario, now) = (Rc::clone(&self.scenario), self.now);
        let less = self.random.per_mille(300);
        let share = self.random.size(1, 1_000);
        let server = self.server(id);
        let plan = &scenario.plans[server.plan];
        assert!(server.connected && !server.told_end, "read before or after it may be");
        let room: usize = into.iter().map(|place| place.len()).sum();
        assert!(0 < room, "nothing is wanted");
        let there = server.written - server.given;
        if server.is_reset && (plan.reset_drops || there == 0) {
            return Received::Failed;
        }
        if there == 0 && server.finished {
            server.told_end = true;
            return Received::End;
        }
        if there == 0 {
            server.drained = true;
            server.wake(now);
            return Received::Nothing;
        }
        let mut count = room.min(there);
        if plan.gives_less && less {
            count = count.min(share);
        }
        let mut octets = &plan.down[server.given..server.given + count];
        for place in into {
            let now = place.len().min(octets.len());
            place[..now].copy_from_slice(&octets[..now]);
            octets = &octets[now..];
        }
        server.given += count;
        server.wake(now);
        Received::Took(count)
    }

    fn shutdown(&mut self, id: SocketId) {
        let (scenario, now) = (Rc::clone(&self.scenario), self.now);
        let server = self.server(id);
        assert!(server.connected && !server.shut, "shut twice");
        assert_eq!(server.taken, scenario.plans[server.plan].up.len(), "ended before all was sent");
        server.shut = true;
        server.wake(now);
        self.progress += 1;
    }

    fn close(&mut self, id: SocketId, how: Close) {
        let server = self.server(id);
        assert_eq!(server.closed, None, "closed twice");
        if how == Close::Orderly {
            assert!(server.shut && server.told_end, "closed in order before both ends finished");
        }
        server.closed = Some(how);
        self.open.remove(&id);
    }

    fn open(&mut self, _: SocketId, _: SocketAddr) -> Result<(), ConnectError> {
        panic!("no datagrams here")
    }

    fn send_to(&mut self, _: SocketId, _: &Outgoing<'_>) -> Result<(), SendError> {
        panic!("no datagrams here")
    }

    fn receive_from(&mut self, _: SocketId, _: &mut [u8]) -> Option<Incoming> {
        panic!("no datagrams here")
    }

    fn write_packet(&mut self, packet: &TunnelPacket<'_>) {
        assert!(self.scenario.offload || packet.offload.is_none(), "nobody offered that");
        for packet in cut(packet) {
            self.check(&packet);
            self.packets.push(packet);
        }
    }
}
