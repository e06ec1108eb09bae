//! The tokens that directories speak with: only their hashes are kept.

use bartizan_model::{TenantId, UnixMillis};
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{fresh_id, ms, time};
use crate::db::{Optional, Reach, params};
use crate::{Actor, ScimTokenId, Store, StoreError, TenantScope};

/// A token, as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScimTokenRow {
    /// Names it; nobody gets in by it.
    pub id: ScimTokenId,
    /// For people.
    pub name: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// From then on it is refused.
    pub expires_at: UnixMillis,
    /// When it was last used, to the hour.
    pub last_used_at: Option<UnixMillis>,
}

/// Tokens that a tenant may have.
const MAX_TOKENS: u64 = 20;
/// How exactly the last use is known: a write for each request would be a waste.
const TOUCH_AFTER_MS: u64 = 3_600_000;

impl Store {
    /// Remembers a token by the SHA-256 of its secret.
    ///
    /// # Errors
    /// [`StoreError::Full`].
    pub async fn create_scim_token(
        &self,
        scope: TenantScope,
        (name, token_hash): (String, [u8; 32]),
        expires_at: UnixMillis,
        now: UnixMillis,
    ) -> Result<ScimTokenId, StoreError> {
        self.db
            .write(scope, move |db| {
                let there: i64 = db
                    .prepare_cached("SELECT count(*) FROM scim_token WHERE tenant_id = ?1")?
                    .query_row([scope.id()], |row| row.get(0))?;
                if MAX_TOKENS <= crate::column::count(there) {
                    return Err(StoreError::Full { what: "directory tokens", limit: MAX_TOKENS });
                }
                let id = ScimTokenId::of(fresh_id(now)?);
                db.prepare_cached(
                    "INSERT INTO scim_token (tenant_id, token_id, name, token_hash, created_at_ms,
                                             expires_at_ms)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![
                    scope.id(),
                    id.octets(),
                    name,
                    token_hash,
                    ms(now),
                    ms(expires_at),
                ])?;
                let event = Event::new("directory-token.create", "directory-token", id)
                    .detail(json!({ "name": name, "expires_at_ms": expires_at.0 }));
                audit::append(db, scope, event, now)?;
                Ok(id)
            })
            .await
    }

    /// Revokes a token; it is refused at once.
    ///
    /// # Errors
    /// The tenant has no such token.
    pub async fn revoke_scim_token(
        &self,
        scope: TenantScope,
        token: ScimTokenId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let removed = db
                    .prepare_cached(
                        "DELETE FROM scim_token WHERE tenant_id = ?1 AND token_id = ?2",
                    )?
                    .execute(params![scope.id(), token.octets()])?;
                if removed == 0 {
                    return Err(StoreError::NotFound { what: "directory token" });
                }
                let event = Event::new("directory-token.revoke", "directory-token", token);
                audit::append(db, scope, event, now)
            })
            .await
    }

    /// Lists the tenant's tokens, the latest first.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn scim_tokens(&self, scope: TenantScope) -> Result<Vec<ScimTokenRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(
                    "SELECT token_id, name, created_at_ms, expires_at_ms, last_used_at_ms
                     FROM scim_token WHERE tenant_id = ?1 ORDER BY token_id DESC",
                )?;
                let rows = statement.query_map([scope.id()], |row| {
                    Ok(ScimTokenRow {
                        id: ScimTokenId::of(row.get(0)?),
                        name: row.get(1)?,
                        created_at: time(row.get(2)?),
                        expires_at: time(row.get(3)?),
                        last_used_at: row.get::<Option<i64>>(4)?.map(time),
                    })
                })?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Finds whose token this is, if it is known and has not expired, and notes that it was used. The tenant is what the
    /// token says about itself.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn scope_of_scim_token(
        &self,
        tenant: TenantId,
        token_hash: [u8; 32],
        now: UnixMillis,
    ) -> Result<Option<TenantScope>, StoreError> {
        let found = self
            .db
            .read(Reach::All, move |db| {
                let row = db
                    .prepare_cached(
                        "SELECT tenant_id, token_id, last_used_at_ms FROM scim_token
                         WHERE tenant_id = ?1 AND token_hash = ?2 AND ?3 < expires_at_ms
                             AND NOT EXISTS (SELECT 1 FROM tenant AS t
                                 WHERE t.tenant_id = ?1 AND t.suspended_at_ms IS NOT NULL)",
                    )?
                    .query_row(params![tenant.0, token_hash, ms(now)], |row| {
                        let id = ScimTokenId::of(row.get(1)?);
                        let scope = TenantScope::new(row.get(0)?).by(Actor::Directory(id));
                        Ok((scope, id, row.get::<Option<i64>>(2)?.map(time)))
                    });
                Ok(row.optional()?)
            })
            .await?;
        let Some((scope, id, used_at)) = found else { return Ok(None) };
        let is_stale = used_at.is_none_or(|at| TOUCH_AFTER_MS <= now.0.saturating_sub(at.0));
        if is_stale {
            self.db
                .write(scope, move |db| {
                    db.prepare_cached(
                        "UPDATE scim_token SET last_used_at_ms = ?3
                         WHERE tenant_id = ?1 AND token_id = ?2",
                    )?
                    .execute(params![scope.id(), id.octets(), ms(now)])?;
                    Ok(())
                })
                .await?;
        }
        Ok(Some(scope))
    }
}
