//! `POST token`: a signed assertion buys a short-lived access token.

use axum::Json;
use axum::extract::State;
use bartizan_contract::keys::Jwk;
use bartizan_contract::problem::code;
use bartizan_contract::token::{
    AssertionError, TokenReply, TokenRequest, named_device, verify_assertion,
};

use crate::access_token::LIFETIME_MS;
use crate::device_auth::{KeyProof, accept_once, refuse_offboarded, refuse_suspended, unknown};
use crate::error::ApiError;
use crate::request::Message;
use crate::state::AppState;

pub(crate) async fn token(
    State(state): State<AppState>,
    KeyProof(proof): KeyProof,
    Message(request): Message<TokenRequest>,
) -> Result<Json<TokenReply>, ApiError> {
    let expected = TokenRequest::new(request.client_assertion.clone());
    if request != expected {
        return Err(ApiError::malformed("grant_type or client_assertion_type is not supported"));
    }
    let id = named_device(&request.client_assertion)
        .ok_or_else(|| ApiError::malformed("client_assertion names no device"))?;
    let device = state.store.device_by_id(id).await.map_err(unknown)?;
    if device.key_thumbprint != proof.thumbprint {
        let detail = "DPoP proof is by another key than the device's";
        return Err(ApiError::unauthorized(code::PROOF_INVALID, detail));
    }
    let key: Jwk = serde_json::from_str(&device.jwk).map_err(|error| ApiError::internal(&error))?;
    let key = key.device_key().map_err(|error| ApiError::internal(&error))?;
    let now = state.clock.now();
    verify_assertion(&request.client_assertion, id, &key, now).map_err(|error| {
        let code = match error {
            AssertionError::Stale => code::CLOCK_SKEW,
            AssertionError::Token(_) | AssertionError::OtherSubject => code::PROOF_INVALID,
        };
        ApiError::unauthorized(code, error.to_string())
    })?;
    refuse_offboarded(&device)?;
    refuse_suspended(&device)?;
    accept_once(&state, &proof)?;
    let tenant = device.scope.tenant_id();
    Ok(Json(TokenReply {
        access_token: state.access_tokens.issue(tenant, id, proof.thumbprint, now),
        token_type: "DPoP".into(),
        expires_in: LIFETIME_MS / 1_000,
        server_time_ms: now.0,
    }))
}
