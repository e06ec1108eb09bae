//! A packet that is too large for the tunnel, cut into fragments (RFC 791 §3.2, RFC 8200 §4.5).

use crate::header::{V4_HEADER_LEN, V6_HEADER_LEN};
use crate::ip::{FRAGMENT, fold, sum};

/// Cuts a packet of ours, with a header without options or extensions, into pieces of at most `mtu` octets; gives it as
/// it is if it fits. `id` tells its fragments from those of other packets.
pub fn split(packet: &[u8], mtu: usize, id: u32, mut each: impl FnMut(&[u8])) {
    if packet.len() <= mtu {
        return each(packet);
    }
    // Nothing is given of what is no such packet.
    let _ = match packet.first().map(|first| first >> 4) {
        Some(4) => split_v4(packet, mtu, id, &mut each),
        Some(6) => split_v6(packet, mtu, id, &mut each),
        Some(_) | None => None,
    };
}

#[expect(clippy::cast_possible_truncation, reason = "any 16 of the bits will do")]
fn split_v4(packet: &[u8], mtu: usize, id: u32, each: &mut impl FnMut(&[u8])) -> Option<()> {
    let (header, payload) = packet.split_first_chunk::<V4_HEADER_LEN>()?;
    let step = step(mtu, V4_HEADER_LEN)?;
    let mut piece = Vec::with_capacity(mtu);
    for (index, part) in payload.chunks(step).enumerate() {
        let more = (index + 1) * step < payload.len();
        let offset = u16::try_from(index * step / 8).ok()?;
        let [o1, o0] = (offset | if more { 0x2000 } else { 0 }).to_be_bytes();
        let [l1, l0] = u16::try_from(V4_HEADER_LEN + part.len()).ok()?.to_be_bytes();
        let [i1, i0] = (id as u16).to_be_bytes();
        let mut header = *header;
        let [_, _, h_l1, h_l0, h_i1, h_i0, h_o1, h_o0, _, _, c1, c0, ..] = &mut header;
        (*h_l1, *h_l0, *h_i1, *h_i0, *h_o1, *h_o0) = (l1, l0, i1, i0, o1, o0);
        (*c1, *c0) = (0, 0);
        let [s1, s0] = (!fold(sum(&header))).to_be_bytes();
        let [_, _, _, _, _, _, _, _, _, _, c1, c0, ..] = &mut header;
        (*c1, *c0) = (s1, s0);
        piece.clear();
        piece.extend_from_slice(&header);
        piece.extend_from_slice(part);
        each(&piece);
    }
    Some(())
}

fn split_v6(packet: &[u8], mtu: usize, id: u32, each: &mut impl FnMut(&[u8])) -> Option<()> {
    let (header, payload) = packet.split_first_chunk::<V6_HEADER_LEN>()?;
    let step = step(mtu, V6_HEADER_LEN + FRAGMENT_HEADER_LEN)?;
    let [i3, i2, i1, i0] = id.to_be_bytes();
    let mut piece = Vec::with_capacity(mtu);
    for (index, part) in payload.chunks(step).enumerate() {
        let more = (index + 1) * step < payload.len();
        let [o1, o0] = (u16::try_from(index * step).ok()? | u16::from(more)).to_be_bytes();
        let [l1, l0] = u16::try_from(FRAGMENT_HEADER_LEN + part.len()).ok()?.to_be_bytes();
        let mut header = *header;
        let [_, _, _, _, h_l1, h_l0, next, ..] = &mut header;
        let of = std::mem::replace(next, FRAGMENT);
        (*h_l1, *h_l0) = (l1, l0);
        piece.clear();
        piece.extend_from_slice(&header);
        piece.extend_from_slice(&[of, 0, o1, o0, i3, i2, i1, i0]);
        piece.extend_from_slice(part);
        each(&piece);
    }
    Some(())
}

/// Returns how much goes into a fragment: a multiple of eight octets.
fn step(mtu: usize, headers: usize) -> Option<usize> {
    mtu.checked_sub(headers).map(|room| room / 8 * 8).filter(|step| 0 < *step)
}

const FRAGMENT_HEADER_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;
    use crate::fragment::Reassembler;
    use crate::udp::encode_udp;

    proptest! {
        #[test]
        fn what_was_split_can_be_put_together(len in 0..6_000usize, mtu in 576..2_000usize, v6: bool, id: u32) {
            let ends: [SocketAddr; 2] = if v6 {
                ["[2001:db8::1]:7".parse().unwrap(), "[2001:db8::2]:8".parse().unwrap()]
            } else {
                ["192.0.2.1:7".parse().unwrap(), "192.0.2.2:8".parse().unwrap()]
            };
            let payload: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let packet = encode_udp(ends[0], ends[1], &payload).unwrap();
            let mut pieces = Vec::new();
            split(&packet, mtu, id, |piece| pieces.push(piece.to_vec()));
            prop_assert!(pieces.iter().all(|piece| piece.len() <= mtu));
            if let [whole] = pieces.as_slice() {
                prop_assert_eq!(whole, &packet);
                return Ok(());
            }
            let mut reassembler = Reassembler::default();
            let now = now();
            let mut whole = None;
            // The last one first: order does not matter.
            for piece in pieces.iter().rev() {
                whole = reassembler.push(piece, now);
            }
            let whole = whole.unwrap();
            // RFC 791 has an id there, which the whole packet needs no more.
            let after = if v6 { 0 } else { V4_HEADER_LEN };
            prop_assert_eq!(&whole[after..], &packet[after..]);
        }
    }

    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn now() -> Instant {
        Instant::now()
    }
}
