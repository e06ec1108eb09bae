//! What database is meant, and whether it can be one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Socket};

use super::Result;
use super::connection::{Connection, teach};
use super::postgres::Postgres;
use super::tls::{self, Files, Mode, Tls};

/// A database: a file, or a server with what is needed to sign in there.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// SQLite, in this file.
    File(PathBuf),
    /// PostgreSQL, as `postgres://user:password@host/database` or with a socket's folder as `?host=`.
    Server(Box<Server>),
}

/// A PostgreSQL server: what the driver has to know, and how its connections are encrypted.
#[derive(Clone)]
pub struct Server {
    config: Config,
    tls: Tls,
}

impl std::ops::Deref for Server {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}

/// Why that cannot be the database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The address is not one.
    #[error("not the address of a database: {0}")]
    Address(String),
    /// The address asks for TLS in a way that cannot be.
    #[error("the database's address: {0}")]
    Encryption(String),
    /// It could not be shown that the server is who it should be.
    #[error("PostgreSQL at {server} is not to be trusted: {reason}")]
    Untrusted {
        /// Host and port.
        server: String,
        /// Why not, with what to do.
        reason: String,
    },
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
        let (rest, asked) = encryption(text)?;
        // The error of the driver may repeat the text, and with it a password.
        let mut config: Config =
            rest.parse().map_err(|_| DatabaseError::Address("it cannot be read".to_owned()))?;
        let is_near = config.get_hosts().iter().all(is_near);
        // A server's own socket is not encrypted, whatever is asked.
        let is_socket = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        let mode = match asked.mode {
            _ if is_socket => Mode::Disable,
            Some(mode) => mode,
            None if is_near => Mode::Disable,
            None => Mode::VerifyFull,
        };
        config.ssl_mode(match mode {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
        });
        let tls = Tls::new(mode, &asked.files).map_err(DatabaseError::Encryption)?;
        Ok(Self::Server(Box::new(Server { config, tls })))
    }
}

/// What an address says of encryption.
#[derive(Debug, Default)]
struct Asked {
    mode: Option<Mode>,
    files: Files,
}

/// Takes out of an address what the driver does not understand.
fn encryption(text: &str) -> std::result::Result<(String, Asked), DatabaseError> {
    let mut asked = Asked::default();
    let Some((before, query)) = text.split_once('?') else { return Ok((text.to_owned(), asked)) };
    let mut rest = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let file = || {
            decoded(value).map(PathBuf::from).ok_or_else(|| {
                DatabaseError::Encryption(format!("{name} is no path, written as in an address"))
            })
        };
        match name {
            "sslmode" => {
                asked.mode = Some(Mode::from_word(value).ok_or_else(|| {
                    DatabaseError::Encryption(
                        "sslmode is disable, prefer, require, verify-ca or verify-full".to_owned(),
                    )
                })?);
            }
            "sslrootcert" if value == "system" => asked.files.authorities = None,
            "sslrootcert" => asked.files.authorities = Some(file()?),
            "sslcert" => asked.files.certificate = Some(file()?),
            "sslkey" => asked.files.key = Some(file()?),
            "" => {}
            _ => rest.push(pair),
        }
    }
    let rest =
        if rest.is_empty() { before.to_owned() } else { format!("{before}?{}", rest.join("&")) };
    Ok((rest, asked))
}

/// Undoes `%2F` and the like.
fn decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            octets.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        octets.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(octets).ok()
}

/// Whether what is sent there stays on this machine.
fn is_near(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
    }
}

impl Server {
    /// Whether what is sent there stays on this machine.
    pub(super) fn is_near(&self) -> bool {
        self.config.get_hosts().iter().all(is_near)
    }

    /// Connects; whoever does drives what comes beside the client.
    pub(super) async fn open(
        &self,
    ) -> std::result::Result<
        (Client, tokio_postgres::Connection<Socket, tls::Secured>),
        tokio_postgres::Error,
    > {
        let mut config = self.config.clone();
        if config.get_application_name().is_none() {
            config.application_name("bartizan");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        config.connect(self.tls.clone()).await
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
            Self::Server(server) => {
                let db = Connection::postgres(Postgres::connect(server)?);
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
    if let Some(reason) = tls::explain(error) {
        return DatabaseError::Untrusted { server, reason };
    }
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
    use super::{DatabaseUrl, SslMode, network_kind};

    #[test]
    fn addresses_are_told_apart_and_never_shown() {
        assert!(matches!("portal.db".parse(), Ok(DatabaseUrl::File(_))));
        let server: DatabaseUrl = "postgres://bartizan:secret@db.example/bartizan".parse().unwrap();
        assert_eq!(format!("{server:?}"), "Server");
        for bad in ["mysql://db.example/x", "postgres://u:secret@h:port/x"] {
            let error = bad.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_server_over_a_network_has_to_prove_its_name_unless_told_otherwise() {
        let mode = |text: &str| match text.parse() {
            Ok(DatabaseUrl::Server(server)) => Ok(server.get_ssl_mode()),
            Ok(DatabaseUrl::File(_)) => panic!("{text} is no file"),
            Err(error) => Err(error.to_string()),
        };
        for (text, expected) in [
            ("postgres://db.example/x", SslMode::Require),
            ("postgres://192.0.2.1/x", SslMode::Require),
            ("postgres://db.example/x?sslmode=disable", SslMode::Disable),
            ("postgres://db.example/x?sslmode=prefer&connect_timeout=3", SslMode::Prefer),
            ("postgres://db.example/x?sslmode=require", SslMode::Require),
            ("postgres://localhost/x", SslMode::Disable),
            ("postgres://127.0.0.1/x", SslMode::Disable),
            ("postgres://[::1]/x?sslmode=require", SslMode::Require),
            ("postgres:///x?host=/run/postgresql", SslMode::Disable),
            ("postgres:///x?host=/run/postgresql&sslmode=verify-full", SslMode::Disable),
        ] {
            assert_eq!(mode(text), Ok(expected), "{text}");
        }
        for (text, reason) in [
            ("postgres://db.example/x?sslmode=allow", "sslmode is disable, prefer"),
            (
                "postgres://db.example/x?sslrootcert=/absent",
                "cannot read certificates from /absent",
            ),
            ("postgres://db.example/x?sslrootcert=%2", "sslrootcert is no path"),
            ("postgres://db.example/x?sslcert=/absent", "sslcert and sslkey belong together"),
        ] {
            let error = mode(text).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn network_file_systems_are_known() {
        assert_eq!(network_kind(0x6969), Some("NFS"));
        assert_eq!(network_kind(0xef53), None); // ext4
    }
}
