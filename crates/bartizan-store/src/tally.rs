//! How a tenant's devices are, in numbers.
//!
//! What it costs grows with the number of devices: whoever shows it often keeps it for a while.

use bartizan_model::{RiskLevel, UnixMillis};

use crate::column::{count, ms};
use crate::db::{Connection, Row, Value, params};
use crate::sight::Within;
use crate::{Sight, Store, StoreError, TenantScope, incident_part};

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
    pub async fn tally(&self, sight: Sight, silent_since: UnixMillis) -> Result<Tally, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                if !within.is_whole() {
                    return of_part(db, (scope, &within), silent_since);
                }
                let tally = db
                    .prepare_cached(concat!(
                        counts!(),
                        ", (SELECT count(*) FROM incident WHERE tenant_id = ?1 AND 0 < unresolved)
                             FROM device_status AS s WHERE s.tenant_id = ?1"
                    ))?
                    .query_row(params![scope.id(), ms(silent_since)], read)?;
                Ok(tally)
            })
            .await
    }
}

/// Counts the devices of some groups.
fn of_part(
    db: &Connection,
    (scope, within): (TenantScope, &Within),
    silent_since: UnixMillis,
) -> Result<Tally, StoreError> {
    let mut values = vec![Value::from(scope.id()), ms(silent_since).into()];
    let inside = within.condition("d.group_id", values.len().saturating_add(1));
    values.extend(within.values());
    let counts = counts!();
    let sql = format!(
        "{counts}, CAST(0 AS BIGINT) FROM device_status AS s
         JOIN device AS d ON d.tenant_id = s.tenant_id AND d.device_id = s.device_id
         WHERE s.tenant_id = ?1 AND {inside}"
    );
    let tally = db.prepare_cached(&sql)?.query_row(values, read)?;
    Ok(Tally { open_incidents: incident_part::count_open(db, (scope, within))?, ..tally })
}

fn read(row: &Row<'_>) -> crate::db::Result<Tally> {
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
}

/// What [`read`] reads, but for the incidents.
macro_rules! counts {
    () => {
        "SELECT count(s.tenant_id),
                count(*) FILTER (WHERE s.protection = 'on'),
                count(*) FILTER (WHERE s.protection = 'degraded'),
                count(*) FILTER (WHERE s.protection = 'off'),
                count(*) FILTER (WHERE s.protection IS NULL),
                count(*) FILTER (WHERE s.protection IS NOT NULL AND s.last_seen_at_ms < ?2),
                count(*) FILTER (WHERE s.risk = 'None'),
                count(*) FILTER (WHERE s.risk = 'Informational'),
                count(*) FILTER (WHERE s.risk = 'Low'),
                count(*) FILTER (WHERE s.risk = 'Medium'),
                count(*) FILTER (WHERE s.risk = 'High')"
    };
}
use counts;

const RISKS: [RiskLevel; 5] =
    [RiskLevel::None, RiskLevel::Informational, RiskLevel::Low, RiskLevel::Medium, RiskLevel::High];
