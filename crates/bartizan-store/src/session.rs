//! Sessions of the console: reference tokens, of which only the hash is kept.

use std::fmt;
use std::time::Duration;

use bartizan_model::UnixMillis;

use crate::audit::{self, Event, hex};
use crate::column::{ms, time, word};
use crate::db::{Connection, Optional, Reach, params};
use crate::sight::{self, Allowed};
use crate::tenant;
use crate::{
    Actor, BuiltIn, MemberId, Permission, Permissions, Sight, Store, StoreError, TenantScope,
};

/// A session to be.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Who signed in.
    pub member: MemberId,
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
    /// When it ends, whatever happens.
    pub expires_at: UnixMillis,
    /// As the browser calls itself.
    pub agent: String,
    /// How they showed who they are.
    pub method: SignInMethod,
    /// What the provider calls them, where it vouched for them.
    pub vouched: Option<Vouched>,
}

/// How somebody showed who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInMethod {
    /// By a password alone.
    Password,
    /// By a password and a second factor.
    SecondFactor,
    /// By a passkey alone, which saw to it that it was they.
    Passkey,
    /// By a password and a passkey.
    PasswordAndPasskey,
    /// The organization's provider vouched for them.
    Provider,
    /// An operator of the installation, who signed in there.
    Operator,
}

impl SignInMethod {
    const ALL: [Self; 6] = [
        Self::Password,
        Self::SecondFactor,
        Self::Passkey,
        Self::PasswordAndPasskey,
        Self::Provider,
        Self::Operator,
    ];

    /// Its word, as it is stored.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::SecondFactor => "second-factor",
            Self::Passkey => "passkey",
            Self::PasswordAndPasskey => "password-passkey",
            Self::Provider => "provider",
            Self::Operator => "operator",
        }
    }

    /// As people read it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Password => "by password",
            Self::SecondFactor => "by password and second factor",
            Self::Passkey => "by passkey",
            Self::PasswordAndPasskey => "by password and passkey",
            Self::Provider => "by the organization's provider",
            Self::Operator => "as an operator of the installation",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.word() == word)
    }
}

/// A session's names at the provider (OpenID Connect Back-Channel Logout 1.0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// `sub`.
    pub subject: String,
    /// `sid`, where the provider gives one.
    pub session: Option<String>,
}

/// Names a session to whoever may see it; nobody gets in by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionId(String);

impl SessionId {
    /// Names the session of a token by its hash's beginning.
    #[must_use]
    pub fn of(token_hash: &[u8; 32]) -> Self {
        let mut text = hex(token_hash);
        text.truncate(24);
        Self(text)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// An open session, as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSessionRow {
    /// Names it.
    pub id: SessionId,
    /// When it began.
    pub created_at: UnixMillis,
    /// When it was last used.
    pub last_seen_at: UnixMillis,
    /// When it ends, whatever happens.
    pub expires_at: UnixMillis,
    /// Where it began; empty where that is not known.
    pub address: String,
    /// As the browser called itself.
    pub agent: String,
    /// How they showed who they are.
    pub method: SignInMethod,
}

/// A session that stands, with whom it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Whose rows the member may see.
    pub scope: TenantScope,
    /// The tenant's name.
    pub tenant_name: String,
    /// The member.
    pub member: MemberId,
    /// Their address.
    pub email: String,
    /// As people know them.
    pub member_name: String,
    /// Whether the password is a one-time one, which must be replaced first.
    pub must_set_password: bool,
    /// What they may do, by all of their roles.
    pub permissions: Permissions,
    /// Of these, with every device.
    pub(crate) whole: Permissions,
    /// How they showed who they are.
    pub method: SignInMethod,
    /// Whether they have to set up a second factor before they go on.
    pub needs_second_factor: bool,
    /// When it was last used.
    pub last_seen_at: UnixMillis,
    /// When it ends, whatever happens.
    pub expires_at: UnixMillis,
    /// Set where an operator of the installation is in.
    pub visit: Option<Visit>,
}

/// Why an operator is in a tenant, and what they may do there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// One of those that every organization has.
    pub role: BuiltIn,
    /// In their words.
    pub reason: String,
}

impl SessionRow {
    /// What they see where they need a permission.
    #[must_use]
    pub fn sight(&self, permission: Permission) -> Sight {
        Sight::of_member(self.scope, self.member, permission, self.whole)
    }
}

