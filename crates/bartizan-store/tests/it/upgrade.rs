//! Databases of earlier versions, brought up to date.

use std::fs;

use bartizan_model::{Mode, Policy};
use rusqlite::Connection;

use crate::world::World;

/// A database from before the fifth step, as the first four leave it.
#[tokio::test]
async fn an_older_database_keeps_its_policies_and_devices() {
    let world = World::new().await;
    world.store.close().await;
    let db = Connection::open(&world.place.file).unwrap();
    db.execute_batch(&back_to_the_fourth_step()).unwrap();
    db.execute_batch(
        "UPDATE policy SET mode = 'off', checkin_interval_s = 77 WHERE tenant_id = 1;
         UPDATE device_status SET policy_version = 9, tenant_epoch = 5 WHERE tenant_id = 1;",
    )
    .unwrap();
    drop(db);

    let store = world.open_again().unwrap();
    let before =
        Policy { version: 1, mode: Mode::Off, checkin_interval_s: 77, ..Policy::default() };
    assert_eq!(store.policy(world.acme.scope).await.unwrap(), before);
    assert_eq!(store.policy(world.globex.scope).await.unwrap().mode, Mode::Dns);
    let row = store.device(world.acme.scope, world.acme.device).await.unwrap();
    assert_eq!((row.policy_version, row.tenant_epoch), (9, Some(5)));
}

/// Both tables with the columns and checks of the first four steps, and a history without the fifth.
fn back_to_the_fourth_step() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite/0001_base.sql");
    let base = fs::read_to_string(path).unwrap();
    let mut batch = String::from("BEGIN;\n");
    for (table, columns) in [
        (
            "policy",
            "tenant_id, version, mode, web_protection, report_blocked_host, checkin_interval_s,
             created_at_ms",
        ),
        (
            "device_status",
            "tenant_id, device_id, last_seen_at_ms, mode, protection, os_version, app_version,
             policy_version, indicator_epoch, queries, blocked, dropped, alerts_lost",
        ),
    ] {
        let create = format!("CREATE TABLE {table} (");
        let (_, rest) = base.split_once(&create).unwrap();
        let (columns_and_checks, _) = rest.split_once(';').unwrap();
        batch += &format!(
            "CREATE TEMP TABLE kept AS SELECT {columns} FROM {table};
             DROP TABLE {table};
             {create}{columns_and_checks};
             INSERT INTO {table} ({columns}) SELECT {columns} FROM kept;
             DROP TABLE kept;\n"
        );
    }
    for table in [
        "member_role",
        "role",
        "audit_head",
        "audit_tree",
        "audit_node",
        "audit_personal",
        "audit_entry",
    ] {
        batch += &format!("DROP TABLE {table};\n");
    }
    batch += "ALTER TABLE member DROP COLUMN disabled_at_ms;
              ALTER TABLE session DROP COLUMN address;
              ALTER TABLE session DROP COLUMN agent;\n";
    batch += "ALTER TABLE device_status ADD COLUMN tenant_epoch INTEGER;
              CREATE INDEX device_status_seen ON device_status (tenant_id, last_seen_at_ms, device_id);
              DELETE FROM refinery_schema_history WHERE 5 <= version;
              COMMIT;";
    batch
}
