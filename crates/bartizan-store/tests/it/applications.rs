//! Applications, answers that are kept, and alerts of other products, each for its own tenant alone.

use bartizan_model::{Severity, UnixMillis};
use bartizan_store::{
    AlertFilter, CredentialKind, ExternalAlert, NewApplication, NewCredential, Permission,
    Permissions, Repeat, StoreError, Taken,
};

use crate::world::{DAY, NOW, World};

#[tokio::test]
async fn an_application_is_its_tenants_alone() {
    let world = World::new().await;
    let (store, acme, globex) = (&world.store, world.acme, world.globex);
    let id = store.create_application(acme.scope, new("SIEM"), acme.member, NOW).await.unwrap();
    let taken = store.create_application(acme.scope, new("SIEM"), acme.member, NOW).await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })));
    store.create_application(globex.scope, new("SIEM"), globex.member, NOW).await.unwrap();

    let credential = store.add_credential(acme.scope, id, secret(1), NOW).await.unwrap();
    store.add_credential(acme.scope, id, secret(2), NOW).await.unwrap();
    let full = store.add_credential(acme.scope, id, secret(3), NOW).await;
    assert!(matches!(full, Err(StoreError::Full { .. })));

    for refused in [
        store.application(globex.scope, id).await.map(drop),
        store.change_application(globex.scope, id, new("X"), NOW).await,
        store.set_application_disabled(globex.scope, id, true, NOW).await,
        store.add_credential(globex.scope, id, secret(1), NOW).await.map(drop),
        store.remove_credential(globex.scope, id, credential, NOW).await,
        store.application_caller(globex.tenant, id, NOW).await.map(drop),
    ] {
        assert!(matches!(refused, Err(StoreError::NotFound { .. })));
    }
    assert_eq!(store.applications(globex.scope).await.unwrap().len(), 1);

    let caller = store.application_caller(acme.tenant, id, NOW).await.unwrap();
    assert_eq!((caller.credentials.len(), caller.used_at, caller.name.as_str()), (2, None, "SIEM"));
    assert!(caller.permissions.has(Permission::ViewData));
    store.touch_application(caller.scope, id, NOW).await.unwrap();
    let later = UnixMillis(NOW.0 + 2 * DAY);
    let caller = store.application_caller(acme.tenant, id, later).await.unwrap();
    assert_eq!((caller.credentials.len(), caller.used_at), (0, Some(NOW)));
    // Those that have expired make room.
    store.add_credential(acme.scope, id, secret(3), later).await.unwrap();
    let over = store.application_caller(acme.tenant, id, UnixMillis(NOW.0 + 9 * DAY)).await;
    assert!(matches!(over, Err(StoreError::NotFound { .. })));
    store.set_application_disabled(acme.scope, id, true, NOW).await.unwrap();
    assert!(store.application_caller(acme.tenant, id, NOW).await.is_err());
}

#[tokio::test]
async fn a_key_stands_for_one_request_for_a_day() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let id = store.create_application(acme.scope, new("SIEM"), acme.member, NOW).await.unwrap();
    let begin = |request: u8, ms: u64| {
        let now = UnixMillis(NOW.0 + ms);
        store.begin_idempotent(acme.scope, id, "k".into(), [request; 32], now)
    };
    assert_eq!(begin(1, 0).await.unwrap(), Repeat::Fresh);
    assert_eq!(begin(1, 0).await.unwrap(), Repeat::UnderWay);
    assert_eq!(begin(2, 0).await.unwrap(), Repeat::Other);
    // Whoever began it has gone.
    assert_eq!(begin(1, 60_000).await.unwrap(), Repeat::Fresh);
    let answer = Some((201, "{}".to_owned()));
    store.end_idempotent(acme.scope, id, "k".into(), answer).await.unwrap();
    let answered = Repeat::Answered { status: 201, body: "{}".into() };
    assert_eq!(begin(1, 60_000).await.unwrap(), answered);
    assert_eq!(begin(2, 60_000).await.unwrap(), Repeat::Other);
    assert_eq!(begin(2, 60_001 + DAY).await.unwrap(), Repeat::Fresh);
    store.end_idempotent(acme.scope, id, "k".into(), None).await.unwrap();
    assert_eq!(begin(3, 60_001 + DAY).await.unwrap(), Repeat::Fresh);
}

#[tokio::test]
async fn alerts_of_other_products_are_one_by_their_id_and_go_with_their_evidence() {
    let world = World::new().await;
    let (store, acme, globex) = (&world.store, world.acme, world.globex);
    let first = external("1", "Phone 1", 1);
    let taken = store.take_external(acme.scope, vec![first.clone(), first.clone()], NOW).await;
    let taken = taken.unwrap();
    let Taken::New(key) = taken[0] else { panic!("{taken:?}") };
    assert_eq!(taken[1], Taken::Unchanged(key));
    let changed = ExternalAlert { digest: [2; 32], ..first.clone() };
    let taken = store.take_external(acme.scope, vec![changed], NOW).await.unwrap();
    assert_eq!(taken, [Taken::Updated(key)]);
    let there = store.take_external(globex.scope, vec![first], NOW).await.unwrap();
    assert!(matches!(there[..], [Taken::New(other)] if other != key));

    let alert = store.alert(acme.scope.whole(), key).await.unwrap();
    assert_eq!((alert.alert.count, alert.device.id), (2, acme.device));
    assert_eq!(alert.device.unresolved.high, 1);
    assert_eq!(store.unresolved_alerts(acme.scope.whole()).await.unwrap().high, 1);
    assert_eq!(store.external_alert(globex.scope.whole(), key).await.unwrap(), None);
    let evidence = store.external_alert(acme.scope.whole(), key).await.unwrap().unwrap();
    assert_eq!((evidence.product.as_str(), evidence.original.as_str()), ("EDR", "{}"));

    store.forget_device(globex.scope.whole(), globex.device, NOW).await.unwrap();
    let kept = store.external_alert(acme.scope.whole(), key).await.unwrap().unwrap();
    assert_eq!(kept, evidence);

    let status = bartizan_model::AlertStatus::Resolved;
    store.set_alert_status(acme.scope.whole(), key, status, acme.member, NOW).await.unwrap();
    let removed = store.remove_old(acme.scope, UnixMillis(NOW.0 + DAY), 10).await.unwrap();
    assert_eq!(removed.alerts, 1);
    assert_eq!(store.external_alert(acme.scope.whole(), key).await.unwrap(), None);
    assert_eq!(
        store.alerts(acme.scope.whole(), AlertFilter::default(), None, 9).await.unwrap(),
        []
    );
}

fn new(name: &str) -> NewApplication {
    NewApplication {
        name: name.into(),
        permissions: Permissions::of(&[Permission::ViewData]),
        expires_at: UnixMillis(NOW.0 + 9 * DAY),
    }
}

fn secret(number: u8) -> NewCredential {
    NewCredential {
        kind: CredentialKind::Secret,
        value: vec![number; 32],
        hint: format!("secret {number}"),
        expires_at: UnixMillis(NOW.0 + DAY),
    }
}

fn external(id: &str, device_name: &str, digest: u8) -> ExternalAlert {
    ExternalAlert {
        product: "EDR".into(),
        external_id: id.into(),
        title: "Odd program".into(),
        severity: Severity::High,
        category: "Execution".into(),
        host: None,
        device: None,
        device_name: device_name.into(),
        os: String::new(),
        link: String::new(),
        first_seen: NOW,
        last_seen: NOW,
        original: "{}".into(),
        digest: [digest; 32],
    }
}
