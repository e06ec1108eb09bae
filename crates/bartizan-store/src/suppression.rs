//! Rules that hide alerts: scope, detector and host, with a reason and a time when they end.
//!
//! What a rule hides is an alert like others, resolved as it comes: it counts toward no risk and no incident, and its
//! history names the rule. `suppression_match` finds the rule.
//!
//! # Invariants
//! - A rule has a reason, and an end or the explicit lack of one.
//! - A tenant has at most [`MAX_SUPPRESSIONS`] that somebody has not ended.

use bartizan_model::{Detector, DeviceId, UnixMillis};
use serde_json::{Value as Json, json};

use crate::alert::AlertKey;
use crate::audit::{self, Event};
use crate::column::{count, found, fresh_id, ms, time, word};
use crate::db::{Connection, Row, Value, params};
use crate::{GroupId, MemberId, Sight, Store, StoreError, SuppressionId, TenantScope};

/// Whose alerts a rule hides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SuppressionScope {
    /// Everybody's.
    All,
    /// Those of a device group.
    Group(GroupId),
    /// Those of one device.
    Device(DeviceId),
    /// Those of the devices of a person, by e-mail address in lower case.
    Person(String),
}

/// What a rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuppressionTerms {
    /// Whose alerts.
    pub scope: SuppressionScope,
    /// Of which detector; absent for all.
    pub detector: Option<Detector>,
    /// About which host: a name, or `*.` and a name for it and all below it. Empty for any, and for alerts that name
    /// none.
    pub host: String,
    /// Why.
    pub reason: String,
    /// When it ends; absent for never.
    pub expires_at: Option<UnixMillis>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuppressionRow {
    /// Names it.
    pub id: SuppressionId,
    /// What it says.
    pub terms: SuppressionTerms,
    /// Who made it.
    pub created_by: MemberId,
    /// Their name.
    pub creator: String,
    /// When they did.
    pub created_at: UnixMillis,
    /// When it was last changed.
    pub changed_at: UnixMillis,
    /// When somebody ended it.
    pub ended_at: Option<UnixMillis>,
    /// How often it hid something.
    pub hits: u64,
    /// When it last did, by the devices' clocks.
    pub last_hit_at: Option<UnixMillis>,
}

impl SuppressionRow {
    /// Whether it hides anything at a time.
    #[must_use]
    pub fn holds_at(&self, now: UnixMillis) -> bool {
        self.ended_at.is_none() && self.terms.expires_at.is_none_or(|end| now < end)
    }
}

/// How many alerts a rule would have hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuppressionPreview {
    /// So many.
    pub matching: u64,
    /// Of so many that were looked at, the newest.
    pub of: u64,
}

