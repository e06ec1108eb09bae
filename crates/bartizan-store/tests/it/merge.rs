//! Records that may be of one device, and merging them.

use bartizan_model::{DeviceId, RiskLevel, UnixMillis};
use bartizan_store::{
    AlertFilter, AuditFilter, AuditPlace, CHANGED_SINCE, DeviceEventKind, DeviceFilter,
    DeviceValue, Guard, Likeness, MergeError, NewDevice, StoreError,
};

use crate::world::{DAY, NOW, World, alert, enroll, new_device};

#[tokio::test]
async fn a_merge_moves_what_goes_on_and_takes_the_earlier_record_out() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let (scope, earlier) = (acme.scope, acme.device);
    let sight = scope.whole();
    let kept = enroll(store, scope, 40).await;
    for (device, id, host) in [(earlier, 1, "a.test"), (earlier, 2, "b.test"), (kept, 3, "a.test")]
    {
        store.ingest_alerts(scope, device, vec![alert(id, host, 0)], NOW).await.unwrap();
    }
    for (device, tag) in [(earlier, "both"), (earlier, "old"), (kept, "both"), (kept, "new")] {
        store.add_tag(sight, device, tag.into(), "a".into(), NOW).await.unwrap();
    }
    store.set_policy_tag(sight, earlier, Some("policy".into())).await.unwrap();
    let owner = (String::from("kim@acme.test"), DeviceValue::High);
    store.describe_device(sight, earlier, owner, "a".into(), NOW).await.unwrap();

    let look = store.look_at_merge(sight, earlier, kept).await.unwrap();
    assert_eq!((look.alerts, look.tags), (2, vec!["old".to_owned()]));
    let unresolved = store.unresolved_alerts(sight).await.unwrap();
    let later = UnixMillis(NOW.0 + 1);
    let merge = async |earlier, kept| {
        store.merge_device(sight, (earlier, kept), Guard::open(), "b".into(), later).await
    };
    merge(earlier, kept).await.unwrap();

    assert!(store.device_by_id(earlier).await.unwrap().is_offboarded);
    let row = store.device(sight, earlier).await.unwrap();
    assert_eq!((row.unresolved.total(), row.offboarded_at), (0, Some(later)));
    let row = store.device(sight, kept).await.unwrap();
    assert_eq!((row.unresolved.total(), row.offboarded_at), (3, None));
    assert_eq!((row.owner.as_str(), row.value), ("", DeviceValue::Normal));
    assert_eq!(store.unresolved_alerts(sight).await.unwrap(), unresolved);
    for (device, many) in [(earlier, 0), (kept, 3)] {
        let filter = AlertFilter { device: Some(device), ..AlertFilter::default() };
        assert_eq!(world.list(filter).await.len(), many);
    }
    let tags = store.device_tags(sight, kept).await.unwrap();
    let tags: Vec<_> = tags.iter().map(|(tag, by_policy)| (tag.as_str(), *by_policy)).collect();
    assert_eq!(tags, [("both", false), ("new", false), ("old", false)]);

    let kinds = async |device| -> Vec<DeviceEventKind> {
        let events = store.device_events(sight, device, None, 99).await.unwrap();
        events.into_iter().map(|event| event.kind).collect()
    };
    assert_eq!(kinds(earlier).await, [DeviceEventKind::Offboarded]);
    let of_kept = kinds(kept).await;
    let count = |kind| of_kept.iter().filter(|other| **other == kind).count();
    assert_eq!(count(DeviceEventKind::Enrolled), 2);
    assert_eq!(count(DeviceEventKind::Owner), 1);
    assert_eq!(count(DeviceEventKind::Merged), 1);
    assert_eq!(count(DeviceEventKind::Offboarded), 0);
    let places = store.replacement(scope, earlier).await.unwrap();
    assert_eq!(places.later.map(|(id, _)| id), Some(kept));

    let filter = AuditFilter { action: Some("device.merge".into()), ..AuditFilter::default() };
    let audit = store.audit(scope, filter, AuditPlace::Newest, 9).await.unwrap();
    assert_eq!(audit.len(), 1);
    // What enrolled again, or was merged already, may be merged into the same one once more, and into no other.
    merge(earlier, kept).await.unwrap();
    let third = enroll(store, scope, 41).await;
    assert!(matches!(merge(earlier, third).await, Err(MergeError::Replaced)));
    // What led to the kept one leads to what takes its place.
    merge(kept, third).await.unwrap();
    let places = store.replacement(scope, earlier).await.unwrap();
    assert_eq!(places.later.map(|(id, _)| id), Some(third));
    assert_eq!(store.device(sight, third).await.unwrap().unresolved.total(), 3);
}

