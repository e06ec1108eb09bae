//! Events and sinks: what is noted, in which order, and how a sink comes on.

use bartizan_model::{AlertStatus, Private, UnixMillis};
use bartizan_store::{
    AlertFilter, EventKind, EventRow, MAX_SINKS, SinkAction, SinkId, SinkSettings, StoreError,
};

use crate::world::{DAY, NOW, World, alert, enroll};

#[tokio::test]
async fn without_a_sink_nothing_is_noted() {
    let world = World::new().await;
    world.ingest(alert(1, "a.test", 0), 0).await;
    assert_eq!(events(&world, 0).await, []);
    assert!(world.store.tenants_with_sinks().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_happens_is_noted_in_its_order_with_what_it_is_about() {
    let world = World::new().await;
    let sink = world.sink("one").await;
    world.ingest(alert(1, "a.test", 0), 0).await;
    world.ingest(alert(2, "a.test", 5), 5).await;
    let (store, acme) = (&world.store, world.acme);
    let key = world.list(AlertFilter::default()).await[0].key;
    store
        .set_alert_status(acme.scope.whole(), key, AlertStatus::Resolved, acme.member, NOW)
        .await
        .unwrap();
    let other = enroll(store, acme.scope, 9).await;
    store.offboard_device(acme.scope.whole(), other, String::new(), NOW).await.unwrap();

    let events = events(&world, 0).await;
    let seqs: Vec<_> = events.iter().map(|event| event.seq).collect();
    assert!(seqs.iter().copied().eq(1..=u64::try_from(seqs.len()).unwrap()), "{seqs:?}");
    let told: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(
        told,
        [
            EventKind::IncidentOpened,
            EventKind::AlertRaised,
            EventKind::RiskChanged,
            EventKind::AlertRepeated,
            EventKind::Audit,
            EventKind::AlertChanged,
            EventKind::RiskChanged,
            EventKind::Audit, // the token
            EventKind::Audit,
            EventKind::DeviceEnrolled,
            EventKind::Audit,
            EventKind::DeviceOffboarded,
        ]
    );
    let raised = &events[1];
    let about = raised.alert.as_ref().unwrap();
    assert_eq!((about.host.as_deref(), about.status.as_str()), (Some("a.test"), "Resolved"));
    assert_eq!(raised.device.as_ref().unwrap().name, "Phone 1");
    assert_eq!(events[0].incident.as_ref().map(|incident| incident.alerts), Some(1));
    assert_eq!(events[3].detail, r#"{"more":1}"#);
    assert!(events[5].detail.contains(r#""status_before":"New""#), "{}", events[5].detail);
    let row = store.sink(acme.scope, sink).await.unwrap();
    assert_eq!((row.cursor, row.lag), (0, 12), "it begins after its own entry");
}

#[tokio::test]
async fn a_sink_comes_on_and_what_it_does_not_take_waits_for_a_person() {
    let world = World::new().await;
    let sink = world.sink("one").await;
    world.ingest(alert(1, "a.test", 0), 0).await;
    let (store, scope) = (&world.store, world.acme.scope);
    assert_eq!(store.due_sinks(NOW, 9).await.unwrap(), [(scope, sink)]);

    let later = UnixMillis(NOW.0 + 1_000);
    store.fail_sink(scope, sink, "no answer".into(), later, NOW).await.unwrap();
    assert_eq!(store.due_sinks(NOW, 9).await.unwrap(), []);
    assert_eq!(store.due_sinks(later, 9).await.unwrap(), [(scope, sink)]);
    assert_eq!(store.sink_health().await.unwrap().failing, 1);

    store.advance_sink(scope, sink, (1, 1), NOW, NOW).await.unwrap();
    store.bury(scope, sink, vec![2], (2, 3, "refused".into()), NOW).await.unwrap();
    let row = store.sink(scope, sink).await.unwrap();
    assert_eq!((row.cursor, row.delivered, row.dead, row.failures), (2, 1, 1, 0));
    let letter = store.dead_letters(scope, sink, None, 9).await.unwrap().remove(0);
    assert_eq!((letter.event.seq, letter.tries, &*letter.error), (2, 3, "refused"));
    assert!(letter.event.alert.is_some());

    store.replay(scope, sink, None, NOW).await.unwrap();
    assert_eq!(store.replays(scope, sink, 9).await.unwrap().len(), 1);
    store.replayed(scope, sink, 2, Some("refused again".into()), NOW).await.unwrap();
    assert_eq!(store.replays(scope, sink, 9).await.unwrap(), []);
    assert_eq!(store.dead_letters(scope, sink, None, 9).await.unwrap()[0].error, "refused again");
    store.replay(scope, sink, Some(2), NOW).await.unwrap();
    store.replayed(scope, sink, 2, None, NOW).await.unwrap();
    let row = store.sink(scope, sink).await.unwrap();
    assert_eq!((row.dead, row.replays, row.delivered), (0, false, 2));

    store.bury(scope, sink, vec![3], (3, 3, "refused".into()), NOW).await.unwrap();
    store.discard(scope, sink, Some(3), NOW).await.unwrap();
    assert_eq!(store.sink(scope, sink).await.unwrap().dead, 0);
}

#[tokio::test]
async fn events_go_when_every_sink_is_done_and_what_is_too_old_is_counted_as_missed() {
    let world = World::new().await;
    let (fast, slow) = (world.sink("fast").await, world.sink("slow").await);
    world.ingest(alert(1, "a.test", 0), 0).await;
    let (store, scope) = (&world.store, world.acme.scope);
    store.advance_sink(scope, fast, (4, 4), NOW, NOW).await.unwrap();
    store.advance_sink(scope, slow, (2, 2), NOW, NOW).await.unwrap();
    assert!(!store.prune_events(scope, UnixMillis(0), 100).await.unwrap());
    assert_eq!(events(&world, 0).await[0].seq, 3);
    assert!(!store.prune_events(scope, UnixMillis(NOW.0 + DAY), 100).await.unwrap());
    assert_eq!(events(&world, 0).await, []);
    let row = store.sink(scope, slow).await.unwrap();
    assert_eq!((row.missed, row.lag), (2, 0));
    assert_eq!(store.sink(scope, fast).await.unwrap().missed, 0);
    // Numbers are not given again.
    world.ingest(alert(2, "b.test", 0), 0).await;
    assert_eq!(events(&world, 0).await[0].seq, 5);
}

#[tokio::test]
async fn a_paused_sink_is_not_due_and_a_removed_one_leaves_nothing() {
    let world = World::new().await;
    let sink = world.sink("one").await;
    let (store, scope) = (&world.store, world.acme.scope);
    store.pause_sink(scope, sink, true, NOW).await.unwrap();
    assert_eq!(store.due_sinks(NOW, 9).await.unwrap(), []);
    store.pause_sink(scope, sink, false, NOW).await.unwrap();
    assert_eq!(store.due_sinks(NOW, 9).await.unwrap().len(), 1);
    store.bury(scope, sink, vec![1], (1, 1, String::new()), NOW).await.unwrap();
    store.delete_sink(scope, sink, NOW).await.unwrap();
    assert_eq!(events(&world, 0).await, []);
    assert!(store.tenants_with_sinks().await.unwrap().is_empty());
}

#[tokio::test]
async fn names_are_taken_once_and_there_are_not_too_many() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let one = world.sink("one").await;
    let taken = store.create_sink(scope, settings("one"), NOW).await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");
    world.sink("two").await;
    let taken = store.change_sink(scope, one, settings("two"), SinkAction::Change, NOW).await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");
    let kept = SinkSettings { secrets: None, ..settings("three") };
    store.change_sink(scope, one, kept, SinkAction::Change, NOW).await.unwrap();
    let row = store.sink(scope, one).await.unwrap();
    assert_eq!((row.name.as_str(), &*row.secrets.0), ("three", b"sealed".as_slice()));
    for number in 2..MAX_SINKS {
        world.sink(&format!("sink {number}")).await;
    }
    let full = store.create_sink(scope, settings("more"), NOW).await;
    assert!(matches!(full, Err(StoreError::Full { .. })), "{full:?}");
}

#[tokio::test]
async fn sinks_are_seen_and_changed_by_their_own_tenant_alone() {
    let world = World::new().await;
    let sink = world.sink("one").await;
    world.ingest(alert(1, "a.test", 0), 0).await;
    let (store, acme, other) = (&world.store, world.acme.scope, world.globex.scope);
    store.bury(acme, sink, vec![1], (1, 1, "refused".into()), NOW).await.unwrap();
    let before = store.sink(acme, sink).await.unwrap();

    assert_eq!(store.sinks(other).await.unwrap(), []);
    assert_eq!(store.events_after(other, 0, 9).await.unwrap(), []);
    assert_eq!(store.dead_letters(other, sink, None, 9).await.unwrap(), []);
    assert_eq!(store.replays(other, sink, 9).await.unwrap(), []);
    let kept = SinkSettings { secrets: None, ..settings("x") };
    for refused in [
        store.sink(other, sink).await.map(drop),
        store.change_sink(other, sink, kept, SinkAction::Change, NOW).await,
        store.pause_sink(other, sink, true, NOW).await,
        store.note_sink(other, sink, SinkAction::Test, NOW).await,
        store.replay(other, sink, None, NOW).await,
        store.discard(other, sink, None, NOW).await,
        store.delete_sink(other, sink, NOW).await,
    ] {
        assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
    }
    store.advance_sink(other, sink, (9, 9), NOW, NOW).await.unwrap();
    store.advance_urgent(other, sink, (9, 9), NOW, NOW).await.unwrap();
    store.fail_sink(other, sink, "x".into(), NOW, NOW).await.unwrap();
    store.bury(other, sink, vec![2], (9, 9, "x".into()), NOW).await.unwrap();
    store.replayed(other, sink, 1, None, NOW).await.unwrap();
    store.prune_events(other, UnixMillis(NOW.0 + DAY), 9).await.unwrap();
    assert_eq!(store.sink(acme, sink).await.unwrap(), before);
    assert!(!events(&world, 0).await.is_empty());
}

fn settings(name: &str) -> SinkSettings {
    SinkSettings {
        name: name.into(),
        kind: "webhook".into(),
        settings: "{}".into(),
        secrets: Some(Private(b"sealed".to_vec())),
    }
}

async fn events(world: &World, after: u64) -> Vec<EventRow> {
    world.store.events_after(world.acme.scope, after, 100).await.unwrap()
}

impl World {
    async fn sink(&self, name: &str) -> SinkId {
        self.store.create_sink(self.acme.scope, settings(name), NOW).await.unwrap()
    }
}
