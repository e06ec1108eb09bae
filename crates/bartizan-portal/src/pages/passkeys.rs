//! One's own passkeys: the list, showing anew that it is oneself, adding, renaming and removing; and an administrator who
//! takes somebody else's away.
//!
//! # Invariants
//! - One is added or removed only by whoever has shown password or passkey in this session within five minutes: a browser
//!   that was left open is not enough.

use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Form, Json};
use bartizan_model::Private;
use bartizan_store::{MAX_PASSKEYS, MemberId, PasskeyId, SignInMethod, StoreError};
use serde::Deserialize;
use serde_json::Value;

use super::feeds::DoneQuery;
use super::provider_sign_in::base;
use super::{html, shell};
use crate::console::{PasskeyAction, PasskeysPage, wait};
use crate::error::ApiError;
use crate::own_password::{self, SetPasswordError};
use crate::passkey::{self, NoSite, Purpose, Refusal, Site};
use crate::request::Origin;
use crate::session::Session;
use crate::sign_in::SignInError;
use crate::state::AppState;
use crate::ticket::{self, Step};

/// Where a request reached the portal, as far as passkeys go.
pub(crate) struct Place(pub(super) Result<Site, NoSite>);

impl FromRequestParts<AppState> for Place {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Response> {
        let base = base(state, &parts.headers, &parts.uri).map_err(IntoResponse::into_response)?;
        Ok(Self(Site::of(&base)))
    }
}

impl Place {
    /// Refuses where passkeys do not work.
    pub(super) fn site(&self) -> Result<Site, ApiError> {
        let unavailable = |why: NoSite| {
            ApiError::new(StatusCode::CONFLICT, PASSKEYS_UNAVAILABLE, why.to_string())
        };
        self.0.clone().map_err(unavailable)
    }
}

/// `GET /passkeys`.
pub(crate) async fn page(
    State(state): State<AppState>,
    session: Session,
    place: Place,
    Query(query): Query<DoneQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let notice = match query.done.as_str() {
        "added" => Some(
            "The passkey is added. Add a second one, or set up codes by an app, so that losing it does not lock you out.",
        ),
        "renamed" => Some("The passkey is renamed."),
        "removed" => {
            Some("The passkey is removed. Remove it in your browser or authenticator as well.")
        }
        _ => None,
    };
    show(&state, session, &place, &headers, notice, String::new(), None).await
}

/// `POST /passkeys/confirm/question`.
pub(crate) async fn confirm_question(
    State(state): State<AppState>,
    session: Session,
    place: Place,
) -> Result<Response, ApiError> {
    let known = state.store.passkeys(session.scope, session.member).await?;
    let purpose = Purpose::Confirm(session.token_hash);
    Ok(asked(passkey::ask(&state, &place.site()?, purpose, &known)?))
}

/// What the two forms say.
#[derive(Deserialize)]
pub(crate) struct ConfirmForm {
    #[serde(default)]
    password: String,
    #[serde(default)]
    answer: String,
}

/// `POST /passkeys/confirm`.
pub(crate) async fn confirm(
    State(state): State<AppState>,
    session: Session,
    place: Place,
    origin: Origin,
    headers: HeaderMap,
    Form(form): Form<ConfirmForm>,
) -> Result<Response, ApiError> {
    let told = if form.answer.is_empty() {
        match own_password::confirm(&state, &session, Private(form.password), &origin).await {
            Ok(()) => None,
            Err(error) => Some(wrong_password(error)?),
        }
    } else {
        let site = place.site()?;
        let purpose = Purpose::Confirm(session.token_hash);
        let whose = Some((session.scope.tenant_id(), session.member));
        let taken =
            passkey::take(&state, &site, &headers, purpose, whose, &form.answer, &origin).await;
        match taken {
            Ok(_) => None,
            Err(refusal) => Some(told(refusal)?),
        }
    };
    if let Some((status, sentence)) = told {
        let problem = Some((PasskeyAction::Confirm, sentence));
        let page = show(&state, session, &place, &headers, None, String::new(), problem).await?;
        return Ok((status, page).into_response());
    }
    let cookie = ticket::give(&state, Step::Confirmed, session.token_hash)?;
    Ok(back(own(&session), [cookie, passkey::forget(&state)]))
}

/// `POST /passkeys/question`.
pub(crate) async fn question(
    State(state): State<AppState>,
    session: Session,
    place: Place,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if session.method == SignInMethod::Provider || !is_confirmed(&state, &session, &headers) {
        return Err(ApiError::new(StatusCode::FORBIDDEN, NOT_CONFIRMED, UNCONFIRMED));
    }
    let known = state.store.passkeys(session.scope, session.member).await?;
    Ok(asked(passkey::ask_for_new(&state, &place.site()?, &session, &known)?))
}

