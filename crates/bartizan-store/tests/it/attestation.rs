//! What vouches for a device's key, which system is too old, and which record took the place of which.

use bartizan_model::{Mode, UnixMillis};
use bartizan_store::{
    Attestation, DeviceFilter, DeviceReport, EnrollError, EnrollmentRule, NewDevice, OsVersion,
    Replacement, WithoutUser,
};

use super::directory::add;
use super::licenses::by_code;
use super::policy::report;
use crate::world::{DAY, NOW, World, new_device};

#[tokio::test]
async fn what_vouches_for_a_key_is_kept_and_found() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    for (number, attestation) in [(60, Attestation::Genuine), (61, Attestation::Development)] {
        let device = NewDevice { attestation: Ok(attestation), ..new_device(number) };
        let id = by_code(&world, None, number, device).await.unwrap();
        let row = store.device(scope.whole(), id).await.unwrap();
        assert_eq!((row.attestation, row.attested_at), (attestation, Some(NOW)));
        let filter = DeviceFilter { attestation: Some(attestation), ..DeviceFilter::default() };
        let found = store.devices(scope.whole(), filter, None, 9).await.unwrap();
        assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), [id]);
    }
    let row = store.device(scope.whole(), world.acme.device).await.unwrap();
    assert_eq!((row.attestation, row.attested_at), (Attestation::None, None));
}

#[tokio::test]
async fn what_does_not_vouch_is_refused_and_never_taken_for_nothing() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    store.create_enrollment_token(scope, [60; 32], UnixMillis(NOW.0 + DAY), NOW).await.unwrap();
    let enroll = async |attestation| {
        let device = NewDevice { attestation, ..new_device(60) };
        store.enroll([60; 32], device, NOW).await.map(|enrolled| enrolled.device)
    };
    let refused = enroll(Err("it is torn".into())).await.unwrap_err();
    assert!(matches!(&refused, EnrollError::BadAttestation { reason } if reason == "it is torn"));
    let rule = EnrollmentRule { attestation_required: true, ..EnrollmentRule::default() };
    store.set_enrollment_rule(scope, rule.clone(), NOW).await.unwrap();
    assert_eq!(store.enrollment_rule(scope).await.unwrap(), rule);
    assert!(matches!(enroll(Ok(Attestation::None)).await, Err(EnrollError::NoAttestation)));
    let refusals = store.refusals(scope, 9).await.unwrap();
    let reasons: Vec<_> = refusals.iter().map(|row| row.reason.as_str()).collect();
    assert_eq!(reasons, ["no-attestation", "bad-attestation it is torn"]);

    // Who was let in gets the same answer again, whatever is sent along.
    let id = enroll(Ok(Attestation::Genuine)).await.unwrap();
    assert_eq!(enroll(Err("it is old".into())).await.unwrap(), id);
    assert_eq!(store.device(scope.whole(), id).await.unwrap().attestation, Attestation::Genuine);
}

#[tokio::test]
async fn a_token_leads_to_its_organization_s_key() {
    let world = World::new().await;
    let store = &world.store;
    assert_eq!(store.signing_key_of_token([1; 32]).await.unwrap().0, [1; 32]);
    assert_eq!(store.signing_key_of_token([2; 32]).await.unwrap().0, [2; 32]);
    let unknown = store.signing_key_of_token([99; 32]).await;
    assert!(matches!(unknown, Err(EnrollError::Unknown)));
}

#[tokio::test]
async fn a_check_in_says_that_the_system_is_too_old() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let told = async |os_version: &str| {
        let report = DeviceReport { os_version: os_version.into(), ..report(Mode::Dns, 1) };
        store.check_in(acme.scope, acme.device, report, NOW).await.unwrap().outdated
    };
    assert_eq!(told("18.1").await, None);
    let from = EnrollmentRule::default().minimum_from;
    assert_eq!(told("15.8").await, Some((OsVersion(16, 0), from)));
    let from = UnixMillis(NOW.0 + DAY);
    let rule = EnrollmentRule {
        minimum_ios: OsVersion(19, 2),
        minimum_from: from,
        ..EnrollmentRule::default()
    };
    store.set_enrollment_rule(acme.scope, rule, NOW).await.unwrap();
    assert_eq!(told("18.1").await, Some((OsVersion(19, 2), from)), "before its day as well");
    assert_eq!(told("19.2").await, None);
    let other = store.check_in(world.globex.scope, world.globex.device, report(Mode::Dns, 1), NOW);
    assert_eq!(other.await.unwrap().outdated, None, "another organization's rule");
}

#[tokio::test]
async fn a_record_leads_to_what_took_its_place_and_back() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let ada = add(&world, "ada").await.id;
    let mut ids = Vec::new();
    for number in [10, 11, 12] {
        let device = NewDevice { hardware_id: "h".into(), ..new_device(number) };
        ids.push(by_code(&world, Some(ada), number, device).await.unwrap());
    }
    let at = async |id| store.replacement(scope, id).await.unwrap();
    let [first, second, third] = ids[..] else { panic!("{ids:?}") };
    let named = |number: u8, id| (id, format!("Phone {number}"));
    let middle = Replacement { later: Some(named(12, third)), earlier: vec![named(10, first)] };
    assert_eq!(at(second).await, middle);
    assert_eq!(at(first).await.later, Some(named(11, second)));
    assert_eq!(at(third).await, Replacement { later: None, earlier: vec![named(11, second)] });
    let foreign = store.replacement(world.globex.scope, second).await.unwrap();
    assert_eq!(foreign, Replacement::default());
    store.forget_device(scope.whole(), third, NOW).await.unwrap();
    assert_eq!(at(second).await.later, None);
}

#[tokio::test]
async fn a_shared_device_is_let_in_where_that_is_allowed_and_says_so() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let shared = |number| NewDevice { is_shared: true, ..new_device(number) };
    let ada = add(&world, "ada").await.id;
    for (number, owner) in [(20, None), (21, Some(ada))] {
        let refused = by_code(&world, owner, number, shared(number)).await;
        assert!(matches!(refused, Err(EnrollError::NoUser)), "{owner:?}");
    }
    let rule = EnrollmentRule { without_user: WithoutUser::Allowed, ..EnrollmentRule::default() };
    store.set_enrollment_rule(scope, rule, NOW).await.unwrap();
    for (number, owner) in [(22, None), (23, Some(ada))] {
        let id = by_code(&world, owner, number, shared(number)).await.unwrap();
        assert!(store.device(scope.whole(), id).await.unwrap().is_shared);
    }
    assert!(!store.device(scope.whole(), world.acme.device).await.unwrap().is_shared);
}
