//! What connections take of the heap: little while they are idle, nothing more while they are busy.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use bartizan_engine::net::{
    Close, ConnectError, Incoming, Net, Outgoing, Received, SendError, Sent, SocketId, TunnelPacket,
};
use bartizan_engine::{Engine, Output, limits};
use bartizan_model::{IndicatorCategory, Mode, Policy, UnixMillis};
use bartizan_wire::ip::IpPacket;
use bartizan_wire::tcp::{Checksum, Flags, MAX_HEADERS_LEN, Offer, TcpHeader, TcpSegment};

use crate::world::{LISTED, WALL, engine, indicators, t0};

#[test]
fn an_idle_connection_takes_no_more_than_256_octets() {
    let mut device = Device::new();
    // The first make the buffers that there are once, and fill one step of the table.
    for number in 0..STEP {
        device.open(number);
        device.exchange(number);
    }
    let all = STEP..STEP + CONNECTIONS;
    let opening = measure(|| all.clone().for_each(|number| device.open(number)));
    let using = measure(|| all.clone().for_each(|number| device.exchange(number)));
    assert_eq!(device.engine.tcp_flows(), usize::from(all.end));
    assert_eq!(device.engine.chunks_in_use(), 0);
    let each = opening.bytes_current / i64::from(CONNECTIONS);
    assert!(each <= 256, "{each} octets: {opening:?}");
    // What is in flight stands in chunks that all share.
    let shared = i64::try_from(4 * limits::CHUNK_OCTETS).unwrap();
    assert!(using.bytes_current < shared, "{using:?}");
}

#[test]
fn octets_pass_through_open_connections_without_allocating() {
    let mut device = Device::new();
    for number in 0..4 {
        device.open(number);
    }
    let mut transfer = || {
        for turn in 0..200 {
            device.upload(turn % 4, &[7; 1_400]);
            device.download(turn % 4, 20_000);
        }
    };
    transfer();
    let taken = measure(transfer);
    assert_eq!(taken.count_total, 0, "{taken:?}");
    let stats = device.engine.tunnel_stats();
    assert_eq!((stats.octets_up, stats.octets_down), (400 * 1_400, 400 * 20_000));
}

#[test]
fn judging_a_hello_allocates_nothing() {
    let mut device = Device::new();
    device.engine.handle_indicators(indicators(5, LISTED));
    let whole = client_hello(b"www.good.test");
    let (first, rest) = whole.split_at(40);
    // The first ones warm up.
    for number in 0..4 {
        device.open(number);
        let taken = measure(|| {
            if number % 2 == 0 {
                device.upload(number, &whole);
            } else {
                device.upload(number, first);
                device.upload(number, rest);
            }
        });
        assert!(number < 2 || taken.count_total == 0, "{number}: {taken:?}");
    }
    assert_eq!(device.net.sent, 4 * whole.len());
    assert_eq!(device.engine.tunnel_stats().held, 2);
}

#[test]
fn judging_a_request_allocates_nothing() {
    let mut device = Device::new();
    device
        .engine
        .handle_indicators(indicators(5, &[("shared.test/bad/%62", IndicatorCategory::Phishing)]));
    let good = b"GET /a/../good/%41?q=%2f HTTP/1.1\r\nHost: www.shared.test:80\r\n\r\n";
    // The first one warms up.
    for number in 0..3 {
        device.open(number);
        let taken = measure(|| device.upload(number, good));
        assert!(number < 1 || taken.count_total == 0, "{number}: {taken:?}");
    }
    assert_eq!(device.net.sent, 3 * good.len());
}

/// How many places the table allocates at once; a whole number of such steps is measured.
const STEP: u16 = 256;
const CONNECTIONS: u16 = 8 * STEP;

/// An engine, applications that remember their numbers, and sockets that take and give without memory of their own.
struct Device {
    engine: Engine,
    net: Sockets,
    start: Instant,
    now: Instant,
    /// Of each connection: what its application sends and expects next.
    numbers: Vec<(u32, u32)>,
}

impl Device {
    fn new() -> Self {
        let start = t0();
        let mut engine = engine(start);
        engine.handle_policy(Policy { mode: Mode::Tunnel, ..Policy::default() });
        let numbers = vec![(0, 0); 3_000];
        let net = Sockets { sockets: Vec::with_capacity(3_000), ..Sockets::default() };
        Self { engine, net, start, now: start, numbers }
    }

    fn open(&mut self, number: u16) {
        let offer = Offer { max_segment: Some(1_460), window_scale: Some(8), sack_permitted: true };
        self.now += Duration::from_millis(7);
        self.numbers[usize::from(number)] = (1_000, 0);
        self.send(number, Flags::SYN, Some(offer), &[]);
        let id = *self.net.sockets.last().unwrap();
        let (wall, now) = (self.wall(), self.now);
        self.engine.handle_connected(id, Ok(()), &mut self.net, wall, now);
        self.numbers[usize::from(number)] = (1_001, self.net.expected);
        self.send(number, Flags::ACK, None, &[]);
    }

    /// A short request and its answer.
    fn exchange(&mut self, number: u16) {
        self.upload(number, b"SSH-2.0-x\r\n");
        self.download(number, 300);
    }

    fn upload(&mut self, number: u16, octets: &[u8]) {
        self.send(number, Flags::PSH, None, octets);
        self.numbers[usize::from(number)].0 += u32::try_from(octets.len()).unwrap();
        self.poll();
    }

