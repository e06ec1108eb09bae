//! Site reports: what people at devices say about a site, and what was decided.
//!
//! # Invariants
//! - A report's id counts once, however often it comes.
//! - A device has at most [`MAX_PER_DEVICE`] reports that nobody has decided on.

use bartizan_model::{AlertId, DeviceId, UnixMillis};
use serde_json::json;
use uuid::Uuid;

use crate::audit::{self, Event};
use crate::column::{count, found, int, ms, time, word};
use crate::db::{Connection, Row, Value, params};
use crate::{Sight, Store, StoreError, TenantScope};

/// What is said about a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteReportKind {
    /// It was stopped and is harmless.
    FalsePositive,
    /// It was let through and is not.
    Unsafe,
}

impl SiteReportKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::FalsePositive, Self::Unsafe];

    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::FalsePositive => "false-positive",
            Self::Unsafe => "unsafe",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteReportStatus {
    /// Nothing yet.
    New,
    /// It is so.
    Accepted,
    /// It is not so.
    Rejected,
}

impl SiteReportStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::New, Self::Accepted, Self::Rejected];

    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }
}

/// What a device says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSiteReport {
    /// The ULID that the device gave it.
    pub id: u128,
    /// What is said.
    pub kind: SiteReportKind,
    /// The site's host.
    pub host: String,
    /// The entry that matched.
    pub pattern: Option<String>,
    /// Who listed it, as the device has it; may be empty.
    pub source: String,
    /// In the person's words; may be empty.
    pub comment: String,
    /// The indicator file in use.
    pub indicator_epoch: Option<u64>,
}

impl NewSiteReport {
    /// Returns the id as the device wrote it.
    #[must_use]
    pub fn id_text(&self) -> String {
        AlertId(self.id).to_string()
    }
}

/// A report with what was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteReportRow {
    /// What was said.
    pub report: NewSiteReport,
    /// Who said it.
    pub device: DeviceId,
    /// The name its person gave the device.
    pub device_name: String,
    /// Version of the program.
    pub app_version: String,
    /// By the portal's clock.
    pub reported_at: UnixMillis,
    /// What was decided.
    pub status: SiteReportStatus,
    /// By whom: an e-mail address.
    pub status_by: Option<String>,
}

impl Store {
    /// Stores what a device says; again changes nothing. Tells whether it is new.
    ///
    /// # Errors
    /// The tenant has no such device; or [`StoreError::Busy`] while too many reports of it wait.
    pub async fn add_site_report(
        &self,
        scope: TenantScope,
        device: DeviceId,
        report: NewSiteReport,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        self.db.write(scope, move |db| add(db, scope, device, &report, now)).await
    }

    /// Returns reports, the newest first: of one source, or all.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn site_reports(
        &self,
        sight: Sight,
        source: Option<String>,
        limit: u32,
    ) -> Result<Vec<SiteReportRow>, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                let mut values =
                    vec![Value::from(scope.id()), source.into(), i64::from(limit).into()];
                let inside = within.condition("d.group_id", values.len().saturating_add(1));
                values.extend(within.values());
                let sql = format!(
                    "SELECT r.report_id, r.kind, r.host, r.pattern, r.source, r.comment,
                            r.indicator_epoch, r.device_id, d.device_name, r.app_version,
                            r.reported_at_ms, r.status, r.status_by
                     FROM site_report AS r
                     JOIN device AS d ON d.tenant_id = r.tenant_id AND d.device_id = r.device_id
                     WHERE r.tenant_id = ?1 AND r.source = coalesce(?2, r.source) AND {inside}
                     ORDER BY r.reported_at_ms DESC, r.report_id LIMIT ?3"
                );
                let mut rows = db.prepare_cached(&sql)?.query(values)?;
                let mut reports = Vec::new();
                while let Some(row) = rows.next()? {
                    reports.push(read(&row)?);
                }
                Ok(reports)
            })
            .await
    }

    /// Notes what was decided.
    ///
    /// # Errors
    /// The tenant has no such report.
    pub async fn decide_site_report(
        &self,
        sight: Sight,
        report: u128,
        status: SiteReportStatus,
        by: &str,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let by = by.to_owned();
        self.db
            .write(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                if !within.is_whole() {
                    let device = db
                        .prepare_cached(
                            "SELECT device_id FROM site_report WHERE tenant_id = ?1 AND report_id = ?2",
                        )?
                        .query_row(params![scope.id(), report.to_be_bytes()], |row| row.get(0));
                    let device = DeviceId(u128::from_be_bytes(found(device, "report")?));
                    within.device(db, scope, device)?;
                }
                let changed = db
                    .prepare_cached(
                        "UPDATE site_report SET status = ?3, status_by = ?4, status_at_ms = ?5
                         WHERE tenant_id = ?1 AND report_id = ?2",
                    )?
                    .execute(params![
                        scope.id(),
                        report.to_be_bytes(),
                        status.word(),
                        by,
                        ms(now)
                    ])?;
                if changed == 0 {
                    return Err(StoreError::NotFound { what: "report" });
                }
                let id = Uuid::from_u128(report);
                let event = Event::new("site-report.decide", "site-report", id)
                    .detail(json!({ "after": status.word() }));
                audit::append(db, scope, event, now)
            })
            .await
    }
}

fn add(
    db: &Connection,
    scope: TenantScope,
    device: DeviceId,
    report: &NewSiteReport,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let app_version = db
        .prepare_cached(
            "SELECT app_version FROM device_status WHERE tenant_id = ?1 AND device_id = ?2",
        )?
        .query_row(params![scope.id(), device.0.to_be_bytes()], |row| row.get(0));
    let app_version: String = found(app_version, "device")?;
    let waiting: i64 = db
        .prepare_cached(
            "SELECT count(*) FROM site_report
             WHERE tenant_id = ?1 AND device_id = ?2 AND status = 'new' AND report_id <> ?3",
        )?
        .query_row(params![scope.id(), device.0.to_be_bytes(), report.id.to_be_bytes()], |row| {
            row.get(0)
        })?;
    if MAX_PER_DEVICE <= waiting {
        return Err(StoreError::Busy);
    }
    let added = db
        .prepare_cached(
            "INSERT INTO site_report (tenant_id, report_id, device_id, kind, host, pattern, source,
                                      comment, app_version, indicator_epoch, reported_at_ms, status)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'new') ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            scope.id(),
            report.id.to_be_bytes(),
            device.0.to_be_bytes(),
            report.kind.word(),
            report.host,
            report.pattern,
            report.source,
            report.comment,
            app_version,
            report.indicator_epoch.map(int),
            ms(now),
        ])?;
    Ok(added != 0)
}

fn read(row: &Row<'_>) -> Result<SiteReportRow, StoreError> {
    let (kind, status): (String, String) = (row.get(1)?, row.get(11)?);
    Ok(SiteReportRow {
        report: NewSiteReport {
            id: u128::from_be_bytes(row.get(0)?),
            kind: word("kind", &kind, SiteReportKind::from_word)?,
            host: row.get(2)?,
            pattern: row.get(3)?,
            source: row.get(4)?,
            comment: row.get(5)?,
            indicator_epoch: row.get::<Option<i64>>(6)?.map(count),
        },
        device: DeviceId(u128::from_be_bytes(row.get(7)?)),
        device_name: row.get(8)?,
        app_version: row.get(9)?,
        reported_at: time(row.get(10)?),
        status: word("status", &status, SiteReportStatus::from_word)?,
        status_by: row.get(12)?,
    })
}

/// More than a person writes; a program that writes more is not a person.
const MAX_PER_DEVICE: i64 = 200;
