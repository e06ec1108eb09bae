//! Sample pages of feedback, for the tests over all pages.

use askama::Template;
use bartizan_model::{DeviceId, UnixMillis};
use bartizan_store::{FeedbackId, FeedbackRow, FeedbackStatus, MemberId};

use super::{FeedbackFormPage, FeedbackInboxPage, FeedbackPage, Pager, Shell};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const HOSTILE: &str = "<script>\u{202e}\"><img src=x>";

/// Every page in several states.
pub(super) fn pages(shell: &Shell) -> Vec<(&'static str, String)> {
    let row = FeedbackRow {
        id: FeedbackId(1),
        device: Some((DeviceId(1), HOSTILE.into())),
        member: None,
        text: HOSTILE.repeat(9),
        mood: HOSTILE.into(),
        log_octets: 12_345,
        app_version: HOSTILE.into(),
        page: HOSTILE.into(),
        sent_at: NOW,
        status: FeedbackStatus::New,
        reply: HOSTILE.into(),
        replied_at: Some(NOW),
    };
    let of_member = FeedbackRow {
        device: None,
        member: Some((MemberId(1), HOSTILE.into())),
        status: FeedbackStatus::Answered,
        mood: "bad".into(),
        log_octets: 0,
        ..row.clone()
    };
    let form = |own, problem| FeedbackFormPage {
        shell: shell.clone(),
        own,
        text: HOSTILE.into(),
        mood: "good".into(),
        page: HOSTILE.into(),
        problem,
        now: NOW,
    };
    let inbox = |rows, status| FeedbackInboxPage {
        shell: shell.clone(),
        rows,
        status,
        pager: Pager::default(),
        now: NOW,
    };
    let one = |row, problem| FeedbackPage {
        shell: shell.clone(),
        row,
        reply: HOSTILE.into(),
        problem,
        now: NOW,
    };
    let both = vec![row.clone(), of_member.clone()];
    let read = Some(FeedbackStatus::Read);
    vec![
        ("feedback form", form(Vec::new(), Some("Say it.")).render().unwrap()),
        ("feedback form, said", form(both.clone(), None).render().unwrap()),
        ("feedback, none", inbox(Vec::new(), None).render().unwrap()),
        ("feedback, none of these", inbox(Vec::new(), read).render().unwrap()),
        ("feedback", inbox(both, read).render().unwrap()),
        ("feedback of a device", one(row, Some("Say it.")).render().unwrap()),
        ("feedback of a member", one(of_member, None).render().unwrap()),
    ]
}
