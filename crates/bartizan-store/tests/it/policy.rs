//! What an organization decides for its devices, kept by version.

use bartizan_model::{Mode, ProtectionState, UnixMillis};
use bartizan_store::{
    Counters, DeviceFilter, DeviceReport, GroupId, GroupRules, Guard, NewDevice, NewPolicyVersion,
    PolicyProgress, Rule, RuleField, RuleOperator, StoreError,
};

use crate::world::{DAY, NOW, World, enroll, new_device};

#[tokio::test]
async fn a_document_holds_once_all_devices_have_it() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let first = store.policy_version(scope, None, 1).await.unwrap();
    assert_eq!((first.settings.as_str(), first.percent, first.epoch), ("{}", 100, 1));
    assert_eq!(store.add_policy_version(scope, None, document("2", 20), NOW).await.unwrap(), 2);
    let layer = store.policy_layer(scope, None).await.unwrap();
    assert_eq!(layer.in_force.unwrap().number, 1);
    assert_eq!(layer.rolling_out.map(|row| (row.number, row.percent)), Some((2, 20)));

    store.set_policy_percent(scope, None, 2, 100, NOW).await.unwrap();
    let layer = store.policy_layer(scope, None).await.unwrap();
    assert_eq!((layer.in_force.unwrap().number, layer.rolling_out), (2, None));
    let row = store.policy_version(scope, None, 2).await.unwrap();
    assert_eq!((row.settings.as_str(), row.note.as_str()), ("2", "why"));
    assert_eq!(row.changed_by, "a@acme.test");

    let refused = store.set_policy_percent(scope, None, 1, 50, NOW).await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })), "only the latest is rolled out");
    let numbers = store.policy_versions(scope, None, Some(2), 9).await.unwrap();
    assert_eq!(numbers.iter().map(|row| row.number).collect::<Vec<_>>(), [1]);
    assert_eq!(store.policy_epoch(scope).await.unwrap(), 3);
    assert_eq!(store.policy_epoch(world.globex.scope).await.unwrap(), 1);
    let nobody = store.add_policy_version(scope, Some(GroupId(9)), document("", 1), NOW).await;
    assert!(matches!(nobody, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn a_device_is_given_the_tenants_document_and_its_groups_under_a_version_that_only_grows() {
    let world = World::new().await;
    let (store, scope, device) = (&world.store, world.acme.scope, world.acme.device);
    let given = async || store.device_policy(scope.whole(), device).await.unwrap();
    let (mut version, before) = (given().await.version, given().await);
    assert_eq!((before.version, before.layers.len()), (1, 1));
    let rules = GroupRules {
        rules: vec![Rule {
            field: RuleField::Tag,
            operator: RuleOperator::Equals,
            value: "field".into(),
        }],
        ..GroupRules::default()
    };
    let group = store.create_device_group(scope, "Field".into(), rules, NOW).await.unwrap();
    store.add_policy_version(scope, Some(group), document("field", 100), NOW).await.unwrap();
    assert_eq!(given().await.layers.len(), 1);
    let mut grew = async |what: &str| {
        let now = given().await;
        assert!(version < now.version, "{what}: {version} to {}", now.version);
        version = now.version;
        now
    };
    grew("a group with a policy").await;
    store.add_tag(scope.whole(), device, "Field".into(), "a".into(), NOW).await.unwrap();
    let now = grew("it came to a group").await;
    assert_eq!(now.layers[1].group, Some((group, "Field".into(), 1)));
    assert_eq!(now.layers[1].in_force.as_ref().unwrap().settings, "field");
    store.remove_tag(scope.whole(), device, "Field".into(), "a".into(), NOW).await.unwrap();
    assert_eq!(grew("it left").await.layers.len(), 1);
    store.delete_device_group(scope, group, NOW).await.unwrap();
    grew("the group is gone").await;
    let gone = store.policy_versions(scope, Some(group), None, 9).await.unwrap();
    assert!(gone.is_empty(), "and its policy with it");
}

#[tokio::test]
async fn devices_are_counted_by_whether_they_have_what_they_should_have() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let progress = async || store.policy_progress(acme.scope.whole()).await.unwrap();
    let counted = |current, behind, without| PolicyProgress { current, behind, without };
    assert_eq!(progress().await, counted(0, 0, 1));
    for mode in Mode::ALL {
        let there = store.check_in(acme.scope, acme.device, report(mode, 1), NOW).await.unwrap();
        assert_eq!(there.policy_version, 1);
        let row = store.device(acme.scope.whole(), acme.device).await.unwrap();
        assert_eq!((row.mode, row.policy_version, row.newest_policy_version), (Some(mode), 1, 1));
    }
    assert_eq!(progress().await, counted(1, 0, 0));
    store.add_policy_version(acme.scope, None, document("2", 100), NOW).await.unwrap();
    assert_eq!(progress().await, counted(0, 1, 0));
}

pub(crate) fn report(mode: Mode, policy_version: u64) -> DeviceReport {
    DeviceReport {
        mode,
        protection: ProtectionState::On,
        os_version: "18.1".into(),
        app_version: "0.1.0".into(),
        policy_version,
        indicator_epoch: None,
        tenant_epoch: None,
        counters: Counters::default(),
    }
}

fn document(settings: &str, percent: u8) -> NewPolicyVersion {
    NewPolicyVersion {
        settings: settings.into(),
        note: "why".into(),
        changed_by: "a@acme.test".into(),
        percent,
    }
}

#[tokio::test]
async fn devices_are_counted_and_listed_by_the_version_that_they_run() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let (scope, sight) = (acme.scope, acme.scope.whole());
    let uses = async || -> Vec<(u64, u64)> {
        let uses = store.policy_uses(sight, 9).await.unwrap();
        for one in &uses {
            let filter =
                DeviceFilter { policy_version: Some(one.version), ..DeviceFilter::default() };
            let listed = store.devices(sight, filter, None, 99).await.unwrap().len();
            assert_eq!(u64::try_from(listed).unwrap(), one.devices, "of version {}", one.version);
        }
        uses.into_iter().map(|one| (one.version, one.devices)).collect()
    };
    let says = async |device, version| {
        store.check_in(scope, device, report(Mode::Dns, version), NOW).await.unwrap()
    };
    let mut devices = vec![acme.device];
    for number in 40..44 {
        devices.push(enroll(store, scope, number).await);
    }
    assert_eq!(uses().await, [(0, 5)]);
    for device in &devices {
        says(*device, 1).await;
    }
    for _ in 0..2 {
        says(devices[1], 2).await;
        says(devices[2], 2).await;
    }
    assert_eq!(uses().await, [(2, 2), (1, 3)]);
    store.offboard_device(sight, devices[1], "a".into(), NOW).await.unwrap();
    store.offboard_device(sight, devices[1], "a".into(), NOW).await.unwrap();
    // What was on its way while the device was taken out counts for nothing.
    says(devices[1], 3).await;
    assert_eq!(uses().await, [(2, 1), (1, 3)]);
    store.forget_device(sight, devices[1], NOW).await.unwrap();
    store.forget_device(sight, devices[2], NOW).await.unwrap();
    assert_eq!(uses().await, [(1, 3)]);
    let pair = (devices[3], devices[4]);
    store.merge_device(sight, pair, Guard::open(), "a".into(), NOW).await.unwrap();
    assert_eq!(uses().await, [(1, 2)]);
    let again = NewDevice { key_thumbprint: [43; 32], ..new_device(45) };
    let hash = [45; 32];
    store.create_enrollment_token(scope, hash, UnixMillis(NOW.0 + DAY), NOW).await.unwrap();
    store.enroll(hash, again, NOW).await.unwrap();
    assert_eq!(uses().await, [(1, 1), (0, 1)]);
    let other = store.policy_uses(world.globex.scope.whole(), 9).await.unwrap();
    assert_eq!(other.iter().map(|one| (one.version, one.devices)).collect::<Vec<_>>(), [(0, 1)]);
}
