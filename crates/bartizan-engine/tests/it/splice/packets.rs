//! What a tunnel with segmentation offload does to packets, and a way to move sequence numbers.

use bartizan_engine::net::TunnelPacket;
use bartizan_wire::ip::{IpPacket, Protocol};
use bartizan_wire::tcp::{Checksum, Flags, TcpSegment};
use smoltcp::wire::{IpAddress, Ipv4Packet, Ipv6Packet, TcpPacket, TcpSeqNumber};

/// Cuts a packet and completes its checksums, as was asked for.
pub(crate) fn cut(packet: &TunnelPacket<'_>) -> Vec<Vec<u8>> {
    let payload: Vec<u8> = packet.payload.concat();
    let Some(offload) = packet.offload else {
        return vec![[packet.headers, &payload].concat()];
    };
    let at = usize::from(offload.transport_at);
    let mut whole = TcpPacket::new_checked([&packet.headers[at..], &payload].concat()).unwrap();
    let ends = addresses(packet.headers);
    let partial = whole.checksum();
    whole.fill_checksum(&ends.0, &ends.1);
    let mut completed = [&packet.headers[at..], &payload].concat();
    let sum = !ones_complement_sum(&completed);
    completed[16..18].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(sum, whole.checksum(), "{partial} is not the sum of the pseudo-header");

    let size = offload.segment.map_or_else(|| payload.len().max(1), usize::from);
    assert!(offload.segment.is_none() || size < payload.len(), "cut without need");
    let count = payload.len().div_ceil(size).max(1);
    (0..count)
        .map(|index| {
            let part = &payload[index * size..payload.len().min((index + 1) * size)];
            let mut segment = [packet.headers, part].concat();
            set_lengths(&mut segment, at);
            let mut tcp = TcpPacket::new_unchecked(&mut segment[at..]);
            tcp.set_seq_number(tcp.seq_number() + index * size);
            if index + 1 < count {
                tcp.set_psh(false);
                tcp.set_fin(false);
            }
            tcp.fill_checksum(&ends.0, &ends.1);
            segment
        })
        .collect()
}

/// Joins a segment to the one before it, if it continues that; gives it back otherwise.
pub(crate) fn merge(before: &mut Vec<u8>, next: Vec<u8>) -> Result<(), Vec<u8>> {
    let fits = {
        let (Some(a), Some(b)) = (plain(before), plain(&next)) else { return Err(next) };
        (a.src, a.dst, a.ack, a.window, a.end()) == (b.src, b.dst, b.ack, b.window, b.seq)
            && before.len() + b.payload.len() < 65_000
            && (before.len() - a.payload.len()) == (next.len() - b.payload.len())
    };
    if !fits {
        return Err(next);
    }
    let payload = plain(&next).map_or(0, |segment| segment.payload.len());
    let at = if before[0] >> 4 == 4 { 20 } else { 40 };
    before.extend(&next[next.len() - payload..]);
    set_lengths(before, at);
    // Nobody fills it in for what never was on a wire.
    before[at + 16..at + 18].fill(0x5a);
    Ok(())
}

/// Reads a segment that carries octets and nothing else.
fn plain(packet: &[u8]) -> Option<TcpSegment<'_>> {
    let segment = read(packet)?;
    let signs = [Flags::SYN, Flags::FIN, Flags::RST];
    let is_plain =
        !segment.payload.is_empty() && !signs.iter().any(|sign| segment.flags.has(*sign));
    is_plain.then_some(segment)
}

pub(crate) fn read(packet: &[u8]) -> Option<TcpSegment<'_>> {
    let ip = IpPacket::parse(packet).ok()?;
    if ip.protocol() != Protocol::Tcp {
        return None;
    }
    TcpSegment::parse(&ip, Checksum::Trust).ok()
}

/// Moves the numbers of octets that are sent, or of those that are acknowledged.
pub(crate) fn renumber(packet: &mut [u8], sent: u32, acknowledged: u32) {
    let ends = addresses(packet);
    let at = if packet[0] >> 4 == 4 { 20 } else { 40 };
    let mut tcp = TcpPacket::new_unchecked(&mut packet[at..]);
    let moved = |number: TcpSeqNumber, by: u32| {
        TcpSeqNumber(i32::from_ne_bytes(
            u32::from_ne_bytes(number.0.to_ne_bytes()).wrapping_add(by).to_ne_bytes(),
        ))
    };
    tcp.set_seq_number(moved(tcp.seq_number(), sent));
    if tcp.ack() {
        tcp.set_ack_number(moved(tcp.ack_number(), acknowledged));
    }
    tcp.fill_checksum(&ends.0, &ends.1);
}

fn addresses(packet: &[u8]) -> (IpAddress, IpAddress) {
    if packet[0] >> 4 == 4 {
        let ip = Ipv4Packet::new_unchecked(packet);
        (ip.src_addr().into(), ip.dst_addr().into())
    } else {
        let ip = Ipv6Packet::new_unchecked(packet);
        (ip.src_addr().into(), ip.dst_addr().into())
    }
}

fn set_lengths(packet: &mut [u8], at: usize) {
    let len = u16::try_from(packet.len()).unwrap();
    if at == 20 {
        let mut ip = Ipv4Packet::new_unchecked(packet);
        ip.set_total_len(len);
        ip.fill_checksum();
    } else {
        Ipv6Packet::new_unchecked(packet).set_payload_len(len - 40);
    }
}

/// Sums sixteen-bit words as RFC 1071 has it.
fn ones_complement_sum(octets: &[u8]) -> u16 {
    let words = octets
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |octet| u32::from(*octet)));
    let mut sum = words.fold(0_u32, |sum, word| (sum + word) % 0xffff);
    if sum == 0 {
        sum = 0xffff;
    }
    u16::try_from(sum).unwrap()
}
