//! The sans-IO heart: packets in, packets, questions and alerts out.
//!
//! No socket, file, clock or randomness: time and seed are arguments, so the same inputs give the same
//! outputs. Feed it with `handle_*`, then drain [`Engine::poll_output`] until it says
//! [`Output::Wait`]. `now` must not run backwards, and counts time asleep.
//!
//! # What talks to what
//! Lookups end here, and are answered or asked again on sockets that the host opens. All else is spliced to sockets of
//! the host, which the splice works at once, through [`net::Net`].
//!
//! ```text
//!                              dns.rs
//! handle_packet ── UDP 53 ─────────────┐
//!               └─ TCP 53 ── tcp.rs ───┴─ query ── verdict.rs ─┬─ block answer ──► Packet
//!                                                              │   sightings.rs ─► Alert
//!                                                              ├─ cache.rs ──┐
//!                                                              └─ questions.rs, upstreams.rs ──► Ask
//! handle_upstream ── answer ── into cache.rs ── verdict.rs on  ┘
//!                              its aliases and addresses ──────┬─ block answer, as above
//!                                                              └─ bindings.rs ───► Packet
//!
//! handle_packet ── TCP, UDP, ICMP ── splice/ ──┬─ judging.rs ── verdict.rs ──► a page, a reset, a close
//!                                              └─ Net ──► sockets, tunnel
//! handle_connected, handle_ready ── splice/ ─────────────► tunnel
//!
//! handle_network_change ── captive.rs ─────────────────► Probe
//! handle_probe ─────────── captive.rs ── upstreams.rs: may lookups go out in plain
//! ```
//!
//! Beside it stands [`sync::Sync`], which decides when to talk to the portal and keeps the alerts that wait
//! (`alert_queue.rs`). The two do not know each other: the host joins them.
//!
//! # Invariants
//! - No input panics (`fuzz/`), and no table outgrows [`limits`].
//! - A name is blocked only by an exact hit of the indicator file, and only where policy blocks.
//! - Without a file, with a full table or after a fault of the resolver, names stay resolvable: what
//!   is dropped the client asks again.
//! - Every id in [`Output::Ask`] is in exactly one later [`Output::Forget`].

#![forbid(unsafe_code)]

mod alert_budget;
mod alert_queue;
mod bindings;
pub mod block_page;
mod cache;
mod captive;
mod dns;
mod filter;
mod fuzz;
mod fuzz_sockets;
mod hellos;
mod judging;
pub mod limits;
pub mod net;
mod overrides;
pub mod passes;
mod policy_names;
mod prf;
mod questions;
mod sightings;
mod splice;
mod stats;
pub mod sync;
mod tcp;
mod tunnel;
mod upstreams;
mod verdict;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

use bartizan_indicators::normal::UrlReader;
use bartizan_indicators::{IndicatorFile, Indicators, TenantFile};
use bartizan_model::{Alert, AlertId, DomainName, Mode, Policy, ProtectionState, UnixMillis};
use bartizan_wire::ParseError;
use bartizan_wire::fragment::Reassembler;
use bartizan_wire::ip::{IpPacket, Protocol};
use bartizan_wire::tcp::{Checksum, TcpSegment};
use bartizan_wire::udp::UdpDatagram;

use crate::alert_budget::AlertBudget;
use crate::bindings::Bindings;
use crate::cache::Cache;
use crate::captive::{Captivity, Change};
use crate::hellos::Hellos;
use crate::net::Net;
use crate::passes::{Offers, Pass, Passes};
use crate::prf::Prf;
use crate::questions::{Client, Questions};
use crate::sightings::{Sighting, Sightings};
use crate::splice::Splice;
use crate::tcp::TcpServer;
use crate::upstreams::Upstreams;

pub use captive::{NetworkState, Probed};
pub use filter::{FilteredFlow, FlowVerdict};
pub use fuzz::{NoNet, fuzz_block_page, fuzz_engine};
pub use questions::UpstreamId;
pub use stats::{Stats, TunnelStats};

