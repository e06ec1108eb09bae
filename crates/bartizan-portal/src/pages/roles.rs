//! Roles: those that every organization has, and its own.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_store::{NewRole, Permission, Permissions, RoleRow, StoreError};

use super::feeds::DoneQuery;
use super::people::{all, one};
use super::{html, shell};
use crate::console::{RolePage, RolesPage};
use crate::error::ApiError;
use crate::session::Session;
use crate::state::AppState;

/// `GET /roles`.
pub(crate) async fn list(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let notice = match query.done.as_str() {
        "created" => Some("Created. Give it to people on their pages.".to_owned()),
        "saved" => Some("Saved. It counts at once.".to_owned()),
        "removed" => Some("Removed, also from whoever had it.".to_owned()),
        _ => None,
    };
    let roles = state.store.roles(session.scope).await?;
    html(&RolesPage { shell: shell(session, notice), roles })
}

/// `GET /roles/new`.
pub(crate) async fn blank(
    State(state): State<AppState>,
    session: Session,
) -> Result<Response, ApiError> {
    let groups = groups(&state, &session).await?;
    html(&RolePage { shell: shell(session, None), role: empty(), groups, problem: None })
}

/// `POST /roles`.
pub(crate) async fn create(
    State(state): State<AppState>,
    session: Session,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let groups = groups(&state, &session).await?;
    let wanted = wanted(&pairs);
    let problem = match check(&wanted, &groups) {
        Some(problem) => problem,
        None => {
            match state.store.create_role(session.scope, wanted.clone(), state.clock.now()).await {
                Ok(_) => return Ok(Redirect::to("/roles?done=created").into_response()),
                Err(error) => told(error)?,
            }
        }
    };
    again(session, (empty(), groups), wanted, problem)
}

/// `GET /roles/{id}`.
pub(crate) async fn role(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let role = find(&state, &session, &id).await?;
    let groups = groups(&state, &session).await?;
    html(&RolePage { shell: shell(session, None), role, groups, problem: None })
}

/// `POST /roles/{id}`.
pub(crate) async fn save(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let before = find(&state, &session, &id).await?;
    let groups = groups(&state, &session).await?;
    let wanted = wanted(&pairs);
    let problem = match check(&wanted, &groups) {
        Some(problem) => problem,
        None => {
            let now = state.clock.now();
            match state.store.set_role(session.scope, &id, wanted.clone(), now).await {
                Ok(()) => return Ok(Redirect::to("/roles?done=saved").into_response()),
                Err(error) => told(error)?,
            }
        }
    };
    again(session, (before, groups), wanted, problem)
}

/// `POST /roles/{id}/remove`.
pub(crate) async fn remove(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    state.store.remove_role(session.scope, &id, state.clock.now()).await?;
    Ok(Redirect::to("/roles?done=removed").into_response())
}

async fn find(state: &AppState, session: &Session, id: &str) -> Result<RoleRow, ApiError> {
    let roles = state.store.roles(session.scope).await?;
    roles.into_iter().find(|role| role.id == id).ok_or_else(|| ApiError::not_found("role"))
}

/// The device groups of the organization: id and name, by rank.
async fn groups(state: &AppState, session: &Session) -> Result<Vec<(String, String)>, ApiError> {
    let groups = state.store.device_groups(session.sight).await?;
    Ok(groups.into_iter().map(|group| (group.id.to_string(), group.name)).collect())
}

fn wanted(pairs: &[(String, String)]) -> NewRole {
    let ticked: Vec<_> =
        all(pairs, "permission").iter().filter_map(|word| Permission::from_word(word)).collect();
    NewRole {
        name: one(pairs, "name").trim().into(),
        description: one(pairs, "description").trim().into(),
        permissions: Permissions::of(&ticked),
        device_groups: (one(pairs, "devices") == "groups")
            .then(|| all(pairs, "group").iter().map(|id| (*id).to_owned()).collect()),
    }
}

fn check(role: &NewRole, groups: &[(String, String)]) -> Option<&'static str> {
    let of_groups = role.device_groups.as_deref();
    let is_there = |wanted: &String| groups.iter().any(|(id, _)| id == wanted);
    let is_long = |text: &str, limit: usize| limit < text.chars().count();
    if role.name.is_empty() || is_long(&role.name, 80) {
        Some("Give the role a name of at most 80 characters.")
    } else if is_long(&role.description, 500) {
        Some("The description has at most 500 characters.")
    } else if role.permissions == Permissions::default() {
        Some("Tick at least one permission.")
    } else if of_groups.is_some_and(<[_]>::is_empty) {
        Some("Tick at least one device group, or give the role all devices.")
    } else if !of_groups.unwrap_or_default().iter().all(is_there) {
        Some("Tick device groups of the list.")
    } else {
        None
    }
}

fn told(error: StoreError) -> Result<&'static str, ApiError> {
    if matches!(error, StoreError::Conflict { .. }) {
        Ok("There is a role of this name already.")
    } else {
        Err(error.into())
    }
}

fn again(
    session: Session,
    (role, groups): (RoleRow, Vec<(String, String)>),
    wanted: NewRole,
    problem: &'static str,
) -> Result<Response, ApiError> {
    let NewRole { name, description, permissions, device_groups } = wanted;
    let role = RoleRow { name, description, permissions, device_groups, ..role };
    let problem = Some(problem);
    let page = html(&RolePage { shell: shell(session, None), role, groups, problem })?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

fn empty() -> RoleRow {
    RoleRow {
        id: String::new(),
        name: String::new(),
        description: String::new(),
        permissions: Permissions::default(),
        device_groups: None,
        is_built_in: false,
        members: 0,
    }
}
