//! The tunnel thread: packets in, packets, questions and octets for sockets out. The only loop that drives the engine.
//!
//! # Invariants
//! - Where an input leaves outputs, all are drained before the next (the engine's contract); what is owed to connections
//!   waits for the end of a batch of packets, at most [`PACKETS_A_TURN`].
//! - One bad packet, a full queue or a failing socket never ends the loop; only [`Command::Stop`] or a
//!   tunnel that is gone does, and then the system routes around it.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_engine::net::SocketId;
use bartizan_engine::passes::{Pass, Passes};
use bartizan_engine::{
    Engine, EngineConfig, NetworkState, Output, Probed, Stats, TunnelStats, UpstreamFailed,
};
use bartizan_indicators::{IndicatorFile, TenantFile};
use bartizan_model::{Alert, DomainName, Policy, ProtectionState};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::ask::PassAsk;
use crate::clock::Clock;
use crate::links::Links;
use crate::net::{Exit, Happened, Sockets, is_spliced};
use crate::packets::Packets;
use crate::probe::Probe;
use crate::random;
use crate::secure::StartSecureUpstream;
use crate::spin::Spin;
use crate::tunnel_status::TunnelStatus;
pub use crate::upstream::Route;
use crate::upstream::{Secure, Upstream};
use crate::vnet::Came;

/// What the tunnel is to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Use this file from now on.
    Indicators(Box<IndicatorFile>),
    /// Use this file too.
    Tenant(Box<TenantFile>),
    /// Use this policy from now on.
    Policy(Policy),
    /// Let these go on, who were let go on before.
    Passes(Passes),
    /// The device is on another network, or its resolvers are others.
    Network(Option<Network>),
    /// A probe of the network came to this.
    Probed(Probed),
    /// Decide whether a person may go on.
    Pass(PassAsk),
    /// End.
    Stop,
}

/// How the device is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The resolvers that the system asks.
    pub resolvers: Vec<IpAddr>,
    /// The interface by which they are reached.
    pub uplink: Option<String>,
}

/// How the engine is, as of its last turn.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) protection: ProtectionState,
    pub(crate) stats: Stats,
    /// As [`TunnelStatus`] tells it to people.
    tunnel: TunnelStats,
    tcp_flows: usize,
    udp_mappings: usize,
    network: NetworkState,
}

impl Snapshot {
    /// Returns what happens in the tunnel.
    pub(crate) fn tunnel(&self) -> TunnelStatus {
        TunnelStatus {
            network: self.network.word().to_owned(),
            ..TunnelStatus::of(&self.stats, &self.tunnel, self.tcp_flows, self.udp_mappings)
        }
    }

    /// Returns what is known of the network.
    pub(crate) fn network(&self) -> NetworkState {
        self.network
    }

    /// Returns how many TCP connections there are.
    pub(crate) fn tcp_flows(&self) -> usize {
        self.tcp_flows
    }
}

/// What comes out of the tunnel thread.
#[derive(Debug)]
pub(crate) enum Event {
    /// To be put on disk, then queued.
    Alert(Alert),
    /// A person says that this host is stopped by mistake.
    Mistake(DomainName),
    /// To be put on disk in place of the ones before.
    Passes(Vec<Pass>),
    /// The device is on another network: somebody has to look, and tell by [`Command::Network`].
    NetworkChanged,
    /// The protection state is another than it was, or a file turned out to be damaged; see the snapshot.
    Protection,
    /// The tunnel has ended: stopped, or its interface is gone.
    Ended(io::Result<()>),
}

/// The tunnel thread, from outside.
pub(crate) struct Tunnel {
    commands: Sender<Command>,
    waker: Arc<Waker>,
    snapshot: Arc<Mutex<Snapshot>>,
}