    /// The socket has so many octets, and the application acknowledges them.
    fn download(&mut self, number: u16, count: usize) {
        self.net.left = count;
        let (wall, now) = (self.wall(), self.now);
        let id = self.net.sockets[usize::from(number)];
        self.engine.handle_ready(id, true, false, &mut self.net, wall, now);
        self.poll();
        assert_eq!(self.net.left, 0);
        self.numbers[usize::from(number)].1 = self.net.expected;
        self.send(number, Flags::ACK, None, &[]);
        self.poll();
    }

    fn send(&mut self, number: u16, flags: Flags, offer: Option<Offer>, payload: &[u8]) {
        let (seq, ack) = self.numbers[usize::from(number)];
        let header = TcpHeader {
            src: SocketAddr::from(([192, 0, 2, 1], 10_000 + number)),
            dst: SocketAddr::from(([198, 51, 100, 1], 443)),
            seq,
            ack,
            flags: if flags == Flags::SYN { flags } else { flags.and(Flags::ACK) },
            window: u16::MAX,
            offer,
            sack: None,
        };
        let mut headers = [0; MAX_HEADERS_LEN];
        let len = header.write(&[payload], Checksum::Verify, &mut headers).unwrap();
        let mut packet = [0; 1_500];
        packet[..len].copy_from_slice(&headers[..len]);
        packet[len..len + payload.len()].copy_from_slice(payload);
        let (wall, now) = (self.wall(), self.now);
        let packet = &packet[..len + payload.len()];
        self.engine.handle_packet(packet, Checksum::Verify, &mut self.net, wall, now);
    }

    fn poll(&mut self) {
        for _ in 0..100 {
            let (wall, now) = (self.wall(), self.now);
            match self.engine.poll_output(&mut self.net, wall, now) {
                Output::Wait { deadline: Some(deadline), .. } if deadline <= self.now => {}
                Output::Wait { .. } => return,
                other @ (Output::Packet(_)
                | Output::Ask { .. }
                | Output::Forget(_)
                | Output::Alert(_)
                | Output::Passes(_)
                | Output::Mistake(_)
                | Output::Probe) => panic!("{other:?}"),
            }
        }
        panic!("it never waits");
    }

    fn wall(&self) -> UnixMillis {
        let passed = (self.now - self.start).as_millis();
        UnixMillis(WALL + u64::try_from(passed).unwrap())
    }
}

#[derive(Default)]
struct Sockets {
    sockets: Vec<SocketId>,
    sent: usize,
    /// What is to be read.
    left: usize,
    /// What comes after the last packet that was written to the tunnel.
    expected: u32,
}

impl Net for Sockets {
    fn connect(&mut self, id: SocketId, _: SocketAddr) -> Result<(), ConnectError> {
        self.sockets.push(id);
        Ok(())
    }

    fn send(&mut self, _: SocketId, octets: &[u8]) -> Sent {
        self.sent += octets.len();
        Sent::Took(octets.len())
    }

    fn receive(&mut self, _: SocketId, into: &mut [&mut [u8]]) -> Received {
        let room: usize = into.iter().map(|place| place.len()).sum();
        let count = room.min(self.left);
        self.left -= count;
        if count == 0 { Received::Nothing } else { Received::Took(count) }
    }

    fn shutdown(&mut self, _: SocketId) {
        panic!("nobody has finished")
    }

    fn close(&mut self, _: SocketId, _: Close) {
        panic!("nobody has finished")
    }

    fn open(&mut self, _: SocketId, _: SocketAddr) -> Result<(), ConnectError> {
        Err(ConnectError::NoRoom)
    }

    fn send_to(&mut self, _: SocketId, _: &Outgoing<'_>) -> Result<(), SendError> {
        Err(SendError::Full)
    }

    fn receive_from(&mut self, _: SocketId, _: &mut [u8]) -> Option<Incoming> {
        None
    }

    fn write_packet(&mut self, packet: &TunnelPacket<'_>) {
        // The headers say that there is more than they are, so they are read without what follows.
        let mut whole = [0; 1_500];
        whole[..packet.headers.len()].copy_from_slice(packet.headers);
        let octets: usize = packet.payload.iter().map(|piece| piece.len()).sum();
        let ip = IpPacket::parse(&whole[..packet.headers.len() + octets]).unwrap();
        let end = TcpSegment::parse(&ip, Checksum::Trust).unwrap().end();
        self.expected = end;
    }
}

/// A `ClientHello` in a record of its own (RFC 8446 §4.1.2) that names a host (RFC 6066 §3) and nothing else.
fn client_hello(host: &[u8]) -> Vec<u8> {
    let with_len = |octets: &[u8]| {
        let mut framed = u16::try_from(octets.len()).unwrap().to_be_bytes().to_vec();
        framed.extend(octets);
        framed
    };
    let names = with_len(&[&[0], with_len(host).as_slice()].concat());
    let extensions = with_len(&[&[0, 0], with_len(&names).as_slice()].concat());
    let mut body = vec![3, 3];
    body.extend([9; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    body.extend(extensions);
    let message = [&[1, 0], with_len(&body).as_slice()].concat();
    [&[22, 3, 1], with_len(&message).as_slice()].concat()
}
