//! How long a tenant keeps what is settled, where it decided that itself; and how much there is that is older.
//!
//! # What it does not do
//! - Know how long the installation keeps things, nor remove any: `retention` does, and is told before when.

use std::collections::BTreeMap;

use bartizan_model::{TenantId, UnixMillis};
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{count, ms};
use crate::db::{Connection, Optional, Reach, params};
use crate::{Guard, Store, StoreError, TenantScope};

/// What there is of a tenant's alerts from before some time, as far as it was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OldAlerts {
    /// That are resolved, and so would be removed.
    pub resolved: u64,
    /// Whether there may be more.
    pub more: bool,
}

impl Store {
    /// Returns how many days a tenant keeps what is settled, if it decided that itself.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn retention_days(&self, scope: TenantScope) -> Result<Option<u32>, StoreError> {
        self.db.read(scope, move |db| days(db, scope)).await
    }

    /// Returns what every tenant decided that did. For the portal's own work.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn every_retention(&self) -> Result<BTreeMap<TenantId, u32>, StoreError> {
        self.db
            .read(Reach::All, move |db| {
                let rows = db
                    .prepare_cached("SELECT tenant_id, days FROM retention_rule")?
                    .query_map(params![], |row| Ok((TenantId(row.get(0)?), row.get(1)?)))?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Decides it, or leaves it to the installation.
    ///
    /// # Errors
    /// It is not as `guard` knows it.
    pub async fn set_retention_days(
        &self,
        scope: TenantScope,
        wanted: Option<u32>,
        guard: Guard<Option<u32>>,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let before = days(db, scope)?;
                guard.check(&before)?;
                if before == wanted {
                    return Ok(());
                }
                match wanted {
                    Some(days) => db
                        .prepare_cached(
                            "INSERT INTO retention_rule (tenant_id, days) VALUES (?1, ?2)
                             ON CONFLICT (tenant_id) DO UPDATE SET days = excluded.days",
                        )?
                        .execute(params![scope.id(), days])?,
                    None => db
                        .prepare_cached("DELETE FROM retention_rule WHERE tenant_id = ?1")?
                        .execute([scope.id()])?,
                };
                let event = Event::new("retention.change", "retention", "")
                    .detail(json!({ "days": wanted, "days_before": before }));
                audit::append(db, scope, event, now)
            })
            .await
    }

    /// Looks at the `limit` oldest alerts that were last seen before `before`, and counts those that are resolved.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn old_alerts(
        &self,
        scope: TenantScope,
        before: UnixMillis,
        limit: u32,
    ) -> Result<OldAlerts, StoreError> {
        self.db
            .read(scope, move |db| {
                let (all, resolved): (i64, i64) = db
                    .prepare_cached(
                        "SELECT count(*), count(*) FILTER (WHERE o.status = 'Resolved') FROM (
                             SELECT a.status FROM alert AS a
                             WHERE a.tenant_id = ?1 AND a.last_seen_at_ms < ?2
                             ORDER BY a.last_seen_at_ms, a.alert_id LIMIT ?3
                         ) AS o",
                    )?
                    .query_row(params![scope.id(), ms(before), limit], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })?;
                Ok(OldAlerts { resolved: count(resolved), more: i64::from(limit) <= all })
            })
            .await
    }
}

fn days(db: &Connection, scope: TenantScope) -> Result<Option<u32>, StoreError> {
    let found = db
        .prepare_cached("SELECT days FROM retention_rule WHERE tenant_id = ?1")?
        .query_row([scope.id()], |row| row.get(0));
    Ok(found.optional()?)
}
