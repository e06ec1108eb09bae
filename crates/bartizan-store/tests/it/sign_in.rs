//! Signing in by a provider: whose it is, whom it means, and what ends.

use std::time::Duration;

use bartizan_model::{Private, UnixMillis};
use bartizan_store::{
    Arrival, Arrived, BuiltIn, IdentityProvider, MemberId, NewMember, NewSecondFactor, NewSession,
    SignInKey, SignInMethod, SignInRule, StoreError, TenantScope, Vouched,
};

use crate::world::{DAY, HOUR, NOW, World};

const ISSUER: &str = "https://id.acme.test";

#[tokio::test]
async fn a_sign_in_address_and_a_domain_are_one_organizations() {
    let world = World::new().await;
    let (store, acme, globex) = (&world.store, world.acme.scope, world.globex.scope);
    store.set_identity_provider(acme, provider(), NOW).await.unwrap();
    // Saved again, it is still theirs.
    store.set_identity_provider(acme, provider(), NOW).await.unwrap();
    assert_eq!(store.identity_provider(acme).await.unwrap().unwrap(), provider());
    assert_eq!(store.identity_provider(globex).await.unwrap(), None);
    for (kind, key) in [(SignInKey::Address, "acme"), (SignInKey::Domain, "acme.test")] {
        let place = store.sign_in_place(kind, key).await.unwrap().unwrap();
        assert_eq!((place.scope, place.tenant_name.as_str()), (acme, "ACME"));
    }
    for taken in [
        IdentityProvider { domains: vec!["globex.test".into()], ..provider() },
        IdentityProvider { address: "globex".into(), ..provider() },
    ] {
        let refused = store.set_identity_provider(globex, taken, NOW).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    }
    assert_eq!(store.sign_in_place(SignInKey::Domain, "globex.test").await.unwrap(), None);
    let roleless = IdentityProvider { roles: vec![("*".into(), "none".into())], ..provider() };
    let refused = store.set_identity_provider(acme, roleless, NOW).await;
    assert!(matches!(refused, Err(StoreError::NotFound { what: "role" })), "{refused:?}");

    let off = IdentityProvider { is_enabled: false, ..provider() };
    store.set_identity_provider(acme, off, NOW).await.unwrap();
    assert_eq!(store.sign_in_place(SignInKey::Address, "acme").await.unwrap(), None);
    store.remove_identity_provider(acme, NOW).await.unwrap();
    assert_eq!(store.identity_provider(acme).await.unwrap(), None);
}

#[tokio::test]
async fn somebody_is_known_by_subject_and_has_the_roles_of_their_groups() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme.scope);
    store.set_identity_provider(acme, provider(), NOW).await.unwrap();
    let arrive = async |arrival: Arrival| store.arrive(acme, arrival, NOW).await.unwrap();

    assert_eq!(arrive(arrival("s1", "new@acme.test", &["staff"])).await, Arrived::NoRole);
    let unverified = Arrival { is_email_verified: false, ..arrival("s1", "n@acme.test", &["soc"]) };
    assert_eq!(arrive(unverified).await, Arrived::NoEmail);
    let id = member(arrive(arrival("s1", "New@ACME.test", &["soc", "staff"])).await);
    let row = store.member(acme, id).await.unwrap();
    assert_eq!((row.email.as_str(), row.roles), ("new@acme.test", vec!["analyst".to_owned()]));
    // The subject stays, whatever the address.
    let again = member(arrive(arrival("s1", "other@acme.test", &["admins"])).await);
    assert_eq!(again, id);
    assert_eq!(store.member(acme, id).await.unwrap().roles, ["administrator"]);
    // Another subject with the same address is somebody else.
    assert_eq!(arrive(arrival("s2", "new@acme.test", &["soc"])).await, Arrived::Taken);
    let foreign = Arrival { issuer: "https://other.test".into(), ..arrival("s1", "", &["admins"]) };
    assert_eq!(arrive(foreign).await, Arrived::OtherProvider);
    assert_eq!(
        store.arrive(world.globex.scope, arrival("s1", "", &["soc"]), NOW).await.unwrap(),
        Arrived::OtherProvider
    );
    // Who has left every group is out, and their sessions are over.
    begin(&world, acme, id, 1, "s1", "sid").await;
    assert_eq!(arrive(arrival("s1", "", &[])).await, Arrived::NoRole);
    assert_eq!(store.session([1; 32], Duration::from_secs(60), NOW).await.unwrap(), None);
    store.set_member_disabled(acme, id, true, NOW).await.unwrap();
    assert_eq!(arrive(arrival("s1", "", &["soc"])).await, Arrived::Disabled);
}

