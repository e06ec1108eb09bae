//! Members' passkeys (WebAuthn): public keys, how often each has signed, and which questions were answered.
//!
//! # What it does not do
//! - Verify a signature: it keeps what the portal verified.
//!
//! # Invariants
//! - A question is answered once, in the same transaction as what the answer is good for.
//! - The count of signatures never goes back; an authenticator whose count does is refused, and that is noted.

use bartizan_model::{TenantId, UnixMillis};
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{count, fresh_id, ms, stored, time};
use crate::db::{Connection, Optional, Reach, params};
use crate::session::{SignInMethod, end_sessions};
use crate::{Actor, MemberId, PasskeyId, Store, StoreError, TenantScope};

/// A passkey of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyRow {
    /// Names it.
    pub id: PasskeyId,
    /// The authenticator's name for it.
    pub credential: Vec<u8>,
    /// The host that it was made for.
    pub site: String,
    /// As its owner calls it.
    pub name: String,
    /// How browsers said that it can be reached: words such as `usb`.
    pub transports: Vec<String>,
    /// Whether copies of it are kept elsewhere, such as in an account of the maker's.
    pub is_backed_up: bool,
    /// When it was added.
    pub created_at: UnixMillis,
    /// When it was last used.
    pub used_at: Option<UnixMillis>,
}

/// A passkey to be.
#[derive(Clone, Debug)]
pub struct NewPasskey {
    /// The authenticator's name for it: 1 to 1,023 octets.
    pub credential: Vec<u8>,
    /// The host that it was made for.
    pub site: String,
    /// A COSE key.
    pub public_key: Vec<u8>,
    /// How often the authenticator has signed; 0 where it does not count.
    pub sign_count: u32,
    /// Whether it is of a kind that may be backed up.
    pub may_be_backed_up: bool,
    /// Whether it is.
    pub is_backed_up: bool,
    /// How it can be reached.
    pub transports: Vec<String>,
    /// As its owner calls it; not empty.
    pub name: String,
}

/// What an answer is checked against.
#[derive(Clone, Debug)]
pub struct PasskeyCredential {
    /// Names it.
    pub id: PasskeyId,
    /// Whose rows the member may see.
    pub scope: TenantScope,
    /// Whose it is.
    pub member: MemberId,
    /// The host that it was made for.
    pub site: String,
    /// A COSE key.
    pub public_key: Vec<u8>,
    /// Whether it is of a kind that may be backed up.
    pub may_be_backed_up: bool,
    /// Whether they may not sign in, whatever they have.
    pub is_disabled: bool,
    /// Whether the organization lets them come in otherwise than by its provider.
    pub may_sign_in: bool,
}

/// A question that is answered.
#[derive(Clone, Copy, Debug)]
pub struct SpentChallenge {
    /// SHA-256 of it.
    pub hash: [u8; 32],
    /// When it could not be answered any more anyway.
    pub expires_at: UnixMillis,
}

/// What came of an answer whose signature holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasskeyUse {
    /// It was taken.
    Taken,
    /// The question was answered before.
    Spent,
    /// The authenticator counts fewer signatures than before: there may be two of it.
    Cloned,
}

/// As many as anybody has devices.
pub const MAX_PASSKEYS: u64 = 20;

