//! Resolves alerts that have been quiet for as long as somebody decided: every hour, a little at a time.

use std::time::Duration;

use bartizan_store::{StoreError, TenantScope};

use crate::lease;
use crate::serve::closed;
use crate::state::AppState;

/// Runs until the portal closes.
pub(crate) async fn run(state: AppState) {
    let mut closing = state.closing.subscribe();
    loop {
        if let Err(error) = sweep(&state).await {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "quiet alerts were not resolved");
        }
        tokio::select! {
            () = closed(&mut closing) => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Goes through all tenants once; tells how many alerts it resolved.
pub(crate) async fn sweep(state: &AppState) -> Result<u64, StoreError> {
    let mut resolved = 0;
    for scope in state.store.tenants_that_auto_resolve().await? {
        if *state.closing.borrow() {
            break;
        }
        let done = lease::held(state, scope, "auto-resolve".to_owned(), LEASE, async || {
            resolve(state, scope).await
        });
        resolved += done.await?.unwrap_or(0);
    }
    Ok(resolved)
}

async fn resolve(state: &AppState, scope: TenantScope) -> Result<u64, StoreError> {
    let mut all = 0;
    loop {
        let (resolved, more) = state.store.auto_resolve(scope, STEP, state.clock.now()).await?;
        all += resolved;
        if !more || *state.closing.borrow() {
            break;
        }
        // Whoever waits for the writer comes in between.
        tokio::task::yield_now().await;
    }
    if 0 < all {
        tracing::info!(tenant.id = scope.tenant_id().0, alerts = all, "quiet alerts resolved");
        state.news.publish(scope.tenant_id());
    }
    Ok(all)
}

const PAUSE: Duration = Duration::from_secs(60 * 60);
/// Of alerts of a detector in one transaction.
const STEP: u32 = 256;
/// Longer than a tenant takes; a process that died holds the next one up for so long.
const LEASE: Duration = Duration::from_secs(30 * 60);