impl Store {
    /// Begins a session, and forgets those of the tenant that are over. A suspended tenant has none begun: returns whether
    /// there is one.
    ///
    /// # Errors
    /// There is no such member.
    pub async fn create_session(
        &self,
        scope: TenantScope,
        session: NewSession,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        self.db
            .write(scope, move |db| {
                if tenant::is_suspended(db, scope)? {
                    return Ok(false);
                }
                insert(db, scope, &session, now)?;
                Ok(true)
            })
            .await
    }

    /// Finds the session with this token, if it has neither expired nor been idle for too long.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn session(
        &self,
        token_hash: [u8; 32],
        idle_limit: Duration,
        now: UnixMillis,
    ) -> Result<Option<SessionRow>, StoreError> {
        self.find_session(token_hash, idle_limit, false, now).await
    }

    /// Finds a session of a tenant's, or, `of_installation`, of an operator's own: never one for the other.
    pub(crate) async fn find_session(
        &self,
        token_hash: [u8; 32],
        idle_limit: Duration,
        of_installation: bool,
        now: UnixMillis,
    ) -> Result<Option<SessionRow>, StoreError> {
        let idle_limit_ms = i64::try_from(idle_limit.as_millis()).unwrap_or(i64::MAX);
        let idle_since = ms(now).saturating_sub(idle_limit_ms);
        self.db
            .read(Reach::All, move |db| {
                let row = db
                    .prepare_cached(
                        "SELECT s.tenant_id, t.name, s.member_id, m.email, m.name,
                                m.one_time_expires_at_ms IS NOT NULL, s.last_seen_at_ms, s.expires_at_ms,
                                s.method, coalesce(r.second_factor, 0), s.operator_role,
                                s.operator_reason
                         FROM locator AS l
                         JOIN session AS s ON s.tenant_id = l.tenant_id AND s.token_hash = l.key
                         JOIN member AS m ON m.tenant_id = s.tenant_id AND m.member_id = s.member_id
                         JOIN tenant AS t ON t.tenant_id = s.tenant_id
                         LEFT JOIN sign_in_rule AS r ON r.tenant_id = s.tenant_id
                         WHERE l.kind = 'session' AND l.key = ?1
                             AND ?2 < s.expires_at_ms AND ?3 < s.last_seen_at_ms
                             AND m.disabled_at_ms IS NULL AND t.suspended_at_ms IS NULL
                             AND CASE WHEN l.tenant_id = 0 THEN 1 ELSE 0 END = ?4
                             AND (s.operator_session IS NULL AND m.operator_id IS NULL
                                 OR t.admits_operators = 1 AND EXISTS (
                                     SELECT 1 FROM session AS o
                                     JOIN member AS p
                                         ON p.tenant_id = 0 AND p.member_id = o.member_id
                                     JOIN operator_grant AS g
                                         ON g.tenant_id = 0 AND g.member_id = p.member_id
                                     WHERE o.tenant_id = 0 AND o.token_hash = s.operator_session
                                         AND ?2 < o.expires_at_ms AND p.member_id = m.operator_id
                                         AND p.disabled_at_ms IS NULL
                                         AND g.granted_id IN (0, s.tenant_id)
                                         AND s.operator_role IN (g.role_id, 'read-only')))",
                    )?
                    .query_row(params![token_hash, ms(now), idle_since, of_installation], |row| {
                        let member = MemberId::of_column(row.get(2)?);
                        let method: String = row.get(8)?;
                        let role: Option<String> = row.get(10)?;
                        let visit = role.zip(row.get::<Option<String>>(11)?);
                        let row = SessionRow {
                            scope: TenantScope::new(row.get(0)?).by(Actor::Member(member)),
                            tenant_name: row.get(1)?,
                            member,
                            email: row.get(3)?,
                            member_name: row.get(4)?,
                            must_set_password: row.get(5)?,
                            permissions: Permissions::default(),
                            whole: Permissions::default(),
                            method: SignInMethod::Password,
                            needs_second_factor: row.get(9)?,
                            last_seen_at: time(row.get(6)?),
                            expires_at: time(row.get(7)?),
                            visit: None,
                        };
                        Ok((row, method, visit))
                    })
                    .optional()?;
                let Some((row, method, visit)) = row else { return Ok(None) };
                let method = word("session.method", &method, SignInMethod::from_word)?;
                if let Some((role, reason)) = visit {
                    let role = word("session.operator_role", &role, BuiltIn::of_id)?;
                    let visit = Some(Visit { role, reason });
                    return Ok(Some(SessionRow {
                        permissions: role.permissions(),
                        whole: role.permissions(),
                        method,
                        needs_second_factor: false,
                        visit,
                        ..row
                    }));
                }
                let Allowed { any: permissions, whole } = sight::allowed(db, row.scope, row.member)?;
                // Whoever has one was asked for it.
                let needs_second_factor = row.needs_second_factor
                    && method == SignInMethod::Password
                    && permissions.manage_settings();
                Ok(Some(SessionRow { permissions, whole, method, needs_second_factor, ..row }))
            })
            .await
    }

    /// Notes that the session is in use.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn touch_session(
        &self,
        scope: TenantScope,
        token_hash: [u8; 32],
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                db.prepare_cached(
                    "UPDATE session SET last_seen_at_ms = greatest(last_seen_at_ms, ?3)
                     WHERE tenant_id = ?1 AND token_hash = ?2",
                )?
                .execute(params![scope.id(), token_hash, ms(now)])?;
                Ok(())
            })
            .await
    }

    /// Ends a session; one that is over already is no error.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn end_session(
        &self,
        scope: TenantScope,
        token_hash: [u8; 32],
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                if end(db, scope, token_hash)? {
                    let id = SessionId::of(&token_hash);
                    audit::append(db, scope, Event::new("session.end", "session", id), now)?;
                }
                Ok(())
            })
            .await
    }

    /// Returns a member's open sessions, the one last used first.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn sessions(
        &self,
        scope: TenantScope,
        member: MemberId,
        idle_limit: Duration,
        now: UnixMillis,
    ) -> Result<Vec<OpenSessionRow>, StoreError> {
        let idle_limit_ms = i64::try_from(idle_limit.as_millis()).unwrap_or(i64::MAX);
        let idle_since = ms(now).saturating_sub(idle_limit_ms);
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(
                    "SELECT token_hash, created_at_ms, last_seen_at_ms, expires_at_ms, address, agent,
                            method
                     FROM session WHERE tenant_id = ?1 AND member_id = ?2
                         AND ?3 < expires_at_ms AND ?4 < last_seen_at_ms
                     ORDER BY last_seen_at_ms DESC, token_hash",
                )?;
                let key = params![scope.id(), member.column(), ms(now), idle_since];
                let rows = statement.query_map(key, |row| {
                    let method: String = row.get(6)?;
                    Ok(OpenSessionRow {
                        id: SessionId::of(&row.get(0)?),
                        created_at: time(row.get(1)?),
                        last_seen_at: time(row.get(2)?),
                        expires_at: time(row.get(3)?),
                        address: row.get(4)?,
                        agent: row.get(5)?,
                        // A word of a later version is shown as what says least.
                        method: SignInMethod::from_word(&method).unwrap_or(SignInMethod::Password),
                    })
                })?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Ends a member's session by its name.
    ///
    /// # Errors
    /// The member has no such session.
    pub async fn revoke_session(
        &self,
        scope: TenantScope,
        member: MemberId,
        session: &str,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let session = session.to_owned();
        self.db
            .write(scope, move |db| {
                let hashes = db
                    .prepare_cached(
                        "SELECT token_hash FROM session WHERE tenant_id = ?1 AND member_id = ?2",
                    )?
                    .query_map(params![scope.id(), member.column()], |row| row.get(0))?
                    .collect::<crate::db::Result<Vec<[u8; 32]>>>()?;
                let found = hashes.into_iter().find(|hash| SessionId::of(hash).0 == session);
                let hash = found.ok_or(StoreError::NotFound { what: "session" })?;
                end(db, scope, hash)?;
                let event = Event::new("session.revoke", "session", session)
                    .detail(serde_json::json!({ "member": member.to_string() }));
                audit::append(db, scope, event, now)
            })
            .await
    }
}

