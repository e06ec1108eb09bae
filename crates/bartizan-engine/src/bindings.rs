//! Which names an address was handed out for.
//!
//! A connection that says no name is judged by the name that its application looked up before. The table is for
//! that alone: it stays in memory, is never reported, and hides itself in logs.
//!
//! # What it does not do
//! - Decide: many names share an address, so the caller is given all that are known.
//!
//! # Invariants
//! - At most [`limits::BINDINGS`]; for one more the one leaves that was handed out longest ago.
//! - A name stays bound for as long as its answer lives, at least [`limits::BOUND_AT_LEAST`], since connections
//!   outlive answers, and at most [`limits::BOUND_AT_MOST`].

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bartizan_model::DomainName;

use crate::limits;

/// The names that addresses were handed out for.
#[derive(Default)]
pub(crate) struct Bindings {
    /// Beside the names, so that a search reads a few kilobytes only.
    bound: Vec<Bound>,
    /// In the same order.
    names: Vec<DomainName>,
    /// Counts up with each binding.
    count: u64,
}

struct Bound {
    address: IpAddr,
    expires_at: Instant,
    /// How many bindings there had been.
    at: u64,
}

impl Bindings {
    /// Takes note that an address was handed out for a name.
    pub(crate) fn bind(&mut self, address: IpAddr, name: &DomainName, ttl_s: u32, now: Instant) {
        let lifetime =
            Duration::from_secs(ttl_s.into()).clamp(limits::BOUND_AT_LEAST, limits::BOUND_AT_MOST);
        self.count += 1;
        let bound =
            Bound { address: address.to_canonical(), expires_at: now + lifetime, at: self.count };
        let same =
            self.bound.iter().zip(&self.names).position(|(known, known_name)| {
                known.address == bound.address && known_name == name
            });
        let place = match same {
            Some(place) => place,
            None if self.bound.len() < limits::BINDINGS => {
                self.bound.push(bound);
                return self.names.push(name.clone());
            }
            None => {
                let oldest = self.bound.iter().enumerate().min_by_key(|(_, known)| known.at);
                oldest.map_or(0, |(place, _)| place)
            }
        };
        if let (Some(known), Some(known_name)) =
            (self.bound.get_mut(place), self.names.get_mut(place))
        {
            *known = bound;
            *known_name = name.clone();
        }
    }

    /// Yields the names that the address was handed out for, the last one first, at most
    /// [`limits::NAMES_OF_AN_ADDRESS`].
    pub(crate) fn names_of(
        &self,
        address: IpAddr,
        now: Instant,
    ) -> impl Iterator<Item = &DomainName> {
        let address = address.to_canonical();
        let mut before = u64::MAX;
        let names = std::iter::from_fn(move || {
            let all = self.bound.iter().zip(&self.names);
            let earlier = all.filter(|(bound, _)| {
                bound.address == address && now < bound.expires_at && bound.at < before
            });
            let (bound, name) = earlier.max_by_key(|(bound, _)| bound.at)?;
            before = bound.at;
            Some(name)
        });
        names.take(limits::NAMES_OF_AN_ADDRESS)
    }

    /// Forgets all: on another network an address is somebody else's.
    pub(crate) fn clear(&mut self) {
        self.bound.clear();
        self.names.clear();
    }
}

impl fmt::Debug for Bindings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Bindings({}, <private>)", self.bound.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_names_it_was_handed_out_for() {
        let (mut bindings, start) = (Bindings::default(), t0());
        bindings.bind(address(1), &name("a.test"), 60, start);
        bindings.bind(address(2), &name("b.test"), 60, start);
        bindings.bind(address(1), &name("c.test"), 60, start);
        check(&bindings, address(1), start, &["c.test", "a.test"]);
        check(&bindings, address(2), start, &["b.test"]);
        check(&bindings, address(3), start, &[]);
        // Handed out once more, it is the last one.
        bindings.bind(address(1), &name("a.test"), 60, start);
        check(&bindings, address(1), start, &["a.test", "c.test"]);
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        check(&bindings, mapped, start, &["a.test", "c.test"]);
        bindings.clear();
        check(&bindings, address(1), start, &[]);
    }

    #[test]
    fn a_name_stays_bound_for_five_minutes_to_an_hour() {
        for (ttl, lasts) in [(0, 300), (60, 300), (900, 900), (90_000, 3_600)] {
            let (mut bindings, start) = (Bindings::default(), t0());
            bindings.bind(address(1), &name("a.test"), ttl, start);
            let s = Duration::from_secs;
            check(&bindings, address(1), start + s(lasts - 1), &["a.test"]);
            check(&bindings, address(1), start + s(lasts), &[]);
        }
    }

    #[test]
    fn the_oldest_binding_makes_room() {
        let (mut bindings, start) = (Bindings::default(), t0());
        for number in 0..limits::BINDINGS {
            bindings.bind(address(1), &name(&format!("n{number}.test")), 60, start);
        }
        bindings.bind(address(2), &name("n0.test"), 60, start);
        assert_eq!(bindings.bound.len(), limits::BINDINGS);
        assert_eq!(bindings.names.len(), limits::BINDINGS);
        let last = limits::BINDINGS - 1;
        let newest: Vec<_> =
            (0..limits::NAMES_OF_AN_ADDRESS).map(|back| format!("n{}.test", last - back)).collect();
        let newest: Vec<_> = newest.iter().map(String::as_str).collect();
        check(&bindings, address(1), start, &newest);
        check(&bindings, address(2), start, &["n0.test"]);
        assert!(bindings.names.iter().filter(|bound| bound.as_str() == "n0.test").count() == 1);
    }

    #[test]
    fn what_was_visited_hides_in_logs() {
        let mut bindings = Bindings::default();
        bindings.bind(address(1), &name("bank.test"), 60, t0());
        assert_eq!(format!("{bindings:?}"), "Bindings(1, <private>)");
    }

    #[track_caller]
    fn check(bindings: &Bindings, address: IpAddr, now: Instant, expected: &[&str]) {
        let names: Vec<_> = bindings.names_of(address, now).map(DomainName::as_str).collect();
        assert_eq!(names, expected);
    }

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn name(text: &str) -> DomainName {
        DomainName::parse(text.as_bytes()).unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "only differences to it matter")]
    fn t0() -> Instant {
        Instant::now()
    }
}
