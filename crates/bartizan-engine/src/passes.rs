//! Warnings that a person has passed, and those on show that can be.
//!
//! A page that warns is an *offer*: whoever sends its token back within [`limits::OFFER_LIFETIME`] has read it. Taking an
//! offer grants a *pass* for what decided, so that a pass for `evil.test` is good for every name under it, and for
//! nothing else. Who listed the entry is part of it: what the organization adds later warns once more.
//!
//! Passes hold when they were granted and not when they end: how long one is good is asked of the policy in force, so that
//! an organization that allows less ends those that are there. They outlive the program as plain data, which the host
//! keeps.
//!
//! # Invariants
//! - At most [`limits::PASSES`] passes and [`limits::OFFERS`] offers; for one more the oldest leaves.
//! - A token is good once, for the host whose page showed it.
//! - Asking whether something is passed allocates nothing.

use std::collections::VecDeque;
use std::fmt::{self, Display, Write as _};
use std::time::Instant;

use bartizan_model::{DomainName, IndicatorSource, MatchedIndicator, UnixMillis};

use crate::limits;

/// Who lists what a pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lister {
    /// A feed, whichever.
    Feed,
    /// The organization itself.
    Tenant,
}

impl From<&IndicatorSource> for Lister {
    fn from(source: &IndicatorSource) -> Self {
        match source {
            IndicatorSource::Feed(_) => Self::Feed,
            IndicatorSource::Tenant(_) => Self::Tenant,
        }
    }
}

/// A warning that a person has passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The entry that warned, as it is written.
    pub entry: Box<str>,
    /// Who lists it.
    pub lister: Lister,
    /// By the device's clock.
    pub granted_at: UnixMillis,
}

/// The passes, the one granted last at the end.
#[derive(Clone, Debug, Default)]
pub struct Passes {
    passes: VecDeque<Pass>,
}

impl Passes {
    /// Takes back what [`Passes::snapshot`] gave, of which the last ones stay.
    #[must_use]
    pub fn restore(kept: impl IntoIterator<Item = Pass>) -> Self {
        let mut passes = Self::default();
        for pass in kept {
            passes.put(pass);
        }
        passes
    }

    /// Yields all passes for the host to keep, the one granted last at the end. Some may have ended.
    pub fn snapshot(&self) -> impl Iterator<Item = &Pass> {
        self.passes.iter()
    }

    /// Grants a pass, or grants it anew; for what [`is_passable`] only.
    pub fn grant(&mut self, matched: &MatchedIndicator, wall: UnixMillis) {
        let lister = Lister::from(&matched.source);
        self.put(Pass { entry: matched.entry.clone(), lister, granted_at: wall });
    }

    /// Tells whether a warning by this entry was passed within so many hours. A clock that was set back does not make
    /// a pass everlasting: it ends as long before as after it was granted.
    #[must_use]
    pub fn is_passed(
        &self,
        entry: &impl Display,
        lister: Lister,
        wall: UnixMillis,
        hours: u16,
    ) -> bool {
        let lifetime_ms = u64::from(hours) * 3_600_000;
        self.passes.iter().any(|pass| {
            pass.lister == lister
                && wall.0.abs_diff(pass.granted_at.0) < lifetime_ms
                && spells(entry, &pass.entry)
        })
    }

    fn put(&mut self, pass: Pass) {
        if limits::PASS_ENTRY_OCTETS < pass.entry.len() {
            return;
        }
        self.passes.retain(|known| known.lister != pass.lister || known.entry != pass.entry);
        if limits::PASSES <= self.passes.len() {
            self.passes.pop_front();
        }
        self.passes.push_back(pass);
    }
}

/// What a person may go on to, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// What warned.
    pub matched: MatchedIndicator,
    /// As policy has it.
    pub hours: u16,
}

/// Why a person cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPassed {
    /// There is no warning: the name is let through.
    NotListed,
    /// It is blocked, which nobody passes.
    Blocked,
    /// Policy has warnings stop like blocks.
    NotAllowed,
}

/// Tells whether a warning by this entry can be passed at all.
#[must_use]
pub fn is_passable(matched: &MatchedIndicator) -> bool {
    matched.entry.len() <= limits::PASS_ENTRY_OCTETS
}

/// Tells whether something would be written as this text, without writing it.
fn spells(what: &impl Display, text: &str) -> bool {
    struct Rest<'a>(&'a str);
    impl fmt::Write for Rest<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(part).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    let mut rest = Rest(text);
    write!(rest, "{what}").is_ok() && rest.0.is_empty()
}

/// Names an offer, and nobody guesses it. Its text is 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token(u128);

