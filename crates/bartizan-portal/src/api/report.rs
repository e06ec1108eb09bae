//! `POST report`: what a person at a device says about a site.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bartizan_contract::problem::code;
use bartizan_contract::report::{SiteReport, SiteReportReply};
use bartizan_store::{NewSiteReport, SiteReportKind, StoreError};

use crate::device_auth::{Device, unknown};
use crate::error::ApiError;
use crate::request::Message;
use crate::state::AppState;

pub(crate) async fn report(
    State(state): State<AppState>,
    device: Device,
    Message(report): Message<SiteReport>,
) -> Result<Json<SiteReportReply>, ApiError> {
    let id = report.check().map_err(|error| ApiError::malformed(error.to_string()))?;
    let new = NewSiteReport {
        id: id.0,
        kind: SiteReportKind::from_word(&report.kind)
            .ok_or_else(|| ApiError::malformed("kind is not known"))?,
        host: report.host,
        pattern: report.matched,
        source: report.source.unwrap_or_default(),
        comment: report.comment,
        indicator_epoch: report.indicator_epoch,
    };
    let now = state.clock.now();
    let stored = state.store.add_site_report(device.scope, device.id, new, now).await;
    match stored {
        Ok(fresh) => Ok(Json(SiteReportReply { fresh })),
        Err(StoreError::Busy) => {
            let detail = "too many reports of this device wait for a decision";
            let mut error =
                ApiError::new(StatusCode::TOO_MANY_REQUESTS, code::RATE_LIMITED, detail);
            error.retry_after = Some(AN_HOUR_S);
            Err(error)
        }
        Err(error) => Err(unknown(error)),
    }
}

const AN_HOUR_S: u64 = 3_600;
