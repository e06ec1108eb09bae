//! Tenants as operators see and change them: listed in pages, created, renamed, suspended, resumed, to be deleted.
//!
//! A page of the list costs one statement, however many tenants there are: what each shows is counted for the rows of the
//! page alone, alerts by the counter that is kept, devices up to [`COUNTED_DEVICES`].
//!
//! # Invariants
//! - What changes a tenant is noted in the installation's log and in the tenant's.
//! - Only a suspended tenant can be one that is to be deleted.

use bartizan_model::{TenantId, UnixMillis};
use serde_json::{Value as Json, json};

use crate::audit::{self, Event};
use crate::column::{count, ms, time};
use crate::db::{Connection, Reach, params};
use crate::operator::{self, OperatorScope};
use crate::{BuiltIn, Store, StoreError, tenant};

/// A tenant, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatedTenant {
    /// Its number.
    pub id: TenantId,
    /// As people know it.
    pub name: String,
    /// When it was created.
    pub created_at: UnixMillis,
    /// Since when nobody is let in.
    pub suspended_at: Option<UnixMillis>,
    /// When its rows go.
    pub delete_at: Option<UnixMillis>,
    /// Whether it lets operators in at all.
    pub admits_operators: bool,
    /// Its devices, as far as they are counted ([`COUNTED_DEVICES`]).
    pub devices: u64,
    /// Alerts that somebody has to decide on.
    pub unresolved: u64,
    /// What the operator who asks may do there at most; `None`: not enter.
    pub role: Option<BuiltIn>,
}

/// Where a page of the list begins: after this tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantCursor {
    /// Its name.
    pub name: String,
    /// Its number.
    pub id: i64,
}

impl Store {
    /// Lists tenants by name, from after the cursor on, whose names contain a text: all of them for an administrator, for
    /// others those that they may enter.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn operated_tenants(
        &self,
        by: OperatorScope,
        contains: String,
        after: TenantCursor,
        limit: u32,
    ) -> Result<Vec<OperatedTenant>, StoreError> {
        self.db.read(Reach::All, move |db| list(db, by, &contains, None, &after, limit)).await
    }

    /// Returns one of them.
    ///
    /// # Errors
    /// There is no such tenant, or the operator does not see it.
    pub async fn operated_tenant(
        &self,
        by: OperatorScope,
        id: TenantId,
    ) -> Result<OperatedTenant, StoreError> {
        self.db.read(Reach::All, move |db| one(db, by, id)).await
    }

    /// Creates a tenant, as an operator.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if another has the name.
    pub async fn operator_creates_tenant(
        &self,
        by: OperatorScope,
        name: String,
        signing_key: [u8; 32],
        now: UnixMillis,
    ) -> Result<TenantId, StoreError> {
        self.db
            .write(Reach::All, move |db| {
                refuse_taken(db, &name, None)?;
                let id = TenantId(tenant::create(db, &name, signing_key, now)?);
                let event = || Event::new("tenant.create", "tenant", id.0);
                note(db, by, id, &event, &json!({ "name": name }), now)?;
                Ok(id)
            })
            .await
    }

    /// Names a tenant anew.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if another has the name; there is no such tenant.
    pub async fn rename_tenant(
        &self,
        by: OperatorScope,
        id: TenantId,
        name: String,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(Reach::All, move |db| {
                let before = one(db, by, id)?.name;
                if before == name {
                    return Ok(());
                }
                refuse_taken(db, &name, Some(id))?;
                db.prepare_cached("UPDATE tenant SET name = ?2 WHERE tenant_id = ?1")?
                    .execute(params![id.0, name])?;
                let event = || Event::new("tenant.rename", "tenant", id.0);
                note(db, by, id, &event, &json!({ "before": before, "after": name }), now)
            })
            .await
    }

    /// Lets nobody in from now on: no member, no application, no directory, and devices go on with what they have.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn suspend_tenant(
        &self,
        by: OperatorScope,
        id: TenantId,
        reason: String,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(Reach::All, move |db| {
                if one(db, by, id)?.suspended_at.is_some() {
                    return Ok(());
                }
                db.prepare_cached("UPDATE tenant SET suspended_at_ms = ?2 WHERE tenant_id = ?1")?
                    .execute(params![id.0, ms(now)])?;
                let event = || Event::new("tenant.suspend", "tenant", id.0);
                note(db, by, id, &event, &json!({ "reason": reason }), now)
            })
            .await
    }

    /// Lets everybody in again; a tenant that was to be deleted stays.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn resume_tenant(
        &self,
        by: OperatorScope,
        id: TenantId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(Reach::All, move |db| {
                if one(db, by, id)?.suspended_at.is_none() {
                    return Ok(());
                }
                db.prepare_cached(
                    "UPDATE tenant SET suspended_at_ms = NULL, delete_at_ms = NULL
                     WHERE tenant_id = ?1",
                )?
                .execute(params![id.0])?;
                let event = || Event::new("tenant.resume", "tenant", id.0);
                note(db, by, id, &event, &json!({}), now)
            })
            .await
    }

    /// Has a suspended tenant deleted, with all that it has, once `delete_at` has come.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it is not suspended; there is no such tenant.
    pub async fn ask_to_delete_tenant(
        &self,
        by: OperatorScope,
        id: TenantId,
        delete_at: UnixMillis,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(Reach::All, move |db| {
                if one(db, by, id)?.suspended_at.is_none() {
                    return Err(StoreError::Conflict { what: "a tenant that is not suspended" });
                }
                db.prepare_cached("UPDATE tenant SET delete_at_ms = ?2 WHERE tenant_id = ?1")?
                    .execute(params![id.0, ms(delete_at)])?;
                let event = || Event::new("tenant.ask-deletion", "tenant", id.0);
                note(db, by, id, &event, &json!({ "delete_at_ms": delete_at.0 }), now)
            })
            .await
    }
}

