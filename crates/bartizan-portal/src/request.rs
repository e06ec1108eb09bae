//! What happens to every request: an id, a time limit, a check of where it comes from, headers, a log line.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use bartizan_contract::BASE_PATH;
use bartizan_contract::problem::code;
use bartizan_model::TenantId;
use serde::de::DeserializeOwned;

use crate::error::ApiError;
use crate::files::hexadecimal;
use crate::pages::accepts_html;
use crate::pages::provider_sign_in::BACK_CHANNEL;
use crate::state::AppState;
use crate::telemetry::Span;
use crate::{random, scim, v1};

/// Handles one request: `next` does the work, this is what surrounds it.
pub(crate) async fn handle(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let started_at = state.clock.now();
    let trace = state.telemetry.begin(request.headers());
    let id = random::<8>().unwrap_or_default();
    let request_id = hexadecimal(&id);
    let caller = Caller { request: id, tenant: Arc::default() };
    request.extensions_mut().insert(caller.clone());
    if let Some(ClientAddress(peer)) = request.extensions().get().copied() {
        let client = state.reach.client(peer, request.headers());
        request.extensions_mut().insert(ClientAddress(client));
    }
    let method = request.method().clone();
    // The pattern and never the path: a path may hold an id.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "-".to_owned(), |pattern| pattern.as_str().to_owned());

    let is_scim = request.uri().path().starts_with(scim::BASE);
    let for_programs = FOR_PROGRAMS.iter().any(|prefix| request.uri().path().starts_with(prefix));
    let wants_page = !for_programs && accepts_html(request.headers());
    let answer = if is_cross_site(&request) {
        Err(ApiError::new(
            StatusCode::FORBIDDEN,
            CROSS_SITE,
            "this request comes from another site",
        ))
    } else {
        let deadline = tokio::time::timeout(TIME_LIMIT, next.run(request));
        deadline.await.map_err(|_| ApiError::unavailable())
    };
    let mut response = finish(&state, answer, wants_page, is_scim);
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    let ended_at = state.clock.now();
    let duration_ms = ended_at.0.saturating_sub(started_at.0);
    state.metrics.request(&route, &method, response.status().as_u16(), duration_ms);
    tracing::info!(
        http.method = %method,
        http.route = route,
        http.status = response.status().as_u16(),
        duration_ms,
        tenant.id = caller.tenant.get().map(|tenant| tenant.0),
        request.id = request_id,
        "request"
    );
    if let Some(trace) = trace {
        let status = response.status().as_u16();
        state.telemetry.end(Span {
            trace,
            method,
            route,
            status,
            request_id,
            started_at,
            ended_at,
        });
    }
    response
}

/// Writes an error's body, and the headers that every response has.
fn finish(
    state: &AppState,
    answer: Result<Response, ApiError>,
    wants_page: bool,
    is_scim: bool,
) -> Response {
    let render = |error: &ApiError| {
        if is_scim {
            return scim::render(error);
        }
        let page = wants_page.then(|| error.page()).flatten();
        page.unwrap_or_else(|| error.render(state.clock.now()))
    };
    let mut response = match answer {
        Ok(mut response) => match response.extensions_mut().remove::<ApiError>() {
            Some(error) => {
                // Headers that came with the error, such as where to sign in, are kept.
                let mut rendered = render(&error);
                rendered.headers_mut().extend(extra_headers(response.headers()));
                rendered
            }
            None => response,
        },
        Err(error) => render(&error),
    };
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if state.secure_cookies {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn extra_headers(headers: &HeaderMap) -> HeaderMap {
    let mut extra = headers.clone();
    extra.remove(header::CONTENT_TYPE);
    extra.remove(header::CONTENT_LENGTH);
    extra
}

/// Whether a browser was made to send this by a page of another site. Devices, directories, applications and providers are
/// not browsers and are known by their proofs, tokens and signatures, not by cookies.
fn is_cross_site(request: &Request) -> bool {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method())
        || BY_NO_COOKIE.iter().any(|prefix| request.uri().path().starts_with(prefix))
    {
        return false;
    }
    let headers = request.headers();
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        Some(b"same-origin" | b"none") => false,
        Some(_) => true,
        None => {
            let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
            let origin = origin.and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
            origin.is_none() || origin != host(headers, request.uri())
        }
    }
}

