//! One DNS message: what is asked, what is answered, and how a refusal is written.
//!
//! The question is read by the crate `domain` (RFC 1035), records where they lie by `records.rs`. EDNS is RFC
//! 6891, Extended DNS Errors RFC 8914, negative caching RFC 2308, HTTPS and SVCB records RFC 9460.
//!
//! # What it does not do
//! - Judge or keep; `keeping.rs` says what may be kept and for how long.
//! - Read data of other records than CNAME, A, AAAA, HTTPS, SVCB and SOA.
//!
//! # Invariants
//! - [`DnsQuery::name`] is what resolvers and clients take it for: a label with an odd octet, a dot
//!   among them, makes it the parent that lies beyond that label, never another name.
//! - Compression pointers only go backwards and at most 255 times a name (`domain` sees to it).

mod compose;
mod keeping;
mod records;
mod svcb;

use std::net::IpAddr;

use domain::base::iana::{Opcode, OptionCode};
use domain::base::name::ToLabelIter;
use domain::base::opt::UnknownOptData;
use domain::base::{Message, ParsedName, Question};
use domain::dep::octseq::Parser;

use bartizan_model::DomainName;

use crate::ParseError;
use crate::dns::records::{A, AAAA, CNAME, HTTPS, Record, SVCB, Section};

pub use compose::{Explanation, Refusal, write_question};
pub use keeping::{count_down, limit_ttls, remove_opt, set_ttls};

/// A query with one question.
#[derive(Clone, Debug)]
pub struct DnsQuery<'a> {
    message: &'a Message<[u8]>,
    question: Question<ParsedName<&'a [u8]>>,
    /// Where the records begin.
    question_end: usize,
    name: Option<DomainName>,
    edns: Option<Edns>,
}

impl<'a> DnsQuery<'a> {
    /// Reads a query as a client sends it.
    ///
    /// # Errors
    /// The first field that is wrong. A response, and a message without exactly one question, count
    /// as malformed.
    pub fn parse(octets: &'a [u8]) -> Result<Self, ParseError> {
        let message = Message::from_slice(octets).map_err(|_| ParseError::malformed("header"))?;
        if message.header().qr() {
            return Err(ParseError::malformed("QR"));
        }
        let question = sole_question(message)?;
        let question_end = end_of(&question);
        let name = host_name(question.qname());
        let edns = message.opt().map(|opt| Edns {
            udp_size: opt.udp_payload_size(),
            dnssec_ok: opt.dnssec_ok(),
            client_subnet: opt.opt().iter::<UnknownOptData<_>>().flatten().any(is_client_subnet),
        });
        Ok(Self { message, question, question_end, name, edns })
    }

    /// Returns the id that the answer is to carry.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.message.header().id()
    }

    /// Returns the name asked for, or the longest parent of it that is a host name; `None` if there is
    /// neither.
    #[must_use]
    pub fn name(&self) -> Option<&DomainName> {
        self.name.as_ref()
    }

    /// Returns the name as [`DnsQuery::name`], of a standard query only.
    #[must_use]
    pub fn judged_name(&self) -> Option<&DomainName> {
        self.name().filter(|_| self.is_standard())
    }

    /// Returns the number of the record type asked for.
    #[must_use]
    pub fn qtype(&self) -> u16 {
        self.question.qtype().to_int()
    }

    /// Returns the number of the class asked for.
    #[must_use]
    pub fn qclass(&self) -> u16 {
        self.question.qclass().to_int()
    }

    /// Tells whether it is a standard query (opcode 0), not an UPDATE or another kind of request.
    #[must_use]
    pub fn is_standard(&self) -> bool {
        self.message.header().opcode() == Opcode::QUERY
    }

    /// Returns the size of a UDP answer that the client can take, if it says so by EDNS.
    #[must_use]
    pub fn edns_udp_size(&self) -> Option<u16> {
        self.edns.map(|edns| edns.udp_size)
    }

    /// Returns the size of a UDP answer that the client can take.
    #[must_use]
    pub fn max_answer_len(&self) -> usize {
        // RFC 6891 §6.2.3: values below 512 mean 512.
        self.edns_udp_size().map_or(MIN_UDP_SIZE, |size| usize::from(size).max(MIN_UDP_SIZE))
    }

    /// Tells whether both ask the same: name in any case, type, class.
    #[must_use]
    pub fn asks_the_same_as(&self, other: &DnsQuery<'_>) -> bool {
        self.question == other.question
    }
}

/// An answer with one question.
#[derive(Clone, Debug)]
pub struct DnsAnswer<'a> {
    message: &'a Message<[u8]>,
    question: Question<ParsedName<&'a [u8]>>,
}

impl<'a> DnsAnswer<'a> {
    /// Reads an answer as a resolver sends it.
    ///
    /// # Errors
    /// The first field that is wrong. A query, and a message without exactly one question, count as
    /// malformed.
    pub fn parse(octets: &'a [u8]) -> Result<Self, ParseError> {
        let message = Message::from_slice(octets).map_err(|_| ParseError::malformed("header"))?;
        if !message.header().qr() {
            return Err(ParseError::malformed("QR"));
        }
        let question = sole_question(message)?;
        Ok(Self { message, question })
    }

