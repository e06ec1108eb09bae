//! News between portals on one PostgreSQL: which tenant's rows have changed, never what (`LISTEN`, `NOTIFY`).
//!
//! A thread with a connection of its own tells and hears. What was changed stands in the tables, so nothing depends on it:
//! a portal that missed something shows it later.
//!
//! # Invariants
//! - Telling never waits: names of tenants are gathered, and sent a few times a second.
//! - Nobody hears what they told themselves.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bartizan_model::TenantId;
use tokio::sync::{Notify, broadcast};
use tokio_postgres::{AsyncMessage, Client};

use super::open::Server;
use crate::StoreError;

/// What other portals are told, and what they tell.
#[derive(Debug)]
pub(crate) struct News {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Tells this process from others.
    own: u64,
    to_tell: Mutex<BTreeSet<TenantId>>,
    wake: Notify,
    is_over: AtomicBool,
    heard: broadcast::Sender<Option<TenantId>>,
}

impl News {
    /// Starts to tell and to hear, whether the server answers yet or not.
    pub(super) fn start(server: Server) -> Result<Self, StoreError> {
        let unavailable = |error: std::io::Error| StoreError::Unavailable(Box::new(error));
        let mut own = [0; 8];
        getrandom::fill(&mut own).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        let shared = Arc::new(Shared {
            own: u64::from_be_bytes(own),
            to_tell: Mutex::default(),
            wake: Notify::new(),
            is_over: AtomicBool::new(false),
            heard: broadcast::Sender::new(BACKLOG),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(unavailable)?;
        let told = Arc::clone(&shared);
        thread::Builder::new()
            .name("store-news".to_owned())
            .spawn(move || runtime.block_on(told.run(&server)))
            .map_err(unavailable)?;
        Ok(Self { shared })
    }

    /// Tells the others, soon.
    pub(crate) fn tell(&self, tenant: TenantId) {
        self.shared.to_tell.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant);
        self.shared.wake.notify_one();
    }

    /// Hears of tenants that have news elsewhere; of nobody in particular where something may have been missed.
    pub(crate) fn hear(&self) -> broadcast::Receiver<Option<TenantId>> {
        self.shared.heard.subscribe()
    }
}

impl Drop for News {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.shared.wake.notify_one();
    }
}

impl Shared {
    async fn run(self: Arc<Self>, server: &Server) {
        while !self.is_over.load(Ordering::Relaxed) {
            if let Err(error) = self.connected(server).await {
                tracing::debug!(error = &error as &dyn std::error::Error, "news are not heard");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    /// Tells and hears until the connection breaks or it is over.
    async fn connected(self: &Arc<Self>, server: &Server) -> Result<(), tokio_postgres::Error> {
        let (client, mut connection) = server.open().await?;
        let hearing = Arc::clone(self);
        let driven = tokio::spawn(async move {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(news) = message? {
                    hearing.take(news.payload());
                }
            }
            Ok(())
        });
        client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
        // What others told before is lost; it may have been anybody's.
        let _ = self.heard.send(None);
        while !self.is_over.load(Ordering::Relaxed) {
            tokio::select! {
                () = self.wake.notified() => {}
                // Whether the server is still there is known by asking, where nobody has news.
                () = tokio::time::sleep(LOOK) => client.batch_execute("SELECT 1").await?,
            }
            self.send(&client).await?;
        }
        drop(client);
        driven.await.unwrap_or(Ok(()))
    }

    async fn send(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let tenants =
            std::mem::take(&mut *self.to_tell.lock().unwrap_or_else(PoisonError::into_inner));
        if tenants.is_empty() {
            return Ok(());
        }
        // Numbers only: there is nothing in them to be escaped.
        let told: Vec<_> = tenants
            .iter()
            .map(|tenant| format!("pg_notify('{CHANNEL}', '{:x} {}')", self.own, tenant.0))
            .collect();
        for told in told.chunks(AT_ONCE) {
            client.batch_execute(&format!("SELECT {}", told.join(", "))).await?;
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    /// Passes on what another portal told.
    fn take(&self, payload: &str) {
        let Some((by, tenant)) = payload.split_once(' ') else { return };
        if let (Ok(by), Ok(tenant)) = (u64::from_str_radix(by, 16), tenant.parse())
            && by != self.own
        {
            // Nobody may be listening.
            let _ = self.heard.send(Some(TenantId(tenant)));
        }
    }
}

const CHANNEL: &str = "bartizan_news";
const BACKLOG: usize = 1_024;
const AT_ONCE: usize = 500;
/// Between two rounds of telling: many changes of a tenant become one.
const PAUSE: Duration = Duration::from_millis(200);
const LOOK: Duration = Duration::from_secs(30);
/// Before a server that went away is tried again.
const AGAIN: Duration = Duration::from_secs(2);
