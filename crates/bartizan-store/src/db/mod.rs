//! The database under the store, SQLite in a file or PostgreSQL by its address: threads, transactions, and what a
//! statement may say.
//!
//! The rest of the crate writes each statement once and gives it to [`Database::write`] or [`Database::read`] in a
//! closure, which runs on a thread of the database.
//!
//! # Invariants
//! - A closure sees the rows of the tenant it was given for, and of no other: on PostgreSQL by row-level security, as
//!   a second wall behind the statements themselves.
//! - Only this module knows drivers.

mod connection;
mod group;
mod load;
mod maintain;
mod many;
mod migrate;
mod news;
mod open;
mod postgres;
mod schema;
mod tls;
mod value;

pub(crate) use connection::{Connection, Optional, Row, Rows};
pub(crate) use group::Database;
pub use load::{GROUP_SIZES, StoreLoad};
pub use maintain::{DatabaseFacts, DatabaseSetting, TableCount};
pub(crate) use many::{execute_many, query_many};
pub(crate) use news::News;
pub use open::{DatabaseError, DatabaseUrl, Server};
pub(crate) use schema::tables;
pub(crate) use value::{Bind, Value};

use crate::TenantScope;

/// The values of a statement's placeholders.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        &[$(&$value as &dyn $crate::db::Bind),*] as &[&dyn $crate::db::Bind]
    };
}
pub(crate) use params;

/// Whose rows a closure works on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reach {
    /// One tenant's.
    Tenant(TenantScope),
    /// Anybody's: to find out whose they are, and for the portal's own work.
    All,
}

impl From<TenantScope> for Reach {
    fn from(scope: TenantScope) -> Self {
        Self::Tenant(scope)
    }
}

impl Reach {
    /// The tenant, or nothing for all.
    fn tenant(self) -> Option<i64> {
        match self {
            Self::Tenant(scope) => Some(scope.id()),
            Self::All => None,
        }
    }

    /// The statement that tells PostgreSQL, until the transaction ends.
    fn statement(self) -> String {
        match self {
            Self::Tenant(scope) => format!("SET LOCAL app.tenant = '{}'", scope.id()),
            Self::All => "SET LOCAL app.tenant = '*'".to_owned(),
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Why a statement did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no such row.
    #[error("no row")]
    NoRow,
    /// A column holds another kind of value.
    #[error("column {column} holds what this version did not write")]
    Column { column: usize },
    /// SQLite failed.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL failed.
    #[error("{}", told(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// The thread of a connection cannot be set up.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

impl Error {
    /// Whether the row is there already, or breaks another rule of the schema than that what it names must exist.
    pub(crate) fn is_conflict(&self) -> bool {
        use tokio_postgres::error::SqlState;
        match self {
            Self::Sqlite(rusqlite::Error::SqliteFailure(failure, _)) => {
                failure.code == rusqlite::ErrorCode::ConstraintViolation
                    && failure.extended_code != rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY
            }
            Self::Postgres(error) => error.code().is_some_and(|code| {
                *code == SqlState::UNIQUE_VIOLATION
                    || *code == SqlState::CHECK_VIOLATION
                    || *code == SqlState::NOT_NULL_VIOLATION
            }),
            Self::NoRow | Self::Column { .. } | Self::Sqlite(_) | Self::Thread(_) => false,
        }
    }

    /// Whether the disk has no room for what was to be written.
    pub(crate) fn is_disk_full(&self) -> bool {
        match self {
            // The index of SQLite's log is a file of its own, whose growth has an error of its own.
            Self::Sqlite(rusqlite::Error::SqliteFailure(failure, _)) => {
                failure.code == rusqlite::ErrorCode::DiskFull
                    || failure.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
            }
            Self::Postgres(error) => {
                error.code() == Some(&tokio_postgres::error::SqlState::DISK_FULL)
            }
            Self::NoRow | Self::Column { .. } | Self::Sqlite(_) | Self::Thread(_) => false,
        }
    }
}

/// The driver's own words leave out what the server said.
fn told(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |server| server.message().to_owned())
}
