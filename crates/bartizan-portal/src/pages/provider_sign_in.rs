//! Signing in by the organization's provider: its sign-in page, the way there and back, and being told to log out.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_store::{SignInKey, SignInPlace};
use serde::Deserialize;

use super::account::NextQuery;
use super::html;
use crate::console::{GoOnPage, Organization, SignInPage, SignInProblem};
use crate::error::ApiError;
use crate::files::hexadecimal;
use crate::oidc::{self, Flow, Refusal, Return};
use crate::request::{self, Origin};
use crate::session::{local, query_value};
use crate::sign_in::SignInError;
use crate::state::AppState;
use crate::ticket::{self, Step};

/// What somebody typed who wants to sign in by their organization.
#[derive(Deserialize)]
pub(crate) struct FindForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    next: String,
}

/// `POST /sign-in/find`: the organization's sign-in page, by the domain of an e-mail address.
pub(crate) async fn find(
    State(state): State<AppState>,
    Form(form): Form<FindForm>,
) -> Result<Response, ApiError> {
    let domain = form.email.trim().rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase());
    let place = match domain {
        Some(domain) => state.store.sign_in_place(SignInKey::Domain, &domain).await?,
        None => None,
    };
    let next = local(&form.next).to_owned();
    let Some(place) = place else {
        // The same for every address of the domain: nobody learns who is known here.
        let problem = Some(SignInProblem::NoProvider);
        let page = html(&SignInPage { problem, email: form.email, next, organization: None })?;
        return Ok((StatusCode::NOT_FOUND, page).into_response());
    };
    let next = query_value(&next);
    Ok(Redirect::to(&format!("{AT}/{}?next={next}", place.provider.address)).into_response())
}

/// `GET /sign-in/at/{address}`: an organization's own sign-in page.
pub(crate) async fn page(
    State(state): State<AppState>,
    Path(address): Path<String>,
    Query(query): Query<NextQuery>,
) -> Result<Response, ApiError> {
    let place = find_place(&state, &address).await?;
    html(&sign_in_page(&place, local(&query.next), None))
}

/// `GET /sign-in/at/{address}/go`: off to the provider.
pub(crate) async fn go(
    State(state): State<AppState>,
    Path(address): Path<String>,
    Query(query): Query<NextQuery>,
    origin: Origin,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let next = local(&query.next);
    if headers.get("sec-fetch-site").is_some_and(|from| from == "cross-site") {
        // Another site may lead to the page, but not through it: whoever is signed in has asked for it.
        let page = format!("/sign-in/at/{}?next={}", query_value(&address), query_value(next));
        return Ok(Redirect::to(&page).into_response());
    }
    let place = find_place(&state, &address).await?;
    let back = base(&state, &headers, &uri)? + CALLBACK;
    match oidc::begin(&state, &place, back, next.to_owned()).await {
        Ok((address, cookie)) => {
            let mut response = Redirect::to(&address).into_response();
            response.headers_mut().append(header::SET_COOKIE, cookie);
            Ok(response)
        }
        Err(refusal) => refused(Some(&place), next, &refusal, &origin),
    }
}

/// `GET /sign-in/callback`: back from the provider.
///
/// The session's cookie does not come along on a way that began at another site, so the way goes on from a page.
pub(crate) async fn callback(
    State(state): State<AppState>,
    Query(back): Query<Return>,
    origin: Origin,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let flow: Option<Flow> = ticket::read(&state, Step::AtProvider, &headers);
    let Some(flow) = flow else {
        return refused(None, "/", &Refusal::NoFlow, &origin);
    };
    let mut response = match oidc::finish(&state, &flow, back, origin.clone()).await {
        Ok(token) => {
            let mut page = html(&GoOnPage { next: flow.next.clone() })?;
            page.headers_mut().append(header::SET_COOKIE, token.cookie(&state));
            page
        }
        Err(refusal) => {
            let place = state.store.sign_in_place(SignInKey::Address, &flow.address).await?;
            refused(place.as_ref(), &flow.next, &refusal, &origin)?
        }
    };
    // Whatever came of it, the flow is over.
    response.headers_mut().append(header::SET_COOKIE, ticket::take(&state, Step::AtProvider));
    Ok(response)
}

