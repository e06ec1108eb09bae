//! Organizations of the installation, for operators: listed, created, changed, entered.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_model::TenantId;
use bartizan_store::{BuiltIn, StoreError, TenantCursor};
use serde::Deserialize;

use super::account::go_on;
use super::feeds::DoneQuery;
use super::people::is_address;
use super::{PAGE, PAGE_AND_ONE, html, shell};
use crate::console::{NewTenantPage, TenantPage, TenantsPage};
use crate::error::ApiError;
use crate::operator_session::Operator;
use crate::request::Origin;
use crate::state::AppState;
use crate::{OneTimePassword, later, random, session, tallies};

/// The list's address.
#[derive(Deserialize)]
pub(crate) struct TenantsQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    after: String,
}

/// `GET /operator/tenants`.
pub(crate) async fn list(
    State(state): State<AppState>,
    operator: Operator,
    Query(query): Query<TenantsQuery>,
) -> Result<Response, ApiError> {
    let q = query.q.trim().to_owned();
    let after = cursor(&query.after);
    let is_first = after == TenantCursor::default();
    let by = operator.scope;
    let mut rows = state.store.operated_tenants(by, q.clone(), after, PAGE_AND_ONE).await?;
    let next = (PAGE < rows.len())
        .then(|| rows.get(PAGE - 1).map(|row| format!("{}-{}", row.id.0, row.name)))
        .flatten();
    rows.truncate(PAGE);
    html(&TenantsPage { shell: shell(operator.session, None), q, rows, is_first, next })
}

/// `GET /operator/tenants/new`.
pub(crate) async fn blank(operator: Operator) -> Result<Response, ApiError> {
    new_page(operator, String::new(), String::new(), (None, None), None)
}

/// What the form says.
#[derive(Deserialize)]
pub(crate) struct NewTenant {
    name: String,
    email: String,
}

