//! Packets by a Linux TUN with the header of virtio that offloads need (`IFF_VNET_HDR`, `linux/virtio_net.h`).
//!
//! With it the kernel hands over up to 64 KiB of a TCP connection, or of datagrams to one address, under a single IP
//! header, and cuts such packets for us in the other direction. TCP goes to the engine as it is; datagrams are cut here,
//! and also on their way to a TUN that does not cut them.

use bartizan_engine::net::TunnelPacket;
use bartizan_wire::checksum::{fold, sum};
use bartizan_wire::tcp::{CHECKSUM_OFFSET, Checksum};

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// A packet.
    One(Checksum),
    /// Datagrams of so many octets, the last of which may have fewer, under one header.
    Train(u16),
}

/// Gives on what was read: TCP as it is, datagrams with their checksums complete. Those that came together are given so;
/// if they are not taken, one by one.
pub(crate) fn read(octets: &mut [u8], each: impl FnMut(&[u8], Came) -> bool) {
    if let Some((header, packet)) = octets.split_first_chunk_mut::<VNET_LEN>() {
        take_apart(Vnet::read(*header), packet, each);
    }
}

/// Returns what goes before a packet.
pub(crate) fn header(packet: &TunnelPacket<'_>) -> [u8; VNET_LEN] {
    Vnet::of(packet).write()
}

/// Tells whether a packet is several datagrams.
pub(crate) fn is_train(packet: &TunnelPacket<'_>) -> bool {
    is_udp(packet.headers) && packet.offload.is_some_and(|offload| offload.segment.is_some())
}

/// Gives the datagrams of a packet one by one, with their checksums complete.
pub(crate) fn cut_train(packet: &TunnelPacket<'_>, each: impl FnMut(&[u8])) {
    let Some(offload) = packet.offload else { return };
    let whole = [packet.headers, &packet.payload.concat()].concat();
    let segment = usize::from(offload.segment.unwrap_or(0));
    cut(&whole, usize::from(offload.transport_at), segment, each);
}

/// Tells whether headers of ours, which have no options or extensions, are those of a datagram.
fn is_udp(headers: &[u8]) -> bool {
    let at = if is_v4(headers) { 9 } else { 6 };
    headers.get(at) == Some(&UDP)
}

fn is_v4(headers: &[u8]) -> bool {
    headers.first().is_some_and(|first| first >> 4 == 4)
}

/// `struct virtio_net_hdr`, in the machine's order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Vnet {
    flags: u8,
    kind: u8,
    header_len: u16,
    segment: u16,
    checksum_from: u16,
    checksum_at: u16,
}

impl Vnet {
    fn read(octets: [u8; VNET_LEN]) -> Self {
        let [flags, kind, h0, h1, s0, s1, f0, f1, a0, a1] = octets;
        Self {
            flags,
            kind,
            header_len: u16::from_ne_bytes([h0, h1]),
            segment: u16::from_ne_bytes([s0, s1]),
            checksum_from: u16::from_ne_bytes([f0, f1]),
            checksum_at: u16::from_ne_bytes([a0, a1]),
        }
    }

    fn write(self) -> [u8; VNET_LEN] {
        let [h0, h1] = self.header_len.to_ne_bytes();
        let [s0, s1] = self.segment.to_ne_bytes();
        let [f0, f1] = self.checksum_from.to_ne_bytes();
        let [a0, a1] = self.checksum_at.to_ne_bytes();
        [self.flags, self.kind, h0, h1, s0, s1, f0, f1, a0, a1]
    }

    fn of(packet: &TunnelPacket<'_>) -> Self {
        let Some(offload) = packet.offload else { return Self::default() };
        let is_udp = is_udp(packet.headers);
        let kind = match (offload.segment, is_udp, is_v4(packet.headers)) {
            (None, _, _) => GSO_NONE,
            (Some(_), true, _) => GSO_UDP_L4,
            (Some(_), false, true) => GSO_TCPV4,
            (Some(_), false, false) => GSO_TCPV6,
        };
        let tcp_checksum_at = u16::try_from(CHECKSUM_OFFSET).unwrap_or(0);
        Self {
            flags: NEEDS_CHECKSUM,
            kind,
            header_len: u16::try_from(packet.headers.len()).unwrap_or(0),
            segment: offload.segment.unwrap_or(0),
            checksum_from: offload.transport_at,
            checksum_at: if is_udp { UDP_CHECKSUM_AT } else { tcp_checksum_at },
        }
    }
}

fn take_apart(header: Vnet, packet: &mut [u8], mut each: impl FnMut(&[u8], Came) -> bool) {
    let from = usize::from(header.checksum_from);
    let needs_checksum = header.flags & NEEDS_CHECKSUM != 0;
    let is_udp = needs_checksum && header.checksum_at == UDP_CHECKSUM_AT;
    if header.kind == GSO_UDP_L4 && is_udp {
        if !each(packet, Came::Train(header.segment)) {
            cut(packet, from, header.segment.into(), |datagram| {
                each(datagram, Came::One(Checksum::Verify));
            });
        }
        return;
    }
    if is_udp {
        complete(packet, from, usize::from(UDP_CHECKSUM_AT));
    }
    let nobody = needs_checksum || header.flags & DATA_VALID != 0;
    each(packet, Came::One(if nobody && !is_udp { Checksum::Trust } else { Checksum::Verify }));
}

