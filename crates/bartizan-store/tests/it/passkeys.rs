//! Passkeys: whose they are, what an answer is good for, and what remains when they go.

use std::time::Duration;

use bartizan_model::{Private, UnixMillis};
use bartizan_store::{
    AuditFilter, AuditPlace, BuiltIn, MAX_PASSKEYS, MemberId, NewMember, NewPasskey, NewSession,
    PasskeyCredential, PasskeyUse, SignInMethod, SignInRule, SpentChallenge, StoreError,
    TenantScope,
};

use crate::world::{DAY, NOW, World};

const IDLE: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn a_passkey_is_added_renamed_and_removed_by_its_owner() {
    let world = World::new().await;
    let (store, acme, globex) = (&world.store, world.acme, world.globex);
    let (scope, member) = (acme.scope, acme.member);
    let strict = SignInRule { local_passwords: true, second_factor: true };
    store.set_sign_in_rule(scope, strict, NOW).await.unwrap();
    begin(&world, member, 9).await;
    let needs = async || {
        store.session([9; 32], IDLE, NOW).await.unwrap().map(|row| row.needs_second_factor)
    };
    assert_eq!(needs().await, Some(true));
    let id = add(&world, b"one", 1).await.unwrap();
    assert_eq!(needs().await, Some(false), "this session has shown it");
    let method = store.session([9; 32], IDLE, NOW).await.unwrap().unwrap().method;
    assert_eq!(method, SignInMethod::PasswordAndPasskey);

    // The question was answered; the credential is known, whoever has it.
    for (credential, challenge) in [(&b"two"[..], 1), (b"one", 2)] {
        let refused = add(&world, credential, challenge).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    }
    let there = store.passkeys(scope, member).await.unwrap();
    let [row] = &there[..] else { panic!("{there:?}") };
    assert_eq!((row.id, &row.credential[..], row.name.as_str()), (id, &b"one"[..], "Laptop"));
    assert_eq!((row.transports.join("+"), row.used_at), ("internal+hybrid".into(), None));
    assert!(store.passkeys(globex.scope, member).await.unwrap().is_empty());

    store.rename_passkey(scope, member, id, "Old laptop".into(), NOW).await.unwrap();
    assert_eq!(store.passkeys(scope, member).await.unwrap()[0].name, "Old laptop");
    let (other, foreign) = (globex.member, globex.scope);
    for (scope, member) in [(scope, other), (foreign, member), (foreign, other)] {
        let renamed = store.rename_passkey(scope, member, id, "Mine".into(), NOW).await;
        assert!(matches!(renamed, Err(StoreError::NotFound { .. })), "{renamed:?}");
        let removed = store.remove_passkey(scope, member, id, NOW).await;
        assert!(matches!(removed, Err(StoreError::NotFound { .. })), "{removed:?}");
    }
    store.remove_passkey(scope, member, id, NOW).await.unwrap();
    assert!(store.passkeys(scope, member).await.unwrap().is_empty());
    assert_eq!(actions(&world).await[..3], ["passkey.remove", "passkey.rename", "passkey.add"]);
}

#[tokio::test]
async fn an_answer_is_taken_once_and_a_count_never_goes_back() {
    let world = World::new().await;
    let (store, acme, globex) = (&world.store, world.acme, world.globex);
    add(&world, b"one", 1).await.unwrap();
    let find = async |tenant, member, credential: &[u8]| {
        store.passkey(tenant, member, credential.to_vec()).await.unwrap()
    };
    assert!(find(globex.tenant, acme.member, b"one").await.is_none());
    assert!(find(acme.tenant, globex.member, b"one").await.is_none());
    assert!(find(acme.tenant, acme.member, b"two").await.is_none());
    let found = find(acme.tenant, acme.member, b"one").await.unwrap();
    assert_eq!((found.scope, &found.public_key[..]), (acme.scope, &b"key"[..]));
    assert_eq!((found.is_disabled, found.may_sign_in), (false, true));

    let later = |by: u64| UnixMillis(NOW.0 + by);
    let answer = async |count, challenge, now| {
        store.use_passkey(&found, count, true, spent(challenge), now).await.unwrap()
    };
    assert_eq!(answer(5, 2, later(1)).await, PasskeyUse::Taken);
    assert_eq!(answer(6, 2, later(2)).await, PasskeyUse::Spent);
    for count in [5, 4, 0] {
        let challenge = 10 + u8::try_from(count).unwrap();
        assert_eq!(answer(count, challenge, later(3)).await, PasskeyUse::Cloned);
    }
    assert_eq!(actions(&world).await[0], "passkey.refuse");
    assert_eq!(answer(6, 3, later(4)).await, PasskeyUse::Taken);
    let row = &store.passkeys(acme.scope, acme.member).await.unwrap()[0];
    assert_eq!((row.used_at, row.is_backed_up), (Some(later(4)), true));
    // Forgotten once it could not be answered any more.
    assert_eq!(answer(7, 2, later(300_000)).await, PasskeyUse::Taken);

    // One that does not count says 0 always.
    add(&world, b"uncounted", 4).await.unwrap();
    let uncounted = find(acme.tenant, acme.member, b"uncounted").await.unwrap();
    for challenge in [5, 6] {
        let taken = store.use_passkey(&uncounted, 0, false, spent(challenge), NOW).await.unwrap();
        assert_eq!(taken, PasskeyUse::Taken);
    }
    let gone = PasskeyCredential { member: MemberId(1), ..uncounted };
    let refused = store.use_passkey(&gone, 0, false, spent(7), NOW).await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
}

