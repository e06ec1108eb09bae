//! One-time codes: short enough to be typed, each worth one enrollment token of the same person.
//!
//! # Invariants
//! - Only the hash of a code is kept. It is worth a token once, until it expires.

use bartizan_model::{Private, UnixMillis};
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{ms, time};
use crate::db::{Connection, Optional, Reach, params};
use crate::enrollment::{EnrollError, Pass, insert_token, name};
use crate::{PersonId, Store, StoreError, TenantScope, tenant};

impl Store {
    /// Remembers a code that was given out for a person, or for a device without one; forgets those that are over.
    ///
    /// # Errors
    /// There is no such person.
    pub async fn create_enrollment_code(
        &self,
        scope: TenantScope,
        owner: Option<PersonId>,
        code_hash: [u8; 32],
        expires_at: UnixMillis,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                if let Some(owner) = owner {
                    crate::person::one(db, scope, owner)?;
                }
                sweep(db, scope, now)?;
                db.prepare_cached(
                    "INSERT INTO enrollment_code (tenant_id, code_hash, person_id, created_at_ms,
                                                  expires_at_ms)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![
                    scope.id(),
                    code_hash,
                    owner.map(PersonId::octets),
                    ms(now),
                    ms(expires_at),
                ])?;
                db.prepare_cached(
                    "INSERT INTO locator (kind, key, tenant_id) VALUES ('enrollment', ?1, ?2)",
                )?
                .execute(params![code_hash, scope.id()])?;
                let detail = json!({
                    "expires_at_ms": expires_at.0,
                    "person": owner.map(|owner| owner.to_string()).unwrap_or_default(),
                });
                let event =
                    Event::new("enrollment-code.create", "enrollment-code", name(&code_hash));
                audit::append(db, scope, event.detail(detail), now)
            })
            .await
    }

    /// Takes a code and remembers the token that it is worth; returns the seed of the tenant's signing key, which the
    /// token names.
    ///
    /// # Errors
    /// [`EnrollError::Unknown`], [`EnrollError::Used`] or [`EnrollError::Expired`].
    pub async fn redeem_enrollment_code(
        &self,
        code_hash: [u8; 32],
        (token_hash, expires_at): ([u8; 32], UnixMillis),
        now: UnixMillis,
    ) -> Result<Private<[u8; 32]>, EnrollError> {
        self.db
            .write(Reach::All, move |db| match redeem(db, code_hash, token_hash, expires_at, now) {
                Err(EnrollError::Store(error)) => Err(error),
                answer => Ok(answer),
            })
            .await?
    }
}

fn redeem(
    db: &Connection,
    code_hash: [u8; 32],
    token_hash: [u8; 32],
    expires_at: UnixMillis,
    now: UnixMillis,
) -> Result<Private<[u8; 32]>, EnrollError> {
    // Locks the code where others write at the same time, so that it is taken once.
    db.prepare_cached(
        "UPDATE enrollment_code SET expires_at_ms = expires_at_ms
         WHERE code_hash = ?1
             AND tenant_id IN (SELECT tenant_id FROM locator WHERE kind = 'enrollment' AND key = ?1)",
    )
    .and_then(|statement| statement.execute([code_hash]))
    .map_err(StoreError::from)?;
    let code = db
        .prepare_cached(
            "SELECT c.tenant_id, c.person_id, c.expires_at_ms, c.used_at_ms IS NOT NULL
             FROM locator AS l JOIN enrollment_code AS c
                 ON c.tenant_id = l.tenant_id AND c.code_hash = l.key
             WHERE l.kind = 'enrollment' AND l.key = ?1",
        )
        .and_then(|statement| {
            statement
                .query_row([code_hash], |row| {
                    let owner: Option<[u8; 16]> = row.get(1)?;
                    let scope = TenantScope::new(row.get(0)?);
                    Ok((scope, owner.map(PersonId::of), time(row.get(2)?), row.get::<bool>(3)?))
                })
                .optional()
        })
        .map_err(StoreError::from)?;
    let (scope, owner, code_expires_at, is_used) = code.ok_or(EnrollError::Unknown)?;
    if tenant::is_suspended(db, scope)? {
        return Err(EnrollError::Suspended);
    }
    if is_used {
        return Err(EnrollError::Used);
    }
    if code_expires_at <= now {
        return Err(EnrollError::Expired);
    }
    db.prepare_cached(
        "UPDATE enrollment_code SET used_at_ms = ?3 WHERE tenant_id = ?1 AND code_hash = ?2",
    )
    .and_then(|statement| statement.execute(params![scope.id(), code_hash, ms(now)]))
    .map_err(StoreError::from)?;
    insert_token(db, scope, token_hash, Pass { owner, by_code: true }, expires_at, now)?;
    Ok(tenant::tenant_row(db, scope)?.signing_key)
}

/// Forgets the codes of a tenant that are over.
fn sweep(db: &Connection, scope: TenantScope, now: UnixMillis) -> Result<(), StoreError> {
    db.prepare_cached(
        "DELETE FROM locator WHERE kind = 'enrollment' AND tenant_id = ?1 AND key IN (
             SELECT code_hash FROM enrollment_code WHERE tenant_id = ?1 AND expires_at_ms <= ?2)",
    )?
    .execute(params![scope.id(), ms(now)])?;
    db.prepare_cached("DELETE FROM enrollment_code WHERE tenant_id = ?1 AND expires_at_ms <= ?2")?
        .execute(params![scope.id(), ms(now)])?;
    Ok(())
}