impl Store {
    /// Lists rules, the newest first, from before one on: those that hold at a time, or all.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn suppressions(
        &self,
        scope: TenantScope,
        holding_at: Option<UnixMillis>,
        before: Option<SuppressionId>,
        limit: u32,
    ) -> Result<Vec<SuppressionRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                let mut sql = suppression_columns!().replace("?1", "?");
                let mut values = vec![Value::from(scope.id())];
                if let Some(now) = holding_at {
                    sql.push_str(
                        "AND s.ended_at_ms IS NULL AND (s.expires_at_ms IS NULL OR ? < s.expires_at_ms) ",
                    );
                    values.push(ms(now).into());
                }
                if let Some(before) = before {
                    sql.push_str("AND s.rule_id < ? ");
                    values.push(before.octets().into());
                }
                sql.push_str("ORDER BY s.rule_id DESC LIMIT ?");
                values.push(i64::from(limit).into());
                let mut rows = db.prepare_cached(&sql)?.query(values)?;
                let mut rules = Vec::new();
                while let Some(row) = rows.next()? {
                    rules.push(read(&row)?);
                }
                Ok(rules)
            })
            .await
    }

    /// Returns a rule.
    ///
    /// # Errors
    /// The tenant has no such rule.
    pub async fn suppression(
        &self,
        scope: TenantScope,
        id: SuppressionId,
    ) -> Result<SuppressionRow, StoreError> {
        self.db.read(scope, move |db| one(db, scope, id)).await
    }

    /// Makes a rule.
    ///
    /// # Errors
    /// There is no such group or device, or there are [`MAX_SUPPRESSIONS`].
    pub async fn create_suppression(
        &self,
        scope: TenantScope,
        terms: SuppressionTerms,
        by: MemberId,
        now: UnixMillis,
    ) -> Result<SuppressionId, StoreError> {
        self.db
            .write(scope, move |db| {
                let held: i64 = db
                    .prepare_cached(
                        "SELECT count(*) FROM suppression WHERE tenant_id = ?1 AND ended_at_ms IS NULL
                         AND (expires_at_ms IS NULL OR ?2 < expires_at_ms)",
                    )?
                    .query_row(params![scope.id(), ms(now)], |row| row.get(0))?;
                if MAX_SUPPRESSIONS <= count(held) {
                    let what = "suppression rules";
                    return Err(StoreError::Full { what, limit: MAX_SUPPRESSIONS });
                }
                check_scope(db, scope, &terms.scope)?;
                let id = SuppressionId::of(fresh_id(now)?);
                let (kind, key) = scope_words(&terms.scope);
                db.prepare_cached(
                    "INSERT INTO suppression (tenant_id, rule_id, scope, scope_key, detector, host, reason,
                                              expires_at_ms, created_by, created_at_ms, changed_at_ms, hits)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, 0)",
                )?
                .execute(params![
                    scope.id(),
                    id.octets(),
                    kind,
                    key,
                    terms.detector.map_or("", Detector::id),
                    terms.host,
                    terms.reason,
                    terms.expires_at.map(ms),
                    by.column(),
                    ms(now),
                ])?;
                let event = Event::new("suppression.create", "suppression", id);
                audit::append(db, scope, event.detail(told(&terms)), now)?;
                Ok(id)
            })
            .await
    }

    /// Changes what a rule says; for alerts that come from then on.
    ///
    /// # Errors
    /// There is no such rule, group or device, or the rule was ended.
    pub async fn change_suppression(
        &self,
        scope: TenantScope,
        id: SuppressionId,
        terms: SuppressionTerms,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                if one(db, scope, id)?.ended_at.is_some() {
                    return Err(StoreError::Conflict { what: "the end of this rule" });
                }
                check_scope(db, scope, &terms.scope)?;
                let (kind, key) = scope_words(&terms.scope);
                db.prepare_cached(
                    "UPDATE suppression SET scope = ?3, scope_key = ?4, detector = ?5, host = ?6, reason = ?7,
                         expires_at_ms = ?8, changed_at_ms = ?9
                     WHERE tenant_id = ?1 AND rule_id = ?2",
                )?
                .execute(params![
                    scope.id(),
                    id.octets(),
                    kind,
                    key,
                    terms.detector.map_or("", Detector::id),
                    terms.host,
                    terms.reason,
                    terms.expires_at.map(ms),
                    ms(now),
                ])?;
                let event = Event::new("suppression.change", "suppression", id);
                audit::append(db, scope, event.detail(told(&terms)), now)
            })
            .await
    }

    /// Ends a rule at once; one that has ended is left alone.
    ///
    /// # Errors
    /// There is no such rule.
    pub async fn end_suppression(
        &self,
        scope: TenantScope,
        id: SuppressionId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let rule = one(db, scope, id)?;
                if rule.ended_at.is_some() {
                    return Ok(());
                }
                db.prepare_cached(
                    "UPDATE suppression SET ended_at_ms = ?3, changed_at_ms = ?3
                     WHERE tenant_id = ?1 AND rule_id = ?2",
                )?
                .execute(params![scope.id(), id.octets(), ms(now)])?;
                let event = Event::new("suppression.end", "suppression", id)
                    .detail(json!({ "hits": rule.hits }));
                audit::append(db, scope, event, now)
            })
            .await
    }

    /// Returns the rule that resolved an alert as it came, if one did.
    ///
    /// # Errors
    /// The tenant has no such alert.
    pub async fn alert_suppressed_by(
        &self,
        sight: Sight,
        key: AlertKey,
    ) -> Result<Option<SuppressionId>, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.alert(db, scope, key)?;
                let row = db
                    .prepare_cached(
                        "SELECT suppressed_by FROM alert WHERE tenant_id = ?1 AND alert_id = ?2",
                    )?
                    .query_row(params![scope.id(), key.0.to_be_bytes()], |row| {
                        row.get::<Option<[u8; 16]>>(0)
                    });
                Ok(found(row, "alert")?.map(SuppressionId::of))
            })
            .await
    }

    /// Counts what a rule would have hidden of the alerts since a time: of the newest [`PREVIEWED`] at most.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn preview_suppression(
        &self,
        sight: Sight,
        terms: SuppressionTerms,
        since: UnixMillis,
    ) -> Result<SuppressionPreview, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                let (kind, key) = scope_words(&terms.scope);
                let (under, exact) = match terms.host.strip_prefix("*.") {
                    Some(end) => (format!(".{end}|"), String::new()),
                    None => (String::new(), terms.host.clone()),
                };
                // Ids are compared as they lie, texts by what is empty.
                let (group, device) = match &terms.scope {
                    SuppressionScope::Group(group) => (group.octets(), NOBODY),
                    SuppressionScope::Device(device) => (NOBODY, device.0.to_be_bytes()),
                    SuppressionScope::All | SuppressionScope::Person(_) => (NOBODY, NOBODY),
                };
                let mut values: Vec<Value> = vec![
                    scope.id().into(),
                    ms(since).into(),
                    terms.detector.map_or("", Detector::id).into(),
                    exact.into(),
                    under.into(),
                    kind.into(),
                    group.into(),
                    device.into(),
                    if kind == "person" { key } else { String::new() }.into(),
                    i64::from(PREVIEWED).into(),
                ];
                let inside = within.condition("d.group_id", values.len().saturating_add(1));
                values.extend(within.values());
                let sql = format!(
                    "SELECT count(*), CAST(coalesce(sum(CASE WHEN
                         (?3 = '' OR n.detector = ?3)
                         AND (?4 = '' OR n.subject = ?4)
                         AND (?5 = '' OR 0 < strpos('.' || n.subject || '|', ?5))
                         AND (?6 = 'all' OR ?6 = 'group' AND d.group_id = ?7
                             OR ?6 = 'device' AND n.device_id = ?8
                             OR ?6 = 'person' AND lower(d.owner) = ?9)
                         THEN 1 ELSE 0 END), 0) AS BIGINT)
                     FROM (SELECT tenant_id, device_id, detector, subject FROM alert
                           WHERE tenant_id = ?1 AND ?2 <= last_seen_at_ms
                           ORDER BY last_seen_at_ms DESC LIMIT ?10) AS n
                     JOIN device AS d ON d.tenant_id = n.tenant_id AND d.device_id = n.device_id
                     WHERE {inside}"
                );
                let row = db
                    .prepare_cached(&sql)?
                    .query_row(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
                Ok(SuppressionPreview { of: count(row.0), matching: count(row.1) })
            })
            .await
    }
}

