//! Who is at the console: sessions by reference token in a cookie.
//!
//! The token is 256 random bits, of which the store keeps the SHA-256. A session ends 30 minutes after
//! its last use, 12 hours after its beginning, with a new password, or by signing out.
//!
//! Whom the organization's provider vouches for comes in by `oidc`, and is let begin a session here.
//!
//! A one-time password opens sessions until its owner has chosen their own or its 24 hours are over; until
//! then every page asks them to.
//!
//! # Requests from other sites
//! The cookie is `SameSite=Strict`, and `request` refuses whatever changes something and does not come from a page of
//! this portal, by `Sec-Fetch-Site` or `Origin`. Forms need no tokens of their own.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use bartizan_model::{Private, TenantId, UnixMillis};
use bartizan_store::{
    BuiltIn, MemberCredential, MemberId, NewSession, NewVisit, OperatorScope, Permission,
    Permissions, SessionRow, Sight, SignInMethod, StoreError, TenantScope, Visit, VisitRefusal,
    Vouched,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;
use crate::pages::accepts_html;
use crate::pages::account::SIGN_IN;
use crate::pages::operator::TENANTS;
use crate::pages::second_factor::SECOND_FACTOR;
use crate::password::HashError;
use crate::request::{Caller, Origin};
use crate::state::AppState;
use crate::{later, password, random};

/// A member at the console.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Whose rows they may see.
    pub(crate) scope: TenantScope,
    /// The organization's name.
    pub(crate) tenant_name: String,
    /// The member.
    pub(crate) member: MemberId,
    /// Their address.
    pub(crate) email: String,
    /// What they may do.
    pub(crate) permissions: Permissions,
    /// Which devices they see, for what the route needs.
    pub(crate) sight: Sight,
    /// Which devices they may investigate, and on which they may act: what is offered of them (`offered`).
    pub(crate) investigation: Sight,
    /// See [`Session::investigation`].
    pub(crate) remediation: Sight,
    /// Of which devices they find alerts to make rules from; settings themselves are for all devices.
    pub(crate) security: Sight,
    /// Whether they came in by a one-time password, and are asked to choose their own.
    pub(crate) one_time_password: bool,
    /// How they showed who they are.
    pub(crate) method: SignInMethod,
    /// Whether they have to set up a second factor before they go on.
    pub(crate) needs_second_factor: bool,
    /// Set where an operator of the installation is in.
    pub(crate) visit: Option<Visiting>,
    /// Whether it is an operator's own session, at the pages of the installation.
    pub(crate) is_operator: bool,
    pub(crate) token_hash: [u8; 32],
}

/// Why an operator is in, and until when.
#[derive(Clone, Debug)]
pub(crate) struct Visiting {
    pub(crate) visit: Visit,
    pub(crate) until: UnixMillis,
}

impl Session {
    /// Makes it of what the store found, and notes that it is in use.
    pub(crate) async fn of(
        parts: &Parts,
        state: &AppState,
        (token_hash, row): ([u8; 32], SessionRow),
    ) -> Result<Self, Response> {
        let now = state.clock.now();
        if TOUCH_AFTER_MS <= now.0.saturating_sub(row.last_seen_at.0) {
            let touched = match row.visit {
                Some(_) => state.store.touch_visit(row.scope, token_hash, now).await,
                None => state.store.touch_session(row.scope, token_hash, now).await,
            };
            match touched {
                // Pages can be read all the same; the session ends a little earlier.
                Err(error) if error.is_disk_full() => {}
                touched => touched.map_err(|error| ApiError::from(error).into_response())?,
            }
        }
        let origin = Origin::of(parts);
        let until = row.expires_at;
        let needs = parts.extensions.get::<Needs>();
        let needed = needs.map_or(Permission::ViewData, |Needs(permission)| *permission);
        Ok(Self {
            sight: row.sight(needed).during(origin.request, origin.address),
            investigation: row.sight(Permission::AlertsInvestigation),
            remediation: row.sight(Permission::ActiveRemediation),
            security: row.sight(Permission::ManageSecuritySettings),
            scope: row.scope.during(origin.request, origin.address),
            permissions: row.permissions,
            tenant_name: row.tenant_name,
            member: row.member,
            email: row.email,
            method: row.method,
            needs_second_factor: row.needs_second_factor,
            // Who came otherwise has not typed it.
            one_time_password: row.must_set_password
                && row.method != SignInMethod::Provider
                && row.method != SignInMethod::Passkey,
            visit: row.visit.map(|visit| Visiting { visit, until }),
            is_operator: false,
            token_hash,
        })
    }
}

/// What one must be let do to call a route: put there by the table of routes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs(pub(crate) Permission);

impl FromRequestParts<AppState> for Session {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Response> {
        let found = find(parts, state).await?;
        Self::of(parts, state, found).await
    }
}

