//! Requests that are carried out together: what waits while the database is busy becomes one job.
//!
//! A group commit makes one fsync pay for many jobs; this makes one statement pay for many of their rows. Changes are
//! gathered by tenant ([`Gather::submit`]), look-ups of whose something is for all tenants ([`Gather::look_up`]).
//!
//! # Invariants
//! - Whoever asked is answered after the job's commit, each with the outcome of its own item.
//! - Items of a tenant are taken in the order in which they came.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::db::{Connection, Database, Reach};
use crate::{StoreError, TenantScope};

/// What waits, by whose it is.
#[derive(Debug)]
pub(crate) struct Gather<I, O> {
    waiting: Mutex<Waiting<I, O>>,
}

#[derive(Debug)]
struct Waiting<I, O> {
    count: usize,
    /// A tenant that is here has somebody who carries its items out; `None` stands for all of them.
    tenants: BTreeMap<Option<i64>, Vec<Asked<I, O>>>,
}

type Asked<I, O> = (I, oneshot::Sender<Result<O, StoreError>>);

/// Changes something for each item, in one job; an error of its own is everybody's.
type Run<I, O> = fn(&Connection, TenantScope, Vec<I>) -> Result<Outcomes<O>, StoreError>;
/// Looks something up for each item, likewise.
type LookUp<I, O> = fn(&Connection, Vec<I>) -> Result<Outcomes<O>, StoreError>;
/// One for each item.
pub(crate) type Outcomes<O> = Vec<Result<O, StoreError>>;

impl<I, O> Default for Gather<I, O> {
    fn default() -> Self {
        Self { waiting: Mutex::new(Waiting { count: 0, tenants: BTreeMap::new() }) }
    }
}

impl<I: Send + 'static, O: Send + 'static> Gather<I, O> {
    /// Has `run` carry out the item, together with others of the tenant; `run` returns one outcome for each item.
    pub(crate) async fn submit(
        self: &Arc<Self>,
        db: &Arc<Database>,
        scope: TenantScope,
        item: I,
        run: Run<I, O>,
    ) -> Result<O, StoreError> {
        let work = Work::Change(scope, run);
        self.enter(db, work, item).await
    }

    /// Has `run` look something up for the item, together with others of any tenant.
    pub(crate) async fn look_up(
        self: &Arc<Self>,
        db: &Arc<Database>,
        item: I,
        run: LookUp<I, O>,
    ) -> Result<O, StoreError> {
        self.enter(db, Work::LookUp(run), item).await
    }

    async fn enter(
        self: &Arc<Self>,
        db: &Arc<Database>,
        work: Work<I, O>,
        item: I,
    ) -> Result<O, StoreError> {
        let (answer, outcome) = oneshot::channel();
        let leads = {
            let mut waiting = self.lock();
            if MOST_WAITING <= waiting.count {
                return Err(StoreError::Busy);
            }
            waiting.count += 1;
            let leads = !waiting.tenants.contains_key(&work.tenant());
            waiting.tenants.entry(work.tenant()).or_default().push((item, answer));
            leads
        };
        if leads {
            // Goes on if who asked first goes away: others wait for it.
            tokio::spawn(Arc::clone(self).carry_out(Arc::clone(db), work));
        }
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    async fn carry_out(self: Arc<Self>, db: Arc<Database>, work: Work<I, O>) {
        let tenant = work.tenant();
        loop {
            let gather = Arc::clone(&self);
            // Taken when the job runs, so that all are in it that came until then.
            let (answers, waiting_for) = oneshot::channel();
            let take = move || {
                let (items, asked): (Vec<I>, Vec<_>) = gather.take(tenant).into_iter().unzip();
                // Kept outside of the job's outcome: a failure is everybody's.
                let _ = answers.send(asked);
                items
            };
            let done = match work {
                Work::Change(scope, run) => db.write(scope, move |db| run(db, scope, take())).await,
                Work::LookUp(run) => db.read(Reach::All, move |db| run(db, take())).await,
            };
            let asked = match waiting_for.await {
                Ok(asked) => asked,
                // The job never ran.
                Err(_) => self.take(tenant).into_iter().map(|(_, answer)| answer).collect(),
            };
            match done {
                Ok(outcomes) => {
                    for (answer, outcome) in asked.into_iter().zip(outcomes) {
                        // Who asked may have gone.
                        let _ = answer.send(outcome);
                    }
                }
                Err(error) => {
                    for answer in asked {
                        let _ = answer.send(Err(error.again()));
                    }
                }
            }
            let mut waiting = self.lock();
            if waiting.tenants.get(&tenant).is_none_or(Vec::is_empty) {
                waiting.tenants.remove(&tenant);
                return;
            }
        }
    }

    fn take(&self, tenant: Option<i64>) -> Vec<Asked<I, O>> {
        let mut waiting = self.lock();
        let Some(all) = waiting.tenants.get_mut(&tenant) else { return Vec::new() };
        let taken: Vec<_> = all.drain(..all.len().min(MOST_AT_ONCE)).collect();
        waiting.count = waiting.count.saturating_sub(taken.len());
        taken
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting<I, O>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a job does, and for whom.
enum Work<I, O> {
    Change(TenantScope, Run<I, O>),
    LookUp(LookUp<I, O>),
}

impl<I, O> Work<I, O> {
    fn tenant(&self) -> Option<i64> {
        match self {
            Self::Change(scope, _) => Some(scope.id()),
            Self::LookUp(_) => None,
        }
    }
}

/// More would make the first wait for the last.
const MOST_AT_ONCE: usize = 512;
/// About a second of work.
const MOST_WAITING: usize = 8_192;
