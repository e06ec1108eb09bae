//! Applications: programs of the organization that call the API, each with permissions of its own.
//!
//! A member answers for each; what an application does stands in the audit log under its own name.
//!
//! # Invariants
//! - One that is disabled or has expired is nobody: [`Store::application_caller`] says so at every call.
//! - Nothing here can be used to sign in: of secrets there are hashes (`application_credential`).

use bartizan_model::{TenantId, UnixMillis};
use serde_json::json;

use crate::application_credential::{self, CredentialRow};
use crate::audit::{self, Event};
use crate::column::{count, found, fresh_id, ms, stored, time};
use crate::db::{Connection, Reach, Row, params};
use crate::{Actor, ApplicationId, MemberId, Permissions, Store, StoreError, TenantScope};

/// An application, as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationRow {
    /// Names it.
    pub id: ApplicationId,
    /// As people know it.
    pub name: String,
    /// What it may do.
    pub permissions: Permissions,
    /// The name of who answers for it.
    pub created_by: String,
    /// When it was added.
    pub created_at: UnixMillis,
    /// From then on it is refused.
    pub expires_at: UnixMillis,
    /// Since when it is refused.
    pub disabled_at: Option<UnixMillis>,
    /// When it last called, to the minute.
    pub used_at: Option<UnixMillis>,
}

/// What is said of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApplication {
    /// As people know it; unique.
    pub name: String,
    /// What it may do.
    pub permissions: Permissions,
    /// From then on it is refused.
    pub expires_at: UnixMillis,
}

/// Who calls, as far as it has still to be checked.
#[derive(Clone, Debug)]
pub struct ApplicationCaller {
    /// Whose rows it may touch, in its own name.
    pub scope: TenantScope,
    /// As people know it.
    pub name: String,
    /// What it may do.
    pub permissions: Permissions,
    /// The member who answers for it.
    pub member: MemberId,
    /// When it last called, to the minute.
    pub used_at: Option<UnixMillis>,
    /// What it may prove itself with; none that has expired.
    pub credentials: Vec<CredentialRow>,
}

/// Applications that a tenant may have.
pub const MAX_APPLICATIONS: u64 = 200;

