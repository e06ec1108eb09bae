//! Databases of earlier versions, brought up to date.

use std::fs;

use bartizan_model::{AlertStatus, Mode, Policy, Severity};
use bartizan_store::{AlertFilter, Store};
use rusqlite::Connection;

use crate::world::{HOUR, NOW, World, alert};

/// A database as the first four steps leave it, with what a portal of that time kept.
#[tokio::test]
async fn an_older_database_keeps_its_policies_devices_and_alerts() {
    let world = World::new().await;
    for (id, host) in [(1, "a.test"), (2, "b.test"), (3, "c.test")] {
        world.ingest(alert(id, host, 0), 0).await;
    }
    let acme = world.acme;
    let keys: Vec<_> =
        world.list(AlertFilter::default()).await.iter().map(|alert| alert.key).collect();
    world
        .store
        .set_alert_status(acme.scope, keys[0], AlertStatus::Resolved, acme.member, NOW)
        .await
        .unwrap();
    world.store.close().await;
    let old = world.place.file.with_file_name("old.db");
    let db = Connection::open(&old).unwrap();
    db.execute_batch(&as_the_fourth_step_left_it(&world.place.file.display().to_string())).unwrap();
    db.execute_batch(
        "UPDATE policy SET mode = 'off', checkin_interval_s = 77 WHERE tenant_id = 1;
         UPDATE device_status SET policy_version = 9, tenant_epoch = 5 WHERE tenant_id = 1;",
    )
    .unwrap();
    drop(db);

    let store = Store::open(old.as_path(), NOW).unwrap();
    let before =
        Policy { version: 1, mode: Mode::Off, checkin_interval_s: 77, ..Policy::default() };
    assert_eq!(store.policy(acme.scope).await.unwrap(), before);
    assert_eq!(store.policy(world.globex.scope).await.unwrap().mode, Mode::Dns);
    let row = store.device(acme.scope, acme.device).await.unwrap();
    assert_eq!((row.policy_version, row.tenant_epoch), (9, Some(5)));
    // Counters are made of what is there, and what was joined before is joined still.
    assert_eq!(row.unresolved.informational, 2);
    let all = store.unresolved_alerts(acme.scope).await.unwrap();
    assert_eq!((all.total(), all.informational), (2, 2));
    let later = vec![alert(9, "b.test", HOUR)];
    store.ingest_alerts(acme.scope, acme.device, later, NOW).await.unwrap();
    let alerts = store.alerts(acme.scope, AlertFilter::default(), None, 10).await.unwrap();
    assert_eq!(alerts.len(), 3);
    assert!(
        alerts.iter().any(|alert| alert.count == 2 && alert.severity == Severity::Informational)
    );
}

/// The first four steps, and in their tables the rows of a newer database.
fn as_the_fourth_step_left_it(newer: &str) -> String {
    let mut batch = format!("ATTACH '{newer}' AS newer; BEGIN;\n");
    for step in ["0001_base", "0002_feeds", "0003_indicators", "0004_deltas"] {
        let path = format!("{}/migrations/sqlite/{step}.sql", env!("CARGO_MANIFEST_DIR"));
        batch += &fs::read_to_string(path).unwrap();
    }
    for (table, columns) in [
        ("installation", "id, access_token_key, checked_at_ms"),
        ("tenant", "tenant_id, name, signing_key, created_at_ms"),
        ("locator", "kind, key, tenant_id"),
        (
            "policy",
            "tenant_id, version, mode, web_protection, report_blocked_host, checkin_interval_s,
             created_at_ms",
        ),
        (
            "member",
            "tenant_id, member_id, email, name, password_hash, one_time_expires_at_ms, created_at_ms",
        ),
        (
            "device",
            "tenant_id, device_id, jwk, key_thumbprint, os, model, device_name, enrolled_at_ms",
        ),
        (
            "device_status",
            "tenant_id, device_id, last_seen_at_ms, mode, protection, os_version, app_version,
             policy_version, indicator_epoch, queries, blocked, dropped, alerts_lost, tenant_epoch",
        ),
        (
            "alert",
            "tenant_id, alert_id, device_id, detector, severity, category, title, host, matched,
             first_seen_at_ms, last_seen_at_ms, received_at_ms, count, indicator_epoch, status, status_by,
             status_at_ms, source, indicator_id, action",
        ),
    ] {
        batch += &format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM newer.{table};\n");
    }
    batch += "CREATE TABLE refinery_schema_history (
                  version int4 PRIMARY KEY, name VARCHAR(255), applied_on VARCHAR(255), checksum VARCHAR(255));
              INSERT INTO refinery_schema_history
                  SELECT * FROM newer.refinery_schema_history WHERE version < 5;
              COMMIT;";
    batch
}
