//! Going on in spite of a warning: what opens, for how long, and what is told.

use bartizan_engine::passes::{NotPassed, Pass, Passes};
use bartizan_indicators::TenantFile;
use bartizan_indicators::tenant::{TenantIndicator, build_tenant};
use bartizan_model::{
    Detector, IndicatorAction, IndicatorCategory, IndicatorSource, MatchedIndicator, Policy,
    Severity, UnixMillis,
};
use domain::base::Rtype;
use ed25519_dalek::SigningKey;

use crate::world::{CLIENT, RESOLVER, WALL, World, answer, name, query, s};

const HOUR: u64 = 3_600;

#[test]
fn a_passed_warning_opens_the_name_and_what_is_under_it_for_as_long_as_policy_says() {
    let mut world = warning();
    assert!(!opens(&mut world, "www.warned.test"));
    let granted = pass(&mut world, "www.warned.test").unwrap();
    assert_eq!((&*granted.matched.entry, granted.hours), ("warned.test", 24));
    for host in ["www.warned.test", "warned.test", "a.b.warned.test"] {
        assert!(opens(&mut world, host), "{host}");
    }
    assert!(!opens(&mut world, "other.test"), "another warning stands");
    world.pass(s(24 * HOUR - 60));
    assert!(opens(&mut world, "warned.test"));
    world.pass(s(120));
    assert!(!opens(&mut world, "warned.test"), "a day is over");
}

#[test]
fn a_pass_is_told_once_a_minute_and_nothing_more_while_it_lasts() {
    let mut world = warning();
    assert!(pass(&mut world, "warned.test").is_ok());
    assert!(pass(&mut world, "warned.test").is_ok());
    assert!(opens(&mut world, "warned.test"));
    let [alert] = &world.alerts[..] else { panic!("{:?}", world.alerts) };
    assert_eq!(alert.detector, Detector::WebPhishingOverridden);
    assert_eq!((alert.action, alert.count), (IndicatorAction::Warn, 1));
    assert_eq!(alert.host, Some(name("warned.test")));
    assert_eq!(alert.matched, Some(by_tenant("warned.test")));
    world.pass(s(60));
    assert_eq!((world.alerts.len(), world.alerts[1].count), (2, 1));
}

#[test]
fn what_does_not_warn_cannot_be_passed() {
    let mut world = warning();
    assert_eq!(pass(&mut world, "blocked.test"), Err(NotPassed::Blocked));
    assert_eq!(pass(&mut world, "evil.test"), Err(NotPassed::Blocked));
    assert_eq!(pass(&mut world, "watched.test"), Err(NotPassed::NotListed));
    assert_eq!(pass(&mut world, "good.test"), Err(NotPassed::NotListed));
    world.policy(Policy { warn_pass_hours: 0, ..Policy::default() });
    assert_eq!(pass(&mut world, "warned.test"), Err(NotPassed::NotAllowed));
    assert_eq!((world.alerts.len(), world.passes.len()), (0, 0));
}

#[test]
fn a_policy_that_allows_no_passes_ends_those_that_are_there() {
    let mut world = warning();
    assert!(pass(&mut world, "warned.test").is_ok());
    world.policy(Policy { warn_pass_hours: 0, ..Policy::default() });
    assert!(!opens(&mut world, "warned.test"));
    world.policy(Policy::default());
    assert!(opens(&mut world, "warned.test"));
}

#[test]
fn a_pass_outlives_the_program_and_not_what_it_is_for() {
    let mut world = warning();
    assert!(pass(&mut world, "warned.test").is_ok());
    let [kept] = &world.passes[..] else { panic!("{:?}", world.passes) };
    assert_eq!((&*kept.entry, kept.granted_at), ("warned.test", UnixMillis(WALL)));

    let mut again = warning();
    assert!(!opens(&mut again, "warned.test"));
    again.engine.restore_passes(Passes::restore(world.passes.clone()));
    assert!(opens(&mut again, "warned.test"));

    let by_feed = Pass { lister: bartizan_engine::passes::Lister::Feed, ..kept.clone() };
    let mut other = warning();
    other.engine.restore_passes(Passes::restore([by_feed]));
    assert!(!opens(&mut other, "warned.test"), "the organization warns of it by itself");
}

/// A resolver that answers with a listed alias does not get through on a pass for the name.
#[test]
fn a_pass_is_not_good_for_a_listed_alias() {
    let mut world = warning();
    assert!(pass(&mut world, "warned.test").is_ok());
    world.send(CLIENT, RESOLVER, &query(1, "warned.test", Rtype::A, None));
    let ask = world.ask();
    world.answer(ask.id, &answer(&ask.query, &["evil.test"], 0));
    assert_eq!(world.alerts.last().unwrap().detector, Detector::WebPhishingBlocked);
}

/// A device with an own indicator of each kind, beside the usual file.
pub(crate) fn warning() -> World {
    let own = [
        ("warned.test", IndicatorAction::Warn),
        ("other.test", IndicatorAction::Warn),
        ("blocked.test", IndicatorAction::Block),
        ("watched.test", IndicatorAction::Audit),
    ];
    let own: Vec<_> = (1..)
        .zip(own)
        .map(|(id, (pattern, action))| TenantIndicator {
            id,
            pattern: pattern.parse().unwrap(),
            action,
            category: IndicatorCategory::Custom,
            severity: Severity::High,
            title: String::new(),
            expires_at: None,
            generate_alert: false,
        })
        .collect();
    let key = SigningKey::from_bytes(&[7; 32]);
    let octets = build_tenant(&own, 1, UnixMillis(0), &key);
    let mut world = World::new();
    let file = TenantFile::open(Box::new(octets), &key.verifying_key(), 0).unwrap();
    world.engine.handle_tenant_file(file);
    world
}

fn by_tenant(entry: &str) -> MatchedIndicator {
    MatchedIndicator { entry: entry.into(), source: IndicatorSource::Tenant(1) }
}

fn pass(world: &mut World, host: &str) -> Result<bartizan_engine::passes::Granted, NotPassed> {
    let granted = world.engine.handle_pass(&name(host), world.wall(), world.now);
    world.drain();
    granted
}

/// Whether a question for the name goes to the resolver.
fn opens(world: &mut World, host: &str) -> bool {
    world.send(CLIENT, RESOLVER, &query(1, host, Rtype::A, None));
    let Some(ask) = world.asks.pop_front() else { return false };
    world.answer(ask.id, &answer(&ask.query, &[], 0));
    true
}
