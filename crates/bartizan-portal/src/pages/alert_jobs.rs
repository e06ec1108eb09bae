//! Changes of many alerts: asked for by the list's form, watched, canceled, and their results as a file.

use axum::Form;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_model::AlertStatus;
use bartizan_store::{
    AlertChoice, AlertFilter, AlertJobId, AlertJobItem, AlertKey, AlertUpdate, IncidentId,
    MAX_ALERT_TAGS, MAX_CHOSEN, MAX_TAG_LENGTH, Permission, StoreError, Verdict,
};
use futures_util::stream::unfold;
use serde::Deserialize;

use super::{PAGE, PAGE_AND_ONE, alerts, html, shell};
use crate::console::{self, AlertBulkPage, AlertJobPage, AlertJobsPage, BulkForm, Pager, Shell};
use crate::error::ApiError;
use crate::session::Session;
use crate::state::AppState;

/// `POST /alerts/bulk`: asks once more where it is about a whole filter or something is missing, and makes a job of
/// the rest.
pub(crate) async fn bulk(
    State(state): State<AppState>,
    session: Session,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let sight = session.sight;
    let sent = Sent::of(&pairs);
    let alerts = match &sent.choice {
        AlertChoice::Filter(filter) => state.store.alerts_matching(sight, *filter).await?,
        AlertChoice::Keys(keys) => u64::try_from(keys.len()).unwrap_or(u64::MAX),
    };
    let update = read(&sent.form, &session);
    let problem = match (&update, alerts) {
        (_, 0) => Some(NOTHING_CHOSEN),
        (Err(problem), _) => Some(*problem),
        (Ok(_), _) => None,
    };
    let asks = matches!(sent.choice, AlertChoice::Filter(_)) && !sent.is_sure;
    let update = match update {
        Ok(update) if problem.is_none() && !asks => update,
        Ok(_) | Err(_) => {
            // Whoever only now comes to the form has made no mistake yet.
            let shown = if asks && alerts != 0 { None } else { problem };
            let page = AlertBulkPage {
                alerts,
                chosen: sent.chosen(),
                back: sent.back(),
                form: sent.form,
                members: members(&state, &session).await?,
                problem: shown,
                shell: shell(session, None),
            };
            let status =
                if shown.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
            return Ok((status, html(&page)?).into_response());
        }
    };
    let (choice, now) = (sent.choice, state.clock.now());
    let id = state.store.create_alert_job(sight, choice, update, session.member, now).await?;
    state.bulk.notify_one();
    Ok(Redirect::to(&format!("/alerts/jobs/{id}")).into_response())
}

/// Where a page of jobs ended.
#[derive(Deserialize)]
pub(crate) struct JobsQuery {
    #[serde(default)]
    before: String,
}

/// `GET /alerts/jobs`.
pub(crate) async fn list(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<JobsQuery>,
) -> Result<Response, ApiError> {
    let before = query.before.parse::<AlertJobId>().ok();
    let mut jobs = state.store.alert_jobs(session.sight, before, PAGE_AND_ONE).await?;
    let next = (PAGE < jobs.len()).then(|| jobs.get(PAGE - 1).map(|job| job.id)).flatten();
    jobs.truncate(PAGE);
    let pager = Pager {
        first: before.map(|_| "/alerts/jobs".to_owned()),
        next: next.map(|id| format!("/alerts/jobs?before={id}")),
    };
    html(&AlertJobsPage { shell: shell(session, None), jobs, pager, now: state.clock.now() })
}

/// `GET /alerts/jobs/{id}`.
pub(crate) async fn job(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let job = state.store.alert_job(session.sight, parse(&id)?).await?;
    let assignee = match job.update.assigned_to.flatten() {
        None => None,
        Some(member) => match state.store.member(session.scope, member).await {
            Ok(member) => Some(member.name),
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        },
    };
    // Somebody with a limited role changes no others' jobs.
    let is_own = job.created_by == session.member || session.investigation.is_whole();
    let here = if is_own {
        session.permissions
    } else {
        session.permissions.without(Permission::AlertsInvestigation)
    };
    let shell = Shell { here, ..shell(session, None) };
    html(&AlertJobPage { shell, job, assignee, now: state.clock.now() })
}

/// `POST /alerts/jobs/{id}/cancel`.
pub(crate) async fn cancel(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Redirect, ApiError> {
    let id = parse(&id)?;
    state.store.cancel_alert_job(session.sight, id, state.clock.now()).await?;
    Ok(Redirect::to(&format!("/alerts/jobs/{id}")))
}

/// `GET /alerts/jobs/{id}/results.csv`: what became of each alert so far.
pub(crate) async fn results(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (sight, id) = (session.sight, parse(&id)?);
    state.store.alert_job(sight, id).await?;
    let first = state.store.alert_job_items(sight, id, AlertKey(0), RESULTS_PAGE).await?;
    let head = b"alert_id,outcome,reason\r\n".to_vec();
    let rest = unfold(Some((head, first)), move |at| {
        let state = state.clone();
        async move {
            let (mut octets, items) = at?;
            octets.extend(items.iter().flat_map(|item| line(item).into_bytes()));
            let next = match items.last() {
                None => None,
                Some(last) => {
                    match state.store.alert_job_items(sight, id, last.key, RESULTS_PAGE).await {
                        Ok(items) => Some((Vec::new(), items)),
                        // The file ends early, and whoever loads it is told so.
                        Err(error) => return Some((Err(error), None)),
                    }
                }
            };
            Some((Ok::<_, StoreError>(Bytes::from(octets)), next))
        }
    });
    let mut response = Body::from_stream(rest).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment; filename=\"alert-changes.csv\""),
    );
    Ok(response)
}

