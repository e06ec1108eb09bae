//! Enrollment: a token lets one device in, once, if the organization's rule does.
//!
//! # What it does not do
//! - Let devices in: that is done for many together, by [`crate::enrolling`].

use std::collections::BTreeMap;

use bartizan_model::{DeviceId, Private, UnixMillis};
use serde_json::json;

use crate::audit::{self, Event, hex};
use crate::column::ms;
use crate::db::{Connection, Value, execute_many, query_many};
use crate::enrolling::{Asking, let_in};
use crate::gather::Outcomes;
use crate::{Attestation, OsVersion, PersonId, Store, StoreError, TenantScope};

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

/// How a token lets a device in, and whose that is to be.
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
        self.create_enrollment_tokens(scope, vec![token_hash], expires_at, now).await
    }

    /// Remembers several at once.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn create_enrollment_tokens(
        &self,
        scope: TenantScope,
        token_hashes: Vec<[u8; 32]>,
        expires_at: UnixMillis,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let pass = Pass { owner: None, by_code: false };
                insert_tokens(db, scope, &token_hashes, pass, expires_at, now)?;
                let event = |hash| {
                    let event =
                        Event::new("enrollment-token.create", "enrollment-token", name(hash));
                    (scope, event.detail(json!({ "expires_at_ms": expires_at.0 })))
                };
                let events = token_hashes.iter().map(event).collect();
                audit::append_many(db, scope, events, now)
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
        let giver = self.tokens.look_up(&self.db, token_hash, givers).await?;
        let scope = giver.ok_or(EnrollError::Unknown)?;
        let asking = Asking { token_hash, device, now };
        // A refusal is an answer and not a failure of the job, hence the nested result.
        self.enrollments.submit(&self.db, scope, asking, let_in).await?
    }
}

/// Names a token or a code to whoever reads the log; nobody gets in by it.
pub(crate) fn name(token_hash: &[u8; 32]) -> String {
    let mut text = hex(token_hash);
    text.truncate(24);
    text
}

/// Returns the organizations that gave out some tokens, used up or not; nothing for a token that none did.
fn givers(
    db: &Connection,
    tokens: Vec<[u8; 32]>,
) -> Result<Outcomes<Option<TenantScope>>, StoreError> {
    let keys: Vec<_> = tokens.iter().map(|token| vec![Value::from(*token)]).collect();
    let mut found = BTreeMap::new();
    query_many(
        db,
        "WITH k (key) AS (",
        &keys,
        ") SELECT k.key, (SELECT l.tenant_id FROM locator AS l
                          WHERE l.kind = 'enrollment' AND l.key = k.key)
           FROM k",
        &[],
        |rows| {
            while let Some(row) = rows.next()? {
                let tenant: Option<i64> = row.get(1)?;
                found.insert(row.get::<[u8; 32]>(0)?, tenant.map(TenantScope::new));
            }
            Ok(())
        },
    )?;
    Ok(tokens.iter().map(|token| Ok(found.get(token).copied().flatten())).collect())
}

/// Remembers a token that was given out.
pub(crate) fn insert_token(
    db: &Connection,
    scope: TenantScope,
    token_hash: [u8; 32],
    pass: Pass,
    expires_at: UnixMillis,
    now: UnixMillis,
) -> Result<(), StoreError> {
    insert_tokens(db, scope, &[token_hash], pass, expires_at, now)
}

fn insert_tokens(
    db: &Connection,
    scope: TenantScope,
    token_hashes: &[[u8; 32]],
    pass: Pass,
    expires_at: UnixMillis,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let row = |hash: &[u8; 32]| {
        vec![
            scope.id().into(),
            (*hash).into(),
            ms(now).into(),
            ms(expires_at).into(),
            pass.owner.map(PersonId::octets).into(),
            if pass.by_code { "code" } else { "token" }.into(),
        ]
    };
    let rows: Vec<_> = token_hashes.iter().map(row).collect();
    execute_many(
        db,
        "INSERT INTO enrollment_token (tenant_id, token_hash, created_at_ms, expires_at_ms,
                                       person_id, way)",
        &rows,
        "",
        &[],
    )?;
    let locate = |hash: &[u8; 32]| vec!["enrollment".into(), (*hash).into(), scope.id().into()];
    let rows: Vec<_> = token_hashes.iter().map(locate).collect();
    execute_many(db, "INSERT INTO locator (kind, key, tenant_id)", &rows, "", &[])?;
    Ok(())
}