/// A console that only listens. It does not keep the session alive: nobody may be sitting there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watching {
    pub(crate) tenant: TenantId,
    /// Which devices they see.
    pub(crate) sight: Sight,
}

impl FromRequestParts<AppState> for Watching {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Response> {
        let (_, row) = find(parts, state).await?;
        Ok(Self { tenant: row.scope.tenant_id(), sight: row.sight(Permission::ViewData) })
    }
}

/// What a browser shows to be taken for a member, or for an operator.
pub(crate) struct SessionToken {
    token: Private<String>,
    cookie: &'static str,
    lifetime: Duration,
}

impl SessionToken {
    /// The header that gives it to the browser.
    pub(crate) fn cookie(&self, state: &AppState) -> HeaderValue {
        cookie(state, self.cookie, &self.token.0, self.lifetime, "Strict")
    }
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    /// Address or password is wrong; which is not said.
    #[error("e-mail address or password is wrong")]
    Refused,
    /// The one-time password is right but over.
    #[error("one-time password has expired; ask for another")]
    Expired,
    /// Address and password are right, and the organization is suspended.
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

/// Ends the session.
pub(crate) async fn sign_out(state: &AppState, session: &Session) -> Result<(), StoreError> {
    state.store.end_session(session.scope, session.token_hash, state.clock.now()).await
}

/// The header that takes the token from the browser.
pub(crate) fn no_cookie(state: &AppState) -> HeaderValue {
    cookie(state, COOKIE, "", Duration::ZERO, "Strict")
}

/// The header that takes an operator's token from the browser.
pub(crate) fn no_operator_cookie(state: &AppState) -> HeaderValue {
    cookie(state, OPERATOR, "", Duration::ZERO, "Strict")
}

/// Why a password was not set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetPasswordError {
    /// The present password is wrong.
    #[error("the current password is wrong")]
    WrongCurrent,
    /// Fewer than [`MIN_PASSWORD`] characters.
    #[error("a password has {MIN_PASSWORD} or more characters")]
    TooShort,
    /// More than [`MAX_PASSWORD`] characters.
    #[error("a password has at most {MAX_PASSWORD} characters")]
    TooLong,
    /// It is the one in use.
    #[error("choose another password than the current one")]
    Unchanged,
    /// See [`password::is_guessable`].
    #[error("the password is easy to guess")]
    Guessable,
    /// Too many failures, or the store failed.
    #[error(transparent)]
    SignIn(#[from] SignInError),
}

/// Sets the member's own password, ends all their sessions and begins another.
///
/// `current` is not asked for while the password is a one-time one: they have just typed it.
pub(crate) async fn set_password(
    state: &AppState,
    session: &Session,
    current: Private<String>,
    chosen: Private<String>,
    origin: Origin,
) -> Result<SessionToken, SetPasswordError> {
    let length = chosen.0.chars().count();
    if length < MIN_PASSWORD {
        return Err(SetPasswordError::TooShort);
    }
    if MAX_PASSWORD < length {
        return Err(SetPasswordError::TooLong);
    }
    let (scope, member) = (session.scope, session.member);
    let present = state.store.password_hash(scope, member).await.map_err(SignInError::from)?;
    if present.0.is_empty() {
        // Whom only the provider lets in does not give themselves another way.
        return Err(SetPasswordError::WrongCurrent);
    }
    if !session.one_time_password {
        confirm_by(state, session, current, present.clone(), &origin).await?;
    }
    if password::verify(chosen.clone(), present).await.map_err(SignInError::from)? {
        return Err(SetPasswordError::Unchanged);
    }
    let words = known_words(session);
    if password::is_guessable(chosen.clone(), words).await.map_err(SignInError::from)? {
        return Err(SetPasswordError::Guessable);
    }
    let hash = password::hash(chosen).await.map_err(SignInError::from)?;
    let now = state.clock.now();
    state.store.set_password(scope, member, hash, now).await.map_err(SignInError::from)?;
    // The session goes on as it was begun.
    let proof = Proof { method: session.method, vouched: None };
    Ok(begin(state, scope, member, origin.agent, proof).await?)
}

/// Checks a member's own password once more.
pub(crate) async fn confirm(
    state: &AppState,
    session: &Session,
    current: Private<String>,
    origin: &Origin,
) -> Result<(), SetPasswordError> {
    let present = state.store.password_hash(session.scope, session.member).await;
    let present = present.map_err(SignInError::from)?;
    // What nobody has as a password is not worth its slow hash.
    let is_possible = (1..=MAX_PASSWORD).contains(&current.0.chars().count());
    if present.0.is_empty() || !is_possible {
        return Err(SetPasswordError::WrongCurrent);
    }
    confirm_by(state, session, current, present, origin).await
}

async fn confirm_by(
    state: &AppState,
    session: &Session,
    current: Private<String>,
    present: Private<String>,
    origin: &Origin,
) -> Result<(), SetPasswordError> {
    // Whoever finds a browser open must not be able to guess here either.
    let attempt = state
        .throttle
        .begin(&session.email, origin.address, state.clock.now())
        .map_err(|retry_after| SignInError::RateLimited { retry_after })?;
    let is_theirs = password::verify(current, present).await;
    if !is_theirs.map_err(SignInError::from)? {
        return Err(SetPasswordError::WrongCurrent);
    }
    state.throttle.succeeded(attempt);
    Ok(())
}

/// What a stranger tries first: names of the product, the organization and the person.
fn known_words(session: &Session) -> Vec<String> {
    let parts = [session.email.as_str(), session.tenant_name.as_str()];
    let parts = parts.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    let parts = parts.filter(|part| 2 < part.len()).take(20).map(str::to_lowercase);
    parts.chain(["bartizan".to_owned(), session.tenant_name.to_lowercase()]).collect()
}

/// Keeps only a path of our own, so that nobody is sent elsewhere after signing in.
pub(crate) fn local(next: &str) -> &str {
    let is_local = next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'\\');
    if is_local { next } else { "/" }
}

