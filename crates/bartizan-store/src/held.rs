//! Which uploads the portal holds: what a load test compares with what was acknowledged to it.

use bartizan_model::{AlertId, DeviceId};
use rusqlite::params;

use crate::{Store, StoreError, TenantScope};

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
        self.sqlite
            .read(move |db| {
                let mut statement = db.prepare_cached(
                    "SELECT 1 FROM alert_receipt
                     WHERE tenant_id = ?1 AND device_id = ?2 AND upload_id = ?3",
                )?;
                let mut held = Vec::with_capacity(uploads.len());
                for (device, upload) in uploads {
                    let key = params![scope.id(), device.0.to_be_bytes(), upload.0.to_be_bytes()];
                    held.push(statement.exists(key)?);
                }
                Ok(held)
            })
            .await
    }
}
