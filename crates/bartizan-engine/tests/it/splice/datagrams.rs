//! Datagrams: up by a way that takes only so much, with who is told and what goes on in pieces; and down, one by one or
//! several as one packet.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use bartizan_engine::net::{
    Close, ConnectError, Incoming, Net, Outgoing, Received, SendError, Sent, SocketId, TUNNEL_V4,
    TUNNEL_V6, TunnelPacket,
};
use bartizan_engine::{Engine, EngineConfig, NoNet};
use bartizan_model::{Mode, Policy, UnixMillis};
use bartizan_wire::icmp::{Echo, Unreachable};
use bartizan_wire::ip::IpPacket;
use bartizan_wire::split;
use bartizan_wire::tcp::Checksum;
use bartizan_wire::udp::{UdpHeader, encode_udp, udp_overhead};
use proptest::prelude::*;

use crate::world::{WALL, addr, t0};

#[test]
fn what_fits_goes_on_as_it_came() {
    for (app, server) in ENDS {
        let mut device = Device::new(1_400);
        device.send(&datagram(app, server, 1_400));
        assert_eq!((device.sent(), device.heard()), (vec![(1_400, false)], vec![]));
    }
}

#[test]
fn what_may_not_be_cut_and_does_not_fit_is_told_how_large_it_may_be() {
    for (app, server) in ENDS {
        let mut device = Device::new(1_400);
        device.send(&datagram(app, server, 1_401));
        assert_eq!(device.way.sent, []);
        let by = if server.starts_with('[') { TUNNEL_V6.into() } else { TUNNEL_V4.into() };
        assert_eq!(device.heard(), [(by, Unreachable::TooBig { mtu: 1_400 }, addr(server).port())]);
    }
}

#[test]
fn an_echo_that_may_not_be_cut_is_told_too() {
    for (app, server) in ENDS {
        let mut device = Device::new(1_400);
        let echo = Echo { is_request: true, ident: 7, sequence: 1, data: &[1; 1_400] };
        device.send(&echo.encode(addr(app).ip(), addr(server).ip()).unwrap());
        let heard = device.heard();
        assert_eq!((heard.len(), heard[0].1), (1, Unreachable::TooBig { mtu: 1_400 }));
    }
}

#[test]
fn what_may_be_cut_goes_on() {
    let [(app, server), _] = ENDS;
    let mut device = Device::new(1_400);
    device.send(&without_dont_fragment(datagram(app, server, 1_450)));
    assert_eq!((device.sent(), device.heard()), (vec![(1_450, true)], vec![]));
    // A probe after it is one again.
    device.send(&datagram(app, server, 1_450));
    assert_eq!((device.sent(), device.heard().len()), (vec![], 1));
}

#[test]
fn what_came_in_pieces_goes_on_in_pieces_however_small_it_is() {
    for (app, server) in ENDS {
        for size in [1_401, 4_000] {
            let mut device = Device::new(1_400);
            let mut pieces = Vec::new();
            split(&datagram(app, server, size), 1_280, 1, |piece| pieces.push(piece.to_vec()));
            assert!(1 < pieces.len());
            pieces.iter().for_each(|piece| device.send(piece));
            assert_eq!((device.sent(), device.heard()), (vec![(size, true)], vec![]));
        }
    }
}

#[test]
fn what_a_router_says_of_the_size_reaches_the_application() {
    for ((app, server), router) in ENDS.into_iter().zip(["203.0.113.1", "2001:db8:f::1"]) {
        let mut device = Device::new(1_500);
        device.send(&datagram(app, server, 1_450));
        let id = device.way.opened[0];
        let router = router.parse().unwrap();
        let why = Unreachable::TooBig { mtu: 1_300 };
        // It quotes as little as the ports, or more.
        for sent in [&[][..], &[7; 500]] {
            let (wall, now, way) = (UnixMillis(WALL), device.now, &mut device.way);
            device.engine.handle_unreachable(id, addr(server), router, why, sent, way, wall, now);
            assert_eq!(device.heard(), [(router, why, addr(server).port())]);
        }
    }
}

#[test]
fn datagrams_go_up_together_where_nothing_is_to_be_judged_or_told() {
    for (app, server) in ENDS {
        let other = server.replace(":443", ":444");
        let mut device = Device::new(1_400);
        assert!(!device.send_train(app, server, &[7; 3_000], 1_200), "there is no socket yet");
        device.send(&datagram(app, server, 100));
        assert!(device.send_train(app, server, &[7; 3_000], 1_200));
        let whole = 3_000 + udp_overhead(addr(app).ip());
        assert_eq!(device.sent(), [(100, false), (whole, false)]);
        assert_eq!(device.engine.tunnel_stats().datagrams_up, 4);

        assert!(!device.send_train(app, &other, &[7; 3_000], 1_200), "somebody new");
        assert!(!device.send_train(app, server, &[7; 3_000], 1_390), "each is too large");
        let mut handshake = [7; 3_000];
        handshake[1_200] = 0xc3;
        assert!(!device.send_train(app, server, &handshake, 1_200), "it may say a name");
        let lookup = server.replace(":443", ":53");
        assert!(!device.send_train(app, &lookup, &[7; 3_000], 1_200), "lookups end here");
        assert_eq!((device.sent(), device.heard()), (vec![], vec![]));
    }
}

