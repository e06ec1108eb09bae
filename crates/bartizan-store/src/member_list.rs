//! Members as administrators see and change them: roles, disabled or not, erased.

use bartizan_model::{Private, UnixMillis};
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{fresh_id, ms, stored, time};
use crate::db::{Connection, Row, params};
use crate::member::{folded, name_of};
use crate::session::end_sessions;
use crate::{
    MemberId, NewMember, Store, StoreError, TenantScope, audit_log, passkey, role, second_factor,
};

/// A member, as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// The member.
    pub id: MemberId,
    /// In lower case.
    pub email: String,
    /// As people know them.
    pub name: String,
    /// Set while the password is a one-time one.
    pub one_time_expires_at: Option<UnixMillis>,
    /// When they were added.
    pub created_at: UnixMillis,
    /// Since when they may not sign in.
    pub disabled_at: Option<UnixMillis>,
    /// Ids of their roles.
    pub roles: Vec<String>,
    /// When one of their open sessions was last used.
    pub last_seen_at: Option<UnixMillis>,
    /// Whether they come in by a password whatever the organization decided.
    pub is_break_glass: bool,
}

impl Store {
    /// Returns the members of the tenant, by address.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn members(&self, scope: TenantScope) -> Result<Vec<MemberRow>, StoreError> {
        self.db.read(scope, move |db| members(db, scope, None)).await
    }

    /// Lists members by address, those whose address or name has a text in it, from after an address on.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn members_page(
        &self,
        scope: TenantScope,
        text: &str,
        after: String,
        limit: u32,
    ) -> Result<Vec<MemberRow>, StoreError> {
        let text = text.to_lowercase();
        self.db.read(scope, move |db| page(db, scope, (&text, &after), limit)).await
    }

    /// Returns one member.
    ///
    /// # Errors
    /// The tenant has no such member.
    pub async fn member(
        &self,
        scope: TenantScope,
        member: MemberId,
    ) -> Result<MemberRow, StoreError> {
        self.db.read(scope, move |db| one(db, scope, member)).await
    }

    /// Adds a member with a one-time password.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the address is a member's already; a role is unknown.
    pub async fn add_member(
        &self,
        scope: TenantScope,
        member: NewMember,
        now: UnixMillis,
    ) -> Result<MemberId, StoreError> {
        self.db
            .write(scope, move |db| {
                let (id, email) = (MemberId::of_column(fresh_id(now)?), folded(&member.email));
                let result = db
                    .prepare_cached(
                        "INSERT INTO member (tenant_id, member_id, email, name, password_hash,
                                             one_time_expires_at_ms, created_at_ms)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    )?
                    .execute(params![
                        scope.id(),
                        id.column(),
                        email,
                        name_of(&email),
                        member.password_hash.0,
                        ms(member.one_time_expires_at),
                        ms(now),
                    ]);
                stored(result, "this person")?;
                db.prepare_cached(
                    "INSERT INTO locator (kind, key, tenant_id) VALUES ('member', ?1, ?2)
                     ON CONFLICT DO NOTHING",
                )?
                .execute(params![email.as_bytes(), scope.id()])?;
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

    /// Gives a member a one-time password in place of theirs, and ends their sessions.
    ///
    /// # Errors
    /// The tenant has no such member.
    pub async fn reset_password(
        &self,
        scope: TenantScope,
        member: MemberId,
        password_hash: Private<String>,
        expires_at: UnixMillis,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let changed = db
                    .prepare_cached(
                        "UPDATE member SET password_hash = ?3, one_time_expires_at_ms = ?4
                         WHERE tenant_id = ?1 AND member_id = ?2 AND operator_id IS NULL",
                    )?
                    .execute(params![
                        scope.id(),
                        member.column(),
                        password_hash.0,
                        ms(expires_at)
                    ])?;
                if changed == 0 {
                    return Err(StoreError::NotFound { what: "person" });
                }
                end_sessions(db, scope, member)?;
                let event = Event::new("member.reset-password", "member", member);
                audit::append(db, scope, event, now)
            })
            .await
    }

    /// Gives a member these roles and no others; at once, also in open sessions.
    ///
    /// # Errors
    /// The tenant has no such member or role; [`StoreError::LastAdministrator`].
    pub async fn set_member_roles(
        &self,
        scope: TenantScope,
        member: MemberId,
        roles: Vec<String>,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let before = one(db, scope, member)?.roles;
                // Who stands for an operator does what the operator was let in for.
                let is_operator = db
                    .prepare_cached(
                        "SELECT 1 FROM member
                         WHERE tenant_id = ?1 AND member_id = ?2 AND operator_id IS NOT NULL",
                    )?
                    .exists(params![scope.id(), member.column()])?;
                if is_operator {
                    return Err(StoreError::NotFound { what: "person" });
                }
                db.prepare_cached(
                    "DELETE FROM member_role WHERE tenant_id = ?1 AND member_id = ?2",
                )?
                .execute(params![scope.id(), member.column()])?;
                role::give(db, scope, member, &roles)?;
                role::keep_an_administrator(db, scope)?;
                let detail = json!({ "before": before.join(" "), "after": roles.join(" ") });
                let event = Event::new("member.roles", "member", member).detail(detail);
                audit::append(db, scope, event, now)
            })
            .await
    }

    /// Makes a member's account one for the day on which the provider does not answer, or an ordinary one. The provider
    /// no longer vouches for a break-glass account.
    ///
    /// # Errors
    /// The tenant has no such member; [`StoreError::LastAdministrator`]; [`StoreError::Conflict`] if they have no
    /// password.
    pub async fn set_break_glass(
        &self,
        scope: TenantScope,
        member: MemberId,
        is_break_glass: bool,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                if one(db, scope, member)?.is_break_glass == is_break_glass {
                    return Ok(());
                }
                let changed = db
                    .prepare_cached(
                        "UPDATE member SET break_glass = ?3
                         WHERE tenant_id = ?1 AND member_id = ?2 AND password_hash <> ''",
                    )?
                    .execute(params![scope.id(), member.column(), is_break_glass])?;
                if changed == 0 {
                    return Err(StoreError::Conflict { what: "a member without a password" });
                }
                role::keep_an_administrator(db, scope)?;
                if is_break_glass {
                    forget_identities(db, scope, member)?;
                }
                let event = Event::new("member.break-glass", "member", member)
                    .detail(json!({ "break_glass": is_break_glass }));
                audit::append(db, scope, event, now)
            })
            .await
    }

    /// Keeps a member from signing in and ends their sessions, or lets them in again.
    ///
    /// # Errors
    /// The tenant has no such member; [`StoreError::LastAdministrator`].
    pub async fn set_member_disabled(
        &self,
        scope: TenantScope,
        member: MemberId,
        is_disabled: bool,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let before = one(db, scope, member)?;
                if before.disabled_at.is_some() == is_disabled {
                    return Ok(());
                }
                disable(db, scope, member, is_disabled.then_some(now))?;
                let action = if is_disabled { "member.disable" } else { "member.enable" };
                audit::append(db, scope, Event::new(action, "member", member), now)
            })
            .await
    }

    /// Removes what is known of a person, here and in the audit log, whose proof stands. The member stays, disabled and
    /// without a name: what they did points to them.
    ///
    /// # Errors
    /// The tenant has no such member; [`StoreError::LastAdministrator`].
    pub async fn erase_member(
        &self,
        scope: TenantScope,
        member: MemberId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let before = one(db, scope, member)?;
                disable(db, scope, member, Some(before.disabled_at.unwrap_or(now)))?;
                let id = member.to_string();
                db.prepare_cached(
                    "UPDATE member SET email = ?3, name = 'Erased person', password_hash = ''
                     WHERE tenant_id = ?1 AND member_id = ?2",
                )?
                .execute(params![
                    scope.id(),
                    member.column(),
                    format!("erased-{id}")
                ])?;
                db.prepare_cached(
                    "DELETE FROM member_role WHERE tenant_id = ?1 AND member_id = ?2",
                )?
                .execute(params![scope.id(), member.column()])?;
                db.prepare_cached(
                    "DELETE FROM locator WHERE kind = 'member' AND key = ?2 AND tenant_id = ?1",
                )?
                .execute(params![scope.id(), before.email.as_bytes()])?;
                db.prepare_cached(
                    "DELETE FROM suppression
                     WHERE tenant_id = ?1 AND scope = 'person' AND scope_key = ?2",
                )?
                .execute(params![scope.id(), before.email])?;
                forget_identities(db, scope, member)?;
                db.prepare_cached(
                    "DELETE FROM operator_grant WHERE tenant_id = ?1 AND member_id = ?2",
                )?
                .execute(params![scope.id(), member.column()])?;
                second_factor::forget(db, scope, member)?;
                passkey::forget(db, scope, member)?;
                audit_log::forget_person(db, scope, &id)?;
                db.prepare_cached("DELETE FROM feedback WHERE tenant_id = ?1 AND member_id = ?2")?
                    .execute(params![scope.id(), member.column()])?;
                audit::append(db, scope, Event::new("member.erase", "member", member), now)
            })
            .await
    }
}

