//! One slice of a job: which alerts are next is read aside, what is done to them is one short transaction.
//!
//! A job over a filter goes from the alert that was last seen longest ago to the newest. One that happens again
//! meanwhile moves behind the place, not before it: it is met once more, known by its result, and left alone.
//!
//! # Invariants
//! - A slice, its results and the new place are stored together: who dies in between is followed by another who
//!   begins where the last slice ended.
//! - Of two that carry out the same job, one slice is taken: the other finds that the place has moved.

use std::collections::BTreeSet;

use bartizan_model::UnixMillis;
use serde_json::json;

use crate::alert::{AlertFilter, AlertKey, StatusFilter};
use crate::alert_apply::{Change, Outcome};
use crate::audit::{self, Event};
use crate::column::ms;
use crate::db::{Connection, Value, execute_many, params, query_many};
use crate::sight::{self, Within};
use crate::{
    AlertChoice, AlertJobRow, AlertJobState, MAX_ALERT_TAGS, Permission, Store, StoreError,
    TenantScope, alert_job,
};

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStep {
    /// There is nothing to do.
    Idle,
    /// So many alerts were looked at; there may be more.
    Went(usize),
}

/// The next alerts of a job.
struct Slice {
    keys: Vec<AlertKey>,
    /// Where the one after begins.
    place: (i64, [u8; 16]),
    is_last: bool,
}

impl Store {
    /// Carries out the next slice, of at most `limit` alerts, of the tenant's oldest job.
    ///
    /// # Errors
    /// The store is unavailable; the job goes on where it stopped.
    pub async fn step_alert_job(
        &self,
        scope: TenantScope,
        limit: u32,
        now: UnixMillis,
    ) -> Result<JobStep, StoreError> {
        let read = move |db: &Connection| {
            let Some(job) = alert_job::next(db, scope)? else { return Ok(None) };
            let slice = slice(db, scope, &job, limit)?;
            Ok::<_, StoreError>(Some((job, slice)))
        };
        let Some((job, slice)) = self.db.read(scope, read).await? else {
            return Ok(JobStep::Idle);
        };
        let id = job.id;
        let done = self.db.write(scope, move |db| carry_out(db, scope, &job, &slice, now)).await;
        match done {
            Ok(seen) => Ok(JobStep::Went(seen)),
            // It would fail again, and all others wait behind it.
            Err(error @ (StoreError::NotFound { .. } | StoreError::Damaged { .. })) => {
                let reason = error.to_string();
                self.db
                    .write(scope, move |db| {
                        let mut job = alert_job::one(db, scope, id)?;
                        if job.state.is_open() {
                            (job.state, job.reason) = (AlertJobState::Failed, reason);
                            store(db, scope, &job, now)?;
                        }
                        Ok(JobStep::Went(0))
                    })
                    .await
            }
            Err(error) => Err(error),
        }
    }
}

fn slice(
    db: &Connection,
    scope: TenantScope,
    job: &AlertJobRow,
    limit: u32,
) -> Result<Slice, StoreError> {
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    match &job.choice {
        AlertChoice::Keys(keys) => {
            let done = usize::try_from(job.place.0).unwrap_or(usize::MAX);
            let keys: Vec<AlertKey> = keys.iter().skip(done).take(wanted).copied().collect();
            let place = done.saturating_add(keys.len());
            let is_last = keys.len() < wanted;
            let place = i64::try_from(place).unwrap_or(i64::MAX);
            Ok(Slice { keys, place: (place, [0; 16]), is_last })
        }
        AlertChoice::Filter(filter) => {
            let within = within(db, scope, job)?;
            filtered(db, (scope, &within), job, *filter, limit)
        }
    }
}

/// What who asked for it may change by now.
fn within(db: &Connection, scope: TenantScope, job: &AlertJobRow) -> Result<Within, StoreError> {
    sight::of_member(db, scope, job.created_by, Permission::AlertsInvestigation)
}

fn filtered(
    db: &Connection,
    (scope, within): (TenantScope, &Within),
    job: &AlertJobRow,
    filter: AlertFilter,
    limit: u32,
) -> Result<Slice, StoreError> {
    let mut sql = if within.is_whole() {
        "SELECT a.last_seen_at_ms, a.alert_id FROM alert AS a WHERE a.tenant_id = ?"
    } else {
        "SELECT a.last_seen_at_ms, a.alert_id FROM alert AS a
         JOIN device AS d ON d.tenant_id = a.tenant_id AND d.device_id = a.device_id
         WHERE a.tenant_id = ?"
    }
    .to_owned();
    let mut values = vec![Value::from(scope.id())];
    within.narrow(&mut sql, &mut values, "d.group_id");
    filter.narrow(&mut sql, &mut values);
    sql.push_str(
        " AND a.received_at_ms <= ? AND (a.last_seen_at_ms, a.alert_id) > (?, ?)
          ORDER BY a.last_seen_at_ms, a.alert_id LIMIT ?",
    );
    let (place_ms, place_id) = job.place;
    values.extend([
        ms(job.created_at).into(),
        place_ms.into(),
        place_id.into(),
        i64::from(limit).into(),
    ]);
    let rows = db
        .prepare_cached(&sql)?
        .query_map(values, |row| Ok((row.get::<i64>(0)?, row.get::<[u8; 16]>(1)?)))?;
    let rows = rows.collect::<crate::db::Result<Vec<_>>>()?;
    Ok(Slice {
        place: rows.last().copied().unwrap_or(job.place),
        is_last: rows.len() < usize::try_from(limit).unwrap_or(usize::MAX),
        keys: rows.into_iter().map(|(_, id)| AlertKey(u128::from_be_bytes(id))).collect(),
    })
}