impl Token {
    /// Takes 128 bits that nobody can foresee.
    #[must_use]
    pub fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// Reads the text back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_whole = text.len() == 32 && text.bytes().all(|octet| octet.is_ascii_hexdigit());
        let bits = is_whole.then(|| u128::from_str_radix(text, 16));
        bits?.ok().map(Self)
    }

    /// Takes the same time wherever the two differ.
    fn is(self, other: Self) -> bool {
        std::hint::black_box(self.0 ^ other.0) == 0
    }
}

impl Display for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", self.0)
    }
}

/// Whoever reads the log is not who saw the page.
impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token(<private>)")
    }
}

/// What a page on show is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The host that was asked for.
    pub host: DomainName,
    /// What decided. Its entry is not kept where the person may not go on.
    pub matched: MatchedIndicator,
    /// Whether the person may go on; otherwise they can only say that it is a mistake.
    pub passable: bool,
    /// Where to go on to: a path with its query. One that is too long is taken as the start of the site.
    pub to: Box<str>,
}

/// The pages on show, the newest at the end.
#[derive(Debug, Default)]
pub struct Offers {
    offers: VecDeque<(Token, Instant, Offer)>,
}

impl Offers {
    /// Takes note of a page that is about to be shown.
    pub fn put(&mut self, token: Token, mut offer: Offer, now: Instant) {
        offer.passable &= is_passable(&offer.matched);
        if !offer.passable {
            offer.matched.entry = Box::default();
        }
        if limits::OFFER_PATH_OCTETS < offer.to.len() {
            offer.to = "/".into();
        }
        if limits::OFFERS <= self.offers.len() {
            self.offers.pop_front();
        }
        self.offers.push_back((token, now + limits::OFFER_LIFETIME, offer));
    }

