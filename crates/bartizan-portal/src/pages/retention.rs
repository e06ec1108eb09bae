//! How long the organization keeps what is settled: seen and decided.
//!
//! # Invariants
//! - A shorter time is not saved before what goes by it was shown.

use std::time::Duration;

use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_store::{CHANGED_SINCE, Guard, OldAlerts, StoreError};
use serde::Deserialize;

use super::feeds::DoneQuery;
use super::{accepts_html, html, shell};
use crate::console::RetentionPage;
use crate::error::ApiError;
use crate::retention::{DAY_S, kept, oldest};
use crate::session::Session;
use crate::state::AppState;

/// `GET /retention`.
pub(crate) async fn page(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let notice = (query.done == "saved").then(|| "Saved.".to_owned());
    html(&show(&state, session, notice, Told::default()).await?)
}

/// What the form says.
#[derive(Deserialize)]
pub(crate) struct DaysForm {
    /// A number, or nothing to leave it to the installation.
    days: String,
    /// What was decided when the form was made.
    seen: String,
    /// `yes` where whoever shortens it has seen what goes.
    #[serde(default)]
    sure: String,
}

/// `POST /retention`: shows what goes by a shorter time, or saves it.
pub(crate) async fn save(
    State(state): State<AppState>,
    session: Session,
    headers: HeaderMap,
    Form(form): Form<DaysForm>,
) -> Result<Response, ApiError> {
    let scope = session.scope;
    let typed = form.days.trim().to_owned();
    let (least, most) = bounds(state.retention);
    let wanted = match typed.as_str() {
        "" => None,
        text => match text.parse::<u32>().ok().filter(|days| (least..=most).contains(days)) {
            Some(days) => Some(days),
            None => {
                let problem = format!("Days are a number from {least} to {most}, or nothing.");
                let told = Told { days: Some(typed), problem: Some(problem), review: None };
                return again(&state, session, StatusCode::UNPROCESSABLE_ENTITY, told).await;
            }
        },
    };
    let before = state.store.retention_days(scope).await?;
    let (held, holds) = (kept(state.retention, before), kept(state.retention, wanted));
    if let Some(days) = holds.filter(|holds| held.is_none_or(|held| *holds < held))
        && form.sure != "yes"
    {
        let old = old(&state, &session, days).await?;
        let review = Some((days_of(days), old));
        let told = Told { days: Some(typed), problem: None, review };
        return again(&state, session, StatusCode::OK, told).await;
    }
    let seen = form.seen;
    let guard = Guard::new(move |days: &Option<u32>| {
        days.map(|days| days.to_string()).unwrap_or_default() == seen
    });
    match state.store.set_retention_days(scope, wanted, guard, state.clock.now()).await {
        Ok(()) => Ok(Redirect::to("/retention?done=saved").into_response()),
        Err(StoreError::Conflict { what: CHANGED_SINCE }) if accepts_html(&headers) => {
            let problem = "Somebody has changed this since you opened the page. Look at it, and decide again.";
            let told = Told { days: None, problem: Some(problem.to_owned()), review: None };
            again(&state, session, StatusCode::PRECONDITION_FAILED, told).await
        }
        Err(error) => Err(error.into()),
    }
}

/// What the page says of what was sent.
#[derive(Default)]
struct Told {
    days: Option<String>,
    problem: Option<String>,
    review: Option<(u64, OldAlerts)>,
}

async fn again(
    state: &AppState,
    session: Session,
    status: StatusCode,
    told: Told,
) -> Result<Response, ApiError> {
    let page = show(state, session, None, told).await?;
    Ok((status, html(&page)?).into_response())
}

async fn show(
    state: &AppState,
    session: Session,
    notice: Option<String>,
    told: Told,
) -> Result<RetentionPage, StoreError> {
    let own = state.store.retention_days(session.scope).await?;
    let kept = kept(state.retention, own);
    let next = match kept {
        Some(kept) => old(state, &session, kept).await?,
        None => OldAlerts::default(),
    };
    let days = told.days.or_else(|| own.map(|days| days.to_string())).unwrap_or_default();
    Ok(RetentionPage {
        installation: state.retention.map(days_of),
        own,
        kept: kept.map(days_of),
        next,
        bounds: bounds(state.retention),
        days,
        problem: told.problem,
        review: told.review,
        shell: shell(session, notice),
    })
}

/// What would be removed if things were kept for so long.
async fn old(state: &AppState, session: &Session, kept: Duration) -> Result<OldAlerts, StoreError> {
    let before = oldest(kept, state.clock.now());
    state.store.old_alerts(session.scope, before, COUNTED).await
}

/// The fewest and the most days that can be set.
fn bounds(installation: Option<Duration>) -> (u32, u32) {
    let most = installation.map_or(MOST, |kept| u32::try_from(days_of(kept)).unwrap_or(MOST));
    (LEAST.min(most), most)
}

fn days_of(time: Duration) -> u64 {
    time.as_secs() / DAY_S
}

/// What is younger, people still compare with what happens.
const LEAST: u32 = 7;
/// Ten years.
const MOST: u32 = 3_650;
/// Of the oldest alerts: some ten milliseconds.
const COUNTED: u32 = 10_000;
