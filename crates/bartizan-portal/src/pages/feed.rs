//! One feed: settings, versions, uploads; and a new one.

use std::io::Cursor;

use axum::Form;
use axum::body::Bytes;
use axum::extract::{FromRequest as _, Multipart, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_contract::problem::code;
use bartizan_model::{IndicatorAction, IndicatorCategory};
use bartizan_store::{
    FeedId, FeedOrigin, FeedOutcome, FeedRole, FeedRow, FeedSettings, FeedUrls, StoreError,
    TenantScope,
};
use serde::Deserialize;

use super::feeds::{DoneQuery, done};
use super::{accepts_html, html, shell};
use crate::console::{FeedForm, FeedPage, NewFeedPage};
use crate::error::ApiError;
use crate::feeds::{self, settings, want_compile};
use crate::offered;
use crate::session::Session;
use crate::state::AppState;

/// `GET /feeds/new`.
pub(crate) async fn new_page(session: Session) -> Result<Response, ApiError> {
    let usual = settings::usual("", FeedOrigin::Url);
    html(&NewFeedPage { shell: shell(session, None), form: FeedForm::of(&usual), problem: None })
}

/// `POST /feeds`.
pub(crate) async fn create(
    State(state): State<AppState>,
    session: Session,
    headers: HeaderMap,
    Form(form): Form<FeedForm>,
) -> Result<Response, ApiError> {
    let problem = match wanted(&form, None) {
        Ok(settings) => {
            let now = state.clock.now();
            match state.store.create_feed(session.scope, settings, now).await {
                Ok(feed) => {
                    // Even one that is looked at by hand is looked at once.
                    state.store.set_feed_due(session.scope, feed, now).await?;
                    state.feeds.wake_fetch.notify_one();
                    return Ok(Redirect::to(&format!("/feeds/{feed}?done=added")).into_response());
                }
                Err(error) => taken(error)?,
            }
        }
        Err(problem) => problem,
    };
    let error = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code::MALFORMED, &problem);
    if !accepts_html(&headers) {
        return Err(error);
    }
    let page = html(&NewFeedPage { shell: shell(session, None), form, problem: Some(problem) })?;
    Ok((error.status, page).into_response())
}

/// `GET /feeds/{id}`.
pub(crate) async fn page(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let feed = find(&state, session.scope, &id).await?;
    let form = FeedForm::of(&feed.settings);
    show(&state, session, feed, form, done(&query.done), None).await
}

async fn show(
    state: &AppState,
    session: Session,
    feed: FeedRow,
    form: FeedForm,
    notice: Option<String>,
    problem: Option<String>,
) -> Result<Response, ApiError> {
    let (store, scope, sight) = (&state.store, session.scope, session.sight);
    let name = feed.settings.name.clone();
    let reports = store.site_reports(sight, Some(name.clone()), SHOWN_REPORTS).await?;
    let of = reports.iter().map(|row| row.device);
    let decidable = offered::investigated(state, &session, of).await?;
    html(&FeedPage {
        shell: shell(session, notice),
        versions: store.feed_versions(scope, feed.id).await?.into_iter().take(SHOWN).collect(),
        hits: store.top_hits(sight, &name, SHOWN_HITS).await?,
        decidable,
        reports,
        feed,
        form,
        problem,
        now: state.clock.now(),
    })
}

/// `POST /feeds/{id}`.
pub(crate) async fn save(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(form): Form<FeedForm>,
) -> Result<Response, ApiError> {
    let feed = find(&state, session.scope, &id).await?;
    let problem = match wanted(&form, Some(&feed.settings)) {
        Ok(settings) => {
            match state.store.set_feed(session.scope, feed.id, settings, state.clock.now()).await {
                Ok(()) => {
                    want_compile(&state, session.scope).await?;
                    state.feeds.wake_fetch.notify_one();
                    let saved = format!("/feeds/{}?done=saved", feed.id);
                    return Ok(Redirect::to(&saved).into_response());
                }
                Err(error) => taken(error)?,
            }
        }
        Err(problem) => problem,
    };
    unfit(&state, session, &headers, feed, form, problem).await
}

