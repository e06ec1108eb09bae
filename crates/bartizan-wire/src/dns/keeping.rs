//! Which answers may be kept, for whom and how long (RFC 1035 §7.4, RFC 2308, RFC 4035 §4.5).

use super::records::{self, OPT, SOA, Section, Walk, put, u16_at};
use super::{DnsAnswer, DnsQuery, HEADER_LEN};
use crate::ParseError;

impl DnsQuery<'_> {
    /// Tells whether an answer to an equal question may serve for it: a plain question with recursion, not
    /// signed, not for data about the transport, and not about one's own network (RFC 7871).
    #[must_use]
    pub fn is_shareable(&self) -> bool {
        let header = self.message.header();
        let counts = self.message.header_counts();
        let edns = u16::from(self.edns.is_some());
        self.is_standard()
            && header.rd()
            && (counts.ancount(), counts.nscount(), counts.arcount()) == (0, 0, edns)
            // RFC 6895 §3.1: there begin the types that are only asked for.
            && self.qtype() < FIRST_QTYPE
            && self.edns.is_none_or(|edns| !edns.client_subnet)
    }

    /// Returns what else has an influence on the answer: the flags DO, CD and AD.
    #[must_use]
    pub fn flags(&self) -> u8 {
        let header = self.message.header();
        let dnssec_ok = self.edns.is_some_and(|edns| edns.dnssec_ok);
        u8::from(dnssec_ok) << 2 | u8::from(header.cd()) << 1 | u8::from(header.ad())
    }

    /// Returns the name that is asked for as it is spelled, in labels and with the root.
    #[must_use]
    pub fn spelled_name(&self) -> &[u8] {
        let end = self.question_end - super::TYPE_AND_CLASS_LEN;
        self.message.as_slice().get(HEADER_LEN..end).unwrap_or_default()
    }
}

impl DnsAnswer<'_> {
    /// Returns for how many seconds the answer may be kept: until the first of its records ends, and what is
    /// not there for no longer than the zone says. `None` for what must not be kept.
    #[must_use]
    pub fn lifetime_s(&self) -> Option<u32> {
        let octets = self.message.as_slice();
        if self.is_truncated() || !matches!(self.rcode(), NOERROR | NXDOMAIN) {
            return None;
        }
        let qtype = self.question.qtype().to_int();
        let (mut lifetime, mut negative, mut found) = (u32::MAX, None, false);
        for record in records::records(octets) {
            let record = record.ok()?;
            if record.rtype == OPT {
                continue;
            }
            lifetime = lifetime.min(seconds(record.ttl));
            match record.section {
                Section::Answer => found |= record.rtype == qtype,
                Section::Authority if record.rtype == SOA => {
                    // RFC 2308 §5: the last of its numbers.
                    let minimum = octets.get(record.rdata)?.last_chunk()?;
                    negative = Some(seconds(u32::from_be_bytes(*minimum)));
                }
                Section::Authority | Section::Additional => {}
            }
        }
        let lifetime =
            if found && self.rcode() == NOERROR { lifetime } else { lifetime.min(negative?) };
        (0 < lifetime).then_some(lifetime)
    }
}

/// Lets every record of an answer grow older; none goes below zero.
pub fn count_down(answer: &mut [u8], by_s: u32) {
    each_ttl(answer, |ttl| ttl.saturating_sub(by_s));
}

/// Lets no record of an answer live for longer than this.
pub fn limit_ttls(answer: &mut [u8], most_s: u32) {
    each_ttl(answer, |ttl| ttl.min(most_s));
}

/// Gives every record of an answer the same time to live.
pub fn set_ttls(answer: &mut [u8], ttl_s: u32) {
    each_ttl(answer, |_| ttl_s);
}

/// Takes the OPT record out of an answer: it is for one client.
///
/// # Errors
/// The answer is malformed; it is as it was.
pub fn remove_opt(answer: &mut Vec<u8>) -> Result<(), ParseError> {
    let mut found = None;
    for record in records::records(answer) {
        let record = record?;
        // RFC 6891 §6.1.1: there is at most one.
        if record.rtype == OPT && found.replace(record).is_some() {
            return Err(ParseError::malformed("OPT"));
        }
    }
    match found {
        None => Ok(()),
        Some(opt) if opt.rdata.end == answer.len() => {
            let count = u16_at(answer, ARCOUNT_AT).unwrap_or(0).saturating_sub(1);
            put(answer, ARCOUNT_AT, &count.to_be_bytes());
            answer.truncate(opt.at);
            Ok(())
        }
        Some(opt) => records::cut(answer, std::slice::from_ref(&(opt.at..opt.rdata.end))),
    }
}

fn each_ttl(answer: &mut [u8], change: impl Fn(u32) -> u32) {
    let mut walk = Walk::new(answer);
    while let Some(Ok(record)) = walk.next(answer) {
        // What an OPT record has in that place are flags.
        if record.rtype != OPT {
            put(answer, record.ttl_at, &change(seconds(record.ttl)).to_be_bytes());
        }
    }
}

/// RFC 2181 §8: a time to live with the highest bit set is zero.
fn seconds(ttl: u32) -> u32 {
    if ttl <= i32::MAX.cast_unsigned() { ttl } else { 0 }
}

const NOERROR: u8 = 0;
const NXDOMAIN: u8 = 3;
const FIRST_QTYPE: u16 = 128;
const ARCOUNT_AT: usize = 10;
