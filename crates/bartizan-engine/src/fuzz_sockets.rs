//! Sockets whose fortunes are octets of a scenario, and applications that open connections to them.
//!
//! What a socket does next is drawn from what the scenario said last; when that is used up, sockets take all and
//! have nothing. How the engine uses them is checked at each call.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bartizan_wire::ParseError;
use bartizan_wire::ip::{IpPacket, Protocol};
use bartizan_wire::tcp::{Checksum, Flags, MAX_HEADERS_LEN, Offer, TcpHeader, TcpSegment};

use crate::limits;
use crate::net::{
    Close, ConnectError, Incoming, Net, Outgoing, Received, SendError, Sent, SocketId, SocketKind,
    TunnelPacket,
};

/// All sockets, and what applications remember of their connections.
#[derive(Default)]
pub(crate) struct Sockets {
    script: VecDeque<u8>,
    pub(crate) open: Vec<SocketId>,
    /// What each application sends next, and what it expects.
    numbers: [(u32, u32); APPLICATIONS],
}

impl Sockets {
    /// Lets these octets decide what happens.
    pub(crate) fn follow(&mut self, octets: &[u8]) {
        self.script.clear();
        self.script.extend(octets);
    }

    fn draw(&mut self) -> u8 {
        self.script.pop_front().unwrap_or(0)
    }

    /// Builds a segment: whose, its flags, how far its numbers are off, its window, and what it carries.
    pub(crate) fn segment(&mut self, octets: &[u8]) -> Vec<u8> {
        let (head, payload) = octets.split_first_chunk::<5>().unwrap_or((&[0; 5], &[]));
        let &[who, flags, seq, ack, window] = head;
        let index = usize::from(who) % APPLICATIONS;
        let (src, dst) = application(index);
        let Some(numbers) = self.numbers.get_mut(index) else { return Vec::new() };
        let flags = [
            Flags::ACK,
            Flags::SYN,
            Flags::PSH.and(Flags::ACK),
            Flags::FIN.and(Flags::ACK),
            Flags::RST,
            Flags::RST.and(Flags::ACK),
            Flags::SYN.and(Flags::ACK),
            Flags::FIN,
        ]
        .get(usize::from(flags) % 8)
        .copied()
        .unwrap_or(Flags::ACK);
        if flags == Flags::SYN {
            // Near the end of the numbers, where arithmetic goes wrong.
            numbers.0 = numbers.0.wrapping_add(u32::MAX - 300);
        }
        let off = |number: u32, by: u8| number.wrapping_add_signed(i32::from(by.cast_signed()));
        let offer = Offer {
            max_segment: Some(u16::from(window) * 8),
            window_scale: (who & 64 != 0).then_some(who >> 7),
            sack_permitted: who & 32 != 0,
        };
        let header = TcpHeader {
            src,
            dst,
            seq: off(numbers.0, seq),
            ack: off(numbers.1, ack),
            flags,
            window: u16::from(window) * 257,
            offer: flags.has(Flags::SYN).then_some(offer),
            sack: (who & 16 != 0).then(|| (off(numbers.1, ack), off(numbers.1, window))),
        };
        let payload = if payload == b"?" { REQUEST } else { payload };
        let mut headers = [0; MAX_HEADERS_LEN];
        let len = header.write(&[payload], Checksum::Verify, &mut headers).unwrap_or(0);
        let signs = u32::from(flags.has(Flags::SYN)) + u32::from(flags.has(Flags::FIN));
        let sent = u32::try_from(payload.len()).unwrap_or(0).wrapping_add(signs);
        numbers.0 = header.seq.wrapping_add(sent);
        [headers.get(..len).unwrap_or_default(), payload].concat()
    }

    fn check_open(&self, id: SocketId) {
        assert!(self.open.contains(&id), "{id:?} is not open");
    }

    fn add(&mut self, id: SocketId) -> Result<(), ConnectError> {
        let outcome = connect_outcome(self.draw());
        assert!(!self.open.contains(&id), "{id:?} is open already");
        if outcome.is_ok() {
            self.open.push(id);
        }
        let most = limits::TCP_FLOWS + limits::UDP_MAPPINGS + limits::ECHO_MAPPINGS;
        assert!(self.open.len() <= most, "more sockets than connections");
        outcome
    }
}

