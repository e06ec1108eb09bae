//! Figures that pages show, kept where they are costly to count.
//!
//! What was counted quickly is counted anew each time. What took long is shown for a while as it was, and then once more
//! while it is counted anew beside, so that of a million devices nobody waits for the counting. Who sees a part shares
//! what was counted with all who see the same part at that moment.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bartizan_model::{TenantId, UnixMillis, UnresolvedAlerts};
use bartizan_store::{
    AlertFilter, GroupId, Seats, Sight, StoppedHosts, StoreError, Tally, TenantScope,
};

use crate::console::INACTIVE_AFTER_MS;
use crate::state::AppState;

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    devices: Shelf<Tally>,
    unresolved: Shelf<UnresolvedAlerts>,
    matching: Shelf<u64>,
    hosts: Shelf<StoppedHosts>,
    seats: Shelf<Vec<Seats>>,
}

type Shelf<V> = Mutex<BTreeMap<Key, Kept<V>>>;

/// Of what it was counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    tenant: TenantId,
    /// Nothing for all devices.
    groups: Option<Vec<GroupId>>,
    /// In words of the program; empty where nothing was narrowed.
    filter: String,
}

#[derive(Clone, Debug)]
struct Kept<V> {
    value: V,
    at: UnixMillis,
    took_ms: u64,
    is_renewed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worth {
    /// To be shown.
    Fresh,
    /// To be shown, and counted anew.
    Stale,
    /// To be forgotten.
    Nothing,
}

impl<V> Kept<V> {
    fn worth(&self, now: UnixMillis) -> Worth {
        // A clock that was set back makes it old.
        let age_ms = now.0.wrapping_sub(self.at.0);
        if self.took_ms < QUICK_MS || OLDEST_MS < age_ms {
            Worth::Nothing
        } else if age_ms <= self.took_ms.saturating_mul(SHARE).min(FRESH_MS) {
            Worth::Fresh
        } else {
            Worth::Stale
        }
    }
}

/// Returns how the devices that somebody sees are, or were a moment ago.
pub(crate) async fn of(state: &AppState, sight: Sight) -> Result<Tally, StoreError> {
    let count = move |state: AppState| async move {
        state.store.tally(sight, week_ago(state.clock.now())).await
    };
    kept(state, sight, String::new(), |tallies| &tallies.devices, count).await
}

/// Returns how many alerts of theirs are unresolved, or were a moment ago.
pub(crate) async fn unresolved(
    state: &AppState,
    sight: Sight,
) -> Result<UnresolvedAlerts, StoreError> {
    let count = move |state: AppState| async move { state.store.unresolved_alerts(sight).await };
    kept(state, sight, String::new(), |tallies| &tallies.unresolved, count).await
}

/// Returns how many alerts of theirs a filter takes, or took a moment ago.
pub(crate) async fn matching(
    state: &AppState,
    sight: Sight,
    filter: AlertFilter,
) -> Result<u64, StoreError> {
    let count =
        move |state: AppState| async move { state.store.alerts_matching(sight, filter).await };
    kept(state, sight, format!("{filter:?}"), |tallies| &tallies.matching, count).await
}

/// Returns the hosts that they were stopped from reaching most often in the last week, or were a moment ago.
pub(crate) async fn stopped_hosts(
    state: &AppState,
    sight: Sight,
) -> Result<StoppedHosts, StoreError> {
    let count = move |state: AppState| async move {
        state.store.stopped_hosts(sight, week_ago(state.clock.now()), HOSTS).await
    };
    kept(state, sight, String::new(), |tallies| &tallies.hosts, count).await
}

/// Returns how the seats of the organization's plans are taken, or were a moment ago.
pub(crate) async fn seats(state: &AppState, scope: TenantScope) -> Result<Vec<Seats>, StoreError> {
    let count = move |state: AppState| async move { state.store.seats(scope).await };
    kept(state, scope.whole(), String::new(), |tallies| &tallies.seats, count).await
}

async fn kept<V, C, F>(
    state: &AppState,
    sight: Sight,
    filter: String,
    shelf: fn(&Tallies) -> &Shelf<V>,
    count: C,
) -> Result<V, StoreError>
where
    V: Clone + Send + 'static,
    C: FnOnce(AppState) -> F + Send + 'static,
    F: Future<Output = Result<V, StoreError>> + Send,
{
    let groups = state.store.groups_in_sight(sight).await?;
    let key = Key { tenant: sight.tenant_id(), groups, filter };
    let now = state.clock.now();
    let kept = {
        let mut kept = shelf(&state.tallies).lock().unwrap_or_else(PoisonError::into_inner);
        kept.get_mut(&key).and_then(|kept| match kept.worth(now) {
            Worth::Nothing => None,
            Worth::Fresh => Some((kept.value.clone(), false)),
            // One renews for all.
            Worth::Stale => {
                Some((kept.value.clone(), !std::mem::replace(&mut kept.is_renewed, true)))
            }
        })
    };
    let Some((value, renew)) = kept else {
        return count_anew(state, sight, key, shelf, count).await;
    };
    if renew {
        let state = state.clone();
        tokio::spawn(async move {
            if let Err(error) = count_anew(&state, sight, key, shelf, count).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot count");
            }
        });
    }
    Ok(value)
}

