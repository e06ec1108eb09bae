//! What becomes of what detectors find, by device group, and when their alerts resolve themselves.

use axum::Form;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_model::Detector;
use bartizan_store::{DetectorMode, DetectorSettings};

use super::feeds::DoneQuery;
use super::{html, shell};
use crate::console::{DetectorRow, DetectorsPage};
use crate::error::ApiError;
use crate::session::Session;
use crate::state::AppState;

/// `GET /detectors`.
pub(crate) async fn page(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let settings = state.store.detector_settings(session.scope).await?;
    let days = Detector::ALL
        .map(|it| settings.quiet_days.get(it.id()).map(ToString::to_string).unwrap_or_default());
    let notice = (query.done == "saved").then(|| "Saved.".to_owned());
    show(&state, session, notice, &settings, days, None).await
}

/// `POST /detectors`.
pub(crate) async fn save(
    State(state): State<AppState>,
    session: Session,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let scope = session.scope;
    let text = |wanted: &str| {
        let found = pairs.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.trim()).unwrap_or_default()
    };
    let mut wanted = DetectorSettings {
        counts: state.store.detector_settings(scope).await?.counts,
        ..DetectorSettings::default()
    };
    let groups =
        state.store.device_groups(session.sight).await?.into_iter().map(|group| Some(group.id));
    for group in [None].into_iter().chain(groups) {
        for detector in Detector::ALL {
            let named = group.map_or_else(|| "all".to_owned(), |group| group.to_string());
            let word = text(&format!("{named}/{}", detector.id()));
            // Where every device is meant, active is what holds anyway.
            let mode = DetectorMode::from_word(word)
                .filter(|mode| group.is_some() || *mode != DetectorMode::Active);
            wanted.modes.extend(mode.map(|mode| ((group, detector.id()), mode)));
        }
    }
    let days = Detector::ALL.map(|detector| text(&format!("days/{}", detector.id())).to_owned());
    for (detector, text) in Detector::ALL.into_iter().zip(&days) {
        if text.is_empty() {
            continue;
        }
        let Some(days) = text.parse::<u32>().ok().filter(|days| (1..=MAX_DAYS).contains(days))
        else {
            let problem = Some("Days are a number from 1 to 365, or nothing for never.");
            let page = show(&state, session, None, &wanted, days, problem).await?;
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        };
        wanted.quiet_days.insert(detector.id(), days);
    }
    state.store.set_detector_settings(scope, wanted, state.clock.now()).await?;
    Ok(Redirect::to("/detectors?done=saved").into_response())
}

async fn show(
    state: &AppState,
    session: Session,
    notice: Option<String>,
    settings: &DetectorSettings,
    days: [String; 5],
    days_problem: Option<&'static str>,
) -> Result<Response, ApiError> {
    let groups = state.store.device_groups(session.sight).await?;
    let named = groups.into_iter().map(|group| (Some(group.id), group.name));
    let rows = [(None, "Every device".to_owned())].into_iter().chain(named);
    let rows = rows.map(|(group, name)| DetectorRow {
        key: group.map_or_else(|| "all".to_owned(), |group| group.to_string()),
        name,
        is_group: group.is_some(),
        modes: Detector::ALL
            .map(|detector| (detector, settings.modes.get(&(group, detector.id())).copied())),
    });
    html(&DetectorsPage {
        rows: rows.collect(),
        days: Detector::ALL.into_iter().zip(days).collect(),
        days_problem,
        counts: Detector::ALL
            .map(|it| (it, settings.counts.get(it.id()).copied().unwrap_or_default()))
            .to_vec(),
        shell: shell(session, notice),
    })
}

const MAX_DAYS: u32 = 365;
