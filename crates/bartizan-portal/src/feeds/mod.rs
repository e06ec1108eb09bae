//! Feeds as rows: looked at by a schedule, accepted or refused, compiled into the indicator file.
//!
//! [`fetch`] and [`collections`] bring octets, through [`address`]; [`take`] judges them against the
//! version in use and stores them; [`mod@compile`] makes the tenant's file of all versions in use; [`jobs`]
//! does both while the portal runs. [`settings`] says what an administrator may set.
//!
//! # Invariants
//! - What is refused never takes the place of what is in use.
//! - Of a tenant one compile runs at a time, and a file is published whole or not at all.

mod address;
mod collections;
mod compile;
mod fetch;
mod jobs;
pub mod settings;
mod take;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use bartizan_model::{DomainName, TenantId, UnixMillis};
use bartizan_store::TenantScope;
pub use bartizan_store::{
    FeedId, FeedOrigin, FeedOutcome, FeedRole, FeedRow, FeedSettings, FeedUrls, FeedVersionRow,
    FeedVersionState, StoreError, Validators,
};
use tokio::sync::Notify;

use crate::state::AppState;
use crate::{Portal, Published};

pub use address::PrivateAddress;
pub use fetch::{Access, FetchError, Fetched, Fetcher, Limits, is_this_machine};
pub use take::FeedUpdate;

pub(crate) use address::not_public;
pub(crate) use compile::compile;
pub(crate) use fetch::agent;
pub(crate) use jobs::run;
pub(crate) use take::{look, upload};

/// What the portal's own work on feeds shares.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Wakes the jobs before their time.
    pub(crate) wake_fetch: Notify,
    pub(crate) wake_compile: Notify,
    /// Storing a version and removing the octets of another must not meet.
    storing: tokio::sync::Mutex<()>,
    compiling: tokio::sync::Mutex<()>,
    status: Mutex<BTreeMap<TenantId, CompileStatus>>,
}

impl Work {
    /// Returns how the tenant's compile stands, as far as this process knows.
    pub(crate) fn status(&self, tenant: TenantId) -> CompileStatus {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.get(&tenant).cloned().unwrap_or_default()
    }

    fn set_status(&self, tenant: TenantId, status: CompileStatus) {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant, status);
    }
}

/// How a tenant's compile stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct CompileStatus {
    /// Since when one runs.
    pub(crate) since: Option<UnixMillis>,
    /// How the latest one went.
    pub(crate) latest: Option<CompileOutcome>,
}

/// How a compile went.
#[derive(Clone, Debug)]
pub(crate) struct CompileOutcome {
    /// How long it took.
    pub(crate) took_ms: u64,
    /// Why nothing was published.
    pub(crate) problem: Option<String>,
}

/// Asks for the tenant's indicator file to be compiled again, soon.
pub(crate) async fn want_compile(state: &AppState, scope: TenantScope) -> Result<(), StoreError> {
    state.store.want_compile(scope, state.clock.now()).await?;
    state.feeds.wake_compile.notify_one();
    Ok(())
}

/// Removes a feed with its octets.
pub(crate) async fn remove(
    state: &AppState,
    scope: TenantScope,
    feed: FeedId,
) -> Result<(), StoreError> {
    let _storing = state.feeds.storing.lock().await;
    let orphans = state.store.remove_feed(scope, feed, state.clock.now()).await?;
    state.files.remove_feeds(scope.tenant_id(), &orphans);
    want_compile(state, scope).await
}

/// Makes a version current, whatever became of it before.
pub(crate) async fn use_version(
    state: &AppState,
    scope: TenantScope,
    feed: FeedId,
    version: u64,
) -> Result<(), StoreError> {
    state.store.use_feed_version(scope, feed, version, state.clock.now()).await?;
    state.store.settle_notices(scope, Some(feed), None, state.clock.now()).await?;
    want_compile(state, scope).await
}

/// What the command line does to feeds; the portal may be running.
impl Portal {
    /// Returns the tenant's feeds, threat feeds first.
    ///
    /// # Errors
    /// There is no such tenant, or the store is unavailable.
    pub async fn feeds(&self, tenant: TenantId) -> Result<Vec<FeedRow>, StoreError> {
        let scope = self.state.store.tenant(tenant).await?;
        self.state.store.feeds(scope).await
    }

