//! The audit log: every change has its entry, provably; people, their roles and their sessions.

use std::time::Duration;

use bartizan_model::{Private, UnixMillis};
use bartizan_store::merkle::{self, Growing};
use bartizan_store::{
    AuditFilter, AuditHeadRow, AuditPlace, AuditRow, BuiltIn, Named, NewMember, NewPolicyVersion,
    NewRole, NewSession, Permission, Permissions, SignInMethod, StoreError,
};

use crate::world::{DAY, NOW, World};

#[tokio::test]
async fn a_change_and_its_entry_are_one() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let before = store.audit_tree(scope).await.unwrap();
    let policy = NewPolicyVersion {
        settings: r#"{"BartizanMode":"off"}"#.into(),
        note: String::new(),
        changed_by: String::new(),
        percent: 100,
    };
    store.add_policy_version(scope, None, policy, NOW).await.unwrap();
    let unknown = store.remove_own_domain(scope, "nowhere.test", NOW).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })));

    let after = store.audit_tree(scope).await.unwrap();
    assert_eq!(after.size, before.size + 1, "what failed leaves no entry");
    let newest = store.audit(scope, AuditFilter::default(), AuditPlace::Newest, 1).await.unwrap();
    assert_eq!(newest[0].entry.action, "policy.change");
    assert_eq!(newest[0].entry.actor.kind, "command-line");
    assert_eq!(newest[0].entry.detail["settings"], r#"{"BartizanMode":"off"}"#);

    let other = store.audit(world.globex.scope, AuditFilter::default(), AuditPlace::Newest, 99);
    assert!(other.await.unwrap().iter().all(|row| row.entry.action != "policy.change"));
}

#[tokio::test]
async fn the_entries_give_the_root_and_each_is_proven() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    for number in 0..11 {
        store.add_own_domain(scope, &format!("n{number}.test"), NOW).await.unwrap();
    }
    let tree = store.audit_tree(scope).await.unwrap();
    let rows = all(&world).await;
    let mut growing = Growing::default();
    for row in &rows {
        assert_eq!(merkle::leaf_hash(&row.entry.leaf()), row.leaf);
        growing.push(row.leaf);
    }
    assert_eq!((growing.size(), growing.root()), (tree.size, tree.root));
    let numbers: Vec<_> = rows.iter().map(|row| row.entry.seq).collect();
    let proofs = store.audit_inclusion(scope, numbers, tree.size).await.unwrap();
    for (row, proof) in rows.iter().zip(&proofs) {
        assert!(merkle::is_included(&row.leaf, row.entry.seq, tree.size, proof, &tree.root));
    }
}

#[tokio::test]
async fn a_log_that_grew_wants_a_head() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    assert!(store.unsigned_audits().await.unwrap().contains(&scope));
    let size = store.audit_tree(scope).await.unwrap().size;
    let head = AuditHeadRow { size, at: NOW, note: "a note".into() };
    store.keep_audit_head(scope, head.clone()).await.unwrap();
    assert!(!store.unsigned_audits().await.unwrap().contains(&scope));
    assert_eq!(store.audit_heads(scope, 9).await.unwrap(), [head]);
}

#[tokio::test]
async fn entries_are_found_by_what_is_asked() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    for (number, hours) in [(1, 1), (2, 2), (3, 3)] {
        let at = UnixMillis(NOW.0 + hours * 3_600_000);
        store.add_own_domain(scope, &format!("n{number}.test"), at).await.unwrap();
    }
    let added = AuditFilter { action: Some("own-domain.add".into()), ..AuditFilter::default() };
    check(&world, added.clone(), &["n3.test", "n2.test", "n1.test"]).await;
    let at = |hours: u64| Some(UnixMillis(NOW.0 + hours * 3_600_000));
    check(&world, AuditFilter { from: at(2), ..added.clone() }, &["n3.test", "n2.test"]).await;
    check(&world, AuditFilter { until: at(3), ..added.clone() }, &["n2.test", "n1.test"]).await;
    check(&world, AuditFilter { from: at(9), ..added.clone() }, &[]).await;
    let named = |kind: &str, id: &str| Some(Named { kind: kind.into(), id: id.into() });
    let one = AuditFilter { object: named("own-domain", "n2.test"), ..AuditFilter::default() };
    check(&world, one, &["n2.test"]).await;
    check(&world, AuditFilter { actor: named("member", ""), ..added }, &[]).await;
}

#[tokio::test]
async fn erasing_a_person_keeps_the_proof() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let member = store.add_member(scope, person("b@example.test", "analyst"), NOW).await.unwrap();
    let before = store.audit_tree(scope).await.unwrap();
    let said = all(&world).await.pop().unwrap();
    assert!(said.personal[0].as_ref().unwrap().body.contains("b@example.test"));
    store.erase_member(scope, member, NOW).await.unwrap();

    let rows = all(&world).await;
    assert!(
        rows.iter()
            .flat_map(|row| row.personal.iter().flatten())
            .all(|it| !it.body.contains("b@example.test"))
    );
    let mut growing = Growing::default();
    rows.iter().take(usize::try_from(before.size).unwrap()).for_each(|row| growing.push(row.leaf));
    assert_eq!(growing.root(), before.root);
    assert_eq!(store.member(scope, member).await.unwrap().name, "Erased person");
    assert!(store.members_by_email("b@example.test").await.unwrap().is_empty());
}

