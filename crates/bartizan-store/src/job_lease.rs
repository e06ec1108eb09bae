//! Leases on a tenant's work: of several portals on one database, one does each piece.
//!
//! # Invariants
//! - A lease has one holder until it ends or is given back. Who died with one is replaced when it ends.

use bartizan_model::UnixMillis;

use crate::column::ms;
use crate::db::params;
use crate::{Store, StoreError, TenantScope};

/// A process that does work; drawn at random when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobHolder(pub [u8; 16]);

impl Store {
    /// Takes or prolongs a lease; tells whether `holder` has it.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn lease(
        &self,
        scope: TenantScope,
        job: String,
        holder: JobHolder,
        until: UnixMillis,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        self.db
            .write(scope, move |db| {
                let taken = db
                    .prepare_cached(
                        "INSERT INTO job_lease (tenant_id, name, holder, until_ms) VALUES (?1, ?2, ?3, ?4)
                         ON CONFLICT (tenant_id, name) DO UPDATE
                             SET holder = excluded.holder, until_ms = excluded.until_ms
                             WHERE job_lease.until_ms <= ?5 OR job_lease.holder = excluded.holder",
                    )?
                    .execute(params![scope.id(), job, holder.0, ms(until), ms(now)])?;
                Ok(taken == 1)
            })
            .await
    }

    /// Gives a lease back, if `holder` has it.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn release(
        &self,
        scope: TenantScope,
        job: String,
        holder: JobHolder,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                db.prepare_cached(
                    "DELETE FROM job_lease WHERE tenant_id = ?1 AND name = ?2 AND holder = ?3",
                )?
                .execute(params![scope.id(), job, holder.0])?;
                Ok(())
            })
            .await
    }
}
