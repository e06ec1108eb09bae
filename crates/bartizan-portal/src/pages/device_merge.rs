//! Merging an earlier record of a device into the one that is in use: find the other, see what will happen, do it.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_model::DeviceId;
use bartizan_store::{CHANGED_SINCE, DeviceFilter, DeviceRow, Guard, MergeError, StoreError};
use serde::Deserialize;

use super::{html, shell};
use crate::console::{DeviceMergeFindPage, DeviceMergePage};
use crate::error::ApiError;
use crate::session::Session;
use crate::state::AppState;
use crate::v1::device_version;

/// Which record is kept, once that is chosen.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct MergeQuery {
    into: String,
    q: String,
}

/// `GET /devices/{id}/merge`: what a merge would do, or which record to keep.
pub(crate) async fn ask(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Query(query): Query<MergeQuery>,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    match query.into.parse() {
        Ok(kept) => confirm(&state, session, (id, kept), None).await,
        Err(_) => find(&state, session, id, query.q.trim(), None).await,
    }
}

/// What is merged, and how it was when that was decided.
#[derive(Deserialize)]
pub(crate) struct MergeForm {
    into: String,
    #[serde(default)]
    seen: String,
}

/// `POST /devices/{id}/merge`.
pub(crate) async fn merge(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(form): Form<MergeForm>,
) -> Result<Response, ApiError> {
    let (earlier, kept, now) = (parse(&id)?, parse(&form.into)?, state.clock.now());
    let seen = form.seen;
    let guard =
        Guard::new(move |(row, tags): &(DeviceRow, Vec<_>)| device_version(row, tags) == seen);
    let who = session.email.clone();
    let done = state.store.merge_device(session.sight, (earlier, kept), guard, who, now).await;
    let problem = match done {
        Ok(()) => {
            return Ok(Redirect::to(&format!("/devices/{kept}?done=merged")).into_response());
        }
        Err(MergeError::Store(StoreError::Conflict { what: CHANGED_SINCE })) => {
            "The earlier record has changed since you looked. This is how it is now.".to_owned()
        }
        Err(MergeError::Store(error @ StoreError::Full { .. })) => {
            format!("The kept record cannot take these tags: {error}.")
        }
        Err(MergeError::Store(error)) => return Err(error.into()),
        Err(refusal @ (MergeError::Same | MergeError::KeptIsOut | MergeError::Replaced)) => {
            return find(&state, session, earlier, "", Some(&refusal)).await;
        }
    };
    confirm(&state, session, (earlier, kept), Some(problem)).await
}

async fn confirm(
    state: &AppState,
    session: Session,
    (earlier, kept): (DeviceId, DeviceId),
    problem: Option<String>,
) -> Result<Response, ApiError> {
    let merge = match state.store.look_at_merge(session.sight, earlier, kept).await {
        Ok(merge) => merge,
        Err(MergeError::Store(error)) => return Err(error.into()),
        Err(refusal @ (MergeError::Same | MergeError::KeptIsOut | MergeError::Replaced)) => {
            return find(state, session, earlier, "", Some(&refusal)).await;
        }
    };
    let status = if problem.is_some() { StatusCode::CONFLICT } else { StatusCode::OK };
    let page = DeviceMergePage {
        shell: shell(session, None),
        seen: device_version(&merge.earlier, &merge.earlier_tags),
        merge,
        problem,
        now: state.clock.now(),
    };
    Ok((status, html(&page)?).into_response())
}

async fn find(
    state: &AppState,
    session: Session,
    id: DeviceId,
    text: &str,
    refusal: Option<&MergeError>,
) -> Result<Response, ApiError> {
    let (store, sight) = (&state.store, session.sight);
    let row = store.device(sight, id).await?;
    let mut found: Vec<DeviceRow> = if text.is_empty() {
        let alike = store.likely_duplicates(sight, id).await?;
        alike.into_iter().map(|(row, _)| row).collect()
    } else {
        let filter = DeviceFilter { name_contains: text.to_owned(), ..DeviceFilter::default() };
        store.devices(sight, filter, None, FOUND).await?
    };
    found.retain(|other| other.id != id && other.offboarded_at.is_none());
    let status = match refusal {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    let page = DeviceMergeFindPage {
        shell: shell(session, None),
        id,
        name: row.device_name,
        text: text.to_owned(),
        found,
        problem: refusal.map(|refusal| format!("Not merged: {refusal}.")),
        now: state.clock.now(),
    };
    Ok((status, html(&page)?).into_response())
}

fn parse(id: &str) -> Result<DeviceId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("device"))
}

/// As many as anybody compares.
const FOUND: u32 = 20;
