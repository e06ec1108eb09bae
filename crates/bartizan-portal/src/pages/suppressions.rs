//! Suppression rules: the list, one of them, made from an alert, ended.

use std::collections::BTreeMap;

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_model::{Detector, DeviceId, DomainName, UnixMillis};
use bartizan_store::{
    AlertKey, GroupId, StoreError, SuppressionId, SuppressionRow, SuppressionScope,
    SuppressionTerms,
};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::{PAGE, PAGE_AND_ONE, html, shell, suppression_device};
use crate::console::{self, Pager, SuppressionForm, SuppressionPage, SuppressionsPage};
use crate::error::ApiError;
use crate::session::Session;
use crate::state::AppState;

/// The list's address.
#[derive(Deserialize)]
pub(crate) struct ListQuery {
    /// `all`, or absent for those that hold.
    #[serde(default)]
    show: String,
    #[serde(default)]
    before: String,
    /// What the last action did, in a word.
    #[serde(default)]
    done: String,
}

/// `GET /suppressions`.
pub(crate) async fn list(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let (scope, now) = (session.scope, state.clock.now());
    let all = query.show == "all";
    let before = query.before.parse::<SuppressionId>().ok();
    let holding = (!all).then_some(now);
    let mut rules = state.store.suppressions(scope, holding, before, PAGE_AND_ONE).await?;
    let next = (PAGE < rules.len()).then(|| rules.get(PAGE - 1).map(|rule| rule.id)).flatten();
    rules.truncate(PAGE);
    let show = if all { "all" } else { "" };
    let address =
        |before: &str| console::address("/suppressions", &[("show", show), ("before", before)]);
    let notice = match query.done.as_str() {
        "saved" => Some("Saved.".to_owned()),
        "ended" => Some("The rule is ended.".to_owned()),
        _ => None,
    };
    html(&SuppressionsPage {
        groups: groups(&state, &session).await?,
        devices: names(&state, &session, &rules).await?,
        shell: shell(session, notice),
        all,
        rules,
        pager: Pager {
            first: before.map(|_| address("")),
            next: next.map(|id| address(&id.to_string())),
        },
        now,
    })
}

/// What a new rule begins with.
#[derive(Deserialize)]
pub(crate) struct NewQuery {
    #[serde(default)]
    alert: String,
    #[serde(default)]
    device: String,
}

/// `GET /suppressions/new`: like an alert, or for a device, where one is named.
pub(crate) async fn blank(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<NewQuery>,
) -> Result<Response, ApiError> {
    let mut form = SuppressionForm { scope: "all".into(), ..SuppressionForm::default() };
    if let Ok(key) = query.alert.parse::<AlertKey>() {
        let alert = state.store.alert(session.sight, key).await?.alert;
        form.detector = alert.detector.id().into();
        form.host = alert.host.map(|host| host.to_string()).unwrap_or_default();
        form.device_id = alert.device.to_string();
    } else if let Ok(device) = query.device.parse::<DeviceId>() {
        state.store.device(session.sight, device).await?;
        form.scope = "device".into();
        form.device_id = device.to_string();
    }
    show(&state, session, None, form, None, None).await
}

/// `GET /suppressions/{id}`.
pub(crate) async fn rule(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let rule = state.store.suppression(session.scope, parse(&id)?).await?;
    let form = SuppressionForm::of(&rule.terms);
    show(&state, session, Some(rule), form, None, None).await
}

/// `POST /suppressions`.
pub(crate) async fn create(
    State(state): State<AppState>,
    session: Session,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    write(&state, session, None, &pairs).await
}

/// `POST /suppressions/{id}`.
pub(crate) async fn save(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let rule = state.store.suppression(session.scope, parse(&id)?).await?;
    write(&state, session, Some(rule), &pairs).await
}

