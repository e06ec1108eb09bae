//! Which uploads the portal holds: what a load test compares with what was acknowledged to it.

use bartizan_model::{AlertId, DeviceId};

use crate::{Store, StoreError, TenantScope, ingest_known};

impl Store {
    /// Tells for each upload of a device whether it was taken in, in the order asked.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn held_uploads(
        &self,
        scope: TenantScope,
        uploads: Vec<(DeviceId, AlertId)>,
    ) -> Result<Vec<bool>, StoreError> {
        self.db
            .read(scope, move |db| {
                let held = ingest_known::known(db, scope, uploads.iter().copied())?;
                Ok(uploads.iter().map(|upload| held.contains(upload)).collect())
            })
            .await
    }
}