/// Begins a session, and forgets those of the tenant that are over.
pub(crate) fn insert(
    db: &Connection,
    scope: TenantScope,
    session: &NewSession,
    now: UnixMillis,
) -> Result<(), StoreError> {
    sweep(db, scope, now)?;
    db.prepare_cached(
        "INSERT INTO session (tenant_id, token_hash, member_id, created_at_ms,
                              last_seen_at_ms, expires_at_ms, address, agent, method,
                              subject, provider_session)
         VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        scope.id(),
        session.token_hash,
        session.member.column(),
        ms(now),
        ms(session.expires_at),
        scope.address().map_or_else(String::new, |address| address.to_string()),
        session.agent,
        session.method.word(),
        session.vouched.as_ref().map(|vouched| vouched.subject.clone()),
        session.vouched.as_ref().and_then(|vouched| vouched.session.clone()),
    ])?;
    db.prepare_cached("INSERT INTO locator (kind, key, tenant_id) VALUES ('session', ?1, ?2)")?
        .execute(params![session.token_hash, scope.id()])?;
    let id = SessionId::of(&session.token_hash);
    let event = Event::new("session.begin", "session", id)
        .detail(serde_json::json!({ "method": session.method.word() }));
    audit::append(db, scope, event, now)
}

/// Sessions that end because of the provider.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ended<'a> {
    /// All that it vouched for.
    Vouched,
    /// Those that it names.
    Named { subject: Option<&'a str>, provider_session: Option<&'a str> },
}

