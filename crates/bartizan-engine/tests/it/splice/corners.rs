//! What `smoltcp` does not do by itself: segments at the wrong time, floods, numbers at the end of their range.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bartizan_engine::net::{
    Close, ConnectError, Incoming, Net, Outgoing, Received, SendError, Sent, SocketId, TunnelPacket,
};
use bartizan_engine::{Engine, EngineConfig, Output, limits};
use bartizan_model::{Mode, Policy, UnixMillis};
use bartizan_wire::tcp::{Checksum, Flags, MAX_HEADERS_LEN, Offer, TcpHeader};

use super::packets::read;
use crate::world::{WALL, t0};

#[test]
fn a_syn_that_comes_again_connects_once() {
    let mut device = Device::new();
    for _ in 0..3 {
        device.send(1, SYN, 99, 0, b"");
    }
    assert_eq!((device.net.connected.len(), device.replies(1)), (1, vec![]));
    device.accept(1);
    let first = device.replies(1);
    device.send(1, SYN, 99, 0, b"");
    assert_eq!((first.len(), device.replies(1)), (1, first));
    assert_eq!(device.net.connected.len(), 1);
}

#[test]
fn a_reset_of_an_attempt_ends_it_on_both_sides_of_the_answer() {
    let mut device = Device::new();
    device.send(1, SYN, 99, 0, b"");
    device.send(1, RST, 100, 0, b"");
    device.check_gone(1, Close::Reset);
    device.send(2, SYN, 99, 0, b"");
    device.accept(2);
    device.send(2, RST, 100, 0, b"");
    device.check_gone(2, Close::Reset);
}

#[test]
fn a_fin_that_comes_again_is_acknowledged_again_and_nothing_behind_it_passes() {
    let mut device = Device::new();
    let iss = device.open(1);
    device.send(1, FIN, 100, iss + 1, b"last");
    assert_eq!(device.replies(1), [(ACK, iss + 1, 105)]);
    device.send(1, FIN, 100, iss + 1, b"last");
    device.send(1, ACK, 105, iss + 1, b"more");
    device.poll();
    assert_eq!(device.replies(1), [(ACK, iss + 1, 105); 2]);
    assert_eq!((device.net.sent.as_slice(), device.net.shut), (b"last".as_slice(), 1));
    // The other direction stays open for as long as the server likes.
    device.pass(Duration::from_secs(100));
    device.serve(1, b"still here");
    assert_eq!(device.replies(1), [(PSH, iss + 1, 105)]);
}

#[test]
fn both_ends_may_finish_at_the_same_time() {
    let mut device = Device::new();
    let iss = device.open(1);
    device.net.ended = true;
    device.serve(1, b"");
    assert_eq!(device.replies(1), [(FIN, iss + 1, 100)]);
    // It has not seen that yet.
    device.send(1, FIN, 100, iss + 1, b"");
    assert_eq!(device.replies(1), [(ACK, iss + 2, 101)]);
    device.send(1, ACK, 101, iss + 2, b"");
    assert_eq!(device.net.closed, [Close::Orderly]);
    // Its FIN comes again as long as it waits for an acknowledgment.
    device.send(1, FIN, 100, iss + 2, b"");
    assert_eq!(device.replies(1), [(ACK, iss + 2, 101)]);
    device.pass(Duration::from_secs(3));
    assert_eq!(device.engine.tcp_flows(), 0);
}

#[test]
fn the_same_ports_may_connect_again_at_once() {
    let mut device = Device::new();
    let iss = device.open(1);
    device.net.ended = true;
    device.serve(1, b"");
    device.send(1, FIN, 100, iss + 2, b"");
    assert_eq!(
        (device.net.closed.as_slice(), device.engine.tcp_flows()),
        ([Close::Orderly].as_slice(), 1)
    );
    device.net.ended = false;
    device.replies(1);
    device.send(1, SYN, 5_000, 0, b"");
    device.accept(1);
    let replies = device.replies(1);
    assert!(matches!(replies.as_slice(), [(SYN_ACK, _, 5_001)]), "{replies:?}");
    assert_eq!((device.net.connected.len(), device.engine.tcp_flows()), (2, 1));
}

#[test]
fn a_reset_in_the_window_is_asked_about_and_one_beyond_it_ignored() {
    let mut device = Device::new();
    let iss = device.open(1);
    device.send(1, RST, 101, iss + 1, b"");
    assert_eq!(device.replies(1), [(ACK, iss + 1, 100)]);
    device.send(1, RST, 100 + (1 << 24), iss + 1, b"");
    assert_eq!((device.replies(1), device.engine.tcp_flows()), (vec![], 1));
    device.send(1, RST, 100, iss + 1, b"");
    device.check_gone(1, Close::Reset);
}

