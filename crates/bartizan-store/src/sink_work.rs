//! How sinks come on: what is due, what went out, what failed, what is given up.
//!
//! # Invariants
//! - A cursor moves forward only, and past an event only once it was delivered, does not concern the sink, or lies among
//!   its dead letters.

use bartizan_model::UnixMillis;

use crate::column::{count, int, ms, time};
use crate::db::{Connection, Reach, params};
use crate::key::SinkId;
use crate::sink::{self, SinkAction};
use crate::{EventRow, Store, StoreError, TenantScope, event_row};

/// Something that a sink did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterRow {
    /// The event.
    pub event: EventRow,
    /// When it was given up.
    pub died_at: UnixMillis,
    /// After so many tries.
    pub tries: u32,
    /// What the last one came to.
    pub error: String,
    /// Whether it is to go again.
    pub replay: bool,
}

/// Figures of all tenants' sinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkHealth {
    /// How many there are.
    pub sinks: u64,
    /// Of these, paused.
    pub paused: u64,
    /// Of these, failed the last time.
    pub failing: u64,
    /// The most events that wait for one.
    pub lag: u64,
    /// Events that were given up.
    pub dead: u64,
}

impl Store {
    /// Returns the sinks of all tenants that have something to do.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn due_sinks(
        &self,
        now: UnixMillis,
        limit: u32,
    ) -> Result<Vec<(TenantScope, SinkId)>, StoreError> {
        self.db
            .read(Reach::All, move |db| {
                let statement = db.prepare_cached(
                    "SELECT s.tenant_id, s.sink_id FROM sink AS s
                     JOIN event_log AS l ON l.tenant_id = s.tenant_id
                     WHERE s.paused = 0 AND s.due_at_ms <= ?1
                         AND (s.cursor_seq < l.last_seq OR 0 < s.replays)
                     ORDER BY s.due_at_ms, s.tenant_id, s.sink_id LIMIT ?2",
                )?;
                let rows = statement.query_map(params![ms(now), limit], |row| {
                    Ok((TenantScope::new(row.get(0)?), SinkId::of(row.get(1)?)))
                })?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Returns the events after a place, with what they are about.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn events_after(
        &self,
        scope: TenantScope,
        seq: u64,
        limit: u32,
    ) -> Result<Vec<EventRow>, StoreError> {
        self.db.read(scope, move |db| event_row::after(db, scope, seq, limit)).await
    }

    /// Notes that a sink has dealt with all events up to `cursor`, of which it took so many; the next turn is not before
    /// `due_at`.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn advance_sink(
        &self,
        scope: TenantScope,
        id: SinkId,
        (cursor, took): (u64, u64),
        due_at: UnixMillis,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                db.prepare_cached(
                    "UPDATE sink SET cursor_seq = greatest(cursor_seq, ?3),
                         urgent_seq = greatest(urgent_seq, ?3), delivered = delivered + ?4, tries = 0,
                         due_at_ms = ?5,
                         failures = CASE WHEN 0 < ?4 THEN 0 ELSE failures END,
                         last_success_at_ms = CASE WHEN 0 < ?4 THEN ?6 ELSE last_success_at_ms END
                     WHERE tenant_id = ?1 AND sink_id = ?2",
                )?
                .execute(params![
                    scope.id(),
                    id.octets(),
                    int(cursor),
                    int(took),
                    ms(due_at),
                    ms(now)
                ])?;
                Ok(())
            })
            .await
    }

    /// Notes that a sink took what is urgent up to `urgent`, while the rest waits.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn advance_urgent(
        &self,
        scope: TenantScope,
        id: SinkId,
        (urgent, took): (u64, u64),
        due_at: UnixMillis,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                db.prepare_cached(
                    "UPDATE sink SET urgent_seq = greatest(urgent_seq, ?3), delivered = delivered + ?4,
                         tries = 0, due_at_ms = ?5,
                         failures = CASE WHEN 0 < ?4 THEN 0 ELSE failures END,
                         last_success_at_ms = CASE WHEN 0 < ?4 THEN ?6 ELSE last_success_at_ms END
                     WHERE tenant_id = ?1 AND sink_id = ?2",
                )?
                .execute(params![
                    scope.id(),
                    id.octets(),
                    int(urgent),
                    int(took),
                    ms(due_at),
                    ms(now)
                ])?;
                Ok(())
            })
            .await
    }

    /// Notes that a sink failed, and when it is tried again.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn fail_sink(
        &self,
        scope: TenantScope,
        id: SinkId,
        error: String,
        due_at: UnixMillis,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                db.prepare_cached(
                    "UPDATE sink SET tries = tries + 1, failures = failures + 1, last_error = ?3,
                         due_at_ms = ?4, last_failure_at_ms = ?5
                     WHERE tenant_id = ?1 AND sink_id = ?2",
                )?
                .execute(params![
                    scope.id(),
                    id.octets(),
                    error,
                    ms(due_at),
                    ms(now)
                ])?;
                Ok(())
            })
            .await
    }

    /// Lays events among a sink's dead letters and goes past them. Beyond [`MAX_DEAD`], the oldest of these go.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn bury(
        &self,
        scope: TenantScope,
        id: SinkId,
        events: Vec<u64>,
        (cursor, tries, error): (u64, u32, String),
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                for seq in events {
                    db.prepare_cached(
                        "INSERT INTO dead_letter (tenant_id, sink_id, seq, at_ms, kind, device_id, object_id,
                                                  detail, died_at_ms, tries, error)
                         SELECT tenant_id, ?2, seq, at_ms, kind, device_id, object_id, detail, ?4, ?5, ?6
                         FROM event WHERE tenant_id = ?1 AND seq = ?3
                         ON CONFLICT (tenant_id, sink_id, seq) DO NOTHING",
                    )?
                    .execute(params![
                        scope.id(),
                        id.octets(),
                        int(seq),
                        ms(now),
                        tries,
                        error
                    ])?;
                }
                db.prepare_cached(
                    "UPDATE sink SET cursor_seq = greatest(cursor_seq, ?3),
                         urgent_seq = greatest(urgent_seq, ?3), tries = 0
                     WHERE tenant_id = ?1 AND sink_id = ?2",
                )?
                .execute(params![scope.id(), id.octets(), int(cursor)])?;
                db.prepare_cached(
                    "DELETE FROM dead_letter WHERE tenant_id = ?1 AND sink_id = ?2 AND seq <= (
                         SELECT seq FROM dead_letter WHERE tenant_id = ?1 AND sink_id = ?2
                         ORDER BY seq DESC LIMIT 1 OFFSET ?3)",
                )?
                .execute(params![scope.id(), id.octets(), MAX_DEAD])?;
                Ok(())
            })
            .await
    }

    /// Returns dead letters of a sink, the newest first, from before a place.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn dead_letters(
        &self,
        scope: TenantScope,
        id: SinkId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<DeadLetterRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                let before = before.map_or(i64::MAX, int);
                letters(db, scope, id, "AND d.seq < ?3 ORDER BY d.seq DESC LIMIT ?4", before, limit)
            })
            .await
    }

    /// Returns the dead letters of a sink that are to go again, the oldest first.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn replays(
        &self,
        scope: TenantScope,
        id: SinkId,
        limit: u32,
    ) -> Result<Vec<DeadLetterRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                letters(
                    db,
                    scope,
                    id,
                    "AND d.replay = 1 AND ?3 <= d.seq ORDER BY d.seq LIMIT ?4",
                    0,
                    limit,
                )
            })
            .await
    }

    /// Sends dead letters again: one, or all.
    ///
    /// # Errors
    /// The tenant has no such sink.
    pub async fn replay(
        &self,
        scope: TenantScope,
        id: SinkId,
        seq: Option<u64>,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let name = sink::name_of(db, scope, id)?;
                db.prepare_cached(
                    "UPDATE dead_letter SET replay = 1
                     WHERE tenant_id = ?1 AND sink_id = ?2 AND seq = coalesce(?3, seq)",
                )?
                .execute(params![scope.id(), id.octets(), seq.map(int)])?;
                db.prepare_cached(
                    "UPDATE sink SET replays = 1, due_at_ms = 0 WHERE tenant_id = ?1 AND sink_id = ?2",
                )?
                .execute(params![scope.id(), id.octets()])?;
                sink::note(db, scope, id, SinkAction::Replay, &name, now)
            })
            .await
    }

    /// Removes dead letters: one, or all.
    ///
    /// # Errors
    /// The tenant has no such sink.
    pub async fn discard(
        &self,
        scope: TenantScope,
        id: SinkId,
        seq: Option<u64>,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let name = sink::name_of(db, scope, id)?;
                db.prepare_cached(
                    "DELETE FROM dead_letter
                     WHERE tenant_id = ?1 AND sink_id = ?2 AND seq = coalesce(?3, seq)",
                )?
                .execute(params![scope.id(), id.octets(), seq.map(int)])?;
                sink::note(db, scope, id, SinkAction::Discard, &name, now)
            })
            .await
    }

    /// Notes how it went with a dead letter that was sent again: it is gone, or dead once more.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn replayed(
        &self,
        scope: TenantScope,
        id: SinkId,
        seq: u64,
        failed: Option<String>,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let key = (scope.id(), id.octets(), int(seq));
                match failed {
                    None => {
                        db.prepare_cached(
                            "DELETE FROM dead_letter WHERE tenant_id = ?1 AND sink_id = ?2 AND seq = ?3",
                        )?
                        .execute(params![key.0, key.1, key.2])?;
                        db.prepare_cached(
                            "UPDATE sink SET delivered = delivered + 1, failures = 0, last_success_at_ms = ?3
                             WHERE tenant_id = ?1 AND sink_id = ?2",
                        )?
                        .execute(params![key.0, key.1, ms(now)])?;
                    }
                    Some(error) => {
                        db.prepare_cached(
                            "UPDATE dead_letter SET replay = 0, tries = tries + 1, error = ?4, died_at_ms = ?5
                             WHERE tenant_id = ?1 AND sink_id = ?2 AND seq = ?3",
                        )?
                        .execute(params![
                            key.0,
                            key.1,
                            key.2,
                            error,
                            ms(now)
                        ])?;
                    }
                }
                db.prepare_cached(
                    "UPDATE sink SET replays = CASE WHEN EXISTS (
                         SELECT 1 FROM dead_letter WHERE tenant_id = ?1 AND sink_id = ?2 AND replay = 1
                     ) THEN 1 ELSE 0 END WHERE tenant_id = ?1 AND sink_id = ?2",
                )?
                .execute(params![key.0, key.1])?;
                Ok(())
            })
            .await
    }

    /// Removes at most `limit` events that every sink is done with, or that are older than `before`; sinks that were not
    /// told of the latter note how many they missed. Tells whether there may be more.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn prune_events(
        &self,
        scope: TenantScope,
        before: UnixMillis,
        limit: u32,
    ) -> Result<bool, StoreError> {
        self.db
            .write(scope, move |db| {
                let upto: Option<i64> = db
                    .prepare_cached(
                        "SELECT max(e.seq) FROM (
                             SELECT seq, at_ms FROM event WHERE tenant_id = ?1 ORDER BY seq LIMIT ?3
                         ) AS e WHERE e.at_ms < ?2
                             OR e.seq <= (SELECT min(cursor_seq) FROM sink WHERE tenant_id = ?1)",
                    )?
                    .query_row(params![scope.id(), ms(before), limit], |row| row.get(0))?;
                let Some(upto) = upto else { return Ok(false) };
                db.prepare_cached(
                    "UPDATE sink SET missed = missed + (?2 - cursor_seq), cursor_seq = ?2,
                         urgent_seq = greatest(urgent_seq, ?2), tries = 0
                     WHERE tenant_id = ?1 AND cursor_seq < ?2",
                )?
                .execute(params![scope.id(), upto])?;
                let removed = db
                    .prepare_cached("DELETE FROM event WHERE tenant_id = ?1 AND seq <= ?2")?
                    .execute(params![scope.id(), upto])?;
                Ok(removed != 0 && u32::try_from(removed).is_ok_and(|removed| limit <= removed))
            })
            .await
    }

    /// Returns the tenants that have sinks and events to tell or to remove.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn tenants_with_sinks(&self) -> Result<Vec<TenantScope>, StoreError> {
        self.db
            .read(Reach::All, |db| {
                let rows = db
                    .prepare_cached(
                        "SELECT l.tenant_id FROM event_log AS l
                         WHERE 0 < l.sinks
                             AND EXISTS (SELECT 1 FROM event AS e WHERE e.tenant_id = l.tenant_id)
                         ORDER BY l.tenant_id",
                    )?
                    .query_map(params![], |row| Ok(TenantScope::new(row.get(0)?)))?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Returns figures of all tenants' sinks.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn sink_health(&self) -> Result<SinkHealth, StoreError> {
        self.db
            .read(Reach::All, |db| {
                let health = db
                    .prepare_cached(
                        "SELECT count(*), CAST(coalesce(sum(s.paused), 0) AS BIGINT),
                                CAST(coalesce(sum(CASE WHEN 0 < s.failures THEN 1 ELSE 0 END), 0) AS BIGINT),
                                coalesce(max(l.last_seq - s.cursor_seq), 0),
                                (SELECT count(*) FROM dead_letter WHERE tenant_id IS NOT NULL)
                         FROM sink AS s JOIN event_log AS l ON l.tenant_id = s.tenant_id",
                    )?
                    .query_row(params![], |row| {
                        Ok(SinkHealth {
                            sinks: count(row.get(0)?),
                            paused: count(row.get(1)?),
                            failing: count(row.get(2)?),
                            lag: count(row.get(3)?),
                            dead: count(row.get(4)?),
                        })
                    })?;
                Ok(health)
            })
            .await
    }
}

fn letters(
    db: &Connection,
    scope: TenantScope,
    id: SinkId,
    which: &str,
    seq: i64,
    limit: u32,
) -> Result<Vec<DeadLetterRow>, StoreError> {
    let sql = format!(
        "SELECT d.seq, d.at_ms, d.kind, d.device_id, d.object_id, d.detail, d.died_at_ms, d.tries, d.error,
                d.replay
         FROM dead_letter AS d WHERE d.tenant_id = ?1 AND d.sink_id = ?2 {which}"
    );
    let statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params![scope.id(), id.octets(), seq, limit])?;
    let (mut stored, mut deaths) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        stored.push(event_row::Stored::read(&row)?);
        let replay: i64 = row.get(9)?;
        let death: (i64, u32, String) = (row.get(6)?, row.get(7)?, row.get(8)?);
        deaths.push((death, replay != 0));
    }
    let events = event_row::complete(db, scope, stored)?;
    let letters =
        events.into_iter().zip(deaths).map(|(event, ((died_at, tries, error), replay))| {
            DeadLetterRow { event, died_at: time(died_at), tries, error, replay }
        });
    Ok(letters.collect())
}

/// Dead letters that a sink keeps.
const MAX_DEAD: u32 = 10_000;
