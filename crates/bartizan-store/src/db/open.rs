//! What database is meant, and whether it can be one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;

use super::Result;
use super::connection::{Connection, teach};
use super::postgres::Postgres;

/// A database: a file, or a server with what is needed to sign in there.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// SQLite, in this file.
    File(PathBuf),
    /// PostgreSQL, as `postgres://user:password@host/database` or with a socket's folder as `?host=`.
    Server(Box<Config>),
}

/// Why that cannot be the database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The address is not one.
    #[error("not the address of a database: {0}")]
    Address(String),
    /// Connections to the server cannot be encrypted.
    #[error(
        "the address asks for sslmode=require, which is not supported: connect through the server's own socket, \
         or through a tunnel that encrypts, and say sslmode=disable"
    )]
    Encryption,
    /// Nobody answers there.
    #[error(
        "PostgreSQL at {server} does not answer ({reason}): see that it runs and that the address is right"
    )]
    Away {
        /// Host and port, or the socket's folder.
        server: String,
        /// What came instead of an answer.
        reason: String,
    },
    /// The server does not let this role in.
    #[error("PostgreSQL at {server} does not let \"{role}\" in: {reason}")]
    Refused {
        /// Host and port, or the socket's folder.
        server: String,
        /// The role, as the address names it.
        role: String,
        /// In the server's words, with what to do.
        reason: String,
    },
    /// The server has no such database.
    #[error(
        "PostgreSQL at {server} has no database \"{name}\": create it with `CREATE DATABASE {name} OWNER {role}`"
    )]
    NoDatabase {
        /// Host and port, or the socket's folder.
        server: String,
        /// The database, as the address names it.
        name: String,
        /// The role, as the address names it.
        role: String,
    },
    /// The file is on a file system where locks and the log of SQLite cannot be trusted.
    #[error(
        "{} is on a network file system ({kind}): SQLite would lose data there; use a local disk, or PostgreSQL",
        file.display()
    )]
    NetworkFile {
        /// The file.
        file: PathBuf,
        /// The file system, by its name.
        kind: &'static str,
    },
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may hold a password.
        match self {
            Self::File(file) => out.debug_tuple("File").field(file).finish(),
            Self::Server(_) => out.write_str("Server"),
        }
    }
}

impl From<&Path> for DatabaseUrl {
    fn from(file: &Path) -> Self {
        Self::File(file.to_owned())
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseError;

    fn from_str(text: &str) -> std::result::Result<Self, DatabaseError> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            if text.contains("://") {
                return Err(DatabaseError::Address(
                    "it begins with neither postgres:// nor a path".to_owned(),
                ));
            }
            return Ok(Self::File(text.into()));
        }
        // The error of the driver may repeat the text, and with it a password.
        let config: Config =
            text.parse().map_err(|_| DatabaseError::Address("it cannot be read".to_owned()))?;
        if config.get_ssl_mode() == tokio_postgres::config::SslMode::Require {
            return Err(DatabaseError::Encryption);
        }
        Ok(Self::Server(Box::new(config)))
    }
}

impl DatabaseUrl {
    pub(super) fn connect(&self, role: Role) -> Result<Connection> {
        match self {
            Self::File(file) => {
                let db = sqlite(file)?;
                if role == Role::Reader {
                    db.pragma_update(None, "query_only", true)?;
                }
                Ok(Connection::sqlite(db))
            }
            Self::Server(config) => {
                let mut config = config.clone();
                if config.get_application_name().is_none() {
                    config.application_name("bartizan");
                }
                if config.get_connect_timeout().is_none() {
                    config.connect_timeout(CONNECT_TIMEOUT);
                }
                let db = Connection::postgres(Postgres::connect(&config)?);
                db.run(SETTINGS)?;
                Ok(db)
            }
        }
    }