fn one(
    db: &Connection,
    scope: TenantScope,
    id: SuppressionId,
) -> Result<SuppressionRow, StoreError> {
    let mut rows = db
        .prepare_cached(concat!(suppression_columns!(), "AND s.rule_id = ?2"))?
        .query(params![scope.id(), id.octets()])?;
    let row = rows.next()?.ok_or(StoreError::NotFound { what: "suppression rule" })?;
    read(&row)
}

fn check_scope(
    db: &Connection,
    scope: TenantScope,
    of: &SuppressionScope,
) -> Result<(), StoreError> {
    let (what, sql, id) = match of {
        SuppressionScope::All | SuppressionScope::Person(_) => return Ok(()),
        SuppressionScope::Group(group) => (
            "device group",
            "SELECT 1 FROM device_group WHERE tenant_id = ?1 AND group_id = ?2",
            group.octets(),
        ),
        SuppressionScope::Device(device) => (
            "device",
            "SELECT 1 FROM device WHERE tenant_id = ?1 AND device_id = ?2",
            device.0.to_be_bytes(),
        ),
    };
    let known = db.prepare_cached(sql)?.exists(params![scope.id(), id])?;
    if known { Ok(()) } else { Err(StoreError::NotFound { what }) }
}

fn scope_words(scope: &SuppressionScope) -> (&'static str, String) {
    match scope {
        SuppressionScope::All => ("all", String::new()),
        SuppressionScope::Group(group) => ("group", group.to_string()),
        SuppressionScope::Device(device) => ("device", device.to_string()),
        SuppressionScope::Person(person) => ("person", person.clone()),
    }
}

