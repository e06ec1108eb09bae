//! Operators' own pages: signing in, password, second factor, sessions, and the installation's audit log. Those that members
//! have as well are theirs, for another session.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_model::Private;
use serde::Deserialize;

use super::account::{self, DoorQuery, NextQuery, PasswordForm, again, go_on, problem_of};
use super::audit::{self, AuditQuery};
use super::feeds::DoneQuery;
use super::{html, people, second_factor};
use crate::console::OperatorSignInPage;
use crate::error::ApiError;
use crate::operator_session::{Operator, SIGN_IN};
use crate::request::Origin;
use crate::session::{self, local};
use crate::sign_in::{self, Entry, Realm};
use crate::state::AppState;

/// `GET /operator`.
pub(crate) async fn home() -> Redirect {
    Redirect::to(TENANTS)
}

/// `GET /operator/sign-in`.
pub(crate) async fn sign_in_page(Query(query): Query<DoorQuery>) -> Result<Response, ApiError> {
    let next = next(&query.next);
    html(&OperatorSignInPage { problem: query.problem(), name: String::new(), next })
}

/// What the form says.
#[derive(Deserialize)]
pub(crate) struct SignInForm {
    name: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// `POST /operator/sign-in`.
pub(crate) async fn sign_in(
    State(state): State<AppState>,
    origin: Origin,
    Form(form): Form<SignInForm>,
) -> Result<Response, ApiError> {
    let (name, password, next) = (form.name, Private(form.password), next(&form.next));
    let error = match sign_in::sign_in(&state, Realm::Installation, &name, password, origin).await {
        Ok(Entry::Session(token)) => return Ok(go_on(token.cookie(&state), &next)),
        Ok(Entry::Code(member)) => {
            return second_factor::ask(&state, Realm::Installation, &name, member, &next);
        }
        Err(error) => error,
    };
    let problem = problem_of(&error);
    if problem.is_none() {
        return Err(error.into());
    }
    let page = html(&OperatorSignInPage { problem, name, next })?;
    Ok(again(&ApiError::from(error), page))
}

/// `POST /operator/sign-out`: out of the organization as well.
pub(crate) async fn sign_out(
    State(state): State<AppState>,
    operator: Operator,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    session::leave(&state, &headers).await?;
    session::sign_out(&state, &operator.session).await?;
    let mut response = go_on(session::no_operator_cookie(&state), SIGN_IN);
    response.headers_mut().append(header::SET_COOKIE, session::no_cookie(&state));
    Ok(response)
}

/// `POST /operator/leave`: out of the organization alone.
pub(crate) async fn leave(
    State(state): State<AppState>,
    _: Operator,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    session::leave(&state, &headers).await?;
    Ok(go_on(session::no_cookie(&state), TENANTS))
}

/// `GET /operator/password`.
pub(crate) async fn password_page(
    operator: Operator,
    Query(query): Query<NextQuery>,
) -> Result<Response, ApiError> {
    let query = NextQuery { next: next(&query.next) };
    account::password_page(operator.session, Query(query)).await
}

/// `POST /operator/password`.
pub(crate) async fn set_password(
    State(state): State<AppState>,
    operator: Operator,
    origin: Origin,
    headers: HeaderMap,
    form: Form<PasswordForm>,
) -> Result<Response, ApiError> {
    account::set_password(State(state), operator.session, origin, headers, form).await
}

/// `GET /operator/second-factor`.
pub(crate) async fn second_factor_page(
    state: State<AppState>,
    operator: Operator,
) -> Result<Response, ApiError> {
    second_factor::page(state, operator.session).await
}

/// `POST /operator/second-factor`.
pub(crate) async fn enroll_second_factor(
    state: State<AppState>,
    operator: Operator,
    headers: HeaderMap,
    form: Form<second_factor::CodeForm>,
) -> Result<Response, ApiError> {
    second_factor::enroll(state, operator.session, headers, form).await
}

/// `GET /operator/sessions`.
pub(crate) async fn sessions(
    state: State<AppState>,
    operator: Operator,
    query: Query<DoneQuery>,
) -> Result<Response, ApiError> {
    people::own_sessions(state, operator.session, query).await
}

/// `POST /operator/sessions/{id}/end`.
pub(crate) async fn end_session(
    State(state): State<AppState>,
    operator: Operator,
    Path(ended): Path<String>,
) -> Result<Response, ApiError> {
    let (own, now) = (operator.session, state.clock.now());
    state.store.revoke_session(own.scope, own.member, &ended, now).await?;
    Ok(Redirect::to("/operator/sessions?done=ended").into_response())
}

/// `GET /operator/audit`.
pub(crate) async fn audit_page(
    state: State<AppState>,
    operator: Operator,
    query: Query<AuditQuery>,
) -> Result<Response, ApiError> {
    audit::page(state, operator.session, query).await
}

/// `GET /operator/audit/export.jsonl`.
pub(crate) async fn audit_export(
    state: State<AppState>,
    operator: Operator,
    query: Query<AuditQuery>,
) -> Result<Response, ApiError> {
    audit::export(state, operator.session, query).await
}

/// Keeps only a page of the installation's.
fn next(wanted: &str) -> String {
    let wanted = local(wanted);
    if wanted.starts_with("/operator/") { wanted.to_owned() } else { TENANTS.to_owned() }
}

/// All organizations.
pub(crate) const TENANTS: &str = "/operator/tenants";
