//! Tenants.

use bartizan_model::{Private, TenantId, UnixMillis};

use crate::audit::{self, Event};
use crate::column::{found, ms, time};
use crate::db::{Connection, Reach, params};
use crate::policy::{self, NewPolicyVersion};
use crate::{Actor, Store, StoreError, TenantScope};

/// An organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRow {
    /// Its id.
    pub id: TenantId,
    /// As people know it.
    pub name: String,
    /// Seed of the Ed25519 key that signs what its devices obey.
    pub signing_key: Private<[u8; 32]>,
    /// When it was created.
    pub created_at: UnixMillis,
}

impl Store {
    /// Creates a tenant with a policy that decides nothing, version 1.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn create_tenant(
        &self,
        name: &str,
        signing_key: [u8; 32],
        now: UnixMillis,
    ) -> Result<TenantId, StoreError> {
        let name = name.to_owned();
        self.db
            .write(Reach::All, move |db| {
                let tenant: i64 = db
                    .prepare_cached(
                        "INSERT INTO tenant (tenant_id, name, signing_key, created_at_ms)
                         SELECT coalesce(max(tenant_id), 0) + 1, ?1, ?2, ?3 FROM tenant
                         RETURNING tenant_id",
                    )?
                    .query_row(params![name, signing_key, ms(now)], |row| row.get(0))?;
                let scope = TenantScope::new(tenant);
                let first = NewPolicyVersion {
                    settings: "{}".into(),
                    note: String::new(),
                    changed_by: String::new(),
                    percent: 100,
                };
                policy::add(db, scope, None, &first, now)?;
                audit::append(db, scope, Event::new("tenant.create", "tenant", tenant), now)?;
                Ok(TenantId(tenant))
            })
            .await
    }

    /// Returns every tenant's id and name. For the command line only.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn tenants(&self) -> Result<Vec<(TenantId, String)>, StoreError> {
        self.db
            .read(Reach::All, |db| {
                let statement =
                    db.prepare_cached("SELECT tenant_id, name FROM tenant ORDER BY tenant_id")?;
                let rows = statement
                    .query_map(params![], |row| Ok((TenantId(row.get(0)?), row.get(1)?)))?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Lets the command line act for a tenant. Whoever can open the database may act for all of them.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn tenant(&self, tenant: TenantId) -> Result<TenantScope, StoreError> {
        let scope = TenantScope::new(tenant.0).by(Actor::CommandLine);
        self.tenant_row(scope).await.map(|_| scope)
    }

    /// Returns the tenant itself.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn tenant_row(&self, scope: TenantScope) -> Result<TenantRow, StoreError> {
        self.db.read(scope, move |db| tenant_row(db, scope)).await
    }
}

pub(crate) fn tenant_row(db: &Connection, scope: TenantScope) -> Result<TenantRow, StoreError> {
    let row = db
        .prepare_cached("SELECT name, signing_key, created_at_ms FROM tenant WHERE tenant_id = ?1")?
        .query_row([scope.id()], |row| {
            Ok(TenantRow {
                id: scope.tenant_id(),
                name: row.get(0)?,
                signing_key: Private(row.get(1)?),
                created_at: time(row.get(2)?),
            })
        });
    found(row, "tenant")
}
