//! Enrollment: a token lets one device in, once.

use bartizan_model::{DeviceId, Private, UnixMillis};
use serde_json::json;

use crate::audit::{self, Event, hex};
use crate::column::{ms, time};
use crate::db::{Connection, Optional, Reach, params};
use crate::device_event::{DeviceEventKind, note};
use crate::event::{self, EventKind, Happened};
use crate::{Actor, Store, StoreError, TenantScope, device_member, tenant};

/// A device that asks to be let in. All but the id is what it says about itself.
#[derive(Clone, Debug)]
pub struct NewDevice {
    /// Chosen by the portal, unless this very key was let in by this very token before.
    pub id: DeviceId,
    /// Public key as JSON.
    pub jwk: String,
    /// The key's name (RFC 7638).
    pub key_thumbprint: [u8; 32],
    /// `iOS`, `Linux`.
    pub os: String,
    /// Such as `18.1`.
    pub os_version: String,
    /// Such as `iPhone17,3`.
    pub model: String,
    /// The name its person gave it.
    pub device_name: String,
    /// Version of the program.
    pub app_version: String,
}

/// A device that was let in.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// Whose it is.
    pub scope: TenantScope,
    /// Its id.
    pub device: DeviceId,
    /// The organization's name.
    pub tenant_name: String,
    /// Seed of the key that signs what the device obeys.
    pub signing_key: Private<[u8; 32]>,
}

/// Why a device was not let in.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// No such token was given out.
    #[error("enrollment token is unknown")]
    Unknown,
    /// It has let another device in.
    #[error("enrollment token was used")]
    Used,
    /// Its time is over.
    #[error("enrollment token has expired")]
    Expired,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Remembers a token that was given out, by the SHA-256 of its secret.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn create_enrollment_token(
        &self,
        scope: TenantScope,
        token_hash: [u8; 32],
        expires_at: UnixMillis,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                db.prepare_cached(
                    "INSERT INTO enrollment_token (tenant_id, token_hash, created_at_ms, expires_at_ms)
                     VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![scope.id(), token_hash, ms(now), ms(expires_at)])?;
                db.prepare_cached(
                    "INSERT INTO locator (kind, key, tenant_id) VALUES ('enrollment', ?1, ?2)",
                )?
                .execute(params![token_hash, scope.id()])?;
                let event = Event::new("enrollment-token.create", "enrollment-token", name(&token_hash))
                    .detail(json!({ "expires_at_ms": expires_at.0 }));
                audit::append(db, scope, event, now)
            })
            .await
    }

    /// Lets a device in and uses the token up, in one step. The same key with the same token gets the same
    /// answer again, so that a device whose answer was lost is not locked out.
    ///
    /// # Errors
    /// Why it was not let in.
    pub async fn enroll(
        &self,
        token_hash: [u8; 32],
        device: NewDevice,
        now: UnixMillis,
    ) -> Result<Enrolled, EnrollError> {
        // A refusal is an answer and not a failure of the job, hence the nested result.
        self.db
            .write(Reach::All, move |db| match enroll(db, token_hash, &device, now) {
                Err(EnrollError::Store(error)) => Err(error),
                answer => Ok(answer),
            })
            .await?
    }
}

fn enroll(
    db: &Connection,
    token_hash: [u8; 32],
    device: &NewDevice,
    now: UnixMillis,
) -> Result<Enrolled, EnrollError> {
    // Locks the token where others write at the same time, so that it lets one of them in.
    db.prepare_cached(
        "UPDATE enrollment_token SET expires_at_ms = expires_at_ms
         WHERE token_hash = ?1
             AND tenant_id IN (SELECT tenant_id FROM locator WHERE kind = 'enrollment' AND key = ?1)",
    )
    .and_then(|statement| statement.execute([token_hash]))
    .map_err(StoreError::from)?;
    let token = db
        .prepare_cached(
            "SELECT e.tenant_id, e.expires_at_ms, e.used_by, d.key_thumbprint
             FROM locator AS l
             JOIN enrollment_token AS e ON e.tenant_id = l.tenant_id AND e.token_hash = l.key
             LEFT JOIN device AS d ON d.tenant_id = e.tenant_id AND d.device_id = e.used_by
             WHERE l.kind = 'enrollment' AND l.key = ?1",
        )
        .and_then(|statement| {
            statement
                .query_row([token_hash], |row| {
                    let used_by: Option<[u8; 16]> = row.get(2)?;
                    let used_by_key: Option<[u8; 32]> = row.get(3)?;
                    let scope = TenantScope::new(row.get(0)?);
                    Ok((scope, time(row.get(1)?), used_by.zip(used_by_key)))
                })
                .optional()
        })
        .map_err(StoreError::from)?;
    let (scope, expires_at, used) = token.ok_or(EnrollError::Unknown)?;
    let id = match used {
        Some((id, key)) if key == device.key_thumbprint => DeviceId(u128::from_be_bytes(id)),
        Some(_) => return Err(EnrollError::Used),
        None if expires_at <= now => return Err(EnrollError::Expired),
        None => {
            insert(db, scope, token_hash, device, now)?;
            let by = scope.by(Actor::Device(device.id));
            let detail =
                json!({ "token": name(&token_hash), "os": device.os, "model": device.model });
            let entry = Event::new("device.enroll", "device", by.actor().id()).detail(detail);
            audit::append(db, by, entry, now)?;
            let happened = || vec![Happened::device(EventKind::DeviceEnrolled, device.id)];
            event::append(db, scope, now, happened)?;
            device.id
        }
    };
    let tenant = tenant::tenant_row(db, scope)?;
    Ok(Enrolled { scope, device: id, tenant_name: tenant.name, signing_key: tenant.signing_key })
}

/// Names a token to whoever reads the log; nobody gets in by it.
fn name(token_hash: &[u8; 32]) -> String {
    let mut text = hex(token_hash);
    text.truncate(24);
    text
}

fn insert(
    db: &Connection,
    scope: TenantScope,
    token_hash: [u8; 32],
    device: &NewDevice,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let id = device.id.0.to_be_bytes();
    db.prepare_cached(
        "INSERT INTO device (tenant_id, device_id, jwk, key_thumbprint, os, model, device_name,
                             enrolled_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        scope.id(),
        id,
        device.jwk,
        device.key_thumbprint,
        device.os,
        device.model,
        device.device_name,
        ms(now),
    ])?;
    db.prepare_cached(
        "INSERT INTO device_status (tenant_id, device_id, last_seen_at_ms, os_version, app_version,
                                    policy_version, queries, blocked, dropped, alerts_lost)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, 0, 0, 0)",
    )?
    .execute(params![scope.id(), id, ms(now), device.os_version, device.app_version])?;
    db.prepare_cached("INSERT INTO locator (kind, key, tenant_id) VALUES ('device', ?1, ?2)")?
        .execute(params![id, scope.id()])?;
    db.prepare_cached(
        "UPDATE enrollment_token SET used_at_ms = ?3, used_by = ?4
         WHERE tenant_id = ?1 AND token_hash = ?2",
    )?
    .execute(params![scope.id(), token_hash, ms(now), id])?;
    note(db, scope, device.id, DeviceEventKind::Enrolled, ("", ""), now)?;
    device_member::regroup(db, scope, device.id, true)
}
