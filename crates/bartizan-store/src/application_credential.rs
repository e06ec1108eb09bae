//! What applications prove themselves with: hashes of secrets, and public keys. Two of a kind at a time, so that one can
//! take over from the other.

use bartizan_model::UnixMillis;
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{count, fresh_id, ms, time, word};
use crate::db::{Connection, Optional, params};
use crate::{ApplicationId, CredentialId, Store, StoreError, TenantScope, application};

/// What a credential is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A secret, kept as its SHA-256.
    Secret,
    /// A public key (`SubjectPublicKeyInfo`), whose owner signs assertions (RFC 7523).
    Key,
}

impl CredentialKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Secret, Self::Key];

    /// Returns its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Key => "key",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// A credential to be.
#[derive(Clone, Debug)]
pub struct NewCredential {
    /// What it is.
    pub kind: CredentialKind,
    /// The hash, or the key.
    pub value: Vec<u8>,
    /// What people tell it by.
    pub hint: String,
    /// From then on it is refused.
    pub expires_at: UnixMillis,
}

/// A credential, as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRow {
    /// Names it.
    pub id: CredentialId,
    /// What it is.
    pub kind: CredentialKind,
    /// The hash, or the key.
    pub value: Vec<u8>,
    /// What people tell it by.
    pub hint: String,
    /// When it was given.
    pub created_at: UnixMillis,
    /// From then on it is refused.
    pub expires_at: UnixMillis,
}

/// Credentials of a kind that an application may have at a time.
pub const MAX_CREDENTIALS: u64 = 2;

impl Store {
    /// Gives an application one more secret or key. Those of the kind that have expired go.
    ///
    /// # Errors
    /// There is no such application, or it has [`MAX_CREDENTIALS`] of the kind.
    pub async fn add_credential(
        &self,
        scope: TenantScope,
        application: ApplicationId,
        new: NewCredential,
        now: UnixMillis,
    ) -> Result<CredentialId, StoreError> {
        self.db
            .write(scope, move |db| {
                application::one(db, scope, application)?;
                db.prepare_cached(
                    "DELETE FROM application_credential
                     WHERE tenant_id = ?1 AND application_id = ?2 AND kind = ?3 AND expires_at_ms <= ?4",
                )?
                .execute(params![scope.id(), application.octets(), new.kind.word(), ms(now)])?;
                let there: i64 = db
                    .prepare_cached(
                        "SELECT count(*) FROM application_credential
                         WHERE tenant_id = ?1 AND application_id = ?2 AND kind = ?3",
                    )?
                    .query_row(params![scope.id(), application.octets(), new.kind.word()], |row| {
                        row.get(0)
                    })?;
                if MAX_CREDENTIALS <= count(there) {
                    let what = match new.kind {
                        CredentialKind::Secret => "secrets",
                        CredentialKind::Key => "keys",
                    };
                    return Err(StoreError::Full { what, limit: MAX_CREDENTIALS });
                }
                let id = CredentialId::of(fresh_id(now)?);
                db.prepare_cached(
                    "INSERT INTO application_credential (tenant_id, application_id, credential_id, kind, value,
                                                         hint, created_at_ms, expires_at_ms)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                )?
                .execute(params![
                    scope.id(),
                    application.octets(),
                    id.octets(),
                    new.kind.word(),
                    new.value,
                    new.hint,
                    ms(now),
                    ms(new.expires_at),
                ])?;
                let event = Event::new("application.credential-add", "application", application);
                let detail = json!({ "kind": new.kind.word(), "hint": new.hint });
                audit::append(db, scope, event.detail(detail), now)?;
                Ok(id)
            })
            .await
    }

    /// Takes a secret or a key from an application.
    ///
    /// # Errors
    /// The application has no such credential.
    pub async fn remove_credential(
        &self,
        scope: TenantScope,
        application: ApplicationId,
        id: CredentialId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let gone: Option<(String, String)> = db
                    .prepare_cached(
                        "DELETE FROM application_credential
                         WHERE tenant_id = ?1 AND application_id = ?2 AND credential_id = ?3
                         RETURNING kind, hint",
                    )?
                    .query_row(params![scope.id(), application.octets(), id.octets()], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })
                    .optional()?;
                let (kind, hint) = gone.ok_or(StoreError::NotFound { what: "credential" })?;
                let event = Event::new("application.credential-remove", "application", application);
                let event = event.detail(json!({ "kind": kind, "hint": hint }));
                audit::append(db, scope, event, now)
            })
            .await
    }
}

/// Lists an application's credentials, the oldest first.
pub(crate) fn list(
    db: &Connection,
    scope: TenantScope,
    application: ApplicationId,
) -> Result<Vec<CredentialRow>, StoreError> {
    let mut rows = db
        .prepare_cached(
            "SELECT credential_id, kind, value, hint, created_at_ms, expires_at_ms
             FROM application_credential
             WHERE tenant_id = ?1 AND application_id = ?2 ORDER BY credential_id",
        )?
        .query(params![scope.id(), application.octets()])?;
    let mut credentials = Vec::new();
    while let Some(row) = rows.next()? {
        credentials.push(CredentialRow {
            id: CredentialId::of(row.get(0)?),
            kind: word("kind", &row.get::<String>(1)?, CredentialKind::from_word)?,
            value: row.get(2)?,
            hint: row.get(3)?,
            created_at: time(row.get(4)?),
            expires_at: time(row.get(5)?),
        });
    }
    Ok(credentials)
}
