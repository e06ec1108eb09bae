//! `POST enroll`: a device becomes known. `POST enrollment-code`: a code that somebody types becomes a token.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bartizan_contract::enroll::{
    CodeReply, CodeRequest, EnrollReply, EnrollRequest, EnrollmentToken, normal_code,
};
use bartizan_contract::keys::Jwk;
use bartizan_contract::problem::code;
use bartizan_model::{DeviceId, UnixMillis};
use bartizan_store::{EnrollError, NewDevice};
use ed25519_dalek::SigningKey;
use sha2::{Digest as _, Sha256};

use super::attestation::vouching;
use super::plain;
use crate::device_auth::{KeyProof, accept_once, suspended};
use crate::error::ApiError;
use crate::request::{ClientAddress, Message};
use crate::state::AppState;
use crate::{later, random};

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
    let installation = request.installation.unwrap_or_default();
    plain("hardware_id", &installation.hardware_id)?;
    let token: EnrollmentToken =
        request.enrollment_token.parse().map_err(|_| refusal(EnrollError::Unknown))?;

    let now = state.clock.now();
    let vouching = vouching(&state, request.attestation.as_ref(), &token, &proof, now).await;
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
        hardware_id: installation.hardware_id,
        is_shared: installation.shared,
        attestation: vouching.map_err(refusal)?,
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
        EnrollError::Suspended => suspended(),
        EnrollError::WayClosed => {
            ApiError::new(StatusCode::FORBIDDEN, code::ENROLLMENT_WAY_CLOSED, detail)
        }
        EnrollError::InactiveUser => {
            ApiError::new(StatusCode::FORBIDDEN, code::USER_INACTIVE, detail)
        }
        EnrollError::NoLicense => {
            ApiError::new(StatusCode::FORBIDDEN, code::LICENSE_MISSING, detail)
        }
        EnrollError::NoUser => ApiError::new(StatusCode::FORBIDDEN, code::USER_REQUIRED, detail),
        EnrollError::OldSystem { .. } => {
            ApiError::new(StatusCode::FORBIDDEN, code::SYSTEM_UNSUPPORTED, detail)
        }
        EnrollError::NoAttestation => {
            ApiError::new(StatusCode::FORBIDDEN, code::ATTESTATION_REQUIRED, detail)
        }
        EnrollError::BadAttestation { .. } => {
            ApiError::new(StatusCode::FORBIDDEN, code::ATTESTATION_INVALID, detail)
        }
        EnrollError::Store(error) => error.into(),
    }
}

/// `POST enrollment-code`.
pub(crate) async fn redeem(
    State(state): State<AppState>,
    ClientAddress(address): ClientAddress,
    Message(request): Message<CodeRequest>,
) -> Result<Json<CodeReply>, ApiError> {
    let now = state.clock.now();
    // Guesses are counted by where they come from: what is guessed differs each time.
    let attempt = state.throttle.begin(GUESSES, address, now).map_err(|wait| {
        let detail = "too many codes were tried; try again later";
        let mut error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, code::RATE_LIMITED, detail);
        error.retry_after = Some(wait.as_secs().max(1));
        error
    })?;
    let secret = random::<32>().map_err(|error| ApiError::internal(&error))?;
    let worth = (Sha256::digest(secret).into(), later(now, CODE_TOKEN_LIFETIME));
    let redeemed = state.store.redeem_enrollment_code(code_hash(&request.code), worth, now).await;
    let seed = redeemed.map_err(code_refusal)?;
    state.throttle.succeeded(attempt);
    let key = SigningKey::from_bytes(&seed.0).verifying_key();
    let token = EnrollmentToken::new(secret, &Jwk::from_portal_key(&key));
    Ok(Json(CodeReply { enrollment_token: token.to_string(), server_time_ms: now.0 }))
}

/// What the store keeps of a code.
pub(crate) fn code_hash(text: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update("bartizan enrollment code ")
        .chain_update(normal_code(text))
        .finalize()
        .into()
}

fn code_refusal(error: EnrollError) -> ApiError {
    match error {
        EnrollError::Unknown => ApiError::new(
            StatusCode::FORBIDDEN,
            code::ENROLLMENT_CODE_UNKNOWN,
            "this code is unknown; look whether it was mistyped",
        ),
        EnrollError::Used => ApiError::new(
            StatusCode::CONFLICT,
            code::ENROLLMENT_CODE_USED,
            "this code was used; ask for another",
        ),
        EnrollError::Expired => ApiError::new(
            StatusCode::GONE,
            code::ENROLLMENT_CODE_EXPIRED,
            "this code has expired; ask for another",
        ),
        EnrollError::Suspended
        | EnrollError::WayClosed
        | EnrollError::InactiveUser
        | EnrollError::NoLicense
        | EnrollError::NoUser
        | EnrollError::OldSystem { .. }
        | EnrollError::NoAttestation
        | EnrollError::BadAttestation { .. }
        | EnrollError::Store(_) => refusal(error),
    }
}

/// Long enough to enroll at once, and to try again when the network fails.
const CODE_TOKEN_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Stands for the account where codes are guessed.
const GUESSES: &str = "enrollment code";

fn fresh_id(now: UnixMillis) -> Result<DeviceId, ApiError> {
    let random = random().map_err(|error| ApiError::internal(&error))?;
    let id = uuid::Builder::from_unix_timestamp_millis(now.0, &random).into_uuid();
    Ok(DeviceId(id.as_u128()))
}
