//! Incidents as people change them, and alerts that resolve themselves.

use bartizan_model::{AlertStatus, Detector, RiskLevel, Severity, UnixMillis};
use bartizan_store::{
    AlertFilter, AlertKey, AlertUpdate, DetectorSettings, IncidentEdit, IncidentId, IncidentRow,
    StatusFilter, StoreError,
};

use crate::world::{DAY, HOUR, NOW, World, alert, enroll};

#[tokio::test]
async fn incidents_are_merged_and_what_comes_later_joins_the_other() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let (first, second) = two(&world).await;
    store
        .merge_incidents(acme.scope.whole(), first.id, second.id, edit(&world, "Same mail."))
        .await
        .unwrap();
    let merged = store.incident(acme.scope.whole(), second.id).await.unwrap();
    assert_eq!((merged.alerts, merged.unresolved), (3, 3));
    assert_eq!(merged.severity, Severity::Informational);
    assert_eq!(list(&world).await, [merged]);
    assert!(store.incident(acme.scope.whole(), first.id).await.is_err());
    let into = store.incident_merged_into(acme.scope.whole(), first.id).await.unwrap();
    assert_eq!(into, Some(second.id));
    assert_eq!(store.incident_merged_into(acme.scope.whole(), second.id).await.unwrap(), None);
    let changes = store.incident_changes(acme.scope.whole(), second.id, 10).await.unwrap();
    let told: Vec<_> = changes.iter().map(|it| (&*it.kind, &*it.by, &*it.reason)).collect();
    assert_eq!(told, [("merged", "admin", "Same mail.")]);
    world.ingest(alert(10, "c.test", HOUR), HOUR).await;
    assert_eq!(store.incident(acme.scope.whole(), second.id).await.unwrap().alerts, 4);
    for (from, into) in [(first.id, second.id), (second.id, second.id), (second.id, IncidentId(9))]
    {
        let again = store.merge_incidents(acme.scope.whole(), from, into, edit(&world, "x")).await;
        assert!(again.is_err());
    }
    // It goes with the last alert, and so does what was merged into it.
    let keys = world.list(AlertFilter::default()).await.iter().map(|row| row.key).collect();
    let update = AlertUpdate { status: Some(AlertStatus::Resolved), ..AlertUpdate::default() };
    store.update_alerts(acme.scope.whole(), keys, update, acme.member, NOW).await.unwrap();
    while store.remove_old(acme.scope, UnixMillis(NOW.0 + 9 * DAY), 1).await.unwrap().more {}
    assert!(store.incident_merged_into(acme.scope.whole(), first.id).await.is_err());
}

#[tokio::test]
async fn an_incident_is_split_and_both_count_their_own() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let (_, second) = two(&world).await;
    let filter = AlertFilter { incident: Some(second.id), ..AlertFilter::default() };
    let rows = world.list(filter).await;
    let split = async |keys: Vec<AlertKey>| {
        let edit = edit(&world, "Another matter.");
        store.split_incident(acme.scope.whole(), second.id, keys, "Other".into(), edit).await
    };
    let keys: Vec<_> = rows.iter().map(|row| row.key).collect();
    assert!(matches!(split(keys.clone()).await, Err(StoreError::Conflict { .. })));
    assert!(matches!(split(vec![AlertKey(7)]).await, Err(StoreError::NotFound { .. })));
    let made = split(vec![keys[0], keys[0], AlertKey(7)]).await.unwrap();
    let (made, rest) = (
        store.incident(acme.scope.whole(), made).await.unwrap(),
        store.incident(acme.scope.whole(), second.id).await.unwrap(),
    );
    assert_eq!((&*made.title, made.alerts, made.unresolved), ("Other", 1, 1));
    assert_eq!((rest.alerts, rest.unresolved), (1, 1));
    assert_eq!(made.last_seen_at, rows[0].last_seen_at);
    let kinds = async |id| {
        let changes = store.incident_changes(acme.scope.whole(), id, 10).await.unwrap();
        changes.into_iter().map(|change| (change.kind, change.detail)).collect::<Vec<_>>()
    };
    assert_eq!(kinds(second.id).await, [("split".into(), made.id.to_string())]);
    assert_eq!(kinds(made.id).await, [("made".into(), second.id.to_string())]);
    let title = |id| {
        store.set_incident_title(acme.scope.whole(), id, "Mail of Monday".into(), edit(&world, ""))
    };
    title(made.id).await.unwrap();
    title(made.id).await.unwrap();
    assert_eq!(kinds(made.id).await.len(), 2, "once more changes nothing");
    assert!(title(IncidentId(7)).await.is_err());
    let globex = world.globex;
    let foreign = IncidentEdit { by: globex.member, ..edit(&world, "x") };
    let scope = globex.scope;
    assert!(
        store.merge_incidents(scope.whole(), made.id, second.id, foreign.clone()).await.is_err()
    );
    assert!(
        store.split_incident(scope.whole(), second.id, keys, "x".into(), foreign).await.is_err()
    );
    assert_eq!(store.incident_changes(scope.whole(), made.id, 9).await.unwrap(), []);
}

