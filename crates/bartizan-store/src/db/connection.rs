//! One connection to either database, and statements on it.
//!
//! Statements are written once, in what SQLite and PostgreSQL have in common: placeholders `?` or `?1`, integers that
//! stand for truth, `IS NOT DISTINCT FROM`, `greatest`, `least`, `strpos`, `encode` to hexadecimal, `string_agg`,
//! `ON CONFLICT`, `RETURNING`.
//!
//! Everything blocks: connections live on threads of their own.

use std::cell::RefCell;

use rusqlite::functions::FunctionFlags;

use super::postgres::Postgres;
use super::value::{self, Bind, Params, Read, Ref, Value};
use super::{Error, Result};

/// A connection of either kind.
#[derive(Debug)]
pub(crate) struct Connection {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Sqlite(rusqlite::Connection),
    Postgres(Box<RefCell<Postgres>>),
}

impl Connection {
    pub(super) fn sqlite(db: rusqlite::Connection) -> Self {
        Self { kind: Kind::Sqlite(db) }
    }

    pub(super) fn postgres(db: Postgres) -> Self {
        Self { kind: Kind::Postgres(Box::new(RefCell::new(db))) }
    }

    /// Whether PostgreSQL answers: for the few statements that only one of the two needs.
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.kind, Kind::Postgres(_))
    }

    /// Makes a statement of fixed text; the connection remembers how it is carried out.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "preparing may fail, and then does so when the statement runs"
    )]
    pub(crate) fn prepare_cached<'a>(&'a self, sql: &'a str) -> Result<Statement<'a>> {
        Ok(Statement { db: self, sql })
    }

    /// Runs statements that have no placeholders and return nothing.
    pub(super) fn run(&self, sql: &str) -> Result<()> {
        match &self.kind {
            Kind::Sqlite(db) => Ok(db.execute_batch(sql)?),
            Kind::Postgres(db) => db.borrow_mut().run(sql),
        }
    }

    /// Runs such statements together with the next one, or at once: their failure is the next one's.
    pub(super) fn run_soon(&self, sql: &str) -> Result<()> {
        match &self.kind {
            Kind::Sqlite(db) => Ok(db.execute_batch(sql)?),
            Kind::Postgres(db) => {
                db.borrow_mut().run_soon(sql);
                Ok(())
            }
        }
    }

    /// Whether the transaction that was begun is gone, and all that was done in it.
    pub(super) fn has_lost_transaction(&self) -> bool {
        match &self.kind {
            Kind::Sqlite(db) => db.is_autocommit(),
            Kind::Postgres(db) => db.borrow().is_closed(),
        }
    }

    /// Whether the connection can no longer be used.
    pub(super) fn is_closed(&self) -> bool {
        match &self.kind {
            Kind::Sqlite(_) => false,
            Kind::Postgres(db) => db.borrow().is_closed(),
        }
    }

    /// Folds SQLite's log into the database, so that the file alone is whole.
    pub(super) fn fold_log(&self) {
        if let Kind::Sqlite(db) = &self.kind
            // A reader may forbid it.
            && let Err(error) = db.pragma_update(None, "wal_checkpoint", "TRUNCATE")
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "log was not folded in");
        }
    }
}

/// A statement on a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statement<'a> {
    db: &'a Connection,
    sql: &'a str,
}