    /// Returns the id of the query that it answers.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.message.header().id()
    }

    /// Returns the response code: 0 is no error, 3 is no such name.
    #[must_use]
    pub fn rcode(&self) -> u8 {
        self.message.header().rcode().to_int()
    }

    /// Tells whether it was cut off to fit into a datagram.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.message.header().tc()
    }

    /// Tells whether it repeats the question of the query: name in any case, type, class.
    #[must_use]
    pub fn answers(&self, query: &DnsQuery<'_>) -> bool {
        self.question == query.question
    }

    /// Yields the names that stand in for the one asked for, at most 16, and those only that are host names:
    /// where CNAME, HTTPS and SVCB records point to.
    pub fn aliases(&self) -> impl Iterator<Item = DomainName> + use<'a> {
        let octets = self.message.as_slice();
        self.answer_records()
            .filter_map(move |record| {
                let target_at = match record.rtype {
                    CNAME => record.rdata.start,
                    SVCB | HTTPS => record.rdata.start + svcb::PRIORITY_LEN,
                    _ => return None,
                };
                host_name_at(octets, target_at)
            })
            .take(MAX_ALIASES)
    }

    /// Yields the addresses in the answer, hints of HTTPS and SVCB records among them, each with its time to
    /// live in seconds; at most 64.
    pub fn addresses(&self) -> impl Iterator<Item = (IpAddr, u32)> + use<'a> {
        let octets = self.message.as_slice();
        self.answer_records()
            .flat_map(move |record| {
                let address = match record.rtype {
                    A | AAAA => octets.get(record.rdata.clone()).and_then(svcb::address),
                    _ => None,
                };
                let hints = svcb::is_svcb(&record).then(|| svcb::hints(octets, &record));
                let ttl = record.ttl;
                address
                    .into_iter()
                    .chain(hints.into_iter().flatten())
                    .map(move |found| (found, ttl))
            })
            .take(MAX_ADDRESSES)
    }

    fn answer_records(&self) -> impl Iterator<Item = Record> + use<'a> {
        records::records(self.message.as_slice())
            .map_while(Result::ok)
            .take_while(|record| record.section == Section::Answer)
            .filter(|record| record.class == records::IN)
    }
}

/// Takes the `ech` parameters of HTTPS and SVCB records (RFC 9848) out of an answer, together with what signs
/// those records; says whether there were any.
///
/// # Errors
/// The answer is malformed; it is as it was.
pub fn strip_ech(answer: &mut Vec<u8>) -> Result<bool, ParseError> {
    svcb::strip_ech(answer)
}

/// Writes another id into a message; says whether it was long enough to have one.
#[must_use]
pub fn set_id(message: &mut [u8], id: u16) -> bool {
    let Some(place) = message.first_chunk_mut() else { return false };
    *place = id.to_be_bytes();
    true
}

/// What the OPT record of a query says.
#[derive(Clone, Copy, Debug)]
struct Edns {
    udp_size: u16,
    dnssec_ok: bool,
    /// Whether it is about a network that the client names (RFC 7871).
    client_subnet: bool,
}

fn is_client_subnet(option: UnknownOptData<&[u8]>) -> bool {
    option.code() == OptionCode::CLIENT_SUBNET
}

fn sole_question(message: &Message<[u8]>) -> Result<Question<ParsedName<&[u8]>>, ParseError> {
    let mut section = message.question();
    let (1, Some(Ok(question))) = (message.header_counts().qdcount(), section.next()) else {
        return Err(ParseError::malformed("Question"));
    };
    // RFC 1035 §4.1.4: a pointer is to a prior name, and before the first one there is the header only.
    // Taken as a name, the header would change it together with the id.
    if section.pos() != end_of(&question) {
        return Err(ParseError::malformed("QNAME"));
    }
    Ok(question)
}

/// Returns where a question ends whose name is spelled out.
fn end_of(question: &Question<ParsedName<&[u8]>>) -> usize {
    HEADER_LEN + usize::from(question.qname().compose_len()) + TYPE_AND_CLASS_LEN
}

/// Reads a name where it stands.
fn host_name_at(octets: &[u8], at: usize) -> Option<DomainName> {
    let mut parser = Parser::from_ref(octets);
    parser.advance(at).ok()?;
    host_name(&ParsedName::parse_ref(&mut parser).ok()?)
}

/// Returns the name, or the longest parent of it that is a host name: what lies under a listed name must
/// not escape by an odd label.
fn host_name(name: &ParsedName<&[u8]>) -> Option<DomainName> {
    let mut text = [0_u8; 256];
    let mut len = 0;
    for label in name.iter().filter(|label| !label.is_root()) {
        // A dot inside of a label would pass for the border of two.
        if DomainName::parse(label.as_ref()).is_err() || label.as_ref().contains(&b'.') {
            len = 0;
            continue;
        }
        let place = text.get_mut(len..)?.get_mut(..label.len() + 1)?;
        let (dot, rest) = place.split_last_mut()?;
        rest.copy_from_slice(label.as_ref());
        *dot = b'.';
        len += label.len() + 1;
    }
    DomainName::parse(text.get(..len)?).ok()
}

/// RFC 1035 §4.1.1.
const HEADER_LEN: usize = 12;
/// RFC 1035 §4.1.2.
const TYPE_AND_CLASS_LEN: usize = 4;
/// RFC 1035 §2.3.4.
const MIN_UDP_SIZE: usize = 512;
/// Resolvers give up at 8 to 12 links of a chain.
const MAX_ALIASES: usize = 16;
/// Four times what the busiest services give out.
const MAX_ADDRESSES: usize = 64;

#[cfg(test)]
mod tests;
