//! `bartizan inspect` as a person runs it, on captures of a few frames.

use std::path::PathBuf;

use bartizan_wire::udp::encode_udp;
use serde_json::{Value, json};

use crate::support::bartizan;

#[test]
fn each_message_that_can_carry_a_name_is_a_line() {
    let lines = lines(&pcap(&[
        query("Example.TEST"),
        tcp(1_000, &hello("shop.test")),
        tcp(5_000, b"GET /a?b HTTP/1.1\r\nHost: Shop.test:80\r\n\r\nGET /c HTTP/1.0\r\n\r\n"),
    ]));
    assert_eq!(
        lines,
        [
            json!({ "frame": 1, "l4": "udp", "src": "192.0.2.1", "sport": 5000, "dst": "192.0.2.2", "dport": 53,
                "kind": "dns", "host": "example.test", "alpn": [], "ech": false, "path": null }),
            json!({ "frame": 2, "l4": "tcp", "src": "192.0.2.1", "sport": 4000, "dst": "192.0.2.2", "dport": 443,
                "kind": "tls", "host": "shop.test", "alpn": ["h2"], "ech": false, "path": null }),
            json!({ "frame": 3, "l4": "tcp", "src": "192.0.2.1", "sport": 4000, "dst": "192.0.2.2", "dport": 443,
                "kind": "http", "host": "shop.test", "alpn": [], "ech": false, "path": "/a?b" }),
            json!({ "frame": 3, "l4": "tcp", "src": "192.0.2.1", "sport": 4000, "dst": "192.0.2.2", "dport": 443,
                "kind": "http", "host": null, "alpn": [], "ech": false, "path": "/c" }),
        ]
    );
}

#[test]
fn segments_in_any_order_and_twice_are_one_stream() {
    let hello = hello("late.test");
    let (first, rest) = hello.split_at(20);
    let (second, third) = rest.split_at(20);
    let frames = [
        tcp(1_000, first),
        tcp(1_040, third),
        tcp(1_000, first),
        tcp(1_020, second),
        tcp(1_020, second),
    ];
    assert_eq!(hosts(&pcap(&frames)), ["4 tls late.test"]);
    // Another content for what came already does not count.
    let frames = [tcp(1_000, first), tcp(1_000, &[0; 20]), tcp(1_020, rest)];
    assert_eq!(hosts(&pcap(&frames)), ["3 tls late.test"]);
}

#[test]
fn a_gap_does_not_hide_what_comes_behind_it() {
    let frames = [tcp(1_000, b"EHLO a.test\r\n"), tcp(2_000, &hello("behind.test"))];
    assert_eq!(hosts(&pcap(&frames)), ["2 tls behind.test"]);
}

#[test]
fn one_protocol_may_follow_another() {
    let hello = hello("inner.test");
    let frames = [
        tcp(1_000, b"CONNECT proxied.test:443 HTTP/1.1\r\nHost: proxied.test:443\r\n\r\n"),
        tcp(1_061, &hello),
    ];
    assert_eq!(hosts(&pcap(&frames)), ["1 http proxied.test", "2 tls inner.test"]);
    let frames = [tcp(1_000, b"EHLO a.test\r\n"), tcp(1_013, b"STARTTLS\r\n"), tcp(1_023, &hello)];
    assert_eq!(hosts(&pcap(&frames)), ["3 tls inner.test"]);
}