/// Begins a session.
pub(crate) async fn begin(
    state: &AppState,
    scope: TenantScope,
    member: MemberId,
    agent: String,
    proof: Proof,
) -> Result<SessionToken, SignInError> {
    let secret = random::<32>().map_err(|error| StoreError::Unavailable(Box::new(error)))?;
    let now = state.clock.now();
    let token = URL_SAFE_NO_PAD.encode(secret);
    let expires_at: UnixMillis = later(now, ABSOLUTE_LIMIT);
    let token_hash = Sha256::digest(&token).into();
    let Proof { method, vouched } = proof;
    let session = NewSession { member, token_hash, expires_at, agent, method, vouched };
    state.store.create_session(scope, session, now).await?;
    let cookie = if state.store.installation().scope() == scope { OPERATOR } else { COOKIE };
    Ok(SessionToken { token: Private(token), cookie, lifetime: ABSOLUTE_LIMIT })
}

/// Begins an operator's session in an organization.
pub(crate) async fn enter(
    state: &AppState,
    by: OperatorScope,
    visit: (TenantId, BuiltIn, String),
    operator_session: [u8; 32],
    agent: String,
) -> Result<Result<SessionToken, VisitRefusal>, StoreError> {
    let secret = random::<32>().map_err(|error| StoreError::Unavailable(Box::new(error)))?;
    let now = state.clock.now();
    let token = URL_SAFE_NO_PAD.encode(secret);
    let (tenant, role, reason) = visit;
    let visit = NewVisit {
        tenant,
        role,
        reason,
        operator_session,
        token_hash: Sha256::digest(&token).into(),
        expires_at: later(now, VISIT_LIMIT),
        agent,
    };
    let entered = state.store.enter_tenant(by, visit, now).await?;
    let token = SessionToken { token: Private(token), cookie: COOKIE, lifetime: VISIT_LIMIT };
    Ok(entered.map(|_| token))
}

