//! What the portal does by itself while it runs: looks at feeds that are due, compiles what is wanted.
//!
//! Two loops, so that a slow server does not hold up a compile. Both end with the portal.

use std::time::Duration;

use bartizan_model::UnixMillis;
use bartizan_store::StoreError;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::{compile, look};
use crate::lease;
use crate::serve::closed;
use crate::state::AppState;

/// Runs until the portal closes.
pub(crate) async fn run(state: AppState) {
    tokio::join!(keep_looking(&state), keep_compiling(&state));
}

async fn keep_looking(state: &AppState) {
    loop {
        complain(look_at_due_feeds(state).await);
        if is_over(state, &state.feeds.wake_fetch).await {
            return;
        }
    }
}

async fn keep_compiling(state: &AppState) {
    loop {
        let settled = UnixMillis(state.clock.now().0.saturating_sub(SETTLED_MS));
        complain(compile_wanted(state, settled).await);
        if is_over(state, &state.feeds.wake_compile).await {
            return;
        }
    }
}

fn complain(result: Result<(), StoreError>) {
    if let Err(error) = result {
        tracing::error!(error = &error as &dyn std::error::Error, "work on feeds failed");
    }
}

/// Waits a little; tells whether the portal closes.
async fn is_over(state: &AppState, wake: &Notify) -> bool {
    let mut closing = state.closing.subscribe();
    tokio::select! {
        () = closed(&mut closing) => true,
        () = wake.notified() => false,
        () = tokio::time::sleep(TICK) => false,
    }
}

/// Looks at every feed that is due, a few at a time.
pub(super) async fn look_at_due_feeds(state: &AppState) -> Result<(), StoreError> {
    let due = state.store.due_feeds(state.clock.now(), BATCH).await?;
    let mut looks = JoinSet::new();
    for (scope, feed) in due {
        if *state.closing.borrow() {
            break;
        }
        if AT_ONCE <= looks.len() {
            looks.join_next().await;
        }
        let state = state.clone();
        looks.spawn(async move {
            let job = format!("feed {feed}");
            let look = lease::held(&state, scope, job, LEASE, async || {
                // Another process may have looked since the list was read.
                let is_due = state.store.feed(scope, feed).await?.due_at;
                if is_due.is_some_and(|due| due <= state.clock.now()) {
                    look(&state, scope, feed).await?;
                }
                Ok::<_, anyhow::Error>(())
            });
            if let Err(error) = look.await {
                tracing::error!(
                    tenant.id = scope.tenant_id().0,
                    feed.id = %feed,
                    error = &*error as &dyn std::error::Error,
                    "feed was not looked at"
                );
                // Not at once again: what is the matter is most likely still so.
                let later = crate::later(state.clock.now(), AFTER_FAULT);
                let _ = state.store.set_feed_due(scope, feed, later).await;
            }
        });
    }
    while looks.join_next().await.is_some() {}
    Ok(())
}

/// Compiles for every tenant that has wanted it since before `until`: a change rarely comes alone.
pub(super) async fn compile_wanted(state: &AppState, until: UnixMillis) -> Result<(), StoreError> {
    for wanted in state.store.wanted_compiles().await? {
        if until < wanted.wanted_at || *state.closing.borrow() {
            continue;
        }
        let (scope, job) = (wanted.scope, "compile".to_owned());
        let compile = lease::held(state, scope, job, LEASE, async || {
            // Another process may have compiled since the list was read.
            if state.store.wanted_compiles().await?.iter().any(|wanted| wanted.scope == scope) {
                compile(state, scope).await?;
            }
            Ok::<_, anyhow::Error>(())
        });
        if let Err(error) = compile.await {
            tracing::error!(
                tenant.id = wanted.scope.tenant_id().0,
                error = &*error as &dyn std::error::Error,
                "indicator file was not compiled"
            );
        }
    }
    Ok(())
}

const TICK: Duration = Duration::from_secs(5);
const SETTLED_MS: u64 = 2_000;
const BATCH: u32 = 100;
const AT_ONCE: usize = 4;
/// Longer than a fetch or a compile takes; a process that died holds the next one up for so long.
const LEASE: Duration = Duration::from_secs(15 * 60);
const AFTER_FAULT: Duration = Duration::from_secs(600);
