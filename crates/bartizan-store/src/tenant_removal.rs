//! Removing a tenant with all that it has, a little at a time.
//!
//! Which tables there are is asked of the schema, so that none is forgotten: every table with a column `tenant_id`, each
//! before those that it refers to, the tenant itself last.

use bartizan_model::UnixMillis;
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{count, ms};
use crate::db::{Reach, params, tables};
use crate::tenant::{INSTALLATION, tenant_row};
use crate::{Store, StoreError, TenantScope};

impl Store {
    /// Returns the tenants that are to be deleted by now. For the portal's own work.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn tenants_to_delete(&self, now: UnixMillis) -> Result<Vec<TenantScope>, StoreError> {
        self.db
            .read(Reach::All, move |db| {
                let rows = db
                    .prepare_cached(
                        "SELECT tenant_id FROM tenant
                         WHERE tenant_id <> 0 AND suspended_at_ms IS NOT NULL
                             AND delete_at_ms <= ?1
                         ORDER BY tenant_id",
                    )?
                    .query_map([ms(now)], |row| Ok(TenantScope::new(row.get(0)?)))?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Returns the names of the files of a tenant, by their hashes.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn files_of_tenant(&self, scope: TenantScope) -> Result<Vec<String>, StoreError> {
        self.db
            .read(scope, move |db| {
                let rows = db
                    .prepare_cached(
                        "SELECT sha256 FROM indicator_file WHERE tenant_id = ?1
                         UNION SELECT sha256 FROM indicator_delta WHERE tenant_id = ?1
                         UNION SELECT sha256 FROM tenant_file WHERE tenant_id = ?1",
                    )?
                    .query_map([scope.id()], |row| row.get(0))?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Counts a tenant's rows in every table that has any tenant's.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn rows_of_tenant(
        &self,
        scope: TenantScope,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        self.db
            .read(Reach::All, move |db| {
                let mut counts = Vec::new();
                for table in tables(db)? {
                    let sql = format!("SELECT count(*) FROM {} WHERE tenant_id = ?1", table.name);
                    let rows =
                        db.prepare_cached(&sql)?.query_row([scope.id()], |row| row.get(0))?;
                    counts.push((table.name, count(rows)));
                }
                Ok(counts)
            })
            .await
    }

    /// Removes at most about `limit` rows of a tenant that is to be deleted by now; tells whether there may be more. With
    /// the last of them the tenant is gone, and the installation's log says so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it is not to be deleted yet, or is gone.
    pub async fn remove_tenant_rows(
        &self,
        scope: TenantScope,
        limit: u32,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        self.db
            .write(Reach::All, move |db| {
                // Asked again under the lock: somebody may have resumed it.
                let is_due = db
                    .prepare_cached(
                        "SELECT 1 FROM tenant WHERE tenant_id = ?1 AND tenant_id <> 0
                             AND suspended_at_ms IS NOT NULL AND delete_at_ms <= ?2",
                    )?
                    .exists(params![scope.id(), ms(now)])?;
                if !is_due {
                    return Err(StoreError::NotFound { what: "tenant to be deleted" });
                }
                let name = tenant_row(db, scope)?.name;
                let mut left = usize::try_from(limit).unwrap_or(usize::MAX);
                for table in tables(db)? {
                    let (name, key) = (&table.name, table.key.join(", "));
                    let sql = format!(
                        "DELETE FROM {name} WHERE tenant_id = ?1 AND ({key}) IN
                             (SELECT {key} FROM {name} WHERE tenant_id = ?1 LIMIT ?2)"
                    );
                    let most = i64::try_from(left).unwrap_or(i64::MAX);
                    let removed = db.prepare_cached(&sql)?.execute(params![scope.id(), most])?;
                    left = left.saturating_sub(removed);
                    if left == 0 {
                        return Ok(true);
                    }
                }
                db.prepare_cached(
                    "DELETE FROM operator_grant WHERE tenant_id = 0 AND granted_id = ?1",
                )?
                .execute([scope.id()])?;
                db.prepare_cached(
                    "UPDATE installation SET last_tenant_id = greatest(last_tenant_id, ?1)",
                )?
                .execute([scope.id()])?;
                let event = Event::new("tenant.delete", "tenant", scope.id())
                    .detail(json!({ "name": name }));
                audit::append(db, TenantScope::new(INSTALLATION.0), event, now)?;
                Ok(false)
            })
            .await
    }
}
