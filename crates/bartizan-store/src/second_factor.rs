//! Members' second factors: a sealed seed for codes by time, and recovery codes, of which only hashes are kept.
//!
//! # What it does not do
//! - Open a seed or compute a code: it keeps which step was used last, and counts failures.
//!
//! # Invariants
//! - A step and a recovery code are used once.
//! - An attempt counts as a failure from its beginning, so that many at once are no way around the wait.

use std::time::Duration;

use bartizan_model::{Private, UnixMillis};
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{count, int, ms, stored, time};
use crate::db::{Connection, Optional, params};
use crate::session::{SignInMethod, end_sessions};
use crate::{MemberId, Store, StoreError, TenantScope};

/// A member's second factor.
#[derive(Clone, Debug)]
pub struct SecondFactorRow {
    /// Sealed.
    pub secret: Private<Vec<u8>>,
    /// Since when they have it.
    pub enrolled_at: UnixMillis,
    /// The step of the last code that was taken.
    pub last_step: u64,
    /// How many recovery codes are left.
    pub codes_left: u64,
}

/// A second factor to be.
#[derive(Clone, Debug)]
pub struct NewSecondFactor {
    /// Sealed.
    pub secret: Private<Vec<u8>>,
    /// The step of the code that its owner has shown.
    pub step: u64,
    /// SHA-256 of each.
    pub recovery_codes: Vec<[u8; 32]>,
}

