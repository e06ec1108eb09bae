//! What a member is offered on a page: nothing that would be refused.
//!
//! By their roles somebody may see more devices than they may change. A page shows buttons and forms by the permissions
//! of its [`crate::console::Shell`]; here those are taken away that do not hold for what the page shows.
//!
//! # What it does not do
//! - Let or refuse a change: the router and the store do, when it comes.

use std::collections::BTreeSet;

use bartizan_model::DeviceId;
use bartizan_store::{Permission, Permissions};

use crate::error::ApiError;
use crate::session::Session;
use crate::state::AppState;

/// What a member may do, of which what hangs on devices is for this one.
pub(crate) async fn on_device(
    state: &AppState,
    session: &Session,
    device: DeviceId,
) -> Result<Permissions, ApiError> {
    let mut here = session.permissions;
    for (permission, sight) in [
        (Permission::AlertsInvestigation, session.investigation),
        (Permission::ActiveRemediation, session.remediation),
        (Permission::ManageSecuritySettings, session.security),
    ] {
        let within = state.store.devices_within(sight, BTreeSet::from([device])).await?;
        if within.is_empty() {
            here = here.without(permission);
        }
    }
    Ok(here)
}

/// Of some devices those whose alerts and reports a member may change.
pub(crate) async fn investigated(
    state: &AppState,
    session: &Session,
    devices: impl Iterator<Item = DeviceId>,
) -> Result<BTreeSet<DeviceId>, ApiError> {
    if !session.permissions.has(Permission::AlertsInvestigation) {
        return Ok(BTreeSet::new());
    }
    Ok(state.store.devices_within(session.investigation, devices.collect()).await?)
}
