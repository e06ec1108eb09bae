//! Alerts, listed newest first. `ingest` takes them in, `triage` is what people do with them.

use std::fmt;
use std::str::FromStr;

use bartizan_model::{
    AlertId, AlertStatus, Detector, DeviceId, DomainName, IndicatorAction, Severity, UnixMillis,
    UnresolvedAlerts,
};
use uuid::Uuid;

use crate::column::{count, ms, time, word};
use crate::db::{Connection, Optional, Row, Value, params};
use crate::sight::{MOST_WALKED, Sorting, Within};
use crate::{DeviceRow, IncidentId, Sight, Store, StoreError, TenantScope, Verdict, device};

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
    /// Whether it was real, as far as somebody has said.
    pub verdict: Verdict,
    /// The name of who takes care.
    pub assigned_to: Option<String>,
    /// What it belongs to; absent in alerts from before there were incidents.
    pub incident: Option<IncidentId>,
    /// When a device or somebody last changed something about it.
    pub updated_at: UnixMillis,
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
    /// Only those of this incident.
    pub incident: Option<IncidentId>,
}

/// In which order alerts are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertOrder {
    /// By when they were last changed, and not by when they were last seen.
    pub by_update: bool,
    /// The oldest first.
    pub ascending: bool,
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
    /// Lists alerts, last seen first, from after the cursor on.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn alerts(
        &self,
        sight: Sight,
        filter: AlertFilter,
        after: Option<AlertCursor>,
        limit: u32,
    ) -> Result<Vec<AlertRow>, StoreError> {
        let after = after.map(|after| (after.last_seen_at, after.key));
        self.alerts_in_order(sight, filter, AlertOrder::default(), after, limit).await
    }

    /// Lists alerts in an order, from after the alert with this time and key on.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn alerts_in_order(
        &self,
        sight: Sight,
        filter: AlertFilter,
        order: AlertOrder,
        after: Option<(UnixMillis, AlertKey)>,
        limit: u32,
    ) -> Result<Vec<AlertRow>, StoreError> {
        self.db.read(sight, move |db| list(db, sight, filter, order, after, limit)).await
    }

    /// Returns an alert with its device.
    ///
    /// # Errors
    /// The tenant has no such alert.
    pub async fn alert(&self, sight: Sight, key: AlertKey) -> Result<AlertDetail, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.alert(db, scope, key)?;
                let alert = row(db, scope, key)?;
                let device = device::one(db, scope, alert.device)?;
                Ok(AlertDetail { alert, device })
            })
            .await
    }

    /// Counts the alerts that a filter takes; at once where it asks for severity and status alone.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn alerts_matching(
        &self,
        sight: Sight,
        filter: AlertFilter,
    ) -> Result<u64, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                matching(db, scope, &within, filter)
            })
            .await
    }

    /// Counts the tenant's unresolved alerts.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn unresolved_alerts(&self, sight: Sight) -> Result<UnresolvedAlerts, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                if !within.is_whole() {
                    return unresolved_of(db, scope, &within);
                }
                let statement = db.prepare_cached(
                    "SELECT severity, alerts FROM alert_count
                     WHERE tenant_id = ?1 AND status <> 'Resolved'",
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

/// Reads one alert.
pub(crate) fn row(
    db: &Connection,
    scope: TenantScope,
    key: AlertKey,
) -> Result<AlertRow, StoreError> {
    let statement =
        db.prepare_cached(concat!(alert_columns!(), "WHERE a.tenant_id = ?1 AND a.alert_id = ?2"))?;
    let mut rows = statement.query(params![scope.id(), key.0.to_be_bytes()])?;
    rows.next()?.map_or(Err(StoreError::NotFound { what: "alert" }), |row| read(&row))
}

/// Counts the alerts that a filter takes.
pub(crate) fn matching(
    db: &Connection,
    scope: TenantScope,
    within: &Within,
    filter: AlertFilter,
) -> Result<u64, StoreError> {
    let is_counted = filter.device.is_none() && filter.incident.is_none();
    let mut sql = if !within.is_whole() {
        "SELECT count(*) FROM alert AS a
         JOIN device AS d ON d.tenant_id = a.tenant_id AND d.device_id = a.device_id
         WHERE a.tenant_id = ?"
    } else if is_counted {
        "SELECT CAST(coalesce(sum(a.alerts), 0) AS BIGINT) FROM alert_count AS a WHERE a.tenant_id = ?"
    } else {
        "SELECT count(*) FROM alert AS a WHERE a.tenant_id = ?"
    }
    .to_owned();
    let mut values = vec![Value::from(scope.id())];
    within.narrow(&mut sql, &mut values, "d.group_id");
    filter.narrow(&mut sql, &mut values);
    Ok(count(db.prepare_cached(&sql)?.query_row(values, |row| row.get(0))?))
}

/// Counts the unresolved alerts of some groups' devices, which count their own.
fn unresolved_of(
    db: &Connection,
    scope: TenantScope,
    within: &Within,
) -> Result<UnresolvedAlerts, StoreError> {
    let sum = |column| format!("CAST(coalesce(sum(s.unresolved_{column}), 0) AS BIGINT)");
    let sums = ["high", "medium", "low", "informational"].map(sum).join(", ");
    let mut sql = format!(
        "SELECT {sums} FROM device_status AS s
         JOIN device AS d ON d.tenant_id = s.tenant_id AND d.device_id = s.device_id
         WHERE s.tenant_id = ?"
    );
    let mut values = vec![Value::from(scope.id())];
    within.narrow(&mut sql, &mut values, "d.group_id");
    let unresolved = db.prepare_cached(&sql)?.query_row(values, |row| {
        Ok(UnresolvedAlerts {
            high: count(row.get(0)?),
            medium: count(row.get(1)?),
            low: count(row.get(2)?),
            informational: count(row.get(3)?),
        })
    })?;
    Ok(unresolved)
}

/// Adds to how many alerts of a status and severity there are.
pub(crate) fn count_alerts(
    db: &Connection,
    scope: TenantScope,
    status: AlertStatus,
    severity: &str,
    more: i64,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO alert_count (tenant_id, status, severity, alerts) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (tenant_id, status, severity) DO UPDATE SET
             alerts = alert_count.alerts + excluded.alerts",
    )?
    .execute(params![scope.id(), status.word(), severity, more])?;
    Ok(())
}