#[test]
fn bodies_are_passed_over() {
    let request = |fields: &str, body: &str| {
        format!(
            "POST / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n\r\n{body}GET / HTTP/1.1\r\nHost: b.test\r\n\r\n"
        )
    };
    for (fields, body) in [
        ("Content-Length: 27", "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        ("Transfer-Encoding: chunked", "5;x=y\r\nGET /\r\n0\r\nTrailer: x\r\n\r\n".to_owned()),
    ] {
        let request = request(fields, &body);
        let request = request.as_bytes();
        for size in [1, 7, request.len()] {
            let frames: Vec<_> = request
                .chunks(size)
                .enumerate()
                .map(|(n, part)| tcp(1_000 + u32::try_from(n * size).unwrap(), part))
                .collect();
            let hosts: Vec<_> =
                lines(&pcap(&frames)).iter().map(|line| line["host"].clone()).collect();
            assert_eq!(hosts, ["a.test", "b.test"], "{fields} by {size}");
        }
    }
}

#[test]
fn pcapng_is_read_too() {
    assert_eq!(
        hosts(&pcapng(&[query("a.test"), query("b.test")])),
        ["1 dns a.test", "2 dns b.test"]
    );
}

#[test]
fn what_can_be_read_of_a_damaged_capture_is_printed_before_the_error() {
    let whole = pcap(&[query("a.test"), query("b.test")]);
    let (file, _folder) = write(&whole[..whole.len() - 5]);
    let output = bartizan(&["inspect", file.to_str().unwrap(), "--json"]);
    assert!(!output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.ends_with("ends within a frame: 1 frames were read\n"), "{said}");

    let (file, _folder) = write(b"GIF89a, not a capture");
    let output = bartizan(&["inspect", file.to_str().unwrap()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.ends_with("is neither a pcap nor a pcapng file\n"),
        "{said}"
    );
    let output = bartizan(&["inspect", "missing.pcap"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.starts_with("bartizan: cannot open missing.pcap"),
        "{said}"
    );
}

/// Returns frame, kind and host of each line.
fn hosts(capture: &[u8]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    lines(capture)
        .iter()
        .map(|line| format!("{} {} {}", line["frame"], text(&line["kind"]), text(&line["host"])))
        .collect()
}

fn lines(capture: &[u8]) -> Vec<Value> {
    let (file, _folder) = write(capture);
    let output = bartizan(&["inspect", file.to_str().unwrap(), "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn write(capture: &[u8]) -> (PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture");
    std::fs::write(&file, capture).unwrap();
    (file, folder)
}

/// Raw IP (link type 101) in octets as they lie on a little-endian machine.
fn pcap(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    for packet in packets {
        let len = u32::try_from(packet.len()).unwrap();
        for word in [1_700_000_000, 0, len, len] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

fn pcapng(packets: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind: u32, words: &[u32], data: &[u8]| {
        let mut body: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        body.extend(data);
        body.resize(body.len().next_multiple_of(4), 0);
        let len = u32::try_from(body.len() + 12).unwrap().to_be_bytes();
        [&kind.to_be_bytes()[..], &len, &body, &len].concat()
    };
    let mut file = block(0x0a0d_0d0a, &[0x1a2b_3c4d, 0x0001_0000, u32::MAX, u32::MAX], &[]);
    file.extend(block(1, &[101 << 16, 0], &[]));
    // A block that nobody has to know.
    file.extend(block(0x0bad, &[1, 2, 3], &[]));
    for packet in packets {
        let len = u32::try_from(packet.len()).unwrap();
        file.extend(block(6, &[0, 0, 0, len, len], packet));
    }
    file
}

fn query(name: &str) -> Vec<u8> {
    let mut message = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    encode_udp("192.0.2.1:5000".parse().unwrap(), "192.0.2.2:53".parse().unwrap(), &message)
        .unwrap()
}

/// A segment as the machine that sends it captures it: without checksums.
fn tcp(number: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 9, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    packet.extend(4_000_u16.to_be_bytes());
    packet.extend(443_u16.to_be_bytes());
    packet.extend(number.to_be_bytes());
    packet.extend([0, 0, 0, 0, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    packet.extend(payload);
    let len = u16::try_from(packet.len()).unwrap();
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    packet
}

fn hello(name: &str) -> Vec<u8> {
    let vector16 =
        |octets: &[u8]| [&u16::try_from(octets.len()).unwrap().to_be_bytes()[..], octets].concat();
    let entry = [&[0][..], &vector16(name.as_bytes())].concat();
    let extensions =
        [&[0, 0][..], &vector16(&vector16(&entry)), &[0, 16], &vector16(&vector16(b"\x02h2"))]
            .concat();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &vector16(&extensions)].concat();
    let message = [&[1, 0][..], &vector16(&body)].concat();
    [&[22, 3, 1][..], &vector16(&message)].concat()
}
