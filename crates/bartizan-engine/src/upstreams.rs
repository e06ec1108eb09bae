//! Whom a question goes to, and what is known of how they answer.
//!
//! An application chooses one of the system's resolvers. While that one does not answer, another of them is asked
//! in its place: to the system they are equals. Where policy names a resolver that proves who it is, that one is
//! asked; the system's own only while it fails, and only where policy says so or the network is captive.
//!
//! # Invariants
//! - Without the policy's leave no question goes out in plain that should not, but on a captive network.
//! - Nobody is given up for longer than [`limits::UPSTREAM_REST`], on a captive network [`limits::CAPTIVE_REST`].

use std::net::IpAddr;
use std::time::Instant;

use bartizan_model::DnsPolicy;

use crate::{Transport, limits};

/// Where a question goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) resolver: IpAddr,
    pub(crate) transport: Transport,
}

/// Everybody who may be asked.
pub(crate) struct Upstreams {
    resolvers: Vec<(IpAddr, Health)>,
    secure: Health,
}

impl Upstreams {
    pub(crate) fn new(resolvers: &[IpAddr]) -> Self {
        let resolvers = resolvers.iter().map(|address| (*address, Health::default())).collect();
        Self { resolvers, secure: Health::default() }
    }

    /// Chooses for a question that an application put to a resolver, and that went by another way last. A captive
    /// network has the leave to be asked in plain where the policy's resolver cannot be reached.
    pub(crate) fn choose(
        &self,
        policy: &DnsPolicy,
        is_captive: bool,
        chosen: Way,
        last: Option<Way>,
        now: Instant,
    ) -> Way {
        let may_be_plain = policy.upstream_fallback || is_captive;
        let is_secure =
            policy.upstream.secure().is_some() && !(may_be_plain && self.secure.rests(now));
        if is_secure {
            return Way { transport: Transport::Secure, ..chosen };
        }
        let at = |wanted: IpAddr| self.resolvers.iter().position(|(address, _)| *address == wanted);
        let first = match last {
            // After a failure it is the next one's turn.
            Some(Way { resolver, transport: Transport::Udp | Transport::Tcp }) => {
                at(resolver).map(|place| place + 1)
            }
            Some(Way { transport: Transport::Secure, .. }) | None => at(chosen.resolver),
        };
        let turns = self.resolvers.iter().cycle().skip(first.unwrap_or(0));
        let mut turns = turns.take(self.resolvers.len());
        let next = turns.clone().find(|(_, health)| !health.rests(now)).or_else(|| turns.next());
        Way { resolver: next.map_or(chosen.resolver, |(address, _)| *address), ..chosen }
    }

    /// Takes note that somebody answered.
    pub(crate) fn answered(&mut self, way: Way) {
        if let Some(health) = self.health(way) {
            *health = Health::default();
        }
    }

    /// Takes note that somebody did not answer a question that was put to them.
    pub(crate) fn failed(&mut self, way: Way, now: Instant) {
        if let Some(health) = self.health(way) {
            health.failures = health.failures.saturating_add(1);
            if limits::UPSTREAM_FAILURES <= health.failures {
                health.rests_until = Some(now + limits::UPSTREAM_REST);
            }
        }
    }

    /// Has the resolver of the policy rest at once: it cannot be reached.
    pub(crate) fn rest_secure(&mut self, now: Instant) {
        self.secure.rests_until = Some(now + limits::CAPTIVE_REST);
        self.secure.failures = limits::UPSTREAM_FAILURES;
    }

    /// Tells whether the resolver of the policy rests.
    pub(crate) fn secure_rests(&self, now: Instant) -> bool {
        self.secure.rests(now)
    }

    /// Forgets what is known: the network or the policy is another.
    pub(crate) fn forgive(&mut self) {
        self.secure = Health::default();
        for (_, health) in &mut self.resolvers {
            *health = Health::default();
        }
    }

    fn health(&mut self, way: Way) -> Option<&mut Health> {
        match way.transport {
            Transport::Secure => Some(&mut self.secure),
            Transport::Udp | Transport::Tcp => {
                let mut resolvers = self.resolvers.iter_mut();
                let found = resolvers.find(|(address, _)| *address == way.resolver);
                found.map(|(_, health)| health)
            }
        }
    }
}

/// How somebody answers.
#[derive(Clone, Default)]
struct Health {
    /// In a row.
    failures: u8,
    rests_until: Option<Instant>,
}

