//! Signing in and out, and choosing a password.
//!
//! A form that fails comes back as its page, with what is wrong; a program that cannot show pages gets
//! the one shape of an error.

use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use bartizan_contract::problem::code;
use bartizan_model::Private;
use serde::Deserialize;

use super::{accepts_html, html, operator, second_factor, shell};
use crate::console::{
    OperatorSignInPage, PasswordPage, PasswordProblem, SignInPage, SignInProblem,
};
use crate::error::ApiError;
use crate::own_password::{self, MAX_PASSWORD, MIN_PASSWORD, SetPasswordError};
use crate::request::Origin;
use crate::session::{self, Session, local};
use crate::sign_in::{self, Entry, Realm, SignInError};
use crate::state::AppState;

/// A page's address: where to go on afterwards.
#[derive(Deserialize)]
pub(crate) struct NextQuery {
    #[serde(default)]
    pub(super) next: String,
}

/// The address of a page where one signs in: where to go on afterwards, and whether the last try took too long.
#[derive(Deserialize)]
pub(crate) struct DoorQuery {
    #[serde(default)]
    pub(super) next: String,
    #[serde(default)]
    late: bool,
}

impl DoorQuery {
    pub(super) fn problem(&self) -> Option<SignInProblem> {
        self.late.then_some(SignInProblem::Late)
    }
}

/// Leads whoever was too late for the next step back to the door that they came by, which says so.
pub(super) fn too_late(realm: Realm) -> Response {
    Redirect::to(&format!("{}?late=true", realm.door())).into_response()
}

/// `GET /sign-in`.
pub(crate) async fn sign_in_page(
    Query(query): Query<DoorQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    // A cookie that came along and still led here belongs to a session that has ended.
    let had_session = headers.contains_key(header::COOKIE) && !query.next.is_empty();
    let ended = had_session.then_some(SignInProblem::SessionEnded);
    let problem = query.problem().or(ended);
    door(Realm::Tenants, problem, String::new(), next_at(Realm::Tenants, &query.next))
}

/// What the form says.
#[derive(Deserialize)]
pub(crate) struct SignInForm {
    email: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// `POST /sign-in`.
pub(crate) async fn sign_in(
    State(state): State<AppState>,
    origin: Origin,
    headers: HeaderMap,
    Form(form): Form<SignInForm>,
) -> Result<Response, ApiError> {
    let SignInForm { email, password, next } = form;
    come_in(&state, Realm::Tenants, (email, password), &next, origin, &headers).await
}

/// Signs somebody in who has typed name and password at a door.
pub(super) async fn come_in(
    state: &AppState,
    realm: Realm,
    (name, password): (String, String),
    next: &str,
    origin: Origin,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let next = next_at(realm, next);
    match sign_in::sign_in(state, realm, &name, Private(password), origin).await {
        Ok(Entry::Session(token)) => Ok(go_on(token.cookie(state), &next)),
        Ok(Entry::Code(member)) => second_factor::ask(state, realm, &name, member, &next),
        Err(error) => refused(error, realm, name, next, headers),
    }
}

/// The page where one signs in.
pub(super) fn door(
    realm: Realm,
    problem: Option<SignInProblem>,
    name: String,
    next: String,
) -> Result<Response, ApiError> {
    match realm {
        Realm::Tenants => html(&SignInPage { problem, email: name, next, organization: None }),
        Realm::Installation => html(&OperatorSignInPage { problem, name, next }),
    }
}

/// Keeps only a page of those that the door leads to.
pub(super) fn next_at(realm: Realm, wanted: &str) -> String {
    match realm {
        Realm::Tenants => local(wanted).to_owned(),
        Realm::Installation => operator::next(wanted),
    }
}

/// The page once more, with why nobody was signed in.
pub(super) fn refused(
    error: SignInError,
    realm: Realm,
    name: String,
    next: String,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let problem = problem_of(&error);
    let error = ApiError::from(error);
    if problem.is_none() || !accepts_html(headers) {
        return Err(error);
    }
    Ok(again(&error, door(realm, problem, name, next)?))
}

/// What people are told of it; nothing of what failed inside.
fn problem_of(error: &SignInError) -> Option<SignInProblem> {
    match error {
        SignInError::Refused => Some(SignInProblem::WrongCredentials),
        SignInError::Expired => Some(SignInProblem::OneTimePasswordExpired),
        SignInError::RateLimited { retry_after } => {
            Some(SignInProblem::TooManyTries { wait_s: retry_after.as_secs().max(1) })
        }
        SignInError::Suspended => Some(SignInProblem::Suspended),
        SignInError::Store(_) | SignInError::Hash(_) => None,
    }
}

/// `POST /sign-out`.
pub(crate) async fn sign_out(
    State(state): State<AppState>,
    session: Session,
) -> Result<Response, ApiError> {
    session::sign_out(&state, &session).await?;
    let mut response = go_on(session::no_cookie(&state), SIGN_IN);
    // Also what stands behind the browser's back button; its storage holds a choice of colors, which stays.
    response.headers_mut().insert(CLEAR_SITE_DATA, HeaderValue::from_static("\"cache\""));
    Ok(response)
}

/// `GET /password`.
pub(crate) async fn password_page(
    session: Session,
    Query(query): Query<NextQuery>,
) -> Result<Response, ApiError> {
    html(&PasswordPage {
        shell: shell(session, None),
        problem: None,
        next: local(&query.next).to_owned(),
        min_length: characters(MIN_PASSWORD),
    })
}

/// What the form says.
#[derive(Deserialize)]
pub(crate) struct PasswordForm {
    /// Absent while the password is a one-time one.
    #[serde(default)]
    current: String,
    new: String,
    repeat: String,
    #[serde(default)]
    next: String,
}

/// `POST /password`.
pub(crate) async fn set_password(
    State(state): State<AppState>,
    session: Session,
    origin: Origin,
    headers: HeaderMap,
    Form(form): Form<PasswordForm>,
) -> Result<Response, ApiError> {
    let (problem, error) = if form.new == form.repeat {
        let (current, chosen) = (Private(form.current), Private(form.new));
        match own_password::choose(&state, &session, current, chosen, origin).await {
            Ok(token) => return Ok(go_on(token.cookie(&state), local(&form.next))),
            Err(error) => (password_problem(&error), ApiError::from(error)),
        }
    } else {
        let detail = "the two passwords are not the same";
        let error = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, PASSWORD_UNFIT, detail);
        (Some(PasswordProblem::NotRepeated), error)
    };
    if problem.is_none() || !accepts_html(&headers) {
        return Err(error);
    }
    let page = PasswordPage {
        shell: shell(session, None),
        problem,
        next: local(&form.next).to_owned(),
        min_length: characters(MIN_PASSWORD),
    };
    Ok(again(&error, html(&page)?))
}

