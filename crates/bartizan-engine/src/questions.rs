//! Questions that wait for a resolver's answer.
//!
//! # Invariants
//! - At most [`limits::QUESTIONS`]; for one more the oldest leaves.
//! - Ids ascend with time and are never used again, so the first entry is the oldest.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bartizan_wire::dns::{self, DnsQuery};

use crate::tcp::ConnectionId;
use crate::{Output, Transport, limits};

/// One question that the host puts to a resolver. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UpstreamId(pub u64);

/// Who is to get the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// An application's socket, and the resolver's as that application addresses it.
    Udp { client: SocketAddr, resolver: SocketAddr },
    /// A connection that ends in the engine.
    Tcp { connection: ConnectionId, resolver: IpAddr },
}

/// A query under way.
pub(crate) struct Question {
    pub(crate) client: Client,
    /// As the client wrote it.
    pub(crate) query: Box<[u8]>,
    /// The transaction id that the resolver sees.
    pub(crate) dns_id: u16,
    pub(crate) expires_at: Instant,
    /// Before that, the client's repetition is held back.
    pub(crate) ask_again_at: Instant,
}

impl Question {
    /// Returns what the host is to do to have it answered.
    pub(crate) fn ask(&self, id: UpstreamId) -> Output {
        let (resolver, transport) = match self.client {
            Client::Udp { resolver, .. } => (resolver.ip(), Transport::Udp),
            Client::Tcp { resolver, .. } => (resolver, Transport::Tcp),
        };
        let mut query = self.query.to_vec();
        // A parsed query has room for an id.
        let _ = dns::set_id(&mut query, self.dns_id);
        Output::Ask { id, resolver, transport, query }
    }

    fn is_repeated_by(&self, client: &Client, query: &DnsQuery<'_>) -> bool {
        self.client == *client
            && DnsQuery::parse(&self.query)
                .is_ok_and(|asked| asked.id() == query.id() && asked.asks_the_same_as(query))
    }
}

/// The table of questions under way.
#[derive(Default)]
pub(crate) struct Questions {
    open: BTreeMap<UpstreamId, Question>,
    given_out: u64,
}

impl Questions {
    /// Adds a question; returns what to do about it, and the oldest one if it had to leave.
    pub(crate) fn open(&mut self, question: Question) -> (Output, Option<(UpstreamId, Question)>) {
        let evicted =
            if limits::QUESTIONS <= self.open.len() { self.open.pop_first() } else { None };
        self.given_out += 1;
        let id = UpstreamId(self.given_out);
        let ask = question.ask(id);
        self.open.insert(id, question);
        (ask, evicted)
    }

    /// Finds the question that this query asks once more.
    pub(crate) fn repeated_by(
        &mut self,
        client: &Client,
        query: &DnsQuery<'_>,
    ) -> Option<(UpstreamId, &mut Question)> {
        let mut all = self.open.iter_mut();
        let (id, question) = all.find(|(_, question)| question.is_repeated_by(client, query))?;
        Some((*id, question))
    }

    pub(crate) fn take(&mut self, id: UpstreamId) -> Option<Question> {
        self.open.remove(&id)
    }

    /// Puts a question back that was taken and is not answered yet.
    pub(crate) fn put_back(&mut self, id: UpstreamId, question: Question) {
        self.open.insert(id, question);
    }

    /// Returns a question whose time is up, one at a time.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Option<(UpstreamId, Question)> {
        let oldest = self.open.first_entry()?;
        if oldest.get().expires_at <= now { Some(oldest.remove_entry()) } else { None }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.open.first_key_value().map(|(_, question)| question.expires_at)
    }
}
