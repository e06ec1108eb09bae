//! Which of some things a sight takes in: what a page offers to change of what it shows.
//!
//! Somebody may see more devices than they may change. Whether a change is let through is decided by the change itself, in
//! its own transaction (`sight`); this is asked before, so that nobody is shown what would be refused.

use std::collections::BTreeSet;

use bartizan_model::DeviceId;

use crate::{IncidentId, Sight, Store, StoreError};

impl Store {
    /// Returns those of some devices that a sight takes in.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn devices_within(
        &self,
        sight: Sight,
        devices: BTreeSet<DeviceId>,
    ) -> Result<BTreeSet<DeviceId>, StoreError> {
        if sight.is_whole() || devices.is_empty() {
            return Ok(devices);
        }
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.devices(db, scope, devices)
            })
            .await
    }

    /// Whether a sight takes in every alert of an incident, so that it can be changed as a whole.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn is_incident_within(
        &self,
        sight: Sight,
        incident: IncidentId,
    ) -> Result<bool, StoreError> {
        if sight.is_whole() {
            return Ok(true);
        }
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                match within.whole_incident(db, scope, incident) {
                    Ok(()) => Ok(true),
                    Err(StoreError::NotFound { .. } | StoreError::Conflict { .. }) => Ok(false),
                    Err(error) => Err(error),
                }
            })
            .await
    }
}
