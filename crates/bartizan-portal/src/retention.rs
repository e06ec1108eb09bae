//! Removes what is older than it is kept, every hour, a little at a time, while the portal runs.
//!
//! An organization may keep things for a shorter time than the installation, never longer.

use std::time::Duration;

use bartizan_model::UnixMillis;
use bartizan_store::{StoreError, TenantScope};

use crate::serve::closed;
use crate::state::AppState;
use crate::{lease, tenant_removal};

/// Runs until the portal closes.
pub(crate) async fn run(state: AppState) {
    let mut closing = state.closing.subscribe();
    loop {
        if let Err(error) = sweep(&state).await {
            tracing::error!(error = &error as &dyn std::error::Error, "old rows were not removed");
        }
        if let Err(error) = tenant_removal::sweep(&state).await {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "tenants that are to be deleted were not removed");
        }
        tokio::select! {
            () = closed(&mut closing) => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// How long is kept what is settled: as long as the installation says, or as the organization does if that is shorter. For
/// ever, if neither says.
pub(crate) fn kept(installation: Option<Duration>, own_days: Option<u32>) -> Option<Duration> {
    let own = own_days.map(|days| Duration::from_secs(u64::from(days) * DAY_S));
    [installation, own].into_iter().flatten().min()
}

/// From when on things are kept.
pub(crate) fn oldest(kept: Duration, now: UnixMillis) -> UnixMillis {
    let kept_ms = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
    UnixMillis(now.0.saturating_sub(kept_ms))
}

/// Goes through all tenants once; tells how many alerts went.
pub(crate) async fn sweep(state: &AppState) -> Result<u64, StoreError> {
    let now = state.clock.now();
    // One lease for all tenants: most have nothing to remove, and two writes for each would be most of the work.
    let own = state.store.installation().scope();
    let removed = lease::held(state, own, "retention".to_owned(), LEASE, async || {
        let mut alerts = 0;
        let decided = state.store.every_retention().await?;
        for scope in state.store.every_tenant().await? {
            if *state.closing.borrow() {
                break;
            }
            let own = decided.get(&scope.tenant_id()).copied();
            let Some(kept) = kept(state.retention, own) else { continue };
            alerts += remove(state, scope, oldest(kept, now)).await?;
        }
        Ok::<_, StoreError>(alerts)
    });
    Ok(removed.await?.unwrap_or(0))
}

async fn remove(
    state: &AppState,
    scope: TenantScope,
    before: UnixMillis,
) -> Result<u64, StoreError> {
    let mut alerts = 0;
    let mut others = 0;
    loop {
        let removed = state.store.remove_old(scope, before, STEP).await?;
        alerts += removed.alerts;
        others += removed.others;
        if !removed.more || *state.closing.borrow() {
            break;
        }
        // Whoever waits for the writer comes in between.
        tokio::task::yield_now().await;
    }
    if 0 < alerts + others {
        tracing::info!(tenant.id = scope.tenant_id().0, alerts, others, "old rows removed");
    }
    Ok(alerts)
}

/// Seconds of a day.
pub(crate) const DAY_S: u64 = 24 * 60 * 60;
const PAUSE: Duration = Duration::from_secs(60 * 60);
/// Of rows in one transaction: some ten milliseconds.
const STEP: u32 = 500;
/// Longer than a tenant takes; a process that died holds the next one up for so long.
const LEASE: Duration = Duration::from_secs(30 * 60);

#[cfg(test)]
mod tests {
    use bartizan_store::Store;

    use super::*;
    use crate::clock::Clock;
    use crate::files::Files;

    #[tokio::test]
    async fn another_process_at_work_is_left_alone() {
        let now = UnixMillis(1_800_000_000_000);
        let dir = tempfile::tempdir().unwrap();
        let open = async || {
            let store = Store::open(dir.path().join("portal.db").as_path(), now).unwrap();
            let files = Files::open(dir.path()).unwrap();
            let config = crate::PortalConfig::new(dir.path().to_owned());
            AppState::new(store, files, Clock::fixed(now), &config).await.unwrap()
        };
        let (one, other) = (open().await, open().await);
        let tenant = one.store.create_tenant("ACME", [1; 32], now).await.unwrap();
        let scope = one.store.tenant(tenant).await.unwrap();
        let worked = async |state: &AppState, meanwhile: &AppState| {
            let job = || "work".to_owned();
            let outer = lease::held(state, scope, job(), LEASE, async || {
                lease::held(meanwhile, scope, job(), LEASE, async || Ok::<_, StoreError>(())).await
            });
            outer.await.unwrap()
        };
        assert_eq!(worked(&one, &other).await, Some(None), "held by one, not by the other");
        assert_eq!(worked(&other, &one).await, Some(None), "given back when it is done");
        assert_eq!(sweep(&one).await.unwrap(), 0);
    }

    #[test]
    fn an_organization_keeps_things_for_a_shorter_time_and_never_longer() {
        check(None, None, None);
        check(Some(180), None, Some(180));
        check(Some(180), Some(30), Some(30));
        check(Some(180), Some(365), Some(180));
        check(None, Some(365), Some(365));
    }

    #[track_caller]
    fn check(installation: Option<u64>, own: Option<u32>, expected: Option<u64>) {
        let days = |days| Duration::from_secs(days * DAY_S);
        assert_eq!(kept(installation.map(days), own), expected.map(days));
    }
}
