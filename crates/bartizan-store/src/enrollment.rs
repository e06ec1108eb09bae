//! Enrollment: a token lets one device in, once, if the organization's rule does.
//!
//! # Invariants
//! - What the rule refuses leaves the token as it is: it lets the device in once the reason is gone.
//! - A device that enrolls again takes the place of its earlier record: of one with the same key, or with the same
//!   hardware and the same person. The earlier one is refused from then on, keeps its alerts and history, and leads to
//!   the later one. What a stranger says of their hardware ousts nobody.

use std::collections::BTreeMap;

use bartizan_model::{DeviceId, Private, UnixMillis};
use serde_json::json;

use crate::audit::{self, Event, hex};
use crate::column::{ms, time};
use crate::db::{Connection, Optional, Reach, params};
use crate::device_event::{DeviceEventKind, note};
use crate::event::{self, EventKind, Happened};
use crate::{
    Actor, Attestation, OsVersion, PersonId, Store, StoreError, TenantScope, device_member,
    enrollment_rule, person, policy_use, tenant,
};

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
    /// What it says of the hardware or installation that it is; may be empty.
    pub hardware_id: String,
    /// Whether it says that several people use it.
    pub is_shared: bool,
    /// What vouches for its key; an error says why what the device sent does not.
    pub attestation: Result<Attestation, String>,
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
    /// The organization is suspended.
    #[error("this organization is suspended; ask whoever runs the portal")]
    Suspended,
    /// The organization lets nobody in this way.
    #[error("this organization does not let devices in this way; ask your administrator")]
    WayClosed,
    /// The person is not active.
    #[error("your account is not active; ask your administrator")]
    InactiveUser,
    /// The person has no license.
    #[error("you have no license for this protection; ask your administrator for one")]
    NoLicense,
    /// The device is nobody's, or shared.
    #[error("this organization does not let in devices that are shared or belong to no user")]
    NoUser,
    /// Its system is older than what is protected.
    #[error("this system is no longer supported; update it to version {minimum} or later")]
    OldSystem {
        /// The oldest that is.
        minimum: OsVersion,
    },
    /// Nothing vouches for its key.
    #[error(
        "this organization lets in only devices whose key App Attest vouches for; ask your administrator"
    )]
    NoAttestation,
    /// What is to vouch for its key does not.
    #[error("the attestation of this device's key does not hold: {reason}")]
    BadAttestation {
        /// What is wrong with it.
        reason: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EnrollError {
    /// In a word, where the organization's rule refused a device; after it, what there is to say beside.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let word = match self {
            Self::WayClosed => "way-closed",
            Self::InactiveUser => "inactive-user",
            Self::NoLicense => "no-license",
            Self::NoUser => "no-user",
            Self::OldSystem { .. } => "old-system",
            Self::NoAttestation => "no-attestation",
            Self::BadAttestation { reason } => return Some(format!("bad-attestation {reason}")),
            Self::Unknown | Self::Used | Self::Expired | Self::Suspended | Self::Store(_) => {
                return None;
            }
        };
        Some(word.to_owned())
    }
}

