//! An organization's own indicators, from the console's form to what a device does and tells.

use std::net::Ipv4Addr;

use bartizan_model::{Detector, Severity};
use bartizan_store::{AlertFilter, IndicatorId};

use crate::console::Console;
use crate::support::{PortalProcess, SITE, TestDevice, World, bartizan, wait_for};

#[test]
fn own_indicators_block_allow_and_watch_on_the_device_and_count_their_hits() {
    let world = World::new();
    let portal = world.portal();
    let device = world.device(&portal);
    assert_eq!(device.resolve("evil.test"), Ipv4Addr::UNSPECIFIED, "as the feed has it");
    assert_eq!(device.resolve("parcel-fee.test"), SITE, "which nobody lists yet");
    device.wait_until("acknowledged", |status| status.alerts_waiting == 0);
    assert!(shown(&world).contains("Own indicators  none"), "{}", shown(&world));

    let console = Console::sign_in(&portal);
    for (number, form) in (1..).zip([
        [
            ("indicatorValue", "parcel-fee.test"),
            ("action", "Block"),
            ("title", "Parcel fee by text message"),
            ("severity", "High"),
            ("GenerateAlert", "True"),
        ],
        [
            ("indicatorValue", "evil.test"),
            ("action", "Allowed"),
            ("title", "Listed by mistake"),
            ("severity", "Informational"),
            ("description", "A partner."),
        ],
        [
            ("indicatorValue", "*.watched.test"),
            ("action", "Audit"),
            ("title", "Who still asks the old server"),
            ("severity", "Low"),
            ("GenerateAlert", "True"),
        ],
    ]) {
        let made = console.submit("/indicators", &form);
        assert_eq!(made, format!("/indicators/{number}?done=created"));
    }
    published(&portal, 3);
    // A restart makes the device check in.
    drop(device);
    let device = TestDevice::start(&world.state(), &portal.url, None);
    let status =
        device.wait_until("the tenant file is fetched", |status| status.tenant_entries == 3);
    let line = format!("Own indicators  epoch {}, 3 entries", status.tenant_epoch.unwrap());
    assert!(shown(&world).contains(&line), "{}", shown(&world));

    assert_eq!(device.resolve("www.parcel-fee.test"), Ipv4Addr::UNSPECIFIED);
    assert_eq!(device.resolve("evil.test"), SITE, "an own Allow goes before a feed");
    assert_eq!(device.resolve("old.watched.test"), SITE);
    wait_for("both alerts are on the portal", || (portal.alerts().len() == 3).then_some(()));

    let (mut alerts, hits) = portal.ask(async |store, scope| {
        let alerts = store.alerts(scope.whole(), AlertFilter::default(), None, 10).await.unwrap();
        let mut hits = Vec::new();
        for id in [1, 2, 3].map(IndicatorId) {
            hits.push(store.indicator(scope, id).await.unwrap().hits);
        }
        (alerts, hits)
    });
    alerts.retain(|alert| alert.indicator.is_some());
    alerts.sort_by_key(|alert| alert.indicator);
    let alerts: Vec<_> = alerts
        .iter()
        .map(|alert| {
            let host = alert.host.as_ref().unwrap().as_str();
            (alert.indicator, alert.detector, alert.severity, &*alert.title, host)
        })
        .collect();
    let matched = Detector::IndicatorMatched;
    assert_eq!(
        alerts,
        [
            (Some(1), matched, Severity::High, "Parcel fee by text message", "www.parcel-fee.test"),
            (Some(3), matched, Severity::Low, "Who still asks the old server", "old.watched.test"),
        ]
    );
    assert_eq!(hits, [1, 0, 1]);
    assert!(console.page("/alerts").contains("Parcel fee by text message"));
}

/// What `bartizan agent status` says.
fn shown(world: &World) -> String {
    let output = bartizan(&["agent", "status", "--state", world.state().to_str().unwrap()]);
    String::from_utf8(output.stdout).unwrap()
}

/// Waits for the file that holds so many indicators.
fn published(portal: &PortalProcess, entries: u64) {
    wait_for("the tenant file is published", || {
        let newest = portal.ask(async |store, scope| store.newest_tenant_file(scope).await);
        newest.unwrap().filter(|file| file.entries == entries).map(drop)
    });
}
