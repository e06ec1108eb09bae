//! Versions of a feed: what came, what is in use, what can be gone back to.
//!
//! # Invariants
//! - At most one version of a feed is current.
//! - What was rolled back or refused is remembered by its hash, so that the same octets are not taken again.
//! - Octets are kept of [`KEPT_GOOD`] good versions and of the newest refused one; rows of [`KEPT_ROWS`].

use bartizan_model::UnixMillis;
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{count, found, int, ms, time, word};
use crate::db::{Connection, Row, params};
use crate::feed::changed_one;
use crate::{Actor, FeedId, Store, StoreError, TenantScope};

/// What became of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedVersionState {
    /// In use.
    Current,
    /// Was in use, until a newer one came.
    Kept,
    /// Never in use.
    Refused,
    /// Was in use, until somebody went back to an older one.
    RolledBack,
}

impl FeedVersionState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Current, Self::Kept, Self::Refused, Self::RolledBack];

    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Kept => "kept",
            Self::Refused => "refused",
            Self::RolledBack => "rolled-back",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFeedVersion {
    /// Of the octets as they came; lower-case hexadecimal.
    pub sha256: String,
    /// How many.
    pub size_bytes: u64,
    /// When.
    pub fetched_at: UnixMillis,
    /// Entries in it.
    pub entries: u64,
    /// Lines that should hold one.
    pub lines: u64,
    /// Of these, such as could not be read.
    pub bad_lines: u64,
    /// In words; empty if it could not be told.
    pub format: String,
    /// Why it is not used; `None` if it is.
    pub refused: Option<String>,
}

/// A version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedVersionRow {
    /// Counts up with every version of the feed.
    pub version: u64,
    /// Of the octets as they came; lower-case hexadecimal.
    pub sha256: String,
    /// How many.
    pub size_bytes: u64,
    /// When they came.
    pub fetched_at: UnixMillis,
    /// Entries in it.
    pub entries: u64,
    /// Lines that should hold one.
    pub lines: u64,
    /// Of these, such as could not be read.
    pub bad_lines: u64,
    /// In words.
    pub format: String,
    /// What became of it.
    pub state: FeedVersionState,
    /// Why it was refused; else empty.
    pub reason: String,
    /// Whether its octets are still there.
    pub has_octets: bool,
}

/// What was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedVersion {
    /// Its number.
    pub version: u64,
    /// Hashes whose octets are no longer needed.
    pub orphans: Vec<String>,
}

impl Store {
    /// Adds a version, whose octets must be on disk already; it is current unless it is refused.
    ///
    /// # Errors
    /// The tenant has no such feed.
    pub async fn add_feed_version(
        &self,
        scope: TenantScope,
        feed: FeedId,
        new: NewFeedVersion,
    ) -> Result<AddedVersion, StoreError> {
        self.db
            .write(scope, move |db| {
                let added = add(db, scope, feed, &new)?;
                // What is fetched by itself is no act of anybody.
                if matches!(scope.actor(), Actor::Member(_) | Actor::CommandLine) {
                    let event = Event::new("feed.upload", "feed", feed)
                        .detail(json!({ "sha256": new.sha256 }));
                    audit::append(db, scope, event, new.fetched_at)?;
                }
                Ok(added)
            })
            .await
    }

    /// Makes a version current, whatever became of it. Newer ones that were in use are rolled back.
    ///
    /// # Errors
    /// The tenant has no such version, or its octets are gone.
    pub async fn use_feed_version(
        &self,
        scope: TenantScope,
        feed: FeedId,
        version: u64,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                make_current(db, scope, feed, version)?;
                let event = Event::new("feed.use-version", "feed", feed)
                    .detail(json!({ "version": version }));
                audit::append(db, scope, event, now)
            })
            .await
    }

    /// Returns a feed's versions, the newest first.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn feed_versions(
        &self,
        scope: TenantScope,
        feed: FeedId,
    ) -> Result<Vec<FeedVersionRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(
                    "SELECT version, sha256, size_bytes, fetched_at_ms, entries, lines, bad_lines,
                            format, state, reason, has_octets
                     FROM feed_version WHERE tenant_id = ?1 AND feed_id = ?2 ORDER BY version DESC",
                )?;
                let mut rows = statement.query(params![scope.id(), feed.octets()])?;
                let mut versions = Vec::new();
                while let Some(row) = rows.next()? {
                    versions.push(read(&row)?);
                }
                Ok(versions)
            })
            .await
    }
}

