//! Queries in; refusals, questions and answers out.
//!
//! The same for UDP and TCP but for the last step, [`Engine::reply`]. What is not answered at once, by
//! policy, by an indicator or with what `cache.rs` keeps, waits in `questions.rs`; `upstreams.rs` says whom it goes
//! to. What was blocked is counted in `sightings.rs`, and which addresses were handed out stands in `bindings.rs`.
//!
//! # What it does not do
//! - Ask over TCP by itself when an answer was cut to fit into a datagram: the client's limit is not ours to lift,
//!   so it asks over TCP, and that answer is kept for both.
//! - Say SERVFAIL: some clients take it as a reason to avoid the resolver. They ask again instead.

use std::net::IpAddr;
use std::time::Instant;

use bartizan_indicators::Damaged;
use bartizan_model::{DomainName, IndicatorAction, Mode, UnixMillis};
use bartizan_wire::dns::{self, DnsAnswer, DnsQuery, Explanation, Refusal};
use bartizan_wire::udp::{encode_udp, udp_overhead};

use crate::cache::Key;
use crate::questions::{Client, Question};
use crate::sightings::Sighting;
use crate::upstreams::Way;
use crate::verdict::{Glance, Judgement};
use crate::{Engine, Output, Transport, UpstreamId, limits, policy_names, verdict};

impl Engine {
    /// Takes in one message from a client.
    pub(crate) fn handle_query(
        &mut self,
        client: Client,
        octets: &[u8],
        wall: UnixMillis,
        now: Instant,
    ) {
        let query = match DnsQuery::parse(octets) {
            Ok(query) if octets.len() <= limits::QUERY_OCTETS => query,
            Ok(_) | Err(_) => {
                self.stats.dropped_malformed += 1;
                return self.turn_away(&client, now);
            }
        };
        match client {
            Client::Udp { .. } => self.stats.queries_udp += 1,
            Client::Tcp { .. } => self.stats.queries_tcp += 1,
        }
        // A request that is no standard query, or not for a host name, is none of our business.
        let glance = query.judged_name().and_then(|name| self.glance(name, wall));
        match (query.judged_name(), glance) {
            (Some(asked), Some(glance)) if self.stops_lookup(glance.action) => {
                self.refuse(&client, &query, BLOCK, now);
                self.stats.blocked += 1;
                let epoch = self.indicator_epoch().unwrap_or(0);
                if !self.sightings.count(glance, asked, epoch, wall, now)
                    && let Some(judgement) = self.judge(asked, wall)
                {
                    self.report(asked.clone(), judgement, wall, now);
                }
            }
            (Some(asked), None) if let Some(refusal) = self.policy_refusal(asked) => {
                self.stats.refused_by_policy += 1;
                let refused =
                    Refused { refusal, ttl: limits::POLICY_NAME_TTL_S, text: POLICY_TEXT };
                self.refuse(&client, &query, refused, now);
            }
            // It is judged again with the answer and its aliases, and reported then.
            (Some(_) | None, Some(_) | None) => self.look_up(client, &query, octets, wall, now),
        }
    }

    fn policy_refusal(&self, name: &DomainName) -> Option<Refusal> {
        match self.policy.mode {
            Mode::Tunnel | Mode::Dns | Mode::Filter => {
                policy_names::refusal(&self.policy.dns, name)
            }
            Mode::Off => None,
        }
    }

    /// Answers with what is kept, or asks.
    fn look_up(
        &mut self,
        client: Client,
        query: &DnsQuery<'_>,
        octets: &[u8],
        wall: UnixMillis,
        now: Instant,
    ) {
        let key = Key::of(query, self.cached_for(&client));
        let mut kept = std::mem::take(&mut self.scratch);
        if let Some(key) = &key
            && self.cache.fetch(key, now, &mut kept)
        {
            query.adopt(&mut kept, None);
            self.stats.answered_from_cache += 1;
            self.hand_out(&client, query, &kept, wall, now);
            self.scratch = kept;
            return;
        }
        self.scratch = kept;
        let can_be_stale = key.is_some_and(|key| self.cache.has_stale(&key, now));
        self.forward(client, query, octets, can_be_stale, wall, now);
    }

