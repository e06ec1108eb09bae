//! Indicators that a tenant keeps itself: created, changed, imported, listed.
//!
//! # What it does not do
//! - Read patterns: whoever calls gives each in its one form, and the word of its kind.
//! - Remove what has expired: it does nothing on devices, and people may want it back.
//!
//! # Invariants
//! - A pattern is there once per tenant; an id is never given twice.
//! - Every change, of one row or of thousands, is one transaction that counts the tenant's version up
//!   ([`Store::indicator_version`]).

use std::fmt;
use std::str::FromStr;

use bartizan_model::{IndicatorAction, IndicatorCategory, Severity, UnixMillis};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use crate::column::{count, int, ms, stored, time, word};
use crate::{MemberId, Store, StoreError, TenantScope};

/// An indicator of a tenant: counts up with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IndicatorId(pub u64);

impl fmt::Display for IndicatorId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl FromStr for IndicatorId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What an indicator says of its pattern: all that can be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndicatorRule {
    /// What is to be done.
    pub action: IndicatorAction,
    /// Why it is listed.
    pub category: IndicatorCategory,
    /// One line for people; never empty.
    pub title: String,
    /// More for people.
    pub description: String,
    /// Of the alerts it raises.
    pub severity: Severity,
    /// From then on it does nothing.
    pub expires_at: Option<UnixMillis>,
    /// Whether a hit raises an alert.
    pub generate_alert: bool,
    /// What whoever sees the alert is to do.
    pub recommended_actions: String,
    /// JSON array of names.
    pub rbac_groups: String,
    /// As imported.
    pub mitre_techniques: String,
    /// The category as Defender spells it.
    pub defender_category: String,
}

/// An indicator to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewIndicator {
    /// What it names, in its one form.
    pub pattern: String,
    /// The word of the pattern's kind.
    pub kind: &'static str,
    /// The pattern as it was entered.
    pub source_text: String,
    /// What it says.
    pub rule: IndicatorRule,
}

/// An indicator, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndicatorRow {
    /// Names it.
    pub id: IndicatorId,
    /// What it is about, in its one form.
    pub pattern: String,
    /// The pattern as it was entered.
    pub source_text: String,
    /// What it says.
    pub rule: IndicatorRule,
    /// The name of who created it.
    pub created_by: String,
    /// When it was created.
    pub created_at: UnixMillis,
    /// When it was last changed.
    pub updated_at: UnixMillis,
}

impl IndicatorRow {
    /// Returns the cursor of the page that follows this indicator.
    #[must_use]
    pub fn cursor(&self) -> IndicatorCursor {
        IndicatorCursor { updated_at: self.updated_at, id: self.id }
    }
}

/// What a device is to know of an indicator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveIndicator {
    /// Names it.
    pub id: IndicatorId,
    /// What it is about, in its one form.
    pub pattern: String,
    /// What is to be done.
    pub action: IndicatorAction,
    /// Why it is listed.
    pub category: IndicatorCategory,
    /// Of the alerts it raises.
    pub severity: Severity,
    /// One line for people.
    pub title: String,
    /// From then on it does nothing.
    pub expires_at: Option<UnixMillis>,
    /// Whether a hit raises an alert.
    pub generate_alert: bool,
}

/// Where a page of indicators ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndicatorCursor {
    /// Of the last indicator of the page.
    pub updated_at: UnixMillis,
    /// Of the last indicator of the page.
    pub id: IndicatorId,
}

/// Which indicators to list; nothing means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndicatorFilter {
    /// Part of the pattern or of the title, any case.
    pub text: String,
    /// Only those with this action.
    pub action: Option<IndicatorAction>,
    /// Only those of the kind with this word.
    pub kind: Option<&'static str>,
    /// Only those that do something, or that no longer do.
    pub state: Option<IndicatorState>,
}

/// Whether indicators do something at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndicatorState {
    /// Not expired by then.
    Active(UnixMillis),
    /// Expired by then.
    Expired(UnixMillis),
}

