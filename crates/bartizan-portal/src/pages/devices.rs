//! The devices and one device.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use bartizan_model::{DeviceId, ProtectionState, UnixMillis};
use bartizan_store::{AlertFilter, DeviceCursor};
use serde::Deserialize;

use super::{PAGE, PAGE_AND_ONE, cursor, cursor_text, html, last_check_in, shell};
use crate::console::{
    self, DevicePage, DeviceState, DevicesPage, EngineCounters, EnrollHelp, INACTIVE_AFTER_MS,
};
use crate::error::ApiError;
use crate::request;
use crate::session::Session;
use crate::state::AppState;

/// The list's address.
#[derive(Deserialize)]
pub(crate) struct ListQuery {
    q: Option<String>,
    state: Option<String>,
    #[serde(default)]
    after: String,
}

/// `GET /devices`.
pub(crate) async fn list(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let (scope, now) = (session.scope, state.clock.now());
    let filter = console::DeviceFilter::from_query(query.q.as_deref(), query.state.as_deref());
    let after = cursor(&query.after).map(|(last_seen_at, id)| DeviceCursor { last_seen_at, id });
    let mut rows =
        state.store.devices(scope, store_filter(&filter, now), after, PAGE_AND_ONE).await?;
    let next =
        (PAGE < rows.len()).then(|| rows.get(PAGE - 1).map(bartizan_store::DeviceRow::cursor));
    rows.truncate(PAGE);
    html(&DevicesPage {
        shell: shell(session, None),
        filter,
        after: if after.is_some() { query.after } else { String::new() },
        rows: rows.into_iter().map(console::DeviceRow::from).collect(),
        next: next.flatten().map(|cursor| cursor_text(cursor.last_seen_at, &cursor.id)),
        total: state.store.device_counts(scope, now).await?.total,
        enroll: enroll_help(&state, &headers, &uri),
        now,
    })
}

/// `GET /devices/{id}`.
pub(crate) async fn device(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let scope = session.scope;
    let id: DeviceId = id.parse().map_err(|_| ApiError::not_found("device"))?;
    let row = state.store.device(scope, id).await?;
    let filter = AlertFilter { device: Some(id), ..AlertFilter::default() };
    let alerts = state.store.alerts(scope, filter, None, PAGE_AND_ONE).await?;
    html(&DevicePage {
        shell: shell(session, None),
        id,
        os: format!("{} {}", row.os, row.os_version),
        enrolled_at: row.enrolled_at,
        last_seen: last_check_in(&row),
        mode: row.mode,
        protection: row.protection,
        policy_version: row.policy_version,
        newest_policy_version: state.store.policy(scope).await?.version,
        indicator_epoch: row.indicator_epoch,
        newest_indicator_epoch: state
            .store
            .newest_indicator_file(scope)
            .await?
            .map(|file| file.epoch),
        counters: row.protection.map(|_| EngineCounters {
            queries: row.counters.queries,
            blocked: row.counters.blocked,
            dropped: row.counters.dropped,
            alerts_lost: row.counters.alerts_lost,
        }),
        unresolved: row.unresolved,
        alerts: alerts.into_iter().take(PAGE).map(console::AlertRow::from).collect(),
        now: state.clock.now(),
        name: row.device_name,
        model: row.model,
        app_version: row.app_version,
    })
}

fn store_filter(filter: &console::DeviceFilter, now: UnixMillis) -> bartizan_store::DeviceFilter {
    use bartizan_store::DeviceState as Stored;
    let state = filter.state.map(|state| match state {
        DeviceState::On => Stored::Said(ProtectionState::On),
        DeviceState::Degraded => Stored::Said(ProtectionState::Degraded),
        DeviceState::Off => Stored::Said(ProtectionState::Off),
        DeviceState::Inactive => {
            Stored::SilentSince(UnixMillis(now.0.saturating_sub(INACTIVE_AFTER_MS)))
        }
        DeviceState::NeverCheckedIn => Stored::NeverCheckedIn,
    });
    bartizan_store::DeviceFilter { name_contains: filter.text.clone(), state }
}

/// The two commands, with the address that this very request came to.
fn enroll_help(state: &AppState, headers: &HeaderMap, uri: &Uri) -> EnrollHelp {
    let scheme = if state.secure_cookies { "https" } else { "http" };
    let host = request::host(headers, uri).unwrap_or("portal.example");
    EnrollHelp {
        token_command: "bartizan admin enrollment-token --data DIR > token".to_owned(),
        device_command: format!("bartizan agent run --portal {scheme}://{host} --token-file token"),
    }
}
