//! Indicators as a CSV file: out, and in with a look at what changes.

use axum::body::{Body, Bytes};
use axum::extract::multipart::{Multipart, MultipartRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_contract::problem::code;
use bartizan_store::{IndicatorId, StoreError};
use futures_util::stream::unfold;

use super::{accepts_html, html, shell};
use crate::console::{self, IndicatorImportPage, IndicatorPreviewPage};
use crate::error::ApiError;
use crate::indicator_import::{Diff, DiffError, MAX_FILE, UploadedFile, diff};
use crate::indicator_rule::action_word;
use crate::session::Session;
use crate::state::AppState;
use crate::{indicator_csv, publish};

/// `GET /indicators/export.csv`: all of them, in the order in which they were created.
pub(crate) async fn export(
    State(state): State<AppState>,
    session: Session,
) -> Result<Response, ApiError> {
    let scope = session.scope;
    let first = state.store.indicators_after(scope, IndicatorId(0), EXPORT_PAGE).await?;
    let rest = unfold(Some((indicator_csv::header().into_bytes(), first)), move |at| {
        let state = state.clone();
        async move {
            let (mut octets, rows) = at?;
            octets.extend(indicator_csv::write(&rows));
            let next = match rows.last() {
                None => None,
                Some(last) => {
                    match state.store.indicators_after(scope, last.id, EXPORT_PAGE).await {
                        Ok(rows) => Some((Vec::new(), rows)),
                        Err(error) => {
                            // The file ends early, and whoever loads it is told so.
                            return Some((Err(error), None));
                        }
                    }
                }
            };
            Some((Ok::<_, StoreError>(Bytes::from(octets)), next))
        }
    });
    let mut response = Body::from_stream(rest).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment; filename=\"indicators.csv\""),
    );
    Ok(response)
}

/// `GET /indicators/import`.
pub(crate) async fn import(session: Session) -> Result<Response, ApiError> {
    page(session, None)
}

/// `POST /indicators/import`: keeps the file, and leads to what it would change.
pub(crate) async fn upload(
    State(state): State<AppState>,
    session: Session,
    headers: HeaderMap,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, ApiError> {
    let mut form = form.map_err(|_| ApiError::malformed("a form with a file is expected here"))?;
    let file = loop {
        let field = match form.next_field().await {
            Ok(Some(field)) => field,
            Ok(None) => return Err(ApiError::malformed("the form has no file")),
            Err(error) => return refused(&headers, session, error.status()),
        };
        if field.name() != Some("file") {
            continue;
        }
        let name = field.file_name().unwrap_or_default().to_owned();
        match field.bytes().await {
            Ok(octets) if octets.len() <= MAX_FILE => break UploadedFile { name, octets },
            Ok(_) => return refused(&headers, session, StatusCode::PAYLOAD_TOO_LARGE),
            Err(error) => return refused(&headers, session, error.status()),
        }
    };
    let kept = state.uploads.keep(session.scope, session.member, file, state.clock.now());
    let id = kept.map_err(|error| ApiError::internal(&error))?;
    Ok(Redirect::to(&format!("/indicators/import/{id}")).into_response())
}

/// `GET /indicators/import/{upload}`.
pub(crate) async fn preview(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let file = find(&state, &session, &id)?;
    let diff = match diff(&state.store, session.scope, file.octets.clone()).await {
        Ok(diff) => diff,
        Err(DiffError::Sheet(error)) => return page(session, Some(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    html(&shown(diff, session, id, file.name.clone()))
}

/// `POST /indicators/import/{upload}`: applies what the file changes by now.
pub(crate) async fn apply(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (scope, now) = (session.scope, state.clock.now());
    let file = find(&state, &session, &id)?;
    let diff = diff(&state.store, scope, file.octets.clone()).await?;
    let changed = diff.changed.into_iter().map(|changed| changed.indicator);
    let rows: Vec<_> = diff.new.into_iter().chain(changed).collect();
    let done = match state.store.import_indicators(scope, rows, session.member, now).await {
        Ok(done) => done.created + done.changed,
        Err(error @ StoreError::Full { .. }) => return page(session, Some(sentence(&error))),
        Err(error) => return Err(error.into()),
    };
    state.uploads.forget(&id, now);
    if 0 < done {
        publish::indicators_changed(&state, scope);
    }
    Ok(Redirect::to(&format!("/indicators?done=imported&n={done}")).into_response())
}

fn find(
    state: &AppState,
    session: &Session,
    id: &str,
) -> Result<std::sync::Arc<UploadedFile>, ApiError> {
    let found = state.uploads.find(session.scope, session.member, id, state.clock.now());
    found.ok_or_else(|| ApiError::not_found("upload"))
}

fn page(session: Session, problem: Option<String>) -> Result<Response, ApiError> {
    let is_refused = problem.is_some();
    let shell = shell(session, None);
    let mut page = html(&IndicatorImportPage { shell, problem, max_mib: MAX_FILE / 1024 / 1024 })?;
    if is_refused {
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(page)
}

/// A file that did not arrive, or is too large.
fn refused(
    headers: &HeaderMap,
    session: Session,
    status: StatusCode,
) -> Result<Response, ApiError> {
    let error = if status == StatusCode::PAYLOAD_TOO_LARGE {
        ApiError::new(status, code::TOO_LARGE, "the file is too large")
    } else {
        ApiError::malformed("the file did not arrive whole")
    };
    if !accepts_html(headers) {
        return Err(error);
    }
    let mut page = page(session, Some(sentence(&error.detail)))?;
    *page.status_mut() = error.status;
    Ok(page)
}

/// Begins with a capital letter, ends with a full stop.
fn sentence(text: &impl std::fmt::Display) -> String {
    let text = text.to_string();
    let mut rest = text.chars();
    let first: String = rest.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", rest.as_str())
}

fn shown(diff: Diff, session: Session, upload: String, file_name: String) -> IndicatorPreviewPage {
    let new_rows = diff.new.iter().take(SHOWN);
    let changed_rows = diff.changed.iter().take(SHOWN);
    IndicatorPreviewPage {
        shell: shell(session, None),
        upload,
        file_name,
        new: diff.new.len(),
        changed: diff.changed.len(),
        unchanged: diff.unchanged,
        wrong: diff.errors.len(),
        ignored: diff.ignored,
        new_rows: new_rows
            .map(|row| (row.pattern.clone(), action_word(row.rule.action), row.rule.title.clone()))
            .collect(),
        changed_rows: changed_rows
            .map(|row| console::ChangedRow {
                id: row.before.id.0,
                pattern: row.before.pattern.clone(),
                fields: row
                    .fields()
                    .map(|(field, before, after)| (field.column(), before, after))
                    .collect(),
            })
            .collect(),
        errors: diff.errors.into_iter().take(SHOWN).collect(),
    }
}

impl From<DiffError> for ApiError {
    fn from(error: DiffError) -> Self {
        match error {
            DiffError::Sheet(error) => Self::malformed(error.to_string()),
            DiffError::Store(error) => error.into(),
            DiffError::Thread(error) => Self::internal(&error),
        }
    }
}

/// What a form with the largest file takes.
pub(crate) const BODY: usize = MAX_FILE + 16 * 1024;
/// Rows of each kind in a preview: enough to see what kind of change it is.
const SHOWN: usize = 100;
const EXPORT_PAGE: u32 = 5_000;