    /// Returns a feed's versions, the newest first.
    ///
    /// # Errors
    /// There is no such tenant, or the store is unavailable.
    pub async fn feed_versions(
        &self,
        tenant: TenantId,
        feed: FeedId,
    ) -> Result<Vec<FeedVersionRow>, StoreError> {
        let scope = self.state.store.tenant(tenant).await?;
        self.state.store.feed_versions(scope, feed).await
    }

    /// Adds a feed; a running portal looks at it soon.
    ///
    /// # Errors
    /// The settings do not fit ([`settings::check`]), or the name is taken.
    pub async fn add_feed(&self, tenant: TenantId, wanted: FeedSettings) -> anyhow::Result<FeedId> {
        settings::check(&wanted).map_err(anyhow::Error::msg)?;
        let scope = self.state.store.tenant(tenant).await?;
        Ok(self.state.store.create_feed(scope, wanted, self.state.clock.now()).await?)
    }

    /// Looks at a feed now.
    ///
    /// # Errors
    /// There is no such feed, or the store is unavailable. That nothing came or that it was refused is an
    /// outcome, not an error.
    pub async fn update_feed(&self, tenant: TenantId, feed: FeedId) -> anyhow::Result<FeedUpdate> {
        let scope = self.state.store.tenant(tenant).await?;
        look(&self.state, scope, feed).await
    }

    /// Takes in a version that somebody brings.
    ///
    /// # Errors
    /// There is no such feed, the octets cannot be read, or the store is unavailable.
    pub async fn upload_feed(
        &self,
        tenant: TenantId,
        feed: FeedId,
        octets: impl io::Read + Send + 'static,
    ) -> anyhow::Result<FeedUpdate> {
        let scope = self.state.store.tenant(tenant).await?;
        upload(&self.state, scope, feed, octets).await
    }

    /// Goes back to a version, or uses one that was refused.
    ///
    /// # Errors
    /// There is no such version, or its octets are no longer kept.
    pub async fn use_feed_version(
        &self,
        tenant: TenantId,
        feed: FeedId,
        version: u64,
    ) -> Result<(), StoreError> {
        let scope = self.state.store.tenant(tenant).await?;
        use_version(&self.state, scope, feed, version).await
    }

    /// Removes a feed with its versions.
    ///
    /// # Errors
    /// There is no such feed, or the store is unavailable.
    pub async fn remove_feed(&self, tenant: TenantId, feed: FeedId) -> Result<(), StoreError> {
        let scope = self.state.store.tenant(tenant).await?;
        remove(&self.state, scope, feed).await
    }

    /// Adds a name that no feed may block, such as the organization's or this portal's.
    ///
    /// # Errors
    /// There is no such tenant, there are too many names, or the store is unavailable.
    pub async fn add_own_domain(
        &self,
        tenant: TenantId,
        name: &DomainName,
    ) -> Result<(), StoreError> {
        let scope = self.state.store.tenant(tenant).await?;
        let now = self.state.clock.now();
        if self.state.store.add_own_domain(scope, name.as_str(), now).await?
            && !self.state.store.feeds(scope).await?.is_empty()
        {
            want_compile(&self.state, scope).await?;
        }
        Ok(())
    }

    /// Compiles and publishes the tenant's feeds now.
    ///
    /// # Errors
    /// A feed's version cannot be read, there are too many entries, or there is no space.
    pub async fn compile_feeds(&self, tenant: TenantId) -> anyhow::Result<Published> {
        let scope = self.state.store.tenant(tenant).await?;
        compile(&self.state, scope).await
    }

    /// Does once what a running portal does by itself: looks at the feeds that are due, and compiles what
    /// is wanted, without waiting for more.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn work_on_feeds(&self) -> Result<(), StoreError> {
        jobs::look_at_due_feeds(&self.state).await?;
        jobs::compile_wanted(&self.state, UnixMillis(u64::MAX)).await
    }
}