/// Returns how many alerts were looked at.
fn carry_out(
    db: &Connection,
    scope: TenantScope,
    read: &AlertJobRow,
    slice: &Slice,
    now: UnixMillis,
) -> Result<usize, StoreError> {
    let mut job = alert_job::one(db, scope, read.id)?;
    if !job.state.is_open() || job.place != read.place {
        return Ok(0);
    }
    let (only, known) = match &job.choice {
        AlertChoice::Filter(filter) => (filter.status, known(db, scope, &job, &slice.keys)?),
        AlertChoice::Keys(_) => (StatusFilter::Any, BTreeSet::new()),
    };
    let keys: Vec<AlertKey> =
        slice.keys.iter().filter(|key| !known.contains(key)).copied().collect();
    let (within, update, by) = (&within(db, scope, &job)?, &job.update, Ok(job.created_by));
    let change = Change { db, scope, within, update, by, now, audit_each: false };
    let mut items = Vec::with_capacity(keys.len());
    for (key, outcome) in change.apply(&keys, only)? {
        let (word, reason) = match outcome {
            Outcome::Changed => ("changed", String::new()),
            Outcome::Unchanged => ("unchanged", "it was so before".to_owned()),
            Outcome::Other => ("unchanged", "its status is another by now".to_owned()),
            Outcome::Gone => ("failed", "there is no such alert".to_owned()),
            Outcome::TooManyTags => {
                ("failed", format!("it would have more than {MAX_ALERT_TAGS} tags"))
            }
        };
        let counter = match word {
            "changed" => &mut job.changed,
            "unchanged" => &mut job.unchanged,
            _ => &mut job.failed,
        };
        *counter = counter.saturating_add(1);
        items.push(vec![
            scope.id().into(),
            job.id.octets().into(),
            key.0.to_be_bytes().into(),
            word.into(),
            reason.into(),
        ]);
    }
    execute_many(
        db,
        "INSERT INTO alert_job_item (tenant_id, job_id, alert_id, outcome, reason)",
        &items,
        "",
        &[],
    )?;
    job.place = slice.place;
    job.state = if slice.is_last { AlertJobState::Done } else { AlertJobState::Running };
    store(db, scope, &job, now)?;
    Ok(keys.len())
}

/// Returns which of some alerts have a result already.
fn known(
    db: &Connection,
    scope: TenantScope,
    job: &AlertJobRow,
    keys: &[AlertKey],
) -> Result<BTreeSet<AlertKey>, StoreError> {
    let rows: Vec<Vec<Value>> = keys
        .iter()
        .map(|key| vec![scope.id().into(), job.id.octets().into(), key.0.to_be_bytes().into()])
        .collect();
    let mut known = BTreeSet::new();
    query_many(
        db,
        "WITH k (tenant_id, job_id, alert_id) AS (",
        &rows,
        // Each is looked up by its key: joined, PostgreSQL reads the job's items for each as long as it takes their table
        // for a small one.
        ") SELECT (SELECT i.alert_id FROM alert_job_item AS i
                   WHERE i.tenant_id = k.tenant_id AND i.job_id = k.job_id AND i.alert_id = k.alert_id)
           FROM k",
        &[],
        |rows| {
            while let Some(row) = rows.next()? {
                known.extend(row.get::<Option<_>>(0)?.map(|key| AlertKey(u128::from_be_bytes(key))));
            }
            Ok(())
        },
    )?;
    Ok(known)
}

/// Stores how far a job has come; notes its end.
fn store(
    db: &Connection,
    scope: TenantScope,
    job: &AlertJobRow,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let (place_ms, place_id) = job.place;
    let figures = [job.changed, job.unchanged, job.failed].map(crate::column::int);
    db.prepare_cached(
        "UPDATE alert_job SET state = ?3, reason = ?4, changed = ?5, unchanged = ?6, failed = ?7,
             place_ms = ?8, place_id = ?9, updated_at_ms = ?10
         WHERE tenant_id = ?1 AND job_id = ?2",
    )?
    .execute(params![
        scope.id(),
        job.id.octets(),
        job.state.word(),
        job.reason,
        figures[0],
        figures[1],
        figures[2],
        place_ms,
        place_id,
        ms(now),
    ])?;
    if job.state.is_open() {
        return Ok(());
    }
    let event = Event::new("alert-job.end", "alert-job", job.id).detail(json!({
        "state": job.state.word(),
        "changed": job.changed,
        "unchanged": job.unchanged,
        "failed": job.failed,
    }));
    audit::append(db, scope, event, now)
}
