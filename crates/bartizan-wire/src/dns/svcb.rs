//! What HTTPS and SVCB records say (RFC 9460), and how Encrypted ClientHello is taken out of them.
//!
//! # What it does not do
//! - Check that the parameters are in order or make sense; a client that cannot use a record passes it over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::records::{self, HTTPS, RRSIG, Record, SVCB, u16_at};
use crate::ParseError;

/// Tells whether a record is of one of the two types.
pub(super) fn is_svcb(record: &Record) -> bool {
    record.class == records::IN && matches!(record.rtype, SVCB | HTTPS)
}

/// Yields the addresses that a record hints at (RFC 9460 §7.3).
pub(super) fn hints<'a>(
    octets: &'a [u8],
    record: &Record,
) -> impl Iterator<Item = IpAddr> + use<'a> {
    params(octets, record).flat_map(|(key, value)| {
        let (size, octets) = match key {
            IPV4HINT => (4, octets.get(value).unwrap_or_default()),
            IPV6HINT => (16, octets.get(value).unwrap_or_default()),
            _ => (1, [].as_slice()),
        };
        octets.chunks_exact(size).filter_map(address)
    })
}

/// Reads four octets as an IPv4 address, sixteen as an IPv6 one.
pub(super) fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(octets).ok().map(|octets| Ipv6Addr::from(octets).into())
}

/// Takes the `ech` parameters (RFC 9848) out of all records of a message, with the signatures that they make
/// wrong, and the claim that the message is authentic; says whether there were any.
///
/// A record that cannot be used without `ech`, since it is mandatory there, goes as a whole.
///
/// # Errors
/// The message is malformed, or something points into what should go; it is as it was.
pub(super) fn strip_ech(message: &mut Vec<u8>) -> Result<bool, ParseError> {
    let (mut ranges, mut changed) = (Vec::new(), Vec::new());
    for record in records::records(message) {
        let record = record?;
        if !is_svcb(&record) {
            continue;
        }
        let found = params(message, &record).find(|(key, _)| *key == ECH);
        let Some((_, value)) = found else { continue };
        changed.push(record.rtype);
        let mandatory = params(message, &record).find(|(key, _)| *key == MANDATORY);
        let mandatory = mandatory.and_then(|(_, value)| message.get(value)).unwrap_or_default();
        if mandatory.chunks_exact(2).any(|key| key == ECH.to_be_bytes()) {
            ranges.push(record.at..record.rdata.end);
        } else {
            ranges.push(value.start - PARAM_HEADER_LEN..value.end);
        }
    }
    if ranges.is_empty() {
        return Ok(false);
    }
    for record in records::records(message) {
        let record = record?;
        let covered = u16_at(message, record.rdata.start).filter(|_| record.rtype == RRSIG);
        if covered.is_some_and(|covered| changed.contains(&covered)) {
            ranges.push(record.at..record.rdata.end);
        }
    }
    ranges.sort_by_key(|range| range.start);
    records::cut(message, &ranges)?;
    if let Some(flags) = message.get_mut(AD_AT) {
        *flags &= !AD;
    }
    Ok(true)
}

/// Yields the parameters of a record: key, and where the value stands.
fn params<'a>(
    octets: &'a [u8],
    record: &Record,
) -> impl Iterator<Item = (u16, Range<usize>)> + use<'a> {
    let end = record.rdata.end;
    // Before them stand the priority and the target's name.
    let mut at = records::name_end(octets, record.rdata.start + PRIORITY_LEN);
    std::iter::from_fn(move || {
        let start = at? + PARAM_HEADER_LEN;
        let key = u16_at(octets, start - PARAM_HEADER_LEN)?;
        let value = start..start + usize::from(u16_at(octets, start - 2)?);
        at = Some(value.end);
        (value.end <= end).then_some((key, value))
    })
}

pub(super) const PRIORITY_LEN: usize = 2;
/// Key and length.
const PARAM_HEADER_LEN: usize = 4;
/// RFC 9460 §14.3.2.
const MANDATORY: u16 = 0;
const IPV4HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6HINT: u16 = 6;
/// RFC 4035 §3.2.3: "authentic data", in the fourth octet.
const AD: u8 = 0x20;
const AD_AT: usize = 3;
