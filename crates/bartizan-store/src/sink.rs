//! Sinks: where a tenant's events go, and how far each has come. `sink_work` moves them on.
//!
//! # What it does not do
//! - Know what settings mean, or open secrets: the portal does both.

use bartizan_model::{Private, UnixMillis};
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{count, found, fresh_id, ms, stored, time};
use crate::db::{Connection, Row, params};
use crate::key::SinkId;
use crate::{Store, StoreError, TenantScope};

/// A sink as it is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkSettings {
    /// As people know it.
    pub name: String,
    /// A word of the portal's.
    pub kind: String,
    /// JSON of the portal's.
    pub settings: String,
    /// Sealed by the portal; absent to keep what is there.
    pub secrets: Option<Private<Vec<u8>>>,
}

/// A sink, with how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkRow {
    /// Its id.
    pub id: SinkId,
    /// As people know it.
    pub name: String,
    /// A word of the portal's.
    pub kind: String,
    /// JSON of the portal's.
    pub settings: String,
    /// Sealed by the portal.
    pub secrets: Private<Vec<u8>>,
    /// Whether it waits for a person.
    pub paused: bool,
    /// When it was added.
    pub created_at: UnixMillis,
    /// All events up to here are dealt with.
    pub cursor: u64,
    /// Up to here, what is urgent is, though the rest waits.
    pub urgent: u64,
    /// How many events come after the cursor.
    pub lag: u64,
    /// Not before then.
    pub due_at: UnixMillis,
    /// How often what comes next was tried.
    pub tries: u32,
    /// How often anything failed since something went well.
    pub failures: u32,
    /// When something went well last.
    pub last_success_at: Option<UnixMillis>,
    /// When something failed last.
    pub last_failure_at: Option<UnixMillis>,
    /// What that was.
    pub last_error: String,
    /// How many events it took.
    pub delivered: u64,
    /// How many grew too old before it was told.
    pub missed: u64,
    /// How many dead letters it has.
    pub dead: u64,
    /// Whether some of these are to go again.
    pub replays: bool,
}

impl Store {
    /// Adds a sink; it is told what happens from now on.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the name is taken; [`StoreError::Full`] if there are [`MAX_SINKS`].
    pub async fn create_sink(
        &self,
        scope: TenantScope,
        wanted: SinkSettings,
        now: UnixMillis,
    ) -> Result<SinkId, StoreError> {
        self.db.write(scope, move |db| create(db, scope, &wanted, now)).await
    }

