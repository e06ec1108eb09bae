//! What the tunnel does with connections to what is listed: by name, by path, by address, and by what was looked up.

use std::net::SocketAddr;

use bartizan_engine::NoNet;
use bartizan_engine::net::{
    Close, ConnectError, Incoming, Net, Outgoing, Received, SendError, Sent, SocketId, TunnelPacket,
};
use bartizan_model::{Detector, IndicatorAction, IndicatorCategory, Mode, Policy};
use bartizan_wire::icmp::Unreachable;
use bartizan_wire::ip::IpPacket;
use bartizan_wire::tcp::{Checksum, Flags, MAX_HEADERS_LEN, TcpHeader, TcpSegment};
use bartizan_wire::udp::encode_udp;
use domain::base::Rtype;

use crate::passes::warning;
use crate::world::*;

#[test]
fn a_hello_for_a_listed_name_is_reset_and_never_sent() {
    let mut app = App::new(tunnel());
    app.connect("198.51.100.7:443");
    app.say(&hello(Some("login.evil.test")));
    assert!(app.net.sent.is_empty() && app.net.is_closed && app.was_reset());
    app.world.drain();
    let [alert] = &app.world.alerts[..] else { panic!("{:?}", app.world.alerts) };
    assert_eq!(alert.detector, Detector::WebPhishingBlocked);
    assert_eq!(alert.host, Some(name("login.evil.test")));
}

#[test]
fn a_hello_for_another_name_passes_however_it_is_cut() {
    let hello = hello(Some("good.test"));
    for cut in [1, 5, 6, 40, hello.len() - 1] {
        let mut app = App::new(tunnel());
        app.connect("198.51.100.7:443");
        app.say(&hello[..cut]);
        assert!(app.net.sent.is_empty(), "held at {cut}");
        app.say(&hello[cut..]);
        assert_eq!(app.net.sent, hello, "cut at {cut}");
    }
}

#[test]
fn what_does_not_become_readable_in_time_passes() {
    let mut app = App::new(tunnel());
    app.connect("198.51.100.7:443");
    app.say(&hello(Some("good.test"))[..20]);
    assert!(app.net.sent.is_empty());
    app.world.now += s(4);
    app.poll();
    assert_eq!(app.net.sent.len(), 20);
    assert_eq!(app.world.engine.tunnel_stats().held_too_long, 1);
}

#[test]
fn a_request_to_a_listed_host_gets_a_page_and_the_site_nothing() {
    let mut app = App::new(tunnel());
    app.connect("198.51.100.7:80");
    app.say(b"GET /secret HTTP/1.1\r\nHost: www.evil.test\r\nAccept-Language: de\r\n\r\n");
    assert!(app.net.sent.is_empty() && app.net.is_closed);
    let page = app.heard();
    assert!(page.starts_with("HTTP/1.1 403 "), "{page}");
    assert!(page.contains("www.evil.test") && page.contains("lang=de") && !page.contains("secret"));
}

#[test]
fn a_request_is_judged_by_its_path_however_that_is_spelled() {
    let listed = [("shared.test/bad/%62", IndicatorCategory::Phishing)];
    for (target, stops) in [
        ("/bad/b", true),
        ("/x/../bad//b/c?d", true),
        ("/%62ad/%2562#f", true),
        ("/", false),
        ("/bad", false),
        ("/?/bad/b", false),
    ] {
        let mut app = App::new(tunnel());
        app.world.engine.handle_indicators(indicators(6, &listed));
        app.connect("198.51.100.7:80");
        let request = format!("GET {target} HTTP/1.1\r\nHost: www.shared.test:80\r\n\r\n");
        app.say(request.as_bytes());
        assert_eq!(app.net.sent.is_empty(), stops, "{target}");
    }
}