/// What became of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Were not there before.
    pub created: u64,
    /// Were there, and say now what was imported.
    pub changed: u64,
}

impl Store {
    /// Adds an indicator.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if its pattern is there, [`StoreError::Full`].
    pub async fn create_indicator(
        &self,
        scope: TenantScope,
        indicator: NewIndicator,
        by: MemberId,
        now: UnixMillis,
    ) -> Result<IndicatorId, StoreError> {
        self.sqlite
            .write(move |db| {
                let mut counter = Counter::load(db, scope)?;
                let id = counter.insert(db, scope, &indicator, by, now)?;
                counter.save_next_version(db, scope)?;
                Ok(id)
            })
            .await
    }

    /// Changes what an indicator says.
    ///
    /// # Errors
    /// The tenant has no such indicator.
    pub async fn update_indicator(
        &self,
        scope: TenantScope,
        id: IndicatorId,
        rule: IndicatorRule,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.sqlite
            .write(move |db| {
                let pattern = one(db, scope, id)?.pattern;
                update(db, scope, &pattern, &rule, now)?;
                Counter::load(db, scope)?.save_next_version(db, scope)
            })
            .await
    }

    /// Adds indicators, or changes what those of the same pattern say: all or none of them.
    ///
    /// # Errors
    /// [`StoreError::Full`].
    pub async fn import_indicators(
        &self,
        scope: TenantScope,
        indicators: Vec<NewIndicator>,
        by: MemberId,
        now: UnixMillis,
    ) -> Result<Imported, StoreError> {
        self.sqlite
            .write(move |db| {
                let mut counter = Counter::load(db, scope)?;
                let mut imported = Imported::default();
                for indicator in &indicators {
                    if update(db, scope, &indicator.pattern, &indicator.rule, now)? {
                        imported.changed += 1;
                    } else {
                        counter.insert(db, scope, indicator, by, now)?;
                        imported.created += 1;
                    }
                }
                if !indicators.is_empty() {
                    counter.save_next_version(db, scope)?;
                }
                Ok(imported)
            })
            .await
    }

