//! The second factor: being asked for a code after the password, and one's own page.

use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_store::{MemberCredential, MemberId, SignInMethod};
use serde::{Deserialize, Serialize};

use super::account::{self, too_late};
use super::{html, shell};
use crate::console::{CodeProblem, FactorState, SecondFactorPage, SignInCodePage};
use crate::error::ApiError;
use crate::request::Origin;
use crate::second_factor::{self, CodeError};
use crate::session::Session;
use crate::sign_in::{self, Proof, Realm};
use crate::state::AppState;
use crate::ticket::{self, Step};
use crate::{random, totp};

/// Who has shown the password, and where they want to go.
#[derive(Serialize, Deserialize)]
pub(super) struct Asked {
    email: String,
    member: String,
    pub(super) next: String,
    /// As an operator.
    of_installation: bool,
}

impl Asked {
    fn realm(&self) -> Realm {
        if self.of_installation { Realm::Installation } else { Realm::Tenants }
    }
}

/// Leads from the password to the code.
pub(super) fn ask(
    state: &AppState,
    realm: Realm,
    email: &str,
    member: MemberId,
    next: &str,
) -> Result<Response, ApiError> {
    let asked = Asked {
        email: email.into(),
        member: member.to_string(),
        next: next.into(),
        of_installation: realm == Realm::Installation,
    };
    let cookie = ticket::give(state, Step::AskedForCode, asked)?;
    let mut response = Redirect::to(&format!("{}/code", realm.door())).into_response();
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

/// `GET /sign-in/code`, and the operators'.
pub(crate) async fn code_page(
    State(state): State<AppState>,
    realm: Realm,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    match asked_member(&state, realm, &headers).await? {
        Some((asked, member)) => show_code(&state, &asked, &member, None).await,
        None => Ok(too_late(realm)),
    }
}

/// Who has shown the password at this door in this browser, if they may still come in by it.
pub(super) async fn asked_member(
    state: &AppState,
    realm: Realm,
    headers: &HeaderMap,
) -> Result<Option<(Asked, MemberCredential)>, ApiError> {
    let asked = ticket::read::<Asked>(state, Step::AskedForCode, headers);
    let Some(asked) = asked.filter(|asked| asked.realm() == realm) else {
        return Ok(None);
    };
    // Found anew: they may have been disabled a moment ago.
    let found = asked.realm().find(state, &asked.email).await?;
    let member = found.into_iter().find(|member| {
        member.id.to_string() == asked.member && !member.is_disabled && member.may_use_password
    });
    Ok(member.map(|member| (asked, member)))
}

/// Asks for what the member has.
pub(super) async fn show_code(
    state: &AppState,
    asked: &Asked,
    member: &MemberCredential,
    problem: Option<CodeProblem>,
) -> Result<Response, ApiError> {
    html(&SignInCodePage {
        begin: asked.realm().door(),
        has_codes: state.store.second_factor(member.scope, member.id).await?.is_some(),
        has_passkeys: !state.store.passkeys(member.scope, member.id).await?.is_empty(),
        problem,
    })
}

/// What the forms say.
#[derive(Deserialize)]
pub(crate) struct CodeForm {
    code: String,
}

/// `POST /sign-in/code`, and the operators'.
pub(crate) async fn code(
    State(state): State<AppState>,
    realm: Realm,
    origin: Origin,
    headers: HeaderMap,
    Form(form): Form<CodeForm>,
) -> Result<Response, ApiError> {
    let Some((asked, member)) = asked_member(&state, realm, &headers).await? else {
        return Ok(too_late(realm));
    };
    let scope = member.scope.during(origin.request, origin.address);
    match second_factor::take(&state, scope, member.id, &form.code).await {
        Ok(()) => {}
        Err(CodeError::Store(error)) => return Err(error.into()),
        Err(error) => {
            let tenant = scope.tenant_id();
            origin.refused("wrong code of a second factor", Some(tenant), &asked.member);
            let page = show_code(&state, &asked, &member, problem(&error)).await?;
            return Ok((status(&error), page).into_response());
        }
    }
    let proof = Proof { method: SignInMethod::SecondFactor, vouched: None };
    let token = match sign_in::begin(&state, scope, member.id, origin.agent, proof).await {
        Ok(token) => token,
        Err(error) => return account::refused(error, realm, String::new(), asked.next, &headers),
    };
    let mut response = Redirect::to(&asked.next).into_response();
    let cookies = response.headers_mut();
    cookies.append(header::SET_COOKIE, token.cookie(&state));
    cookies.append(header::SET_COOKIE, ticket::take(&state, Step::AskedForCode));
    Ok(response)
}

/// A seed that was shown and is not kept yet.
#[derive(Serialize, Deserialize)]
struct Enrolling {
    member: String,
    seed: [u8; totp::SEED_LEN],
}

/// `GET /second-factor`.
pub(crate) async fn page(
    State(state): State<AppState>,
    session: Session,
) -> Result<Response, ApiError> {
    if matches!(session.method, SignInMethod::Provider | SignInMethod::Operator) {
        return show(&state, session, FactorState::NotAsked, None);
    }
    match state.store.second_factor(session.scope, session.member).await? {
        Some(row) => {
            let told = FactorState::Enrolled { at: row.enrolled_at, codes_left: row.codes_left };
            show(&state, session, told, None)
        }
        None => {
            let seed = random().map_err(|error| ApiError::internal(&error))?;
            offer(&state, session, seed, None)
        }
    }
}

/// `POST /second-factor`: shows the recovery codes, once.
pub(crate) async fn enroll(
    State(state): State<AppState>,
    session: Session,
    headers: HeaderMap,
    Form(form): Form<CodeForm>,
) -> Result<Response, ApiError> {
    let shown = ticket::read::<Enrolling>(&state, Step::Enrolling, &headers)
        .filter(|shown| shown.member == session.member.to_string());
    if matches!(session.method, SignInMethod::Provider | SignInMethod::Operator) {
        return show(&state, session, FactorState::NotAsked, None);
    }
    let Some(Enrolling { seed, .. }) = shown else {
        let seed = random().map_err(|error| ApiError::internal(&error))?;
        let page = offer(&state, session, seed, Some(CodeProblem::Late))?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    };
    let (scope, member, hash) = (session.scope, session.member, session.token_hash);
    match second_factor::enroll(&state, scope, member, hash, &seed, &form.code).await {
        Ok(codes) => {
            let session = Session { needs_second_factor: false, ..session };
            let mut page = show(&state, session, FactorState::Fresh { codes }, None)?;
            let taken = ticket::take(&state, Step::Enrolling);
            page.headers_mut().append(header::SET_COOKIE, taken);
            Ok(page)
        }
        Err(CodeError::Store(error)) => Err(error.into()),
        Err(error) => {
            let page = offer(&state, session, seed, problem(&error))?;
            Ok((status(&error), page).into_response())
        }
    }
}

/// `POST /second-factor/remove`.
pub(crate) async fn remove(
    State(state): State<AppState>,
    session: Session,
    Form(form): Form<CodeForm>,
) -> Result<Response, ApiError> {
    let (scope, member) = (session.scope, session.member);
    match second_factor::take(&state, scope, member, &form.code).await {
        Ok(()) => {}
        Err(CodeError::Store(error)) => return Err(error.into()),
        Err(error) => {
            let row = state.store.second_factor(scope, member).await?;
            let row = row.ok_or_else(|| ApiError::not_found("second factor"))?;
            let told = FactorState::Enrolled { at: row.enrolled_at, codes_left: row.codes_left };
            let page = show(&state, session, told, problem(&error))?;
            return Ok((status(&error), page).into_response());
        }
    }
    state.store.remove_second_factor(scope, member, true, state.clock.now()).await?;
    Ok(Redirect::to(SECOND_FACTOR).into_response())
}

fn offer(
    state: &AppState,
    session: Session,
    seed: [u8; totp::SEED_LEN],
    problem: Option<CodeProblem>,
) -> Result<Response, ApiError> {
    let member = session.member.to_string();
    let uri = totp::uri(&seed, &session.tenant_name, &session.email);
    let told =
        FactorState::Offered { drawn: totp::drawn(&uri), spelled: totp::spelled(&seed), uri };
    let cookie = ticket::give(state, Step::Enrolling, Enrolling { member, seed })?;
    let mut page = show(state, session, told, problem)?;
    page.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(page)
}

fn show(
    state: &AppState,
    session: Session,
    told: FactorState,
    problem: Option<CodeProblem>,
) -> Result<Response, ApiError> {
    html(&SecondFactorPage {
        is_required: session.needs_second_factor,
        shell: shell(session, None),
        state: told,
        problem,
        now: state.clock.now(),
    })
}

fn problem(error: &CodeError) -> Option<CodeProblem> {
    match error {
        CodeError::Wrong => Some(CodeProblem::Wrong),
        CodeError::RateLimited(wait) => {
            Some(CodeProblem::TooManyTries { wait_s: wait.as_secs().max(1) })
        }
        CodeError::Store(_) => None,
    }
}

fn status(error: &CodeError) -> StatusCode {
    match error {
        CodeError::Wrong => StatusCode::UNPROCESSABLE_ENTITY,
        CodeError::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
        CodeError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// One's own second factor.
pub(crate) const SECOND_FACTOR: &str = "/second-factor";
