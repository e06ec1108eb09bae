//! The tenant's own indicators: the list, one of them, and what is done to several at once.

use std::sync::LazyLock;

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_indicators::guard::{Guard, HeldBack};
use bartizan_indicators::pattern::{Pattern, PatternKind};
use bartizan_model::{IndicatorAction, UnixMillis};
use bartizan_store::{IndicatorCursor, IndicatorId, StoreError};
use serde::Deserialize;

use super::{PAGE, PAGE_AND_ONE, accepts_html, cursor, cursor_text, html, shell};
use crate::console::{
    self, IndicatorForm, IndicatorPage, IndicatorState, IndicatorsDeletePage, IndicatorsPage,
    StoredIndicator,
};
use crate::error::ApiError;
use crate::indicator_rule::{
    Field, FieldError, indicator as put_together, read_rule, read_spelling,
};
use crate::publish;
use crate::session::Session;
use crate::state::AppState;

/// The list's address.
#[derive(Deserialize)]
pub(crate) struct ListQuery {
    q: Option<String>,
    action: Option<String>,
    kind: Option<String>,
    state: Option<String>,
    #[serde(default)]
    after: String,
    /// What was done last, and to how many.
    done: Option<String>,
    n: Option<u64>,
}

/// `GET /indicators`.
pub(crate) async fn list(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let (scope, now) = (session.scope, state.clock.now());
    let filter = console::IndicatorFilter::from_query(
        query.q.as_deref(),
        query.action.as_deref(),
        query.kind.as_deref(),
        query.state.as_deref(),
    );
    let after = cursor(&query.after).map(|(updated_at, id)| IndicatorCursor { updated_at, id });
    let asked = store_filter(&filter, now);
    let mut rows = state.store.indicators(scope, asked, after, PAGE_AND_ONE).await?;
    let next =
        (PAGE < rows.len()).then(|| rows.get(PAGE - 1).map(bartizan_store::IndicatorRow::cursor));
    rows.truncate(PAGE);
    html(&IndicatorsPage {
        shell: shell(session, done(query.done.as_deref(), query.n.unwrap_or(1))),
        filter,
        after: if after.is_some() { query.after } else { String::new() },
        rows: rows.into_iter().map(listed).collect::<Result<_, _>>()?,
        next: next.flatten().map(|cursor| cursor_text(cursor.updated_at, &cursor.id)),
        total: state.store.indicator_count(scope).await?,
        now,
    })
}

/// The blank form's address.
#[derive(Deserialize)]
pub(crate) struct BlankQuery {
    /// To be filled in.
    #[serde(default)]
    value: String,
}

/// `GET /indicators/new`.
pub(crate) async fn blank(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<BlankQuery>,
) -> Result<Response, ApiError> {
    html(&IndicatorPage {
        shell: shell(session, None),
        stored: None,
        form: IndicatorForm::blank(&query.value),
        errors: Vec::new(),
        hint: None,
        now: state.clock.now(),
    })
}

