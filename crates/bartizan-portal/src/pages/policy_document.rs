//! A policy document: its settings, versions and roll-out, and the files made of it.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_contract::problem::code;
use bartizan_store::{GroupId, NewPolicyVersion};
use serde::Deserialize;

use super::policy_edit::Edited;
use super::{accepts_html, html, shell};
use crate::console::{DocumentPage, VersionPage};
use crate::error::ApiError;
use crate::policy::rollout::Percent;
use crate::policy::schema::Key;
use crate::policy::settings::{Settings, diff};
use crate::policy_files::{FileError, Kind, Wanted, address, config, merged};
use crate::session::Session;
use crate::state::AppState;
use crate::{policies, policy_files};

/// The document's address.
#[derive(Deserialize)]
pub(crate) struct DocumentQuery {
    before: Option<u64>,
    #[serde(default)]
    view: String,
    #[serde(default)]
    done: String,
}

/// For whom a document is.
struct Who {
    group: Option<GroupId>,
    href: String,
    name: String,
}

/// `GET /policy/{who}`.
pub(crate) async fn document(
    State(state): State<AppState>,
    session: Session,
    Path(who): Path<String>,
    Query(query): Query<DocumentQuery>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let who = find(&state, &session, &who).await?;
    let edited = Edited::blank(query.view == "json");
    let notice = match query.done.as_str() {
        "saved" => Some("Saved. Devices follow from their next check-in on.".to_owned()),
        _ => None,
    };
    let portal = address(&state, &headers, &uri);
    html(&page(&state, session, who, edited, notice, (query.before, portal)).await?)
}

/// `POST /policy/{who}`: shows what would change, or saves it.
pub(crate) async fn save(
    State(state): State<AppState>,
    session: Session,
    Path(who): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let who = find(&state, &session, &who).await?;
    let (number, before) = policies::latest(&state, session.scope, who.group).await?;
    let mut edited = Edited::read(pairs, number, &before);
    if let Some((settings, percent)) = edited.fits() {
        if !edited.is_review {
            let new = NewPolicyVersion {
                settings: settings.to_json(),
                note: edited.note().to_owned(),
                changed_by: session.email,
                percent: percent.get(),
            };
            let now = state.clock.now();
            state.store.add_policy_version(session.scope, who.group, new, now).await?;
            return Ok(Redirect::to(&format!("{}?done=saved", who.href)).into_response());
        }
        edited.review = Some(changes(&before, settings));
    } else if !accepts_html(&headers) {
        return Err(malformed(edited.told()));
    }
    let status = match edited.review {
        Some(_) => StatusCode::OK,
        None => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let portal = address(&state, &headers, &uri);
    let page = page(&state, session, who, edited, None, (None, portal)).await?;
    Ok((status, html(&page)?).into_response())
}

/// Another share of the devices.
#[derive(Deserialize)]
pub(crate) struct PercentForm {
    number: u64,
    percent: u8,
}

/// `POST /policy/{who}/percent`.
pub(crate) async fn set_percent(
    State(state): State<AppState>,
    session: Session,
    Path(who): Path<String>,
    Form(form): Form<PercentForm>,
) -> Result<Redirect, ApiError> {
    let who = find(&state, &session, &who).await?;
    let percent = Percent::new(form.percent)
        .ok_or_else(|| malformed("the percentage is a number from 0 to 100"))?;
    let (percent, now) = (percent.get(), state.clock.now());
    state.store.set_policy_percent(session.scope, who.group, form.number, percent, now).await?;
    Ok(Redirect::to(&format!("{}?done=saved", who.href)))
}

/// What a version is compared with.
#[derive(Deserialize)]
pub(crate) struct VersionQuery {
    against: Option<u64>,
}

/// `GET /policy/{who}/versions/{number}`.
pub(crate) async fn version(
    State(state): State<AppState>,
    session: Session,
    Path((who, number)): Path<(String, u64)>,
    Query(query): Query<VersionQuery>,
) -> Result<Response, ApiError> {
    let (store, scope) = (&state.store, session.scope);
    let who = find(&state, &session, &who).await?;
    let version = store.policy_version(scope, who.group, number).await?;
    let settings = policies::read(&version)?;
    let against = query.against.unwrap_or_else(|| number.saturating_sub(1));
    let before = match against {
        0 => Settings::default(),
        other => policies::read(&store.policy_version(scope, who.group, other).await?)?,
    };
    let others = store.policy_versions(scope, who.group, None, MAX_OTHERS).await?;
    html(&VersionPage {
        shell: shell(session, None),
        href: who.href,
        name: who.name,
        settings: lines(&settings),
        against,
        others: others.into_iter().map(|row| row.number).filter(|other| *other != number).collect(),
        changes: diff(&before, &settings).iter().map(ToString::to_string).collect(),
        version,
        now: state.clock.now(),
    })
}

/// Which file.
#[derive(Deserialize)]
pub(crate) struct FileQuery {
    file: String,
    #[serde(default)]
    app: String,
    /// Whether a profile is to be signed: `yes`, or absent.
    #[serde(default)]
    signed: String,
}

/// `GET /policy/{who}/file`.
pub(crate) async fn file(
    State(state): State<AppState>,
    session: Session,
    Path(who): Path<String>,
    Query(query): Query<FileQuery>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let who = find(&state, &session, &who).await?;
    let kind = Kind::of_word(&query.file).ok_or_else(|| ApiError::not_found("file"))?;
    let wanted = Wanted {
        kind,
        portal: address(&state, &headers, &uri),
        app: query.app.trim(),
        is_signed: query.signed == "yes" && state.profile_signer.is_some(),
    };
    let (scope, organization) = (session.scope, session.tenant_name);
    let file = policy_files::make(&state, scope, organization, who.group, wanted).await?;
    let disposition = HeaderValue::try_from(file.disposition());
    let disposition = disposition.map_err(|error| ApiError::internal(&error))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(file.media)),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, file.octets).into_response())
}

