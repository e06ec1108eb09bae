//! Pages about feeds with sample data, some of it hostile, for the tests over all pages.

use askama::DynTemplate;
use bartizan_model::{DeviceId, UnixMillis};
use bartizan_store::{
    FeedId, FeedOrigin, FeedOutcome, FeedRow, FeedVersionRow, FeedVersionState, HeldBackRow,
    HitRow, IndicatorFileRow, NewSiteReport, NoticeId, NoticeKind, NoticeRow, ReleasedRow,
    SiteReportKind, SiteReportRow, SiteReportStatus, Validators,
};

use super::{FeedForm, FeedPage, FeedsPage, NewFeedPage, Publishing, Shell};
use crate::feeds::settings::usual;

const HOSTILE: &str = "\"><img src=x onerror=alert(1)>\u{202e}<script>";
const NOW: UnixMillis = UnixMillis(1_772_600_767_000);

/// Renders them.
pub(super) fn pages(shell: &Shell) -> Vec<(&'static str, String)> {
    let none = FeedsPage {
        shell: shell.clone(),
        notices: Vec::new(),
        feeds: Vec::new(),
        publishing: Publishing::default(),
        files: Vec::new(),
        held_back: Vec::new(),
        held_back_total: 0,
        released: Vec::new(),
        decidable: [DeviceId(1)].into(),
        reports: Vec::new(),
        own: Vec::new(),
        problem: None,
        now: NOW,
    };
    let full = feeds(shell);
    let fresh = FeedPage {
        feed: FeedRow { outcome: None, version: None, ..feed(1, FeedOutcome::Taken) },
        versions: Vec::new(),
        hits: Vec::new(),
        decidable: [DeviceId(1)].into(),
        reports: Vec::new(),
        ..one(shell)
    };
    let new = NewFeedPage {
        shell: shell.clone(),
        form: FeedForm { name: HOSTILE.into(), interval: "77".into(), ..FeedForm::default() },
        problem: Some(HOSTILE.into()),
    };
    let rendered = |page: &dyn DynTemplate| page.dyn_render().unwrap();
    vec![
        ("feeds-none", rendered(&none)),
        ("feeds", rendered(&full)),
        ("feed", rendered(&one(shell))),
        ("feed-fresh", rendered(&fresh)),
        ("feed-new", rendered(&new)),
    ]
}

fn feeds(shell: &Shell) -> FeedsPage {
    let outcomes = [FeedOutcome::Taken, FeedOutcome::Refused, FeedOutcome::Failed];
    FeedsPage {
        shell: shell.clone(),
        notices: vec![NoticeRow {
            id: NoticeId(1),
            at: NOW,
            kind: NoticeKind::Shrank,
            feed: Some(FeedId(1)),
            text: HOSTILE.into(),
        }],
        feeds: (1..).zip(outcomes).map(|(id, outcome)| feed(id, outcome)).collect(),
        publishing: Publishing {
            since: Some(NOW),
            is_wanted: true,
            took_ms: Some(1_234),
            problem: Some(HOSTILE.into()),
        },
        files: vec![IndicatorFileRow {
            epoch: 3,
            sha256: "00".repeat(32),
            size_bytes: 8_500_000,
            entries: 1_000_000,
            built_at: NOW,
            report: "{}".into(),
        }],
        held_back: vec![HeldBackRow {
            pattern: HOSTILE.into(),
            reason: "popular".into(),
            source: HOSTILE.into(),
        }],
        held_back_total: 4_000,
        released: vec![ReleasedRow {
            pattern: HOSTILE.into(),
            released_by: HOSTILE.into(),
            released_at: NOW,
        }],
        decidable: [DeviceId(1)].into(),
        reports: vec![report(3, SiteReportStatus::New, None)],
        own: vec!["example.test".into()],
        problem: Some(HOSTILE.into()),
        now: NOW,
    }
}

fn report(id: u128, status: SiteReportStatus, pattern: Option<&str>) -> SiteReportRow {
    SiteReportRow {
        report: NewSiteReport {
            id,
            kind: SiteReportKind::FalsePositive,
            host: HOSTILE.into(),
            pattern: pattern.map(str::to_owned),
            source: "evil".into(),
            comment: HOSTILE.into(),
            indicator_epoch: Some(3),
        },
        device: DeviceId(1),
        device_name: HOSTILE.into(),
        app_version: "0.1.0".into(),
        reported_at: NOW,
        status,
        status_by: (status != SiteReportStatus::New).then(|| HOSTILE.into()),
    }
}

fn one(shell: &Shell) -> FeedPage {
    let feed = feed(1, FeedOutcome::Refused);
    let version = |version, state| FeedVersionRow {
        version,
        sha256: "00".repeat(32),
        size_bytes: 12_345,
        fetched_at: NOW,
        entries: 1_000,
        lines: 1_002,
        bad_lines: 2,
        format: "host list".into(),
        state,
        reason: if state == FeedVersionState::Refused { HOSTILE.into() } else { String::new() },
        has_octets: true,
    };
    FeedPage {
        shell: shell.clone(),
        form: FeedForm::of(&feed.settings),
        feed,
        problem: Some(HOSTILE.into()),
        versions: (1..).zip(FeedVersionState::ALL).map(|(n, state)| version(n, state)).collect(),
        hits: vec![HitRow { pattern: HOSTILE.into(), hits: 9, last_hit_at: NOW }],
        decidable: [DeviceId(1)].into(),
        reports: vec![
            report(1, SiteReportStatus::New, Some(HOSTILE)),
            report(2, SiteReportStatus::Accepted, None),
            report(3, SiteReportStatus::Rejected, None),
        ],
        now: NOW,
    }
}

fn feed(id: u128, outcome: FeedOutcome) -> FeedRow {
    let mut settings = usual(HOSTILE, FeedOrigin::Url);
    settings.url = Some(format!("https://feeds.example/{HOSTILE}"));
    settings.credentials = Some(bartizan_model::Private("secret".into()));
    FeedRow {
        id: FeedId(id),
        settings,
        validators: Validators::default(),
        due_at: Some(UnixMillis(NOW.0 + 3_600_000)),
        checked_at: Some(NOW),
        failures: 3,
        outcome: Some(outcome),
        outcome_detail: HOSTILE.into(),
        version: Some(1),
        entries: 1_234_567,
        changed_at: Some(NOW),
        hits: 12,
        reports: 2,
    }
}

#[test]
fn a_secret_is_not_shown_again() {
    let shell = Shell {
        email: "admin@example.test".into(),
        tenant: "Example Ltd".into(),
        one_time_password: false,
        permissions: bartizan_store::Permissions::of(&bartizan_store::Permission::ALL),
        here: bartizan_store::Permissions::of(&bartizan_store::Permission::ALL),
        notice: None,
        is_operator: false,
        visit: None,
    };
    for (name, html) in pages(&shell) {
        assert!(!html.contains("secret"), "{name}");
    }
}
