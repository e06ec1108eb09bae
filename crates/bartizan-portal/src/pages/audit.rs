//! The audit log: looked through, and exported.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Query, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bartizan_model::{DeviceId, UnixMillis};
use bartizan_store::{
    ACTIONS, AuditFilter, AuditPlace, AuditRow, MemberId, Named, PersonId, Sight, TenantScope,
};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::{PAGE, PAGE_AND_ONE, html, shell};
use crate::audit;
use crate::console::{AuditEntryRow, AuditForm, AuditPage};
use crate::error::ApiError;
use crate::session::Session;
use crate::state::AppState;

/// The log's address.
#[derive(Deserialize)]
pub(crate) struct AuditQuery {
    #[serde(flatten)]
    form: AuditForm,
    #[serde(default)]
    before: String,
}

/// `GET /audit`.
pub(crate) async fn page(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<AuditQuery>,
) -> Result<Response, ApiError> {
    let scope = session.scope;
    let place = query.before.parse().map_or(AuditPlace::Newest, AuditPlace::Before);
    let mut rows = state.store.audit(scope, filter(&query.form), place, PAGE_AND_ONE).await?;
    let next = (PAGE < rows.len())
        .then(|| rows.get(PAGE - 1).map(|row| row.entry.seq.to_string()))
        .flatten();
    rows.truncate(PAGE);
    let (tree, head) = audit::head(&state, scope).await?;
    let base = if session.is_operator { "/operator" } else { "" };
    let names = names(&state, scope, session.sight, &rows, &query.form.actor).await?;
    let rows = rows.into_iter().map(|row| shown(row, &names, base)).collect();
    let mut people: Vec<_> = names
        .into_iter()
        .filter(|((kind, _), _)| kind == MEMBER)
        .map(|((_, id), name)| (id, name))
        .collect();
    people.sort_by(|(_, one), (_, other)| one.cmp(other));
    html(&AuditPage {
        shell: shell(session, None),
        people,
        form: query.form,
        is_first: place == AuditPlace::Newest,
        rows,
        next,
        size: tree.size,
        head: head.note,
        now: state.clock.now(),
    })
}

/// `GET /audit/export.jsonl`: what the filter shows, with the head and proofs.
pub(crate) async fn export(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<AuditQuery>,
) -> Result<Response, ApiError> {
    let mut response = audit::export(&state, session.scope, filter(&query.form)).await?;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
    headers.insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment; filename=\"audit.jsonl\""),
    );
    Ok(response)
}

/// What is not understood narrows nothing.
fn filter(form: &AuditForm) -> AuditFilter {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let named = |text: &str| {
        let (kind, id) = text.split_once(':').unwrap_or((text, ""));
        (!kind.is_empty()).then(|| Named { kind: kind.into(), id: id.into() })
    };
    AuditFilter {
        from: time(&form.from),
        until: time(&form.until),
        actor: named(&form.actor),
        action: text(&form.action),
        object: named(form.object.trim()),
    }
}

/// Reads what a browser's field of date and time says.
fn time(text: &str) -> Option<UnixMillis> {
    let time: DateTime = text.parse().ok()?;
    let at = time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
    u64::try_from(at).ok().map(UnixMillis)
}

