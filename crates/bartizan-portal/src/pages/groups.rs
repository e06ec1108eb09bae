//! Device groups: the list, one of them, their order.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_store::{Combine, GroupId, GroupRules, Rule, RuleField, RuleOperator, StoreError};
use serde::Deserialize;

use super::feeds::DoneQuery;
use super::{html, shell};
use crate::console::{GroupDeletePage, GroupForm, GroupPage, GroupsPage};
use crate::error::ApiError;
use crate::session::Session;
use crate::state::AppState;
use crate::tallies;

/// `GET /groups`.
pub(crate) async fn list(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let (scope, sight) = (session.scope, session.sight);
    let notice = match query.done.as_str() {
        "saved" => Some("Saved.".to_owned()),
        "deleted" => Some("The group is deleted.".to_owned()),
        "ranked" => Some("The order is changed.".to_owned()),
        _ => None,
    };
    html(&GroupsPage {
        shell: shell(session, notice),
        groups: state.store.device_groups(sight).await?,
        total: tallies::of(&state, sight).await?.devices,
        is_working: state.store.wanted_regroups().await?.contains(&scope),
    })
}

/// `GET /groups/new`.
pub(crate) async fn blank(session: Session) -> Result<Response, ApiError> {
    html(&GroupPage {
        shell: shell(session, None),
        id: None,
        form: GroupForm::default(),
        name_problem: None,
        rules_problem: None,
        matching: None,
    })
}

/// `GET /groups/{id}`.
pub(crate) async fn group(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let group = state.store.device_group(session.sight, parse(&id)?).await?;
    html(&GroupPage {
        shell: shell(session, None),
        id: Some(id),
        form: GroupForm::of(group.name, &group.rules),
        name_problem: None,
        rules_problem: None,
        matching: None,
    })
}

/// `POST /groups`.
pub(crate) async fn create(
    State(state): State<AppState>,
    session: Session,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    write(&state, session, None, &pairs).await
}

/// `POST /groups/{id}`.
pub(crate) async fn save(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    state.store.device_group(session.sight, id).await?;
    write(&state, session, Some(id), &pairs).await
}

/// A group's new place.
#[derive(Deserialize)]
pub(crate) struct RankForm {
    rank: u32,
}

/// `POST /groups/{id}/rank`.
pub(crate) async fn rank(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(form): Form<RankForm>,
) -> Result<Redirect, ApiError> {
    let now = state.clock.now();
    state.store.rank_device_group(session.scope, parse(&id)?, form.rank, now).await?;
    state.regroup.notify_one();
    Ok(Redirect::to("/groups?done=ranked"))
}

/// `GET /groups/{id}/delete`.
pub(crate) async fn ask_to_delete(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let group = state.store.device_group(session.sight, parse(&id)?).await?;
    html(&GroupDeletePage { shell: shell(session, None), group })
}

/// `POST /groups/{id}/delete`.
pub(crate) async fn delete(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Redirect, ApiError> {
    state.store.delete_device_group(session.scope, parse(&id)?, state.clock.now()).await?;
    state.regroup.notify_one();
    Ok(Redirect::to("/groups?done=deleted"))
}

async fn write(
    state: &AppState,
    session: Session,
    id: Option<GroupId>,
    pairs: &[(String, String)],
) -> Result<Response, ApiError> {
    let (scope, sight) = (session.scope, session.sight);
    let form = sent(pairs);
    let is_preview = pairs.iter().any(|(name, value)| name == "do" && value == "preview");
    let mut page = GroupPage {
        shell: shell(session, None),
        id: id.map(|id| id.to_string()),
        form,
        name_problem: None,
        rules_problem: None,
        matching: None,
    };
    let name = page.form.name.trim().to_owned();
    let is_plain = !name.chars().any(char::is_control) && name.chars().count() <= MAX_NAME;
    if !is_preview && (name.is_empty() || !is_plain) {
        page.name_problem = Some("A name has 1 to 100 characters on one line.");
    }
    let rules = match read(&page.form) {
        Ok(rules) => rules,
        Err(problem) => {
            page.rules_problem = Some(problem);
            return again(&page);
        }
    };
    if page.name_problem.is_some() {
        return again(&page);
    }
    if is_preview {
        page.matching = Some(state.store.devices_that_match(sight, rules).await?);
        return html(&page);
    }
    let now = state.clock.now();
    let written = match id {
        None => state.store.create_device_group(scope, name, rules, now).await.map(drop),
        Some(id) => state.store.change_device_group(scope, id, name, rules, now).await,
    };
    match written {
        Ok(()) => {
            state.regroup.notify_one();
            Ok(Redirect::to("/groups?done=saved").into_response())
        }
        Err(StoreError::Conflict { .. }) => {
            page.name_problem = Some("Another group has this name.");
            again(&page)
        }
        Err(error) => Err(error.into()),
    }
}

fn again(page: &GroupPage) -> Result<Response, ApiError> {
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(page)?).into_response())
}

/// Takes the form's fields; those of rules come in lines, in their order.
fn sent(pairs: &[(String, String)]) -> GroupForm {
    let all = |wanted: &'static str| {
        pairs.iter().filter(move |(name, _)| name == wanted).map(|(_, value)| value.clone())
    };
    let lines = all("field").zip(all("operator")).zip(all("value"));
    let lines = lines.map(|((field, operator), value)| [field, operator, value]);
    GroupForm {
        name: all("name").next().unwrap_or_default(),
        combine: all("combine").next().unwrap_or_default(),
        rules: lines.filter(|[_, _, value]| !value.trim().is_empty()).collect(),
    }
}

fn read(form: &GroupForm) -> Result<GroupRules, String> {
    if MAX_RULES < form.rules.len() {
        return Err(format!("A group has at most {MAX_RULES} rules."));
    }
    let rule = |(line, [field, operator, value]): (usize, &[String; 3])| {
        let value = value.trim();
        let fits = value.chars().count() <= MAX_VALUE && !value.chars().any(char::is_control);
        let known = RuleField::from_word(field).zip(RuleOperator::from_word(operator));
        match known.filter(|_| fits) {
            Some((field, operator)) => Ok(Rule { field, operator, value: value.to_owned() }),
            None => {
                Err(format!("Rule {line} has text of up to {MAX_VALUE} characters on one line."))
            }
        }
    };
    let rules = (1..).zip(&form.rules).map(rule).collect::<Result<_, _>>()?;
    Ok(GroupRules { combine: Combine::from_word(&form.combine).unwrap_or_default(), rules })
}

fn parse(id: &str) -> Result<GroupId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("device group"))
}

const MAX_NAME: usize = 100;
const MAX_VALUE: usize = 200;
const MAX_RULES: usize = 50;
