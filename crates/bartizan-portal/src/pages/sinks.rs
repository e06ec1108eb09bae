//! Sinks: the list, a new one, one of them, and what is done to it.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_store::{SinkAction, SinkId, SinkSettings, StoreError};
use serde::Deserialize;

use super::feeds::DoneQuery;
use super::sink_form::{Read, read};
use super::{PAGE, PAGE_AND_ONE, html, shell};
use crate::console::{NewSinkPage, Pager, SinkForm, SinkPage, SinksPage};
use crate::error::ApiError;
use crate::out::deliver::{Sender, Sink};
use crate::out::exchange::Exchange;
use crate::out::net::Trust;
use crate::out::seal;
use crate::out::settings::Channel;
use crate::out::{signature, told};
use crate::session::Session;
use crate::state::AppState;
use crate::{later, random};

/// `GET /sinks`.
pub(crate) async fn list(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let notice = (query.done == "removed").then(|| "The sink is removed.".to_owned());
    let sinks = state.store.sinks(session.scope).await?;
    html(&SinksPage { shell: shell(session, notice), sinks, now: state.clock.now() })
}

/// Which kind of sink is to be added.
#[derive(Deserialize)]
pub(crate) struct KindQuery {
    #[serde(default)]
    kind: String,
}

/// `GET /sinks/new`.
pub(crate) async fn blank(
    State(state): State<AppState>,
    session: Session,
    headers: HeaderMap,
    Query(query): Query<KindQuery>,
) -> Result<Response, ApiError> {
    let url = console_url(&state, &headers);
    let channel = Channel::from_word(&query.kind);
    html(&NewSinkPage {
        device_groups: state.store.device_groups(session.sight).await?,
        shell: shell(session, None),
        chosen: channel.map(|channel| (channel, SinkForm::blank(channel, &url))),
    })
}

/// Where this console is, as the browser has it.
fn console_url(state: &AppState, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let scheme = if state.secure_cookies { "https" } else { "http" };
    host.map_or_else(String::new, |host| format!("{scheme}://{host}"))
}

/// What a form says, in the order of its fields.
type Pairs = Vec<(String, String)>;

/// `POST /sinks`.
pub(crate) async fn create(
    State(state): State<AppState>,
    session: Session,
    Form(pairs): Form<Pairs>,
) -> Result<Response, ApiError> {
    let mut form = SinkForm { pairs, ..SinkForm::default() };
    let Some(channel) = Channel::from_word(form.value("channel")) else {
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "malformed", "no such kind"));
    };
    let scope = session.scope;
    let groups = state.store.device_groups(session.sight).await?;
    let now = state.clock.now();
    if let Some(mut wanted) = read(&mut form, channel, &groups, None) {
        let secret = random::<32>().map_err(|error| ApiError::internal(&error))?;
        if channel.is_signed() {
            wanted.secrets.rotate(secret.to_vec(), now);
        }
        match state.store.create_sink(scope, stored(&state, &session, channel, &wanted)?, now).await
        {
            Ok(id) if channel.is_signed() => {
                return Shown { secret: Some(secret), ..Shown::default() }
                    .page(&state, session, id)
                    .await;
            }
            Ok(id) => return Ok(Redirect::to(&format!("/sinks/{id}?done=added")).into_response()),
            Err(error) => form.problems.push(("name", taken(error)?)),
        }
    }
    let page = NewSinkPage {
        device_groups: groups,
        shell: shell(session, None),
        chosen: Some((channel, form)),
    };
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response())
}

fn stored(
    state: &AppState,
    session: &Session,
    channel: Channel,
    read: &Read,
) -> Result<SinkSettings, ApiError> {
    let sealed = seal::seal(&state.sealer, session.scope.tenant_id(), &read.secrets);
    Ok(SinkSettings {
        name: read.name.clone(),
        kind: channel.word().into(),
        settings: serde_json::to_string(&read.settings)
            .map_err(|error| ApiError::internal(&error))?,
        secrets: Some(sealed.map_err(|error| ApiError::internal(&*error))?),
    })
}

