//! Changes of many alerts: the form `POST /alerts/bulk` comes back with, the jobs `GET /alerts/jobs`, and one of them.

use askama::Template;
use bartizan_model::{AlertStatus, UnixMillis};
use bartizan_store::{AlertChoice, AlertJobRow, AlertJobState, AlertUpdate, CLASSIFICATIONS};

use super::badge::Badge;
use super::format::{self, Ago};
use super::{Icon, Pager, Section, Shell, filters};

/// What can be changed about many alerts, as it stands in a form.
#[derive(Clone, Debug, Default)]
pub(crate) struct BulkForm {
    /// A word, or empty to leave it.
    pub(crate) status: String,
    /// Classification and determination with a slash between, or empty.
    pub(crate) verdict: String,
    /// `nobody`, a member's id, or empty.
    pub(crate) assign: String,
    /// With commas between.
    pub(crate) tag: String,
    /// With commas between.
    pub(crate) untag: String,
    /// To be said about each.
    pub(crate) comment: String,
}

impl BulkForm {
    /// Takes the fields that were sent; of several with one name the first.
    pub(crate) fn of(pairs: &[(String, String)]) -> Self {
        let text = |wanted: &str| {
            let found = pairs.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        Self {
            status: text("status"),
            verdict: text("verdict"),
            assign: text("assign"),
            tag: text("tag"),
            untag: text("untag"),
            comment: text("comment"),
        }
    }

    pub(super) fn is_status(&self, status: &AlertStatus) -> bool {
        self.status == status.word()
    }

    pub(super) fn is_assign(&self, to: &str) -> bool {
        self.assign == to
    }

    pub(super) fn is_verdict(&self, classification: &str, determination: &str) -> bool {
        self.verdict.split_once('/') == Some((classification, determination))
    }
}

/// Asks what is to be changed about how many alerts.
#[derive(Template)]
#[template(path = "console/alert_bulk.html")]
pub(crate) struct AlertBulkPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// How many alerts.
    pub(crate) alerts: u64,
    /// Which: fields that the form carries along.
    pub(crate) chosen: Vec<(&'static str, String)>,
    /// What stands in the form.
    pub(crate) form: BulkForm,
    /// Members that alerts can be given to: id and name.
    pub(crate) members: Vec<(String, String)>,
    /// Why nothing was done yet.
    pub(crate) problem: Option<&'static str>,
    /// Where the alerts are listed.
    pub(crate) back: String,
}

impl AlertBulkPage {
    fn section(&self) -> Section {
        Section::Alerts
    }

    fn count_text(&self) -> String {
        format::count(self.alerts, "alert")
    }
}

/// The jobs.
#[derive(Template)]
#[template(path = "console/alert_jobs.html")]
pub(crate) struct AlertJobsPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// The newest first.
    pub(crate) jobs: Vec<AlertJobRow>,
    /// Where the pages before and after are.
    pub(crate) pager: Pager,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl AlertJobsPage {
    fn section(&self) -> Section {
        Section::Alerts
    }

    fn pager(&self) -> &Pager {
        &self.pager
    }
}

/// One job.
#[derive(Template)]
#[template(path = "console/alert_job.html")]
pub(crate) struct AlertJobPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// The job.
    pub(crate) job: AlertJobRow,
    /// The name of who the alerts are given to, if they are.
    pub(crate) assignee: Option<String>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl AlertJobPage {
    fn section(&self) -> Section {
        Section::Alerts
    }

    fn seen_text(&self) -> String {
        let (seen, total) = (self.job.seen(), self.job.total);
        format!("{} of {}", format::grouped(seen), format::count(total.max(seen), "alert"))
    }

    /// The end of the bar: what is not there any more counts as looked at.
    fn most(&self) -> u64 {
        self.job.total.max(self.job.seen()).max(1)
    }

    fn place(&self) -> u64 {
        if self.job.state == AlertJobState::Done { self.most() } else { self.job.seen() }
    }

    fn state_text(&self) -> String {
        match self.job.state {
            AlertJobState::Waiting => "It begins as soon as changes before it are done.".into(),
            AlertJobState::Running => "It goes on by itself; you can leave this page.".into(),
            AlertJobState::Done => "All alerts were looked at.".into(),
            AlertJobState::Canceled => "It was canceled. What it had changed stays.".into(),
            AlertJobState::Failed => format!("It cannot go on: {}.", self.job.reason),
        }
    }

    fn wanted(&self) -> Vec<String> {
        wanted(&self.job.update, self.assignee.as_deref())
    }
}

/// Says which alerts a job is about.
fn chosen(choice: &AlertChoice) -> String {
    let filter = match choice {
        AlertChoice::Keys(_) => return "Selected alerts".into(),
        AlertChoice::Filter(filter) => filter,
    };
    let mut words = Vec::new();
    match filter.status {
        bartizan_store::StatusFilter::Any => {}
        bartizan_store::StatusFilter::Unresolved => words.push("unresolved".to_owned()),
        bartizan_store::StatusFilter::Only(status) => words.push(status.label().to_lowercase()),
    }
    words.extend(filter.severity.map(|severity| format!("{} severity", severity.word())));
    let mut text = if words.is_empty() {
        "All alerts".to_owned()
    } else {
        format!("All alerts: {}", words.join(", "))
    };
    if filter.device.is_some() {
        text.push_str(", of one device");
    }
    if filter.incident.is_some() {
        text.push_str(", of one incident");
    }
    text
}

/// Says what is to change, line by line.
fn wanted(update: &AlertUpdate, assignee: Option<&str>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(status) = update.status {
        lines.push(format!("Status: {}", status.label()));
    }
    if let Some(verdict) = &update.verdict {
        lines.push(format!(
            "Verdict: {}: {}",
            format::spaced(&verdict.classification),
            format::spaced(&verdict.determination)
        ));
    }
    match update.assigned_to {
        None => {}
        Some(None) => lines.push("Assigned to nobody".into()),
        Some(Some(_)) => {
            lines.push(format!("Assigned to {}", assignee.unwrap_or("somebody who is gone")));
        }
    }
    if !update.tag.is_empty() {
        lines.push(format!("Tags added: {}", update.tag.join(", ")));
    }
    if !update.untag.is_empty() {
        lines.push(format!("Tags taken away: {}", update.untag.join(", ")));
    }
    if let Some(comment) = &update.comment {
        lines.push(format!("Comment: {comment}"));
    }
    lines
}

/// The same on one line.
fn summary(job: &AlertJobRow) -> String {
    let mut parts = Vec::new();
    parts.extend(job.update.status.map(|status| format!("status {}", status.label())));
    parts.extend(job.update.verdict.as_ref().map(|_| "verdict".to_owned()));
    parts.extend(job.update.assigned_to.map(|_| "assignee".to_owned()));
    if !job.update.tag.is_empty() || !job.update.untag.is_empty() {
        parts.push("tags".to_owned());
    }
    parts.extend(job.update.comment.as_ref().map(|_| "comment".to_owned()));
    format!("{}: {}", chosen(&job.choice), parts.join(", "))
}
