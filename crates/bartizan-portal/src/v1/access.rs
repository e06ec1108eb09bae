//! Which application is calling: client ids, access tokens, and what a token lets one do.
//!
//! A token is sealed text (`sealed`) of tenant, application, expiry and scopes. What it allows is asked anew with every
//! request: an application that is disabled or lost a permission is refused at once.

use std::fmt;
use std::str::FromStr;

use axum::http::header;
use axum::http::request::Parts;
use bartizan_model::{TenantId, UnixMillis};
use bartizan_store::{
    ApplicationId, MemberId, Permission, Permissions, Sight, StoreError, TenantScope,
};

use crate::error::{ApiError, bearer};
use crate::request::{Caller, Origin};
use crate::state::AppState;

/// An application at work.
#[derive(Clone, Debug)]
pub(crate) struct Application {
    /// Whose rows it may touch, in its own name.
    pub(crate) scope: TenantScope,
    /// All devices: what a program may do is not limited to groups.
    pub(crate) sight: Sight,
    pub(crate) id: ApplicationId,
    /// As people know it.
    pub(crate) name: String,
    /// What the token lets it do, of what it may.
    pub(crate) permissions: Permissions,
    /// The member who answers for it.
    pub(crate) member: MemberId,
}

/// How an application names itself: the tenant is in it, so that it is found without looking through all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientId {
    pub(crate) tenant: TenantId,
    pub(crate) application: ApplicationId,
}

impl fmt::Display for ClientId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.tenant.0, self.application)
    }
}

impl FromStr for ClientId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (tenant, application) = text.split_once('.').ok_or(())?;
        let id = Self {
            tenant: TenantId(tenant.parse().map_err(|_| ())?),
            application: application.parse().map_err(|_| ())?,
        };
        // Accept only the one spelling we write.
        if id.to_string() == text { Ok(id) } else { Err(()) }
    }
}

/// Makes a token that lets the client do this, until it expires.
pub(crate) fn issue(
    state: &AppState,
    client: ClientId,
    permissions: Permissions,
    now: UnixMillis,
) -> String {
    let until = now.0.saturating_add(LIFETIME_MS);
    let words: Vec<_> = permissions.iter().map(Permission::word).collect();
    state.stamper.stamp(PURPOSE, format!("{client} {until} {}", words.join(" ")).as_bytes())
}

/// Finds out who is calling.
///
/// # Errors
/// Nobody who may, whatever they want.
pub(crate) async fn application(parts: &Parts, state: &AppState) -> Result<Application, ApiError> {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(ApiError::unauthorized(bearer::REQUIRED, "one access token is required"));
    };
    let invalid = || ApiError::unauthorized(bearer::INVALID, "access token is not valid");
    let token = value.to_str().ok().and_then(|value| value.split_once(' '));
    // RFC 9110 §11.1: the scheme's case does not matter.
    let (_, token) =
        token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer")).ok_or_else(invalid)?;
    let (client, until, granted) = read(state, token).ok_or_else(invalid)?;
    let now = state.clock.now();
    if until <= now {
        return Err(ApiError::unauthorized(bearer::EXPIRED, "access token has expired"));
    }
    let found = state.store.application_caller(client.tenant, client.application, now).await;
    let caller = found.map_err(|error| match error {
        StoreError::NotFound { .. } => invalid(),
        StoreError::Conflict { .. }
        | StoreError::Full { .. }
        | StoreError::LastAdministrator
        | StoreError::Busy
        | StoreError::Closed
        | StoreError::Damaged { .. }
        | StoreError::Unavailable(_) => error.into(),
    })?;
    Caller::note(parts, client.tenant);
    let origin = Origin::of(parts);
    let scope = caller.scope.during(origin.request, origin.address);
    touch(state, scope, client.application, caller.used_at, now).await?;
    let both: Vec<_> = granted.iter().filter(|one| caller.permissions.has(*one)).collect();
    Ok(Application {
        scope,
        sight: scope.whole(),
        id: client.application,
        name: caller.name,
        permissions: Permissions::of(&both),
        member: caller.member,
    })
}

/// Notes that it called, to the minute.
pub(crate) async fn touch(
    state: &AppState,
    scope: TenantScope,
    application: ApplicationId,
    used_at: Option<UnixMillis>,
    now: UnixMillis,
) -> Result<(), ApiError> {
    if used_at.is_none_or(|at| TOUCH_AFTER_MS <= now.0.saturating_sub(at.0)) {
        state.store.touch_application(scope, application, now).await?;
    }
    Ok(())
}

fn read(state: &AppState, token: &str) -> Option<(ClientId, UnixMillis, Permissions)> {
    let octets = state.stamper.open(PURPOSE, token)?;
    let text = String::from_utf8(octets).ok()?;
    let mut words = text.split(' ');
    let client = words.next()?.parse().ok()?;
    let until = words.next()?.parse().ok().map(UnixMillis)?;
    let granted: Vec<_> = words.filter_map(Permission::from_word).collect();
    Some((client, until, Permissions::of(&granted)))
}

const PURPOSE: &str = "bartizan application token";
/// Ten minutes.
pub(crate) const LIFETIME_MS: u64 = 600_000;
const TOUCH_AFTER_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_has_one_spelling() {
        let text = "7.0192f3a4-b5c6-7d8e-9f00-112233445566";
        let id: ClientId = text.parse().unwrap();
        assert_eq!((id.tenant, id.to_string().as_str()), (TenantId(7), text));
        for odd in
            ["", "7", "7.", ".0192f3a4-b5c6-7d8e-9f00-112233445566", "07.x", &format!("0{text}")]
        {
            assert_eq!(odd.parse::<ClientId>(), Err(()), "{odd}");
        }
    }
}
