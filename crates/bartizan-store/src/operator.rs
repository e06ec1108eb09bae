//! Operators of an installation: accounts of the installation itself, which is tenant 0.
//!
//! An operator who is an administrator there sees every tenant and changes what tenants there are; every operator enters
//! those that they were let into, and no other ([`Store::enter_tenant`]).
//!
//! # Invariants
//! - An [`OperatorScope`] is made here alone: of a session of tenant 0, or for the command line. No member of a tenant
//!   gets one, and no operator's own session is a session in a tenant.

use std::net::IpAddr;
use std::time::Duration;

use bartizan_model::{TenantId, UnixMillis};
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::ms;
use crate::db::{Connection, Reach, params};
use crate::tenant::INSTALLATION;
use crate::{Actor, BuiltIn, MemberId, SessionRow, Store, StoreError, TenantScope};

/// Proof that somebody may act for the installation.
#[derive(Clone, Copy, Debug)]
pub struct OperatorScope {
    scope: TenantScope,
    operator: Option<MemberId>,
    is_administrator: bool,
}

impl OperatorScope {
    /// Notes which request this is for and where it came from, for the audit logs.
    #[must_use]
    pub fn during(self, request: [u8; 8], address: IpAddr) -> Self {
        Self { scope: self.scope.during(request, address), ..self }
    }

    /// The installation's own rows: its accounts, sessions and audit log.
    #[must_use]
    pub fn scope(self) -> TenantScope {
        self.scope
    }

    /// Who it is; nobody on the command line.
    #[must_use]
    pub fn operator(self) -> Option<MemberId> {
        self.operator
    }

    /// Whether they may change what tenants and operators there are.
    #[must_use]
    pub fn is_administrator(self) -> bool {
        self.is_administrator
    }

    /// Acts on a tenant, from outside it.
    pub(crate) fn on(self, tenant: TenantId) -> TenantScope {
        let actor = self.operator.map_or(Actor::CommandLine, Actor::Operator);
        self.scope.at(tenant.0).by(actor)
    }
}

/// A tenant that an operator may enter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRow {
    /// Which; `None`: all there are.
    pub tenant: Option<TenantId>,
    /// Its name; empty for all, and of one that is gone.
    pub tenant_name: String,
    /// What they may do there at most.
    pub role: BuiltIn,
}

impl Store {
    /// Lets the command line act for the installation. Whoever can open the database may.
    #[must_use]
    pub fn installation(&self) -> OperatorScope {
        let scope = TenantScope::new(INSTALLATION.0).by(Actor::CommandLine);
        OperatorScope { scope, operator: None, is_administrator: true }
    }

