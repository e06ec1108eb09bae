//! Brings a tenant's own indicators to its devices: builds their file after changes, in the background.

use bartizan_store::TenantScope;

use crate::state::AppState;

/// Which tenants' files are behind.
#[derive(Default)]
pub(crate) struct Publisher {}

/// Has the tenant's file built soon. Returns at once.
pub(crate) fn indicators_changed(state: &AppState, scope: TenantScope) {
    let _ = (&state.publisher, scope);
}
