//! Leases on work, and what retention removes.

use bartizan_model::{AlertStatus, UnixMillis};
use bartizan_store::{AlertFilter, CHANGED_SINCE, Guard, JobHolder, StoreError};

use crate::world::{DAY, NOW, World, alert};

const ONE: JobHolder = JobHolder([1; 16]);
const OTHER: JobHolder = JobHolder([2; 16]);

#[tokio::test]
async fn a_lease_has_one_holder_until_it_ends_or_is_given_back() {
    let world = World::new().await;
    let lease = async |holder, now: u64| {
        let (now, until) = (UnixMillis(NOW.0 + now), UnixMillis(NOW.0 + now + 100));
        world.store.lease(world.acme.scope, "compile".into(), holder, until, now).await.unwrap()
    };
    assert!(lease(ONE, 0).await);
    assert!(!lease(OTHER, 50).await);
    assert!(lease(ONE, 90).await, "prolonged");
    assert!(!lease(OTHER, 189).await);
    assert!(lease(OTHER, 190).await, "who died is replaced");
    let globex = world.globex.scope;
    assert!(world.store.lease(globex, "compile".into(), ONE, NOW, NOW).await.unwrap());
    world.store.release(world.acme.scope, "compile".into(), ONE).await.unwrap();
    assert!(!lease(ONE, 200).await, "only its holder gives it back");
    world.store.release(world.acme.scope, "compile".into(), OTHER).await.unwrap();
    assert!(lease(ONE, 201).await);
}

#[tokio::test]
async fn what_is_old_and_settled_goes_in_small_steps() {
    let world = World::new().await;
    for number in 0..5_u64 {
        let host = format!("h{number}.test");
        world.ingest(alert(u128::from(number), &host, number * DAY), number * DAY).await;
    }
    let rows = world.list(AlertFilter::default()).await;
    let (acme, store) = (world.acme, &world.store);
    for row in rows.iter().filter(|row| row.host.as_ref().unwrap().as_str() != "h1.test") {
        let set = store.set_alert_status(
            acme.scope.whole(),
            row.key,
            AlertStatus::Resolved,
            acme.member,
            NOW,
        );
        set.await.unwrap();
    }
    let before = UnixMillis(NOW.0 + 3 * DAY);
    let step = store.remove_old(acme.scope, before, 1).await.unwrap();
    assert_eq!((step.alerts, step.more), (1, true));
    assert_eq!(store.remove_old(world.globex.scope, before, 10).await.unwrap().alerts, 0);
    let step = store.remove_old(acme.scope, before, 10).await.unwrap();
    assert_eq!((step.alerts, step.more), (1, false));
    let rows = world.list(AlertFilter::default()).await;
    let left: Vec<_> = rows.iter().map(|row| row.host.as_ref().unwrap().to_string()).collect();
    assert_eq!(left, ["h4.test", "h3.test", "h1.test"], "open or young ones stay");
    let incidents = store.incidents(acme.scope.whole(), false, None, 100).await.unwrap();
    let counted: u64 = incidents.iter().map(|incident| incident.alerts).sum();
    assert_eq!(counted, 3, "incidents count what is there");
}

#[tokio::test]
async fn a_tenant_decides_how_long_it_keeps_things() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme.scope);
    assert_eq!(store.retention_days(acme).await.unwrap(), None);
    let set = async |days, known: Option<u32>| {
        let guard = Guard::new(move |now: &Option<u32>| *now == known);
        store.set_retention_days(acme, days, guard, NOW).await
    };
    set(Some(30), None).await.unwrap();
    let late = set(Some(40), None).await;
    assert!(matches!(late, Err(StoreError::Conflict { what: CHANGED_SINCE })), "seen before");
    set(Some(40), Some(30)).await.unwrap();
    assert_eq!(store.retention_days(acme).await.unwrap(), Some(40));
    assert_eq!(store.retention_days(world.globex.scope).await.unwrap(), None);
    let all = store.every_retention().await.unwrap();
    assert_eq!(all.into_iter().collect::<Vec<_>>(), [(world.acme.tenant, 40)]);
    set(None, Some(40)).await.unwrap();
    assert_eq!(store.retention_days(acme).await.unwrap(), None);
}

#[tokio::test]
async fn how_much_is_old_is_counted_no_further_than_asked() {
    let world = World::new().await;
    for number in 0..4_u64 {
        let host = format!("h{number}.test");
        world.ingest(alert(u128::from(number), &host, number * DAY), number * DAY).await;
    }
    let (store, acme) = (&world.store, world.acme);
    for row in world.list(AlertFilter::default()).await.into_iter().skip(2) {
        let resolved = AlertStatus::Resolved;
        store
            .set_alert_status(acme.scope.whole(), row.key, resolved, acme.member, NOW)
            .await
            .unwrap();
    }
    let count = async |days: u64, limit| {
        let old = store.old_alerts(acme.scope, UnixMillis(NOW.0 + days * DAY), limit).await;
        let old = old.unwrap();
        (old.resolved, old.more)
    };
    assert_eq!(count(1, 10).await, (1, false));
    assert_eq!(count(9, 10).await, (2, false), "what is open stays");
    assert_eq!(count(9, 3).await, (2, true));
    assert_eq!(count(9, 1).await, (1, true));
}

#[tokio::test]
async fn how_a_risk_changed_goes_with_time_and_with_the_device() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    for number in 0..4_u64 {
        world
            .ingest(
                alert(u128::from(number), &format!("h{number}.test"), number * DAY),
                number * DAY,
            )
            .await;
        let row = world.list(AlertFilter::default()).await.remove(0);
        let now = UnixMillis(NOW.0 + number * DAY + 1);
        let resolved = AlertStatus::Resolved;
        store
            .set_alert_status(acme.scope.whole(), row.key, resolved, acme.member, now)
            .await
            .unwrap();
    }
    let changes = async || {
        let changes = store.risk_changes(acme.scope.whole(), acme.device, None, 99).await.unwrap();
        changes.into_iter().map(|change| change.at.0 - NOW.0).collect::<Vec<_>>()
    };
    let all = changes().await;
    assert_eq!(all.len(), 8);
    let before = UnixMillis(NOW.0 + 2 * DAY);
    while store.remove_old(acme.scope, before, 1).await.unwrap().more {}
    assert_eq!(changes().await, all[..4]);
    store.remove_old(world.globex.scope, UnixMillis(NOW.0 + 99 * DAY), 99).await.unwrap();
    assert_eq!(changes().await, all[..4], "another tenant's stay");
    store.forget_device(acme.scope.whole(), acme.device, NOW).await.unwrap();
    assert!(changes().await.is_empty());
}
