//! How long things are kept: `GET /retention`.

use askama::Template;
use bartizan_store::OldAlerts;

use super::{Icon, Section, Shell, filters, format};

/// What holds, and a form to decide otherwise.
#[derive(Template)]
#[template(path = "console/retention.html")]
pub(crate) struct RetentionPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Days that the installation keeps things; for ever, if it does not say.
    pub(crate) installation: Option<u64>,
    /// Days that the organization decided on, if it did.
    pub(crate) own: Option<u32>,
    /// Days that hold; for ever, if nobody decided.
    pub(crate) kept: Option<u64>,
    /// What goes at the next run.
    pub(crate) next: OldAlerts,
    /// The fewest and most days that can be set.
    pub(crate) bounds: (u32, u32),
    /// What was typed.
    pub(crate) days: String,
    /// What is wrong with it.
    pub(crate) problem: Option<String>,
    /// A shorter time that waits for a yes: in days, and what would go.
    pub(crate) review: Option<(u64, OldAlerts)>,
}

impl RetentionPage {
    fn section(&self) -> Section {
        Section::Retention
    }

    /// What the form was made of, to find out whether it still stands.
    fn seen(&self) -> String {
        self.own.map(|days| days.to_string()).unwrap_or_default()
    }

    fn holds(&self) -> String {
        match self.kept {
            Some(days) => format!("What is settled is kept for {}.", format::count(days, "day")),
            None => "What is settled is kept for ever.".into(),
        }
    }

    fn by_installation(&self) -> String {
        self.installation.map_or_else(|| "for ever".into(), |days| format::count(days, "day"))
    }
}

fn in_days(days: &u64) -> String {
    format::count(*days, "day")
}

/// Says how many.
fn going(old: &OldAlerts) -> String {
    let alerts = format::count(old.resolved, "resolved alert");
    let least = if old.more { "At least " } else { "" };
    format!("{least}{alerts}")
}

/// What goes, and when its time begins.
const SETTLED: &[(&str, &str)] = &[
    (
        "Resolved alerts with their history, tags and evidence; an incident with the last of its alerts",
        "last seen",
    ),
    ("Reports of sites that were decided", "decided"),
    ("Notices that were dismissed", "dismissed"),
    ("Feedback that was answered or closed", "answered or closed"),
    ("How the risk of devices changed", "changed"),
    ("What detectors logged without an alert", "last seen"),
    ("What became of changes of many alerts", "done"),
    ("Events that reached no sink", "given up"),
];

/// What this is not about, and how long it stays.
const OTHERS: &[(&str, &str)] = &[
    ("Alerts that are not resolved", "until somebody resolves them"),
    ("The audit log", "as long as the organization"),
    ("Devices, and what happened on them", "until they are forgotten"),
    ("Users and members", "until they are erased"),
];
