//! Which device is calling: an access token, and a proof by the key it is bound to (RFC 9449 §7).

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use bartizan_contract::dpop::{self, Proof, ProofError};
use bartizan_contract::problem::code;
use bartizan_model::DeviceId;
use bartizan_store::{DeviceCredential, StoreError, TenantScope};

use crate::access_token::TokenError;
use crate::admission::{BUSY, Place, come_back_later};
use crate::error::ApiError;
use crate::es256;
use crate::request::{Caller, host};
use crate::state::AppState;

/// An enrolled device that holds its key.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) scope: TenantScope,
    pub(crate) id: DeviceId,
    /// Until the request is answered.
    _place: Place,
}

impl FromRequestParts<AppState> for Device {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let place = state.admission.enter(parts.uri.path())?;
        let token = access_token(parts)?;
        let proof = verify_proof(parts, state, Some(token))?;
        let claims =
            state.access_tokens.verify(token, state.clock.now()).map_err(|error| match error {
                TokenError::Invalid => invalid_token(),
                TokenError::Expired => {
                    ApiError::unauthorized(code::TOKEN_EXPIRED, "access token has expired")
                }
            })?;
        if claims.key_thumbprint != proof.thumbprint {
            return Err(invalid_token());
        }
        let device =
            state.store.device_of_token(claims.tenant, claims.device).await.map_err(unknown)?;
        if device.key_thumbprint != proof.thumbprint {
            return Err(invalid_token());
        }
        refuse_offboarded(&device)?;
        refuse_suspended(&device)?;
        accept_once(state, &proof)?;
        Caller::note(parts, claims.tenant);
        Ok(Self { scope: device.scope, id: device.id, _place: place })
    }
}

/// A proof without an access token: of a device that is about to enroll or to ask for one. Whoever
/// takes it must call [`accept_once`] when the caller's other credential was verified.
pub(crate) struct KeyProof(pub(crate) Proof);

impl FromRequestParts<AppState> for KeyProof {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        // Given back at once: whoever makes a key can make a proof, and then take time over the body.
        state.admission.enter(parts.uri.path())?;
        verify_proof(parts, state, None).map(Self)
    }
}

/// Refuses a proof that was seen before.
pub(crate) fn accept_once(state: &AppState, proof: &Proof) -> Result<(), ApiError> {
    if state.replays.accept(proof.id, state.clock.now()) {
        Ok(())
    } else {
        Err(ApiError::unauthorized(code::PROOF_REPLAYED, "DPoP proof was used before"))
    }
}

/// Refuses a device that was taken out. Asked once the device has proven itself, so that nobody else learns of it.
pub(crate) fn refuse_offboarded(device: &DeviceCredential) -> Result<(), ApiError> {
    if device.is_offboarded {
        let detail = "this device was taken out by the organization";
        return Err(ApiError::unauthorized(code::DEVICE_OFFBOARDED, detail));
    }
    Ok(())
}

/// Sends a device of a suspended organization away for a while: it goes on with what it has.
pub(crate) fn refuse_suspended(device: &DeviceCredential) -> Result<(), ApiError> {
    if device.is_suspended { Err(suspended()) } else { Ok(()) }
}

/// 503, which no device takes for a reason to stop.
pub(crate) fn suspended() -> ApiError {
    let detail = "this organization is suspended; protection goes on with what the device has";
    let mut error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code::SUSPENDED, detail);
    error.retry_after = Some(SUSPENDED_RETRY_S);
    error
}

/// What the store says, to a device: that it does not know it, or that there is too much to do.
pub(crate) fn unknown(error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound { .. } => {
            ApiError::unauthorized(code::DEVICE_UNKNOWN, "this device is not enrolled here")
        }
        StoreError::Busy => come_back_later(BUSY),
        StoreError::Conflict { .. }
        | StoreError::Full { .. }
        | StoreError::LastAdministrator
        | StoreError::Closed
        | StoreError::Damaged { .. }
        | StoreError::Unavailable(_) => error.into(),
    }
}

fn access_token(parts: &Parts) -> Result<&str, ApiError> {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(ApiError::unauthorized(code::TOKEN_INVALID, "one access token is required"));
    };
    let (scheme, token) =
        value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(invalid_token)?;
    // RFC 9110 §11.1: the scheme's case does not matter.
    if scheme.eq_ignore_ascii_case("DPoP") { Ok(token) } else { Err(invalid_token()) }
}

fn verify_proof(
    parts: &Parts,
    state: &AppState,
    access_token: Option<&str>,
) -> Result<Proof, ApiError> {
    let invalid = |detail: &str| ApiError::unauthorized(code::PROOF_INVALID, detail);
    let mut values = parts.headers.get_all("dpop").iter();
    // RFC 9449 §4.3, point 1: not more than one.
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(invalid("one DPoP proof is required"));
    };
    let proof = value.to_str().map_err(|_| invalid("DPoP proof is not text"))?;
    let host = host(&parts.headers, &parts.uri).ok_or_else(|| invalid("no host was named"))?;
    // Behind a proxy the scheme is unknown; verification does not compare it.
    let url = format!("http://{host}{}", parts.uri.path());
    let request = dpop::Request { method: parts.method.as_str(), url: &url, access_token };
    dpop::verify_by(proof, request, state.clock.now(), es256::holds).map_err(|error| match error {
        ProofError::Stale => ApiError::unauthorized(code::CLOCK_SKEW, error.to_string()),
        ProofError::Token(_) | ProofError::NoKey | ProofError::OtherRequest(_) => {
            invalid(&error.to_string())
        }
    })
}

fn invalid_token() -> ApiError {
    ApiError::unauthorized(code::TOKEN_INVALID, "access token is not valid")
}

/// Nothing changes from one minute to the next.
const SUSPENDED_RETRY_S: u64 = 15 * 60;
