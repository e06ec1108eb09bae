//! Brings a tenant's own indicators to its devices: builds their file after changes, in the background.
//!
//! The first change starts a build at once; those that come meanwhile are in the next one, a second later.
//! What was changed before a crash is built at the next start ([`catch_up`]).
//!
//! # Invariants
//! - Of each tenant at most one build is under way here. Of several processes one wins, and the others build
//!   on what it published.
//! - A file is on disk before the store knows it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bartizan_indicators::tenant::{TenantIndicator, build_tenant};
use bartizan_model::TenantId;
use bartizan_store::{ActiveIndicator, StoreError, TenantFileRow, TenantScope};
use ed25519_dalek::SigningKey;
use sha2::{Digest as _, Sha256};

use crate::files::hexadecimal;
use crate::serve::closed;
use crate::state::AppState;

/// Whose files are being built.
#[derive(Default)]
pub(crate) struct Publisher {
    /// A tenant is here while its build runs, with whether something changed since it began.
    running: Mutex<BTreeMap<TenantId, bool>>,
}

impl Publisher {
    /// Notes a change; tells whether a build has to be started for it.
    fn begin(&self, tenant: TenantId) -> bool {
        match self.running().entry(tenant) {
            Entry::Vacant(entry) => {
                entry.insert(false);
                true
            }
            Entry::Occupied(mut entry) => {
                entry.insert(true);
                false
            }
        }
    }

