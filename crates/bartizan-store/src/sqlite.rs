//! Connections to SQLite: one writer with group commit, and a few readers, each on a thread of its own.
//!
//! The writer takes whatever is waiting, up to [`MAX_GROUP`] jobs, runs each in a savepoint of one
//! transaction, commits once, and only then answers them: one fsync pays for all. A job that fails rolls
//! back its own savepoint and nothing else; a commit that fails fails them all.
//!
//! # Invariants
//! - Nothing is answered with success before it is on disk (`synchronous = FULL`).
//! - Queues are bounded; a full one is [`StoreError::Busy`], at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
use std::thread;
use std::time::Duration;

use bartizan_model::UnixMillis;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::{StoreError, column, migrate};

/// The database's threads, by their queues.
#[derive(Debug)]
pub(crate) struct Sqlite {
    writer: mpsc::Sender<Message>,
    readers: std_mpsc::SyncSender<ReadJob>,
}

impl Sqlite {
    /// Opens the file, migrates it, and starts the threads.
    pub(crate) fn open(path: &Path, now: UnixMillis) -> Result<Self, StoreError> {
        let failed = |error: std::io::Error| StoreError::Unavailable(Box::new(error));
        let mut db = connect(path)?;
        migrate::run(&mut db)?;
        install(&db, now)?;

        let (writer, jobs) = mpsc::channel(WRITER_QUEUE);
        thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || Writer { db, jobs }.run())
            .map_err(failed)?;

        let (readers, jobs) = std_mpsc::sync_channel(READER_QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..READERS {
            let db = connect(path)?;
            db.pragma_update(None, "query_only", true)?;
            let jobs = Arc::clone(&jobs);
            thread::Builder::new()
                .name(format!("store-reader-{number}"))
                .spawn(move || read_until_closed(&db, &jobs))
                .map_err(failed)?;
        }
        Ok(Self { writer, readers })
    }

    /// Runs a job that changes something; returns when it is on disk.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, outcome) = oneshot::channel();
        let job: WriteJob = Box::new(move |db| {
            let result = db.and_then(job);
            let keep = result.is_ok();
            let answer: Answer = Box::new(move |committed| {
                // Nobody may be waiting; the change stands all the same.
                let _ = answer.send(result.and_then(|value| committed.map(|()| value)));
            });
            (keep, answer)
        });
        self.writer.try_send(Message::Job(job)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Runs a job that only reads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, outcome) = oneshot::channel();
        let job: ReadJob = Box::new(move |db| {
            // Nobody may be waiting.
            let _ = answer.send(job(db));
        });
        self.readers.try_send(job).map_err(|error| match error {
            std_mpsc::TrySendError::Full(_) => StoreError::Busy,
            std_mpsc::TrySendError::Disconnected(_) => StoreError::Closed,
        })?;
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Lets the writer finish what is waiting, then ends it.
    pub(crate) async fn close(&self) {
        let (done, ended) = oneshot::channel();
        if self.writer.send(Message::Close(done)).await.is_ok() {
            // An error means that the writer has ended otherwise, which is what was wanted.
            let _ = ended.await;
        }
    }
}

/// Tells the caller, once it is known whether the group is on disk.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// Runs on the connection, or learns why there is none; says whether to keep its change.
type WriteJob = Box<dyn FnOnce(Result<&Connection, StoreError>) -> (bool, Answer) + Send>;
type ReadJob = Box<dyn FnOnce(&Connection) + Send>;

enum Message {
    Job(WriteJob),
    Close(oneshot::Sender<()>),
}

struct Writer {
    db: Connection,
    jobs: mpsc::Receiver<Message>,
}

