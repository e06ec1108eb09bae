//! Queries in; refusals, questions and answers out.
//!
//! The same for UDP and TCP but for the last step, [`Engine::reply`]. What is not answered at once
//! waits in `questions.rs`; what was blocked is counted in `sightings.rs`.
//!
//! # What it does not do
//! - Cache: the resolver does, and so does the device.
//! - Say SERVFAIL: some clients take it as a reason to avoid the resolver. They ask again instead.

use std::time::Instant;

use bartizan_model::{DomainName, UnixMillis};
use bartizan_wire::dns::{DnsAnswer, DnsQuery, set_id};
use bartizan_wire::udp::{encode_udp, udp_overhead};

use crate::questions::{Client, Question};
use crate::sightings::Sighting;
use crate::verdict::Judgement;
use crate::{Engine, Output, UpstreamId, limits, verdict};

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
        match self.threat_in(&query, std::iter::empty(), wall) {
            Some(threat) if threat.judgement.stops() => {
                self.block(&client, &query, threat, wall, now);
            }
            // It is judged again when the answer comes, with its aliases, and reported then.
            Some(_) | None => self.forward(client, &query, octets, now),
        }
    }

    /// Finds what is listed among the name asked for and its aliases, the name first. A request that
    /// is no standard query, or not for a host name, is none of our business. An indicator that allows the name
    /// allows its aliases.
    fn threat_in(
        &mut self,
        query: &DnsQuery<'_>,
        aliases: impl Iterator<Item = DomainName>,
        wall: UnixMillis,
    ) -> Option<Threat> {
        let asked = query.name().filter(|_| query.is_standard())?.clone();
        if let Some(judgement) = self.judge(&asked, wall) {
            return Some(Threat { judgement, asked, is_alias: false });
        }
        let judgement = aliases.into_iter().find_map(|alias| self.judge(&alias, wall))?;
        Some(Threat { judgement, asked, is_alias: true })
    }

    /// Judges a name. A damaged file lists nothing and is not asked again; what a person has passed is not listed.
    pub(crate) fn judge(&mut self, name: &DomainName, wall: UnixMillis) -> Option<Judgement> {
        let judged = verdict::judge(&self.policy, &self.indicators, name, wall);
        self.settled(judged, wall)
    }

    fn block(
        &mut self,
        client: &Client,
        query: &DnsQuery<'_>,
        threat: Threat,
        wall: UnixMillis,
        now: Instant,
    ) {
        self.stats.blocked += 1;
        self.stats.blocked_by_alias += u64::from(threat.is_alias);
        match query.block_answer(limits::BLOCK_TTL_S, BLOCK_TEXT) {
            Some(answer) => self.reply(client, &answer, now),
            None => self.turn_away(client, now),
        }
        self.report(threat.judgement, threat.asked, wall, now);
    }

    /// Raises an alert about a threat, or counts it into one, where its indicator wants that.
    pub(crate) fn report(
        &mut self,
        judgement: Judgement,
        host: DomainName,
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

    fn forward(&mut self, client: Client, query: &DnsQuery<'_>, octets: &[u8], now: Instant) {
        if let Some((id, question)) = self.questions.repeated_by(&client, query) {
            if now < question.ask_again_at {
                return self.stats.repeats_ignored += 1;
            }
            question.ask_again_at = now + limits::ASK_AGAIN_AFTER;
            self.outputs.push_back(question.ask(id));
            return self.stats.forwarded_again += 1;
        }
        let question = Question {
            client,
            query: octets.into(),
            dns_id: self.prf.draw_id(),
            expires_at: now + limits::QUESTION_LIFETIME,
            ask_again_at: now + limits::ASK_AGAIN_AFTER,
        };
        self.stats.forwarded += 1;
        let (ask, evicted) = self.questions.open(question);
        if let Some((evicted, question)) = evicted {
            self.stats.dropped_table_full += 1;
            self.give_up(evicted, &question, now);
        }
        self.outputs.push_back(ask);
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
        match self.threat_in(&query, answer.cname_targets(), wall) {
            Some(threat) if threat.judgement.stops() => {
                self.block(&question.client, &query, threat, wall, now);
                return true;
            }
            Some(threat) => {
                self.stats.audited += u64::from(threat.judgement.detector.is_some());
                self.report(threat.judgement, threat.asked, wall, now);
            }
            None => {}
        }
        let mut reply = octets.to_vec();
        // A parsed answer has room for an id.
        let _ = set_id(&mut reply, query.id());
        let room = match question.client {
            Client::Udp { client, .. } => {
                query.max_answer_len().min(self.mtu.saturating_sub(udp_overhead(client.ip())))
            }
            Client::Tcp { .. } => usize::from(u16::MAX),
        };
        if room < reply.len()
            && let Some(truncated) = query.truncated_answer(&answer)
        {
            self.stats.answered_truncated += 1;
            reply = truncated;
        }
        self.stats.answered += 1;
        self.reply(&question.client, &reply, now);
        true
    }

    fn reply(&mut self, client: &Client, answer: &[u8], now: Instant) {
        match *client {
            Client::Udp { client, resolver } => {
                self.outputs.extend(encode_udp(resolver, client, answer).map(Output::Packet));
            }
            Client::Tcp { connection, .. } => self.tcp.answer(connection, answer, now),
        }
    }

    /// Ends a question that has no answer.
    pub(crate) fn give_up(&mut self, id: UpstreamId, question: &Question, now: Instant) {
        self.outputs.push_back(Output::Forget(id));
        self.turn_away(&question.client, now);
    }

    /// Leaves a client without an answer: over UDP it asks again by itself.
    fn turn_away(&mut self, client: &Client, now: Instant) {
        match client {
            Client::Udp { .. } => {}
            Client::Tcp { connection, .. } => self.tcp.reset(*connection, now),
        }
    }
}

/// What is listed of a query.
struct Threat {
    judgement: Judgement,
    /// What the client asked for.
    asked: DomainName,
    /// Whether an alias is listed, and not the name itself.
    is_alias: bool,
}

/// Shown by browsers and resolvers' logs beside the code "Blocked".
const BLOCK_TEXT: &str = "Blocked by your organization";
