//! What devices call (`bartizan_contract`), one file for each call.

pub(crate) mod alerts;
pub(crate) mod attestation;
pub(crate) mod checkin;
pub(crate) mod enroll;
pub(crate) mod feedback;
pub(crate) mod indicators;
pub(crate) mod policy;
pub(crate) mod report;
pub(crate) mod token;

use std::fmt::Display;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::error::ApiError;

/// Text that a device says about itself: short, and nothing that would disturb a page or a log.
fn plain(field: &str, text: &str) -> Result<(), ApiError> {
    if 100 < text.chars().count() || text.chars().any(char::is_control) {
        return Err(ApiError::malformed(format!("{field} is not up to 100 plain characters")));
    }
    Ok(())
}

/// Answers with `body` under an entity tag, or with 304 if the caller has that one (RFC 9110 §13.1.2).
fn tagged(version: impl Display, headers: &HeaderMap, body: impl FnOnce() -> Response) -> Response {
    let tag = format!("\"{version}\"");
    let known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| known.trim().trim_start_matches("W/") == tag);
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { body() };
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response
}
