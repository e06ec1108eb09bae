//! Operators in a tenant: let in with a reason, for a while, with a role, and known there as what they are.
//!
//! In the tenant a member without password and roles stands for the operator, so that what they do there points to somebody,
//! and so that the tenant can shut one operator out by disabling that member.
//!
//! # Invariants
//! - Such a session holds while the operator's own does, while they may enter the tenant with that role, and while the
//!   tenant admits operators: it is looked up each time ([`Store::session`]).

use bartizan_model::{TenantId, UnixMillis};
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{fresh_id, ms, stored};
use crate::db::{Connection, Optional, Reach, params};
use crate::operator::OperatorScope;
use crate::session::{self, NewSession, SignInMethod};
use crate::{Actor, BuiltIn, MemberId, Store, StoreError, TenantScope};

/// An operator about to enter a tenant.
#[derive(Clone, Debug)]
pub struct NewVisit {
    /// Which.
    pub tenant: TenantId,
    /// What they want to be able to do.
    pub role: BuiltIn,
    /// Why, in their words.
    pub reason: String,
    /// SHA-256 of the token of their own session.
    pub operator_session: [u8; 32],
    /// SHA-256 of the token of the session to be.
    pub token_hash: [u8; 32],
    /// When it ends, whatever happens.
    pub expires_at: UnixMillis,
    /// As the browser calls itself.
    pub agent: String,
}

/// Why an operator was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VisitRefusal {
    /// They have not been let into this tenant, or not with this role.
    #[error("you have not been let into this organization with this role")]
    NotGranted,
    /// It admits no operators.
    #[error("this organization admits no operators")]
    NotAdmitted,
    /// It is suspended.
    #[error("this organization is suspended")]
    Suspended,
    /// It has disabled the one who stands for them there.
    #[error("this organization has shut you out")]
    ShutOut,
}

impl Store {
    /// Begins a session of an operator in a tenant; both logs have it.
    ///
    /// # Errors
    /// There is no such tenant, or the store is unavailable. Inside: why they were not let in.
    pub async fn enter_tenant(
        &self,
        by: OperatorScope,
        visit: NewVisit,
        now: UnixMillis,
    ) -> Result<Result<TenantScope, VisitRefusal>, StoreError> {
        self.db.write(Reach::All, move |db| enter(db, by, &visit, now)).await
    }

    /// Notes that an operator's session in a tenant is in use, and so is their own.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn touch_visit(
        &self,
        scope: TenantScope,
        token_hash: [u8; 32],
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(Reach::All, move |db| {
                for sql in [
                    "UPDATE session SET last_seen_at_ms = greatest(last_seen_at_ms, ?3)
                     WHERE tenant_id = ?1 AND token_hash = ?2",
                    "UPDATE session SET last_seen_at_ms = greatest(last_seen_at_ms, ?3)
                     WHERE tenant_id = 0 AND token_hash = (
                         SELECT s.operator_session FROM session AS s
                         WHERE s.tenant_id = ?1 AND s.token_hash = ?2)",
                ] {
                    db.prepare_cached(sql)?.execute(params![scope.id(), token_hash, ms(now)])?;
                }
                Ok(())
            })
            .await
    }

    /// Tells whether a tenant admits operators.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn admits_operators(&self, scope: TenantScope) -> Result<bool, StoreError> {
        self.db.read(scope, move |db| admits(db, scope)).await
    }

    /// Decides whether a tenant admits operators; where it does not, those who are in are out.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn set_admits_operators(
        &self,
        scope: TenantScope,
        admits_operators: bool,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                if admits(db, scope)? == admits_operators {
                    return Ok(());
                }
                db.prepare_cached("UPDATE tenant SET admits_operators = ?2 WHERE tenant_id = ?1")?
                    .execute(params![scope.id(), admits_operators])?;
                let event = Event::new("operator.admission", "tenant", "")
                    .detail(json!({ "admitted": admits_operators }));
                audit::append(db, scope, event, now)
            })
            .await
    }
}

fn admits(db: &Connection, scope: TenantScope) -> Result<bool, StoreError> {
    let admits = db
        .prepare_cached("SELECT admits_operators FROM tenant WHERE tenant_id = ?1")?
        .query_row([scope.id()], |row| row.get(0))?;
    Ok(admits)
}

