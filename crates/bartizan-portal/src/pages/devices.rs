//! The devices and one device.

use std::collections::BTreeSet;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use bartizan_model::{DeviceId, ProtectionState, RiskLevel, UnixMillis};
use bartizan_store::{
    AlertFilter, Attestation, DeviceCursor, EnrollmentRule, Feature, GroupChoice, Likeness,
    OsSupport, Permission,
};
use serde::Deserialize;

use super::{PAGE, PAGE_AND_ONE, cursor, cursor_text, html, last_check_in, shell};
use crate::console::{
    self, DevicePage, DeviceState, DevicesPage, Duplicate, EngineCounters, EnrollHelp,
    INACTIVE_AFTER_MS, Shell, risk_lines,
};
use crate::error::ApiError;
use crate::offered;
use crate::policies;
use crate::policy::effective::Source;
use crate::policy::schema::Key;
use crate::policy::value::Value;
use crate::request;
use crate::session::Session;
use crate::state::AppState;
use crate::tallies;

/// The list's address.
#[derive(Deserialize)]
pub(crate) struct ListQuery {
    q: Option<String>,
    state: Option<String>,
    #[serde(default)]
    risk: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    app: String,
    #[serde(default)]
    tag: String,
    #[serde(default)]
    attestation: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    records: String,
    #[serde(default)]
    policy: String,
    #[serde(default)]
    after: String,
    #[serde(default)]
    done: String,
}

/// `GET /devices`.
pub(crate) async fn list(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let (scope, sight, now) = (session.scope, session.sight, state.clock.now());
    let filter = console::DeviceFilter {
        os: query.os.trim().into(),
        app: query.app.trim().into(),
        tag: query.tag.trim().into(),
        group: query.group,
        risk: RiskLevel::from_word(&query.risk),
        attestation: Attestation::from_word(&query.attestation),
        is_likely_twice: query.records == console::LIKELY_TWICE,
        policy: query.policy.trim().parse().ok(),
        ..console::DeviceFilter::from_query(query.q.as_deref(), query.state.as_deref())
    };
    let groups = state.store.device_group_names(scope).await?;
    let notice = (query.done == "forgotten").then(|| "The device is forgotten.".to_owned());
    let after = cursor(&query.after).map(|(last_seen_at, id)| DeviceCursor { last_seen_at, id });
    let mut rows =
        state.store.devices(sight, store_filter(&filter, now), after, PAGE_AND_ONE).await?;
    let next =
        (PAGE < rows.len()).then(|| rows.get(PAGE - 1).map(bartizan_store::DeviceRow::cursor));
    rows.truncate(PAGE);
    let rule = state.store.enrollment_rule(scope).await?;
    let listed = |row: bartizan_store::DeviceRow| {
        let support = rule.support(&row.os, &row.os_version, now);
        console::DeviceRow { support, ..console::DeviceRow::from(row) }
    };
    html(&DevicesPage {
        shell: shell(session, notice),
        groups: groups.into_iter().map(|(id, name)| (id.to_string(), name)).collect(),
        filter,
        after: if after.is_some() { query.after } else { String::new() },
        rows: rows.into_iter().map(listed).collect(),
        next: next.flatten().map(|cursor| cursor_text(cursor.last_seen_at, &cursor.id)),
        total: tallies::of(&state, sight).await?.devices,
        enroll: enroll_help(&state, &headers, &uri),
        now,
    })
}

/// `GET /devices/{id}`.
pub(crate) async fn device(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Query(query): Query<DeviceQuery>,
) -> Result<Response, ApiError> {
    let id: DeviceId = id.parse().map_err(|_| ApiError::not_found("device"))?;
    show(&state, session, id, &query, None).await
}

/// The device's address.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct DeviceQuery {
    before: String,
    done: String,
}