impl Store {
    /// Returns a member's passkeys, oldest first.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn passkeys(
        &self,
        scope: TenantScope,
        member: MemberId,
    ) -> Result<Vec<PasskeyRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(
                    "SELECT passkey_id, credential_id, site, name, transports, is_backed_up,
                            created_at_ms, used_at_ms
                     FROM passkey WHERE tenant_id = ?1 AND member_id = ?2 ORDER BY passkey_id",
                )?;
                let rows = statement.query_map(params![scope.id(), member.column()], |row| {
                    Ok(PasskeyRow {
                        id: PasskeyId::of(row.get(0)?),
                        credential: row.get(1)?,
                        site: row.get(2)?,
                        name: row.get(3)?,
                        transports: words(&row.get::<String>(4)?),
                        is_backed_up: row.get(5)?,
                        created_at: time(row.get(6)?),
                        used_at: row.get::<Option<i64>>(7)?.map(time),
                    })
                })?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Adds a passkey of a member; the session in which they did so counts as begun with it.
    ///
    /// # Errors
    /// [`StoreError::Full`] at [`MAX_PASSKEYS`]; [`StoreError::Conflict`] if the credential is known or the question was
    /// answered before.
    pub async fn add_passkey(
        &self,
        scope: TenantScope,
        member: MemberId,
        passkey: NewPasskey,
        challenge: SpentChallenge,
        session_hash: [u8; 32],
        now: UnixMillis,
    ) -> Result<PasskeyId, StoreError> {
        self.db
            .write(scope, move |db| {
                if !spend(db, scope, challenge, now)? {
                    return Err(StoreError::Conflict { what: "answer" });
                }
                if MAX_PASSKEYS <= number(db, scope, member)? {
                    return Err(StoreError::Full { what: "passkeys", limit: MAX_PASSKEYS });
                }
                let id = PasskeyId::of(fresh_id(now)?);
                let result = db
                    .prepare_cached(
                        "INSERT INTO passkey (tenant_id, passkey_id, credential_id, member_id, site,
                                              public_key, sign_count, may_be_backed_up, is_backed_up,
                                              transports, name, created_at_ms)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
                    )?
                    .execute(params![
                        scope.id(),
                        id.octets(),
                        passkey.credential,
                        member.column(),
                        passkey.site,
                        passkey.public_key,
                        passkey.sign_count,
                        passkey.may_be_backed_up,
                        passkey.is_backed_up,
                        passkey.transports.join(" "),
                        passkey.name,
                        ms(now)
                    ]);
                stored(result, "passkey")?;
                db.prepare_cached(
                    "UPDATE session SET method = ?4
                     WHERE tenant_id = ?1 AND member_id = ?2 AND token_hash = ?3
                         AND method = 'password'",
                )?
                .execute(params![
                    scope.id(),
                    member.column(),
                    session_hash,
                    SignInMethod::PasswordAndPasskey.word()
                ])?;
                note(db, scope, "passkey.add", member, id, &passkey.name, now)?;
                Ok(id)
            })
            .await
    }

    /// Calls a passkey of a member otherwise.
    ///
    /// # Errors
    /// They have no such passkey.
    pub async fn rename_passkey(
        &self,
        scope: TenantScope,
        member: MemberId,
        id: PasskeyId,
        name: String,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                if name_of(db, scope, member, id)? == name {
                    return Ok(());
                }
                db.prepare_cached(
                    "UPDATE passkey SET name = ?3 WHERE tenant_id = ?1 AND passkey_id = ?2",
                )?
                .execute(params![scope.id(), id.octets(), name])?;
                note(db, scope, "passkey.rename", member, id, &name, now)
            })
            .await
    }

    /// Removes a member's own passkey.
    ///
    /// # Errors
    /// They have no such passkey; [`StoreError::Conflict`] if nothing else would let them in.
    pub async fn remove_passkey(
        &self,
        scope: TenantScope,
        member: MemberId,
        id: PasskeyId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let name = name_of(db, scope, member, id)?;
                if number(db, scope, member)? == 1 && !comes_in_otherwise(db, scope, member)? {
                    return Err(StoreError::Conflict { what: "only way to sign in" });
                }
                db.prepare_cached("DELETE FROM passkey WHERE tenant_id = ?1 AND passkey_id = ?2")?
                    .execute(params![scope.id(), id.octets()])?;
                note(db, scope, "passkey.remove", member, id, &name, now)
            })
            .await
    }

    /// Takes all passkeys of another member away and ends their sessions; returns how many there were.
    ///
    /// # Errors
    /// They have none.
    pub async fn remove_passkeys(
        &self,
        scope: TenantScope,
        member: MemberId,
        now: UnixMillis,
    ) -> Result<usize, StoreError> {
        self.db
            .write(scope, move |db| {
                let removed = forget(db, scope, member)?;
                if removed == 0 {
                    return Err(StoreError::NotFound { what: "passkey" });
                }
                end_sessions(db, scope, member)?;
                let event = Event::new("passkey.remove-all", "member", member)
                    .detail(json!({ "passkeys": removed }));
                audit::append(db, scope, event, now)?;
                Ok(removed)
            })
            .await
    }

    /// Finds a passkey by what an answer says of itself; nothing of that is proven yet.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn passkey(
        &self,
        tenant: TenantId,
        member: MemberId,
        credential: Vec<u8>,
    ) -> Result<Option<PasskeyCredential>, StoreError> {
        let scope = TenantScope::new(tenant.0).by(Actor::Member(member));
        self.db
            .read(Reach::All, move |db| {
                let row = db
                    .prepare_cached(
                        "SELECT p.passkey_id, p.site, p.public_key, p.may_be_backed_up,
                                m.disabled_at_ms IS NOT NULL,
                                (m.break_glass = 1 OR coalesce(s.local_passwords, 1) = 1)
                         FROM passkey AS p
                         JOIN member AS m ON m.tenant_id = p.tenant_id AND m.member_id = p.member_id
                         LEFT JOIN sign_in_rule AS s ON s.tenant_id = p.tenant_id
                         WHERE p.tenant_id = ?1 AND p.credential_id = ?2 AND p.member_id = ?3",
                    )?
                    .query_row(params![scope.id(), credential, member.column()], |row| {
                        Ok(PasskeyCredential {
                            id: PasskeyId::of(row.get(0)?),
                            scope,
                            member,
                            site: row.get(1)?,
                            public_key: row.get(2)?,
                            may_be_backed_up: row.get(3)?,
                            is_disabled: row.get(4)?,
                            may_sign_in: row.get(5)?,
                        })
                    });
                Ok(row.optional()?)
            })
            .await
    }

    /// Takes an answer of a passkey whose signature holds.
    ///
    /// # Errors
    /// There is no such passkey any more.
    pub async fn use_passkey(
        &self,
        passkey: &PasskeyCredential,
        sign_count: u32,
        is_backed_up: bool,
        challenge: SpentChallenge,
        now: UnixMillis,
    ) -> Result<PasskeyUse, StoreError> {
        let (scope, member, id) = (passkey.scope, passkey.member, passkey.id);
        self.db
            .write(scope, move |db| {
                if !spend(db, scope, challenge, now)? {
                    return Ok(PasskeyUse::Spent);
                }
                let (kept, name): (u32, String) = db
                    .prepare_cached(
                        "SELECT sign_count, name FROM passkey
                         WHERE tenant_id = ?1 AND passkey_id = ?2 AND member_id = ?3",
                    )?
                    .query_row(params![scope.id(), id.octets(), member.column()], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })
                    .optional()?
                    .ok_or(StoreError::NotFound { what: "passkey" })?;
                // Whoever does not count says 0 always (WebAuthn §6.1.1).
                let counts = sign_count != 0 || kept != 0;
                if counts && sign_count <= kept {
                    let subject = member.to_string();
                    let event = Event::new("passkey.refuse", "member", member)
                        .detail(json!({
                            "passkey": id.to_string(),
                            "sign_count": sign_count,
                            "sign_count_before": kept,
                        }))
                        .of_person(&subject, json!({ "passkey_name": name }));
                    audit::append(db, scope, event, now)?;
                    return Ok(PasskeyUse::Cloned);
                }
                db.prepare_cached(
                    "UPDATE passkey SET sign_count = ?3, is_backed_up = ?4, used_at_ms = ?5
                     WHERE tenant_id = ?1 AND passkey_id = ?2",
                )?
                .execute(params![
                    scope.id(),
                    id.octets(),
                    sign_count,
                    is_backed_up,
                    ms(now)
                ])?;
                Ok(PasskeyUse::Taken)
            })
            .await
    }
}

