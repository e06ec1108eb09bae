//! Alerts that resolve themselves: those of a detector that had no repeat for as long as somebody decided.
//!
//! # What it does not do
//! - Touch what somebody has begun to work on: only new alerts resolve themselves.
//!
//! # Invariants
//! - Such an alert is *Resolved*; its history says `auto-resolved`, by nobody, and why.

use bartizan_model::{AlertStatus, UnixMillis};

use crate::alert::{AlertKey, StatusFilter};
use crate::alert_apply::{Change, Outcome};
use crate::column::int;
use crate::db::params;
use crate::sight::Within;
use crate::{AlertUpdate, Store, StoreError, TenantScope, detector_mode};

impl Store {
    /// Resolves at most `limit` alerts of each detector that have been quiet for long enough; tells how many, and
    /// whether there may be more.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn auto_resolve(
        &self,
        scope: TenantScope,
        limit: u32,
        now: UnixMillis,
    ) -> Result<(u64, bool), StoreError> {
        self.db
            .write(scope, move |db| {
                let (mut resolved, mut more) = (0, false);
                let update =
                    AlertUpdate { status: Some(AlertStatus::Resolved), ..AlertUpdate::default() };
                for (detector, days) in detector_mode::quiet_days(db, scope)? {
                    let before = now.0.saturating_sub(u64::from(days) * DAY_MS);
                    let rows = db
                        .prepare_cached(
                            "SELECT alert_id FROM alert
                             WHERE tenant_id = ?1 AND status <> 'Resolved' AND status = 'New'
                                 AND detector = ?2 AND last_seen_at_ms < ?3
                             ORDER BY last_seen_at_ms, alert_id LIMIT ?4",
                        )?
                        .query_map(params![scope.id(), detector, int(before), limit], |row| {
                            Ok(AlertKey(u128::from_be_bytes(row.get(0)?)))
                        })?;
                    let keys = rows.collect::<crate::db::Result<Vec<_>>>()?;
                    more |= u32::try_from(keys.len()).unwrap_or(u32::MAX) == limit;
                    let days = if days == 1 { "1 day".into() } else { format!("{days} days") };
                    let why = format!("not seen again for {days}");
                    let (by, audit_each) = (Err(why.as_str()), false);
                    let change = Change {
                        db,
                        scope,
                        within: &Within::Whole,
                        update: &update,
                        by,
                        now,
                        audit_each,
                    };
                    let outcomes = change.apply(&keys, StatusFilter::Only(AlertStatus::New))?;
                    let changed =
                        outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Changed);
                    resolved += u64::try_from(changed.count()).unwrap_or(u64::MAX);
                }
                Ok((resolved, more))
            })
            .await
    }
}

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
