//! A way that takes less than the tunnel's own packets: who may not be cut is told how much, who may be gets through.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, UdpSocket};
use std::time::Duration;

use rustix::io::Errno;

use crate::slow::forward::flows::datagrams;
use crate::slow::forward::stage::{Place, SERVERS, Stage};

#[test]
fn an_application_is_told_what_the_uplink_takes_and_gets_through_with_it() {
    let stage = Stage::build();
    narrow_the_uplink(&stage);
    let port = echo(&stage);
    for server in SERVERS {
        let socket = datagrams(&stage, server, port);
        socket.send(&[7; LARGE]).unwrap();
        let error = socket.recv(&mut [0; LARGE]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::MSGSIZE.raw_os_error()), "{server}");
        check_route(&stage, &server.to_string(), "mtu 1400");
        // From now on its own system cuts what is larger, by the MTU that it was told.
        for size in [LARGE, 4_000] {
            check_echo(&socket, size);
        }
    }
}

#[test]
fn ping_is_told_what_the_uplink_takes() {
    let stage = Stage::build();
    narrow_the_uplink(&stage);
    for (server, says) in SERVERS.into_iter().zip(["mtu = 1400", "mtu=1400"]) {
        let server = server.to_string();
        let ping = ["ping", "-n", "-c", "1", "-W", "2", "-M", "do", "-s", "1420", &server];
        let output = stage.run(Place::App, &ping);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(says), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn what_may_be_cut_is_cut_for_the_uplink() {
    let stage = Stage::build();
    narrow_the_uplink(&stage);
    // Sockets send without "Don't Fragment".
    stage.says(Place::App, &["sysctl", "-qw", "net.ipv4.ip_no_pmtu_disc=1"]);
    let socket = datagrams(&stage, SERVERS[0], echo(&stage));
    check_echo(&socket, LARGE);
    let route = stage.says(Place::App, &["ip", "route", "get", &SERVERS[0].to_string()]);
    assert!(!route.contains("mtu"), "nobody is told: {route}");
}

#[test]
fn what_a_router_on_the_way_says_reaches_the_application() {
    let stage = Stage::build();
    let ip = |words: &[&str]| stage.says(Place::Server, &[&["ip"], words].concat());
    ip(&["link", "add", "narrow", "mtu", "1300", "type", "veth", "peer", "name", "beyond"]);
    for (end, address) in [("narrow", "203.0.113.129/25"), ("narrow", "2001:db8:bad:1::1/64")] {
        ip(&["address", "add", address, "dev", end]);
    }
    ip(&["link", "set", "beyond", "up"]);
    ip(&["link", "set", "narrow", "up"]);
    for beyond in ["203.0.113.200", "2001:db8:bad:1::200"] {
        let socket = datagrams(&stage, beyond.parse().unwrap(), 9);
        socket.send(&[7; LARGE]).unwrap();
        let error = socket.recv(&mut [0; LARGE]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::MSGSIZE.raw_os_error()), "{beyond}");
        check_route(&stage, beyond, "mtu 1300");
    }
}

fn narrow_the_uplink(stage: &Stage) {
    for (place, link) in [(Place::Engine, "outer"), (Place::Server, "srv0")] {
        stage.says(place, &["ip", "link", "set", link, "mtu", "1400"]);
    }
}

/// Starts a server that sends back what comes, until it is left alone; returns its port.
fn echo(stage: &Stage) -> u16 {
    let socket =
        stage.within(Place::Server, || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap());
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut octets = [0; 9_000];
        loop {
            match socket.recv_from(&mut octets) {
                Ok((length, from)) => drop(socket.send_to(&octets[..length], from)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // What it sent is too large, which its system knows the next time.
                Err(_) => {}
            }
        }
    });
    port
}

#[track_caller]
fn check_echo(socket: &UdpSocket, size: usize) {
    let sent = vec![7; size];
    socket.send(&sent).unwrap();
    let mut came = [0; 9_000];
    let length = socket.recv(&mut came).unwrap();
    assert!(came[..length] == sent, "{size} octets");
}

/// Checks what the application's system knows of the way to an address.
#[track_caller]
fn check_route(stage: &Stage, to: &str, knows: &str) {
    let route = stage.says(Place::App, &["ip", "route", "get", to]);
    assert!(route.contains(knows), "{route}");
}

/// Fits the tunnel and the application's cable, but not what follows.
const LARGE: usize = 1_440;
