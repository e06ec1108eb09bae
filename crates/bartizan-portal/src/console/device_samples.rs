//! Sample pages of devices, for the tests over all pages.

use bartizan_model::{DeviceId, Mode, ProtectionState, RiskLevel, UnixMillis, UnresolvedAlerts};

use super::queue_samples::alerts;
use super::tests::{NOW, shell};
use super::*;

/// Every page in several states.
pub(super) fn pages() -> Vec<(&'static str, String)> {
    let none = DevicesPage { total: 0, rows: Vec::new(), ..devices() };
    let unmatched = DevicesPage {
        rows: Vec::new(),
        filter: DeviceFilter {
            text: "\"><img src=x>\u{202e}".into(),
            state: Some(DeviceState::Off),
            tag: "<img src=x>".into(),
            ..DeviceFilter::default()
        },
        ..devices()
    };
    let rendered = |page: &dyn askama::DynTemplate| page.dyn_render().unwrap();
    vec![
        ("devices", rendered(&devices())),
        ("devices-none", rendered(&none)),
        ("devices-filtered", rendered(&unmatched)),
        ("device", rendered(&device())),
        ("device-fresh", rendered(&fresh_device())),
        ("device-remove", rendered(&removal())),
        ("device-risk", rendered(&history(true))),
        ("device-risk-none", rendered(&history(false))),
        ("device-merge", rendered(&merging())),
        ("device-merge-refused", rendered(&refused_merge())),
        ("device-merge-find", rendered(&finding())),
        ("device-merge-found-none", rendered(&found_none())),
    ]
}

fn removal() -> DeviceRemovePage {
    DeviceRemovePage {
        shell: shell(),
        id: DeviceId(5),
        name: hostile_device().name,
        is_offboarded: false,
    }
}

pub(super) fn stored(number: u128) -> bartizan_store::DeviceRow {
    bartizan_store::DeviceRow {
        id: DeviceId(number),
        os: "iOS".into(),
        os_version: "18.1".into(),
        model: "iPhone17,3".into(),
        device_name: hostile_device().name,
        app_version: "1.0.0".into(),
        enrolled_at: UnixMillis(NOW.0 - 40 * 86_400_000),
        last_seen_at: UnixMillis(NOW.0 - 9 * 86_400_000),
        mode: Some(Mode::Dns),
        protection: Some(ProtectionState::On),
        policy_version: 7,
        indicator_epoch: None,
        tenant_epoch: None,
        counters: bartizan_store::Counters::default(),
        unresolved: UnresolvedAlerts { high: 1, medium: 0, low: 0, informational: 2 },
        owner: "kim@example.test".into(),
        value: bartizan_store::DeviceValue::Normal,
        group: None,
        offboarded_at: None,
        newest_policy_version: 7,
        day_checkins: 1,
        attestation: bartizan_store::Attestation::None,
        attested_at: None,
        is_shared: false,
    }
}

fn risk(number: u128, risk: RiskLevel) -> bartizan_store::RiskChange {
    bartizan_store::RiskChange {
        id: number,
        at: UnixMillis(NOW.0 - 3_600_000),
        risk,
        reason: "1 high, 2 informational unresolved".into(),
    }
}

fn history(is_long: bool) -> RiskHistoryPage {
    let changes: Vec<_> = (1..=6)
        .rev()
        .map(|number| risk(number, if number % 2 == 0 { RiskLevel::High } else { RiskLevel::Low }))
        .collect();
    RiskHistoryPage {
        shell: shell(),
        id: DeviceId(5),
        name: hostile_device().name,
        lines: if is_long { risk_lines(&changes, 9) } else { Vec::new() },
        is_first_page: !is_long,
        pager: Pager {
            first: is_long.then(|| "/devices/5/risk".into()),
            next: is_long.then(|| "/devices/5/risk?before=5-1".into()),
        },
        now: NOW,
    }
}

fn merging() -> DeviceMergePage {
    DeviceMergePage {
        shell: shell(),
        merge: bartizan_store::DeviceMerge {
            earlier: stored(9),
            earlier_tags: Vec::new(),
            kept: bartizan_store::DeviceRow { owner: String::new(), ..stored(10) },
            alerts: 1_204,
            tags: vec!["Field".into(), "<img src=x>\u{202e}".into()],
        },
        seen: "\"v1\"".into(),
        problem: None,
        now: NOW,
    }
}

fn refused_merge() -> DeviceMergePage {
    let page = merging();
    let earlier = bartizan_store::DeviceRow {
        offboarded_at: Some(NOW),
        unresolved: UnresolvedAlerts::default(),
        ..stored(9)
    };
    let merge = bartizan_store::DeviceMerge { earlier, alerts: 0, tags: Vec::new(), ..page.merge };
    DeviceMergePage { merge, problem: Some("<img src=x>".into()), ..page }
}

fn finding() -> DeviceMergeFindPage {
    DeviceMergeFindPage {
        shell: shell(),
        id: DeviceId(5),
        name: hostile_device().name,
        text: String::new(),
        found: vec![stored(9), stored(10)],
        problem: Some("<img src=x>".into()),
        now: NOW,
    }
}

fn found_none() -> DeviceMergeFindPage {
    DeviceMergeFindPage {
        text: "<img src=x>\u{202e}".into(),
        found: Vec::new(),
        problem: None,
        ..finding()
    }
}

fn devices() -> DevicesPage {
    DevicesPage {
        shell: shell(),
        filter: DeviceFilter::default(),
        after: String::new(),
        rows: device_rows(),
        next: Some("c2".into()),
        total: 1_284,
        groups: vec![("1".into(), "<img src=x>\u{202e}".into())],
        enroll: EnrollHelp {
            token_command: "bartizan admin enrollment-token".into(),
            device_command: "bartizan agent enroll https://portal.example.test TOKEN".into(),
        },
        now: NOW,
    }
}

