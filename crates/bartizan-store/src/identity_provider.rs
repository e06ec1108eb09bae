//! The organization's OpenID provider, and what is decided about signing in.
//!
//! # What it does not do
//! - Speak to the provider, or open the client's secret, which comes sealed.
//!
//! # Invariants
//! - A sign-in address and a domain are one organization's at most.
//! - While passwords are for break-glass accounts alone, an administrator with such an account is left.

use bartizan_model::{Private, UnixMillis};
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::stored;
use crate::db::{Connection, Optional, Reach, params};
use crate::session::{Ended, end_where};
use crate::{Store, StoreError, TenantScope, role};

/// An OpenID provider, as an administrator set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityProvider {
    /// As people know it: "Sign in with ...".
    pub name: String,
    /// The last part of the organization's sign-in page; lower-case letters, digits and hyphens.
    pub address: String,
    /// Its issuer identifier.
    pub issuer: String,
    /// Who the portal is there.
    pub client_id: String,
    /// Sealed; none for a public client.
    pub client_secret: Option<Private<Vec<u8>>>,
    /// Separated by spaces.
    pub scopes: String,
    /// The claim that lists a person's groups; empty if none does.
    pub group_claim: String,
    /// Whether an e-mail address counts that the provider does not call verified.
    pub trusts_email: bool,
    /// Whether somebody may come whom nobody has invited.
    pub admits_unknown: bool,
    /// Whether it may be on a private network.
    pub allow_private: bool,
    /// Whether people may sign in by it.
    pub is_enabled: bool,
    /// Whose e-mail addresses lead to it; in lower case.
    pub domains: Vec<String>,
    /// A value of the group claim, or `*` for everybody, with the id of a role.
    pub roles: Vec<(String, String)>,
}

/// What an organization decided about signing in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInRule {
    /// Whether passwords are for everybody, and not for break-glass accounts alone.
    pub local_passwords: bool,
    /// Whether whoever manages settings needs a second factor beside a password.
    pub second_factor: bool,
}

impl Default for SignInRule {
    fn default() -> Self {
        Self { local_passwords: true, second_factor: false }
    }
}

/// What leads to an organization's sign-in page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInKey {
    /// Its address.
    Address,
    /// The domain of an e-mail address.
    Domain,
}

impl SignInKey {
    fn word(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Domain => "domain",
        }
    }
}

/// An organization whose people may sign in by a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInPlace {
    /// Its rows.
    pub scope: TenantScope,
    /// Its name.
    pub tenant_name: String,
    /// Whether nobody is let in for now, whoever vouches for them.
    pub is_suspended: bool,
    /// Its provider.
    pub provider: IdentityProvider,
}

