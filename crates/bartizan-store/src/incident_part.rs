//! Incidents as somebody sees them who sees a part of the devices: those with an alert inside, counting these alone.
//!
//! What it does not do: hide what an incident is called and when it was last seen, which are the incident's.

use bartizan_model::Severity;

use crate::column::ms;
use crate::db::{Connection, Value};
use crate::incident::{IncidentCursor, read};
use crate::sight::{Sorting, Within};
use crate::{IncidentId, IncidentRow, StoreError, TenantScope};

/// Lists them, the last seen first.
pub(crate) fn list(
    db: &Connection,
    (scope, within): (TenantScope, &Within),
    unresolved_only: bool,
    after: Option<IncidentCursor>,
    limit: u32,
) -> Result<Vec<IncidentRow>, StoreError> {
    let (mut sql, mut values) = statement((scope, within), unresolved_only);
    let sorting = within.sorting(db, scope)?;
    match sorting {
        Sorting::Walk => {}
        Sorting::Sort => {
            let narrow = if unresolved_only { UNRESOLVED } else { "" };
            let inside = of_devices("a.incident_id", within, narrow);
            sql.push_str(&format!(" AND i.incident_id IN ({inside})"));
        }
    }
    let mut place = |value: Value| {
        values.push(value);
        values.len()
    };
    if let Some(after) = after {
        let (at, id) =
            (place(ms(after.last_seen_at).into()), place(after.id.0.to_be_bytes().into()));
        sql.push_str(&format!(" AND (i.last_seen_at_ms, i.incident_id) < (?{at}, ?{id})"));
    }
    let limit = place(i64::from(limit).into());
    let addend = sorting.addend();
    sql.push_str(&format!(
        " ORDER BY i.last_seen_at_ms{addend} DESC, i.incident_id DESC LIMIT ?{limit}"
    ));
    let mut rows = db.prepare_cached(&sql)?.query(values)?;
    let mut incidents = Vec::new();
    while let Some(row) = rows.next()? {
        incidents.push(read(&row)?);
    }
    Ok(incidents)
}

/// Reads one.
pub(crate) fn one(
    db: &Connection,
    (scope, within): (TenantScope, &Within),
    id: IncidentId,
) -> Result<IncidentRow, StoreError> {
    let (mut sql, mut values) = statement((scope, within), false);
    values.push(id.0.to_be_bytes().into());
    sql.push_str(&format!(" AND i.incident_id = ?{}", values.len()));
    let mut rows = db.prepare_cached(&sql)?.query(values)?;
    let row = rows.next()?.ok_or(StoreError::NotFound { what: "incident" })?;
    read(&row)
}

/// Counts those with unresolved alerts.
pub(crate) fn count_open(
    db: &Connection,
    (scope, within): (TenantScope, &Within),
) -> Result<u64, StoreError> {
    let sql = of_devices("count(DISTINCT a.incident_id)", within, UNRESOLVED);
    let open = db.prepare_cached(&sql)?.query_row(values(scope, within), |row| row.get(0))?;
    Ok(crate::column::count(open))
}

/// Up to its last condition. The index on when incidents were last seen is walked; what is counted is counted of those
/// that are shown.
fn statement(
    (scope, within): (TenantScope, &Within),
    unresolved_only: bool,
) -> (String, Vec<Value>) {
    let (all, open) = (seen(within, ""), seen(within, UNRESOLVED));
    let wanted = if unresolved_only { &open } else { &all };
    let rank =
        |(rank, severity): (usize, &Severity)| format!("WHEN '{}' THEN {rank}", severity.word());
    let ranks: Vec<_> = SEVERITIES.iter().enumerate().map(rank).collect();
    let words =
        |(rank, severity): (usize, &Severity)| format!("WHEN {rank} THEN '{}'", severity.word());
    let words: Vec<_> = SEVERITIES.iter().enumerate().map(words).collect();
    let (ranks, words) = (ranks.join(" "), words.join(" "));
    let sql = format!(
        "SELECT i.incident_id, i.title,
                CASE (SELECT max(CASE a.severity {ranks} END) {all}) {words} ELSE i.severity END,
                i.created_at_ms, i.last_seen_at_ms,
                (SELECT count(*) {all}), (SELECT count(*) {open})
         FROM incident AS i
         WHERE i.tenant_id = ?1 AND i.merged_into IS NULL AND EXISTS (SELECT 1 {wanted})"
    );
    (sql, values(scope, within))
}

/// The alerts of `incident AS i` that are inside.
fn seen(within: &Within, narrow: &str) -> String {
    let inside = within.condition("d.group_id", 2);
    format!(
        "FROM alert AS a JOIN device AS d ON d.tenant_id = a.tenant_id AND d.device_id = a.device_id
         WHERE a.tenant_id = i.tenant_id AND a.incident_id = i.incident_id AND {inside}{narrow}"
    )
}

/// Reads something of the alerts of all incidents that are inside, from the devices on.
fn of_devices(what: &str, within: &Within, narrow: &str) -> String {
    let inside = within.condition("d.group_id", 2);
    format!(
        "SELECT {what} FROM device AS d
         JOIN alert AS a ON a.tenant_id = d.tenant_id AND a.device_id = d.device_id
         WHERE d.tenant_id = ?1 AND {inside} AND a.incident_id IS NOT NULL{narrow}"
    )
}

fn values(scope: TenantScope, within: &Within) -> Vec<Value> {
    let mut values = vec![Value::from(scope.id())];
    values.extend(within.values());
    values
}

const UNRESOLVED: &str = " AND a.status <> 'Resolved'";
/// The least first.
const SEVERITIES: [Severity; 4] =
    [Severity::Informational, Severity::Low, Severity::Medium, Severity::High];