fn enter(
    db: &Connection,
    by: OperatorScope,
    visit: &NewVisit,
    now: UnixMillis,
) -> Result<Result<TenantScope, VisitRefusal>, StoreError> {
    let scope = by.on(visit.tenant);
    let Some(operator) = by.operator() else { return Ok(Err(VisitRefusal::NotGranted)) };
    let is_granted = db
        .prepare_cached(
            "SELECT 1 FROM operator_grant WHERE tenant_id = 0 AND member_id = ?1
                 AND granted_id IN (0, ?2) AND ?3 IN (role_id, 'read-only') LIMIT 1",
        )?
        .exists(params![operator.column(), scope.id(), visit.role.id()])?;
    if !is_granted {
        return Ok(Err(VisitRefusal::NotGranted));
    }
    let (is_suspended, admits): (bool, bool) = db
        .prepare_cached(
            "SELECT suspended_at_ms IS NOT NULL, admits_operators FROM tenant
             WHERE tenant_id = ?1 AND tenant_id <> 0",
        )?
        .query_row([scope.id()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .ok_or(StoreError::NotFound { what: "organization" })?;
    if is_suspended {
        return Ok(Err(VisitRefusal::Suspended));
    }
    if !admits {
        return Ok(Err(VisitRefusal::NotAdmitted));
    }
    let Some((guest, name)) = guest(db, scope, operator, now)? else {
        return Ok(Err(VisitRefusal::ShutOut));
    };
    let detail = json!({ "tenant": visit.tenant.0, "role": visit.role.id() });
    let subject = operator.to_string();
    let event = Event::new("operator.enter", "tenant", visit.tenant.0)
        .detail(detail.clone())
        .of_person(&subject, json!({ "reason": visit.reason }));
    audit::append(db, by.scope(), event, now)?;
    let subject = guest.to_string();
    let event = Event::new("operator.enter", "member", guest)
        .detail(detail)
        .of_person(&subject, json!({ "operator": name, "reason": visit.reason }));
    audit::append(db, scope, event, now)?;
    let session = NewSession {
        member: guest,
        token_hash: visit.token_hash,
        expires_at: visit.expires_at,
        agent: visit.agent.clone(),
        method: SignInMethod::Operator,
        vouched: None,
    };
    let scope = scope.by(Actor::Member(guest));
    session::insert(db, scope, &session, now)?;
    db.prepare_cached(
        "UPDATE session SET operator_session = ?3, operator_role = ?4, operator_reason = ?5
         WHERE tenant_id = ?1 AND token_hash = ?2",
    )?
    .execute(params![
        scope.id(),
        visit.token_hash,
        visit.operator_session,
        visit.role.id(),
        visit.reason
    ])?;
    Ok(Ok(scope))
}

/// Finds or makes the member who stands for an operator in a tenant; `None` if they were disabled there.
fn guest(
    db: &Connection,
    scope: TenantScope,
    operator: MemberId,
    now: UnixMillis,
) -> Result<Option<(MemberId, String)>, StoreError> {
    let name: String = db
        .prepare_cached("SELECT email FROM member WHERE tenant_id = 0 AND member_id = ?1")?
        .query_row(params![operator.column()], |row| row.get(0))?;
    let known = db
        .prepare_cached(
            "SELECT member_id, disabled_at_ms IS NOT NULL FROM member
             WHERE tenant_id = ?1 AND operator_id = ?2",
        )?
        .query_row(params![scope.id(), operator.column()], |row| {
            Ok((MemberId::of_column(row.get(0)?), row.get::<bool>(1)?))
        })
        .optional()?;
    if let Some((guest, is_disabled)) = known {
        return Ok((!is_disabled).then_some((guest, name)));
    }
    let guest = MemberId::of_column(fresh_id(now)?);
    // No address, and no locator: nobody signs in as this one.
    let result = db
        .prepare_cached(
            "INSERT INTO member (tenant_id, member_id, email, name, password_hash, created_at_ms,
                                 operator_id)
             VALUES (?1, ?2, ?3, ?4, '', ?5, ?6)",
        )?
        .execute(params![
            scope.id(),
            guest.column(),
            format!("operator {name}"),
            format!("{name} (operator)"),
            ms(now),
            operator.column()
        ]);
    stored(result, "somebody of this name")?;
    Ok(Some((guest, name)))
}