impl Tunnel {
    /// Starts the thread over a descriptor that gives and takes one IP packet a call.
    pub(crate) fn start(
        packets: Packets,
        resolvers: Vec<IpAddr>,
        route: Route,
        secure: Option<Box<dyn StartSecureUpstream>>,
        probe: Option<Probe>,
        clock: Clock,
        events: impl Fn(Event) + Send + 'static,
    ) -> io::Result<Self> {
        packets.set_nonblocking()?;
        let poll = Poll::new()?;
        poll.registry().register(&mut SourceFd(&packets.as_raw_fd()), TUN, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (sender, commands) = channel();
        let secure = secure.map(|secure| Secure::start(secure, Arc::clone(&waker))).transpose()?;
        let config = EngineConfig { resolvers, mtu: MTU, offload: packets.offloads() };
        let probed = config.resolvers.clone();
        let mut engine = Engine::new(config, random::octets(), clock.now());
        if probe.is_some() {
            engine.handle_can_probe(clock.now());
        }
        let links = Links::listen().and_then(|links| {
            let fd = links.as_raw_fd();
            poll.registry().register(&mut SourceFd(&fd), LINKS, Interest::READABLE)?;
            Ok(links)
        });
        let links = links
            .inspect_err(|error| tracing::debug!(error = %error, "nobody tells of the network"))
            .ok();
        // A mark lets routing choose among several uplinks.
        let uplink = route.uplink.clone().filter(|_| route.mark.is_none());
        let exit = Exit { uplink, mark: route.mark };
        let packets = Arc::new(packets);
        let sockets = Sockets::new(Arc::clone(&packets), poll.registry().try_clone()?, exit);
        let snapshot = Arc::new(Mutex::new(snapshot_of(&engine)));
        let mut turning = Turning {
            packets,
            buffer: vec![0; LARGEST_READ].into_boxed_slice(),
            sockets,
            engine,
            upstream: Upstream::new(route, FIRST_UPSTREAM, secure),
            clock,
            snapshot: Arc::clone(&snapshot),
            poll,
            spin: Spin::default(),
            links,
            probe,
            resolvers: probed,
            commands: sender.clone(),
            waker: Arc::clone(&waker),
        };
        std::thread::Builder::new().name("tunnel".into()).spawn(move || {
            let run = AssertUnwindSafe(|| turning.run(&commands, &events));
            let ended =
                catch_unwind(run).unwrap_or_else(|_| Err(io::Error::other("the engine failed")));
            // The tunnel's interface goes first: nobody shall be told of an end that is not one yet.
            drop(turning);
            events(Event::Ended(ended));
        })?;
        Ok(Self { commands: sender, waker, snapshot })
    }

    /// Tells the thread to do something; a thread that has ended does not hear it.
    pub(crate) fn tell(&self, command: Command) {
        if self.commands.send(command).is_ok()
            && let Err(error) = self.waker.wake()
        {
            tracing::warn!(error = %error, "cannot wake the tunnel");
        }
    }

    /// Returns how the engine was after its last turn.
    pub(crate) fn snapshot(&self) -> Snapshot {
        (self.snapshots())()
    }

    /// Returns a function that does so from any thread.
    pub(crate) fn snapshots(&self) -> impl Fn() -> Snapshot + Send + 'static {
        let snapshot = Arc::clone(&self.snapshot);
        move || snapshot.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Returns a function that ends the thread, from any thread.
    pub(crate) fn stopper(&self) -> impl Fn() + Send + 'static {
        let (commands, waker) = (self.commands.clone(), Arc::clone(&self.waker));
        move || {
            // A thread that has ended does not hear it.
            if commands.send(Command::Stop).is_ok() {
                let _ = waker.wake();
            }
        }
    }
}

struct Turning {
    packets: Arc<Packets>,
    buffer: Box<[u8]>,
    sockets: Sockets,
    engine: Engine,
    upstream: Upstream,
    clock: Clock,
    snapshot: Arc<Mutex<Snapshot>>,
    poll: Poll,
    spin: Spin,
    /// What tells of other networks, where the system does.
    links: Option<Links>,
    probe: Option<Probe>,
    /// Whom a probe asks for an address.
    resolvers: Vec<IpAddr>,
    /// For what comes of a probe.
    commands: Sender<Command>,
    waker: Arc<Waker>,
}

