//! Filter mode: the system asks about connections and URLs.

use bartizan_engine::{FilteredFlow, FlowVerdict};
use bartizan_model::{Detector, IndicatorCategory, Mode, Policy, WebProtection};

use crate::world::*;

#[test]
fn the_most_exact_of_what_the_system_knows_decides() {
    let mut world = filtering(WebProtection::Block);
    let phishing = FlowVerdict::Drop { category: IndicatorCategory::Phishing, passable: false };
    check(&mut world, (Some("https://login.evil.test/a?b"), None), phishing);
    check(&mut world, (None, Some("evil.test")), phishing);
    check(&mut world, (Some("https://good.test/"), Some("evil.test")), phishing);
    check(&mut world, (Some("https://good.test/evil.test"), None), FlowVerdict::Pass);
    check(&mut world, (Some("no url"), Some("not a name")), FlowVerdict::Pass);
    check(&mut world, (None, None), FlowVerdict::Pass);
    world.drain();
    assert!(world.alerts.iter().all(|alert| alert.detector == Detector::WebPhishingBlocked));
    assert_eq!(world.alerts.len(), 2, "one a host");
}

#[test]
fn without_protection_everything_passes() {
    let mut world = filtering(WebProtection::Off);
    check(&mut world, (None, Some("evil.test")), FlowVerdict::Pass);
}

fn filtering(web_protection: WebProtection) -> World {
    let mut world = World::new();
    world.policy(Policy { mode: Mode::Filter, web_protection, ..Policy::default() });
    world
}

#[track_caller]
fn check(world: &mut World, (url, host): (Option<&str>, Option<&str>), expected: FlowVerdict) {
    let flow = FilteredFlow { url, host, address: None };
    let (wall, now) = (world.wall(), world.now);
    assert_eq!(world.engine.handle_flow(&flow, wall, now), expected);
}
