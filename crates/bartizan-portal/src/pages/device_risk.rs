//! How the risk of a device changed, and why.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use bartizan_model::DeviceId;
use serde::Deserialize;

use super::{PAGE, PAGE_AND_ONE, cursor, cursor_text, html, shell};
use crate::console::{Pager, RiskHistoryPage, risk_lines};
use crate::error::ApiError;
use crate::session::Session;
use crate::state::AppState;

/// The history's address.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct RiskQuery {
    before: String,
}

/// `GET /devices/{id}/risk`.
pub(crate) async fn page(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Query(query): Query<RiskQuery>,
) -> Result<Response, ApiError> {
    let id: DeviceId = id.parse().map_err(|_| ApiError::not_found("device"))?;
    let row = state.store.device(session.sight, id).await?;
    let before = cursor::<DeviceId>(&query.before).map(|(_, change)| change.0);
    // One more than is shown says what the last one shown changed from.
    let changes = state.store.risk_changes(session.sight, id, before, PAGE_AND_ONE).await?;
    let next = (PAGE < changes.len()).then(|| changes.get(PAGE - 1)).flatten();
    let next = next.map(|last| cursor_text(last.at, &DeviceId(last.id)));
    let address = format!("/devices/{id}/risk");
    html(&RiskHistoryPage {
        shell: shell(session, None),
        id,
        name: row.device_name,
        lines: risk_lines(&changes, PAGE),
        is_first_page: before.is_none(),
        pager: Pager {
            first: before.map(|_| address.clone()),
            next: next.map(|next| format!("{address}?before={next}")),
        },
        now: state.clock.now(),
    })
}