    fn forward(
        &mut self,
        client: Client,
        query: &DnsQuery<'_>,
        octets: &[u8],
        can_be_stale: bool,
        wall: UnixMillis,
        now: Instant,
    ) {
        if self.questions.has(&client, query) {
            return self.stats.repeats_ignored += 1;
        }
        let way = self.choose(client.way(), None, now);
        let question = Question {
            client,
            query: octets.into(),
            dns_id: self.prf.draw_id(),
            way,
            asked: 1,
            ask_again_at: ask_again_at(way, 1, now),
            stale_at: can_be_stale.then_some(now + limits::STALE_AFTER),
            expires_at: now + limits::QUESTION_LIFETIME,
        };
        self.stats.forwarded += 1;
        self.count_fallback(way);
        let (ask, evicted) = self.questions.open(question);
        if let Some((evicted, question)) = evicted {
            self.stats.dropped_table_full += 1;
            self.give_up(evicted, &question, wall, now);
        }
        self.outputs.push_back(ask);
    }

    /// Moves a question on whose time has come for something.
    pub(crate) fn tend(
        &mut self,
        id: UpstreamId,
        question: Question,
        wall: UnixMillis,
        now: Instant,
    ) {
        match question.way.transport {
            Transport::Udp | Transport::Tcp => self.upstreams.failed(question.way, now),
            // Names that take long must not send others' lookups out in plain: the host says whether it fails.
            Transport::Secure => {}
        }
        if question.expires_at <= now {
            self.stats.upstream_timeout += 1;
            self.give_up(id, &question, wall, now);
        } else if question.stale_at.is_some_and(|at| at <= now) {
            self.give_up(id, &question, wall, now);
        } else {
            self.ask_again(id, question, now);
        }
    }

    /// Takes note that a question could not be put, and puts it to somebody else.
    pub(crate) fn put_elsewhere(
        &mut self,
        id: UpstreamId,
        question: Question,
        wall: UnixMillis,
        now: Instant,
    ) {
        self.stats.upstream_failed += 1;
        self.upstreams.failed(question.way, now);
        if question.way.transport == Transport::Secure && self.upstreams.secure_rests(now) {
            self.captivity.suspect(now);
        }
        if question.asked < limits::QUESTION_ASKED {
            self.ask_again(id, question, now);
        } else {
            self.give_up(id, &question, wall, now);
        }
    }

    fn ask_again(&mut self, id: UpstreamId, question: Question, now: Instant) {
        let chosen = question.client.way();
        let way = self.choose(chosen, Some(question.way), now);
        let asked = question.asked.saturating_add(1);
        let ask_again_at = ask_again_at(way, asked, now);
        let question = Question { way, asked, ask_again_at, ..question };
        self.stats.forwarded_again += 1;
        self.count_fallback(way);
        self.outputs.push_back(question.ask(id));
        self.questions.put_back(id, question);
    }

    fn choose(&self, chosen: Way, last: Option<Way>, now: Instant) -> Way {
        let is_captive = self.captivity.lets_plain(now);
        self.upstreams.choose(&self.policy.dns, is_captive, chosen, last, now)
    }

    fn count_fallback(&mut self, way: Way) {
        let fell_back =
            self.policy.dns.upstream.secure().is_some() && way.transport != Transport::Secure;
        self.stats.upstream_fallback += u64::from(fell_back);
    }

    /// Hands an answer to the client, or a block in its place; says whether it answers the question.
    pub(crate) fn relay(
        &mut self,
        question: &Question,
        octets: &[u8],
        wall: UnixMillis,
        now: Instant,
    ) -> bool {
        let (Ok(query), Ok(answer)) = (DnsQuery::parse(&question.query), DnsAnswer::parse(octets))
        else {
            return false;
        };
        if answer.id() != question.dns_id || !answer.answers(&query) {
            return false;
        }
        let mut reply = octets.to_vec();
        // A parsed answer has room for an id.
        let _ = dns::set_id(&mut reply, query.id());
        if self.policy.dns.strip_ech {
            match dns::strip_ech(&mut reply) {
                Ok(stripped) => self.stats.ech_stripped += u64::from(stripped),
                Err(_) => return false,
            }
        }
        self.upstreams.answered(question.way);
        if question.way.transport == Transport::Secure {
            if self.captivity.lets_plain(now) {
                // It could not be reached: somebody may have signed in.
                self.captivity.suspect(now);
            }
        } else if self.captivity.is_doubtful() {
            dns::limit_ttls(&mut reply, limits::DOUBTFUL_TTL_S);
        }
        self.keep(&question.client, &query, &answer, &reply, now);
        self.hand_out(&question.client, &query, &reply, wall, now);
        true
    }

