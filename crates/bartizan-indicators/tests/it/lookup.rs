//! What matches, and what wins.

use bartizan_indicators::found::{Found, Source};
use bartizan_indicators::pattern::Pattern;
use bartizan_indicators::{Indicators, compile::Compiled};
use bartizan_model::{IndicatorAction, IndicatorCategory};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::world::{ask, base, by_hand, matches, octets_of, open, tenant};

#[test]
fn a_domain_lists_itself_and_everything_under_it() {
    let file = base(&["evil.test", "c2.evil.test"]);
    check(&file, "evil.test", &["evil.test"]);
    check(&file, "login.evil.test", &["evil.test"]);
    check(&file, "x.c2.evil.test", &["c2.evil.test", "evil.test"]);
    check(&file, "notevil.test", &[]);
    check(&file, "test", &[]);
}

#[test]
fn a_host_and_what_is_under_one_are_told_apart() {
    let file = base(&["=exact.test", "*.under.test"]);
    check(&file, "exact.test", &["=exact.test"]);
    check(&file, "a.exact.test", &[]);
    check(&file, "under.test", &[]);
    check(&file, "a.under.test", &["*.under.test"]);
    check(&file, "a.b.under.test", &["*.under.test"]);
}

#[test]
fn a_url_lists_its_path_up_to_a_slash() {
    let file = base(&["shared.test/bad", "shared.test/q?id=1", "192.0.2.1/x"]);
    check(&file, "http://shared.test/bad/", &["shared.test/bad"]);
    check(&file, "shared.test/bad/page.html?x", &["shared.test/bad"]);
    check(&file, "www.shared.test/bad", &["shared.test/bad"]);
    check(&file, "shared.test/badly", &[]);
    check(&file, "shared.test/good/bad", &[]);
    check(&file, "shared.test/q?id=1", &["shared.test/q?id=1"]);
    check(&file, "shared.test/q?id=2", &[]);
    check(&file, "http://0xc0000201/x/y", &["192.0.2.1/x"]);
    check(&file, "shared.test", &[]);
}

#[test]
fn an_address_matches_itself_and_the_networks_that_hold_it() {
    let file = base(&["192.0.2.7", "192.0.2.0/24", "192.0.0.0/16", "2001:db8::/32", "2001:db8::1"]);
    check(&file, "192.0.2.7", &["192.0.2.7", "192.0.2.0/24", "192.0.0.0/16"]);
    check(&file, "192.0.9.1", &["192.0.0.0/16"]);
    check(&file, "192.1.0.1", &[]);
    check(&file, "2001:db8::1", &["2001:db8::1", "2001:db8::/32"]);
    check(&file, "::ffff:192.0.2.8", &["192.0.2.0/24", "192.0.0.0/16"]);
    check(&file, "http://192.0.2.7/a", &["192.0.2.7", "192.0.2.0/24", "192.0.0.0/16"]);
}

#[test]
fn an_empty_file_lists_nothing() {
    let file = base(&[]);
    check(&file, "a.test", &[]);
    check(&file, "a.test/b", &[]);
    check(&file, "192.0.2.1", &[]);
    check(&Indicators::default(), "a.test", &[]);
}

#[test]
fn the_organization_beats_feeds_then_length_then_action_decides() {
    use IndicatorAction::{Allow, Audit, Block, Warn};
    let own = [
        ("allowed.test", Allow),
        ("deep.allowed.test", Warn),
        ("=both.test", Block),
        ("both.test", Allow),
        ("shared.test/a", Block),
        ("shared.test/a/b", Audit),
        ("brief.test", Block),
        ("10.0.0.0/8", Block),
        ("10.1.0.0/16", Allow),
        ("10.1.1.1", Warn),
    ];
    let mut indicators = base(&["evil.allowed.test", "shared.test", "brief.test"]);
    indicators.tenant = Some(tenant(&own));
    for (question, winner, action) in [
        ("evil.allowed.test", "allowed.test", Some(Allow)),
        ("x.deep.allowed.test", "deep.allowed.test", Some(Warn)),
        ("both.test", "both.test", Some(Allow)),
        ("shared.test/a/x", "shared.test/a", Some(Block)),
        ("shared.test/a/b/c/d/e/f/g/h", "shared.test/a/b", Some(Audit)),
        ("shared.test/z", "shared.test", Some(Block)),
        ("brief.test", "brief.test", Some(Block)),
        ("10.2.0.1", "10.0.0.0/8", Some(Block)),
        ("10.1.0.1", "10.1.0.0/16", Some(Allow)),
        ("10.1.1.1", "10.1.1.1", Some(Warn)),
        ("good.test", "", None),
    ] {
        let decided = ask(&indicators, question, |found| {
            found.map(|found| (found.winner().entry.to_string(), found.winner().action))
        });
        let expected = action.map(|action| (winner.to_owned(), action));
        assert_eq!(decided, Ok(expected), "{question}");
    }
}

