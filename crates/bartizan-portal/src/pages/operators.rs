//! Operators of the installation, for those who administer it: added, let into organizations, disabled, removed.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_model::TenantId;
use bartizan_store::{BuiltIn, MemberId, StoreError, TenantCursor};
use serde::Deserialize;

use super::feeds::DoneQuery;
use super::{html, shell};
use crate::OneTimePassword;
use crate::console::{OperatorPage, OperatorsPage};
use crate::error::ApiError;
use crate::operator_session::Operator;
use crate::session::IDLE_LIMIT;
use crate::state::AppState;

/// `GET /operator/operators`.
pub(crate) async fn list(
    State(state): State<AppState>,
    operator: Operator,
) -> Result<Response, ApiError> {
    page(&state, operator, String::new(), None, None).await
}

/// What the form says.
#[derive(Deserialize)]
pub(crate) struct NewOperator {
    name: String,
    #[serde(default)]
    administers: String,
}

/// `POST /operator/operators`: shows the one-time password, once.
pub(crate) async fn create(
    State(state): State<AppState>,
    operator: Operator,
    Form(form): Form<NewOperator>,
) -> Result<Response, ApiError> {
    let name = form.name.trim().to_ascii_lowercase();
    let problem = if is_name(&name) {
        let now = state.clock.now();
        let roles = roles(form.administers == "yes");
        let drawn = OneTimePassword::for_new(name.clone(), roles, now).await;
        let (secret, account) = drawn.map_err(|error| ApiError::internal(&*error))?;
        match state.store.add_member(operator.scope.scope(), account, now).await {
            Ok(_) => {
                let given = Some((name, secret.to_string()));
                return page(&state, operator, String::new(), None, given).await;
            }
            Err(StoreError::Conflict { .. }) => "There is an operator of this name already.",
            Err(error) => return Err(error.into()),
        }
    } else {
        "A name is a word or an e-mail address of at most 254 characters, without spaces."
    };
    let page = page(&state, operator, name, Some(problem), None).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// The roles of an operator's account.
pub(crate) fn roles(administers: bool) -> Vec<String> {
    let role = if administers { BuiltIn::Administrator } else { BuiltIn::ReadOnly };
    vec![role.id().into()]
}

/// Whether an operator can have this name.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 254
        && !name.contains(|c: char| c.is_control() || c.is_whitespace())
}

async fn page(
    state: &AppState,
    operator: Operator,
    name: String,
    problem: Option<&'static str>,
    given: Option<(String, String)>,
) -> Result<Response, ApiError> {
    html(&OperatorsPage {
        operators: state.store.members(operator.scope.scope()).await?,
        shell: shell(operator.session, None),
        name,
        problem,
        given,
        now: state.clock.now(),
    })
}

/// `GET /operator/operators/{id}`.
pub(crate) async fn one(
    State(state): State<AppState>,
    operator: Operator,
    Path(id): Path<String>,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let notice = match query.done.as_str() {
        "granted" => Some("They may enter it."),
        "revoked" => Some("They may no longer enter it; a session there has ended."),
        "disabled" => Some("Disabled. Their sessions have ended, also those in organizations."),
        "enabled" => Some("They may sign in again."),
        "passkeys" => Some("The passkeys are gone, and their sessions have ended."),
        "factor" => Some("The second factor is gone. They set up another when they sign in."),
        _ => None,
    };
    show(&state, operator, parse(&id)?, notice, None, None).await
}

/// What the form says.
#[derive(Deserialize)]
pub(crate) struct GrantForm {
    #[serde(default)]
    tenant: String,
    #[serde(default)]
    role: String,
}

/// `POST /operator/operators/{id}/grants`: an organization by its name, all of them by `*`.
pub(crate) async fn grant(
    State(state): State<AppState>,
    operator: Operator,
    Path(id): Path<String>,
    Form(form): Form<GrantForm>,
) -> Result<Response, ApiError> {
    let (id, by) = (parse(&id)?, operator.scope);
    let wanted = form.tenant.trim();
    let tenant = if wanted == "*" {
        None
    } else {
        let first = TenantCursor::default();
        let found = state.store.operated_tenants(by, wanted.to_owned(), first, MATCHES).await?;
        let found = found.into_iter().find(|row| row.name.eq_ignore_ascii_case(wanted));
        let Some(found) = found else {
            let problem = Some("No organization has this name.");
            let page = show(&state, operator, id, None, problem, None).await?;
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        };
        Some(found.id)
    };
    let role = BuiltIn::ALL.into_iter().find(|role| role.id() == form.role);
    let role = role.unwrap_or(BuiltIn::ReadOnly);
    state.store.grant_operator(by, id, tenant, role, state.clock.now()).await?;
    Ok(done(id, "granted"))
}

