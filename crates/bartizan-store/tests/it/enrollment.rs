//! Enrollment tokens, members, sessions.

use std::time::Duration;

use bartizan_model::{DeviceId, Private, UnixMillis};
use bartizan_store::{
    AuditFilter, AuditPlace, DeviceFilter, EnrollError, NewDevice, NewMember, NewSession,
    SignInMethod, merkle,
};

use crate::world::{DAY, HOUR, NOW, World, new_device};

const IDLE: Duration = Duration::from_secs(1_800);

#[tokio::test]
async fn a_token_lets_one_of_many_in() {
    let world = World::new().await;
    let later = UnixMillis(NOW.0 + DAY);
    world.store.create_enrollment_token(world.acme.scope, [50; 32], later, NOW).await.unwrap();
    let tries: Vec<_> = (100..120)
        .map(|number| {
            let store = world.store.clone();
            tokio::spawn(async move { store.enroll([50; 32], new_device(number), NOW).await })
        })
        .collect();
    let mut won = 0;
    for attempt in tries {
        match attempt.await.unwrap() {
            Ok(enrolled) => {
                assert_eq!(
                    (enrolled.scope, enrolled.tenant_name.as_str()),
                    (world.acme.scope, "ACME")
                );
                won += 1;
            }
            Err(error) => assert!(matches!(error, EnrollError::Used), "{error}"),
        }
    }
    assert_eq!(won, 1);
    let devices = world
        .store
        .devices(world.acme.scope.whole(), DeviceFilter::default(), None, 100)
        .await
        .unwrap();
    assert_eq!(devices.len(), 2);
}

#[tokio::test]
async fn the_same_key_gets_the_same_answer_again() {
    let world = World::new().await;
    let mut again = new_device(1);
    again.id = DeviceId(1_000);
    let enrolled = world.store.enroll([1; 32], again, UnixMillis(NOW.0 + 2 * DAY)).await.unwrap();
    assert_eq!(enrolled.device, world.acme.device);
    let stranger = world.store.enroll([1; 32], new_device(7), NOW).await;
    assert!(matches!(stranger, Err(EnrollError::Used)));
}

#[tokio::test]
async fn a_token_that_is_unknown_or_over_lets_nobody_in() {
    let world = World::new().await;
    let refused = world.store.enroll([60; 32], new_device(7), NOW).await;
    assert!(matches!(refused, Err(EnrollError::Unknown)));
    world.store.create_enrollment_token(world.acme.scope, [60; 32], NOW, NOW).await.unwrap();
    let refused = world.store.enroll([60; 32], new_device(7), NOW).await;
    assert!(matches!(refused, Err(EnrollError::Expired)));
}

