//! A device around the engine: applications, a tunnel, a clock, and resolvers that say what they are
//! told to.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bartizan_engine::net::Net;
use bartizan_engine::passes::Pass;
use bartizan_engine::{
    Engine, EngineConfig, NoNet, Output, Probed, Transport, UpstreamFailed, UpstreamId,
};
use bartizan_indicators::IndicatorFile;
use bartizan_indicators::build::{Stamp, build};
use bartizan_indicators::compile::Compiled;
use bartizan_model::{
    Alert, DomainName, IndicatorCategory, IndicatorSource, MatchedIndicator, Policy, UnixMillis,
};
use bartizan_wire::ip::IpPacket;
use bartizan_wire::tcp::Checksum;
use bartizan_wire::udp::{UdpDatagram, encode_udp};
use domain::base::iana::{Class, Rcode};
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::{Cname, Txt};
use ed25519_dalek::SigningKey;

pub(crate) const CLIENT: &str = "192.0.2.1:50000";
pub(crate) const CLIENT_V6: &str = "[2001:db8::1]:50000";
pub(crate) const RESOLVER: &str = "192.0.2.53:53";
pub(crate) const RESOLVER_V6: &str = "[2001:db8::53]:53";
pub(crate) const WALL: u64 = 1_700_000_000_000;

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    /// What the engine wrote to the tunnel.
    pub(crate) packets: VecDeque<Vec<u8>>,
    pub(crate) asks: VecDeque<Ask>,
    pub(crate) forgotten: Vec<UpstreamId>,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) mistakes: Vec<DomainName>,
    /// What the engine wanted to be kept last.
    pub(crate) passes: Vec<Pass>,
    /// How often the engine wanted to know whether the network is captive.
    pub(crate) probes: usize,
    pub(crate) deadline: Option<Instant>,
}

#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) id: UpstreamId,
    pub(crate) resolver: IpAddr,
    pub(crate) transport: Transport,
    pub(crate) query: Vec<u8>,
}

impl World {
    /// A device that holds an indicator file: evil.test phishes, c2.test is malware, spy.test spyware.
    pub(crate) fn new() -> Self {
        let mut world = Self::without_indicators();
        world.engine.handle_indicators(indicators(5, LISTED));
        world
    }

    pub(crate) fn without_indicators() -> Self {
        let start = t0();
        Self {
            engine: engine(start),
            start,
            now: start,
            packets: VecDeque::new(),
            asks: VecDeque::new(),
            forgotten: Vec::new(),
            alerts: Vec::new(),
            mistakes: Vec::new(),
            passes: Vec::new(),
            probes: 0,
            deadline: None,
        }
    }

    pub(crate) fn policy(&mut self, policy: Policy) {
        self.engine.handle_policy(policy);
        self.drain();
    }

    /// An application puts a query into a datagram.
    pub(crate) fn send(&mut self, client: &str, resolver: &str, query: &[u8]) {
        self.deliver(&encode_udp(addr(client), addr(resolver), query).unwrap());
    }

    pub(crate) fn deliver(&mut self, packet: &[u8]) {
        let (wall, now) = (self.wall(), self.now);
        self.engine.handle_packet(packet, Checksum::Verify, &mut NoNet, wall, now);
        self.drain();
    }

    /// What the engine said in datagrams: from, to, message.
    pub(crate) fn receive(&mut self) -> Option<(String, String, Vec<u8>)> {
        let packet = self.packets.pop_front()?;
        let packet = IpPacket::parse(&packet).unwrap();
        let datagram = UdpDatagram::parse(&packet).unwrap();
        Some((datagram.src.to_string(), datagram.dst.to_string(), datagram.payload.to_vec()))
    }

    /// The one question that the engine has just put.
    #[track_caller]
    pub(crate) fn ask(&mut self) -> Ask {
        assert_eq!(self.asks.len(), 1, "questions put");
        self.asks.pop_front().unwrap()
    }

    pub(crate) fn answer(&mut self, id: UpstreamId, answer: &[u8]) {
        self.engine.handle_upstream(id, Ok(answer), self.wall(), self.now);
        self.drain();
    }

    pub(crate) fn fail(&mut self, id: UpstreamId) {
        self.engine.handle_upstream(id, Err(UpstreamFailed), self.wall(), self.now);
        self.drain();
    }

    /// The host tells what a probe of the network came to.
    pub(crate) fn probed(&mut self, outcome: Probed) {
        self.engine.handle_probe(outcome, self.wall(), self.now);
        self.drain();
    }