/// What the provider sends.
#[derive(Deserialize)]
pub(crate) struct LogOutForm {
    #[serde(default)]
    logout_token: String,
}

/// `POST /sign-in/back-channel/{address}` (Back-Channel Logout 1.0 §2.8).
pub(crate) async fn log_out(
    State(state): State<AppState>,
    Path(address): Path<String>,
    origin: Origin,
    Form(form): Form<LogOutForm>,
) -> Result<Response, ApiError> {
    match oidc::log_out(&state, &address, &form.logout_token, &origin).await {
        Ok(ended) => {
            tracing::info!(sessions = ended, "the provider ended sessions");
            Ok(StatusCode::OK.into_response())
        }
        Err(Refusal::Store(error)) => Err(error.into()),
        Err(refusal) => {
            let error: &dyn std::error::Error = &refusal;
            tracing::warn!(
                error,
                request.id = hexadecimal(&origin.request),
                "logout token refused"
            );
            Err(ApiError::malformed("the logout token is not accepted"))
        }
    }
}

/// Where browsers reach the portal, as the request says: what the provider leads back to it has in its own list.
pub(super) fn base(state: &AppState, headers: &HeaderMap, uri: &Uri) -> Result<String, ApiError> {
    let host = request::host(headers, uri);
    let host = host.ok_or_else(|| ApiError::malformed("the request names no host"))?;
    let scheme = if state.secure_cookies { "https" } else { "http" };
    Ok(format!("{scheme}://{host}"))
}

async fn find_place(state: &AppState, address: &str) -> Result<SignInPlace, ApiError> {
    let place = state.store.sign_in_place(SignInKey::Address, address).await?;
    place.ok_or_else(|| ApiError::not_found("page"))
}

fn sign_in_page(place: &SignInPlace, next: &str, problem: Option<SignInProblem>) -> SignInPage {
    let organization = Organization {
        name: place.tenant_name.clone(),
        provider: place.provider.name.clone(),
        go: format!("{AT}/{}/go?next={}", place.provider.address, query_value(next)),
    };
    let organization = Some(organization);
    SignInPage { problem, email: String::new(), next: next.to_owned(), organization }
}

/// One page for whatever went wrong; the log has the reason under the number that the page shows. Only whom the provider
/// vouched for learns that the organization is suspended.
fn refused(
    place: Option<&SignInPlace>,
    next: &str,
    refusal: &Refusal,
    origin: &Origin,
) -> Result<Response, ApiError> {
    let request = hexadecimal(&origin.request);
    let tenant = place.map(|place| place.scope.tenant_id().0);
    let error: &dyn std::error::Error = refusal;
    tracing::warn!(
        error,
        tenant.id = tenant,
        request.id = request,
        "sign-in by the provider refused"
    );
    let is_suspended = matches!(refusal, Refusal::SignIn(SignInError::Suspended));
    let (status, problem) = if is_suspended {
        (StatusCode::FORBIDDEN, Some(SignInProblem::Suspended))
    } else {
        (StatusCode::UNAUTHORIZED, Some(SignInProblem::ProviderRefused { request }))
    };
    let page = match place {
        Some(place) => sign_in_page(place, next, problem),
        None => {
            SignInPage { problem, email: String::new(), next: next.to_owned(), organization: None }
        }
    };
    Ok((status, html(&page)?).into_response())
}

/// An organization's sign-in page, and its address.
pub(crate) const AT: &str = "/sign-in/at";
/// What providers have to be told.
pub(crate) const CALLBACK: &str = "/sign-in/callback";
/// What providers have to be told, and the organization's sign-in address.
pub(crate) const BACK_CHANNEL: &str = "/sign-in/back-channel/";
