//! Sample pages of the alert queue, alerts and incidents, for the tests over all pages.

use askama::Template as _;
use bartizan_model::{
    AlertStatus, Detector, DeviceId, IndicatorAction, Severity, UnixMillis, UnresolvedAlerts,
};
use bartizan_store::{AlertChange, IncidentId, IncidentRow, Verdict};

use super::device_samples::{device_rows, hostile_device};
use super::tests::{NOW, long_host, shell};
use super::*;

/// Every page in several states.
pub(super) fn pages() -> Vec<(&'static str, String)> {
    let empty = |has_devices| AlertQueue { has_devices, ..queue(Vec::new()) };
    let filtered = AlertQueue {
        filter: AlertFilter {
            severity: Some(Severity::High),
            status: StatusFilter::Only(AlertStatus::InProgress),
        },
        ..queue(Vec::new())
    };
    let mut older = queue(alerts());
    older.after = "c1".into();
    older.next = Some("c2".into());
    let invited = Shell { one_time_password: true, ..shell() };
    let noticed = Shell { notice: Some("Status changed to In progress.".into()), ..shell() };
    let withheld = AlertPage {
        host: None,
        matched: None,
        detector: Detector::WebSpywareBlocked,
        title: Detector::WebSpywareBlocked.title().into(),
        severity: Severity::High,
        status: AlertStatus::InProgress,
        changed_by: Some("admin".into()),
        changed_at: Some(NOW),
        shell: noticed,
        ..alert()
    };
    let hostile = AlertPage {
        host: Some(long_host()),
        matched: Some("<script>alert(1)</script>.test".into()),
        device: hostile_device(),
        external: Some(bartizan_store::ExternalRow {
            product: "<script>\u{202e}".into(),
            external_id: "<img src=x>".into(),
            link: "https://edr.example/1".into(),
            original: "{\"a\":\"<script>\u{202e}\"}".into(),
            updated_at: NOW,
        }),
        ..alert()
    };
    let rendered = |page: &dyn askama::DynTemplate| page.dyn_render().unwrap();
    let mut pages = vec![
        ("alerts", rendered(&AlertsPage { shell: shell(), queue: queue(alerts()) })),
        ("alerts-older", rendered(&AlertsPage { shell: invited, queue: older })),
        ("alerts-none", rendered(&AlertsPage { shell: shell(), queue: empty(true) })),
        ("alerts-first", rendered(&AlertsPage { shell: shell(), queue: empty(false) })),
        ("alerts-filtered", rendered(&AlertsPage { shell: shell(), queue: filtered })),
        ("alert", rendered(&alert())),
        ("alert-withheld", rendered(&withheld)),
        ("alert-hostile", rendered(&hostile)),
    ];
    pages.extend(incidents());
    pages
}