#[test]
fn datagrams_of_one_sender_and_size_go_down_as_one_packet() {
    let (one, other) = ("198.51.100.1:443", "198.51.100.2:443");
    for (came, written) in [
        (&[(one, 700, 1)][..], &[(one, 700, None)][..]),
        (&[(one, 700, 1), (one, 700, 1), (one, 700, 1)], &[(one, 2_100, Some(700))]),
        // As the kernel gave them, and what follows.
        (&[(one, 2_100, 3), (one, 1_400, 2)], &[(one, 3_500, Some(700))]),
        // A shorter one is the last, and a larger one is another's beginning.
        (&[(one, 700, 1), (one, 9, 1), (one, 700, 1)], &[(one, 709, Some(700)), (one, 700, None)]),
        (&[(one, 700, 1), (one, 701, 1)], &[(one, 700, None), (one, 701, None)]),
        (&[(one, 700, 1), (other, 700, 1)], &[(one, 700, None), (other, 700, None)]),
        (&[(one, 0, 1), (one, 0, 1)], &[(one, 0, None), (one, 0, None)]),
        (&[(one, 700, 1), (one, 0, 1)], &[(one, 700, None), (one, 0, None)]),
        // As many as a kernel cuts.
        (&[(one, 60, 60), (one, 5, 5)], &[(one, 60, Some(1)), (one, 5, Some(1))]),
    ] {
        let mut device = Device::receiving(true);
        device.way.incoming =
            came.iter().map(|(from, len, count)| (addr(from), *len, *count)).collect();
        device.come();
        let packets = device.way.written.iter().map(|(from, len, cut)| (*from, *len, *cut));
        let written = written.iter().map(|(from, len, cut)| (addr(from), *len, *cut));
        assert_eq!(packets.collect::<Vec<_>>(), written.collect::<Vec<_>>(), "{came:?}");
    }
}

proptest! {
    #[test]
    fn whatever_comes_down_arrives_in_order_whether_the_tunnel_cuts_or_not(
        offload in any::<bool>(),
        came in prop::collection::vec((0_usize..2, 0_usize..4, 1_usize..40), 1..200),
    ) {
        let mut device = Device::receiving(offload);
        let came = came.iter().map(|(from, size, count)| {
            let size = [0, 9, 700, 1_472][*size];
            (addr(["198.51.100.1:443", "198.51.100.2:443"][*from]), size * count, *count)
        });
        device.way.incoming = came.collect();
        let expected: Vec<_> = device.way.incoming.iter().flat_map(|(from, len, count)| {
            let (count, each) = if *len == 0 { (1, 0) } else { (*count, len / count) };
            std::iter::repeat_n((*from, each), count)
        }).collect();
        device.come();
        let mut datagrams = Vec::new();
        for (from, len, cut) in &device.way.written {
            prop_assert!(offload || cut.is_none());
            let cut = cut.map_or(*len, usize::from).max(1);
            datagrams.extend((0..(*len).max(1)).step_by(cut).map(|at| (*from, cut.min(len - at))));
        }
        prop_assert_eq!(&datagrams, &expected);
        let counted = device.engine.tunnel_stats().datagrams_down;
        prop_assert_eq!(counted, u64::try_from(expected.len()).unwrap());
    }
}

const ENDS: [(&str, &str); 2] =
    [("192.0.2.1:5000", "198.51.100.1:443"), ("[2001:db8::1]:5000", "[2001:db8:2::1]:443")];

/// A packet of this size.
fn datagram(app: &str, server: &str, size: usize) -> Vec<u8> {
    let payload = vec![7; size - udp_overhead(addr(app).ip())];
    encode_udp(addr(app), addr(server), &payload).unwrap()
}

fn without_dont_fragment(mut packet: Vec<u8>) -> Vec<u8> {
    packet[6] &= !0x40;
    let checksum = u16::from_be_bytes([packet[10], packet[11]]) + 0x4000;
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet
}

struct Device {
    engine: Engine,
    way: Way,
    now: Instant,
}

impl Device {
    fn new(mtu: u16) -> Self {
        Self::with(mtu, false)
    }

    /// One whose application has sent something, and gets what comes.
    fn receiving(offload: bool) -> Self {
        let mut device = Self::with(1_500, offload);
        let [(app, server), _] = ENDS;
        device.send(&datagram(app, server, 100));
        device
    }

