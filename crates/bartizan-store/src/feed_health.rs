//! How all tenants' feeds are, in numbers that name nobody.

use bartizan_model::UnixMillis;

use crate::db::{Reach, params};
use crate::{Store, StoreError, column};

/// How the feeds are that are looked at by a schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedHealth {
    /// How many there are.
    pub scheduled: u64,
    /// How many failed the last time.
    pub failing: u64,
    /// When the one was looked at that was not for the longest time.
    pub oldest_check: Option<UnixMillis>,
}

impl Store {
    /// Returns how the feeds of all tenants are.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn feed_health(&self) -> Result<FeedHealth, StoreError> {
        self.db
            .read(Reach::All, |db| {
                let statement = db.prepare_cached(
                    "SELECT count(tenant_id), CAST(coalesce(sum(CASE WHEN 0 < failures THEN 1 ELSE 0 END), 0) AS BIGINT),
                            min(checked_at_ms)
                     FROM feed WHERE enabled = 1 AND 0 < interval_s",
                )?;
                Ok(statement.query_row(params![], |row| {
                    Ok(FeedHealth {
                        scheduled: column::count(row.get(0)?),
                        failing: column::count(row.get(1)?),
                        oldest_check: row.get::<Option<i64>>(2)?.map(column::time),
                    })
                })?)
            })
            .await
    }
}
