//! Users, the people whom the product protects: the list, one of them, adding, activating, erasing.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_store::{
    DirectoryError, DirectoryOrigin, Licensee, PersonEmail, PersonFacts, PersonId, PersonRow,
};
use serde::Deserialize;

use super::feeds::DoneQuery;
use super::people::one;
use super::{PAGE, PAGE_AND_ONE, html, shell};
use crate::console::{Pager, UserForm, UserPage, UsersPage, address};
use crate::error::ApiError;
use crate::session::Session;
use crate::state::AppState;

/// The list's address.
#[derive(Deserialize)]
pub(crate) struct ListQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    after: String,
    #[serde(default)]
    done: String,
}

/// `GET /users`.
pub(crate) async fn list(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let text = query.q.trim().to_owned();
    let after = query.after.clone();
    let mut rows =
        state.store.people_page(session.scope, text.clone(), after, PAGE_AND_ONE).await?;
    let more = PAGE < rows.len();
    rows.truncate(PAGE);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|last| address("/users", &[("q", &text), ("after", &last.facts.user_name)]));
    let first = (!query.after.is_empty()).then(|| address("/users", &[("q", &text)]));
    let notice = (query.done == "erased").then(|| "Erased.".to_owned());
    let ids = rows.iter().map(|row| row.id).collect();
    let plans = state.store.plans_of(session.scope, ids).await?;
    let rows = rows.into_iter().zip(plans).collect();
    html(&UsersPage { shell: shell(session, notice), text, rows, pager: Pager { first, next } })
}

/// `GET /users/new`.
pub(crate) async fn blank(
    State(state): State<AppState>,
    session: Session,
) -> Result<Response, ApiError> {
    html(&UserPage {
        shell: shell(session, None),
        person: None,
        form: UserForm::default(),
        problem: None,
        devices: Vec::new(),
        plans: Vec::new(),
        plan: None,
        now: state.clock.now(),
    })
}

/// `POST /users`.
pub(crate) async fn create(
    State(state): State<AppState>,
    session: Session,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let form = sent(&pairs);
    let problem = match read(&form, PersonFacts::default()) {
        Err(problem) => problem.to_owned(),
        Ok(facts) => {
            let (origin, now) = (DirectoryOrigin::Hand, state.clock.now());
            match state.store.create_person(session.scope, facts, origin, now).await {
                Ok(person) => {
                    return Ok(
                        Redirect::to(&format!("/users/{}?done=added", person.id)).into_response()
                    );
                }
                Err(error) => told(error)?,
            }
        }
    };
    let page = UserPage {
        shell: shell(session, None),
        person: None,
        form,
        problem: Some(problem),
        devices: Vec::new(),
        plans: Vec::new(),
        plan: None,
        now: state.clock.now(),
    };
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response())
}

/// `GET /users/{id}`.
pub(crate) async fn user(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let person = state.store.person(session.scope, parse(&id)?).await?;
    let notice = match query.done.as_str() {
        "added" => Some("Added."),
        "saved" => Some("Saved."),
        "deactivated" => {
            Some("Deactivated: they can enroll no device, and may no longer sign in here.")
        }
        "activated" => {
            Some("Activated. Whether they may sign in here again is decided under People.")
        }
        _ => None,
    };
    let form = UserForm::of(&person.facts);
    html(&page(&state, session, person, form, notice, None).await?)
}

/// `POST /users/{id}`.
pub(crate) async fn save(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let person = state.store.person(session.scope, parse(&id)?).await?;
    let form = sent(&pairs);
    let problem = match read(&form, person.facts.clone()) {
        Err(problem) => problem.to_owned(),
        Ok(facts) => match write(&state, &session, &person, facts).await {
            Ok(()) => return Ok(to(person.id, "saved")),
            Err(error) => told(error)?,
        },
    };
    let page = page(&state, session, person, form, None, Some(problem)).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response())
}

