//! Removes tenants whose days of grace are over, with their files, a little at a time.
//!
//! # Invariants
//! - Files go before the rows that name them: whoever died in between begins again.

use std::time::Duration;

use bartizan_store::{StoreError, TenantScope};

use crate::lease;
use crate::state::AppState;

/// Removes all that are due, and tells how many.
pub(crate) async fn sweep(state: &AppState) -> Result<u64, StoreError> {
    let mut gone = 0;
    let own = state.store.installation().scope();
    for scope in state.store.tenants_to_delete(state.clock.now()).await? {
        if *state.closing.borrow() {
            break;
        }
        // The lease is the installation's: a tenant's own would be one more row of it.
        let job = format!("remove tenant {}", scope.tenant_id().0);
        let removed = lease::held(state, own, job, LEASE, async || remove(state, scope).await);
        gone += u64::from(removed.await? == Some(true));
    }
    Ok(gone)
}

/// Tells whether all of it is gone.
async fn remove(state: &AppState, scope: TenantScope) -> Result<bool, StoreError> {
    let tenant = scope.tenant_id();
    let (named, files) = (state.store.files_of_tenant(scope).await?, state.files.clone());
    let removed = tokio::task::spawn_blocking(move || files.remove_tenant(tenant, &named)).await;
    if let Err(error) = removed {
        tracing::warn!(error = &error as &dyn std::error::Error, "files of a tenant may be left");
    }
    while state.store.remove_tenant_rows(scope, STEP, state.clock.now()).await? {
        if *state.closing.borrow() {
            return Ok(false);
        }
        // Whoever waits for the writer comes in between.
        tokio::task::yield_now().await;
    }
    tracing::info!(tenant.id = tenant.0, "tenant removed");
    Ok(true)
}

/// Until a tenant that is to be deleted is.
pub(crate) const GRACE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const STEP: u32 = 500;
const LEASE: Duration = Duration::from_secs(30 * 60);