async fn page(
    state: &AppState,
    session: Session,
    who: Who,
    edited: Edited,
    notice: Option<String>,
    (before, portal): (Option<u64>, String),
) -> Result<DocumentPage, ApiError> {
    let mut versions =
        state.store.policy_versions(session.scope, who.group, before, VERSIONS + 1).await?;
    let shown = usize::try_from(VERSIONS).unwrap_or(usize::MAX);
    let has_more = shown < versions.len();
    versions.truncate(shown);
    let last = versions.last().filter(|_| has_more).map(|last| last.number);
    let settings = merged(state, session.scope, who.group).await?;
    let (number, latest) = policies::latest(state, session.scope, who.group).await?;
    let below = match who.group {
        Some(_) => Some(policies::latest(state, session.scope, None).await?.1),
        None => None,
    };
    let (form, problems) = edited.form((number, &latest), below.as_ref());
    Ok(DocumentPage {
        shell: shell(session, notice),
        next: last.map(|number| format!("{}?before={number}", who.href)),
        href: who.href,
        name: who.name,
        form,
        problems,
        versions,
        is_first_page: before.is_none(),
        rows: config(&settings, portal).rows(),
        can_sign: state.profile_signer.is_some(),
        now: state.clock.now(),
    })
}

async fn find(state: &AppState, session: &Session, who: &str) -> Result<Who, ApiError> {
    if who == "all" {
        return Ok(Who { group: None, href: "/policy/all".into(), name: "every device".into() });
    }
    let id: GroupId = who.parse().map_err(|_| ApiError::not_found("policy"))?;
    let group = state.store.device_group(session.sight, id).await?;
    Ok(Who { group: Some(id), href: format!("/policy/{id}"), name: group.name })
}

/// What would change, a line each.
fn changes(before: &Settings, after: &Settings) -> Vec<String> {
    let mut lines: Vec<_> = diff(before, after).iter().map(ToString::to_string).collect();
    let kept: Vec<&str> = after.others().map(|(name, _)| name).collect();
    let gone = before.others().filter(|(name, _)| !kept.contains(name));
    lines.extend(gone.map(|(name, _)| format!("{name}, which is not understood here, is removed")));
    lines
}

/// A key a line, for people.
pub(super) fn lines(settings: &Settings) -> String {
    let member = |(key, value): (Key, &crate::policy::value::Value)| {
        format!("  \"{}\": {}", key.setting().name, value.to_json())
    };
    let others = settings
        .others()
        .map(|(name, value)| format!("  {}: {value}", serde_json::Value::from(name)));
    let members: Vec<_> = settings.iter().map(member).chain(others).collect();
    if members.is_empty() { "{}".into() } else { format!("{{\n{}\n}}", members.join(",\n")) }
}

impl From<FileError> for ApiError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::NoApp | FileError::NoSigner | FileError::Profile(_) => {
                malformed(error.to_string())
            }
            FileError::Signer(error) => Self::internal(&error),
            FileError::Store(error) => error.into(),
        }
    }
}

fn malformed(detail: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code::MALFORMED, detail)
}

const VERSIONS: u32 = 20;
const MAX_OTHERS: u32 = 200;
