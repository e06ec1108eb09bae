//! Incidents: alerts that belong together. `grouping` decides which.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bartizan_model::{Severity, UnixMillis};
use uuid::Uuid;

use crate::column::{count, ms, time, word};
use crate::db::{Connection, Row, Value, execute_many, params};
use crate::{Sight, Store, StoreError, TenantScope, incident_part};

/// An incident: a `UUIDv7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IncidentId(pub u128);

impl fmt::Display for IncidentId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u128(self.0).hyphenated().fmt(out)
    }
}

/// Not an incident's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an incident's id")]
pub struct IncidentIdError;

impl FromStr for IncidentId {
    type Err = IncidentIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = Uuid::try_parse(text).map(|id| Self(id.as_u128())).map_err(|_| IncidentIdError)?;
        // Accept only the one spelling we write.
        if id.to_string() == text { Ok(id) } else { Err(IncidentIdError) }
    }
}

/// An incident, as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentRow {
    /// Its id.
    pub id: IncidentId,
    /// Of its first alert, or of how many.
    pub title: String,
    /// The worst of its alerts.
    pub severity: Severity,
    /// When its first alert was received.
    pub created_at: UnixMillis,
    /// When something of it happened last, by the devices' clocks.
    pub last_seen_at: UnixMillis,
    /// How many alerts it has.
    pub alerts: u64,
    /// Of these, unresolved.
    pub unresolved: u64,
}

/// Where a page of incidents ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncidentCursor {
    /// Of the last incident of the page.
    pub last_seen_at: UnixMillis,
    /// Of the last incident of the page.
    pub id: IncidentId,
}

impl IncidentRow {
    /// Returns the cursor of the page that follows this incident.
    #[must_use]
    pub fn cursor(&self) -> IncidentCursor {
        IncidentCursor { last_seen_at: self.last_seen_at, id: self.id }
    }
}

impl Store {
    /// Lists incidents, the last seen first, from after the cursor on.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn incidents(
        &self,
        sight: Sight,
        unresolved_only: bool,
        after: Option<IncidentCursor>,
        limit: u32,
    ) -> Result<Vec<IncidentRow>, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                if !within.is_whole() {
                    return incident_part::list(
                        db,
                        (scope, &within),
                        unresolved_only,
                        after,
                        limit,
                    );
                }
                let mut sql = incident_columns!().to_owned();
                let mut values = vec![Value::from(scope.id())];
                if unresolved_only {
                    sql.push_str(" AND 0 < unresolved");
                }
                if let Some(after) = after {
                    sql.push_str(" AND (last_seen_at_ms, incident_id) < (?, ?)");
                    values.push(ms(after.last_seen_at).into());
                    values.push(after.id.0.to_be_bytes().into());
                }
                sql.push_str(" ORDER BY last_seen_at_ms DESC, incident_id DESC LIMIT ?");
                values.push(i64::from(limit).into());
                let mut rows = db.prepare_cached(&sql)?.query(values)?;
                let mut incidents = Vec::new();
                while let Some(row) = rows.next()? {
                    incidents.push(read(&row)?);
                }
                Ok(incidents)
            })
            .await
    }

    /// Returns one incident.
    ///
    /// # Errors
    /// The tenant has no such incident.
    pub async fn incident(&self, sight: Sight, id: IncidentId) -> Result<IncidentRow, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                if !within.is_whole() {
                    return incident_part::one(db, (scope, &within), id);
                }
                let sql = concat!(incident_columns!(), " AND incident_id = ?");
                let mut rows =
                    db.prepare_cached(sql)?.query(params![scope.id(), id.0.to_be_bytes()])?;
                let row = rows.next()?.ok_or(StoreError::NotFound { what: "incident" })?;
                read(&row)
            })
            .await
    }
}

pub(crate) fn read(row: &Row<'_>) -> Result<IncidentRow, StoreError> {
    let severity: String = row.get(2)?;
    Ok(IncidentRow {
        id: IncidentId(u128::from_be_bytes(row.get(0)?)),
        title: row.get(1)?,
        severity: word("severity", &severity, Severity::from_word)?,
        created_at: time(row.get(3)?),
        last_seen_at: time(row.get(4)?),
        alerts: count(row.get(5)?),
        unresolved: count(row.get(6)?),
    })
}

/// What [`read`] reads.
macro_rules! incident_columns {
    () => {
        "SELECT incident_id, title, severity, created_at_ms, last_seen_at_ms, alerts, unresolved
         FROM incident WHERE tenant_id = ? AND merged_into IS NULL"
    };
}
use incident_columns;

/// Notes that unresolved alerts of incidents became more or fewer.
pub(crate) fn count_unresolved(
    db: &Connection,
    scope: TenantScope,
    incidents: BTreeMap<[u8; 16], i64>,
) -> Result<(), StoreError> {
    let rows: Vec<Vec<Value>> = incidents
        .into_iter()
        .filter(|(_, more)| *more != 0)
        .map(|(incident, more)| vec![scope.id().into(), incident.into(), more.into()])
        .collect();
    execute_many(
        db,
        "WITH v (tenant_id, incident_id, more) AS (",
        &rows,
        ") UPDATE incident SET unresolved = unresolved + v.more
           FROM v WHERE incident.tenant_id = v.tenant_id AND incident.incident_id = v.incident_id",
        &[],
    )?;
    Ok(())
}
