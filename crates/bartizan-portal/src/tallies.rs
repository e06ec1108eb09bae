//! Numbers of devices that pages show, kept where they are costly to count.
//!
//! What was counted quickly is counted anew each time. What took long is shown for a while as it was, and then once more
//! while it is counted anew beside, so that of a million devices nobody waits for the counting.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bartizan_model::{TenantId, UnixMillis};
use bartizan_store::{Sight, StoreError, Tally};

use crate::console::INACTIVE_AFTER_MS;
use crate::state::AppState;

/// What was counted, by tenant.
#[derive(Debug, Default)]
pub(crate) struct Tallies(Mutex<BTreeMap<TenantId, Kept>>);

#[derive(Clone, Copy, Debug)]
struct Kept {
    tally: Tally,
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

impl Kept {
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
    if !sight.is_whole() {
        return state.store.tally(sight, silent_since(state.clock.now())).await;
    }
    let now = state.clock.now();
    let kept = {
        let mut tallies = state.tallies.0.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.get_mut(&sight.tenant_id()).and_then(|kept| match kept.worth(now) {
            Worth::Nothing => None,
            Worth::Fresh => Some((kept.tally, false)),
            // One renews for all.
            Worth::Stale => Some((kept.tally, !std::mem::replace(&mut kept.is_renewed, true))),
        })
    };
    let Some((tally, renew)) = kept else { return count(state, sight).await };
    if renew {
        let state = state.clone();
        tokio::spawn(async move {
            if let Err(error) = count(&state, sight).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot count devices");
            }
        });
    }
    Ok(tally)
}

fn silent_since(now: UnixMillis) -> UnixMillis {
    UnixMillis(now.0.saturating_sub(INACTIVE_AFTER_MS))
}

async fn count(state: &AppState, sight: Sight) -> Result<Tally, StoreError> {
    let at = state.clock.now();
    let tally = state.store.tally(sight, silent_since(at)).await;
    let took_ms = state.clock.now().0.saturating_sub(at.0);
    let mut tallies = state.tallies.0.lock().unwrap_or_else(PoisonError::into_inner);
    match tally {
        Ok(tally) => {
            let kept = Kept { tally, at, took_ms, is_renewed: false };
            tallies.insert(sight.tenant_id(), kept);
        }
        // Whoever comes next may try.
        Err(_) => drop(tallies.remove(&sight.tenant_id())),
    }
    tally
}

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

    fn kept(took_ms: u64) -> Kept {
        let at = UnixMillis(1_800_000_000_000);
        Kept { tally: Tally::default(), at, took_ms, is_renewed: false }
    }
}
