//! Incidents: alerts that belong together, by rules that say why (`ingest`).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bartizan_model::{AlertStatus, DeviceId, Severity, UnixMillis};
use uuid::Uuid;

use crate::column::{count, found, fresh_id, int, ms, time, word};
use crate::db::{Connection, Row, Value, execute_many, params, query_many};
use crate::ingest::INCIDENT_WINDOW_MS;
use crate::{Store, StoreError, TenantScope};

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
        scope: TenantScope,
        unresolved_only: bool,
        after: Option<IncidentCursor>,
        limit: u32,
    ) -> Result<Vec<IncidentRow>, StoreError> {
        self.db
            .read(scope, move |db| {
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
    pub async fn incident(
        &self,
        scope: TenantScope,
        id: IncidentId,
    ) -> Result<IncidentRow, StoreError> {
        self.db
            .read(scope, move |db| {
                let sql = concat!(incident_columns!(), " AND incident_id = ?");
                let mut rows =
                    db.prepare_cached(sql)?.query(params![scope.id(), id.0.to_be_bytes()])?;
                let row = rows.next()?.ok_or(StoreError::NotFound { what: "incident" })?;
                read(&row)
            })
            .await
    }
}

fn read(row: &Row<'_>) -> Result<IncidentRow, StoreError> {
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
         FROM incident WHERE tenant_id = ?"
    };
}
use incident_columns;

/// Adds to how many alerts of a status and severity there are.
pub(crate) fn count_alerts(
    db: &Connection,
    scope: TenantScope,
    status: AlertStatus,
    severity: &str,
    more: i64,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO alert_count (tenant_id, status, severity, alerts) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (tenant_id, status, severity) DO UPDATE SET
             alerts = alert_count.alerts + excluded.alerts",
    )?
    .execute(params![scope.id(), status.word(), severity, more])?;
    Ok(())
}

/// Notes that unresolved alerts of an incident became more or fewer.
pub(crate) fn count_unresolved(
    db: &Connection,
    scope: TenantScope,
    incident: [u8; 16],
    more: i64,
) -> Result<(), StoreError> {
    let changed = db
        .prepare_cached(
            "UPDATE incident SET unresolved = unresolved + ?3 WHERE tenant_id = ?1 AND incident_id = ?2",
        )?
        .execute(params![scope.id(), incident, more]);
    found(changed.map(|_| ()), "incident")
}

/// The incidents that new alerts join, as they will be.
#[derive(Debug, Default)]
pub(crate) struct Joining {
    newest: BTreeMap<(Kind, String), [u8; 16]>,
    incidents: BTreeMap<[u8; 16], Joined>,
    moved: BTreeMap<(Kind, String), u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Device,
    Subject,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Subject => "subject",
        }
    }
}

#[derive(Debug)]
struct Joined {
    title: String,
    severity: Severity,
    created: u64,
    last_seen: u64,
    /// How many alerts are new in it.
    more: i64,
    stored: bool,
}