/// Reasons are ours, without commas or quotes.
fn line(item: &AlertJobItem) -> String {
    format!("{},{},{}\r\n", item.key, item.outcome.word(), item.reason)
}

/// Returns the members that alerts can be given to, whoever asks first.
pub(super) async fn members(
    state: &AppState,
    session: &Session,
) -> Result<Vec<(String, String)>, ApiError> {
    let mut members: Vec<_> = state.store.members(session.scope).await?;
    members.retain(|member| member.disabled_at.is_none());
    members.sort_by_key(|member| (member.id != session.member, member.name.clone()));
    let named = members.into_iter().map(|member| {
        let is_me = if member.id == session.member { " (me)" } else { "" };
        (member.id.to_string(), format!("{}{is_me}", member.name))
    });
    Ok(named.collect())
}

/// What the form sent.
struct Sent {
    choice: AlertChoice,
    severity: String,
    status: String,
    incident: String,
    form: BulkForm,
    is_sure: bool,
}

impl Sent {
    fn of(pairs: &[(String, String)]) -> Self {
        let text = |wanted: &str| {
            let found = pairs.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let (severity, status) = (text("of-severity"), text("of-status"));
        let incident = text("of-incident");
        let choice = if text("do") == "all" {
            let of_queue = console::AlertFilter::from_query(Some(&severity), Some(&status));
            AlertChoice::Filter(match incident.parse::<IncidentId>() {
                Ok(incident) => AlertFilter { incident: Some(incident), ..AlertFilter::default() },
                Err(_) => alerts::store_filter(of_queue),
            })
        } else {
            let ids = pairs.iter().filter(|(name, _)| name == "id");
            let keys = ids.filter_map(|(_, value)| value.parse::<AlertKey>().ok());
            AlertChoice::Keys(keys.take(MAX_CHOSEN).collect())
        };
        let form = BulkForm::of(pairs);
        Self { choice, severity, status, incident, form, is_sure: text("sure") == "yes" }
    }

    /// What the form carries along.
    fn chosen(&self) -> Vec<(&'static str, String)> {
        match &self.choice {
            AlertChoice::Filter(_) => vec![
                ("do", "all".to_owned()),
                ("of-severity", self.severity.clone()),
                ("of-status", self.status.clone()),
                ("of-incident", self.incident.clone()),
            ],
            AlertChoice::Keys(keys) => keys.iter().map(|key| ("id", key.to_string())).collect(),
        }
    }

    fn back(&self) -> String {
        if let Ok(incident) = self.incident.parse::<IncidentId>() {
            return format!("/incidents/{incident}");
        }
        console::AlertFilter::from_query(Some(&self.severity), Some(&self.status)).address("")
    }
}

/// Reads what is to change, or says what is wrong.
pub(super) fn read(form: &BulkForm, session: &Session) -> Result<AlertUpdate, &'static str> {
    let status = match form.status.as_str() {
        "" => None,
        word => Some(AlertStatus::from_word(word).ok_or("Choose a status from the list.")?),
    };
    let verdict = match form.verdict.as_str() {
        "" => None,
        text => {
            let (classification, determination) =
                text.split_once('/').ok_or("Choose a verdict from the list.")?;
            Some(Verdict {
                classification: classification.to_owned(),
                determination: determination.to_owned(),
            })
        }
    };
    let assigned_to = match form.assign.as_str() {
        "" => None,
        "nobody" => Some(None),
        "me" => Some(Some(session.member)),
        id => Some(Some(id.parse().map_err(|_| "Choose an assignee from the list.")?)),
    };
    if COMMENT < form.comment.chars().count() {
        return Err("A comment has at most 4,000 characters.");
    }
    let comment = (!form.comment.is_empty()).then(|| form.comment.clone());
    let (tag, untag) = (tags(&form.tag)?, tags(&form.untag)?);
    let update = AlertUpdate { status, verdict, assigned_to, comment, tag, untag };
    if update == AlertUpdate::default() {
        return Err(
            "Choose what is to change: a status, an assignee, a verdict, tags or a comment.",
        );
    }
    Ok(update)
}

/// Reads tags with commas between.
pub(super) fn tags(text: &str) -> Result<Vec<String>, &'static str> {
    let mut tags: Vec<String> =
        text.split(',').map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()).collect();
    tags.sort_unstable();
    tags.dedup();
    let fits =
        |tag: &String| tag.chars().count() <= MAX_TAG_LENGTH && *tag == console::visible(tag);
    if MAX_ALERT_TAGS < tags.len() || !tags.iter().all(fits) {
        return Err("At most 20 tags, each of up to 100 characters on one line.");
    }
    Ok(tags)
}

fn parse(id: &str) -> Result<AlertJobId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("change of alerts"))
}

const NOTHING_CHOSEN: &str = "No alert is selected. Tick some in the list, or take all that match.";
/// Characters of a comment.
const COMMENT: usize = 4_000;
const RESULTS_PAGE: u32 = 1_000;
