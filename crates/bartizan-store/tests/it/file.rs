//! SQLite's file: what a kill leaves of it, and that closing leaves it whole.

use bartizan_store::{AlertFilter, Store};

use crate::world::{NOW, World, alert};

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
            std::fs::copy(world.place.file.with_file_name(name), other.path().join(name)).unwrap();
        }
        let reopened = Store::open(other.path().join("portal.db").as_path(), NOW).unwrap();
        let rows =
            reopened.alerts(world.acme.scope.whole(), AlertFilter::default(), None, 100).await;
        assert_eq!(rows.unwrap().len(), usize::try_from(number).unwrap() + 1);
        reopened.close().await;
    }
}

#[tokio::test]
async fn closing_leaves_the_file_alone_whole() {
    let world = World::new().await;
    world.ingest(alert(1, "a.test", 0), 0).await;
    world.store.close().await;
    let log = std::fs::metadata(world.place.file.with_file_name("portal.db-wal")).unwrap();
    assert_eq!(log.len(), 0);
}