impl Net for Sockets {
    fn connect(&mut self, id: SocketId, _: SocketAddr) -> Result<(), ConnectError> {
        assert_eq!(id.kind, SocketKind::Tcp);
        self.add(id)
    }

    fn send(&mut self, id: SocketId, octets: &[u8]) -> Sent {
        self.check_open(id);
        match self.draw() % 8 {
            1 | 2 => Sent::Took(octets.len() / 2),
            3 | 4 => Sent::Took(0),
            5 => Sent::Failed,
            _ => Sent::Took(octets.len()),
        }
    }

    fn receive(&mut self, id: SocketId, into: &mut [&mut [u8]]) -> Received {
        self.check_open(id);
        let room: usize = into.iter().map(|place| place.len()).sum();
        assert!(0 < room, "nothing is wanted");
        match self.draw() {
            0 => Received::Nothing,
            1 => Received::End,
            2 => Received::Failed,
            many => Received::Took(room.min(usize::from(many) * usize::from(many))),
        }
    }

    fn shutdown(&mut self, id: SocketId) {
        self.check_open(id);
    }

    fn close(&mut self, id: SocketId, _: Close) {
        self.check_open(id);
        self.open.retain(|open| *open != id);
    }

    fn open(&mut self, id: SocketId, _: SocketAddr) -> Result<(), ConnectError> {
        assert_ne!(id.kind, SocketKind::Tcp);
        self.add(id)
    }

    fn send_to(&mut self, id: SocketId, _: &Outgoing<'_>) -> Result<(), SendError> {
        self.check_open(id);
        match self.draw() % 8 {
            1 => Err(SendError::TooBig { mtu: u16::from(self.draw()) * 16 }),
            2 => Err(SendError::Unreachable),
            3 => Err(SendError::Prohibited),
            4 => Err(SendError::Full),
            _ => Ok(()),
        }
    }

    fn receive_from(&mut self, id: SocketId, into: &mut [u8]) -> Option<Incoming> {
        self.check_open(id);
        let many = usize::from(self.draw());
        let from = application(usize::from(self.draw())).1;
        let len = into.len().min(many * many);
        // Some come as one.
        let segment = if many % 3 == 0 { len.div_ceil(many.max(1)) } else { len };
        (0 < many).then_some(Incoming { from, len, segment })
    }

    fn write_packet(&mut self, packet: &TunnelPacket<'_>) {
        let whole = [packet.headers, &packet.payload.concat()].concat();
        assert!(packet.offload.is_some() || whole.len() <= limits::MTU, "larger than any tunnel");
        let ip = IpPacket::parse(&whole);
        assert!(matches!(ip, Ok(_) | Err(ParseError::Fragment)), "{ip:?}");
        let Some(ip) = ip.ok().filter(|ip| ip.protocol() == Protocol::Tcp) else { return };
        let checksum = if packet.offload.is_some() { Checksum::Trust } else { Checksum::Verify };
        let segment = TcpSegment::parse(&ip, checksum);
        assert!(segment.is_ok(), "{segment:?}");
        let Ok(segment) = segment else { return };
        for (index, numbers) in self.numbers.iter_mut().enumerate() {
            if application(index) == (segment.dst, segment.src) {
                numbers.1 = segment.end();
            }
        }
    }
}

/// Tells how it goes to connect.
pub(crate) fn connect_outcome(octet: u8) -> Result<(), ConnectError> {
    match octet % 16 {
        1 => Err(ConnectError::Refused),
        2 => Err(ConnectError::Unreachable),
        3 => Err(ConnectError::TimedOut),
        4 => Err(ConnectError::NoRoom),
        _ => Ok(()),
    }
}

/// Who connects to whom: every other one over IPv6.
pub(crate) fn application(index: usize) -> (SocketAddr, SocketAddr) {
    let index = u16::try_from(index % APPLICATIONS).unwrap_or(0);
    let (client, server): (IpAddr, IpAddr) = if index % 2 == 0 {
        (Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::new(198, 51, 100, 1).into())
    } else {
        let at = |last| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
        (at(1).into(), at(0x99).into())
    };
    (SocketAddr::new(client, 40_000 + index), SocketAddr::new(server, 443 - index / 2))
}

const APPLICATIONS: usize = 16;
const REQUEST: &[u8] = b"GET /a HTTP/1.1\r\nHost: evil.test\r\n\r\n";