#[tokio::test]
async fn somebody_stays_an_administrator() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let read_only = vec![BuiltIn::ReadOnly.id().to_owned()];
    let last = |result: Result<(), StoreError>| {
        assert!(matches!(result, Err(StoreError::LastAdministrator)));
    };
    last(store.set_member_roles(acme.scope, acme.member, read_only.clone(), NOW).await);
    last(store.set_member_disabled(acme.scope, acme.member, true, NOW).await);
    last(store.erase_member(acme.scope, acme.member, NOW).await);
    let other =
        store.add_member(acme.scope, person("b@example.test", "administrator"), NOW).await.unwrap();
    store.set_member_roles(acme.scope, acme.member, read_only, NOW).await.unwrap();
    last(store.set_member_disabled(acme.scope, other, true, NOW).await);
    assert_eq!(store.member(acme.scope, acme.member).await.unwrap().roles, ["read-only"]);
}

#[tokio::test]
async fn roles_decide_at_once_and_disabling_ends_sessions() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let role = NewRole {
        name: "Night shift".into(),
        description: String::new(),
        permissions: Permissions::of(&[Permission::ViewData]),
        device_groups: None,
    };
    let id = store.create_role(scope, role.clone(), NOW).await.unwrap();
    let member = store.add_member(scope, person("b@example.test", &id), NOW).await.unwrap();
    let session = NewSession {
        member,
        token_hash: [7; 32],
        expires_at: UnixMillis(NOW.0 + DAY),
        agent: "Browser".into(),
        method: SignInMethod::Password,
        vouched: None,
    };
    store.create_session(scope, session, NOW).await.unwrap();
    let idle = Duration::from_secs(60);
    let may = async || {
        let session = store.session([7; 32], idle, NOW).await.unwrap();
        session.map(|session| session.permissions)
    };
    assert_eq!(may().await, Some(role.permissions));
    let more = Permissions::of(&[Permission::ViewData, Permission::Enrollment]);
    store.set_role(scope, &id, NewRole { permissions: more, ..role.clone() }, NOW).await.unwrap();
    assert_eq!(may().await, Some(more));
    let taken = store.create_role(scope, NewRole { name: "Analyst".into(), ..role }, NOW).await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })));

    let open = store.sessions(scope, member, idle, NOW).await.unwrap();
    assert_eq!((open.len(), open[0].agent.as_str()), (1, "Browser"));
    store.set_member_disabled(scope, member, true, NOW).await.unwrap();
    assert_eq!(may().await, None);
    assert_eq!(store.sessions(scope, member, idle, NOW).await.unwrap(), []);
    store.remove_role(scope, &id, NOW).await.unwrap();
    assert!(store.member(scope, member).await.unwrap().roles.is_empty());
}

#[tokio::test]
async fn people_and_roles_of_another_tenant_are_not_found() {
    let world = World::new().await;
    let (store, acme, globex) = (&world.store, world.acme, world.globex);
    let role = NewRole {
        name: "Own".into(),
        description: String::new(),
        permissions: Permissions::default(),
        device_groups: None,
    };
    let id = store.create_role(acme.scope, role.clone(), NOW).await.unwrap();
    let not_found = |result: Result<(), StoreError>| {
        assert!(matches!(result, Err(StoreError::NotFound { .. })), "{result:?}");
    };
    not_found(store.member(globex.scope, acme.member).await.map(|_| ()));
    not_found(store.set_member_roles(globex.scope, acme.member, Vec::new(), NOW).await);
    not_found(store.set_member_roles(globex.scope, globex.member, vec![id.clone()], NOW).await);
    not_found(store.set_member_disabled(globex.scope, acme.member, true, NOW).await);
    not_found(store.erase_member(globex.scope, acme.member, NOW).await);
    not_found(store.set_role(globex.scope, &id, role, NOW).await);
    not_found(store.remove_role(globex.scope, &id, NOW).await);
    not_found(store.revoke_session(globex.scope, acme.member, "x", NOW).await);
    let hash = Private(String::new());
    not_found(store.reset_password(globex.scope, acme.member, hash, NOW, NOW).await);
    assert!(store.roles(globex.scope).await.unwrap().iter().all(|role| role.is_built_in));
}

fn person(email: &str, role: &str) -> NewMember {
    NewMember {
        email: email.into(),
        password_hash: Private("hash".into()),
        one_time_expires_at: UnixMillis(NOW.0 + DAY),
        roles: vec![role.into()],
    }
}

async fn all(world: &World) -> Vec<AuditRow> {
    let filter = AuditFilter::default();
    world.store.audit(world.acme.scope, filter, AuditPlace::From(0), 999).await.unwrap()
}

async fn check(world: &World, filter: AuditFilter, expected: &[&str]) {
    let rows = world.store.audit(world.acme.scope, filter, AuditPlace::Newest, 99).await.unwrap();
    let found: Vec<_> = rows.iter().map(|row| row.entry.object.id.as_str()).collect();
    assert_eq!(found, expected);
}
