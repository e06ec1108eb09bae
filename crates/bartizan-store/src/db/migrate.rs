//! The schema's steps, in twins for the two databases; each applied once and checked by its checksum ever after.

use bartizan_model::UnixMillis;
use refinery::{Migration, Runner};
use tokio_postgres::Client;

use super::connection::Connection;
use super::open::{DatabaseUrl, Role, explain, sqlite};
use super::{Reach, params};
use crate::{StoreError, column};

/// Brings the schema up to date; refuses one whose steps differ from ours. Then makes the installation's secrets and its own scope, once.
pub(super) fn run(url: &DatabaseUrl, now: UnixMillis) -> Result<(), StoreError> {
    let report = match url {
        DatabaseUrl::File(file) => {
            let mut db = sqlite(file)?;
            runner(SQLITE)?.run(&mut db).map_err(failed)?
        }
        DatabaseUrl::Server(config) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| StoreError::Unavailable(Box::new(error)))?;
            let unavailable = |error: tokio_postgres::Error| super::Error::from(error);
            runtime.block_on(async {
                let (mut client, connection) = config
                    .open()
                    .await
                    .map_err(|error| StoreError::Unavailable(Box::new(explain(config, &error))))?;
                let driven = tokio::spawn(connection);
                // Several portals may start at once; the lock ends with the connection.
                client
                    .batch_execute("SELECT pg_advisory_lock(7237113)")
                    .await
                    .map_err(unavailable)?;
                warn_of_role(&client).await.map_err(unavailable)?;
                // Steps work on the rows of every tenant.
                client.batch_execute("SET app.tenant = '*'").await.map_err(unavailable)?;
                let report = runner(POSTGRES)?.run_async(&mut client).await.map_err(failed)?;
                // No table can be without it, whoever made the step.
                client.batch_execute(WALLS).await.map_err(unavailable)?;
                drop(client);
                let _ = driven.await;
                Ok::<_, StoreError>(report)
            })?
        }
    };
    for step in report.applied_migrations() {
        tracing::info!(migration.name = step.name(), "schema brought up to date");
    }
    install(&url.connect(Role::Writer)?, now)
}

/// Row-level security does not bind every role.
async fn warn_of_role(client: &Client) -> Result<(), tokio_postgres::Error> {
    let role = client.query_opt(UNBOUND_ROLE, &[]).await?;
    if role.is_some() {
        tracing::warn!(
            "row-level security does not bind the role that the portal signs in to PostgreSQL with: give it one \
             that is neither superuser nor BYPASSRLS"
        );
    }
    Ok(())
}

/// The names of all steps, in their order.
pub(super) fn names() -> Vec<&'static str> {
    SQLITE.iter().filter_map(|(name, _)| name.split_once("__").map(|(_, name)| name)).collect()
}

fn runner(steps: &[(&str, &str)]) -> Result<Runner, StoreError> {
    let steps: Result<Vec<_>, _> =
        steps.iter().map(|(name, sql)| Migration::unapplied(name, sql)).collect();
    Ok(Runner::new(&steps.map_err(failed)?).set_abort_divergent(true))
}

fn failed(error: refinery::Error) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}

fn install(db: &Connection, now: UnixMillis) -> Result<(), StoreError> {
    let mut key = [0_u8; 32];
    getrandom::fill(&mut key).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
    db.prepare_cached(
        "INSERT INTO installation (id, access_token_key, checked_at_ms) VALUES (1, ?1, ?2)
         ON CONFLICT DO NOTHING",
    )?
    .execute(params![key, column::ms(now)])?;
    // The walls let nobody at a tenant's row who does not say for whom they come.
    db.run("BEGIN")?;
    if db.is_postgres() {
        db.run(&Reach::All.statement())?;
    }
    getrandom::fill(&mut key).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
    db.prepare_cached(
        "INSERT INTO tenant (tenant_id, name, signing_key, created_at_ms)
         VALUES (0, 'Installation', ?1, ?2) ON CONFLICT DO NOTHING",
    )?
    .execute(params![key, column::ms(now)])?;
    db.run("COMMIT")?;
    Ok(())
}

/// Finds the role that is signed in, if the walls between tenants do not bind it.
const UNBOUND_ROLE: &str =
    "SELECT 1 FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls)";

/// What separates tenants on PostgreSQL.
const WALLS: &str = include_str!("../../migrations/postgres/walls.sql");

/// Both lists have the same steps, of the same names.
macro_rules! steps {
    ($($name:literal, $file:literal;)*) => {
        const SQLITE: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../migrations/sqlite/", $file)))),*];
        const POSTGRES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../migrations/postgres/", $file)))),*];
    };
}
steps! {
    "V1__base", "0001_base.sql";
    "V2__feeds", "0002_feeds.sql";
    "V3__indicators", "0003_indicators.sql";
    "V4__deltas", "0004_deltas.sql";
    "V5__policy", "0005_policy.sql";
    "V6__devices_policies", "0006_devices_policies.sql";
    "V7__people_audit", "0007_people_audit.sql";
    "V8__incidents", "0008_incidents.sql";
    "V9__upkeep", "0009_upkeep.sql";
    "V10__sign_in", "0010_sign_in.sql";
    "V11__alert_work", "0011_alert_work.sql";
    "V13__sinks", "0013_sinks.sql";
    "V14__feedback", "0014_feedback.sql";
    "V15__applications", "0015_applications.sql";
    "V17__directory", "0017_directory.sql";
    "V18__licenses", "0018_licenses.sql";
    "V20__lists", "0020_lists.sql";
    "V21__passkey", "0021_passkey.sql";
    "V22__attestation", "0022_attestation.sql";
    "V23__operators", "0023_operators.sql";
    "V24__policy_use", "0024_policy_use.sql";
    "V25__retention", "0025_retention.sql";
}
