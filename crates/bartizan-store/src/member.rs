//! Members of an organization: who may look at the console.

use std::fmt;
use std::str::FromStr;

use bartizan_model::{Private, UnixMillis};
use serde_json::json;
use uuid::Uuid;

use crate::audit::{self, Event};
use crate::column::{found, fresh_id, ms, time};
use crate::db::{Connection, Reach, params};
use crate::session::end_sessions;
use crate::{Actor, RowIdError, Store, StoreError, TenantScope, role};

/// A member: a `UUIDv7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberId(pub u128);

impl MemberId {
    pub(crate) fn column(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    pub(crate) fn of_column(column: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(column))
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u128(self.0).hyphenated().fmt(out)
    }
}

impl FromStr for MemberId {
    type Err = RowIdError;

    fn from_str(text: &str) -> Result<Self, RowIdError> {
        let id = Uuid::try_parse(text).map(|id| Self(id.as_u128())).map_err(|_| RowIdError)?;
        // Accept only the one spelling we write.
        if id.to_string() == text { Ok(id) } else { Err(RowIdError) }
    }
}

/// Who is to be let in, with a password that holds until they choose their own.
#[derive(Clone, Debug)]
pub struct NewMember {
    /// Any case; compared without it.
    pub email: String,
    /// Argon2id, as a PHC string.
    pub password_hash: Private<String>,
    /// When that password ceases to be good.
    pub one_time_expires_at: UnixMillis,
    /// Ids of the roles they are to have.
    pub roles: Vec<String>,
}

/// What signing in is checked against.
#[derive(Clone, Debug)]
pub struct MemberCredential {
    /// Whose rows the member may see.
    pub scope: TenantScope,
    /// The member.
    pub id: MemberId,
    /// Argon2id, as a PHC string.
    pub password_hash: Private<String>,
    /// Set while the password is a one-time one.
    pub one_time_expires_at: Option<UnixMillis>,
    /// Whether they may not sign in, whatever they know.
    pub is_disabled: bool,
    /// Whether the organization lets them come in by a password.
    pub may_use_password: bool,
    /// Whether the organization is suspended.
    pub is_suspended: bool,
}

