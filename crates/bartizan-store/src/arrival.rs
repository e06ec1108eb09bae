//! Somebody for whom the organization's provider vouches: which member they are, and what they may do from now on.
//!
//! A member is known by issuer and subject. The first time they are found by their e-mail address, if it counts; else
//! they are added, if the organization lets unknown people in. Roles follow the groups at each sign-in, where the
//! provider's page maps groups to roles.
//!
//! # Invariants
//! - A break-glass account is never reached through the provider.
//! - Whoever has no role is not let in.

use bartizan_model::UnixMillis;
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{fresh_id, ms};
use crate::db::{Connection, Optional, params};
use crate::identity_provider::{IdentityProvider, provider};
use crate::member::{folded, name_of};
use crate::session::{Ended, end_sessions, end_where};
use crate::{Actor, MemberId, Store, StoreError, TenantScope, role};

/// What the provider says of somebody.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `email`.
    pub email: Option<String>,
    /// `email_verified`.
    pub is_email_verified: bool,
    /// `name`.
    pub name: Option<String>,
    /// Values of the group claim.
    pub groups: Vec<String>,
}

/// Who somebody is, or why they are not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// This member.
    Member {
        /// Whose rows they may see.
        scope: TenantScope,
        /// Who.
        id: MemberId,
    },
    /// The provider is not, or no longer, the organization's.
    OtherProvider,
    /// Nobody known, and unknown people are not let in.
    Unknown,
    /// Nobody known, and without an e-mail address that counts they cannot be.
    NoEmail,
    /// The address is a member's whom the provider does not vouch for: a break-glass account, or another subject.
    Taken,
    /// Disabled here.
    Disabled,
    /// None of their groups gives a role.
    NoRole,
    /// Their groups would leave nobody an administrator.
    LastAdministrator,
}

impl Store {
    /// Finds or adds the member whom a provider vouches for, and gives them the roles of their groups.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn arrive(
        &self,
        scope: TenantScope,
        arrival: Arrival,
        now: UnixMillis,
    ) -> Result<Arrived, StoreError> {
        self.db.write(scope, move |db| arrive(db, scope, &arrival, now)).await
    }

    /// Obeys a logout token once: ends the sessions that the provider names by subject, by its session, or by both.
    /// Returns how many; `None` if the token was seen before.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn log_out_by_provider(
        &self,
        scope: TenantScope,
        token_hash: [u8; 32],
        token_expires_at: UnixMillis,
        subject: Option<String>,
        provider_session: Option<String>,
        now: UnixMillis,
    ) -> Result<Option<usize>, StoreError> {
        self.db
            .write(scope, move |db| {
                db.prepare_cached(
                    "DELETE FROM logout_token WHERE tenant_id = ?1 AND expires_at_ms <= ?2",
                )?
                .execute(params![scope.id(), ms(now)])?;
                let is_new = db
                    .prepare_cached(
                        "INSERT INTO logout_token (tenant_id, token_hash, expires_at_ms)
                         VALUES (?1, ?2, ?3) ON CONFLICT (tenant_id, token_hash) DO NOTHING",
                    )?
                    .execute(params![scope.id(), token_hash, ms(token_expires_at)])?;
                if is_new == 0 {
                    return Ok(None);
                }
                let which = Ended::Named {
                    subject: subject.as_deref(),
                    provider_session: provider_session.as_deref(),
                };
                end_where(db, scope, which, now).map(Some)
            })
            .await
    }
}

fn arrive(
    db: &Connection,
    scope: TenantScope,
    arrival: &Arrival,
    now: UnixMillis,
) -> Result<Arrived, StoreError> {
    let Some(provider) = provider(db, scope)?
        .filter(|provider| provider.is_enabled && provider.issuer == arrival.issuer)
    else {
        return Ok(Arrived::OtherProvider);
    };
    let known = db
        .prepare_cached(
            "SELECT m.member_id, m.disabled_at_ms IS NOT NULL, m.break_glass
             FROM member_identity AS i
             JOIN member AS m ON m.tenant_id = i.tenant_id AND m.member_id = i.member_id
             WHERE i.tenant_id = ?1 AND i.issuer = ?2 AND i.subject = ?3",
        )?
        .query_row(params![scope.id(), arrival.issuer, arrival.subject], |row| {
            Ok((MemberId::of_column(row.get(0)?), row.get::<bool>(1)?, row.get::<bool>(2)?))
        })
        .optional()?;
    let roles = roles_of(&provider, &arrival.groups);
    let id = match known {
        Some((_, _, true)) => return Ok(Arrived::Taken),
        Some((_, true, _)) => return Ok(Arrived::Disabled),
        Some((id, false, false)) => id,
        None => match introduce(db, scope, &provider, arrival, &roles, now)? {
            Ok(id) => id,
            Err(refused) => return Ok(refused),
        },
    };
    let theirs = scope.by(Actor::Member(id));
    if !provider.roles.is_empty() {
        let before = role::ids_of(db, scope, id)?;
        if before != roles {
            if !role::leaves_an_administrator(db, scope, id, &roles)? {
                return Ok(Arrived::LastAdministrator);
            }
            role::replace(db, scope, id, &roles)?;
            let detail =
                json!({ "before": before.join(" "), "after": roles.join(" "), "by": "groups" });
            audit::append(db, scope, Event::new("member.roles", "member", id).detail(detail), now)?;
        }
    }
    if role::ids_of(db, scope, id)?.is_empty() {
        end_sessions(db, scope, id)?;
        return Ok(Arrived::NoRole);
    }
    Ok(Arrived::Member { scope: theirs, id })
}