/// `POST /feeds/{id}/update`: it is fetched by the jobs, which may take longer than a request.
pub(crate) async fn update(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Redirect, ApiError> {
    let feed = find(&state, session.scope, &id).await?;
    state.store.set_feed_due(session.scope, feed.id, state.clock.now()).await?;
    state.feeds.wake_fetch.notify_one();
    Ok(Redirect::to(&format!("/feeds/{}?done=update", feed.id)))
}

/// On or off.
#[derive(Deserialize)]
pub(crate) struct EnabledForm {
    #[serde(default)]
    enabled: String,
}

/// `POST /feeds/{id}/enabled`.
pub(crate) async fn set_enabled(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(form): Form<EnabledForm>,
) -> Result<Redirect, ApiError> {
    let feed = find(&state, session.scope, &id).await?;
    let enabled = match form.enabled.as_str() {
        "on" => true,
        "off" => false,
        _ => return Err(ApiError::malformed("enabled is on or off")),
    };
    let changed = FeedSettings { enabled, ..feed.settings };
    state.store.set_feed(session.scope, feed.id, changed, state.clock.now()).await?;
    want_compile(&state, session.scope).await?;
    Ok(Redirect::to(&format!("/feeds/{}?done={}", feed.id, form.enabled)))
}

/// `POST /feeds/{id}/remove`.
pub(crate) async fn remove(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Redirect, ApiError> {
    feeds::remove(&state, session.scope, parse(&id)?).await?;
    Ok(Redirect::to("/feeds?done=removed"))
}

/// `POST /feeds/{id}/versions/{version}/use`.
pub(crate) async fn use_version(
    State(state): State<AppState>,
    session: Session,
    Path((id, version)): Path<(String, String)>,
) -> Result<Redirect, ApiError> {
    let feed = parse(&id)?;
    let version = version.parse().map_err(|_| ApiError::not_found("version"))?;
    feeds::use_version(&state, session.scope, feed, version).await?;
    Ok(Redirect::to(&format!("/feeds/{feed}?done=used")))
}

/// `POST /feeds/{id}/upload`: the first file of a form, or the body as it is.
pub(crate) async fn upload(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let feed = find(&state, session.scope, &id).await?;
    let headers = request.headers().clone();
    let octets = uploaded(request, &state).await?;
    let cause = |error: anyhow::Error| ApiError::internal(&*error);
    let update =
        feeds::upload(&state, session.scope, feed.id, Cursor::new(octets)).await.map_err(cause)?;
    match update.outcome {
        FeedOutcome::Taken | FeedOutcome::Unchanged => {
            let word = update.outcome.word();
            Ok(Redirect::to(&format!("/feeds/{}?done={word}", feed.id)).into_response())
        }
        FeedOutcome::Refused | FeedOutcome::Failed => {
            let problem = format!("The upload is not used. {}", update.detail);
            let feed = state.store.feed(session.scope, feed.id).await?;
            let form = FeedForm::of(&feed.settings);
            unfit(&state, session, &headers, feed, form, problem).await
        }
    }
}

async fn uploaded(request: Request, state: &AppState) -> Result<Bytes, ApiError> {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let is_form =
        content_type.is_some_and(|value| value.as_bytes().starts_with(b"multipart/form-data"));
    let broken = |status: StatusCode, detail: String| match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::new(status, code::TOO_LARGE, "an upload has at most 64 MiB")
        }
        _ => ApiError::malformed(detail),
    };
    if !is_form {
        return Bytes::from_request(request, state)
            .await
            .map_err(|error| broken(error.status(), error.body_text()));
    }
    let mut form = Multipart::from_request(request, state)
        .await
        .map_err(|error| broken(error.status(), error.body_text()))?;
    loop {
        let field =
            form.next_field().await.map_err(|error| broken(error.status(), error.body_text()))?;
        let field = field.ok_or_else(|| ApiError::malformed("the form holds no file"))?;
        if field.file_name().is_some() {
            return field.bytes().await.map_err(|error| broken(error.status(), error.body_text()));
        }
    }
}