/// Cuts a packet of many datagrams into packets of one.
fn cut(packet: &[u8], from: usize, segment: usize, mut each: impl FnMut(&[u8])) {
    let Some((headers, payload)) = packet.split_at_checked(from + UDP_HEADER_LEN) else { return };
    if segment == 0 {
        return;
    }
    let mut one = Vec::with_capacity(headers.len() + segment);
    for datagram in payload.chunks(segment) {
        one.clear();
        one.extend_from_slice(headers);
        one.extend_from_slice(datagram);
        if fit(&mut one, from).is_some() {
            complete(&mut one, from, usize::from(UDP_CHECKSUM_AT));
            each(&one);
        }
    }
}

/// Writes the lengths of a datagram that was cut out, and the sum that its checksum begins with.
fn fit(packet: &mut [u8], from: usize) -> Option<()> {
    let udp_len = u16::try_from(packet.len().checked_sub(from)?).ok()?;
    let is_v4 = packet.first()? >> 4 == 4;
    let addresses;
    if is_v4 {
        let total = u16::try_from(packet.len()).ok()?.to_be_bytes();
        *packet.get_mut(2..)?.first_chunk_mut()? = total;
        *packet.get_mut(10..)?.first_chunk_mut()? = [0, 0];
        let checksum = !fold(sum(packet.get(..from)?));
        *packet.get_mut(10..)?.first_chunk_mut()? = checksum.to_be_bytes();
        addresses = sum(packet.get(12..20)?);
    } else {
        let len = u16::try_from(packet.len().checked_sub(40)?).ok()?.to_be_bytes();
        *packet.get_mut(4..)?.first_chunk_mut()? = len;
        addresses = sum(packet.get(8..40)?);
    }
    let pseudo = fold(addresses + 17 + u64::from(udp_len)).to_be_bytes();
    let udp = packet.get_mut(from..)?;
    *udp.get_mut(4..)?.first_chunk_mut()? = udp_len.to_be_bytes();
    *udp.get_mut(usize::from(UDP_CHECKSUM_AT)..)?.first_chunk_mut()? = pseudo;
    Some(())
}

/// Completes a checksum whose place holds the pseudo-header's sum.
fn complete(packet: &mut [u8], from: usize, at: usize) {
    let Some(transport) = packet.get_mut(from..) else { return };
    let checksum = match !fold(sum(transport)) {
        // RFC 768: zero would mean that there is none.
        0 => 0xffff,
        checksum => checksum,
    };
    if let Some(place) = transport.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<2>()) {
        *place = checksum.to_be_bytes();
    }
}

/// Octets of the header.
pub(crate) const VNET_LEN: usize = 10;
const NEEDS_CHECKSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
/// The protocol's number.
const UDP: u8 = 17;
const UDP_HEADER_LEN: usize = 8;
const UDP_CHECKSUM_AT: u16 = 6;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use bartizan_engine::net::Offload;
    use bartizan_wire::ip::IpPacket;
    use bartizan_wire::udp::{UdpDatagram, UdpHeader};

    use super::*;

    #[test]
    fn datagrams_that_go_as_one_packet_are_what_is_cut_out_of_it() {
        for (from, to) in
            [("192.0.2.1:53", "198.51.100.1:5000"), ("[2001:db8::1]:53", "[2001:db8:2::1]:5000")]
        {
            let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
            let payload: Vec<u8> = (0..=255).cycle().take(3_000).collect();
            let header = UdpHeader::write(from, to, &payload, Checksum::Trust).unwrap();
            let transport_at = u16::try_from(header.transport_at()).unwrap();
            let packet = TunnelPacket {
                headers: header.octets(),
                payload: &[&payload[..1_000], &payload[1_000..]],
                offload: Some(Offload { transport_at, segment: Some(1_400) }),
            };
            assert!(is_train(&packet));
            let expected: Vec<_> = payload.chunks(1_400).map(<[u8]>::to_vec).collect();
            let mut cut = Vec::new();
            cut_train(&packet, |packet| cut.push(checked(packet, from, to)));
            assert_eq!(cut, expected);

            // And as a kernel would hand it over.
            let mut whole = [&super::header(&packet)[..], header.octets(), &payload].concat();
            let mut came = Vec::new();
            read(&mut whole, |packet, how| {
                match how {
                    Came::One(checksum) => {
                        assert_eq!(checksum, Checksum::Verify);
                        came.push(checked(packet, from, to));
                    }
                    Came::Train(segment) => assert_eq!((segment, came.len()), (1_400, 0)),
                }
                false
            });
            assert_eq!(came, expected);
            let mut given = 0;
            read(&mut whole, |_, _| {
                given += 1;
                true
            });
            assert_eq!(given, 1);
        }
    }

    #[test]
    fn one_datagram_has_its_checksum_completed() {
        let (from, to) = ("192.0.2.1:53".parse().unwrap(), "198.51.100.1:5000".parse().unwrap());
        let header = UdpHeader::write(from, to, b"answer", Checksum::Trust).unwrap();
        let packet = TunnelPacket {
            headers: header.octets(),
            payload: &[b"answer"],
            offload: Some(Offload { transport_at: 20, segment: None }),
        };
        assert!(!is_train(&packet));
        let mut whole = [&super::header(&packet)[..], header.octets(), b"answer"].concat();
        let mut came = Vec::new();
        read(&mut whole, |packet, _| {
            came.push(checked(packet, from, to));
            true
        });
        assert_eq!(came, [b"answer"]);
    }

    fn checked(packet: &[u8], from: SocketAddr, to: SocketAddr) -> Vec<u8> {
        let ip = IpPacket::parse(packet).unwrap();
        let datagram = UdpDatagram::parse(&ip).unwrap();
        assert_eq!((datagram.src, datagram.dst), (from, to));
        datagram.payload.to_vec()
    }
}