impl Store {
    /// Returns the organization's provider, if it has one.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn identity_provider(
        &self,
        scope: TenantScope,
    ) -> Result<Option<IdentityProvider>, StoreError> {
        self.db.read(scope, move |db| provider(db, scope)).await
    }

    /// Sets the organization's provider. Another issuer, or one that is switched off, ends the sessions that it
    /// vouched for.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the address or a domain is another organization's; a role is unknown;
    /// [`StoreError::LastAdministrator`] if it is switched off and no administrator has a password.
    pub async fn set_identity_provider(
        &self,
        scope: TenantScope,
        wanted: IdentityProvider,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let before = provider(db, scope)?;
                forget_places(db, scope)?;
                db.prepare_cached("DELETE FROM provider_role WHERE tenant_id = ?1")?
                    .execute([scope.id()])?;
                db.prepare_cached(
                    "INSERT INTO identity_provider (tenant_id, name, address, issuer, client_id,
                         client_secret, scopes, group_claim, trusts_email, admits_unknown,
                         allow_private, enabled)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
                     ON CONFLICT (tenant_id) DO UPDATE SET name = excluded.name,
                         address = excluded.address, issuer = excluded.issuer,
                         client_id = excluded.client_id, client_secret = excluded.client_secret,
                         scopes = excluded.scopes, group_claim = excluded.group_claim,
                         trusts_email = excluded.trusts_email,
                         admits_unknown = excluded.admits_unknown,
                         allow_private = excluded.allow_private, enabled = excluded.enabled",
                )?
                .execute(params![
                    scope.id(),
                    wanted.name,
                    wanted.address,
                    wanted.issuer,
                    wanted.client_id,
                    wanted.client_secret.as_ref().map(|sealed| sealed.0.clone()),
                    wanted.scopes,
                    wanted.group_claim,
                    wanted.trusts_email,
                    wanted.admits_unknown,
                    wanted.allow_private,
                    wanted.is_enabled,
                ])?;
                let address = (SignInKey::Address, &wanted.address, "sign-in address");
                let domains = wanted.domains.iter().map(|name| (SignInKey::Domain, name, "domain"));
                for (kind, key, what) in std::iter::once(address).chain(domains) {
                    let result = db
                        .prepare_cached(
                            "INSERT INTO sign_in_locator (kind, key, tenant_id) VALUES (?1, ?2, ?3)",
                        )?
                        .execute(params![kind.word(), key, scope.id()]);
                    stored(result, what)?;
                }
                for (group, id) in &wanted.roles {
                    role::check(db, scope, id)?;
                    db.prepare_cached(
                        "INSERT INTO provider_role (tenant_id, group_value, role_id)
                         VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![scope.id(), group, id])?;
                }
                if before.is_some_and(|before| before.issuer != wanted.issuer) || !wanted.is_enabled
                {
                    role::keep_a_local_administrator(db, scope)?;
                    end_vouched(db, scope, now)?;
                }
                audit::append(db, scope, told(&wanted), now)
            })
            .await
    }

    /// Forgets the provider, whom it meant by which subject, and the sessions that it vouched for.
    ///
    /// # Errors
    /// There is none; [`StoreError::LastAdministrator`] if nobody could come in by a password.
    pub async fn remove_identity_provider(
        &self,
        scope: TenantScope,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let before =
                    provider(db, scope)?.ok_or(StoreError::NotFound { what: "provider" })?;
                role::keep_a_local_administrator(db, scope)?;
                end_vouched(db, scope, now)?;
                forget_places(db, scope)?;
                for statement in [
                    "DELETE FROM provider_role WHERE tenant_id = ?1",
                    "DELETE FROM member_identity WHERE tenant_id = ?1",
                    "DELETE FROM identity_provider WHERE tenant_id = ?1",
                ] {
                    db.prepare_cached(statement)?.execute([scope.id()])?;
                }
                let event = Event::new("identity-provider.remove", "identity-provider", "")
                    .detail(json!({ "issuer": before.issuer }));
                audit::append(db, scope, event, now)
            })
            .await
    }

    /// Finds whose sign-in address or domain this is, if they may sign in by a provider.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn sign_in_place(
        &self,
        kind: SignInKey,
        key: &str,
    ) -> Result<Option<SignInPlace>, StoreError> {
        let key = key.to_owned();
        self.db
            .read(Reach::All, move |db| {
                let found = db
                    .prepare_cached(
                        "SELECT t.tenant_id, t.name, t.suspended_at_ms IS NOT NULL
                         FROM sign_in_locator AS l
                         JOIN tenant AS t ON t.tenant_id = l.tenant_id
                         WHERE l.kind = ?1 AND l.key = ?2",
                    )?
                    .query_row(params![kind.word(), key], |row| {
                        let scope = TenantScope::new(row.get(0)?);
                        Ok((scope, row.get::<String>(1)?, row.get(2)?))
                    })
                    .optional()?;
                let Some((scope, tenant_name, is_suspended)) = found else { return Ok(None) };
                let provider = provider(db, scope)?.filter(|provider| provider.is_enabled);
                Ok(provider.map(|provider| SignInPlace {
                    scope,
                    tenant_name,
                    is_suspended,
                    provider,
                }))
            })
            .await
    }

    /// Returns what the organization decided.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn sign_in_rule(&self, scope: TenantScope) -> Result<SignInRule, StoreError> {
        self.db.read(scope, move |db| rule(db, scope)).await
    }

    /// Decides anew; it counts from the next sign-in on.
    ///
    /// # Errors
    /// [`StoreError::LastAdministrator`] if passwords are to be for break-glass accounts alone, and no administrator
    /// has one.
    pub async fn set_sign_in_rule(
        &self,
        scope: TenantScope,
        wanted: SignInRule,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                if rule(db, scope)? == wanted {
                    return Ok(());
                }
                db.prepare_cached(
                    "INSERT INTO sign_in_rule (tenant_id, local_passwords, second_factor)
                     VALUES (?1, ?2, ?3)
                     ON CONFLICT (tenant_id) DO UPDATE SET
                         local_passwords = excluded.local_passwords,
                         second_factor = excluded.second_factor",
                )?
                .execute(params![
                    scope.id(),
                    wanted.local_passwords,
                    wanted.second_factor
                ])?;
                role::keep_an_administrator(db, scope)?;
                let event = Event::new("sign-in-rule.change", "sign-in-rule", "").detail(json!({
                    "local_passwords": wanted.local_passwords,
                    "second_factor": wanted.second_factor,
                }));
                audit::append(db, scope, event, now)
            })
            .await
    }
}

