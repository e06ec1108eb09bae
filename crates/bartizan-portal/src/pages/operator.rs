//! Operators' own pages: signing in, password, second factor, sessions, and the installation's audit log. Those that members
//! have as well are theirs, for another session.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::account::{self, DoorQuery, NextQuery, PasswordForm, go_on};
use super::audit::{self, AuditQuery};
use super::feeds::DoneQuery;
use super::passkeys::{self, Place};
use super::{people, second_factor};
use crate::error::ApiError;
use crate::operator_session::{Operator, SIGN_IN};
use crate::request::Origin;
use crate::session::{self, local};
use crate::sign_in::Realm;
use crate::state::AppState;

/// `GET /operator`.
pub(crate) async fn home() -> Redirect {
    Redirect::to(TENANTS)
}

/// `GET /operator/sign-in`.
pub(crate) async fn sign_in_page(Query(query): Query<DoorQuery>) -> Result<Response, ApiError> {
    account::door(Realm::Installation, query.problem(), String::new(), next(&query.next))
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
    headers: HeaderMap,
    Form(form): Form<SignInForm>,
) -> Result<Response, ApiError> {
    let SignInForm { name, password, next } = form;
    account::come_in(&state, Realm::Installation, (name, password), &next, origin, &headers).await
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

/// `GET /operator/passkeys`.
pub(crate) async fn passkeys_page(
    state: State<AppState>,
    operator: Operator,
    place: Place,
    query: Query<DoneQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    passkeys::page(state, operator.session, place, query, headers).await
}

/// `POST /operator/passkeys/confirm/question`.
pub(crate) async fn passkey_confirm_question(
    state: State<AppState>,
    operator: Operator,
    place: Place,
) -> Result<Response, ApiError> {
    passkeys::confirm_question(state, operator.session, place).await
}

/// `POST /operator/passkeys/confirm`.
pub(crate) async fn passkey_confirm(
    state: State<AppState>,
    operator: Operator,
    place: Place,
    origin: Origin,
    headers: HeaderMap,
    form: Form<passkeys::ConfirmForm>,
) -> Result<Response, ApiError> {
    passkeys::confirm(state, operator.session, place, origin, headers, form).await
}

/// `POST /operator/passkeys/question`.
pub(crate) async fn passkey_question(
    state: State<AppState>,
    operator: Operator,
    place: Place,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    passkeys::question(state, operator.session, place, headers).await
}

/// `POST /operator/passkeys`.
pub(crate) async fn add_passkey(
    state: State<AppState>,
    operator: Operator,
    place: Place,
    origin: Origin,
    headers: HeaderMap,
    form: Form<passkeys::NewForm>,
) -> Result<Response, ApiError> {
    passkeys::add(state, operator.session, place, origin, headers, form).await
}

/// `POST /operator/passkeys/{id}/name`.
pub(crate) async fn rename_passkey(
    state: State<AppState>,
    operator: Operator,
    place: Place,
    headers: HeaderMap,
    id: Path<String>,
    form: Form<passkeys::NameForm>,
) -> Result<Response, ApiError> {
    passkeys::rename(state, operator.session, place, headers, id, form).await
}

/// `POST /operator/passkeys/{id}/remove`.
pub(crate) async fn remove_passkey(
    state: State<AppState>,
    operator: Operator,
    place: Place,
    headers: HeaderMap,
    id: Path<String>,
) -> Result<Response, ApiError> {
    passkeys::remove(state, operator.session, place, headers, id).await
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
pub(super) fn next(wanted: &str) -> String {
    let wanted = local(wanted);
    if wanted.starts_with("/operator/") { wanted.to_owned() } else { TENANTS.to_owned() }
}

/// All organizations.
pub(crate) const TENANTS: &str = "/operator/tenants";
