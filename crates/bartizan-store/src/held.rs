//! Which uploads the portal holds: what a load test compares with what was acknowledged to it.

use std::collections::HashSet;

use bartizan_model::{AlertId, DeviceId};

use crate::db::{Value, query_many};
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
        self.db
            .read(scope, move |db| {
                let key = |(device, upload): &(DeviceId, AlertId)| {
                    (device.0.to_be_bytes(), upload.0.to_be_bytes())
                };
                let keys: Vec<Vec<Value>> = uploads
                    .iter()
                    .map(key)
                    .map(|(device, upload)| vec![scope.id().into(), device.into(), upload.into()])
                    .collect();
                let mut held: HashSet<([u8; 16], [u8; 16])> = HashSet::new();
                query_many(
                    db,
                    "WITH k (tenant_id, device_id, upload_id) AS (",
                    &keys,
                    ") SELECT r.device_id, r.upload_id FROM k JOIN alert_receipt AS r
                       ON r.tenant_id = k.tenant_id AND r.device_id = k.device_id AND r.upload_id = k.upload_id",
                    &[],
                    |rows| {
                        while let Some(row) = rows.next()? {
                            held.insert((row.get(0)?, row.get(1)?));
                        }
                        Ok(())
                    },
                )?;
                Ok(uploads.iter().map(|upload| held.contains(&key(upload))).collect())
            })
            .await
    }
}
