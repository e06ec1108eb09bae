//! Incidents: `GET /incidents`, the newest first, and one with its alerts: `GET /incidents/{id}`.

use askama::Template;
use bartizan_model::UnixMillis;
use bartizan_store::IncidentRow;

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
}
