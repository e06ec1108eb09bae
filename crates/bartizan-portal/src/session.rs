//! Who is at the console: sessions by reference token in a cookie.
//!
//! The token is 256 random bits, of which the store keeps the SHA-256. A session ends 30 minutes after
//! its last use, 12 hours after its beginning, with a new password, or by signing out.
//!
//! How a session begins is told in `sign_in`; how an operator enters an organization, here ([`enter`]).
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
    BuiltIn, MemberId, NewVisit, OperatorScope, Permission, Permissions, SessionRow, Sight,
    SignInMethod, StoreError, TenantScope, Visit, VisitRefusal,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;
use crate::pages::accepts_html;
use crate::pages::account::SIGN_IN;
use crate::pages::operator::TENANTS;
use crate::pages::second_factor::SECOND_FACTOR;
use crate::request::{Caller, Origin};
use crate::state::AppState;
use crate::{later, random};

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
    /// Draws one, and returns with it what the store keeps of it.
    pub(crate) fn draw(
        cookie: &'static str,
        lifetime: Duration,
    ) -> Result<(Self, [u8; 32]), StoreError> {
        let secret = random::<32>().map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        let token = URL_SAFE_NO_PAD.encode(secret);
        let hash = Sha256::digest(&token).into();
        Ok((Self { token: Private(token), cookie, lifetime }, hash))
    }

    /// The header that gives it to the browser.
    pub(crate) fn cookie(&self, state: &AppState) -> HeaderValue {
        cookie(state, self.cookie, &self.token.0, self.lifetime, "Strict")
    }
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

/// Keeps only a path of our own, so that nobody is sent elsewhere after signing in.
pub(crate) fn local(next: &str) -> &str {
    let is_local = next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'\\');
    if is_local { next } else { "/" }
}

/// Begins an operator's session in an organization.
pub(crate) async fn enter(
    state: &AppState,
    by: OperatorScope,
    visit: (TenantId, BuiltIn, String),
    operator_session: [u8; 32],
    agent: String,
) -> Result<Result<SessionToken, VisitRefusal>, StoreError> {
    let (token, token_hash) = SessionToken::draw(COOKIE, VISIT_LIMIT)?;
    let now = state.clock.now();
    let (tenant, role, reason) = visit;
    let visit = NewVisit {
        tenant,
        role,
        reason,
        operator_session,
        token_hash,
        expires_at: later(now, VISIT_LIMIT),
        agent,
    };
    let entered = state.store.enter_tenant(by, visit, now).await?;
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

/// A session in an organization.
pub(crate) const COOKIE: &str = "session";
/// An operator's own session, beside the one in an organization.
pub(crate) const OPERATOR: &str = "operator";
/// An operator's session in an organization.
const VISIT_LIMIT: Duration = Duration::from_secs(60 * 60);
pub(crate) const IDLE_LIMIT: Duration = Duration::from_secs(30 * 60);
pub(crate) const ABSOLUTE_LIMIT: Duration = Duration::from_secs(12 * 60 * 60);
/// A minute less of idleness spares a write for each click.
const TOUCH_AFTER_MS: u64 = 60_000;
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
