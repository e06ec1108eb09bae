//! What detectors' modes and suppression rules keep out of the queue, and what they leave.

use bartizan_model::{AlertStatus, Detector, DeviceId, UnixMillis};
use bartizan_store::{
    AlertFilter, Combine, DetectorMode, DetectorSettings, DeviceEventKind, GroupId, GroupRules,
    Rule, RuleField, RuleOperator, StatusFilter, StoreError, SuppressionRow, SuppressionScope,
    SuppressionTerms,
};

use crate::world::{DAY, HOUR, NOW, World, alert, enroll};

const PHISHING: Detector = Detector::WebPhishingBlocked;

#[tokio::test]
async fn the_mode_of_the_devices_group_decides_before_that_of_all() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let other = enroll(store, acme.scope, 9).await;
    let group = group_of(&world, "Phone 9").await;
    // What is tried, for every device and for the group; what comes of it on each device: alerts, logged, dropped.
    use DetectorMode::{Active, LogOnly, Off};
    let table = [
        (None, None, (1, 0, 0), (1, 0, 0)),
        (Some(LogOnly), None, (0, 1, 0), (0, 1, 0)),
        (Some(LogOnly), Some(Active), (0, 1, 0), (1, 0, 0)),
        (Some(Off), Some(LogOnly), (0, 0, 1), (0, 1, 0)),
        (None, Some(Off), (1, 0, 0), (0, 0, 1)),
        (Some(Active), Some(Active), (1, 0, 0), (1, 0, 0)),
    ];
    for (number, (all, of_group, first, second)) in (0_u64..).zip(table) {
        let mut settings = DetectorSettings::default();
        settings.modes.extend(all.map(|mode| ((None, PHISHING.id()), mode)));
        settings.modes.extend(of_group.map(|mode| ((Some(group), PHISHING.id()), mode)));
        store.set_detector_settings(acme.scope, settings, NOW).await.unwrap();
        let case = u128::from(number);
        for (device, expected, id) in [(acme.device, first, case), (other, second, case + 100)] {
            let before = outcome(&world, device).await;
            let now = UnixMillis(NOW.0 + number * 2 * DAY);
            let one = alert(id, "a.test", number * 2 * DAY);
            // A repeated upload counts nothing.
            for fresh in [1, 0] {
                let batch = vec![one.clone()];
                let done = store.ingest_alerts(acme.scope, device, batch, now).await.unwrap();
                assert_eq!((done.durable.len(), done.fresh), (1, fresh), "{number}");
            }
            let after = outcome(&world, device).await;
            let told = (after.0 - before.0, after.1 - before.1, after.2 - before.2);
            assert_eq!(told, expected, "{number}");
        }
    }
}

#[tokio::test]
async fn what_is_only_logged_is_an_event_a_day_and_no_risk() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let mut settings = DetectorSettings::default();
    settings.modes.insert((None, PHISHING.id()), DetectorMode::LogOnly);
    assert_eq!(store.set_detector_settings(acme.scope, settings.clone(), NOW).await.unwrap(), 1);
    assert_eq!(store.set_detector_settings(acme.scope, settings, NOW).await.unwrap(), 0);
    for number in 0..3 {
        world.ingest(alert(number, "a.test", 0), HOUR).await;
    }
    world.ingest(alert(7, "a.test", 2 * DAY), 2 * DAY).await;
    let events = store.device_events(acme.scope.whole(), acme.device, None, 10).await.unwrap();
    let found: Vec<_> = events
        .iter()
        .filter(|event| event.kind == DeviceEventKind::Detected)
        .map(|event| (&*event.detail, event.count))
        .collect();
    assert_eq!(found, [("Phishing site blocked: a.test", 1), ("Phishing site blocked: a.test", 3)]);
    let device = store.device(acme.scope.whole(), acme.device).await.unwrap();
    assert_eq!(device.unresolved.total(), 0);
    assert_eq!(world.list(AlertFilter::default()).await, []);
    while store.remove_old(acme.scope, UnixMillis(NOW.0 + DAY), 1).await.unwrap().more {}
    let events = store.device_events(acme.scope.whole(), acme.device, None, 10).await.unwrap();
    assert_eq!(events.iter().filter(|event| event.kind == DeviceEventKind::Detected).count(), 1);
    // Its alerts and receipts go with the device.
    store.forget_device(acme.scope.whole(), acme.device, NOW).await.unwrap();
}

