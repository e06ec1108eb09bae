//! From a frame to the IP packet in it.
//!
//! Looks behind VLAN tags and `PPPoE`, but not into tunnels. A capture is not what was on the wire: the machine
//! that sends sees its packets before the network card cuts them and fills in checksums, and many captures cut
//! frames off. [`mend`] makes what is there a packet again.

/// Returns the IP packet in a frame of this link type; `None` if there is none.
pub(super) fn ip_packet(link: u32, frame: &[u8]) -> Option<&[u8]> {
    match link {
        ETHERNET => ethernet(frame),
        RAW | RAW_OF_BSD | RAW_OF_OPENBSD | IPV4 | IPV6 => Some(frame),
        // In front of the packet stands its family in the numbers of the system that captured.
        NULL | LOOP => frame.get(4..),
        LINUX_SLL => by_ether_type(be16(frame, 14)?, frame.get(16..)?),
        LINUX_SLL2 => by_ether_type(be16(frame, 0)?, frame.get(20..)?),
        PPP | PPP_HDLC => ppp(frame),
        PPP_WITH_DIRECTION => ppp(frame.get(1..)?),
        _ => None,
    }
    .filter(|packet| matches!(packet.first().map(|first| first >> 4), Some(4 | 6)))
}

/// Tells whether frames of this link type are read.
pub(super) fn is_known(link: u32) -> bool {
    [
        ETHERNET,
        RAW,
        RAW_OF_BSD,
        RAW_OF_OPENBSD,
        IPV4,
        IPV6,
        NULL,
        LOOP,
        LINUX_SLL,
        LINUX_SLL2,
        PPP,
        PPP_HDLC,
        PPP_WITH_DIRECTION,
    ]
    .contains(&link)
}

/// Makes lengths fit what is there, and the header checksum of IPv4 right.
pub(super) fn mend(packet: &mut [u8]) {
    let there = packet.len();
    match packet.first().map(|first| first >> 4) {
        Some(4) => {
            let header_len = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
            // Offload leaves the length zero where it does not fit 16 bits.
            let stated = be16(packet, 2).map_or(0, usize::from);
            if stated == 0 || there < stated {
                put(packet, 2, there.min(MAX_LEN));
            }
            // The rest of a fragment that is cut off never comes; what is there of the first is read.
            let flags_and_offset = be16(packet, 6).unwrap_or_default();
            if there < stated && flags_and_offset & 0x1fff == 0 {
                put(packet, 6, 0);
            }
            put(packet, 10, 0);
            let sum: u32 = packet
                .get(..header_len)
                .unwrap_or_default()
                .chunks_exact(2)
                .filter_map(|pair| be16(pair, 0))
                .map(u32::from)
                .sum();
            let folded = (sum & 0xffff) + (sum >> 16);
            let folded = (folded & 0xffff) + (folded >> 16);
            put(packet, 10, usize::try_from(!folded & 0xffff).unwrap_or_default());
        }
        Some(6) => {
            let there = there.saturating_sub(40);
            let stated = be16(packet, 4).map_or(0, usize::from);
            if stated == 0 || there < stated {
                put(packet, 4, there.min(MAX_LEN));
            }
        }
        Some(_) | None => {}
    }
}

fn ethernet(frame: &[u8]) -> Option<&[u8]> {
    let mut rest = frame.get(12..)?;
    loop {
        let kind = be16(rest, 0)?;
        rest = rest.get(2..)?;
        match kind {
            VLAN | QINQ | QINQ_BEFORE_802_1AD => rest = rest.get(2..)?,
            // RFC 2516 §4: version and type, code, session, length.
            PPPOE_SESSION => return ppp(rest.get(6..)?),
            kind => return by_ether_type(kind, rest),
        }
    }
}

fn by_ether_type(kind: u16, rest: &[u8]) -> Option<&[u8]> {
    match kind {
        0x0800 | 0x86dd => Some(rest),
        VLAN | QINQ => by_ether_type(be16(rest, 2)?, rest.get(4..)?),
        _ => None,
    }
}

