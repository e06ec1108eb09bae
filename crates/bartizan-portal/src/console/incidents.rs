//! Incidents: `GET /incidents`, the newest first, and one with its alerts: `GET /incidents/{id}`.

use askama::Template;
use bartizan_model::UnixMillis;
use bartizan_store::{IncidentChange, IncidentRow};

use super::badge::Badge;
use super::format::{self, Ago};
use super::{AlertRow, Icon, Pager, Section, Shell, filters};

/// The list.
#[derive(Template)]
#[template(path = "console/incidents.html")]
pub(crate) struct IncidentsPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Whether resolved ones are shown as well.
    pub(crate) all: bool,
    /// The incidents of this page.
    pub(crate) rows: Vec<IncidentRow>,
    /// Where the pages before and after are.
    pub(crate) pager: Pager,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl IncidentsPage {
    fn section(&self) -> Section {
        Section::Incidents
    }

    fn pager(&self) -> &Pager {
        &self.pager
    }
}

/// One incident.
#[derive(Template)]
#[template(path = "console/incident.html")]
pub(crate) struct IncidentPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// The incident.
    pub(crate) incident: IncidentRow,
    /// What people changed about it, the first first.
    pub(crate) changes: Vec<IncidentChange>,
    /// Open incidents that it can be merged into.
    pub(crate) others: Vec<IncidentRow>,
    /// Whether it is the member's to change as a whole: every alert of it is of a device that they may investigate.
    pub(crate) is_whole: bool,
    /// Why the last action did nothing.
    pub(crate) problem: Option<&'static str>,
    /// Its newest alerts.
    pub(crate) rows: Vec<AlertRow>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl IncidentPage {
    fn section(&self) -> Section {
        Section::Incidents
    }

    /// The table of alerts is that of the queue.
    fn show_device() -> bool {
        true
    }

    /// A change as a sentence without its subject.
    fn told(change: &IncidentChange) -> String {
        match change.kind.as_str() {
            "title" => format!("changed the title from “{}”", change.detail),
            "merged" => "merged another incident into this one".into(),
            "split" => "made an incident of some of its alerts".into(),
            _ => "made this incident of alerts of another".into(),
        }
    }

    /// Where the other incident is, if it is told.
    fn other(change: &IncidentChange) -> Option<String> {
        let has_page = matches!(change.kind.as_str(), "split" | "made");
        has_page.then(|| format!("/incidents/{}", change.detail))
    }
}