    /// Refuses a file where SQLite cannot keep its promise.
    ///
    /// # Errors
    /// The file, or the folder that it is to be made in, is on a network file system.
    pub fn check_place(&self) -> std::result::Result<(), DatabaseError> {
        let Self::File(file) = self else { return Ok(()) };
        let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let place =
            if file.exists() { file.as_path() } else { folder.unwrap_or_else(|| Path::new(".")) };
        match rustix::fs::statfs(place).ok().and_then(|stat| network_kind(stat.f_type)) {
            Some(kind) => Err(DatabaseError::NetworkFile { file: file.clone(), kind }),
            None => Ok(()),
        }
    }
}

/// Says in words why a connection could not be made.
pub(super) fn explain(config: &Config, error: &tokio_postgres::Error) -> DatabaseError {
    let server = server(config);
    let role = config.get_user().unwrap_or_default().to_owned();
    let Some(said) = error.as_db_error() else {
        // The driver keeps what the system said one level deeper.
        let cause =
            std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
        return if config.get_password().is_none() && cause.contains("password") {
            DatabaseError::Refused {
                server,
                role,
                reason: "it asks for a password, and the address has none".to_owned(),
            }
        } else {
            DatabaseError::Away { server, reason: cause }
        };
    };
    if *said.code() == SqlState::INVALID_CATALOG_NAME {
        let name = config.get_dbname().unwrap_or(&role).to_owned();
        return DatabaseError::NoDatabase { server, name, role };
    }
    let hint = if *said.code() == SqlState::INVALID_PASSWORD {
        "; see that the password in the address is the role's"
    } else if *said.code() == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        "; see that the role exists and that pg_hba.conf lets it in"
    } else {
        ""
    };
    DatabaseError::Refused { server, role, reason: format!("{}{hint}", said.message()) }
}

/// Where the server is, without what one signs in with.
fn server(config: &Config) -> String {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match config.get_hosts().first() {
        Some(Host::Tcp(name)) => format!("{name}:{port}"),
        Some(Host::Unix(folder)) => folder.display().to_string(),
        None => "this machine".to_owned(),
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Writer,
    Reader,
}

pub(super) fn sqlite(file: &Path) -> Result<rusqlite::Connection> {
    let db = rusqlite::Connection::open(file)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "cache_size", CACHE_KIB)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    teach(&db)?;
    Ok(db)
}

/// Names a network file system by its number (`statfs(2)`).
fn network_kind(number: i64) -> Option<&'static str> {
    Some(match number {
        0x6969 => "NFS",
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => "SMB",
        0x0102_1997 => "9P",
        0x00c3_6400 => "Ceph",
        0x6573_5546 => "FUSE",
        0x5346_414f => "AFS",
        0x0bd0_0bd0 => "Lustre",
        _ => return None,
    })
}

/// Another process, such as the command line, may be writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that does not answer is as good as none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A statement is planned once, often while its tables are small, and runs for as long as the connection lives: what suits
/// small tables is not to be thought of. Every statement has its index; what it leads to is in memory, or on a disk
/// without heads, so a page by itself costs hardly more than one in a row.
const SETTINGS: &str =
    "SET synchronous_commit = on; SET lock_timeout = '10s'; SET enable_seqscan = off;
     SET enable_hashjoin = off; SET enable_mergejoin = off; SET random_page_cost = 1.1; SET jit = off";
/// More than there are statements.
const STATEMENTS: usize = 512;
/// Of pages, per connection; negative as SQLite has it.
const CACHE_KIB: i64 = -16_384;

#[cfg(test)]
mod tests {
    use super::{DatabaseUrl, network_kind};

    #[test]
    fn addresses_are_told_apart_and_never_shown() {
        assert!(matches!("portal.db".parse(), Ok(DatabaseUrl::File(_))));
        let server: DatabaseUrl = "postgres://bartizan:secret@db.example/bartizan".parse().unwrap();
        assert_eq!(format!("{server:?}"), "Server");
        for bad in ["mysql://db.example/x", "postgres://u:secret@h:port/x"] {
            let error = bad.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        assert!("postgres://h/x?sslmode=require".parse::<DatabaseUrl>().is_err());
    }

    #[test]
    fn network_file_systems_are_known() {
        assert_eq!(network_kind(0x6969), Some("NFS"));
        assert_eq!(network_kind(0xef53), None); // ext4
    }
}