/// The names of the devices, people and members on a page of the log, and of the member who is asked for, by kind and id.
async fn names(
    state: &AppState,
    scope: TenantScope,
    sight: Sight,
    rows: &[AuditRow],
    chosen: &str,
) -> Result<Names, ApiError> {
    let (mut devices, mut people) = (BTreeSet::new(), BTreeSet::new());
    let chosen = chosen.split_once(':').filter(|(kind, _)| *kind == MEMBER);
    let mut members: BTreeSet<MemberId> = chosen.iter().flat_map(|(_, id)| id.parse()).collect();
    for named in rows.iter().flat_map(|row| [&row.entry.actor, &row.entry.object]) {
        match named.kind.as_str() {
            "device" => devices.extend(named.id.parse::<DeviceId>()),
            "person" => people.extend(named.id.parse::<PersonId>()),
            MEMBER => members.extend(named.id.parse::<MemberId>()),
            _ => {}
        }
    }
    let devices = state.store.device_names(sight, devices).await?;
    let people = state.store.person_names(scope, people).await?;
    let members = state.store.member_addresses(scope, members).await?;
    let devices = devices.into_iter().map(|(id, name)| (("device".into(), id.to_string()), name));
    let people = people.into_iter().map(|(id, name)| (("person".into(), id.to_string()), name));
    let members = members.into_iter().map(|(id, name)| ((MEMBER.into(), id.to_string()), name));
    Ok(devices.chain(people).chain(members).collect())
}

type Names = BTreeMap<(String, String), String>;

fn shown(row: AuditRow, names: &Names, base: &str) -> AuditEntryRow {
    let entry = row.entry;
    let name = |of: &Named| names.get(&(of.kind.clone(), of.id.clone()));
    let actor = match entry.actor.kind.as_str() {
        MEMBER => name(&entry.actor).cloned().unwrap_or_else(|| "A person".into()),
        "portal" => "The portal".into(),
        "command-line" => "Command line".into(),
        "device" => name(&entry.actor).cloned().unwrap_or_else(|| "A device".into()),
        "directory" => "A directory".into(),
        "application" => "An application".into(),
        "operator" => "An operator".into(),
        _ => entry.actor.kind.clone(),
    };
    let known = ACTIONS.iter().find(|(word, _)| *word == entry.action);
    let id = &entry.object.id;
    let link = match entry.object.kind.as_str() {
        "alert" => format!("/alerts/{id}"),
        "device" => format!("/devices/{id}"),
        "feed" => format!("/feeds/{id}"),
        "indicator" if !id.is_empty() => format!("/indicators/{id}"),
        MEMBER if base.is_empty() => format!("/people/{id}"),
        MEMBER => format!("{base}/operators/{id}"),
        "tenant" if !base.is_empty() && !id.is_empty() => format!("{base}/tenants/{id}"),
        "person" => format!("/users/{id}"),
        "person-group" => format!("/user-groups/{id}"),
        "directory-token" => "/directory".into(),
        "role" => format!("/roles/{id}"),
        "application" => format!("/applications/{id}"),
        "policy" => "/policy".into(),
        "device-group" => format!("/groups/{id}"),
        "incident" => format!("/incidents/{id}"),
        "suppression" => format!("/suppressions/{id}"),
        "alert-job" => format!("/alerts/jobs/{id}"),
        _ => String::new(),
    };
    let object = match entry.object.kind.as_str() {
        MEMBER => name(&entry.object).cloned().unwrap_or_else(|| "a person".into()),
        kind => {
            let called = name(&entry.object).cloned().unwrap_or_else(|| short(id));
            format!("{} {called}", kind.replace('-', " "))
        }
    };
    let said = row.personal.iter().flatten().map(|personal| personal.body.clone());
    let detail = entry.detail.to_string();
    let detail = if detail == "{}" { String::new() } else { detail };
    AuditEntryRow {
        object_id: entry.object.id.clone(),
        seq: entry.seq,
        at: UnixMillis(entry.at_ms),
        actor,
        action: known.map_or_else(|| entry.action.clone(), |(_, label)| (*label).to_owned()),
        link,
        object,
        detail,
        personal: said.collect(),
        request: entry.request,
    }
}

/// An id as far as people compare it: its end, as its beginning is a time that many share. A word stays as it is.
fn short(id: &str) -> String {
    let is_random = id.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    let end = id.len().checked_sub(SHOWN).and_then(|start| id.get(start..));
    end.filter(|_| is_random && 2 * SHOWN < id.len())
        .map_or_else(|| id.to_owned(), |end| format!("…{end}"))
}

const SHOWN: usize = 8;
const MEMBER: &str = "member";
