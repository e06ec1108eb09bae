//! Errors in the shape of SCIM (RFC 7644 §3.12).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bartizan_store::{DirectoryError, StoreError};
use serde_json::{Map, Value, json};

use super::MEDIA_TYPE;
use crate::error::ApiError;

/// What went wrong, for a directory.
#[derive(Debug)]
pub(crate) struct ScimError {
    status: StatusCode,
    /// A word of RFC 7644, table 9.
    kind: Option<&'static str>,
    detail: String,
}

impl ScimError {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, kind: None, detail: detail.into() }
    }

    pub(crate) fn bad(kind: &'static str, detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind: Some(kind), detail: detail.into() }
    }

    pub(crate) fn value(detail: impl Into<String>) -> Self {
        Self::bad("invalidValue", detail)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such resource")
    }
}

impl IntoResponse for ScimError {
    fn into_response(self) -> Response {
        write(self.status, self.kind, &self.detail)
    }
}

/// Writes what went wrong outside of the SCIM handlers likewise.
pub(crate) fn render(error: &ApiError) -> Response {
    let mut response = write(error.status, None, &error.detail);
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn write(status: StatusCode, kind: Option<&'static str>, detail: &str) -> Response {
    let mut body = Map::new();
    body.insert("schemas".into(), json!(["urn:ietf:params:scim:api:messages:2.0:Error"]));
    body.insert("status".into(), status.as_str().into());
    body.insert("detail".into(), detail.into());
    if let Some(kind) = kind {
        body.insert("scimType".into(), kind.into());
    }
    let mut response = (status, Value::Object(body).to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    if status == StatusCode::UNAUTHORIZED {
        // RFC 6750 §3.
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

impl From<StoreError> for ScimError {
    fn from(error: StoreError) -> Self {
        let error = ApiError::from(error);
        Self::new(error.status, error.detail)
    }
}

impl From<DirectoryError> for ScimError {
    fn from(error: DirectoryError) -> Self {
        let detail = error.to_string();
        match error {
            DirectoryError::Taken => {
                Self { status: StatusCode::CONFLICT, kind: Some("uniqueness"), detail }
            }
            DirectoryError::Changed => Self::new(StatusCode::PRECONDITION_FAILED, detail),
            DirectoryError::NoSuchMember(_) => Self::value(detail),
            DirectoryError::Store(error) => error.into(),
        }
    }
}
