//! Plays a scenario from its first to its last packet, and checks what became of it.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bartizan_engine::net::{Close, ConnectError};
use bartizan_engine::{Engine, EngineConfig, Output, TunnelStats};
use bartizan_model::{Mode, Policy, UnixMillis};
use bartizan_wire::tcp::{Checksum, Flags};

use super::Micros;
use super::clients::{Client, Clients, Saw};
use super::link::Link;
use super::packets::{merge, read, renumber};
use super::random::Random;
use super::scenario::{ClientEnds, Connect, Plan, Scenario};
use super::servers::{Event, Server, Servers};
use crate::world::{WALL, t0};

pub(crate) struct Simulation {
    scenario: Rc<Scenario>,
    random: Random,
    engine: Engine,
    start: Instant,
    now: Micros,
    up: Link,
    down: Link,
    clients: Clients,
    servers: Servers,
    /// How far each connection's numbers are moved between its application and the engine.
    moved: Vec<(SocketAddr, SocketAddr, u32)>,
    deadline: Option<Micros>,
    /// What was done when something last moved, how many packets there were then, and when.
    mark: (u64, u64, Micros),
}

/// What a scenario came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    /// Connections that were given up since too much was lost.
    pub(crate) vanished: u64,
    pub(crate) packets: u64,
    pub(crate) octets: u64,
    /// Connections that came to an orderly end.
    pub(crate) whole: u64,
}

impl Outcome {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            vanished: self.vanished + other.vanished,
            packets: self.packets + other.packets,
            octets: self.octets + other.octets,
            whole: self.whole + other.whole,
        }
    }
}

impl Simulation {
    pub(crate) fn new(scenario: Scenario, engine_seed: [u8; 16]) -> Self {
        let scenario = Rc::new(scenario);
        let config = EngineConfig {
            resolvers: Vec::new(),
            mtu: scenario.engine_mtu,
            offload: scenario.offload,
        };
        let start = t0();
        let mut engine = Engine::new(config, engine_seed, start);
        engine.handle_policy(Policy { mode: Mode::Tunnel, ..Policy::default() });
        Self {
            random: Random::new(scenario.seed ^ 2),
            engine,
            start,
            now: 0,
            up: Link::new(scenario.up, scenario.seed ^ 3),
            down: Link::new(scenario.down, scenario.seed ^ 4),
            clients: Clients::new(Rc::clone(&scenario)),
            servers: Servers::new(Rc::clone(&scenario)),
            moved: Vec::new(),
            deadline: None,
            mark: (0, 0, 0),
            scenario,
        }
    }

    pub(crate) fn run(mut self) -> Outcome {
        let mut rounds = 0;
        loop {
            self.turn();
            if self.clients.are_gone() && self.engine.tcp_flows() == 0 && self.way_is_empty() {
                break;
            }
            let next = self.next();
            rounds = if next == self.now { rounds + 1 } else { 0 };
            assert!(rounds < 1_000, "time stands still\n{}", self.describe());
            self.now = next;
            self.look_for_stalls();
        }
        self.judge()
    }

    fn way_is_empty(&self) -> bool {
        self.up.next().is_none() && self.down.next().is_none()
    }

    fn next(&mut self) -> Micros {
        let next = [
            self.up.next(),
            self.down.next(),
            self.servers.next(),
            self.clients.next(self.now),
            self.deadline,
        ];
        let next = next.into_iter().flatten().min();
        let Some(next) = next else { panic!("nothing will ever happen\n{}", self.describe()) };
        next.max(self.now)
    }

    fn turn(&mut self) {
        self.servers.now = self.now;
        self.deliver_up();
        self.drain();
        for event in self.servers.act() {
            let (wall, now, net) = (self.wall(), self.instant(), &mut self.servers);
            match event {
                Event::Connected(id, outcome) => {
                    self.engine.handle_connected(id, outcome, net, wall, now);
                }
                Event::Ready { id, readable, writable } => {
                    self.engine.handle_ready(id, readable, writable, net, wall, now);
                }
            }
        }
        self.drain();
        while let Some(mut packet) = self.down.take(self.now) {
            self.renumber_down(&mut packet);
            self.clients.receive(packet);
        }
        for mut packet in self.clients.act(self.now) {
            self.renumber_up(&mut packet);
            self.up.send(packet, self.now);
        }
    }