#[test]
fn attempts_beyond_the_limit_are_not_answered_and_leave_connections_alone() {
    let mut device = Device::new();
    let iss = device.open(1);
    let attempts = u16::try_from(limits::HALF_OPEN).unwrap();
    for port in 0..2 * attempts {
        device.send(1_000 + port, SYN, 99, 0, b"");
    }
    let stats = device.engine.tunnel_stats();
    assert_eq!(device.engine.tcp_flows(), limits::HALF_OPEN + 1);
    assert_eq!((stats.dropped_syn, stats.tcp_evicted), (u64::from(attempts), 0));
    device.send(1, PSH, 100, iss + 1, b"\0hello");
    assert_eq!(device.net.sent, b"\0hello");
    // Those that nobody answered make room in the end.
    device.pass(Duration::from_secs(200));
    assert_eq!(device.engine.tcp_flows(), 1);
}

#[test]
fn a_full_table_ends_the_connection_that_was_silent_longest() {
    let mut device = Device::new();
    let flows = u16::try_from(limits::TCP_FLOWS).unwrap();
    let mut first = 0;
    for port in 0..flows {
        device.pass(Duration::from_millis(1));
        let iss = device.open(port);
        first = if port == 0 { iss } else { first };
    }
    assert_eq!(
        (device.engine.tcp_flows(), device.engine.tunnel_stats().tcp_evicted),
        (limits::TCP_FLOWS, 0)
    );
    device.send(0, ACK, 100, first + 1, b"");
    device.pass(Duration::from_secs(1));
    device.open(flows);
    device.check_reset(1);
    assert_eq!(
        (device.engine.tcp_flows(), device.engine.tunnel_stats().tcp_evicted),
        (limits::TCP_FLOWS, 1)
    );
    assert_eq!(
        (device.replies(0), device.net.closed.as_slice()),
        (vec![], [Close::Reset].as_slice())
    );
}

#[test]
fn a_host_without_sockets_left_takes_the_one_of_the_oldest() {
    let mut device = Device::new();
    device.open(1);
    device.pass(Duration::from_secs(2));
    device.net.room = Some(1);
    device.open(2);
    device.check_reset(1);
    assert_eq!((device.engine.tcp_flows(), device.engine.tunnel_stats().tcp_evicted), (1, 1));
}

#[test]
fn numbers_wrap_in_both_directions() {
    let mut device = Device::new();
    // Attempts are made until the engine draws a number that is about to wrap: one in 16,384 is.
    let (port, iss) = (0..)
        .find_map(|attempt: u32| {
            let port = u16::try_from(attempt % 2_000).unwrap();
            device.send(port, SYN, 99, 0, b"");
            device.accept(port);
            let iss = device.replies(port)[0].1;
            if u32::MAX - iss < 1 << 18 {
                return Some((port, iss));
            }
            device.send(port, RST, 100, 0, b"");
            if attempt.is_multiple_of(1_000) {
                device.pass(Duration::from_secs(1));
            }
            None
        })
        .unwrap();
    device.send(port, ACK, 100, iss.wrapping_add(1), b"");
    let mut next = iss.wrapping_add(1);
    for _ in 0..300 {
        device.serve(port, &[7; 1_000]);
        let replies = device.replies(port);
        assert_eq!(replies, [(PSH, next, 100)]);
        next = next.wrapping_add(1_000);
        device.send(port, ACK, 100, next, b"");
    }
    assert!(next < iss, "it has wrapped");
    assert_eq!((device.engine.tunnel_stats().tcp_resent, device.engine.chunks_in_use()), (0, 0));
    device.send(port, RST, 100, next, b"");
    device.check_gone(port, Close::Reset);
}

const SYN: Flags = Flags::SYN;
const SYN_ACK: Flags = Flags::SYN.and(Flags::ACK);
const ACK: Flags = Flags::ACK;
const PSH: Flags = Flags::PSH.and(Flags::ACK);
const FIN: Flags = Flags::FIN.and(Flags::ACK);
const RST: Flags = Flags::RST;

/// An application that writes segments by hand, each connection from another port.
struct Device {
    engine: Engine,
    net: Sockets,
    start: Instant,
    now: Instant,
}

impl Device {
    fn new() -> Self {
        let start = t0();
        let config = EngineConfig { resolvers: Vec::new(), mtu: 1_500, offload: false };
        let mut engine = Engine::new(config, [9; 16], start);
        engine.handle_policy(Policy { mode: Mode::Tunnel, ..Policy::default() });
        Self { engine, net: Sockets::default(), start, now: start }
    }

    /// Connects, with 99 as the application's first number; returns the engine's.
    fn open(&mut self, port: u16) -> u32 {
        self.send(port, SYN, 99, 0, b"");
        self.accept(port);
        let iss = self.replies(port).last().unwrap().1;
        self.send(port, ACK, 100, iss.wrapping_add(1), b"");
        iss
    }

    fn accept(&mut self, port: u16) {
        let (wall, now) = (self.wall(), self.now);
        let id = self.net.ids[&port];
        self.engine.handle_connected(id, Ok(()), &mut self.net, wall, now);
    }

