//! Alerts: taken in once, joined when it is the same threat again, listed newest first.
//!
//! *Same threat again*: an alert of the same device, detector and host (no host is a subject too) joins
//! an unresolved one if no more than [`JOIN_WINDOW_MS`] lie between the two.
//!
//! # Invariants
//! - An upload id of a device counts once, however often it comes (`alert_receipt`).
//! - A device's stamps are claims: they are clamped into the [`OLDEST_MS`] before the alert was received.

use std::fmt;
use std::str::FromStr;

use crate::db::{Connection, Optional, Row, Value, params};
use bartizan_model::{
    Alert, AlertId, AlertStatus, Detector, DeviceId, DomainName, IndicatorAction, IndicatorSource,
    Severity, UnixMillis, UnresolvedAlerts,
};
use serde_json::json;
use uuid::Uuid;

use crate::audit::{self, Event};
use crate::column::{count, found, fresh_id, int, ms, time, word};
use crate::{DeviceRow, MemberId, Store, StoreError, TenantScope, device};

/// An alert in the portal: a `UUIDv7`. Several uploads may have joined in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AlertKey(pub u128);

impl fmt::Display for AlertKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u128(self.0).hyphenated().fmt(out)
    }
}

/// Not an alert's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an alert's key")]
pub struct AlertKeyError;

impl FromStr for AlertKey {
    type Err = AlertKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = Uuid::try_parse(text).map(|id| Self(id.as_u128())).map_err(|_| AlertKeyError)?;
        // Accept only the one spelling we write.
        if key.to_string() == text { Ok(key) } else { Err(AlertKeyError) }
    }
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingested {
    /// On disk, including those that were there before.
    pub durable: Vec<AlertId>,
    /// How many were not there before.
    pub fresh: usize,
}

/// An alert, as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRow {
    /// Its key.
    pub key: AlertKey,
    /// The device that raised it.
    pub device: DeviceId,
    /// The name its person gave the device.
    pub device_name: String,
    /// What found it.
    pub detector: Detector,
    /// How bad it is.
    pub severity: Severity,
    /// What the attacker was after, in Defender's words.
    pub category: String,
    /// One line for people.
    pub title: String,
    /// The host it is about; absent where policy keeps it on the device.
    pub host: Option<DomainName>,
    /// The indicator that decided, as it is written.
    pub matched: Option<String>,
    /// The feed that lists it; absent for an indicator of the organization's own.
    pub source: Option<String>,
    /// The organization's own indicator.
    pub indicator: Option<u64>,
    /// What was done.
    pub action: IndicatorAction,
    /// By the device's clock, clamped.
    pub first_seen_at: UnixMillis,
    /// By the device's clock, clamped.
    pub last_seen_at: UnixMillis,
    /// When the first upload of it came.
    pub received_at: UnixMillis,
    /// How often it happened.
    pub count: u64,
    /// The indicator file that decided.
    pub indicator_epoch: u64,
    /// How far it has been dealt with.
    pub status: AlertStatus,
    /// When somebody last changed the status.
    pub status_at: Option<UnixMillis>,
    /// The name of who did.
    pub status_by: Option<String>,
}

impl AlertRow {
    /// Returns the cursor of the page that follows this alert.
    #[must_use]
    pub fn cursor(&self) -> AlertCursor {
        AlertCursor { last_seen_at: self.last_seen_at, key: self.key }
    }
}

/// An alert with the device that raised it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertDetail {
    /// The alert.
    pub alert: AlertRow,
    /// The device.
    pub device: DeviceRow,
}

/// Where a page of alerts ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertCursor {
    /// Of the last alert of the page.
    pub last_seen_at: UnixMillis,
    /// Of the last alert of the page.
    pub key: AlertKey,
}

/// Which alerts to list; nothing means all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// Only those of this severity.
    pub severity: Option<Severity>,
    /// Only those of which this became.
    pub status: StatusFilter,
    /// Only those that this device raised.
    pub device: Option<DeviceId>,
}

/// Which alerts to list, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatusFilter {
    /// All.
    #[default]
    Any,
    /// Whatever is not resolved: what there is to do.
    Unresolved,
    /// All of one status.
    Only(AlertStatus),
}

impl Store {
    /// Takes in what a device raised; returns when it is on disk.
    ///
    /// # Errors
    /// The tenant has no such device.
    pub async fn ingest_alerts(
        &self,
        scope: TenantScope,
        device: DeviceId,
        alerts: Vec<Alert>,
        received_at: UnixMillis,
    ) -> Result<Ingested, StoreError> {
        self.db
            .write(scope, move |db| {
                let ingest = Ingest { db, scope, device: device.0.to_be_bytes(), received_at };
                ingest.all(&alerts)
            })
            .await
    }