#[tokio::test]
async fn many_at_once_are_answered_each_as_if_it_came_alone() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let later = UnixMillis(NOW.0 + DAY);
    let before = store.audit_tree(scope).await.unwrap().size;
    store
        .create_enrollment_tokens(scope, (20..60).map(|n| [n; 32]).collect(), later, NOW)
        .await
        .unwrap();
    store.create_enrollment_token(scope, [60; 32], NOW, NOW).await.unwrap();
    store.create_enrollment_token(world.globex.scope, [61; 32], later, NOW).await.unwrap();
    let same_key = |number: u8, key: u8| {
        let key_thumbprint = new_device(key).key_thumbprint;
        NewDevice { key_thumbprint, ..new_device(number) }
    };
    let mut asking: Vec<(u8, _)> = (20..50).map(|number| (number, new_device(number))).collect();
    asking.push((20, same_key(120, 20)));
    asking.push((21, new_device(121)));
    asking.push((50, same_key(122, 22)));
    asking.extend([60, 61, 62].map(|number| (number, new_device(number))));
    let answers = asking.into_iter().map(|(token, device)| store.enroll([token; 32], device, NOW));
    let answers = futures_util::future::join_all(answers).await;
    let [fresh @ .., again, used, other, expired, foreign, unknown] = answers.as_slice() else {
        panic!("{answers:?}");
    };
    for answer in fresh {
        assert_eq!(answer.as_ref().unwrap().scope, scope);
    }
    assert_eq!(again.as_ref().unwrap().device, fresh[0].as_ref().unwrap().device);
    assert!(matches!(used, Err(EnrollError::Used)));
    assert!(matches!(expired, Err(EnrollError::Expired)));
    assert_eq!(foreign.as_ref().unwrap().scope, world.globex.scope);
    assert!(matches!(unknown, Err(EnrollError::Unknown)));

    let replaced = fresh[2].as_ref().unwrap().device;
    let row = store.device(scope.whole(), replaced).await.unwrap();
    assert_eq!(row.offboarded_at, Some(NOW), "its key came again by another token");
    let replacement = store.replacement(scope, replaced).await.unwrap();
    assert_eq!(replacement.later.unwrap().0, other.as_ref().unwrap().device);
    let tree = store.audit_tree(scope).await.unwrap();
    assert_eq!(tree.size - before, 40 + 1 + 31, "an entry for each token and each device");
    let entries = store.audit(scope, AuditFilter::default(), AuditPlace::Newest, 31).await.unwrap();
    let mut let_in: Vec<_> = entries.iter().map(|row| row.entry.actor.clone()).collect();
    assert!(entries.iter().all(|row| row.entry.action == "device.enroll"));
    assert!(entries.iter().all(|row| row.entry.actor.id == row.entry.object.id));
    let_in.sort_by(|one, other| one.id.cmp(&other.id));
    let_in.dedup();
    assert_eq!(let_in.len(), 31);
    let numbers: Vec<_> = entries.iter().map(|row| row.entry.seq).collect();
    let proofs = store.audit_inclusion(scope, numbers, tree.size).await.unwrap();
    for (row, proof) in entries.iter().zip(&proofs) {
        assert!(merkle::is_included(&row.leaf, row.entry.seq, tree.size, proof, &tree.root));
    }
}

#[tokio::test]
async fn a_session_ends_by_time_by_idleness_by_hand_and_with_a_new_password() {
    let world = World::new().await;
    let store = &world.store;
    let at = |ms| UnixMillis(NOW.0 + ms);
    let minute = 60_000;
    let begin = async |hash| {
        let session = NewSession {
            member: world.acme.member,
            token_hash: hash,
            expires_at: at(12 * HOUR),
            agent: String::new(),
            method: SignInMethod::Password,
            vouched: None,
        };
        store.create_session(world.acme.scope, session, NOW).await.unwrap();
    };
    let stands = async |hash, ms| store.session(hash, IDLE, at(ms)).await.unwrap().is_some();

    begin([1; 32]).await;
    let row = store.session([1; 32], IDLE, NOW).await.unwrap().unwrap();
    assert_eq!((row.tenant_name.as_str(), row.email.as_str()), ("ACME", "admin@example.test"));
    assert!(row.must_set_password);
    assert!(!stands([2; 32], 0).await);
    assert!(stands([1; 32], 29 * minute).await);
    assert!(!stands([1; 32], 30 * minute).await);
    store.touch_session(world.acme.scope, [1; 32], at(20 * minute)).await.unwrap();
    assert!(stands([1; 32], 49 * minute).await);
    store.touch_session(world.acme.scope, [1; 32], at(12 * HOUR)).await.unwrap();
    assert!(!stands([1; 32], 12 * HOUR).await);

    begin([2; 32]).await;
    store.end_session(world.globex.scope, [2; 32], NOW).await.unwrap();
    assert!(stands([2; 32], 0).await, "another tenant cannot end it");
    store.end_session(world.acme.scope, [2; 32], NOW).await.unwrap();
    assert!(!stands([2; 32], 0).await);

    begin([3; 32]).await;
    let hash = Private("own".to_owned());
    store.set_password(world.acme.scope, world.acme.member, hash, NOW).await.unwrap();
    assert!(!stands([3; 32], 0).await);
    begin([4; 32]).await;
    assert!(!store.session([4; 32], IDLE, NOW).await.unwrap().unwrap().must_set_password);

    let again = NewMember {
        email: "ADMIN@example.test ".into(),
        password_hash: Private("reset".into()),
        one_time_expires_at: at(DAY),
        roles: Vec::new(),
    };
    let same = store.invite_member(world.acme.scope, again, NOW).await.unwrap();
    assert_eq!(same, world.acme.member);
    assert!(!stands([4; 32], 0).await, "a reset ends what is under way");
}
