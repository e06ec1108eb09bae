//! Groups, tags, and what people do to a device.

use bartizan_model::{DeviceId, Mode, UnixMillis};
use bartizan_store::{
    AlertFilter, Combine, DeviceEventKind, DeviceFilter, DeviceReport, DeviceValue, GroupChoice,
    GroupRules, Rule, RuleField, RuleOperator, StoreError,
};

use super::policy::report;
use crate::world::{DAY, HOUR, NOW, World, alert, enroll};

#[tokio::test]
async fn a_device_is_in_the_first_group_that_matches() {
    let world = World::new().await;
    let (store, scope, device) = (&world.store, world.acme.scope, world.acme.device);
    let make = async |name: &str, field, value: &str| {
        let rules = rules(field, value);
        store.create_device_group(scope, name.into(), rules, NOW).await.unwrap()
    };
    let old = make("Old systems", RuleField::OsVersion, "17.").await;
    let phones = make("Phones", RuleField::Name, "PHONE").await;
    regroup(&world).await;
    let group =
        async || store.device(scope.whole(), device).await.unwrap().group.map(|group| group.1);
    assert_eq!(group().await.as_deref(), Some("Phones"));
    let newcomer = enroll(store, scope, 40).await;
    assert_eq!(store.device(scope.whole(), newcomer).await.unwrap().group.unwrap().0, phones);
    let fresh = store.device_policy(scope.whole(), newcomer).await.unwrap().version;
    assert_eq!(fresh, store.policy_epoch(scope).await.unwrap(), "a new device has not moved");

    let aged = DeviceReport { os_version: "17.4".into(), ..report(Mode::Dns, 1) };
    let told = store.check_in(scope, device, aged, NOW).await.unwrap();
    assert_eq!(group().await.as_deref(), Some("Old systems"));
    let given = store.device_policy(scope.whole(), device).await.unwrap();
    assert_eq!(told.policy_version, given.version, "the check-in knows of the move");

    store.rank_device_group(scope, phones, 1, NOW).await.unwrap();
    regroup(&world).await;
    let ranks = store.device_groups(scope.whole()).await.unwrap();
    let ranks: Vec<_> =
        ranks.iter().map(|row| (row.name.as_str(), row.rank, row.devices)).collect();
    assert_eq!(ranks, [("Phones", 1, 2), ("Old systems", 2, 0)]);
    let filter = |group| DeviceFilter { group: Some(group), ..DeviceFilter::default() };
    let listed =
        async |group| store.devices(scope.whole(), filter(group), None, 9).await.unwrap().len();
    assert_eq!(listed(GroupChoice::In(phones)).await, 2);
    assert_eq!(listed(GroupChoice::In(old)).await, 0);

    store.delete_device_group(scope, phones, NOW).await.unwrap();
    regroup(&world).await;
    assert_eq!(group().await.as_deref(), Some("Old systems"));
    assert_eq!(listed(GroupChoice::Ungrouped).await, 1);
    assert_eq!(store.device_group(scope.whole(), old).await.unwrap().rank, 1);
}