    /// Lists alerts, last seen first, from after the cursor on.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn alerts(
        &self,
        scope: TenantScope,
        filter: AlertFilter,
        after: Option<AlertCursor>,
        limit: u32,
    ) -> Result<Vec<AlertRow>, StoreError> {
        self.db.read(scope, move |db| list(db, scope, filter, after, limit)).await
    }

    /// Returns an alert with its device.
    ///
    /// # Errors
    /// The tenant has no such alert.
    pub async fn alert(
        &self,
        scope: TenantScope,
        key: AlertKey,
    ) -> Result<AlertDetail, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(concat!(
                    alert_columns!(),
                    "WHERE a.tenant_id = ?1 AND a.alert_id = ?2"
                ))?;
                let mut rows = statement.query(params![scope.id(), key.0.to_be_bytes()])?;
                let alert = rows
                    .next()?
                    .map_or(Err(StoreError::NotFound { what: "alert" }), |row| read(&row))?;
                let device = device::one(db, scope, alert.device)?;
                Ok(AlertDetail { alert, device })
            })
            .await
    }

    /// Notes how far an alert has been dealt with, by whom and when.
    ///
    /// # Errors
    /// The tenant has no such alert.
    pub async fn set_alert_status(
        &self,
        scope: TenantScope,
        key: AlertKey,
        status: AlertStatus,
        by: MemberId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let changed = db
                    .prepare_cached(
                        "UPDATE alert SET status = ?3, status_by = ?4, status_at_ms = ?5
                         WHERE tenant_id = ?1 AND alert_id = ?2",
                    )?
                    .execute(params![
                        scope.id(),
                        key.0.to_be_bytes(),
                        status.word(),
                        by.column(),
                        ms(now)
                    ])?;
                if changed == 0 {
                    return Err(StoreError::NotFound { what: "alert" });
                }
                let event = Event::new("alert.status", "alert", key)
                    .detail(json!({ "after": status.word() }));
                audit::append(db, scope, event, now)
            })
            .await
    }

    /// Counts the tenant's unresolved alerts.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn unresolved_alerts(
        &self,
        scope: TenantScope,
    ) -> Result<UnresolvedAlerts, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(
                    "SELECT severity, count(*) FROM alert
                     WHERE tenant_id = ?1 AND status <> 'Resolved' GROUP BY severity",
                )?;
                let mut rows = statement.query([scope.id()])?;
                let mut unresolved = UnresolvedAlerts::default();
                while let Some(row) = rows.next()? {
                    let severity: String = row.get(0)?;
                    let severity = word("severity", &severity, Severity::from_word)?;
                    unresolved.add(severity, count(row.get(1)?));
                }
                Ok(unresolved)
            })
            .await
    }
}

/// One batch on its way in.
struct Ingest<'db> {
    db: &'db Connection,
    scope: TenantScope,
    device: [u8; 16],
    received_at: UnixMillis,
}

