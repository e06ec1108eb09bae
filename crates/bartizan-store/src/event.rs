//! What happened, in the order in which it did, for those who are told of it (`sink`).
//!
//! A store function that changes something notes it here, inside its own write: the change and its event stand or fall
//! together. An event points at rows, which are read when it is told ([`crate::EventRow`]); its detail holds what they
//! cannot tell any more by then. So nothing of a person or a device is kept twice.
//!
//! # Invariants
//! - A tenant's events are numbered without gaps, in the order in which their transactions end: whoever takes a number
//!   holds the tenant's row of `event_log` until then.
//! - A tenant without sinks has no events.
//! - Who notes an audit entry and an event in one transaction takes the audit log's place first, so that no two wait for
//!   each other.

use bartizan_model::{DeviceId, RiskLevel, UnixMillis};
use serde_json::{Value as Json, json};

use crate::column::{int, ms};
use crate::db::{Connection, Value, execute_many, params};
use crate::{AuditEntry, StoreError, TenantScope};

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {
    /// A device raised an alert.
    AlertRaised,
    /// The same threat again, joined to an alert that is open.
    AlertRepeated,
    /// Somebody dealt with an alert.
    AlertChanged,
    /// Alerts that belong together have begun.
    IncidentOpened,
    /// A device is at another risk.
    RiskChanged,
    /// A device was let in.
    DeviceEnrolled,
    /// A device was taken out.
    DeviceOffboarded,
    /// Somebody did something that the audit log has.
    Audit,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::AlertRaised,
        Self::AlertRepeated,
        Self::AlertChanged,
        Self::IncidentOpened,
        Self::RiskChanged,
        Self::DeviceEnrolled,
        Self::DeviceOffboarded,
        Self::Audit,
    ];

    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::AlertRaised => "alert.raised",
            Self::AlertRepeated => "alert.repeated",
            Self::AlertChanged => "alert.changed",
            Self::IncidentOpened => "incident.opened",
            Self::RiskChanged => "device.risk",
            Self::DeviceEnrolled => "device.enrolled",
            Self::DeviceOffboarded => "device.offboarded",
            Self::Audit => "audit.entry",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// Something that happened, to be noted.
pub(crate) struct Happened {
    pub(crate) kind: EventKind,
    pub(crate) device: Option<[u8; 16]>,
    pub(crate) object: Option<[u8; 16]>,
    pub(crate) detail: Json,
}

impl Happened {
    /// Something about an alert.
    pub(crate) fn alert(kind: EventKind, device: [u8; 16], alert: [u8; 16], detail: Json) -> Self {
        Self { kind, device: Some(device), object: Some(alert), detail }
    }

    /// Something about a device.
    pub(crate) fn device(kind: EventKind, device: DeviceId) -> Self {
        Self { kind, device: Some(device.0.to_be_bytes()), object: None, detail: json!({}) }
    }

    /// What the audit log has.
    pub(crate) fn audit(entry: &AuditEntry) -> Self {
        let detail = serde_json::to_value(entry).unwrap_or_default();
        Self { kind: EventKind::Audit, device: None, object: None, detail }
    }

    /// A device's risk.
    pub(crate) fn risk(
        device: DeviceId,
        before: RiskLevel,
        after: RiskLevel,
        reason: &str,
    ) -> Self {
        let detail = json!({ "before": before.word(), "after": after.word(), "reason": reason });
        Self { detail, ..Self::device(EventKind::RiskChanged, device) }
    }
}

/// Notes what happened, in the same transaction, if anybody is told of it: only then it is asked what did.
pub(crate) fn append(
    db: &Connection,
    scope: TenantScope,
    now: UnixMillis,
    happened: impl FnOnce() -> Vec<Happened>,
) -> Result<(), StoreError> {
    let wanted = db
        .prepare_cached("SELECT 1 FROM event_log WHERE tenant_id = ?1 AND 0 < sinks")?
        .exists(params![scope.id()])?;
    if !wanted {
        return Ok(());
    }
    let happened = happened();
    if happened.is_empty() {
        return Ok(());
    }
    let more = i64::try_from(happened.len()).unwrap_or(i64::MAX);
    let last: i64 = db
        .prepare_cached(
            "UPDATE event_log SET last_seq = last_seq + ?2 WHERE tenant_id = ?1 RETURNING last_seq",
        )?
        .query_row(params![scope.id(), more], |row| row.get(0))?;
    let first = last - more + 1;
    let rows: Vec<Vec<Value>> = (first..)
        .zip(happened)
        .map(|(seq, happened)| {
            vec![
                scope.id().into(),
                seq.into(),
                ms(now).into(),
                happened.kind.word().into(),
                happened.device.into(),
                happened.object.into(),
                happened.detail.to_string().into(),
            ]
        })
        .collect();
    execute_many(
        db,
        "INSERT INTO event (tenant_id, seq, at_ms, kind, device_id, object_id, detail)",
        &rows,
        "",
        &[],
    )?;
    Ok(())
}

/// Notes alerts that were raised, by the columns of their rows, and how often others happened again.
pub(crate) fn ingested(
    db: &Connection,
    scope: TenantScope,
    now: UnixMillis,
    fresh: &[Vec<Value>],
    joined: &[(DeviceId, [u8; 16], u64)],
) -> Result<(), StoreError> {
    append(db, scope, now, || {
        // What a rule hides is no news.
        let shown = fresh.iter().filter(|row| row.last().is_some_and(|rule| *rule == Value::Null));
        let raised = shown.filter_map(|row| {
            let (alert, device) = (octets(row.get(1)?)?, octets(row.get(2)?)?);
            Some(Happened::alert(EventKind::AlertRaised, device, alert, json!({})))
        });
        let again = joined.iter().map(|(device, alert, more)| {
            let (device, more) = (device.0.to_be_bytes(), json!({ "more": int(*more) }));
            Happened::alert(EventKind::AlertRepeated, device, *alert, more)
        });
        raised.chain(again).collect()
    })
}

/// Notes incidents that began, by the columns of their rows.
pub(crate) fn opened(
    db: &Connection,
    scope: TenantScope,
    now: UnixMillis,
    made: &[Vec<Value>],
) -> Result<(), StoreError> {
    append(db, scope, now, || {
        let opened = made.iter().filter_map(|row| {
            let object = Some(octets(row.get(1)?)?);
            let kind = EventKind::IncidentOpened;
            Some(Happened { kind, device: None, object, detail: json!({}) })
        });
        opened.collect()
    })
}

fn octets(value: &Value) -> Option<[u8; 16]> {
    match value {
        Value::Octets(octets) => octets.as_slice().try_into().ok(),
        Value::Null | Value::Int(_) | Value::Text(_) => None,
    }
}