/// RFC 1661 §2, RFC 1662 §3: address and control may be left out, and a zero octet of the protocol too.
fn ppp(frame: &[u8]) -> Option<&[u8]> {
    match frame.strip_prefix(&[0xff, 0x03]).unwrap_or(frame) {
        [0x00, 0x21 | 0x57, packet @ ..] | [0x21 | 0x57, packet @ ..] => Some(packet),
        _ => None,
    }
}

fn be16(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..)?.first_chunk().map(|pair| u16::from_be_bytes(*pair))
}

fn put(octets: &mut [u8], at: usize, value: usize) {
    if let (Some(place), Ok(value)) =
        (octets.get_mut(at..).and_then(|rest| rest.first_chunk_mut()), u16::try_from(value))
    {
        *place = value.to_be_bytes();
    }
}

const NULL: u32 = 0;
const ETHERNET: u32 = 1;
const PPP: u32 = 9;
const RAW_OF_BSD: u32 = 12;
const RAW_OF_OPENBSD: u32 = 14;
const PPP_HDLC: u32 = 50;
const RAW: u32 = 101;
const LOOP: u32 = 108;
const LINUX_SLL: u32 = 113;
const PPP_WITH_DIRECTION: u32 = 204;
const IPV4: u32 = 228;
const IPV6: u32 = 229;
const LINUX_SLL2: u32 = 276;
const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88a8;
const QINQ_BEFORE_802_1AD: u16 = 0x9100;
const PPPOE_SESSION: u16 = 0x8864;
const MAX_LEN: usize = 0xffff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packet_is_found_in_frames_of_every_link() {
        let packet = [0x45, 1, 2, 3];
        let ethernet = |tags: &[u8]| [&[0; 12][..], tags, &packet].concat();
        check(ETHERNET, &ethernet(&[8, 0]), true);
        check(ETHERNET, &ethernet(&[0x81, 0, 0, 7, 8, 0]), true);
        check(ETHERNET, &ethernet(&[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8, 8, 0]), true);
        check(ETHERNET, &ethernet(&[0x88, 0x64, 0x11, 0, 0, 1, 0, 6, 0, 0x21]), true);
        check(ETHERNET, &ethernet(&[8, 6]), false);
        check(ETHERNET, &[0; 13], false);
        check(LINUX_SLL, &[&[0; 14][..], &[8, 0], &packet].concat(), true);
        check(LINUX_SLL, &[&[0; 14][..], &[0x81, 0, 0, 7, 8, 0], &packet].concat(), true);
        check(LINUX_SLL2, &[&[8, 0][..], &[0; 18], &packet].concat(), true);
        check(NULL, &[&[2, 0, 0, 0][..], &packet].concat(), true);
        check(LOOP, &[&[0, 0, 0, 2][..], &packet].concat(), true);
        check(PPP, &[&[0xff, 3, 0, 0x21][..], &packet].concat(), true);
        check(PPP, &[&[0x21][..], &packet].concat(), true);
        check(PPP_WITH_DIRECTION, &[&[1, 0xff, 3, 0, 0x21][..], &packet].concat(), true);
        check(RAW, &packet, true);
        check(RAW, &[0x15], false);
        check(105, &packet, false);
    }

    #[test]
    fn a_packet_is_mended_to_what_is_there() {
        let mut packet =
            [0x45, 0, 5, 0xdc, 0, 9, 0x20, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 7, 7];
        mend(&mut packet);
        // The length is that of what is there, and the rest of the fragment never comes.
        assert_eq!((packet[3], packet[6]), (22, 0));
        assert!(bartizan_wire::ip::IpPacket::parse(&packet).is_ok());
        let mut packet = [[0x60, 0, 0, 0, 0, 0, 17, 64].as_slice(), &[1; 32], &[7; 3]].concat();
        mend(&mut packet);
        assert_eq!(bartizan_wire::ip::IpPacket::parse(&packet).unwrap().payload(), [7; 3]);
    }

    #[track_caller]
    fn check(link: u32, frame: &[u8], is_found: bool) {
        assert_eq!(ip_packet(link, frame), is_found.then_some(&[0x45, 1, 2, 3][..]));
        assert_eq!(is_known(link), link != 105);
    }
}