impl Statement<'_> {
    /// Changes something; returns how many rows.
    pub(crate) fn execute(self, params: impl Params) -> Result<usize> {
        params.with(|values| match &self.db.kind {
            Kind::Sqlite(db) => {
                Ok(db.prepare_cached(self.sql)?.execute(rusqlite::params_from_iter(values))?)
            }
            Kind::Postgres(db) => db.borrow_mut().execute(self.sql, values),
        })
    }

    /// Reads the first row. None is [`Error::NoRow`].
    pub(crate) fn query_row<T>(
        self,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        params.with(|values| match &self.db.kind {
            Kind::Sqlite(db) => {
                let mut statement = db.prepare_cached(self.sql)?;
                let mut rows = statement.query(rusqlite::params_from_iter(values))?;
                let row = rows.next()?.ok_or(Error::NoRow)?;
                let value = read(&Row::Sqlite(row))?;
                // A statement that changes something must run to its end.
                while rows.next()?.is_some() {}
                Ok(value)
            }
            Kind::Postgres(db) => {
                let rows = db.borrow_mut().query(self.sql, values)?;
                read(&Row::Postgres(rows.first().ok_or(Error::NoRow)?))
            }
        })
    }

    /// Reads every row.
    pub(crate) fn query_map<T>(
        self,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<std::vec::IntoIter<Result<T>>> {
        let all: Vec<Result<T>> = params.with(|values| -> Result<Vec<Result<T>>> {
            match &self.db.kind {
                Kind::Sqlite(db) => {
                    let mut statement = db.prepare_cached(self.sql)?;
                    let mut rows = statement.query(rusqlite::params_from_iter(values))?;
                    let mut all = Vec::new();
                    while let Some(row) = rows.next()? {
                        all.push(read(&Row::Sqlite(row)));
                    }
                    Ok(all)
                }
                Kind::Postgres(db) => {
                    let rows = db.borrow_mut().query(self.sql, values)?;
                    Ok(rows.iter().map(|row| read(&Row::Postgres(row))).collect())
                }
            }
        })?;
        Ok(all.into_iter())
    }

    /// Reads every row, to be looked at one after the other.
    pub(crate) fn query(self, params: impl Params) -> Result<Rows> {
        params.with(|values| match &self.db.kind {
            Kind::Sqlite(db) => {
                let mut statement = db.prepare_cached(self.sql)?;
                let columns = statement.column_count();
                let mut rows = statement.query(rusqlite::params_from_iter(values))?;
                let mut all = Vec::new();
                while let Some(row) = rows.next()? {
                    let mut kept = Vec::with_capacity(columns);
                    for column in 0..columns {
                        let value = value::of_sqlite(row.get_ref(column)?);
                        kept.push(Value::of(value.ok_or(Error::Column { column })?));
                    }
                    all.push(kept);
                }
                Ok(Rows::Kept(all.into_iter(), None))
            }
            Kind::Postgres(db) => {
                let rows = db.borrow_mut().query(self.sql, values)?;
                Ok(Rows::Postgres(rows.into_iter(), None))
            }
        })
    }

    /// Whether there is a row.
    pub(crate) fn exists(self, params: impl Params) -> Result<bool> {
        Ok(self.query_row(params, |_| Ok(())).optional()?.is_some())
    }
}

/// The rows of a query.
#[derive(Debug)]
pub(crate) enum Rows {
    Kept(std::vec::IntoIter<Vec<Value>>, Option<Vec<Value>>),
    Postgres(std::vec::IntoIter<tokio_postgres::Row>, Option<tokio_postgres::Row>),
}

impl Rows {
    /// Returns the next row.
    #[expect(clippy::unnecessary_wraps, reason = "callers read it with `?`, as they read columns")]
    pub(crate) fn next(&mut self) -> Result<Option<Row<'_>>> {
        Ok(match self {
            Self::Kept(rows, row) => {
                *row = rows.next();
                row.as_deref().map(Row::Kept)
            }
            Self::Postgres(rows, row) => {
                *row = rows.next();
                row.as_ref().map(Row::Postgres)
            }
        })
    }
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
    Kept(&'a [Value]),
}

impl Row<'_> {
    /// Reads a column, the first of which is 0.
    pub(crate) fn get<T: Read>(&self, column: usize) -> Result<T> {
        match self {
            Self::Sqlite(row) => value::read(value::of_sqlite(row.get_ref(column)?), column),
            Self::Postgres(row) => value::read(Some(row.try_get::<_, Ref<'_>>(column)?), column),
            Self::Kept(row) => value::read(row.get(column).map(Bind::bind), column),
        }
    }
}

/// A query that may find nothing.
pub(crate) trait Optional<T> {
    fn optional(self) -> Result<Option<T>>;
}

impl<T> Optional<T> for Result<T> {
    fn optional(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(Error::NoRow) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Teaches SQLite the functions of PostgreSQL that our statements use.
pub(super) fn teach(db: &rusqlite::Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    // Both leave out what is absent.
    db.create_scalar_function("greatest", 2, flags, |call| {
        let (one, other): (Option<i64>, Option<i64>) = (call.get(0)?, call.get(1)?);
        Ok(one.max(other))
    })?;
    db.create_scalar_function("least", 2, flags, |call| {
        let (one, other): (Option<i64>, Option<i64>) = (call.get(0)?, call.get(1)?);
        Ok(one.zip(other).map(|(one, other)| one.min(other)).or(one).or(other))
    })?;
    // In hexadecimal, whatever else is asked for: nothing else is.
    db.create_scalar_function("encode", 2, flags, |call| {
        let octets: Option<Vec<u8>> = call.get(0)?;
        Ok(octets.as_deref().map(crate::audit::hex))
    })?;
    db.create_scalar_function("strpos", 2, flags, |call| {
        let (text, part): (Option<String>, Option<String>) = (call.get(0)?, call.get(1)?);
        let Some((text, part)) = text.zip(part) else { return Ok(None) };
        let before = text.find(&part).and_then(|at| text.get(..at));
        let at = before.map_or(0, |before| before.chars().count().saturating_add(1));
        Ok(i64::try_from(at).ok())
    })
}
