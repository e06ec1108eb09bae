//! What people change about incidents: the title, and which alerts belong together.
//!
//! # Invariants
//! - An alert is in one incident, or in none; an incident counts its own.
//! - A merged incident keeps its row and its history, has no alerts, and leads to the other. What would have joined it
//!   joins the other.

use bartizan_model::{Severity, UnixMillis};
use serde_json::json;

use crate::alert::AlertKey;
use crate::audit::{self, Event};
use crate::column::{count, found, fresh_id, int, ms, time, word};
use crate::db::{Connection, Optional as _, Value, execute_many, params, query_many};
use crate::sight::Within;
use crate::{IncidentId, MemberId, Sight, Store, StoreError, TenantScope};

/// Something that somebody changed about an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentChange {
    /// When.
    pub at: UnixMillis,
    /// The name of who.
    pub by: String,
    /// `title`, `merged` (another into this), `split` (alerts out of this) or `made` (of alerts of another).
    pub kind: String,
    /// The title before, or the other incident's id.
    pub detail: String,
    /// Why; may be empty.
    pub reason: String,
}

/// Who changes an incident, why, and when.
#[derive(Clone, Debug)]
pub struct IncidentEdit {
    /// Who.
    pub by: MemberId,
    /// Why.
    pub reason: String,
    /// When.
    pub now: UnixMillis,
}

