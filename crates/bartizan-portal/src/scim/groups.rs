//! `/scim/v2/Groups`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bartizan_store::{
    DirectoryOrigin, MemberChange, PersonGroupId, PersonGroupRow, PersonId, TenantScope,
};

use super::error::ScimError;
use super::{Asked, Body, Directory, group as resource, patch as changes, unfit};
use crate::state::AppState;

/// `GET /scim/v2/Groups`.
pub(crate) async fn list(
    State(state): State<AppState>,
    Directory { scope }: Directory,
    asked: Asked,
) -> Result<Response, ScimError> {
    let filter = asked.condition()?;
    filter.as_ref().map_or(Ok(()), |filter| filter.fits_groups()).map_err(|_| unfit())?;
    let (total, groups) =
        state.store.person_groups(scope, filter, asked.skip(), asked.count).await?;
    let mut written = Vec::with_capacity(groups.len());
    for group in groups {
        let people = people(&state, scope, &asked, &group).await?;
        let group = resource::write(&group, people.as_deref(), &asked.base);
        written.push(asked.narrowed(group));
    }
    Ok(super::list(&written, total, asked.start_index))
}

/// `POST /scim/v2/Groups`.
pub(crate) async fn create(
    State(state): State<AppState>,
    Directory { scope }: Directory,
    asked: Asked,
    Body(body): Body,
) -> Result<Response, ScimError> {
    let (facts, members) = resource::read(&body)?;
    let (origin, now) = (DirectoryOrigin::Scim, state.clock.now());
    let group = state.store.create_person_group(scope, facts, members, origin, now).await?;
    shown(&state, scope, &asked, (StatusCode::CREATED, group)).await
}

/// `GET /scim/v2/Groups/{id}`.
pub(crate) async fn group(
    State(state): State<AppState>,
    Directory { scope }: Directory,
    asked: Asked,
    Path(id): Path<String>,
) -> Result<Response, ScimError> {
    let group = state.store.person_group(scope, parse(&id)?).await?;
    shown(&state, scope, &asked, (StatusCode::OK, group)).await
}

/// `PUT /scim/v2/Groups/{id}`.
pub(crate) async fn replace(
    State(state): State<AppState>,
    Directory { scope }: Directory,
    asked: Asked,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ScimError> {
    let before = state.store.person_group(scope, parse(&id)?).await?;
    let (facts, members) = resource::read(&body)?;
    let change = (facts, vec![MemberChange::Replace(members)]);
    let (expected, now) = (Some(asked.expected(before.version)?), state.clock.now());
    let group = state.store.change_person_group(scope, before.id, change, expected, now).await?;
    shown(&state, scope, &asked, (StatusCode::OK, group)).await
}

/// `PATCH /scim/v2/Groups/{id}`.
pub(crate) async fn patch(
    State(state): State<AppState>,
    Directory { scope }: Directory,
    asked: Asked,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ScimError> {
    let before = state.store.person_group(scope, parse(&id)?).await?;
    let change = resource::change(&before.facts, changes::read(&body)?)?;
    let (expected, now) = (Some(asked.expected(before.version)?), state.clock.now());
    let group = state.store.change_person_group(scope, before.id, change, expected, now).await?;
    shown(&state, scope, &asked, (StatusCode::OK, group)).await
}

/// `DELETE /scim/v2/Groups/{id}`.
pub(crate) async fn delete(
    State(state): State<AppState>,
    Directory { scope }: Directory,
    asked: Asked,
    Path(id): Path<String>,
) -> Result<Response, ScimError> {
    let before = state.store.person_group(scope, parse(&id)?).await?;
    let expected = Some(asked.expected(before.version)?);
    state.store.delete_person_group(scope, before.id, expected, state.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn shown(
    state: &AppState,
    scope: TenantScope,
    asked: &Asked,
    (status, group): (StatusCode, PersonGroupRow),
) -> Result<Response, ScimError> {
    let people = people(state, scope, asked, &group).await?;
    let written = resource::write(&group, people.as_deref(), &asked.base);
    Ok(asked.resource(status, group.version, written))
}

/// Who is in a group, if that is to be written.
async fn people(
    state: &AppState,
    scope: TenantScope,
    asked: &Asked,
    group: &PersonGroupRow,
) -> Result<Option<Vec<(PersonId, String)>>, ScimError> {
    if !asked.wants("members") {
        return Ok(None);
    }
    let mut all = Vec::new();
    loop {
        let after = all.last().map(|(id, _): &(PersonId, String)| *id);
        let page = state.store.people_in_group(scope, group.id, after, PAGE).await?;
        let is_last = u32::try_from(page.len()).is_ok_and(|length| length < PAGE);
        all.extend(page);
        if is_last {
            return Ok(Some(all));
        }
    }
}

fn parse(id: &str) -> Result<PersonGroupId, ScimError> {
    id.parse().map_err(|_| ScimError::not_found())
}

const PAGE: u32 = 1_000;