/// Ends such sessions, and returns how many there were.
pub(crate) fn end_where(
    db: &Connection,
    scope: TenantScope,
    which: Ended<'_>,
    now: UnixMillis,
) -> Result<usize, StoreError> {
    let (subject, session) = match which {
        Ended::Vouched => (None, None),
        Ended::Named { subject, provider_session } => (subject, provider_session),
    };
    let hashes = db
        .prepare_cached(
            "SELECT token_hash FROM session WHERE tenant_id = ?1 AND subject IS NOT NULL
                 AND subject = coalesce(?2, subject)
                 AND (CAST(?3 AS TEXT) IS NULL OR provider_session = ?3)",
        )?
        .query_map(
            params![scope.id(), subject.map(str::to_owned), session.map(str::to_owned)],
            |row| row.get(0),
        )?
        .collect::<crate::db::Result<Vec<[u8; 32]>>>()?;
    for hash in &hashes {
        end(db, scope, *hash)?;
        let event = Event::new("session.end-by-provider", "session", SessionId::of(hash));
        audit::append(db, scope, event, now)?;
    }
    Ok(hashes.len())
}

/// Whether there was such a session.
fn end(db: &Connection, scope: TenantScope, token_hash: [u8; 32]) -> Result<bool, StoreError> {
    let ended = db
        .prepare_cached("DELETE FROM session WHERE tenant_id = ?1 AND token_hash = ?2")?
        .execute(params![scope.id(), token_hash])?;
    db.prepare_cached(
        "DELETE FROM locator WHERE kind = 'session' AND key = ?2 AND tenant_id = ?1",
    )?
    .execute(params![scope.id(), token_hash])?;
    Ok(0 < ended)
}

/// Ends all sessions of a member.
pub(crate) fn end_sessions(
    db: &Connection,
    scope: TenantScope,
    member: MemberId,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "DELETE FROM locator WHERE kind = 'session' AND tenant_id = ?1 AND key IN
             (SELECT token_hash FROM session WHERE tenant_id = ?1 AND member_id = ?2)",
    )?
    .execute(params![scope.id(), member.column()])?;
    db.prepare_cached("DELETE FROM session WHERE tenant_id = ?1 AND member_id = ?2")?
        .execute(params![scope.id(), member.column()])?;
    Ok(())
}

fn sweep(db: &Connection, scope: TenantScope, now: UnixMillis) -> Result<(), StoreError> {
    db.prepare_cached(
        "DELETE FROM locator WHERE kind = 'session' AND tenant_id = ?1 AND key IN
             (SELECT token_hash FROM session WHERE tenant_id = ?1 AND expires_at_ms <= ?2)",
    )?
    .execute(params![scope.id(), ms(now)])?;
    db.prepare_cached("DELETE FROM session WHERE tenant_id = ?1 AND expires_at_ms <= ?2")?
        .execute(params![scope.id(), ms(now)])?;
    Ok(())
}
