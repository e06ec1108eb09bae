//! The threads of a database: writers with group commit, and readers.
//!
//! A writer takes whatever is waiting, up to [`MAX_GROUP`] jobs, runs each in a savepoint of one transaction, commits
//! once, and only then answers them: one fsync pays for all. A job that fails rolls back its own savepoint and nothing
//! else; a commit that fails fails them all. SQLite has one writer; PostgreSQL several, in this process and in others,
//! of which one at a time writes for a tenant: what a job has read stays true until its change is stored, on both.
//!
//! # Invariants
//! - Nothing is answered with success before it is on disk (`synchronous = FULL`, `synchronous_commit = on`).
//! - Queues are bounded; a full one is [`StoreError::Busy`], at once.
//! - A connection that broke is made anew for the next job; what was under way failed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
use std::thread;

use bartizan_model::UnixMillis;
use tokio::sync::{mpsc, oneshot};

use super::connection::Connection;
use super::load::{StoreLoad, Tally};
use super::news::News;
use super::open::{DatabaseUrl, Role};
use super::{Error, Reach, migrate};
use crate::{DiskFull, StoreError};

/// The database's threads, by their queues.
#[derive(Debug)]
pub(crate) struct Database {
    writers: mpsc::Sender<Message>,
    readers: std_mpsc::SyncSender<ReadJob>,
    tally: Arc<Tally>,
    /// To and from other portals, where there can be any.
    news: Option<News>,
}

impl Database {
    /// Opens the database, migrates it, and starts the threads.
    pub(crate) fn open(url: &DatabaseUrl, now: UnixMillis) -> Result<Self, StoreError> {
        // On a thread of its own: the caller's may be one that must not block.
        let open = || Self::open_here(url, now);
        thread::scope(|scope| scope.spawn(open).join()).unwrap_or(Err(StoreError::Closed))
    }

    fn open_here(url: &DatabaseUrl, now: UnixMillis) -> Result<Self, StoreError> {
        let failed = |error: std::io::Error| StoreError::Unavailable(Box::new(error));
        migrate::run(url, now)?;
        let is_postgres = matches!(url, DatabaseUrl::Server(_));
        let news = match url {
            DatabaseUrl::Server(server) => Some(News::start((**server).clone())?),
            DatabaseUrl::File(_) => None,
        };
        let url = Arc::new(url.clone());

        let (writers, jobs) = mpsc::channel(WRITER_QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        let tally = Arc::<Tally>::default();
        for number in 0..if is_postgres { POSTGRES_WRITERS } else { 1 } {
            let writer = Writer {
                db: Kept::open(Arc::clone(&url), Role::Writer)?,
                jobs: Arc::clone(&jobs),
                tally: Arc::clone(&tally),
            };
            thread::Builder::new()
                .name(format!("store-writer-{number}"))
                .spawn(move || writer.run())
                .map_err(failed)?;
        }

        let (readers, jobs) = std_mpsc::sync_channel(READER_QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..READERS {
            let db = Kept::open(Arc::clone(&url), Role::Reader)?;
            let jobs = Arc::clone(&jobs);
            thread::Builder::new()
                .name(format!("store-reader-{number}"))
                .spawn(move || read_until_closed(db, &jobs))
                .map_err(failed)?;
        }
        Ok(Self { writers, readers, tally, news })
    }

    /// Returns how other portals on this database are told and heard, if there can be any.
    pub(crate) fn news(&self) -> Option<&News> {
        self.news.as_ref()
    }

    /// Runs a job that changes something; returns when it is on disk.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        reach: impl Into<Reach>,
        job: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, outcome) = oneshot::channel();
        let tally = Arc::clone(&self.tally);
        let run: WriteRun = Box::new(move |db| {
            let result = db.and_then(job);
            if result.as_ref().is_err_and(StoreError::is_disk_full) {
                tally.met_full_disk();
            }
            let keep = result.is_ok();
            let answer: Answer = Box::new(move |committed| {
                // Nobody may be waiting; the change stands all the same.
                let _ = answer.send(result.and_then(|value| committed.map(|()| value)));
            });
            (keep, answer)
        });
        let job = WriteJob { reach: reach.into(), run };
        self.writers.try_send(Message::Job(job)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => self.busy(),
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Runs a job that only reads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        reach: impl Into<Reach>,
        job: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, outcome) = oneshot::channel();
        let run: ReadRun = Box::new(move |db| {
            // Nobody may be waiting.
            let _ = answer.send(db.and_then(job));
        });
        let job = ReadJob { reach: reach.into(), run };
        self.readers.try_send(job).map_err(|error| match error {
            std_mpsc::TrySendError::Full(_) => self.busy(),
            std_mpsc::TrySendError::Disconnected(_) => StoreError::Closed,
        })?;
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Returns how much there is to do.
    pub(crate) fn load(&self) -> StoreLoad {
        let room = self.writers.max_capacity();
        self.tally.load(room - self.writers.capacity(), room)
    }

    /// Whether something did not fit on the disk a short while ago.
    pub(crate) fn is_disk_full(&self, now: UnixMillis) -> bool {
        self.tally.is_disk_full(now)
    }

    fn busy(&self) -> StoreError {
        self.tally.refused();
        StoreError::Busy
    }

    /// Lets the writers finish what is waiting, then ends them.
    pub(crate) async fn close(&self) {
        let (done, ended) = oneshot::channel();
        if self.writers.send(Message::Close(done)).await.is_ok() {
            // An error means that the writer has ended otherwise, which is what was wanted.
            let _ = ended.await;
        }
    }
}

/// Tells the caller, once it is known whether the group is on disk.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// Runs on the connection, or learns why there is none; says whether to keep its change.
type WriteRun = Box<dyn FnOnce(Result<&Connection, StoreError>) -> (bool, Answer) + Send>;
type ReadRun = Box<dyn FnOnce(Result<&Connection, StoreError>) + Send>;

struct WriteJob {
    reach: Reach,
    run: WriteRun,
}

struct ReadJob {
    reach: Reach,
    run: ReadRun,
}

enum Message {
    Job(WriteJob),
    Close(oneshot::Sender<()>),
}

/// A connection that is made anew when it broke.
struct Kept {
    url: Arc<DatabaseUrl>,
    role: Role,
    db: Option<Connection>,
}

impl Kept {
    fn open(url: Arc<DatabaseUrl>, role: Role) -> Result<Self, StoreError> {
        let db = Some(url.connect(role)?);
        Ok(Self { url, role, db })
    }

