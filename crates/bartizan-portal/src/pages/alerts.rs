//! The alert queue and one alert.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_store::{AlertCursor, AlertKey, Permission};
use serde::Deserialize;

use super::{PAGE, PAGE_AND_ONE, alert_jobs, cursor, cursor_text, html, shell};
use crate::console::{self, AlertPage, AlertQueue, AlertsPage, BulkForm, Shell};
use crate::error::ApiError;
use crate::offered;
use crate::session::Session;
use crate::state::AppState;
use crate::tallies;

/// The queue's address.
#[derive(Deserialize)]
pub(crate) struct QueueQuery {
    severity: Option<String>,
    status: Option<String>,
    #[serde(default)]
    after: String,
}

/// `GET /alerts`: the page, or only what changes of it where `htmx` asks.
pub(crate) async fn queue(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<QueueQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let sight = session.sight;
    let filter =
        console::AlertFilter::from_query(query.severity.as_deref(), query.status.as_deref());
    let after = cursor(&query.after).map(|(last_seen_at, key)| AlertCursor { last_seen_at, key });
    let mut rows = state.store.alerts(sight, store_filter(filter), after, PAGE_AND_ONE).await?;
    let next =
        (PAGE < rows.len()).then(|| rows.get(PAGE - 1).map(bartizan_store::AlertRow::cursor));
    rows.truncate(PAGE);
    let now = state.clock.now();
    let mine = offered::investigated(&state, &session, rows.iter().map(|row| row.device)).await?;
    let row = |row: bartizan_store::AlertRow| {
        let may_change = mine.contains(&row.device);
        console::AlertRow { may_change, ..console::AlertRow::from(row) }
    };
    let queue = AlertQueue {
        unresolved: tallies::unresolved(&state, sight).await?,
        filter,
        after: if after.is_some() { query.after } else { String::new() },
        has_devices: 0 < tallies::of(&state, sight).await?.devices,
        rows: rows.into_iter().map(row).collect(),
        next: next.flatten().map(|cursor| cursor_text(cursor.last_seen_at, &cursor.key)),
        matching: tallies::matching(&state, sight, store_filter(filter)).await?,
        may_change: session.permissions.has(Permission::AlertsInvestigation),
        members: alert_jobs::members(&state, &session).await?,
        form: BulkForm::default(),
        now,
    };
    let mut response = if headers.contains_key(HX_REQUEST) {
        html(&queue)?
    } else {
        html(&AlertsPage { shell: shell(session, None), queue })?
    };
    // Back and forward must not show the fragment as the page.
    response.headers_mut().insert(header::VARY, header::HeaderValue::from_static("HX-Request"));
    Ok(response)
}

/// An alert's address.
#[derive(Deserialize)]
pub(crate) struct AlertQuery {
    /// Present after its status was changed.
    changed: Option<String>,
}

/// `GET /alerts/{id}`.
pub(crate) async fn alert(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Query(query): Query<AlertQuery>,
) -> Result<Response, ApiError> {
    let detail = state.store.alert(session.sight, parse(&id)?).await?;
    let (alert, device) = (detail.alert, detail.device);
    let notice = query.changed.map(|_| "Your change is stored.".to_owned());
    let changes = state.store.alert_changes(session.sight, alert.key, CHANGES).await?;
    let tags = state.store.alert_tags(session.sight, alert.key).await?;
    let suppressed_by = state.store.alert_suppressed_by(session.sight, alert.key).await?;
    let external = state.store.external_alert(session.sight, alert.key).await?;
    let here = offered::on_device(&state, &session, alert.device).await?;
    html(&AlertPage {
        shell: Shell { here, ..shell(session, notice) },
        id: alert.key.to_string(),
        detector: alert.detector,
        title: alert.title,
        severity: alert.severity,
        status: alert.status,
        changed_by: alert.status_by,
        changed_at: alert.status_at,
        host: alert.host.map(|host| host.to_string()),
        matched: alert.matched,
        source: alert.source,
        indicator: alert.indicator,
        action: alert.action,
        first_seen: alert.first_seen_at,
        last_seen: alert.last_seen_at,
        count: alert.count,
        indicator_epoch: alert.indicator_epoch,
        verdict: alert.verdict,
        assigned_to: alert.assigned_to,
        incident: alert.incident.map(|id| id.to_string()),
        suppressed_by,
        tags,
        changes,
        external,
        device: device.into(),
        now: state.clock.now(),
    })
}

/// `POST /alerts/{id}/status`: status, verdict (classification and determination with a slash between), assignee
/// (`me`, `nobody`, a member's id), tags and a comment; what is empty or absent stays, but for the status.
pub(crate) async fn set_status(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let key = parse(&id)?;
    // Tags to be taken away are ticked, one by one.
    let form = BulkForm { untag: String::new(), ..BulkForm::of(&pairs) };
    let mut update = alert_jobs::read(&form, &session).map_err(ApiError::malformed)?;
    if update.status.is_none() {
        return Err(ApiError::malformed("not a status"));
    }
    let untag = pairs.iter().filter(|(name, _)| name == "untag").map(|(_, tag)| tag.clone());
    update.untag = untag.collect();
    let (store, now) = (&state.store, state.clock.now());
    if store.update_alerts(session.sight, vec![key], update, session.member, now).await? == 0 {
        return Err(ApiError::not_found("alert"));
    }
    state.news.publish(session.scope.tenant_id());
    Ok(Redirect::to(&format!("/alerts/{key}?changed=status")).into_response())
}

fn parse(id: &str) -> Result<AlertKey, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("alert"))
}

pub(super) fn store_filter(filter: console::AlertFilter) -> bartizan_store::AlertFilter {
    let status = match filter.status {
        console::StatusFilter::Any => bartizan_store::StatusFilter::Any,
        console::StatusFilter::Unresolved => bartizan_store::StatusFilter::Unresolved,
        console::StatusFilter::Only(status) => bartizan_store::StatusFilter::Only(status),
    };
    bartizan_store::AlertFilter {
        severity: filter.severity,
        status,
        ..bartizan_store::AlertFilter::default()
    }
}

/// Of one alert, as many as anybody reads.
const CHANGES: u32 = 200;
const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");
