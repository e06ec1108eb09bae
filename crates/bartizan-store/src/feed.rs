//! Feeds: what an administrator set, and how the last look at each went.
//!
//! A feed's versions are in `feed_version`; what people should know is in `notice`.
//!
//! # Invariants
//! - A feed's name is unique in its tenant, and is what alerts, hits and reports call it.
//! - Credentials are [`Private`]: no log and no list shows them.

use bartizan_model::{IndicatorAction, IndicatorCategory, Private, UnixMillis};
use serde_json::{Value, json};

use crate::audit::{self, Event};
use crate::column::{count, found, fresh_id, int, ms, stored, time, word};
use crate::db::{Connection, Reach, Row, params};
use crate::feed_version::{self, MostOctets};
use crate::{FeedId, Store, StoreError, TenantScope};

/// What a feed is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedRole {
    /// Lists what is to be stopped.
    Threat,
    /// Lists popular names, which no feed may block.
    Popular,
}

impl FeedRole {
    /// Every role.
    pub const ALL: [Self; 2] = [Self::Threat, Self::Popular];

    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Threat => "threat",
            Self::Popular => "popular",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// Where a feed comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedOrigin {
    /// One document at an address.
    Url,
    /// People bring it.
    Upload,
    /// A collection of TAXII 2.1.
    Taxii,
    /// A folder of MISP events with a manifest.
    Misp,
}

impl FeedOrigin {
    /// Every origin.
    pub const ALL: [Self; 4] = [Self::Url, Self::Upload, Self::Taxii, Self::Misp];

    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Upload => "upload",
            Self::Taxii => "taxii",
            Self::Misp => "misp",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.word() == word)
    }
}

/// What a feed's URL lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedUrls {
    /// Its host.
    Host,
    /// The URL alone.
    Url,
}

impl FeedUrls {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::Host, Self::Url];

    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Url => "url",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|urls| urls.word() == word)
    }
}

/// What an administrator sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedSettings {
    /// At most [`MAX_FEED_NAME`] octets.
    pub name: String,
    /// What it is for.
    pub role: FeedRole,
    /// Where it comes from.
    pub origin: FeedOrigin,
    /// Absent exactly where people upload.
    pub url: Option<String>,
    /// How its entries stand in it, in a word; absent where the contents tell.
    pub format: Option<String>,
    /// Which column of a table; absent where the contents tell.
    pub column: Option<String>,
    /// Why it lists something, where an entry does not say so itself.
    pub category: IndicatorCategory,
    /// What is done about its entries.
    pub action: IndicatorAction,
    /// What its URLs list.
    pub urls: FeedUrls,
    /// 0 to 100; of two feeds that list the same, the one with more of it is named.
    pub trust: u8,
    /// On which terms it may be used; for people.
    pub license: String,
    /// Seconds between two looks; 0 for by hand.
    pub interval_s: u64,
    /// Whether it is looked at and compiled.
    pub enabled: bool,
    /// Whether it may come without TLS.
    pub allow_http: bool,
    /// Whether it may come from a private address.
    pub allow_private: bool,
    /// By how many percent it may shrink or grow from one version to the next; from 1.
    pub change_limit: u16,
    /// Value of the header `Authorization`.
    pub credentials: Option<Private<String>>,
}

/// How a look at a feed went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedOutcome {
    /// A new version is current.
    Taken,
    /// Nothing new.
    Unchanged,
    /// What came is not used.
    Refused,
    /// Nothing came.
    Failed,
}

impl FeedOutcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Taken, Self::Unchanged, Self::Refused, Self::Failed];

    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.word() == word)
    }
}

/// A look at a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedCheck {
    /// When.
    pub at: UnixMillis,
    /// How it went.
    pub outcome: FeedOutcome,
    /// The same in a sentence.
    pub detail: String,
    /// When to look again; absent for by hand.
    pub due_at: Option<UnixMillis>,
    /// What the server calls the version that it gave; absent where nothing new came.
    pub validators: Option<Validators>,
}

/// What a server calls a version (RFC 9110 §8.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
}

/// A feed with how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedRow {
    /// Its id.
    pub id: FeedId,
    /// What was set.
    pub settings: FeedSettings,
    /// What the server calls what it gave last.
    pub validators: Validators,
    /// When it is looked at next.
    pub due_at: Option<UnixMillis>,
    /// When it was looked at last.
    pub checked_at: Option<UnixMillis>,
    /// How many looks in a row have failed.
    pub failures: u64,
    /// How the last look went.
    pub outcome: Option<FeedOutcome>,
    /// The same in a sentence.
    pub outcome_detail: String,
    /// The version in use.
    pub version: Option<u64>,
    /// Entries of that version.
    pub entries: u64,
    /// When that version came.
    pub changed_at: Option<UnixMillis>,
    /// How often its entries stopped something.
    pub hits: u64,
    /// Reports of false positives that nobody has decided on.
    pub reports: u64,
}

