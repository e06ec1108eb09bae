//! `GET indicators/...`: which indicator file to hold, and the file.

use std::io;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use bartizan_contract::indicators::{DeltaRef, FileRef, Manifest, ManifestReply, TenantRef};
use bartizan_contract::signed::seal;
use bartizan_indicators::FORMAT_VERSION;
use bartizan_indicators::delta::DELTA_VERSION;
use bartizan_indicators::tenant::TENANT_FORMAT_VERSION;
use ed25519_dalek::SigningKey;
use futures_util::stream::{Stream, unfold};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use super::tagged;
use crate::device_auth::Device;
use crate::error::ApiError;
use crate::state::AppState;

pub(crate) async fn manifest(
    State(state): State<AppState>,
    device: Device,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let base = state.store.newest_indicator_file(device.scope).await?;
    let own = state.store.newest_tenant_file(device.scope).await?;
    if base.is_none() && own.is_none() {
        return Err(ApiError::not_found("indicator file"));
    }
    let epoch = base.as_ref().map_or(0, |file| file.epoch);
    let deltas = state.store.indicator_deltas(device.scope, MOST_DELTAS).await?;
    let tenant = state.store.tenant_row(device.scope).await?;
    let version = format!("{epoch}.{}", own.as_ref().map_or(0, |file| file.epoch));
    Ok(tagged(version, &headers, || {
        let key = SigningKey::from_bytes(&tenant.signing_key.0);
        let file = |format, sha256, size_bytes| FileRef { format, sha256, size_bytes };
        let deltas = deltas.into_iter().map(|delta| DeltaRef {
            from: delta.from_epoch,
            to: delta.to_epoch,
            file: file(DELTA_VERSION, delta.sha256, delta.size_bytes),
        });
        let manifest = Manifest {
            epoch,
            base: base.map(|base| file(FORMAT_VERSION, base.sha256, base.size_bytes)),
            deltas: deltas.collect(),
            tenant: own.map(|own| TenantRef {
                epoch: own.epoch,
                file: file(TENANT_FORMAT_VERSION, own.sha256, own.size_bytes),
            }),
        };
        Json(ManifestReply { manifest: seal(&manifest, &key) }).into_response()
    }))
}

pub(crate) async fn file(
    State(state): State<AppState>,
    device: Device,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(sha256) = path.map_err(|_| ApiError::not_found("indicator file"))?;
    // Only a hash that the store knows becomes a path.
    let row = state.store.device_file(device.scope, &sha256).await?;
    let file = state.files.read(&row.sha256).await.map_err(|error| ApiError::internal(&error))?;
    let mut response = Body::from_stream(chunks(file)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(row.size_bytes));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(IMMUTABLE));
    Ok(response)
}

fn chunks(file: File) -> impl Stream<Item = io::Result<Bytes>> {
    unfold(Some(file), async |file| {
        let mut file = file?;
        let mut chunk = Vec::with_capacity(CHUNK);
        match file.read_buf(&mut chunk).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(chunk.into()), Some(file))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

/// A name that is a hash never means anything else.
const IMMUTABLE: &str = "private, max-age=31536000, immutable";
/// Each step of a way takes one; these are those of a month at one file a day.
const MOST_DELTAS: u32 = 256;
const CHUNK: usize = 64 * 1024;