async fn count_anew<V, C, F>(
    state: &AppState,
    sight: Sight,
    key: Key,
    shelf: fn(&Tallies) -> &Shelf<V>,
    count: C,
) -> Result<V, StoreError>
where
    V: Clone + Send + 'static,
    C: FnOnce(AppState) -> F + Send + 'static,
    F: Future<Output = Result<V, StoreError>> + Send,
{
    let at = state.clock.now();
    let counted = count(state.clone()).await;
    let now = state.clock.now();
    let took_ms = now.0.saturating_sub(at.0);
    // Somebody whose roles have changed meanwhile has counted something else.
    let is_same = state.store.groups_in_sight(sight).await.is_ok_and(|groups| groups == key.groups);
    let mut kept = shelf(&state.tallies).lock().unwrap_or_else(PoisonError::into_inner);
    kept.retain(|_, kept| kept.worth(now) != Worth::Nothing);
    match &counted {
        Ok(value) if is_same => {
            kept.insert(key, Kept { value: value.clone(), at, took_ms, is_renewed: false });
        }
        // Whoever comes next may try.
        Ok(_) | Err(_) => drop(kept.remove(&key)),
    }
    counted
}

fn week_ago(now: UnixMillis) -> UnixMillis {
    UnixMillis(now.0.saturating_sub(INACTIVE_AFTER_MS))
}

/// As many as people read.
const HOSTS: usize = 5;
/// What took no longer is not worth keeping.
const QUICK_MS: u64 = 20;
/// Counting takes at most this part of the time, while somebody looks.
const SHARE: u64 = 50;
const FRESH_MS: u64 = 60_000;
const OLDEST_MS: u64 = 600_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_costly_is_kept_for_a_while() {
        check(5, 0, Worth::Nothing);
        check(100, 0, Worth::Fresh);
        check(100, 5_000, Worth::Fresh);
        check(100, 5_001, Worth::Stale);
        check(10_000, 60_001, Worth::Stale);
        check(10_000, 600_001, Worth::Nothing);
    }

    #[test]
    fn a_clock_that_was_set_back_makes_it_worth_nothing() {
        let kept = kept(100);
        assert_eq!(kept.worth(UnixMillis(kept.at.0 - 1)), Worth::Nothing);
    }

    #[track_caller]
    fn check(took_ms: u64, age_ms: u64, expected: Worth) {
        let kept = kept(took_ms);
        assert_eq!(kept.worth(UnixMillis(kept.at.0 + age_ms)), expected);
    }

    fn kept(took_ms: u64) -> Kept<u64> {
        let at = UnixMillis(1_800_000_000_000);
        Kept { value: 0, at, took_ms, is_renewed: false }
    }
}