/// What the form says.
#[derive(Deserialize)]
pub(crate) struct NewForm {
    name: String,
    answer: String,
}

/// `POST /passkeys`.
pub(crate) async fn add(
    State(state): State<AppState>,
    session: Session,
    place: Place,
    origin: Origin,
    headers: HeaderMap,
    Form(form): Form<NewForm>,
) -> Result<Response, ApiError> {
    if session.method == SignInMethod::Provider || !is_confirmed(&state, &session, &headers) {
        return unconfirmed(&state, session, &place, &headers).await;
    }
    let (status, sentence) = match name_of(&form.name) {
        Ok(name) => {
            let site = place.site()?;
            let added =
                passkey::add(&state, &site, &headers, &session, name, &form.answer, &origin).await;
            match added {
                Ok(()) => {
                    let page = format!("{}?done=added", own(&session));
                    return Ok(back(&page, [passkey::forget(&state)]));
                }
                Err(refusal) => told(refusal)?,
            }
        }
        Err(sentence) => (StatusCode::UNPROCESSABLE_ENTITY, sentence.to_owned()),
    };
    let problem = Some((PasskeyAction::Add, sentence));
    let page = show(&state, session, &place, &headers, None, form.name, problem).await?;
    Ok((status, page).into_response())
}

/// What the form says.
#[derive(Deserialize)]
pub(crate) struct NameForm {
    name: String,
}