impl Writer {
    fn run(mut self) {
        let mut closing = Vec::new();
        while let Some(message) = self.jobs.blocking_recv() {
            let mut group = Vec::new();
            let mut next = Some(message);
            while let Some(message) = next {
                match message {
                    Message::Job(job) => group.push(job),
                    Message::Close(done) => {
                        // What was queued before is still received; nothing more is let in.
                        self.jobs.close();
                        closing.push(done);
                    }
                }
                next = if group.len() < MAX_GROUP { self.jobs.try_recv().ok() } else { None };
            }
            if !group.is_empty() {
                self.commit(group);
            }
        }
        // Fold the log into the database, so that the file alone is whole; a reader may forbid it.
        if let Err(error) = self.db.pragma_update(None, "wal_checkpoint", "TRUNCATE") {
            tracing::debug!(error = &error as &dyn std::error::Error, "log was not folded in");
        }
        drop(self.db);
        for done in closing {
            // Who asked may have gone.
            let _ = done.send(());
        }
    }

    fn commit(&self, group: Vec<WriteJob>) {
        let mut answers = Vec::with_capacity(group.len());
        let mut outcome = self.db.execute_batch("BEGIN IMMEDIATE");
        for job in group {
            if let Err(error) = &outcome {
                answers.push(job(Err(failed(error))).1);
                continue;
            }
            match self.run_one(job) {
                Ok(answer) => answers.extend(answer),
                Err(error) => outcome = Err(error),
            }
        }
        let outcome = outcome.and_then(|()| self.db.execute_batch("COMMIT"));
        if let Err(error) = &outcome {
            tracing::error!(error = error as &dyn std::error::Error, "group was not committed");
            if !self.db.is_autocommit()
                && let Err(error) = self.db.execute_batch("ROLLBACK")
            {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot roll back");
            }
        }
        for answer in answers {
            answer(outcome.as_ref().copied().map_err(failed));
        }
    }

    /// Runs a job in a savepoint. Returns no answer if it panicked: its caller sees the channel close.
    ///
    /// An error means that the transaction is not to be trusted: a full disk, for one, makes SQLite roll
    /// back all of it (`sqlite3_get_autocommit` tells).
    fn run_one(&self, job: WriteJob) -> rusqlite::Result<Option<Answer>> {
        self.db.execute_batch("SAVEPOINT job")?;
        // The connection is sound after a panic: the savepoint is rolled back.
        let outcome = catch_unwind(AssertUnwindSafe(|| job(Ok(&self.db))));
        let (keep, answer) = match outcome {
            Ok((keep, answer)) => (keep, Some(answer)),
            Err(_) => (false, None),
        };
        if self.db.is_autocommit() {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT_ROLLBACK),
                None,
            ));
        }
        self.db.execute_batch(if keep { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" })?;
        Ok(answer)
    }
}

/// An error that many are told of.
fn failed(error: &rusqlite::Error) -> StoreError {
    StoreError::Unavailable(error.to_string().into())
}

fn read_until_closed(db: &Connection, jobs: &Mutex<std_mpsc::Receiver<ReadJob>>) {
    loop {
        // The lock is held while waiting: whoever holds it takes the next job, the others queue up.
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // A job that panics closes its channel; the connection only reads.
        let _ = catch_unwind(AssertUnwindSafe(|| job(db)));
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let db = Connection::open(path)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(db)
}

/// Makes the installation's secrets, once.
fn install(db: &Connection, now: UnixMillis) -> Result<(), StoreError> {
    let mut key = [0_u8; 32];
    getrandom::fill(&mut key).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
    db.execute(
        "INSERT INTO installation (id, access_token_key, checked_at_ms) VALUES (1, ?1, ?2)
         ON CONFLICT DO NOTHING",
        rusqlite::params![key, column::ms(now)],
    )?;
    Ok(())
}

/// A group is what arrived during the last fsync; beyond this, the first would wait for the last.
const MAX_GROUP: usize = 256;
/// About a second of work at 8,000 jobs a second; more would only make callers wait in vain.
const WRITER_QUEUE: usize = 8_192;
const READER_QUEUE: usize = 1_024;
/// Two cores, and reads that mostly find their pages in memory.
const READERS: usize = 4;
/// Another process, such as the command line, may be writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// More than there are statements.
const STATEMENTS: usize = 128;