/// Removes a member's passkeys; returns how many that were.
pub(crate) fn forget(
    db: &Connection,
    scope: TenantScope,
    member: MemberId,
) -> Result<usize, StoreError> {
    let forgotten = db
        .prepare_cached("DELETE FROM passkey WHERE tenant_id = ?1 AND member_id = ?2")?
        .execute(params![scope.id(), member.column()])?;
    Ok(forgotten)
}

/// Notes that a question is answered; `false` if it was before. It is remembered until it is too old anyway.
fn spend(
    db: &Connection,
    scope: TenantScope,
    challenge: SpentChallenge,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    db.prepare_cached("DELETE FROM spent_challenge WHERE tenant_id = ?1 AND expires_at_ms <= ?2")?
        .execute(params![scope.id(), ms(now)])?;
    let is_new = db
        .prepare_cached(
            "INSERT INTO spent_challenge (tenant_id, challenge_hash, expires_at_ms)
             VALUES (?1, ?2, ?3) ON CONFLICT (tenant_id, challenge_hash) DO NOTHING",
        )?
        .execute(params![scope.id(), challenge.hash, ms(challenge.expires_at)])?;
    Ok(is_new != 0)
}

fn number(db: &Connection, scope: TenantScope, member: MemberId) -> Result<u64, StoreError> {
    let there: i64 = db
        .prepare_cached("SELECT count(*) FROM passkey WHERE tenant_id = ?1 AND member_id = ?2")?
        .query_row(params![scope.id(), member.column()], |row| row.get(0))?;
    Ok(count(there))
}

/// Whether a member has a password, or a provider has vouched for them.
fn comes_in_otherwise(
    db: &Connection,
    scope: TenantScope,
    member: MemberId,
) -> Result<bool, StoreError> {
    Ok(db
        .prepare_cached(
            "SELECT 1 FROM member AS m WHERE m.tenant_id = ?1 AND m.member_id = ?2
                 AND (m.password_hash <> '' OR EXISTS (SELECT 1 FROM member_identity AS i
                      WHERE i.tenant_id = m.tenant_id AND i.member_id = m.member_id))",
        )?
        .exists(params![scope.id(), member.column()])?)
}

fn name_of(
    db: &Connection,
    scope: TenantScope,
    member: MemberId,
    id: PasskeyId,
) -> Result<String, StoreError> {
    db.prepare_cached(
        "SELECT name FROM passkey WHERE tenant_id = ?1 AND member_id = ?2 AND passkey_id = ?3",
    )?
    .query_row(params![scope.id(), member.column(), id.octets()], |row| row.get(0))
    .optional()?
    .ok_or(StoreError::NotFound { what: "passkey" })
}

/// The name is its owner's word, and goes with them.
fn note(
    db: &Connection,
    scope: TenantScope,
    action: &'static str,
    member: MemberId,
    id: PasskeyId,
    name: &str,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let subject = member.to_string();
    let event = Event::new(action, "member", member)
        .detail(json!({ "passkey": id.to_string() }))
        .of_person(&subject, json!({ "passkey_name": name }));
    audit::append(db, scope, event, now)
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
