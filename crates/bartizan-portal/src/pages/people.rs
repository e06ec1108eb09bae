//! People: who may come in, with which roles; and their sessions, and one's own.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_store::{MemberId, StoreError};
use serde::Deserialize;

use super::feeds::DoneQuery;
use super::{PAGE, PAGE_AND_ONE, html, shell};
use crate::OneTimePassword;
use crate::console::{Pager, PeoplePage, PersonPage, SessionsPage, address};
use crate::error::ApiError;
use crate::session::{IDLE_LIMIT, Session};
use crate::state::AppState;

/// `GET /people`.
pub(crate) async fn list(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    people(&state, session, &query, String::new(), None, None).await
}

/// The list's address.
#[derive(Default, Deserialize)]
pub(crate) struct ListQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    after: String,
}

/// What the form says. A box that is not ticked is absent, so pairs are read.
type Pairs = Vec<(String, String)>;

/// `POST /people`: shows the one-time password, once.
pub(crate) async fn invite(
    State(state): State<AppState>,
    session: Session,
    Form(pairs): Form<Pairs>,
) -> Result<Response, ApiError> {
    let email = one(&pairs, "email").trim().to_owned();
    let roles = all(&pairs, "role");
    let problem = if !is_address(&email) {
        "This is not an e-mail address."
    } else if roles.is_empty() {
        "Choose at least one role."
    } else {
        let now = state.clock.now();
        let drawn = OneTimePassword::for_new(email.clone(), roles, now).await;
        let (secret, member) = drawn.map_err(|error| ApiError::internal(&*error))?;
        match state.store.add_member(session.scope, member, now).await {
            Ok(_) => {
                let given = Some((email, secret.to_string()));
                let query = ListQuery::default();
                return people(&state, session, &query, String::new(), None, given).await;
            }
            Err(StoreError::Conflict { .. }) => "There is somebody with this address already.",
            Err(error) => return Err(error.into()),
        }
    };
    let page = people(&state, session, &ListQuery::default(), email, Some(problem), None).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// Whether an e-mail address can look like this.
pub(super) fn is_address(email: &str) -> bool {
    email.split_once('@').is_some_and(|(who, host)| !who.is_empty() && !host.is_empty())
        && !email.contains(|c: char| c.is_control() || c.is_whitespace())
        && email.len() <= MAX_EMAIL
}

async fn people(
    state: &AppState,
    session: Session,
    query: &ListQuery,
    email: String,
    problem: Option<&'static str>,
    given: Option<(String, String)>,
) -> Result<Response, ApiError> {
    let (text, after) = (query.q.trim(), query.after.clone());
    let mut people = state.store.members_page(session.scope, text, after, PAGE_AND_ONE).await?;
    let more = PAGE < people.len();
    people.truncate(PAGE);
    let next = people.last().filter(|_| more);
    let next = next.map(|last| address("/people", &[("q", text), ("after", &last.email)]));
    let first = (!query.after.is_empty()).then(|| address("/people", &[("q", text)]));
    html(&PeoplePage {
        people,
        text: text.to_owned(),
        pager: Pager { first, next },
        roles: state.store.roles(session.scope).await?,
        shell: shell(session, None),
        email,
        problem,
        given,
        now: state.clock.now(),
    })
}

/// `GET /people/{id}`.
pub(crate) async fn person(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let notice = match query.done.as_str() {
        "roles" => Some("Roles changed. They count at once."),
        "disabled" => Some("Disabled. Their sessions have ended."),
        "enabled" => Some("They may sign in again."),
        "ended" => Some("The session has ended."),
        _ => None,
    };
    show(&state, session, parse(&id)?, notice, None, None).await
}

/// `POST /people/{id}/roles`.
pub(crate) async fn set_roles(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Pairs>,
) -> Result<Response, ApiError> {
    let member = parse(&id)?;
    let now = state.clock.now();
    let done = state.store.set_member_roles(session.scope, member, all(&pairs, "role"), now).await;
    answer(&state, session, member, done, "roles").await
}

/// `POST /people/{id}/disabled`.
pub(crate) async fn set_disabled(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Pairs>,
) -> Result<Response, ApiError> {
    let (member, is_disabled) = (parse(&id)?, one(&pairs, "disabled") == "yes");
    let now = state.clock.now();
    let done = state.store.set_member_disabled(session.scope, member, is_disabled, now).await;
    let word = if is_disabled { "disabled" } else { "enabled" };
    answer(&state, session, member, done, word).await
}

/// `POST /people/{id}/password`: shows the one-time password, once.
pub(crate) async fn reset_password(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (member, now) = (parse(&id)?, state.clock.now());
    let drawn = OneTimePassword::draw(now).await;
    let (secret, hash, until) = drawn.map_err(|error| ApiError::internal(&*error))?;
    state.store.reset_password(session.scope, member, hash, until, now).await?;
    show(&state, session, member, None, None, Some(secret.to_string())).await
}

/// `POST /people/{id}/erase`.
pub(crate) async fn erase(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let member = parse(&id)?;
    let done = state.store.erase_member(session.scope, member, state.clock.now()).await;
    answer(&state, session, member, done, "erased").await
}

/// `POST /people/{id}/sessions/{session}/end`.
pub(crate) async fn end_session(
    State(state): State<AppState>,
    session: Session,
    Path((id, ended)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let member = parse(&id)?;
    state.store.revoke_session(session.scope, member, &ended, state.clock.now()).await?;
    Ok(Redirect::to(&format!("/people/{member}?done=ended")).into_response())
}

/// `GET /sessions`: one's own.
pub(crate) async fn own_sessions(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let now = state.clock.now();
    let sessions = state.store.sessions(session.scope, session.member, IDLE_LIMIT, now).await?;
    let notice = (query.done == "ended").then(|| "The session has ended.".to_owned());
    let own = bartizan_store::SessionId::of(&session.token_hash);
    html(&SessionsPage { shell: shell(session, notice), sessions, own, now })
}

/// `POST /sessions/{id}/end`: one of one's own.
pub(crate) async fn end_own_session(
    State(state): State<AppState>,
    session: Session,
    Path(ended): Path<String>,
) -> Result<Response, ApiError> {
    let now = state.clock.now();
    state.store.revoke_session(session.scope, session.member, &ended, now).await?;
    Ok(Redirect::to("/sessions?done=ended").into_response())
}

async fn answer(
    state: &AppState,
    session: Session,
    member: MemberId,
    done: Result<(), StoreError>,
    word: &str,
) -> Result<Response, ApiError> {
    match done {
        Ok(()) => Ok(Redirect::to(&format!("/people/{member}?done={word}")).into_response()),
        Err(StoreError::LastAdministrator) => {
            let problem = "Nothing was changed: this is the last administrator. Make somebody else one first.";
            let page = show(state, session, member, None, Some(problem), None).await?;
            Ok((StatusCode::CONFLICT, page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

async fn show(
    state: &AppState,
    session: Session,
    member: MemberId,
    notice: Option<&str>,
    problem: Option<&'static str>,
    password: Option<String>,
) -> Result<Response, ApiError> {
    let now = state.clock.now();
    html(&PersonPage {
        person: state.store.member(session.scope, member).await?,
        roles: state.store.roles(session.scope).await?,
        sessions: state.store.sessions(session.scope, member, IDLE_LIMIT, now).await?,
        shell: shell(session, notice.map(str::to_owned)),
        problem,
        password,
        now,
    })
}

fn parse(id: &str) -> Result<MemberId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("person"))
}

pub(super) fn one<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    pairs.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
}

pub(super) fn all(pairs: &[(String, String)], name: &str) -> Vec<String> {
    pairs.iter().filter(|(found, _)| found == name).map(|(_, value)| value.clone()).collect()
}

/// RFC 5321 §4.5.3.1.3, without the angle brackets.
const MAX_EMAIL: usize = 254;