impl Store {
    /// Returns the incident that another was merged into, if it was.
    ///
    /// # Errors
    /// The tenant has no such incident.
    pub async fn incident_merged_into(
        &self,
        sight: Sight,
        id: IncidentId,
    ) -> Result<Option<IncidentId>, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                let row = db
                    .prepare_cached(
                        "SELECT merged_into FROM incident WHERE tenant_id = ?1 AND incident_id = ?2",
                    )?
                    .query_row(params![scope.id(), octets(id)], |row| {
                        row.get::<Option<[u8; 16]>>(0)
                    });
                let into = found(row, "incident")?.map(|id| IncidentId(u128::from_be_bytes(id)));
                within.merged(db, scope, (id, into))
            })
            .await
    }

    /// Returns what people changed about an incident, the first first.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn incident_changes(
        &self,
        sight: Sight,
        id: IncidentId,
        limit: u32,
    ) -> Result<Vec<IncidentChange>, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.incident(db, scope, id)?;
                let rows = db
                    .prepare_cached(
                        "SELECT c.at_ms, m.name, c.kind, c.detail, c.reason FROM incident_change AS c
                         JOIN member AS m ON m.tenant_id = c.tenant_id AND m.member_id = c.changed_by
                         WHERE c.tenant_id = ?1 AND c.incident_id = ?2 ORDER BY c.change_id LIMIT ?3",
                    )?
                    .query_map(params![scope.id(), octets(id), limit], |row| {
                        Ok(IncidentChange {
                            at: time(row.get(0)?),
                            by: row.get(1)?,
                            kind: row.get(2)?,
                            detail: row.get(3)?,
                            reason: row.get(4)?,
                        })
                    })?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Gives an incident another title.
    ///
    /// # Errors
    /// The tenant has no such incident.
    pub async fn set_incident_title(
        &self,
        sight: Sight,
        id: IncidentId,
        title: String,
        edit: IncidentEdit,
    ) -> Result<(), StoreError> {
        self.db
            .write(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.whole_incident(db, scope, id)?;
                let before = open(db, scope, id)?.title;
                if before == title {
                    return Ok(());
                }
                db.prepare_cached(
                    "UPDATE incident SET title = ?3 WHERE tenant_id = ?1 AND incident_id = ?2",
                )?
                .execute(params![scope.id(), octets(id), title])?;
                note(db, scope, id, ("title", &before), &edit)?;
                audit::append(db, scope, Event::new("incident.title", "incident", id), edit.now)
            })
            .await
    }

    /// Merges an incident into another: its alerts go there.
    ///
    /// # Errors
    /// The tenant has no such incidents, they are one and the same, or there are more than [`MAX_MOVED`] alerts.
    pub async fn merge_incidents(
        &self,
        sight: Sight,
        from: IncidentId,
        into: IncidentId,
        edit: IncidentEdit,
    ) -> Result<(), StoreError> {
        self.db
            .write(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.whole_incident(db, scope, from)?;
                within.incident(db, scope, into)?;
                if from == into {
                    return Err(StoreError::Conflict { what: "this incident" });
                }
                let (source, _) = (open(db, scope, from)?, open(db, scope, into)?);
                if MAX_MOVED < source.alerts {
                    let what = "alerts in an incident that can be merged";
                    return Err(StoreError::Full { what, limit: MAX_MOVED });
                }
                db.prepare_cached(
                    "UPDATE alert SET incident_id = ?3, updated_at_ms = ?4
                     WHERE tenant_id = ?1 AND incident_id = ?2",
                )?
                .execute(params![
                    scope.id(),
                    octets(from),
                    octets(into),
                    ms(edit.now)
                ])?;
                for sql in [
                    "UPDATE incident SET merged_into = ?3 WHERE tenant_id = ?1 AND incident_id = ?2",
                    "UPDATE incident SET merged_into = ?3 WHERE tenant_id = ?1 AND merged_into = ?2",
                    "UPDATE incident_key SET incident_id = ?3
                     WHERE tenant_id = ?1 AND incident_id = ?2",
                ] {
                    db.prepare_cached(sql)?.execute(params![
                        scope.id(),
                        octets(from),
                        octets(into)
                    ])?;
                }
                recount(db, scope, from)?;
                recount(db, scope, into)?;
                note(db, scope, into, ("merged", &from.to_string()), &edit)?;
                let event = Event::new("incident.merge", "incident", into)
                    .detail(json!({ "from": from.to_string(), "alerts": source.alerts }));
                audit::append(db, scope, event, edit.now)
            })
            .await
    }

    /// Makes an incident of some alerts of another.
    ///
    /// # Errors
    /// The tenant has no such incident, none of the alerts is in it, or all of its alerts are.
    pub async fn split_incident(
        &self,
        sight: Sight,
        from: IncidentId,
        keys: Vec<AlertKey>,
        title: String,
        edit: IncidentEdit,
    ) -> Result<IncidentId, StoreError> {
        self.db
            .write(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.incident(db, scope, from)?;
                let source = open(db, scope, from)?;
                let moved = alerts_of(db, (scope, &within), from, &keys)?;
                let many = u64::try_from(moved.len()).unwrap_or(u64::MAX);
                if many == 0 {
                    return Err(StoreError::NotFound { what: "alert of this incident" });
                }
                if source.alerts <= many {
                    return Err(StoreError::Conflict { what: "an incident of just these alerts" });
                }
                let id = fresh_id(edit.now)?;
                let title = if title.is_empty() { source.title } else { title };
                db.prepare_cached(
                    "INSERT INTO incident (tenant_id, incident_id, title, severity, created_at_ms,
                                           last_seen_at_ms, alerts, unresolved)
                     VALUES (?1, ?2, ?3, 'Informational', ?4, 0, 0, 0)",
                )?
                .execute(params![scope.id(), id, title, ms(edit.now)])?;
                execute_many(
                    db,
                    "WITH v (tenant_id, alert_id) AS (",
                    &moved,
                    ") UPDATE alert SET incident_id = ?, updated_at_ms = ?
                       FROM v WHERE alert.tenant_id = v.tenant_id AND alert.alert_id = v.alert_id",
                    &[id.into(), ms(edit.now).into()],
                )?;
                let made = IncidentId(u128::from_be_bytes(id));
                recount(db, scope, from)?;
                recount(db, scope, made)?;
                note(db, scope, from, ("split", &made.to_string()), &edit)?;
                note(db, scope, made, ("made", &from.to_string()), &edit)?;
                let event = Event::new("incident.split", "incident", made)
                    .detail(json!({ "from": from.to_string(), "alerts": many }));
                audit::append(db, scope, event, edit.now)?;
                Ok(made)
            })
            .await
    }
}

struct Held {
    title: String,
    alerts: u64,
}

/// Reads an incident that was not merged into another.
fn open(db: &Connection, scope: TenantScope, id: IncidentId) -> Result<Held, StoreError> {
    let row = db
        .prepare_cached(
            "SELECT title, alerts FROM incident
             WHERE tenant_id = ?1 AND incident_id = ?2 AND merged_into IS NULL",
        )?
        .query_row(params![scope.id(), octets(id)], |row| {
            Ok(Held { title: row.get(0)?, alerts: count(row.get(1)?) })
        });
    found(row, "incident")
}