fn one(db: &Connection, by: OperatorScope, id: TenantId) -> Result<OperatedTenant, StoreError> {
    let found = list(db, by, "", Some(id), &TenantCursor::default(), 1)?.pop();
    found.ok_or(StoreError::NotFound { what: "organization" })
}

fn list(
    db: &Connection,
    by: OperatorScope,
    contains: &str,
    only: Option<TenantId>,
    after: &TenantCursor,
    limit: u32,
) -> Result<Vec<OperatedTenant>, StoreError> {
    let operator = by.operator().map_or([0; 16], |operator| operator.0.to_be_bytes());
    let mut rows = db
        .prepare_cached(
            "SELECT t.tenant_id, t.name, t.created_at_ms, t.suspended_at_ms, t.delete_at_ms,
                    t.admits_operators,
                    (SELECT count(*) FROM (
                         SELECT 1 AS one FROM device AS d
                         WHERE d.tenant_id = t.tenant_id AND d.forgotten_at_ms IS NULL LIMIT 10000
                     ) AS few),
                    (SELECT CAST(coalesce(sum(c.alerts), 0) AS BIGINT) FROM alert_count AS c
                     WHERE c.tenant_id = t.tenant_id AND c.status <> 'Resolved'),
                    (SELECT g.role_id FROM operator_grant AS g
                     WHERE g.tenant_id = 0 AND g.member_id = ?1 AND g.granted_id IN (0, t.tenant_id)
                     ORDER BY g.granted_id DESC LIMIT 1)
             FROM (SELECT * FROM tenant AS a
                   WHERE a.tenant_id <> 0 AND a.tenant_id = coalesce(?2, a.tenant_id)
                       AND (?3 = '' OR 0 < strpos(lower(a.name), lower(?3)))
                       AND (lower(a.name), a.tenant_id) > (lower(?4), ?5)
                       AND (?6 = 1 OR EXISTS (
                           SELECT 1 FROM operator_grant AS g
                           WHERE g.tenant_id = 0 AND g.member_id = ?1
                               AND g.granted_id IN (0, a.tenant_id)))
                   ORDER BY lower(a.name), a.tenant_id LIMIT ?7) AS t
             ORDER BY lower(t.name), t.tenant_id",
        )?
        .query(params![
            operator,
            only.map(|only| only.0),
            contains,
            after.name,
            after.id,
            by.is_administrator(),
            limit
        ])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let role: Option<String> = row.get(8)?;
        found.push(OperatedTenant {
            id: TenantId(row.get(0)?),
            name: row.get(1)?,
            created_at: time(row.get(2)?),
            suspended_at: row.get::<Option<i64>>(3)?.map(time),
            delete_at: row.get::<Option<i64>>(4)?.map(time),
            admits_operators: row.get(5)?,
            devices: count(row.get(6)?),
            unresolved: count(row.get(7)?),
            role: role.map(|role| operator::role(&role)).transpose()?,
        });
    }
    Ok(found)
}

/// The command line finds tenants by their names.
fn refuse_taken(db: &Connection, name: &str, but: Option<TenantId>) -> Result<(), StoreError> {
    let is_taken = db
        .prepare_cached(
            "SELECT 1 FROM tenant
             WHERE tenant_id <> 0 AND tenant_id <> ?2 AND lower(name) = lower(?1) LIMIT 1",
        )?
        .exists(params![name, but.map_or(0, |but| but.0)])?;
    if is_taken {
        Err(StoreError::Conflict { what: "an organization of this name" })
    } else {
        Ok(())
    }
}

/// Notes in the installation's log first: everybody waits for the two in this order.
fn note(
    db: &Connection,
    by: OperatorScope,
    id: TenantId,
    event: &dyn Fn() -> Event<'static>,
    detail: &Json,
    now: UnixMillis,
) -> Result<(), StoreError> {
    audit::append(db, by.scope(), event().detail(detail.clone()), now)?;
    audit::append(db, by.on(id), event().detail(detail.clone()), now)
}

/// Devices of a tenant are counted up to this many where tenants are listed.
pub const COUNTED_DEVICES: u64 = 10_000;
