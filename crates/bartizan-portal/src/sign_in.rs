//! Signing in: by a password, and beginning the session of whoever has shown by any means who they are.
//!
//! Whom the organization's provider vouches for comes in by `oidc`, whom a passkey by `passkey`, who has to show a code as well
//! by `pages::second_factor`; all of them begin their session here.
//!
//! A one-time password opens sessions until its owner has chosen their own or its 24 hours are over; until
//! then every page asks them to.
//!
//! # Invariants
//! - A suspended organization has no session begun in it, by whatever means; why is told to none but whoever has shown who
//!   they are.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use bartizan_model::{Private, UnixMillis};
use bartizan_store::{
    MemberCredential, MemberId, NewSession, SignInMethod, StoreError, TenantScope, Vouched,
};

use crate::own_password::MAX_PASSWORD;
use crate::pages::account::SIGN_IN;
use crate::passkey::Purpose;
use crate::password::HashError;
use crate::request::Origin;
use crate::session::{ABSOLUTE_LIMIT, COOKIE, OPERATOR, SessionToken};
use crate::state::AppState;
use crate::{later, operator_session, password};

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    /// Address or password is wrong; which is not said.
    #[error("e-mail address or password is wrong")]
    Refused,
    /// The one-time password is right but over.
    #[error("one-time password has expired; ask for another")]
    Expired,
    /// They have shown who they are, and their organization is suspended.
    #[error("this organization is suspended; ask whoever runs the portal")]
    Suspended,
    /// Too many failures.
    #[error("too many attempts; try again later")]
    RateLimited {
        /// Until the next attempt may be made.
        retry_after: Duration,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The password could not be checked.
    #[error(transparent)]
    Hash(#[from] HashError),
}

/// By what somebody is let in.
pub(crate) struct Proof {
    pub(crate) method: SignInMethod,
    /// What the provider calls them, where it vouched for them.
    pub(crate) vouched: Option<Vouched>,
}

impl Proof {
    const PASSWORD: Self = Self { method: SignInMethod::Password, vouched: None };
}

/// What whoever knows the password gets.
pub(crate) enum Entry {
    /// A session.
    Session(SessionToken),
    /// To be asked for a code or a passkey.
    Code(MemberId),
}

/// Where somebody wants to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Realm {
    /// As a member of an organization.
    Tenants,
    /// As an operator.
    Installation,
}

impl Realm {
    /// Where they do.
    pub(crate) fn door(self) -> &'static str {
        match self {
            Self::Tenants => SIGN_IN,
            Self::Installation => operator_session::SIGN_IN,
        }
    }

    /// What a passkey is asked for here, without a password.
    pub(crate) fn passkey_purpose(self) -> Purpose {
        Purpose::SignIn { as_operator: self == Self::Installation }
    }

    /// Finds whose name this is.
    pub(crate) async fn find(
        self,
        state: &AppState,
        name: &str,
    ) -> Result<Vec<MemberCredential>, StoreError> {
        match self {
            Self::Tenants => state.store.members_by_email(name).await,
            Self::Installation => state.store.operators_by_name(name).await,
        }
    }
}

impl FromRequestParts<AppState> for Realm {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Infallible> {
        let is_operators = parts.uri.path().starts_with(operator_session::SIGN_IN);
        Ok(if is_operators { Self::Installation } else { Self::Tenants })
    }
}

/// Begins a session for whoever knows the password, and has no second factor.
pub(crate) async fn sign_in(
    state: &AppState,
    realm: Realm,
    email: &str,
    password: Private<String>,
    origin: Origin,
) -> Result<Entry, SignInError> {
    let now = state.clock.now();
    let attempt = state.throttle.begin(email, origin.address, now).map_err(|retry_after| {
        origin.refused("too many attempts", None, "");
        SignInError::RateLimited { retry_after }
    })?;
    let found = find_member(state, realm, email, password, &origin).await?;
    let member = found.ok_or(SignInError::Refused)?;
    // Known to be theirs, so saying why helps nobody else.
    if member.one_time_expires_at.is_some_and(|expires_at| expires_at <= now) {
        let (tenant, id) = (member.scope.tenant_id(), member.id.to_string());
        origin.refused("one-time password has expired", Some(tenant), &id);
        return Err(SignInError::Expired);
    }
    if member.is_suspended {
        return Err(SignInError::Suspended);
    }
    state.throttle.succeeded(attempt);
    let scope = member.scope.during(origin.request, origin.address);
    // A passkey is one as well, also where this address has another name than it was made for.
    if state.store.second_factor(scope, member.id).await?.is_some()
        || !state.store.passkeys(scope, member.id).await?.is_empty()
    {
        return Ok(Entry::Code(member.id));
    }
    Ok(Entry::Session(begin(state, scope, member.id, origin.agent, Proof::PASSWORD).await?))
}

/// Begins the session of somebody who has shown who they are.
pub(crate) async fn begin(
    state: &AppState,
    scope: TenantScope,
    member: MemberId,
    agent: String,
    proof: Proof,
) -> Result<SessionToken, SignInError> {
    let is_operator = state.store.installation().scope() == scope;
    let cookie = if is_operator { OPERATOR } else { COOKIE };
    let (token, token_hash) = SessionToken::draw(cookie, ABSOLUTE_LIMIT)?;
    let now = state.clock.now();
    let expires_at: UnixMillis = later(now, ABSOLUTE_LIMIT);
    let Proof { method, vouched } = proof;
    let session = NewSession { member, token_hash, expires_at, agent, method, vouched };
    if state.store.create_session(scope, session, now).await? {
        Ok(token)
    } else {
        Err(SignInError::Suspended)
    }
}

/// Finds whose address and password these are. An unknown address takes as long as a wrong password.
async fn find_member(
    state: &AppState,
    realm: Realm,
    email: &str,
    password: Private<String>,
    origin: &Origin,
) -> Result<Option<MemberCredential>, SignInError> {
    if MAX_PASSWORD < password.0.chars().count() {
        origin.refused("longer than any password", None, "");
        return Ok(None);
    }
    let members = realm.find(state, email).await?;
    if members.is_empty() {
        password::verify(password, state.nobodys_password.clone()).await?;
        origin.refused("unknown address", None, "");
        return Ok(None);
    }
    // Somebody may belong to several organizations; the password says which is meant.
    for member in members.into_iter().take(MAX_TENANTS) {
        // Whom only the provider lets in has none.
        let hash = Some(&member.password_hash).filter(|hash| !hash.0.is_empty());
        let hash = hash.unwrap_or(&state.nobodys_password).clone();
        let is_theirs = password::verify(password.clone(), hash).await?;
        // Somebody disabled is refused as if the password were wrong; the log alone tells these apart.
        let what = match (is_theirs, member.is_disabled, member.may_use_password) {
            (true, false, true) => return Ok(Some(member)),
            (true, false, false) => "break-glass accounts alone sign in by a password",
            (true, true, _) => "disabled",
            (false, _, _) => "wrong password",
        };
        origin.refused(what, Some(member.scope.tenant_id()), &member.id.to_string());
    }
    Ok(None)
}

/// Of all that have a name, so many are tried: each costs a slow hash.
const MAX_TENANTS: usize = 8;