    fn with(mtu: u16, offload: bool) -> Self {
        let now = t0();
        let config = EngineConfig { resolvers: vec![], mtu: 1_500, offload };
        let mut engine = Engine::new(config, [42; 16], now);
        engine.handle_policy(Policy { mode: Mode::Tunnel, ..Policy::default() });
        Self { engine, way: Way { mtu, ..Way::default() }, now }
    }

    fn send(&mut self, packet: &[u8]) {
        let wall = UnixMillis(WALL);
        self.engine.handle_packet(packet, Checksum::Verify, &mut self.way, wall, self.now);
    }

    /// Sends datagrams as one packet, whose checksum nobody filled in; tells whether it was taken.
    fn send_train(&mut self, app: &str, server: &str, octets: &[u8], segment: u16) -> bool {
        let header = UdpHeader::write(addr(app), addr(server), octets, Checksum::Trust).unwrap();
        let packet = [header.octets(), octets].concat();
        let wall = UnixMillis(WALL);
        self.engine.handle_train(&packet, segment, &mut self.way, wall, self.now)
    }

    /// Sizes of packets that the network got since it was last asked, and whether they may be cut.
    fn sent(&mut self) -> Vec<(usize, bool)> {
        std::mem::take(&mut self.way.sent)
    }

    /// Has the socket give what has come to it.
    fn come(&mut self) {
        let (id, wall) = (self.way.opened[0], UnixMillis(WALL));
        self.engine.handle_ready(id, true, false, &mut self.way, wall, self.now);
        while !self.way.incoming.is_empty() {
            let _ = self.engine.poll_output(&mut self.way, wall, self.now);
        }
    }

    /// The errors that the application got since it was last asked: by whom, what, about which port of a server.
    fn heard(&mut self) -> Vec<(std::net::IpAddr, Unreachable, u16)> {
        let packets = std::mem::take(&mut self.way.packets);
        let read = packets.iter().map(|packet| {
            let packet = IpPacket::parse(packet).unwrap();
            let is_v6 = packet.src().is_ipv6();
            let &[kind, code, _, _, m3, m2, m1, m0, ref about @ ..] = packet.payload() else {
                panic!("no error")
            };
            let mtu = u32::from_be_bytes([m3, m2, m1, m0]);
            let why = Unreachable::from_code(is_v6, kind, code, mtu).unwrap();
            let port = &about[if is_v6 { 42 } else { 22 }..][..2];
            (packet.src(), why, u16::from_be_bytes([port[0], port[1]]))
        });
        read.collect()
    }
}

/// Sockets whose way takes packets of this size.
#[derive(Default)]
struct Way {
    mtu: u16,
    opened: Vec<SocketId>,
    /// Sizes of packets, and whether they may be cut.
    sent: Vec<(usize, bool)>,
    packets: Vec<Vec<u8>>,
    /// What comes: from whom, octets, and how many datagrams.
    incoming: VecDeque<(SocketAddr, usize, usize)>,
    /// Datagrams that were written to the tunnel: from whom, octets, and how they are to be cut.
    written: Vec<(SocketAddr, usize, Option<u16>)>,
}

impl Net for Way {
    fn connect(&mut self, id: SocketId, to: SocketAddr) -> Result<(), ConnectError> {
        NoNet.connect(id, to)
    }

    fn send(&mut self, _: SocketId, _: &[u8]) -> Sent {
        Sent::Failed
    }

    fn receive(&mut self, _: SocketId, _: &mut [&mut [u8]]) -> Received {
        Received::Failed
    }

    fn shutdown(&mut self, _: SocketId) {}

    fn close(&mut self, _: SocketId, _: Close) {}

    fn open(&mut self, id: SocketId, _: SocketAddr) -> Result<(), ConnectError> {
        self.opened.push(id);
        Ok(())
    }

    fn send_to(&mut self, _: SocketId, datagram: &Outgoing<'_>) -> Result<(), SendError> {
        let size = datagram.octets.len() + udp_overhead(datagram.to.ip());
        let each = datagram.segment.map_or(datagram.octets.len(), usize::from);
        let largest = each + udp_overhead(datagram.to.ip());
        if !datagram.may_fragment && usize::from(self.mtu) < largest {
            return Err(SendError::TooBig { mtu: self.mtu });
        }
        self.sent.push((size, datagram.may_fragment));
        Ok(())
    }

    fn receive_from(&mut self, _: SocketId, into: &mut [u8]) -> Option<Incoming> {
        let (from, len, count) = self.incoming.pop_front()?;
        assert!(65_535 < into.len(), "a large datagram would be cut off");
        Some(Incoming { from, len, segment: len / count })
    }

    fn write_packet(&mut self, packet: &TunnelPacket<'_>) {
        let payload = packet.payload.concat();
        let whole = [packet.headers, &payload].concat();
        let ip = IpPacket::parse(&whole).unwrap();
        if let Some((port, _)) = ip.ports() {
            let cut = packet.offload.and_then(|offload| offload.segment);
            self.written.push((SocketAddr::new(ip.src(), port), payload.len(), cut));
        }
        self.packets.push(whole);
    }
}