    /// Sets a sink anew; what waits goes where it goes now, at once.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the name is taken; the tenant has no such sink.
    pub async fn change_sink(
        &self,
        scope: TenantScope,
        id: SinkId,
        wanted: SinkSettings,
        action: SinkAction,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let secrets = wanted.secrets.as_ref().map(|secrets| &*secrets.0);
                let changed = db
                    .prepare_cached(
                        "UPDATE sink SET name = ?3, kind = ?4, settings = ?5,
                             secrets = coalesce(?6, secrets), due_at_ms = 0, tries = 0
                         WHERE tenant_id = ?1 AND sink_id = ?2",
                    )?
                    .execute(params![
                        scope.id(),
                        id.octets(),
                        wanted.name,
                        wanted.kind,
                        wanted.settings,
                        secrets
                    ]);
                if let Ok(0) = changed {
                    return Err(StoreError::NotFound { what: "sink" });
                }
                stored(changed, "a sink of this name")?;
                note(db, scope, id, action, &wanted.name, now)
            })
            .await
    }

    /// Lets a sink wait, or go on; what happens meanwhile is kept for it as long as events are.
    ///
    /// # Errors
    /// The tenant has no such sink.
    pub async fn pause_sink(
        &self,
        scope: TenantScope,
        id: SinkId,
        paused: bool,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let name = name_of(db, scope, id)?;
                let changed = db
                    .prepare_cached(
                        "UPDATE sink SET paused = ?3, due_at_ms = 0
                         WHERE tenant_id = ?1 AND sink_id = ?2 AND paused <> ?3",
                    )?
                    .execute(params![scope.id(), id.octets(), paused])?;
                if changed == 0 {
                    return Ok(());
                }
                let action = if paused { SinkAction::Pause } else { SinkAction::Resume };
                note(db, scope, id, action, &name, now)
            })
            .await
    }

    /// Removes a sink with its dead letters.
    ///
    /// # Errors
    /// The tenant has no such sink.
    pub async fn delete_sink(
        &self,
        scope: TenantScope,
        id: SinkId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let name = name_of(db, scope, id)?;
                for sql in [
                    "DELETE FROM dead_letter WHERE tenant_id = ?1 AND sink_id = ?2",
                    "DELETE FROM sink WHERE tenant_id = ?1 AND sink_id = ?2",
                ] {
                    db.prepare_cached(sql)?.execute(params![scope.id(), id.octets()])?;
                }
                // Noted while the others are still told of it.
                note(db, scope, id, SinkAction::Remove, &name, now)?;
                db.prepare_cached(
                    "UPDATE event_log SET sinks = greatest(sinks - 1, 0) WHERE tenant_id = ?1",
                )?
                .execute(params![scope.id()])?;
                db.prepare_cached(
                    "DELETE FROM event WHERE tenant_id = ?1
                         AND NOT EXISTS (SELECT 1 FROM sink WHERE tenant_id = ?1)",
                )?
                .execute(params![scope.id()])?;
                Ok(())
            })
            .await
    }

    /// Notes what was done to a sink that changes nothing in it.
    ///
    /// # Errors
    /// The tenant has no such sink.
    pub async fn note_sink(
        &self,
        scope: TenantScope,
        id: SinkId,
        action: SinkAction,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let name = name_of(db, scope, id)?;
                note(db, scope, id, action, &name, now)
            })
            .await
    }

    /// Returns the tenant's sinks, by name.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn sinks(&self, scope: TenantScope) -> Result<Vec<SinkRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(concat!(
                    sink_columns!(),
                    " WHERE s.tenant_id = ?1 ORDER BY s.name, s.sink_id"
                ))?;
                let rows = statement.query_map(params![scope.id()], read)?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Returns one sink.
    ///
    /// # Errors
    /// The tenant has no such sink.
    pub async fn sink(&self, scope: TenantScope, id: SinkId) -> Result<SinkRow, StoreError> {
        self.db
            .read(scope, move |db| {
                let row = db
                    .prepare_cached(concat!(
                        sink_columns!(),
                        " WHERE s.tenant_id = ?1 AND s.sink_id = ?2"
                    ))?
                    .query_row(params![scope.id(), id.octets()], read);
                found(row, "sink")
            })
            .await
    }
}

/// What was done to a sink, for the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkAction {
    /// It was added.
    Create,
    /// It was set anew.
    Change,
    /// It waits.
    Pause,
    /// It goes on.
    Resume,
    /// It was removed.
    Remove,
    /// Its signing secret was drawn anew.
    Rotate,
    /// A test went out.
    Test,
    /// Dead letters go again.
    Replay,
    /// Dead letters were discarded.
    Discard,
}

impl SinkAction {
    fn word(self) -> &'static str {
        match self {
            Self::Create => "sink.create",
            Self::Change => "sink.change",
            Self::Pause => "sink.pause",
            Self::Resume => "sink.resume",
            Self::Remove => "sink.remove",
            Self::Rotate => "sink.rotate",
            Self::Test => "sink.test",
            Self::Replay => "sink.replay",
            Self::Discard => "sink.discard",
        }
    }
}

