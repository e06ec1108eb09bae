//! Databases of earlier versions, brought up to date.

use std::fs;

use bartizan_store::{AlertFilter, Store};
use rusqlite::Connection;

use crate::world::{NOW, World, alert};

/// A database as the first four steps left it.
#[tokio::test]
async fn an_older_database_keeps_its_policies_devices_and_alerts() {
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
             (1, x'00000000000000000000000000000001', 8, 'dns', 'on', '18.1', '0.1.0', 9, NULL, 0, 0, 0, 0, 5);
         INSERT INTO alert (tenant_id, alert_id, device_id, detector, severity, category, title, host,
                            first_seen_at_ms, last_seen_at_ms, received_at_ms, count, indicator_epoch, status)
         SELECT 1, unhex(hex), x'00000000000000000000000000000001', 'web.phishing.blocked', 'Informational',
                'InitialAccess', 'Phishing site blocked', host, 1800000000000, 1800000000000, 1800000000000, 1, 1,
                status
         FROM (SELECT '0000000000000000000000000000000a' AS hex, 'a.test' AS host, 'New' AS status
               UNION ALL SELECT '0000000000000000000000000000000b', 'b.test', 'InProgress'
               UNION ALL SELECT '0000000000000000000000000000000c', NULL, 'Resolved');",
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
    let row = store.device(scope.whole(), world.acme.device).await.unwrap();
    assert_eq!((row.policy_version, row.tenant_epoch), (9, Some(5)));
    assert_eq!((row.newest_policy_version, row.group), (2, None));
    // Counters are made of what is there, and what was joined before is joined still.
    assert_eq!((row.unresolved.informational, row.unresolved.total()), (2, 2));
    assert_eq!(store.unresolved_alerts(scope.whole()).await.unwrap(), row.unresolved);
    store.ingest_alerts(scope, row.id, vec![alert(9, "b.test", 0)], NOW).await.unwrap();
    let alerts = store.alerts(scope.whole(), AlertFilter::default(), None, 10).await.unwrap();
    let mut counts: Vec<_> = alerts.iter().map(|alert| alert.count).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 1, 2]);
}

/// In canonical form, as a document is.
const MIGRATED: &str = r#"{"BartizanBlockEncryptedDns":false,"BartizanBlockPrivateRelay":false,"BartizanCheckinSeconds":77,"BartizanDnsFallback":true,"BartizanDnsUpstream":"system","BartizanMode":"off","BartizanStripEch":false,"BartizanWarnPassHours":24,"DefenderExcludeURLInReport":true,"WebProtection":false}"#;
