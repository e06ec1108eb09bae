//! A connection to PostgreSQL that blocks: the client, and a runtime of this thread that drives it.
//!
//! What begins a transaction travels with the first statement in it, so that it costs no round trip of its own.

use std::collections::HashMap;

use futures_util::future;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::open::Server;
use super::value::Ref;
use super::{Error, Result};

/// A client with its runtime.
#[derive(Debug)]
pub(crate) struct Postgres {
    runtime: Runtime,
    client: Client,
    statements: HashMap<String, tokio_postgres::Statement>,
    /// To be run with the next statement.
    soon: String,
}

impl Postgres {
    pub(super) fn connect(server: &Server) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
        let (client, connection) = runtime.block_on(server.open())?;
        runtime.spawn(async move {
            // Whoever waits for an answer is told as well.
            if let Err(error) = connection.await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "database connection ended"
                );
            }
        });
        Ok(Self { runtime, client, statements: HashMap::new(), soon: String::new() })
    }

    pub(super) fn run(&mut self, sql: &str) -> Result<()> {
        self.run_soon(sql);
        let all = std::mem::take(&mut self.soon);
        Ok(self.runtime.block_on(self.client.batch_execute(&all))?)
    }

    pub(super) fn run_soon(&mut self, sql: &str) {
        self.soon.push_str(sql);
        self.soon.push(';');
    }

    pub(super) fn is_closed(&self) -> bool {
        // Driven only while something is awaited, the connection has to be given the time to see that the server has gone.
        self.runtime.block_on(async {
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
        });
        self.client.is_closed()
    }

    pub(super) fn execute(&mut self, sql: &str, values: &[Ref<'_>]) -> Result<usize> {
        let statement = self.statement(sql, values)?;
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        let run = self.client.execute(&statement, &values);
        let changed = after(&self.runtime, &self.client, &mut self.soon, run)?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    pub(super) fn query(&mut self, sql: &str, values: &[Ref<'_>]) -> Result<Vec<Row>> {
        let statement = self.statement(sql, values)?;
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        let run = self.client.query(&statement, &values);
        after(&self.runtime, &self.client, &mut self.soon, run)
    }

    fn statement(&mut self, sql: &str, values: &[Ref<'_>]) -> Result<tokio_postgres::Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let numbered = numbered(sql);
        // Said rather than inferred: a comparison with a literal would be taken for one of 32 bits.
        let types: Vec<Type> = values.iter().map(kind).collect();
        let prepare = self.client.prepare_typed(&numbered, &types);
        let statement = after(&self.runtime, &self.client, &mut self.soon, prepare)?;
        // Statements whose shape varies are few; should that change, forget them all at once.
        if STATEMENTS <= self.statements.len() {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

/// Runs what was to be run soon, and this after it, without waiting in between.
fn after<T>(
    runtime: &Runtime,
    client: &Client,
    soon: &mut String,
    run: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
) -> Result<T> {
    if soon.is_empty() {
        return Ok(runtime.block_on(run)?);
    }
    let first = std::mem::take(soon);
    // Both are sent in this order as the two are polled in it.
    let (first, then) = runtime.block_on(future::join(client.batch_execute(&first), run));
    first?;
    Ok(then?)
}

/// The type of a placeholder; what is absent leaves it to the statement.
fn kind(value: &Ref<'_>) -> Type {
    match value {
        Ref::Null => Type::UNKNOWN,
        Ref::Int(_) => Type::INT8,
        Ref::Text(_) => Type::TEXT,
        Ref::Octets(_) => Type::BYTEA,
    }
}

/// Writes placeholders as PostgreSQL does: `?2` is `$2`, and each bare `?` the next one.
fn numbered(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 8);
    let mut bare = 0_u32;
    let mut rest = sql.chars().peekable();
    while let Some(char) = rest.next() {
        if char != '?' {
            out.push(char);
            continue;
        }
        out.push('$');
        if !rest.peek().is_some_and(char::is_ascii_digit) {
            bare += 1;
            out.push_str(&bare.to_string());
        }
    }
    out
}

/// One to look at the socket, one to read its end, one to tell the client.
const TURNS: u32 = 3;
/// More than there are statements of fixed text.
const STATEMENTS: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn placeholders_are_numbered() {
        assert_eq!(numbered("a = ?1 AND b = ?12"), "a = $1 AND b = $12");
        assert_eq!(numbered("a = ? AND b = ?"), "a = $1 AND b = $2");
    }
}
