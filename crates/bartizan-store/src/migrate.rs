//! The schema's steps, each applied once and checked by its checksum ever after.

use refinery::{Migration, Runner};
use rusqlite::Connection;

use crate::StoreError;

/// Brings the schema up to date; refuses one whose steps differ from ours.
pub(crate) fn run(db: &mut Connection) -> Result<(), StoreError> {
    let failed = |error: refinery::Error| StoreError::Unavailable(Box::new(error));
    let mut steps = Vec::with_capacity(STEPS.len());
    for (name, sql) in STEPS {
        steps.push(Migration::unapplied(name, sql).map_err(failed)?);
    }
    let report = Runner::new(&steps).set_abort_divergent(true).run(db).map_err(failed)?;
    for step in report.applied_migrations() {
        tracing::info!(migration.name = step.name(), "schema brought up to date");
    }
    Ok(())
}

const STEPS: &[(&str, &str)] = &[
    ("V1__base", include_str!("../migrations/sqlite/0001_base.sql")),
    ("V2__feeds", include_str!("../migrations/sqlite/0002_feeds.sql")),
    ("V3__indicators", include_str!("../migrations/sqlite/0003_indicators.sql")),
    ("V4__deltas", include_str!("../migrations/sqlite/0004_deltas.sql")),
    ("V5__policy", include_str!("../migrations/sqlite/0005_policy.sql")),
];
