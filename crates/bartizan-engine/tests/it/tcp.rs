//! Queries over TCP: a client with a TCP of its own, packet by packet.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bartizan_engine::{Transport, limits};
use bartizan_wire::dns::DnsAnswer;
use domain::base::Rtype;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant as Stamp;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use crate::world::*;

#[test]
fn a_listed_name_is_blocked_over_tcp() {
    for (client, resolver) in [(CLIENT, RESOLVER), (CLIENT_V6, RESOLVER_V6)] {
        let mut world = World::new();
        let mut client = Client::connect(&mut world, client, resolver, 65_535);
        client.ask(&mut world, &query(7, "evil.test", Rtype::A, Some(1_232)));
        let block = client.read(&mut world).unwrap();
        assert_eq!(DnsAnswer::parse(&block).unwrap().id(), 7);
        assert!(block.windows(10).any(|window| window.ends_with(&[0, 4, 0, 0, 0, 0])));
        assert_eq!((world.asks.len(), world.alerts.len()), (0, 1));
        assert_eq!(world.engine.stats().queries_tcp, 1);
    }
}

#[test]
fn any_other_name_is_forwarded_over_tcp() {
    for (client, resolver) in [(CLIENT, RESOLVER), (CLIENT_V6, RESOLVER_V6)] {
        let mut world = World::new();
        let mut client = Client::connect(&mut world, client, resolver, 65_535);
        let asked = query(7, "good.test", Rtype::TXT, None);
        client.ask(&mut world, &asked);
        let ask = world.ask();
        assert_eq!((ask.resolver, ask.transport), (addr(resolver).ip(), Transport::Tcp));
        world.answer(ask.id, &answer(&ask.query, &[], 2_000));
        assert_eq!(client.read(&mut world).unwrap(), answer(&asked, &[], 2_000));
        assert_eq!(world.forgotten, [ask.id]);
    }
}

#[test]
fn an_alias_of_a_listed_name_is_blocked_over_tcp() {
    let mut world = World::new();
    let mut client = Client::connect(&mut world, CLIENT, RESOLVER, 65_535);
    client.ask(&mut world, &query(7, "shop.test", Rtype::HTTPS, None));
    let ask = world.ask();
    world.answer(ask.id, &answer(&ask.query, &["c2.test"], 10));
    let block = client.read(&mut world).unwrap();
    assert_eq!(DnsAnswer::parse(&block).unwrap().aliases().count(), 0);
    assert_eq!(world.alerts.len(), 1);
}

#[test]
fn queries_of_one_connection_are_answered_in_turn() {
    let mut world = World::new();
    let mut client = Client::connect(&mut world, CLIENT, RESOLVER, 65_535);
    let names = ["good.test", "evil.test", "other.test", "c2.test"];
    let queries: Vec<_> =
        (0..).zip(names).map(|(id, name)| query(id, name, Rtype::A, None)).collect();
    let framed: Vec<u8> = queries.iter().flat_map(|query| frame(query)).collect();
    // The second message comes in two pieces.
    let cut = framed.len() / 2;
    client.write(&mut world, &framed[..cut]);
    client.write(&mut world, &framed[cut..]);
    for _ in 0..2 {
        let ask = world.ask();
        world.answer(ask.id, &answer(&ask.query, &[], 10));
        client.settle(&mut world);
    }
    for id in 0..4 {
        let answer = client.read(&mut world).unwrap();
        assert_eq!(DnsAnswer::parse(&answer).unwrap().id(), id);
    }
    assert_eq!(world.engine.stats().blocked, 2);
}

#[test]
fn many_blocked_queries_in_one_segment_are_all_answered() {
    let mut world = World::new();
    let mut client = Client::connect(&mut world, CLIENT, RESOLVER, 65_535);
    let framed: Vec<u8> = (0..400)
        .flat_map(|id| frame(&query(id, &format!("h{id}.evil.test"), Rtype::HTTPS, None)))
        .collect();
    client.write(&mut world, &framed);
    for id in 0..400 {
        let answer = client.read(&mut world).unwrap();
        assert_eq!(DnsAnswer::parse(&answer).unwrap().id(), id);
    }
    let stats = world.engine.stats();
    assert_eq!((stats.blocked, stats.alerts + stats.alerts_suppressed), (400, 400));
    assert_eq!(world.alerts.len(), limits::ALERT_BURST);
}

#[test]
fn an_answer_larger_than_any_buffer_arrives_whole() {
    for window in [65_535, 3_000] {
        let mut world = World::new();
        let mut client = Client::connect(&mut world, CLIENT, RESOLVER, window);
        let asked = query(7, "good.test", Rtype::TXT, None);
        client.ask(&mut world, &asked);
        let ask = world.ask();
        world.answer(ask.id, &answer(&ask.query, &[], 40_000));
        assert_eq!(client.read(&mut world).unwrap(), answer(&asked, &[], 40_000));
    }
}

