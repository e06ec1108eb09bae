//! Who is at the pages of the installation: operators, by a session of their own beside the one in an organization.
//!
//! # Invariants
//! - Nothing but one's own account is reached by a one-time password, or without a second factor.
//! - The cookie of an operator opens no page of an organization, and the other way around: the store finds a session in one
//!   of the two places alone.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use bartizan_store::{OperatorScope, SignInMethod};
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;
use crate::request::{Caller, Origin};
use crate::session::{IDLE_LIMIT, OPERATOR, Session, cookie_of, send_to};
use crate::state::AppState;

/// What an operator wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// See to their own account.
    Account,
    /// See organizations that they may enter, and enter one.
    Enter,
    /// Change what organizations and operators there are.
    Administer,
}

/// An operator at the pages of the installation.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    /// What they may act on.
    pub(crate) scope: OperatorScope,
    /// Their own session, for the pages that members have as well.
    pub(crate) session: Session,
}

impl FromRequestParts<AppState> for Operator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Response> {
        let sign_in = || {
            let error = ApiError::unauthorized(SIGN_IN_REQUIRED, "sign in as an operator first");
            send_to(parts, SIGN_IN, || error)
        };
        let Some(token) = cookie_of(state, &parts.headers, OPERATOR) else { return Err(sign_in()) };
        let token_hash = Sha256::digest(token).into();
        let found = state.store.operator_session(token_hash, IDLE_LIMIT, state.clock.now()).await;
        let found = found.map_err(|error| ApiError::from(error).into_response())?;
        let Some((scope, row)) = found else { return Err(sign_in()) };
        Caller::note(parts, row.scope.tenant_id());
        let origin = Origin::of(parts);
        let scope = scope.during(origin.request, origin.address);
        let session = Session::of(parts, state, (token_hash, row)).await?;
        let needs_second_factor = session.method == SignInMethod::Password;
        let session = Session { is_operator: true, needs_second_factor, ..session };
        // A route that says nothing asks for the most.
        let duty = parts.extensions.get::<Duty>().copied().unwrap_or(Duty::Administer);
        let first = |page, detail: &'static str| {
            send_to(parts, page, || ApiError::new(StatusCode::FORBIDDEN, ACCOUNT_UNFIT, detail))
        };
        match duty {
            Duty::Account => {}
            Duty::Enter | Duty::Administer if session.one_time_password => {
                return Err(first(PASSWORD, "choose a password of your own first"));
            }
            Duty::Enter | Duty::Administer if needs_second_factor => {
                return Err(first(SECOND_FACTOR, "set up a second factor first"));
            }
            Duty::Administer if !scope.is_administrator() => {
                let detail = "only an operator who administers the installation may do this";
                let error = ApiError::new(StatusCode::FORBIDDEN, NOT_ADMINISTRATOR, detail);
                return Err(error.into_response());
            }
            Duty::Enter | Duty::Administer => {}
        }
        Ok(Self { scope, session })
    }
}

/// Where operators sign in.
pub(crate) const SIGN_IN: &str = "/operator/sign-in";
const PASSWORD: &str = "/operator/password";
const SECOND_FACTOR: &str = "/operator/second-factor";
const SIGN_IN_REQUIRED: &str = "sign_in_required";
const ACCOUNT_UNFIT: &str = "account_unfit";
const NOT_ADMINISTRATOR: &str = "operator_administrator_required";
