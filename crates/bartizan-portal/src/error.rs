//! The one shape of an error over HTTP.
//!
//! A handler returns an [`ApiError`]; `request::finish` writes it as a [`Problem`], because only it
//! knows the time.

use std::error::Error;

use askama::Template as _;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use bartizan_contract::problem::{self, Problem, code};
use bartizan_model::UnixMillis;
use bartizan_store::{CHANGED_SINCE, Permission, StoreError};

use crate::admission::come_back_later;
use crate::console::ErrorPage;

/// What went wrong, for whoever called.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    /// A word of [`code`], or of ours for browsers.
    pub(crate) code: &'static str,
    pub(crate) detail: String,
    /// Seconds until trying again makes sense.
    pub(crate) retry_after: Option<u64>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), retry_after: None }
    }

    pub(crate) fn unauthorized(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code::MALFORMED, detail)
    }

    /// Signed in, but no role of theirs lets them.
    pub(crate) fn lacking(permission: Permission) -> Self {
        let detail = format!("none of your roles has the permission \"{}\"", permission.label());
        Self::new(StatusCode::FORBIDDEN, PERMISSION_MISSING, detail)
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code::NOT_FOUND, format!("{what} not found"))
    }

    /// Something failed that should not; the cause is logged and not told.
    pub(crate) fn internal(cause: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = cause, "request failed");
        Self::unavailable()
    }

    pub(crate) fn unavailable() -> Self {
        let detail = "the portal cannot answer now; try again";
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE, detail);
        error.retry_after = Some(RETRY_AFTER_S);
        error
    }

    /// Writes a page for people, where there is one for what happened.
    pub(crate) fn page(&self) -> Option<Response> {
        let page = match self.status {
            StatusCode::NOT_FOUND => ErrorPage::not_found(),
            StatusCode::FORBIDDEN if self.code == PERMISSION_MISSING => {
                ErrorPage::lacking(&self.detail)
            }
            StatusCode::FORBIDDEN => ErrorPage::forbidden(),
            StatusCode::SERVICE_UNAVAILABLE => ErrorPage::unavailable(),
            _ => return None,
        };
        Some((self.status, Html(page.render().ok()?)).into_response())
    }

    /// Writes the body and the headers that go with it.
    pub(crate) fn render(&self, now: UnixMillis) -> Response {
        let problem = Problem {
            status: self.status.as_u16(),
            code: self.code.into(),
            detail: self.detail.clone(),
            server_time_ms: now.0,
        };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(problem::MEDIA_TYPE));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = self.challenge() {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }

    /// RFC 9449 §7.1 for devices, RFC 6750 §3 for applications.
    fn challenge(&self) -> Option<&'static str> {
        if self.status != StatusCode::UNAUTHORIZED {
            return None;
        }
        match self.code {
            code::PROOF_INVALID | code::PROOF_REPLAYED | code::CLOCK_SKEW => {
                Some(r#"DPoP error="invalid_dpop_proof", algs="ES256""#)
            }
            code::TOKEN_INVALID
            | code::TOKEN_EXPIRED
            | code::DEVICE_UNKNOWN
            | code::DEVICE_OFFBOARDED => Some(r#"DPoP error="invalid_token", algs="ES256""#),
            bearer::REQUIRED => Some(r#"Bearer realm="bartizan""#),
            bearer::INVALID | bearer::EXPIRED => {
                Some(r#"Bearer realm="bartizan", error="invalid_token""#)
            }
            _ => None,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { what } => Self::not_found(what),
            StoreError::Conflict { what: CHANGED_SINCE } => {
                let detail = "it has changed since: get it again, and decide again";
                Self::new(StatusCode::PRECONDITION_FAILED, CHANGED, detail)
            }
            StoreError::Conflict { what } => {
                Self::new(StatusCode::CONFLICT, CONFLICT, format!("{what} has changed"))
            }
            StoreError::Full { .. } | StoreError::LastAdministrator => {
                Self::new(StatusCode::CONFLICT, CONFLICT, error.to_string())
            }
            StoreError::Busy | StoreError::Closed => Self::unavailable(),
            StoreError::Unavailable(_) if error.is_disk_full() => {
                tracing::error!(error = &error as &dyn Error, "request failed");
                come_back_later(NO_ROOM)
            }
            StoreError::Damaged { .. } | StoreError::Unavailable(_) => Self::internal(&error),
        }
    }
}

/// What is wrong with an application's access token (RFC 6750 §3).
pub(crate) mod bearer {
    pub(crate) const REQUIRED: &str = "api_token_required";
    pub(crate) const INVALID: &str = "api_token_invalid";
    pub(crate) const EXPIRED: &str = "api_token_expired";
}

const PERMISSION_MISSING: &str = "permission_missing";
const CONFLICT: &str = "conflict";
const NO_ROOM: &str = "the portal's disk is full; nothing was stored, try again later";
/// `If-Match` stands for another state.
const CHANGED: &str = "changed_since";
/// Long enough for a queue to drain, short enough that nobody gives up.
const RETRY_AFTER_S: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_inside_is_not_told() {
        let cause = std::io::Error::other("disk of db.example is on fire at /srv/secret");
        for error in [
            ApiError::internal(&cause),
            ApiError::from(StoreError::Damaged { column: "member.password" }),
            ApiError::from(StoreError::Unavailable(Box::new(cause))),
        ] {
            assert_eq!(error.status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(error.detail, "the portal cannot answer now; try again");
        }
    }
}
