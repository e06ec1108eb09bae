//! What somebody sees who sees a part is listed alike, whether its devices are few, and all that they have is sorted, or
//! many, and an index is walked.

use std::collections::BTreeSet;

use bartizan_model::{DeviceId, UnixMillis};
use bartizan_store::{
    AlertFilter, AlertOrder, DeviceFilter, GroupRules, NewDevice, NewRole, Permission, Permissions,
    Rule, RuleField, RuleOperator, StatusFilter,
};

use super::sight::{member, sight};
use crate::world::{NOW, World, alert, new_device};

#[tokio::test]
async fn few_devices_and_many_are_listed_alike() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let rule =
        Rule { field: RuleField::Name, operator: RuleOperator::StartsWith, value: "Inside".into() };
    let rules = GroupRules { rules: vec![rule], ..GroupRules::default() };
    let group = store.create_device_group(scope, "Inside".into(), rules, NOW).await.unwrap();
    while store.regroup_some(scope, 10).await.unwrap() {}
    let role = NewRole {
        name: "Analyst of one group".into(),
        description: String::new(),
        permissions: Permissions::of(&Permission::ALL),
        device_groups: Some(vec![group.to_string()]),
    };
    let role = store.create_role(scope, role, NOW).await.unwrap();
    let member = member(&world, "part@acme.test", vec![role]).await;
    let mut inside = BTreeSet::new();
    for numbers in [0..40, 40..FIRST_MANY] {
        inside.extend(enroll(&world, numbers).await);
        check(&world, member, &inside).await;
    }
}

/// More of them inside than are sorted.
const FIRST_MANY: u16 = 3_300;

/// Enrolls devices, of which one in twenty is outside and one in ten raises an alert; returns those that are inside.
async fn enroll(world: &World, numbers: std::ops::Range<u16>) -> BTreeSet<DeviceId> {
    let (store, scope) = (&world.store, world.acme.scope);
    let hash = |number: u16| {
        let mut hash = [99; 32];
        hash[..2].copy_from_slice(&number.to_be_bytes());
        hash
    };
    let later = UnixMillis(NOW.0 + 1);
    store
        .create_enrollment_tokens(scope, numbers.clone().map(hash).collect(), later, NOW)
        .await
        .unwrap();
    let enrolling = numbers.clone().map(|number| {
        let side = if number % 20 == 0 { "Outside" } else { "Inside" };
        let device = NewDevice {
            id: DeviceId(10_000 + u128::from(number)),
            key_thumbprint: hash(number),
            device_name: format!("{side} {number}"),
            ..new_device(1)
        };
        store.enroll(hash(number), device, NOW)
    });
    let enrolled = futures_util::future::join_all(enrolling).await;
    let mut inside = BTreeSet::new();
    for (number, enrolled) in numbers.zip(enrolled) {
        let device = enrolled.unwrap().device;
        if number % 20 != 0 {
            inside.insert(device);
        }
        if number % 10 < 2 {
            let seconds = u64::from(number) * 7_919 % 3_600;
            let host = format!("h{}.test", number % 50);
            let alerts = vec![alert(u128::from(number) + 1, &host, seconds * 1_000)];
            store
                .ingest_alerts(scope, device, alerts, UnixMillis(NOW.0 + 3_600_000))
                .await
                .unwrap();
        }
    }
    inside
}

async fn check(world: &World, member: bartizan_store::MemberId, inside: &BTreeSet<DeviceId>) {
    let store = &world.store;
    let whole = world.acme.scope.whole();
    let part = sight(world, member, Permission::ViewData).await;

    let all = store.devices(whole, DeviceFilter::default(), None, 9_999).await.unwrap();
    let expected: Vec<_> = all.into_iter().filter(|row| inside.contains(&row.id)).collect();
    assert_eq!(expected.len(), inside.len());
    let mut listed = Vec::new();
    loop {
        let after = listed.last().map(bartizan_store::DeviceRow::cursor);
        let page = store.devices(part, DeviceFilter::default(), after, 999).await.unwrap();
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert_eq!(listed, expected);
    // More than is found by walking.
    let at_once = store.devices(part, DeviceFilter::default(), None, 9_999).await.unwrap();
    assert_eq!(at_once, expected);

    let unresolved = AlertFilter { status: StatusFilter::Unresolved, ..AlertFilter::default() };
    for ascending in [false, true] {
        let order = AlertOrder { by_update: ascending, ascending };
        let all = store.alerts_in_order(whole, unresolved, order, None, 9_999).await.unwrap();
        let expected: Vec<_> = all.into_iter().filter(|row| inside.contains(&row.device)).collect();
        let listed = store.alerts_in_order(part, unresolved, order, None, 9_999).await.unwrap();
        assert_eq!(listed, expected);
        assert!(!listed.is_empty());
    }

    let alerts = store.alerts(part, unresolved, None, 9_999).await.unwrap();
    let seen: BTreeSet<_> = alerts.iter().filter_map(|row| row.incident).collect();
    let all = store.incidents(whole, true, None, 9_999).await.unwrap();
    let expected: Vec<_> = all.iter().map(|row| row.id).filter(|id| seen.contains(id)).collect();
    let listed = store.incidents(part, true, None, 9_999).await.unwrap();
    assert_eq!(listed.iter().map(|row| row.id).collect::<Vec<_>>(), expected);
    let tally = store.tally(part, NOW).await.unwrap();
    assert_eq!(tally.devices, inside.len() as u64);
    assert_eq!(tally.open_incidents, expected.len() as u64);
}