fn incidents() -> [(&'static str, String); 3] {
    let row = IncidentRow {
        id: IncidentId(7),
        title: "Phishing site blocked: <script>\u{202e}\"><img src=x>".into(),
        severity: Severity::High,
        created_at: NOW,
        last_seen_at: NOW,
        alerts: 1_204,
        unresolved: 1,
    };
    let next =
        Pager { first: Some("/incidents?show=".into()), next: Some("/incidents?after=c".into()) };
    let list = |all, rows, pager| IncidentsPage { shell: shell(), all, rows, pager, now: NOW };
    let change = |kind: &str| bartizan_store::IncidentChange {
        at: NOW,
        by: "<img src=x>\u{202e}".into(),
        kind: kind.into(),
        detail: if kind == "title" { "<img src=x>\u{202e}".into() } else { "7".into() },
        reason: "<img src=x>\u{202e}".into(),
    };
    let one = IncidentPage {
        shell: shell(),
        incident: row.clone(),
        changes: ["title", "merged", "split", "made"].map(change).to_vec(),
        others: vec![row.clone()],
        is_whole: true,
        problem: Some("Say why."),
        rows: alerts(),
        now: NOW,
    };
    [
        ("incidents", list(true, vec![row], next).render().unwrap()),
        ("incidents-none", list(false, Vec::new(), Pager::default()).render().unwrap()),
        ("incident", one.render().unwrap()),
    ]
}

pub(super) fn queue(rows: Vec<AlertRow>) -> AlertQueue {
    let mut unresolved = UnresolvedAlerts::default();
    for row in &rows {
        unresolved.add(row.severity, u64::from(row.status != AlertStatus::Resolved));
    }
    unresolved.informational *= 307;
    AlertQueue {
        unresolved,
        filter: AlertFilter::default(),
        after: String::new(),
        next: (!rows.is_empty()).then(|| "01J8ZK3V".into()),
        rows,
        has_devices: true,
        matching: 12_345,
        may_change: true,
        members: vec![("7".into(), "<img src=x>\u{202e}".into())],
        form: BulkForm::default(),
        now: NOW,
    }
}

pub(super) fn alerts() -> Vec<AlertRow> {
    let row =
        |number: u8, detector: Detector, host: Option<&str>, name: &str, status, minutes: u64| {
            AlertRow {
                id: format!("0192f3a4-0000-7000-8000-0000000000{number:02}"),
                severity: detector.severity(),
                title: detector.title().into(),
                host: host.map(Into::into),
                device: DeviceId(0x0192_f3a4_b5c6_7d8e_9f00_1122_3344_5500 + u128::from(number)),
                device_name: name.into(),
                status,
                count: u64::from(number) * u64::from(number) * 17 % 1_400 + 1,
                last_seen: UnixMillis(NOW.0 - minutes * 60_000),
                may_change: number != 2,
            }
        };
    use AlertStatus::{InProgress, New, Resolved};
    use Detector::{WebMalwareBlocked, WebPhishingBlocked, WebSpywareBlocked};
    vec![
        row(1, WebPhishingBlocked, Some("login.evil.test"), "Finance iPad 3", New, 0),
        row(2, WebSpywareBlocked, Some("cdn-update.night.test"), "Board iPhone 1", New, 4),
        row(
            3,
            WebPhishingBlocked,
            Some("secure-bank.example.parcel-track.test"),
            "Field iPhone 12",
            New,
            11,
        ),
        hostile_alert(),
        row(5, WebMalwareBlocked, Some("c2.botnet.test"), "Warehouse tablet 7", InProgress, 47),
        row(6, WebPhishingBlocked, None, "Sales iPhone 4", New, 130),
        row(
            7,
            WebPhishingBlocked,
            Some("sso.mail-quota.test"),
            "Support iPad 2",
            InProgress,
            1_500,
        ),
        row(8, WebMalwareBlocked, Some("dropper.test"), "Lab Linux 1", New, 2_900),
        row(9, WebPhishingBlocked, Some("prize.test"), "Reception iPad", Resolved, 80_000),
    ]
}

pub(super) fn hostile_alert() -> AlertRow {
    AlertRow {
        id: "0192f3a4-0000-7000-8000-000000000004".into(),
        severity: Severity::Low,
        title: "<script>alert('title')</script>".into(),
        host: Some(long_host()),
        device: DeviceId(4),
        device_name:
            "\u{202e}enohPi\0 <img src=x onerror=alert(1)> with a name that never seems to end"
                .into(),
        status: AlertStatus::New,
        count: 1_234_567,
        last_seen: UnixMillis(NOW.0 - 15 * 60_000),
        may_change: true,
    }
}

pub(super) fn alert() -> AlertPage {
    AlertPage {
        shell: shell(),
        id: "0192f3a4-0000-7000-8000-000000000007".into(),
        detector: Detector::WebPhishingBlocked,
        title: Detector::WebPhishingBlocked.title().into(),
        severity: Severity::Informational,
        status: AlertStatus::New,
        host: Some("login.evil.test".into()),
        matched: Some("evil.test".into()),
        source: Some("a phishing feed".into()),
        indicator: None,
        action: IndicatorAction::Block,
        first_seen: UnixMillis(NOW.0 - 3 * 3_600_000),
        last_seen: UnixMillis(NOW.0 - 300_000),
        count: 4,
        changed_by: None,
        changed_at: None,
        indicator_epoch: 1_042,
        verdict: Verdict {
            classification: "TruePositive".into(),
            determination: "Phishing".into(),
        },
        assigned_to: Some("Sam <b>".into()),
        incident: Some("01890000-0000-7000-8000-000000000001".into()),
        suppressed_by: Some(bartizan_store::SuppressionId(7)),
        tags: vec!["<img src=x>".into(), "campaign 7".into()],
        external: None,
        changes: vec![AlertChange {
            at: NOW,
            by: Some("Sam <b>".into()),
            kind: "comment".into(),
            before: String::new(),
            after: "Asked <i>them</i>.".into(),
        }],
        device: device_rows().remove(0),
        now: NOW,
    }
}
