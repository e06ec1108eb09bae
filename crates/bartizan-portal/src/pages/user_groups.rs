//! Groups of users: the list, one of them, who is in it.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_store::{
    DirectoryError, DirectoryOrigin, GroupFacts, Licensee, MemberChange, PersonGroupId, PersonId,
    StoreError,
};
use serde::Deserialize;

use super::people::one;
use super::{PAGE, PAGE_AND_ONE, html, shell};
use crate::console::{Pager, UserGroupPage, UserGroupsPage, address};
use crate::error::ApiError;
use crate::session::Session;
use crate::state::AppState;

/// The address of the list or of a group.
#[derive(Default, Deserialize)]
pub(crate) struct PageQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    after: String,
    #[serde(default)]
    done: String,
}

/// `GET /user-groups`.
pub(crate) async fn list(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    html(&groups(&state, session, query, None).await?)
}

/// `POST /user-groups`.
pub(crate) async fn create(
    State(state): State<AppState>,
    session: Session,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let name = one(&pairs, "name").trim().to_owned();
    if !is_name(&name) {
        let problem = Some((NAME_UNFIT, name));
        let page = groups(&state, session, PageQuery::default(), problem).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response());
    }
    let facts = GroupFacts { display_name: name, external_id: String::new() };
    let (origin, now) = (DirectoryOrigin::Hand, state.clock.now());
    let made = state.store.create_person_group(session.scope, facts, Vec::new(), origin, now).await;
    Ok(to(made.map_err(failed)?.id, "added"))
}

/// `GET /user-groups/{id}`.
pub(crate) async fn group(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    html(&show(&state, session, parse(&id)?, &query, None).await?)
}

/// `POST /user-groups/{id}`.
pub(crate) async fn rename(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let group = state.store.person_group(session.scope, parse(&id)?).await?;
    let name = one(&pairs, "name").trim().to_owned();
    if !is_name(&name) {
        return again(&state, session, group.id, ("name", NAME_UNFIT.into())).await;
    }
    let facts = GroupFacts { display_name: name, ..group.facts };
    let now = state.clock.now();
    let change = (facts, Vec::new());
    let done = state.store.change_person_group(session.scope, group.id, change, None, now).await;
    done.map_err(failed)?;
    Ok(to(group.id, "saved"))
}

/// `POST /user-groups/{id}/members`: adds somebody by user name or address, or removes one.
pub(crate) async fn members(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let (scope, now) = (session.scope, state.clock.now());
    let group = state.store.person_group(scope, parse(&id)?).await?;
    let change = if one(&pairs, "do") == "remove" {
        MemberChange::Remove(one(&pairs, "id").parse::<PersonId>().into_iter().collect())
    } else {
        match state.store.person_named(scope, one(&pairs, "user").to_owned()).await {
            Ok(person) => MemberChange::Add(vec![person.id]),
            Err(StoreError::NotFound { .. }) => {
                let problem = "There is no user with this name or address.".into();
                return again(&state, session, group.id, ("user", problem)).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    let change = (group.facts, vec![change]);
    let done = state.store.change_person_group(scope, group.id, change, None, now).await;
    done.map_err(failed)?;
    Ok(to(group.id, "saved"))
}

/// `POST /user-groups/{id}/delete`.
pub(crate) async fn remove(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let now = state.clock.now();
    let done = state.store.delete_person_group(session.scope, parse(&id)?, None, now).await;
    done.map_err(failed)?;
    Ok(Redirect::to("/user-groups?done=deleted").into_response())
}

async fn groups(
    state: &AppState,
    session: Session,
    query: PageQuery,
    problem: Option<(&'static str, String)>,
) -> Result<UserGroupsPage, ApiError> {
    let text = query.q.trim().to_owned();
    let after = query.after.parse().ok();
    let rows = state.store.person_groups_page(session.scope, text.clone(), after, PAGE_AND_ONE);
    let mut rows = rows.await?;
    let more = PAGE < rows.len();
    rows.truncate(PAGE);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|last| address("/user-groups", &[("q", &text), ("after", &last.id.to_string())]));
    let first = after.map(|_: PersonGroupId| address("/user-groups", &[("q", &text)]));
    let notice = (query.done == "deleted").then(|| "The group is deleted.".to_owned());
    let pager = Pager { first, next };
    Ok(UserGroupsPage { shell: shell(session, notice), text, rows, pager, problem })
}

async fn show(
    state: &AppState,
    session: Session,
    id: PersonGroupId,
    query: &PageQuery,
    problem: Option<(&'static str, String)>,
) -> Result<UserGroupPage, ApiError> {
    let group = state.store.person_group(session.scope, id).await?;
    let after = query.after.parse().ok();
    let mut people = state.store.people_in_group(session.scope, id, after, PAGE_AND_ONE).await?;
    let more = PAGE < people.len();
    people.truncate(PAGE);
    let here = format!("/user-groups/{id}");
    let next = people.last().filter(|_| more);
    let pager = Pager {
        first: after.map(|_: PersonId| here.clone()),
        next: next.map(|(last, _)| address(&here, &[("after", &last.to_string())])),
    };
    let notice = match query.done.as_str() {
        "added" => Some("Added.".to_owned()),
        "saved" => Some("Saved.".to_owned()),
        _ => None,
    };
    let plans = state.store.licenses_of(session.scope, Licensee::Group(id)).await?;
    Ok(UserGroupPage { shell: shell(session, notice), group, people, plans, pager, problem })
}

async fn again(
    state: &AppState,
    session: Session,
    id: PersonGroupId,
    problem: (&'static str, String),
) -> Result<Response, ApiError> {
    let page = show(state, session, id, &PageQuery::default(), Some(problem)).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response())
}

fn failed(error: DirectoryError) -> ApiError {
    match error {
        DirectoryError::Store(error) => error.into(),
        DirectoryError::Taken | DirectoryError::Changed | DirectoryError::NoSuchMember(_) => {
            ApiError::malformed(error.to_string())
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= MAX_NAME && !name.chars().any(char::is_control)
}

fn to(id: PersonGroupId, done: &str) -> Response {
    Redirect::to(&format!("/user-groups/{id}?done={done}")).into_response()
}

pub(super) fn parse(id: &str) -> Result<PersonGroupId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("user group"))
}

const MAX_NAME: usize = 200;
const NAME_UNFIT: &str = "A name has 1 to 200 characters on one line.";
