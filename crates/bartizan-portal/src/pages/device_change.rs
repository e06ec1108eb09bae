//! What people do to a device from its page: tags, person and value, taking it out, forgetting it.

use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_model::DeviceId;
use bartizan_store::{DeviceValue, StoreError};
use serde::Deserialize;

use super::devices::{DeviceQuery, show};
use super::{html, shell};
use crate::console::{DeviceRemovePage, visible};
use crate::error::ApiError;
use crate::session::Session;
use crate::state::AppState;

/// A tag, given or taken away.
#[derive(Deserialize)]
pub(crate) struct TagForm {
    tag: String,
    #[serde(rename = "do")]
    wanted: String,
}

/// `POST /devices/{id}/tags`.
pub(crate) async fn tags(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(form): Form<TagForm>,
) -> Result<Response, ApiError> {
    let (id, now, who) = (parse(&id)?, state.clock.now(), session.email.clone());
    let tag = form.tag.trim().to_owned();
    if !is_plain(&tag) || tag.is_empty() {
        let problem = "A tag has 1 to 200 visible characters on one line.";
        return again(&state, session, id, problem.into()).await;
    }
    let done = if form.wanted == "remove" {
        state.store.remove_tag(session.sight, id, tag, who, now).await
    } else {
        state.store.add_tag(session.sight, id, tag, who, now).await
    };
    match done {
        Ok(()) => Ok(to_device(id)),
        Err(error @ StoreError::Full { .. }) => {
            again(&state, session, id, format!("Not added: {error}.")).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Whose it is and what it is worth.
#[derive(Deserialize)]
pub(crate) struct AboutForm {
    owner: String,
    value: String,
}

/// `POST /devices/{id}`.
pub(crate) async fn describe(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(form): Form<AboutForm>,
) -> Result<Response, ApiError> {
    let (id, owner) = (parse(&id)?, form.owner.trim().to_lowercase());
    let Some(value) = DeviceValue::from_word(&form.value) else {
        return again(&state, session, id, "Choose a value that is offered.".into()).await;
    };
    if !is_plain(&owner) || !(owner.is_empty() || owner.contains('@')) {
        return again(&state, session, id, "That is no e-mail address.".into()).await;
    }
    let (who, now) = (session.email.clone(), state.clock.now());
    state.store.describe_device(session.sight, id, (owner, value), who, now).await?;
    Ok(to_device(id))
}

/// `GET /devices/{id}/remove`.
pub(crate) async fn ask_to_remove(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = state.store.device(session.sight, parse(&id)?).await?;
    html(&DeviceRemovePage {
        shell: shell(session, None),
        id: row.id,
        name: row.device_name,
        is_offboarded: row.offboarded_at.is_some(),
    })
}

/// `POST /devices/{id}/offboard`.
pub(crate) async fn offboard(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Redirect, ApiError> {
    let (id, now) = (parse(&id)?, state.clock.now());
    state.store.offboard_device(session.sight, id, session.email, now).await?;
    Ok(Redirect::to(&format!("/devices/{id}?done=offboarded")))
}

/// `POST /devices/{id}/forget`.
pub(crate) async fn forget(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Redirect, ApiError> {
    state.store.forget_device(session.sight, parse(&id)?, state.clock.now()).await?;
    Ok(Redirect::to("/devices?done=forgotten"))
}

async fn again(
    state: &AppState,
    session: Session,
    id: DeviceId,
    problem: String,
) -> Result<Response, ApiError> {
    let page = show(state, session, id, &DeviceQuery::default(), Some(problem)).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

fn to_device(id: DeviceId) -> Response {
    Redirect::to(&format!("/devices/{id}?done=saved")).into_response()
}

fn parse(id: &str) -> Result<DeviceId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("device"))
}

fn is_plain(text: &str) -> bool {
    text.chars().count() <= 200 && visible(text) == text
}