impl Turning {
    fn run(&mut self, commands: &Receiver<Command>, events: &impl Fn(Event)) -> io::Result<()> {
        let mut ready = Events::with_capacity(256);
        let mut more_packets = false;
        loop {
            let timeout = self.drain(events);
            self.show(events);
            // Packets left over from the last turn wait in the kernel: look, but do not sleep.
            let timeout = if more_packets { Some(Duration::ZERO) } else { timeout };
            let timeout = self.settle_network(timeout, events);
            match self.wait(&mut ready, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            let mut readable = more_packets;
            for event in &ready {
                match event.token() {
                    TUN => readable = true,
                    LINKS => self.hear_of_links(),
                    WAKER => {
                        if self.obey(commands, events) {
                            return Ok(());
                        }
                        self.answered_securely(events);
                    }
                    token if is_spliced(token) => self.happened(event),
                    token => self.answered(token, events),
                }
            }
            more_packets = readable && self.read_packets(events)?;
        }
    }

    /// Waits for something to happen; looks for a while before it sleeps, where that pays.
    fn wait(&mut self, ready: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        let moved = self.sockets.take_moved();
        if timeout == Some(Duration::ZERO) {
            return self.poll.poll(ready, timeout);
        }
        let began = self.clock.now();
        let look_until = began + self.spin.look_for(moved).min(timeout.unwrap_or(Duration::MAX));
        let mut now = began;
        while now < look_until {
            self.poll.poll(ready, Some(Duration::ZERO))?;
            now = self.clock.now();
            if !ready.is_empty() {
                self.spin.waited(began, now);
                return Ok(());
            }
        }
        self.poll.poll(ready, timeout)?;
        self.spin.waited(began, self.clock.now());
        Ok(())
    }

    /// Does what the engine wants; returns how long it can wait.
    fn drain(&mut self, events: &impl Fn(Event)) -> Option<Duration> {
        loop {
            let (wall, now) = (self.clock.wall(), self.clock.now());
            match self.engine.poll_output(&mut self.sockets, wall, now) {
                Output::Packet(packet) => self.packets.write_whole(&packet),
                Output::Ask { id, resolver, transport, query } => {
                    if let Err(error) =
                        self.upstream.ask(id, resolver, transport, &query, self.poll.registry())
                    {
                        tracing::debug!(error = %error, "cannot ask a resolver");
                        self.engine.handle_upstream(id, Err(UpstreamFailed), wall, now);
                    }
                }
                Output::Forget(id) => self.upstream.forget(id),
                Output::Alert(alert) => events(Event::Alert(alert)),
                Output::Probe => self.probe(),
                Output::Mistake(host) => events(Event::Mistake(host)),
                Output::Passes(passes) => events(Event::Passes(passes)),
                Output::Wait { deadline, .. } => {
                    return deadline.map(|deadline| deadline.saturating_duration_since(now));
                }
            }
        }
    }

    /// Reads what is there, up to a bound; returns whether there may be more.
    fn read_packets(&mut self, events: &impl Fn(Event)) -> io::Result<bool> {
        for _ in 0..PACKETS_A_TURN {
            if !self.read_packet(events)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn read_packet(&mut self, events: &impl Fn(Event)) -> io::Result<bool> {
        let (wall, now) = (self.clock.wall(), self.clock.now());
        let Self { packets, buffer, sockets, engine, .. } = self;
        let read = packets.read(buffer, |packet, came| match came {
            Came::One(checksum) => {
                engine.handle_packet(packet, checksum, sockets, wall, now);
                true
            }
            Came::Train(segment) => engine.handle_train(packet, segment, sockets, wall, now),
        })?;
        // What is owed to connections waits for the end of the batch; what is to be asked does not.
        if self.engine.has_outputs() {
            let _ = self.drain(events);
        }
        Ok(read)
    }

    /// Tells the engine what happened to one of its sockets.
    fn happened(&mut self, event: &mio::event::Event) {
        let (wall, now) = (self.clock.wall(), self.clock.now());
        match self.sockets.happened(event) {
            Some(Happened::Connected(id, outcome)) => {
                self.engine.handle_connected(id, outcome, &mut self.sockets, wall, now);
                if outcome.is_ok() {
                    self.engine.handle_ready(id, true, true, &mut self.sockets, wall, now);
                }
            }
            Some(Happened::Ready { id, readable, writable, failed }) => {
                if failed {
                    self.complaints(id);
                }
                self.engine.handle_ready(id, readable, writable, &mut self.sockets, wall, now);
            }
            None => {}
        }
    }

    /// Tells the engine what the network says about what a socket sent.
    fn complaints(&mut self, id: SocketId) {
        for _ in 0..COMPLAINTS_A_TURN {
            let Some(complaint) = self.sockets.complaint(id) else { return };
            let (wall, now) = (self.clock.wall(), self.clock.now());
            let crate::net::Complaint { to, from, why, sent } = complaint;
            self.engine.handle_unreachable(id, to, from, why, &sent, &mut self.sockets, wall, now);
        }
    }

    /// Takes the answers that have come over TLS.
    fn answered_securely(&mut self, events: &impl Fn(Event)) {
        while let Some((id, answer)) = self.upstream.take_secure() {
            let answer = answer.as_deref().map_err(|failed| *failed);
            self.engine.handle_upstream(id, answer, self.clock.wall(), self.clock.now());
            let _ = self.drain(events);
        }
    }

    /// Takes answers from a resolver's socket until it has none.
    fn answered(&mut self, token: Token, events: &impl Fn(Event)) {
        // A forger may send many; the engine closes the socket with the right one.
        for _ in 0..ANSWERS_A_TURN {
            let Some((id, answer)) = self.upstream.ready(token) else { return };
            let answer = answer.as_deref().map_err(|failed| *failed);
            self.engine.handle_upstream(id, answer, self.clock.wall(), self.clock.now());
            let _ = self.drain(events);
        }
    }

    /// Returns whether to stop.
    fn obey(&mut self, commands: &Receiver<Command>, events: &impl Fn(Event)) -> bool {
        loop {
            match commands.try_recv() {
                Ok(Command::Indicators(file)) => self.engine.handle_indicators(*file),
                Ok(Command::Tenant(file)) => self.engine.handle_tenant_file(*file),
                Ok(Command::Policy(policy)) => {
                    self.upstream.turn_to(&policy.dns.upstream);
                    self.engine.handle_policy(policy);
                }
                Ok(Command::Passes(passes)) => self.engine.restore_passes(passes),
                Ok(Command::Network(network)) => self.move_to(network, events),
                Ok(Command::Probed(outcome)) => {
                    let (wall, now) = (self.clock.wall(), self.clock.now());
                    self.engine.handle_probe(outcome, wall, now);
                }
                Ok(Command::Pass(PassAsk { name, reply })) => {
                    let (wall, now) = (self.clock.wall(), self.clock.now());
                    // Whoever asked may have gone; the pass is granted all the same.
                    let _ = reply.send(self.engine.handle_pass(&name, wall, now));
                }
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return true,
                Err(TryRecvError::Empty) => return false,
            }
        }
    }

    fn hear_of_links(&mut self) {
        let now = self.clock.now();
        if let Some(links) = &mut self.links {
            links.hear(now);
        }
    }

    /// Tells of another network once it has settled; returns how long there is nothing to do.
    fn settle_network(
        &mut self,
        timeout: Option<Duration>,
        events: &impl Fn(Event),
    ) -> Option<Duration> {
        let Some(links) = self.links.as_mut() else { return timeout };
        let Some(deadline) = links.deadline() else { return timeout };
        let now = self.clock.now();
        if links.take_change(now) {
            events(Event::NetworkChanged);
            return timeout;
        }
        // Counted in milliseconds by the kernel: rather late than in vain.
        let left = deadline.saturating_duration_since(now) + Duration::from_millis(1);
        Some(timeout.map_or(left, |timeout| timeout.min(left)))
    }

    /// Takes note of another network: what was learned on the one before is forgotten, and connections end that
    /// began at an address which is gone.
    fn move_to(&mut self, network: Option<Network>, events: &impl Fn(Event)) {
        if let Some(Network { resolvers, uplink }) = network {
            // As at the start: a mark goes before.
            let has_mark = self.upstream.exit().mark.is_some();
            self.sockets.leave_by(uplink.clone().filter(|_| !has_mark));
            self.upstream.leave_by(uplink);
            self.resolvers.clone_from(&resolvers);
            self.engine.handle_resolvers(resolvers);
        }
        let (wall, now) = (self.clock.wall(), self.clock.now());
        self.engine.handle_network_change(now);
        let _ = self.drain(events);
        for happened in self.sockets.strand() {
            match happened {
                Happened::Connected(id, outcome) => {
                    self.engine.handle_connected(id, outcome, &mut self.sockets, wall, now);
                }
                Happened::Ready { id, readable, writable, failed: _ } => {
                    self.engine.handle_ready(id, readable, writable, &mut self.sockets, wall, now);
                }
            }
            let _ = self.drain(events);
        }
    }

    /// Has the network probed; without a thread to do so, the engine takes it for unanswered.
    fn probe(&self) {
        let Some(probe) = &self.probe else { return };
        let places = self.resolvers.iter().map(|resolver| self.upstream.place_of(*resolver));
        let (commands, waker) = (self.commands.clone(), Arc::clone(&self.waker));
        let started = probe.start(places.collect(), self.upstream.exit(), move |outcome| {
            // Nobody listens any more only while everything ends.
            if commands.send(Command::Probed(outcome)).is_ok() {
                let _ = waker.wake();
            }
        });
        if let Err(error) = started {
            tracing::debug!(error = %error, "cannot probe the network");
        }
    }

    fn show(&self, events: &impl Fn(Event)) {
        let current = snapshot_of(&self.engine);
        let mut shown = self.snapshot.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let changed = shown.protection != current.protection
            || shown.network != current.network
            || shown.stats.indicators_damaged != current.stats.indicators_damaged;
        *shown = current;
        drop(shown);
        if changed {
            events(Event::Protection);
        }
    }
}

fn snapshot_of(engine: &Engine) -> Snapshot {
    Snapshot {
        protection: engine.protection(),
        stats: engine.stats().clone(),
        tunnel: engine.tunnel_stats(),
        tcp_flows: engine.tcp_flows(),
        udp_mappings: engine.udp_mappings(),
        network: engine.network(),
    }
}

/// The largest packet the tunnel sends: that of Ethernet, which every network takes.
pub const MTU: u16 = 1_500;
/// A packet of the largest size, and what goes before it.
const LARGEST_READ: usize = 65_535 + crate::vnet::VNET_LEN;
const TUN: Token = Token(0);
const WAKER: Token = Token(1);
const LINKS: Token = Token(2);
const FIRST_UPSTREAM: usize = 3;
/// So that answers and commands are not kept waiting by a flood.
const PACKETS_A_TURN: usize = 256;
const ANSWERS_A_TURN: usize = 16;
const COMPLAINTS_A_TURN: usize = 16;