#[tokio::test]
async fn unknown_people_wait_for_an_invitation_where_the_organization_says_so() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme.scope);
    let closed = IdentityProvider { admits_unknown: false, roles: Vec::new(), ..provider() };
    store.set_identity_provider(acme, closed, NOW).await.unwrap();
    let stranger = arrival("s1", "stranger@acme.test", &[]);
    assert_eq!(store.arrive(acme, stranger, NOW).await.unwrap(), Arrived::Unknown);
    // Without a table of groups, the roles are those given here.
    let invited = store.arrive(acme, arrival("s2", "admin@example.test", &[]), NOW).await.unwrap();
    assert_eq!(member(invited), world.acme.member);
    assert_eq!(store.member(acme, world.acme.member).await.unwrap().roles, ["administrator"]);
}

#[tokio::test]
async fn the_last_administrator_and_the_break_glass_account_are_not_the_providers() {
    let world = World::new().await;
    let (store, acme, admin) = (&world.store, world.acme.scope, world.acme.member);
    store.set_identity_provider(acme, provider(), NOW).await.unwrap();
    let demoted = arrival("s1", "admin@example.test", &["soc"]);
    assert_eq!(store.arrive(acme, demoted, NOW).await.unwrap(), Arrived::LastAdministrator);

    let strict = SignInRule { local_passwords: false, second_factor: false };
    let refused = store.set_sign_in_rule(acme, strict, NOW).await;
    assert!(matches!(refused, Err(StoreError::LastAdministrator)), "{refused:?}");
    store.set_break_glass(acme, admin, true, NOW).await.unwrap();
    store.set_sign_in_rule(acme, strict, NOW).await.unwrap();
    assert_eq!(store.sign_in_rule(acme).await.unwrap(), strict);
    assert_eq!(store.sign_in_rule(world.globex.scope).await.unwrap(), SignInRule::default());
    let refused = store.set_break_glass(acme, admin, false, NOW).await;
    assert!(matches!(refused, Err(StoreError::LastAdministrator)), "{refused:?}");
    let glass = arrival("s1", "admin@example.test", &["admins"]);
    assert_eq!(store.arrive(acme, glass, NOW).await.unwrap(), Arrived::Taken);

    let other = NewMember {
        email: "b@acme.test".into(),
        password_hash: Private("hash".into()),
        one_time_expires_at: UnixMillis(NOW.0 + DAY),
        roles: vec![BuiltIn::Analyst.id().into()],
    };
    store.add_member(acme, other, NOW).await.unwrap();
    let may = async |email: &str| {
        let found = store.members_by_email(email).await.unwrap();
        found.into_iter().find(|member| member.scope == acme).unwrap().may_use_password
    };
    assert!(may("admin@example.test").await && !may("b@acme.test").await);
}

#[tokio::test]
async fn a_logout_token_ends_what_it_names_and_is_obeyed_once() {
    let world = World::new().await;
    let (store, acme, globex) = (&world.store, world.acme, world.globex);
    let idle = Duration::from_secs(3_600);
    begin(&world, acme.scope, acme.member, 1, "s1", "a").await;
    begin(&world, acme.scope, acme.member, 2, "s1", "b").await;
    begin(&world, acme.scope, acme.member, 3, "s2", "c").await;
    begin(&world, globex.scope, globex.member, 4, "s1", "a").await;
    let until = UnixMillis(NOW.0 + HOUR);
    let out = async |token: u8, subject: Option<&str>, session: Option<&str>, now| {
        let (subject, session) = (subject.map(str::to_owned), session.map(str::to_owned));
        store.log_out_by_provider(acme.scope, [token; 32], until, subject, session, now).await
    };
    assert_eq!(out(1, Some("s2"), Some("a"), NOW).await.unwrap(), Some(0));
    assert_eq!(out(2, None, Some("a"), NOW).await.unwrap(), Some(1));
    assert_eq!(out(2, Some("s2"), None, NOW).await.unwrap(), None);
    assert_eq!(out(3, Some("s1"), None, NOW).await.unwrap(), Some(1));
    assert_eq!(store.session([2; 32], idle, NOW).await.unwrap(), None);
    let kept = store.session([3; 32], idle, NOW).await.unwrap().unwrap();
    assert_eq!(kept.method, SignInMethod::Provider);
    assert!(store.session([4; 32], idle, NOW).await.unwrap().is_some());
    // Forgotten once it is too old to be sent again.
    assert_eq!(out(2, Some("s9"), None, until).await.unwrap(), Some(0));
    // Without the provider nobody vouches for who came by it.
    store.set_identity_provider(acme.scope, provider(), NOW).await.unwrap();
    store.remove_identity_provider(acme.scope, NOW).await.unwrap();
    assert_eq!(store.session([3; 32], idle, NOW).await.unwrap(), None);
}