/// Returns those of some alerts that are in an incident and inside, as rows.
fn alerts_of(
    db: &Connection,
    (scope, within): (TenantScope, &Within),
    id: IncidentId,
    keys: &[AlertKey],
) -> Result<Vec<Vec<Value>>, StoreError> {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys.dedup();
    let rows: Vec<Vec<Value>> =
        keys.iter().map(|key| vec![scope.id().into(), key.0.to_be_bytes().into()]).collect();
    let mut found = Vec::new();
    query_many(
        db,
        "WITH k (tenant_id, alert_id) AS (",
        &rows,
        ") SELECT a.alert_id, d.group_id FROM k JOIN alert AS a
           ON a.tenant_id = k.tenant_id AND a.alert_id = k.alert_id
           JOIN device AS d ON d.tenant_id = a.tenant_id AND d.device_id = a.device_id
           WHERE a.incident_id = ?",
        &[octets(id).into()],
        |rows| {
            while let Some(row) = rows.next()? {
                if within.has(row.get(1)?) {
                    found.push(vec![scope.id().into(), row.get::<[u8; 16]>(0)?.into()]);
                }
            }
            Ok(())
        },
    )?;
    Ok(found)
}

/// Counts an incident's alerts anew: how many, how bad, and when last.
fn recount(db: &Connection, scope: TenantScope, id: IncidentId) -> Result<(), StoreError> {
    let mut rows = db
        .prepare_cached(
            "SELECT severity, count(*), CAST(sum(CASE WHEN status <> 'Resolved' THEN 1 ELSE 0 END) AS BIGINT),
                    max(last_seen_at_ms)
             FROM alert WHERE tenant_id = ?1 AND incident_id = ?2 GROUP BY severity",
        )?
        .query(params![scope.id(), octets(id)])?;
    let (mut alerts, mut unresolved, mut worst, mut last) = (0, 0, None, 0);
    while let Some(row) = rows.next()? {
        let severity = word("severity", &row.get::<String>(0)?, Severity::from_word)?;
        alerts += count(row.get(1)?);
        unresolved += count(row.get(2)?);
        worst = worst.max(Some(severity));
        last = last.max(count(row.get(3)?));
    }
    db.prepare_cached(
        "UPDATE incident SET alerts = ?3, unresolved = ?4 WHERE tenant_id = ?1 AND incident_id = ?2",
    )?
    .execute(params![scope.id(), octets(id), int(alerts), int(unresolved)])?;
    let Some(worst) = worst else { return Ok(()) };
    db.prepare_cached(
        "UPDATE incident SET severity = ?3, last_seen_at_ms = ?4
         WHERE tenant_id = ?1 AND incident_id = ?2",
    )?
    .execute(params![scope.id(), octets(id), worst.word(), int(last)])?;
    Ok(())
}

fn note(
    db: &Connection,
    scope: TenantScope,
    id: IncidentId,
    (kind, detail): (&str, &str),
    edit: &IncidentEdit,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO incident_change (tenant_id, incident_id, change_id, at_ms, changed_by, kind, detail,
                                      reason)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        scope.id(),
        octets(id),
        fresh_id(edit.now)?,
        ms(edit.now),
        edit.by.column(),
        kind,
        detail,
        edit.reason,
    ])?;
    Ok(())
}

/// Removes an incident whose last alert went, and those that were merged into it.
pub(crate) fn remove_empty(
    db: &Connection,
    tenant: i64,
    incident: [u8; 16],
) -> Result<(), StoreError> {
    let alerts: Option<i64> = db
        .prepare_cached("SELECT alerts FROM incident WHERE tenant_id = ?1 AND incident_id = ?2")?
        .query_row(params![tenant, incident], |row| row.get(0))
        .optional()?;
    if alerts.is_none_or(|alerts| 0 < alerts) {
        return Ok(());
    }
    for sql in [
        "DELETE FROM incident_change WHERE tenant_id = ?1 AND incident_id IN (
             SELECT incident_id FROM incident WHERE tenant_id = ?1 AND merged_into = ?2)",
        "DELETE FROM incident WHERE tenant_id = ?1 AND merged_into = ?2",
        "DELETE FROM incident_change WHERE tenant_id = ?1 AND incident_id = ?2",
        "DELETE FROM incident_key WHERE tenant_id = ?1 AND incident_id = ?2",
        "DELETE FROM incident WHERE tenant_id = ?1 AND incident_id = ?2",
    ] {
        db.prepare_cached(sql)?.execute(params![tenant, incident])?;
    }
    Ok(())
}

fn octets(id: IncidentId) -> [u8; 16] {
    id.0.to_be_bytes()
}

/// Alerts of an incident that can be merged into another: what one short transaction moves.
pub const MAX_MOVED: u64 = 10_000;
