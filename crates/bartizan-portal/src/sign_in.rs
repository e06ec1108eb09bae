//! The forms behind `session`: sign in, sign out, choose a password; and who is signed in.
//!
//! Success goes on to the next page; an error is a problem document, for the page to show.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Form, Json};
use bartizan_contract::problem::code;
use bartizan_model::Private;
use serde::{Deserialize, Serialize};

use crate::error::ApiError;
use crate::request::ClientAddress;
use crate::session::{self, AnySession, Session, SetPasswordError, SignInError, local};
use crate::state::AppState;

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
    ClientAddress(address): ClientAddress,
    Form(form): Form<SignInForm>,
) -> Result<Response, ApiError> {
    let token = session::sign_in(&state, &form.email, Private(form.password), address).await?;
    Ok(go_on(token.cookie(&state), local(&form.next)))
}

/// `POST /sign-out`.
pub(crate) async fn sign_out(
    State(state): State<AppState>,
    AnySession { session, .. }: AnySession,
) -> Result<Response, ApiError> {
    session::sign_out(&state, &session).await?;
    Ok(go_on(session::no_cookie(&state), SIGN_IN))
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
    session: AnySession,
    ClientAddress(address): ClientAddress,
    Form(form): Form<PasswordForm>,
) -> Result<Response, ApiError> {
    if form.new != form.repeat {
        let detail = "the two passwords are not the same";
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, PASSWORD_UNFIT, detail));
    }
    let (current, chosen) = (Private(form.current), Private(form.new));
    let token = session::set_password(&state, &session, current, chosen, address).await?;
    Ok(go_on(token.cookie(&state), local(&form.next)))
}

/// Who is signed in.
#[derive(Serialize)]
pub(crate) struct Who {
    email: String,
    member_name: String,
    tenant_name: String,
}

/// `GET /session`.
pub(crate) async fn who(session: Session) -> Json<Who> {
    Json(Who {
        email: session.email,
        member_name: session.member_name,
        tenant_name: session.tenant_name,
    })
}

fn go_on(cookie: HeaderValue, next: &str) -> Response {
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
            | SetPasswordError::Unchanged => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, PASSWORD_UNFIT, error.to_string())
            }
            SetPasswordError::SignIn(error) => error.into(),
        }
    }
}

/// Where people sign in.
pub(crate) const SIGN_IN: &str = "/sign-in";
/// Where they sign out.
pub(crate) const SIGN_OUT: &str = "/sign-out";
/// Where a page learns who is signed in.
pub(crate) const SESSION: &str = "/session";
/// Where they choose a password.
pub(crate) const PASSWORD: &str = "/password";
const SIGN_IN_REFUSED: &str = "sign_in_refused";
const ONE_TIME_PASSWORD_EXPIRED: &str = "one_time_password_expired";
const PASSWORD_UNFIT: &str = "password_unfit";