impl Joining {
    /// Reads the newest incidents of devices and subjects.
    pub(crate) fn load<'a>(
        db: &Connection,
        scope: TenantScope,
        devices: impl Iterator<Item = DeviceId>,
        subjects: impl Iterator<Item = &'a str>,
    ) -> Result<Self, StoreError> {
        let mut keys: Vec<(&str, String)> = devices
            .map(|device| (Kind::Device.word(), device.to_string()))
            .chain(
                subjects
                    .filter(|subject| !subject.is_empty())
                    .map(|subject| (Kind::Subject.word(), subject.to_owned())),
            )
            .collect();
        keys.sort_unstable();
        keys.dedup();
        let keys: Vec<Vec<Value>> = keys
            .into_iter()
            .map(|(kind, key)| vec![scope.id().into(), kind.into(), key.into()])
            .collect();
        let mut joining = Self::default();
        query_many(
            db,
            "WITH k (tenant_id, kind, key) AS (",
            &keys,
            ") SELECT n.kind, n.key, i.incident_id, i.title, i.severity, i.created_at_ms, i.last_seen_at_ms
               FROM k JOIN incident_key AS n ON n.tenant_id = k.tenant_id AND n.kind = k.kind AND n.key = k.key
               JOIN incident AS i ON i.tenant_id = n.tenant_id AND i.incident_id = n.incident_id",
            &[],
            |rows| {
                while let Some(row) = rows.next()? {
                    let kind = match row.get::<String>(0)?.as_str() {
                        "device" => Kind::Device,
                        _ => Kind::Subject,
                    };
                    let id: [u8; 16] = row.get(2)?;
                    joining.newest.insert((kind, row.get(1)?), id);
                    let severity: String = row.get(4)?;
                    joining.incidents.insert(
                        id,
                        Joined {
                            title: row.get(3)?,
                            severity: Severity::from_word(&severity)
                                .unwrap_or(Severity::Informational),
                            created: count(row.get(5)?),
                            last_seen: count(row.get(6)?),
                            more: 0,
                            stored: true,
                        },
                    );
                }
                Ok(())
            },
        )?;
        Ok(joining)
    }

    /// Finds or makes the incident of a new alert.
    pub(crate) fn join(
        &mut self,
        device: DeviceId,
        subject: &str,
        title: &str,
        severity: Severity,
        last_seen: u64,
        now: UnixMillis,
    ) -> Result<[u8; 16], StoreError> {
        let of_device = (Kind::Device, device.to_string());
        let of_subject = (Kind::Subject, subject.to_owned());
        let near = |id: &&[u8; 16]| {
            self.incidents
                .get(*id)
                .is_some_and(|joined| joined.last_seen.abs_diff(last_seen) <= INCIDENT_WINDOW_MS)
        };
        let about = self.newest.get(&of_subject).filter(|_| !subject.is_empty()).filter(near);
        let id = match about.or_else(|| self.newest.get(&of_device).filter(near)).copied() {
            Some(id) => id,
            None => fresh_id(now)?,
        };
        let joined = self.incidents.entry(id).or_insert_with(|| Joined {
            title: title.to_owned(),
            severity,
            created: now.0,
            last_seen,
            more: 0,
            stored: false,
        });
        joined.severity = joined.severity.max(severity);
        joined.last_seen = joined.last_seen.max(last_seen);
        joined.more += 1;
        let mut keys = vec![of_device];
        if !subject.is_empty() {
            keys.push(of_subject);
        }
        for key in keys {
            self.newest.insert(key.clone(), id);
            self.moved.insert(key, last_seen);
        }
        Ok(id)
    }

    /// Stores what changed.
    pub(crate) fn store(&self, db: &Connection, scope: TenantScope) -> Result<(), StoreError> {
        let (mut made, mut changed) = (Vec::new(), Vec::new());
        for (id, joined) in &self.incidents {
            if joined.more == 0 {
                continue;
            }
            if joined.stored {
                changed.push(vec![
                    scope.id().into(),
                    (*id).into(),
                    joined.severity.word().into(),
                    int(joined.last_seen).into(),
                    joined.more.into(),
                ]);
            } else {
                made.push(vec![
                    scope.id().into(),
                    (*id).into(),
                    joined.title.as_str().into(),
                    joined.severity.word().into(),
                    int(joined.created).into(),
                    int(joined.last_seen).into(),
                    joined.more.into(),
                    joined.more.into(),
                ]);
            }
        }
        execute_many(
            db,
            "INSERT INTO incident (tenant_id, incident_id, title, severity, created_at_ms, last_seen_at_ms,
                                   alerts, unresolved)",
            &made,
            "",
            &[],
        )?;
        execute_many(
            db,
            "WITH v (tenant_id, incident_id, severity, last_seen, more) AS (",
            &changed,
            ") UPDATE incident SET severity = v.severity, last_seen_at_ms = v.last_seen,
                   alerts = alerts + v.more, unresolved = unresolved + v.more
               FROM v WHERE incident.tenant_id = v.tenant_id AND incident.incident_id = v.incident_id",
            &[],
        )?;
        let mut keys = Vec::with_capacity(self.moved.len());
        for ((kind, key), last_seen) in &self.moved {
            let Some(id) = self.newest.get(&(*kind, key.clone())) else { continue };
            keys.push(vec![
                scope.id().into(),
                kind.word().into(),
                key.as_str().into(),
                (*id).into(),
                int(*last_seen).into(),
            ]);
        }
        execute_many(
            db,
            "INSERT INTO incident_key (tenant_id, kind, key, incident_id, last_seen_at_ms)",
            &keys,
            " ON CONFLICT (tenant_id, kind, key) DO UPDATE SET
                  incident_id = excluded.incident_id, last_seen_at_ms = excluded.last_seen_at_ms",
            &[],
        )?;
        Ok(())
    }
}
