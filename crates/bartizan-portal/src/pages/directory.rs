//! Directories that keep users and groups by SCIM: their tokens.

use std::time::Duration;

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_store::StoreError;

use super::feeds::DoneQuery;
use super::people::one;
use super::{html, shell};
use crate::console::DirectoryPage;
use crate::error::ApiError;
use crate::later;
use crate::request::host;
use crate::scim::{self, DirectoryToken};
use crate::session::Session;
use crate::state::AppState;

/// `GET /directory`.
pub(crate) async fn page(
    State(state): State<AppState>,
    session: Session,
    headers: HeaderMap,
    uri: Uri,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let notice = (query.done == "revoked").then(|| "The token is revoked.".to_owned());
    html(&show(&state, session, (&headers, &uri), notice, None, None).await?)
}

/// `POST /directory`: makes a token, and shows it once.
pub(crate) async fn create(
    State(state): State<AppState>,
    session: Session,
    headers: HeaderMap,
    uri: Uri,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let from = (&headers, &uri);
    let name = one(&pairs, "name").trim().to_owned();
    let days: Option<u64> =
        one(&pairs, "days").parse().ok().filter(|days| (1..=MAX_DAYS).contains(days));
    let is_name =
        !name.is_empty() && name.chars().count() <= 100 && !name.chars().any(char::is_control);
    let problem = match days {
        None => format!("A token holds for 1 to {MAX_DAYS} days."),
        Some(_) if !is_name => "A name has 1 to 100 characters on one line.".into(),
        Some(days) => {
            let token = DirectoryToken::random(session.scope.tenant_id());
            let token = token.map_err(|error| ApiError::internal(&error))?;
            let now = state.clock.now();
            let expires_at = later(now, Duration::from_secs(days * 86_400));
            let named = (name.clone(), token.hash());
            match state.store.create_scim_token(session.scope, named, expires_at, now).await {
                Ok(_) => {
                    let given = Some(token.to_string());
                    return html(&show(&state, session, from, None, given, None).await?);
                }
                Err(error @ StoreError::Full { .. }) => format!("Not made: {error}."),
                Err(error) => return Err(error.into()),
            }
        }
    };
    let page = show(&state, session, from, None, None, Some((problem, name))).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response())
}

/// `POST /directory/{id}/revoke`.
pub(crate) async fn revoke(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = id.parse().map_err(|_| ApiError::not_found("directory token"))?;
    state.store.revoke_scim_token(session.scope, id, state.clock.now()).await?;
    Ok(Redirect::to("/directory?done=revoked").into_response())
}

async fn show(
    state: &AppState,
    session: Session,
    (headers, uri): (&HeaderMap, &Uri),
    notice: Option<String>,
    given: Option<String>,
    problem: Option<(String, String)>,
) -> Result<DirectoryPage, ApiError> {
    let scheme = if state.secure_cookies { "https" } else { "http" };
    let host = host(headers, uri).unwrap_or("localhost");
    Ok(DirectoryPage {
        tokens: state.store.scim_tokens(session.scope).await?,
        shell: shell(session, notice),
        address: format!("{scheme}://{host}{}", scim::BASE),
        given,
        problem,
        now: state.clock.now(),
    })
}

/// Two years.
const MAX_DAYS: u64 = 730;