impl Ingest<'_> {
    fn all(&self, alerts: &[Alert]) -> Result<Ingested, StoreError> {
        let row = self
            .db
            .prepare_cached("SELECT 1 FROM device WHERE tenant_id = ?1 AND device_id = ?2")?
            .query_row(params![self.scope.id(), self.device], |_| Ok(()));
        found(row, "device")?;
        let mut ingested = Ingested { durable: Vec::with_capacity(alerts.len()), fresh: 0 };
        for alert in alerts {
            if !self.is_known(alert.id)? {
                self.one(alert)?;
                ingested.fresh += 1;
            }
            ingested.durable.push(alert.id);
        }
        Ok(ingested)
    }

    fn is_known(&self, upload: AlertId) -> Result<bool, StoreError> {
        let known = self
            .db
            .prepare_cached(
                "SELECT 1 FROM alert_receipt
                 WHERE tenant_id = ?1 AND device_id = ?2 AND upload_id = ?3",
            )?
            .exists(params![self.scope.id(), self.device, upload.0.to_be_bytes()])?;
        Ok(known)
    }

    fn one(&self, alert: &Alert) -> Result<(), StoreError> {
        let received = self.received_at.0;
        let oldest = received.saturating_sub(OLDEST_MS);
        let last = alert.last_seen.0.clamp(oldest, received);
        let first = alert.first_seen.0.clamp(oldest, last);
        self.count_hits(alert, last)?;
        let key = match self.same_threat(alert, first, last)? {
            Some(key) => {
                self.join(key, alert, first, last)?;
                key
            }
            None => self.insert(alert, first, last)?,
        };
        self.db
            .prepare_cached(
                "INSERT INTO alert_receipt (tenant_id, device_id, upload_id, alert_id, received_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                self.scope.id(),
                self.device,
                alert.id.0.to_be_bytes(),
                key,
                int(received)
            ])?;
        Ok(())
    }

    /// Counts what was stopped, warned of or watched into the entry that did so, and into its feed. A warning that was
    /// passed has been counted when it was given.
    fn count_hits(&self, alert: &Alert, last: u64) -> Result<(), StoreError> {
        if alert.detector == Detector::WebPhishingOverridden {
            return Ok(());
        }
        let Some(matched) = &alert.matched else { return Ok(()) };
        let source = match &matched.source {
            IndicatorSource::Feed(name) => name,
            IndicatorSource::Tenant(_) => "",
        };
        self.db
            .prepare_cached(
                "INSERT INTO indicator_hit (tenant_id, source, pattern, hits, last_hit_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (tenant_id, source, pattern) DO UPDATE SET
                     hits = indicator_hit.hits + ?4,
                     last_hit_at_ms = greatest(indicator_hit.last_hit_at_ms, ?5)",
            )?
            .execute(params![self.scope.id(), source, &*matched.entry, alert.count, int(last)])?;
        Ok(())
    }

    fn same_threat(
        &self,
        alert: &Alert,
        first: u64,
        last: u64,
    ) -> Result<Option<[u8; 16]>, StoreError> {
        let key = self
            .db
            .prepare_cached(
                "SELECT alert_id FROM alert
                 WHERE tenant_id = ?1 AND device_id = ?2 AND detector = ?3 AND host IS NOT DISTINCT FROM ?4
                     AND status <> 'Resolved' AND ?5 <= last_seen_at_ms AND first_seen_at_ms <= ?6
                 ORDER BY last_seen_at_ms DESC LIMIT 1",
            )?
            .query_row(
                params![
                    self.scope.id(),
                    self.device,
                    alert.detector.id(),
                    alert.host.as_ref().map(DomainName::as_str),
                    int(first.saturating_sub(JOIN_WINDOW_MS)),
                    int(last.saturating_add(JOIN_WINDOW_MS)),
                ],
                |row| row.get(0),
            )
            .optional()?;
        Ok(key)
    }

    fn join(&self, key: [u8; 16], alert: &Alert, first: u64, last: u64) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "UPDATE alert SET count = count + ?3,
                     first_seen_at_ms = least(first_seen_at_ms, ?4),
                     last_seen_at_ms = greatest(last_seen_at_ms, ?5),
                     indicator_epoch = greatest(indicator_epoch, ?6)
                 WHERE tenant_id = ?1 AND alert_id = ?2",
            )?
            .execute(params![
                self.scope.id(),
                key,
                alert.count,
                int(first),
                int(last),
                int(alert.indicator_epoch)
            ])?;
        Ok(())
    }

    fn insert(&self, alert: &Alert, first: u64, last: u64) -> Result<[u8; 16], StoreError> {
        let key = fresh_id(self.received_at)?;
        let (source, own) = match alert.matched.as_ref().map(|matched| &matched.source) {
            Some(IndicatorSource::Feed(name)) => (Some(name), None),
            Some(IndicatorSource::Tenant(id)) => (None, Some(int(*id))),
            None => (None, None),
        };
        let (title, severity) = self.told(alert.detector, own)?;
        self.db
            .prepare_cached(
                "INSERT INTO alert (tenant_id, alert_id, device_id, detector, severity, category, title,
                                    host, matched, first_seen_at_ms, last_seen_at_ms, received_at_ms,
                                    count, indicator_epoch, status, source, indicator_id, action)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 'New', ?15, ?16, ?17)",
            )?
            .execute(params![
                self.scope.id(),
                key,
                self.device,
                alert.detector.id(),
                severity,
                alert.detector.category().word(),
                &*title,
                alert.host.as_ref().map(DomainName::as_str),
                alert.matched.as_ref().map(|matched| &*matched.entry),
                int(first),
                int(last),
                ms(self.received_at),
                alert.count,
                int(alert.indicator_epoch),
                source.map(|name| &**name),
                own,
                alert.action.word(),
            ])?;
        Ok(key)
    }

    /// Returns title and severity: an own indicator says them itself, as long as it is there. That somebody went on in
    /// spite of a warning is another thing to say.
    fn told(&self, detector: Detector, own: Option<i64>) -> Result<(String, String), StoreError> {
        let own = match own.filter(|_| detector != Detector::WebPhishingOverridden) {
            Some(id) => self
                .db
                .prepare_cached(
                    "SELECT title, severity FROM indicator WHERE tenant_id = ?1 AND indicator_id = ?2",
                )?
                .query_row(params![self.scope.id(), id], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?,
            None => None,
        };
        Ok(own.unwrap_or_else(|| (detector.title().into(), detector.severity().word().into())))
    }
}

