//! What people change about an incident: its title, and which alerts belong to it.

use axum::Form;
use axum::extract::{Path, State};
use axum::response::Redirect;
use bartizan_store::{AlertKey, IncidentEdit, IncidentId, StoreError};

use crate::error::ApiError;
use crate::session::Session;
use crate::state::AppState;

/// `POST /incidents/{id}/title`.
pub(crate) async fn title(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Redirect, ApiError> {
    let id = existing(&state, &session, &id).await?;
    let Some(title) = line(&pairs, "title").filter(|title| !title.is_empty()) else {
        return Ok(problem(id, "title"));
    };
    let edit = edit(&state, &session, String::new());
    match state.store.set_incident_title(session.sight, id, title, edit).await {
        Ok(()) => Ok(Redirect::to(&format!("/incidents/{id}?done=title"))),
        Err(StoreError::Conflict { .. }) => Ok(problem(id, "part")),
        Err(error) => Err(error.into()),
    }
}

/// `POST /incidents/{id}/merge`: into another, which is shown afterwards.
pub(crate) async fn merge(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Redirect, ApiError> {
    let id = existing(&state, &session, &id).await?;
    let into = line(&pairs, "into").and_then(|text| text.parse::<IncidentId>().ok());
    let Some(into) = into.filter(|into| *into != id) else { return Ok(problem(id, "into")) };
    let Some(reason) = line(&pairs, "reason").filter(|reason| !reason.is_empty()) else {
        return Ok(problem(id, "reason"));
    };
    let edit = edit(&state, &session, reason);
    match state.store.merge_incidents(session.sight, id, into, edit).await {
        Ok(()) => {
            state.news.publish(session.scope.tenant_id());
            Ok(Redirect::to(&format!("/incidents/{into}?done=merged")))
        }
        Err(StoreError::Full { .. }) => Ok(problem(id, "large")),
        Err(StoreError::Conflict { .. }) => Ok(problem(id, "part")),
        Err(StoreError::NotFound { .. }) => Ok(problem(id, "into")),
        Err(error) => Err(error.into()),
    }
}

/// `POST /incidents/{id}/split`: makes an incident of the alerts that are ticked.
pub(crate) async fn split(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Redirect, ApiError> {
    let id = existing(&state, &session, &id).await?;
    let ids = pairs.iter().filter(|(name, _)| name == "id");
    let keys: Vec<AlertKey> = ids.filter_map(|(_, value)| value.parse().ok()).collect();
    if keys.is_empty() {
        return Ok(problem(id, "none"));
    }
    let (Some(title), Some(reason)) = (line(&pairs, "title"), line(&pairs, "reason")) else {
        return Ok(problem(id, "title"));
    };
    if reason.is_empty() {
        return Ok(problem(id, "reason"));
    }
    let edit = edit(&state, &session, reason);
    match state.store.split_incident(session.sight, id, keys, title, edit).await {
        Ok(made) => Ok(Redirect::to(&format!("/incidents/{made}?done=split"))),
        Err(StoreError::Conflict { .. }) => Ok(problem(id, "all")),
        Err(StoreError::NotFound { .. }) => Ok(problem(id, "none")),
        Err(error) => Err(error.into()),
    }
}

async fn existing(state: &AppState, session: &Session, id: &str) -> Result<IncidentId, ApiError> {
    let id: IncidentId = id.parse().map_err(|_| ApiError::not_found("incident"))?;
    Ok(state.store.incident(session.sight, id).await?.id)
}

/// Back to the page, which says what is wrong.
fn problem(id: IncidentId, word: &str) -> Redirect {
    Redirect::to(&format!("/incidents/{id}?problem={word}"))
}

fn edit(state: &AppState, session: &Session, reason: String) -> IncidentEdit {
    IncidentEdit { by: session.member, reason, now: state.clock.now() }
}

/// Returns what was written on one line, if it is one that fits.
fn line(pairs: &[(String, String)], wanted: &str) -> Option<String> {
    let text = pairs.iter().find(|(name, _)| name == wanted).map(|(_, text)| text.trim());
    let text = text.unwrap_or_default();
    let fits = text.chars().count() <= MAX_LINE && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

/// Characters of a title or reason.
const MAX_LINE: usize = 300;
