//! Triage, incidents and risk: what people do with alerts, and what follows from it.

use bartizan_model::{AlertStatus, Detector, DeviceId, RiskLevel, UnixMillis};
use bartizan_store::{
    AlertFilter, AlertKey, AlertUpdate, MemberId, StatusFilter, StoreError, Verdict,
};

use crate::world::{DAY, HOUR, NOW, World, alert, enroll};

#[tokio::test]
async fn a_change_is_kept_with_who_and_when() {
    let world = World::new().await;
    world.ingest(alert(1, "a.test", 0), 0).await;
    let (store, acme) = (&world.store, world.acme);
    let key = world.list(AlertFilter::default()).await[0].key;
    let update = AlertUpdate {
        status: Some(AlertStatus::InProgress),
        verdict: Some(verdict("TruePositive", "Phishing")),
        assigned_to: Some(Some(acme.member)),
        comment: Some("Asked the person.".into()),
        ..AlertUpdate::default()
    };
    let changed =
        store.update_alerts(acme.scope.whole(), vec![key, AlertKey(7)], update, acme.member, NOW);
    assert_eq!(changed.await.unwrap(), 1, "one of the two exists");
    let changes = store.alert_changes(acme.scope.whole(), key, 10).await.unwrap();
    let told: Vec<_> =
        changes.iter().map(|change| (&*change.kind, &*change.before, &*change.after)).collect();
    assert_eq!(
        told,
        [
            ("status", "New", "InProgress"),
            ("classification", "Unknown, NotAvailable", "TruePositive, Phishing"),
            ("assigned", "", "admin"),
            ("comment", "", "Asked the person."),
        ]
    );
    assert!(changes.iter().all(|change| change.by.as_deref() == Some("admin") && change.at == NOW));
    // Nothing is noted where nothing changes.
    let again = AlertUpdate { status: Some(AlertStatus::InProgress), ..AlertUpdate::default() };
    store.update_alerts(acme.scope.whole(), vec![key], again, acme.member, NOW).await.unwrap();
    assert_eq!(store.alert_changes(acme.scope.whole(), key, 10).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_change_that_makes_no_sense_changes_nothing() {
    let world = World::new().await;
    world.ingest(alert(1, "a.test", 0), 0).await;
    let (store, acme) = (&world.store, world.acme);
    let key = world.list(AlertFilter::default()).await[0].key;
    let status = Some(AlertStatus::Resolved);
    for update in [
        AlertUpdate {
            status,
            verdict: Some(verdict("FalsePositive", "Phishing")),
            ..AlertUpdate::default()
        },
        AlertUpdate { status, assigned_to: Some(Some(MemberId(9))), ..AlertUpdate::default() },
        AlertUpdate {
            status,
            assigned_to: Some(Some(world.globex.member)),
            ..AlertUpdate::default()
        },
    ] {
        let refused =
            store.update_alerts(acme.scope.whole(), vec![key], update, acme.member, NOW).await;
        assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
    }
    // Another tenant's alert is none.
    let theirs = AlertUpdate { status, ..AlertUpdate::default() };
    let globex = world.globex;
    let changed =
        store.update_alerts(globex.scope.whole(), vec![key], theirs, globex.member, NOW).await;
    assert_eq!(changed.unwrap(), 0);
    assert_eq!(world.list(AlertFilter::default()).await[0].status, AlertStatus::New);
    assert_eq!(store.alert_changes(acme.scope.whole(), key, 10).await.unwrap(), []);
}

#[tokio::test]
async fn risk_and_counters_follow_every_change_and_say_why() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    for id in 0..5 {
        let passed = bartizan_model::Alert {
            detector: Detector::WebPhishingOverridden,
            ..alert(id, &format!("h{id}.test"), 0)
        };
        world.ingest(passed, 0).await;
    }
    assert_eq!(risk(&world).await, RiskLevel::Medium, "five of low severity");
    let keys: Vec<_> =
        world.list(AlertFilter::default()).await.iter().map(|alert| alert.key).collect();
    for (status, left) in
        [(AlertStatus::Resolved, 0), (AlertStatus::InProgress, 5), (AlertStatus::Resolved, 0)]
    {
        let update = AlertUpdate { status: Some(status), ..AlertUpdate::default() };
        store
            .update_alerts(acme.scope.whole(), keys.clone(), update, acme.member, NOW)
            .await
            .unwrap();
        assert_eq!(store.unresolved_alerts(acme.scope.whole()).await.unwrap().low, left);
        let filter = AlertFilter { status: StatusFilter::Unresolved, ..AlertFilter::default() };
        assert_eq!(world.list(filter).await.len(), usize::try_from(left).unwrap());
        let incidents = store.incidents(acme.scope.whole(), false, None, 10).await.unwrap();
        assert_eq!((incidents.len(), incidents[0].alerts, incidents[0].unresolved), (1, 5, left));
    }
    assert_eq!(risk(&world).await, RiskLevel::None);
    let changes = store.risk_changes(acme.scope.whole(), acme.device, None, 10).await.unwrap();
    let told: Vec<_> = changes.iter().map(|change| (change.risk, &*change.reason)).collect();
    assert_eq!(
        told,
        [
            (RiskLevel::None, "no unresolved alert"),
            (RiskLevel::Medium, "5 low unresolved"),
            (RiskLevel::None, "no unresolved alert"),
            (RiskLevel::Medium, "5 low unresolved"),
            (RiskLevel::Low, "1 low unresolved"),
        ]
    );
}

/// About the same subject first, or else of the same device, within a day; or else a new one.
#[tokio::test]
async fn alerts_are_grouped_by_subject_then_device_within_a_day() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let other = enroll(store, acme.scope, 9).await;
    let raise = async |device: DeviceId, id: u128, host: &str, after: u64| {
        let now = UnixMillis(NOW.0 + after);
        store.ingest_alerts(acme.scope, device, vec![alert(id, host, after)], now).await.unwrap();
    };
    raise(acme.device, 1, "a.test", 0).await;
    raise(acme.device, 2, "b.test", HOUR).await; // same device
    raise(other, 3, "a.test", 2 * HOUR).await; // same subject
    raise(other, 4, "c.test", 3 * HOUR).await; // same device as the one before
    raise(other, 5, "d.test", 3 * HOUR + 2 * DAY).await; // too late
    let incidents = store.incidents(acme.scope.whole(), true, None, 10).await.unwrap();
    let sizes: Vec<_> = incidents.iter().map(|incident| incident.alerts).collect();
    assert_eq!(sizes, [1, 4]);
    let second =
        store.incidents(acme.scope.whole(), true, Some(incidents[0].cursor()), 10).await.unwrap();
    assert_eq!(second, incidents[1..]);
    assert_eq!(store.incident(acme.scope.whole(), incidents[1].id).await.unwrap(), incidents[1]);
    assert!(store.incident(world.globex.scope.whole(), incidents[1].id).await.is_err());
}

#[tokio::test]
async fn a_batch_joins_within_itself() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let batch = vec![
        alert(1, "a.test", 0),
        alert(2, "a.test", 0),
        alert(1, "a.test", 0),
        alert(3, "b.test", 0),
    ];
    let done = store.ingest_alerts(acme.scope, acme.device, batch, NOW).await.unwrap();
    assert_eq!((done.durable.len(), done.fresh), (4, 3));
    let counts: Vec<_> =
        world.list(AlertFilter::default()).await.iter().map(|alert| alert.count).collect();
    assert_eq!(counts.iter().sum::<u64>(), 3);
    assert_eq!(counts.len(), 2);
    let top = store.top_hits(acme.scope.whole(), "list", 10).await.unwrap();
    assert_eq!((&*top[0].pattern, top[0].hits), ("a.test", 2));
}

async fn risk(world: &World) -> RiskLevel {
    let device = world.store.device(world.acme.scope.whole(), world.acme.device).await.unwrap();
    RiskLevel::of(device.unresolved)
}

fn verdict(classification: &str, determination: &str) -> Verdict {
    Verdict { classification: classification.into(), determination: determination.into() }
}