impl Store {
    /// Adds a feed, due at once if it has a schedule.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the name is taken.
    pub async fn create_feed(
        &self,
        scope: TenantScope,
        settings: FeedSettings,
        now: UnixMillis,
    ) -> Result<FeedId, StoreError> {
        self.db
            .write(scope, move |db| {
                let id = FeedId::of(fresh_id(now)?);
                insert(db, scope, id, &settings, now)?;
                let event = Event::new("feed.create", "feed", id).detail(told(&settings));
                audit::append(db, scope, event, now)?;
                Ok(id)
            })
            .await
    }

    /// Changes what is set. With another address, what the server called its version is forgotten.
    ///
    /// # Errors
    /// The tenant has no such feed, or the new name is taken.
    pub async fn set_feed(
        &self,
        scope: TenantScope,
        feed: FeedId,
        settings: FeedSettings,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                update(db, scope, feed, &settings)?;
                let event = Event::new("feed.change", "feed", feed).detail(told(&settings));
                audit::append(db, scope, event, now)
            })
            .await
    }

    /// Removes a feed with its versions and notices; returns the hashes that no version has any more.
    ///
    /// # Errors
    /// The tenant has no such feed.
    pub async fn remove_feed(
        &self,
        scope: TenantScope,
        feed: FeedId,
        now: UnixMillis,
    ) -> Result<Vec<String>, StoreError> {
        self.db
            .write(scope, move |db| {
                let key = params![scope.id(), feed.octets()];
                let orphans = feed_version::drop_octets(db, scope, feed, MostOctets::NONE)?;
                for statement in [
                    "DELETE FROM notice WHERE tenant_id = ?1 AND feed_id = ?2",
                    "DELETE FROM feed_version WHERE tenant_id = ?1 AND feed_id = ?2",
                ] {
                    db.prepare_cached(statement)?.execute(key)?;
                }
                let removed = db
                    .prepare_cached(
                        "DELETE FROM feed WHERE tenant_id = ?1 AND feed_id = ?2 RETURNING name",
                    )?
                    .query_row(key, |row| row.get::<String>(0));
                let name = found(removed, "feed")?;
                let event = Event::new("feed.remove", "feed", feed).detail(json!({ "name": name }));
                audit::append(db, scope, event, now)?;
                Ok(orphans)
            })
            .await
    }

    /// Returns the tenant's feeds by name.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn feeds(&self, scope: TenantScope) -> Result<Vec<FeedRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(concat!(
                    feed_columns!(),
                    "WHERE f.tenant_id = ?1 ORDER BY f.role DESC, f.name"
                ))?;
                let mut rows = statement.query([scope.id()])?;
                let mut feeds = Vec::new();
                while let Some(row) = rows.next()? {
                    feeds.push(read(&row)?);
                }
                Ok(feeds)
            })
            .await
    }

    /// Returns one feed.
    ///
    /// # Errors
    /// The tenant has no such feed.
    pub async fn feed(&self, scope: TenantScope, feed: FeedId) -> Result<FeedRow, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(concat!(
                    feed_columns!(),
                    "WHERE f.tenant_id = ?1 AND f.feed_id = ?2"
                ))?;
                let mut rows = statement.query(params![scope.id(), feed.octets()])?;
                rows.next()?.map_or(Err(StoreError::NotFound { what: "feed" }), |row| read(&row))
            })
            .await
    }

    /// Returns the feeds of all tenants that are to be looked at, the longest due first. For the portal's
    /// own work, which is done for a tenant and shown to no other.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn due_feeds(
        &self,
        now: UnixMillis,
        limit: u32,
    ) -> Result<Vec<(TenantScope, FeedId)>, StoreError> {
        self.db
            .read(Reach::All, move |db| {
                let statement = db.prepare_cached(
                    "SELECT tenant_id, feed_id FROM feed
                     WHERE enabled = 1 AND origin <> 'upload' AND due_at_ms <= ?1
                     ORDER BY due_at_ms LIMIT ?2",
                )?;
                let rows = statement.query_map(params![ms(now), limit], |row| {
                    Ok((TenantScope::new(row.get(0)?), FeedId::of(row.get(1)?)))
                })?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Sets when a feed is looked at next.
    ///
    /// # Errors
    /// The tenant has no such feed.
    pub async fn set_feed_due(
        &self,
        scope: TenantScope,
        feed: FeedId,
        due_at: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let changed = db
                    .prepare_cached(
                        "UPDATE feed SET due_at_ms = ?3 WHERE tenant_id = ?1 AND feed_id = ?2",
                    )?
                    .execute(params![scope.id(), feed.octets(), ms(due_at)])?;
                changed_one(changed)
            })
            .await
    }

    /// Notes how a look went.
    ///
    /// # Errors
    /// The tenant has no such feed.
    pub async fn note_feed_check(
        &self,
        scope: TenantScope,
        feed: FeedId,
        check: FeedCheck,
    ) -> Result<(), StoreError> {
        self.db.write(scope, move |db| note_check(db, scope, feed, &check)).await
    }
}