impl Store {
    /// Adds an application; it cannot call before it is given a secret or a key.
    ///
    /// # Errors
    /// The name is taken, or there are [`MAX_APPLICATIONS`].
    pub async fn create_application(
        &self,
        scope: TenantScope,
        new: NewApplication,
        by: MemberId,
        now: UnixMillis,
    ) -> Result<ApplicationId, StoreError> {
        self.db
            .write(scope, move |db| {
                let known: i64 = db
                    .prepare_cached("SELECT count(*) FROM application WHERE tenant_id = ?1")?
                    .query_row([scope.id()], |row| row.get(0))?;
                if MAX_APPLICATIONS <= count(known) {
                    return Err(StoreError::Full { what: "applications", limit: MAX_APPLICATIONS });
                }
                let id = ApplicationId::of(fresh_id(now)?);
                let added = db
                    .prepare_cached(
                        "INSERT INTO application (tenant_id, application_id, name, permissions, created_by,
                                                  created_at_ms, expires_at_ms)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    )?
                    .execute(params![
                        scope.id(),
                        id.octets(),
                        new.name,
                        new.permissions.words(),
                        by.column(),
                        ms(now),
                        ms(new.expires_at),
                    ]);
                stored(added, TAKEN)?;
                let event = Event::new("application.create", "application", id).detail(told(&new));
                audit::append(db, scope, event, now)?;
                Ok(id)
            })
            .await
    }

    /// Says something else of an application; it counts at its next call.
    ///
    /// # Errors
    /// There is no such application, or the name is another's.
    pub async fn change_application(
        &self,
        scope: TenantScope,
        id: ApplicationId,
        new: NewApplication,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let written = db
                    .prepare_cached(
                        "UPDATE application SET name = ?3, permissions = ?4, expires_at_ms = ?5
                         WHERE tenant_id = ?1 AND application_id = ?2",
                    )?
                    .execute(params![
                        scope.id(),
                        id.octets(),
                        new.name,
                        new.permissions.words(),
                        ms(new.expires_at),
                    ]);
                if matches!(written, Ok(0)) {
                    return Err(NONE);
                }
                stored(written, TAKEN)?;
                let event = Event::new("application.change", "application", id).detail(told(&new));
                audit::append(db, scope, event, now)
            })
            .await
    }

    /// Refuses an application from now on, or lets it call again. What is so already stays as it is.
    ///
    /// # Errors
    /// There is no such application.
    pub async fn set_application_disabled(
        &self,
        scope: TenantScope,
        id: ApplicationId,
        is_disabled: bool,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let before = one(db, scope, id)?;
                if before.disabled_at.is_some() == is_disabled {
                    return Ok(());
                }
                db.prepare_cached(
                    "UPDATE application SET disabled_at_ms = ?3
                     WHERE tenant_id = ?1 AND application_id = ?2",
                )?
                .execute(params![
                    scope.id(),
                    id.octets(),
                    is_disabled.then(|| ms(now))
                ])?;
                let event = if is_disabled {
                    Event::new("application.disable", "application", id)
                } else {
                    Event::new("application.enable", "application", id)
                };
                audit::append(db, scope, event.detail(json!({ "name": before.name })), now)
            })
            .await
    }

    /// Returns all applications by name.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn applications(
        &self,
        scope: TenantScope,
    ) -> Result<Vec<ApplicationRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(concat!(
                    application_columns!(),
                    "WHERE a.tenant_id = ?1 ORDER BY a.name, a.application_id"
                ))?;
                let rows = statement.query_map([scope.id()], read)?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Returns one application with its secrets and keys, also those that have expired.
    ///
    /// # Errors
    /// There is no such application.
    pub async fn application(
        &self,
        scope: TenantScope,
        id: ApplicationId,
    ) -> Result<(ApplicationRow, Vec<CredentialRow>), StoreError> {
        self.db
            .read(scope, move |db| {
                Ok((one(db, scope, id)?, application_credential::list(db, scope, id)?))
            })
            .await
    }

    /// Finds who calls, by the id in a credential that the caller checks, or has checked.
    ///
    /// # Errors
    /// There is no such application, it is disabled, or it has expired.
    pub async fn application_caller(
        &self,
        tenant: TenantId,
        id: ApplicationId,
        now: UnixMillis,
    ) -> Result<ApplicationCaller, StoreError> {
        self.db
            .read(Reach::All, move |db| {
                let row = db
                    .prepare_cached(
                        "SELECT tenant_id, permissions, created_by, used_at_ms, name FROM application
                         WHERE tenant_id = ?1 AND application_id = ?2 AND disabled_at_ms IS NULL
                             AND ?3 < expires_at_ms
                             AND NOT EXISTS (SELECT 1 FROM tenant AS t
                                 WHERE t.tenant_id = ?1 AND t.suspended_at_ms IS NOT NULL)",
                    )?
                    .query_row(params![tenant.0, id.octets(), ms(now)], |row| {
                        let words: String = row.get(1)?;
                        Ok(ApplicationCaller {
                            scope: TenantScope::new(row.get(0)?).by(Actor::Application(id)),
                            name: row.get(4)?,
                            permissions: Permissions::of_words(&words),
                            member: MemberId::of_column(row.get(2)?),
                            used_at: row.get::<Option<i64>>(3)?.map(time),
                            credentials: Vec::new(),
                        })
                    });
                let mut caller = found(row, "application")?;
                caller.credentials = application_credential::list(db, caller.scope, id)?;
                caller.credentials.retain(|credential| now < credential.expires_at);
                Ok(caller)
            })
            .await
    }

    /// Notes that an application called.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn touch_application(
        &self,
        scope: TenantScope,
        id: ApplicationId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                db.prepare_cached(
                    "UPDATE application SET used_at_ms = ?3
                     WHERE tenant_id = ?1 AND application_id = ?2",
                )?
                .execute(params![scope.id(), id.octets(), ms(now)])?;
                Ok(())
            })
            .await
    }
}

pub(crate) fn one(
    db: &Connection,
    scope: TenantScope,
    id: ApplicationId,
) -> Result<ApplicationRow, StoreError> {
    let row = db
        .prepare_cached(concat!(
            application_columns!(),
            "WHERE a.tenant_id = ?1 AND a.application_id = ?2"
        ))?
        .query_row(params![scope.id(), id.octets()], read);
    found(row, "application")
}

fn told(new: &NewApplication) -> serde_json::Value {
    json!({
        "name": new.name,
        "permissions": new.permissions.words(),
        "expires_at_ms": new.expires_at.0,
    })
}

/// Reads the columns of [`application_columns`].
fn read(row: &Row<'_>) -> crate::db::Result<ApplicationRow> {
    let words: String = row.get(2)?;
    Ok(ApplicationRow {
        id: ApplicationId::of(row.get(0)?),
        name: row.get(1)?,
        permissions: Permissions::of_words(&words),
        created_by: row.get(3)?,
        created_at: time(row.get(4)?),
        expires_at: time(row.get(5)?),
        disabled_at: row.get::<Option<i64>>(6)?.map(time),
        used_at: row.get::<Option<i64>>(7)?.map(time),
    })
}

/// What [`read`] reads.
macro_rules! application_columns {
    () => {
        "SELECT a.application_id, a.name, a.permissions, m.name, a.created_at_ms, a.expires_at_ms,
                a.disabled_at_ms, a.used_at_ms
         FROM application AS a
         JOIN member AS m ON m.tenant_id = a.tenant_id AND m.member_id = a.created_by
         "
    };
}
use application_columns;

const NONE: StoreError = StoreError::NotFound { what: "application" };
const TAKEN: &str = "an application of this name";
