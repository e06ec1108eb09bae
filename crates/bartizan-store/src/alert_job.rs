//! Changes of many alerts, as jobs: asked for, watched, canceled, and what became of each alert. `alert_job_step`
//! carries them out.
//!
//! # Invariants
//! - What a job was asked to do never changes; its state, figures and place do.

use bartizan_model::UnixMillis;
use serde_json::json;

use crate::alert::{self, AlertKey};
use crate::audit::{self, Event};
use crate::column::{count, fresh_id, int, ms, time, word};
use crate::db::{Connection, Reach, Row, Value, params};
use crate::sight::Within;
use crate::{
    AlertChoice, AlertJobId, AlertUpdate, MemberId, Sight, Store, StoreError, TenantScope, triage,
};

/// How far a job has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertJobState {
    /// Nothing was done yet.
    Waiting,
    /// Some alerts were changed.
    Running,
    /// All were.
    Done,
    /// Somebody ended it; what was done stays.
    Canceled,
    /// It cannot go on; what was done stays.
    Failed,
}

impl AlertJobState {
    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Canceled => "canceled",
            Self::Failed => "failed",
        }
    }

    /// Whether there may be more to do.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Running)
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Waiting, Self::Running, Self::Done, Self::Canceled, Self::Failed]
            .into_iter()
            .find(|state| state.word() == word)
    }
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertJobRow {
    /// Names it.
    pub id: AlertJobId,
    /// When it was asked for; alerts that were received later are left alone.
    pub created_at: UnixMillis,
    /// Who asked for it.
    pub created_by: MemberId,
    /// Their name.
    pub creator: String,
    /// Which alerts.
    pub choice: AlertChoice,
    /// What is to change.
    pub update: AlertUpdate,
    /// How far it has come.
    pub state: AlertJobState,
    /// Why it failed; empty otherwise.
    pub reason: String,
    /// How many alerts there were when it was asked for.
    pub total: u64,
    /// How many were changed.
    pub changed: u64,
    /// How many were so before.
    pub unchanged: u64,
    /// How many could not be changed.
    pub failed: u64,
    /// When it last went on.
    pub updated_at: UnixMillis,
    /// Where it goes on.
    pub place: (i64, [u8; 16]),
}

impl AlertJobRow {
    /// Returns how many alerts were looked at.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.changed.saturating_add(self.unchanged).saturating_add(self.failed)
    }
}

/// What became of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemOutcome {
    /// It is as was asked for.
    Changed,
    /// Nothing was to be done.
    Unchanged,
    /// It could not be.
    Failed,
}

impl ItemOutcome {
    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Changed, Self::Unchanged, Self::Failed]
            .into_iter()
            .find(|outcome| outcome.word() == word)
    }
}

/// An alert that a job looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertJobItem {
    /// The alert.
    pub key: AlertKey,
    /// What became of it.
    pub outcome: ItemOutcome,
    /// Why it did; empty where it was changed.
    pub reason: String,
}