#[tokio::test]
async fn a_second_factor_is_used_once_a_step_and_slows_guessing() {
    let world = World::new().await;
    let (store, acme, globex) = (&world.store, world.acme, world.globex);
    let (scope, member) = (acme.scope, acme.member);
    let factor = |step| NewSecondFactor {
        secret: Private(vec![7]),
        step,
        recovery_codes: vec![[1; 32], [2; 32]],
    };
    let strict = SignInRule { local_passwords: true, second_factor: true };
    store.set_sign_in_rule(scope, strict, NOW).await.unwrap();
    let session = NewSession {
        member,
        token_hash: [9; 32],
        expires_at: UnixMillis(NOW.0 + DAY),
        agent: String::new(),
        method: SignInMethod::Password,
        vouched: None,
    };
    store.create_session(scope, session, NOW).await.unwrap();
    let idle = Duration::from_secs(3_600);
    let needs = async || {
        store.session([9; 32], idle, NOW).await.unwrap().map(|row| row.needs_second_factor)
    };
    assert_eq!(needs().await, Some(true));
    store.enroll_second_factor(scope, member, factor(10), [9; 32], NOW).await.unwrap();
    assert_eq!(needs().await, Some(false), "this session has shown it");
    let twice = store.enroll_second_factor(scope, member, factor(11), [9; 32], NOW).await;
    assert!(matches!(twice, Err(StoreError::Conflict { .. })), "{twice:?}");
    assert!(store.second_factor(globex.scope, member).await.unwrap().is_none());

    assert!(!store.use_step(scope, member, 10).await.unwrap());
    assert!(store.use_step(scope, member, 12).await.unwrap());
    assert!(!store.use_step(scope, member, 11).await.unwrap());
    assert!(!store.use_step(globex.scope, member, 13).await.unwrap());
    assert!(store.use_recovery_code(scope, member, [1; 32], NOW).await.unwrap());
    assert!(!store.use_recovery_code(scope, member, [1; 32], NOW).await.unwrap());
    assert!(!store.use_recovery_code(globex.scope, member, [2; 32], NOW).await.unwrap());
    let row = store.second_factor(scope, member).await.unwrap().unwrap();
    assert_eq!((row.last_step, row.codes_left, row.secret.0), (12, 1, vec![7]));

    let attempt = async |now| store.try_second_factor(scope, member, now).await.unwrap();
    let mut now = NOW;
    for _ in 0..5 {
        assert_eq!(attempt(now).await, Ok(()));
    }
    for wait in [30, 60, 120, 240, 480, 900, 900] {
        assert_eq!(attempt(now).await, Err(Duration::from_secs(wait)));
        now = UnixMillis(now.0 + wait * 1_000);
        assert_eq!(attempt(now).await, Ok(()));
    }
    assert!(store.use_step(scope, member, 14).await.unwrap());
    assert_eq!(attempt(now).await, Ok(()), "success forgets failures");

    let foreign = store.remove_second_factor(globex.scope, member, false, NOW).await;
    assert!(matches!(foreign, Err(StoreError::NotFound { .. })), "{foreign:?}");
    store.remove_second_factor(scope, member, false, NOW).await.unwrap();
    assert_eq!(needs().await, None, "their sessions have ended");
    assert!(store.second_factor(scope, member).await.unwrap().is_none());
}

async fn begin(
    world: &World,
    scope: TenantScope,
    member: MemberId,
    token: u8,
    subject: &str,
    session: &str,
) {
    let vouched = Vouched { subject: subject.into(), session: Some(session.into()) };
    let session = NewSession {
        member,
        token_hash: [token; 32],
        expires_at: UnixMillis(NOW.0 + DAY),
        agent: String::new(),
        method: SignInMethod::Provider,
        vouched: Some(vouched),
    };
    world.store.create_session(scope, session, NOW).await.unwrap();
}

#[track_caller]
fn member(arrived: Arrived) -> MemberId {
    let Arrived::Member { id, .. } = arrived else { panic!("{arrived:?}") };
    id
}

fn arrival(subject: &str, email: &str, groups: &[&str]) -> Arrival {
    Arrival {
        issuer: ISSUER.into(),
        subject: subject.into(),
        email: Some(email.into()),
        is_email_verified: true,
        name: None,
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

fn provider() -> IdentityProvider {
    IdentityProvider {
        name: "ACME ID".into(),
        address: "acme".into(),
        issuer: ISSUER.into(),
        client_id: "bartizan".into(),
        client_secret: Some(Private(vec![1, 2, 3])),
        scopes: "openid email".into(),
        group_claim: "groups".into(),
        trusts_email: false,
        admits_unknown: true,
        allow_private: false,
        is_enabled: true,
        domains: vec!["acme.test".into()],
        roles: vec![
            ("admins".into(), BuiltIn::Administrator.id().into()),
            ("soc".into(), BuiltIn::Analyst.id().into()),
        ],
    }
}