#[tokio::test]
async fn alerts_that_stay_quiet_resolve_themselves_and_the_risk_falls() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    for number in 0..4_u64 {
        let one = bartizan_model::Alert {
            detector: Detector::WebMalwareBlocked,
            ..alert(number.into(), &format!("h{number}.test"), number * DAY)
        };
        world.ingest(one, number * DAY).await;
    }
    world.ingest(alert(9, "other.test", 0), 0).await;
    let now = UnixMillis(NOW.0 + 4 * DAY);
    assert_eq!(store.auto_resolve(acme.scope, 9, now).await.unwrap(), (0, false), "off by default");
    let rows = world.list(AlertFilter::default()).await;
    let begun = rows.iter().find(|row| row.host.as_ref().unwrap().as_str() == "h0.test").unwrap();
    let status = AlertStatus::InProgress;
    store.set_alert_status(acme.scope.whole(), begun.key, status, acme.member, NOW).await.unwrap();
    let mut settings = DetectorSettings::default();
    settings.quiet_days.insert(Detector::WebMalwareBlocked.id(), 1);
    assert_eq!(store.set_detector_settings(acme.scope, settings, NOW).await.unwrap(), 1);
    assert_eq!(store.auto_resolve(acme.scope, 1, now).await.unwrap(), (1, true));
    assert_eq!(store.auto_resolve(acme.scope, 9, now).await.unwrap(), (1, false));
    assert_eq!(store.auto_resolve(world.globex.scope, 9, now).await.unwrap(), (0, false));
    let open = AlertFilter { status: StatusFilter::Unresolved, ..AlertFilter::default() };
    let left: Vec<_> =
        world.list(open).await.iter().map(|row| row.host.as_ref().unwrap().to_string()).collect();
    assert_eq!(left, ["h3.test", "other.test", "h0.test"], "too young, another's, begun");
    let resolved =
        rows.iter().find(|row| row.host.as_ref().unwrap().as_str() == "h1.test").unwrap();
    let changes = store.alert_changes(acme.scope.whole(), resolved.key, 9).await.unwrap();
    let told = (&*changes[0].kind, &*changes[0].after, &changes[0].by);
    assert_eq!(told, ("auto-resolved", "not seen again for 1 day", &None));
    let device = store.device(acme.scope.whole(), acme.device).await.unwrap();
    assert_eq!(RiskLevel::of(device.unresolved), RiskLevel::Medium, "two of four are left");
    assert_eq!(store.alert(acme.scope.whole(), resolved.key).await.unwrap().alert.status_by, None);
}

/// Two incidents of two devices, of one and of two alerts.
async fn two(world: &World) -> (IncidentRow, IncidentRow) {
    let (store, acme) = (&world.store, world.acme);
    let other = enroll(store, acme.scope, 9).await;
    world.ingest(alert(1, "a.test", 0), 0).await;
    for (id, host) in [(2_u64, "b.test"), (3, "bb.test")] {
        let batch = vec![alert(id.into(), host, id)];
        let now = UnixMillis(NOW.0 + 9);
        store.ingest_alerts(acme.scope, other, batch, now).await.unwrap();
    }
    let mut incidents = list(world).await;
    assert_eq!(incidents.len(), 2);
    let second = incidents.remove(0);
    (incidents.remove(0), second)
}

async fn list(world: &World) -> Vec<IncidentRow> {
    world.store.incidents(world.acme.scope.whole(), false, None, 10).await.unwrap()
}

fn edit(world: &World, reason: &str) -> IncidentEdit {
    IncidentEdit { by: world.acme.member, reason: reason.into(), now: NOW }
}