/// Finds somebody new by their address, or adds them.
fn introduce(
    db: &Connection,
    scope: TenantScope,
    provider: &IdentityProvider,
    arrival: &Arrival,
    roles: &[String],
    now: UnixMillis,
) -> Result<Result<MemberId, Arrived>, StoreError> {
    let counts = arrival.is_email_verified || provider.trusts_email;
    let email = arrival.email.as_deref().map(folded).filter(|email| counts && is_address(email));
    let Some(email) = email else { return Ok(Err(Arrived::NoEmail)) };
    let found = db
        .prepare_cached(
            "SELECT m.member_id, m.disabled_at_ms IS NOT NULL, m.break_glass,
                    (SELECT count(*) FROM member_identity AS i WHERE i.tenant_id = m.tenant_id
                         AND i.member_id = m.member_id AND i.issuer = ?3)
             FROM member AS m WHERE m.tenant_id = ?1 AND m.email = ?2",
        )?
        .query_row(params![scope.id(), email, arrival.issuer], |row| {
            Ok((
                MemberId::of_column(row.get(0)?),
                row.get::<bool>(1)?,
                row.get::<bool>(2)? || row.get::<i64>(3)? != 0,
            ))
        })
        .optional()?;
    let (id, action) = match found {
        Some((_, true, _)) => return Ok(Err(Arrived::Disabled)),
        Some((_, _, true)) => return Ok(Err(Arrived::Taken)),
        Some((id, false, false)) => (id, "member.link"),
        None if !provider.admits_unknown => return Ok(Err(Arrived::Unknown)),
        // Nobody is added who could not come in.
        None if roles.is_empty() => return Ok(Err(Arrived::NoRole)),
        None => {
            let id = MemberId::of_column(fresh_id(now)?);
            let name = arrival.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
            let name: String =
                name.unwrap_or_else(|| name_of(&email)).chars().take(MAX_NAME).collect();
            db.prepare_cached(
                "INSERT INTO member (tenant_id, member_id, email, name, password_hash, created_at_ms)
                 VALUES (?1, ?2, ?3, ?4, '', ?5)",
            )?
            .execute(params![scope.id(), id.column(), email, name, ms(now)])?;
            db.prepare_cached(
                "INSERT INTO locator (kind, key, tenant_id) VALUES ('member', ?1, ?2)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![email.as_bytes(), scope.id()])?;
            (id, "member.provision")
        }
    };
    db.prepare_cached(
        "INSERT INTO member_identity (tenant_id, issuer, subject, member_id, linked_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![scope.id(), arrival.issuer, arrival.subject, id.column(), ms(now)])?;
    let subject = id.to_string();
    let event = Event::new(action, "member", id)
        .detail(json!({ "issuer": arrival.issuer }))
        .of_person(&subject, json!({ "email": email, "subject": arrival.subject }));
    audit::append(db, scope, event, now)?;
    Ok(Ok(id))
}

/// In the order of their ids, each once.
fn roles_of(provider: &IdentityProvider, groups: &[String]) -> Vec<String> {
    let gives = |group: &String| group == "*" || groups.contains(group);
    let mut roles: Vec<_> =
        provider.roles.iter().filter(|(group, _)| gives(group)).map(|(_, id)| id.clone()).collect();
    roles.sort();
    roles.dedup();
    roles
}

fn is_address(email: &str) -> bool {
    let parts =
        email.split_once('@').is_some_and(|(who, host)| !who.is_empty() && !host.is_empty());
    parts
        && email.len() <= MAX_EMAIL
        && !email.contains(|c: char| c.is_control() || c.is_whitespace())
}

/// RFC 5321 §4.5.3.1.3, without the angle brackets.
const MAX_EMAIL: usize = 254;
const MAX_NAME: usize = 200;