fn parse(id: &str) -> Result<FeedId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("feed"))
}

async fn find(state: &AppState, scope: TenantScope, id: &str) -> Result<FeedRow, ApiError> {
    Ok(state.store.feed(scope, parse(id)?).await?)
}

/// Reads what a form wants; `before` is what is set, of which the form does not say all.
fn wanted(form: &FeedForm, before: Option<&FeedSettings>) -> Result<FeedSettings, String> {
    let not_offered = || "Choose one of what is offered.".to_owned();
    let origin = FeedOrigin::from_word(&form.origin).ok_or_else(not_offered)?;
    let kept = before.cloned().unwrap_or_else(|| settings::usual("", origin));
    let credentials = match settings::authorization(&form.credentials) {
        Some(new) => Some(new),
        None if form.no_credentials.is_some() => None,
        // A secret is for the host that it was given for.
        None if host(kept.url.as_deref()) != host(Some(&form.url)) => None,
        None => kept.credentials.clone(),
    };
    let number = |text: &str, bad: settings::BadSetting| {
        text.trim().parse::<u16>().map_err(|_| bad.to_string())
    };
    let trust = number(&form.trust, settings::BadSetting::Trust)?;
    let url = form.url.trim();
    let settings = FeedSettings {
        name: form.name.trim().to_owned(),
        role: FeedRole::from_word(&form.role).ok_or_else(not_offered)?,
        origin,
        url: (!url.is_empty()).then(|| url.to_owned()),
        category: IndicatorCategory::from_word(&form.category).ok_or_else(not_offered)?,
        action: IndicatorAction::from_word(&form.action).ok_or_else(not_offered)?,
        urls: FeedUrls::from_word(&form.urls).ok_or_else(not_offered)?,
        format: text(&form.format),
        column: text(&form.column),
        trust: u8::try_from(trust).map_err(|_| settings::BadSetting::Trust.to_string())?,
        license: form.license.trim().to_owned(),
        interval_s: match origin {
            FeedOrigin::Upload => 0,
            FeedOrigin::Url | FeedOrigin::Taxii | FeedOrigin::Misp => {
                let bad = |_| settings::BadSetting::Interval.to_string();
                form.interval.trim().parse().map_err(bad)?
            }
        },
        allow_http: form.allow_http.is_some(),
        allow_private: form.allow_private.is_some(),
        change_limit: number(&form.change_limit, settings::BadSetting::ChangeLimit)?,
        credentials,
        ..kept
    };
    settings::check(&settings).map_err(|bad| bad.to_string())?;
    Ok(settings)
}

fn text(field: &str) -> Option<String> {
    Some(field.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn host(url: Option<&str>) -> Option<String> {
    let uri: ureq::http::Uri = url?.trim().parse().ok()?;
    uri.authority().map(|authority| authority.as_str().to_ascii_lowercase())
}

/// What a person can mend.
fn taken(error: StoreError) -> Result<String, StoreError> {
    match error {
        StoreError::Conflict { .. } => {
            Ok("Another feed has this name already: choose another.".to_owned())
        }
        StoreError::NotFound { .. }
        | StoreError::Busy
        | StoreError::Closed
        | StoreError::Full { .. }
        | StoreError::LastAdministrator
        | StoreError::Damaged { .. }
        | StoreError::Unavailable(_) => Err(error),
    }
}

/// The feed's page again with what is wrong, or the same for a program.
async fn unfit(
    state: &AppState,
    session: Session,
    headers: &HeaderMap,
    feed: FeedRow,
    form: FeedForm,
    problem: String,
) -> Result<Response, ApiError> {
    let error = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code::MALFORMED, &problem);
    if !accepts_html(headers) {
        return Err(error);
    }
    let page = show(state, session, feed, form, None, Some(problem)).await?;
    Ok((error.status, page).into_response())
}

/// Versions on the page; more are kept only so that they are known again.
const SHOWN: usize = 20;
const SHOWN_HITS: u32 = 10;
const SHOWN_REPORTS: u32 = 50;
/// Octets of an upload.
pub(crate) const UPLOAD_LIMIT: usize = 64 * 1024 * 1024;
