//! Connections and datagrams of our own making: many, half-closed, held back, refused, through a bad network.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::slow::forward::Size;
use crate::slow::forward::cable::Badness;
use crate::slow::forward::stage::{Place, SERVERS, Stage};
use crate::slow::forward::stream::Octets;

#[test]
fn a_file_sent_up_arrives_identical_through_loss_delay_and_reordering() {
    file_through_a_bad_network(Way::Up);
}

#[test]
fn a_file_sent_down_arrives_identical_through_loss_delay_and_reordering() {
    file_through_a_bad_network(Way::Down);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

#[track_caller]
fn file_through_a_bad_network(way: Way) {
    // A round trip of 50 ms.
    let badness = Badness { delay: Duration::from_millis(25), lost: 10, late: 20 };
    let stage = Stage::over(badness);
    let listener = stage.listen(0);
    let port = listener.local_addr().unwrap().port();
    for (server, length) in SERVERS.into_iter().zip(Size::get().files) {
        let send = |mut stream: TcpStream| {
            Octets::new().write(&mut stream, length).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
        };
        let receive = |mut stream: TcpStream| {
            assert_eq!(Octets::new().check(&mut stream, u64::MAX), length, "{server}");
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (stream, _) = listener.accept().unwrap();
                if way == Way::Up { receive(stream) } else { send(stream) }
            });
            let stream = stage.open(server, port);
            if way == Way::Up { send(stream) } else { receive(stream) }
        });
    }
}

#[test]
fn two_thousand_connections_live_at_once_and_ten_thousand_in_all() {
    let stage = Stage::build();
    let listener = stage.listen(0);
    let port = listener.local_addr().unwrap().port();
    for round in 0..5 {
        let server = SERVERS[round % 2];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let streams: Vec<_> = (0..AT_ONCE).map(|_| listener.accept().unwrap().0).collect();
                for mut stream in streams {
                    let mut number = [0; 4];
                    stream.read_exact(&mut number).unwrap();
                    stream.write_all(&number).unwrap();
                    assert_eq!(stream.read(&mut number).unwrap(), 0);
                }
            });
            let address = SocketAddr::new(server, port);
            let mut streams: Vec<_> = stage.within(Place::App, || {
                (0..AT_ONCE).map(|_| TcpStream::connect(address).unwrap()).collect()
            });
            for (number, stream) in (0..).zip(&mut streams) {
                stream.write_all(&u32::to_be_bytes(number)).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            }
            for (number, stream) in (0..).zip(&mut streams) {
                let mut octets = Vec::new();
                stream.read_to_end(&mut octets).unwrap();
                assert_eq!(octets, u32::to_be_bytes(number));
            }
        });
    }
}

#[test]
fn a_half_closed_connection_downloads_to_its_end() {
    let stage = Stage::build();
    let listener = stage.listen(0);
    let port = listener.local_addr().unwrap().port();
    let parts = Size::get().half_closed * 10;
    for server in SERVERS {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                stream.read_to_end(&mut request).unwrap();
                assert_eq!(request, REQUEST);
                let mut octets = Octets::new();
                for _ in 0..parts {
                    octets.write(&mut stream, PART).unwrap();
                    pause(100);
                }
            });
            let mut stream = stage.open(server, port);
            stream.write_all(REQUEST).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let came = Octets::new().check(&mut stream, u64::MAX);
            assert_eq!(came, parts * PART, "{server}");
        });
    }
}

#[test]
fn connections_of_an_address_that_is_gone_end_and_others_begin() {
    let stage = Stage::build();
    let listener = stage.listen(0);
    let port = listener.local_addr().unwrap().port();
    let echo = |stream: &mut TcpStream, peer: &mut TcpStream| {
        stream.write_all(REQUEST).unwrap();
        let mut came = vec![0; REQUEST.len()];
        peer.read_exact(&mut came).unwrap();
        assert_eq!(came, REQUEST);
    };
    let mut stream = stage.open(SERVERS[0], port);
    let (mut peer, _) = listener.accept().unwrap();
    echo(&mut stream, &mut peer);

    // The same address on the same network: the connection was only interrupted.
    let ip = |words: &[&str]| stage.says(Place::Engine, &[&["ip"], words].concat());
    ip(&["link", "set", "outer", "down"]);
    ip(&["link", "set", "outer", "up"]);
    ip(&["route", "replace", "default", "via", "192.0.2.1"]);
    pause(1_000);
    echo(&mut stream, &mut peer);

    ip(&["address", "del", "192.0.2.2/24", "dev", "outer"]);
    ip(&["address", "add", "192.0.2.3/24", "dev", "outer"]);
    ip(&["route", "replace", "default", "via", "192.0.2.1"]);
    let ended = stream.read(&mut [0; 1]).unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::ConnectionReset);
    let mut stream = stage.open(SERVERS[0], port);
    let (mut peer, from) = listener.accept().unwrap();
    echo(&mut stream, &mut peer);
    assert_eq!(from.ip().to_canonical().to_string(), "192.0.2.3");
}