    /// Removes indicators, and returns how many of these there were.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn delete_indicators(
        &self,
        scope: TenantScope,
        ids: Vec<IndicatorId>,
    ) -> Result<u64, StoreError> {
        self.sqlite
            .write(move |db| {
                let mut statement = db.prepare_cached(
                    "DELETE FROM indicator WHERE tenant_id = ?1 AND indicator_id = ?2",
                )?;
                let mut gone = 0;
                for id in ids {
                    gone += u64::from(0 < statement.execute(params![scope.id(), int(id.0)])?);
                }
                if 0 < gone {
                    let mut counter = Counter::load(db, scope)?;
                    counter.entries = counter.entries.saturating_sub(gone);
                    counter.save_next_version(db, scope)?;
                }
                Ok(gone)
            })
            .await
    }

    /// Lets indicators expire, and returns how many of these had not yet.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn expire_indicators(
        &self,
        scope: TenantScope,
        ids: Vec<IndicatorId>,
        now: UnixMillis,
    ) -> Result<u64, StoreError> {
        self.sqlite
            .write(move |db| {
                let mut statement = db.prepare_cached(
                    "UPDATE indicator SET expires_at_ms = ?3, updated_at_ms = ?3
                     WHERE tenant_id = ?1 AND indicator_id = ?2
                         AND (expires_at_ms IS NULL OR ?3 < expires_at_ms)",
                )?;
                let mut ended = 0;
                for id in ids {
                    let values = params![scope.id(), int(id.0), ms(now)];
                    ended += u64::from(0 < statement.execute(values)?);
                }
                if 0 < ended {
                    Counter::load(db, scope)?.save_next_version(db, scope)?;
                }
                Ok(ended)
            })
            .await
    }

    /// Returns an indicator.
    ///
    /// # Errors
    /// The tenant has no such indicator.
    pub async fn indicator(
        &self,
        scope: TenantScope,
        id: IndicatorId,
    ) -> Result<IndicatorRow, StoreError> {
        self.sqlite.read(move |db| one(db, scope, id)).await
    }

    /// Returns the indicators of these patterns, in their order: `None` where there is none.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn indicators_by_pattern(
        &self,
        scope: TenantScope,
        patterns: Vec<String>,
    ) -> Result<Vec<Option<IndicatorRow>>, StoreError> {
        self.sqlite
            .read(move |db| {
                let mut statement = db.prepare_cached(concat!(
                    indicator_columns!(),
                    "WHERE i.tenant_id = ?1 AND i.pattern = ?2"
                ))?;
                let mut found = Vec::with_capacity(patterns.len());
                for pattern in patterns {
                    let mut rows = statement.query(params![scope.id(), pattern])?;
                    found.push(rows.next()?.map(read).transpose()?);
                }
                Ok(found)
            })
            .await
    }

    /// Lists indicators, last changed first, from after the cursor on.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn indicators(
        &self,
        scope: TenantScope,
        filter: IndicatorFilter,
        after: Option<IndicatorCursor>,
        limit: u32,
    ) -> Result<Vec<IndicatorRow>, StoreError> {
        self.sqlite.read(move |db| list(db, scope, &filter, after, limit)).await
    }

    /// Lists indicators in the order in which they were created, from after an id on: for taking all.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn indicators_after(
        &self,
        scope: TenantScope,
        after: IndicatorId,
        limit: u32,
    ) -> Result<Vec<IndicatorRow>, StoreError> {
        self.sqlite
            .read(move |db| {
                let mut statement = db.prepare_cached(concat!(
                    indicator_columns!(),
                    "WHERE i.tenant_id = ?1 AND ?2 < i.indicator_id ORDER BY i.indicator_id LIMIT ?3"
                ))?;
                collect(statement.query(params![scope.id(), int(after.0), limit])?)
            })
            .await
    }

    /// Returns what devices are to know: all indicators that have not expired, by id.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn active_indicators(
        &self,
        scope: TenantScope,
        now: UnixMillis,
    ) -> Result<Vec<ActiveIndicator>, StoreError> {
        self.sqlite.read(move |db| active(db, scope, now)).await
    }

    /// Returns how many indicators the tenant has, expired ones too.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn indicator_count(&self, scope: TenantScope) -> Result<u64, StoreError> {
        self.sqlite.read(move |db| Ok(Counter::load(db, scope)?.entries)).await
    }

    /// Returns a number that counts up with every change of the tenant's indicators; 0 before the first.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn indicator_version(&self, scope: TenantScope) -> Result<u64, StoreError> {
        self.sqlite.read(move |db| Ok(Counter::load(db, scope)?.version)).await
    }
}

/// What counts up with a tenant's indicators.
struct Counter {
    last_id: u64,
    version: u64,
    entries: u64,
}

impl Counter {
    fn load(db: &Connection, scope: TenantScope) -> Result<Self, StoreError> {
        let row = db
            .prepare_cached(
                "SELECT last_id, version, entries FROM indicator_counter WHERE tenant_id = ?1",
            )?
            .query_row([scope.id()], |row| {
                Ok(Self {
                    last_id: count(row.get(0)?),
                    version: count(row.get(1)?),
                    entries: count(row.get(2)?),
                })
            })
            .optional()?;
        Ok(row.unwrap_or(Self { last_id: 0, version: 0, entries: 0 }))
    }

    fn save_next_version(self, db: &Connection, scope: TenantScope) -> Result<(), StoreError> {
        db.prepare_cached(
            "INSERT INTO indicator_counter (tenant_id, last_id, version, entries)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (tenant_id) DO UPDATE SET
                 last_id = excluded.last_id, version = excluded.version, entries = excluded.entries",
        )?
        .execute(params![
            scope.id(),
            int(self.last_id),
            int(self.version.saturating_add(1)),
            int(self.entries)
        ])?;
        Ok(())
    }