    fn get(&mut self) -> Result<&Connection, Error> {
        let whole = self.db.take().filter(|db| !db.is_closed());
        let db = match whole {
            Some(db) => db,
            None => self.url.connect(self.role)?,
        };
        Ok(self.db.insert(db))
    }
}

struct Writer {
    db: Kept,
    jobs: Arc<Mutex<mpsc::Receiver<Message>>>,
    tally: Arc<Tally>,
}

impl Writer {
    fn run(mut self) {
        let mut closing = Vec::new();
        loop {
            let mut group = Vec::new();
            {
                // Whoever holds the lock takes the next group, the other writers queue up.
                let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
                let mut next = jobs.blocking_recv();
                if next.is_none() {
                    break;
                }
                while let Some(message) = next {
                    match message {
                        Message::Job(job) => group.push(job),
                        Message::Close(done) => {
                            // What was queued before is still received; nothing more is let in.
                            jobs.close();
                            closing.push(done);
                        }
                    }
                    next = if group.len() < MAX_GROUP { jobs.try_recv().ok() } else { None };
                }
            }
            if !group.is_empty() {
                // Everybody locks tenants in the same order, so that nobody waits in a ring.
                group.sort_by_key(|job| job.reach.tenant());
                match self.db.get() {
                    Ok(db) => commit(db, group, &self.tally),
                    Err(error) => {
                        tracing::error!(error = &error as &dyn std::error::Error, "no database");
                        for job in group {
                            (job.run)(Err(failed(&error))).1(Err(failed(&error)));
                        }
                    }
                }
            }
        }
        if let Ok(db) = self.db.get() {
            db.fold_log();
        }
        drop(self.db);
        // Each writer holds the queue until it has finished its last group.
        drop(closing_when_last(self.jobs, closing));
    }
}

/// Waits for the other writers to end, then tells who asked.
fn closing_when_last(
    jobs: Arc<Mutex<mpsc::Receiver<Message>>>,
    closing: Vec<oneshot::Sender<()>>,
) -> Arc<Mutex<mpsc::Receiver<Message>>> {
    if !closing.is_empty() {
        let mut waits = 0;
        while 1 < Arc::strong_count(&jobs) && waits < CLOSE_WAITS {
            thread::park_timeout(CLOSE_WAIT);
            waits += 1;
        }
        for done in closing {
            // Who asked may have gone.
            let _ = done.send(());
        }
    }
    jobs
}

fn commit(db: &Connection, group: Vec<WriteJob>, tally: &Tally) {
    let jobs = group.len();
    let alone = jobs == 1;
    let mut answers = Vec::with_capacity(group.len());
    let mut outcome = db.run_soon(if db.is_postgres() { "BEGIN" } else { "BEGIN IMMEDIATE" });
    for job in group {
        if let Err(error) = &outcome {
            answers.push((job.run)(Err(failed(error))).1);
            continue;
        }
        match run_one(db, job, alone) {
            Ok((answer, kept)) => {
                answers.extend(answer);
                if alone && !kept {
                    outcome = db.run("ROLLBACK");
                    for answer in answers {
                        answer(outcome.as_ref().copied().map_err(failed));
                    }
                    return;
                }
            }
            Err((error, answer)) => {
                answers.extend(answer);
                outcome = Err(error);
            }
        }
    }
    let outcome = outcome.and_then(|()| db.run("COMMIT"));
    if outcome.is_ok() {
        tally.committed(jobs);
    }
    if let Err(error) = &outcome {
        tally.failed();
        if error.is_disk_full() {
            tally.met_full_disk();
        }
        tracing::error!(error = error as &dyn std::error::Error, "group was not committed");
        if !db.has_lost_transaction()
            && let Err(error) = db.run("ROLLBACK")
        {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot roll back");
        }
    }
    for answer in answers {
        answer(outcome.as_ref().copied().map_err(failed));
    }
}

/// Runs a job, in a savepoint unless it is alone in its transaction. Returns no answer if it panicked: its caller sees
/// the channel close. Says whether its change is to be kept.
///
/// An error means that the transaction is not to be trusted: a full disk, for one, makes SQLite roll back all of it
/// (`sqlite3_get_autocommit` tells). The job's own answer comes with it, since it knows more.
fn run_one(
    db: &Connection,
    job: WriteJob,
    alone: bool,
) -> Result<(Option<Answer>, bool), (Error, Option<Answer>)> {
    if let Err(error) = prepare(db, job.reach, alone) {
        let (_, answer) = (job.run)(Err(failed(&error)));
        return Err((error, Some(answer)));
    }
    // The connection is sound after a panic: what was done is rolled back.
    let outcome = catch_unwind(AssertUnwindSafe(|| (job.run)(Ok(db))));
    let (keep, answer) = match outcome {
        Ok((keep, answer)) => (keep, Some(answer)),
        Err(_) => (false, None),
    };
    if db.has_lost_transaction() {
        let error = Error::Sqlite(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT_ROLLBACK),
            None,
        ));
        return Err((error, answer));
    }
    let ended = match (alone, keep) {
        (true, _) => Ok(()),
        (false, true) => db.run_soon("RELEASE job"),
        (false, false) => db.run("ROLLBACK TO job; RELEASE job"),
    };
    match ended {
        Ok(()) => Ok((answer, keep)),
        Err(error) => Err((error, answer)),
    }
}

