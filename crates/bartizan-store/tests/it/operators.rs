//! Operators of an installation: what they see of tenants, how they enter one, and what goes with a tenant.

use std::time::Duration;

use bartizan_model::{Private, TenantId, UnixMillis};
use bartizan_store::{
    AuditFilter, AuditPlace, BuiltIn, MemberId, NewMember, NewSession, NewVisit, OperatorScope,
    Permission, SignInMethod, Store, StoreError, TenantCursor, TenantScope, VisitRefusal,
};

use crate::world::{DAY, HOUR, NOW, World, alert};

const IDLE: Duration = Duration::from_secs(1_800);

/// Adds an operator, and begins a session of theirs.
async fn operator(
    store: &Store,
    name: &str,
    role: BuiltIn,
    token: u8,
) -> (MemberId, OperatorScope) {
    let account = NewMember {
        email: name.into(),
        password_hash: Private("hash".into()),
        one_time_expires_at: UnixMillis(NOW.0 + DAY),
        roles: vec![role.id().into()],
    };
    let id = store.add_member(store.installation().scope(), account, NOW).await.unwrap();
    let credential = store.operators_by_name(name).await.unwrap().remove(0);
    let session = NewSession {
        member: id,
        token_hash: [token; 32],
        expires_at: UnixMillis(NOW.0 + 12 * HOUR),
        agent: String::new(),
        method: SignInMethod::SecondFactor,
        vouched: None,
    };
    store.create_session(credential.scope, session, NOW).await.unwrap();
    let (scope, _) = store.operator_session([token; 32], IDLE, NOW).await.unwrap().unwrap();
    (id, scope)
}

fn visit(tenant: TenantId, role: BuiltIn, own: u8, token: u8) -> NewVisit {
    NewVisit {
        tenant,
        role,
        reason: "They called.".into(),
        operator_session: [own; 32],
        token_hash: [token; 32],
        expires_at: UnixMillis(NOW.0 + HOUR),
        agent: String::new(),
    }
}

async fn actions(store: &Store, scope: TenantScope) -> Vec<String> {
    let rows = store.audit(scope, AuditFilter::default(), AuditPlace::From(0), 100).await.unwrap();
    rows.into_iter().map(|row| row.entry.action).collect()
}

#[tokio::test]
async fn operators_and_members_are_never_taken_for_each_other() {
    let world = World::new().await;
    let store = &world.store;
    let (_, root) = operator(store, "Root@Msp.Test", BuiltIn::Administrator, 1).await;
    assert!(root.is_administrator());
    assert_eq!(store.members_by_email("root@msp.test").await.unwrap().len(), 0);
    assert_eq!(store.operators_by_name("admin@example.test").await.unwrap().len(), 0);
    assert!(store.session([1; 32], IDLE, NOW).await.unwrap().is_none());
    let session = NewSession {
        member: world.acme.member,
        token_hash: [2; 32],
        expires_at: UnixMillis(NOW.0 + HOUR),
        agent: String::new(),
        method: SignInMethod::Password,
        vouched: None,
    };
    store.create_session(world.acme.scope, session, NOW).await.unwrap();
    assert!(store.session([2; 32], IDLE, NOW).await.unwrap().is_some());
    assert!(store.operator_session([2; 32], IDLE, NOW).await.unwrap().is_none());
    assert!(store.tenant(TenantId(0)).await.is_err(), "the installation is nobody's tenant");
    assert_eq!(store.tenants().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_list_shows_an_administrator_all_and_others_what_they_may_enter() {
    let world = World::new().await;
    world.ingest(alert(1, "evil.test", 0), 0).await;
    let store = &world.store;
    let (_, root) = operator(store, "root", BuiltIn::Administrator, 1).await;
    let (analyst_id, analyst) = operator(store, "ana", BuiltIn::ReadOnly, 2).await;
    assert!(!analyst.is_administrator());
    let made = store.operator_creates_tenant(root, "acorn".into(), [3; 32], NOW).await.unwrap();
    let taken = store.operator_creates_tenant(root, "Acme".into(), [3; 32], NOW).await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })));
    let names = async |by, contains: &str, after: TenantCursor| {
        let rows = store.operated_tenants(by, contains.into(), after, 9).await.unwrap();
        rows.into_iter().map(|row| row.name).collect::<Vec<_>>()
    };
    let first = TenantCursor::default;
    assert_eq!(names(root, "", first()).await, ["ACME", "acorn", "GLOBEX"]);
    let after = TenantCursor { name: "ACME".into(), id: world.acme.tenant.0 };
    assert_eq!(names(root, "", after).await, ["acorn", "GLOBEX"]);
    assert_eq!(names(root, "AC", first()).await, ["ACME", "acorn"]);
    assert_eq!(names(analyst, "", first()).await, [""; 0]);
    let acme = store.operated_tenant(root, world.acme.tenant).await.unwrap();
    assert_eq!((acme.devices, acme.unresolved, acme.role), (1, 1, None));
    let grant = Some(world.globex.tenant);
    store.grant_operator(root, analyst_id, grant, BuiltIn::Analyst, NOW).await.unwrap();
    assert_eq!(names(analyst, "", first()).await, ["GLOBEX"]);
    assert!(store.operated_tenant(analyst, made).await.is_err());
    let rows = store.operator_grants(root, analyst_id).await.unwrap();
    assert_eq!((rows.len(), rows[0].tenant, rows[0].role), (1, grant, BuiltIn::Analyst));
    store.rename_tenant(root, made, "Oak".into(), NOW).await.unwrap();
    assert_eq!(names(root, "oak", first()).await, ["Oak"]);
    let scope = store.tenant(made).await.unwrap();
    assert_eq!(actions(store, scope).await, ["tenant.create", "tenant.rename"]);
    assert!(actions(store, world.globex.scope).await.contains(&"operator.grant".into()));
}