/// What the engine is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// The device's resolvers: their addresses are the ones that are routed into the tunnel.
    pub resolvers: Vec<IpAddr>,
    /// Of the tunnel; taken as at least [`limits::MIN_MTU`] and at most [`limits::MTU`].
    pub mtu: u16,
    /// Whether the tunnel cuts large TCP segments and completes their checksums ([`net::Offload`]).
    pub offload: bool,
}

/// The engine of one device.
pub struct Engine {
    resolvers: Vec<IpAddr>,
    mtu: usize,
    offload: bool,
    policy: Policy,
    indicators: Indicators,
    cache: Cache,
    questions: Questions,
    upstreams: Upstreams,
    captivity: Captivity,
    bindings: Bindings,
    tcp: TcpServer,
    /// Away while it works, since it asks the engine to judge.
    splice: Option<Box<Splice>>,
    start: Instant,
    sightings: Sightings,
    alert_budget: AlertBudget,
    passes: Passes,
    offers: Offers,
    hellos: Hellos,
    fragments: Reassembler,
    outputs: VecDeque<Output>,
    /// Where an answer is written before it becomes a packet.
    scratch: Vec<u8>,
    /// Where the URL of a request is brought to its one form.
    urls: UrlReader,
    prf: Prf,
    stats: Stats,
}

impl Engine {
    /// Builds an engine with the default policy and no indicator file. The seed must be secret.
    #[must_use]
    pub fn new(config: EngineConfig, seed: [u8; 16], now: Instant) -> Self {
        let mtu = usize::from(config.mtu).clamp(limits::MIN_MTU, limits::MTU);
        let mut prf = Prf::new(seed);
        let upstreams = Upstreams::new(&config.resolvers);
        Self {
            resolvers: config.resolvers,
            mtu,
            offload: config.offload,
            policy: Policy::default(),
            indicators: Indicators::default(),
            cache: Cache::default(),
            questions: Questions::default(),
            upstreams,
            captivity: Captivity::default(),
            bindings: Bindings::default(),
            tcp: TcpServer::new(mtu, prf.draw(), now),
            splice: Some(Box::new(Splice::new(&mut prf))),
            start: now,
            sightings: Sightings::default(),
            alert_budget: AlertBudget::new(now),
            passes: Passes::default(),
            offers: Offers::default(),
            hellos: Hellos::default(),
            fragments: Reassembler::default(),
            outputs: VecDeque::new(),
            scratch: Vec::new(),
            urls: UrlReader::default(),
            prf,
            stats: Stats::default(),
        }
    }

    /// Takes in a packet that the tunnel delivered; with segmentation offload it may be larger than the tunnel's MTU.
    pub fn handle_packet(
        &mut self,
        packet: &[u8],
        checksum: Checksum,
        net: &mut dyn Net,
        wall: UnixMillis,
        now: Instant,
    ) {
        if self.is_not_drained() {
            return;
        }
        let ip = match IpPacket::parse(packet) {
            Ok(ip) => ip,
            Err(ParseError::Fragment) => {
                self.stats.fragments += 1;
                let Some(whole) = self.fragments.push(packet, now) else { return };
                return match IpPacket::parse(&whole).map(IpPacket::put_together) {
                    Ok(ip) => self.handle_whole(&ip, &whole, Checksum::Verify, net, wall, now),
                    // A fragment within a fragment is nobody's.
                    Err(ParseError::Fragment) => {}
                    Err(ParseError::Malformed { .. }) => self.stats.dropped_malformed += 1,
                };
            }
            Err(ParseError::Malformed { .. }) => return self.stats.dropped_malformed += 1,
        };
        self.handle_whole(&ip, packet, checksum, net, wall, now);
    }

