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
use crate::upstreams::Way;
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

impl Client {
    /// Returns how the application asked.
    pub(crate) fn way(&self) -> Way {
        match self {
            Self::Udp { resolver, .. } => {
                Way { resolver: resolver.ip(), transport: Transport::Udp }
            }
            Self::Tcp { resolver, .. } => Way { resolver: *resolver, transport: Transport::Tcp },
        }
    }
}

/// A query under way.
pub(crate) struct Question {
    pub(crate) client: Client,
    /// As the client wrote it.
    pub(crate) query: Box<[u8]>,
    /// The transaction id that the resolver sees.
    pub(crate) dns_id: u16,
    /// Whom it was put to last.
    pub(crate) way: Way,
    /// How often it was put to somebody.
    pub(crate) asked: u8,
    /// When it goes out once more, if it is not answered.
    pub(crate) ask_again_at: Option<Instant>,
    /// When an answer past its time has to do, if there is one.
    pub(crate) stale_at: Option<Instant>,
    pub(crate) expires_at: Instant,
}

impl Question {
    /// Returns what the host is to do to have it answered.
    pub(crate) fn ask(&self, id: UpstreamId) -> Output {
        let mut query = self.query.to_vec();
        // A parsed query has room for an id.
        let _ = dns::set_id(&mut query, self.dns_id);
        let Way { resolver, transport } = self.way;
        Output::Ask { id, resolver, transport, query }
    }

    /// Returns when something is to be done about it.
    fn due_at(&self) -> Instant {
        [self.ask_again_at, self.stale_at].into_iter().flatten().fold(self.expires_at, Instant::min)
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
    /// Before that nothing is to be done about any of them.
    quiet_until: Option<Instant>,
}

impl Questions {
    /// Adds a question; returns what to do about it, and the oldest one if it had to leave.
    pub(crate) fn open(&mut self, question: Question) -> (Output, Option<(UpstreamId, Question)>) {
        let evicted =
            if limits::QUESTIONS <= self.open.len() { self.open.pop_first() } else { None };
        self.given_out += 1;
        let id = UpstreamId(self.given_out);
        let ask = question.ask(id);
        self.put_back(id, question);
        (ask, evicted)
    }

    /// Tells whether this query asks once more what is under way.
    pub(crate) fn has(&self, client: &Client, query: &DnsQuery<'_>) -> bool {
        self.open.values().any(|question| question.is_repeated_by(client, query))
    }

    pub(crate) fn take(&mut self, id: UpstreamId) -> Option<Question> {
        self.open.remove(&id)
    }

    /// Puts a question back that was taken and is not answered yet.
    pub(crate) fn put_back(&mut self, id: UpstreamId, question: Question) {
        let due_at = question.due_at();
        self.quiet_until = Some(self.quiet_until.map_or(due_at, |until| until.min(due_at)));
        self.open.insert(id, question);
    }

    /// Takes a question out about which something is to be done, one at a time.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<(UpstreamId, Question)> {
        if self.quiet_until.is_none_or(|until| now < until) {
            return None;
        }
        match self.open.iter().find(|(_, question)| question.due_at() <= now) {
            Some((&id, _)) => self.open.remove_entry(&id),
            None => {
                self.quiet_until = self.open.values().map(Question::due_at).min();
                None
            }
        }
    }

    /// Takes a question out that was put to the resolver of the policy, one at a time.
    pub(crate) fn take_secure(&mut self) -> Option<(UpstreamId, Question)> {
        let mut open = self.open.iter();
        let id = *open.find(|(_, question)| question.way.transport == Transport::Secure)?.0;
        self.open.remove_entry(&id)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.quiet_until.filter(|_| !self.open.is_empty())
    }
}