impl Store {
    /// Returns a member's second factor, if they have one.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn second_factor(
        &self,
        scope: TenantScope,
        member: MemberId,
    ) -> Result<Option<SecondFactorRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                let row = db
                    .prepare_cached(
                        "SELECT secret, enrolled_at_ms, last_step,
                                (SELECT count(*) FROM recovery_code AS c
                                 WHERE c.tenant_id = f.tenant_id AND c.member_id = f.member_id
                                     AND c.used_at_ms IS NULL)
                         FROM second_factor AS f WHERE tenant_id = ?1 AND member_id = ?2",
                    )?
                    .query_row(params![scope.id(), member.column()], |row| {
                        Ok(SecondFactorRow {
                            secret: Private(row.get(0)?),
                            enrolled_at: time(row.get(1)?),
                            last_step: count(row.get(2)?),
                            codes_left: count(row.get(3)?),
                        })
                    });
                Ok(row.optional()?)
            })
            .await
    }

    /// Gives a member a second factor; the session in which they did so counts as begun with it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if they have one.
    pub async fn enroll_second_factor(
        &self,
        scope: TenantScope,
        member: MemberId,
        factor: NewSecondFactor,
        session_hash: [u8; 32],
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let result = db
                    .prepare_cached(
                        "INSERT INTO second_factor (tenant_id, member_id, secret, enrolled_at_ms,
                                                    last_step, failures, failed_at_ms)
                         VALUES (?1, ?2, ?3, ?4, ?5, 0, 0)",
                    )?
                    .execute(params![
                        scope.id(),
                        member.column(),
                        factor.secret.0,
                        ms(now),
                        int(factor.step)
                    ]);
                stored(result, "second factor")?;
                for hash in factor.recovery_codes {
                    db.prepare_cached(
                        "INSERT INTO recovery_code (tenant_id, member_id, code_hash)
                         VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![scope.id(), member.column(), hash])?;
                }
                db.prepare_cached(
                    "UPDATE session SET method = ?4
                     WHERE tenant_id = ?1 AND member_id = ?2 AND token_hash = ?3
                         AND method = 'password'",
                )?
                .execute(params![
                    scope.id(),
                    member.column(),
                    session_hash,
                    SignInMethod::SecondFactor.word()
                ])?;
                audit::append(db, scope, Event::new("second-factor.enroll", "member", member), now)
            })
            .await
    }

    /// Lets a code be tried, or says how long to wait. Whoever gets here knows the password.
    ///
    /// # Errors
    /// They have no second factor.
    pub async fn try_second_factor(
        &self,
        scope: TenantScope,
        member: MemberId,
        now: UnixMillis,
    ) -> Result<Result<(), Duration>, StoreError> {
        self.db
            .write(scope, move |db| {
                let (failures, failed_at): (i64, i64) = db
                    .prepare_cached(
                        "SELECT failures, failed_at_ms FROM second_factor
                         WHERE tenant_id = ?1 AND member_id = ?2",
                    )?
                    .query_row(params![scope.id(), member.column()], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })
                    .optional()?
                    .ok_or(StoreError::NotFound { what: "second factor" })?;
                if let Some(wait) = wait(count(failures), time(failed_at), now) {
                    return Ok(Err(wait));
                }
                db.prepare_cached(
                    "UPDATE second_factor SET failures = failures + 1, failed_at_ms = ?3
                     WHERE tenant_id = ?1 AND member_id = ?2",
                )?
                .execute(params![scope.id(), member.column(), ms(now)])?;
                Ok(Ok(()))
            })
            .await
    }

    /// Uses the code of a step; `false` if it or a later one was used before.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn use_step(
        &self,
        scope: TenantScope,
        member: MemberId,
        step: u64,
    ) -> Result<bool, StoreError> {
        self.db
            .write(scope, move |db| {
                let used = db
                    .prepare_cached(
                        "UPDATE second_factor SET last_step = ?3, failures = 0
                         WHERE tenant_id = ?1 AND member_id = ?2 AND last_step < ?3",
                    )?
                    .execute(params![scope.id(), member.column(), int(step)])?;
                Ok(used != 0)
            })
            .await
    }

    /// Uses a recovery code; `false` if there is no such code, or it was used before.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn use_recovery_code(
        &self,
        scope: TenantScope,
        member: MemberId,
        hash: [u8; 32],
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        self.db
            .write(scope, move |db| {
                let used = db
                    .prepare_cached(
                        "UPDATE recovery_code SET used_at_ms = ?4
                         WHERE tenant_id = ?1 AND member_id = ?2 AND code_hash = ?3
                             AND used_at_ms IS NULL",
                    )?
                    .execute(params![scope.id(), member.column(), hash, ms(now)])?;
                if used == 0 {
                    return Ok(false);
                }
                db.prepare_cached(
                    "UPDATE second_factor SET failures = 0 WHERE tenant_id = ?1 AND member_id = ?2",
                )?
                .execute(params![scope.id(), member.column()])?;
                let event = Event::new("second-factor.recovery-code", "member", member);
                audit::append(db, scope, event, now)?;
                Ok(true)
            })
            .await
    }

    /// Takes a member's second factor away. Done by somebody else, it ends the member's sessions.
    ///
    /// # Errors
    /// They have none.
    pub async fn remove_second_factor(
        &self,
        scope: TenantScope,
        member: MemberId,
        is_own: bool,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                if forget(db, scope, member)? == 0 {
                    return Err(StoreError::NotFound { what: "second factor" });
                }
                if !is_own {
                    end_sessions(db, scope, member)?;
                }
                let event = Event::new("second-factor.remove", "member", member)
                    .detail(json!({ "by": if is_own { "owner" } else { "administrator" } }));
                audit::append(db, scope, event, now)
            })
            .await
    }
}

/// Removes what there is; returns how many factors that were.
pub(crate) fn forget(
    db: &Connection,
    scope: TenantScope,
    member: MemberId,
) -> Result<usize, StoreError> {
    db.prepare_cached("DELETE FROM recovery_code WHERE tenant_id = ?1 AND member_id = ?2")?
        .execute(params![scope.id(), member.column()])?;
    let forgotten = db
        .prepare_cached("DELETE FROM second_factor WHERE tenant_id = ?1 AND member_id = ?2")?
        .execute(params![scope.id(), member.column()])?;
    Ok(forgotten)
}

/// After a few failures one has to wait, each time twice as long, up to a quarter of an hour: 100 tries a day, of a
/// million codes of which three hold.
fn wait(failures: u64, failed_at: UnixMillis, now: UnixMillis) -> Option<Duration> {
    let over = failures.checked_sub(FREE_FAILURES)?;
    let wait_ms = (FIRST_WAIT_MS << over.min(16)).min(LONGEST_WAIT_MS);
    let left_ms = failed_at.0.saturating_add(wait_ms).checked_sub(now.0)?;
    (0 < left_ms).then(|| Duration::from_millis(left_ms))
}

const FREE_FAILURES: u64 = 5;
const FIRST_WAIT_MS: u64 = 30_000;
const LONGEST_WAIT_MS: u64 = 900_000;
