//! Indicators that a tenant keeps itself: what they are, and how they are found and listed. They are
//! changed in `tenant_indicator_change`.
//!
//! # What it does not do
//! - Read patterns: whoever calls gives each in its one form, and the word of its kind.
//! - Leave out what has expired, unless asked to: people may want it back.

use std::fmt;
use std::str::FromStr;

use bartizan_model::{IndicatorAction, IndicatorCategory, Severity, UnixMillis};

use crate::column::{count, int, ms, time, word};
use crate::db::{Connection, Row, Rows, Value, params};
use crate::tenant_indicator_change::Counter;
use crate::{Store, StoreError, TenantScope};

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
    /// How often it stopped, warned of or watched something.
    pub hits: u64,
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

impl Store {
    /// Returns an indicator.
    ///
    /// # Errors
    /// The tenant has no such indicator.
    pub async fn indicator(
        &self,
        scope: TenantScope,
        id: IndicatorId,
    ) -> Result<IndicatorRow, StoreError> {
        self.db.read(scope, move |db| one(db, scope, id)).await
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
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(concat!(
                    indicator_columns!(),
                    "WHERE i.tenant_id = ?1 AND i.pattern = ?2"
                ))?;
                let mut found = Vec::with_capacity(patterns.len());
                for pattern in patterns {
                    let mut rows = statement.query(params![scope.id(), pattern])?;
                    found.push(rows.next()?.map(|row| read(&row)).transpose()?);
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
        self.db.read(scope, move |db| list(db, scope, &filter, after, limit)).await
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
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(concat!(
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
        self.db.read(scope, move |db| active(db, scope, now)).await
    }

    /// Returns how many indicators the tenant has, expired ones too.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn indicator_count(&self, scope: TenantScope) -> Result<u64, StoreError> {
        self.db.read(scope, move |db| Ok(Counter::load(db, scope)?.entries)).await
    }

    /// Returns a number that counts up with every change of the tenant's indicators; 0 before the first.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn indicator_version(&self, scope: TenantScope) -> Result<u64, StoreError> {
        self.db.read(scope, move |db| Ok(Counter::load(db, scope)?.version)).await
    }
}

pub(crate) fn one(
    db: &Connection,
    scope: TenantScope,
    id: IndicatorId,
) -> Result<IndicatorRow, StoreError> {
    let statement = db.prepare_cached(concat!(
        indicator_columns!(),
        "WHERE i.tenant_id = ?1 AND i.indicator_id = ?2"
    ))?;
    let mut rows = statement.query(params![scope.id(), int(id.0)])?;
    rows.next()?.map_or(Err(StoreError::NotFound { what: "indicator" }), |row| read(&row))
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
        narrow(" AND (0 < strpos(i.pattern, ?)", part.clone().into());
        narrow(" OR 0 < strpos(lower(i.title), ?))", part.into());
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
    let statement = db.prepare_cached(&sql)?;
    collect(statement.query(values)?)
}

fn active(
    db: &Connection,
    scope: TenantScope,
    now: UnixMillis,
) -> Result<Vec<ActiveIndicator>, StoreError> {
    let statement = db.prepare_cached(
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
            action: word("action", &row.get::<String>(2)?, IndicatorAction::from_word)?,
            category: word("category", &row.get::<String>(3)?, IndicatorCategory::from_word)?,
            severity: word("severity", &row.get::<String>(4)?, Severity::from_word)?,
            title: row.get(5)?,
            expires_at: row.get::<Option<i64>>(6)?.map(time),
            generate_alert: row.get(7)?,
        });
    }
    Ok(active)
}

fn collect(mut rows: Rows) -> Result<Vec<IndicatorRow>, StoreError> {
    let mut indicators = Vec::new();
    while let Some(row) = rows.next()? {
        indicators.push(read(&row)?);
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
            expires_at: row.get::<Option<i64>>(8)?.map(time),
            generate_alert: row.get(9)?,
            recommended_actions: row.get(10)?,
            rbac_groups: row.get(11)?,
            mitre_techniques: row.get(12)?,
            defender_category: row.get(13)?,
        },
        created_by: row.get(14)?,
        created_at: time(row.get(15)?),
        updated_at: time(row.get(16)?),
        hits: count(row.get(17)?),
    })
}

/// What [`read`] reads.
macro_rules! indicator_columns {
    () => {
        "SELECT i.indicator_id, i.pattern, i.source_text, i.action, i.category, i.title, i.description,
                i.severity, i.expires_at_ms, i.generate_alert, i.recommended_actions, i.rbac_groups,
                i.mitre_techniques, i.defender_category, m.name, i.created_at_ms, i.updated_at_ms,
                coalesce((SELECT h.hits FROM indicator_hit AS h WHERE h.tenant_id = i.tenant_id
                          AND h.source = '' AND h.pattern = i.pattern), 0)
         FROM indicator AS i
         JOIN member AS m ON m.tenant_id = i.tenant_id AND m.member_id = i.created_by
         "
    };
}
use indicator_columns;