/// `POST /operator/tenants`: shows the first administrator's one-time password, once.
pub(crate) async fn create(
    State(state): State<AppState>,
    operator: Operator,
    Form(form): Form<NewTenant>,
) -> Result<Response, ApiError> {
    let (name, email) = (form.name.trim().to_owned(), form.email.trim().to_owned());
    let mut problems = (name_problem(&name), None);
    if !is_address(&email) {
        problems.1 = Some("This is not an e-mail address.");
    }
    if problems == (None, None) {
        let key = random().map_err(|error| ApiError::internal(&error))?;
        let (by, now) = (operator.scope, state.clock.now());
        let roles = vec![BuiltIn::Administrator.id().into()];
        let drawn = OneTimePassword::for_new(email.clone(), roles, now).await;
        let (secret, first) = drawn.map_err(|error| ApiError::internal(&*error))?;
        match state.store.operator_creates_tenant(by, name.clone(), key, now).await {
            Ok(id) => {
                let scope = state.store.tenant(id).await?;
                state.store.add_member(scope, first, now).await?;
                let given = Some((id.0, email, secret.to_string()));
                return new_page(operator, name, String::new(), (None, None), given);
            }
            Err(StoreError::Conflict { .. }) => problems.0 = Some(TAKEN),
            Err(error) => return Err(error.into()),
        }
    }
    let page = new_page(operator, name, email, problems, None)?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

fn new_page(
    operator: Operator,
    name: String,
    email: String,
    problems: (Option<&'static str>, Option<&'static str>),
    given: Option<(i64, String, String)>,
) -> Result<Response, ApiError> {
    let shell = shell(operator.session, None);
    let (name_problem, email_problem) = problems;
    html(&NewTenantPage { shell, name, email, name_problem, email_problem, given })
}

/// `GET /operator/tenants/{id}`.
pub(crate) async fn tenant(
    State(state): State<AppState>,
    operator: Operator,
    Path(id): Path<String>,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let notice = match query.done.as_str() {
        "renamed" => Some("The organization has its new name."),
        "suspended" => Some("Suspended. Nobody signs in, and devices go on with what they have."),
        "resumed" => {
            Some("Resumed. Members may sign in again, and devices come back by themselves.")
        }
        "deleted" => Some("To be deleted. Until then, resuming it takes that back."),
        _ => None,
    };
    show(&state, operator, parse(&id)?, notice, Problems::default()).await
}

/// What was wrong with which form.
#[derive(Default)]
struct Problems {
    enter: Option<String>,
    rename: Option<&'static str>,
    delete: Option<&'static str>,
}

/// What the form says.
#[derive(Deserialize)]
pub(crate) struct EnterForm {
    reason: String,
    #[serde(default)]
    role: String,
}

/// `POST /operator/tenants/{id}/enter`.
pub(crate) async fn enter(
    State(state): State<AppState>,
    operator: Operator,
    origin: Origin,
    headers: HeaderMap,
    Path(id): Path<String>,
    Form(form): Form<EnterForm>,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    // Whom they do not see they are not told of.
    state.store.operated_tenant(operator.scope, id).await?;
    let reason = form.reason.trim().to_owned();
    let role = BuiltIn::ALL.into_iter().find(|role| role.id() == form.role);
    let problem = if reason.is_empty() {
        "Say why: the organization reads it in its audit log.".to_owned()
    } else if MAX_REASON < reason.chars().count() {
        format!("Say it in at most {MAX_REASON} characters.")
    } else {
        session::leave(&state, &headers).await?;
        let visit = (id, role.unwrap_or(BuiltIn::ReadOnly), reason);
        let own = operator.session.token_hash;
        match session::enter(&state, operator.scope, visit, own, origin.agent).await? {
            Ok(token) => return Ok(go_on(token.cookie(&state), "/overview")),
            Err(refusal) => format!("You were not let in: {refusal}."),
        }
    };
    let problems = Problems { enter: Some(problem), ..Problems::default() };
    let page = show(&state, operator, id, None, problems).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// What the form says.
#[derive(Deserialize)]
pub(crate) struct NameForm {
    name: String,
}

/// `POST /operator/tenants/{id}/rename`.
pub(crate) async fn rename(
    State(state): State<AppState>,
    operator: Operator,
    Path(id): Path<String>,
    Form(form): Form<NameForm>,
) -> Result<Response, ApiError> {
    let (id, name) = (parse(&id)?, form.name.trim().to_owned());
    let problem = match name_problem(&name) {
        Some(problem) => problem,
        None => {
            let now = state.clock.now();
            match state.store.rename_tenant(operator.scope, id, name, now).await {
                Ok(()) => return Ok(done(id, "renamed")),
                Err(StoreError::Conflict { .. }) => TAKEN,
                Err(error) => return Err(error.into()),
            }
        }
    };
    let problems = Problems { rename: Some(problem), ..Problems::default() };
    let page = show(&state, operator, id, None, problems).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// What the form says.
#[derive(Deserialize)]
pub(crate) struct SuspendForm {
    #[serde(default)]
    reason: String,
}

/// `POST /operator/tenants/{id}/suspend`.
pub(crate) async fn suspend(
    State(state): State<AppState>,
    operator: Operator,
    Path(id): Path<String>,
    Form(form): Form<SuspendForm>,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    let reason = form.reason.trim().chars().take(MAX_REASON).collect();
    state.store.suspend_tenant(operator.scope, id, reason, state.clock.now()).await?;
    Ok(done(id, "suspended"))
}

/// `POST /operator/tenants/{id}/resume`.
pub(crate) async fn resume(
    State(state): State<AppState>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    state.store.resume_tenant(operator.scope, id, state.clock.now()).await?;
    Ok(done(id, "resumed"))
}

/// `POST /operator/tenants/{id}/delete`: after the days of grace; its name has to be typed.
pub(crate) async fn delete(
    State(state): State<AppState>,
    operator: Operator,
    Path(id): Path<String>,
    Form(form): Form<NameForm>,
) -> Result<Response, ApiError> {
    let (id, now) = (parse(&id)?, state.clock.now());
    let row = state.store.operated_tenant(operator.scope, id).await?;
    let problem = if row.suspended_at.is_none() {
        "Suspend the organization first."
    } else if form.name.trim() == row.name {
        let at = later(now, crate::tenant_removal::GRACE);
        state.store.ask_to_delete_tenant(operator.scope, id, at, now).await?;
        return Ok(done(id, "deleted"));
    } else {
        "This is not its name."
    };
    let problems = Problems { delete: Some(problem), ..Problems::default() };
    let page = show(&state, operator, id, None, problems).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

async fn show(
    state: &AppState,
    operator: Operator,
    id: TenantId,
    notice: Option<&str>,
    problems: Problems,
) -> Result<Response, ApiError> {
    let tenant = state.store.operated_tenant(operator.scope, id).await?;
    let seats = tallies::seats(state, state.store.tenant(id).await?).await?;
    html(&TenantPage {
        shell: shell(operator.session, notice.map(str::to_owned)),
        tenant,
        seats,
        enter_problem: problems.enter,
        rename_problem: problems.rename,
        delete_problem: problems.delete,
    })
}

fn done(id: TenantId, word: &str) -> Response {
    Redirect::to(&format!("/operator/tenants/{}?done={word}", id.0)).into_response()
}

fn name_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("An organization needs a name.")
    } else if MAX_NAME < name.chars().count() || name.contains(char::is_control) {
        Some("A name is one line of at most 100 characters.")
    } else {
        None
    }
}

/// What makes no sense begins at the beginning.
fn cursor(text: &str) -> TenantCursor {
    let read = text.split_once('-').and_then(|(id, name)| Some((id.parse().ok()?, name)));
    read.map(|(id, name)| TenantCursor { name: name.to_owned(), id }).unwrap_or_default()
}

fn parse(id: &str) -> Result<TenantId, ApiError> {
    id.parse().map(TenantId).map_err(|_| ApiError::not_found("organization"))
}

const TAKEN: &str = "Another organization has this name.";
const MAX_NAME: usize = 100;
const MAX_REASON: usize = 300;
