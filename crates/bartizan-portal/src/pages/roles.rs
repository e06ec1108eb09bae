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
pub(crate) async fn blank(session: Session) -> Result<Response, ApiError> {
    html(&RolePage { shell: shell(session, None), role: empty(), problem: None })
}

/// `POST /roles`.
pub(crate) async fn create(
    State(state): State<AppState>,
    session: Session,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let wanted = wanted(&pairs, None);
    let problem = match check(&wanted) {
        Some(problem) => problem,
        None => {
            match state.store.create_role(session.scope, wanted.clone(), state.clock.now()).await {
                Ok(_) => return Ok(Redirect::to("/roles?done=created").into_response()),
                Err(error) => told(error)?,
            }
        }
    };
    again(session, empty(), wanted, problem)
}

/// `GET /roles/{id}`.
pub(crate) async fn role(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let role = find(&state, &session, &id).await?;
    html(&RolePage { shell: shell(session, None), role, problem: None })
}

/// `POST /roles/{id}`.
pub(crate) async fn save(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let before = find(&state, &session, &id).await?;
    let wanted = wanted(&pairs, before.device_groups.clone());
    let problem = match check(&wanted) {
        Some(problem) => problem,
        None => {
            let now = state.clock.now();
            match state.store.set_role(session.scope, &id, wanted.clone(), now).await {
                Ok(()) => return Ok(Redirect::to("/roles?done=saved").into_response()),
                Err(error) => told(error)?,
            }
        }
    };
    again(session, before, wanted, problem)
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

fn wanted(pairs: &[(String, String)], device_groups: Option<Vec<String>>) -> NewRole {
    let ticked: Vec<_> =
        all(pairs, "permission").iter().filter_map(|word| Permission::from_word(word)).collect();
    NewRole {
        name: one(pairs, "name").trim().into(),
        description: one(pairs, "description").trim().into(),
        permissions: Permissions::of(&ticked),
        device_groups,
    }
}

fn check(role: &NewRole) -> Option<&'static str> {
    let is_long = |text: &str, limit: usize| limit < text.chars().count();
    if role.name.is_empty() || is_long(&role.name, 80) {
        Some("Give the role a name of at most 80 characters.")
    } else if is_long(&role.description, 500) {
        Some("The description has at most 500 characters.")
    } else if role.permissions == Permissions::default() {
        Some("Tick at least one permission.")
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
    role: RoleRow,
    wanted: NewRole,
    problem: &'static str,
) -> Result<Response, ApiError> {
    let NewRole { name, description, permissions, .. } = wanted;
    let role = RoleRow { name, description, permissions, ..role };
    let page = html(&RolePage { shell: shell(session, None), role, problem: Some(problem) })?;
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
