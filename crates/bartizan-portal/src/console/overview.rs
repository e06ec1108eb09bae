//! The tenant at a glance: `GET /overview`. Every number leads to the list that it counts.

use askama::Template;
use bartizan_model::{RiskLevel, Severity, UnixMillis, UnresolvedAlerts};
use bartizan_store::{LOOKED_AT, Seats, StoppedHosts, Tally};

use super::badge::Badge;
use super::format::{Ago, clock, grouped};
use super::{Icon, Section, Shell, filters};

/// The page.
#[derive(Template)]
#[template(path = "console/overview.html")]
pub(crate) struct OverviewPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// How the devices are.
    pub(crate) tally: Tally,
    /// What devices were stopped from reaching most often.
    pub(crate) stopped: StoppedHosts,
    /// How the seats of plans are taken; empty where nobody counts them.
    pub(crate) seats: Vec<Seats>,
    /// Alerts that wait.
    pub(crate) unresolved: UnresolvedAlerts,
    /// The newest indicator file: entries and when it was built; absent before the first.
    pub(crate) indicators: Option<(u64, UnixMillis)>,
    /// What somebody should know about the feeds.
    pub(crate) notices: u64,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl OverviewPage {
    fn section(&self) -> Section {
        Section::Overview
    }

    fn severities(&self) -> [(Severity, &'static str, u64); 4] {
        let unresolved = self.unresolved;
        [
            (Severity::High, "high", unresolved.high),
            (Severity::Medium, "medium", unresolved.medium),
            (Severity::Low, "low", unresolved.low),
            (Severity::Informational, "info", unresolved.informational),
        ]
    }

    /// What was looked at for the hosts.
    fn looked_at(&self) -> String {
        match self.stopped.since {
            Some(since) => format!(
                "By the latest {} alerts, back to {}.",
                grouped(u64::from(LOOKED_AT)),
                clock(since)
            ),
            None => "By the alerts of the last seven days.".into(),
        }
    }

    fn risks(&self) -> impl Iterator<Item = (RiskLevel, u64)> {
        self.tally.by_risk()
    }

    /// What the devices said last, with the list's word for it.
    fn states(&self) -> [(&'static str, &'static str, u64); 5] {
        let tally = &self.tally;
        [
            ("Protection on", "on", tally.on),
            ("Protection degraded", "degraded", tally.degraded),
            ("Protection off", "off", tally.off),
            ("Inactive for a week", "inactive", tally.silent),
            ("Never checked in", "never", tally.never_checked_in),
        ]
    }
}