/// `POST /indicators`.
pub(crate) async fn create(
    State(state): State<AppState>,
    session: Session,
    headers: HeaderMap,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let (scope, now) = (session.scope, state.clock.now());
    let form = IndicatorForm::sent(&pairs);
    let value = form.text(Field::Value);
    let read = match (read_spelling(value), read_rule(|field| form.text(field))) {
        (Ok(pattern), Ok(rule)) => Ok(put_together(&pattern, value, rule)),
        (pattern, rule) => {
            Err(pattern.err().into_iter().chain(rule.err().into_iter().flatten()).collect())
        }
    };
    let new = match read {
        Ok(new) => new,
        Err(errors) => return again(&headers, now, session, None, form, errors),
    };
    let pattern = new.pattern.clone();
    match state.store.create_indicator(scope, new, session.member, now).await {
        Ok(id) => {
            publish::indicators_changed(&state, scope);
            Ok(Redirect::to(&format!("/indicators/{id}?done=created")).into_response())
        }
        Err(StoreError::Conflict { .. }) => {
            let found = state.store.indicators_by_pattern(scope, vec![pattern]).await?;
            // It may have been deleted in between; then it can be created.
            let there = found.into_iter().flatten().next().ok_or_else(ApiError::unavailable)?;
            Ok(Redirect::to(&format!("/indicators/{}?done=exists", there.id)).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// An indicator's address.
#[derive(Deserialize)]
pub(crate) struct IndicatorQuery {
    /// What was done last.
    done: Option<String>,
}

/// `GET /indicators/{id}`.
pub(crate) async fn indicator(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Query(query): Query<IndicatorQuery>,
) -> Result<Response, ApiError> {
    let row = state.store.indicator(session.scope, parse(&id)?).await?;
    let hint = (query.done.as_deref() == Some("exists")).then(|| {
        "This value has an indicator already, and this is it. Nothing of what you entered was saved; change it here."
            .to_owned()
    });
    html(&IndicatorPage {
        shell: shell(session, done(query.done.as_deref(), 1)),
        form: IndicatorForm::stored(&row.rule),
        stored: Some(stored(row)?),
        errors: Vec::new(),
        hint,
        now: state.clock.now(),
    })
}

/// `POST /indicators/{id}`.
pub(crate) async fn save(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let (scope, now) = (session.scope, state.clock.now());
    let row = state.store.indicator(scope, parse(&id)?).await?;
    let form = IndicatorForm::sent(&pairs);
    let mut rule = match read_rule(|field| form.text(field)) {
        Ok(rule) => rule,
        Err(errors) => return again(&headers, now, session, Some(stored(row)?), form, errors),
    };
    // The input shows no fraction of a second; what it shows unchanged is unchanged.
    if rule.expires_at.map(|at| at.0 / 1_000) == row.rule.expires_at.map(|at| at.0 / 1_000) {
        rule.expires_at = row.rule.expires_at;
    }
    state.store.update_indicator(scope, row.id, rule, now).await?;
    publish::indicators_changed(&state, scope);
    Ok(Redirect::to(&format!("/indicators/{}?done=saved", row.id)).into_response())
}

/// `POST /indicators/bulk`: several at once, or one from its page. Deleting asks first.
pub(crate) async fn bulk(
    State(state): State<AppState>,
    session: Session,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let (scope, now) = (session.scope, state.clock.now());
    let text = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| &**value);
    let ids = pairs.iter().filter(|(key, _)| key == "id").map(|(_, id)| parse(id));
    let ids: Vec<IndicatorId> = ids.collect::<Result<_, _>>()?;
    if MAX_BULK < ids.len() {
        return Err(ApiError::malformed("too many indicators at once"));
    }
    let (word, count) = match text("do") {
        Some("expire") => ("expired", state.store.expire_indicators(scope, ids, now).await?),
        Some("delete") if ids.is_empty() => ("deleted", 0),
        Some("delete") if text("sure").is_none() => {
            let mut rows = Vec::with_capacity(ids.len());
            for id in ids {
                let row = state.store.indicator(scope, id).await?;
                rows.push((row.id.0, row.pattern));
            }
            return html(&IndicatorsDeletePage { shell: shell(session, None), rows });
        }
        Some("delete") => {
            ("deleted", state.store.delete_indicators(scope, ids, state.clock.now()).await?)
        }
        Some(_) | None => return Err(ApiError::malformed("neither expire nor delete")),
    };
    if 0 < count {
        publish::indicators_changed(&state, scope);
    }
    Ok(Redirect::to(&format!("/indicators?done={word}&n={count}")).into_response())
}

/// The form once more, with what is wrong.
fn again(
    headers: &HeaderMap,
    now: UnixMillis,
    session: Session,
    stored: Option<StoredIndicator>,
    form: IndicatorForm,
    errors: Vec<FieldError>,
) -> Result<Response, ApiError> {
    if !accepts_html(headers) {
        let told = errors.iter().map(|error| format!("{} {}", error.field.column(), error.reason));
        let detail = told.collect::<Vec<_>>().join("; ");
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, INDICATOR_UNFIT, detail));
    }
    let page = IndicatorPage { shell: shell(session, None), stored, form, errors, hint: None, now };
    let mut response = html(&page)?;
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(response)
}

/// Says what was done.
fn done(word: Option<&str>, count: u64) -> Option<String> {
    let many = console::count(count, "indicator");
    match word? {
        "created" => Some("Created.".into()),
        "saved" => Some("Saved.".into()),
        "expired" if count == 0 => Some("Nothing was selected that had not expired.".into()),
        "expired" => Some(format!("{many} expired.")),
        "deleted" if count == 0 => Some("Nothing was selected.".into()),
        "deleted" => Some(format!("{many} deleted.")),
        "imported" => Some(format!("{many} imported.")),
        _ => None,
    }
}

pub(super) fn parse(id: &str) -> Result<IndicatorId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("indicator"))
}