fn password_problem(error: &SetPasswordError) -> Option<PasswordProblem> {
    match error {
        SetPasswordError::WrongCurrent => Some(PasswordProblem::WrongCurrent),
        SetPasswordError::TooShort => Some(PasswordProblem::TooShort),
        SetPasswordError::TooLong => {
            Some(PasswordProblem::TooLong { max_length: characters(MAX_PASSWORD) })
        }
        SetPasswordError::Unchanged => Some(PasswordProblem::Unchanged),
        SetPasswordError::Guessable => Some(PasswordProblem::Guessable),
        SetPasswordError::SignIn(SignInError::RateLimited { retry_after }) => {
            Some(PasswordProblem::TooManyTries { wait_s: retry_after.as_secs().max(1) })
        }
        SetPasswordError::SignIn(_) => None,
    }
}

fn characters(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The page once more, with the status of what went wrong.
pub(super) fn again(error: &ApiError, mut page: Response) -> Response {
    *page.status_mut() = error.status;
    if let Some(seconds) = error.retry_after {
        page.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    page
}

pub(super) fn go_on(cookie: HeaderValue, next: &str) -> Response {
    let mut response = Redirect::to(next).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

impl From<SignInError> for ApiError {
    fn from(error: SignInError) -> Self {
        let detail = error.to_string();
        match error {
            SignInError::Refused => Self::unauthorized(SIGN_IN_REFUSED, detail),
            SignInError::Expired => Self::unauthorized(ONE_TIME_PASSWORD_EXPIRED, detail),
            SignInError::Suspended => Self::new(StatusCode::FORBIDDEN, code::SUSPENDED, detail),
            SignInError::RateLimited { retry_after } => {
                let mut limited =
                    Self::new(StatusCode::TOO_MANY_REQUESTS, code::RATE_LIMITED, detail);
                // Rounded up, so that coming back in time is not too early.
                limited.retry_after =
                    Some(retry_after.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX));
                limited
            }
            SignInError::Store(error) => error.into(),
            SignInError::Hash(error) => Self::internal(&error),
        }
    }
}

impl From<SetPasswordError> for ApiError {
    fn from(error: SetPasswordError) -> Self {
        match error {
            SetPasswordError::WrongCurrent
            | SetPasswordError::TooShort
            | SetPasswordError::TooLong
            | SetPasswordError::Unchanged
            | SetPasswordError::Guessable => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, PASSWORD_UNFIT, error.to_string())
            }
            SetPasswordError::SignIn(error) => error.into(),
        }
    }
}

/// Where people sign in.
pub(crate) const SIGN_IN: &str = "/sign-in";
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");
pub(super) const SIGN_IN_REFUSED: &str = "sign_in_refused";
const ONE_TIME_PASSWORD_EXPIRED: &str = "one_time_password_expired";
const PASSWORD_UNFIT: &str = "password_unfit";
