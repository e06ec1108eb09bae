//! Which record of a device took the place of which, after it enrolled again.

use bartizan_model::DeviceId;

use crate::db::{Connection, Optional as _, params};
use crate::{Store, StoreError, TenantScope};

/// The neighbors of a record, with their names; without those that are forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replacement {
    /// What took its place.
    pub later: Option<(DeviceId, String)>,
    /// What it took the place of, the latest first; at most ten.
    pub earlier: Vec<(DeviceId, String)>,
}

impl Store {
    /// Returns what took a device's place, and what it took the place of.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn replacement(
        &self,
        scope: TenantScope,
        device: DeviceId,
    ) -> Result<Replacement, StoreError> {
        self.db
            .read(scope, move |db| {
                let later = named(
                    db,
                    "SELECT l.device_id, l.device_name FROM device AS d
                     JOIN device AS l ON l.tenant_id = d.tenant_id AND l.device_id = d.replaced_by
                     WHERE d.tenant_id = ?1 AND d.device_id = ?2 AND l.forgotten_at_ms IS NULL
                     LIMIT ?3",
                    (scope, device),
                )?;
                let earlier = named(
                    db,
                    "SELECT device_id, device_name FROM device
                     WHERE tenant_id = ?1 AND replaced_by = ?2 AND forgotten_at_ms IS NULL
                     ORDER BY offboarded_at_ms DESC, device_id DESC LIMIT ?3",
                    (scope, device),
                )?;
                Ok(Replacement { later: later.into_iter().next(), earlier })
            })
            .await
    }
}

/// Returns the record that alerts about a device go to: what took its place, or else itself.
pub(crate) fn current(
    db: &Connection,
    scope: TenantScope,
    device: DeviceId,
) -> Result<DeviceId, StoreError> {
    let statement = db.prepare_cached(
        "SELECT l.device_id FROM device AS d
         JOIN device AS l ON l.tenant_id = d.tenant_id AND l.device_id = d.replaced_by
         WHERE d.tenant_id = ?1 AND d.device_id = ?2 AND l.forgotten_at_ms IS NULL",
    )?;
    let mut device = device;
    // A phone that enrolled more often than this goes on from where it was left.
    for _ in 0..MOST {
        let later: Option<[u8; 16]> = statement
            .query_row(params![scope.id(), device.0.to_be_bytes()], |row| row.get(0))
            .optional()?;
        let Some(later) = later else { break };
        device = DeviceId(u128::from_be_bytes(later));
    }
    Ok(device)
}

fn named(
    db: &Connection,
    sql: &str,
    (scope, device): (TenantScope, DeviceId),
) -> Result<Vec<(DeviceId, String)>, StoreError> {
    let statement = db.prepare_cached(sql)?;
    let rows = statement.query_map(params![scope.id(), device.0.to_be_bytes(), MOST], |row| {
        Ok((DeviceId(u128::from_be_bytes(row.get(0)?)), row.get(1)?))
    })?;
    Ok(rows.collect::<crate::db::Result<_>>()?)
}

/// As many as a page can show.
const MOST: u32 = 10;