/// What the store holds was a pattern when it was written.
fn pattern(text: &str) -> Result<Pattern, ApiError> {
    text.parse().map_err(|_| ApiError::internal(&StoreError::Damaged { column: "pattern" }))
}

fn listed(row: bartizan_store::IndicatorRow) -> Result<console::IndicatorRow, ApiError> {
    Ok(console::IndicatorRow {
        id: row.id.0,
        kind: pattern(&row.pattern)?.kind(),
        pattern: row.pattern,
        action: row.rule.action,
        severity: row.rule.severity,
        title: row.rule.title,
        expires_at: row.rule.expires_at,
        hits: row.hits,
        updated_at: row.updated_at,
    })
}

fn stored(row: bartizan_store::IndicatorRow) -> Result<StoredIndicator, ApiError> {
    let pattern = pattern(&row.pattern)?;
    Ok(StoredIndicator {
        id: row.id.0,
        held_back: held_back(&pattern, row.rule.action),
        pattern,
        source_text: row.source_text,
        action: row.rule.action,
        severity: row.rule.severity,
        expires_at: row.rule.expires_at,
        hits: row.hits,
        created_by: row.created_by,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

/// Says what a tenant should know of a pattern that no feed may list.
fn held_back(pattern: &Pattern, action: IndicatorAction) -> Option<&'static str> {
    let stops = match action {
        IndicatorAction::Allow | IndicatorAction::Audit => false,
        IndicatorAction::Warn | IndicatorAction::Block => true,
    };
    match GUARD.holds_back(pattern).filter(|_| stops)? {
        HeldBack::PublicSuffix => Some(
            "This is a public suffix: many organizations have names under it, and all of them are stopped on your devices. No feed could do that; your own indicator does.",
        ),
        HeldBack::Popular | HeldBack::SharedHosting => Some(
            "This is a popular or shared site: people and apps may depend on it. No feed could stop it; your own indicator does.",
        ),
        HeldBack::Own => Some(
            "This is the portal's own name: devices that cannot reach it report nothing and learn nothing.",
        ),
        HeldBack::Reserved => Some(
            "These are special addresses, such as those of private networks: people may need them at home or at work.",
        ),
        HeldBack::TooWide => Some(
            "This is a very wide network: a great many services that have nothing to do with each other are in it.",
        ),
    }
}

fn store_filter(
    filter: &console::IndicatorFilter,
    now: UnixMillis,
) -> bartizan_store::IndicatorFilter {
    let state = filter.state.map(|state| match state {
        IndicatorState::Active => bartizan_store::IndicatorState::Active(now),
        IndicatorState::Expired => bartizan_store::IndicatorState::Expired(now),
    });
    bartizan_store::IndicatorFilter {
        text: filter.text.clone(),
        action: filter.action,
        kind: filter.kind.map(PatternKind::word),
        state,
    }
}

/// The public suffixes and popular names that come with the program.
static GUARD: LazyLock<Guard> = LazyLock::new(Guard::new);
const INDICATOR_UNFIT: &str = "indicator_unfit";
/// Some pages of the list.
const MAX_BULK: usize = 1_000;