    /// Takes in datagrams between the same ends that the tunnel delivered as one packet, each of so many octets but the
    /// last, whose checksums are not filled in. Says whether it did; if not, they are to be given one by one.
    pub fn handle_train(
        &mut self,
        packet: &[u8],
        segment: u16,
        net: &mut dyn Net,
        wall: UnixMillis,
        now: Instant,
    ) -> bool {
        match IpPacket::parse(packet) {
            Ok(ip) if ip.ports().is_some_and(|(_, port)| port != tcp::DNS_PORT) => {
                self.handle_datagrams(&ip, segment, net, wall, now)
            }
            Ok(_) | Err(_) => false,
        }
    }

    fn handle_whole(
        &mut self,
        ip: &IpPacket<'_>,
        packet: &[u8],
        checksum: Checksum,
        net: &mut dyn Net,
        wall: UnixMillis,
        now: Instant,
    ) {
        let is_dns = ip.ports().is_some_and(|(_, port)| port == tcp::DNS_PORT);
        if !is_dns || !self.takes_questions_to(ip.dst()) {
            return self.handle_traffic(ip, packet, checksum, net, wall, now);
        }
        match ip.protocol() {
            Protocol::Tcp => match TcpSegment::parse(ip, checksum) {
                Ok(_) => {
                    self.tcp.handle_packet(packet, now);
                    self.serve_tcp(wall, now);
                }
                Err(_) => self.stats.dropped_malformed += 1,
            },
            Protocol::Udp => match UdpDatagram::parse(ip) {
                Ok(UdpDatagram { src: client, dst: resolver, payload }) => {
                    self.handle_query(Client::Udp { client, resolver }, payload, wall, now);
                }
                Err(_) => self.stats.dropped_malformed += 1,
            },
            // A protocol without ports is no DNS.
            Protocol::Other(_) => {}
        }
    }

    /// Tells whether questions to this address end here: all in a tunnel for all traffic, those to the device's own
    /// resolvers otherwise.
    fn takes_questions_to(&self, resolver: IpAddr) -> bool {
        self.policy.mode == Mode::Tunnel || self.resolvers.contains(&resolver)
    }

    /// Takes in what became of a question: the message the resolver sent, without the length that TCP
    /// puts before it, or that there will be none.
    pub fn handle_upstream(
        &mut self,
        id: UpstreamId,
        answer: Result<&[u8], UpstreamFailed>,
        wall: UnixMillis,
        now: Instant,
    ) {
        if self.is_not_drained() {
            return;
        }
        let Some(question) = self.questions.take(id) else {
            return self.stats.unexpected_answer += 1;
        };
        match answer {
            Err(UpstreamFailed) => self.put_elsewhere(id, question, wall, now),
            Ok(octets) if self.relay(&question, octets, wall, now) => {
                self.outputs.push_back(Output::Forget(id));
            }
            // Somebody guesses, or it is late: the right answer may still come.
            Ok(_) => {
                self.stats.unexpected_answer += 1;
                self.questions.put_back(id, question);
            }
        }
    }

    /// Takes a verified indicator file into use, in place of the one before.
    pub fn handle_indicators(&mut self, file: IndicatorFile) {
        self.indicators.base = Some(file);
    }

    /// Takes a verified tenant file into use, in place of the one before.
    pub fn handle_tenant_file(&mut self, file: TenantFile) {
        self.indicators.tenant = Some(file);
    }

    /// Takes a policy into use. Whether it is newer than the one before is for the caller to know.
    pub fn handle_policy(&mut self, policy: Policy) {
        if self.policy.dns != policy.dns {
            // Other rules, or other people's answers.
            self.cache.clear();
            self.upstreams.forgive();
        }
        self.policy = policy;
    }

    /// Takes note that the device is on another network: what names and addresses mean may differ there.
    pub fn handle_network_change(&mut self, now: Instant) {
        self.forget_network();
        self.captivity.handle_network_change(now);
    }

