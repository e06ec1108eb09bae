//! Feedback: everybody's form, the inbox, one of it, and what is said to it.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_contract::feedback::{is_text, mood};
use bartizan_store::{FeedbackId, FeedbackStatus, NewFeedback, StoreError};
use serde::Deserialize;

use super::{PAGE, PAGE_AND_ONE, cursor, cursor_text, html, shell};
use crate::console::{FeedbackFormPage, FeedbackInboxPage, FeedbackPage, Pager, address};
use crate::error::ApiError;
use crate::session::Session;
use crate::state::AppState;

/// What the form is about, and what was done.
#[derive(Deserialize)]
pub(crate) struct FormQuery {
    #[serde(default)]
    page: String,
    #[serde(default)]
    done: String,
}

/// `GET /feedback/new`.
pub(crate) async fn form(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<FormQuery>,
) -> Result<Response, ApiError> {
    let notice = (query.done == "sent").then(|| "Sent. Thank you.".to_owned());
    let form = SayForm { page: query.page, ..SayForm::default() };
    let page = form_page(&state, session, notice, form, None).await?;
    html(&page)
}

/// What somebody says.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct SayForm {
    text: String,
    mood: String,
    page: String,
}

async fn form_page(
    state: &AppState,
    session: Session,
    notice: Option<String>,
    form: SayForm,
    problem: Option<&'static str>,
) -> Result<FeedbackFormPage, ApiError> {
    Ok(FeedbackFormPage {
        own: state.store.own_feedback(session.scope, OWN).await?,
        shell: shell(session, notice),
        text: form.text,
        mood: form.mood,
        page: form.page,
        problem,
        now: state.clock.now(),
    })
}

/// `POST /feedback`.
pub(crate) async fn say(
    State(state): State<AppState>,
    session: Session,
    Form(form): Form<SayForm>,
) -> Result<Response, ApiError> {
    let is_page = form.page.starts_with('/')
        && form.page.len() <= MAX_PAGE
        && !form.page.contains(char::is_control);
    let problem = if is_text(&form.text) {
        let new = NewFeedback {
            id: None,
            text: form.text.clone(),
            mood: mood::ALL
                .iter()
                .find(|mood| **mood == form.mood)
                .copied()
                .unwrap_or_default()
                .into(),
            logs: None,
            app_version: env!("CARGO_PKG_VERSION").into(),
            page: if is_page { form.page.clone() } else { String::new() },
        };
        match state.store.add_feedback(session.scope, new, state.clock.now()).await {
            Ok(_) => return Ok(Redirect::to("/feedback/new?done=sent").into_response()),
            Err(StoreError::Busy) => "Much of what you said is unread. Try again later.",
            Err(error) => return Err(error.into()),
        }
    } else {
        "Say it in 1 to 4,000 characters."
    };
    let page = form_page(&state, session, None, form, Some(problem)).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response())
}

/// Which feedback, and from where on.
#[derive(Deserialize)]
pub(crate) struct InboxQuery {
    #[serde(default)]
    status: String,
    #[serde(default)]
    after: String,
}

/// `GET /feedback`.
pub(crate) async fn inbox(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<InboxQuery>,
) -> Result<Response, ApiError> {
    let status = FeedbackStatus::from_word(&query.status);
    let after = cursor::<FeedbackId>(&query.after);
    let mut rows = state.store.feedback_list(session.sight, status, after, PAGE_AND_ONE).await?;
    let is_more = PAGE < rows.len();
    rows.truncate(PAGE);
    let word = status.map_or("", FeedbackStatus::word);
    let next = rows.last().filter(|_| is_more).map(|row| cursor_text(row.sent_at, &row.id));
    let link = |after: &str| address("/feedback", &[("status", word), ("after", after)]);
    html(&FeedbackInboxPage {
        shell: shell(session, None),
        rows,
        status,
        pager: Pager { first: after.map(|_| link("")), next: next.map(|next| link(&next)) },
        now: state.clock.now(),
    })
}

/// What was done.
#[derive(Deserialize)]
pub(crate) struct DoneQuery {
    #[serde(default)]
    done: String,
}

/// `GET /feedback/{id}`.
pub(crate) async fn one(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let notice = match query.done.as_str() {
        "status" => Some("Noted."),
        "reply" => Some("Your reply is kept; they see it when they look."),
        _ => None,
    };
    show(&state, session, parse(&id)?, notice, None).await
}

async fn show(
    state: &AppState,
    session: Session,
    id: FeedbackId,
    notice: Option<&str>,
    problem: Option<(String, &'static str)>,
) -> Result<Response, ApiError> {
    let row = state.store.feedback(session.sight, id).await?;
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let (reply, problem) = problem.unzip();
    let page = html(&FeedbackPage {
        shell: shell(session, notice.map(str::to_owned)),
        reply: reply.unwrap_or_else(|| row.reply.clone()),
        row,
        problem,
        now: state.clock.now(),
    })?;
    Ok((status, page).into_response())
}

/// What becomes of it.
#[derive(Deserialize)]
pub(crate) struct StatusForm {
    status: String,
}

/// `POST /feedback/{id}/status`.
pub(crate) async fn set_status(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(form): Form<StatusForm>,
) -> Result<Redirect, ApiError> {
    let id = parse(&id)?;
    let status = FeedbackStatus::from_word(&form.status).ok_or_else(|| {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "malformed", "no such status")
    })?;
    state.store.settle_feedback(session.sight, id, status, None, state.clock.now()).await?;
    Ok(Redirect::to(&format!("/feedback/{id}?done=status")))
}

/// What is said to it.
#[derive(Deserialize)]
pub(crate) struct ReplyForm {
    reply: String,
}

/// `POST /feedback/{id}/reply`.
pub(crate) async fn reply(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(form): Form<ReplyForm>,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    if !is_text(&form.reply) {
        let problem = (form.reply, "Say it in 1 to 4,000 characters.");
        return show(&state, session, id, None, Some(problem)).await;
    }
    let (answered, now) = (FeedbackStatus::Answered, state.clock.now());
    state.store.settle_feedback(session.sight, id, answered, Some(form.reply), now).await?;
    Ok(Redirect::to(&format!("/feedback/{id}?done=reply")).into_response())
}

/// `GET /feedback/{id}/logs`: as a file of text, which no browser takes for a page.
pub(crate) async fn logs(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    let logs = state.store.feedback_logs(session.sight, id).await?;
    let mut response = logs.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    let name = format!("attachment; filename=\"feedback-{id}.txt\"");
    if let Ok(name) = HeaderValue::try_from(name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

fn parse(id: &str) -> Result<FeedbackId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("feedback"))
}

/// Of one's own that are shown below the form.
const OWN: u32 = 20;
const MAX_PAGE: usize = 200;
