//! `POST enroll`: a device becomes known.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bartizan_contract::enroll::{EnrollReply, EnrollRequest, EnrollmentToken};
use bartizan_contract::keys::Jwk;
use bartizan_contract::problem::code;
use bartizan_model::{DeviceId, UnixMillis};
use bartizan_store::{EnrollError, NewDevice};
use ed25519_dalek::SigningKey;
use sha2::{Digest as _, Sha256};

use super::plain;
use crate::device_auth::{KeyProof, accept_once};
use crate::error::ApiError;
use crate::random;
use crate::request::Message;
use crate::state::AppState;

pub(crate) async fn enroll(
    State(state): State<AppState>,
    KeyProof(proof): KeyProof,
    Message(request): Message<EnrollRequest>,
) -> Result<Json<EnrollReply>, ApiError> {
    let is_proven = request.device_key.device_key().is_ok_and(|key| key == proof.key);
    if !is_proven {
        let detail = "DPoP proof is by another key than the device's";
        return Err(ApiError::unauthorized(code::PROOF_INVALID, detail));
    }
    let platform = request.platform;
    plain("os", &platform.os)?;
    plain("os_version", &platform.os_version)?;
    plain("model", &platform.model)?;
    plain("device_name", &platform.device_name)?;
    plain("app_version", &platform.app_version)?;
    let token: EnrollmentToken =
        request.enrollment_token.parse().map_err(|_| refusal(EnrollError::Unknown))?;

    let now = state.clock.now();
    let device = NewDevice {
        id: fresh_id(now)?,
        jwk: serde_json::to_string(&Jwk::from_device_key(&proof.key))
            .map_err(|error| ApiError::internal(&error))?,
        key_thumbprint: proof.thumbprint,
        os: platform.os,
        os_version: platform.os_version,
        model: platform.model,
        device_name: platform.device_name,
        app_version: platform.app_version,
    };
    let hash = Sha256::digest(token.secret).into();
    let enrolled = state.store.enroll(hash, device, now).await.map_err(refusal)?;
    accept_once(&state, &proof)?;
    state.news.publish(enrolled.scope.tenant_id());
    let signing_key = SigningKey::from_bytes(&enrolled.signing_key.0);
    Ok(Json(EnrollReply {
        device_id: enrolled.device.to_string(),
        tenant_name: enrolled.tenant_name,
        signing_key: Jwk::from_portal_key(&signing_key.verifying_key()),
        server_time_ms: now.0,
    }))
}

fn refusal(error: EnrollError) -> ApiError {
    let detail = error.to_string();
    match error {
        EnrollError::Unknown => {
            ApiError::new(StatusCode::FORBIDDEN, code::ENROLLMENT_TOKEN_UNKNOWN, detail)
        }
        EnrollError::Used => {
            ApiError::new(StatusCode::CONFLICT, code::ENROLLMENT_TOKEN_USED, detail)
        }
        EnrollError::Expired => {
            ApiError::new(StatusCode::GONE, code::ENROLLMENT_TOKEN_EXPIRED, detail)
        }
        EnrollError::Store(error) => error.into(),
    }
}

fn fresh_id(now: UnixMillis) -> Result<DeviceId, ApiError> {
    let random = random().map_err(|error| ApiError::internal(&error))?;
    let id = uuid::Builder::from_unix_timestamp_millis(now.0, &random).into_uuid();
    Ok(DeviceId(id.as_u128()))
}