impl StatusFilter {
    /// Whether alerts of a status are among them.
    pub(crate) fn takes(self, status: AlertStatus) -> bool {
        match self {
            Self::Any => true,
            Self::Unresolved => status != AlertStatus::Resolved,
            Self::Only(only) => status == only,
        }
    }
}

impl AlertFilter {
    /// Adds its conditions on `alert AS a` to a statement: fixed pieces only, what a caller says is always a parameter.
    pub(crate) fn narrow(self, sql: &mut String, values: &mut Vec<Value>) {
        // The index on what is unresolved serves only statements that say so in these words.
        match self.status {
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
        if let Some(severity) = self.severity {
            narrow(" AND a.severity = ?", severity.word().into());
        }
        if let StatusFilter::Only(status) = self.status {
            narrow(" AND a.status = ?", status.word().into());
        }
        if let Some(device) = self.device {
            narrow(" AND a.device_id = ?", device.0.to_be_bytes().into());
        }
        if let Some(incident) = self.incident {
            narrow(" AND a.incident_id = ?", incident.0.to_be_bytes().into());
        }
    }
}

fn list(
    db: &Connection,
    sight: Sight,
    filter: AlertFilter,
    order: AlertOrder,
    after: Option<(UnixMillis, AlertKey)>,
    limit: u32,
) -> Result<Vec<AlertRow>, StoreError> {
    let (scope, within) = sight.open(db)?;
    let column = if order.by_update { "a.updated_at_ms" } else { "a.last_seen_at_ms" };
    let (later, direction) = if order.ascending { (">", "") } else { ("<", " DESC") };
    // Fixed pieces only; what a caller says is always a parameter.
    let narrow = |sql: &mut String, values: &mut Vec<Value>| {
        filter.narrow(sql, values);
        if let Some((at, key)) = after {
            sql.push_str(&format!(" AND ({column}, a.alert_id) {later} (?, ?)"));
            values.extend([ms(at).into(), key.0.to_be_bytes().into()]);
        }
    };
    let page = |sorting: Sorting, until: Option<i64>| -> Result<Vec<AlertRow>, StoreError> {
        let mut sql = concat!(alert_columns!(), "WHERE a.tenant_id = ?").to_owned();
        let mut values = vec![Value::from(scope.id())];
        within.narrow(&mut sql, &mut values, "d.group_id");
        narrow(&mut sql, &mut values);
        if let Some(until) = until {
            let earlier = if order.ascending { "<=" } else { ">=" };
            sql.push_str(&format!(" AND {column} {earlier} ?"));
            values.push(until.into());
        }
        let addend = sorting.addend();
        sql.push_str(&format!(
            " ORDER BY {column}{addend}{direction}, a.alert_id{direction} LIMIT ?"
        ));
        values.push(i64::from(limit).into());
        let mut rows = db.prepare_cached(&sql)?.query(values)?;
        let mut alerts = Vec::new();
        while let Some(row) = rows.next()? {
            alerts.push(read(&row)?);
        }
        Ok(alerts)
    };
    // What one device has, or one incident, is little.
    if within.is_whole() || filter.device.is_some() || filter.incident.is_some() {
        return page(Sorting::Walk, None);
    }
    within.page(db, scope, limit, page, || {
        let mut sql = format!("SELECT {column} FROM alert AS a WHERE a.tenant_id = ?");
        let mut values = vec![Value::from(scope.id())];
        narrow(&mut sql, &mut values);
        sql.push_str(&format!(
            " ORDER BY {column}{direction}, a.alert_id{direction} LIMIT 1 OFFSET {MOST_WALKED}"
        ));
        Ok(db.prepare_cached(&sql)?.query_row(values, |row| row.get(0)).optional()?)
    })
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
        detector: word("detector", &detector, stored_detector)?,
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
        verdict: Verdict { classification: row.get(20)?, determination: row.get(21)? },
        assigned_to: row.get(22)?,
        incident: row.get::<Option<[u8; 16]>>(23)?.map(|id| IncidentId(u128::from_be_bytes(id))),
        updated_at: time(row.get(24)?),
        action: word("action", &row.get::<String>(19)?, IndicatorAction::from_word)?,
    })
}

/// Reads the id of a detector, also of what no device may say.
fn stored_detector(id: &str) -> Option<Detector> {
    Detector::from_id(id).or_else(|| (id == Detector::External.id()).then_some(Detector::External))
}

/// What [`read`] reads.
macro_rules! alert_columns {
    () => {
        "SELECT a.alert_id, a.device_id, d.device_name, a.detector, a.severity, a.category, a.title,
                a.host, a.matched, a.first_seen_at_ms, a.last_seen_at_ms, a.received_at_ms, a.count,
                a.indicator_epoch, a.status, a.status_at_ms, m.name, a.source, a.indicator_id, a.action,
                a.classification, a.determination, t.name, a.incident_id, a.updated_at_ms
         FROM alert AS a
         JOIN device AS d ON d.tenant_id = a.tenant_id AND d.device_id = a.device_id
         LEFT JOIN member AS m ON m.tenant_id = a.tenant_id AND m.member_id = a.status_by
         LEFT JOIN member AS t ON t.tenant_id = a.tenant_id AND t.member_id = a.assigned_to
         "
    };
}
use alert_columns;
