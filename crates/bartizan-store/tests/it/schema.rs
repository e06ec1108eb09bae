//! The schema and the statements, checked by their text.

use std::fs;

use rusqlite::Connection;

use crate::world::World;

/// Tables that stand outside the tenants, and why is in the migration.
const OUTSIDE: [&str; 4] =
    ["installation", "locator", "refinery_schema_history", "sign_in_locator"];

#[tokio::test]
async fn the_tenant_leads_every_key_and_index() {
    let world = World::new().await;
    let db = Connection::open(&world.place.file).unwrap();
    let tables = strings(&db, "SELECT name FROM sqlite_schema WHERE type = 'table'");
    assert!(10 < tables.len());
    for table in tables.iter().filter(|table| !OUTSIDE.contains(&table.as_str())) {
        let key = format!("SELECT name FROM pragma_table_info('{table}') WHERE pk = 1");
        assert_eq!(strings(&db, &key), ["tenant_id"], "key of {table}");
        let parents =
            format!("SELECT \"from\" FROM pragma_foreign_key_list('{table}') WHERE seq = 0");
        assert!(strings(&db, &parents).iter().all(|column| column == "tenant_id"), "{table}");
        let strict = format!("SELECT name FROM pragma_table_list('{table}') WHERE strict = 1");
        assert_eq!(strings(&db, &strict), [table.as_str()], "{table} is strict");
        for index in strings(&db, &format!("SELECT name FROM pragma_index_list('{table}')")) {
            let first = format!("SELECT name FROM pragma_index_info('{index}') WHERE seqno = 0");
            assert_eq!(strings(&db, &first), ["tenant_id"], "index {index}");
        }
    }
}

/// Every string of the sources that begins as a statement does.
#[test]
fn every_statement_names_the_tenant() {
    let mut statements = 0;
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        for text in source.split('"').skip(1).step_by(2) {
            // Of a statement with rows in its middle, the second half says whose they are.
            let first =
                text.trim_start_matches([')', ' ']).split_whitespace().next().unwrap_or_default();
            if text.ends_with(" AS (") {
                continue;
            }
            if !["SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "REPLACE"].contains(&first) {
                continue;
            }
            statements += 1;
            let outside = text.contains("installation");
            assert!(outside || text.contains("tenant_id"), "{}: {text}", path.display());
        }
    }
    assert!(30 < statements, "{statements} statements found");
}

/// What makes or changes tables and indexes differs between the twins in the words for types alone.
#[test]
fn the_steps_for_both_databases_are_twins() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let mut steps = 0;
    for entry in fs::read_dir(format!("{folder}/sqlite")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let sqlite = definitions(&fs::read_to_string(format!("{folder}/sqlite/{name}")).unwrap());
        let postgres =
            definitions(&fs::read_to_string(format!("{folder}/postgres/{name}")).unwrap());
        let translated: Vec<_> = sqlite
            .iter()
            .map(|text| {
                text.replace("INTEGER", "BIGINT")
                    .replace("BLOB", "BYTEA")
                    .replace(" STRICT, WITHOUT ROWID", "")
                    .replace(" STRICT", "")
                    .replace(" CHECK (json_valid(rbac_groups))", "")
            })
            .collect();
        assert_eq!(translated, postgres, "{name}");
        steps += 1;
    }
    assert!(8 < steps, "{steps} steps found");
}

/// Statements that define something, without comments, their white space folded.
fn definitions(step: &str) -> Vec<String> {
    let code: Vec<_> = step.lines().map(|line| line.split("--").next().unwrap()).collect();
    code.join("\n")
        .split(';')
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|text| {
            [
                "CREATE TABLE",
                "CREATE INDEX",
                "CREATE UNIQUE",
                "ALTER TABLE",
                "DROP TABLE",
                "DROP INDEX",
            ]
            .iter()
            .any(|word| text.starts_with(word))
        })
        .collect()
}

/// A file that was migrated step by step equals one that was made at once; opening again changes nothing.
#[tokio::test]
async fn opening_again_migrates_nothing() {
    let world = World::new().await;
    let schema = "SELECT coalesce(sql, '') FROM sqlite_schema ORDER BY name";
    let before = strings(&Connection::open(&world.place.file).unwrap(), schema);
    world.store.close().await;
    drop(world.open_again().unwrap());
    let db = Connection::open(&world.place.file).unwrap();
    assert_eq!(strings(&db, schema), before);
    let steps = strings(&db, "SELECT name FROM refinery_schema_history");
    assert_eq!(
        steps,
        [
            "base",
            "feeds",
            "indicators",
            "deltas",
            "policy",
            "devices_policies",
            "people_audit",
            "incidents",
            "upkeep",
            "sign_in",
            "alert_work",
            "sinks",
            "feedback",
            "applications",
            "directory",
            "licenses",
            "lists",
            "passkey",
            "attestation",
            "operators",
            "policy_use",
            "retention",
        ]
    );
}

#[tokio::test]
async fn a_schema_that_is_not_ours_is_refused() {
    let world = World::new().await;
    world.store.close().await;
    let db = Connection::open(&world.place.file).unwrap();
    db.execute("UPDATE refinery_schema_history SET checksum = '1'", []).unwrap();
    assert!(world.open_again().is_err());
}

fn strings(db: &Connection, query: &str) -> Vec<String> {
    let mut statement = db.prepare(query).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn nobody_changes_or_removes_an_audit_entry() {
    let world = World::new().await;
    let db = Connection::open(&world.place.file).unwrap();
    assert!(db.execute("UPDATE audit_entry SET action = 'other'", []).is_err());
    assert!(db.execute("DELETE FROM audit_entry", []).is_err());
}

/// What is noted is listed, so that the console can offer it.
#[test]
fn every_action_is_listed() {
    let mut found = 0;
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap() {
        let Ok(source) = fs::read_to_string(entry.unwrap().path()) else { continue };
        for rest in source.split("Event::new(").skip(1) {
            let Some(action) = rest.trim_start().strip_prefix('"') else { continue };
            let action = action.split('"').next().unwrap();
            assert!(bartizan_store::ACTIONS.iter().any(|(word, _)| *word == action), "{action}");
            found += 1;
        }
    }
    assert!(20 < found, "{found} found");
    assert!(bartizan_store::ACTIONS.is_sorted());
}
