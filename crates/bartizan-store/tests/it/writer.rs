//! Durability: group commit, failures beside each other, kills, closing.

use bartizan_model::DeviceId;
use bartizan_store::{AlertFilter, Store, StoreError};

use crate::world::{NOW, World, alert};

#[tokio::test]
async fn many_write_at_once_and_one_failure_hurts_nobody_else() {
    let world = World::new().await;
    let jobs: Vec<_> = (0..500_u32)
        .map(|number| {
            let (store, acme) = (world.store.clone(), world.acme);
            tokio::spawn(async move {
                let device = if number == 250 { DeviceId(77) } else { acme.device };
                let batch = vec![alert(u128::from(number), &format!("h{number}.test"), 0)];
                store.ingest_alerts(acme.scope, device, batch, NOW).await
            })
        })
        .collect();
    for (number, job) in jobs.into_iter().enumerate() {
        let result = job.await.unwrap();
        assert_eq!(result.is_err(), number == 250, "{number}: {result:?}");
    }
    assert_eq!(world.list(AlertFilter::default()).await.len(), 499);
}

/// A kill is what is on disk at some moment: copy the files under a running store and open the copy.
#[tokio::test]
async fn an_acknowledged_alert_survives_a_kill() {
    let world = World::new().await;
    for number in 0..20_u32 {
        world.ingest(alert(u128::from(number), &format!("h{number}.test"), 0), 0).await;
        if number % 5 != 0 {
            continue;
        }
        let other = tempfile::tempdir().unwrap();
        for name in ["portal.db", "portal.db-wal"] {
            std::fs::copy(world.dir.path().join(name), other.path().join(name)).unwrap();
        }
        let reopened = Store::open(&other.path().join("portal.db"), NOW).unwrap();
        let rows = reopened.alerts(world.acme.scope, AlertFilter::default(), None, 100).await;
        assert_eq!(rows.unwrap().len(), usize::try_from(number).unwrap() + 1);
        reopened.close().await;
    }
}

#[tokio::test]
async fn two_processes_may_share_the_file() {
    let world = World::new().await;
    let command_line = Store::open(&world.file(), NOW).unwrap();
    let tenant = command_line.create_tenant("INITECH", [3; 32], NOW).await.unwrap();
    assert!(world.store.tenant(tenant).await.is_ok());
    assert_eq!(
        command_line.access_token_key().await.unwrap().0,
        world.store.access_token_key().await.unwrap().0
    );
}

#[tokio::test]
async fn closing_finishes_what_was_asked_and_takes_no_more() {
    let world = World::new().await;
    let jobs: Vec<_> = (0..50_u32)
        .map(|number| {
            let (store, acme) = (world.store.clone(), world.acme);
            tokio::spawn(async move {
                let batch = vec![alert(u128::from(number), &format!("h{number}.test"), 0)];
                store.ingest_alerts(acme.scope, acme.device, batch, NOW).await
            })
        })
        .collect();
    tokio::task::yield_now().await;
    world.store.close().await;
    world.store.close().await;
    let mut durable = 0;
    for job in jobs {
        match job.await.unwrap() {
            Ok(_) => durable += 1,
            Err(error) => assert!(matches!(error, StoreError::Closed), "{error}"),
        }
    }
    assert!(matches!(world.store.check(NOW).await, Err(StoreError::Closed)));
    let log = std::fs::metadata(world.dir.path().join("portal.db-wal")).unwrap();
    assert_eq!(log.len(), 0, "the database file alone is whole");
    let reopened = Store::open(&world.file(), NOW).unwrap();
    assert!(reopened.check(NOW).await.is_ok());
    let rows = reopened.alerts(world.acme.scope, AlertFilter::default(), None, 100).await.unwrap();
    assert_eq!(rows.len(), durable);
}