    /// Takes note that the system asks these resolvers from now on.
    pub fn handle_resolvers(&mut self, resolvers: Vec<IpAddr>) {
        self.upstreams = Upstreams::new(&resolvers);
        self.resolvers = resolvers;
    }

    /// Takes note that the host can tell whether the network is captive, and wants it to ([`Output::Probe`]).
    pub fn handle_can_probe(&mut self, now: Instant) {
        self.captivity.allow(now);
    }

    /// Takes in what a probe of the network came to.
    pub fn handle_probe(&mut self, outcome: Probed, wall: UnixMillis, now: Instant) {
        match self.captivity.handle(outcome, &mut self.prf, now) {
            Change::Nothing => {}
            Change::Began => {
                self.stats.captive_portals += 1;
                self.upstreams.rest_secure(now);
                // What waits for the resolver of the policy waits in vain.
                while let Some((id, question)) = self.questions.take_secure() {
                    self.put_elsewhere(id, question, wall, now);
                }
            }
            Change::Ended => self.forget_network(),
        }
    }

    /// Returns what is known of the network.
    #[must_use]
    pub fn network(&self) -> NetworkState {
        self.captivity.state()
    }

    /// What names and addresses mean may be different from now on.
    fn forget_network(&mut self) {
        self.cache.clear();
        self.bindings.clear();
        self.upstreams.forgive();
    }

    /// Yields the names that applications were given an address for, the last one first, at most
    /// [`limits::NAMES_OF_AN_ADDRESS`]: by these a connection is judged that says no name.
    pub fn names_of(&self, address: IpAddr, now: Instant) -> impl Iterator<Item = &DomainName> {
        self.bindings.names_of(address, now)
    }

