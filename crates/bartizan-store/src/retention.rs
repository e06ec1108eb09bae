//! What is removed when it is old enough: in small transactions, so that nobody waits for it.
//!
//! # Invariants
//! - What somebody still has to decide on stays, however old it is.

use bartizan_model::UnixMillis;

use crate::column::ms;
use crate::db::{Connection, params};
use crate::{Store, StoreError, TenantScope, alert_job, incident_change, quiet};

/// What one transaction of the retention removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Alerts, with their receipts, history and tags; an incident goes with the last of its own.
    pub alerts: u64,
    /// Reports of sites, notices, how risks changed, and what became of changes of many alerts.
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
                let old = old_alerts(db, tenant, before, limit)?;
                for alert in &old {
                    alert.remove(db, tenant)?;
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
                    "DELETE FROM feedback WHERE tenant_id = ?1 AND feedback_id IN (
                         SELECT feedback_id FROM feedback
                         WHERE tenant_id = ?1 AND status IN ('Answered', 'Closed') AND status_at_ms < ?2
                         LIMIT ?3)",
                    "DELETE FROM risk_change WHERE tenant_id = ?1 AND (device_id, change_id) IN (
                         SELECT c.device_id, c.change_id FROM risk_change AS c
                         WHERE c.tenant_id = ?1 AND c.at_ms < ?2 LIMIT ?3)",
                    "DELETE FROM dead_letter WHERE tenant_id = ?1 AND seq IN (
                         SELECT seq FROM dead_letter
                         WHERE tenant_id = ?1 AND died_at_ms < ?2 LIMIT ?3) AND died_at_ms < ?2",
                ] {
                    let removed =
                        db.prepare_cached(sql)?.execute(params![tenant, before, limit])?;
                    others += removed;
                    most = most.max(removed);
                }
                let removed = alert_job::remove_old(db, scope, before, limit)?;
                others += removed;
                most = most.max(removed).max(quiet::remove_old(db, scope, before, limit)?);
                let most = u32::try_from(most.max(old.len())).unwrap_or(u32::MAX);
                let [alerts, others] =
                    [old.len(), others].map(|rows| u64::try_from(rows).unwrap_or(u64::MAX));
                Ok(Removed { alerts, others, more: limit <= most })
            })
            .await
    }
}

/// An alert that goes, and what counts it.
struct OldAlert {
    id: [u8; 16],
    severity: String,
    incident: Option<[u8; 16]>,
}

fn old_alerts(
    db: &Connection,
    tenant: i64,
    before: i64,
    limit: u32,
) -> Result<Vec<OldAlert>, StoreError> {
    let rows = db
        .prepare_cached(
            "SELECT alert_id, severity, incident_id FROM alert
             WHERE tenant_id = ?1 AND status = 'Resolved' AND last_seen_at_ms < ?2
             ORDER BY last_seen_at_ms, alert_id LIMIT ?3",
        )?
        .query_map(params![tenant, before, limit], |row| {
            Ok(OldAlert { id: row.get(0)?, severity: row.get(1)?, incident: row.get(2)? })
        })?;
    Ok(rows.collect::<crate::db::Result<_>>()?)
}

impl OldAlert {
    fn remove(&self, db: &Connection, tenant: i64) -> Result<(), StoreError> {
        for sql in [
            "DELETE FROM alert_receipt WHERE tenant_id = ?1 AND alert_id = ?2",
            "DELETE FROM alert_change WHERE tenant_id = ?1 AND alert_id = ?2",
            "DELETE FROM external_alert WHERE tenant_id = ?1 AND alert_id = ?2",
            "DELETE FROM alert_tag WHERE tenant_id = ?1 AND alert_id = ?2",
            "DELETE FROM alert WHERE tenant_id = ?1 AND alert_id = ?2",
        ] {
            db.prepare_cached(sql)?.execute(params![tenant, self.id])?;
        }
        db.prepare_cached(
            "UPDATE alert_count SET alerts = alerts - 1
             WHERE tenant_id = ?1 AND status = 'Resolved' AND severity = ?2",
        )?
        .execute(params![tenant, self.severity])?;
        let Some(incident) = self.incident else { return Ok(()) };
        db.prepare_cached(
            "UPDATE incident SET alerts = alerts - 1 WHERE tenant_id = ?1 AND incident_id = ?2",
        )?
        .execute(params![tenant, incident])?;
        incident_change::remove_empty(db, tenant, incident)
    }
}
