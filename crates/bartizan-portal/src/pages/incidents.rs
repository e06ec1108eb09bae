//! Incidents and one of them.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_store::{AlertFilter, IncidentCursor, IncidentId, IncidentRow, Permission};
use serde::Deserialize;

use super::{PAGE, PAGE_AND_ONE, cursor, cursor_text, html, shell};
use crate::console::{AlertRow, IncidentPage, IncidentsPage, Pager, Shell};
use crate::error::ApiError;
use crate::offered;
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
    let mut rows = state.store.incidents(session.sight, !all, after, PAGE_AND_ONE).await?;
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

/// An incident's address.
#[derive(Deserialize)]
pub(crate) struct IncidentQuery {
    /// What the last action did, in a word.
    #[serde(default)]
    done: String,
    /// Why it did nothing, in a word.
    #[serde(default)]
    problem: String,
}

/// `GET /incidents/{id}`; one that was merged leads to the other.
pub(crate) async fn incident(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Query(query): Query<IncidentQuery>,
) -> Result<Response, ApiError> {
    let sight = session.sight;
    let id: IncidentId = id.parse().map_err(|_| ApiError::not_found("incident"))?;
    if let Some(into) = state.store.incident_merged_into(sight, id).await? {
        return Ok(Redirect::to(&format!("/incidents/{into}")).into_response());
    }
    let incident = state.store.incident(sight, id).await?;
    let filter = AlertFilter { incident: Some(id), ..AlertFilter::default() };
    let rows = state.store.alerts(sight, filter, None, ALERTS).await?;
    let devices = rows.iter().map(|row| row.device);
    let mine = offered::investigated(&state, &session, devices).await?;
    let here = if mine.is_empty() {
        session.permissions.without(Permission::AlertsInvestigation)
    } else {
        session.permissions
    };
    let is_whole = state.store.is_incident_within(session.investigation, id).await?;
    let row = |row: bartizan_store::AlertRow| {
        let may_change = mine.contains(&row.device);
        AlertRow { may_change, ..AlertRow::from(row) }
    };
    let mut others = state.store.incidents(sight, true, None, OTHERS).await?;
    others.retain(|other| other.id != id);
    let notice = match query.done.as_str() {
        "title" => Some("The title is changed.".to_owned()),
        "merged" => Some("The incidents are merged.".to_owned()),
        "split" => Some("These alerts are an incident of their own now.".to_owned()),
        _ => None,
    };
    let problem = match query.problem.as_str() {
        "title" => Some("A title has 1 to 300 characters on one line."),
        "into" => Some("Choose the incident to merge into."),
        "reason" => Some("Say why, in up to 300 characters on one line."),
        "large" => Some("An incident of more than 10,000 alerts cannot be merged."),
        "part" => {
            Some("Alerts of devices that you do not see belong to it: it is for others to change.")
        }
        "none" => Some("Tick the alerts that are to be an incident of their own."),
        "all" => Some("All alerts are ticked: leave one, or change the title instead."),
        _ => None,
    };
    html(&IncidentPage {
        changes: state.store.incident_changes(sight, id, CHANGES).await?,
        shell: Shell { here, ..shell(session, notice) },
        incident,
        others,
        is_whole,
        problem,
        rows: rows.into_iter().map(row).collect(),
        now: state.clock.now(),
    })
}

/// As many of an incident's alerts as a page shows.
const ALERTS: u32 = 200;
/// Open incidents that one can be merged into by choice.
const OTHERS: u32 = 100;
/// Of one incident, as many as anybody reads.
const CHANGES: u32 = 200;
