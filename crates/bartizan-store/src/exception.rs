//! Exceptions from what feeds list: the organization's own names, entries that the guard held back, and
//! those that somebody released from it.

use bartizan_model::UnixMillis;

use crate::audit::{self, Event};
use crate::column::{count, ms, time};
use crate::db::params;
use crate::{Store, StoreError, TenantScope};

/// An entry that the latest compile held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBackRow {
    /// As it is written.
    pub pattern: String,
    /// In words.
    pub reason: String,
    /// Name of the feed.
    pub source: String,
}

/// An entry that is listed although the guard would hold it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleasedRow {
    /// As it is written.
    pub pattern: String,
    /// E-mail address, or empty for the command line.
    pub released_by: String,
    /// When.
    pub released_at: UnixMillis,
}

impl Store {
    /// Adds a name of the organization's own; again changes nothing. Tells whether it is new.
    ///
    /// # Errors
    /// [`StoreError::Busy`] beyond [`MAX_OWN_DOMAINS`], or the store is unavailable.
    pub async fn add_own_domain(
        &self,
        scope: TenantScope,
        name: &str,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.db
            .write(scope, move |db| {
                let known: i64 = db
                    .prepare_cached("SELECT count(*) FROM own_domain WHERE tenant_id = ?1")?
                    .query_row([scope.id()], |row| row.get(0))?;
                if MAX_OWN_DOMAINS <= known {
                    return Err(StoreError::Busy);
                }
                let added = db
                    .prepare_cached(
                        "INSERT INTO own_domain (tenant_id, name, added_at_ms) VALUES (?1, ?2, ?3)
                         ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![scope.id(), name, ms(now)])?;
                if added != 0 {
                    audit::append(
                        db,
                        scope,
                        Event::new("own-domain.add", "own-domain", name),
                        now,
                    )?;
                }
                Ok(added != 0)
            })
            .await
    }

    /// Removes a name of the organization's own.
    ///
    /// # Errors
    /// The tenant has no such name.
    pub async fn remove_own_domain(
        &self,
        scope: TenantScope,
        name: &str,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.db
            .write(scope, move |db| {
                let removed = db
                    .prepare_cached("DELETE FROM own_domain WHERE tenant_id = ?1 AND name = ?2")?
                    .execute(params![scope.id(), name])?;
                if removed == 0 {
                    return Err(StoreError::NotFound { what: "domain" });
                }
                audit::append(db, scope, Event::new("own-domain.remove", "own-domain", name), now)
            })
            .await
    }

    /// Returns the organization's own names, sorted.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn own_domains(&self, scope: TenantScope) -> Result<Vec<String>, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(
                    "SELECT name FROM own_domain WHERE tenant_id = ?1 ORDER BY name",
                )?;
                let rows = statement.query_map([scope.id()], |row| row.get(0))?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Releases an entry from the guard; again changes nothing.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn release_entry(
        &self,
        scope: TenantScope,
        pattern: &str,
        by: &str,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let (pattern, by) = (pattern.to_owned(), by.to_owned());
        self.db
            .write(scope, move |db| {
                let released = db
                    .prepare_cached(
                        "INSERT INTO released_entry (tenant_id, pattern, released_by, released_at_ms)
                         VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![scope.id(), pattern, by, ms(now)])?;
                if released != 0 {
                    let event = Event::new("guard.release", "feed-entry", pattern);
                    audit::append(db, scope, event, now)?;
                }
                Ok(())
            })
            .await
    }

    /// Puts an entry under the guard again.
    ///
    /// # Errors
    /// The tenant has released no such entry.
    pub async fn unrelease_entry(
        &self,
        scope: TenantScope,
        pattern: &str,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let pattern = pattern.to_owned();
        self.db
            .write(scope, move |db| {
                let removed = db
                    .prepare_cached(
                        "DELETE FROM released_entry WHERE tenant_id = ?1 AND pattern = ?2",
                    )?
                    .execute(params![scope.id(), pattern])?;
                if removed == 0 {
                    return Err(StoreError::NotFound { what: "entry" });
                }
                audit::append(db, scope, Event::new("guard.hold-back", "feed-entry", pattern), now)
            })
            .await
    }

    /// Returns the released entries, sorted.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn released_entries(
        &self,
        scope: TenantScope,
    ) -> Result<Vec<ReleasedRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(
                    "SELECT pattern, released_by, released_at_ms FROM released_entry
                     WHERE tenant_id = ?1 ORDER BY pattern",
                )?;
                let rows = statement.query_map([scope.id()], |row| {
                    Ok(ReleasedRow {
                        pattern: row.get(0)?,
                        released_by: row.get(1)?,
                        released_at: time(row.get(2)?),
                    })
                })?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Replaces what the latest compile held back; of more than [`MAX_HELD_BACK`] only the first are kept.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn set_held_back(
        &self,
        scope: TenantScope,
        entries: Vec<HeldBackRow>,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                db.prepare_cached("DELETE FROM held_back_entry WHERE tenant_id = ?1")?
                    .execute([scope.id()])?;
                let insert = db.prepare_cached(
                    "INSERT INTO held_back_entry (tenant_id, pattern, reason, source)
                     VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                )?;
                for entry in entries.iter().take(MAX_HELD_BACK) {
                    let row = params![scope.id(), entry.pattern, entry.reason, entry.source];
                    insert.execute(row)?;
                }
                Ok(())
            })
            .await
    }

    /// Returns the first of what the latest compile held back, sorted, and how many there are in all.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn held_back(
        &self,
        scope: TenantScope,
        limit: u32,
    ) -> Result<(Vec<HeldBackRow>, u64), StoreError> {
        self.db
            .read(scope, move |db| {
                let all: i64 = db
                    .prepare_cached("SELECT count(*) FROM held_back_entry WHERE tenant_id = ?1")?
                    .query_row([scope.id()], |row| row.get(0))?;
                let statement = db.prepare_cached(
                    "SELECT pattern, reason, source FROM held_back_entry
                     WHERE tenant_id = ?1 ORDER BY pattern LIMIT ?2",
                )?;
                let rows = statement.query_map(params![scope.id(), limit], |row| {
                    Ok(HeldBackRow {
                        pattern: row.get(0)?,
                        reason: row.get(1)?,
                        source: row.get(2)?,
                    })
                })?;
                Ok((rows.collect::<crate::db::Result<_>>()?, count(all)))
            })
            .await
    }
}

/// More than any organization has.
const MAX_OWN_DOMAINS: i64 = 10_000;
/// What a person can look through; a feed that lists more popular names is not worth its place.
const MAX_HELD_BACK: usize = 10_000;