#[tokio::test]
async fn a_rule_hides_what_comes_and_joins_it_and_ends() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    world.ingest(alert(1, "www.a.test", 0), 0).await;
    let id = store
        .create_suppression(acme.scope, terms(SuppressionScope::All, "*.a.test"), acme.member, NOW)
        .await
        .unwrap();
    for number in 2..5 {
        world.ingest(alert(number, "www.a.test", 0), HOUR).await;
    }
    world.ingest(alert(5, "b.test", 0), HOUR).await;
    let rows = world.list(AlertFilter::default()).await;
    let hidden: Vec<_> = rows.iter().filter(|row| row.status == AlertStatus::Resolved).collect();
    assert_eq!((rows.len(), hidden.len(), hidden[0].count), (3, 1, 3));
    assert_eq!(hidden[0].incident, None);
    let device = store.device(acme.scope.whole(), acme.device).await.unwrap();
    assert_eq!(device.unresolved.total(), 2, "what was there before stays, and another host's");
    let changes = store.alert_changes(acme.scope.whole(), hidden[0].key, 10).await.unwrap();
    assert_eq!((&*changes[0].kind, &*changes[0].after), ("suppressed", "Known and harmless."));
    assert_eq!(changes[0].by, None);
    assert_eq!(
        store.alert_suppressed_by(acme.scope.whole(), hidden[0].key).await.unwrap(),
        Some(id)
    );
    assert!(store.alert_suppressed_by(world.globex.scope.whole(), hidden[0].key).await.is_err());
    let resolved = StatusFilter::Only(AlertStatus::Resolved);
    let filter = AlertFilter { status: resolved, ..AlertFilter::default() };
    assert_eq!(store.alerts_matching(acme.scope.whole(), filter).await.unwrap(), 1);
    let rule = store.suppression(acme.scope, id).await.unwrap();
    assert_eq!((rule.hits, rule.last_hit_at), (3, Some(NOW)));

    store.end_suppression(acme.scope, id, NOW).await.unwrap();
    store.end_suppression(acme.scope, id, NOW).await.unwrap();
    world.ingest(alert(6, "www.a.test", 0), HOUR).await;
    assert_eq!(store.suppression(acme.scope, id).await.unwrap().hits, 3);
    assert_eq!(world.list(AlertFilter::default()).await.len(), 3, "it joined the one before");
    let changed =
        store.change_suppression(acme.scope, id, terms(SuppressionScope::All, ""), NOW).await;
    assert!(matches!(changed, Err(StoreError::Conflict { .. })));
}