impl Store {
    /// Adds a member with a one-time password, or gives an existing one such a password, lets them in again if they were
    /// disabled, and ends their sessions. They have the roles beside those that they had.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn invite_member(
        &self,
        scope: TenantScope,
        member: NewMember,
        now: UnixMillis,
    ) -> Result<MemberId, StoreError> {
        self.db
            .write(scope, move |db| {
                let email = folded(&member.email);
                let name = name_of(&email).to_owned();
                let id: [u8; 16] = db
                    .prepare_cached(
                        "INSERT INTO member (tenant_id, member_id, email, name, password_hash,
                                             one_time_expires_at_ms, created_at_ms)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                         ON CONFLICT (tenant_id, email) DO UPDATE SET
                             password_hash = excluded.password_hash,
                             one_time_expires_at_ms = excluded.one_time_expires_at_ms,
                             disabled_at_ms = NULL
                         RETURNING member_id",
                    )?
                    .query_row(
                        params![
                            scope.id(),
                            fresh_id(now)?,
                            email,
                            name,
                            member.password_hash.0,
                            ms(member.one_time_expires_at),
                            ms(now),
                        ],
                        |row| row.get(0),
                    )?;
                db.prepare_cached(
                    "INSERT INTO locator (kind, key, tenant_id) VALUES ('member', ?1, ?2)
                     ON CONFLICT DO NOTHING",
                )?
                .execute(params![email.as_bytes(), scope.id()])?;
                let id = MemberId::of_column(id);
                end_sessions(db, scope, id)?;
                role::give(db, scope, id, &member.roles)?;
                let subject = id.to_string();
                let event = Event::new("member.invite", "member", id)
                    .detail(json!({ "roles": member.roles.join(" ") }))
                    .of_person(&subject, json!({ "email": email }));
                audit::append(db, scope, event, now)?;
                Ok(id)
            })
            .await
    }

    /// Finds who may be signing in: one credential for each tenant that knows the address.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn members_by_email(&self, email: &str) -> Result<Vec<MemberCredential>, StoreError> {
        self.credentials_by_email(email, false).await
    }

    /// Finds who may be signing in as an operator of the installation, which no tenant's member is.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn operators_by_name(&self, name: &str) -> Result<Vec<MemberCredential>, StoreError> {
        self.credentials_by_email(name, true).await
    }

    async fn credentials_by_email(
        &self,
        email: &str,
        of_installation: bool,
    ) -> Result<Vec<MemberCredential>, StoreError> {
        let email = folded(email);
        self.db
            .read(Reach::All, move |db| {
                let statement = db.prepare_cached(
                    "SELECT m.tenant_id, m.member_id, m.password_hash, m.one_time_expires_at_ms,
                            m.disabled_at_ms IS NOT NULL,
                            (m.break_glass = 1 OR coalesce(s.local_passwords, 1) = 1),
                            t.suspended_at_ms IS NOT NULL
                     FROM locator AS l
                     JOIN tenant AS t ON t.tenant_id = l.tenant_id
                     JOIN member AS m ON m.tenant_id = l.tenant_id AND m.email = ?2
                     LEFT JOIN sign_in_rule AS s ON s.tenant_id = l.tenant_id
                     WHERE l.kind = 'member' AND l.key = ?1
                         AND CASE WHEN l.tenant_id = 0 THEN 1 ELSE 0 END = ?3",
                )?;
                let key = params![email.as_bytes(), email, of_installation];
                let rows = statement.query_map(key, |row| {
                    let id = MemberId::of_column(row.get(1)?);
                    Ok(MemberCredential {
                        scope: TenantScope::new(row.get(0)?).by(Actor::Member(id)),
                        id,
                        password_hash: Private(row.get(2)?),
                        one_time_expires_at: row.get::<Option<i64>>(3)?.map(time),
                        is_disabled: row.get(4)?,
                        may_use_password: row.get(5)?,
                        is_suspended: row.get(6)?,
                    })
                })?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Returns a member's password hash, to check the old password against.
    ///
    /// # Errors
    /// There is no such member.
    pub async fn password_hash(
        &self,
        scope: TenantScope,
        member: MemberId,
    ) -> Result<Private<String>, StoreError> {
        self.db
            .read(scope, move |db| {
                let row = db
                    .prepare_cached(
                        "SELECT password_hash FROM member WHERE tenant_id = ?1 AND member_id = ?2",
                    )?
                    .query_row(params![scope.id(), member.column()], |row| row.get(0));
                found(row, "member").map(Private)
            })
            .await
    }

    /// Sets the password a member chose, and ends all their sessions.
    ///
    /// # Errors
    /// There is no such member.
    pub async fn set_password(
        &self,
        scope: TenantScope,
        member: MemberId,
        password_hash: Private<String>,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                set_password(db, scope, member, &password_hash)?;
                audit::append(db, scope, Event::new("member.password", "member", member), now)
            })
            .await
    }
}

fn set_password(
    db: &Connection,
    scope: TenantScope,
    member: MemberId,
    password_hash: &Private<String>,
) -> Result<(), StoreError> {
    let changed = db
        .prepare_cached(
            "UPDATE member SET password_hash = ?3, one_time_expires_at_ms = NULL
             WHERE tenant_id = ?1 AND member_id = ?2",
        )?
        .execute(params![scope.id(), member.column(), password_hash.0])?;
    if changed == 0 {
        return Err(StoreError::NotFound { what: "member" });
    }
    end_sessions(db, scope, member)
}

/// ASCII only: what SQLite's `lower` does, and all that mail systems agree on.
pub(crate) fn folded(email: &str) -> String {
    email.trim().to_ascii_lowercase()
}

/// Until they say otherwise, people are known by what stands before the @.
pub(crate) fn name_of(email: &str) -> &str {
    email.split('@').next().unwrap_or_default()
}
