//! Where a test's database is: made on a server for the test, and removed after it.

use std::path::Path;

use bartizan_store::DatabaseUrl;
use tokio_postgres::{Client, NoTls};

/// Keeps the database while it lives.
pub(crate) struct Place {
    pub(crate) url: DatabaseUrl,
    name: String,
}

pub(crate) fn place(_folder: &Path) -> Place {
    let mut random = [0; 8];
    getrandom::fill(&mut random).unwrap();
    let name = format!("test_{:016x}", u64::from_ne_bytes(random));
    statement(&format!("CREATE DATABASE {name}"));
    let url = address().replacen("/postgres", &format!("/{name}"), 1);
    Place { url: url.parse().unwrap(), name }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Housekeeping of the server may stand in the way; the server itself is gone after the tests.
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let _ = run(&address().parse().unwrap(), &drop);
    }
}

/// Runs a statement as the owner of the test's database, past the store.
pub(crate) fn in_database(place: &Place, sql: &str) -> Result<Vec<String>, String> {
    let DatabaseUrl::Server(config) = &place.url else { panic!("this is no server") };
    run(config, sql)
}

fn statement(sql: &str) {
    run(&address().parse().unwrap(), sql).unwrap();
}

/// Returns the first column of what is found, as text. Has a thread of its own, as tests have a runtime already.
fn run(config: &tokio_postgres::Config, sql: &str) -> Result<Vec<String>, String> {
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (client, connection) = config.connect(NoTls).await.unwrap();
                tokio::spawn(connection);
                rows(&client, sql).await
            })
        });
        run.join().unwrap()
    })
}

async fn rows(client: &Client, sql: &str) -> Result<Vec<String>, String> {
    use tokio_postgres::SimpleQueryMessage;
    let messages = client.simple_query(sql).await.map_err(|error| {
        error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
    })?;
    let mut found = Vec::new();
    for message in messages {
        if let SimpleQueryMessage::Row(row) = message {
            found.push(row.get(0).unwrap_or_default().to_owned());
        }
    }
    Ok(found)
}

#[expect(clippy::disallowed_methods, reason = "a test is told where the server is")]
fn address() -> String {
    std::env::var("BARTIZAN_TEST_POSTGRES").expect("`cargo xtask test` names a server")
}
