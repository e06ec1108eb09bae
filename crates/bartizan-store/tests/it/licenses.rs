//! Licenses, enrollment codes, and the rules of enrollment.

use bartizan_model::{DeviceId, UnixMillis};
use bartizan_store::{
    DirectoryOrigin, EnrollError, EnrollmentRule, Feature, GroupFacts, Licensee, NewDevice, Plan,
    WithoutUser,
};

use super::directory::{add, facts};
use crate::world::{DAY, NOW, World, new_device};

fn later(by: u64) -> UnixMillis {
    UnixMillis(NOW.0 + by)
}

/// A device that enrolls by a code of somebody.
pub(crate) async fn by_code(
    world: &World,
    owner: Option<bartizan_store::PersonId>,
    number: u8,
    device: NewDevice,
) -> Result<DeviceId, EnrollError> {
    let (store, scope) = (&world.store, world.acme.scope);
    let (code, token) = ([number; 32], [number + 100; 32]);
    store.create_enrollment_code(scope, owner, code, later(DAY), NOW).await.unwrap();
    store.redeem_enrollment_code(code, (token, later(DAY)), NOW).await.unwrap();
    store.enroll(token, device, NOW).await.map(|enrolled| enrolled.device)
}

#[tokio::test]
async fn a_code_is_worth_one_token_of_its_person() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let ada = add(&world, "ada").await;
    let device = by_code(&world, Some(ada.id), 50, new_device(50)).await.unwrap();
    assert_eq!(store.device(scope.whole(), device).await.unwrap().owner, "ada@example.test");
    let token = ([9; 32], later(DAY));
    let redeem = async |code, now| store.redeem_enrollment_code(code, token, now).await;
    assert!(matches!(redeem([50; 32], NOW).await, Err(EnrollError::Used)));
    assert!(matches!(redeem([51; 32], NOW).await, Err(EnrollError::Unknown)));
    store.create_enrollment_code(scope, None, [51; 32], later(DAY), NOW).await.unwrap();
    assert!(matches!(redeem([51; 32], later(DAY)).await, Err(EnrollError::Expired)));
    // What is over is forgotten as the next one is made; what was erased cannot be redeemed.
    store
        .create_enrollment_code(scope, Some(ada.id), [52; 32], later(2 * DAY), later(DAY))
        .await
        .unwrap();
    assert!(matches!(redeem([51; 32], later(DAY)).await, Err(EnrollError::Unknown)));
    store.erase_person(scope, ada.id, None, NOW).await.unwrap();
    assert!(matches!(redeem([52; 32], later(DAY)).await, Err(EnrollError::Unknown)));
    let of_nobody = store.create_enrollment_code(scope, Some(ada.id), [53; 32], later(DAY), NOW);
    assert!(of_nobody.await.is_err());
}

#[tokio::test]
async fn a_group_s_license_counts_and_the_better_plan_takes_the_seat() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let mut ids = Vec::new();
    for name in ["ada", "bob", "eve"] {
        ids.push(add(&world, name).await.id);
    }
    let of = GroupFacts { display_name: "G".into(), external_id: String::new() };
    let members = ids[..2].to_vec();
    let group = store.create_person_group(scope, of, members, DirectoryOrigin::Scim, NOW);
    let group = group.await.unwrap().id;
    let give = async |plan, licensee, is_given| {
        store.assign_license(scope, plan, licensee, is_given, NOW).await
    };
    give(Plan::One, Licensee::Group(group), true).await.unwrap();
    give(Plan::Two, Licensee::Person(ids[0]), true).await.unwrap();
    give(Plan::One, Licensee::Person(ids[2]), true).await.unwrap();
    store.set_seats(scope, Plan::One, 1, NOW).await.unwrap();
    let plans = [Some(Plan::Two), Some(Plan::One), Some(Plan::One)];
    for (id, plan) in ids.iter().zip(plans) {
        assert_eq!(store.plan_of(scope, *id).await.unwrap(), plan);
    }
    let used = store.license_use(scope).await.unwrap();
    assert_eq!((used[0].used, used[0].seats, used[0].over()), (2, 1, 1));
    assert_eq!(used[0].without_seat, [(ids[2], "eve".to_owned())]);
    assert_eq!((used[1].used, used[1].over()), (1, 1));
    let seats = store.seats(scope).await.unwrap();
    let seats: Vec<_> = seats.iter().map(|one| (one.plan, one.used, one.over())).collect();
    assert_eq!(seats, [(Plan::One, 2, 1), (Plan::Two, 1, 1)]);
    assert!(store.seats(world.globex.scope).await.unwrap().is_empty(), "nobody counts them there");
    assert_eq!(store.licensed_groups(scope).await.unwrap(), [(Plan::One, group, "G".into())]);
    assert_eq!(store.licenses_of(scope, Licensee::Person(ids[0])).await.unwrap(), [Plan::Two]);

    // Inactive people take no seat, and another tenant sees none of it.
    let off = bartizan_store::PersonFacts { active: Some(false), ..facts("eve") };
    store.replace_person(scope, ids[2], off, None, NOW).await.unwrap();
    assert_eq!(store.license_use(scope).await.unwrap()[0].over(), 0);
    assert_eq!(store.license_use(world.globex.scope).await.unwrap()[0].used, 0);
    let foreign =
        store.assign_license(world.globex.scope, Plan::One, Licensee::Group(group), true, NOW);
    assert!(foreign.await.is_err());

    give(Plan::One, Licensee::Group(group), false).await.unwrap();
    assert_eq!(store.plan_of(scope, ids[1]).await.unwrap(), None);
    give(Plan::One, Licensee::Group(group), true).await.unwrap();
    store.delete_person_group(scope, group, None, NOW).await.unwrap();
    assert_eq!(store.plan_of(scope, ids[1]).await.unwrap(), None);
}

