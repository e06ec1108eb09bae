//! What an organization decides for its devices, kept by version.

use std::fs;

use bartizan_model::{DnsPolicy, Mode, Policy, ProtectionState, WebProtection};
use bartizan_store::{Counters, DeviceReport, Store};
use rusqlite::Connection;

use crate::world::{NOW, World};

#[tokio::test]
async fn every_setting_is_kept_and_the_version_counts_up() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    assert_eq!(store.policy(scope).await.unwrap(), Policy { version: 1, ..Policy::default() });
    for (version, mode) in (2..).zip(Mode::ALL) {
        let policy = Policy {
            version,
            mode,
            web_protection: WebProtection::Off,
            report_blocked_host: false,
            checkin_interval_s: 3_600,
            warn_pass_hours: 168,
            dns: DnsPolicy {
                upstream: "tls://dns.example?ip=192.0.2.53".parse().unwrap(),
                upstream_fallback: version % 2 == 1,
                strip_ech: true,
                block_encrypted_dns: version % 2 == 0,
                block_private_relay: true,
            },
        };
        let wanted = Policy { version: 0, ..policy.clone() };
        assert_eq!(store.set_policy(scope, wanted, NOW).await.unwrap(), version);
        assert_eq!(store.policy(scope).await.unwrap(), policy);
    }
    assert_eq!(store.policy(world.globex.scope).await.unwrap().version, 1);
}

#[tokio::test]
async fn devices_are_counted_by_the_policy_they_use_in_any_mode() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    assert_eq!(store.devices_by_policy(acme.scope).await.unwrap(), [(0, 1)]);
    for mode in Mode::ALL {
        let report = DeviceReport {
            mode,
            protection: ProtectionState::On,
            os_version: "18.1".into(),
            app_version: "0.1.0".into(),
            policy_version: 3,
            indicator_epoch: None,
            tenant_epoch: None,
            counters: Counters::default(),
        };
        store.check_in(acme.scope, acme.device, report, NOW).await.unwrap();
        let row = store.device(acme.scope, acme.device).await.unwrap();
        assert_eq!((row.mode, row.policy_version), (Some(mode), 3));
    }
    assert_eq!(store.devices_by_policy(acme.scope).await.unwrap(), [(3, 1)]);
}

/// A database from before the fifth step, as the first four leave it.
#[tokio::test]
async fn an_older_database_keeps_its_policies_and_devices() {
    let world = World::new().await;
    world.store.close().await;
    let db = Connection::open(world.file()).unwrap();
    db.execute_batch(&back_to_the_fourth_step()).unwrap();
    db.execute_batch(
        "UPDATE policy SET mode = 'off', checkin_interval_s = 77 WHERE tenant_id = 1;
         UPDATE device_status SET policy_version = 9, tenant_epoch = 5 WHERE tenant_id = 1;",
    )
    .unwrap();
    drop(db);

    let store = Store::open(&world.file(), NOW).unwrap();
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
    batch += "ALTER TABLE device_status ADD COLUMN tenant_epoch INTEGER;
              CREATE INDEX device_status_seen ON device_status (tenant_id, last_seen_at_ms, device_id);
              DELETE FROM refinery_schema_history WHERE version = 5;
              COMMIT;";
    batch
}