    fn keep(
        &mut self,
        client: &Client,
        query: &DnsQuery<'_>,
        answer: &DnsAnswer<'_>,
        reply: &[u8],
        now: Instant,
    ) {
        if let Some(lifetime_s) = answer.lifetime_s()
            && let Some(key) = Key::of(query, self.cached_for(client))
        {
            let mut kept = reply.to_vec();
            if dns::remove_opt(&mut kept).is_ok() {
                self.cache.store(&key, kept, lifetime_s, now);
            }
        }
    }

    /// Hands an answer to the client as it is, unless it leads to what is listed.
    fn hand_out(
        &mut self,
        client: &Client,
        query: &DnsQuery<'_>,
        reply: &[u8],
        wall: UnixMillis,
        now: Instant,
    ) {
        let Ok(answer) = DnsAnswer::parse(reply) else { return };
        if let Some(asked) = query.judged_name()
            && let Some(threat) = self.threat_in(asked, &answer, wall)
        {
            if self.stops_lookup(threat.judgement.action) {
                self.stats.blocked += 1;
                match threat.by {
                    By::Name => {}
                    By::Alias => self.stats.blocked_by_alias += 1,
                    By::Address => self.stats.blocked_by_address += 1,
                }
                self.refuse(client, query, BLOCK, now);
                return self.report(asked.clone(), threat.judgement, wall, now);
            }
            if threat.judgement.action != IndicatorAction::Warn {
                self.stats.audited += u64::from(threat.judgement.detector.is_some());
                self.report(asked.clone(), threat.judgement, wall, now);
            }
        }
        if let Some(name) = query.judged_name() {
            for (address, ttl) in answer.addresses() {
                self.bindings.bind(address, name, ttl, now);
            }
        }
        self.stats.answered += 1;
        let room = match client {
            Client::Udp { client, .. } => {
                query.max_answer_len().min(self.mtu.saturating_sub(udp_overhead(client.ip())))
            }
            Client::Tcp { .. } => usize::from(u16::MAX),
        };
        if reply.len() <= room {
            return self.reply(client, reply, now);
        }
        self.stats.answered_truncated += 1;
        let mut truncated = Vec::new();
        query.write_truncated(&answer, &mut truncated);
        self.reply(client, &truncated, now);
    }

    /// Finds what is listed among the name asked for, its aliases and its addresses, in this order. An indicator
    /// that allows the name allows what it leads to.
    fn threat_in(
        &mut self,
        asked: &DomainName,
        answer: &DnsAnswer<'_>,
        wall: UnixMillis,
    ) -> Option<Threat> {
        let threat = |by| move |judgement| Threat { judgement, by };
        if let Some(found) = self.judge(asked, wall) {
            return Some(threat(By::Name)(found));
        }
        if let Some(found) = answer.aliases().find_map(|alias| self.judge(&alias, wall)) {
            return Some(threat(By::Alias)(found));
        }
        answer
            .addresses()
            .find_map(|(address, _)| self.judge_address(address, wall))
            .map(threat(By::Address))
    }

    /// Looks what is done about a name; a warning that a person has passed is none.
    fn glance(&mut self, name: &DomainName, wall: UnixMillis) -> Option<Glance> {
        let found = verdict::glance(&self.policy, &self.indicators, name, wall);
        let glance = self.unless_damaged(found)?;
        match glance.action {
            IndicatorAction::Warn => self.judge(name, wall).map(|_| glance),
            IndicatorAction::Allow | IndicatorAction::Block | IndicatorAction::Audit => {
                Some(glance)
            }
        }
    }

    /// Judges a name; a warning that a person has passed is none.
    pub(crate) fn judge(&mut self, name: &DomainName, wall: UnixMillis) -> Option<Judgement> {
        let found = verdict::judge(&self.policy, &self.indicators, name, wall);
        self.settled(found, wall)
    }

    /// Judges an address, as [`Engine::judge`] does a name.
    pub(crate) fn judge_address(&mut self, address: IpAddr, wall: UnixMillis) -> Option<Judgement> {
        let found = verdict::judge_address(&self.policy, &self.indicators, address, wall);
        self.settled(found, wall)
    }

    pub(crate) fn settled(
        &mut self,
        found: Result<Option<Judgement>, Damaged>,
        wall: UnixMillis,
    ) -> Option<Judgement> {
        self.unless_damaged(found).filter(|judgement| !self.is_passed(judgement, wall))
    }

    /// A damaged file lists nothing and is not asked again.
    fn unless_damaged<T>(&mut self, found: Result<Option<T>, Damaged>) -> Option<T> {
        found.unwrap_or_else(|Damaged| {
            self.stats.indicators_damaged += 1;
            self.drop_damaged();
            None
        })
    }

