//! Changes of a tenant's own indicators: created, changed, imported, deleted, expired.
//!
//! # Invariants
//! - A pattern is there once per tenant; an id is never given twice.
//! - Every change, of one row or of thousands, is one transaction that counts the tenant's version up
//!   ([`Store::indicator_version`]).

use bartizan_model::UnixMillis;
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{count, int, ms, stored};
use crate::db::{Connection, Optional, params};
use crate::tenant_indicator::one;
use crate::{
    Guard, IndicatorId, IndicatorRow, IndicatorRule, MemberId, NewIndicator, Store, StoreError,
    TenantScope,
};

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
        self.db
            .write(scope, move |db| {
                let mut counter = Counter::load(db, scope)?;
                let id = counter.insert(db, scope, &indicator, by, now)?;
                counter.save_next_version(db, scope)?;
                let event = Event::new("indicator.create", "indicator", id.0).detail(json!({
                    "pattern": indicator.pattern,
                    "action": indicator.rule.action.word(),
                }));
                audit::append(db, scope, event, now)?;
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
        self.update_indicator_if(scope, id, Guard::open(), rule, now).await
    }

    /// The same, if it is as the guard wants it.
    ///
    /// # Errors
    /// The tenant has no such indicator; [`crate::CHANGED_SINCE`].
    pub async fn update_indicator_if(
        &self,
        scope: TenantScope,
        id: IndicatorId,
        guard: Guard<IndicatorRow>,
        rule: IndicatorRule,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let row = one(db, scope, id)?;
                guard.check(&row)?;
                let pattern = row.pattern;
                update(db, scope, &pattern, &rule, now)?;
                Counter::load(db, scope)?.save_next_version(db, scope)?;
                let detail = json!({ "pattern": pattern, "action": rule.action.word() });
                let event = Event::new("indicator.change", "indicator", id.0).detail(detail);
                audit::append(db, scope, event, now)
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
        self.db
            .write(scope, move |db| {
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
                    let event = Event::new("indicator.import", "indicator", "").detail(json!({
                        "created": imported.created,
                        "changed": imported.changed,
                    }));
                    audit::append(db, scope, event, now)?;
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
        now: UnixMillis,
    ) -> Result<u64, StoreError> {
        self.db
            .write(scope, move |db| {
                let statement = db.prepare_cached(
                    "DELETE FROM indicator WHERE tenant_id = ?1 AND indicator_id = ?2
                     RETURNING pattern",
                )?;
                let mut gone = 0;
                for id in ids {
                    let pattern: Option<String> = statement
                        .query_row(params![scope.id(), int(id.0)], |row| row.get(0))
                        .optional()?;
                    if let Some(pattern) = pattern {
                        gone += 1;
                        let event = Event::new("indicator.delete", "indicator", id.0)
                            .detail(json!({ "pattern": pattern }));
                        audit::append(db, scope, event, now)?;
                    }
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
        self.db
            .write(scope, move |db| {
                let statement = db.prepare_cached(
                    "UPDATE indicator SET expires_at_ms = ?3, updated_at_ms = ?3
                     WHERE tenant_id = ?1 AND indicator_id = ?2
                         AND (expires_at_ms IS NULL OR ?3 < expires_at_ms)",
                )?;
                let mut ended = 0;
                for id in ids {
                    let values = params![scope.id(), int(id.0), ms(now)];
                    if 0 < statement.execute(values)? {
                        ended += 1;
                        let event = Event::new("indicator.expire", "indicator", id.0);
                        audit::append(db, scope, event, now)?;
                    }
                }
                if 0 < ended {
                    Counter::load(db, scope)?.save_next_version(db, scope)?;
                }
                Ok(ended)
            })
            .await
    }
}

/// What counts up with a tenant's indicators.
pub(crate) struct Counter {
    last_id: u64,
    pub(crate) version: u64,
    pub(crate) entries: u64,
}

impl Counter {
    pub(crate) fn load(db: &Connection, scope: TenantScope) -> Result<Self, StoreError> {
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

/// Of a tenant. A file of so many still fits the memory that a device has for it.
pub const MAX_INDICATORS: u64 = 1_000_000;
