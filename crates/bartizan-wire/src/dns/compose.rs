//! Answers that are written here: refusals, the empty answer that sends a client to TCP, and an answer kept
//! for another client.
//!
//! They go into a buffer of the caller, so that refusing takes nothing of the heap.

use bartizan_model::DomainName;

use super::records::{self, A, AAAA, IN, SOA, u16_at};
use super::{DnsAnswer, DnsQuery, HEADER_LEN};

/// How a question is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The unspecified address for A and AAAA, no data for any other type.
    ///
    /// An address rather than NXDOMAIN, because the name does exist: a client that is told otherwise looks it up
    /// again under its search domains.
    Sinkhole,
    /// The name has no such records.
    NoData,
    /// There is no such name, and none below it.
    NoSuchName,
}

/// An Extended DNS Error (RFC 8914): what is behind an answer, for people who look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation<'a> {
    /// Its number.
    pub code: u16,
    /// What else there is to say.
    pub text: &'a str,
}

impl Explanation<'_> {
    /// The answer is older than it should be.
    pub const STALE_ANSWER: u16 = 3;
    /// Whoever runs the resolver does not want it answered.
    pub const BLOCKED: u16 = 15;
    /// The answer that there is no such name is older than it should be.
    pub const STALE_NXDOMAIN: u16 = 19;
}

/// Writes a plain question with recursion for a name.
#[must_use]
pub fn write_question(name: &DomainName, rtype: u16, id: u16) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    let mut octets = vec![high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.as_str().split('.') {
        // A name has no label beyond 63 octets.
        octets.push(u8::try_from(label.len()).unwrap_or(0));
        octets.extend_from_slice(label.as_bytes());
    }
    octets.push(0);
    octets.extend_from_slice(&rtype.to_be_bytes());
    octets.extend_from_slice(&IN.to_be_bytes());
    octets
}

impl DnsQuery<'_> {
    /// Writes a refusal that may be remembered for `ttl` seconds.
    pub fn write_refusal(
        &self,
        refusal: Refusal,
        ttl: u32,
        error: Explanation<'_>,
        into: &mut Vec<u8>,
    ) {
        let rcode = match refusal {
            Refusal::Sinkhole | Refusal::NoData => NOERROR,
            Refusal::NoSuchName => NXDOMAIN,
        };
        self.write_head(RA, rcode, into);
        let sinkhole: Option<&[u8]> = match (refusal, self.qclass(), self.qtype()) {
            (Refusal::Sinkhole, IN, A) => Some(&[0; 4]),
            (Refusal::Sinkhole, IN, AAAA) => Some(&[0; 16]),
            (Refusal::Sinkhole | Refusal::NoData | Refusal::NoSuchName, _, _) => None,
        };
        match sinkhole {
            Some(address) => {
                push_record(into, self.qtype(), self.qclass(), ttl, &[address]);
                records::put(into, ANCOUNT_AT, &[0, 1]);
            }
            None => {
                // RFC 2308 §5: how long "no" may be cached stands in a SOA record only. Nobody's names and the
                // serial 1 come first in it, then four times.
                let ttl_octets = ttl.to_be_bytes();
                let soa = [
                    [0, 0, 0, 0, 0, 1].as_slice(),
                    &ttl_octets,
                    &ttl_octets,
                    &ttl_octets,
                    &ttl_octets,
                ];
                push_record(into, SOA, self.qclass(), ttl, &soa);
                records::put(into, NSCOUNT_AT, &[0, 1]);
            }
        }
        self.push_opt(Some(error), into);
    }

    /// Writes the empty answer that sends the client to TCP (RFC 1035 §4.2.1), instead of `answer`.
    pub fn write_truncated(&self, answer: &DnsAnswer<'_>, into: &mut Vec<u8>) {
        let ra = if answer.message.header().ra() { RA } else { 0 };
        self.write_head(TC | ra, answer.rcode(), into);
        self.push_opt(None, into);
    }

    /// Makes an answer to the same question, kept without its OPT record, one to this query.
    pub fn adopt(&self, answer: &mut Vec<u8>, error: Option<Explanation<'_>>) {
        records::put(answer, 0, &self.id().to_be_bytes());
        // The same name takes as much room in any spelling.
        records::put(answer, HEADER_LEN, self.spelled_question());
        self.push_opt(error, answer);
    }

    fn write_head(&self, flags: u16, rcode: u8, into: &mut Vec<u8>) {
        let kept = u16_at(self.message.as_slice(), FLAGS_AT).unwrap_or(0) & (OPCODE | RD | CD);
        into.clear();
        into.extend_from_slice(&self.id().to_be_bytes());
        into.extend_from_slice(&(QR | kept | flags | u16::from(rcode)).to_be_bytes());
        into.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        into.extend_from_slice(self.spelled_question());
    }

    /// RFC 6891 §6.1.1: an answer has an OPT record if, and only if, the query had one.
    fn push_opt(&self, error: Option<Explanation<'_>>, into: &mut Vec<u8>) {
        let Some(edns) = self.edns else { return };
        into.push(0);
        into.extend_from_slice(&records::OPT.to_be_bytes());
        into.extend_from_slice(&OUR_UDP_SIZE.to_be_bytes());
        into.extend_from_slice(&[0, 0, if edns.dnssec_ok { 0x80 } else { 0 }, 0]);
        match error {
            Some(Explanation { code, text }) => {
                let [h, l] = u16::try_from(2 + text.len()).unwrap_or(0).to_be_bytes();
                push_parts(into, &[&[0, EDE, h, l], &code.to_be_bytes(), text.as_bytes()]);
            }
            None => push_parts(into, &[]),
        }
        let count = u16_at(into, ARCOUNT_AT).unwrap_or(0).saturating_add(1);
        records::put(into, ARCOUNT_AT, &count.to_be_bytes());
    }

    fn spelled_question(&self) -> &[u8] {
        self.message.as_slice().get(HEADER_LEN..self.question_end).unwrap_or_default()
    }
}

/// Writes a record of the name that is asked for.
fn push_record(into: &mut Vec<u8>, rtype: u16, class: u16, ttl: u32, rdata: &[&[u8]]) {
    into.extend_from_slice(&[0xc0, 0x0c]);
    into.extend_from_slice(&rtype.to_be_bytes());
    into.extend_from_slice(&class.to_be_bytes());
    into.extend_from_slice(&ttl.to_be_bytes());
    push_parts(into, rdata);
}

/// Writes a record's data with its length.
fn push_parts(into: &mut Vec<u8>, parts: &[&[u8]]) {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    into.extend_from_slice(&u16::try_from(len).unwrap_or(0).to_be_bytes());
    for part in parts {
        into.extend_from_slice(part);
    }
}

/// RFC 1035 §4.1.1, RFC 4035 §3.2.2.
const QR: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const TC: u16 = 0x0200;
const RD: u16 = 0x0100;
const RA: u16 = 0x0080;
const CD: u16 = 0x0010;
const NOERROR: u8 = 0;
const NXDOMAIN: u8 = 3;
const FLAGS_AT: usize = 2;
const ANCOUNT_AT: usize = 6;
const NSCOUNT_AT: usize = 8;
const ARCOUNT_AT: usize = 10;
/// RFC 8914 §2.
const EDE: u8 = 15;
/// What "DNS flag day 2020" settled on: no fragments on any path.
const OUR_UDP_SIZE: u16 = 1_232;
