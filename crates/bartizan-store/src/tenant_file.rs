//! Files of a tenant's own indicators: which there are. The octets lie beside the database, named by
//! their hash.

use bartizan_model::UnixMillis;

use crate::column::{count, int, ms, stored, time};
use crate::db::{Optional, Row, params};
use crate::{Store, StoreError, TenantScope};

/// A file that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantFileRow {
    /// Counts up with every file of the tenant.
    pub epoch: u64,
    /// Lower-case hexadecimal; the file's name.
    pub sha256: String,
    /// In octets.
    pub size_bytes: u64,
    /// How many indicators it holds.
    pub entries: u64,
    /// It holds all changes up to this one ([`Store::indicator_version`]).
    pub indicator_version: u64,
    /// When it was built.
    pub built_at: UnixMillis,
}

impl Store {
    /// Publishes a file, whose octets must be on disk already.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if its epoch is taken or below the newest; build it again.
    pub async fn add_tenant_file(
        &self,
        scope: TenantScope,
        file: TenantFileRow,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let newest: i64 = db
                    .prepare_cached(
                        "SELECT coalesce(max(epoch), 0) FROM tenant_file WHERE tenant_id = ?1",
                    )?
                    .query_row([scope.id()], |row| row.get(0))?;
                if int(file.epoch) <= newest {
                    return Err(StoreError::Conflict { what: "tenant file" });
                }
                let result = db
                    .prepare_cached(
                        "INSERT INTO tenant_file (tenant_id, epoch, sha256, size_bytes, entries,
                                                  indicator_version, built_at_ms)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    )?
                    .execute(params![
                        scope.id(),
                        int(file.epoch),
                        file.sha256,
                        int(file.size_bytes),
                        int(file.entries),
                        int(file.indicator_version),
                        ms(file.built_at),
                    ]);
                stored(result, "tenant file")
            })
            .await
    }

    /// Forgets the files below an epoch, and returns their hashes: their octets can go.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn forget_tenant_files(
        &self,
        scope: TenantScope,
        below: u64,
    ) -> Result<Vec<String>, StoreError> {
        self.db
            .write(scope, move |db| {
                let statement = db.prepare_cached(
                    "DELETE FROM tenant_file WHERE tenant_id = ?1 AND epoch < ?2 RETURNING sha256",
                )?;
                let rows =
                    statement.query_map(params![scope.id(), int(below)], |row| row.get(0))?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Returns the file with the highest epoch, if any was published.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn newest_tenant_file(
        &self,
        scope: TenantScope,
    ) -> Result<Option<TenantFileRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                let row = db
                    .prepare_cached(
                        "SELECT epoch, sha256, size_bytes, entries, indicator_version, built_at_ms
                         FROM tenant_file WHERE tenant_id = ?1 ORDER BY epoch DESC LIMIT 1",
                    )?
                    .query_row([scope.id()], read)
                    .optional()?;
                Ok(row)
            })
            .await
    }
}

fn read(row: &Row<'_>) -> crate::db::Result<TenantFileRow> {
    Ok(TenantFileRow {
        epoch: count(row.get(0)?),
        sha256: row.get(1)?,
        size_bytes: count(row.get(2)?),
        entries: count(row.get(3)?),
        indicator_version: count(row.get(4)?),
        built_at: time(row.get(5)?),
    })
}
