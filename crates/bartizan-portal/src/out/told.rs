//! An event as it is told, whatever the form: who, what, how bad, and where to look.

use bartizan_model::{Severity, TenantId, UnixMillis};
use bartizan_store::{AlertKey, EventAlert, EventDevice, EventIncident, EventKind, EventRow};
use jiff::Timestamp;
use serde_json::Value;

/// An event, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    /// Of the tenant's events, this one; a test has 0.
    pub(crate) seq: u64,
    /// When it happened.
    pub(crate) at: UnixMillis,
    /// What kind of thing.
    pub(crate) kind: EventKind,
    /// Whose it is.
    pub(crate) tenant: TenantId,
    /// Its name.
    pub(crate) tenant_name: String,
    /// The device it is about.
    pub(crate) device: Option<EventDevice>,
    /// The alert it is about.
    pub(crate) alert: Option<EventAlert>,
    /// The incident it is about.
    pub(crate) incident: Option<EventIncident>,
    /// What the rows cannot tell.
    pub(crate) detail: Value,
    /// Where the console is; empty if that is not known.
    pub(crate) console_url: String,
    /// Whether nothing happened and somebody tries a sink.
    pub(crate) is_test: bool,
}

impl Told {
    /// Takes an event of the store.
    pub(crate) fn of(
        event: EventRow,
        tenant: TenantId,
        tenant_name: &str,
        console_url: &str,
    ) -> Self {
        Self {
            seq: event.seq,
            at: event.at,
            kind: event.kind,
            tenant,
            tenant_name: tenant_name.to_owned(),
            device: event.device,
            alert: event.alert,
            incident: event.incident,
            detail: serde_json::from_str(&event.detail).unwrap_or_default(),
            console_url: console_url.trim_end_matches('/').to_owned(),
            is_test: false,
        }
    }

    /// Names it, the same each time it is sent.
    pub(crate) fn id(&self) -> String {
        if self.is_test {
            return format!("test_{}_{}", self.tenant.0, self.at.0);
        }
        format!("evt_{}_{}", self.tenant.0, self.seq)
    }

    /// How bad it is; audit entries and devices that come and go have no severity.
    pub(crate) fn severity(&self) -> Option<Severity> {
        match self.kind {
            EventKind::AlertRaised | EventKind::AlertRepeated | EventKind::AlertChanged => {
                self.alert.as_ref().map(|alert| alert.severity)
            }
            EventKind::IncidentOpened => self.incident.as_ref().map(|incident| incident.severity),
            EventKind::RiskChanged => Some(match self.text("after") {
                "High" => Severity::High,
                "Medium" => Severity::Medium,
                "Low" => Severity::Low,
                _ => Severity::Informational,
            }),
            EventKind::DeviceEnrolled | EventKind::DeviceOffboarded | EventKind::Audit => None,
        }
    }

    /// Says it in one line, in words.
    pub(crate) fn title(&self) -> String {
        let about = |alert: &EventAlert| match &alert.host {
            Some(host) => format!("{}: {host}", alert.title),
            None => alert.title.clone(),
        };
        let alert = self.alert.as_ref().map_or_else(|| "An alert".to_owned(), about);
        let device = self.device.as_ref().map_or("A device", |device| device.name.as_str());
        let title = match self.kind {
            EventKind::AlertRaised => alert,
            EventKind::AlertRepeated => format!("Again: {alert}"),
            EventKind::AlertChanged => match self.text("status") {
                after if after != self.text("status_before") => format!("Now {after}: {alert}"),
                _ => format!("Changed: {alert}"),
            },
            EventKind::IncidentOpened => {
                let title = self.incident.as_ref().map_or("alerts", |one| one.title.as_str());
                format!("Incident: {title}")
            }
            EventKind::RiskChanged => {
                format!("Risk of {device} is {}, was {}", self.text("after"), self.text("before"))
            }
            EventKind::DeviceEnrolled => format!("Device enrolled: {device}"),
            EventKind::DeviceOffboarded => format!("Device taken out: {device}"),
            EventKind::Audit => {
                let action = self.text("action");
                let known = bartizan_store::ACTIONS.iter().find(|(word, _)| *word == action);
                known.map_or_else(|| action.to_owned(), |(_, label)| (*label).to_owned())
            }
        };
        if self.is_test { format!("Test: {title}") } else { title }
    }

    /// What there is to know, by name, for people.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![("Organization", self.tenant_name.clone())];
        if let Some(severity) = self.severity() {
            facts.push(("Severity", severity.word().to_owned()));
        }
        if let Some(device) = &self.device {
            facts.push(("Device", device.name.clone()));
            if let Some(group) = &device.group_name {
                facts.push(("Group", group.clone()));
            }
        }
        if let Some(alert) = &self.alert {
            facts.push(("Status", alert.status.clone()));
            facts.push(("Action", alert.action.clone()));
            facts.push(("Happened", format!("{} times", alert.count)));
        }
        if self.kind == EventKind::RiskChanged {
            facts.push(("Because", self.text("reason").to_owned()));
        }
        if self.kind == EventKind::Audit {
            facts.push(("Action", self.text("action").to_owned()));
        }
        facts.push(("Time", rfc3339(self.at)));
        facts
    }

    /// Where the console shows it.
    pub(crate) fn link(&self) -> Option<String> {
        if self.console_url.is_empty() || self.is_test {
            return None;
        }
        let path = match (&self.alert, &self.incident, &self.device) {
            (Some(alert), _, _) => format!("/alerts/{}", alert.key),
            (None, Some(incident), _) => format!("/incidents/{}", incident.id),
            (None, None, Some(device)) => format!("/devices/{}", device.id),
            (None, None, None) => "/audit".to_owned(),
        };
        Some(format!("{}{path}", self.console_url))
    }

    /// A text of the detail; empty if there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.detail.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Says when, as RFC 3339 has it.
pub(crate) fn rfc3339(at: UnixMillis) -> String {
    let at = i64::try_from(at.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| "1970-01-01T00:00:00.000Z".to_owned(), |at| format!("{at:.3}"))
}

/// Names a device to a program that has one field for it.
pub(crate) fn device_label(device: &EventDevice) -> String {
    if device.name.is_empty() { device.id.to_string() } else { device.name.clone() }
}

/// What is sent by whoever tries a sink: a made-up alert, marked as such.
pub(crate) fn test(
    tenant: TenantId,
    tenant_name: &str,
    console_url: &str,
    now: UnixMillis,
) -> Told {
    let alert = EventAlert {
        key: AlertKey(0),
        detector: "test".into(),
        severity: Severity::Informational,
        category: "None".into(),
        title: "Somebody tries this connection. Nothing happened.".into(),
        host: None,
        matched: None,
        source: None,
        action: "None".into(),
        first_seen_at: now,
        last_seen_at: now,
        count: 1,
        status: "New".into(),
        classification: "Unknown".into(),
        determination: "NotAvailable".into(),
        incident: None,
    };
    Told {
        seq: 0,
        at: now,
        kind: EventKind::AlertRaised,
        tenant,
        tenant_name: tenant_name.to_owned(),
        device: None,
        alert: Some(alert),
        incident: None,
        detail: Value::Object(serde_json::Map::new()),
        console_url: console_url.trim_end_matches('/').to_owned(),
        is_test: true,
    }
}