    /// Tells whether a lookup is stopped. Where connections are judged as well, what is to be warned of is not: the warning
    /// comes with the connection.
    fn stops_lookup(&self, action: IndicatorAction) -> bool {
        match action {
            IndicatorAction::Block => true,
            IndicatorAction::Warn => self.policy.mode != Mode::Tunnel,
            IndicatorAction::Allow | IndicatorAction::Audit => false,
        }
    }

    /// Raises an alert about a threat, or counts it into one, where its indicator wants that.
    pub(crate) fn report(
        &mut self,
        host: DomainName,
        judgement: Judgement,
        wall: UnixMillis,
        now: Instant,
    ) {
        let Some(detector) = judgement.detector else { return };
        let seen = Sighting {
            detector,
            host,
            matched: judgement.matched,
            action: judgement.action,
            first_seen: wall,
            last_seen: wall,
            count: 1,
            indicator_epoch: self.indicator_epoch().unwrap_or(0),
        };
        for sighting in self.sightings.record(seen, now).into_iter().flatten() {
            self.raise(sighting, wall, now);
        }
    }

    fn refuse(&mut self, client: &Client, query: &DnsQuery<'_>, with: Refused, now: Instant) {
        let mut answer = std::mem::take(&mut self.scratch);
        let why = Explanation { code: Explanation::BLOCKED, text: with.text };
        query.write_refusal(with.refusal, with.ttl, why, &mut answer);
        self.reply(client, &answer, now);
        self.scratch = answer;
    }

    fn reply(&mut self, client: &Client, answer: &[u8], now: Instant) {
        match *client {
            Client::Udp { client, resolver } => {
                self.outputs.extend(encode_udp(resolver, client, answer).map(Output::Packet));
            }
            Client::Tcp { connection, .. } => self.tcp.answer(connection, answer, now),
        }
    }

    /// Ends a question that has no answer: one past its time has to do, or none.
    pub(crate) fn give_up(
        &mut self,
        id: UpstreamId,
        question: &Question,
        wall: UnixMillis,
        now: Instant,
    ) {
        self.outputs.push_back(Output::Forget(id));
        let mut kept = Vec::new();
        if let Ok(query) = DnsQuery::parse(&question.query)
            && let Some(key) = Key::of(&query, self.cached_for(&question.client))
            && self.cache.fetch_stale(&key, now, &mut kept)
        {
            let why = why_stale(&kept);
            query.adopt(&mut kept, Some(why));
            self.stats.answered_stale += 1;
            return self.hand_out(&question.client, &query, &kept, wall, now);
        }
        self.turn_away(&question.client, now);
    }

    /// Leaves a client without an answer: over UDP it asks again by itself.
    fn turn_away(&mut self, client: &Client, now: Instant) {
        match client {
            Client::Udp { .. } => {}
            Client::Tcp { connection, .. } => self.tcp.reset(*connection, now),
        }
    }

    /// Returns whose answers may serve: all questions go to one where policy names it.
    fn cached_for(&self, client: &Client) -> IpAddr {
        match self.policy.dns.upstream.secure() {
            Some(_) => IpAddr::from([0; 4]),
            None => client.way().resolver,
        }
    }
}

/// What is listed of a query.
struct Threat {
    judgement: Judgement,
    by: By,
}

/// By what a query leads to it.
enum By {
    /// The name asked for.
    Name,
    /// A name that stands in for it.
    Alias,
    /// An address of either.
    Address,
}

/// How a query is refused.
struct Refused {
    refusal: Refusal,
    ttl: u32,
    /// Shown by browsers and in resolvers' logs beside the code "Blocked".
    text: &'static str,
}

/// Returns when to put a question once more: a datagram gets lost, while a connection fails or does not.
fn ask_again_at(way: Way, asked: u8, now: Instant) -> Option<Instant> {
    match way.transport {
        Transport::Udp if asked < limits::QUESTION_ASKED => {
            Some(now + limits::ASK_AGAIN_AFTER * u32::from(asked))
        }
        Transport::Udp | Transport::Tcp | Transport::Secure => None,
    }
}

fn why_stale(answer: &[u8]) -> Explanation<'static> {
    let exists = DnsAnswer::parse(answer).is_ok_and(|answer| answer.rcode() == 0);
    let code = if exists { Explanation::STALE_ANSWER } else { Explanation::STALE_NXDOMAIN };
    Explanation { code, text: "" }
}

const BLOCK: Refused = Refused {
    refusal: Refusal::Sinkhole,
    ttl: limits::BLOCK_TTL_S,
    text: "Blocked by your organization",
};
const POLICY_TEXT: &str = "Not used by policy of your organization";