/// Explains what the store refused, if it did.
fn taken(error: StoreError) -> Result<String, ApiError> {
    match error {
        StoreError::Conflict { .. } => Ok("Another sink has this name.".into()),
        StoreError::Full { limit, .. } => Ok(format!("There are {limit} sinks already.")),
        StoreError::NotFound { .. }
        | StoreError::LastAdministrator
        | StoreError::Busy
        | StoreError::Closed
        | StoreError::Damaged { .. }
        | StoreError::Unavailable(_) => Err(error.into()),
    }
}

/// Where in the dead letters, and what the last action did.
#[derive(Deserialize)]
pub(crate) struct SinkQuery {
    #[serde(default)]
    done: String,
    before: Option<u64>,
}

/// `GET /sinks/{id}`.
pub(crate) async fn sink(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Query(query): Query<SinkQuery>,
) -> Result<Response, ApiError> {
    let notice = match query.done.as_str() {
        "added" => Some("The sink is added. Send a test to see whether it is taken."),
        "saved" => Some("Saved. What waits goes there at once."),
        "paused" => Some("Paused. What happens meanwhile waits, for seven days."),
        "resumed" => Some("Resumed."),
        "again" => Some("They are sent again within seconds."),
        "discarded" => Some("Discarded."),
        _ => None,
    };
    let notice = notice.map(str::to_owned);
    let shown = Shown { notice, before: query.before, ..Shown::default() };
    shown.page(&state, session, parse(&id)?).await
}

/// What one page shows beside the sink.
#[derive(Default)]
struct Shown {
    notice: Option<String>,
    before: Option<u64>,
    form: Option<SinkForm>,
    tested: Option<(Option<String>, Exchange)>,
    secret: Option<[u8; 32]>,
}