/// `POST /users/{id}/active`.
pub(crate) async fn set_active(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let person = state.store.person(session.scope, parse(&id)?).await?;
    let is_active = one(&pairs, "active") == "yes";
    let facts = PersonFacts { active: Some(is_active), ..person.facts.clone() };
    match write(&state, &session, &person, facts).await {
        Ok(()) => Ok(to(person.id, if is_active { "activated" } else { "deactivated" })),
        Err(DirectoryError::Store(error)) => Err(error.into()),
        Err(error) => Err(ApiError::malformed(error.to_string())),
    }
}

/// `POST /users/{id}/erase`.
pub(crate) async fn erase(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let now = state.clock.now();
    match state.store.erase_person(session.scope, parse(&id)?, None, now).await {
        Ok(()) => {
            state.regroup.notify_one();
            Ok(Redirect::to("/users?done=erased").into_response())
        }
        Err(DirectoryError::Store(error)) => Err(error.into()),
        Err(error) => Err(ApiError::malformed(error.to_string())),
    }
}

async fn write(
    state: &AppState,
    session: &Session,
    person: &PersonRow,
    facts: PersonFacts,
) -> Result<(), DirectoryError> {
    let (expected, now) = (Some(person.version), state.clock.now());
    state.store.replace_person(session.scope, person.id, facts, expected, now).await?;
    state.regroup.notify_one();
    Ok(())
}

async fn page(
    state: &AppState,
    session: Session,
    person: PersonRow,
    form: UserForm,
    notice: Option<&str>,
    problem: Option<String>,
) -> Result<UserPage, ApiError> {
    Ok(UserPage {
        devices: state.store.devices_of_person(session.sight, person.id).await?,
        plans: state.store.licenses_of(session.scope, Licensee::Person(person.id)).await?,
        plan: state.store.plan_of(session.scope, person.id).await?,
        shell: shell(session, notice.map(str::to_owned)),
        person: Some(person),
        form,
        problem,
        now: state.clock.now(),
    })
}

/// What a person is told, unless the store failed.
fn told(error: DirectoryError) -> Result<String, ApiError> {
    match error {
        DirectoryError::Taken => Ok("Another user has this user name.".into()),
        DirectoryError::Changed => {
            Ok("Somebody else changed this user in between. Reload, and try again.".into())
        }
        DirectoryError::NoSuchMember(_) => Err(ApiError::malformed(error.to_string())),
        DirectoryError::Store(error) => Err(error.into()),
    }
}

fn sent(pairs: &[(String, String)]) -> UserForm {
    let text = |name| one(pairs, name).trim().to_owned();
    UserForm {
        user_name: text("user_name"),
        display_name: text("display_name"),
        email: text("email"),
    }
}

/// What is known, with what the form says.
fn read(form: &UserForm, before: PersonFacts) -> Result<PersonFacts, &'static str> {
    let fits = |text: &str| text.chars().count() <= MAX_TEXT && !text.chars().any(char::is_control);
    if form.user_name.is_empty() {
        return Err("A user has a user name.");
    }
    if ![&form.user_name, &form.display_name, &form.email].into_iter().all(|text| fits(text)) {
        return Err("Each field has at most 200 characters on one line.");
    }
    let is_address = form.email.split_once('@').is_some_and(|(who, host)| {
        !who.is_empty() && !host.is_empty() && !form.email.contains(char::is_whitespace)
    });
    if !form.email.is_empty() && !is_address {
        return Err("This is not an e-mail address.");
    }
    let mut facts = PersonFacts {
        user_name: form.user_name.clone(),
        display_name: form.display_name.clone(),
        ..before
    };
    let unchanged = facts.address().is_some_and(|address| address == form.email);
    if !unchanged {
        // The form shows one address; that is the one to use from now on.
        facts.emails.retain(|email| !email.is_primary && email.value != form.email);
        facts.emails.truncate(bartizan_store::MAX_EMAILS - 1);
        if !form.email.is_empty() {
            let email =
                PersonEmail { value: form.email.clone(), kind: "work".into(), is_primary: true };
            facts.emails.insert(0, email);
        }
    }
    Ok(facts)
}

fn to(id: PersonId, done: &str) -> Response {
    Redirect::to(&format!("/users/{id}?done={done}")).into_response()
}

pub(super) fn parse(id: &str) -> Result<PersonId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("user"))
}

const MAX_TEXT: usize = 200;
