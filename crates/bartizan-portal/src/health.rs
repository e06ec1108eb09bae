//! Whether the portal lives, and whether it can work.

use axum::extract::State;
use axum::http::StatusCode;
use bartizan_contract::problem::code;
use bartizan_store::StoreError;

use crate::error::ApiError;
use crate::state::AppState;

/// `GET /livez`: the process answers.
pub(crate) async fn live() -> &'static str {
    "alive\n"
}

/// `GET /readyz`: the database was written and read, and the portal is not shutting down.
pub(crate) async fn ready(State(state): State<AppState>) -> Result<&'static str, ApiError> {
    if *state.closing.borrow() {
        return Err(not_ready("shutting down"));
    }
    match state.store.check(state.clock.now()).await {
        Ok(()) => Ok("ready\n"),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "not ready");
            Err(not_ready(match error {
                StoreError::Unavailable(_) if error.is_disk_full() => {
                    "the disk under the database is full"
                }
                StoreError::Busy => "database is overloaded",
                StoreError::Closed => "database is closed",
                StoreError::Damaged { .. } => "database does not keep what is written",
                StoreError::NotFound { .. }
                | StoreError::Conflict { .. }
                | StoreError::Full { .. }
                | StoreError::LastAdministrator
                | StoreError::Unavailable(_) => "database cannot be written or read",
            }))
        }
    }
}

fn not_ready(why: &str) -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE, why)
}