#[test]
fn a_client_that_stops_reading_stops_the_server() {
    let stage = Stage::build();
    let listener = stage.listen(0);
    let port = listener.local_addr().unwrap().port();
    let before = stage.dirty();
    let sent = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut octets = Octets::new();
            while octets.write(&mut stream, PART).is_ok() {
                sent.fetch_add(PART, Ordering::Relaxed);
            }
        });
        let mut stream = stage.open(SERVERS[0], port);
        stream.write_all(REQUEST).unwrap();
        let mut last = 0;
        let stopped = (0..60).any(|_| {
            pause(1_000);
            let now = sent.load(Ordering::Relaxed);
            0 < now && std::mem::replace(&mut last, now) == now
        });
        assert!(stopped, "the server went on: {last} octets");
        assert!(last < MOST_UNREAD, "{last} octets are on their way to nobody");
        if let (Some(before), Some(after)) = (before, stage.dirty()) {
            assert!(after < before + MOST_GROWTH, "grew from {before} to {after} octets");
        }
        // What waited arrives, and so does what follows it.
        let more = last + 20_000_000;
        assert_eq!(Octets::new().check(&mut stream, more), more);
        drop(stream);
    });
}

#[test]
fn a_closed_port_refuses_and_an_unreachable_host_is_told_at_once() {
    let stage = Stage::build();
    for server in SERVERS {
        let (kind, time) = failure(&stage, SocketAddr::new(server, 9));
        assert_eq!(kind, ErrorKind::ConnectionRefused, "{server}");
        assert!(time < Duration::from_secs(1), "{server}: {time:?}");
    }
    for nowhere in ["203.0.113.1", "2001:db8:bad::1"] {
        let (kind, time) = failure(&stage, SocketAddr::new(nowhere.parse().unwrap(), 80));
        let known = [ErrorKind::HostUnreachable, ErrorKind::NetworkUnreachable];
        assert!(known.contains(&kind), "{nowhere}: {kind:?}");
        assert!(time < Duration::from_secs(2), "{nowhere}: {time:?}");
    }
}

#[test]
fn datagrams_come_back_whole_and_a_closed_port_is_told() {
    let stage = Stage::build();
    let echo = stage.within(Place::Server, || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap());
    let port = echo.local_addr().unwrap().port();
    echo.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut octets = [0; 9_000];
            for _ in 0..SERVERS.len() * SIZES.len() {
                let (length, from) = echo.recv_from(&mut octets).unwrap();
                echo.send_to(&octets[..length], from).unwrap();
            }
        });
        for server in SERVERS {
            let socket = datagrams(&stage, server, port);
            for size in SIZES {
                let sent = vec![7; size];
                socket.send(&sent).unwrap();
                let mut came = [0; 9_000];
                let length = socket.recv(&mut came).unwrap();
                assert!(came[..length] == sent, "{server}: {size} octets");
            }
        }
    });
    for server in SERVERS {
        let socket = datagrams(&stage, server, 9);
        socket.send(b"anybody").unwrap();
        let error = socket.recv(&mut [0; 16]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{server}");
    }
}

/// A socket of the application for datagrams to a server.
pub(crate) fn datagrams(stage: &Stage, server: IpAddr, port: u16) -> UdpSocket {
    stage.within(Place::App, || {
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
        let mapped = match server {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        socket.connect((mapped, port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    })
}

#[expect(clippy::disallowed_methods, reason = "how long an error takes is what is tested")]
fn failure(stage: &Stage, to: SocketAddr) -> (ErrorKind, Duration) {
    let start = Instant::now();
    let connected =
        stage.within(Place::App, || TcpStream::connect_timeout(&to, Duration::from_secs(10)));
    (connected.unwrap_err().kind(), start.elapsed())
}

#[expect(clippy::disallowed_methods, reason = "a peer that is slow or silent is what is tested")]
fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

const AT_ONCE: u32 = 2_000;
const PART: u64 = 10_000;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: site.example\r\n\r\n";
/// What the sockets' buffers on both sides may hold.
const MOST_UNREAD: u64 = 64 << 20;
const MOST_GROWTH: u64 = 2 << 20;
/// The last ones do not fit a packet.
const SIZES: [usize; 4] = [1, 1_400, 1_473, 4_000];