    /// Returns the next thing to do; to be called until it is [`Output::Wait`].
    pub fn poll_output(&mut self, net: &mut dyn Net, wall: UnixMillis, now: Instant) -> Output {
        self.turn_splice(net, wall, now);
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return output;
            }
            if let Some((id, question)) = self.questions.take_due(now) {
                self.tend(id, question, wall, now);
            } else if let Some(sighting) = self.sightings.take_ended(now) {
                self.raise(sighting, wall, now);
            } else if self.captivity.take_due(now) {
                return Output::Probe;
            } else if self.captivity.is_overdue(now) {
                self.handle_probe(Probed::Unanswered, wall, now);
            } else if self.tcp.deadline().is_some_and(|due_at| due_at <= now) {
                self.tcp.poll(now);
                self.serve_tcp(wall, now);
            } else {
                return self.wait(now);
            }
        }
    }

    /// Tells whether [`Engine::poll_output`] has something to give at once.
    #[must_use]
    pub fn has_outputs(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// Returns whether the device is protected at this moment.
    #[must_use]
    pub fn protection(&self) -> ProtectionState {
        // Lookups go out in plain that should not.
        let is_lax = self.captivity.state() == NetworkState::Captive
            && self.policy.dns.upstream.secure().is_some();
        match &self.indicators.base {
            _ if !verdict::is_blocking(&self.policy) => ProtectionState::Off,
            Some(_) if is_lax => ProtectionState::Degraded,
            Some(_) => ProtectionState::On,
            None => ProtectionState::Degraded,
        }
    }

    /// Returns what happened so far.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Returns the epoch of the indicator file in use.
    #[must_use]
    pub fn indicator_epoch(&self) -> Option<u64> {
        self.indicators.base.as_ref().map(IndicatorFile::epoch)
    }

    /// Returns the version of the policy in use.
    #[must_use]
    pub fn policy_version(&self) -> u64 {
        self.policy.version
    }

    /// Moves what TCP has: packets to the tunnel, queries to their answers. What does not fit among the
    /// outputs waits in the stack.
    fn serve_tcp(&mut self, wall: UnixMillis, now: Instant) {
        self.outputs.extend(std::iter::from_fn(|| self.tcp.take_packet()).map(Output::Packet));
        while let Some(query) = self.tcp.take_query(now) {
            let client = Client::Tcp { connection: query.connection, resolver: query.resolver };
            self.handle_query(client, &query.octets, wall, now);
            if limits::OUTPUTS <= self.outputs.len() {
                break;
            }
        }
    }

    fn raise(&mut self, sighting: Sighting, wall: UnixMillis, now: Instant) {
        if !self.alert_budget.spend(now) {
            self.stats.alerts_suppressed += 1;
            return;
        }
        let named = self.policy.report_blocked_host;
        self.stats.alerts += 1;
        self.outputs.push_back(Output::Alert(Alert {
            id: AlertId::new(wall, self.prf.draw_wide()),
            detector: sighting.detector,
            host: named.then_some(sighting.host),
            matched: named.then_some(sighting.matched),
            action: sighting.action,
            first_seen: sighting.first_seen,
            last_seen: sighting.last_seen,
            count: sighting.count,
            indicator_epoch: sighting.indicator_epoch,
        }));
    }

    fn wait(&self, now: Instant) -> Output {
        let reasons = [
            (self.questions.deadline(), "question is due"),
            (self.sightings.deadline(), "further blocks are due"),
            (self.captivity.deadline(), "network is probed"),
            (self.tcp.deadline(), "tcp timer"),
            (self.splice_deadline(now), "connections"),
        ];
        let next = reasons.into_iter().filter_map(|(at, reason)| Some((at?, reason))).min();
        let (deadline, reason) = next.map_or((None, "nothing to do"), |(at, why)| (Some(at), why));
        Output::Wait { deadline, reason }
    }

    /// Gives up a file that turned out to be damaged: what is left protects, and the host fetches another.
    pub(crate) fn drop_damaged(&mut self) {
        let Indicators { base, tenant } = &mut self.indicators;
        let damaged = base.take_if(|file| file.verify().is_err()).is_some()
            | tenant.take_if(|file| file.verify().is_err()).is_some();
        if !damaged {
            // Signed, and yet unreadable: whoever built them is at fault, and either may be meant.
            self.indicators = Indicators::default();
        }
    }

    fn is_not_drained(&mut self) -> bool {
        let full = limits::OUTPUTS <= self.outputs.len();
        self.stats.dropped_not_drained += u64::from(full);
        full
    }
}

/// What the host is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write it to the tunnel.
    Packet(Vec<u8>),
    /// Send it to the resolver and call [`Engine::handle_upstream`] with what comes back. The same id may
    /// come again: send again by another socket, and take what comes by either.
    Ask {
        /// To be given back.
        id: UpstreamId,
        /// Whom to ask, at port 53; of no meaning for [`Transport::Secure`].
        resolver: IpAddr,
        /// How to ask.
        transport: Transport,
        /// The message, without the length that TCP puts before it.
        query: Vec<u8>,
    },
    /// Nothing waits for this question any more: close its socket.
    Forget(UpstreamId),
    /// Put it on disk, then into the queue to the portal.
    Alert(Alert),
    /// Keep these on disk in place of the ones before, and give them back at the next start.
    Passes(Vec<Pass>),
    /// Tell the organization that a person thinks this host is stopped by mistake.
    Mistake(DomainName),
    /// Find out whether the network is captive and call [`Engine::handle_probe`].
    Probe,
    /// Nothing before this time, or before the next input.
    Wait {
        /// When to poll again.
        deadline: Option<Instant>,
        /// What for, for the log.
        reason: &'static str,
    },
}

/// How a question goes to the resolver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram.
    Udp,
    /// Over a connection, with its length before it (RFC 7766).
    Tcp,
    /// To the resolver that policy names, as policy has it.
    Secure,
}

/// The host could not put a question to the resolver, and has stopped trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamFailed;
