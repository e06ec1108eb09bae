//! Out: what happens, told to those whom a tenant names: webhooks, chats, mail, syslog.
//!
//! The store numbers what happens and keeps how far each sink has come; here the sinks are moved on. [`settings`] says how
//! one is set and [`seal`] keeps its secrets; [`plan`] divides events into messages; [`told`] and the forms in [`json`],
//! [`mod@line`], [`chat`] and [`mail`] write them; [`http`], [`smtp`] and [`stream`] bring them through [`net`]; [`deliver`]
//! is one sink's turn.
//!
//! # Invariants
//! - Each sink has a task and a connection of its own, and nobody waits for them: not intake, not another sink.
//! - Of several portals one has a sink's turn, by a lease.

mod chat;
pub(crate) mod deliver;
pub(crate) mod exchange;
pub(crate) mod http;
mod json;
mod line;
mod mail;
pub(crate) mod net;
mod plan;
#[cfg(test)]
mod samples;
pub(crate) mod seal;
pub(crate) mod settings;
pub(crate) mod signature;
pub(crate) mod smtp;
mod stream;
#[cfg(test)]
mod tests;
pub(crate) mod told;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_model::{TenantId, UnixMillis};
use bartizan_store::{SinkId, StoreError, TenantScope};
use tokio::task::JoinSet;

use crate::lease;
use crate::serve::closed;
use crate::state::AppState;

/// Runs until the portal closes; what is under way then may end.
pub(crate) async fn run(state: AppState) {
    let mut closing = state.closing.subscribe();
    let mut work = Work::default();
    let mut prune_at = UnixMillis(0);
    loop {
        if let Err(error) = work.begin_due(&state).await {
            tracing::error!(error = &error as &dyn std::error::Error, "sinks were not looked at");
        }
        if prune_at <= state.clock.now() {
            prune_at = crate::later(state.clock.now(), PRUNE_PAUSE);
            if let Err(error) = prune(&state).await {
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, "events that are done with were not removed");
            }
        }
        tokio::select! {
            () = closed(&mut closing) => break,
            () = tokio::time::sleep(TICK) => {}
            // More may wait for the sink whose turn has ended.
            Some(_) = work.turns.join_next() => {}
        }
    }
    let ended = async { while work.turns.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        tracing::warn!("sinks were cut at shutdown; they are told again what they may have");
    }
}

/// Gives every sink that is due one turn, and waits for them.
pub(crate) async fn run_once(state: &AppState) -> Result<(), StoreError> {
    let mut work = Work::default();
    work.begin_due(state).await?;
    while work.turns.join_next().await.is_some() {}
    Ok(())
}

/// The turns that are under way.
#[derive(Default)]
struct Work {
    turns: JoinSet<()>,
    busy: Arc<Mutex<BTreeSet<(TenantId, SinkId)>>>,
}

impl Work {
    async fn begin_due(&mut self, state: &AppState) -> Result<(), StoreError> {
        for (scope, id) in state.store.due_sinks(state.clock.now(), AT_ONCE).await? {
            let key = (scope.tenant_id(), id);
            let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
            if AT_ONCE_LENGTH <= busy.len() || !busy.insert(key) {
                continue;
            }
            drop(busy);
            let busy = Busy { all: Arc::clone(&self.busy), key };
            let state = state.clone();
            self.turns.spawn(async move {
                let _busy = busy;
                one(&state, scope, id).await;
            });
        }
        Ok(())
    }
}

/// Says that a sink has its turn, until it is over, however it ends.
struct Busy {
    all: Arc<Mutex<BTreeSet<(TenantId, SinkId)>>>,
    key: (TenantId, SinkId),
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

async fn one(state: &AppState, scope: TenantScope, id: SinkId) {
    let job = format!("sink {id}");
    let turn =
        lease::held(state, scope, job, LEASE, async || deliver::turn(state, scope, id).await);
    match turn.await {
        Ok(_) | Err(StoreError::NotFound { .. }) => {}
        Err(error) => tracing::error!(
            tenant.id = scope.tenant_id().0,
            sink.id = %id,
            error = &error as &dyn std::error::Error,
            "a sink had no turn"
        ),
    }
}

/// Removes events that every sink is done with, or that nobody waits for any longer.
async fn prune(state: &AppState) -> Result<(), StoreError> {
    let before = UnixMillis(state.clock.now().0.saturating_sub(KEPT_MS));
    for scope in state.store.tenants_with_sinks().await? {
        while !*state.closing.borrow() && state.store.prune_events(scope, before, PRUNED).await? {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

const TICK: Duration = Duration::from_secs(1);
/// Sinks that are told at the same time.
const AT_ONCE: u32 = 256;
const AT_ONCE_LENGTH: usize = 256;
/// Longer than a turn takes. A process that died holds the next one up for so long.
const LEASE: Duration = Duration::from_secs(5 * 60);
const GRACE: Duration = Duration::from_secs(5);
const PRUNE_PAUSE: Duration = Duration::from_secs(60);
const PRUNED: u32 = 2_000;
/// Seven days: what a sink was not told by then, it missed.
const KEPT_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
