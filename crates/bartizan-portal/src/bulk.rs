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

#[cfg(test)]
mod tests {
    use bartizan_model::UnixMillis;
    use bartizan_store::{
        AlertChoice, AlertJobState, AlertKey, AlertUpdate, BuiltIn, NewMember, Store,
    };

    use super::*;
    use crate::clock::Clock;
    use crate::files::Files;

    #[tokio::test]
    async fn who_died_at_work_is_followed_when_the_lease_ends() {
        let now = UnixMillis(1_800_000_000_000);
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(now);
        let open = async || {
            let store = Store::open(dir.path().join("portal.db").as_path(), now).unwrap();
            let files = Files::open(dir.path()).unwrap();
            let config = crate::PortalConfig::new(dir.path().to_owned());
            AppState::new(store, files, clock.clone(), &config).await.unwrap()
        };
        let (dead, other) = (open().await, open().await);
        let tenant = other.store.create_tenant("ACME", [1; 32], now).await.unwrap();
        let scope = other.store.tenant(tenant).await.unwrap();
        let member = NewMember {
            email: "a@acme.test".into(),
            password_hash: bartizan_model::Private(String::new()),
            one_time_expires_at: now,
            roles: vec![BuiltIn::Administrator.id().into()],
        };
        let member = other.store.invite_member(scope, member, now).await.unwrap();
        let keys = AlertChoice::Keys((0..600).map(AlertKey).collect());
        let update = AlertUpdate { comment: Some("Seen.".into()), ..AlertUpdate::default() };
        let job =
            other.store.create_alert_job(scope.whole(), keys, update, member, now).await.unwrap();
        let until = later(now, LEASE);
        let lease = dead.store.lease(scope, JOB.to_owned(), dead.holder, until, now);
        assert!(lease.await.unwrap());
        dead.store.step_alert_job(scope, SLICE, now).await.unwrap();
        let seen = async || {
            let job = other.store.alert_job(scope.whole(), job).await.unwrap();
            (job.state, job.seen())
        };
        work(&other).await.unwrap();
        assert_eq!(seen().await, (AlertJobState::Running, 256), "still held");
        clock.set(later(now, LEASE));
        work(&other).await.unwrap();
        assert_eq!(seen().await, (AlertJobState::Done, 600));
    }
}
