//! `POST feedback` and `GET feedback`: what a person at a device says, and what became of it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bartizan_contract::feedback::{Feedback, FeedbackList, FeedbackReply, FeedbackState};
use bartizan_contract::problem::code;
use bartizan_model::AlertId;
use bartizan_store::{FeedbackId, FeedbackRow, NewFeedback, StoreError};

use crate::device_auth::{Device, unknown};
use crate::error::ApiError;
use crate::request::Message;
use crate::state::AppState;

pub(crate) async fn send(
    State(state): State<AppState>,
    device: Device,
    Message(feedback): Message<Feedback>,
) -> Result<Json<FeedbackReply>, ApiError> {
    let id = feedback.check().map_err(|error| ApiError::malformed(error.to_string()))?;
    let new = NewFeedback {
        id: Some(FeedbackId(id.0)),
        text: feedback.text,
        mood: feedback.mood.unwrap_or_default(),
        logs: feedback.logs,
        app_version: String::new(),
        page: String::new(),
    };
    match state.store.add_feedback(device.scope, new, state.clock.now()).await {
        Ok(fresh) => Ok(Json(FeedbackReply { fresh })),
        Err(StoreError::Busy) => {
            let detail = "too much of what this device said is unread";
            let mut error =
                ApiError::new(StatusCode::TOO_MANY_REQUESTS, code::RATE_LIMITED, detail);
            error.retry_after = Some(AN_HOUR_S);
            Err(error)
        }
        Err(error) => Err(unknown(error)),
    }
}

pub(crate) async fn list(
    State(state): State<AppState>,
    device: Device,
) -> Result<Json<FeedbackList>, ApiError> {
    let rows = state.store.own_feedback(device.scope, LISTED).await?;
    let told = |row: FeedbackRow| FeedbackState {
        id: AlertId(row.id.0).to_string(),
        sent_at_ms: row.sent_at.0,
        text: row.text,
        status: row.status.word().into(),
        reply: Some(row.reply).filter(|reply| !reply.is_empty()),
    };
    Ok(Json(FeedbackList { feedback: rows.into_iter().map(told).collect() }))
}

const AN_HOUR_S: u64 = 3_600;
const LISTED: u32 = 20;
