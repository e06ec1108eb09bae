//! Badges: a state as icon, word and color, never color alone.

use askama::Template;
use askama::filters::HtmlSafe;
use bartizan_model::{AlertStatus, IndicatorAction, ProtectionState, RiskLevel, Severity};
use bartizan_store::{AlertJobState, FeedOutcome, FeedVersionState, SiteReportStatus};

use super::Icon;

/// What is shown of a state. `tone` is a class of `console.css`, where its contrast is looked after.
#[derive(Template)]
#[template(path = "console/badge.html")]
pub(crate) struct Badge {
    tone: &'static str,
    icon: &'static str,
    text: &'static str,
}

/// All of it is ours.
impl HtmlSafe for Badge {}

impl Badge {
    /// Shows how bad an alert is.
    pub(crate) fn severity(severity: &Severity) -> Self {
        let (tone, icon) = match severity {
            Severity::High => ("high", "alert-octagon"),
            Severity::Medium => ("medium", "alert-triangle"),
            Severity::Low => ("low", "alert-circle"),
            Severity::Informational => ("info", "info-circle"),
        };
        Self { tone, icon, text: severity.word() }
    }

    /// Shows how much a device is at risk.
    pub(crate) fn risk(risk: &RiskLevel) -> Self {
        match risk {
            RiskLevel::High => Self::severity(&Severity::High),
            RiskLevel::Medium => Self::severity(&Severity::Medium),
            RiskLevel::Low => Self::severity(&Severity::Low),
            RiskLevel::Informational => Self::severity(&Severity::Informational),
            RiskLevel::None => Self { tone: "good", icon: "circle-check", text: risk.word() },
        }
    }

    /// Shows what became of an alert.
    pub(crate) fn status(status: &AlertStatus) -> Self {
        let (tone, icon) = match status {
            AlertStatus::New => ("new", "circle-dot"),
            AlertStatus::InProgress => ("progress", "progress"),
            AlertStatus::Resolved => ("quiet", "circle-check"),
        };
        Self { tone, icon, text: status.label() }
    }

    /// Shows whether a device is protected, as it said itself at its latest check-in; `None` before
    /// the first.
    pub(crate) fn protection(state: &Option<ProtectionState>) -> Self {
        let (tone, icon, text) = match state {
            Some(ProtectionState::On) => ("good", "shield", "On"),
            Some(ProtectionState::Degraded) => ("medium", "shield-half", "Degraded"),
            Some(ProtectionState::Off) => ("high", "shield-off", "Off"),
            None => ("quiet", "circle-dashed", "Never checked in"),
        };
        Self { tone, icon, text }
    }

    /// Shows what is to be done at a match.
    pub(crate) fn action(action: &IndicatorAction) -> Self {
        let (tone, icon) = match action {
            IndicatorAction::Allow => ("good", "circle-check"),
            IndicatorAction::Warn => ("medium", "alert-triangle"),
            IndicatorAction::Block => ("high", "ban"),
            IndicatorAction::Audit => ("info", "eye"),
        };
        Self { tone, icon, text: action.label() }
    }

    /// Shows that an indicator's time is over.
    pub(crate) fn expired() -> Self {
        Self { tone: "quiet", icon: "hourglass-off", text: "Expired" }
    }

    /// Shows whether a feed is looked at, and how the last look went; `None` before the first.
    pub(crate) fn feed(enabled: &bool, outcome: &Option<FeedOutcome>) -> Self {
        let (tone, icon, text) = match (enabled, outcome) {
            (false, _) => ("quiet", "shield-off", "Off"),
            (true, None) => ("quiet", "circle-dashed", "Waiting"),
            (true, Some(FeedOutcome::Taken | FeedOutcome::Unchanged)) => {
                ("good", "circle-check", "Up to date")
            }
            (true, Some(FeedOutcome::Refused)) => ("medium", "alert-triangle", "Refused"),
            (true, Some(FeedOutcome::Failed)) => ("high", "alert-octagon", "Not reached"),
        };
        Self { tone, icon, text }
    }

    /// Shows what became of a version of a feed.
    pub(crate) fn version(state: &FeedVersionState) -> Self {
        let (tone, icon, text) = match state {
            FeedVersionState::Current => ("good", "circle-check", "In use"),
            FeedVersionState::Kept => ("quiet", "clock", "Kept"),
            FeedVersionState::Refused => ("medium", "alert-triangle", "Refused"),
            FeedVersionState::RolledBack => ("quiet", "arrow-back-up", "Rolled back"),
        };
        Self { tone, icon, text }
    }

    /// Shows what was decided about a report.
    pub(crate) fn report(status: &SiteReportStatus) -> Self {
        let (tone, icon, text) = match status {
            SiteReportStatus::New => ("new", "circle-dot", "New"),
            SiteReportStatus::Accepted => ("good", "circle-check", "Accepted"),
            SiteReportStatus::Rejected => ("quiet", "x", "Rejected"),
        };
        Self { tone, icon, text }
    }

    /// Shows that a rule does something.
    pub(crate) fn holds() -> Self {
        Self { tone: "good", icon: "circle-check", text: "Active" }
    }

    /// Shows how far a change of many alerts has come.
    pub(crate) fn alert_job(state: &AlertJobState) -> Self {
        let (tone, icon, text) = match state {
            AlertJobState::Waiting => ("quiet", "clock", "Waiting"),
            AlertJobState::Running => ("progress", "progress", "Running"),
            AlertJobState::Done => ("good", "circle-check", "Done"),
            AlertJobState::Canceled => ("quiet", "x", "Canceled"),
            AlertJobState::Failed => ("high", "alert-octagon", "Failed"),
        };
        Self { tone, icon, text }
    }

    /// Shows that nothing was heard from a device for a week.
    pub(crate) fn inactive() -> Self {
        Self { tone: "quiet", icon: "zzz", text: "Inactive" }
    }
}