    /// Returns what the page was about whose token came back, if it came to the same host in time; the token is then
    /// good no more.
    pub fn take(&mut self, token: Token, host: &DomainName, now: Instant) -> Option<Offer> {
        while self.offers.pop_front_if(|(_, ends_at, _)| *ends_at <= now).is_some() {}
        let place = self.offers.iter().position(|(known, _, _)| known.is(token))?;
        let is_here = self.offers.get(place).is_some_and(|(_, _, offer)| offer.host == *host);
        let (_, _, offer) = is_here.then(|| self.offers.remove(place))??;
        Some(offer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    #[test]
    fn a_pass_is_for_one_entry_of_one_lister_and_so_many_hours() {
        let mut passes = Passes::default();
        let wall = UnixMillis(1_000 * HOUR_MS);
        passes.grant(&by_feed("evil.test"), wall);
        let check = |entry: &str, lister, after_ms: u64, hours, expected: bool| {
            let wall = UnixMillis(wall.0 + after_ms);
            assert_eq!(passes.is_passed(&entry, lister, wall, hours), expected, "{entry} {hours}");
        };
        check("evil.test", Lister::Feed, 0, 24, true);
        check("evil.test", Lister::Feed, 24 * HOUR_MS - 1, 24, true);
        check("evil.test", Lister::Feed, 24 * HOUR_MS, 24, false);
        check("evil.test", Lister::Feed, 24 * HOUR_MS, 25, true);
        check("evil.test", Lister::Feed, 0, 0, false);
        check("evil.test", Lister::Tenant, 0, 24, false);
        for other in ["evil.tes", "evil.test.", "=evil.test", "xevil.test", "evil.test/path", ""] {
            check(other, Lister::Feed, 0, 24, false);
        }
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_pass_everlasting() {
        let mut passes = Passes::default();
        passes.grant(&by_feed("evil.test"), UnixMillis(1_000 * HOUR_MS));
        let at =
            |hours| passes.is_passed(&"evil.test", Lister::Feed, UnixMillis(hours * HOUR_MS), 24);
        assert!(at(999), "a clock that is set right does not take it away");
        assert!(!at(900));
    }

    #[test]
    fn a_pass_that_is_granted_again_begins_anew_and_the_oldest_leaves() {
        let mut passes = Passes::default();
        for number in 0..limits::PASSES as u64 {
            passes.grant(&by_feed(&format!("h{number}.test")), UnixMillis(number));
        }
        passes.grant(&by_feed("h0.test"), UnixMillis(100));
        passes.grant(&by_feed("one-more.test"), UnixMillis(101));
        let kept: Vec<_> = passes.snapshot().cloned().collect();
        assert_eq!(kept.len(), limits::PASSES);
        assert_eq!((&*kept[0].entry, kept[0].granted_at), ("h2.test", UnixMillis(2)));
        let [.., again, last] = &kept[..] else { panic!("too few") };
        assert_eq!((&*again.entry, again.granted_at), ("h0.test", UnixMillis(100)));
        assert_eq!(&*last.entry, "one-more.test");

        let twice = kept.iter().chain(&kept).cloned();
        assert_eq!(Passes::restore(twice).snapshot().cloned().collect::<Vec<_>>(), kept);
    }

    #[test]
    fn an_entry_of_any_length_takes_no_more_room_than_there_is() {
        let path = |octets: usize| by_feed(&format!("h.test/{}", "x".repeat(octets - 7)));
        let mut passes = Passes::default();
        for (octets, expected) in [(1_024, true), (1_025, false)] {
            let matched = path(octets);
            passes.grant(&matched, UnixMillis(0));
            assert_eq!(is_passable(&matched), expected);
            let is_passed = passes.is_passed(&matched.entry, Lister::Feed, UnixMillis(0), 1);
            assert_eq!(is_passed, expected);
        }
    }

    #[test]
    fn a_token_is_good_once_in_time_and_at_its_host() {
        let start = t0();
        let mut offers = Offers::default();
        let (token, evil, other) = (Token::new(7), name("evil.test"), name("other.test"));
        offers.put(token, offer("evil.test"), start);
        assert_eq!(offers.take(Token::new(8), &evil, start), None);
        assert_eq!(offers.take(token, &other, start), None, "another host has not shown it");
        assert_eq!(offers.take(token, &evil, start), Some(offer("evil.test")));
        assert_eq!(offers.take(token, &evil, start), None);

        offers.put(token, offer("evil.test"), start);
        let late = start + limits::OFFER_LIFETIME;
        assert_eq!(offers.take(token, &evil, late), None);

        for number in 0..=limits::OFFERS as u128 {
            offers.put(Token::new(number), offer("evil.test"), late);
        }
        assert_eq!(offers.take(Token::new(0), &evil, late), None, "the oldest has left");
        assert!(offers.take(Token::new(1), &evil, late + Duration::from_secs(1)).is_some());
    }

    #[test]
    fn an_offer_takes_no_more_room_than_there_is() {
        let (start, host) = (t0(), name("evil.test"));
        let long = |octets: usize| format!("/{}", "x".repeat(octets - 1));
        let check = |entry: usize, path: usize, passable, expected: (usize, usize, bool)| {
            let offer = Offer {
                matched: by_feed(&long(entry)),
                to: long(path).into(),
                passable,
                ..offer("evil.test")
            };
            let mut offers = Offers::default();
            offers.put(Token::new(1), offer, start);
            let kept = offers.take(Token::new(1), &host, start).unwrap();
            assert_eq!((kept.matched.entry.len(), kept.to.len(), kept.passable), expected);
        };
        check(1_024, 2_048, true, (1_024, 2_048, true));
        check(1_025, 2_049, true, (0, 1, false));
        check(10, 10, false, (0, 10, false));
    }

    #[test]
    fn a_token_has_one_text() {
        let text = Token::new(0xab).to_string();
        assert_eq!(text, "000000000000000000000000000000ab");
        assert_eq!(Token::parse(&text), Some(Token::new(0xab)));
        for bad in ["", "ab", "+00000000000000000000000000000ab", &"0".repeat(33), &"g".repeat(32)]
        {
            assert_eq!(Token::parse(bad), None, "{bad}");
        }
        assert_eq!(format!("{:?}", Token::new(0xab)), "Token(<private>)");
    }

    proptest! {
        #[test]
        fn spelling_is_equality_of_texts(parts in vec("[a.]{0,3}", 0..4), text in "[a.]{0,6}") {
            struct Parts(Vec<String>);
            impl Display for Parts {
                fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                    self.0.iter().try_for_each(|part| out.write_str(part))
                }
            }
            let written = parts.concat();
            let parts = Parts(parts);
            prop_assert_eq!(spells(&parts, &text), written == text);
            prop_assert!(spells(&parts, &written));
        }
    }

    fn by_feed(entry: &str) -> MatchedIndicator {
        MatchedIndicator { entry: entry.into(), source: IndicatorSource::Feed("list".into()) }
    }

    fn offer(host: &str) -> Offer {
        Offer { host: name(host), matched: by_feed(host), passable: true, to: "/".into() }
    }

    fn name(text: &str) -> DomainName {
        DomainName::parse(text.as_bytes()).unwrap()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one reading of a clock in these tests: a place to start from"
    )]
    fn t0() -> Instant {
        Instant::now()
    }
}
