//! Octets as a scenario: what happens to an engine, and when.
//!
//! A seed, a property test and the fuzzer can all drive it. Each step is an octet that says what, an
//! octet that says how much, and that many octets; see [`Step`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use bartizan_model::{
    DnsPolicy, DnsUpstream, IndicatorCategory, Mode, Policy, UnixMillis, WebProtection,
};
use bartizan_wire::ip::{IpPacket, Protocol};
use bartizan_wire::tcp::Checksum;
use bartizan_wire::udp::encode_udp;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv4Repr, TcpPacket, TcpSeqNumber};

use crate::block_page::{
    Asked, BlockPage, Choice, Language, MAX_RESPONSE, read_target, write_block_page, write_redirect,
};
use crate::fuzz_sockets::{Sockets, application, connect_outcome};
use crate::net::{
    Close, ConnectError, Incoming, Net, Outgoing, Received, SendError, Sent, SocketId, SocketKind,
    TunnelPacket,
};
use crate::{Engine, Output, Probed, UpstreamFailed, UpstreamId, limits};

/// Plays a scenario and returns all that the engine put out. Its resolvers should be 192.0.2.53 and
/// 2001:db8::53.
#[doc(hidden)]
pub fn fuzz_engine(engine: &mut Engine, octets: &[u8], start: Instant) -> Vec<Output> {
    let mut world = World {
        engine,
        start,
        now: start,
        asked: Vec::new(),
        acknowledges: TcpSeqNumber(0),
        sockets: Sockets::default(),
        outputs: Vec::new(),
    };
    let mut rest = octets;
    while let [kind, len, tail @ ..] = rest {
        let (octets, next) = tail.split_at(tail.len().min(usize::from(*len)));
        world.step(Step::from_octet(*kind), octets);
        rest = next;
    }
    world.outputs
}

/// Reads lines as the target and the languages of a request, and as the names on a page.
#[doc(hidden)]
pub fn fuzz_block_page(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default();
    let (target, accept_language, host, feed) = (next(), next(), next(), next());
    let token = match read_target(target) {
        Asked::Choice(Choice::Continue(token) | Choice::Report(token)) => {
            assert!(
                target.to_ascii_lowercase().ends_with(&token.to_string()),
                "a token has one text"
            );
            Some(token)
        }
        Asked::Site | Asked::Nothing => None,
    };
    let mut out = Vec::new();
    let page = BlockPage {
        host,
        category: IndicatorCategory::Phishing,
        feed: Some(feed),
        pass_hours: token.map(|_| 24),
        token,
        language: Language::of(accept_language),
    };
    write_block_page(&page, &mut out);
    assert!(out.len() <= MAX_RESPONSE, "a page keeps within its bound");
    let forms = if token.is_some() { 2 } else { 0 };
    let written = String::from_utf8_lossy(&out);
    assert_eq!(written.matches("<form ").count(), forms, "no name makes a form");
    out.clear();
    write_redirect(target, &mut out);
    let lines = out.windows(2).filter(|pair| pair == b"\r\n").count();
    assert_eq!(lines, 7, "no target makes a line");
}

/// What may happen. The octets of a step are its argument.
enum Step {
    /// A packet as it stands.
    Packet,
    /// A datagram to the resolver, over IPv4 or IPv6.
    Udp {
        v6: bool,
    },
    /// A TCP segment to the resolver whose checksum is put right, and on demand what it acknowledges.
    Tcp {
        acks: bool,
    },
    /// A query for one of a few names: which, of which type, with which id.
    Query,
    /// The resolver answers the last question: how many records, and what they are.
    Answer,
    /// The resolver answers with these octets and nothing else.
    RawAnswer,
    /// The host gives up on the last question.
    Failure,
    /// Time passes: in units of 100 ms.
    Pause,
    /// Policy changes, and perhaps the network.
    Policy,
    /// A segment of one of a few connections, or a datagram, beside DNS.
    Segment,
    Datagram,
    /// How it went to connect one of the sockets.
    Connected,
    /// One of the sockets can be read, written or both.
    Ready,
    /// What sockets do from now on.
    Script,
}