/// `POST /passkeys/{id}/name`.
pub(crate) async fn rename(
    State(state): State<AppState>,
    session: Session,
    place: Place,
    headers: HeaderMap,
    Path(id): Path<String>,
    Form(form): Form<NameForm>,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    match name_of(&form.name) {
        Ok(name) => {
            let (scope, member, now) = (session.scope, session.member, state.clock.now());
            state.store.rename_passkey(scope, member, id, name, now).await?;
            Ok(back(&format!("{}?done=renamed", own(&session)), []))
        }
        Err(sentence) => {
            let problem = Some((PasskeyAction::Change, sentence.to_owned()));
            let page =
                show(&state, session, &place, &headers, None, String::new(), problem).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

/// `POST /passkeys/{id}/remove`.
pub(crate) async fn remove(
    State(state): State<AppState>,
    session: Session,
    place: Place,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    if !is_confirmed(&state, &session, &headers) {
        return unconfirmed(&state, session, &place, &headers).await;
    }
    let (scope, member, now) = (session.scope, session.member, state.clock.now());
    match state.store.remove_passkey(scope, member, id, now).await {
        Ok(()) => Ok(back(&format!("{}?done=removed", own(&session)), [])),
        Err(StoreError::Conflict { .. }) => {
            let sentence = "Nothing was removed: you could not sign in any more.".to_owned();
            let problem = Some((PasskeyAction::Change, sentence));
            let page =
                show(&state, session, &place, &headers, None, String::new(), problem).await?;
            Ok((StatusCode::CONFLICT, page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /people/{id}/passkeys/remove`: for somebody who has lost theirs.
pub(crate) async fn remove_all(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let member: MemberId = id.parse().map_err(|_| ApiError::not_found("person"))?;
    if member == session.member {
        // One's own takes a confirmation.
        return Ok(Redirect::to("/passkeys").into_response());
    }
    state.store.remove_passkeys(session.scope, member, state.clock.now()).await?;
    Ok(Redirect::to(&format!("/people/{member}/sign-in?done=passkeys")).into_response())
}

/// What a refusal is called where its owner is known; what is no refusal is an error.
pub(super) fn told(refusal: Refusal) -> Result<(StatusCode, String), ApiError> {
    let unfit = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(match refusal {
        Refusal::Late => (unfit, "That took too long. Try again.".into()),
        Refusal::Answer(_)
        | Refusal::Unknown
        | Refusal::Disabled
        | Refusal::ProviderOnly
        | Refusal::Spent
        | Refusal::Cloned => (unfit, "This passkey was not accepted.".into()),
        Refusal::RateLimited(time) => (StatusCode::TOO_MANY_REQUESTS, too_many(time.as_secs())),
        Refusal::Store(StoreError::Conflict { .. }) => {
            (StatusCode::CONFLICT, "This passkey is here already.".into())
        }
        Refusal::Store(StoreError::Full { .. }) => {
            let sentence =
                format!("You have {MAX_PASSKEYS} passkeys, which is as many as there may be.");
            (StatusCode::CONFLICT, sentence)
        }
        Refusal::Store(error) => return Err(error.into()),
    })
}

/// A question for the script, and the cookie that goes with it.
pub(super) fn asked((question, cookie): (Value, HeaderValue)) -> Response {
    let mut response = Json(question).into_response();
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

fn wrong_password(error: SetPasswordError) -> Result<(StatusCode, String), ApiError> {
    match error {
        SetPasswordError::SignIn(SignInError::RateLimited { retry_after }) => {
            Ok((StatusCode::TOO_MANY_REQUESTS, too_many(retry_after.as_secs())))
        }
        SetPasswordError::WrongCurrent => {
            Ok((StatusCode::UNPROCESSABLE_ENTITY, "The password is wrong.".into()))
        }
        SetPasswordError::TooShort
        | SetPasswordError::TooLong
        | SetPasswordError::Unchanged
        | SetPasswordError::Guessable
        | SetPasswordError::SignIn(_) => Err(error.into()),
    }
}

fn too_many(seconds: u64) -> String {
    format!("Too many tries. Wait {}, then try again.", wait(seconds.max(1)))
}

fn is_confirmed(state: &AppState, session: &Session, headers: &HeaderMap) -> bool {
    ticket::read(state, Step::Confirmed, headers) == Some(session.token_hash)
}

async fn unconfirmed(
    state: &AppState,
    session: Session,
    place: &Place,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let problem = Some((PasskeyAction::Confirm, UNCONFIRMED.to_owned()));
    let page = show(state, session, place, headers, None, String::new(), problem).await?;
    Ok((StatusCode::FORBIDDEN, page).into_response())
}

/// Trimmed, of 1 to [`MAX_NAME`] characters that can be seen.
fn name_of(typed: &str) -> Result<String, &'static str> {
    let name = typed.trim();
    if name.is_empty() {
        return Err("Give the passkey a name.");
    }
    if MAX_NAME < name.chars().count() || name.chars().any(char::is_control) {
        return Err("A name has at most 60 characters, all of which can be seen.");
    }
    Ok(name.to_owned())
}

async fn show(
    state: &AppState,
    session: Session,
    place: &Place,
    headers: &HeaderMap,
    notice: Option<&str>,
    name: String,
    problem: Option<(PasskeyAction, String)>,
) -> Result<Response, ApiError> {
    let (scope, member) = (session.scope, session.member);
    let site = match &place.0 {
        _ if session.method == SignInMethod::Provider => Err(BY_PROVIDER),
        Ok(site) => Ok(site.host.clone()),
        Err(NoSite::Address) => Err(BY_ADDRESS),
        Err(NoSite::Insecure) => Err(INSECURE),
    };
    html(&PasskeysPage {
        passkeys: state.store.passkeys(scope, member).await?,
        site,
        is_confirmed: is_confirmed(state, &session, headers),
        has_password: !state.store.password_hash(scope, member).await?.0.is_empty(),
        is_required: session.needs_second_factor,
        shell: shell(session, notice.map(str::to_owned)),
        name,
        problem,
        now: state.clock.now(),
    })
}

/// One's own page.
fn own(session: &Session) -> &'static str {
    if session.is_operator { "/operator/passkeys" } else { "/passkeys" }
}

fn back<const N: usize>(page: &str, cookies: [HeaderValue; N]) -> Response {
    let mut response = Redirect::to(page).into_response();
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn parse(id: &str) -> Result<PasskeyId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("passkey"))
}

const MAX_NAME: usize = 60;
const BY_PROVIDER: &str =
    "You sign in by your organization's provider, which sees to passkeys itself.";
const BY_ADDRESS: &str = "Browsers have passkeys for names only: open the portal by its name, not by its IP address, to add or use one.";
const INSECURE: &str =
    "Browsers have passkeys with HTTPS only: open the portal with it to add or use one.";
const UNCONFIRMED: &str = "Show first that it is you.";
const NOT_CONFIRMED: &str = "not_confirmed";
const PASSKEYS_UNAVAILABLE: &str = "passkeys_unavailable";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_seen_and_is_not_too_long() {
        check(" Work laptop ", Some("Work laptop"));
        check(&"ä".repeat(60), Some(&"ä".repeat(60)));
        for odd in ["", "  ", "a\nb", "a\0", &"a".repeat(61)] {
            check(odd, None);
        }
    }

    #[track_caller]
    fn check(typed: &str, expected: Option<&str>) {
        assert_eq!(name_of(typed).ok().as_deref(), expected, "{typed}");
    }
}