#[tokio::test]
async fn what_a_plan_lacks_is_not_given_where_licenses_are_enforced() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let ada = add(&world, "ada").await.id;
    let given =
        async || store.is_given(scope, "ada@example.test".into(), Feature::Timeline).await.unwrap();
    assert!(given().await);
    let rule = EnrollmentRule { licenses_enforced: true, ..EnrollmentRule::default() };
    store.set_enrollment_rule(scope, rule, NOW).await.unwrap();
    assert!(!given().await);
    for (plan, expected) in [(Plan::One, false), (Plan::Two, true)] {
        let licensee = Licensee::Person(ada);
        store.assign_license(scope, plan, licensee, true, NOW).await.unwrap();
        assert_eq!(given().await, expected);
    }
}

#[tokio::test]
async fn what_the_rule_refuses_is_noted_and_leaves_the_token_as_it_is() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let rule = EnrollmentRule { without_user: WithoutUser::Refused, ..EnrollmentRule::default() };
    store.set_enrollment_rule(scope, rule.clone(), NOW).await.unwrap();
    assert_eq!(store.enrollment_rule(scope).await.unwrap(), rule);
    assert_eq!(store.enrollment_rule(world.globex.scope).await.unwrap(), EnrollmentRule::default());
    store.create_enrollment_token(scope, [60; 32], later(DAY), NOW).await.unwrap();
    for _ in 0..3 {
        let refused = store.enroll([60; 32], new_device(60), NOW).await;
        assert!(matches!(refused, Err(EnrollError::NoUser)));
    }
    let refusals = store.refusals(scope, 10).await.unwrap();
    assert_eq!((refusals.len(), refusals[0].reason.as_str()), (3, "no-user"));
    assert_eq!((refusals[0].os.as_str(), refusals[0].person.as_ref()), ("iOS 18.1", None));
    assert!(store.refusals(world.globex.scope, 10).await.unwrap().is_empty());
    store.set_enrollment_rule(scope, EnrollmentRule::default(), NOW).await.unwrap();
    assert!(store.enroll([60; 32], new_device(60), NOW).await.is_ok());
}

#[tokio::test]
async fn only_the_same_key_or_the_same_hardware_of_the_same_person_is_replaced() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let (ada, eve) = (add(&world, "ada").await.id, add(&world, "eve").await.id);
    let device = |number: u8, key: u8, hardware: &str| NewDevice {
        key_thumbprint: [key; 32],
        hardware_id: hardware.into(),
        ..new_device(number)
    };
    let first = by_code(&world, Some(ada), 10, device(10, 10, "h")).await.unwrap();
    let is_out =
        async |device| store.device(scope.whole(), device).await.unwrap().offboarded_at.is_some();
    let other = by_code(&world, Some(eve), 11, device(11, 11, "h")).await.unwrap();
    assert!(!is_out(first).await);
    let second = by_code(&world, Some(ada), 12, device(12, 12, "h")).await.unwrap();
    assert!(is_out(first).await && !is_out(other).await);
    by_code(&world, Some(eve), 13, device(13, 12, "")).await.unwrap();
    assert!(is_out(second).await, "whoever has its key is that device");
    assert!(!is_out(other).await);
}