#[tokio::test]
async fn whoever_may_not_sign_in_is_known_before_they_do() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let other = NewMember {
        email: "b@acme.test".into(),
        password_hash: Private("hash".into()),
        one_time_expires_at: UnixMillis(NOW.0 + DAY),
        roles: vec![BuiltIn::Administrator.id().into()],
    };
    let other = store.add_member(acme.scope, other, NOW).await.unwrap();
    add(&world, b"one", 1).await.unwrap();
    let told = async || {
        let found = store.passkey(acme.tenant, acme.member, b"one".to_vec()).await.unwrap();
        found.map(|found| (found.is_disabled, found.may_sign_in))
    };
    store.set_break_glass(acme.scope, other, true, NOW).await.unwrap();
    let rule = SignInRule { local_passwords: false, second_factor: false };
    store.set_sign_in_rule(acme.scope, rule, NOW).await.unwrap();
    assert_eq!(told().await, Some((false, false)), "the provider alone lets them in");
    store.set_member_disabled(acme.scope, acme.member, true, NOW).await.unwrap();
    assert_eq!(told().await, Some((true, false)));
    store.erase_member(acme.scope, acme.member, NOW).await.unwrap();
    assert_eq!(told().await, None, "they go with their owner");
}

#[tokio::test]
async fn an_administrator_takes_all_of_them_and_ends_the_sessions() {
    let world = World::new().await;
    let (store, acme, globex) = (&world.store, world.acme, world.globex);
    for number in 0..MAX_PASSKEYS {
        let number = u8::try_from(number).unwrap();
        add(&world, &[number], number).await.unwrap();
    }
    let full = add(&world, b"more", 99).await;
    assert!(matches!(full, Err(StoreError::Full { .. })), "{full:?}");
    begin(&world, acme.member, 9).await;
    let foreign = store.remove_passkeys(globex.scope, acme.member, NOW).await;
    assert!(matches!(foreign, Err(StoreError::NotFound { .. })), "{foreign:?}");
    let removed = store.remove_passkeys(acme.scope, acme.member, NOW).await.unwrap();
    assert_eq!(u64::try_from(removed).unwrap(), MAX_PASSKEYS);
    assert!(store.session([9; 32], IDLE, NOW).await.unwrap().is_none());
    assert_eq!(actions(&world).await[0], "passkey.remove-all");
}

async fn add(
    world: &World,
    credential: &[u8],
    challenge: u8,
) -> Result<bartizan_store::PasskeyId, StoreError> {
    let passkey = NewPasskey {
        credential: credential.to_vec(),
        site: "portal.test".into(),
        public_key: b"key".to_vec(),
        sign_count: 0,
        may_be_backed_up: true,
        is_backed_up: false,
        transports: vec!["internal".into(), "hybrid".into()],
        name: "Laptop".into(),
    };
    let (scope, member): (TenantScope, _) = (world.acme.scope, world.acme.member);
    world.store.add_passkey(scope, member, passkey, spent(challenge), [9; 32], NOW).await
}

fn spent(challenge: u8) -> SpentChallenge {
    SpentChallenge { hash: [challenge; 32], expires_at: UnixMillis(NOW.0 + 300_000) }
}

async fn begin(world: &World, member: MemberId, token: u8) {
    let session = NewSession {
        member,
        token_hash: [token; 32],
        expires_at: UnixMillis(NOW.0 + DAY),
        agent: String::new(),
        method: SignInMethod::Password,
        vouched: None,
    };
    world.store.create_session(world.acme.scope, session, NOW).await.unwrap();
}

/// Of ACME, newest first.
async fn actions(world: &World) -> Vec<String> {
    let all = AuditFilter::default();
    let rows = world.store.audit(world.acme.scope, all, AuditPlace::Newest, 99).await.unwrap();
    rows.into_iter().map(|row| row.entry.action).collect()
}
