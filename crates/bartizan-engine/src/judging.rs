//! What may pass the tunnel: the engine as the splice's judge.
//!
//! A connection is judged by the address it goes to, then by the name that its first octets carry: of a TLS or QUIC
//! hello, or of an HTTP request, whose path is judged too. HTTP is answered with a page; what carries no name that can be
//! answered is reset, or the client is told to give up.
//!
//! # What it does not do
//! - Look into TLS: with Encrypted ClientHello only the outer name is seen.
//! - Hold up what it cannot read: that passes, as if nothing were known.

use std::net::SocketAddr;
use std::time::Instant;

use bartizan_model::{DomainName, IndicatorAction, IndicatorSource, Mode, UnixMillis};
use bartizan_wire::Reading;
use bartizan_wire::http::{HttpRequest, read_request};
use bartizan_wire::quic::QuicInitial;
use bartizan_wire::tls::{ClientHello, read_client_hello};

use crate::block_page::{
    Asked, BlockPage, Choice, Language, read_target, write_block_page, write_redirect, write_thanks,
};
use crate::passes::{Offer, Token};
use crate::splice::{Datagram, Judge, Look};
use crate::verdict::{self, Judgement};
use crate::{Engine, Output};

/// The engine while it judges.
pub(crate) struct Judging<'a> {
    pub(crate) engine: &'a mut Engine,
    pub(crate) wall: UnixMillis,
    pub(crate) now: Instant,
}

impl Judge for Judging<'_> {
    fn address(&mut self, to: SocketAddr) -> bool {
        if !self.engine.judges_traffic() {
            return true;
        }
        let judgement = self.engine.judge_address(to.ip(), self.wall);
        judgement.is_none_or(|judgement| self.passes(&judgement, DomainName::of_address(to.ip())))
    }

    fn look(&mut self, to: SocketAddr, octets: &[u8]) -> Look {
        if !self.engine.judges_traffic() {
            return PASS;
        }
        if octets.first() == Some(&TLS_HANDSHAKE) {
            return match read_client_hello(octets) {
                Reading::More => Look::More,
                Reading::Done(hello) if hello.server_name().is_none() => self.unreadable(to),
                Reading::Done(hello) if self.passes_hello(&hello) => PASS,
                Reading::Done(_) => Look::Reset,
                Reading::Not => self.unreadable(to),
            };
        }
        match read_request(octets) {
            Reading::More => Look::More,
            Reading::Done(request) => self.request(to, &request),
            Reading::Not => self.unreadable(to),
        }
    }

    fn unreadable(&mut self, to: SocketAddr) -> Look {
        if self.engine.judges_traffic() && self.is_known_as_stopped(to) {
            Look::Reset
        } else {
            PASS
        }
    }

    fn datagram(&mut self, from: SocketAddr, to: SocketAddr, octets: &[u8]) -> Datagram {
        // RFC 9000 §17.2: a long header, as a handshake has it.
        let is_long = octets.first().is_some_and(|first| 0xc0 <= *first);
        if !is_long || !self.engine.judges_traffic() {
            return Datagram::Pass;
        }
        let ends = (from, to);
        if let Some(answer) = self.engine.hellos.stopped(ends, octets, self.now) {
            return answer;
        }
        // Nothing else says a name.
        if QuicInitial::parse(octets).is_none() {
            return Datagram::Pass;
        }
        match self.engine.hellos.read(ends, octets, self.now) {
            Reading::Done(hello) if !self.passes_hello(&hello) => {
                self.engine.hellos.stop(ends, octets, self.now)
            }
            Reading::Done(_) | Reading::More | Reading::Not => Datagram::Pass,
        }
    }
}

