//! A piece of a tenant's work that one of several portals does.

use std::time::Duration;

use bartizan_store::{StoreError, TenantScope};

use crate::later;
use crate::state::AppState;

/// Does the work if no other process does it; `None` if one does.
pub(crate) async fn held<T, E: From<StoreError>>(
    state: &AppState,
    scope: TenantScope,
    job: String,
    at_most: Duration,
    work: impl AsyncFnOnce() -> Result<T, E>,
) -> Result<Option<T>, E> {
    let now = state.clock.now();
    let until = later(now, at_most);
    if !state.store.lease(scope, job.clone(), state.holder, until, now).await? {
        return Ok(None);
    }
    let result = work().await;
    if let Err(error) = state.store.release(scope, job, state.holder).await {
        // It ends by itself.
        tracing::warn!(error = &error as &dyn std::error::Error, "a lease was not given back");
    }
    result.map(Some)
}
