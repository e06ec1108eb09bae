//! What people say, and what becomes of it.

use bartizan_store::{FeedbackId, FeedbackStatus, NewFeedback, Removed, StoreError, TenantScope};

use crate::world::{DAY, NOW, World};
use bartizan_model::UnixMillis;

#[tokio::test]
async fn what_is_said_counts_once_and_is_answered() {
    let world = World::new().await;
    let (store, device) = (&world.store, of_device(&world).await);
    assert!(store.add_feedback(device, said(1), NOW).await.unwrap());
    assert!(!store.add_feedback(device, said(1), NOW).await.unwrap());
    let listed = store.feedback_list(world.acme.scope.whole(), None, None, 9).await.unwrap();
    let row = &listed[0];
    assert_eq!((listed.len(), row.log_octets, row.status), (1, 3, FeedbackStatus::New));
    assert_eq!(row.device.as_ref().map(|(_, name)| name.as_str()), Some("Phone 1"));
    assert_eq!(row.app_version, "0.1.0", "as the device said at its check-in");
    assert_eq!(store.feedback_logs(world.acme.scope.whole(), FeedbackId(1)).await.unwrap(), b"log");

    let (id, status) = (FeedbackId(1), FeedbackStatus::Answered);
    let reply = Some("Thanks.".to_owned());
    store.settle_feedback(world.acme.scope.whole(), id, status, reply, NOW).await.unwrap();
    let own = store.own_feedback(device, 9).await.unwrap();
    assert_eq!((own[0].reply.as_str(), own[0].status), ("Thanks.", status));
    let closed = FeedbackStatus::Closed;
    store.settle_feedback(world.acme.scope.whole(), id, closed, None, NOW).await.unwrap();
    assert_eq!(store.feedback(world.acme.scope.whole(), id).await.unwrap().reply, "Thanks.");
    let waiting =
        store.feedback_list(world.acme.scope.whole(), Some(FeedbackStatus::New), None, 9).await;
    assert_eq!(waiting.unwrap(), []);
}

#[tokio::test]
async fn nobody_fills_the_inbox() {
    let world = World::new().await;
    let device = of_device(&world).await;
    for number in 1..=20 {
        assert!(world.store.add_feedback(device, said(number), NOW).await.unwrap());
    }
    let more = world.store.add_feedback(device, said(21), NOW).await;
    assert!(matches!(more, Err(StoreError::Busy)), "{more:?}");
    let page = world.store.feedback_list(world.acme.scope.whole(), None, None, 15).await.unwrap();
    let last = page.last().map(|row| (row.sent_at, row.id));
    let rest = world.store.feedback_list(world.acme.scope.whole(), None, last, 15).await.unwrap();
    assert_eq!((page.len(), rest.len()), (15, 5));
}

#[tokio::test]
async fn it_goes_with_the_device_and_with_age_once_it_is_settled() {
    let world = World::new().await;
    let (store, scope, device) = (&world.store, world.acme.scope, of_device(&world).await);
    store.add_feedback(device, said(1), NOW).await.unwrap();
    store.add_feedback(device, said(2), NOW).await.unwrap();
    let closed = FeedbackStatus::Closed;
    store.settle_feedback(scope.whole(), FeedbackId(1), closed, None, NOW).await.unwrap();
    let Removed { others, .. } = store.remove_old(scope, UnixMillis(NOW.0 + DAY), 9).await.unwrap();
    assert_eq!(others, 1);
    assert!(store.feedback(scope.whole(), FeedbackId(2)).await.is_ok(), "somebody has to read it");
    store.forget_device(scope.whole(), world.acme.device, NOW).await.unwrap();
    assert_eq!(store.feedback_list(scope.whole(), None, None, 9).await.unwrap(), []);
}

#[tokio::test]
async fn feedback_is_seen_and_changed_by_its_own_tenant_alone() {
    let world = World::new().await;
    let (store, other) = (&world.store, world.globex.scope);
    store.add_feedback(of_device(&world).await, said(1), NOW).await.unwrap();
    let id = FeedbackId(1);
    assert_eq!(store.feedback_list(other.whole(), None, None, 9).await.unwrap(), []);
    assert_eq!(store.own_feedback(other, 9).await.unwrap(), []);
    assert!(matches!(store.feedback(other.whole(), id).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(
        store.feedback_logs(other.whole(), id).await,
        Err(StoreError::NotFound { .. })
    ));
    let settled = store.settle_feedback(other.whole(), id, FeedbackStatus::Closed, None, NOW).await;
    assert!(matches!(settled, Err(StoreError::NotFound { .. })));
    let nobody = store.add_feedback(world.acme.scope, said(2), NOW).await;
    assert!(matches!(nobody, Err(StoreError::NotFound { .. })), "{nobody:?}");
}

fn said(id: u128) -> NewFeedback {
    NewFeedback {
        id: Some(FeedbackId(id)),
        text: "It is slow.".into(),
        mood: "bad".into(),
        logs: Some("log".into()),
        app_version: String::new(),
        page: String::new(),
    }
}

async fn of_device(world: &World) -> TenantScope {
    let found = world.store.device_of_token(world.acme.tenant, world.acme.device).await;
    found.unwrap().scope
}