impl Health {
    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const SECOND: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn the_chosen_resolver_is_asked_first_and_the_others_in_turn() {
        let upstreams = Upstreams::new(&[FIRST, SECOND]);
        for (last, expected) in [(None, SECOND), (Some(SECOND), FIRST), (Some(FIRST), SECOND)] {
            let last = last.map(plain);
            assert_eq!(choose(&upstreams, "system", false, SECOND, last, t0()), plain(expected));
        }
        let alone = Upstreams::new(&[FIRST]);
        assert_eq!(choose(&alone, "system", false, FIRST, Some(plain(FIRST)), t0()), plain(FIRST));
    }

    #[test]
    fn a_question_is_not_put_to_one_that_rests() {
        let (mut upstreams, start) = (Upstreams::new(&[FIRST, SECOND]), t0());
        upstreams.failed(plain(FIRST), start);
        upstreams.failed(plain(FIRST), start);
        for last in [None, Some(plain(FIRST)), Some(plain(SECOND))] {
            assert_eq!(choose(&upstreams, "system", false, FIRST, last, start), plain(SECOND));
        }
    }

    #[test]
    fn a_resolver_that_fails_twice_rests_and_is_tried_again() {
        let (mut upstreams, start) = (Upstreams::new(&[FIRST, SECOND]), t0());
        let first =
            |upstreams: &Upstreams, now| choose(upstreams, "system", false, FIRST, None, now);
        upstreams.failed(plain(FIRST), start);
        assert_eq!(first(&upstreams, start), plain(FIRST));
        upstreams.failed(plain(FIRST), start);
        assert_eq!(first(&upstreams, start), plain(SECOND));
        assert_eq!(first(&upstreams, start + limits::UPSTREAM_REST), plain(FIRST));
        // One more failure and it rests again; an answer, and it is as before.
        upstreams.failed(plain(FIRST), start + limits::UPSTREAM_REST);
        assert_eq!(first(&upstreams, start + limits::UPSTREAM_REST), plain(SECOND));
        upstreams.answered(plain(FIRST));
        assert_eq!(first(&upstreams, start), plain(FIRST));
        // Where all rest, the chosen one is asked.
        for _ in 0..2 {
            upstreams.failed(plain(FIRST), start);
            upstreams.failed(plain(SECOND), start);
        }
        assert_eq!(first(&upstreams, start), plain(FIRST));
        upstreams.forgive();
        assert_eq!(first(&upstreams, start), plain(FIRST));
    }

    #[test]
    fn a_secure_resolver_is_replaced_only_where_policy_says_so() {
        let text = "tls://dns.example?ip=192.0.2.53";
        let (mut upstreams, start) = (Upstreams::new(&[FIRST, SECOND]), t0());
        let secure = Way { resolver: FIRST, transport: Transport::Secure };
        for (failures, with_fallback) in [(0, secure), (1, secure), (2, plain(FIRST))] {
            assert_eq!(
                choose(&upstreams, text, true, FIRST, None, start),
                with_fallback,
                "{failures}"
            );
            assert_eq!(choose(&upstreams, text, false, FIRST, None, start), secure, "{failures}");
            upstreams.failed(secure, start);
        }
        assert_eq!(
            choose(&upstreams, text, true, FIRST, None, start + limits::UPSTREAM_REST),
            secure
        );
        upstreams.answered(secure);
        assert_eq!(choose(&upstreams, text, true, FIRST, None, start), secure);
    }

    fn choose(
        upstreams: &Upstreams,
        upstream: &str,
        upstream_fallback: bool,
        chosen: IpAddr,
        last: Option<Way>,
        now: Instant,
    ) -> Way {
        let upstream = upstream.parse().unwrap();
        let policy = DnsPolicy { upstream, upstream_fallback, ..DnsPolicy::default() };
        // Captivity gives the leave that the policy does not.
        let way = upstreams.choose(&policy, false, plain(chosen), last, now);
        let strict = DnsPolicy { upstream_fallback: false, ..policy };
        if upstream_fallback {
            assert_eq!(upstreams.choose(&strict, true, plain(chosen), last, now), way);
        }
        way
    }

    fn plain(resolver: IpAddr) -> Way {
        Way { resolver, transport: Transport::Udp }
    }

    #[expect(clippy::disallowed_methods, reason = "only differences to it matter")]
    fn t0() -> Instant {
        Instant::now()
    }
}
