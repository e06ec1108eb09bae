//! Events as JSON: our own form, and OCSF 1.3 (<https://schema.ocsf.io/1.3.0/>).
//!
//! # Invariants
//! - A golden file holds each form; what changes there is a new version of it.

use bartizan_model::Severity;
use bartizan_store::{EventAlert, EventDevice, EventKind};
use serde_json::{Map, Value, json};

use super::told::{Told, rfc3339};

/// Our own form: `type`, `timestamp` and `data`, as Standard Webhooks has them.
pub(crate) fn bartizan(told: &Told) -> Value {
    let mut data = json!({
        "id": told.id(),
        "seq": told.seq,
        "tenant": { "id": told.tenant.0, "name": told.tenant_name },
        "title": told.title(),
        "test": told.is_test,
        "detail": told.detail,
    });
    let mut add = |name: &str, value: Value| {
        if let Some(data) = data.as_object_mut() {
            data.insert(name.to_owned(), value);
        }
    };
    if let Some(severity) = told.severity() {
        add("severity", severity.word().into());
    }
    if let Some(link) = told.link() {
        add("link", link.into());
    }
    if let Some(device) = &told.device {
        add("device", device_json(device));
    }
    if let Some(alert) = &told.alert {
        add("alert", alert_json(alert));
    }
    if let Some(incident) = &told.incident {
        let value = json!({
            "id": incident.id.to_string(),
            "title": incident.title,
            "severity": incident.severity.word(),
            "alerts": incident.alerts,
        });
        add("incident", value);
    }
    json!({ "type": told.kind.word(), "timestamp": rfc3339(told.at), "data": data })
}

fn device_json(device: &EventDevice) -> Value {
    json!({
        "id": device.id.to_string(),
        "name": device.name,
        "os": device.os,
        "os_version": device.os_version,
        "app_version": device.app_version,
        "risk": device.risk.word(),
        "group": device.group_name,
    })
}

fn alert_json(alert: &EventAlert) -> Value {
    json!({
        "id": alert.key.to_string(),
        "detector": alert.detector,
        "severity": alert.severity.word(),
        "category": alert.category,
        "title": alert.title,
        "host": alert.host,
        "matched": alert.matched,
        "feed": alert.source,
        "action": alert.action,
        "first_seen": rfc3339(alert.first_seen_at),
        "last_seen": rfc3339(alert.last_seen_at),
        "count": alert.count,
        "status": alert.status,
        "classification": alert.classification,
        "determination": alert.determination,
        "incident": alert.incident.map(|incident| incident.to_string()),
    })
}

/// OCSF: alerts are Detection Findings, incidents Incident Findings, all else Entity Management.
pub(crate) fn ocsf(told: &Told) -> Value {
    let (class, class_name, category, category_name) = match told.kind {
        EventKind::AlertRaised | EventKind::AlertRepeated | EventKind::AlertChanged => {
            (2004, "Detection Finding", 2, "Findings")
        }
        EventKind::IncidentOpened => (2005, "Incident Finding", 2, "Findings"),
        EventKind::RiskChanged
        | EventKind::DeviceEnrolled
        | EventKind::DeviceOffboarded
        | EventKind::Audit => (3004, "Entity Management", 3, "Identity & Access Management"),
    };
    let (activity, activity_name) = activity(told);
    let (severity, severity_name) = match told.severity() {
        Some(Severity::High) => (4, "High"),
        Some(Severity::Medium) => (3, "Medium"),
        Some(Severity::Low) => (2, "Low"),
        Some(Severity::Informational) | None => (1, "Informational"),
    };
    let mut event = Map::new();
    let mut add = |name: &str, value: Value| {
        event.insert(name.to_owned(), value);
    };
    add("activity_id", activity.into());
    add("activity_name", activity_name.into());
    add("category_uid", category.into());
    add("category_name", category_name.into());
    add("class_uid", class.into());
    add("class_name", class_name.into());
    add("type_uid", (class * 100 + activity).into());
    add("type_name", format!("{class_name}: {activity_name}").into());
    add("severity_id", severity.into());
    add("severity", severity_name.into());
    add("time", told.at.0.into());
    add("message", told.title().into());
    add("metadata", metadata(told));
    match (&told.alert, &told.incident) {
        (Some(alert), _) => {
            let (status, status_name) = status(&alert.status);
            add("status_id", status.into());
            add("status", status_name.into());
            add("finding_info", finding(told, alert));
            add("resources", resources(told));
            add("observables", observables(told));
            let queried = |host: &String| json!({ "query": { "hostname": host } });
            add("evidences", alert.host.iter().map(queried).collect::<Vec<_>>().into());
            if let Some(device) = &told.device {
                add("device", ocsf_device(device));
            }
        }
        (None, Some(incident)) => {
            add("status_id", 1.into());
            add("status", "New".into());
            let info = json!({ "uid": incident.id.to_string(), "title": incident.title });
            add("finding_info_list", json!([info]));
        }
        (None, None) => {
            add("entity", entity(told));
            add("comment", told.title().into());
        }
    }
    add("unmapped", json!({ "event": told.kind.word(), "detail": told.detail }));
    Value::Object(event)
}

