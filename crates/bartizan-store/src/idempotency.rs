//! Answers that were given, so that a request which is sent again changes nothing again.
//!
//! A key is an application's own, and stands for one request for a day.

use bartizan_model::UnixMillis;

use crate::column::ms;
use crate::db::{Optional, params};
use crate::{ApplicationId, Store, StoreError, TenantScope};

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Nothing: the request is to be carried out, and its answer kept.
    Fresh,
    /// It was carried out, and this was answered.
    Answered {
        /// The HTTP status.
        status: u16,
        /// What the caller kept.
        body: String,
    },
    /// Another request with this key is being carried out.
    UnderWay,
    /// The key stands for another request.
    Other,
}

impl Store {
    /// Takes a key for a request, which is named by its hash.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn begin_idempotent(
        &self,
        scope: TenantScope,
        application: ApplicationId,
        key: String,
        request: [u8; 32],
        now: UnixMillis,
    ) -> Result<Repeat, StoreError> {
        self.db
            .write(scope, move |db| {
                let day_ago = ms(UnixMillis(now.0.saturating_sub(KEPT_MS)));
                db.prepare_cached(
                    "DELETE FROM idempotent_answer WHERE tenant_id = ?1 AND (application_id, key) IN (
                         SELECT application_id, key FROM idempotent_answer
                         WHERE tenant_id = ?1 AND created_at_ms < ?2 LIMIT 100)",
                )?
                .execute(params![scope.id(), day_ago])?;
                let known = db
                    .prepare_cached(
                        "SELECT request, status, body, created_at_ms FROM idempotent_answer
                         WHERE tenant_id = ?1 AND application_id = ?2 AND key = ?3
                             AND ?4 <= created_at_ms",
                    )?
                    .query_row(params![scope.id(), application.octets(), key, day_ago], |row| {
                        let known: [u8; 32] = row.get(0)?;
                        let status: Option<i64> = row.get(1)?;
                        Ok((known, status, row.get(2)?, row.get::<i64>(3)?))
                    })
                    .optional()?;
                if let Some((known, status, body, begun_at)) = known {
                    if known != request {
                        return Ok(Repeat::Other);
                    }
                    let status = status.and_then(|status| u16::try_from(status).ok());
                    if let Some(status) = status {
                        return Ok(Repeat::Answered { status, body });
                    }
                    // Whoever began has gone, and did not say how it ended.
                    if ms(now).saturating_sub(begun_at) < GIVEN_UP_AFTER_MS {
                        return Ok(Repeat::UnderWay);
                    }
                }
                db.prepare_cached(
                    "INSERT INTO idempotent_answer (tenant_id, application_id, key, request, status, body,
                                                    created_at_ms)
                     VALUES (?1, ?2, ?3, ?4, NULL, '', ?5)
                     ON CONFLICT (tenant_id, application_id, key) DO UPDATE SET
                         request = excluded.request, status = NULL, body = '',
                         created_at_ms = excluded.created_at_ms",
                )?
                .execute(params![scope.id(), application.octets(), key, request, ms(now)])?;
                Ok(Repeat::Fresh)
            })
            .await
    }

    /// Keeps what was answered; without an answer, gives the key back.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn end_idempotent(
        &self,
        scope: TenantScope,
        application: ApplicationId,
        key: String,
        answer: Option<(u16, String)>,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                match answer {
                    Some((status, body)) => db
                        .prepare_cached(
                            "UPDATE idempotent_answer SET status = ?4, body = ?5
                             WHERE tenant_id = ?1 AND application_id = ?2 AND key = ?3",
                        )?
                        .execute(params![
                            scope.id(),
                            application.octets(),
                            key,
                            i64::from(status),
                            body
                        ])?,
                    None => db
                        .prepare_cached(
                            "DELETE FROM idempotent_answer
                             WHERE tenant_id = ?1 AND application_id = ?2 AND key = ?3",
                        )?
                        .execute(params![scope.id(), application.octets(), key])?,
                };
                Ok(())
            })
            .await
    }
}

/// A day.
const KEPT_MS: u64 = 24 * 60 * 60 * 1_000;
/// Twice what a request may take.
const GIVEN_UP_AFTER_MS: i64 = 60_000;
