//! Deltas between indicator files: which there are. The octets lie beside the database, named by their hash.

use crate::column::{count, int};
use crate::db::params;
use crate::{Store, StoreError, TenantScope};

/// What leads from one indicator file to a later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeltaRow {
    /// Epoch of the file it starts from.
    pub from_epoch: u64,
    /// Epoch of the file it leads to.
    pub to_epoch: u64,
    /// Lower-case hexadecimal; the delta's name.
    pub sha256: String,
    /// In octets.
    pub size_bytes: u64,
}

impl Store {
    /// Adds deltas between files that are published, whose octets are on disk. One that is there stays as it is.
    ///
    /// # Errors
    /// One of the files is not there, or the store is unavailable.
    pub async fn add_indicator_deltas(
        &self,
        scope: TenantScope,
        deltas: Vec<DeltaRow>,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let statement = db.prepare_cached(
                    "INSERT INTO indicator_delta (tenant_id, to_epoch, from_epoch, sha256, size_bytes)
                     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
                )?;
                for delta in &deltas {
                    statement.execute(params![
                        scope.id(),
                        int(delta.to_epoch),
                        int(delta.from_epoch),
                        delta.sha256,
                        int(delta.size_bytes),
                    ])?;
                }
                Ok(())
            })
            .await
    }

    /// Returns the deltas to the newest files, at most `limit`, the newest first.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn indicator_deltas(
        &self,
        scope: TenantScope,
        limit: u32,
    ) -> Result<Vec<DeltaRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(
                    "SELECT from_epoch, to_epoch, sha256, size_bytes FROM indicator_delta
                     WHERE tenant_id = ?1 ORDER BY to_epoch DESC, from_epoch DESC LIMIT ?2",
                )?;
                let rows = statement.query_map(params![scope.id(), limit], |row| {
                    Ok(DeltaRow {
                        from_epoch: count(row.get(0)?),
                        to_epoch: count(row.get(1)?),
                        sha256: row.get(2)?,
                        size_bytes: count(row.get(3)?),
                    })
                })?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }
}
