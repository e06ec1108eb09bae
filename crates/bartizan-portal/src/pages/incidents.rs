//! Incidents and one of them.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use bartizan_store::{AlertFilter, IncidentCursor, IncidentId, IncidentRow};
use serde::Deserialize;

use super::{PAGE, PAGE_AND_ONE, cursor, cursor_text, html, shell};
use crate::console::{AlertRow, IncidentPage, IncidentsPage, Pager};
use crate::error::ApiError;
use crate::session::Session;
use crate::state::AppState;

/// The list's address.
#[derive(Deserialize)]
pub(crate) struct ListQuery {
    /// `all`, or absent for those with unresolved alerts.
    show: Option<String>,
    #[serde(default)]
    after: String,
}

/// `GET /incidents`.
pub(crate) async fn list(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let all = query.show.as_deref() == Some("all");
    let after = cursor(&query.after).map(|(last_seen_at, id)| IncidentCursor { last_seen_at, id });
    let mut rows = state.store.incidents(session.scope, !all, after, PAGE_AND_ONE).await?;
    let next = (PAGE < rows.len()).then(|| rows.get(PAGE - 1).map(IncidentRow::cursor)).flatten();
    rows.truncate(PAGE);
    let address = |after: &str| {
        let show = if all { "all" } else { "" };
        format!("/incidents?show={show}&after={after}")
    };
    let pager = Pager {
        first: after.map(|_| address("")),
        next: next.map(|cursor| address(&cursor_text(cursor.last_seen_at, &cursor.id))),
    };
    let now = state.clock.now();
    html(&IncidentsPage { shell: shell(session, None), all, rows, pager, now })
}

/// `GET /incidents/{id}`.
pub(crate) async fn incident(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id: IncidentId = id.parse().map_err(|_| ApiError::not_found("incident"))?;
    let incident = state.store.incident(session.scope, id).await?;
    let filter = AlertFilter { incident: Some(id), ..AlertFilter::default() };
    let rows = state.store.alerts(session.scope, filter, None, ALERTS).await?;
    let now = state.clock.now();
    let rows = rows.into_iter().map(AlertRow::from).collect();
    html(&IncidentPage { shell: shell(session, None), incident, rows, now })
}

/// As many of an incident's alerts as a page shows.
const ALERTS: u32 = 200;
