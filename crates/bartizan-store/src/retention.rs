//! What is removed when it is old enough: in small transactions, so that nobody waits for it.
//!
//! # Invariants
//! - What somebody still has to decide on stays, however old it is.

use bartizan_model::UnixMillis;

use crate::column::ms;
use crate::db::params;
use crate::{Store, StoreError, TenantScope};

/// What one transaction of the retention removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Alerts, with their receipts.
    pub alerts: u64,
    /// Reports of sites and notices.
    pub others: u64,
    /// Whether there may be more.
    pub more: bool,
}

impl Store {
    /// Removes at most `limit` each of a tenant's resolved alerts that were last seen before `before`, and of reports and
    /// notices that were settled before it.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn remove_old(
        &self,
        scope: TenantScope,
        before: UnixMillis,
        limit: u32,
    ) -> Result<Removed, StoreError> {
        self.db
            .write(scope, move |db| {
                let (tenant, before) = (scope.id(), ms(before));
                let old = db
                    .prepare_cached(
                        "SELECT alert_id FROM alert
                         WHERE tenant_id = ?1 AND status = 'Resolved' AND last_seen_at_ms < ?2
                         ORDER BY last_seen_at_ms, alert_id LIMIT ?3",
                    )?
                    .query_map(params![tenant, before, limit], |row| row.get::<[u8; 16]>(0))?
                    .collect::<crate::db::Result<Vec<_>>>()?;
                for alert in &old {
                    for sql in [
                        "DELETE FROM alert_receipt WHERE tenant_id = ?1 AND alert_id = ?2",
                        "DELETE FROM alert WHERE tenant_id = ?1 AND alert_id = ?2",
                    ] {
                        db.prepare_cached(sql)?.execute(params![tenant, *alert])?;
                    }
                }
                let mut others = 0;
                let mut most = 0;
                for sql in [
                    "DELETE FROM site_report WHERE tenant_id = ?1 AND report_id IN (
                         SELECT report_id FROM site_report
                         WHERE tenant_id = ?1 AND status <> 'new' AND status_at_ms < ?2 LIMIT ?3)",
                    "DELETE FROM notice WHERE tenant_id = ?1 AND notice_id IN (
                         SELECT notice_id FROM notice
                         WHERE tenant_id = ?1 AND dismissed_at_ms < ?2 LIMIT ?3)",
                ] {
                    let removed =
                        db.prepare_cached(sql)?.execute(params![tenant, before, limit])?;
                    others += removed;
                    most = most.max(removed);
                }
                let most = u32::try_from(most.max(old.len())).unwrap_or(u32::MAX);
                let [alerts, others] =
                    [old.len(), others].map(|rows| u64::try_from(rows).unwrap_or(u64::MAX));
                Ok(Removed { alerts, others, more: limit <= most })
            })
            .await
    }
}
