//! Numbers that pages show, kept where they are costly to count.
//!
//! What was counted quickly is counted anew each time. What took long is shown for a while as it was, and then once more
//! while it is counted anew beside, so that of a million devices nobody waits for the counting.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bartizan_model::{TenantId, UnixMillis};
use bartizan_store::{Seats, Sight, StoppedHosts, StoreError, Tally, TenantScope};

use crate::console::INACTIVE_AFTER_MS;
use crate::state::AppState;

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    devices: Shelf<Tally>,
    hosts: Shelf<StoppedHosts>,
    seats: Shelf<Vec<Seats>>,
}

/// Figures of one kind, by tenant.
#[derive(Debug)]
struct Shelf<T>(Mutex<BTreeMap<TenantId, Kept<T>>>);

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[derive(Clone, Debug)]
struct Kept<T> {
    figure: T,
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

impl<T> Kept<T> {
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

/// Returns how the devices that somebody sees are, or were a moment ago. Of who sees a part nothing is kept.
pub(crate) async fn of(state: &AppState, sight: Sight) -> Result<Tally, StoreError> {
    let count = move |state: AppState| async move {
        state.store.tally(sight, week_ago(state.clock.now())).await
    };
    if !sight.is_whole() {
        return count(state.clone()).await;
    }
    kept(state, sight.tenant_id(), |tallies| &tallies.devices, count).await
}

/// Returns the hosts that devices were stopped from reaching most often in the last week, in the same way.
pub(crate) async fn stopped_hosts(
    state: &AppState,
    sight: Sight,
) -> Result<StoppedHosts, StoreError> {
    let count = move |state: AppState| async move {
        state.store.stopped_hosts(sight, week_ago(state.clock.now()), HOSTS).await
    };
    if !sight.is_whole() {
        return count(state.clone()).await;
    }
    kept(state, sight.tenant_id(), |tallies| &tallies.hosts, count).await
}

/// Returns how the seats of an organization's plans are taken, in the same way.
pub(crate) async fn seats(state: &AppState, scope: TenantScope) -> Result<Vec<Seats>, StoreError> {
    let count = move |state: AppState| async move { state.store.seats(scope).await };
    kept(state, scope.tenant_id(), |tallies| &tallies.seats, count).await
}

async fn kept<T, C, F>(
    state: &AppState,
    tenant: TenantId,
    shelf: fn(&Tallies) -> &Shelf<T>,
    count: C,
) -> Result<T, StoreError>
where
    T: Clone + Send + 'static,
    C: Fn(AppState) -> F + Send + 'static,
    F: Future<Output = Result<T, StoreError>> + Send + 'static,
{
    let now = state.clock.now();
    let found = {
        let mut figures = shelf(&state.tallies).lock();
        figures.get_mut(&tenant).and_then(|kept| match kept.worth(now) {
            Worth::Nothing => None,
            Worth::Fresh => Some((kept.figure.clone(), false)),
            // One renews for all.
            Worth::Stale => {
                Some((kept.figure.clone(), !std::mem::replace(&mut kept.is_renewed, true)))
            }
        })
    };
    let Some((figure, renew)) = found else {
        return counted(state.clone(), tenant, shelf, count).await;
    };
    if renew {
        let counted = counted(state.clone(), tenant, shelf, count);
        tokio::spawn(async move {
            if let Err(error) = counted.await {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot count for a page");
            }
        });
    }
    Ok(figure)
}

async fn counted<T: Clone, F: Future<Output = Result<T, StoreError>>>(
    state: AppState,
    tenant: TenantId,
    shelf: fn(&Tallies) -> &Shelf<T>,
    count: impl Fn(AppState) -> F,
) -> Result<T, StoreError> {
    let at = state.clock.now();
    let figure = count(state.clone()).await;
    let took_ms = state.clock.now().0.saturating_sub(at.0);
    let mut figures = shelf(&state.tallies).lock();
    match &figure {
        Ok(figure) => {
            let kept = Kept { figure: figure.clone(), at, took_ms, is_renewed: false };
            figures.insert(tenant, kept);
        }
        // Whoever comes next may try.
        Err(_) => drop(figures.remove(&tenant)),
    }
    figure
}

impl<T> Shelf<T> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<TenantId, Kept<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

    fn kept(took_ms: u64) -> Kept<()> {
        let at = UnixMillis(1_800_000_000_000);
        Kept { figure: (), at, took_ms, is_renewed: false }
    }
}