#[tokio::test]
async fn an_operator_is_in_for_as_long_as_everybody_wants_it() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let (_, root) = operator(store, "root", BuiltIn::Administrator, 1).await;
    let (id, by) = operator(store, "ana", BuiltIn::ReadOnly, 2).await;
    let enter = async |role, token| {
        store.enter_tenant(by, visit(acme.tenant, role, 2, token), NOW).await.unwrap()
    };
    let is_in = async |token: u8, now: u64| {
        store.session([token; 32], IDLE, UnixMillis(now)).await.unwrap()
    };
    assert_eq!(enter(BuiltIn::ReadOnly, 10).await, Err(VisitRefusal::NotGranted));
    store.grant_operator(root, id, Some(acme.tenant), BuiltIn::Analyst, NOW).await.unwrap();
    let other = store.enter_tenant(by, visit(world.globex.tenant, BuiltIn::ReadOnly, 2, 10), NOW);
    assert_eq!(other.await.unwrap(), Err(VisitRefusal::NotGranted));
    assert_eq!(enter(BuiltIn::Administrator, 10).await, Err(VisitRefusal::NotGranted));
    let own = store.enter_tenant(by, visit(TenantId(0), BuiltIn::ReadOnly, 2, 10), NOW);
    assert_eq!(own.await.unwrap(), Err(VisitRefusal::NotGranted));

    enter(BuiltIn::ReadOnly, 10).await.unwrap();
    let row = is_in(10, NOW.0).await.unwrap();
    assert_eq!((row.scope, row.email.as_str()), (acme.scope, "operator ana"));
    assert!(row.permissions.has(Permission::ViewData));
    assert!(!row.permissions.has(Permission::AlertsInvestigation));
    assert_eq!(row.visit.unwrap().reason, "They called.");
    enter(BuiltIn::Analyst, 11).await.unwrap();
    let row = is_in(11, NOW.0).await.unwrap();
    assert!(row.permissions.has(Permission::AlertsInvestigation));
    let guest = row.member;
    assert_eq!(store.members(acme.scope).await.unwrap().len(), 2, "one stands for them");
    assert!(is_in(10, NOW.0 + HOUR).await.is_none(), "an hour, and no more");
    for (log, wanted) in [(acme.scope, 2), (root.scope(), 2)] {
        let all = actions(store, log).await;
        assert_eq!(all.iter().filter(|action| *action == "operator.enter").count(), wanted);
    }
    // Nobody becomes an operator's stand-in, and the stand-in gets nothing of its own.
    let later = UnixMillis(NOW.0 + DAY);
    let hash = || Private("hash".into());
    assert!(store.reset_password(acme.scope, guest, hash(), later, NOW).await.is_err());
    let roles = vec![BuiltIn::Administrator.id().into()];
    assert!(store.set_member_roles(acme.scope, guest, roles, NOW).await.is_err());
    assert_eq!(store.members_by_email("operator ana").await.unwrap().len(), 0);

    store.set_member_disabled(acme.scope, guest, true, NOW).await.unwrap();
    assert!(is_in(11, NOW.0).await.is_none());
    assert_eq!(enter(BuiltIn::ReadOnly, 12).await, Err(VisitRefusal::ShutOut));
    store.set_member_disabled(acme.scope, guest, false, NOW).await.unwrap();

    enter(BuiltIn::Analyst, 13).await.unwrap();
    store.set_admits_operators(acme.scope, false, NOW).await.unwrap();
    assert!(is_in(13, NOW.0).await.is_none());
    assert_eq!(enter(BuiltIn::ReadOnly, 14).await, Err(VisitRefusal::NotAdmitted));
    store.set_admits_operators(acme.scope, true, NOW).await.unwrap();
    assert!(is_in(13, NOW.0).await.is_some());

    store.suspend_tenant(root, acme.tenant, "Unpaid.".into(), NOW).await.unwrap();
    assert!(is_in(13, NOW.0).await.is_none());
    assert_eq!(enter(BuiltIn::ReadOnly, 15).await, Err(VisitRefusal::Suspended));
    store.resume_tenant(root, acme.tenant, NOW).await.unwrap();

    store.grant_operator(root, id, Some(acme.tenant), BuiltIn::ReadOnly, NOW).await.unwrap();
    assert!(is_in(13, NOW.0).await.is_none(), "with less than they had");
    enter(BuiltIn::ReadOnly, 16).await.unwrap();
    store.revoke_operator(root, id, Some(acme.tenant), NOW).await.unwrap();
    assert!(is_in(16, NOW.0).await.is_none());

    store.grant_operator(root, id, None, BuiltIn::Administrator, NOW).await.unwrap();
    enter(BuiltIn::Administrator, 17).await.unwrap();
    assert!(is_in(17, NOW.0).await.is_some());
    store.end_session(by.scope(), [2; 32], NOW).await.unwrap();
    assert!(is_in(17, NOW.0).await.is_none(), "it ends with their own");
}

