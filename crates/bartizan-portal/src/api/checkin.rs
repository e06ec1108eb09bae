//! `POST checkin`: the device says how it is, the portal says what has changed.

use axum::Json;
use axum::extract::State;
use bartizan_contract::checkin::{CheckinReply, CheckinRequest, SystemNotice};
use bartizan_model::{Mode, ProtectionState};
use bartizan_store::{Counters, DeviceReport};

use super::plain;
use crate::device_auth::{Device, unknown};
use crate::error::ApiError;
use crate::request::Message;
use crate::state::AppState;

pub(crate) async fn checkin(
    State(state): State<AppState>,
    device: Device,
    Message(request): Message<CheckinRequest>,
) -> Result<Json<CheckinReply>, ApiError> {
    plain("os_version", &request.os_version)?;
    plain("app_version", &request.app_version)?;
    let report = DeviceReport {
        mode: Mode::from_word(&request.mode)
            .ok_or_else(|| ApiError::malformed("mode is not known"))?,
        protection: ProtectionState::from_word(&request.protection)
            .ok_or_else(|| ApiError::malformed("protection is not known"))?,
        os_version: request.os_version,
        app_version: request.app_version,
        policy_version: request.policy_version,
        indicator_epoch: request.indicator_epoch,
        tenant_epoch: request.tenant_epoch,
        counters: Counters {
            queries: request.counters.queries,
            blocked: request.counters.blocked,
            dropped: request.counters.dropped,
            alerts_lost: request.counters.alerts_lost,
        },
    };
    let now = state.clock.now();
    let there =
        state.store.check_in(device.scope, device.id, report, now).await.map_err(unknown)?;
    if there.protection_changed {
        state.news.publish(device.scope.tenant_id());
    }
    Ok(Json(CheckinReply {
        policy_version: there.policy_version,
        indicator_epoch: there.indicator_epoch,
        tenant_epoch: there.tenant_epoch,
        system: there.outdated.map(|(minimum, from)| SystemNotice {
            minimum_version: minimum.to_string(),
            unsupported_from_ms: from.0,
        }),
        server_time_ms: now.0,
    }))
}