/// `POST /suppressions/{id}/end`.
pub(crate) async fn end(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Redirect, ApiError> {
    state.store.end_suppression(session.scope, parse(&id)?, state.clock.now()).await?;
    Ok(Redirect::to("/suppressions?done=ended"))
}

async fn write(
    state: &AppState,
    session: Session,
    stored: Option<SuppressionRow>,
    pairs: &[(String, String)],
) -> Result<Response, ApiError> {
    let (scope, now) = (session.scope, state.clock.now());
    let mut form = sent(pairs);
    let is_search = pairs.iter().any(|(name, value)| name == "do" && value == "find");
    if is_search {
        form.scope = "device".into();
    }
    if form.scope == "device" {
        let found = suppression_device::find(&state.store, session.sight, &form).await?;
        // What a rule is for already stays, though whoever changes it may not see that device.
        let is_kept = form.device.is_empty() && form.device_id.parse::<DeviceId>().is_ok();
        if let Some(row) = &found.device {
            form.device_id = row.id.to_string();
        }
        if let Some(problem) = found.problem.filter(|_| is_search || !is_kept) {
            return show(state, session, stored, form, Some(("device", problem)), None).await;
        }
        if is_search {
            return show(state, session, stored, form, None, None).await;
        }
    }
    let is_preview = pairs.iter().any(|(name, value)| name == "do" && value == "preview");
    let terms = match read(&form, now, is_preview) {
        Ok(terms) => terms,
        Err(problem) => return show(state, session, stored, form, Some(problem), None).await,
    };
    if is_preview {
        let since = UnixMillis(now.0.saturating_sub(PREVIEW_MS));
        let preview = state.store.preview_suppression(session.sight, terms, since).await?;
        return show(state, session, stored, form, None, Some(preview)).await;
    }
    let written = match &stored {
        None => state.store.create_suppression(scope, terms, session.member, now).await.map(drop),
        Some(rule) => state.store.change_suppression(scope, rule.id, terms, now).await,
    };
    match written {
        Ok(()) => Ok(Redirect::to("/suppressions?done=saved").into_response()),
        Err(StoreError::NotFound { what: "device" }) => {
            let problem = Some(("device", "There is no such device."));
            show(state, session, stored, form, problem, None).await
        }
        Err(StoreError::NotFound { what: "device group" }) => {
            let problem = Some(("scope", "There is no such group."));
            show(state, session, stored, form, problem, None).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn show(
    state: &AppState,
    session: Session,
    stored: Option<SuppressionRow>,
    form: SuppressionForm,
    problem: Option<(&'static str, &'static str)>,
    preview: Option<bartizan_store::SuppressionPreview>,
) -> Result<Response, ApiError> {
    let status = match problem {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    let found = suppression_device::find(&state.store, session.sight, &form).await?;
    let page = SuppressionPage {
        device: found.device,
        choices: found.choices,
        groups: groups(state, &session).await?,
        shell: shell(session, None),
        stored,
        form,
        problem,
        preview,
        now: state.clock.now(),
    };
    Ok((status, html(&page)?).into_response())
}

async fn groups(state: &AppState, session: &Session) -> Result<Vec<(GroupId, String)>, ApiError> {
    let groups = state.store.device_groups(session.sight).await?;
    Ok(groups.into_iter().map(|group| (group.id, group.name)).collect())
}

/// The names of the devices that rules are for, of those that are seen.
async fn names(
    state: &AppState,
    session: &Session,
    rules: &[SuppressionRow],
) -> Result<BTreeMap<DeviceId, String>, ApiError> {
    let mut names = BTreeMap::new();
    for rule in rules {
        let SuppressionScope::Device(device) = rule.terms.scope else { continue };
        match state.store.device(session.sight, device).await {
            Ok(row) => drop(names.insert(device, row.device_name)),
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(names)
}

fn sent(pairs: &[(String, String)]) -> SuppressionForm {
    let text = |wanted: &str| {
        let found = pairs.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    // What is chosen of several goes before what was chosen, or written.
    let picked = text("device-pick");
    SuppressionForm {
        scope: text("scope"),
        group: text("group"),
        device: if picked.is_empty() { text("device") } else { String::new() },
        device_id: if picked.is_empty() { text("device-id") } else { picked },
        person: text("person"),
        detector: text("detector"),
        host: text("host"),
        reason: text("reason"),
        until: text("until"),
        never: text("never"),
    }
}

/// Reads the form, or says what is wrong with which field. A preview needs neither reason nor end.
fn read(
    form: &SuppressionForm,
    now: UnixMillis,
    is_preview: bool,
) -> Result<SuppressionTerms, (&'static str, &'static str)> {
    let scope = match form.scope.as_str() {
        "all" => SuppressionScope::All,
        "group" => {
            let group =
                form.group.parse().map_err(|_| ("scope", "Choose a device group below."))?;
            SuppressionScope::Group(group)
        }
        "device" => {
            let problem = ("device", "Write a part of the device’s name, and find it.");
            SuppressionScope::Device(form.device_id.parse().map_err(|_| problem)?)
        }
        "person" if form.person.contains('@') => {
            SuppressionScope::Person(form.person.to_lowercase())
        }
        "person" => return Err(("scope", "Write the person’s e-mail address below.")),
        _ => return Err(("scope", "Choose whose alerts are meant.")),
    };
    let detector = match form.detector.as_str() {
        "" => None,
        id => Some(Detector::from_id(id).ok_or(("scope", "Choose a detector from the list."))?),
    };
    let host = read_host(&form.host)?;
    let is_plain = !form.reason.chars().any(char::is_control);
    let length = form.reason.chars().count();
    if !is_preview && (length == 0 || MAX_REASON < length || !is_plain) {
        return Err(("reason", "Say why, in up to 500 characters on one line."));
    }
    let expires_at = match (form.never.as_str(), form.until.as_str()) {
        (_, _) if is_preview => None,
        ("yes", "") => None,
        ("yes", _) => {
            return Err(("until", "Choose a last day, or that it never expires: not both."));
        }
        (_, "") => return Err(("until", "Choose a last day, or that it never expires.")),
        (_, day) => Some(end_of_day(day).ok_or(("until", "This is not a day."))?),
    };
    if expires_at.is_some_and(|end| end <= now) {
        return Err(("until", "This day is over."));
    }
    Ok(SuppressionTerms { scope, detector, host, reason: form.reason.clone(), expires_at })
}

fn read_host(text: &str) -> Result<String, (&'static str, &'static str)> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let (mark, name) = text.strip_prefix("*.").map_or(("", text), |name| ("*.", name));
    let name = DomainName::parse_host(name.as_bytes())
        .map_err(|_| ("host", "This is not the name of a host, nor *. and one."))?;
    Ok(format!("{mark}{name}"))
}

/// Returns when a day is over, by UTC.
fn end_of_day(text: &str) -> Option<UnixMillis> {
    let next = text.parse::<Date>().ok()?.tomorrow().ok()?;
    let begins = next.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
    u64::try_from(begins).ok()?.checked_sub(1).map(UnixMillis)
}

fn parse(id: &str) -> Result<SuppressionId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("suppression rule"))
}

/// Characters of a reason.
const MAX_REASON: usize = 500;
/// 30 days.
const PREVIEW_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_ends_with_its_last_day() {
        assert_eq!(end_of_day("1970-01-01"), Some(UnixMillis(86_399_999)));
        for text in ["", "1970-02-30", "yesterday", "-009999-01-01"] {
            assert_eq!(end_of_day(text), None, "{text}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_what_names_end_in() {
        for (text, host) in [
            ("", Some("")),
            ("WWW.A.test", Some("www.a.test")),
            ("*.a.test", Some("*.a.test")),
            ("*", None),
            ("*.", None),
            ("a.*.test", None),
            ("a b", None),
        ] {
            assert_eq!(read_host(text).ok().as_deref(), host, "{text}");
        }
    }
}
