//! One DNS message: what is asked, what is answered, and how a refusal is written.
//!
//! On the crate `domain`, which reads in place (RFC 1035). EDNS is RFC 6891, Extended DNS Errors
//! RFC 8914, negative caching RFC 2308.
//!
//! # What it does not do
//! - Judge or cache; it does not even look at addresses.
//! - Read more of an answer than its header, its question and its CNAME records.
//!
//! # Invariants
//! - [`DnsQuery::name`] is what resolvers and clients take it for: a label with an odd octet, a dot
//!   among them, makes it the parent that lies beyond that label, never another name.
//! - Compression pointers only go backwards and at most 255 times a name (`domain` sees to it).

use std::net::{Ipv4Addr, Ipv6Addr};

use domain::base::iana::exterr::ExtendedErrorCode;
use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::message_builder::AdditionalBuilder;
use domain::base::name::ToLabelIter;
use domain::base::opt::exterr::ExtendedError;
use domain::base::{
    Message, MessageBuilder, Name, ParsedName, Question, Serial, StaticCompressor, Ttl,
};
use domain::rdata::{A, Aaaa, Cname, Soa};

use bartizan_model::DomainName;

use crate::ParseError;

/// A query with one question.
#[derive(Clone, Debug)]
pub struct DnsQuery<'a> {
    message: &'a Message<[u8]>,
    question: Question<ParsedName<&'a [u8]>>,
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
        let name = host_name(question.qname());
        let edns = message
            .opt()
            .map(|opt| Edns { udp_size: opt.udp_payload_size(), dnssec_ok: opt.dnssec_ok() });
        Ok(Self { message, question, name, edns })
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

    /// Builds the answer that stops the client: the unspecified address for A and AAAA, no data for
    /// any other type, with "Blocked" as Extended DNS Error and `text` beside it.
    ///
    /// An address rather than NXDOMAIN, because the name does exist: a client that is told otherwise
    /// looks it up again under its search domains. `None` if it would not fit into a message.
    #[must_use]
    pub fn block_answer(&self, ttl: u32, text: &str) -> Option<Vec<u8>> {
        let ttl = Ttl::from_secs(ttl);
        let target = StaticCompressor::new(Vec::with_capacity(128));
        let mut builder = MessageBuilder::from_target(target).ok()?;
        builder.header_mut().set_ra(true);
        builder.header_mut().set_cd(self.message.header().cd());
        let mut answer = builder.start_answer(self.message, Rcode::NOERROR).ok()?;
        let name = self.question.qname();
        let mut additional = match (self.question.qclass(), self.question.qtype()) {
            (Class::IN, Rtype::A) => {
                answer.push((name, ttl, A::new(Ipv4Addr::UNSPECIFIED))).ok()?;
                answer.additional()
            }
            (Class::IN, Rtype::AAAA) => {
                answer.push((name, ttl, Aaaa::new(Ipv6Addr::UNSPECIFIED))).ok()?;
                answer.additional()
            }
            (class, _) => {
                // RFC 2308 §5: how long "no data" may be cached stands in a SOA record only.
                let nobody = Name::root_slice();
                let soa = Soa::new(nobody, nobody, Serial(1), ttl, ttl, ttl, ttl);
                let mut authority = answer.authority();
                authority.push((name, class, ttl, soa)).ok()?;
                authority.additional()
            }
        };
        let error =
            ExtendedError::<Vec<u8>>::new_with_str(ExtendedErrorCode::BLOCKED, text).ok()?;
        self.push_opt(&mut additional, Some(&error))?;
        Some(additional.finish().into_target())
    }

    /// Builds the empty answer that sends the client to TCP (RFC 1035 §4.2.1), instead of `answer`.
    #[must_use]
    pub fn truncated_answer(&self, answer: &DnsAnswer<'_>) -> Option<Vec<u8>> {
        let target = StaticCompressor::new(Vec::with_capacity(128));
        let mut builder = MessageBuilder::from_target(target).ok()?;
        builder.header_mut().set_ra(answer.message.header().ra());
        builder.header_mut().set_cd(self.message.header().cd());
        builder.header_mut().set_tc(true);
        let rcode = answer.message.header().rcode();
        let mut additional = builder.start_answer(self.message, rcode).ok()?.additional();
        self.push_opt(&mut additional, None)?;
        Some(additional.finish().into_target())
    }

    /// RFC 6891 §6.1.1: an answer has an OPT record if, and only if, the query had one.
    fn push_opt(
        &self,
        additional: &mut AdditionalBuilder<StaticCompressor<Vec<u8>>>,
        error: Option<&ExtendedError<Vec<u8>>>,
    ) -> Option<()> {
        let Some(edns) = self.edns else { return Some(()) };
        let pushed = additional.opt(|opt| {
            opt.set_udp_payload_size(OUR_UDP_SIZE);
            opt.set_dnssec_ok(edns.dnssec_ok);
            error.map_or(Ok(()), |error| opt.push(error))
        });
        pushed.ok()
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
        Ok(Self { message, question: sole_question(message)? })
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

    /// Yields the names that CNAME records point to, at most 16, and those only that are host names.
    pub fn cname_targets(&self) -> impl Iterator<Item = DomainName> + use<'a> {
        self.message
            .answer()
            .into_iter()
            .flat_map(|section| section.limit_to::<Cname<_>>())
            .filter_map(Result::ok)
            .take(MAX_CNAMES)
            .filter_map(|record| host_name(record.data().cname()))
    }
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
}

fn sole_question(message: &Message<[u8]>) -> Result<Question<ParsedName<&[u8]>>, ParseError> {
    let mut section = message.question();
    let (1, Some(Ok(question))) = (message.header_counts().qdcount(), section.next()) else {
        return Err(ParseError::malformed("Question"));
    };
    // RFC 1035 §4.1.4: a pointer is to a prior name, and before the first one there is the header only.
    // Taken as a name, the header would change it together with the id.
    let spelled_out = HEADER_LEN + usize::from(question.qname().compose_len()) + TYPE_AND_CLASS_LEN;
    if section.pos() != spelled_out {
        return Err(ParseError::malformed("QNAME"));
    }
    Ok(question)
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
/// What "DNS flag day 2020" settled on: no fragments on any path.
const OUR_UDP_SIZE: u16 = 1_232;
/// Resolvers give up at 8 to 12 links of a chain.
const MAX_CNAMES: usize = 16;

#[cfg(test)]
mod tests;
