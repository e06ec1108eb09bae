//! Alerts: once, joined, clamped, listed.

use bartizan_model::{
    Alert, AlertStatus, Detector, DeviceId, IndicatorAction, IndicatorSource, MatchedIndicator,
    RiskLevel, Severity, UnixMillis, UnresolvedAlerts,
};
use bartizan_store::{AlertFilter, StatusFilter, StoreError};

use crate::world::{DAY, HOUR, NOW, World, alert, enroll, indicator};

const ALL: AlertFilter =
    AlertFilter { severity: None, status: StatusFilter::Any, device: None, incident: None };

#[tokio::test]
async fn a_repeated_upload_is_acknowledged_and_changes_nothing() {
    let world = World::new().await;
    world.ingest(alert(1, "evil.test", 0), 0).await;
    let before = world.list(ALL).await;
    world.ingest(alert(1, "evil.test", 0), HOUR).await;
    world.ingest(alert(1, "other.test", HOUR), HOUR).await;
    assert_eq!(world.list(ALL).await, before);
    assert_eq!(before.len(), 1);
    assert_eq!((before[0].count, before[0].title.as_str()), (1, "Phishing site blocked"));

    let twice = vec![alert(2, "a.test", 0), alert(2, "a.test", 0)];
    let done = world.store.ingest_alerts(world.acme.scope, world.acme.device, twice, NOW).await;
    assert_eq!(done.unwrap().fresh, 1);
    assert_eq!(world.list(ALL).await.len(), 2);
}

#[tokio::test]
async fn the_same_threat_again_joins_for_24_hours() {
    let world = World::new().await;
    world.ingest(alert(1, "evil.test", 0), 0).await;
    let mut again = alert(2, "evil.test", DAY);
    again.count = 4;
    world.ingest(again, DAY).await;
    // An hour late and out of order.
    world.ingest(alert(3, "evil.test", HOUR), DAY).await;
    let rows = world.list(ALL).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].count, 6);
    assert_eq!((rows[0].first_seen_at, rows[0].last_seen_at.0), (NOW, NOW.0 + DAY));

    world.ingest(alert(4, "evil.test", 2 * DAY + 1), 2 * DAY + 1).await;
    assert_eq!(world.list(ALL).await.len(), 2, "a millisecond over 24 h is another alert");
}

#[tokio::test]
async fn another_host_detector_or_device_is_another_threat() {
    let world = World::new().await;
    world.ingest(alert(1, "evil.test", 0), 0).await;
    world.ingest(alert(2, "www.evil.test", 0), 0).await;
    let mut malware = alert(3, "evil.test", 0);
    malware.detector = Detector::WebMalwareBlocked;
    world.ingest(malware, 0).await;
    let (mut hidden, mut hidden_again) = (alert(4, "evil.test", 0), alert(5, "evil.test", 0));
    (hidden.host, hidden_again.host) = (None, None);
    world.ingest(hidden, 0).await;
    world.ingest(hidden_again, 0).await;
    let second = enroll(&world.store, world.acme.scope, 9).await;
    let batch = vec![alert(1, "evil.test", 0)];
    world.store.ingest_alerts(world.acme.scope, second, batch, NOW).await.unwrap();

    let mut counts: Vec<_> = world
        .list(ALL)
        .await
        .into_iter()
        .map(|row| (row.host.map(|h| h.to_string()), row.count))
        .collect();
    counts.sort();
    let evil = || Some("evil.test".to_owned());
    assert_eq!(
        counts,
        [(None, 2), (evil(), 1), (evil(), 1), (evil(), 1), (Some("www.evil.test".into()), 1)]
    );
}

#[tokio::test]
async fn nothing_joins_a_resolved_alert() {
    let world = World::new().await;
    world.ingest(alert(1, "evil.test", 0), 0).await;
    let first = world.list(ALL).await.remove(0);
    set(&world, &first, AlertStatus::Resolved).await;
    world.ingest(alert(2, "evil.test", HOUR), HOUR).await;
    let rows = world.list(ALL).await;
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].status, rows[1].status), (AlertStatus::New, AlertStatus::Resolved));
    assert_eq!(rows[1].status_by.as_deref(), Some("admin"));
    assert_eq!(rows[1].status_at, Some(NOW));
}

#[tokio::test]
async fn stamps_of_a_device_are_claims() {
    let world = World::new().await;
    let mut dreamer = alert(1, "future.test", 0);
    dreamer.last_seen = UnixMillis(u64::MAX);
    world.ingest(dreamer, 0).await;
    let mut sleeper = alert(2, "past.test", 0);
    (sleeper.first_seen, sleeper.last_seen) = (UnixMillis(0), UnixMillis(5));
    world.ingest(sleeper, 0).await;
    let rows = world.list(ALL).await;
    assert_eq!((rows[0].first_seen_at, rows[0].last_seen_at), (NOW, NOW));
    let oldest = UnixMillis(NOW.0 - 30 * DAY);
    assert_eq!((rows[1].first_seen_at, rows[1].last_seen_at), (oldest, oldest));
}