#[test]
fn a_large_answer_waits_for_the_client_only() {
    let mut world = World::new();
    let mut client = Client::connect(&mut world, CLIENT, RESOLVER, 65_535);
    client.socket().set_ack_delay(None);
    client.ask(&mut world, &query(7, "good.test", Rtype::TXT, None));
    let (ask, before) = (world.ask(), world.now);
    world.answer(ask.id, &answer(&ask.query, &[], 40_000));
    while client.carry(&mut world) {}
    assert!(40_000 < client.read.len(), "{} octets", client.read.len());
    assert_eq!(world.now, before);
}

#[test]
fn a_client_that_has_said_all_it_had_to_say_still_gets_its_answer() {
    let mut world = World::new();
    let mut client = Client::connect(&mut world, CLIENT, RESOLVER, 65_535);
    client.ask(&mut world, &query(7, "good.test", Rtype::A, None));
    client.socket().close();
    client.settle(&mut world);
    let ask = world.ask();
    world.answer(ask.id, &answer(&ask.query, &[], 20_000));
    assert!(client.read(&mut world).is_some());
    client.settle(&mut world);
    assert!(matches!(client.socket().state(), State::TimeWait | State::Closed));
}

#[test]
fn a_question_without_an_answer_resets_its_connection() {
    for outage in [false, true] {
        let mut world = World::new();
        let mut client = Client::connect(&mut world, CLIENT, RESOLVER, 65_535);
        client.ask(&mut world, &query(7, "good.test", Rtype::A, None));
        let ask = world.ask();
        if outage {
            (0..limits::QUESTION_ASKED).for_each(|_| world.fail(ask.id));
        } else {
            world.pass(limits::QUESTION_LIFETIME)
        }
        client.settle(&mut world);
        assert_eq!(client.socket().state(), State::Closed, "outage: {outage}");
        assert_eq!(world.forgotten, [ask.id]);
    }
}

#[test]
fn a_connection_that_says_nothing_is_reset() {
    let mut world = World::new();
    let mut client = Client::connect(&mut world, CLIENT, RESOLVER, 65_535);
    client.write(&mut world, &[0]);
    world.pass(limits::TCP_IDLE - s(1));
    client.settle(&mut world);
    assert_eq!(client.socket().state(), State::Established);
    world.pass(s(1));
    client.settle(&mut world);
    assert_eq!(client.socket().state(), State::Closed);
    assert_eq!(world.deadline, None);
}

#[test]
fn what_is_no_query_resets_its_connection() {
    let mut response = query(7, "good.test", Rtype::A, None);
    response[2] |= 0x80;
    for nonsense in [frame(&response), frame(b""), vec![0xff, 0xff, 0, 0]] {
        let mut world = World::new();
        let mut client = Client::connect(&mut world, CLIENT, RESOLVER, 65_535);
        client.write(&mut world, &nonsense);
        assert_eq!(client.socket().state(), State::Closed, "{nonsense:02x?}");
        assert_eq!((world.asks.len(), world.engine.stats().dropped_malformed), (0, 1));
    }
}

#[test]
fn one_connection_too_many_is_refused_and_a_closed_one_makes_room() {
    let mut world = World::new();
    let mut clients: Vec<_> = (0..limits::TCP_CONNECTIONS)
        .map(|port| {
            Client::connect(&mut world, &format!("192.0.2.1:{}", 40_000 + port), RESOLVER, 4_096)
        })
        .collect();
    let refused = Client::open(&mut world, "192.0.2.1:50000", RESOLVER, 4_096);
    assert_eq!(refused.state(), State::Closed);
    clients[3].socket().close();
    clients[3].settle(&mut world);
    let mut accepted = Client::connect(&mut world, "192.0.2.1:50001", RESOLVER, 4_096);
    accepted.ask(&mut world, &query(7, "evil.test", Rtype::A, None));
    assert!(accepted.read(&mut world).is_some());
}

#[test]
fn a_late_answer_never_reaches_the_next_client() {
    let mut world = World::new();
    let mut first = Client::connect(&mut world, "192.0.2.1:40000", RESOLVER, 4_096);
    first.ask(&mut world, &query(7, "good.test", Rtype::A, None));
    let late = world.ask();
    first.socket().abort();
    first.settle(&mut world);
    // The same socket of the engine serves it, and it waits for an answer too.
    let mut second = Client::connect(&mut world, "192.0.2.1:40001", RESOLVER, 4_096);
    second.ask(&mut world, &query(7, "good.test", Rtype::A, None));
    let ask = world.ask();
    world.answer(late.id, &answer(&late.query, &[], 10));
    assert_eq!(second.read(&mut world), None);
    world.answer(ask.id, &answer(&ask.query, &[], 20));
    assert_eq!(
        second.read(&mut world).unwrap(),
        answer(&query(7, "good.test", Rtype::A, None), &[], 20)
    );
}