    fn deliver_up(&mut self) {
        let mut packets: Vec<Vec<u8>> = Vec::new();
        while let Some(packet) = self.up.take(self.now) {
            let packet = match packets.last_mut() {
                Some(before) if self.scenario.merges => match merge(before, packet) {
                    Ok(()) => continue,
                    Err(packet) => packet,
                },
                _ => packet,
            };
            packets.push(packet);
        }
        for packet in packets {
            let trusted = self.scenario.merges;
            let checksum = if trusted { Checksum::Trust } else { Checksum::Verify };
            self.servers.syn = read(&packet).map(|segment| (segment.src, segment.seq));
            let (wall, now) = (self.wall(), self.instant());
            self.engine.handle_packet(&packet, checksum, &mut self.servers, wall, now);
            // A batch may be one packet or many.
            if self.random.per_mille(300) {
                self.drain();
            }
        }
    }

    fn drain(&mut self) {
        let (wall, now) = (self.wall(), self.instant());
        let output = self.engine.poll_output(&mut self.servers, wall, now);
        let Output::Wait { deadline, .. } = output else {
            panic!("nothing else to do: {output:?}")
        };
        self.deadline = deadline.map(|at| micros(at - self.start));
        for packet in std::mem::take(&mut self.servers.packets) {
            self.down.send(packet, self.now);
        }
    }

    /// Lets the application's numbers begin where the scenario wants them, and learns which connection is which.
    fn renumber_up(&mut self, packet: &mut [u8]) {
        let Some(segment) = read(packet) else { return };
        let (src, dst) = (segment.src, segment.dst);
        let opens = segment.flags.has(Flags::SYN) && !segment.flags.has(Flags::ACK);
        if opens {
            let plans = &self.scenario.plans;
            let clients = self.clients.all.iter().zip(plans).enumerate();
            let current = clients
                .filter(|(_, (client, plan))| {
                    (plan.client, plan.server) == (src, dst) && client.has_opened()
                })
                .map(|(index, _)| index)
                .next_back()
                .unwrap();
            let first = plans[current].first_number.unwrap_or(segment.seq);
            self.servers.syns.insert((src, first), current);
            self.moved.retain(|(client, server, _)| (*client, *server) != (src, dst));
            self.moved.push((src, dst, first.wrapping_sub(segment.seq)));
        }
        let by = self.moved.iter().find(|(client, server, _)| (*client, *server) == (src, dst));
        if let Some((_, _, by)) = by.copied().filter(|(_, _, by)| *by != 0) {
            renumber(packet, by, 0);
        }
    }

    fn renumber_down(&self, packet: &mut [u8]) {
        let Some(segment) = read(packet) else { return };
        let ends = (segment.dst, segment.src);
        let by = self.moved.iter().find(|(client, server, _)| (*client, *server) == ends);
        if let Some((_, _, by)) = by.copied().filter(|(_, _, by)| *by != 0) {
            renumber(packet, 0, 0_u32.wrapping_sub(by));
        }
    }

    fn look_for_stalls(&mut self) {
        let moves = self.clients.progress + self.servers.progress;
        let packets = self.up.sent + self.down.sent;
        let (moved, sent, at) = self.mark;
        if moves != moved || self.clients.all.iter().all(|client| client.done_at.is_some()) {
            self.mark = (moves, packets, self.now);
            return;
        }
        let most = 4_000 + (self.now - at) / 1_000;
        assert!(packets - sent < most, "packets for nothing\n{}", self.describe());
        assert!(
            self.now - at < self.scenario.longest_pause(),
            "nothing moves\n{}",
            self.describe()
        );
    }

    fn describe(&self) -> String {
        format!(
            "at {} us; {} flows, {} sockets; {:?}\n{}",
            self.now,
            self.engine.tcp_flows(),
            self.servers.open(),
            self.engine.tunnel_stats(),
            self.clients.describe()
        )
    }