#[test]
fn an_own_indicator_says_its_title_until_it_expires() {
    let mut indicators = base(&["brief.test"]);
    indicators.tenant = Some(tenant(&[
        ("evil.test", IndicatorAction::Block),
        ("brief.test", IndicatorAction::Allow),
    ]));
    let said = |found: Option<Found<'_>>| match found.map(|found| found.winner().source) {
        Some(Source::Tenant(own)) => format!("{} {}", own.id, own.title),
        Some(Source::Feed(feed)) => feed.to_owned(),
        None => String::new(),
    };
    assert_eq!(ask(&indicators, "a.evil.test", said).unwrap(), "1 Title of evil.test");
    assert_eq!(ask(&indicators, "brief.test", said).unwrap(), "list");
}

#[test]
fn more_matches_than_are_kept_leave_the_winning_ones() {
    let names: Vec<String> = (1..20).map(|n| vec!["a"; n].join(".") + ".test").collect();
    let listed: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = matches(&base(&listed), names.last().unwrap());
    assert_eq!(found.len(), 8);
    assert_eq!(found.first(), names.last());
}

/// Enough entries for several shards: each is found, and what is not listed is not.
#[test]
fn a_large_file_lists_what_it_should() {
    let name = |n: u32| format!("host-{n}.example{}.test", n % 977);
    let entries: Vec<(Pattern, IndicatorCategory)> =
        (0..300_000).map(|n| (name(n).parse().unwrap(), IndicatorCategory::Malware)).collect();
    let octets = octets_of(&Compiled::of(&entries));
    let size = f64::from(u32::try_from(octets.len()).unwrap()) / 300_000.0;
    assert!(size < 6.6, "{size} octets an entry");
    let file = Indicators { base: Some(open(&octets).unwrap()), tenant: None };
    for n in (0..300_000).step_by(7) {
        assert_eq!(matches(&file, &format!("www.{}", name(n))), [name(n)]);
        assert!(matches(&file, &format!("x{}", name(n))).is_empty());
    }
}

proptest! {
    /// Short names from a small alphabet, so that parents, siblings and near misses all occur.
    #[test]
    fn agrees_with_a_linear_scan(entries in vec(entry(), 0..60), question in question(), own: bool) {
        let patterns: Vec<Pattern> = entries.iter().map(|entry| entry.parse().unwrap()).collect();
        let mut expected: Vec<String> =
            patterns.iter().filter(|entry| by_hand(entry, &question)).map(ToString::to_string).collect();
        expected.sort();
        expected.dedup();
        let texts: Vec<&str> = entries.iter().map(String::as_str).collect();
        let indicators = if own {
            let own: Vec<_> = texts.iter().map(|text| (*text, IndicatorAction::Block)).collect();
            Indicators { base: None, tenant: Some(tenant(&own)) }
        } else {
            base(&texts)
        };
        let mut found = matches(&indicators, &question);
        if found.len() < 8 {
            found.sort();
            prop_assert_eq!(found, expected);
        } else {
            prop_assert!(found.iter().all(|found| expected.contains(found)));
        }
    }
}

fn entry() -> impl Strategy<Value = String> {
    prop_oneof![
        "(\\*\\.|=)?[ab]{1,2}(\\.[ab]{1,2}){0,2}",
        "[ab](\\.[ab]){1,2}/[xy](/[xy]){0,2}(\\?[xy])?",
        "10\\.[01]\\.[01]\\.[0-3]",
        "10\\.[01]\\.[01]\\.[0-3]/(8|15|16|24|31)",
        "10\\.0\\.0\\.1/[xy]",
    ]
}

fn question() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab]{1,2}(\\.[ab]{1,2}){0,3}",
        "[ab](\\.[ab]){1,3}/[xy](/[xy]){0,2}(\\?[xy])?",
        "10\\.[01]\\.[01]\\.[0-3]",
        "10\\.0\\.0\\.[01]/[xy](/[xy])?",
    ]
}

#[track_caller]
fn check(indicators: &Indicators, question: &str, expected: &[&str]) {
    assert_eq!(matches(indicators, question), expected, "{question}");
}
