//! Tenants and their policies.

use crate::db::{Connection, Reach, params};
use bartizan_model::{
    DnsPolicy, DnsUpstream, Mode, Policy, Private, TenantId, UnixMillis, WebProtection,
};
use serde_json::{Value, json};

use crate::audit::{self, Event};
use crate::column::{count, found, int, ms, time, word};
use crate::{Actor, Store, StoreError, TenantScope};

/// An organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRow {
    /// Its id.
    pub id: TenantId,
    /// As people know it.
    pub name: String,
    /// Seed of the Ed25519 key that signs what its devices obey.
    pub signing_key: Private<[u8; 32]>,
    /// When it was created.
    pub created_at: UnixMillis,
}

impl Store {
    /// Creates a tenant with the default policy, version 1.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn create_tenant(
        &self,
        name: &str,
        signing_key: [u8; 32],
        now: UnixMillis,
    ) -> Result<TenantId, StoreError> {
        let name = name.to_owned();
        self.db
            .write(Reach::All, move |db| {
                let tenant: i64 = db
                    .prepare_cached(
                        "INSERT INTO tenant (tenant_id, name, signing_key, created_at_ms)
                         SELECT coalesce(max(tenant_id), 0) + 1, ?1, ?2, ?3 FROM tenant
                         RETURNING tenant_id",
                    )?
                    .query_row(params![name, signing_key, ms(now)], |row| row.get(0))?;
                let scope = TenantScope::new(tenant);
                insert_policy(db, scope, &Policy::default(), now)?;
                audit::append(db, scope, Event::new("tenant.create", "tenant", tenant), now)?;
                Ok(TenantId(tenant))
            })
            .await
    }

    /// Returns every tenant's id and name. For the command line only.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn tenants(&self) -> Result<Vec<(TenantId, String)>, StoreError> {
        self.db
            .read(Reach::All, |db| {
                let statement =
                    db.prepare_cached("SELECT tenant_id, name FROM tenant ORDER BY tenant_id")?;
                let rows = statement
                    .query_map(params![], |row| Ok((TenantId(row.get(0)?), row.get(1)?)))?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Lets the command line act for a tenant. Whoever can open the database may act for all of them.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn tenant(&self, tenant: TenantId) -> Result<TenantScope, StoreError> {
        let scope = TenantScope::new(tenant.0).by(Actor::CommandLine);
        self.tenant_row(scope).await.map(|_| scope)
    }

    /// Returns the tenant itself.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn tenant_row(&self, scope: TenantScope) -> Result<TenantRow, StoreError> {
        self.db.read(scope, move |db| tenant_row(db, scope)).await
    }

    /// Returns the tenant's policy of the highest version.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn policy(&self, scope: TenantScope) -> Result<Policy, StoreError> {
        self.db.read(scope, move |db| policy(db, scope)).await
    }

    /// Replaces the tenant's policy and returns its version, one higher; `policy.version` is ignored.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn set_policy(
        &self,
        scope: TenantScope,
        policy: Policy,
        now: UnixMillis,
    ) -> Result<u64, StoreError> {
        self.db
            .write(scope, move |db| {
                let before = self::policy(db, scope)?;
                let version = insert_policy(db, scope, &policy, now)?;
                let event = Event::new("policy.change", "policy", version)
                    .detail(json!({ "before": told(&before), "after": told(&policy) }));
                audit::append(db, scope, event, now)?;
                Ok(version)
            })
            .await
    }
}

pub(crate) fn tenant_row(db: &Connection, scope: TenantScope) -> Result<TenantRow, StoreError> {
    let row = db
        .prepare_cached("SELECT name, signing_key, created_at_ms FROM tenant WHERE tenant_id = ?1")?
        .query_row([scope.id()], |row| {
            Ok(TenantRow {
                id: scope.tenant_id(),
                name: row.get(0)?,
                signing_key: Private(row.get(1)?),
                created_at: time(row.get(2)?),
            })
        });
    found(row, "tenant")
}

fn policy(db: &Connection, scope: TenantScope) -> Result<Policy, StoreError> {
    let row = db
        .prepare_cached(
            "SELECT version, mode, web_protection, report_blocked_host, checkin_interval_s,
                    warn_pass_hours, dns_upstream, dns_fallback, strip_ech, block_encrypted_dns,
                    block_private_relay
             FROM policy WHERE tenant_id = ?1 ORDER BY version DESC LIMIT 1",
        )?
        .query_row([scope.id()], |row| {
            let words: [String; 3] = [row.get(1)?, row.get(2)?, row.get(6)?];
            let policy = Policy {
                version: count(row.get(0)?),
                report_blocked_host: row.get(3)?,
                checkin_interval_s: row.get(4)?,
                warn_pass_hours: row.get(5)?,
                dns: DnsPolicy {
                    upstream: DnsUpstream::System,
                    upstream_fallback: row.get(7)?,
                    strip_ech: row.get(8)?,
                    block_encrypted_dns: row.get(9)?,
                    block_private_relay: row.get(10)?,
                },
                ..Policy::default()
            };
            Ok((policy, words))
        });
    let (policy, [mode, web_protection, upstream]) = found(row, "policy")?;
    let upstream = word("dns_upstream", &upstream, |text| text.parse().ok())?;
    Ok(Policy {
        mode: word("mode", &mode, Mode::from_word)?,
        web_protection: word("web_protection", &web_protection, WebProtection::from_word)?,
        dns: DnsPolicy { upstream, ..policy.dns },
        ..policy
    })
}

/// What a policy says, by the names of its columns.
fn told(policy: &Policy) -> Value {
    json!({
        "mode": policy.mode.word(),
        "web_protection": policy.web_protection.word(),
        "report_blocked_host": policy.report_blocked_host,
        "checkin_interval_s": policy.checkin_interval_s,
        "warn_pass_hours": policy.warn_pass_hours,
        "dns_upstream": policy.dns.upstream.to_string(),
        "dns_fallback": policy.dns.upstream_fallback,
        "strip_ech": policy.dns.strip_ech,
        "block_encrypted_dns": policy.dns.block_encrypted_dns,
        "block_private_relay": policy.dns.block_private_relay,
    })
}

pub(crate) fn policy_version(db: &Connection, scope: TenantScope) -> Result<u64, StoreError> {
    let version = db
        .prepare_cached("SELECT coalesce(max(version), 0) FROM policy WHERE tenant_id = ?1")?
        .query_row([scope.id()], |row| row.get(0))?;
    Ok(count(version))
}

fn insert_policy(
    db: &Connection,
    scope: TenantScope,
    policy: &Policy,
    now: UnixMillis,
) -> Result<u64, StoreError> {
    let version = policy_version(db, scope)? + 1;
    db.prepare_cached(
        "INSERT INTO policy (tenant_id, version, mode, web_protection, report_blocked_host,
                             checkin_interval_s, warn_pass_hours, dns_upstream, dns_fallback,
                             strip_ech, block_encrypted_dns, block_private_relay, created_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5,
                 ?6, ?7, ?8, ?9,
                 ?10, ?11, ?12, ?13)",
    )?
    .execute(params![
        scope.id(),
        int(version),
        policy.mode.word(),
        policy.web_protection.word(),
        policy.report_blocked_host,
        policy.checkin_interval_s,
        policy.warn_pass_hours,
        policy.dns.upstream.to_string(),
        policy.dns.upstream_fallback,
        policy.dns.strip_ech,
        policy.dns.block_encrypted_dns,
        policy.dns.block_private_relay,
        ms(now),
    ])?;
    Ok(version)
}