#[test]
fn a_later_request_of_a_connection_is_judged_too() {
    let mut app = App::new(tunnel());
    app.connect("198.51.100.7:80");
    let fine = b"GET / HTTP/1.1\r\nHost: good.test\r\n\r\n";
    app.say(fine);
    assert_eq!(app.net.sent, fine);
    app.say(b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n");
    assert_eq!(app.net.sent, fine, "the second one is not sent");
    assert!(app.heard().starts_with("HTTP/1.1 403 "));
}

#[test]
fn a_person_who_is_warned_goes_on_by_the_page() {
    let mut app = App::new(in_tunnel(warning()));
    app.connect("198.51.100.7:80");
    app.say(b"GET /a?b HTTP/1.1\r\nHost: warned.test\r\n\r\n");
    let page = app.heard();
    let token = page.split("name=token value=").nth(1).unwrap();
    let token = token.split('>').next().unwrap().to_owned();

    let request = format!(
        "GET /.well-known/bartizan/continue?token={token} HTTP/1.1\r\nHost: warned.test\r\n\r\n"
    );
    app.connect("198.51.100.7:80");
    app.say(request.as_bytes());
    let answer = app.heard();
    assert!(answer.starts_with("HTTP/1.1 303 ") && answer.contains("Location: /a?b\r\n"));
    assert!(app.net.sent.is_empty(), "none of this leaves the device");

    app.connect("198.51.100.7:80");
    let again = b"GET /a?b HTTP/1.1\r\nHost: warned.test\r\n\r\n";
    app.say(again);
    assert_eq!(app.net.sent, again);
    app.world.drain();
    let overridden = |alert: &&bartizan_model::Alert| {
        alert.detector == Detector::WebPhishingOverridden && alert.action == IndicatorAction::Warn
    };
    assert_eq!(app.world.alerts.iter().filter(overridden).count(), 1);
}

#[test]
fn a_person_reports_a_mistake_by_the_page() {
    let mut app = App::new(tunnel());
    app.connect("198.51.100.7:80");
    app.say(b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n");
    let page = app.heard();
    let token = page.split("name=token value=").nth(1).unwrap();
    let token = token.split('>').next().unwrap().to_owned();
    let request = format!(
        "GET /.well-known/bartizan/report?token={token} HTTP/1.1\r\nHost: evil.test\r\n\r\n"
    );
    app.connect("198.51.100.7:80");
    app.say(request.as_bytes());
    assert!(app.heard().starts_with("HTTP/1.1 200 "));
    app.world.drain();
    assert_eq!(app.world.mistakes, [name("evil.test")]);
}

#[test]
fn a_warned_name_resolves_in_the_tunnel_and_not_in_dns_mode() {
    for (mode, opens) in [(Mode::Tunnel, true), (Mode::Dns, false)] {
        let mut world = warning();
        world.policy(Policy { mode, ..Policy::default() });
        world.send(CLIENT, RESOLVER, &query(1, "warned.test", Rtype::A, None));
        assert_eq!(world.asks.len(), usize::from(opens), "{mode:?}");
    }
}

#[test]
fn a_connection_without_a_name_goes_by_what_its_address_was_looked_up_under() {
    let mut app = App::new(World::without_indicators());
    app.world.policy(Policy { mode: Mode::Tunnel, ..Policy::default() });
    app.world.send(CLIENT, RESOLVER, &query(1, "evil.test", Rtype::A, None));
    let ask = app.world.ask();
    app.world.answer(ask.id, &address_answer(&ask.query, [198, 51, 100, 7]));
    // Listed since.
    app.world.engine.handle_indicators(indicators(5, LISTED));
    app.connect("198.51.100.7:5222");
    app.say(b"\x00\x01\x02binary");
    assert!(app.net.sent.is_empty() && app.was_reset());

    app.connect("198.51.100.8:5222");
    app.say(b"\x00\x01\x02binary");
    assert!(!app.net.sent.is_empty(), "nobody looked that one up");
}

#[test]
fn in_other_modes_connections_pass_unjudged() {
    for mode in [Mode::Dns, Mode::Off] {
        let mut world = World::new();
        world.policy(Policy { mode, ..Policy::default() });
        let mut app = App::new(world);
        app.connect("198.51.100.7:443");
        app.say(&hello(Some("evil.test")));
        assert!(!app.net.sent.is_empty(), "{mode:?}");
    }
}

#[test]
fn a_hop_limit_that_is_used_up_is_told() {
    let mut app = App::new(tunnel());
    let mut packet = encode_udp(addr(CLIENT), addr("198.51.100.7:33434"), b"probe").unwrap();
    let checksum = u16::from_be_bytes([packet[10], packet[11]]) + (u16::from(packet[8] - 1) << 8);
    packet[8] = 1;
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    let (wall, now) = (app.world.wall(), app.world.now);
    app.world.engine.handle_packet(&packet, Checksum::Verify, &mut app.net, wall, now);
    let told = app.net.packets.pop().unwrap();
    let told = IpPacket::parse(&told).unwrap();
    let &[kind, code, ..] = told.payload() else { panic!("too short") };
    assert_eq!(Unreachable::from_code(false, kind, code, 0), Some(Unreachable::HopLimit));
}

fn tunnel() -> World {
    in_tunnel(World::new())
}

fn in_tunnel(mut world: World) -> World {
    world.policy(Policy { mode: Mode::Tunnel, ..Policy::default() });
    world
}

/// An application with one connection at a time, and the host's socket for it.
struct App {
    world: World,
    net: Tap,
    to: SocketAddr,
    port: u16,
    seq: u32,
    ack: u32,
}

impl App {
    fn new(world: World) -> Self {
        Self { world, net: Tap::default(), to: addr(CLIENT), port: 40_000, seq: 0, ack: 0 }
    }

    fn connect(&mut self, to: &str) {
        self.net = Tap::default();
        (self.to, self.port, self.seq, self.ack) = (addr(to), self.port + 1, 1_000, 0);
        self.segment(Flags::SYN, b"");
        self.seq += 1;
        let id = self.net.id.unwrap();
        let (wall, now) = (self.world.wall(), self.world.now);
        self.world.engine.handle_connected(id, Ok(()), &mut self.net, wall, now);
        let accepted = self.net.packets.pop().unwrap();
        let accepted = read(&accepted);
        assert!(accepted.flags.has(Flags::SYN.and(Flags::ACK)));
        self.ack = accepted.seq.wrapping_add(1);
        self.segment(Flags::ACK, b"");
    }

    fn say(&mut self, octets: &[u8]) {
        self.segment(Flags::ACK, octets);
        self.seq = self.seq.wrapping_add(u32::try_from(octets.len()).unwrap());
        self.poll();
    }

    fn poll(&mut self) {
        self.world.drain_with(&mut self.net);
    }

    fn segment(&mut self, flags: Flags, payload: &[u8]) {
        let header = TcpHeader {
            src: SocketAddr::new(addr(CLIENT).ip(), self.port),
            dst: self.to,
            seq: self.seq,
            ack: self.ack,
            flags,
            window: 60_000,
            offer: None,
            sack: None,
        };
        let mut headers = [0; MAX_HEADERS_LEN];
        let len = header.write(&[payload], Checksum::Verify, &mut headers).unwrap();
        let packet = [&headers[..len], payload].concat();
        let (wall, now) = (self.world.wall(), self.world.now);
        self.world.engine.handle_packet(&packet, Checksum::Verify, &mut self.net, wall, now);
    }

    fn was_reset(&self) -> bool {
        self.net.packets.iter().any(|packet| read(packet).flags.has(Flags::RST))
    }

    /// What came to the application, as text.
    fn heard(&self) -> String {
        let payloads = self.net.packets.iter().map(|packet| read(packet).payload.to_vec());
        String::from_utf8(payloads.collect::<Vec<_>>().concat()).unwrap()
    }
}

fn read(packet: &[u8]) -> TcpSegment<'_> {
    TcpSegment::parse(&IpPacket::parse(packet).unwrap(), Checksum::Verify).unwrap()
}

/// A host whose socket takes everything and says nothing.
#[derive(Default)]
struct Tap {
    id: Option<SocketId>,
    sent: Vec<u8>,
    packets: Vec<Vec<u8>>,
    is_closed: bool,
}

impl Net for Tap {
    fn connect(&mut self, id: SocketId, _: SocketAddr) -> Result<(), ConnectError> {
        self.id = Some(id);
        Ok(())
    }

    fn send(&mut self, _: SocketId, octets: &[u8]) -> Sent {
        self.sent.extend_from_slice(octets);
        Sent::Took(octets.len())
    }

    fn receive(&mut self, _: SocketId, _: &mut [&mut [u8]]) -> Received {
        Received::Nothing
    }

    fn shutdown(&mut self, _: SocketId) {}

    fn close(&mut self, _: SocketId, _: Close) {
        self.is_closed = true;
    }

    fn open(&mut self, id: SocketId, like: SocketAddr) -> Result<(), ConnectError> {
        NoNet.open(id, like)
    }

    fn send_to(&mut self, _: SocketId, _: &Outgoing<'_>) -> Result<(), SendError> {
        Ok(())
    }

    fn receive_from(&mut self, _: SocketId, _: &mut [u8]) -> Option<Incoming> {
        None
    }

    fn write_packet(&mut self, packet: &TunnelPacket<'_>) {
        let payload = packet.payload.concat();
        self.packets.push([packet.headers, &payload].concat());
    }
}

/// A ClientHello with nothing but a name.
fn hello(host: Option<&str>) -> Vec<u8> {
    let mut extensions = Vec::new();
    if let Some(host) = host {
        let len = |octets: usize| u16::try_from(octets).unwrap().to_be_bytes();
        extensions.extend([0, 0]);
        extensions.extend(len(host.len() + 5));
        extensions.extend(len(host.len() + 3));
        extensions.push(0);
        extensions.extend(len(host.len()));
        extensions.extend(host.as_bytes());
    }
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(&extensions);
    let mut message = vec![1, 0];
    message.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    message.extend(&body);
    let mut record = vec![22, 3, 1];
    record.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
    record.extend(&message);
    record
}

/// An answer with one address.
fn address_answer(asked: &[u8], address: [u8; 4]) -> Vec<u8> {
    let mut answer = asked.to_vec();
    answer[2..4].copy_from_slice(&[0x81, 0x80]);
    answer[6..8].copy_from_slice(&[0, 1]);
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4]);
    answer.extend(address);
    answer
}
