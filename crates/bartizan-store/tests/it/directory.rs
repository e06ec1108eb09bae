//! Users, their groups, and the tokens of directories.

use bartizan_model::{DeviceId, UnixMillis};
use bartizan_store::{
    DeviceValue, DirectoryError, DirectoryField, DirectoryFilter, DirectoryMatch, DirectoryOrigin,
    GroupFacts, MemberChange, PersonEmail, PersonFacts, PersonId, PersonRow, StoreError,
};

use crate::world::{DAY, HOUR, NOW, World};

pub(crate) fn facts(user_name: &str) -> PersonFacts {
    PersonFacts {
        user_name: user_name.into(),
        emails: vec![PersonEmail {
            value: format!("{user_name}@Example.test"),
            kind: "work".into(),
            is_primary: true,
        }],
        ..PersonFacts::default()
    }
}

pub(crate) async fn add(world: &World, user_name: &str) -> PersonRow {
    let scope = world.acme.scope;
    let origin = DirectoryOrigin::Scim;
    world.store.create_person(scope, facts(user_name), origin, NOW).await.unwrap()
}

#[tokio::test]
async fn a_user_name_is_unique_in_its_tenant_in_any_case() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let ada = add(&world, "Ada").await;
    let origin = DirectoryOrigin::Hand;
    let again = store.create_person(scope, facts("aDA"), origin, NOW).await;
    assert!(matches!(again, Err(DirectoryError::Taken)));
    let elsewhere = store.create_person(world.globex.scope, facts("ada"), origin, NOW).await;
    let elsewhere = elsewhere.unwrap().id;
    assert_ne!(elsewhere, ada.id);
    let bob = add(&world, "bob").await;
    let taken = store.replace_person(scope, bob.id, facts("ADA"), None, NOW).await;
    assert!(matches!(taken, Err(DirectoryError::Taken)));
    let renamed = store.replace_person(scope, ada.id, facts("ADA"), Some(1), NOW).await.unwrap();
    assert_eq!((renamed.facts.user_name.as_str(), renamed.version), ("ADA", 2));
    let named = store.person_names(scope, [ada.id, bob.id, elsewhere].into()).await.unwrap();
    assert_eq!(named, [(ada.id, "ADA".into()), (bob.id, "bob".into())].into());
    let stale = store.replace_person(scope, ada.id, facts("a"), Some(1), NOW).await;
    assert!(matches!(stale, Err(DirectoryError::Changed)));
    let named = store.person_named(scope, "bob@example.test ".into()).await.unwrap();
    assert_eq!(named.id, bob.id);
}

