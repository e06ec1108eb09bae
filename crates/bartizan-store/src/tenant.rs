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
                let tenant = create(db, &name, signing_key, now)?;
                let scope = TenantScope::new(tenant);
                audit::append(db, scope, Event::new("tenant.create", "tenant", tenant), now)?;
                Ok(TenantId(tenant))
            })
            .await
    }

    /// Returns every tenant's id and name, without the installation's own. For the command line only.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn tenants(&self) -> Result<Vec<(TenantId, String)>, StoreError> {
        self.db
            .read(Reach::All, |db| {
                let statement = db.prepare_cached(
                    "SELECT tenant_id, name FROM tenant WHERE tenant_id <> 0 ORDER BY tenant_id",
                )?;
                let rows = statement
                    .query_map(params![], |row| Ok((TenantId(row.get(0)?), row.get(1)?)))?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Returns every tenant. For the portal's own work.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn every_tenant(&self) -> Result<Vec<TenantScope>, StoreError> {
        self.scopes("SELECT tenant_id FROM tenant WHERE tenant_id <> 0 ORDER BY tenant_id").await
    }

    /// Returns the tenants of which some alerts resolve themselves. For the portal's own work.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn tenants_that_auto_resolve(&self) -> Result<Vec<TenantScope>, StoreError> {
        self.scopes("SELECT DISTINCT tenant_id FROM auto_resolve ORDER BY tenant_id").await
    }

    /// Returns the tenants whose indicators have changed since their newest file. For the portal's own work.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn tenants_behind(&self) -> Result<Vec<TenantScope>, StoreError> {
        self.scopes(
            "SELECT c.tenant_id FROM indicator_counter AS c
             WHERE coalesce((SELECT f.indicator_version FROM tenant_file AS f
                             WHERE f.tenant_id = c.tenant_id
                             ORDER BY f.epoch DESC LIMIT 1), 0) < c.version
             ORDER BY c.tenant_id",
        )
        .await
    }

    async fn scopes(&self, sql: &'static str) -> Result<Vec<TenantScope>, StoreError> {
        self.db
            .read(Reach::All, move |db| {
                let rows = db
                    .prepare_cached(sql)?
                    .query_map(params![], |row| Ok(TenantScope::new(row.get(0)?)))?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Lets the command line act for a tenant. Whoever can open the database may act for all of them.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn tenant(&self, tenant: TenantId) -> Result<TenantScope, StoreError> {
        if tenant == INSTALLATION {
            return Err(StoreError::NotFound { what: "tenant" });
        }
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

/// Makes a tenant; its number was never another's.
pub(crate) fn create(
    db: &Connection,
    name: &str,
    signing_key: [u8; 32],
    now: UnixMillis,
) -> Result<i64, StoreError> {
    // Whoever adds another at the same time waits for this row.
    let tenant: i64 = db
        .prepare_cached(
            "UPDATE installation
             SET last_tenant_id =
                 greatest(last_tenant_id, (SELECT max(tenant_id) FROM tenant)) + 1
             WHERE id = 1 RETURNING last_tenant_id",
        )?
        .query_row(params![], |row| row.get(0))?;
    db.prepare_cached(
        "INSERT INTO tenant (tenant_id, name, signing_key, created_at_ms) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![tenant, name, signing_key, ms(now)])?;
    let first = NewPolicyVersion {
        settings: "{}".into(),
        note: String::new(),
        changed_by: String::new(),
        percent: 100,
    };
    policy::add(db, TenantScope::new(tenant), None, &first, now)?;
    Ok(tenant)
}

/// Whether nobody is let in for now.
pub(crate) fn is_suspended(db: &Connection, scope: TenantScope) -> Result<bool, StoreError> {
    let is_suspended = db
        .prepare_cached(
            "SELECT 1 FROM tenant WHERE tenant_id = ?1 AND suspended_at_ms IS NOT NULL",
        )?
        .exists([scope.id()])?;
    Ok(is_suspended)
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

/// The installation itself, whose members are its operators (step 23 of the schema).
pub(crate) const INSTALLATION: TenantId = TenantId(0);
