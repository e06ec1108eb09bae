//! `GET indicators/...`: which indicator file to hold, and the file.

use std::io;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use bartizan_contract::indicators::{DeltaRef, FileRef, Manifest, ManifestReply};
use bartizan_contract::signed::seal;
use bartizan_indicators::FORMAT_VERSION;
use bartizan_indicators::delta::DELTA_VERSION;
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
    let newest = state.store.newest_indicator_file(device.scope).await?;
    let file = newest.ok_or_else(|| ApiError::not_found("indicator file"))?;
    let deltas = state.store.indicator_deltas(device.scope, MOST_DELTAS).await?;
    let tenant = state.store.tenant_row(device.scope).await?;
    Ok(tagged(file.epoch, &headers, || {
        let key = SigningKey::from_bytes(&tenant.signing_key.0);
        let deltas = deltas.into_iter().map(|delta| DeltaRef {
            from: delta.from_epoch,
            to: delta.to_epoch,
            file: FileRef {
                format: DELTA_VERSION,
                sha256: delta.sha256,
                size_bytes: delta.size_bytes,
            },
        });
        let base =
            FileRef { format: FORMAT_VERSION, sha256: file.sha256, size_bytes: file.size_bytes };
        let manifest = Manifest {
            epoch: file.epoch,
            base: Some(base),
            deltas: deltas.collect(),
            tenant: None,
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
