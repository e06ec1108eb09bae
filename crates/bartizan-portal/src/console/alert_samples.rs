//! Pages about work on many alerts, with sample data, for the tests over all pages.

use askama::Template as _;
use bartizan_model::{AlertStatus, Detector, UnixMillis};
use bartizan_store::{
    AlertChoice, AlertFilter, AlertJobId, AlertJobRow, AlertJobState, AlertKey, AlertUpdate,
    DetectorMode, GroupId, MemberId, SuppressionId, SuppressionPreview, SuppressionRow,
    SuppressionScope, SuppressionTerms, Verdict,
};

use super::*;

const NOW: UnixMillis = UnixMillis(1_772_600_767_000);
const HOSTILE: &str = "<img src=x>\u{202e}";

pub(super) fn pages(shell: &Shell) -> Vec<(&'static str, String)> {
    let shell = || shell.clone();
    let jobs = |jobs, pager| AlertJobsPage { shell: shell(), jobs, pager, now: NOW };
    let one = |job| AlertJobPage { shell: shell(), job, assignee: Some(HOSTILE.into()), now: NOW };
    let bulk = |alerts, problem| AlertBulkPage {
        shell: shell(),
        alerts,
        chosen: vec![("do", "all".into()), ("of-status", "Unresolved".into())],
        form: BulkForm {
            status: "Resolved".into(),
            verdict: "TruePositive/Phishing".into(),
            assign: "7".into(),
            tag: HOSTILE.into(),
            untag: String::new(),
            comment: HOSTILE.into(),
        },
        members: vec![("7".into(), HOSTILE.into())],
        problem,
        back: "/alerts".into(),
    };
    let pager = Pager { first: None, next: Some("/alerts/jobs?before=c".into()) };
    let listed = vec![
        job(AlertJobState::Waiting),
        job(AlertJobState::Running),
        job(AlertJobState::Canceled),
        job(AlertJobState::Failed),
        selection(),
    ];
    vec![
        ("alert-jobs", jobs(listed, pager).render().unwrap()),
        ("alert-jobs-none", jobs(Vec::new(), Pager::default()).render().unwrap()),
        ("alert-job", one(job(AlertJobState::Running)).render().unwrap()),
        ("alert-job-failed", one(job(AlertJobState::Failed)).render().unwrap()),
        ("alert-job-done", one(selection()).render().unwrap()),
        ("alert-bulk", bulk(12_345, None).render().unwrap()),
        ("detectors", detectors(shell(), None).render().unwrap()),
        ("detectors-unfit", detectors(shell(), Some("Days are a number.")).render().unwrap()),
        ("suppressions", rules(shell(), vec![rule(None), rule(Some(NOW))]).render().unwrap()),
        ("suppressions-none", rules(shell(), Vec::new()).render().unwrap()),
        ("suppression", one_rule(shell(), Some(rule(None)), None).render().unwrap()),
        ("suppression-ended", one_rule(shell(), Some(rule(Some(NOW))), None).render().unwrap()),
        (
            "suppression-unfit",
            one_rule(shell(), None, Some(("host", "This is not a name."))).render().unwrap(),
        ),
        ("alert-bulk-unfit", bulk(0, Some("No alert is selected.")).render().unwrap()),
    ]
}

fn job(state: AlertJobState) -> AlertJobRow {
    AlertJobRow {
        id: AlertJobId(7),
        created_at: NOW,
        created_by: MemberId(7),
        creator: HOSTILE.into(),
        choice: AlertChoice::Filter(AlertFilter::default()),
        update: update(),
        state,
        reason: if state == AlertJobState::Failed { HOSTILE.into() } else { String::new() },
        total: 12_345,
        changed: 4_000,
        unchanged: 300,
        failed: 20,
        updated_at: NOW,
        place: (0, [0; 16]),
    }
}

fn selection() -> AlertJobRow {
    AlertJobRow {
        id: AlertJobId(8),
        choice: AlertChoice::Keys(vec![AlertKey(1)]),
        ..job(AlertJobState::Done)
    }
}

fn update() -> AlertUpdate {
    AlertUpdate {
        status: Some(AlertStatus::Resolved),
        verdict: Some(Verdict {
            classification: "TruePositive".into(),
            determination: "Phishing".into(),
        }),
        assigned_to: Some(Some(MemberId(7))),
        comment: Some(HOSTILE.into()),
        tag: vec![HOSTILE.into()],
        untag: vec!["old".into()],
    }
}

fn detectors(shell: Shell, days_problem: Option<&'static str>) -> DetectorsPage {
    let row = |key: &str, name: &str, mode| DetectorRow {
        key: key.into(),
        name: name.into(),
        is_group: key != "all",
        modes: Detector::ALL.map(|detector| (detector, mode)),
    };
    DetectorsPage {
        shell,
        rows: vec![
            row("all", "Every device", None),
            row("7", HOSTILE, Some(DetectorMode::LogOnly)),
            row("8", "Laboratory", None),
        ],
        days: Detector::ALL.map(|detector| (detector, "30".into())).to_vec(),
        days_problem,
        counts: Detector::ALL.map(|detector| (detector, (1_204, 0))).to_vec(),
    }
}

fn rules(shell: Shell, rules: Vec<SuppressionRow>) -> SuppressionsPage {
    let pager = Pager { first: None, next: Some("/suppressions?before=c".into()) };
    let devices = [(bartizan_model::DeviceId(5), HOSTILE.to_owned())].into();
    let groups = vec![(GroupId(7), HOSTILE.into())];
    SuppressionsPage { shell, all: !rules.is_empty(), rules, groups, devices, pager, now: NOW }
}

fn one_rule(
    shell: Shell,
    stored: Option<SuppressionRow>,
    problem: Option<(&'static str, &'static str)>,
) -> SuppressionPage {
    let form = SuppressionForm::of(&rule(None).terms);
    let preview = stored.as_ref().map(|_| SuppressionPreview { matching: 12, of: 3_400 });
    let groups = vec![(GroupId(7), HOSTILE.into())];
    let row = device_samples::stored(9);
    let (device, choices) = match problem {
        Some(_) => (None, vec![row.clone(), row]),
        None => (Some(row), Vec::new()),
    };
    SuppressionPage { shell, stored, form, groups, problem, device, choices, preview, now: NOW }
}

fn rule(ended_at: Option<UnixMillis>) -> SuppressionRow {
    SuppressionRow {
        id: SuppressionId(7),
        terms: SuppressionTerms {
            scope: SuppressionScope::Person(HOSTILE.into()),
            detector: ended_at.map(|_| Detector::WebPhishingBlocked),
            host: "*.training.example.test".into(),
            reason: HOSTILE.into(),
            expires_at: ended_at,
        },
        created_by: MemberId(7),
        creator: HOSTILE.into(),
        created_at: NOW,
        changed_at: NOW,
        ended_at,
        hits: 1_204,
        last_hit_at: ended_at,
    }
}
