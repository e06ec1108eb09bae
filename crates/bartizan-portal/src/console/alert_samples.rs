//! Pages about work on many alerts, with sample data, for the tests over all pages.

use askama::Template as _;
use bartizan_model::{AlertStatus, UnixMillis};
use bartizan_store::{
    AlertChoice, AlertFilter, AlertJobId, AlertJobRow, AlertJobState, AlertKey, AlertUpdate,
    MemberId, Verdict,
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