impl Judging<'_> {
    /// Tells whether an address was looked up under names that are all stopped. One that passes is enough: the connection
    /// may be to it.
    fn is_known_as_stopped(&mut self, to: SocketAddr) -> bool {
        let names: Vec<DomainName> = self.engine.names_of(to.ip(), self.now).cloned().collect();
        let judged: Vec<_> = names.iter().map(|name| self.engine.judge(name, self.wall)).collect();
        let all = judged.iter().all(|judged| judged.as_ref().is_some_and(Judgement::stops));
        if !all {
            return false;
        }
        match names.into_iter().zip(judged).next() {
            Some((name, Some(judgement))) => !self.passes(&judgement, name),
            Some((_, None)) | None => false,
        }
    }

    fn passes_hello(&mut self, hello: &ClientHello) -> bool {
        hello.server_name().is_none_or(|name| self.passes_name(&name))
    }

    fn passes_name(&mut self, name: &DomainName) -> bool {
        let judgement = self.engine.judge(name, self.wall);
        judgement.is_none_or(|judgement| self.passes(&judgement, name.clone()))
    }

    /// Tells whether what was judged may pass, and reports it.
    fn passes(&mut self, judgement: &Judgement, host: DomainName) -> bool {
        let stops = judgement.stops();
        if !stops {
            self.engine.stats.audited += u64::from(judgement.detector.is_some());
        }
        self.engine.report(host, judgement.clone(), self.wall, self.now);
        !stops
    }

    fn request(&mut self, to: SocketAddr, request: &HttpRequest<'_>) -> Look {
        let again = Look::Pass { again: !request.is_connect() && !request.is_http2() };
        let host = match (request.host_name(), request.host_address()) {
            (Some(name), _) => name,
            (None, Some(address)) => DomainName::of_address(address),
            (None, None) => DomainName::of_address(to.ip()),
        };
        match request.path().map(read_target) {
            Some(Asked::Choice(choice)) => return self.choose(choice, &host, request),
            Some(Asked::Nothing) => return redirect("/"),
            Some(Asked::Site) | None => {}
        }
        let Some(judgement) = self.engine.judge_request(&host, request, self.wall) else {
            return again;
        };
        if self.passes(&judgement, host.clone()) {
            again
        } else {
            self.page(&judgement, host, request)
        }
    }

    /// Shows the page that stands in for what was stopped.
    fn page(&mut self, judgement: &Judgement, host: DomainName, request: &HttpRequest<'_>) -> Look {
        let passable =
            judgement.action == IndicatorAction::Warn && self.engine.may_pass(&judgement.matched);
        let token = Token::new(self.engine.prf.draw_wide());
        let offer = Offer {
            host: host.clone(),
            matched: judgement.matched.clone(),
            passable,
            to: request.path().unwrap_or("/").into(),
        };
        self.engine.offers.put(token, offer, self.now);
        let mut page = Vec::new();
        let facts = BlockPage {
            host: host.as_str(),
            category: judgement.category,
            feed: match &judgement.matched.source {
                IndicatorSource::Feed(feed) => Some(feed),
                IndicatorSource::Tenant(_) => None,
            },
            pass_hours: passable.then_some(self.engine.policy.warn_pass_hours),
            token: Some(token),
            language: language(request),
        };
        write_block_page(&facts, &mut page);
        self.engine.stats.pages += 1;
        Look::Answer(page.into())
    }

    /// Does what a person chose on such a page.
    fn choose(&mut self, choice: Choice, host: &DomainName, request: &HttpRequest<'_>) -> Look {
        match choice {
            Choice::Continue(token) => match self.engine.offers.take(token, host, self.now) {
                Some(offer) if offer.passable => {
                    self.engine.pass(offer.host, offer.matched, self.wall, self.now);
                    redirect(&offer.to)
                }
                Some(_) | None => redirect("/"),
            },
            Choice::Report(token) => match self.engine.offers.take(token, host, self.now) {
                Some(offer) => {
                    self.engine.outputs.push_back(Output::Mistake(offer.host));
                    let mut page = Vec::new();
                    write_thanks(language(request), &mut page);
                    Look::Answer(page.into())
                }
                None => redirect("/"),
            },
        }
    }
}

impl Engine {
    /// Tells whether connections are judged, and not only lookups.
    fn judges_traffic(&self) -> bool {
        self.policy.mode == Mode::Tunnel && verdict::is_blocking(&self.policy)
    }

    /// Judges host and path of a request.
    fn judge_request(
        &mut self,
        host: &DomainName,
        request: &HttpRequest<'_>,
        wall: UnixMillis,
    ) -> Option<Judgement> {
        let said = request.authority().zip(request.path());
        let url = said.map(|(authority, target)| self.urls.read_request(authority, target));
        let Some(Ok(url)) = url else { return self.judge(host, wall) };
        let judged = verdict::judge_url(&self.policy, &self.indicators, url, wall);
        self.settled(judged, wall)
    }
}

fn redirect(to: &str) -> Look {
    let mut answer = Vec::new();
    write_redirect(to, &mut answer);
    Look::Answer(answer.into())
}

fn language(request: &HttpRequest<'_>) -> Language {
    let wanted = request.fields("Accept-Language").next().unwrap_or_default();
    Language::of(std::str::from_utf8(wanted).unwrap_or_default())
}

const PASS: Look = Look::Pass { again: false };
/// RFC 9846 §5.1.
const TLS_HANDSHAKE: u8 = 22;