/// How a device is let in, and whose it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    pub(crate) owner: Option<PersonId>,
    pub(crate) by_code: bool,
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
                let pass = Pass { owner: None, by_code: false };
                insert_token(db, scope, token_hash, pass, expires_at, now)?;
                let event =
                    Event::new("enrollment-token.create", "enrollment-token", name(&token_hash))
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
            "SELECT e.tenant_id, e.expires_at_ms, e.used_by, d.key_thumbprint, e.person_id, e.way
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
                    let owner: Option<[u8; 16]> = row.get(4)?;
                    let by_code = row.get::<String>(5)? == "code";
                    let pass = Pass { owner: owner.map(PersonId::of), by_code };
                    Ok((scope, time(row.get(1)?), used_by.zip(used_by_key), pass))
                })
                .optional()
        })
        .map_err(StoreError::from)?;
    let (scope, expires_at, used, pass) = token.ok_or(EnrollError::Unknown)?;
    if tenant::is_suspended(db, scope)? {
        return Err(EnrollError::Suspended);
    }
    let id = match used {
        Some((id, key)) if key == device.key_thumbprint => DeviceId(u128::from_be_bytes(id)),
        Some(_) => return Err(EnrollError::Used),
        None if expires_at <= now => return Err(EnrollError::Expired),
        None => {
            let Pass { owner, by_code } = pass;
            let judged = enrollment_rule::judge(db, scope, device, owner, by_code, now);
            let attestation = match judged {
                Ok(attestation) => attestation,
                Err(refusal) => {
                    if let Some(reason) = refusal.reason() {
                        enrollment_rule::note_refusal(db, scope, device, owner, &reason, now)?;
                    }
                    return Err(refusal);
                }
            };
            insert(db, scope, (token_hash, attestation), device, now)?;
            if let Some(owner) = owner {
                belong(db, scope, device.id, owner)?;
            }
            replace_earlier(db, scope, device, now)?;
            device_member::regroup(db, scope, device.id, true)?;
            let by = scope.by(Actor::Device(device.id));
            let detail = json!({
                "token": name(&token_hash),
                "os": device.os,
                "model": device.model,
                "attestation": attestation.word(),
            });
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

/// Names a token or a code to whoever reads the log; nobody gets in by it.
pub(crate) fn name(token_hash: &[u8; 32]) -> String {
    let mut text = hex(token_hash);
    text.truncate(24);
    text
}

fn insert(
    db: &Connection,
    scope: TenantScope,
    (token_hash, attestation): ([u8; 32], Attestation),
    device: &NewDevice,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let id = device.id.0.to_be_bytes();
    db.prepare_cached(
        "INSERT INTO device (tenant_id, device_id, jwk, key_thumbprint, os, model, device_name,
                             enrolled_at_ms, hardware_id, shared, attestation, attested_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
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
        device.hardware_id,
        device.is_shared,
        attestation.word(),
        (attestation != Attestation::None).then(|| ms(now)),
    ])?;
    db.prepare_cached(
        "INSERT INTO device_status (tenant_id, device_id, last_seen_at_ms, os_version, app_version,
                                    policy_version, queries, blocked, dropped, alerts_lost)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, 0, 0, 0)",
    )?
    .execute(params![scope.id(), id, ms(now), device.os_version, device.app_version])?;
    policy_use::shift(db, scope, &BTreeMap::from([(0, 1)]))?;
    db.prepare_cached("INSERT INTO locator (kind, key, tenant_id) VALUES ('device', ?1, ?2)")?
        .execute(params![id, scope.id()])?;
    db.prepare_cached(
        "UPDATE enrollment_token SET used_at_ms = ?3, used_by = ?4
         WHERE tenant_id = ?1 AND token_hash = ?2",
    )?
    .execute(params![scope.id(), token_hash, ms(now), id])?;
    note(db, scope, device.id, DeviceEventKind::Enrolled, ("", ""), now)
}

/// Says whose a device is.
fn belong(
    db: &Connection,
    scope: TenantScope,
    device: DeviceId,
    owner: PersonId,
) -> Result<(), StoreError> {
    let facts = person::one(db, scope, owner)?.facts;
    let address = facts.address().map(person::folded).unwrap_or_default();
    db.prepare_cached("UPDATE device SET owner = ?3 WHERE tenant_id = ?1 AND device_id = ?2")?
        .execute(params![scope.id(), device.0.to_be_bytes(), address])?;
    Ok(())
}

/// Takes the earlier records of a device out.
fn replace_earlier(
    db: &Connection,
    scope: TenantScope,
    device: &NewDevice,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let id = device.id.0.to_be_bytes();
    let statement = db.prepare_cached(
        "SELECT device_id FROM device
         WHERE tenant_id = ?1 AND key_thumbprint = ?3 AND device_id <> ?2
             AND offboarded_at_ms IS NULL AND forgotten_at_ms IS NULL
         UNION SELECT e.device_id FROM device AS e
         JOIN device AS d ON d.tenant_id = e.tenant_id AND d.device_id = ?2
         WHERE e.tenant_id = ?1 AND e.hardware_id = ?4 AND ?4 <> '' AND e.device_id <> ?2
             AND e.owner = d.owner AND e.owner <> ''
             AND e.offboarded_at_ms IS NULL AND e.forgotten_at_ms IS NULL",
    )?;
    let earlier: Vec<[u8; 16]> = statement
        .query_map(params![scope.id(), id, device.key_thumbprint, device.hardware_id], |row| {
            row.get(0)
        })?
        .collect::<crate::db::Result<_>>()?;
    for old in earlier {
        policy_use::leave(db, scope, DeviceId(u128::from_be_bytes(old)))?;
        db.prepare_cached(
            "UPDATE device SET offboarded_at_ms = ?3, replaced_by = ?4
             WHERE tenant_id = ?1 AND device_id = ?2",
        )?
        .execute(params![scope.id(), old, ms(now), id])?;
        let old = DeviceId(u128::from_be_bytes(old));
        note(db, scope, old, DeviceEventKind::Offboarded, ("", "Enrolled again"), now)?;
    }
    Ok(())
}

pub(crate) fn insert_token(
    db: &Connection,
    scope: TenantScope,
    token_hash: [u8; 32],
    pass: Pass,
    expires_at: UnixMillis,
    now: UnixMillis,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO enrollment_token (tenant_id, token_hash, created_at_ms, expires_at_ms,
                                       person_id, way)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        scope.id(),
        token_hash,
        ms(now),
        ms(expires_at),
        pass.owner.map(PersonId::octets),
        if pass.by_code { "code" } else { "token" },
    ])?;
    db.prepare_cached("INSERT INTO locator (kind, key, tenant_id) VALUES ('enrollment', ?1, ?2)")?
        .execute(params![token_hash, scope.id()])?;
    Ok(())
}