#[tokio::test]
async fn a_suspended_tenant_lets_nobody_in_and_tells_devices() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let root = store.installation();
    store.suspend_tenant(root, acme.tenant, "Unpaid.".into(), NOW).await.unwrap();
    assert!(store.device_by_id(acme.device).await.unwrap().is_suspended);
    assert!(store.device_of_token(acme.tenant, acme.device).await.unwrap().is_suspended);
    assert!(!store.device_by_id(world.globex.device).await.unwrap().is_suspended);
    let found = store.members_by_email("admin@example.test").await.unwrap();
    let suspended: Vec<_> =
        found.iter().map(|one| (one.scope.tenant_id(), one.is_suspended)).collect();
    assert!(
        suspended.contains(&(acme.tenant, true))
            && suspended.contains(&(world.globex.tenant, false))
    );
    let member = found.iter().find(|one| one.is_suspended).unwrap();
    let begin = async || {
        let session = NewSession {
            member: member.id,
            token_hash: [9; 32],
            expires_at: UnixMillis(NOW.0 + 1_000),
            agent: String::new(),
            method: SignInMethod::Passkey,
            vouched: None,
        };
        store.create_session(acme.scope, session, NOW).await.unwrap()
    };
    assert!(!begin().await, "whatever they show");
    store.resume_tenant(root, acme.tenant, NOW).await.unwrap();
    assert!(!store.device_by_id(acme.device).await.unwrap().is_suspended);
    assert!(begin().await);
}

#[tokio::test]
async fn a_deleted_tenant_leaves_no_row_in_any_table() {
    let world = World::new().await;
    world.ingest(alert(1, "evil.test", 0), 0).await;
    let (store, acme) = (&world.store, world.acme);
    let (_, root) = operator(store, "root", BuiltIn::Administrator, 1).await;
    let last = store.operator_creates_tenant(root, "Last".into(), [3; 32], NOW).await.unwrap();
    let at = UnixMillis(NOW.0 + 30 * DAY);
    for tenant in [acme.tenant, last] {
        let early = store.ask_to_delete_tenant(root, tenant, at, NOW).await;
        assert!(matches!(early, Err(StoreError::Conflict { .. })), "suspended first");
        store.suspend_tenant(root, tenant, "Ended.".into(), NOW).await.unwrap();
        store.ask_to_delete_tenant(root, tenant, at, NOW).await.unwrap();
    }
    assert_eq!(store.tenants_to_delete(NOW).await.unwrap(), []);
    assert!(store.remove_tenant_rows(acme.scope, 9, NOW).await.is_err(), "not yet");
    let due = store.tenants_to_delete(at).await.unwrap();
    assert_eq!(due.len(), 2);
    for scope in due {
        let mut steps = 1;
        while store.remove_tenant_rows(scope, 7, at).await.unwrap() {
            steps += 1;
        }
        assert!(scope != acme.scope || 3 < steps, "a little at a time: {steps}");
        let left = store.rows_of_tenant(scope).await.unwrap();
        assert!(left.iter().all(|(_, rows)| *rows == 0), "{left:?}");
    }
    // What belongs to others stands.
    let left = store.rows_of_tenant(world.globex.scope).await.unwrap();
    assert!(5 < left.iter().filter(|(_, rows)| 0 < *rows).count(), "{left:?}");
    assert!(60 < left.len(), "every table: {}", left.len());
    assert_eq!(store.tenants().await.unwrap(), [(world.globex.tenant, "GLOBEX".to_owned())]);
    let next = store.operator_creates_tenant(root, "Next".into(), [4; 32], at).await.unwrap();
    assert!(last < next, "a number is given once");
    assert!(actions(store, root.scope()).await.contains(&"tenant.delete".into()));
}