impl Store {
    /// Asks for a change of many alerts.
    ///
    /// # Errors
    /// A verdict or member does not exist, more than [`MAX_CHOSEN`] alerts are named, or [`MAX_OPEN_JOBS`] are not
    /// done yet.
    pub async fn create_alert_job(
        &self,
        sight: Sight,
        mut choice: AlertChoice,
        update: AlertUpdate,
        by: MemberId,
        now: UnixMillis,
    ) -> Result<AlertJobId, StoreError> {
        update.check()?;
        if let AlertChoice::Keys(keys) = &mut choice {
            keys.sort_unstable();
            keys.dedup();
        }
        self.db
            .write(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                let total = match &choice {
                    AlertChoice::Filter(filter) => alert::matching(db, scope, &within, *filter)?,
                    AlertChoice::Keys(keys) if keys.len() <= MAX_CHOSEN => {
                        u64::try_from(keys.len()).unwrap_or(u64::MAX)
                    }
                    AlertChoice::Keys(_) => {
                        let limit = u64::try_from(MAX_CHOSEN).unwrap_or(u64::MAX);
                        return Err(StoreError::Full { what: "alerts in a selection", limit });
                    }
                };
                if let Some(Some(member)) = update.assigned_to {
                    triage::check_member(db, scope, member)?;
                }
                let open: i64 = db
                    .prepare_cached(
                        "SELECT count(*) FROM alert_job
                         WHERE tenant_id = ?1 AND state IN ('waiting', 'running')",
                    )?
                    .query_row([scope.id()], |row| row.get(0))?;
                if MAX_OPEN_JOBS <= count(open) {
                    return Err(StoreError::Full {
                        what: "changes of alerts under way",
                        limit: MAX_OPEN_JOBS,
                    });
                }
                let id = AlertJobId::of(fresh_id(now)?);
                db.prepare_cached(
                    "INSERT INTO alert_job (tenant_id, job_id, created_at_ms, created_by, chosen, wanted, state,
                                            reason, total, changed, unchanged, failed, place_ms, place_id,
                                            updated_at_ms)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'waiting', '', ?7, 0, 0, 0, ?8, ?9, ?3)",
                )?
                .execute(params![
                    scope.id(),
                    id.octets(),
                    ms(now),
                    by.column(),
                    choice.to_text(),
                    update.to_text(),
                    int(total),
                    match &choice {
                        AlertChoice::Filter(_) => i64::MIN,
                        AlertChoice::Keys(_) => 0,
                    },
                    [0_u8; 16],
                ])?;
                let status = update.status.map_or("", bartizan_model::AlertStatus::word);
                let event = Event::new("alert-job.create", "alert-job", id)
                    .detail(json!({ "alerts": total, "status": status }));
                audit::append(db, scope, event, now)?;
                Ok(id)
            })
            .await
    }

    /// Returns a job.
    ///
    /// # Errors
    /// The tenant has no such job.
    pub async fn alert_job(&self, sight: Sight, id: AlertJobId) -> Result<AlertJobRow, StoreError> {
        self.db.read(sight, move |db| seen(db, sight, id)).await
    }

    /// Lists jobs, the newest first, from before one on.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn alert_jobs(
        &self,
        sight: Sight,
        before: Option<AlertJobId>,
        limit: u32,
    ) -> Result<Vec<AlertJobRow>, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                let before = before.map_or([0xff; 16], AlertJobId::octets);
                let mut rows = match &within {
                    Within::Whole => db
                        .prepare_cached(concat!(
                            job_columns!(),
                            "AND j.job_id < ?2 ORDER BY j.job_id DESC LIMIT ?3"
                        ))?
                        .query(params![scope.id(), before, limit])?,
                    // Of who does not see everything, those that they asked for.
                    Within::Groups { of, .. } => db
                        .prepare_cached(concat!(
                            job_columns!(),
                            "AND j.job_id < ?2 AND j.created_by = ?4 ORDER BY j.job_id DESC LIMIT ?3"
                        ))?
                        .query(params![scope.id(), before, limit, of.map(MemberId::column)])?,
                };
                let mut jobs = Vec::new();
                while let Some(row) = rows.next()? {
                    jobs.push(read(&row)?);
                }
                Ok(jobs)
            })
            .await
    }

    /// Ends a job before its end; one that has ended is left alone.
    ///
    /// # Errors
    /// The tenant has no such job.
    pub async fn cancel_alert_job(
        &self,
        sight: Sight,
        id: AlertJobId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                let job = one(db, scope, id)?;
                within.job(&job)?;
                if !job.state.is_open() {
                    return Ok(());
                }
                db.prepare_cached(
                    "UPDATE alert_job SET state = 'canceled', updated_at_ms = ?3
                     WHERE tenant_id = ?1 AND job_id = ?2",
                )?
                .execute(params![scope.id(), id.octets(), ms(now)])?;
                let event = Event::new("alert-job.cancel", "alert-job", id)
                    .detail(json!({ "changed": job.changed }));
                audit::append(db, scope, event, now)
            })
            .await
    }

    /// Lists what became of a job's alerts, in the order of their keys, from after one on.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn alert_job_items(
        &self,
        sight: Sight,
        id: AlertJobId,
        after: AlertKey,
        limit: u32,
    ) -> Result<Vec<AlertJobItem>, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                let mut values = vec![
                    Value::from(scope.id()),
                    id.octets().into(),
                    after.0.to_be_bytes().into(),
                    i64::from(limit).into(),
                ];
                let mut rows = if within.is_whole() {
                    db.prepare_cached(
                        "SELECT alert_id, outcome, reason FROM alert_job_item
                         WHERE tenant_id = ?1 AND job_id = ?2 AND ?3 < alert_id
                         ORDER BY alert_id LIMIT ?4",
                    )?
                    .query(values)?
                } else {
                    within.job(&one(db, scope, id)?)?;
                    let inside = within.condition("d.group_id", values.len().saturating_add(1));
                    values.extend(within.values());
                    // Of alerts that are gone nothing is told but that they are.
                    let sql = format!(
                        "SELECT i.alert_id, i.outcome, i.reason FROM alert_job_item AS i
                         LEFT JOIN alert AS a ON a.tenant_id = i.tenant_id AND a.alert_id = i.alert_id
                         LEFT JOIN device AS d ON d.tenant_id = a.tenant_id AND d.device_id = a.device_id
                         WHERE i.tenant_id = ?1 AND i.job_id = ?2 AND ?3 < i.alert_id
                             AND (a.alert_id IS NULL OR {inside})
                         ORDER BY i.alert_id LIMIT ?4"
                    );
                    db.prepare_cached(&sql)?.query(values)?
                };
                let mut items = Vec::new();
                while let Some(row) = rows.next()? {
                    let outcome: String = row.get(1)?;
                    items.push(AlertJobItem {
                        key: AlertKey(u128::from_be_bytes(row.get(0)?)),
                        outcome: word("outcome", &outcome, ItemOutcome::from_word)?,
                        reason: row.get(2)?,
                    });
                }
                Ok(items)
            })
            .await
    }

    /// Returns the tenants that have jobs to carry out. For the portal's own work.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn tenants_with_alert_jobs(&self) -> Result<Vec<TenantScope>, StoreError> {
        self.db
            .read(Reach::All, |db| {
                let statement = db.prepare_cached(
                    "SELECT DISTINCT tenant_id FROM alert_job
                     WHERE state IN ('waiting', 'running') ORDER BY tenant_id",
                )?;
                let rows =
                    statement.query_map(params![], |row| Ok(TenantScope::new(row.get(0)?)))?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }
}