    /// Checks what is left, and what each application and server has got.
    fn judge(self) -> Outcome {
        assert_eq!(self.servers.open(), 0, "a socket was forgotten\n{}", self.describe());
        assert_eq!(self.engine.chunks_in_use(), 0, "memory was forgotten\n{}", self.describe());
        let stats = self.engine.tunnel_stats();
        if self.scenario.is_faithful() {
            assert_eq!(
                (stats.tcp_resent, stats.tcp_vanished),
                (0, 0),
                "sent again without need\n{}",
                self.describe()
            );
        }
        let mut outcome = Outcome {
            vanished: stats.tcp_vanished,
            packets: self.up.sent + self.down.sent,
            ..Outcome::default()
        };
        for (index, plan) in self.scenario.plans.iter().enumerate() {
            let client = &self.clients.all[index];
            let servers: Vec<_> =
                self.servers.all.iter().filter(|server| server.plan == index).collect();
            let what = self.describe();
            check(plan, client, &servers, &stats, self.scenario.is_faithful(), &what);
            outcome.octets += (client.read + client.written) as u64;
            outcome.whole += u64::from(client.saw == Some(Saw::End));
        }
        outcome
    }

    fn wall(&self) -> UnixMillis {
        UnixMillis(WALL + self.now / 1_000)
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_micros(self.now)
    }
}

fn check(
    plan: &Plan,
    client: &Client,
    servers: &[&Server],
    stats: &TunnelStats,
    faithful: bool,
    what: &str,
) {
    for server in servers {
        assert!(server.closed.is_some(), "a socket stays open\n{what}");
        assert!(!server.shut || client.closed, "an end that was not\n{what}");
    }
    let used: Vec<_> = servers.iter().filter(|server| 0 < server.taken + server.given).collect();
    if faithful {
        assert!(servers.len() <= 1 || !client.established, "connected twice\n{what}");
    }
    assert!(used.len() <= 1, "what was sent went to two\n{what}");
    // A SYN that comes late opens one more, for nobody.
    let ended = servers.iter().find(|server| server.told_end);
    let server = used.first().copied().or(ended).or_else(|| servers.last());
    match plan.connect {
        Connect::Fails(_, why) | Connect::FailsAtOnce(why) => {
            assert!(!client.established && used.is_empty(), "connected to nobody\n{what}");
            if faithful && !client.aborted {
                let expected = match why {
                    ConnectError::Refused | ConnectError::NoRoom => Some(Saw::Reset),
                    ConnectError::Unreachable | ConnectError::TimedOut => None,
                };
                assert_eq!(client.saw, expected, "{why:?}\n{what}");
            }
            return;
        }
        Connect::Accepts(_) => {}
    }
    if client.saw == Some(Saw::End) {
        let server = server.unwrap();
        assert!(server.finished && server.told_end, "an end that was not\n{what}");
        assert_eq!(client.read, plan.down.len(), "ended early\n{what}");
    }
    let broken = client.aborted
        || servers.iter().any(|server| server.is_reset)
        || stats.tcp_evicted != 0
        || !faithful && stats.tcp_vanished != 0;
    if broken {
        if faithful && client.aborted && !client.closed && client.established {
            let server = server.unwrap();
            assert_eq!(server.closed, Some(Close::Reset), "a reset that nobody sees\n{what}");
        }
        return;
    }
    assert!(!client.gave_up && plan.client_ends != ClientEnds::ByReset(0), "no connection\n{what}");
    let server = server.unwrap_or_else(|| panic!("no server\n{what}"));
    assert_eq!(client.saw, Some(Saw::End), "{what}");
    assert_eq!((client.written, server.taken), (plan.up.len(), plan.up.len()), "{what}");
    assert_eq!((client.read, server.given), (plan.down.len(), plan.down.len()), "{what}");
    assert!(server.shut, "an end that nobody sees\n{what}");
    // The application waits ten seconds for what was lost of the end, and resets what comes later.
    let late = !faithful && server.told_end;
    assert!(server.closed == Some(Close::Orderly) || late, "closed by a reset\n{what}");
}

fn micros(span: Duration) -> Micros {
    Micros::try_from(span.as_micros()).unwrap()
}
