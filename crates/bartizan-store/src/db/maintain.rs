//! What is done to a database from outside while a portal may be using it: look at it, copy it, migrate it.
//!
//! Everything blocks, and must not be called where an async runtime runs.

use std::path::{Path, PathBuf};

use bartizan_model::UnixMillis;

use super::connection::{Connection, Optional};
use super::open::{DatabaseUrl, Role, explain};
use super::{migrate, params};
use crate::{StoreError, column};

/// What a database says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// SQLite or PostgreSQL, with its version.
    pub version: String,
    /// Settings that durability and isolation hang on.
    pub settings: Vec<DatabaseSetting>,
    /// What its own check of its pages found, where it has one.
    pub damage: Option<String>,
    /// When the readiness check wrote last, by the portal's clock.
    pub checked_at: UnixMillis,
    /// What time the server has, where there is one.
    pub server_time: Option<UnixMillis>,
}

/// A setting of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSetting {
    /// In the database's word.
    pub name: &'static str,
    /// As it is.
    pub value: String,
    /// As it has to be, if it is not.
    pub wanted: Option<&'static str>,
}

/// How many rows there are, of all tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableCount {
    /// The table.
    pub table: &'static str,
    /// Its rows.
    pub rows: u64,
}

impl DatabaseUrl {
    /// Returns the names of the schema's steps that are still to be taken.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub fn pending_steps(&self) -> Result<Vec<&'static str>, StoreError> {
        let all = migrate::names();
        if self.is_absent() {
            return Ok(all);
        }
        let db = self.look()?;
        let has_history = if db.is_postgres() {
            "SELECT table_name::text FROM information_schema.tables
             WHERE table_schema = current_schema() AND table_name = 'refinery_schema_history'"
        } else {
            "SELECT name FROM sqlite_schema WHERE name = 'refinery_schema_history'"
        };
        let found =
            db.prepare_cached(has_history)?.query_row(params![], |row| row.get::<String>(0));
        if found.optional()?.is_none() {
            return Ok(all);
        }
        let taken = db
            .prepare_cached("SELECT name FROM refinery_schema_history")?
            .query_map(params![], |row| row.get::<String>(0))?
            .collect::<super::Result<Vec<_>>>()?;
        Ok(all.into_iter().filter(|name| !taken.iter().any(|taken| taken == name)).collect())
    }

    /// Takes the steps that are still to be taken; makes the database if it is absent.
    ///
    /// # Errors
    /// The database cannot be reached, or is not one of ours.
    pub fn migrate(&self, now: UnixMillis) -> Result<(), StoreError> {
        self.check_place().map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        migrate::run(self, now)
    }

    /// Copies a SQLite database, as it is at one moment, into a new file, while others go on using it.
    ///
    /// # Errors
    /// It is no file, or the copy cannot be written.
    pub fn copy_to(&self, file: &Path) -> Result<(), StoreError> {
        let Self::File(_) = self else {
            return Err(StoreError::NotFound { what: "database file" });
        };
        let db = self.look()?;
        let target = file.to_str().ok_or(StoreError::NotFound { what: "path in UTF-8" })?;
        db.prepare_cached("VACUUM INTO ?1")?.execute([target])?;
        Ok(())
    }

    /// Looks at the database's version, settings and soundness.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub fn facts(&self) -> Result<DatabaseFacts, StoreError> {
        if self.is_absent() {
            return Err(StoreError::NotFound { what: "database" });
        }
        let db = self.look()?;
        let text =
            |sql: &str| db.prepare_cached(sql)?.query_row(params![], |row| row.get::<String>(0));
        let number =
            |sql: &str| db.prepare_cached(sql)?.query_row(params![], |row| row.get::<i64>(0));
        let (version, mut settings, damage, server_time);
        if db.is_postgres() {
            version = format!("PostgreSQL {}", text("SELECT current_setting('server_version')")?);
            settings = Vec::new();
            for (name, wanted) in
                [("fsync", "on"), ("full_page_writes", "on"), ("synchronous_commit", "on")]
            {
                let value = text(&format!("SELECT current_setting('{name}')"))?;
                settings.push(setting(name, value, wanted));
            }
            let unbound = text(
                "SELECT CASE WHEN rolsuper OR rolbypassrls THEN 'not bound' ELSE 'bound' END
                 FROM pg_roles WHERE rolname = current_user",
            )?;
            settings.push(setting("row-level security of the role", unbound, "bound"));
            settings.push(self.encryption(text(ENCRYPTION)?));
            let at_ms =
                number("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint");
            server_time = Some(column::time(at_ms?));
            damage = None;
        } else {
            version = format!("SQLite {}", text("SELECT sqlite_version()")?);
            settings = vec![
                setting("journal_mode", text("PRAGMA journal_mode")?, "wal"),
                setting("synchronous", number("PRAGMA synchronous")?.to_string(), "2"),
                setting("foreign_keys", number("PRAGMA foreign_keys")?.to_string(), "1"),
            ];
            server_time = None;
            damage = Some(text("PRAGMA quick_check(1)")?).filter(|found| found != "ok");
        }
        let checked_at = db
            .prepare_cached("SELECT checked_at_ms FROM installation WHERE id = 1")?
            .query_row(params![], |row| row.get::<i64>(0))
            .optional()?;
        let checked_at = column::time(checked_at.unwrap_or(0));
        Ok(DatabaseFacts { version, settings, damage, checked_at, server_time })
    }

    /// Counts what there is, without saying whose it is.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub fn counts(&self) -> Result<Vec<TableCount>, StoreError> {
        let db = self.look()?;
        let count = |table: &&'static str| {
            let rows = db
                .prepare_cached(&format!("SELECT count(*) FROM {table}"))?
                .query_row(params![], |row| row.get::<i64>(0))?;
            Ok(TableCount { table, rows: column::count(rows) })
        };
        COUNTED.iter().map(count).collect()
    }

    /// Returns the files beside the database that rows name, relative to the data folder.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub fn files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let db = self.look()?;
        let mut files = Vec::new();
        for table in ["indicator_file", "indicator_delta", "tenant_file"] {
            // Of each tenant the newest are kept, and only those are named to devices.
            let sql = format!("SELECT sha256 FROM {table}");
            let rows = db.prepare_cached(&sql)?.query_map(params![], |row| row.get::<String>(0))?;
            for sha256 in rows {
                files.push(Path::new("indicators").join(sha256?));
            }
        }
        let rows = db
            .prepare_cached("SELECT tenant_id, sha256 FROM feed_version WHERE has_octets = 1")?
            .query_map(params![], |row| Ok((row.get::<i64>(0)?, row.get::<String>(1)?)))?;
        for row in rows {
            let (tenant, sha256) = row?;
            files.push(Path::new("feeds").join(tenant.to_string()).join(sha256));
        }
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// Whether connections are encrypted as they have to be: what stays on this machine need not.
    fn encryption(&self, value: String) -> DatabaseSetting {
        let is_far = matches!(self, Self::Server(server) if !server.is_near());
        let wanted = (is_far && value == "none").then_some("encrypted: sslmode=verify-full");
        DatabaseSetting { name: "encryption of the connection", value, wanted }
    }

    fn is_absent(&self) -> bool {
        matches!(self, Self::File(file) if !file.exists())
    }

    /// Connects to see everything.
    fn look(&self) -> Result<Connection, StoreError> {
        let db = self.connect(Role::Writer).map_err(|error| match (error, self) {
            (super::Error::Postgres(error), Self::Server(config)) => {
                StoreError::Unavailable(Box::new(explain(config, &error)))
            }
            (error, Self::File(_) | Self::Server(_)) => error.into(),
        })?;
        if db.is_postgres() {
            db.run("SET app.tenant = '*'")?;
        }
        Ok(db)
    }
}

fn setting(name: &'static str, value: String, wanted: &'static str) -> DatabaseSetting {
    let wanted = (value != wanted).then_some(wanted);
    DatabaseSetting { name, value, wanted }
}

/// What the connection is encrypted by.
const ENCRYPTION: &str = "SELECT CASE WHEN ssl THEN version ELSE 'none' END FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
const COUNTED: [&str; 9] = [
    "tenant",
    "member",
    "device",
    "alert",
    "alert_receipt",
    "feed",
    "feed_version",
    "indicator",
    "indicator_file",
];