/// Makes the place for a job in the transaction.
fn prepare(db: &Connection, reach: Reach, alone: bool) -> Result<(), Error> {
    if !alone {
        db.run_soon("SAVEPOINT job")?;
    }
    if db.is_postgres() {
        db.run_soon(&reach.statement())?;
        if let Some(tenant) = reach.tenant() {
            db.run_soon(&format!("SELECT pg_advisory_xact_lock({LOCK_SPACE}, {tenant})"))?;
        }
    }
    Ok(())
}

/// An error that many are told of.
fn failed(error: &Error) -> StoreError {
    if error.is_disk_full() {
        return StoreError::Unavailable(Box::new(DiskFull));
    }
    StoreError::Unavailable(error.to_string().into())
}

fn read_until_closed(mut db: Kept, jobs: &Mutex<std_mpsc::Receiver<ReadJob>>) {
    loop {
        // The lock is held while waiting: whoever holds it takes the next job, the others queue up.
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        match db.get() {
            Ok(db) => read_one(db, job),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "no database");
                (job.run)(Err(failed(&error)));
            }
        }
    }
}

/// All that a job reads is of one moment.
fn read_one(db: &Connection, job: ReadJob) {
    let begun = if db.is_postgres() {
        db.run_soon("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .and_then(|()| db.run_soon(&job.reach.statement()))
    } else {
        db.run("BEGIN DEFERRED")
    };
    if let Err(error) = begun {
        (job.run)(Err(failed(&error)));
        return;
    }
    // A job that panics closes its channel; the connection only reads.
    let _ = catch_unwind(AssertUnwindSafe(|| (job.run)(Ok(db))));
    if let Err(error) = db.run("ROLLBACK") {
        tracing::debug!(error = &error as &dyn std::error::Error, "reading was not ended");
    }
}

/// A group is what arrived during the last fsync; beyond this, the first would wait for the last.
const MAX_GROUP: usize = 256;
/// About a second of work at 8,000 jobs a second; more would only make callers wait in vain.
const WRITER_QUEUE: usize = 8_192;
const READER_QUEUE: usize = 1_024;
/// Two cores, and reads that mostly find their pages in memory.
const READERS: usize = 4;
/// While one waits for the disk of the server, others fill their groups.
const POSTGRES_WRITERS: usize = 3;
/// Tells our locks of tenants from other advisory locks.
const LOCK_SPACE: u32 = 7_237;
/// How often, and how long each time, the writer that was told to close waits for the others.
const CLOSE_WAITS: u32 = 3_000;
const CLOSE_WAIT: std::time::Duration = std::time::Duration::from_millis(5);