#[tokio::test]
async fn rules_have_a_scope_and_an_end_and_are_their_tenants_own() {
    let world = World::new().await;
    let (store, acme, globex) = (&world.store, world.acme, world.globex);
    let other = enroll(store, acme.scope, 9).await;
    let group = group_of(&world, "Phone 9").await;
    let value = bartizan_store::DeviceValue::Normal;
    let owner = ("P@Acme.test".to_owned(), value);
    store.describe_device(acme.scope.whole(), other, owner, "admin".into(), NOW).await.unwrap();
    let mut id = 0;
    for scope in [
        SuppressionScope::Group(group),
        SuppressionScope::Device(other),
        SuppressionScope::Person("p@acme.test".into()),
    ] {
        let mut what = terms(scope, "");
        what.expires_at = Some(UnixMillis(NOW.0 + HOUR));
        let rule = store.create_suppression(acme.scope, what, acme.member, NOW).await.unwrap();
        for (device, after, hides) in [(other, 0, 1), (acme.device, 0, 0), (other, HOUR, 0)] {
            id += 1;
            let before = store.suppression(acme.scope, rule).await.unwrap().hits;
            let now = UnixMillis(NOW.0 + after);
            let batch = vec![alert(id, &format!("h{id}.test"), after)];
            store.ingest_alerts(acme.scope, device, batch, now).await.unwrap();
            let after = store.suppression(acme.scope, rule).await.unwrap().hits;
            assert_eq!(after - before, hides, "{id}");
        }
        store.end_suppression(acme.scope, rule, NOW).await.unwrap();
        assert!(store.suppression(globex.scope, rule).await.is_err());
        assert!(store.end_suppression(globex.scope, rule, NOW).await.is_err());
    }
    let listed = |holding| store.suppressions(acme.scope, holding, None, 10);
    assert_eq!(listed(Some(NOW)).await.unwrap(), []);
    let all: Vec<SuppressionRow> = listed(None).await.unwrap();
    assert_eq!(all.len(), 3);
    let page = store.suppressions(acme.scope, None, Some(all[0].id), 10).await.unwrap();
    assert_eq!(page, all[1..]);
    assert_eq!(store.suppressions(globex.scope, None, None, 10).await.unwrap(), []);
    for scope in [SuppressionScope::Device(globex.device), SuppressionScope::Group(GroupId(7))] {
        let made = store.create_suppression(acme.scope, terms(scope, ""), acme.member, NOW).await;
        assert!(matches!(made, Err(StoreError::NotFound { .. })));
    }
}

#[tokio::test]
async fn a_preview_counts_what_a_rule_would_have_hidden() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let group = group_of(&world, "Phone 9").await;
    let other = enroll(store, acme.scope, 9).await;
    for (id, host) in (1..).zip(["a.test", "www.a.test", "ba.test", "b.test"]) {
        world.ingest(alert(id, host, 0), 0).await;
    }
    let batch = vec![alert(9, "a.test", 0)];
    store.ingest_alerts(acme.scope, other, batch, NOW).await.unwrap();
    let check = async |scope: SuppressionScope, host: &str, detector, matching| {
        let what = SuppressionTerms { detector, ..terms(scope, host) };
        let since = UnixMillis(NOW.0 - DAY);
        let preview = store.preview_suppression(acme.scope.whole(), what, since).await.unwrap();
        assert_eq!((preview.matching, preview.of), (matching, 5), "{host}");
    };
    use SuppressionScope::{All, Device, Group, Person};
    check(All, "", None, 5).await;
    check(All, "a.test", None, 2).await;
    check(All, "*.a.test", None, 3).await;
    check(All, "*.test", Some(PHISHING), 5).await;
    check(All, "", Some(Detector::WebMalwareBlocked), 0).await;
    check(Device(other), "", None, 1).await;
    check(Group(group), "*.a.test", None, 1).await;
    check(Person("nobody@acme.test".into()), "", None, 0).await;
}

fn terms(scope: SuppressionScope, host: &str) -> SuppressionTerms {
    SuppressionTerms {
        scope,
        detector: None,
        host: host.into(),
        reason: "Known and harmless.".into(),
        expires_at: None,
    }
}

/// Makes a group of the devices of a name, and puts them into it.
async fn group_of(world: &World, name: &str) -> GroupId {
    let (store, scope) = (&world.store, world.acme.scope);
    let rule = Rule { field: RuleField::Name, operator: RuleOperator::Equals, value: name.into() };
    let rules = GroupRules { combine: Combine::All, rules: vec![rule] };
    let group = store.create_device_group(scope, "Some".into(), rules, NOW).await.unwrap();
    while store.regroup_some(scope, 100).await.unwrap() {}
    group
}

/// Alerts, logged and dropped so far: the device's own alerts, the tenant's counts.
async fn outcome(world: &World, device: DeviceId) -> (usize, u64, u64) {
    let filter = AlertFilter { device: Some(device), ..AlertFilter::default() };
    let settings = world.store.detector_settings(world.acme.scope).await.unwrap();
    let (logged, dropped) = settings.counts.get(PHISHING.id()).copied().unwrap_or_default();
    (world.list(filter).await.len(), logged, dropped)
}
