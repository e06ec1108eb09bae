//! Packets that were cut by hand, in any order, and what must not come together.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::ip::IpPacket;

#[test]
fn a_packet_that_was_cut_comes_back_as_it_was() {
    for packet in [v4(b"example"), v6(b"example"), v4(&[7; 3_000]), v6(&[7; 3_000])] {
        let mut fragments = cut(&packet, 8);
        fragments.reverse();
        assert_eq!(push_all(&fragments), Some(packet.clone()));
    }
}

#[test]
fn a_duplicate_is_no_overlap() {
    let packet = v4(&[7; 100]);
    let mut fragments = cut(&packet, 48);
    fragments.insert(1, fragments[0].clone());
    assert_eq!(push_all(&fragments), Some(packet));
}

#[test]
fn an_overlap_drops_the_packet_and_what_comes_of_it_later() {
    for make in [v4, v6] {
        let mut fragments = cut(&make(&[7; 96]), 48);
        let other = cut(&make(&[8; 96]), 32);
        fragments.insert(1, other[1].clone());
        assert_eq!(push_all(&fragments), None);
        // The same octets with another content.
        let fragments = [cut(&make(&[7; 96]), 48), cut(&make(&[8; 96]), 48)].concat();
        assert_eq!(push_all(&[&fragments[..1], &fragments[2..3], &fragments[1..2]].concat()), None);
    }
}

#[test]
fn what_lies_behind_the_end_drops_the_packet() {
    let short = cut(&v4(&[7; 64]), 32);
    let long = cut(&v4(&[7; 128]), 32);
    assert_eq!(push_all(&[short[1].clone(), long[2].clone(), short[0].clone()]), None);
    assert_eq!(push_all(&[long[3].clone(), short[1].clone(), short[0].clone()]), None);
}

#[test]
fn the_rest_that_comes_too_late_comes_in_vain() {
    let fragments = cut(&v4(&[7; 64]), 32);
    let mut reassembler = Reassembler::default();
    let start = t0();
    assert_eq!(reassembler.push(&fragments[0], start), None);
    assert_eq!(reassembler.push(&fragments[1], start + LIFETIME), None);
    assert_eq!(reassembler.push(&fragments[0], start + LIFETIME), Some(v4(&[7; 64])));
}

#[test]
fn no_load_outgrows_the_bounds() {
    let mut reassembler = Reassembler::default();
    for id in 0..100_u8 {
        let mut packet = v4(&[7; 60_000]);
        packet[5] = id;
        for fragment in &cut(&packet, 1_480)[1..] {
            let _ = reassembler.push(fragment, t0());
            assert!(reassembler.octets() <= MAX_OCTETS && reassembler.packets.len() <= MAX_PACKETS);
        }
    }
    assert!(0 < reassembler.octets());
}

proptest! {
    #[test]
    fn any_order_brings_the_packet_back(
        payload in prop::collection::vec(any::<u8>(), 1..4_000), size in 1_usize..100, is_v4 in any::<bool>(),
        swaps in prop::collection::vec((any::<Index>(), any::<Index>()), 0..40),
    ) {
        let packet = if is_v4 { v4(&payload) } else { v6(&payload) };
        let mut fragments = cut(&packet, size * 8);
        for (a, b) in swaps {
            let (a, b) = (a.index(fragments.len()), b.index(fragments.len()));
            fragments.swap(a, b);
        }
        let whole = push_all(&fragments).unwrap();
        prop_assert_eq!(IpPacket::parse(&whole).unwrap().payload(), &payload[..]);
        prop_assert_eq!(whole, packet);
    }
}

fn push_all(fragments: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut reassembler = Reassembler::default();
    let mut whole = None;
    for fragment in fragments {
        assert!(whole.is_none(), "nothing comes behind the last");
        whole = reassembler.push(fragment, t0());
    }
    whole
}

/// Cuts the payload of a packet without options into fragments of so many octets, at least one.
fn cut(packet: &[u8], size: usize) -> Vec<Vec<u8>> {
    let is_v4 = packet[0] >> 4 == 4;
    let header_len = if is_v4 { 20 } else { 40 };
    let (header, payload) = packet.split_at(header_len);
    let count = payload.len().div_ceil(size);
    let fragment = |(index, part): (usize, &[u8])| {
        let more = u16::from(index + 1 < count);
        let offset = u16::try_from(index * size / 8).unwrap();
        let mut fragment = header.to_vec();
        if is_v4 {
            fragment[2..4].copy_from_slice(&u16::try_from(20 + part.len()).unwrap().to_be_bytes());
            fragment[6..8].copy_from_slice(&(more << 13 | offset).to_be_bytes());
            fragment[10..12].fill(0);
            let checksum = !fold(sum(&fragment));
            fragment[10..12].copy_from_slice(&checksum.to_be_bytes());
        } else {
            fragment[4..6].copy_from_slice(&u16::try_from(8 + part.len()).unwrap().to_be_bytes());
            fragment[6] = FRAGMENT;
            fragment.extend([17, 0]);
            fragment.extend((offset << 3 | more).to_be_bytes());
            fragment.extend([0, 0, 0, 9]);
        }
        fragment.extend(part);
        fragment
    };
    payload.chunks(size).enumerate().map(fragment).collect()
}

fn v4(payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 9, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 53];
    packet.extend(payload);
    let len = u16::try_from(packet.len()).unwrap();
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    let checksum = !fold(sum(&packet[..20]));
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet
}

fn v6(payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    packet.extend([17, 64]);
    packet.extend([0x20; 16]);
    packet.extend([0x21; 16]);
    packet.extend(payload);
    packet
}

#[expect(clippy::disallowed_methods, reason = "a test has to begin at some time")]
fn t0() -> Instant {
    Instant::now()
}
