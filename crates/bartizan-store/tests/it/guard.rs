//! Changes that are to be made only of the state that somebody has seen: what came in between refuses them, also between
//! two processes.

use bartizan_model::AlertStatus;
use bartizan_store::{
    AlertFilter, AlertRow, AlertUpdate, CHANGED_SINCE, DeviceRevision, DeviceRow, DeviceValue,
    Guard, IndicatorRow, NewPolicyVersion, Store, StoreError,
};

use crate::world::{NOW, World, alert, indicator};

#[tokio::test]
async fn what_changed_in_between_refuses_a_change_and_stays() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let sight = acme.scope.whole();

    world.ingest(alert(1, "evil.test", 0), 0).await;
    let seen = world.list(AlertFilter::default()).await.remove(0);
    let (key, was) = (seen.key, seen.status);
    let as_seen = || Guard::new(move |row: &AlertRow| row.status == was);
    let resolve = |status| AlertUpdate { status: Some(status), ..AlertUpdate::default() };
    store.set_alert_status(sight, key, AlertStatus::InProgress, acme.member, NOW).await.unwrap();
    let update = resolve(AlertStatus::Resolved);
    stale(store.update_alert_if(sight, key, as_seen(), update, acme.member, NOW).await);
    let row = store.alert(sight, key).await.unwrap().alert;
    assert_eq!(row.status, AlertStatus::InProgress);
    let update = resolve(AlertStatus::Resolved);
    store.update_alert_if(sight, key, Guard::open(), update, acme.member, NOW).await.unwrap();

    let as_seen = || {
        Guard::new(|(row, tags): &(DeviceRow, Vec<_>)| {
            row.value == DeviceValue::Normal && tags.is_empty()
        })
    };
    store.add_tag(sight, acme.device, "x".into(), String::new(), NOW).await.unwrap();
    let revision = DeviceRevision { value: Some(DeviceValue::High), ..DeviceRevision::default() };
    stale(store.revise_device(sight, acme.device, as_seen(), revision, "a".into(), NOW).await);
    assert_eq!(store.device(sight, acme.device).await.unwrap().value, DeviceValue::Normal);
    let tags = ["y", "z"].map(str::to_owned).into();
    let revision = DeviceRevision { tags: Some(tags), ..DeviceRevision::default() };
    let done = store.revise_device(sight, acme.device, Guard::open(), revision, "a".into(), NOW);
    done.await.unwrap();
    let tags = store.device_tags(sight, acme.device).await.unwrap();
    assert_eq!(tags, [("y".to_owned(), false), ("z".to_owned(), false)]);

    let id = store.create_indicator(acme.scope, indicator("evil.test"), acme.member, NOW).await;
    let row = store.indicator(acme.scope, id.unwrap()).await.unwrap();
    let title = row.rule.title.clone();
    let as_seen = Guard::new(move |row: &IndicatorRow| row.rule.title == title);
    let mut rule = row.rule.clone();
    rule.title = "Another".into();
    store.update_indicator(acme.scope, row.id, rule, NOW).await.unwrap();
    stale(store.update_indicator_if(acme.scope, row.id, as_seen, row.rule, NOW).await);
    assert_eq!(store.indicator(acme.scope, row.id).await.unwrap().rule.title, "Another");
}

#[tokio::test]
async fn of_many_who_saw_the_same_state_in_two_processes_one_changes_it() {
    let world = World::new().await;
    let other = world.open_again().unwrap();
    let scope = world.acme.scope;
    let before = world.store.policy_versions(scope, None, None, 99).await.unwrap();
    let latest = before.first().map_or(0, |version| version.number);
    let version = |note: usize| NewPolicyVersion {
        settings: "{}".into(),
        note: note.to_string(),
        changed_by: String::new(),
        percent: 100,
    };
    let change = |store: &Store, note| {
        let store = store.clone();
        let new = version(note);
        tokio::spawn(async move {
            let guard = Guard::new(move |number: &u64| *number == latest);
            store.add_policy_version_if(scope, None, guard, new, NOW).await
        })
    };
    let mut made = 0;
    let tasks: Vec<_> = (0..16)
        .map(|note| change(if note % 2 == 0 { &world.store } else { &other }, note))
        .collect();
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => made += 1,
            Err(StoreError::Conflict { what: CHANGED_SINCE }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(made, 1);
    let after = world.store.policy_versions(scope, None, None, 99).await.unwrap();
    assert_eq!(after.len(), before.len() + 1);
}

#[track_caller]
fn stale(result: Result<(), StoreError>) {
    assert!(matches!(result, Err(StoreError::Conflict { what: CHANGED_SINCE })), "{result:?}");
}