fn list(
    db: &Connection,
    scope: TenantScope,
    filter: AlertFilter,
    after: Option<AlertCursor>,
    limit: u32,
) -> Result<Vec<AlertRow>, StoreError> {
    // Fixed pieces only; what a caller says is always a parameter.
    let mut sql = concat!(alert_columns!(), "WHERE a.tenant_id = ?").to_owned();
    let mut values = vec![Value::from(scope.id())];
    // The index on what is unresolved serves only statements that say so in these words.
    match filter.status {
        StatusFilter::Any | StatusFilter::Only(AlertStatus::Resolved) => {}
        StatusFilter::Unresolved
        | StatusFilter::Only(AlertStatus::New | AlertStatus::InProgress) => {
            sql.push_str(" AND a.status <> 'Resolved'");
        }
    }
    let mut narrow = |piece: &str, value: Value| {
        sql.push_str(piece);
        values.push(value);
    };
    if let Some(severity) = filter.severity {
        narrow(" AND a.severity = ?", severity.word().to_owned().into());
    }
    if let StatusFilter::Only(status) = filter.status {
        narrow(" AND a.status = ?", status.word().to_owned().into());
    }
    if let Some(device) = filter.device {
        narrow(" AND a.device_id = ?", device.0.to_be_bytes().to_vec().into());
    }
    if let Some(after) = after {
        narrow(" AND (a.last_seen_at_ms, a.alert_id) < (?,", ms(after.last_seen_at).into());
        narrow(" ?)", after.key.0.to_be_bytes().to_vec().into());
    }
    narrow(
        " ORDER BY a.last_seen_at_ms DESC, a.alert_id DESC LIMIT ?",
        Value::from(i64::from(limit)),
    );
    let statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(values)?;
    let mut alerts = Vec::new();
    while let Some(row) = rows.next()? {
        alerts.push(read(&row)?);
    }
    Ok(alerts)
}

/// Reads the columns of [`alert_columns`].
fn read(row: &Row<'_>) -> Result<AlertRow, StoreError> {
    let name = |column: &'static str, text: Option<String>| {
        let parse = |text: String| DomainName::parse_host(text.as_bytes());
        text.map(parse).transpose().map_err(|_| StoreError::Damaged { column })
    };
    let detector: String = row.get(3)?;
    let severity: String = row.get(4)?;
    let status: String = row.get(14)?;
    Ok(AlertRow {
        key: AlertKey(u128::from_be_bytes(row.get(0)?)),
        device: DeviceId(u128::from_be_bytes(row.get(1)?)),
        device_name: row.get(2)?,
        detector: word("detector", &detector, Detector::from_id)?,
        severity: word("severity", &severity, Severity::from_word)?,
        category: row.get(5)?,
        title: row.get(6)?,
        host: name("host", row.get(7)?)?,
        matched: row.get(8)?,
        first_seen_at: time(row.get(9)?),
        last_seen_at: time(row.get(10)?),
        received_at: time(row.get(11)?),
        count: count(row.get(12)?),
        indicator_epoch: count(row.get(13)?),
        status: word("status", &status, AlertStatus::from_word)?,
        status_at: row.get::<Option<i64>>(15)?.map(time),
        status_by: row.get(16)?,
        source: row.get(17)?,
        indicator: row.get::<Option<i64>>(18)?.map(count),
        action: word("action", &row.get::<String>(19)?, IndicatorAction::from_word)?,
    })
}

/// What [`read`] reads.
macro_rules! alert_columns {
    () => {
        "SELECT a.alert_id, a.device_id, d.device_name, a.detector, a.severity, a.category, a.title,
                a.host, a.matched, a.first_seen_at_ms, a.last_seen_at_ms, a.received_at_ms, a.count,
                a.indicator_epoch, a.status, a.status_at_ms, m.name, a.source, a.indicator_id, a.action
         FROM alert AS a
         JOIN device AS d ON d.tenant_id = a.tenant_id AND d.device_id = a.device_id
         LEFT JOIN member AS m ON m.tenant_id = a.tenant_id AND m.member_id = a.status_by
         "
    };
}
use alert_columns;

/// 24 hours.
const JOIN_WINDOW_MS: u64 = 24 * 60 * 60 * 1_000;
/// 30 days: longer than a device keeps an alert that it cannot deliver.
const OLDEST_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