/// Keeps a member from signing in from then on, or lets them in again.
pub(crate) fn disable(
    db: &Connection,
    scope: TenantScope,
    member: MemberId,
    since: Option<UnixMillis>,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE member SET disabled_at_ms = ?3 WHERE tenant_id = ?1 AND member_id = ?2",
    )?
    .execute(params![scope.id(), member.column(), since.map(ms)])?;
    if since.is_some() {
        role::keep_an_administrator(db, scope)?;
        end_sessions(db, scope, member)?;
    }
    Ok(())
}

fn forget_identities(
    db: &Connection,
    scope: TenantScope,
    member: MemberId,
) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM member_identity WHERE tenant_id = ?1 AND member_id = ?2")?
        .execute(params![scope.id(), member.column()])?;
    Ok(())
}

fn one(db: &Connection, scope: TenantScope, member: MemberId) -> Result<MemberRow, StoreError> {
    members(db, scope, Some(member))?.pop().ok_or(StoreError::NotFound { what: "person" })
}

fn members(
    db: &Connection,
    scope: TenantScope,
    only: Option<MemberId>,
) -> Result<Vec<MemberRow>, StoreError> {
    let only = only.map(MemberId::column);
    let statement = db.prepare_cached(
        "SELECT member_id, role_id FROM member_role
         WHERE tenant_id = ?1 AND member_id = coalesce(?2, member_id) ORDER BY member_id, role_id",
    )?;
    let given = statement
        .query_map(params![scope.id(), only], |row| {
            Ok((MemberId::of_column(row.get(0)?), row.get::<String>(1)?))
        })?
        .collect::<crate::db::Result<Vec<_>>>()?;
    let statement = db.prepare_cached(concat!(
        member_columns!(),
        "WHERE m.tenant_id = ?1 AND m.member_id = coalesce(?2, m.member_id) ORDER BY m.email"
    ))?;
    let rows = statement.query_map(params![scope.id(), only], read)?;
    let mut rows: Vec<MemberRow> = rows.collect::<crate::db::Result<_>>()?;
    for row in &mut rows {
        let roles = given.iter().filter(|(member, _)| *member == row.id);
        row.roles = roles.map(|(_, role)| role.clone()).collect();
    }
    Ok(rows)
}

