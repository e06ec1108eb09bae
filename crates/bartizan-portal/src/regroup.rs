//! Puts devices into groups anew, where groups have changed: in pages, so that others write in between.

use std::time::Duration;

use bartizan_store::StoreError;

use crate::serve::closed;
use crate::state::AppState;

/// Runs until the portal closes.
pub(crate) async fn run(state: AppState) {
    let mut closing = state.closing.subscribe();
    loop {
        if let Err(error) = regroup_wanted(&state).await {
            tracing::error!(error = &error as &dyn std::error::Error, "devices were not regrouped");
        }
        tokio::select! {
            () = closed(&mut closing) => return,
            () = state.regroup.notified() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

/// Does all that is wanted now.
pub(crate) async fn regroup_wanted(state: &AppState) -> Result<(), StoreError> {
    for scope in state.store.wanted_regroups().await? {
        while !*state.closing.borrow() && state.store.regroup_some(scope, PAGE).await? {}
        state.news.publish(scope.tenant_id());
    }
    Ok(())
}

/// In case another portal on the same database was asked.
const TICK: Duration = Duration::from_secs(5);
const PAGE: u32 = 500;