/// Ends the session that the browser has in an organization, if it has one.
pub(crate) async fn leave(state: &AppState, headers: &HeaderMap) -> Result<(), StoreError> {
    let Some(token) = cookie_of(state, headers, COOKIE) else { return Ok(()) };
    let (hash, now) = (Sha256::digest(token).into(), state.clock.now());
    match state.store.session(hash, IDLE_LIMIT, now).await? {
        Some(row) => state.store.end_session(row.scope, hash, now).await,
        None => Ok(()),
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

async fn find(parts: &Parts, state: &AppState) -> Result<([u8; 32], SessionRow), Response> {
    let Some(token) = cookie_of(state, &parts.headers, COOKIE) else {
        return Err(send_to_sign_in(parts, state));
    };
    let token_hash = Sha256::digest(token).into();
    let found = state.store.session(token_hash, IDLE_LIMIT, state.clock.now()).await;
    let row = found.map_err(|error| ApiError::from(error).into_response())?;
    let row = row.ok_or_else(|| send_to_sign_in(parts, state))?;
    Caller::note(parts, row.scope.tenant_id());
    if let Some(Needs(permission)) = parts.extensions.get::<Needs>()
        && !row.permissions.has(*permission)
    {
        tracing::warn!(
            tenant.id = row.scope.tenant_id().0,
            member.id = %row.member,
            permission = permission.word(),
            request.id = Caller::request_id(parts),
            "permission refused"
        );
        return Err(ApiError::lacking(*permission).into_response());
    }
    if row.needs_second_factor && parts.extensions.get::<Needs>().is_some() {
        return Err(send_to(parts, SECOND_FACTOR, || {
            let detail = "set up a second factor first";
            ApiError::new(StatusCode::FORBIDDEN, SECOND_FACTOR_REQUIRED, detail)
        }));
    }
    Ok((token_hash, row))
}

/// Sends a person to the page where they can sign in, and tells a program that it has to.
fn send_to_sign_in(parts: &Parts, state: &AppState) -> Response {
    // An operator whose hour is over enters once more, or goes elsewhere.
    let is_operator = cookie_of(state, &parts.headers, OPERATOR).is_some();
    send_to(parts, if is_operator { TENANTS } else { SIGN_IN }, || {
        ApiError::new(StatusCode::UNAUTHORIZED, SIGN_IN_REQUIRED, "sign in first")
    })
}

/// Sends a person to a page where they do what is to be done first, and tells a program that it has to be done.
pub(crate) fn send_to(
    parts: &Parts,
    page: &'static str,
    error: impl FnOnce() -> ApiError,
) -> Response {
    let headers = &parts.headers;
    let is_fragment = headers.contains_key(HX_REQUEST);
    if accepts_html(headers) && !is_fragment && parts.method == Method::GET {
        let here = parts.uri.path_and_query().map_or("/", |here| here.as_str());
        return Redirect::to(&format!("{page}?next={}", query_value(here))).into_response();
    }
    let mut response = error().into_response();
    if is_fragment {
        // What htmx follows instead of putting a page into a fragment's place.
        response.headers_mut().insert(HX_REDIRECT, HeaderValue::from_static(page));
    }
    response
}

/// Percent-encodes a value of a query (RFC 3986 §2.3).
pub(crate) fn query_value(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~/".contains(&octet) {
            encoded.push(char::from(octet));
        } else {
            encoded.push('%');
            encoded.push_str(&crate::files::hexadecimal(&[octet]).to_ascii_uppercase());
        }
    }
    encoded
}

/// Finds a cookie of the portal's.
pub(crate) fn cookie_of<'a>(
    state: &AppState,
    headers: &'a HeaderMap,
    name: &str,
) -> Option<&'a str> {
    token_of(headers, &cookie_name(state.secure_cookies, name))
}

fn token_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(found, token)| (found == name).then_some(token))
}

/// Writes the header that sets a cookie; no lifetime takes it away.
pub(crate) fn cookie(
    state: &AppState,
    name: &str,
    token: &str,
    lifetime: Duration,
    same_site: &str,
) -> HeaderValue {
    let (name, seconds) = (cookie_name(state.secure_cookies, name), lifetime.as_secs());
    let secure = if state.secure_cookies { "; Secure" } else { "" };
    let text = format!(
        "{name}={token}; Max-Age={seconds}; Path=/; HttpOnly; SameSite={same_site}{secure}"
    );
    // Base64url and our own words are always a header's value.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// The prefix makes browsers insist on `Secure`, `Path=/` and this very host (RFC 6265bis §4.1.3.2).
fn cookie_name(is_secure: bool, name: &str) -> String {
    if is_secure { format!("__Host-{name}") } else { name.to_owned() }
}

const COOKIE: &str = "session";
/// An operator's own session, beside the one in an organization.
pub(crate) const OPERATOR: &str = "operator";
/// An operator's session in an organization.
const VISIT_LIMIT: Duration = Duration::from_secs(60 * 60);
pub(crate) const IDLE_LIMIT: Duration = Duration::from_secs(30 * 60);
pub(crate) const ABSOLUTE_LIMIT: Duration = Duration::from_secs(12 * 60 * 60);
/// A minute less of idleness spares a write for each click.
const TOUCH_AFTER_MS: u64 = 60_000;
/// NIST SP 800-63B asks for 8; 12 makes up for the missing second factor.
pub(crate) const MIN_PASSWORD: usize = 12;
/// Longer than any sentence, shorter than a burden.
pub(crate) const MAX_PASSWORD: usize = 256;
const MAX_TENANTS: usize = 8;
const SIGN_IN_REQUIRED: &str = "sign_in_required";
const SECOND_FACTOR_REQUIRED: &str = "second_factor_required";
const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");
const HX_REDIRECT: HeaderName = HeaderName::from_static("hx-redirect");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_paths_are_followed() {
        check("/alerts?severity=High", "/alerts?severity=High");
        for foreign in ["", "alerts", "//evil.test", "/\\evil.test", "https://evil.test", "/a\r\nb"]
        {
            check(foreign, "/");
        }
    }

    #[test]
    fn a_path_survives_as_a_query() {
        assert_eq!(query_value("/a?b=c&d"), "/a%3Fb%3Dc%26d");
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; session=xyz; b=2"));
        assert_eq!(token_of(&headers, "session"), Some("xyz"));
        assert_eq!(token_of(&headers, "__Host-session"), None);
    }

    #[track_caller]
    fn check(next: &str, expected: &str) {
        assert_eq!(local(next), expected);
    }
}