#[tokio::test]
async fn pages_hold_every_alert_once_newest_first() {
    let world = World::new().await;
    for number in 0..25_u64 {
        // Some at the same time, so that the key decides.
        let host = format!("h{number}.test");
        world.ingest(alert(u128::from(number), &host, number / 3), HOUR).await;
    }
    let whole = world.list(ALL).await;
    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let page = world.page(ALL, after, 4).await;
        let Some(last) = page.last() else { break };
        after = Some(last.cursor());
        paged.extend(page);
    }
    assert_eq!(paged, whole);
    assert_eq!(whole.len(), 25);
    assert!(whole.is_sorted_by_key(|row| std::cmp::Reverse((row.last_seen_at, row.key))));
}

#[tokio::test]
async fn filters_narrow_and_risk_follows_what_is_unresolved() {
    let world = World::new().await;
    let mut spyware = alert(1, "spy.test", 0);
    spyware.detector = Detector::WebSpywareBlocked;
    world.ingest(spyware, 0).await;
    world.ingest(alert(2, "evil.test", 0), 0).await;

    let filter = AlertFilter { severity: Some(Severity::High), ..ALL };
    let high = world.list(filter).await;
    assert_eq!(high.len(), 1);
    assert_eq!(world.list(AlertFilter { device: Some(DeviceId(77)), ..filter }).await, []);
    let mine = AlertFilter {
        device: Some(world.acme.device),
        status: StatusFilter::Only(AlertStatus::New),
        ..ALL
    };
    assert_eq!(world.list(mine).await.len(), 2);

    check_risk(&world, RiskLevel::High).await;
    set(&world, &high[0], AlertStatus::InProgress).await;
    check_risk(&world, RiskLevel::High).await;
    set(&world, &high[0], AlertStatus::Resolved).await;
    check_risk(&world, RiskLevel::Informational).await;
    for (status, expected) in [
        (StatusFilter::Any, 2),
        (StatusFilter::Unresolved, 1),
        (StatusFilter::Only(AlertStatus::New), 1),
        (StatusFilter::Only(AlertStatus::InProgress), 0),
        (StatusFilter::Only(AlertStatus::Resolved), 1),
    ] {
        assert_eq!(world.list(AlertFilter { status, ..ALL }).await.len(), expected, "{status:?}");
    }
    assert_eq!(
        world.store.unresolved_alerts(world.acme.scope.whole()).await.unwrap(),
        UnresolvedAlerts { informational: 1, ..UnresolvedAlerts::default() }
    );
}

/// It is an alert of its own, with its own words, and no further hit of the entry that warned.
#[tokio::test]
async fn a_passed_warning_is_told_beside_the_warning() {
    let world = World::new().await;
    let scope = world.acme.scope;
    let own = indicator("evil.test");
    let own = world.store.create_indicator(scope, own, world.acme.member, NOW).await.unwrap();
    let by_own = |number| {
        let source = IndicatorSource::Tenant(own.0);
        let matched = Some(MatchedIndicator { entry: "evil.test".into(), source });
        Alert { matched, action: IndicatorAction::Warn, ..alert(number, "evil.test", 0) }
    };
    world.ingest(Alert { detector: Detector::IndicatorMatched, ..by_own(1) }, 0).await;
    world.ingest(Alert { detector: Detector::WebPhishingOverridden, ..by_own(2) }, 0).await;
    let mut told: Vec<_> = world
        .list(ALL)
        .await
        .into_iter()
        .map(|row| (row.title, row.severity, row.detector))
        .collect();
    told.sort_by_key(|(_, _, detector)| *detector);
    let overridden = Detector::WebPhishingOverridden;
    assert_eq!(told[0], (overridden.title().to_owned(), Severity::Low, overridden));
    assert_eq!((told.len(), told[1].2), (2, Detector::IndicatorMatched));
    let hits = world.store.top_hits(scope.whole(), "", 9).await.unwrap();
    assert_eq!(hits.iter().map(|hit| hit.hits).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn an_unknown_device_raises_nothing() {
    let world = World::new().await;
    let refused =
        world.store.ingest_alerts(world.acme.scope, DeviceId(77), vec![alert(1, "a.test", 0)], NOW);
    assert!(matches!(refused.await, Err(StoreError::NotFound { what: "device" })));
}

async fn set(world: &World, row: &bartizan_store::AlertRow, status: AlertStatus) {
    let by = world.acme.member;
    world.store.set_alert_status(world.acme.scope.whole(), row.key, status, by, NOW).await.unwrap();
}

#[track_caller]
fn check_risk(world: &World, expected: RiskLevel) -> impl Future<Output = ()> {
    let (store, acme) = (world.store.clone(), world.acme);
    async move {
        let device = store.device(acme.scope.whole(), acme.device).await.unwrap();
        assert_eq!(RiskLevel::of(device.unresolved), expected);
    }
}