#[tokio::test]
async fn another_tenant_finds_and_changes_nobody() {
    let world = World::new().await;
    let (store, other) = (&world.store, world.globex.scope);
    let ada = add(&world, "ada").await;
    let missing =
        |error: DirectoryError| matches!(error, DirectoryError::Store(StoreError::NotFound { .. }));
    assert!(store.person(other, ada.id).await.is_err());
    assert!(missing(store.replace_person(other, ada.id, facts("x"), None, NOW).await.unwrap_err()));
    assert!(missing(store.erase_person(other, ada.id, None, NOW).await.unwrap_err()));
    assert_eq!(store.people(other, None, 0, 10).await.unwrap(), (0, Vec::new()));
    assert!(store.people_page(other, String::new(), String::new(), 10).await.unwrap().is_empty());
    assert!(store.person_named(other, "ada".into()).await.is_err());
    let of = GroupFacts { display_name: "G".into(), external_id: String::new() };
    let origin = DirectoryOrigin::Hand;
    let foreign = store.create_person_group(other, of.clone(), vec![ada.id], origin, NOW).await;
    assert!(matches!(foreign, Err(DirectoryError::NoSuchMember(id)) if id == ada.id));
    let group = store.create_person_group(world.acme.scope, of.clone(), vec![ada.id], origin, NOW);
    let group = group.await.unwrap();
    let change = (of, vec![MemberChange::Replace(Vec::new())]);
    assert!(missing(
        store.change_person_group(other, group.id, change, None, NOW).await.unwrap_err()
    ));
    assert!(missing(store.delete_person_group(other, group.id, None, NOW).await.unwrap_err()));
    assert!(store.people_in_group(other, group.id, None, 10).await.unwrap().is_empty());
    assert!(store.person_groups_page(other, String::new(), None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn filters_find_by_every_field() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    for name in ["ada", "bob", "eve"] {
        add(&world, name).await;
    }
    let is = |field, how, value: &str| DirectoryFilter::Is(field, how, value.into());
    use DirectoryField as F;
    use DirectoryMatch as M;
    let rows = [
        (is(F::UserName, M::Equals, "ADA"), "ada"),
        (is(F::UserName, M::StartsWith, "b"), "bob"),
        (is(F::Email, M::Contains, "E@EX"), "eve"),
        (is(F::DisplayName, M::Present, ""), ""),
        (is(F::Active, M::Equals, "true"), "ada bob eve"),
        (is(F::Member, M::Equals, ""), ""),
        (
            DirectoryFilter::And(vec![
                is(F::UserName, M::Contains, "b"),
                DirectoryFilter::Not(Box::new(is(F::ExternalId, M::Present, ""))),
            ]),
            "bob",
        ),
        (
            DirectoryFilter::Or(vec![
                is(F::UserName, M::Equals, "eve"),
                is(F::UserName, M::Equals, "ada"),
            ]),
            "ada eve",
        ),
    ];
    for (filter, expected) in rows {
        let (total, found) = store.people(scope, Some(filter.clone()), 0, 10).await.unwrap();
        let names: Vec<_> = found.into_iter().map(|person| person.facts.user_name).collect();
        assert_eq!(names.join(" "), expected, "{filter:?}");
        assert_eq!(total, names.len() as u64);
    }
    assert!(is(F::Member, M::Equals, "").fits_people().is_err());
    assert!(is(F::Member, M::Equals, "").fits_groups().is_ok());
    assert!(is(F::Active, M::Contains, "t").fits_people().is_err());
    let page = store.people_page(scope, String::new(), "ADA".into(), 1).await.unwrap();
    assert_eq!(page[0].facts.user_name, "bob");
}

#[tokio::test]
async fn a_device_follows_its_person_and_loses_who_is_erased() {
    let world = World::new().await;
    let (store, scope, device) = (&world.store, world.acme.scope, world.acme.device);
    let ada = add(&world, "ada").await;
    let about = ("ada@example.test".to_owned(), DeviceValue::Normal);
    store.describe_device(scope.whole(), device, about, String::new(), NOW).await.unwrap();
    let devices = store.devices_of_person(scope.whole(), ada.id).await.unwrap();
    assert_eq!(devices.iter().map(|one| one.id).collect::<Vec<DeviceId>>(), [device]);
    store.replace_person(scope, ada.id, facts("lovelace"), None, NOW).await.unwrap();
    let row = store.device(scope.whole(), device).await.unwrap();
    assert_eq!(row.owner, "lovelace@example.test");
    let of = GroupFacts { display_name: "G".into(), external_id: String::new() };
    let group = store.create_person_group(scope, of, vec![ada.id], DirectoryOrigin::Hand, NOW);
    let group = group.await.unwrap();
    store.erase_person(scope, ada.id, None, NOW).await.unwrap();
    assert_eq!(store.device(scope.whole(), device).await.unwrap().owner, "");
    assert_eq!(store.person_group(scope, group.id).await.unwrap().members, 0);
    assert!(store.person(scope, ada.id).await.is_err());
}

#[tokio::test]
async fn members_of_a_group_come_and_go() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let mut ids = Vec::new();
    for name in ["ada", "bob", "eve"] {
        ids.push(add(&world, name).await.id);
    }
    let of = GroupFacts { display_name: "G".into(), external_id: String::new() };
    let group =
        store.create_person_group(scope, of.clone(), Vec::new(), DirectoryOrigin::Scim, NOW);
    let group = group.await.unwrap();
    let check = async |change: MemberChange, expected: &[PersonId], version: u64| {
        let change = (of.clone(), vec![change]);
        let after = store.change_person_group(scope, group.id, change, None, NOW).await.unwrap();
        let people = store.people_in_group(scope, group.id, None, 10).await.unwrap();
        let found: Vec<_> = people.into_iter().map(|(id, _)| id).collect();
        assert_eq!((found.as_slice(), after.version), (expected, version));
    };
    check(MemberChange::Add(vec![ids[0], ids[1]]), &ids[..2], 2).await;
    check(MemberChange::Add(vec![ids[0]]), &ids[..2], 2).await;
    check(MemberChange::Remove(vec![ids[0], PersonId(9)]), &ids[1..2], 3).await;
    check(MemberChange::Replace(ids.clone()), &ids, 4).await;
    let page = store.people_in_group(scope, group.id, Some(ids[0]), 1).await.unwrap();
    assert_eq!(page[0].0, ids[1]);
    assert_eq!(store.person(scope, ids[2]).await.unwrap().groups, [(group.id, "G".into())]);
}

#[tokio::test]
async fn a_token_of_a_directory_holds_until_it_expires_or_is_revoked() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let later = |by| UnixMillis(NOW.0 + by);
    let named = ("Entra".to_owned(), [7; 32]);
    let id = store.create_scim_token(scope, named, later(DAY), NOW).await.unwrap();
    let holds = async |tenant, at| store.scope_of_scim_token(tenant, [7; 32], at).await.unwrap();
    assert_eq!(holds(world.acme.tenant, NOW).await, Some(scope));
    assert_eq!(holds(world.globex.tenant, NOW).await, None);
    assert_eq!(holds(world.acme.tenant, later(DAY)).await, None);
    assert_eq!(store.scim_tokens(scope).await.unwrap()[0].last_used_at, Some(NOW));
    holds(world.acme.tenant, later(HOUR)).await;
    assert_eq!(store.scim_tokens(scope).await.unwrap()[0].last_used_at, Some(later(HOUR)));
    assert!(store.revoke_scim_token(world.globex.scope, id, NOW).await.is_err());
    store.revoke_scim_token(scope, id, NOW).await.unwrap();
    assert_eq!(holds(world.acme.tenant, NOW).await, None);
}