#[test]
fn a_segment_to_another_port_is_no_dns() {
    let mut world = World::new();
    let client = Client::open(&mut world, CLIENT, "192.0.2.53:80", 4_096);
    assert_ne!(client.state(), State::Established);
    assert_eq!((world.engine.tunnel_stats().tcp_opened, world.engine.stats().queries()), (1, 0));
}

/// An application with one connection and its own TCP.
struct Client {
    interface: Interface,
    link: Link,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    read: Vec<u8>,
}

impl Client {
    #[track_caller]
    fn connect(world: &mut World, local: &str, remote: &str, window: usize) -> Self {
        let client = Self::open(world, local, remote, window);
        assert_eq!(client.state(), State::Established);
        client
    }

    fn open(world: &mut World, local: &str, remote: &str, window: usize) -> Self {
        let (local, remote): (SocketAddr, SocketAddr) = (addr(local), addr(remote));
        let mut link = Link::default();
        let mut interface =
            Interface::new(Config::new(HardwareAddress::Ip), &mut link, Stamp::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(IpAddress::from(local.ip()), 24)).unwrap();
        });
        let mut socket =
            Socket::new(SocketBuffer::new(vec![0; window]), SocketBuffer::new(vec![0; 65_535]));
        socket.connect(interface.context(), remote, local).unwrap();
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(socket);
        let mut client = Self { interface, link, sockets, handle, read: Vec::new() };
        client.settle(world);
        client
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    fn state(&self) -> State {
        self.sockets.get::<Socket<'_>>(self.handle).state()
    }

    fn ask(&mut self, world: &mut World, query: &[u8]) {
        self.write(world, &frame(query));
    }

    fn write(&mut self, world: &mut World, octets: &[u8]) {
        assert_eq!(self.socket().send_slice(octets), Ok(octets.len()));
        self.settle(world);
    }

    /// Reads one message, if a whole one comes.
    fn read(&mut self, world: &mut World) -> Option<Vec<u8>> {
        for _ in 0..200 {
            if let [l1, l0, rest @ ..] = self.read.as_slice() {
                let len = usize::from(u16::from_be_bytes([*l1, *l0]));
                if let Some(message) = rest.get(..len) {
                    let message = message.to_vec();
                    self.read.drain(..len + 2);
                    return Some(message);
                }
            }
            self.settle(world);
        }
        None
    }

    /// Carries packets to and fro until both sides are silent, for 10 ms of delayed acknowledgments.
    fn settle(&mut self, world: &mut World) {
        for _ in 0..20 {
            while self.carry(world) {}
            world.pass(Duration::from_millis(1));
        }
    }

    fn carry(&mut self, world: &mut World) -> bool {
        self.link.received.append(&mut world.packets);
        let at = Stamp::from_micros(i64::try_from((world.now - world.start).as_micros()).unwrap());
        self.interface.poll(at, &mut self.link, &mut self.sockets);
        let socket = self.sockets.get_mut::<Socket<'_>>(self.handle);
        while socket.can_recv() {
            self.read.extend(socket.recv(|octets| (octets.len(), octets.to_vec())).unwrap());
        }
        let sent = std::mem::take(&mut self.link.sent);
        for packet in &sent {
            world.deliver(packet);
        }
        !sent.is_empty() || !world.packets.is_empty()
    }
}

fn frame(message: &[u8]) -> Vec<u8> {
    let mut framed = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    framed.extend(message);
    framed
}

#[derive(Default)]
struct Link {
    received: VecDeque<Vec<u8>>,
    sent: Vec<Vec<u8>>,
}

impl Device for Link {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sent<'a>;

    fn receive(&mut self, _: Stamp) -> Option<(Received, Sent<'_>)> {
        let packet = self.received.pop_front()?;
        Some((Received(packet), Sent(&mut self.sent)))
    }

    fn transmit(&mut self, _: Stamp) -> Option<Sent<'_>> {
        Some(Sent(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1_500;
        capabilities
    }
}

struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

struct Sent<'a>(&'a mut Vec<Vec<u8>>);

impl TxToken for Sent<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut packet = vec![0; len];
        let result = write(&mut packet);
        self.0.push(packet);
        result
    }
}