pub(super) fn device_rows() -> Vec<DeviceRow> {
    let row =
        |number: u8, name: &str, os: &str, protection, risk, unresolved, minutes: Option<u64>| {
            DeviceRow {
                id: DeviceId(0x0192_f3a4_b5c6_7d8e_9f00_1122_3344_5500 + u128::from(number)),
                name: name.into(),
                os: os.into(),
                support: bartizan_store::OsSupport::Ending,
                attestation: bartizan_store::Attestation::None,
                app_version: if minutes.is_some() { "1.0.0".into() } else { String::new() },
                protection,
                risk,
                unresolved,
                last_seen: minutes.map(|minutes| UnixMillis(NOW.0 - minutes * 60_000)),
            }
        };
    use ProtectionState::{Degraded, Off, On};
    use RiskLevel::{High, Informational, Low, Medium, None as Secured};
    vec![
        row(1, "Board iPhone 1", "iOS 18.1", Some(On), High, 3, Some(4)),
        row(2, "Field iPhone 12", "iOS 17.6.1", Some(On), Informational, 12, Some(9)),
        row(3, "Finance iPad 3", "iPadOS 18.1", Some(Degraded), Low, 1, Some(14)),
        row(4, "Lab Linux 1", "Linux 6.12", Some(On), Medium, 2, Some(2)),
        hostile_device(),
        row(6, "Reception iPad", "iPadOS 16.7", Some(On), Secured, 0, Some(20_000)),
        row(7, "Sales iPhone 4", "iOS 18.0", Some(Off), Informational, 1, Some(700)),
        row(8, "Spare iPhone", "iOS 18.1", None, Secured, 0, None),
    ]
}

pub(super) fn hostile_device() -> DeviceRow {
    DeviceRow {
        id: DeviceId(5),
        name:
            "<script>alert('name')</script> \u{202e}and a name that is far too long for any column"
                .into(),
        os: "<img src=x>\0 9999.9999.9999".into(),
        support: bartizan_store::OsSupport::Ending,
        attestation: bartizan_store::Attestation::None,
        app_version: "<img src=x>".into(),
        protection: Some(ProtectionState::Off),
        risk: RiskLevel::None,
        unresolved: 0,
        last_seen: Some(UnixMillis(NOW.0 - 9 * 86_400_000)),
    }
}

fn device() -> DevicePage {
    DevicePage {
        remarks: vec!["Its system is old.".into()],
        attestation: (bartizan_store::Attestation::Genuine, Some(NOW)),
        is_shared: true,
        replacement: bartizan_store::Replacement {
            later: Some((DeviceId(6), "<img src=x>\u{202e}".into())),
            earlier: vec![
                (DeviceId(7), "<img src=x>\u{202e}".into()),
                (DeviceId(8), "Older".into()),
            ],
        },
        handover: Some("/devices/1/merge?into=6".into()),
        risk_lines: risk_lines(&[risk(2, RiskLevel::High), risk(1, RiskLevel::None)], 9),
        duplicates: vec![
            Duplicate::of(
                (DeviceId(1), NOW),
                (stored(9), bartizan_store::Likeness::Hardware),
                true,
            ),
            Duplicate::of(
                (DeviceId(1), NOW),
                (stored(10), bartizan_store::Likeness::Person),
                false,
            ),
        ],
        has_timeline: false,
        shell: shell(),
        id: DeviceId(0x0192_f3a4_b5c6_7d8e_9f00_1122_3344_5501),
        name: "Board iPhone 1".into(),
        os: "iOS 18.1".into(),
        model: "iPhone 15".into(),
        app_version: "1.0.0".into(),
        enrolled_at: UnixMillis(NOW.0 - 40 * 86_400_000),
        last_seen: Some(UnixMillis(NOW.0 - 240_000)),
        mode: Some(Mode::Dns),
        protection: Some(ProtectionState::On),
        policy_version: 7,
        newest_policy_version: 7,
        indicator_epoch: Some(1_042),
        newest_indicator_epoch: Some(1_044),
        counters: Some(EngineCounters { queries: 48_211, blocked: 37, dropped: 0, alerts_lost: 0 }),
        owner: "kim@example.test".into(),
        value: bartizan_store::DeviceValue::High,
        group: Some(("/groups/1".into(), "<img src=x>".into())),
        tags: vec![("Field".into(), false), ("<img src=x>\u{202e}".into(), true)],
        offboarded_at: Some(NOW),
        settings: vec![
            ("BartizanMode", "tunnel".into(), "group Field v7".into()),
            ("WebProtection", "true".into(), "default".into()),
        ],
        events: vec![bartizan_store::DeviceEventRow {
            id: 1,
            at: NOW,
            kind: bartizan_store::DeviceEventKind::Tagged,
            actor: "<img src=x>".into(),
            detail: "<img src=x>\u{202e}".into(),
            count: 1,
        }],
        day_checkins: 17,
        older: Some("/devices/1?before=5-1".into()),
        problem: None,
        unresolved: UnresolvedAlerts { high: 1, medium: 0, low: 0, informational: 2 },
        alerts: alerts().into_iter().take(3).collect(),
        now: NOW,
    }
}

fn fresh_device() -> DevicePage {
    DevicePage {
        name: hostile_device().name,
        os: hostile_device().os,
        model: "<img src=x>".into(),
        app_version: String::new(),
        last_seen: None,
        mode: None,
        protection: None,
        policy_version: 0,
        indicator_epoch: None,
        counters: None,
        unresolved: UnresolvedAlerts::default(),
        alerts: Vec::new(),
        ..device()
    }
}