#[tokio::test]
async fn a_merge_raises_the_risk_of_the_kept_record_and_says_why() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let sight = acme.scope.whole();
    let kept = enroll(store, acme.scope, 40).await;
    world.ingest(alert(1, "a.test", 0), 0).await;
    let risk = async |device| RiskLevel::of(store.device(sight, device).await.unwrap().unresolved);
    assert_eq!(risk(kept).await, RiskLevel::None);
    let pair = (acme.device, kept);
    store.merge_device(sight, pair, Guard::open(), "b".into(), NOW).await.unwrap();
    assert_eq!(
        (risk(acme.device).await, risk(kept).await),
        (RiskLevel::None, RiskLevel::Informational)
    );
    let changes = store.risk_changes(sight, kept, None, 9).await.unwrap();
    assert_eq!(changes[0].reason, "1 informational unresolved");
}

#[tokio::test]
async fn a_merge_that_makes_no_sense_changes_nothing() {
    let world = World::new().await;
    let (store, acme, globex) = (&world.store, world.acme, world.globex);
    let sight = acme.scope.whole();
    let out = enroll(store, acme.scope, 40).await;
    store.offboard_device(sight, out, "a".into(), NOW).await.unwrap();
    let merge = async |earlier, kept, guard| {
        store.merge_device(sight, (earlier, kept), guard, "b".into(), NOW).await
    };
    let one = acme.device;
    assert!(matches!(merge(one, one, Guard::open()).await, Err(MergeError::Same)));
    assert!(matches!(merge(one, out, Guard::open()).await, Err(MergeError::KeptIsOut)));
    for pair in [(one, globex.device), (globex.device, one), (one, DeviceId(99))] {
        let refused = merge(pair.0, pair.1, Guard::open()).await;
        assert!(matches!(refused, Err(MergeError::Store(StoreError::NotFound { .. }))), "{pair:?}");
    }
    let changed = merge(out, one, Guard::new(|_| false)).await;
    let conflict = StoreError::Conflict { what: CHANGED_SINCE };
    assert_eq!(changed.unwrap_err().to_string(), conflict.to_string());
    assert!(store.device(sight, one).await.unwrap().offboarded_at.is_none());
    let filter = AuditFilter { action: Some("device.merge".into()), ..AuditFilter::default() };
    let audit = store.audit(acme.scope, filter, AuditPlace::Newest, 99).await.unwrap();
    assert!(audit.is_empty());
    merge(out, one, Guard::open()).await.unwrap();
}

#[tokio::test]
async fn alike_are_the_same_hardware_and_the_same_person_with_the_same_model_or_name() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let sight = scope.whole();
    let enroll = async |number: u8, hardware: &str, model: &str, name: &str, owner: &str| {
        let hash = [number; 32];
        store.create_enrollment_token(scope, hash, UnixMillis(NOW.0 + DAY), NOW).await.unwrap();
        let device = NewDevice {
            hardware_id: hardware.into(),
            model: model.into(),
            device_name: name.into(),
            ..new_device(number)
        };
        let id = store.enroll(hash, device, NOW).await.unwrap().device;
        let about = (owner.to_owned(), DeviceValue::Normal);
        store.describe_device(sight, id, about, "a".into(), NOW).await.unwrap();
        id
    };
    let first = enroll(50, "h", "m", "n", "kim@acme.test").await;
    let hardware = enroll(51, "h", "x", "x", "").await;
    let model = enroll(52, "", "m", "y", "kim@acme.test").await;
    let name = enroll(53, "", "z", "n", "kim@acme.test").await;
    enroll(54, "", "m", "n", "eve@acme.test").await;
    enroll(55, "", "m", "n", "").await;
    let none = enroll(56, "", "", "v", "kim@acme.test").await;
    let out = enroll(57, "h", "m", "n", "kim@acme.test").await;
    store.offboard_device(sight, out, "a".into(), NOW).await.unwrap();

    let alike = async |device| {
        let found = store.likely_duplicates(sight, device).await.unwrap();
        let mut found: Vec<_> = found.into_iter().map(|(row, why)| (row.id, why)).collect();
        found.sort_by_key(|(id, _)| *id);
        found
    };
    let expected =
        [(hardware, Likeness::Hardware), (model, Likeness::Person), (name, Likeness::Person)];
    assert_eq!(alike(first).await, expected);
    assert_eq!(alike(hardware).await, [(first, Likeness::Hardware)]);
    assert_eq!(alike(none).await, []);
    assert_eq!(alike(out).await, []);
    let filter = DeviceFilter { is_likely_twice: true, ..DeviceFilter::default() };
    let mut listed: Vec<_> = store
        .devices(sight, filter.clone(), None, 99)
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.id)
        .collect();
    listed.sort_unstable();
    assert_eq!(listed, [first, hardware, model, name]);
    let other = world.globex.scope.whole();
    assert!(store.devices(other, filter, None, 99).await.unwrap().is_empty());
}