pub(super) async fn show(
    state: &AppState,
    session: Session,
    id: DeviceId,
    query: &DeviceQuery,
    problem: Option<String>,
) -> Result<Response, ApiError> {
    let (scope, sight) = (session.scope, session.sight);
    let notice = match query.done.as_str() {
        "saved" => Some("Saved.".to_owned()),
        "offboarded" => Some("The device is taken out.".to_owned()),
        "merged" => Some("Merged. This is the record that goes on.".to_owned()),
        _ => None,
    };
    let (effective, _) = policies::effective(state, sight, id).await?;
    let setting = |(key, value, source): (Key, &Value, &Source)| {
        (key.setting().name, value.to_string(), source.to_string())
    };
    let mut settings: Vec<_> = effective.iter().map(setting).collect();
    settings.sort_by_key(|(_, _, source)| source == "default");
    let before = cursor::<DeviceId>(&query.before).map(|(at, event)| (at, event.0));
    let mut events = state.store.device_events(sight, id, before, PAGE_AND_ONE).await?;
    let older = (PAGE < events.len()).then(|| events.get(PAGE - 1)).flatten();
    let older = older.map(|last| cursor_text(last.at, &DeviceId(last.id)));
    events.truncate(PAGE);
    let row = state.store.device(sight, id).await?;
    let rule = state.store.enrollment_rule(scope).await?;
    let has_timeline = state.store.is_given(scope, row.owner.clone(), Feature::Timeline).await?;
    if !has_timeline {
        events.clear();
    }
    let changes = state.store.risk_changes(sight, id, None, RISK_LINES_AND_ONE).await?;
    let duplicates = state.store.likely_duplicates(sight, id).await?;
    let replacement = state.store.replacement(scope, id).await?;
    let others = duplicates.iter().map(|(row, _)| row.id);
    let others = others.chain(replacement.later.as_ref().map(|(later, _)| *later));
    let here = offered::on_device(state, &session, id).await?;
    // Both records of a merge have to be the member's to act on.
    let theirs = if here.has(Permission::ActiveRemediation) {
        state.store.devices_within(session.remediation, others.collect()).await?
    } else {
        BTreeSet::new()
    };
    let like = |other: (bartizan_store::DeviceRow, Likeness)| {
        let may_merge = theirs.contains(&other.0.id);
        Duplicate::of((id, row.enrolled_at), other, may_merge)
    };
    let filter = AlertFilter { device: Some(id), ..AlertFilter::default() };
    let alerts = state.store.alerts(sight, filter, None, PAGE_AND_ONE).await?;
    let later = replacement.later.as_ref().filter(|(later, _)| theirs.contains(later));
    let handover = later.filter(|_| !alerts.is_empty());
    html(&DevicePage {
        handover: handover.map(|(later, _)| format!("/devices/{id}/merge?into={later}")),
        shell: Shell { here, ..shell(session, notice) },
        id,
        tags: state.store.device_tags(sight, id).await?,
        offboarded_at: row.offboarded_at,
        settings,
        events,
        day_checkins: if before.is_none() && has_timeline { row.day_checkins } else { 0 },
        remarks: remarks(&rule, &row, state.clock.now()),
        attestation: (row.attestation, row.attested_at),
        is_shared: row.is_shared,
        replacement,
        duplicates: duplicates.into_iter().map(like).collect(),
        risk_lines: risk_lines(&changes, RISK_LINES),
        has_timeline,
        older: older
            .filter(|_| has_timeline)
            .map(|cursor| format!("/devices/{id}?before={cursor}#timeline")),
        problem,
        os: format!("{} {}", row.os, row.os_version),
        enrolled_at: row.enrolled_at,
        last_seen: last_check_in(&row),
        mode: row.mode,
        protection: row.protection,
        policy_version: row.policy_version,
        newest_policy_version: row.newest_policy_version,
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
        owner: row.owner,
        value: row.value,
        group: row.group.map(|(group, name)| (format!("/groups/{group}"), name)),
    })
}

/// As many changes of risk as stand on the page itself.
const RISK_LINES: usize = 3;
const RISK_LINES_AND_ONE: u32 = 4;

/// What the rules of enrollment say of a device.
fn remarks(rule: &EnrollmentRule, row: &bartizan_store::DeviceRow, now: UnixMillis) -> Vec<String> {
    let oldest = rule.minimum_ios;
    let system = match rule.support(&row.os, &row.os_version, now) {
        OsSupport::Supported => None,
        OsSupport::Ending => Some(format!(
            "Its system will soon no longer be supported: it needs version {oldest} or later."
        )),
        OsSupport::Ended => Some(format!(
            "Its system is no longer supported: it needs version {oldest} or later. What is enrolled goes on protecting."
        )),
    };
    let sign_in =
        (row.offboarded_at.is_none() && rule.wants_sign_in(row.enrolled_at, now)).then(|| {
            "Its person has to prove again who they are, by enrolling again. Protection goes on."
                .to_owned()
        });
    system.into_iter().chain(sign_in).collect()
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
    bartizan_store::DeviceFilter {
        name_contains: filter.text.clone(),
        state,
        os: filter.os.clone(),
        os_version: String::new(),
        app_version: filter.app.clone(),
        tag: filter.tag.clone(),
        group: match filter.group.as_str() {
            "none" => Some(GroupChoice::Ungrouped),
            id => id.parse().ok().map(GroupChoice::In),
        },
        risk: filter.risk,
        attestation: filter.attestation,
        is_likely_twice: filter.is_likely_twice,
        policy_version: filter.policy,
    }
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
