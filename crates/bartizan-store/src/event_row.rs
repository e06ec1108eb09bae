//! Events as they are told: with the alert, incident and device that they point at, as these are now.
//!
//! # Invariants
//! - A page takes four queries, however long it is.

use std::collections::BTreeMap;

use bartizan_model::{DeviceId, RiskLevel, Severity, UnixMillis};

use crate::column::{count, int, time, word};
use crate::db::{Connection, Row, Value, params, query_many};
use crate::{AlertKey, EventKind, GroupId, IncidentId, StoreError, TenantScope};

/// Something that happened, with what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its place among the tenant's.
    pub seq: u64,
    /// When it happened.
    pub at: UnixMillis,
    /// What kind of thing.
    pub kind: EventKind,
    /// JSON: what the rows cannot tell any more.
    pub detail: String,
    /// The device it is about; absent where it is about none, or about one that was never there.
    pub device: Option<EventDevice>,
    /// The alert it is about; absent where retention has removed it.
    pub alert: Option<EventAlert>,
    /// The incident it is about, likewise.
    pub incident: Option<EventIncident>,
}

/// A device, in an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDevice {
    /// Its id.
    pub id: DeviceId,
    /// The name its person gave it.
    pub name: String,
    /// Its system.
    pub os: String,
    /// Of its system; empty once it is forgotten.
    pub os_version: String,
    /// Of the program; empty once it is forgotten.
    pub app_version: String,
    /// What it is at risk of.
    pub risk: RiskLevel,
    /// The group it belongs to.
    pub group: Option<GroupId>,
    /// That group's name.
    pub group_name: Option<String>,
}

/// An alert, in an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventAlert {
    /// Its id.
    pub key: AlertKey,
    /// What raised it.
    pub detector: String,
    /// How bad it is.
    pub severity: Severity,
    /// In the words of Defender's API.
    pub category: String,
    /// In words.
    pub title: String,
    /// Where the device told it.
    pub host: Option<String>,
    /// The entry that matched.
    pub matched: Option<String>,
    /// The feed that listed it.
    pub source: Option<String>,
    /// What was done.
    pub action: String,
    /// By the device's clock.
    pub first_seen_at: UnixMillis,
    /// By the device's clock.
    pub last_seen_at: UnixMillis,
    /// How often it happened.
    pub count: u64,
    /// How far it was dealt with.
    pub status: String,
    /// Whether it was real.
    pub classification: String,
    /// What it was.
    pub determination: String,
    /// What it belongs to.
    pub incident: Option<IncidentId>,
}

/// An incident, in an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventIncident {
    /// Its id.
    pub id: IncidentId,
    /// In words.
    pub title: String,
    /// The worst of its alerts.
    pub severity: Severity,
    /// How many alerts it has.
    pub alerts: u64,
}

/// An event as it is stored.
pub(crate) struct Stored {
    seq: i64,
    at: i64,
    kind: EventKind,
    device: Option<[u8; 16]>,
    object: Option<[u8; 16]>,
    detail: String,
}

impl Stored {
    /// Reads `seq, at_ms, kind, device_id, object_id, detail`.
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, StoreError> {
        let kind: String = row.get(2)?;
        Ok(Self {
            seq: row.get(0)?,
            at: row.get(1)?,
            kind: word("kind", &kind, EventKind::from_word)?,
            device: row.get(3)?,
            object: row.get(4)?,
            detail: row.get(5)?,
        })
    }
}

/// Reads the events after a place.
pub(crate) fn after(
    db: &Connection,
    scope: TenantScope,
    seq: u64,
    limit: u32,
) -> Result<Vec<EventRow>, StoreError> {
    let statement = db.prepare_cached(
        "SELECT seq, at_ms, kind, device_id, object_id, detail FROM event
         WHERE tenant_id = ?1 AND ?2 < seq ORDER BY seq LIMIT ?3",
    )?;
    let mut rows = statement.query(params![scope.id(), int(seq), limit])?;
    let mut stored = Vec::new();
    while let Some(row) = rows.next()? {
        stored.push(Stored::read(&row)?);
    }
    complete(db, scope, stored)
}

/// Adds what events are about.
pub(crate) fn complete(
    db: &Connection,
    scope: TenantScope,
    stored: Vec<Stored>,
) -> Result<Vec<EventRow>, StoreError> {
    let of = |is: fn(EventKind) -> bool| {
        stored.iter().filter(move |event| is(event.kind)).filter_map(|event| event.object)
    };
    let alerts = alerts(db, scope, of(is_of_alert))?;
    let incidents = incidents(db, scope, of(|kind| kind == EventKind::IncidentOpened))?;
    let devices = devices(db, scope, stored.iter().filter_map(|event| event.device))?;
    let rows = stored.into_iter().map(|event| EventRow {
        seq: count(event.seq),
        at: time(event.at),
        kind: event.kind,
        detail: event.detail,
        device: event.device.and_then(|device| devices.get(&device).cloned()),
        alert: event.object.and_then(|alert| alerts.get(&alert).cloned()),
        incident: event.object.and_then(|incident| incidents.get(&incident).cloned()),
    });
    Ok(rows.collect())
}