impl Step {
    fn from_octet(octet: u8) -> Self {
        match octet {
            128.. => match octet % 8 {
                0..=2 => Self::Segment,
                3 => Self::Datagram,
                4 => Self::Connected,
                5 | 6 => Self::Ready,
                _ => Self::Script,
            },
            _ => Self::from_small_octet(octet),
        }
    }

    fn from_small_octet(octet: u8) -> Self {
        match octet % 11 {
            0 => Self::Packet,
            1 => Self::Udp { v6: false },
            2 => Self::Udp { v6: true },
            3 => Self::Tcp { acks: true },
            4 => Self::Answer,
            5 => Self::RawAnswer,
            6 => Self::Failure,
            7 => Self::Pause,
            8 => Self::Policy,
            9 => Self::Query,
            _ => Self::Tcp { acks: false },
        }
    }
}

struct World<'a> {
    engine: &'a mut Engine,
    start: Instant,
    now: Instant,
    /// Questions that were not forgotten.
    asked: Vec<(UpstreamId, Vec<u8>)>,
    /// What a client that got everything acknowledges.
    acknowledges: TcpSeqNumber,
    sockets: Sockets,
    outputs: Vec<Output>,
}

impl World<'_> {
    fn step(&mut self, step: Step, octets: &[u8]) {
        let (wall, now) = (self.wall(), self.now);
        let first = octets.first().copied().unwrap_or(0);
        match step {
            Step::Packet => self.packet(octets),
            Step::Udp { v6 } => self.datagram(v6, octets),
            Step::Tcp { acks } => {
                let packet = tcp_packet(octets, acks.then_some(self.acknowledges));
                self.packet(&packet);
            }
            Step::Query => self.datagram(first & 1 == 1, &query(octets)),
            Step::Answer => {
                if let Some((id, mut answer)) = self.asked.last().cloned() {
                    if let Some([_, _, flags, _, _, _, _, count]) = answer.first_chunk_mut() {
                        *flags |= 0x80;
                        *count = first;
                    }
                    answer.extend(octets.iter().skip(1));
                    self.engine.handle_upstream(id, Ok(&answer), wall, now);
                }
            }
            Step::RawAnswer => {
                let id = self.asked.last().map_or_else(|| UpstreamId(first.into()), |(id, _)| *id);
                self.engine.handle_upstream(id, Ok(octets), wall, now);
            }
            Step::Failure => {
                let id = self.asked.last().map_or_else(|| UpstreamId(first.into()), |(id, _)| *id);
                self.engine.handle_upstream(id, Err(UpstreamFailed), wall, now);
            }
            Step::Pause => self.now += Duration::from_millis(100) * u32::from(first),
            Step::Policy => {
                let web_protection =
                    if first & 1 == 0 { WebProtection::Block } else { WebProtection::Off };
                let report_blocked_host = first & 2 == 0;
                let is_secure = first & 4 == 4;
                let dns = DnsPolicy {
                    upstream: if is_secure { secure() } else { DnsUpstream::System },
                    upstream_fallback: first & 8 == 0,
                    strip_ech: first & 16 == 16,
                    block_encrypted_dns: first & 32 == 32,
                    block_private_relay: first & 64 == 64,
                };
                let traffic = octets.get(1).is_some_and(|octet| octet & 1 == 1);
                let policy = Policy {
                    mode: if traffic { Mode::Tunnel } else { Mode::Dns },
                    web_protection,
                    report_blocked_host,
                    dns,
                    ..Policy::default()
                };
                self.engine.handle_policy(policy);
                if first & 128 == 128 {
                    self.engine.handle_can_probe(now);
                    self.engine.handle_network_change(now);
                    let outcome = match first & 3 {
                        0 => Probed::Open,
                        1 => Probed::Unanswered,
                        _ => Probed::Captive,
                    };
                    self.drain();
                    self.engine.handle_probe(outcome, wall, now);
                }
            }
            Step::Segment => {
                let packet = self.sockets.segment(octets);
                self.packet(&packet);
            }
            Step::Datagram => {
                let (src, dst) = application(first.into());
                let payload = octets.get(1..).unwrap_or_default();
                if let Some(packet) = encode_udp(src, dst, payload) {
                    // Some come as several in one packet first, which may not be taken so.
                    let segment = payload.get(1).copied().unwrap_or(0).into();
                    let net = &mut self.sockets;
                    let is_taken = payload.len().is_multiple_of(2)
                        && self.engine.handle_train(&packet, segment, net, wall, now);
                    if !is_taken {
                        self.packet(&packet);
                    }
                }
            }
            Step::Connected => {
                if let Some(id) = self.socket(first).filter(|id| id.kind == SocketKind::Tcp) {
                    let outcome = connect_outcome(octets.get(1).copied().unwrap_or(0));
                    self.engine.handle_connected(id, outcome, &mut self.sockets, wall, now);
                }
            }
            Step::Ready => {
                if let Some(id) = self.socket(first) {
                    let which = octets.get(1).copied().unwrap_or(1);
                    let (readable, writable) = (which & 1 == 1, which & 2 == 2);
                    let net = &mut self.sockets;
                    self.engine.handle_ready(id, readable, writable, net, wall, now);
                }
            }
            Step::Script => self.sockets.follow(octets),
        }
        self.drain();
    }

    fn socket(&self, which: u8) -> Option<SocketId> {
        let open = &self.sockets.open;
        open.get(usize::from(which).checked_rem(open.len())?).copied()
    }

    fn datagram(&mut self, v6: bool, payload: &[u8]) {
        let (client, resolver): (IpAddr, IpAddr) = if v6 {
            (CLIENT_V6.into(), RESOLVER_V6.into())
        } else {
            (CLIENT.into(), RESOLVER.into())
        };
        let (client, resolver) = (SocketAddr::new(client, 50_000), SocketAddr::new(resolver, 53));
        if let Some(packet) = encode_udp(client, resolver, payload) {
            self.packet(&packet);
        }
    }

    fn packet(&mut self, octets: &[u8]) {
        let (wall, now) = (self.wall(), self.now);
        self.engine.handle_packet(octets, Checksum::Verify, &mut self.sockets, wall, now);
    }

    fn drain(&mut self) {
        for taken in 0.. {
            assert!(taken < 10_000, "the engine never waits");
            let (wall, now) = (self.wall(), self.now);
            let output = self.engine.poll_output(&mut self.sockets, wall, now);
            match &output {
                Output::Ask { id, query, .. } => {
                    self.asked.retain(|(asked, _)| asked != id);
                    self.asked.push((*id, query.clone()));
                }
                Output::Forget(id) => {
                    let before = self.asked.len();
                    self.asked.retain(|(asked, _)| asked != id);
                    assert!(self.asked.len() < before, "forgotten without being asked");
                }
                Output::Packet(packet) => {
                    assert!(packet.len() <= limits::MTU);
                    self.acknowledge(packet);
                }
                Output::Alert(alert) => assert!(0 < alert.count),
                // The host answers when it likes, or not at all.
                Output::Probe => {}
                Output::Mistake(host) => assert!(!host.as_str().is_empty()),
                Output::Passes(passes) => assert!(passes.len() <= limits::PASSES),
                // A connection that has more to do lets others go first.
                Output::Wait { deadline: Some(deadline), .. } if *deadline <= self.now => continue,
                Output::Wait { .. } => {
                    self.outputs.push(output);
                    break;
                }
            }
            self.outputs.push(output);
        }
        assert!(self.asked.len() <= limits::QUESTIONS, "more questions than the limit");
    }

    fn acknowledge(&mut self, packet: &[u8]) {
        let packet = IpPacket::parse(packet).ok().filter(|ip| ip.protocol() == Protocol::Tcp);
        let Some(Ok(tcp)) = packet.map(|ip| TcpPacket::new_checked(ip.payload())) else { return };
        self.acknowledges = tcp.seq_number() + tcp.segment_len();
    }

    fn wall(&self) -> UnixMillis {
        let millis = self.now.saturating_duration_since(self.start).as_millis();
        UnixMillis(1_700_000_000_000 + u64::try_from(millis).unwrap_or(0))
    }
}