/// Of people it says that there is one, not who.
fn told(terms: &SuppressionTerms) -> Json {
    let (kind, key) = scope_words(&terms.scope);
    let key = if kind == "person" { String::new() } else { key };
    json!({
        "scope": kind,
        "of": key,
        "detector": terms.detector.map_or("", Detector::id),
        "host": terms.host,
        "expires_at_ms": terms.expires_at.map(|end| end.0),
    })
}

/// Counts what rules hid.
pub(crate) fn count_hit(
    db: &Connection,
    scope: TenantScope,
    id: SuppressionId,
    (hits, last): (i64, i64),
) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE suppression SET hits = hits + ?3, last_hit_at_ms = greatest(last_hit_at_ms, ?4)
         WHERE tenant_id = ?1 AND rule_id = ?2",
    )?
    .execute(params![scope.id(), id.octets(), hits, last])?;
    Ok(())
}

/// Reads the columns of [`suppression_columns`].
pub(crate) fn read(row: &Row<'_>) -> Result<SuppressionRow, StoreError> {
    let damaged = |_| StoreError::Damaged { column: "scope_key" };
    let (kind, key): (String, String) = (row.get(1)?, row.get(2)?);
    let scope = match kind.as_str() {
        "all" => SuppressionScope::All,
        "group" => SuppressionScope::Group(key.parse().map_err(damaged)?),
        "device" => {
            let device = key.parse().map_err(|_| StoreError::Damaged { column: "scope_key" })?;
            SuppressionScope::Device(device)
        }
        "person" => SuppressionScope::Person(key),
        _ => return Err(StoreError::Damaged { column: "scope" }),
    };
    let detector: String = row.get(3)?;
    let detector = match detector.as_str() {
        "" => None,
        id => Some(word("detector", id, Detector::from_id)?),
    };
    Ok(SuppressionRow {
        id: SuppressionId::of(row.get(0)?),
        terms: SuppressionTerms {
            scope,
            detector,
            host: row.get(4)?,
            reason: row.get(5)?,
            expires_at: row.get::<Option<i64>>(6)?.map(time),
        },
        created_by: MemberId::of_column(row.get(7)?),
        creator: row.get(8)?,
        created_at: time(row.get(9)?),
        changed_at: time(row.get(10)?),
        ended_at: row.get::<Option<i64>>(11)?.map(time),
        hits: count(row.get(12)?),
        last_hit_at: row.get::<Option<i64>>(13)?.map(time),
    })
}

/// What [`read`] reads.
macro_rules! suppression_columns {
    () => {
        "SELECT s.rule_id, s.scope, s.scope_key, s.detector, s.host, s.reason, s.expires_at_ms, s.created_by,
                m.name, s.created_at_ms, s.changed_at_ms, s.ended_at_ms, s.hits, s.last_hit_at_ms
         FROM suppression AS s
         JOIN member AS m ON m.tenant_id = s.tenant_id AND m.member_id = s.created_by
         WHERE s.tenant_id = ?1 "
    };
}
pub(crate) use suppression_columns;

/// Rules of a tenant that hold at once.
pub const MAX_SUPPRESSIONS: u64 = 500;
/// Alerts that a preview looks at.
pub const PREVIEWED: u32 = 200_000;
/// No group and no device.
const NOBODY: [u8; 16] = [0; 16];
