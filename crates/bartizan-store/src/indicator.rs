//! Indicator files: which there are. The octets lie beside the database, named by their hash.

use bartizan_model::UnixMillis;

use crate::column::{count, found, int, ms, stored, time};
use crate::db::{Optional, Reach, Row, params};
use crate::{Store, StoreError, TenantScope};

/// A file that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndicatorFileRow {
    /// Counts up with every file of the tenant.
    pub epoch: u64,
    /// Lower-case hexadecimal; the file's name.
    pub sha256: String,
    /// In octets.
    pub size_bytes: u64,
    /// How many names it holds.
    pub entries: u64,
    /// When it was built.
    pub built_at: UnixMillis,
    /// JSON about the feeds it was built from.
    pub report: String,
}

/// That somebody's indicator file is to be compiled again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedCompile {
    /// Whose.
    pub scope: TenantScope,
    /// How often it was asked for.
    pub times: u64,
    /// When last.
    pub wanted_at: UnixMillis,
}

/// What a device may fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceFile {
    /// Lower-case hexadecimal; the file's name.
    pub sha256: String,
    /// In octets.
    pub size_bytes: u64,
}

impl Store {
    /// Asks for the indicator file to be compiled again. Stands until [`Store::note_compiled`].
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn want_compile(
        &self,
        scope: TenantScope,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                db.prepare_cached(
                    "INSERT INTO compile_wanted (tenant_id, times, wanted_at_ms) VALUES (?1, 1, ?2)
                     ON CONFLICT (tenant_id)
                     DO UPDATE SET times = times + 1, wanted_at_ms = excluded.wanted_at_ms",
                )?
                .execute(params![scope.id(), ms(now)])?;
                Ok(())
            })
            .await
    }

    /// Returns what was asked for by all tenants, for the portal's own work; the longest waiting first.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn wanted_compiles(&self) -> Result<Vec<WantedCompile>, StoreError> {
        self.db
            .read(Reach::All, move |db| {
                let statement = db.prepare_cached(
                    "SELECT tenant_id, times, wanted_at_ms FROM compile_wanted ORDER BY wanted_at_ms",
                )?;
                let rows = statement.query_map(params![], |row| {
                    Ok(WantedCompile {
                        scope: TenantScope::new(row.get(0)?),
                        times: count(row.get(1)?),
                        wanted_at: time(row.get(2)?),
                    })
                })?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Notes that what was asked for is done; what was asked for since stands.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn note_compiled(&self, done: WantedCompile) -> Result<(), StoreError> {
        self.db
            .write(Reach::All, move |db| {
                db.prepare_cached(
                    "DELETE FROM compile_wanted WHERE tenant_id = ?1 AND times = ?2",
                )?
                .execute(params![done.scope.id(), int(done.times)])?;
                Ok(())
            })
            .await
    }

    /// Publishes a file, whose octets must be on disk already.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if its epoch is taken or below the newest; build it again.
    pub async fn add_indicator_file(
        &self,
        scope: TenantScope,
        file: IndicatorFileRow,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let newest: i64 = db
                    .prepare_cached(
                        "SELECT coalesce(max(epoch), 0) FROM indicator_file WHERE tenant_id = ?1",
                    )?
                    .query_row([scope.id()], |row| row.get(0))?;
                if int(file.epoch) <= newest {
                    return Err(StoreError::Conflict { what: "indicator file" });
                }
                let result = db
                    .prepare_cached(
                        "INSERT INTO indicator_file (tenant_id, epoch, sha256, size_bytes, entries,
                                                     built_at_ms, report)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    )?
                    .execute(params![
                        scope.id(),
                        int(file.epoch),
                        file.sha256,
                        int(file.size_bytes),
                        int(file.entries),
                        ms(file.built_at),
                        file.report,
                    ]);
                stored(result, "indicator file")
            })
            .await
    }

    /// Returns the file with the highest epoch, if any was published.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn newest_indicator_file(
        &self,
        scope: TenantScope,
    ) -> Result<Option<IndicatorFileRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                let row = db
                    .prepare_cached(
                        "SELECT epoch, sha256, size_bytes, entries, built_at_ms, report
                         FROM indicator_file WHERE tenant_id = ?1 ORDER BY epoch DESC LIMIT 1",
                    )?
                    .query_row([scope.id()], read)
                    .optional()?;
                Ok(row)
            })
            .await
    }

    /// Returns the newest files, at most `limit`, the newest first.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn indicator_files(
        &self,
        scope: TenantScope,
        limit: u32,
    ) -> Result<Vec<IndicatorFileRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(
                    "SELECT epoch, sha256, size_bytes, entries, built_at_ms, report
                     FROM indicator_file WHERE tenant_id = ?1 ORDER BY epoch DESC LIMIT ?2",
                )?;
                let rows = statement.query_map(params![scope.id(), limit], read)?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Returns what a device may fetch under this hash: an indicator file, a delta, or a tenant file.
    ///
    /// # Errors
    /// The tenant has no such file.
    pub async fn device_file(
        &self,
        scope: TenantScope,
        sha256: &str,
    ) -> Result<DeviceFile, StoreError> {
        let sha256 = sha256.to_owned();
        self.db
            .read(scope, move |db| {
                let row = db
                    .prepare_cached(
                        "SELECT sha256, size_bytes FROM indicator_file WHERE tenant_id = ?1 AND sha256 = ?2
                         UNION ALL
                         SELECT sha256, size_bytes FROM indicator_delta WHERE tenant_id = ?1 AND sha256 = ?2
                         UNION ALL
                         SELECT sha256, size_bytes FROM tenant_file WHERE tenant_id = ?1 AND sha256 = ?2
                         LIMIT 1",
                    )?
                    .query_row(params![scope.id(), sha256], |row| {
                        Ok(DeviceFile { sha256: row.get(0)?, size_bytes: count(row.get(1)?) })
                    });
                found(row, "indicator file")
            })
            .await
    }
}

fn read(row: &Row<'_>) -> crate::db::Result<IndicatorFileRow> {
    Ok(IndicatorFileRow {
        epoch: count(row.get(0)?),
        sha256: row.get(1)?,
        size_bytes: count(row.get(2)?),
        entries: count(row.get(3)?),
        built_at: time(row.get(4)?),
        report: row.get(5)?,
    })
}
