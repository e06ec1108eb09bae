//! One alert: `GET /alerts/{id}`; its form goes to `POST /alerts/{id}/status`.

use askama::Template;
use bartizan_model::{AlertStatus, Detector, IndicatorAction, Severity, UnixMillis};
use bartizan_store::{AlertChange, CLASSIFICATIONS, ExternalRow, SuppressionId, Verdict};

use super::badge::Badge;
use super::format::{self, Ago};
use super::{DeviceRow, Icon, Presence, Section, Shell, filters};

/// All there is to know about an alert, and what to do.
#[derive(Template)]
#[template(path = "console/alert.html")]
pub(crate) struct AlertPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Names it: what its address ends in.
    pub(crate) id: String,
    /// What found it.
    pub(crate) detector: Detector,
    /// What happened, in a few words.
    pub(crate) title: String,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// What became of it.
    pub(crate) status: AlertStatus,
    /// Who last changed that, if anybody did.
    pub(crate) changed_by: Option<String>,
    /// When they did.
    pub(crate) changed_at: Option<UnixMillis>,
    /// The host it is about; `None` where policy keeps that on the device.
    pub(crate) host: Option<String>,
    /// The entry of the indicator file that matched; `None` with `host`.
    pub(crate) matched: Option<String>,
    /// The feed that lists it; `None` for an indicator of the organization's own.
    pub(crate) source: Option<String>,
    /// The number of the organization's own indicator.
    pub(crate) indicator: Option<u64>,
    /// What was done.
    pub(crate) action: IndicatorAction,
    /// When it first happened.
    pub(crate) first_seen: UnixMillis,
    /// When it last happened.
    pub(crate) last_seen: UnixMillis,
    /// How often it happened in between.
    pub(crate) count: u64,
    /// The indicator file that decided.
    pub(crate) indicator_epoch: u64,
    /// Whether it was real, as far as somebody has said.
    pub(crate) verdict: Verdict,
    /// Who takes care.
    pub(crate) assigned_to: Option<String>,
    /// What it belongs to.
    pub(crate) incident: Option<String>,
    /// The rule that resolved it as it came.
    pub(crate) suppressed_by: Option<SuppressionId>,
    /// Words that people gave it.
    pub(crate) tags: Vec<String>,
    /// What people changed or said, the first first.
    pub(crate) changes: Vec<AlertChange>,
    /// What another product said of it.
    pub(crate) external: Option<ExternalRow>,
    /// The device that raised it.
    pub(crate) device: DeviceRow,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl AlertPage {
    fn section(&self) -> Section {
        Section::Alerts
    }

    fn what_happened(&self) -> String {
        if self.detector == Detector::External {
            let product = self.source.as_deref().unwrap_or("Another product");
            return format!("{product} raised this alert.");
        }
        let (kind, list) = match self.detector {
            Detector::WebPhishingBlocked => ("a phishing site", "is on the phishing list"),
            Detector::WebPhishingOverridden if self.indicator.is_some() => {
                ("a listed site", "is one of your organization's own indicators")
            }
            Detector::WebPhishingOverridden => ("a phishing site", "is on a list of unsafe sites"),
            Detector::WebMalwareBlocked => ("malware infrastructure", "is on the malware list"),
            Detector::WebSpywareBlocked => {
                ("mercenary-spyware infrastructure", "is on the spyware list")
            }
            Detector::IndicatorMatched if self.indicator.is_some() => {
                ("a listed site", "is one of your organization's own indicators")
            }
            Detector::IndicatorMatched | Detector::External => {
                ("a listed site", "is on a list that is watched")
            }
        };
        if self.detector == Detector::WebPhishingOverridden {
            let host = self.host.as_deref().unwrap_or(kind);
            let listed = self.matched.as_ref().map(|matched| format!(" {matched} {list}."));
            let listed = listed.unwrap_or_default();
            return format!("Bartizan warned of {host}, and the person went on.{listed}");
        }
        let done = match self.action {
            IndicatorAction::Block | IndicatorAction::Warn => "stopped this device from reaching",
            IndicatorAction::Allow | IndicatorAction::Audit => "let this device reach",
        };
        match (&self.host, &self.matched) {
            (None, _) => format!("Bartizan {done} {kind}."),
            (Some(host), Some(matched)) if matched != host => {
                format!("Bartizan {done} {host}. {matched} {list}.")
            }
            (Some(host), _) => format!("Bartizan {done} {host}, which {list}."),
        }
    }

    fn is_verdict(&self, classification: &str, determination: &str) -> bool {
        self.verdict.classification == classification && self.verdict.determination == determination
    }

    pub(super) fn verdict_text(classification: &str, determination: &str) -> String {
        if classification == "Unknown" {
            return "Not set".to_owned();
        }
        format!("{}: {}", format::spaced(classification), format::spaced(determination))
    }

    /// A change as a sentence without its subject.
    fn told(change: &AlertChange) -> String {
        match (change.kind.as_str(), change.after.as_str()) {
            ("status", after) => {
                let status = AlertStatus::from_word(after);
                format!("changed the status to {}", status.map_or("another", AlertStatus::label))
            }
            ("classification", after) => {
                let words: Vec<_> = after.split(", ").map(format::spaced).collect();
                format!("classified it as {}", words.join(": "))
            }
            ("assigned", "") => format!("took it from {}", change.before),
            ("assigned", after) => format!("assigned it to {after}"),
            ("suppressed", _) => "resolved it as it came, by a suppression rule".to_owned(),
            ("auto-resolved", _) => "resolved it by itself (AutoResolved)".to_owned(),
            ("tagged", after) => format!("added the tag {after}"),
            ("untagged", _) => format!("took the tag {} away", change.before),
            _ => "said".to_owned(),
        }
    }

    /// Whether what was said or the reason stands in it.
    fn has_text(change: &AlertChange) -> bool {
        matches!(change.kind.as_str(), "comment" | "suppressed" | "auto-resolved")
    }

    fn how_often(&self) -> String {
        match self.count {
            1 => "Once".into(),
            2 => "Twice".into(),
            more => format::count(more, "time"),
        }
    }

    fn category(&self) -> &'static str {
        match self.detector.category() {
            bartizan_model::Category::InitialAccess => "Initial access",
            bartizan_model::Category::CommandAndControl => "Command and control",
            bartizan_model::Category::SuspiciousActivity => "As the other product says",
        }
    }

    fn technique_name(&self) -> &'static str {
        match self.detector {
            Detector::WebPhishingBlocked | Detector::WebPhishingOverridden => "Phishing",
            Detector::WebMalwareBlocked
            | Detector::WebSpywareBlocked
            | Detector::IndicatorMatched => "Application Layer Protocol",
            Detector::External => "Not told",
        }
    }

    fn advice(&self) -> &'static [&'static str] {
        match self.detector {
            Detector::WebPhishingBlocked => &[
                "The site was not reached, so there is usually nothing to repair. Resolve the alert.",
                "Ask the person where the link came from: mail, message or app. Others may have had the same one.",
                "If they entered a password there before it was blocked, or on another device, have them change it and end their sessions.",
                "If the site is yours or known to be good, report the entry as a mistake to whoever publishes the list.",
            ],
            Detector::WebPhishingOverridden => &[
                "The person saw the warning and went on: the site was reached. Ask what they did there.",
                "If they entered a password, have them change it and end their sessions.",
                "If the site is known to be good, release the entry, or add an indicator of your own that allows it.",
                "To let nobody pass warnings, set the hours of a passed warning to 0 in the policy.",
            ],
            Detector::WebMalwareBlocked => &[
                "The connection was stopped, but something on the device asked for it. Find out which app or page.",
                "Have the person remove apps they do not know or that did not come from the official store.",
                "Install the latest OS update, then restart the device.",
                "If the same alert comes back after that, back up what is needed and reset the device.",
            ],
            Detector::WebSpywareBlocked => &[
                "Treat the device as compromised until shown otherwise, and talk to the person over another one.",
                "Do not reset or update it yet: keep it switched on and take a forensic copy first.",
                "Cut its access to company mail, files and apps, and end the person's sessions.",
                "Bring in a team with experience in mercenary spyware. Lockdown Mode raises the bar on an iPhone or iPad.",
            ],
            Detector::External => &[
                "Open the alert in the product that raised it: it knows more, and can act.",
                "Look at what else happened to this device, and in the incident that the alert joined.",
                "What you decide here is not told to the other product: decide there as well.",
            ],
            Detector::IndicatorMatched => &[
                "An indicator of your organization matched. Open it to see who added it and why.",
                "Ask the person what they were doing, if that is not clear from the indicator.",
                "If the entry is a mistake, edit it or let it expire; devices follow at their next check-in.",
            ],
        }
    }
}
