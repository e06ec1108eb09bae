//! Applications: programs that call the API, their permissions, and what they prove themselves with.

use std::time::Duration;

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_model::UnixMillis;
use bartizan_store::{
    ApplicationId, CredentialKind, NewApplication, NewCredential, Permission, Permissions,
    StoreError,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use super::feeds::DoneQuery;
use super::people::{all, one};
use super::{html, shell};
use crate::console::{
    ApplicationForm, ApplicationPage, ApplicationsPage, FormProblems, NewApplicationPage, day,
    visible,
};
use crate::error::ApiError;
use crate::files::hexadecimal;
use crate::session::Session;
use crate::state::AppState;
use crate::v1::access::ClientId;
use crate::v1::public_key;
use crate::{later, random};

type Pairs = Vec<(String, String)>;

/// `GET /applications`.
pub(crate) async fn list(
    State(state): State<AppState>,
    session: Session,
) -> Result<Response, ApiError> {
    let rows = state.store.applications(session.scope).await?;
    html(&ApplicationsPage { shell: shell(session, None), rows, now: state.clock.now() })
}

/// `GET /applications/new`.
pub(crate) async fn blank(
    State(state): State<AppState>,
    session: Session,
) -> Result<Response, ApiError> {
    let expires = day(&later(state.clock.now(), USUAL_LIFE));
    let form = ApplicationForm { expires, ..ApplicationForm::default() };
    html(&NewApplicationPage { shell: shell(session, None), form })
}

/// `POST /applications`.
pub(crate) async fn create(
    State(state): State<AppState>,
    session: Session,
    Form(pairs): Form<Pairs>,
) -> Result<Response, ApiError> {
    let now = state.clock.now();
    let (mut form, wanted) = read(&pairs, now);
    if let Some(wanted) = wanted {
        let made = state.store.create_application(session.scope, wanted, session.member, now).await;
        match made {
            Ok(id) => {
                let address = format!("/applications/{id}?done=created");
                return Ok(Redirect::to(&address).into_response());
            }
            Err(error) => form.problems.name = Some(told(error)?),
        }
    }
    let page = html(&NewApplicationPage { shell: shell(session, None), form })?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// `GET /applications/{id}`.
pub(crate) async fn application(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let notice = match query.done.as_str() {
        "created" => Some("Created. Give it a secret or a key, so that it can call."),
        "saved" => Some("Saved. It counts at its next call."),
        "disabled" => Some("Disabled."),
        "enabled" => Some("It may call again."),
        "key" => Some("The key is taken."),
        "removed" => {
            Some("Removed. Tokens that were given for it are good for ten minutes at most.")
        }
        _ => None,
    };
    let page = page(&state, session, parse(&id)?, notice).await?;
    html(&page)
}

/// `POST /applications/{id}`.
pub(crate) async fn save(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Pairs>,
) -> Result<Response, ApiError> {
    let (id, now) = (parse(&id)?, state.clock.now());
    let (mut form, wanted) = read(&pairs, now);
    if let Some(wanted) = wanted {
        match state.store.change_application(session.scope, id, wanted, now).await {
            Ok(()) => return Ok(done(id, "saved")),
            Err(error) => form.problems.name = Some(told(error)?),
        }
    }
    again(ApplicationPage { form, ..page(&state, session, id, None).await? })
}

/// `POST /applications/{id}/disabled`.
pub(crate) async fn set_disabled(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Pairs>,
) -> Result<Response, ApiError> {
    let (id, is_disabled) = (parse(&id)?, one(&pairs, "disabled") == "yes");
    let now = state.clock.now();
    state.store.set_application_disabled(session.scope, id, is_disabled, now).await?;
    Ok(done(id, if is_disabled { "disabled" } else { "enabled" }))
}

/// `POST /applications/{id}/secrets`: shows the secret, once.
pub(crate) async fn add_secret(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Pairs>,
) -> Result<Response, ApiError> {
    let (id, now) = (parse(&id)?, state.clock.now());
    let days = match one(&pairs, "days") {
        "90" => 90,
        "365" => 365,
        _ => 180,
    };
    let octets = random::<32>().map_err(|error| ApiError::internal(&error))?;
    let secret = format!("{SECRET_PREFIX}{}", URL_SAFE_NO_PAD.encode(octets));
    let hint: String = secret.chars().take(SECRET_PREFIX.len() + 4).collect();
    let new = NewCredential {
        kind: CredentialKind::Secret,
        value: Sha256::digest(&secret).to_vec(),
        hint: format!("{hint}…"),
        expires_at: later(now, Duration::from_secs(days * A_DAY_S)),
    };
    let given = state.store.add_credential(session.scope, id, new, now).await;
    let page = page(&state, session, id, None).await?;
    match given {
        Ok(_) => html(&ApplicationPage { secret: Some(secret), ..page }),
        Err(StoreError::Full { .. }) => {
            let problem = "It has two secrets already: remove one first.".to_owned();
            again(ApplicationPage { secret_problem: Some(problem), ..page })
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /applications/{id}/keys`.
pub(crate) async fn add_key(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Pairs>,
) -> Result<Response, ApiError> {
    let (id, now) = (parse(&id)?, state.clock.now());
    let pem = one(&pairs, "pem").to_owned();
    let problem = match public_key::read_pem(&pem) {
        Err(error) => format!("Not taken: {error}."),
        Ok((spki, kind)) => {
            let digest = Sha256::digest(&spki);
            let name = hexadecimal(digest.get(..8).unwrap_or_default());
            let new = NewCredential {
                kind: CredentialKind::Key,
                value: spki,
                hint: format!("{kind} {name}"),
                expires_at: state.store.application(session.scope, id).await?.0.expires_at,
            };
            match state.store.add_credential(session.scope, id, new, now).await {
                Ok(_) => return Ok(done(id, "key")),
                Err(StoreError::Full { .. }) => {
                    "It has two keys already: remove one first.".to_owned()
                }
                Err(error) => return Err(error.into()),
            }
        }
    };
    let page = page(&state, session, id, None).await?;
    again(ApplicationPage { pem, key_problem: Some(problem), ..page })
}

/// `POST /applications/{id}/credentials/{credential}/remove`.
pub(crate) async fn remove_credential(
    State(state): State<AppState>,
    session: Session,
    Path((id, credential)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    let credential = credential.parse().map_err(|_| ApiError::not_found("credential"))?;
    state.store.remove_credential(session.scope, id, credential, state.clock.now()).await?;
    Ok(done(id, "removed"))
}

async fn page(
    state: &AppState,
    session: Session,
    id: ApplicationId,
    notice: Option<&str>,
) -> Result<ApplicationPage, ApiError> {
    let (row, credentials) = state.store.application(session.scope, id).await?;
    let client_id = ClientId { tenant: session.scope.tenant_id(), application: id };
    Ok(ApplicationPage {
        form: ApplicationForm {
            name: row.name.clone(),
            permissions: row.permissions,
            expires: day(&row.expires_at),
            problems: FormProblems::default(),
        },
        shell: shell(session, notice.map(str::to_owned)),
        client_id: client_id.to_string(),
        row,
        credentials,
        secret: None,
        pem: String::new(),
        secret_problem: None,
        key_problem: None,
        now: state.clock.now(),
    })
}

/// Reads the form; nothing is wanted where something is wrong with it.
fn read(pairs: &[(String, String)], now: UnixMillis) -> (ApplicationForm, Option<NewApplication>) {
    let ticked: Vec<_> =
        all(pairs, "permission").iter().filter_map(|word| Permission::from_word(word)).collect();
    let mut form = ApplicationForm {
        name: one(pairs, "name").trim().to_owned(),
        permissions: Permissions::of(&ticked),
        expires: one(pairs, "expires").trim().to_owned(),
        problems: FormProblems::default(),
    };
    let is_name =
        (1..=MAX_NAME).contains(&form.name.chars().count()) && visible(&form.name) == form.name;
    if !is_name {
        form.problems.name = Some("A name has 1 to 100 visible characters on one line.");
    }
    if ticked.is_empty() {
        form.problems.permissions = Some("Tick at least one permission.");
    }
    let expires_at = date(&form.expires).filter(|at| now < *at);
    if expires_at.is_none() {
        form.problems.expires = Some("Choose a day that lies ahead.");
    }
    let is_good = form.problems == FormProblems::default();
    let wanted = expires_at.filter(|_| is_good).map(|expires_at| NewApplication {
        name: form.name.clone(),
        permissions: form.permissions,
        expires_at,
    });
    (form, wanted)
}

fn date(text: &str) -> Option<UnixMillis> {
    let date: Date = text.parse().ok()?;
    let at = date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
    u64::try_from(at).ok().map(UnixMillis)
}

fn told(error: StoreError) -> Result<&'static str, ApiError> {
    match error {
        StoreError::Conflict { .. } => Ok("Another application has this name."),
        StoreError::Full { .. } => Ok("There are as many applications as there may be."),
        StoreError::NotFound { .. }
        | StoreError::LastAdministrator
        | StoreError::Busy
        | StoreError::Closed
        | StoreError::Damaged { .. }
        | StoreError::Unavailable(_) => Err(error.into()),
    }
}

fn again(page: ApplicationPage) -> Result<Response, ApiError> {
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response())
}

fn done(id: ApplicationId, word: &str) -> Response {
    Redirect::to(&format!("/applications/{id}?done={word}")).into_response()
}

fn parse(id: &str) -> Result<ApplicationId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("application"))
}

const MAX_NAME: usize = 100;
const A_DAY_S: u64 = 24 * 60 * 60;
const USUAL_LIFE: Duration = Duration::from_secs(365 * A_DAY_S);
/// So that scanners of source code know one when they see it.
const SECRET_PREFIX: &str = "bzs_";