#[tokio::test]
async fn groups_are_of_one_tenant_and_of_different_names() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let rules = rules(RuleField::Os, "ios");
    let group = store.create_device_group(scope, "A".into(), rules.clone(), NOW).await.unwrap();
    let again = store.create_device_group(scope, "A".into(), rules.clone(), NOW).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })));
    store.create_device_group(scope, "B".into(), rules.clone(), NOW).await.unwrap();
    let taken = store.change_device_group(scope, group, "B".into(), rules.clone(), NOW).await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })));
    let any = GroupRules { combine: Combine::Any, ..rules.clone() };
    store.change_device_group(scope, group, "C".into(), any.clone(), NOW).await.unwrap();
    let row = store.device_group(scope.whole(), group).await.unwrap();
    assert_eq!((row.name.as_str(), row.rules), ("C", any));
    assert_eq!(store.devices_that_match(scope.whole(), rules.clone()).await.unwrap(), 1);

    let other = world.globex.scope;
    assert!(store.device_groups(other.whole()).await.unwrap().is_empty());
    for refused in [
        store.device_group(other.whole(), group).await.map(drop),
        store.change_device_group(other, group, "X".into(), rules, NOW).await,
        store.rank_device_group(other, group, 2, NOW).await,
        store.delete_device_group(other, group, NOW).await,
        store.add_tag(other.whole(), world.acme.device, "x".into(), String::new(), NOW).await,
        store.remove_tag(other.whole(), world.acme.device, "x".into(), String::new(), NOW).await,
        store.set_policy_tag(other.whole(), world.acme.device, None).await,
        store.offboard_device(other.whole(), world.acme.device, String::new(), NOW).await,
        store.forget_device(other.whole(), world.acme.device, NOW).await,
        store
            .describe_device(
                other.whole(),
                world.acme.device,
                (String::new(), DeviceValue::Low),
                String::new(),
                NOW,
            )
            .await,
    ] {
        assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn tags_have_any_letters_and_come_from_people_and_policies() {
    let world = World::new().await;
    let (store, scope, device) = (&world.store, world.acme.scope, world.acme.device);
    for tag in ["Büro – 2", "a/b?c&d", "field"] {
        for _ in 0..2 {
            store
                .add_tag(scope.whole(), device, tag.into(), "a@acme.test".into(), NOW)
                .await
                .unwrap();
        }
    }
    store.set_policy_tag(scope.whole(), device, Some("field".into())).await.unwrap();
    store.remove_tag(scope.whole(), device, "a/b?c&d".into(), String::new(), NOW).await.unwrap();
    let tags = store.device_tags(scope.whole(), device).await.unwrap();
    let by_hand = ("Büro – 2".to_owned(), false);
    assert_eq!(tags, [by_hand, ("field".into(), false), ("field".into(), true)]);
    let tagged = |tag: &str| DeviceFilter { tag: tag.into(), ..DeviceFilter::default() };
    let listed =
        async |tag| store.devices(scope.whole(), tagged(tag), None, 9).await.unwrap().len();
    assert_eq!((listed("field").await, listed("fiel").await), (1, 0));
    store.set_policy_tag(scope.whole(), device, None).await.unwrap();
    assert_eq!(store.device_tags(scope.whole(), device).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_timeline_folds_check_ins_and_is_read_in_pages() {
    let world = World::new().await;
    let (store, scope, device) = (&world.store, world.acme.scope, world.acme.device);
    let at = |ms| UnixMillis(NOW.0 + ms);
    for ms in [0, HOUR, 2 * HOUR, DAY, DAY + HOUR] {
        store.check_in(scope, device, report(Mode::Dns, 1), at(ms)).await.unwrap();
    }
    world.ingest(alert(7, "evil.test", DAY + 2 * HOUR), DAY + 2 * HOUR).await;
    let value = (String::from("kim@acme.test"), DeviceValue::High);
    store.describe_device(scope.whole(), device, value, "a".into(), at(2 * DAY)).await.unwrap();
    store.offboard_device(scope.whole(), device, "a".into(), at(3 * DAY)).await.unwrap();
    store.offboard_device(scope.whole(), device, "b".into(), at(4 * DAY)).await.unwrap();
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page = store.device_events(scope.whole(), device, before, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some((last.at, last.id));
        all.extend(page);
    }
    let told: Vec<_> = all.iter().map(|event| (event.kind, event.count)).collect();
    use DeviceEventKind::{Alert, CheckedIn, Enrolled, Offboarded, Owner, Value};
    assert_eq!(told[0], (Offboarded, 1));
    assert!(told[1..3].contains(&(Owner, 1)) && told[1..3].contains(&(Value, 1)), "{told:?}");
    assert_eq!(told[3..], [(Alert, 1), (CheckedIn, 3), (Enrolled, 1)]);
    let row = store.device(scope.whole(), device).await.unwrap();
    assert_eq!((row.day_checkins, row.offboarded_at), (2, Some(at(3 * DAY))));
    assert_eq!((row.owner.as_str(), row.value), ("kim@acme.test", DeviceValue::High));
}

#[tokio::test]
async fn who_is_taken_out_is_refused_and_who_is_forgotten_unknown() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    assert!(!store.device_by_id(acme.device).await.unwrap().is_offboarded);
    world.ingest(alert(7, "evil.test", 0), 0).await;
    store.offboard_device(acme.scope.whole(), acme.device, "a".into(), NOW).await.unwrap();
    assert!(store.device_by_id(acme.device).await.unwrap().is_offboarded);
    assert!(store.device_of_token(acme.tenant, acme.device).await.unwrap().is_offboarded);

    store.add_tag(acme.scope.whole(), acme.device, "x".into(), "a".into(), NOW).await.unwrap();
    store.forget_device(acme.scope.whole(), acme.device, NOW).await.unwrap();
    for missing in [
        store.device_by_id(acme.device).await.map(drop),
        store.device_of_token(acme.tenant, acme.device).await.map(drop),
        store.device(acme.scope.whole(), acme.device).await.map(drop),
        store.device_policy(acme.scope.whole(), acme.device).await.map(drop),
        store.forget_device(acme.scope.whole(), acme.device, NOW).await,
    ] {
        assert!(matches!(missing, Err(StoreError::NotFound { .. })), "{missing:?}");
    }
    let alerts = world.list(AlertFilter::default()).await;
    assert_eq!(alerts[0].device_name, "Forgotten device");
    assert!(
        store.device_events(acme.scope.whole(), acme.device, None, 9).await.unwrap().len() <= 1
    );
    assert!(store.device_tags(acme.scope.whole(), DeviceId(1)).await.unwrap().is_empty());
}

/// As the portal's job does it.
async fn regroup(world: &World) {
    for scope in world.store.wanted_regroups().await.unwrap() {
        while world.store.regroup_some(scope, 1).await.unwrap() {}
    }
    assert!(world.store.wanted_regroups().await.unwrap().is_empty());
}

fn rules(field: RuleField, value: &str) -> GroupRules {
    let operator = RuleOperator::StartsWith;
    let rules = vec![Rule { field, operator, value: value.into() }];
    GroupRules { rules, ..GroupRules::default() }
}