    /// Finds an operator's own session, if it has neither expired nor been idle for too long.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn operator_session(
        &self,
        token_hash: [u8; 32],
        idle_limit: Duration,
        now: UnixMillis,
    ) -> Result<Option<(OperatorScope, SessionRow)>, StoreError> {
        let row = self.find_session(token_hash, idle_limit, true, now).await?;
        Ok(row.map(|row| {
            let scope = OperatorScope {
                scope: row.scope,
                operator: Some(row.member),
                is_administrator: row.permissions == BuiltIn::Administrator.permissions(),
            };
            (scope, row)
        }))
    }

    /// Returns what an operator may enter, all of them first, then by name.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn operator_grants(
        &self,
        _: OperatorScope,
        operator: MemberId,
    ) -> Result<Vec<GrantRow>, StoreError> {
        self.db
            .read(Reach::All, move |db| {
                let mut rows = db
                    .prepare_cached(
                        "SELECT g.granted_id, g.role_id, coalesce(t.name, '')
                         FROM operator_grant AS g
                         LEFT JOIN tenant AS t ON t.tenant_id = g.granted_id AND 0 < g.granted_id
                         WHERE g.tenant_id = 0 AND g.member_id = ?1
                         ORDER BY CASE WHEN g.granted_id = 0 THEN 0 ELSE 1 END, lower(t.name),
                                  g.granted_id",
                    )?
                    .query(params![operator.column()])?;
                let mut grants = Vec::new();
                while let Some(row) = rows.next()? {
                    let tenant = TenantId(row.get(0)?);
                    grants.push(GrantRow {
                        tenant: (tenant != INSTALLATION).then_some(tenant),
                        tenant_name: row.get(2)?,
                        role: role(&row.get::<String>(1)?)?,
                    });
                }
                Ok(grants)
            })
            .await
    }

    /// Lets an operator enter a tenant, or all of them, with a role at most; both logs have it.
    ///
    /// # Errors
    /// There is no such operator or tenant.
    pub async fn grant_operator(
        &self,
        by: OperatorScope,
        operator: MemberId,
        tenant: Option<TenantId>,
        role: BuiltIn,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(Reach::All, move |db| {
                check_operator(db, operator)?;
                if let Some(tenant) = tenant {
                    crate::tenant::tenant_row(db, by.on(tenant))?;
                }
                db.prepare_cached(
                    "INSERT INTO operator_grant (tenant_id, member_id, granted_id, role_id,
                                                 granted_at_ms)
                     VALUES (0, ?1, ?2, ?3, ?4)
                     ON CONFLICT (tenant_id, member_id, granted_id) DO UPDATE
                         SET role_id = excluded.role_id, granted_at_ms = excluded.granted_at_ms",
                )?
                .execute(params![
                    operator.column(),
                    tenant.unwrap_or(INSTALLATION).0,
                    role.id(),
                    ms(now)
                ])?;
                let detail = json!({ "tenant": tenant.map(|tenant| tenant.0), "role": role.id() });
                let event =
                    |kind| Event::new("operator.grant", kind, operator).detail(detail.clone());
                note(db, by, tenant, event, now)
            })
            .await
    }

    /// Takes that back; sessions there end.
    ///
    /// # Errors
    /// They have not been let in there.
    pub async fn revoke_operator(
        &self,
        by: OperatorScope,
        operator: MemberId,
        tenant: Option<TenantId>,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(Reach::All, move |db| {
                let removed = db
                    .prepare_cached(
                        "DELETE FROM operator_grant
                         WHERE tenant_id = 0 AND member_id = ?1 AND granted_id = ?2",
                    )?
                    .execute(params![operator.column(), tenant.unwrap_or(INSTALLATION).0])?;
                if removed == 0 {
                    return Err(StoreError::NotFound { what: "access" });
                }
                let detail = json!({ "tenant": tenant.map(|tenant| tenant.0) });
                let event =
                    |kind| Event::new("operator.revoke", kind, operator).detail(detail.clone());
                note(db, by, tenant, event, now)
            })
            .await
    }
}

/// Notes in the installation's log, and in the tenant's where it is about one.
fn note(
    db: &Connection,
    by: OperatorScope,
    tenant: Option<TenantId>,
    event: impl Fn(&'static str) -> Event<'static>,
    now: UnixMillis,
) -> Result<(), StoreError> {
    audit::append(db, by.scope, event("member"), now)?;
    match tenant.map(|tenant| by.on(tenant)) {
        // A tenant that is gone has no log.
        Some(scope) if crate::tenant::tenant_row(db, scope).is_ok() => {
            audit::append(db, scope, event("operator"), now)
        }
        Some(_) | None => Ok(()),
    }
}

fn check_operator(db: &Connection, operator: MemberId) -> Result<(), StoreError> {
    let is_there = db
        .prepare_cached("SELECT 1 FROM member WHERE tenant_id = 0 AND member_id = ?1")?
        .exists(params![operator.column()])?;
    if is_there { Ok(()) } else { Err(StoreError::NotFound { what: "operator" }) }
}

/// Reads the role of a grant.
pub(crate) fn role(id: &str) -> Result<BuiltIn, StoreError> {
    crate::column::word("operator_grant.role_id", id, BuiltIn::of_id)
}
