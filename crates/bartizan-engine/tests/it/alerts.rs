//! What is reported, when, and in which detail.

use bartizan_engine::limits;
use bartizan_model::{Detector, Policy, UnixMillis};
use domain::base::Rtype;

use crate::world::*;

#[test]
fn a_block_raises_one_alert_at_once() {
    for (asked, matched, detector) in [
        ("login.evil.test", "evil.test", Detector::WebPhishingBlocked),
        ("c2.test", "c2.test", Detector::WebMalwareBlocked),
        ("a.b.spy.test", "spy.test", Detector::WebSpywareBlocked),
    ] {
        let mut world = World::new();
        world.send(CLIENT, RESOLVER, &query(1, asked, Rtype::A, None));
        let alert = world.alerts.pop().unwrap();
        assert_eq!((alert.host, alert.matched), (Some(name(asked)), entry(matched)));
        assert_eq!((alert.detector, alert.count, alert.indicator_epoch), (detector, 1, 5));
        assert_eq!((alert.first_seen, alert.last_seen), (UnixMillis(WALL), UnixMillis(WALL)));
        assert_eq!(alert.id.0 >> 80, u128::from(WALL), "ids sort by time");
    }
}

#[test]
fn further_blocks_of_a_host_follow_as_one_alert() {
    let mut world = World::new();
    for (id, rtype) in [(1, Rtype::A), (2, Rtype::AAAA), (3, Rtype::HTTPS)] {
        world.send(CLIENT, RESOLVER, &query(id, "evil.test", rtype, None));
        world.pass(s(1));
    }
    assert_eq!(world.alerts.len(), 1);
    world.pass(limits::SIGHTING_WINDOW);
    let [first, further] = world.alerts.as_slice() else { panic!("{:?}", world.alerts) };
    assert!(first.id < further.id);
    assert_eq!((further.count, &further.host), (2, &first.host));
    assert_eq!(further.first_seen, UnixMillis(WALL + 1_000));
    assert_eq!(further.last_seen, UnixMillis(WALL + 2_000));
    assert_eq!(further.id.0 >> 80, u128::from(WALL + 60_000));
    assert_eq!((world.deadline, world.engine.stats().alerts), (None, 2));

    world.send(CLIENT, RESOLVER, &query(4, "evil.test", Rtype::A, None));
    assert_eq!(world.alerts.len(), 3, "a new window starts with an alert");
}

#[test]
fn a_single_block_has_no_follow_up_and_wakes_nobody() {
    let mut world = World::new();
    world.send(CLIENT, RESOLVER, &query(1, "evil.test", Rtype::A, None));
    assert_eq!(world.deadline, None);
    world.pass(limits::SIGHTING_WINDOW * 2);
    assert_eq!(world.alerts.len(), 1);
}

#[test]
fn each_host_is_reported_by_itself() {
    let mut world = World::new();
    for host in ["evil.test", "www.evil.test", "c2.test"] {
        world.send(CLIENT, RESOLVER, &query(1, host, Rtype::A, None));
    }
    assert_eq!(world.alerts.len(), 3);
}

#[test]
fn where_policy_says_so_the_host_stays_on_the_device() {
    let mut world = World::new();
    let discreet = Policy { report_blocked_host: false, ..Policy::default() };
    world.policy(discreet);
    for host in ["evil.test", "www.evil.test", "evil.test"] {
        world.send(CLIENT, RESOLVER, &query(1, host, Rtype::A, None));
    }
    world.pass(limits::SIGHTING_WINDOW);
    assert_eq!(world.alerts.len(), 3, "told apart, although not named");
    assert!(world.alerts.iter().all(|alert| alert.host.is_none() && alert.matched.is_none()));
}

#[test]
fn a_policy_that_hides_hosts_also_hides_those_that_wait_to_be_reported() {
    let mut world = World::new();
    world.send(CLIENT, RESOLVER, &query(1, "evil.test", Rtype::A, None));
    world.send(CLIENT, RESOLVER, &query(2, "evil.test", Rtype::A, None));
    world.policy(Policy { report_blocked_host: false, ..Policy::default() });
    world.pass(limits::SIGHTING_WINDOW);
    assert!(world.alerts[0].host.is_some() && world.alerts[1].host.is_none());
}

#[test]
fn blocks_are_reported_although_protection_was_turned_off_meanwhile() {
    let mut world = World::new();
    world.send(CLIENT, RESOLVER, &query(1, "evil.test", Rtype::A, None));
    world.send(CLIENT, RESOLVER, &query(2, "evil.test", Rtype::A, None));
    world.policy(Policy { mode: bartizan_model::Mode::Off, ..Policy::default() });
    world.pass(limits::SIGHTING_WINDOW);
    assert_eq!((world.alerts.len(), world.alerts[1].count), (2, 1));
}

#[test]
fn who_walks_through_listed_names_is_blocked_but_does_not_bury_the_queue() {
    let mut world = World::new();
    let asked = limits::ALERT_BURST + 100;
    for number in 0..asked {
        let host = format!("h{number}.evil.test");
        world.send(CLIENT, RESOLVER, &query(1, &host, Rtype::A, None));
    }
    let stats = world.engine.stats();
    assert_eq!((stats.blocked, stats.alerts_suppressed), (asked as u64, 100));
    assert_eq!(world.alerts.len(), limits::ALERT_BURST);
}
