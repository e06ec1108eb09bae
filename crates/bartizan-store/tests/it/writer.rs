//! Durability: group commit, failures beside each other, kills, closing.

use bartizan_model::DeviceId;
use bartizan_store::{AlertFilter, StoreError};

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

#[tokio::test]
async fn two_processes_may_share_the_file() {
    let world = World::new().await;
    let command_line = world.open_again().unwrap();
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
    let reopened = world.open_again().unwrap();
    assert!(reopened.check(NOW).await.is_ok());
    let rows =
        reopened.alerts(world.acme.scope.whole(), AlertFilter::default(), None, 100).await.unwrap();
    assert_eq!(rows.len(), durable);
}
