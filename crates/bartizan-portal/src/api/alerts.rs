//! `POST alerts`: alerts come in, and the ids that are durable go back.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bartizan_contract::alerts::{AlertAck, AlertBatch, MAX_BATCH, Refusal};
use bartizan_contract::problem::code;
use bartizan_model::Alert;

use crate::device_auth::{Device, unknown};
use crate::error::ApiError;
use crate::request::Message;
use crate::state::AppState;

pub(crate) async fn alerts(
    State(state): State<AppState>,
    device: Device,
    Message(batch): Message<AlertBatch>,
) -> Result<Json<AlertAck>, ApiError> {
    if MAX_BATCH < batch.alerts.len() {
        let detail = format!("more than {MAX_BATCH} alerts");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE, detail));
    }
    let mut alerts = Vec::with_capacity(batch.alerts.len());
    let mut ack = AlertAck::default();
    for report in batch.alerts {
        match Alert::try_from(&report) {
            Ok(alert) => alerts.push(alert),
            Err(error) => {
                ack.refused.push(Refusal { id: report.id, detail: error.to_string() });
            }
        }
    }
    let now = state.clock.now();
    let ingested =
        state.store.ingest_alerts(device.scope, device.id, alerts, now).await.map_err(unknown)?;
    ack.durable = ingested.durable.iter().map(ToString::to_string).collect();
    let durable = ingested.durable.len();
    state.metrics.alerts(ingested.fresh, durable.saturating_sub(ingested.fresh));
    if 0 < ingested.fresh {
        state.news.publish(device.scope.tenant_id());
    }
    Ok(Json(ack))
}