fn create(
    db: &Connection,
    scope: TenantScope,
    wanted: &SinkSettings,
    now: UnixMillis,
) -> Result<SinkId, StoreError> {
    let id = SinkId::of(fresh_id(now)?);
    // The audit log before the events: everybody takes these two in this order.
    note(db, scope, id, SinkAction::Create, &wanted.name, now)?;
    let sinks: i64 = db
        .prepare_cached(
            "INSERT INTO event_log (tenant_id, sinks, last_seq) VALUES (?1, 1, 0)
             ON CONFLICT (tenant_id) DO UPDATE SET sinks = event_log.sinks + 1 RETURNING sinks",
        )?
        .query_row(params![scope.id()], |row| row.get(0))?;
    if MAX_SINKS < count(sinks) {
        return Err(StoreError::Full { what: "sinks", limit: MAX_SINKS });
    }
    let secrets = wanted.secrets.as_ref().map_or(&[][..], |secrets| &secrets.0);
    let result = db
        .prepare_cached(
            "INSERT INTO sink (tenant_id, sink_id, name, kind, settings, secrets, created_at_ms,
                               cursor_seq, urgent_seq)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, last_seq, last_seq FROM event_log WHERE tenant_id = ?1",
        )?
        .execute(params![
            scope.id(),
            id.octets(),
            wanted.name,
            wanted.kind,
            wanted.settings,
            secrets,
            ms(now),
        ]);
    stored(result, "a sink of this name")?;
    Ok(id)
}

pub(crate) fn note(
    db: &Connection,
    scope: TenantScope,
    id: SinkId,
    action: SinkAction,
    name: &str,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let event = Event::new(action.word(), "sink", id).detail(json!({ "name": name }));
    audit::append(db, scope, event, now)
}

pub(crate) fn name_of(
    db: &Connection,
    scope: TenantScope,
    id: SinkId,
) -> Result<String, StoreError> {
    let row = db
        .prepare_cached("SELECT name FROM sink WHERE tenant_id = ?1 AND sink_id = ?2")?
        .query_row(params![scope.id(), id.octets()], |row| row.get(0));
    found(row, "sink")
}

/// Reads the columns of [`sink_columns`].
fn read(row: &Row<'_>) -> crate::db::Result<SinkRow> {
    let (cursor, last): (i64, i64) = (row.get(7)?, row.get(18)?);
    Ok(SinkRow {
        id: SinkId::of(row.get(0)?),
        name: row.get(1)?,
        kind: row.get(2)?,
        settings: row.get(3)?,
        secrets: Private(row.get(4)?),
        paused: row.get(5)?,
        created_at: time(row.get(6)?),
        cursor: count(cursor),
        lag: count(last.saturating_sub(cursor)),
        urgent: count(row.get(8)?),
        due_at: time(row.get(9)?),
        tries: row.get(10)?,
        failures: row.get(11)?,
        last_success_at: row.get::<Option<i64>>(12)?.map(time),
        last_failure_at: row.get::<Option<i64>>(13)?.map(time),
        last_error: row.get(14)?,
        delivered: count(row.get(15)?),
        missed: count(row.get(16)?),
        replays: row.get::<i64>(17)? != 0,
        dead: count(row.get(19)?),
    })
}

/// What [`read`] reads.
macro_rules! sink_columns {
    () => {
        "SELECT s.sink_id, s.name, s.kind, s.settings, s.secrets, s.paused, s.created_at_ms, s.cursor_seq,
                s.urgent_seq, s.due_at_ms, s.tries, s.failures, s.last_success_at_ms, s.last_failure_at_ms,
                s.last_error, s.delivered, s.missed, s.replays, l.last_seq,
                (SELECT count(*) FROM dead_letter AS d
                 WHERE d.tenant_id = s.tenant_id AND d.sink_id = s.sink_id)
         FROM sink AS s JOIN event_log AS l ON l.tenant_id = s.tenant_id"
    };
}
use sink_columns;

/// More than a tenant has receivers.
pub const MAX_SINKS: u64 = 50;
