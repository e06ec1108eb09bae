//! `GET policy`: the effective policy of this device, signed.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use bartizan_contract::policy::{PolicyDocument, PolicyReply};
use bartizan_contract::signed::seal;
use ed25519_dalek::SigningKey;

use super::tagged;
use crate::device_auth::Device;
use crate::error::ApiError;
use crate::policies;
use crate::state::AppState;

pub(crate) async fn policy(
    State(state): State<AppState>,
    device: Device,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let policy = policies::give(&state, device.scope.whole(), device.id).await?;
    let tenant = state.store.tenant_row(device.scope).await?;
    Ok(tagged(policy.version, &headers, || {
        let key = SigningKey::from_bytes(&tenant.signing_key.0);
        let document = PolicyDocument::new(device.id.to_string(), &policy);
        Json(PolicyReply { policy: seal(&document, &key) }).into_response()
    }))
}