fn seen(db: &Connection, sight: Sight, id: AlertJobId) -> Result<AlertJobRow, StoreError> {
    let (scope, within) = sight.open(db)?;
    let job = one(db, scope, id)?;
    within.job(&job)?;
    Ok(job)
}

pub(crate) fn one(
    db: &Connection,
    scope: TenantScope,
    id: AlertJobId,
) -> Result<AlertJobRow, StoreError> {
    let mut rows = db
        .prepare_cached(concat!(job_columns!(), "AND j.job_id = ?2"))?
        .query(params![scope.id(), id.octets()])?;
    let row = rows.next()?.ok_or(StoreError::NotFound { what: "change of alerts" })?;
    read(&row)
}

/// Returns the oldest job that is not done.
pub(crate) fn next(db: &Connection, scope: TenantScope) -> Result<Option<AlertJobRow>, StoreError> {
    let mut rows = db
        .prepare_cached(concat!(
            job_columns!(),
            "AND j.state IN ('waiting', 'running') ORDER BY j.job_id LIMIT 1"
        ))?
        .query([scope.id()])?;
    rows.next()?.map(|row| read(&row)).transpose()
}

/// Removes at most `limit` rows of jobs that ended before a time; tells how many.
pub(crate) fn remove_old(
    db: &Connection,
    scope: TenantScope,
    before: i64,
    limit: u32,
) -> Result<usize, StoreError> {
    let items = db
        .prepare_cached(
            "DELETE FROM alert_job_item WHERE tenant_id = ?1 AND (job_id, alert_id) IN (
                 SELECT i.job_id, i.alert_id FROM alert_job AS j
                 JOIN alert_job_item AS i ON i.tenant_id = j.tenant_id AND i.job_id = j.job_id
                 WHERE j.tenant_id = ?1 AND j.state NOT IN ('waiting', 'running') AND j.updated_at_ms < ?2
                 LIMIT ?3)",
        )?
        .execute(params![scope.id(), before, limit])?;
    let jobs = db
        .prepare_cached(
            "DELETE FROM alert_job WHERE tenant_id = ?1 AND state NOT IN ('waiting', 'running')
                 AND updated_at_ms < ?2 AND NOT EXISTS (
                     SELECT 1 FROM alert_job_item AS i
                     WHERE i.tenant_id = alert_job.tenant_id AND i.job_id = alert_job.job_id)",
        )?
        .execute(params![scope.id(), before])?;
    Ok(items.saturating_add(jobs))
}

fn read(row: &Row<'_>) -> Result<AlertJobRow, StoreError> {
    let state: String = row.get(6)?;
    Ok(AlertJobRow {
        id: AlertJobId::of(row.get(0)?),
        created_at: time(row.get(1)?),
        created_by: MemberId::of_column(row.get(2)?),
        creator: row.get(3)?,
        choice: AlertChoice::from_text(&row.get::<String>(4)?)?,
        update: AlertUpdate::from_text(&row.get::<String>(5)?)?,
        state: word("state", &state, AlertJobState::from_word)?,
        reason: row.get(7)?,
        total: count(row.get(8)?),
        changed: count(row.get(9)?),
        unchanged: count(row.get(10)?),
        failed: count(row.get(11)?),
        updated_at: time(row.get(12)?),
        place: (row.get(13)?, row.get(14)?),
    })
}

/// What [`read`] reads.
macro_rules! job_columns {
    () => {
        "SELECT j.job_id, j.created_at_ms, j.created_by, m.name, j.chosen, j.wanted, j.state, j.reason, j.total,
                j.changed, j.unchanged, j.failed, j.updated_at_ms, j.place_ms, j.place_id
         FROM alert_job AS j JOIN member AS m ON m.tenant_id = j.tenant_id AND m.member_id = j.created_by
         WHERE j.tenant_id = ?1 "
    };
}
use job_columns;

/// Alerts that a selection may name: what a form can carry.
pub const MAX_CHOSEN: usize = 1_000;
/// Jobs of a tenant that may wait or run at once.
pub const MAX_OPEN_JOBS: u64 = 20;
