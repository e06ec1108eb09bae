//! The feeds, and what comes of them: notices, exceptions, the compile.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_contract::problem::code;
use bartizan_indicators::pattern::Pattern;
use bartizan_model::AlertId;
use bartizan_store::{FeedId, NoticeId, SiteReportStatus};
use serde::Deserialize;

use super::{accepts_html, html, shell};
use crate::console::{FeedsPage, Publishing};
use crate::error::ApiError;
use crate::feeds::want_compile;
use crate::offered;
use crate::session::Session;
use crate::state::AppState;

/// The page's address.
#[derive(Deserialize)]
pub(crate) struct DoneQuery {
    /// What the last action did, in a word.
    #[serde(default)]
    pub(super) done: String,
}

/// `GET /feeds`.
pub(crate) async fn list(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    page(&state, session, done(&query.done), None).await
}

async fn page(
    state: &AppState,
    session: Session,
    notice: Option<String>,
    problem: Option<String>,
) -> Result<Response, ApiError> {
    let (store, scope, sight) = (&state.store, session.scope, session.sight);
    let status = state.feeds.status(scope.tenant_id());
    let (held_back, held_back_total) = store.held_back(scope, SHOWN_HELD_BACK).await?;
    let wanted = store.wanted_compiles().await?;
    let reports = store.site_reports(sight, Some(String::new()), SHOWN_REPORTS).await?;
    let of = reports.iter().map(|row| row.device);
    let decidable = offered::investigated(state, &session, of).await?;
    html(&FeedsPage {
        shell: shell(session, notice),
        notices: store.notices(scope).await?,
        feeds: store.feeds(scope).await?,
        publishing: Publishing {
            since: status.since,
            is_wanted: wanted.iter().any(|wanted| wanted.scope == scope),
            took_ms: status.latest.as_ref().map(|latest| latest.took_ms),
            problem: status.latest.and_then(|latest| latest.problem),
        },
        files: store.indicator_files(scope, SHOWN_FILES).await?,
        held_back,
        held_back_total,
        released: store.released_entries(scope).await?,
        decidable,
        reports,
        own: store.own_domains(scope).await?,
        problem,
        now: state.clock.now(),
    })
}

/// What the last action did, as a sentence.
pub(super) fn done(word: &str) -> Option<String> {
    let sentence = match word {
        "added" => "The feed is added and is being fetched. Reload in a moment.",
        "saved" => "Settings saved.",
        "update" => "The feed is being fetched. Reload in a moment.",
        "on" => "The feed is on.",
        "off" => "The feed is off: its entries leave the next file.",
        "removed" => "The feed is removed.",
        "used" => "That version is in use. A new file is compiled in a moment.",
        "taken" => "The upload is in use. A new file is compiled in a moment.",
        "unchanged" => "The upload is what was in use already.",
        "dismissed" => "Notice dismissed.",
        "compile" => "A new file is compiled in a moment.",
        "own" => "Own domains changed. A new file is compiled in a moment.",
        "released" => "Released. A new file is compiled in a moment.",
        "held" => "Held back again. A new file is compiled in a moment.",
        "decided" => "Noted.",
        _ => return None,
    };
    Some(sentence.to_owned())
}

/// `POST /feeds/compile`.
pub(crate) async fn compile(
    State(state): State<AppState>,
    session: Session,
) -> Result<Redirect, ApiError> {
    want_compile(&state, session.scope).await?;
    Ok(Redirect::to("/feeds?done=compile"))
}