    fn insert(
        &mut self,
        db: &Connection,
        scope: TenantScope,
        indicator: &NewIndicator,
        by: MemberId,
        now: UnixMillis,
    ) -> Result<IndicatorId, StoreError> {
        if MAX_INDICATORS <= self.entries {
            return Err(StoreError::Full { what: "indicators", limit: MAX_INDICATORS });
        }
        let id = IndicatorId(self.last_id + 1);
        let rule = &indicator.rule;
        let result = db
            .prepare_cached(
                "INSERT INTO indicator (tenant_id, indicator_id, pattern, kind, source_text, action,
                     category, title, description, severity, expires_at_ms, generate_alert,
                     recommended_actions, rbac_groups, mitre_techniques, defender_category,
                     created_by, created_at_ms, updated_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                     ?18, ?18)",
            )?
            .execute(params![
                scope.id(),
                int(id.0),
                indicator.pattern,
                indicator.kind,
                indicator.source_text,
                rule.action.word(),
                rule.category.word(),
                rule.title,
                rule.description,
                rule.severity.word(),
                rule.expires_at.map(ms),
                rule.generate_alert,
                rule.recommended_actions,
                rule.rbac_groups,
                rule.mitre_techniques,
                rule.defender_category,
                by.column(),
                ms(now),
            ]);
        stored(result, "indicator")?;
        (self.last_id, self.entries) = (id.0, self.entries + 1);
        Ok(id)
    }
}

/// Changes what the indicator of a pattern says; tells whether there is one.
fn update(
    db: &Connection,
    scope: TenantScope,
    pattern: &str,
    rule: &IndicatorRule,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let changed = db
        .prepare_cached(
            "UPDATE indicator SET action = ?3, category = ?4, title = ?5, description = ?6,
                 severity = ?7, expires_at_ms = ?8, generate_alert = ?9, recommended_actions = ?10,
                 rbac_groups = ?11, mitre_techniques = ?12, defender_category = ?13,
                 updated_at_ms = ?14
             WHERE tenant_id = ?1 AND pattern = ?2",
        )?
        .execute(params![
            scope.id(),
            pattern,
            rule.action.word(),
            rule.category.word(),
            rule.title,
            rule.description,
            rule.severity.word(),
            rule.expires_at.map(ms),
            rule.generate_alert,
            rule.recommended_actions,
            rule.rbac_groups,
            rule.mitre_techniques,
            rule.defender_category,
            ms(now),
        ])?;
    Ok(0 < changed)
}

fn one(db: &Connection, scope: TenantScope, id: IndicatorId) -> Result<IndicatorRow, StoreError> {
    let mut statement = db.prepare_cached(concat!(
        indicator_columns!(),
        "WHERE i.tenant_id = ?1 AND i.indicator_id = ?2"
    ))?;
    let mut rows = statement.query(params![scope.id(), int(id.0)])?;
    rows.next()?.map_or(Err(StoreError::NotFound { what: "indicator" }), read)
}

fn list(
    db: &Connection,
    scope: TenantScope,
    filter: &IndicatorFilter,
    after: Option<IndicatorCursor>,
    limit: u32,
) -> Result<Vec<IndicatorRow>, StoreError> {
    // Fixed pieces only; what a caller says is always a parameter.
    let mut sql = concat!(indicator_columns!(), "WHERE i.tenant_id = ?").to_owned();
    let mut values = vec![Value::from(scope.id())];
    let mut narrow = |piece: &str, value: Value| {
        sql.push_str(piece);
        values.push(value);
    };
    if !filter.text.is_empty() {
        let part = filter.text.to_ascii_lowercase();
        narrow(" AND (instr(i.pattern, ?)", part.clone().into());
        narrow(" OR instr(lower(i.title), ?))", part.into());
    }
    if let Some(action) = filter.action {
        narrow(" AND i.action = ?", action.word().to_owned().into());
    }
    if let Some(kind) = filter.kind {
        narrow(" AND i.kind = ?", kind.to_owned().into());
    }
    match filter.state {
        None => {}
        Some(IndicatorState::Active(at)) => {
            narrow(" AND (i.expires_at_ms IS NULL OR ? < i.expires_at_ms)", ms(at).into());
        }
        Some(IndicatorState::Expired(at)) => narrow(" AND i.expires_at_ms <= ?", ms(at).into()),
    }
    if let Some(after) = after {
        narrow(" AND (i.updated_at_ms, i.indicator_id) < (?,", ms(after.updated_at).into());
        narrow(" ?)", int(after.id.0).into());
    }
    narrow(
        " ORDER BY i.updated_at_ms DESC, i.indicator_id DESC LIMIT ?",
        Value::from(i64::from(limit)),
    );
    let mut statement = db.prepare_cached(&sql)?;
    collect(statement.query(params_from_iter(values))?)
}

