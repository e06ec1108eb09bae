//! The IP header of a packet that we write: no options, no fragments, a full hop limit.

use std::net::IpAddr;

use crate::ip::{Protocol, fold, sum};

/// Writes the header in front of a payload of this length; returns how many octets it takes.
///
/// `None` if both ends are not of one family, the payload is too long, or the place too short.
pub(crate) fn write_ip_header(
    src: IpAddr,
    dst: IpAddr,
    protocol: Protocol,
    payload_len: usize,
    into: &mut [u8],
) -> Option<usize> {
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let header = into.first_chunk_mut::<V4_HEADER_LEN>()?;
            let [l1, l0] = u16::try_from(payload_len + V4_HEADER_LEN).ok()?.to_be_bytes();
            let [s3, s2, s1, s0] = src.octets();
            let [d3, d2, d1, d0] = dst.octets();
            // RFC 6864 §4.1: the ID of an atomic packet means nothing, so it is zero beside DF.
            *header = [
                0x45,
                0,
                l1,
                l0,
                0,
                0,
                0x40,
                0,
                HOP_LIMIT,
                protocol.number(),
                0,
                0,
                s3,
                s2,
                s1,
                s0,
                d3,
                d2,
                d1,
                d0,
            ];
            let checksum = (!fold(sum(header))).to_be_bytes();
            let [.., c1, c0, _, _, _, _, _, _, _, _] = header;
            [*c1, *c0] = checksum;
            Some(V4_HEADER_LEN)
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let header = into.first_chunk_mut::<V6_HEADER_LEN>()?;
            let [l1, l0] = u16::try_from(payload_len).ok()?.to_be_bytes();
            let (fixed, addresses) = header.split_first_chunk_mut::<8>()?;
            *fixed = [0x60, 0, 0, 0, l1, l0, protocol.number(), HOP_LIMIT];
            let (from, to) = addresses.split_at_mut(16);
            from.copy_from_slice(&src.octets());
            to.copy_from_slice(&dst.octets());
            Some(V6_HEADER_LEN)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

/// Of IPv4 without options.
pub(crate) const V4_HEADER_LEN: usize = 20;
/// Of IPv6 without extensions.
pub(crate) const V6_HEADER_LEN: usize = 40;
/// RFC 1700's recommendation, and what most systems send.
const HOP_LIMIT: u8 = 64;
