//! Feedback: everybody's form, the inbox, and one of it.

use askama::Template;
use bartizan_contract::feedback::{MAX_TEXT, mood};
use bartizan_model::UnixMillis;
use bartizan_store::{FeedbackRow, FeedbackStatus};

use super::format::{self, Ago};
use super::{Icon, Pager, Section, Shell, filters};

/// The form, and what one said before.
#[derive(Template)]
#[template(path = "console/feedback_form.html")]
pub(crate) struct FeedbackFormPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// What one said before, the newest first.
    pub(crate) own: Vec<FeedbackRow>,
    /// What stands in the form.
    pub(crate) text: String,
    /// A word, likewise.
    pub(crate) mood: String,
    /// The page that it is about.
    pub(crate) page: String,
    /// Why it was not sent.
    pub(crate) problem: Option<&'static str>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

/// All that people said.
#[derive(Template)]
#[template(path = "console/feedback_inbox.html")]
pub(crate) struct FeedbackInboxPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// The newest first.
    pub(crate) rows: Vec<FeedbackRow>,
    /// Only of this one.
    pub(crate) status: Option<FeedbackStatus>,
    /// Ways to other pages.
    pub(crate) pager: Pager,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

/// What one person said.
#[derive(Template)]
#[template(path = "console/feedback.html")]
pub(crate) struct FeedbackPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// What was said.
    pub(crate) row: FeedbackRow,
    /// What stands in the form.
    pub(crate) reply: String,
    /// What is wrong with it.
    pub(crate) problem: Option<&'static str>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl FeedbackFormPage {
    fn section(&self) -> Section {
        Section::Say
    }

    /// Moods to choose from: word, label, chosen.
    fn moods(&self) -> Vec<(&'static str, &'static str, bool)> {
        mood::ALL.map(|word| (word, mood_label(word), word == self.mood)).into()
    }
}

impl FeedbackInboxPage {
    fn section(&self) -> Section {
        Section::Feedback
    }

    /// Statuses to choose from: word, chosen.
    fn statuses(&self) -> Vec<(&'static str, bool)> {
        FeedbackStatus::ALL.map(|status| (status.word(), self.status == Some(status))).into()
    }

    fn pager(&self) -> &Pager {
        &self.pager
    }
}

impl FeedbackPage {
    fn section(&self) -> Section {
        Section::Feedback
    }

    /// What else it may become; answered it is by a reply.
    fn others(&self) -> Vec<&'static str> {
        let all = FeedbackStatus::ALL.into_iter();
        let others = all.filter(|one| *one != FeedbackStatus::Answered && *one != self.row.status);
        others.map(FeedbackStatus::word).collect()
    }
}

/// Class, icon and word of a status.
fn state(row: &FeedbackRow) -> (&'static str, &'static str, &'static str) {
    match row.status {
        FeedbackStatus::New => ("new", "circle-dot", "New"),
        FeedbackStatus::Read => ("progress", "eye", "Read"),
        FeedbackStatus::Answered => ("good", "circle-check", "Answered"),
        FeedbackStatus::Closed => ("quiet", "circle-check", "Closed"),
    }
}

/// Says how somebody feels.
fn mood_label(word: &str) -> &'static str {
    match word {
        mood::GOOD => "Glad",
        mood::NEUTRAL => "Neither",
        mood::BAD => "Annoyed",
        _ => "Not said",
    }
}

/// Says who said it.
fn who(row: &FeedbackRow) -> &str {
    match (&row.device, &row.member) {
        (Some((_, name)), _) => name,
        (None, Some((_, email))) => email,
        (None, None) => "Somebody",
    }
}

/// The beginning of what was said.
fn beginning(row: &FeedbackRow) -> String {
    let line: String = row.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut: String = line.chars().take(120).collect();
    if cut.len() < line.len() { format!("{cut}…") } else { cut }
}