/// `POST /feeds/notices/{id}/dismiss`.
pub(crate) async fn dismiss(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Redirect, ApiError> {
    let notice: NoticeId = id.parse().map_err(|_| ApiError::not_found("notice"))?;
    state.store.dismiss_notice(session.scope, notice, state.clock.now()).await?;
    Ok(Redirect::to("/feeds?done=dismissed"))
}

/// A name.
#[derive(Deserialize)]
pub(crate) struct NameForm {
    name: String,
}

/// `POST /feeds/own`.
pub(crate) async fn add_own(
    State(state): State<AppState>,
    session: Session,
    headers: HeaderMap,
    Form(form): Form<NameForm>,
) -> Result<Response, ApiError> {
    let pattern = form.name.parse::<Pattern>();
    let Some(name) = pattern.as_ref().ok().and_then(Pattern::name) else {
        return unfit(&state, session, &headers, "That is not a host name.").await;
    };
    state.store.add_own_domain(session.scope, name.as_str(), state.clock.now()).await?;
    want_compile(&state, session.scope).await?;
    Ok(Redirect::to("/feeds?done=own").into_response())
}

/// `POST /feeds/own/remove`.
pub(crate) async fn remove_own(
    State(state): State<AppState>,
    session: Session,
    Form(form): Form<NameForm>,
) -> Result<Redirect, ApiError> {
    state.store.remove_own_domain(session.scope, &form.name, state.clock.now()).await?;
    want_compile(&state, session.scope).await?;
    Ok(Redirect::to("/feeds?done=own"))
}

/// An entry.
#[derive(Deserialize)]
pub(crate) struct EntryForm {
    pattern: String,
}

/// `POST /feeds/released`.
pub(crate) async fn release(
    State(state): State<AppState>,
    session: Session,
    headers: HeaderMap,
    Form(form): Form<EntryForm>,
) -> Result<Response, ApiError> {
    let Ok(pattern) = form.pattern.parse::<Pattern>() else {
        return unfit(&state, session, &headers, "That is not an entry.").await;
    };
    let (store, now) = (&state.store, state.clock.now());
    store.release_entry(session.scope, &pattern.to_string(), &session.email, now).await?;
    want_compile(&state, session.scope).await?;
    Ok(Redirect::to("/feeds?done=released").into_response())
}

/// `POST /feeds/released/remove`.
pub(crate) async fn hold_back(
    State(state): State<AppState>,
    session: Session,
    Form(form): Form<EntryForm>,
) -> Result<Redirect, ApiError> {
    state.store.unrelease_entry(session.scope, &form.pattern, state.clock.now()).await?;
    want_compile(&state, session.scope).await?;
    Ok(Redirect::to("/feeds?done=held"))
}

/// What was decided about a report, and which feed's page to go back to.
#[derive(Deserialize)]
pub(crate) struct DecisionForm {
    decision: String,
    #[serde(default)]
    feed: String,
}

/// `POST /feeds/reports/{id}`.
pub(crate) async fn decide(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(form): Form<DecisionForm>,
) -> Result<Redirect, ApiError> {
    let AlertId(report) = id.parse().map_err(|_| ApiError::not_found("report"))?;
    let status = SiteReportStatus::from_word(&form.decision)
        .ok_or_else(|| ApiError::malformed("not a decision"))?;
    let (store, now) = (&state.store, state.clock.now());
    store.decide_site_report(session.sight, report, status, &session.email, now).await?;
    let back = match form.feed.parse::<FeedId>() {
        Ok(feed) => format!("/feeds/{feed}?done=decided"),
        Err(_) => "/feeds?done=decided".to_owned(),
    };
    Ok(Redirect::to(&back))
}

/// The page again with what is wrong, or the same for a program.
async fn unfit(
    state: &AppState,
    session: Session,
    headers: &HeaderMap,
    problem: &str,
) -> Result<Response, ApiError> {
    let error = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code::MALFORMED, problem);
    if !accepts_html(headers) {
        return Err(error);
    }
    let mut response = page(state, session, None, Some(problem.to_owned())).await?;
    *response.status_mut() = error.status;
    Ok(response)
}

/// What a person looks through.
const SHOWN_HELD_BACK: u32 = 200;
const SHOWN_FILES: u32 = 10;
const SHOWN_REPORTS: u32 = 50;
