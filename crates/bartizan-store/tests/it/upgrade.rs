//! Databases of earlier versions, brought up to date.

use std::fs;

use bartizan_store::Store;
use rusqlite::Connection;

use crate::world::{NOW, World};

/// A database as the first four steps left it.
#[tokio::test]
async fn an_older_database_keeps_its_policies_and_devices() {
    let world = World::new().await;
    world.store.close().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("older.sqlite");
    let db = Connection::open(&file).unwrap();
    for step in ["0001_base", "0002_feeds", "0003_indicators", "0004_deltas"] {
        let path = format!("{}/migrations/sqlite/{step}.sql", env!("CARGO_MANIFEST_DIR"));
        db.execute_batch(&fs::read_to_string(path).unwrap()).unwrap();
    }
    db.execute("ATTACH ?1 AS now", [world.place.file.to_str().unwrap()]).unwrap();
    db.execute_batch(
        "CREATE TABLE refinery_schema_history AS
             SELECT * FROM now.refinery_schema_history WHERE version <= 4;
         DETACH now;
         INSERT INTO tenant VALUES (1, 'ACME', zeroblob(32), 5);
         INSERT INTO policy VALUES (1, 1, 'dns', 'block', 1, 900, 5), (1, 2, 'off', 'off', 0, 77, 6);
         INSERT INTO device VALUES (1, x'00000000000000000000000000000001', 'key', zeroblob(32), 'iOS', 'm', 'Phone', 7);
         INSERT INTO device_status VALUES
             (1, x'00000000000000000000000000000001', 8, 'dns', 'on', '18.1', '0.1.0', 9, NULL, 0, 0, 0, 0, 5);",
    )
    .unwrap();
    drop(db);

    let store = Store::open(file.as_path(), NOW).unwrap();
    let scope = store.tenant(world.acme.tenant).await.unwrap();
    let layer = store.policy_layer(scope, None).await.unwrap();
    let row = layer.in_force.unwrap();
    assert_eq!((row.number, row.epoch, row.percent), (2, 2, 100));
    assert_eq!(row.settings, MIGRATED);
    assert_eq!(store.policy_versions(scope, None, None, 9).await.unwrap().len(), 2);
    let row = store.device(scope, world.acme.device).await.unwrap();
    assert_eq!((row.policy_version, row.tenant_epoch), (9, Some(5)));
    assert_eq!((row.newest_policy_version, row.group), (2, None));
}

/// In canonical form, as a document is.
const MIGRATED: &str = r#"{"BartizanBlockEncryptedDns":false,"BartizanBlockPrivateRelay":false,"BartizanCheckinSeconds":77,"BartizanDnsFallback":true,"BartizanDnsUpstream":"system","BartizanMode":"off","BartizanStripEch":false,"BartizanWarnPassHours":24,"DefenderExcludeURLInReport":true,"WebProtection":false}"#;
