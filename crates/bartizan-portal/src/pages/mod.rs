//! The console's handlers: extract, ask the store, fill the page of the same name in `console`.

pub(crate) mod account;
pub(crate) mod alert_jobs;
pub(crate) mod alerts;
pub(crate) mod applications;
pub(crate) mod audit;
pub(crate) mod detectors;
pub(crate) mod device_change;
pub(crate) mod device_merge;
pub(crate) mod device_risk;
pub(crate) mod devices;
pub(crate) mod directory;
pub(crate) mod enrollment;
pub(crate) mod feed;
pub(crate) mod feedback;
pub(crate) mod feeds;
pub(crate) mod groups;
pub(crate) mod incident_change;
pub(crate) mod incidents;
pub(crate) mod indicator_file;
pub(crate) mod indicators;
pub(crate) mod licenses;
pub(crate) mod operator;
pub(crate) mod operators;
pub(crate) mod overview;
pub(crate) mod passkey_sign_in;
pub(crate) mod passkeys;
pub(crate) mod people;
pub(crate) mod policy;
pub(crate) mod policy_document;
mod policy_edit;
pub(crate) mod provider_sign_in;
pub(crate) mod retention;
pub(crate) mod roles;
pub(crate) mod second_factor;
pub(crate) mod sign_in_settings;
mod sink_form;
pub(crate) mod sinks;
mod suppression_device;
pub(crate) mod suppressions;
pub(crate) mod tenants;
pub(crate) mod user_groups;
pub(crate) mod users;

use askama::Template;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use bartizan_model::{RiskLevel, UnixMillis};

use crate::console::{AlertRow, DeviceRow, Shell, VisitBanner};
use crate::error::ApiError;
use crate::session::{Session, Visiting};

/// `GET /`: the queue is what people come for.
pub(crate) async fn home() -> Redirect {
    Redirect::to("/alerts")
}

/// Renders a page.
fn html(page: &impl Template) -> Result<Response, ApiError> {
    match page.render() {
        Ok(text) => Ok(Html(text).into_response()),
        Err(error) => Err(ApiError::internal(&error)),
    }
}

/// Tells whether whoever asks can show a page.
pub(crate) fn accepts_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

fn shell(session: Session, notice: Option<String>) -> Shell {
    Shell {
        email: session.email,
        tenant: session.tenant_name,
        one_time_password: session.one_time_password,
        permissions: session.permissions,
        here: session.permissions,
        notice,
        is_operator: session.is_operator,
        visit: session.visit.map(|Visiting { visit, until }| VisitBanner {
            role: visit.role.name(),
            reason: visit.reason,
            until: crate::console::clock(until),
        }),
    }
}

impl From<bartizan_store::AlertRow> for AlertRow {
    fn from(row: bartizan_store::AlertRow) -> Self {
        Self {
            id: row.key.to_string(),
            severity: row.severity,
            title: row.title,
            host: row.host.map(|host| host.to_string()),
            device: row.device,
            device_name: row.device_name,
            status: row.status,
            count: row.count,
            last_seen: row.last_seen_at,
            may_change: true,
        }
    }
}

impl From<bartizan_store::DeviceRow> for DeviceRow {
    fn from(row: bartizan_store::DeviceRow) -> Self {
        Self {
            id: row.id,
            os: format!("{} {}", row.os, row.os_version),
            support: bartizan_store::OsSupport::Supported,
            attestation: row.attestation,
            risk: RiskLevel::of(row.unresolved),
            unresolved: row.unresolved.total(),
            last_seen: last_check_in(&row),
            name: row.device_name,
            app_version: row.app_version,
            protection: row.protection,
        }
    }
}

/// The store dates a device that never checked in by its enrollment.
fn last_check_in(row: &bartizan_store::DeviceRow) -> Option<UnixMillis> {
    row.protection.map(|_| row.last_seen_at)
}

/// Writes where a page of a list ends, for its address.
fn cursor_text(last_seen_at: UnixMillis, id: &impl std::fmt::Display) -> String {
    format!("{}-{id}", last_seen_at.0)
}

/// Reads it back; what makes no sense begins at the beginning.
fn cursor<T: std::str::FromStr>(text: &str) -> Option<(UnixMillis, T)> {
    let (time, id) = text.split_once('-')?;
    Some((UnixMillis(time.parse().ok()?), id.parse().ok()?))
}

/// Rows of a page: a screen or two.
const PAGE: usize = 50;
/// One more, to know whether there is a next page.
const PAGE_AND_ONE: u32 = 51;