    fn serve(&mut self, port: u16, octets: &[u8]) {
        self.net.incoming.extend(octets);
        let (wall, now) = (self.wall(), self.now);
        let id = self.net.ids[&port];
        self.engine.handle_ready(id, true, false, &mut self.net, wall, now);
    }

    fn send(&mut self, port: u16, flags: Flags, seq: u32, ack: u32, payload: &[u8]) {
        let offer = Offer { max_segment: Some(1_460), window_scale: Some(4), sack_permitted: true };
        let header = TcpHeader {
            src: client(port),
            dst: SocketAddr::from(([198, 51, 100, 1], 443)),
            seq,
            ack,
            flags,
            window: u16::MAX,
            offer: (flags == SYN).then_some(offer),
            sack: None,
        };
        let mut headers = [0; MAX_HEADERS_LEN];
        let len = header.write(&[payload], Checksum::Verify, &mut headers).unwrap();
        let packet = [&headers[..len], payload].concat();
        let (wall, now) = (self.wall(), self.now);
        self.net.port = port;
        self.engine.handle_packet(&packet, Checksum::Verify, &mut self.net, wall, now);
        self.poll();
    }

    fn poll(&mut self) -> Option<Instant> {
        for _ in 0..1_000 {
            let (wall, now) = (self.wall(), self.now);
            match self.engine.poll_output(&mut self.net, wall, now) {
                Output::Wait { deadline: Some(deadline), .. } if deadline <= self.now => {}
                Output::Wait { deadline, .. } => return deadline,
                other @ (Output::Packet(_)
                | Output::Ask { .. }
                | Output::Forget(_)
                | Output::Alert(_)
                | Output::Passes(_)
                | Output::Mistake(_)
                | Output::Probe) => panic!("{other:?}"),
            }
        }
        panic!("it never waits")
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.poll().filter(|deadline| *deadline <= end) {
            self.now = deadline;
        }
        self.now = end;
        self.poll();
    }

    /// What the engine sent to a port since this was asked: flags, sequence and acknowledgment numbers.
    fn replies(&mut self, port: u16) -> Vec<(Flags, u32, u32)> {
        self.net.replies.remove(&port).unwrap_or_default()
    }

    #[track_caller]
    fn check_reset(&mut self, port: u16) {
        let replies = self.replies(port);
        let last = replies.last().unwrap();
        assert!(last.0.has(Flags::RST), "{replies:?}");
    }

    /// The socket was closed like this, and what still comes is answered by a reset.
    #[track_caller]
    fn check_gone(&mut self, port: u16, how: Close) {
        assert_eq!((self.engine.tcp_flows(), self.net.closed.last()), (0, Some(&how)));
        self.replies(port);
        self.send(port, ACK, 100, 7, b"");
        assert_eq!(self.replies(port), [(RST, 7, 0)]);
    }

    fn wall(&self) -> UnixMillis {
        UnixMillis(WALL + u64::try_from((self.now - self.start).as_millis()).unwrap())
    }
}

fn client(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

#[derive(Default)]
struct Sockets {
    /// Whose segment is in hand, and which socket each port's last connection has.
    port: u16,
    ids: BTreeMap<u16, SocketId>,
    connected: Vec<SocketId>,
    closed: Vec<Close>,
    shut: usize,
    sent: Vec<u8>,
    incoming: VecDeque<u8>,
    ended: bool,
    /// How many sockets there may be at once.
    room: Option<usize>,
    replies: BTreeMap<u16, Vec<(Flags, u32, u32)>>,
}

impl Net for Sockets {
    fn connect(&mut self, id: SocketId, _: SocketAddr) -> Result<(), ConnectError> {
        if self.room.is_some_and(|room| room <= self.connected.len() - self.closed.len()) {
            return Err(ConnectError::NoRoom);
        }
        self.ids.insert(self.port, id);
        self.connected.push(id);
        Ok(())
    }

    fn send(&mut self, _: SocketId, octets: &[u8]) -> Sent {
        self.sent.extend(octets);
        Sent::Took(octets.len())
    }

    fn receive(&mut self, _: SocketId, into: &mut [&mut [u8]]) -> Received {
        let mut count = 0;
        for place in into {
            let now = place.len().min(self.incoming.len());
            for (to, octet) in place.iter_mut().zip(self.incoming.drain(..now)) {
                *to = octet;
            }
            count += now;
        }
        match count {
            0 if self.ended => Received::End,
            0 => Received::Nothing,
            count => Received::Took(count),
        }
    }

    fn shutdown(&mut self, _: SocketId) {
        self.shut += 1;
    }

    fn close(&mut self, _: SocketId, how: Close) {
        self.closed.push(how);
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
        let whole = [packet.headers, &packet.payload.concat()].concat();
        let segment = read(&whole).unwrap();
        let reply = (segment.flags, segment.seq, segment.ack);
        self.replies.entry(segment.dst.port()).or_default().push(reply);
    }
}