fn is_of_alert(kind: EventKind) -> bool {
    match kind {
        EventKind::AlertRaised | EventKind::AlertRepeated | EventKind::AlertChanged => true,
        EventKind::IncidentOpened
        | EventKind::RiskChanged
        | EventKind::DeviceEnrolled
        | EventKind::DeviceOffboarded
        | EventKind::Audit => false,
    }
}

fn keys(scope: TenantScope, ids: impl Iterator<Item = [u8; 16]>) -> Vec<Vec<Value>> {
    let mut ids: Vec<_> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().map(|id| vec![scope.id().into(), id.into()]).collect()
}

fn alerts(
    db: &Connection,
    scope: TenantScope,
    ids: impl Iterator<Item = [u8; 16]>,
) -> Result<BTreeMap<[u8; 16], EventAlert>, StoreError> {
    let mut found = BTreeMap::new();
    query_many(
        db,
        "WITH k (tenant_id, alert_id) AS (",
        &keys(scope, ids),
        ") SELECT a.alert_id, a.detector, a.severity, a.category, a.title, a.host, a.matched, a.source,
                  a.action, a.first_seen_at_ms, a.last_seen_at_ms, a.count, a.status, a.classification,
                  a.determination, a.incident_id
           FROM k JOIN alert AS a ON a.tenant_id = k.tenant_id AND a.alert_id = k.alert_id",
        &[],
        |rows| {
            while let Some(row) = rows.next()? {
                let id: [u8; 16] = row.get(0)?;
                let incident: Option<[u8; 16]> = row.get(15)?;
                found.insert(
                    id,
                    EventAlert {
                        key: AlertKey(u128::from_be_bytes(id)),
                        detector: row.get(1)?,
                        severity: severity(&row.get::<String>(2)?),
                        category: row.get(3)?,
                        title: row.get(4)?,
                        host: row.get(5)?,
                        matched: row.get(6)?,
                        source: row.get(7)?,
                        action: row.get(8)?,
                        first_seen_at: time(row.get(9)?),
                        last_seen_at: time(row.get(10)?),
                        count: count(row.get(11)?),
                        status: row.get(12)?,
                        classification: row.get(13)?,
                        determination: row.get(14)?,
                        incident: incident.map(|id| IncidentId(u128::from_be_bytes(id))),
                    },
                );
            }
            Ok(())
        },
    )?;
    Ok(found)
}

fn incidents(
    db: &Connection,
    scope: TenantScope,
    ids: impl Iterator<Item = [u8; 16]>,
) -> Result<BTreeMap<[u8; 16], EventIncident>, StoreError> {
    let mut found = BTreeMap::new();
    query_many(
        db,
        "WITH k (tenant_id, incident_id) AS (",
        &keys(scope, ids),
        ") SELECT i.incident_id, i.title, i.severity, i.alerts FROM k
           JOIN incident AS i ON i.tenant_id = k.tenant_id AND i.incident_id = k.incident_id",
        &[],
        |rows| {
            while let Some(row) = rows.next()? {
                let id: [u8; 16] = row.get(0)?;
                found.insert(
                    id,
                    EventIncident {
                        id: IncidentId(u128::from_be_bytes(id)),
                        title: row.get(1)?,
                        severity: severity(&row.get::<String>(2)?),
                        alerts: count(row.get(3)?),
                    },
                );
            }
            Ok(())
        },
    )?;
    Ok(found)
}

fn devices(
    db: &Connection,
    scope: TenantScope,
    ids: impl Iterator<Item = [u8; 16]>,
) -> Result<BTreeMap<[u8; 16], EventDevice>, StoreError> {
    let mut found = BTreeMap::new();
    query_many(
        db,
        "WITH k (tenant_id, device_id) AS (",
        &keys(scope, ids),
        ") SELECT d.device_id, d.device_name, d.os, s.os_version, s.app_version, s.risk, d.group_id, g.name
           FROM k JOIN device AS d ON d.tenant_id = k.tenant_id AND d.device_id = k.device_id
           LEFT JOIN device_status AS s ON s.tenant_id = d.tenant_id AND s.device_id = d.device_id
           LEFT JOIN device_group AS g ON g.tenant_id = d.tenant_id AND g.group_id = d.group_id",
        &[],
        |rows| {
            while let Some(row) = rows.next()? {
                let id: [u8; 16] = row.get(0)?;
                let risk: Option<String> = row.get(5)?;
                let group: Option<[u8; 16]> = row.get(6)?;
                found.insert(
                    id,
                    EventDevice {
                        id: DeviceId(u128::from_be_bytes(id)),
                        name: row.get(1)?,
                        os: row.get(2)?,
                        os_version: row.get::<Option<String>>(3)?.unwrap_or_default(),
                        app_version: row.get::<Option<String>>(4)?.unwrap_or_default(),
                        risk: risk
                            .and_then(|risk| RiskLevel::from_word(&risk))
                            .unwrap_or(RiskLevel::None),
                        group: group.map(GroupId::of),
                        group_name: row.get(7)?,
                    },
                );
            }
            Ok(())
        },
    )?;
    Ok(found)
}

/// A word that is not known is of a later version; it is told as what needs nobody's hurry.
fn severity(word: &str) -> Severity {
    Severity::from_word(word).unwrap_or(Severity::Informational)
}