/// What is set, without secrets: an address may hold one as well.
fn told(settings: &FeedSettings) -> Value {
    json!({
        "name": settings.name,
        "enabled": settings.enabled,
        "interval_s": settings.interval_s,
        "trust": settings.trust,
        "category": settings.category.word(),
        "action": settings.action.word(),
    })
}

fn insert(
    db: &Connection,
    scope: TenantScope,
    id: FeedId,
    settings: &FeedSettings,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let due_at = (0 < settings.interval_s).then(|| ms(now));
    let result = db
        .prepare_cached(
            "INSERT INTO feed (tenant_id, feed_id, name, role, origin, url, format, column_name,
                               category, action, urls, trust, license, interval_s, enabled,
                               allow_http, allow_private, change_limit, credentials, due_at_ms,
                               created_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
                     ?19, ?20, ?21)",
        )?
        .execute(params![
            scope.id(),
            id.octets(),
            settings.name,
            settings.role.word(),
            settings.origin.word(),
            settings.url,
            settings.format,
            settings.column,
            settings.category.word(),
            settings.action.word(),
            settings.urls.word(),
            settings.trust,
            settings.license,
            int(settings.interval_s),
            settings.enabled,
            settings.allow_http,
            settings.allow_private,
            settings.change_limit,
            settings.credentials.as_ref().map(|secret| &secret.0),
            due_at,
            ms(now),
        ]);
    stored(result, "a feed of this name")
}

fn update(
    db: &Connection,
    scope: TenantScope,
    feed: FeedId,
    settings: &FeedSettings,
) -> Result<(), StoreError> {
    let known = db
        .prepare_cached("SELECT 1 FROM feed WHERE tenant_id = ?1 AND feed_id = ?2")?
        .query_row(params![scope.id(), feed.octets()], |_| Ok(()));
    found(known, "feed")?;
    let result = db
        .prepare_cached(
            "UPDATE feed SET name = ?3, role = ?4, origin = ?5, url = ?6, format = ?7,
                 column_name = ?8, category = ?9, action = ?10, urls = ?11, trust = ?12,
                 license = ?13, interval_s = ?14, enabled = ?15, allow_http = ?16,
                 allow_private = ?17, change_limit = ?18, credentials = ?19,
                 etag = CASE WHEN url IS NOT DISTINCT FROM ?6 AND origin = ?5 THEN etag END,
                 last_modified = CASE WHEN url IS NOT DISTINCT FROM ?6 AND origin = ?5 THEN last_modified END,
                 due_at_ms = CASE
                     WHEN ?14 = 0 THEN NULL
                     WHEN url IS NOT DISTINCT FROM ?6 AND origin = ?5 AND interval_s = ?14 AND due_at_ms IS NOT NULL
                         THEN due_at_ms
                     WHEN checked_at_ms IS NULL OR url IS DISTINCT FROM ?6 OR origin <> ?5 THEN 0
                     ELSE checked_at_ms + ?14 * 1000 END
             WHERE tenant_id = ?1 AND feed_id = ?2",
        )?
        .execute(params![
            scope.id(),
            feed.octets(),
            settings.name,
            settings.role.word(),
            settings.origin.word(),
            settings.url,
            settings.format,
            settings.column,
            settings.category.word(),
            settings.action.word(),
            settings.urls.word(),
            settings.trust,
            settings.license,
            int(settings.interval_s),
            settings.enabled,
            settings.allow_http,
            settings.allow_private,
            settings.change_limit,
            settings.credentials.as_ref().map(|secret| &secret.0),
        ]);
    stored(result, "a feed of this name")
}

