//! Datagrams that are sent in one call, as programs with QUIC do: they go through the tunnel together, and arrive one by one.

use std::net::{Ipv6Addr, UdpSocket};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};

use crate::slow::forward::flows::datagrams;
use crate::slow::forward::stage::{Place, SERVERS, Stage};

#[test]
fn datagrams_that_are_sent_together_arrive_one_by_one_and_in_order() {
    let stage = Stage::build();
    let echo = stage.within(Place::Server, || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap());
    echo.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let port = echo.local_addr().unwrap().port();
    let octets: Vec<u8> = (0..TRAIN).flat_map(|number| [number; SEGMENT]).collect();
    // The last one is shorter.
    let octets = &octets[..octets.len() - 100];
    for server in SERVERS {
        let socket = datagrams(&stage, server, port);
        // The first one gets a socket of the forwarder.
        socket.send(b"first").unwrap();
        let (_, from) = echo.recv_from(&mut [0; SEGMENT]).unwrap();
        for sender in [&socket, &echo] {
            setsockopt(sender, sockopt::UdpGsoSegment, &i32::try_from(SEGMENT).unwrap()).unwrap();
        }
        socket.send(octets).unwrap();
        check_train(&echo, octets);
        echo.send_to(octets, from).unwrap();
        check_train(&socket, octets);
    }
    let status = stage.status();
    let all = u64::from(TRAIN) * 2;
    assert_eq!(status["datagrams_down"], all, "{status}");
    assert_eq!(status["datagrams_up"], all + 2, "{status}");
}

#[track_caller]
fn check_train(socket: &UdpSocket, octets: &[u8]) {
    for (number, expected) in octets.chunks(SEGMENT).enumerate() {
        let mut came = [0; 2 * SEGMENT];
        let length = socket.recv(&mut came).unwrap();
        assert!(came[..length] == *expected, "{number}: {length} octets");
    }
}

const TRAIN: u8 = 40;
const SEGMENT: usize = 1_200;
