//! Routes of a portal that was started for a load test: enroll without an administrator, ask what is held.
//!
//! They stand outside the table of routes, because an ordinary portal does not have them. Only programs on
//! this machine may call them, and `bartizan portal` offers them on a loopback address alone.

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::post;
use axum::{Json, Router};
use bartizan_contract::enroll::EnrollmentToken;
use bartizan_contract::keys::Jwk;
use bartizan_model::{AlertId, DeviceId, TenantId};
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;
use crate::request::{ClientAddress, Message};
use crate::state::AppState;
use crate::{later, random};

/// What the routes need: the portal, and whom devices enroll with.
#[derive(Clone)]
pub(crate) struct Demo {
    pub(crate) state: AppState,
    pub(crate) tenant: TenantId,
}

pub(crate) fn routes(demo: Demo) -> Router<AppState> {
    let routes = Router::new()
        .route("/enrollment-tokens", post(enrollment_tokens))
        .route("/held", post(held))
        .with_state(demo);
    Router::new().nest("/demo/v1", routes)
}

/// A caller on this machine.
struct Local;

impl FromRequestParts<Demo> for Local {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, demo: &Demo) -> Result<Self, ApiError> {
        let Ok(ClientAddress(address)) =
            ClientAddress::from_request_parts(parts, &demo.state).await;
        if address.to_canonical().is_loopback() {
            Ok(Self)
        } else {
            Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", "only from this machine"))
        }
    }
}

#[derive(Deserialize)]
struct Wanted {
    count: usize,
}

#[derive(Serialize)]
struct Tokens {
    tokens: Vec<String>,
}

async fn enrollment_tokens(
    _: Local,
    State(Demo { state, tenant }): State<Demo>,
    Message(wanted): Message<Wanted>,
) -> Result<Json<Tokens>, ApiError> {
    within_limit(wanted.count)?;
    let scope = state.store.tenant(tenant).await?;
    let row = state.store.tenant_row(scope).await?;
    let key = Jwk::from_portal_key(&SigningKey::from_bytes(&row.signing_key.0).verifying_key());
    let now = state.clock.now();
    let mut tokens = Vec::with_capacity(wanted.count);
    for _ in 0..wanted.count {
        let secret = random().map_err(|error| ApiError::internal(&error))?;
        tokens.push(EnrollmentToken::new(secret, &key));
    }
    let hashes = tokens.iter().map(|token| Sha256::digest(token.secret).into()).collect();
    let expires_at = later(now, crate::DEMO_TOKEN_LIFETIME);
    state.store.create_enrollment_tokens(scope, hashes, expires_at, now).await?;
    Ok(Json(Tokens { tokens: tokens.iter().map(ToString::to_string).collect() }))
}

#[derive(Deserialize)]
struct Asked {
    /// A device's id and an alert's, as text.
    uploads: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Held {
    held: Vec<bool>,
}

async fn held(
    _: Local,
    State(Demo { state, tenant }): State<Demo>,
    Message(asked): Message<Asked>,
) -> Result<Json<Held>, ApiError> {
    within_limit(asked.uploads.len())?;
    let uploads = asked.uploads.iter().map(|(device, upload)| {
        let device: DeviceId = device.parse().ok()?;
        let upload: AlertId = upload.parse().ok()?;
        Some((device, upload))
    });
    let uploads: Option<Vec<_>> = uploads.collect();
    let uploads = uploads.ok_or_else(|| ApiError::malformed("not the ids of uploads"))?;
    let scope = state.store.tenant(tenant).await?;
    Ok(Json(Held { held: state.store.held_uploads(scope, uploads).await? }))
}

fn within_limit(count: usize) -> Result<(), ApiError> {
    if count <= LIMIT {
        Ok(())
    } else {
        Err(ApiError::malformed(format!("more than {LIMIT} at once")))
    }
}

/// Of one request.
const LIMIT: usize = 1_000;