/// `POST /operator/operators/{id}/grants/remove`.
pub(crate) async fn revoke(
    State(state): State<AppState>,
    operator: Operator,
    Path(id): Path<String>,
    Form(form): Form<GrantForm>,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    let tenant = match form.tenant.as_str() {
        "*" => None,
        text => Some(TenantId(text.parse().map_err(|_| ApiError::not_found("access"))?)),
    };
    state.store.revoke_operator(operator.scope, id, tenant, state.clock.now()).await?;
    Ok(done(id, "revoked"))
}

/// What the form says.
#[derive(Deserialize)]
pub(crate) struct DisabledForm {
    #[serde(default)]
    disabled: String,
}

/// `POST /operator/operators/{id}/disabled`.
pub(crate) async fn set_disabled(
    State(state): State<AppState>,
    operator: Operator,
    Path(id): Path<String>,
    Form(form): Form<DisabledForm>,
) -> Result<Response, ApiError> {
    let (id, scope, now) = (parse(&id)?, operator.scope.scope(), state.clock.now());
    let is_disabled = form.disabled == "yes";
    match state.store.set_member_disabled(scope, id, is_disabled, now).await {
        Ok(()) => Ok(done(id, if is_disabled { "disabled" } else { "enabled" })),
        Err(error) => last(&state, operator, id, error).await,
    }
}

/// `POST /operator/operators/{id}/remove`.
pub(crate) async fn remove(
    State(state): State<AppState>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (id, scope, now) = (parse(&id)?, operator.scope.scope(), state.clock.now());
    match state.store.erase_member(scope, id, now).await {
        Ok(()) => Ok(Redirect::to("/operator/operators").into_response()),
        Err(error) => last(&state, operator, id, error).await,
    }
}

/// `POST /operator/operators/{id}/password`: shows the one-time password, once.
pub(crate) async fn reset_password(
    State(state): State<AppState>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (id, now) = (parse(&id)?, state.clock.now());
    let drawn = OneTimePassword::draw(now).await;
    let (secret, hash, until) = drawn.map_err(|error| ApiError::internal(&*error))?;
    state.store.reset_password(operator.scope.scope(), id, hash, until, now).await?;
    show(&state, operator, id, None, None, Some(secret.to_string())).await
}

/// `POST /operator/operators/{id}/second-factor/remove`.
pub(crate) async fn remove_second_factor(
    State(state): State<AppState>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (id, now) = (parse(&id)?, state.clock.now());
    state.store.remove_second_factor(operator.scope.scope(), id, false, now).await?;
    Ok(done(id, "factor"))
}

/// `POST /operator/operators/{id}/passkeys/remove`.
pub(crate) async fn remove_passkeys(
    State(state): State<AppState>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (id, now) = (parse(&id)?, state.clock.now());
    state.store.remove_passkeys(operator.scope.scope(), id, now).await?;
    Ok(done(id, "passkeys"))
}

async fn last(
    state: &AppState,
    operator: Operator,
    id: MemberId,
    error: StoreError,
) -> Result<Response, ApiError> {
    if !matches!(error, StoreError::LastAdministrator) {
        return Err(error.into());
    }
    let problem =
        "Nothing was changed: this is the last operator who administers. Add another first.";
    let page = show(state, operator, id, None, Some(problem), None).await?;
    Ok((StatusCode::CONFLICT, page).into_response())
}

async fn show(
    state: &AppState,
    operator: Operator,
    id: MemberId,
    notice: Option<&str>,
    problem: Option<&'static str>,
    password: Option<String>,
) -> Result<Response, ApiError> {
    let (by, scope, now) = (operator.scope, operator.scope.scope(), state.clock.now());
    html(&OperatorPage {
        person: state.store.member(scope, id).await?,
        grants: state.store.operator_grants(by, id).await?,
        has_second_factor: state.store.second_factor(scope, id).await?.is_some(),
        passkeys: u64::try_from(state.store.passkeys(scope, id).await?.len()).unwrap_or(u64::MAX),
        sessions: state.store.sessions(scope, id, IDLE_LIMIT, now).await?,
        shell: shell(operator.session, notice.map(str::to_owned)),
        problem,
        password,
        now,
    })
}

fn done(id: MemberId, word: &str) -> Response {
    Redirect::to(&format!("/operator/operators/{id}?done={word}")).into_response()
}

fn parse(id: &str) -> Result<MemberId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("operator"))
}

/// Names that contain the whole name of another are few.
const MATCHES: u32 = 100;