/// Lists a page by address, those whose address or name has a text in it.
fn page(
    db: &Connection,
    scope: TenantScope,
    (text, after): (&str, &str),
    limit: u32,
) -> Result<Vec<MemberRow>, StoreError> {
    let statement = db.prepare_cached(concat!(
        member_columns!(),
        "WHERE m.tenant_id = ?1 AND ?2 < m.email
             AND (?3 = '' OR 0 < strpos(lower(m.email), ?3) OR 0 < strpos(lower(m.name), ?3))
         ORDER BY m.email LIMIT ?4"
    ))?;
    let rows = statement.query_map(params![scope.id(), after, text, limit], read)?;
    let mut rows: Vec<MemberRow> = rows.collect::<crate::db::Result<_>>()?;
    for row in &mut rows {
        row.roles = role::ids_of(db, scope, row.id)?;
    }
    Ok(rows)
}

/// Reads the columns of [`member_columns`]; without roles.
fn read(row: &Row<'_>) -> crate::db::Result<MemberRow> {
    Ok(MemberRow {
        id: MemberId::of_column(row.get(0)?),
        email: row.get(1)?,
        name: row.get(2)?,
        one_time_expires_at: row.get::<Option<i64>>(3)?.map(time),
        created_at: time(row.get(4)?),
        disabled_at: row.get::<Option<i64>>(5)?.map(time),
        roles: Vec::new(),
        last_seen_at: row.get::<Option<i64>>(6)?.map(time),
        is_break_glass: row.get(7)?,
    })
}

/// What [`read`] reads.
macro_rules! member_columns {
    () => {
        "SELECT m.member_id, m.email, m.name, m.one_time_expires_at_ms, m.created_at_ms,
                m.disabled_at_ms,
                (SELECT max(s.last_seen_at_ms) FROM session AS s
                 WHERE s.tenant_id = m.tenant_id AND s.member_id = m.member_id),
                m.break_glass
         FROM member AS m "
    };
}
use member_columns;