/// A host without sockets: only DNS works.
#[doc(hidden)]
#[derive(Debug)]
pub struct NoNet;

impl Net for NoNet {
    fn connect(&mut self, _: SocketId, _: SocketAddr) -> Result<(), ConnectError> {
        Err(ConnectError::NoRoom)
    }

    fn send(&mut self, _: SocketId, _: &[u8]) -> Sent {
        Sent::Failed
    }

    fn receive(&mut self, _: SocketId, _: &mut [&mut [u8]]) -> Received {
        Received::Failed
    }

    fn shutdown(&mut self, _: SocketId) {}

    fn close(&mut self, _: SocketId, _: Close) {}

    fn open(&mut self, _: SocketId, _: SocketAddr) -> Result<(), ConnectError> {
        Err(ConnectError::NoRoom)
    }

    fn send_to(&mut self, _: SocketId, _: &Outgoing<'_>) -> Result<(), SendError> {
        Err(SendError::Full)
    }

    fn receive_from(&mut self, _: SocketId, _: &mut [u8]) -> Option<Incoming> {
        None
    }

    fn write_packet(&mut self, _: &TunnelPacket<'_>) {}
}

/// Builds a query for one of a few names, so that an indicator file may hold some of them.
fn query(octets: &[u8]) -> Vec<u8> {
    let mut octets = octets.iter().copied();
    let mut octet = || octets.next().unwrap_or(0);
    let name: &[u8] = match octet() >> 1 & 3 {
        0 => b"\x04good\x04test\0",
        1 => b"\x04evil\x04test\0",
        2 => b"\x05Login\x04Evil\x04test\0",
        _ => b"\x0aevil.other\x04test\0",
    };
    let qtype = octet() % 66;
    let mut query = vec![octet(), octet(), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend_from_slice(name);
    query.extend_from_slice(&[0, qtype, 0, 1]);
    query
}

/// Wraps a segment into IPv4 towards the resolver.
fn tcp_packet(segment: &[u8], acknowledges: Option<TcpSeqNumber>) -> Vec<u8> {
    let mut segment = segment.to_vec();
    // The header has 20 octets, of which four are the ports; let those be right.
    segment.resize(segment.len().max(20), 0);
    let mut tcp = TcpPacket::new_unchecked(segment);
    tcp.set_src_port(50_000);
    tcp.set_dst_port(53);
    if let Some(number) = acknowledges {
        tcp.set_ack_number(number);
    }
    tcp.fill_checksum(&CLIENT.into(), &RESOLVER.into());
    let segment = tcp.into_inner();
    let ip = Ipv4Repr {
        src_addr: CLIENT,
        dst_addr: RESOLVER,
        next_header: IpProtocol::Tcp,
        payload_len: segment.len(),
        hop_limit: 64,
    };
    let mut packet = vec![0; ip.buffer_len()];
    packet.extend_from_slice(&segment);
    ip.emit(&mut Ipv4Packet::new_unchecked(&mut packet), &ChecksumCapabilities::default());
    packet
}

fn secure() -> DnsUpstream {
    "tls://dns.example?ip=192.0.2.99".parse().unwrap_or_default()
}

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const RESOLVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const RESOLVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53);