    /// Lets time pass, waking the engine when it asked to be.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.deadline.filter(|deadline| *deadline <= end) {
            self.now = deadline;
            self.drain();
        }
        self.now = end;
        self.drain();
    }

    pub(crate) fn drain(&mut self) {
        self.drain_with(&mut NoNet);
    }

    pub(crate) fn drain_with(&mut self, net: &mut dyn Net) {
        for _ in 0..100_000 {
            match self.engine.poll_output(net, self.wall(), self.now) {
                Output::Packet(packet) => self.packets.push_back(packet),
                Output::Ask { id, resolver, transport, query } => {
                    self.asks.push_back(Ask { id, resolver, transport, query });
                }
                Output::Forget(id) => self.forgotten.push(id),
                Output::Alert(alert) => self.alerts.push(alert),
                Output::Passes(passes) => self.passes = passes,
                Output::Probe => self.probes += 1,
                Output::Mistake(host) => self.mistakes.push(host),
                Output::Wait { deadline, .. } => {
                    assert!(deadline.is_none_or(|deadline| self.now < deadline), "would spin");
                    self.deadline = deadline;
                    return;
                }
            }
        }
        panic!("the engine never waits");
    }

    pub(crate) fn wall(&self) -> UnixMillis {
        let millis = u64::try_from((self.now - self.start).as_millis()).unwrap();
        UnixMillis(WALL + millis)
    }
}

pub(crate) const LISTED: &[(&str, IndicatorCategory)] = &[
    ("evil.test", IndicatorCategory::Phishing),
    ("c2.test", IndicatorCategory::Malware),
    ("spy.test", IndicatorCategory::Spyware),
];

pub(crate) fn engine(start: Instant) -> Engine {
    let resolvers = vec![addr(RESOLVER).ip(), addr(RESOLVER_V6).ip()];
    Engine::new(EngineConfig { resolvers, mtu: 1_500, offload: false }, [42; 16], start)
}

pub(crate) fn indicators(epoch: u64, listed: &[(&str, IndicatorCategory)]) -> IndicatorFile {
    let listed: Vec<_> =
        listed.iter().map(|(listed, category)| (listed.parse().unwrap(), *category)).collect();
    let key = SigningKey::from_bytes(&[7; 32]);
    let stamp = Stamp { epoch, built_at: UnixMillis(0) };
    let octets = build(&Compiled::of(&listed), stamp, &key).unwrap();
    IndicatorFile::open(Box::new(octets), &key.verifying_key(), 0).unwrap()
}

/// How an alert names an entry of these indicators.
pub(crate) fn entry(text: &str) -> Option<MatchedIndicator> {
    let source = IndicatorSource::Feed("list".into());
    Some(MatchedIndicator { entry: text.into(), source })
}

pub(crate) fn name(text: &str) -> DomainName {
    DomainName::parse(text.as_bytes()).unwrap()
}

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A query with recursion desired; with EDNS if a size is given.
pub(crate) fn query(id: u16, name: &str, rtype: Rtype, udp_size: Option<u16>) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_rd(true);
    let mut question = builder.question();
    question.push((name.parse::<Name<Vec<u8>>>().unwrap(), rtype)).unwrap();
    let mut additional = question.additional();
    if let Some(size) = udp_size {
        let set = |opt: &mut domain::base::message_builder::OptBuilder<'_, Vec<u8>>| {
            opt.set_udp_payload_size(size);
            Ok(())
        };
        additional.opt(set).unwrap();
    }
    additional.finish()
}

/// A resolver's answer: a chain of aliases, then texts to fill it.
pub(crate) fn answer(query: &[u8], aliases: &[&str], text_octets: usize) -> Vec<u8> {
    let query = Message::from_octets(query).unwrap();
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_ra(true);
    let mut answer = builder.start_answer(&query, Rcode::NOERROR).unwrap();
    let mut owner: Name<Vec<u8>> =
        query.sole_question().unwrap().qname().to_string().parse().unwrap();
    for alias in aliases {
        let alias: Name<Vec<u8>> = alias.parse().unwrap();
        answer.push((&owner, Class::IN, 60, Cname::new(alias.clone()))).unwrap();
        owner = alias;
    }
    let mut left = text_octets;
    while 0 < left {
        let len = left.min(30_000);
        let text = Txt::<Vec<u8>>::build_from_slice(&vec![b'x'; len]).unwrap();
        answer.push((&owner, Class::IN, 60, text)).unwrap();
        left -= len;
    }
    answer.finish()
}

#[expect(clippy::disallowed_methods, reason = "only differences to it matter")]
pub(crate) fn t0() -> Instant {
    Instant::now()
}