fn active(
    db: &Connection,
    scope: TenantScope,
    now: UnixMillis,
) -> Result<Vec<ActiveIndicator>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT indicator_id, pattern, action, category, severity, title, expires_at_ms, generate_alert
         FROM indicator
         WHERE tenant_id = ?1 AND (expires_at_ms IS NULL OR ?2 < expires_at_ms)
         ORDER BY indicator_id",
    )?;
    let mut rows = statement.query(params![scope.id(), ms(now)])?;
    let mut active = Vec::new();
    while let Some(row) = rows.next()? {
        active.push(ActiveIndicator {
            id: IndicatorId(count(row.get(0)?)),
            pattern: row.get(1)?,
            action: word("action", &row.get::<_, String>(2)?, IndicatorAction::from_word)?,
            category: word("category", &row.get::<_, String>(3)?, IndicatorCategory::from_word)?,
            severity: word("severity", &row.get::<_, String>(4)?, Severity::from_word)?,
            title: row.get(5)?,
            expires_at: row.get::<_, Option<i64>>(6)?.map(time),
            generate_alert: row.get(7)?,
        });
    }
    Ok(active)
}

fn collect(mut rows: rusqlite::Rows<'_>) -> Result<Vec<IndicatorRow>, StoreError> {
    let mut indicators = Vec::new();
    while let Some(row) = rows.next()? {
        indicators.push(read(row)?);
    }
    Ok(indicators)
}

/// Reads the columns of [`indicator_columns`].
fn read(row: &Row<'_>) -> Result<IndicatorRow, StoreError> {
    let action: String = row.get(3)?;
    let category: String = row.get(4)?;
    let severity: String = row.get(7)?;
    Ok(IndicatorRow {
        id: IndicatorId(count(row.get(0)?)),
        pattern: row.get(1)?,
        source_text: row.get(2)?,
        rule: IndicatorRule {
            action: word("action", &action, IndicatorAction::from_word)?,
            category: word("category", &category, IndicatorCategory::from_word)?,
            title: row.get(5)?,
            description: row.get(6)?,
            severity: word("severity", &severity, Severity::from_word)?,
            expires_at: row.get::<_, Option<i64>>(8)?.map(time),
            generate_alert: row.get(9)?,
            recommended_actions: row.get(10)?,
            rbac_groups: row.get(11)?,
            mitre_techniques: row.get(12)?,
            defender_category: row.get(13)?,
        },
        created_by: row.get(14)?,
        created_at: time(row.get(15)?),
        updated_at: time(row.get(16)?),
    })
}

/// What [`read`] reads.
macro_rules! indicator_columns {
    () => {
        "SELECT i.indicator_id, i.pattern, i.source_text, i.action, i.category, i.title, i.description,
                i.severity, i.expires_at_ms, i.generate_alert, i.recommended_actions, i.rbac_groups,
                i.mitre_techniques, i.defender_category, m.name, i.created_at_ms, i.updated_at_ms
         FROM indicator AS i
         JOIN member AS m ON m.tenant_id = i.tenant_id AND m.member_id = i.created_by
         "
    };
}
use indicator_columns;

/// Of a tenant. A file of so many still fits the memory that a device has for it.
pub const MAX_INDICATORS: u64 = 1_000_000;
