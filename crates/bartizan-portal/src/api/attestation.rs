//! `POST attestation/challenge`, and what a device that enrolls says vouches for its key.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bartizan_contract::attestation::{
    Attestation as Sent, ChallengeReply, MAX_OBJECT, client_data_hash,
};
use bartizan_contract::dpop::Proof;
use bartizan_contract::enroll::EnrollmentToken;
use bartizan_contract::keys::Jwk;
use bartizan_contract::problem::code;
use bartizan_model::UnixMillis;
use bartizan_store::{Attestation, EnrollError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use sha2::{Digest as _, Sha256};

use crate::attestation::{AttestationError, challenge};
use crate::device_auth::KeyProof;
use crate::error::ApiError;
use crate::state::AppState;

/// `POST attestation/challenge`. Nothing is stored, so that the proof need not be remembered.
pub(crate) async fn give_challenge(
    State(state): State<AppState>,
    KeyProof(proof): KeyProof,
) -> Result<Json<ChallengeReply>, ApiError> {
    if state.attestation.is_none() {
        let detail = "this portal accepts no attestations: enroll without one";
        return Err(ApiError::new(StatusCode::NOT_FOUND, code::NOT_FOUND, detail));
    }
    let now = state.clock.now();
    let challenge = challenge::give(&state.stamper, &proof.thumbprint, now)
        .map_err(|error| ApiError::internal(&error))?;
    Ok(Json(ChallengeReply {
        challenge,
        expires_in: challenge::LIFETIME.as_secs(),
        server_time_ms: now.0,
    }))
}

/// Tells what vouches for the key of a device that enrolls with this token; the inner error is why what was sent does not.
pub(super) async fn vouching(
    state: &AppState,
    sent: Option<&Sent>,
    token: &EnrollmentToken,
    proof: &Proof,
    now: UnixMillis,
) -> Result<Result<Attestation, String>, EnrollError> {
    let Some(sent) = sent else { return Ok(Ok(Attestation::None)) };
    // By the organization's key, and not by what the token says of it, which its bearer could change.
    let hash = Sha256::digest(token.secret).into();
    let seed = state.store.signing_key_of_token(hash).await?;
    let signing_key = Jwk::from_portal_key(&SigningKey::from_bytes(&seed.0).verifying_key());
    let portal_key = EnrollmentToken::new(token.secret, &signing_key).portal_key;
    let verified = verify(state, sent, &portal_key, proof, now);
    Ok(verified.map_err(|error| error.to_string()))
}

fn verify(
    state: &AppState,
    sent: &Sent,
    portal_key: &[u8; 16],
    proof: &Proof,
    now: UnixMillis,
) -> Result<Attestation, AttestationError> {
    let verifier = state.attestation.as_ref().ok_or(AttestationError::NotAccepted)?;
    if !challenge::holds(&state.stamper, &sent.challenge, &proof.thumbprint, now) {
        return Err(AttestationError::Challenge);
    }
    let decoded = |text: &str, most: usize| {
        let is_short = text.len() <= most.div_ceil(3) * 4;
        let octets = is_short.then(|| URL_SAFE_NO_PAD.decode(text).ok()).flatten();
        octets.ok_or(AttestationError::Malformed)
    };
    let (key_id, object) = (decoded(&sent.key_id, 32)?, decoded(&sent.object, MAX_OBJECT)?);
    let device_key = Jwk::from_device_key(&proof.key);
    let hash = client_data_hash(&sent.challenge, &device_key, portal_key);
    verifier.verify(&object, &key_id, &hash, now)
}