fn add(
    db: &Connection,
    scope: TenantScope,
    feed: FeedId,
    new: &NewFeedVersion,
) -> Result<AddedVersion, StoreError> {
    let known = db
        .prepare_cached("SELECT 1 FROM feed WHERE tenant_id = ?1 AND feed_id = ?2")?
        .query_row(params![scope.id(), feed.octets()], |_| Ok(()));
    found(known, "feed")?;
    let version: i64 = db
        .prepare_cached(
            "SELECT coalesce(max(version), 0) + 1 FROM feed_version
             WHERE tenant_id = ?1 AND feed_id = ?2",
        )?
        .query_row(params![scope.id(), feed.octets()], |row| row.get(0))?;
    let state = if new.refused.is_some() {
        FeedVersionState::Refused
    } else {
        db.prepare_cached(
            "UPDATE feed_version SET state = 'kept'
             WHERE tenant_id = ?1 AND feed_id = ?2 AND state = 'current'",
        )?
        .execute(params![scope.id(), feed.octets()])?;
        point_at(db, scope, feed, version)?;
        FeedVersionState::Current
    };
    db.prepare_cached(
        "INSERT INTO feed_version (tenant_id, feed_id, version, sha256, size_bytes, fetched_at_ms,
                                   entries, lines, bad_lines, format, state, reason, has_octets)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 1)",
    )?
    .execute(params![
        scope.id(),
        feed.octets(),
        version,
        new.sha256,
        int(new.size_bytes),
        ms(new.fetched_at),
        int(new.entries),
        int(new.lines),
        int(new.bad_lines),
        new.format,
        state.word(),
        new.refused.as_deref().unwrap_or_default(),
    ])?;
    let orphans = drop_octets(db, scope, feed, MostOctets::KEPT)?;
    db.prepare_cached(
        "DELETE FROM feed_version
         WHERE tenant_id = ?1 AND feed_id = ?2 AND has_octets = 0 AND version <= ?3",
    )?
    .execute(params![scope.id(), feed.octets(), version - KEPT_ROWS])?;
    Ok(AddedVersion { version: count(version), orphans })
}

fn make_current(
    db: &Connection,
    scope: TenantScope,
    feed: FeedId,
    version: u64,
) -> Result<(), StoreError> {
    let known = db
        .prepare_cached(
            "SELECT 1 FROM feed_version
             WHERE tenant_id = ?1 AND feed_id = ?2 AND version = ?3 AND has_octets = 1",
        )?
        .query_row(params![scope.id(), feed.octets(), int(version)], |_| Ok(()));
    found(known, "version of the feed")?;
    for statement in [
        "UPDATE feed_version SET state = 'rolled-back'
         WHERE tenant_id = ?1 AND feed_id = ?2 AND ?3 < version AND state IN ('current', 'kept')",
        "UPDATE feed_version SET state = 'kept'
         WHERE tenant_id = ?1 AND feed_id = ?2 AND version < ?3 AND state = 'current'",
        "UPDATE feed_version SET state = 'current'
         WHERE tenant_id = ?1 AND feed_id = ?2 AND version = ?3",
    ] {
        db.prepare_cached(statement)?.execute(params![scope.id(), feed.octets(), int(version)])?;
    }
    point_at(db, scope, feed, int(version))
}

fn point_at(
    db: &Connection,
    scope: TenantScope,
    feed: FeedId,
    version: i64,
) -> Result<(), StoreError> {
    let changed = db
        .prepare_cached("UPDATE feed SET version = ?3 WHERE tenant_id = ?1 AND feed_id = ?2")?
        .execute(params![scope.id(), feed.octets(), version])?;
    changed_one(changed)
}

/// Of how many versions octets stay.
pub(crate) struct MostOctets {
    good: i64,
    refused: i64,
}

impl MostOctets {
    pub(crate) const NONE: Self = Self { good: 0, refused: 0 };
    const KEPT: Self = Self { good: KEPT_GOOD, refused: 1 };
}

/// Forgets the octets of versions beyond the bound; returns the hashes that no version of the tenant has.
pub(crate) fn drop_octets(
    db: &Connection,
    scope: TenantScope,
    feed: FeedId,
    most: MostOctets,
) -> Result<Vec<String>, StoreError> {
    let mut dropped: Vec<String> = db
        .prepare_cached(
            "UPDATE feed_version SET has_octets = 0
             WHERE tenant_id = ?1 AND feed_id = ?2 AND has_octets = 1 AND version NOT IN (
                 SELECT version FROM (
                     SELECT version FROM feed_version
                     WHERE tenant_id = ?1 AND feed_id = ?2 AND has_octets = 1 AND state <> 'refused'
                     ORDER BY state = 'current' DESC, version DESC LIMIT ?3) AS good
                 UNION ALL
                 SELECT version FROM (
                     SELECT version FROM feed_version
                     WHERE tenant_id = ?1 AND feed_id = ?2 AND has_octets = 1 AND state = 'refused'
                     ORDER BY version DESC LIMIT ?4) AS refused)
             RETURNING sha256",
        )?
        .query_map(params![scope.id(), feed.octets(), most.good, most.refused], |row| row.get(0))?
        .collect::<crate::db::Result<_>>()?;
    dropped.sort();
    dropped.dedup();
    let mut orphans = Vec::new();
    for sha256 in dropped {
        let users: i64 = db
            .prepare_cached(
                "SELECT count(*) FROM feed_version
                 WHERE tenant_id = ?1 AND sha256 = ?2 AND has_octets = 1",
            )?
            .query_row(params![scope.id(), sha256], |row| row.get(0))?;
        if users == 0 {
            orphans.push(sha256);
        }
    }
    Ok(orphans)
}

fn read(row: &Row<'_>) -> Result<FeedVersionRow, StoreError> {
    let state: String = row.get(8)?;
    Ok(FeedVersionRow {
        version: count(row.get(0)?),
        sha256: row.get(1)?,
        size_bytes: count(row.get(2)?),
        fetched_at: time(row.get(3)?),
        entries: count(row.get(4)?),
        lines: count(row.get(5)?),
        bad_lines: count(row.get(6)?),
        format: row.get(7)?,
        state: word("state", &state, FeedVersionState::from_word)?,
        reason: row.get(9)?,
        has_octets: row.get(10)?,
    })
}

/// Good versions whose octets are kept, the current one among them.
const KEPT_GOOD: i64 = 5;
/// Rows kept, so that what was refused or rolled back is known again.
const KEPT_ROWS: i64 = 100;