fn activity(told: &Told) -> (u32, &'static str) {
    match told.kind {
        EventKind::AlertRaised | EventKind::IncidentOpened | EventKind::DeviceEnrolled => {
            (1, "Create")
        }
        EventKind::AlertRepeated => (2, "Update"),
        EventKind::AlertChanged if told.text("status") == "Resolved" => (3, "Close"),
        EventKind::AlertChanged => (2, "Update"),
        EventKind::RiskChanged => (3, "Update"),
        EventKind::DeviceOffboarded => (4, "Delete"),
        EventKind::Audit => (99, "Other"),
    }
}

fn status(word: &str) -> (u32, &str) {
    match word {
        "New" => (1, "New"),
        "InProgress" => (2, "In Progress"),
        "Resolved" => (4, "Resolved"),
        _ => (0, "Unknown"),
    }
}

fn metadata(told: &Told) -> Value {
    json!({
        "version": "1.3.0",
        "uid": told.id(),
        "event_code": told.kind.word(),
        "tenant_uid": told.tenant.0.to_string(),
        "profiles": ["host"],
        "labels": if told.is_test { json!(["test"]) } else { json!([]) },
        "product": {
            "name": "Bartizan",
            "vendor_name": "Bartizan",
            "version": env!("CARGO_PKG_VERSION"),
        },
    })
}

fn finding(told: &Told, alert: &EventAlert) -> Value {
    let mut finding = json!({
        "uid": alert.key.to_string(),
        "title": alert.title,
        "types": [alert.category],
        "first_seen_time": alert.first_seen_at.0,
        "last_seen_time": alert.last_seen_at.0,
        "analytic": { "uid": alert.detector, "name": alert.detector, "type_id": 1, "type": "Rule" },
    });
    let more = [
        ("src_url", told.link()),
        ("desc", alert.matched.as_ref().map(|matched| format!("Matched the entry {matched}"))),
    ];
    for (name, value) in more {
        if let (Some(finding), Some(value)) = (finding.as_object_mut(), value) {
            finding.insert(name.to_owned(), value.into());
        }
    }
    finding
}

fn ocsf_device(device: &EventDevice) -> Value {
    let (os, os_name) = match device.os.as_str() {
        "iOS" => (301, "iOS"),
        "iPadOS" => (302, "iPadOS"),
        "Android" => (201, "Android"),
        "Linux" => (200, "Linux"),
        "macOS" => (300, "macOS"),
        "Windows" => (100, "Windows"),
        _ => (99, "Other"),
    };
    json!({
        "uid": device.id.to_string(),
        "name": device.name,
        "hostname": device.name,
        "type_id": 5,
        "type": "Mobile",
        "os": { "name": device.os, "type_id": os, "type": os_name, "version": device.os_version },
        "groups": device.group_name.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
    })
}

fn resources(told: &Told) -> Value {
    let resource = |device: &EventDevice| json!({ "uid": device.id.to_string(), "name": device.name, "type": "Device" });
    told.device.iter().map(resource).collect::<Vec<_>>().into()
}

fn observables(told: &Told) -> Value {
    let host = told.alert.as_ref().and_then(|alert| alert.host.as_ref());
    let observable = |host: &String| json!({ "name": "evidences.query.hostname", "type_id": 1, "type": "Hostname", "value": host });
    host.into_iter().map(observable).collect::<Vec<_>>().into()
}

fn entity(told: &Told) -> Value {
    if let Some(device) = &told.device {
        return json!({ "uid": device.id.to_string(), "name": device.name, "type": "Device" });
    }
    let object = told.detail.get("object");
    let part =
        |name: &str| object.and_then(|it| it.get(name)).and_then(Value::as_str).unwrap_or("");
    json!({ "uid": part("id"), "name": part("kind"), "type": part("kind") })
}
