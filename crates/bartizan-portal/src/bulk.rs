//! Carries out changes of many alerts, slice by slice, so that what devices send comes in between.
//!
//! Of several portals on one database, the one that has the lease works for a tenant. One that dies is followed by
//! another when the lease ends, which begins where the last slice ended.

use std::time::Duration;

use bartizan_store::{JobStep, StoreError, TenantScope};

use crate::later;
use crate::serve::closed;
use crate::state::AppState;

/// Runs until the portal closes.
pub(crate) async fn run(state: AppState) {
    let mut closing = state.closing.subscribe();
    loop {
        if let Err(error) = work(&state).await {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "a change of many alerts waits");
        }
        tokio::select! {
            () = closed(&mut closing) => return,
            () = state.bulk.notified() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

/// Does all that there is to do now and that no other process does.
pub(crate) async fn work(state: &AppState) -> Result<(), StoreError> {
    for scope in state.store.tenants_with_alert_jobs().await? {
        work_for(state, scope).await?;
    }
    Ok(())
}

async fn work_for(state: &AppState, scope: TenantScope) -> Result<(), StoreError> {
    let mut until = state.clock.now();
    let mut steps = 0_u32;
    while !*state.closing.borrow() {
        let now = state.clock.now();
        // Prolonged while half of it is left.
        if until < later(now, LEASE / 2) {
            until = later(now, LEASE);
            let lease = state.store.lease(scope, JOB.to_owned(), state.holder, until, now);
            if !lease.await? {
                return Ok(());
            }
        }
        if state.store.step_alert_job(scope, SLICE, now).await? == JobStep::Idle {
            break;
        }
        steps = steps.wrapping_add(1);
        if steps.is_multiple_of(NEWS_EVERY) {
            state.news.publish(scope.tenant_id());
        }
    }
    state.news.publish(scope.tenant_id());
    state.store.release(scope, JOB.to_owned(), state.holder).await
}

const JOB: &str = "alert-jobs";
/// Who takes over from a process that died waits for so long at most.
const LEASE: Duration = Duration::from_secs(15);
/// Alerts in one transaction: some ten milliseconds, on PostgreSQL twenty, in which a device may have to wait.
const SLICE: u32 = 256;
/// Slices between two words to open consoles.
const NEWS_EVERY: u32 = 8;
/// In case another portal on the same database was asked.
const TICK: Duration = Duration::from_secs(5);
