//! How a tenant's devices are, in numbers.
//!
//! What it costs grows with the number of devices: whoever shows it often keeps it for a while.

use bartizan_model::{RiskLevel, UnixMillis};

use crate::column::{count, ms};
use crate::db::params;
use crate::{Store, StoreError, TenantScope};

/// Numbers of devices, and of incidents that somebody has to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Devices in all.
    pub devices: u64,
    /// That said last that protection is on.
    pub on: u64,
    /// That it is degraded.
    pub degraded: u64,
    /// That it is off.
    pub off: u64,
    /// That never said anything.
    pub never_checked_in: u64,
    /// That said something, but nothing since the time asked about.
    pub silent: u64,
    /// By risk, none first, high last.
    risk: [u64; RISKS.len()],
    /// Incidents with unresolved alerts.
    pub open_incidents: u64,
}

impl Tally {
    /// Returns how many devices have each risk, the highest first.
    pub fn by_risk(&self) -> impl Iterator<Item = (RiskLevel, u64)> {
        RISKS.into_iter().zip(self.risk).rev()
    }
}

impl Store {
    /// Counts a tenant's devices and open incidents.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn tally(
        &self,
        scope: TenantScope,
        silent_since: UnixMillis,
    ) -> Result<Tally, StoreError> {
        self.db
            .read(scope, move |db| {
                let tally = db
                    .prepare_cached(
                        "SELECT count(*),
                                count(*) FILTER (WHERE protection = 'on'),
                                count(*) FILTER (WHERE protection = 'degraded'),
                                count(*) FILTER (WHERE protection = 'off'),
                                count(*) FILTER (WHERE protection IS NULL),
                                count(*) FILTER (WHERE protection IS NOT NULL AND last_seen_at_ms < ?2),
                                count(*) FILTER (WHERE risk = 'None'),
                                count(*) FILTER (WHERE risk = 'Informational'),
                                count(*) FILTER (WHERE risk = 'Low'),
                                count(*) FILTER (WHERE risk = 'Medium'),
                                count(*) FILTER (WHERE risk = 'High'),
                                (SELECT count(*) FROM incident WHERE tenant_id = ?1 AND 0 < unresolved)
                         FROM device_status WHERE tenant_id = ?1",
                    )?
                    .query_row(params![scope.id(), ms(silent_since)], |row| {
                        let number = |column| Ok::<_, crate::db::Error>(count(row.get(column)?));
                        Ok(Tally {
                            devices: number(0)?,
                            on: number(1)?,
                            degraded: number(2)?,
                            off: number(3)?,
                            never_checked_in: number(4)?,
                            silent: number(5)?,
                            risk: [number(6)?, number(7)?, number(8)?, number(9)?, number(10)?],
                            open_incidents: number(11)?,
                        })
                    })?;
                Ok(tally)
            })
            .await
    }
}

const RISKS: [RiskLevel; 5] =
    [RiskLevel::None, RiskLevel::Informational, RiskLevel::Low, RiskLevel::Medium, RiskLevel::High];