fn note_check(
    db: &Connection,
    scope: TenantScope,
    feed: FeedId,
    check: &FeedCheck,
) -> Result<(), StoreError> {
    let validators = check.validators.as_ref();
    let changed = db
        .prepare_cached(
            "UPDATE feed SET checked_at_ms = ?3, outcome = ?4, outcome_detail = ?5, due_at_ms = ?6,
                 failures = CASE ?4 WHEN 'failed' THEN failures + 1 ELSE 0 END,
                 etag = CASE WHEN ?7 = 1 THEN ?8 ELSE etag END,
                 last_modified = CASE WHEN ?7 = 1 THEN ?9 ELSE last_modified END
             WHERE tenant_id = ?1 AND feed_id = ?2",
        )?
        .execute(params![
            scope.id(),
            feed.octets(),
            ms(check.at),
            check.outcome.word(),
            check.detail,
            check.due_at.map(ms),
            validators.is_some(),
            validators.and_then(|known| known.etag.as_ref()),
            validators.and_then(|known| known.last_modified.as_ref()),
        ])?;
    changed_one(changed)
}

pub(crate) fn changed_one(changed: usize) -> Result<(), StoreError> {
    if changed == 0 { Err(StoreError::NotFound { what: "feed" }) } else { Ok(()) }
}

/// Reads the columns of [`feed_columns`].
fn read(row: &Row<'_>) -> Result<FeedRow, StoreError> {
    let words: [String; 5] = [row.get(2)?, row.get(3)?, row.get(7)?, row.get(8)?, row.get(9)?];
    let [role, origin, category, action, urls] = words;
    let outcome: Option<String> = row.get(23)?;
    let moment = |column: Option<i64>| column.map(time);
    Ok(FeedRow {
        id: FeedId::of(row.get(0)?),
        settings: FeedSettings {
            name: row.get(1)?,
            role: word("role", &role, FeedRole::from_word)?,
            origin: word("origin", &origin, FeedOrigin::from_word)?,
            url: row.get(4)?,
            format: row.get(5)?,
            column: row.get(6)?,
            category: word("category", &category, IndicatorCategory::from_word)?,
            action: word("action", &action, IndicatorAction::from_word)?,
            urls: word("urls", &urls, FeedUrls::from_word)?,
            trust: row.get(10)?,
            license: row.get(11)?,
            interval_s: count(row.get(12)?),
            enabled: row.get(13)?,
            allow_http: row.get(14)?,
            allow_private: row.get(15)?,
            change_limit: row.get(16)?,
            credentials: row.get::<Option<String>>(17)?.map(Private),
        },
        validators: Validators { etag: row.get(18)?, last_modified: row.get(19)? },
        due_at: moment(row.get(20)?),
        checked_at: moment(row.get(21)?),
        failures: count(row.get(22)?),
        outcome: outcome.map(|text| word("outcome", &text, FeedOutcome::from_word)).transpose()?,
        outcome_detail: row.get(24)?,
        version: row.get::<Option<i64>>(25)?.map(count),
        entries: count(row.get(26)?),
        changed_at: moment(row.get(27)?),
        hits: count(row.get(28)?),
        reports: count(row.get(29)?),
    })
}

/// What [`read`] reads.
macro_rules! feed_columns {
    () => {
        "SELECT f.feed_id, f.name, f.role, f.origin, f.url, f.format, f.column_name, f.category,
                f.action, f.urls, f.trust, f.license, f.interval_s, f.enabled, f.allow_http,
                f.allow_private, f.change_limit, f.credentials, f.etag, f.last_modified,
                f.due_at_ms, f.checked_at_ms, f.failures, f.outcome, f.outcome_detail, f.version,
                coalesce(v.entries, 0), v.fetched_at_ms,
                (SELECT CAST(coalesce(sum(h.hits), 0) AS BIGINT) FROM indicator_hit AS h
                     WHERE h.tenant_id = f.tenant_id AND h.source = f.name),
                (SELECT count(*) FROM site_report AS r WHERE r.tenant_id = f.tenant_id
                     AND r.source = f.name AND r.status = 'new' AND r.kind = 'false-positive')
         FROM feed AS f
         LEFT JOIN feed_version AS v ON v.tenant_id = f.tenant_id AND v.feed_id = f.feed_id
             AND v.version = f.version
         "
    };
}
use feed_columns;

/// Octets of a feed's name: as many as an indicator file keeps.
pub const MAX_FEED_NAME: usize = 64;