/// The host and port that the client meant.
pub(crate) fn host<'a>(headers: &'a HeaderMap, uri: &'a axum::http::Uri) -> Option<&'a str> {
    match headers.get(header::HOST) {
        Some(host) => host.to_str().ok(),
        None => uri.authority().map(axum::http::uri::Authority::as_str),
    }
}

/// Who is calling, for the log; filled in by whoever finds out.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    request: [u8; 8],
    tenant: Arc<OnceLock<TenantId>>,
}

impl Caller {
    /// The request's id, as the log line of every request has it.
    pub(crate) fn request_id(parts: &Parts) -> String {
        parts.extensions.get::<Self>().map(|it| hexadecimal(&it.request)).unwrap_or_default()
    }

    /// Notes the tenant of a request, once its credential was verified.
    pub(crate) fn note(parts: &Parts, tenant: TenantId) {
        if let Some(caller) = parts.extensions.get::<Self>() {
            // A request speaks for one tenant; the first word stands.
            let _ = caller.tenant.set(tenant);
        }
    }
}

/// Where a request comes from, for the audit log.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) request: [u8; 8],
    pub(crate) address: IpAddr,
    /// As the browser calls itself, shortened.
    pub(crate) agent: String,
}

impl Origin {
    /// Reads what `handle` and the connection left.
    pub(crate) fn of(parts: &Parts) -> Self {
        let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let address = parts.extensions.get::<ClientAddress>().map(|address| address.0);
        Self {
            request: parts
                .extensions
                .get::<Caller>()
                .map(|caller| caller.request)
                .unwrap_or_default(),
            address: address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            agent: agent.unwrap_or_default().chars().take(MAX_AGENT).collect(),
        }
    }
}

impl Origin {
    /// Notes that somebody did not show who they are. What they typed is not noted: it may be a password.
    pub(crate) fn refused(&self, what: &'static str, tenant: Option<TenantId>, member: &str) {
        tracing::warn!(
            tenant.id = tenant.map(|tenant| tenant.0),
            member.id = member,
            client.address = %self.address,
            request.id = hexadecimal(&self.request),
            what,
            "sign-in refused"
        );
    }
}

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

/// Where the connection comes from; behind a proxy that was named, where its own does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let unknown = Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        Ok(parts.extensions.get().copied().unwrap_or(unknown))
    }
}

/// A body of the contract.
pub(crate) struct Message<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Message<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = axum::body::Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                ApiError::new(rejection.status(), code::TOO_LARGE, "the request is too large")
            } else {
                unreadable(&rejection)
            }
        })?;
        serde_json::from_slice(&body)
            .map(Self)
            .map_err(|error| ApiError::malformed(format!("not the message expected here: {error}")))
    }
}

fn unreadable(_: &BytesRejection) -> ApiError {
    ApiError::malformed("the request's body did not arrive whole")
}

/// Refuses a path that no route has.
pub(crate) async fn no_such_path() -> ApiError {
    ApiError::not_found("path")
}

/// Refuses a method that the route does not have.
pub(crate) async fn no_such_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, METHOD_NOT_ALLOWED, "no such method here")
}

/// Where an error is never a page, whoever looks.
const FOR_PROGRAMS: [&str; 6] =
    [BASE_PATH, scim::BASE, "/livez", "/readyz", v1::BASE, v1::token::PATH];
/// Where no cookie counts.
const BY_NO_COOKIE: [&str; 5] = [BASE_PATH, scim::BASE, v1::BASE, v1::token::PATH, BACK_CHANNEL];
/// The largest batch of alerts is some 50 KiB.
pub(crate) const BODY_LIMIT: usize = 1024 * 1024;
/// Forms, tokens and keys are a few KiB; a body for each connection that there may be fits into memory.
pub(crate) const STRANGERS_BODY_LIMIT: usize = 64 * 1024;
/// The longest names of browsers in use fit.
const MAX_AGENT: usize = 300;
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Everything from here, nothing inline, nothing framed, nothing for other sites (OWASP ASVS V3.4, V3.5.8).
const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         font-src 'self'; connect-src 'self'; form-action 'self'; object-src 'none'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), \
         microphone=(), midi=(), payment=(), serial=(), usb=()",
    ),
];
/// A year, and all below the portal's name, as ASVS V3.4.1 asks.
const HSTS: &str = "max-age=31536000; includeSubDomains";
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CROSS_SITE: &str = "cross_site";
const METHOD_NOT_ALLOWED: &str = "method_not_allowed";
