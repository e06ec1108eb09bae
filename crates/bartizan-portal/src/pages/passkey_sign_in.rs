//! Coming in by a passkey: alone, or after the password.
//!
//! # What it does not do
//! - Say whether a passkey is known: every refusal but a wait looks alike.

use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_store::SignInMethod;
use serde::Deserialize;

use super::accepts_html;
use super::account::{self, SIGN_IN_REFUSED, too_late};
use super::passkeys::{Place, asked};
use super::second_factor::{asked_member, show_code};
use crate::console::{CodeProblem, SignInProblem};
use crate::error::ApiError;
use crate::passkey::{self, Purpose, Refusal};
use crate::request::Origin;
use crate::session::SessionToken;
use crate::sign_in::{self, Proof, Realm};
use crate::state::AppState;
use crate::ticket::{self, Step};

/// `POST /sign-in/passkey/question`, and the operators'.
pub(crate) async fn question(
    State(state): State<AppState>,
    realm: Realm,
    place: Place,
) -> Result<Response, ApiError> {
    // Of nobody's: the person chooses, so that no name has to be asked for or is found out.
    Ok(asked(passkey::ask(&state, &place.site()?, realm.passkey_purpose(), &[])?))
}

/// What the form says.
#[derive(Deserialize)]
pub(crate) struct AnswerForm {
    answer: String,
    #[serde(default)]
    next: String,
}

/// `POST /sign-in/passkey`, and the operators'.
pub(crate) async fn sign_in(
    State(state): State<AppState>,
    realm: Realm,
    place: Place,
    origin: Origin,
    headers: HeaderMap,
    Form(form): Form<AnswerForm>,
) -> Result<Response, ApiError> {
    let (site, next) = (place.site()?, account::next_at(realm, &form.next));
    let purpose = realm.passkey_purpose();
    let taken = passkey::take(&state, &site, &headers, purpose, None, &form.answer, &origin).await;
    let refusal = match taken {
        Ok(found) => {
            let proof = Proof { method: SignInMethod::Passkey, vouched: None };
            let (scope, member) = (found.scope, found.member);
            return match sign_in::begin(&state, scope, member, origin.agent, proof).await {
                Ok(token) => Ok(come_in(&state, &token, &next, [])),
                Err(error) => account::refused(error, realm, String::new(), next, &headers),
            };
        }
        Err(refusal) => refusal,
    };
    let (status, problem) = match refusal {
        Refusal::RateLimited(time) => {
            let wait_s = time.as_secs().max(1);
            (StatusCode::TOO_MANY_REQUESTS, SignInProblem::TooManyTries { wait_s })
        }
        Refusal::Late => (StatusCode::UNPROCESSABLE_ENTITY, SignInProblem::Late),
        Refusal::Store(error) => return Err(error.into()),
        Refusal::Answer(_)
        | Refusal::Unknown
        | Refusal::Disabled
        | Refusal::ProviderOnly
        | Refusal::Spent
        | Refusal::Cloned => (StatusCode::UNAUTHORIZED, SignInProblem::PasskeyRefused),
    };
    if !accepts_html(&headers) {
        return Err(ApiError::new(status, SIGN_IN_REFUSED, "the passkey is not accepted"));
    }
    let page = account::door(realm, Some(problem), String::new(), next)?;
    Ok((status, page).into_response())
}

/// `POST /sign-in/code/question`, and the operators'.
pub(crate) async fn second_question(
    State(state): State<AppState>,
    realm: Realm,
    place: Place,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Some((_, member)) = asked_member(&state, realm, &headers).await? else {
        return Err(ApiError::unauthorized(SIGN_IN_REFUSED, "sign in by your password first"));
    };
    let known = state.store.passkeys(member.scope, member.id).await?;
    let purpose = Purpose::SecondFactor(member.id.to_string());
    Ok(asked(passkey::ask(&state, &place.site()?, purpose, &known)?))
}

/// `POST /sign-in/code/passkey`, and the operators'.
pub(crate) async fn second(
    State(state): State<AppState>,
    realm: Realm,
    place: Place,
    origin: Origin,
    headers: HeaderMap,
    Form(form): Form<AnswerForm>,
) -> Result<Response, ApiError> {
    let Some((asked, member)) = asked_member(&state, realm, &headers).await? else {
        return Ok(too_late(realm));
    };
    let site = place.site()?;
    let purpose = Purpose::SecondFactor(member.id.to_string());
    let whose = Some((member.scope.tenant_id(), member.id));
    let taken = passkey::take(&state, &site, &headers, purpose, whose, &form.answer, &origin).await;
    let (status, problem) = match taken {
        Ok(found) => {
            let proof = Proof { method: SignInMethod::PasswordAndPasskey, vouched: None };
            let (scope, member) = (found.scope, found.member);
            return match sign_in::begin(&state, scope, member, origin.agent, proof).await {
                Ok(token) => {
                    let cookie = ticket::take(&state, Step::AskedForCode);
                    Ok(come_in(&state, &token, &asked.next, [cookie]))
                }
                Err(error) => account::refused(error, realm, String::new(), asked.next, &headers),
            };
        }
        Err(Refusal::RateLimited(time)) => {
            let wait_s = time.as_secs().max(1);
            (StatusCode::TOO_MANY_REQUESTS, CodeProblem::TooManyTries { wait_s })
        }
        Err(Refusal::Store(error)) => return Err(error.into()),
        Err(Refusal::Late) => (StatusCode::UNPROCESSABLE_ENTITY, CodeProblem::PasskeyLate),
        Err(
            Refusal::Answer(_)
            | Refusal::Unknown
            | Refusal::Disabled
            | Refusal::ProviderOnly
            | Refusal::Spent
            | Refusal::Cloned,
        ) => (StatusCode::UNPROCESSABLE_ENTITY, CodeProblem::Passkey),
    };
    let page = show_code(&state, &asked, &member, Some(problem)).await?;
    Ok((status, page).into_response())
}

fn come_in<const N: usize>(
    state: &AppState,
    token: &SessionToken,
    next: &str,
    cookies: [HeaderValue; N],
) -> Response {
    let mut response = Redirect::to(next).into_response();
    let set = response.headers_mut();
    set.append(header::SET_COOKIE, token.cookie(state));
    set.append(header::SET_COOKIE, passkey::forget(state));
    for cookie in cookies {
        set.append(header::SET_COOKIE, cookie);
    }
    response
}