pub(crate) fn rule(db: &Connection, scope: TenantScope) -> Result<SignInRule, StoreError> {
    let row = db
        .prepare_cached(
            "SELECT local_passwords, second_factor FROM sign_in_rule WHERE tenant_id = ?1",
        )?
        .query_row([scope.id()], |row| {
            Ok(SignInRule { local_passwords: row.get(0)?, second_factor: row.get(1)? })
        });
    Ok(row.optional()?.unwrap_or_default())
}

pub(crate) fn provider(
    db: &Connection,
    scope: TenantScope,
) -> Result<Option<IdentityProvider>, StoreError> {
    let found = db
        .prepare_cached(
            "SELECT name, address, issuer, client_id, client_secret, scopes, group_claim,
                    trusts_email, admits_unknown, allow_private, enabled
             FROM identity_provider WHERE tenant_id = ?1",
        )?
        .query_row([scope.id()], |row| {
            Ok(IdentityProvider {
                name: row.get(0)?,
                address: row.get(1)?,
                issuer: row.get(2)?,
                client_id: row.get(3)?,
                client_secret: row.get::<Option<Vec<u8>>>(4)?.map(Private),
                scopes: row.get(5)?,
                group_claim: row.get(6)?,
                trusts_email: row.get(7)?,
                admits_unknown: row.get(8)?,
                allow_private: row.get(9)?,
                is_enabled: row.get(10)?,
                domains: Vec::new(),
                roles: Vec::new(),
            })
        })
        .optional()?;
    let Some(found) = found else { return Ok(None) };
    let domains = db
        .prepare_cached(
            "SELECT key FROM sign_in_locator WHERE tenant_id = ?1 AND kind = 'domain' ORDER BY key",
        )?
        .query_map([scope.id()], |row| row.get(0))?
        .collect::<crate::db::Result<_>>()?;
    let roles = db
        .prepare_cached(
            "SELECT group_value, role_id FROM provider_role WHERE tenant_id = ?1
             ORDER BY group_value, role_id",
        )?
        .query_map([scope.id()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<crate::db::Result<_>>()?;
    Ok(Some(IdentityProvider { domains, roles, ..found }))
}

fn forget_places(db: &Connection, scope: TenantScope) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM sign_in_locator WHERE tenant_id = ?1")?.execute([scope.id()])?;
    Ok(())
}

fn end_vouched(db: &Connection, scope: TenantScope, now: UnixMillis) -> Result<(), StoreError> {
    end_where(db, scope, Ended::Vouched, now).map(drop)
}

fn told(provider: &IdentityProvider) -> Event<'static> {
    let roles: Vec<_> =
        provider.roles.iter().map(|(group, id)| format!("{group} -> {id}")).collect();
    Event::new("identity-provider.change", "identity-provider", "").detail(json!({
        "name": provider.name,
        "address": provider.address,
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "scopes": provider.scopes,
        "group_claim": provider.group_claim,
        "trusts_email": provider.trusts_email,
        "admits_unknown": provider.admits_unknown,
        "allow_private": provider.allow_private,
        "enabled": provider.is_enabled,
        "domains": provider.domains.join(" "),
        "roles": roles.join(", "),
    }))
}