impl Shown {
    async fn page(
        self,
        state: &AppState,
        session: Session,
        id: SinkId,
    ) -> Result<Response, ApiError> {
        let (scope, now) = (session.scope, state.clock.now());
        let row = state.store.sink(scope, id).await?;
        // What does not open shows its state all the same, and can be set anew.
        let opened = Sink::open(&state.sealer, scope.tenant_id(), &row);
        let channel = Channel::from_word(&row.kind).ok_or_else(|| ApiError::not_found("sink"))?;
        let (settings, secrets) =
            opened.map(|sink| (sink.settings, sink.secrets)).unwrap_or_default();
        let mut letters = state.store.dead_letters(scope, id, self.before, PAGE_AND_ONE).await?;
        let is_more = PAGE < letters.len();
        letters.truncate(PAGE);
        let last = letters.last().map(|letter| letter.event.seq).filter(|_| is_more);
        let status =
            if self.form.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        let page = SinkPage {
            device_groups: state.store.device_groups(session.sight).await?,
            shell: shell(session, self.notice),
            channel,
            form: self.form.unwrap_or_else(|| SinkForm::of(&row.name, &settings, &secrets)),
            pager: Pager {
                first: self.before.map(|_| format!("/sinks/{id}")),
                next: last.map(|last| format!("/sinks/{id}?before={last}")),
            },
            letters,
            tested: self.tested,
            secret: self.secret.map(|secret| signature::shown(&secret)),
            old_secret_until: secrets
                .signing
                .iter()
                .find_map(|one| one.until_ms)
                .map(bartizan_model::UnixMillis)
                .filter(|until| now < *until),
            sink: row,
            now,
        };
        let mut response = (status, html(&page)?).into_response();
        // A secret is not to be found by going back.
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, axum::http::HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

/// `POST /sinks/{id}`.
pub(crate) async fn save(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Pairs>,
) -> Result<Response, ApiError> {
    let (scope, id) = (session.scope, parse(&id)?);
    let row = state.store.sink(scope, id).await?;
    let channel = Channel::from_word(&row.kind).ok_or_else(|| ApiError::not_found("sink"))?;
    let opened = Sink::open(&state.sealer, scope.tenant_id(), &row).ok();
    let old = opened.as_ref().map(|sink| (&sink.settings, &sink.secrets));
    let groups = state.store.device_groups(session.sight).await?;
    let kept = old.map(|(settings, secrets)| SinkForm::of("", settings, secrets).kept);
    let mut form = SinkForm { pairs, kept: kept.unwrap_or_default(), ..SinkForm::default() };
    if let Some(wanted) = read(&mut form, channel, &groups, old) {
        let (wanted, now) = (stored(&state, &session, channel, &wanted)?, state.clock.now());
        match state.store.change_sink(scope, id, wanted, SinkAction::Change, now).await {
            Ok(()) => return Ok(done(id, "saved")),
            Err(error) => form.problems.push(("name", taken(error)?)),
        }
    }
    Shown { form: Some(form), ..Shown::default() }.page(&state, session, id).await
}

/// Whether it is to wait.
#[derive(Deserialize)]
pub(crate) struct PausedForm {
    paused: String,
}

/// `POST /sinks/{id}/paused`.
pub(crate) async fn set_paused(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(form): Form<PausedForm>,
) -> Result<Response, ApiError> {
    let (id, paused) = (parse(&id)?, form.paused == "yes");
    state.store.pause_sink(session.scope, id, paused, state.clock.now()).await?;
    Ok(done(id, if paused { "paused" } else { "resumed" }))
}

/// `POST /sinks/{id}/test`: sends what is marked as a test, and shows what was said.
pub(crate) async fn test(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (scope, id, now) = (session.scope, parse(&id)?, state.clock.now());
    state.store.note_sink(scope, id, SinkAction::Test, now).await?;
    let row = state.store.sink(scope, id).await?;
    let mut exchange = Exchange::kept();
    let opened = Sink::open(&state.sealer, scope.tenant_id(), &row);
    let opened = opened.map(|sink| sink.within(&state.reach));
    let ready = opened.and_then(|sink| Ok((Trust::of(&sink.settings, &sink.secrets)?, sink)));
    let outcome = match ready {
        Ok((trust, sink)) => {
            let url = &sink.settings.console_url;
            let test = told::test(scope.tenant_id(), &session.tenant_name, url, now);
            let sent = Sender::new(&sink, &trust).send(&[test], now, &mut exchange).await;
            sent.map_err(|trouble| trouble.to_string())
        }
        Err(why) => Err(why),
    };
    let tested = Some((outcome.err(), exchange));
    Shown { tested, ..Shown::default() }.page(&state, session, id).await
}

/// `POST /sinks/{id}/rotate`: shows the new secret, once.
pub(crate) async fn rotate(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (scope, id, now) = (session.scope, parse(&id)?, state.clock.now());
    let row = state.store.sink(scope, id).await?;
    let channel = Channel::from_word(&row.kind).filter(|channel| channel.is_signed());
    let channel = channel.ok_or_else(|| ApiError::not_found("signing secret"))?;
    let opened = Sink::open(&state.sealer, scope.tenant_id(), &row);
    let Sink { settings, mut secrets, .. } =
        opened.map_err(|why| ApiError::new(StatusCode::CONFLICT, "conflict", why))?;
    let secret = random::<32>().map_err(|error| ApiError::internal(&error))?;
    secrets.rotate(secret.to_vec(), later(now, BOTH_SIGN));
    let wanted = stored(&state, &session, channel, &Read { name: row.name, settings, secrets })?;
    state.store.change_sink(scope, id, wanted, SinkAction::Rotate, now).await?;
    Shown { secret: Some(secret), ..Shown::default() }.page(&state, session, id).await
}

/// Which dead letter; all without one.
#[derive(Deserialize)]
pub(crate) struct LetterForm {
    seq: Option<u64>,
}

/// `POST /sinks/{id}/replay`.
pub(crate) async fn replay(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(form): Form<LetterForm>,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    state.store.replay(session.scope, id, form.seq, state.clock.now()).await?;
    Ok(done(id, "again"))
}

/// `POST /sinks/{id}/discard`.
pub(crate) async fn discard(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(form): Form<LetterForm>,
) -> Result<Response, ApiError> {
    let id = parse(&id)?;
    state.store.discard(session.scope, id, form.seq, state.clock.now()).await?;
    Ok(done(id, "discarded"))
}

/// `POST /sinks/{id}/remove`.
pub(crate) async fn remove(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Redirect, ApiError> {
    state.store.delete_sink(session.scope, parse(&id)?, state.clock.now()).await?;
    Ok(Redirect::to("/sinks?done=removed"))
}

fn done(id: SinkId, word: &str) -> Response {
    Redirect::to(&format!("/sinks/{id}?done={word}")).into_response()
}

fn parse(id: &str) -> Result<SinkId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("sink"))
}

/// How long the secret before signs as well.
const BOTH_SIGN: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);
