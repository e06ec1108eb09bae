//! Changes of many alerts as jobs: in slices, to their end, once each, whoever carries them out.

use bartizan_model::{AlertStatus, UnixMillis};
use bartizan_store::{
    AlertChoice, AlertFilter, AlertJobId, AlertJobState, AlertKey, AlertUpdate, ItemOutcome,
    JobStep, MAX_CHOSEN, StatusFilter, StoreError,
};

use crate::world::{DAY, HOUR, NOW, World, alert};

const OPEN: AlertFilter =
    AlertFilter { severity: None, status: StatusFilter::Unresolved, device: None, incident: None };

#[tokio::test]
async fn a_whole_filter_is_resolved_in_slices_and_everything_is_counted() {
    let world = filled(20).await;
    let (store, acme) = (&world.store, world.acme);
    assert_eq!(store.alerts_matching(acme.scope.whole(), OPEN).await.unwrap(), 20);
    let job = ask(&world, AlertChoice::Filter(OPEN), resolve()).await;
    assert_eq!(store.tenants_with_alert_jobs().await.unwrap(), [acme.scope]);
    assert_eq!(finish(&world, 6).await, [6, 6, 6, 2]);
    let row = store.alert_job(acme.scope.whole(), job).await.unwrap();
    assert_eq!((row.state, row.total), (AlertJobState::Done, 20));
    assert_eq!((row.changed, row.unchanged, row.failed), (20, 0, 0));
    assert_eq!(store.alerts_matching(acme.scope.whole(), OPEN).await.unwrap(), 0);
    assert_eq!(store.unresolved_alerts(acme.scope.whole()).await.unwrap().total(), 0);
    let incidents = store.incidents(acme.scope.whole(), false, None, 100).await.unwrap();
    assert!(incidents.iter().all(|incident| incident.unresolved == 0));
    let device = store.device(acme.scope.whole(), acme.device).await.unwrap();
    assert_eq!(device.unresolved.total(), 0);
    let items = store.alert_job_items(acme.scope.whole(), job, AlertKey(0), 100).await.unwrap();
    assert_eq!(items.len(), 20);
    assert!(items.iter().all(|item| item.outcome == ItemOutcome::Changed));
    let changes = store.alert_changes(acme.scope.whole(), items[0].key, 10).await.unwrap();
    assert_eq!((&*changes[0].kind, &*changes[0].after), ("status", "Resolved"));
    assert_eq!(changes[0].by.as_deref(), Some("admin"));
    assert_eq!(store.tenants_with_alert_jobs().await.unwrap(), []);

    // Once more finds nothing to do.
    let all = AlertFilter::default();
    let again = ask(&world, AlertChoice::Filter(all), resolve()).await;
    finish(&world, 100).await;
    let row = store.alert_job(acme.scope.whole(), again).await.unwrap();
    assert_eq!((row.changed, row.unchanged), (0, 20));
    assert_eq!(store.alert_changes(acme.scope.whole(), items[0].key, 10).await.unwrap().len(), 1);
    let jobs = store.alert_jobs(acme.scope.whole(), None, 10).await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [again, job]);
    assert_eq!(store.alert_jobs(acme.scope.whole(), Some(again), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_comes_or_happens_again_meanwhile_is_not_done_twice() {
    let world = filled(4).await;
    let (store, acme) = (&world.store, world.acme);
    // A comment does not take alerts out of the filter.
    let update = AlertUpdate { comment: Some("Seen.".into()), ..AlertUpdate::default() };
    let job = ask(&world, AlertChoice::Filter(OPEN), update).await;
    assert_eq!(step(&world, 2).await, JobStep::Went(2));
    // The first happens again, and moves behind all others; another one is new.
    world.ingest(alert(100, "h0.test", 5 * HOUR), 5 * HOUR).await;
    world.ingest(alert(101, "new.test", 5 * HOUR), 5 * HOUR).await;
    finish(&world, 2).await;
    let row = store.alert_job(acme.scope.whole(), job).await.unwrap();
    assert_eq!((row.state, row.changed, row.unchanged), (AlertJobState::Done, 4, 0));
    for alert in world.list(AlertFilter::default()).await {
        let changes = store.alert_changes(acme.scope.whole(), alert.key, 10).await.unwrap();
        let expected = usize::from(alert.host.unwrap().as_str() != "new.test");
        assert_eq!(changes.len(), expected);
    }
}

#[tokio::test]
async fn a_selection_tells_what_became_of_each() {
    let world = filled(3).await;
    let (store, acme) = (&world.store, world.acme);
    let rows = world.list(AlertFilter::default()).await;
    let resolved = AlertStatus::Resolved;
    store
        .set_alert_status(acme.scope.whole(), rows[0].key, resolved, acme.member, NOW)
        .await
        .unwrap();
    let keys = vec![rows[0].key, rows[1].key, AlertKey(7), rows[1].key];
    let job = ask(&world, AlertChoice::Keys(keys), resolve()).await;
    finish(&world, 2).await;
    let row = store.alert_job(acme.scope.whole(), job).await.unwrap();
    assert_eq!((row.total, row.changed, row.unchanged, row.failed), (3, 1, 1, 1));
    let items = store.alert_job_items(acme.scope.whole(), job, AlertKey(0), 10).await.unwrap();
    let of = |key| items.iter().find(|item| item.key == key).unwrap();
    assert_eq!(of(rows[0].key).reason, "it was so before");
    assert_eq!(of(AlertKey(7)).reason, "there is no such alert");
    assert_eq!(of(rows[1].key).outcome, ItemOutcome::Changed);
    assert_eq!(world.list(OPEN).await.len(), 1);
}

#[tokio::test]
async fn a_job_that_is_canceled_stops_and_keeps_what_it_did() {
    let world = filled(6).await;
    let (store, acme) = (&world.store, world.acme);
    let job = ask(&world, AlertChoice::Filter(OPEN), resolve()).await;
    step(&world, 2).await;
    store.cancel_alert_job(acme.scope.whole(), job, NOW).await.unwrap();
    store.cancel_alert_job(acme.scope.whole(), job, NOW).await.unwrap();
    assert_eq!(step(&world, 2).await, JobStep::Idle);
    let row = store.alert_job(acme.scope.whole(), job).await.unwrap();
    assert_eq!((row.state, row.changed), (AlertJobState::Canceled, 2));
    assert_eq!(world.list(OPEN).await.len(), 4);
}

#[tokio::test]
async fn two_processes_at_once_lose_and_double_nothing() {
    let world = filled(40).await;
    let other = world.open_again().unwrap();
    let (store, acme) = (&world.store, world.acme);
    let job = ask(&world, AlertChoice::Filter(OPEN), resolve()).await;
    for _ in 0..40 {
        let both = tokio::join!(
            store.step_alert_job(acme.scope, 3, NOW),
            other.step_alert_job(acme.scope, 3, NOW)
        );
        both.0.unwrap();
        both.1.unwrap();
    }
    let row = store.alert_job(acme.scope.whole(), job).await.unwrap();
    assert_eq!((row.state, row.changed, row.unchanged), (AlertJobState::Done, 40, 0));
    for alert in world.list(AlertFilter::default()).await {
        assert_eq!(store.alert_changes(acme.scope.whole(), alert.key, 10).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn tags_come_and_go_and_have_a_limit() {
    let world = filled(2).await;
    let (store, acme) = (&world.store, world.acme);
    let rows = world.list(AlertFilter::default()).await;
    let tag = |number: u32| format!("tag {number:02}");
    let update = AlertUpdate { tag: (0..19).map(tag).collect(), ..AlertUpdate::default() };
    let change = async |keys: Vec<AlertKey>, update: AlertUpdate| {
        store.update_alerts(acme.scope.whole(), keys, update, acme.member, NOW).await.unwrap()
    };
    change(vec![rows[0].key], update).await;
    let two = AlertUpdate { tag: vec![tag(19), tag(20)], ..AlertUpdate::default() };
    let job = ask(&world, AlertChoice::Filter(OPEN), two).await;
    finish(&world, 10).await;
    let row = store.alert_job(acme.scope.whole(), job).await.unwrap();
    assert_eq!((row.changed, row.failed), (1, 1));
    assert_eq!(store.alert_tags(acme.scope.whole(), rows[0].key).await.unwrap().len(), 19);
    assert_eq!(
        store.alert_tags(acme.scope.whole(), rows[1].key).await.unwrap(),
        ["tag 19", "tag 20"]
    );
    let off = AlertUpdate { untag: vec![tag(19), "none".into()], ..AlertUpdate::default() };
    change(vec![rows[1].key], off).await;
    assert_eq!(store.alert_tags(acme.scope.whole(), rows[1].key).await.unwrap(), ["tag 20"]);
    let changes = store.alert_changes(acme.scope.whole(), rows[1].key, 10).await.unwrap();
    let kinds: Vec<_> = changes.iter().map(|change| &*change.kind).collect();
    assert_eq!(kinds, ["tagged", "tagged", "untagged"]);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_jobs_are_their_tenants_own() {
    let world = filled(1).await;
    let (store, acme, globex) = (&world.store, world.acme, world.globex);
    let keys = |many: usize| AlertChoice::Keys((0..many as u128).map(AlertKey).collect());
    let create = async |choice, update| {
        store.create_alert_job(acme.scope.whole(), choice, update, acme.member, NOW).await
    };
    assert!(matches!(create(keys(MAX_CHOSEN + 1), resolve()).await, Err(StoreError::Full { .. })));
    let theirs = AlertUpdate { assigned_to: Some(Some(globex.member)), ..AlertUpdate::default() };
    assert!(matches!(create(keys(1), theirs).await, Err(StoreError::NotFound { .. })));
    let job = create(keys(1), resolve()).await.unwrap();
    assert!(store.alert_job(globex.scope.whole(), job).await.is_err());
    assert!(store.cancel_alert_job(globex.scope.whole(), job, NOW).await.is_err());
    assert_eq!(store.alert_jobs(globex.scope.whole(), None, 9).await.unwrap(), []);
    assert_eq!(store.step_alert_job(globex.scope, 9, NOW).await.unwrap(), JobStep::Idle);
    for _ in 1..20 {
        create(keys(1), resolve()).await.unwrap();
    }
    assert!(matches!(create(keys(1), resolve()).await, Err(StoreError::Full { .. })));
}

#[tokio::test]
async fn the_results_of_old_jobs_go() {
    let world = filled(5).await;
    let (store, acme) = (&world.store, world.acme);
    let job = ask(&world, AlertChoice::Filter(OPEN), resolve()).await;
    finish(&world, 10).await;
    let later = UnixMillis(NOW.0 + 2 * DAY);
    while store.remove_old(acme.scope, later, 2).await.unwrap().more {}
    assert!(store.alert_job(acme.scope.whole(), job).await.is_err());
    let items = store.alert_job_items(acme.scope.whole(), job, AlertKey(0), 10).await.unwrap();
    assert_eq!(items, []);
}

/// ACME with so many alerts, an hour apart.
async fn filled(alerts: u64) -> World {
    let world = World::new().await;
    for number in 0..alerts {
        world.ingest(alert(number.into(), &format!("h{number}.test"), number), number).await;
    }
    world
}

fn resolve() -> AlertUpdate {
    AlertUpdate { status: Some(AlertStatus::Resolved), ..AlertUpdate::default() }
}

async fn ask(world: &World, choice: AlertChoice, update: AlertUpdate) -> AlertJobId {
    let (acme, now) = (world.acme, UnixMillis(NOW.0 + HOUR));
    world
        .store
        .create_alert_job(acme.scope.whole(), choice, update, acme.member, now)
        .await
        .unwrap()
}

async fn step(world: &World, limit: u32) -> JobStep {
    world.store.step_alert_job(world.acme.scope, limit, NOW).await.unwrap()
}

/// Carries everything out; tells how many alerts each slice had.
async fn finish(world: &World, limit: u32) -> Vec<usize> {
    let mut slices = Vec::new();
    while let JobStep::Went(seen) = step(world, limit).await {
        slices.push(seen);
    }
    slices
}
