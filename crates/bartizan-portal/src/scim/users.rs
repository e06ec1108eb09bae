//! `/scim/v2/Users`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bartizan_store::{DirectoryOrigin, PersonId, PersonRow};
use serde_json::Value;

use super::error::ScimError;
use super::{Asked, Body, Directory, patch as changes, unfit, user as resource};
use crate::state::AppState;

/// `GET /scim/v2/Users`.
pub(crate) async fn list(
    State(state): State<AppState>,
    Directory { scope }: Directory,
    asked: Asked,
) -> Result<Response, ScimError> {
    let filter = asked.condition()?;
    filter.as_ref().map_or(Ok(()), |filter| filter.fits_people()).map_err(|_| unfit())?;
    let (total, people) = state.store.people(scope, filter, asked.skip(), asked.count).await?;
    let people: Vec<Value> =
        people.iter().map(|person| asked.narrowed(resource::write(person, &asked.base))).collect();
    Ok(super::list(&people, total, asked.start_index))
}

/// `POST /scim/v2/Users`.
pub(crate) async fn create(
    State(state): State<AppState>,
    Directory { scope }: Directory,
    asked: Asked,
    Body(body): Body,
) -> Result<Response, ScimError> {
    let facts = resource::read(&body)?;
    let now = state.clock.now();
    let person = state.store.create_person(scope, facts, DirectoryOrigin::Scim, now).await?;
    Ok(shown(&asked, StatusCode::CREATED, &person))
}

/// `GET /scim/v2/Users/{id}`.
pub(crate) async fn user(
    State(state): State<AppState>,
    Directory { scope }: Directory,
    asked: Asked,
    Path(id): Path<String>,
) -> Result<Response, ScimError> {
    let person = state.store.person(scope, parse(&id)?).await?;
    Ok(shown(&asked, StatusCode::OK, &person))
}

/// `PUT /scim/v2/Users/{id}`.
pub(crate) async fn replace(
    State(state): State<AppState>,
    Directory { scope }: Directory,
    asked: Asked,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ScimError> {
    let before = state.store.person(scope, parse(&id)?).await?;
    let expected = Some(asked.expected(before.version)?);
    let (facts, now) = (resource::read(&body)?, state.clock.now());
    let person = state.store.replace_person(scope, before.id, facts, expected, now).await?;
    state.regroup.notify_one();
    Ok(shown(&asked, StatusCode::OK, &person))
}

/// `PATCH /scim/v2/Users/{id}`.
pub(crate) async fn patch(
    State(state): State<AppState>,
    Directory { scope }: Directory,
    asked: Asked,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ScimError> {
    let before = state.store.person(scope, parse(&id)?).await?;
    let expected = Some(asked.expected(before.version)?);
    let facts = resource::change(&before.facts, changes::read(&body)?)?;
    let now = state.clock.now();
    let person = state.store.replace_person(scope, before.id, facts, expected, now).await?;
    state.regroup.notify_one();
    Ok(shown(&asked, StatusCode::OK, &person))
}

/// `DELETE /scim/v2/Users/{id}`.
pub(crate) async fn delete(
    State(state): State<AppState>,
    Directory { scope }: Directory,
    asked: Asked,
    Path(id): Path<String>,
) -> Result<Response, ScimError> {
    let before = state.store.person(scope, parse(&id)?).await?;
    let expected = Some(asked.expected(before.version)?);
    state.store.erase_person(scope, before.id, expected, state.clock.now()).await?;
    state.regroup.notify_one();
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn shown(asked: &Asked, status: StatusCode, person: &PersonRow) -> Response {
    asked.resource(status, person.version, resource::write(person, &asked.base))
}

fn parse(id: &str) -> Result<PersonId, ScimError> {
    id.parse().map_err(|_| ScimError::not_found())
}