    /// Tells whether a build has to be followed by another; if not, it is over.
    fn goes_on(&self, tenant: TenantId) -> bool {
        match self.running().entry(tenant) {
            Entry::Occupied(mut entry) if *entry.get() => {
                entry.insert(false);
                true
            }
            Entry::Occupied(entry) => {
                entry.remove();
                false
            }
            Entry::Vacant(_) => false,
        }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<TenantId, bool>> {
        // What is behind the lock is whole whenever it is let go.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the tenant's file built soon. Returns at once.
pub(crate) fn indicators_changed(state: &AppState, scope: TenantScope) {
    if state.publisher.begin(scope.tenant_id()) {
        tokio::spawn(build_until_current(state.clone(), scope));
    }
}

/// Has the files built that are behind.
pub(crate) async fn catch_up(state: &AppState) -> Result<(), StoreError> {
    for scope in state.store.tenants_behind().await? {
        indicators_changed(state, scope);
    }
    Ok(())
}

async fn build_until_current(state: AppState, scope: TenantScope) {
    let tenant = scope.tenant_id();
    let mut closing = state.closing.subscribe();
    let mut pause = PAUSE;
    loop {
        match build(&state, scope).await {
            Ok(()) => {
                pause = PAUSE;
                if !state.publisher.goes_on(tenant) {
                    return;
                }
            }
            Err(error) => {
                let error: &dyn std::error::Error = error.as_ref();
                tracing::error!(error, tenant.id = tenant.0, "tenant file was not published");
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        tokio::select! {
            // The next start finds that the file is behind.
            () = closed(&mut closing) => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Builds and publishes the file, if it is behind.
async fn build(state: &AppState, scope: TenantScope) -> anyhow::Result<()> {
    // Another process may publish at the same time; then this one takes the next number, if it has to.
    for _ in 0..TRIES {
        let Some((version, epoch)) = behind(state, scope).await? else { return Ok(()) };
        let built_at = state.clock.now();
        let rows = state.store.active_indicators(scope, built_at).await?;
        let key = SigningKey::from_bytes(&state.store.tenant_row(scope).await?.signing_key.0);
        let files = state.files.clone();
        let written = tokio::task::spawn_blocking(move || -> anyhow::Result<TenantFileRow> {
            let entries = u64::try_from(rows.len())?;
            let octets = build_tenant(&indicators(rows)?, epoch, built_at, &key);
            let sha256 = hexadecimal(&Sha256::digest(&octets));
            files.write(&sha256, &octets).context("cannot write the tenant file")?;
            let size_bytes = u64::try_from(octets.len())?;
            Ok(TenantFileRow {
                epoch,
                sha256,
                size_bytes,
                entries,
                indicator_version: version,
                built_at,
            })
        });
        let row = written.await??;
        let (epoch, entries) = (row.epoch, row.entries);
        match state.store.add_tenant_file(scope, row).await {
            Ok(()) => {
                let tenant = scope.tenant_id().0;
                tracing::info!(tenant.id = tenant, epoch, entries, "tenant file published");
                return forget(state, scope, epoch.saturating_sub(KEPT)).await;
            }
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    anyhow::bail!("others keep publishing at the same time")
}

/// Removes files that no device asks for any longer.
async fn forget(state: &AppState, scope: TenantScope, below: u64) -> anyhow::Result<()> {
    let old = state.store.forget_tenant_files(scope, below).await?;
    let files = state.files.clone();
    tokio::task::spawn_blocking(move || {
        for sha256 in old {
            if let Err(error) = files.remove(&sha256) {
                // It takes space and does no harm.
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "old tenant file is still there"
                );
            }
        }
    })
    .await?;
    Ok(())
}

/// Returns the version and the epoch of the file to build; `None` if the newest holds all changes.
async fn behind(state: &AppState, scope: TenantScope) -> Result<Option<(u64, u64)>, StoreError> {
    // Read before the rows: they may be newer than it, and then the next file says the same once more.
    let version = state.store.indicator_version(scope).await?;
    let newest = state.store.newest_tenant_file(scope).await?;
    let (held, epoch) = newest.map_or((0, 0), |file| (file.indicator_version, file.epoch));
    Ok((held < version).then_some((version, epoch + 1)))
}

fn indicators(rows: Vec<ActiveIndicator>) -> anyhow::Result<Vec<TenantIndicator>> {
    let indicator = |row: ActiveIndicator| {
        Ok(TenantIndicator {
            id: row.id.0,
            pattern: row.pattern.parse().context("an indicator names nothing")?,
            action: row.action,
            category: row.category,
            severity: row.severity,
            title: row.title,
            expires_at: row.expires_at,
            generate_alert: row.generate_alert,
        })
    };
    rows.into_iter().map(indicator).collect()
}

/// Between two builds: whoever enters one after the other has them in one file.
const PAUSE: Duration = Duration::from_secs(1);
/// Files that stay beside the newest: a device may just have been told of one.
const KEPT: u64 = 4;
/// After failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Each try builds the file again, so a few are plenty.
const TRIES: usize = 3;

#[cfg(test)]
mod tests {
    use bartizan_indicators::TenantFile;
    use bartizan_model::{Private, UnixMillis};
    use bartizan_store::{BuiltIn, MemberId, NewMember, Store};

    use super::*;
    use crate::clock::Clock;
    use crate::files::Files;
    use crate::indicator_rule::{Field, indicator, read_pattern, read_rule, texts};

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    #[tokio::test]
    async fn a_change_is_published_in_a_file_that_the_device_can_open() {
        let world = World::new().await;
        world.add("evil.test").await;
        indicators_changed(&world.state, world.scope);
        let file = world.published(1).await;
        assert_eq!((file.epoch, file.entries, file.built_at), (1, 1, NOW));
        let path = world.dir.path().join("indicators").join(&file.sha256);
        let octets = std::fs::read(path).unwrap();
        assert_eq!(file.size_bytes, u64::try_from(octets.len()).unwrap());
        let key = SigningKey::from_bytes(&[1; 32]).verifying_key();
        let opened = TenantFile::open(Box::new(octets), &key, 0).unwrap();
        opened.verify().unwrap();
        assert_eq!((opened.epoch(), opened.entries()), (1, 1));
    }

    #[tokio::test]
    async fn what_a_crash_left_behind_is_built_at_the_next_start() {
        let world = World::new().await;
        world.add("evil.test").await;
        world.add("other.test").await;
        catch_up(&world.state).await.unwrap();
        let file = world.published(2).await;
        assert_eq!((file.epoch, file.entries), (1, 2));
        catch_up(&world.state).await.unwrap();
        build(&world.state, world.scope).await.unwrap();
        assert_eq!(world.published(2).await.epoch, 1, "what is current is not built again");
    }

    #[tokio::test]
    async fn only_a_few_files_are_kept() {
        let world = World::new().await;
        for number in 0..8 {
            world.add(&format!("h{number}.test")).await;
            build(&world.state, world.scope).await.unwrap();
        }
        let files = std::fs::read_dir(world.dir.path().join("indicators")).unwrap();
        assert_eq!(files.count(), 5);
        assert_eq!(world.published(8).await.epoch, 8);
    }

    #[test]
    fn changes_during_a_build_are_in_the_next_one() {
        let (publisher, tenant) = (Publisher::default(), TenantId(1));
        assert!(publisher.begin(tenant));
        assert!(!publisher.begin(tenant) && !publisher.begin(tenant));
        assert!(publisher.begin(TenantId(2)), "tenants do not wait for each other");
        assert!(publisher.goes_on(tenant));
        assert!(!publisher.goes_on(tenant));
        assert!(publisher.begin(tenant));
    }

    struct World {
        dir: tempfile::TempDir,
        state: AppState,
        scope: TenantScope,
        member: MemberId,
    }

    impl World {
        async fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let files = Files::open(dir.path()).unwrap();
            let store = Store::open(dir.path().join("portal.db").as_path(), NOW).unwrap();
            let tenant = store.create_tenant("ACME", [1; 32], NOW).await.unwrap();
            let scope = store.tenant(tenant).await.unwrap();
            let member = NewMember {
                email: "a@acme.test".into(),
                password_hash: Private("hash".into()),
                one_time_expires_at: NOW,
                roles: vec![BuiltIn::Administrator.id().into()],
            };
            let member = store.invite_member(scope, member, NOW).await.unwrap();
            let config = crate::PortalConfig::new(dir.path().to_owned());
            let state = AppState::new(store, files, Clock::fixed(NOW), &config).await.unwrap();
            Self { dir, state, scope, member }
        }

        async fn add(&self, name: &str) {
            let rule = read_rule(texts(&[(Field::Action, "Block"), (Field::Title, "A title")]));
            let pattern = read_pattern("DomainName", name).unwrap();
            let new = indicator(&pattern, name, rule.unwrap());
            self.state.store.create_indicator(self.scope, new, self.member, NOW).await.unwrap();
        }

        /// Waits for the file that holds a version.
        async fn published(&self, version: u64) -> TenantFileRow {
            loop {
                let newest = self.state.store.newest_tenant_file(self.scope).await.unwrap();
                if let Some(file) = newest.filter(|file| version <= file.indicator_version) {
                    return file;
                }
                tokio::task::yield_now().await;
            }
        }
    }
}
