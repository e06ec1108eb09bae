//! Events for the tests of this module.

use bartizan_model::{DeviceId, RiskLevel, Severity, TenantId, UnixMillis};
use bartizan_store::{AlertKey, EventAlert, EventDevice, EventIncident, EventKind, IncidentId};
use serde_json::json;

use super::settings::Settings;
use super::told::Told;

/// An alert that was raised.
pub(super) fn raised(seq: u64, severity: Severity) -> Told {
    Told {
        seq,
        at: UnixMillis(1_800_000_000_123),
        kind: EventKind::AlertRaised,
        tenant: TenantId(7),
        tenant_name: "Example & Sons".into(),
        device: Some(device()),
        alert: Some(alert(severity)),
        incident: None,
        detail: json!({}),
        console_url: "https://portal.example".into(),
        is_test: false,
    }
}

/// One of each kind.
pub(super) fn of_each_kind() -> Vec<Told> {
    let base = |seq, kind| Told { kind, alert: None, ..raised(seq, Severity::High) };
    let with = |seq, kind, detail| Told { kind, detail, ..raised(seq, Severity::High) };
    let incident = EventIncident {
        id: IncidentId(0x0192_f3a4_b5c6_7d8e_9f00_1122_3344_5577),
        title: "Phishing site blocked: login.evil.example".into(),
        severity: Severity::High,
        alerts: 2,
    };
    let changed = json!({ "status_before": "New", "status": "Resolved", "commented": true });
    let risk = json!({ "before": "None", "after": "High", "reason": "1 high unresolved" });
    let audit = json!({
        "seq": 4, "at_ms": 1_800_000_000_123_u64, "actor": { "kind": "member", "id": "7" },
        "action": "feed.create", "object": { "kind": "feed", "id": "9" }, "detail": { "name": "list" },
        "request": "00", "personal": [],
    });
    vec![
        raised(1, Severity::High),
        with(2, EventKind::AlertRepeated, json!({ "more": 3 })),
        with(3, EventKind::AlertChanged, changed),
        Told { incident: Some(incident), device: None, ..base(4, EventKind::IncidentOpened) },
        Told { detail: risk, ..base(5, EventKind::RiskChanged) },
        base(6, EventKind::DeviceEnrolled),
        base(7, EventKind::DeviceOffboarded),
        Told { detail: audit, device: None, ..base(8, EventKind::Audit) },
    ]
}

fn device() -> EventDevice {
    EventDevice {
        id: DeviceId(0x0192_f3a4_b5c6_7d8e_9f00_1122_3344_5566),
        name: "Kim’s phone".into(),
        os: "iOS".into(),
        os_version: "18.1".into(),
        app_version: "0.1.0".into(),
        risk: RiskLevel::High,
        group: None,
        group_name: Some("Field".into()),
    }
}

fn alert(severity: Severity) -> EventAlert {
    EventAlert {
        key: AlertKey(0x0192_f3a4_b5c6_7d8e_9f00_1122_3344_5588),
        detector: "web.phishing.blocked".into(),
        severity,
        category: "InitialAccess".into(),
        title: "Phishing site blocked".into(),
        host: Some("login.evil.example".into()),
        matched: Some("evil.example".into()),
        source: Some("phishing list".into()),
        action: "Block".into(),
        first_seen_at: UnixMillis(1_800_000_000_000),
        last_seen_at: UnixMillis(1_800_000_000_100),
        count: 2,
        status: "New".into(),
        classification: "Unknown".into(),
        determination: "NotAvailable".into(),
        incident: Some(IncidentId(0x0192_f3a4_b5c6_7d8e_9f00_1122_3344_5577)),
    }
}

/// What a sink is told.
pub(super) fn settings(kinds: &[&str], severity: &str) -> Settings {
    Settings {
        kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        severity: severity.into(),
        ..Settings::default()
    }
}
