//! Alerts: what a device raises, and the published table of detectors.

use crate::{
    AlertId, DomainName, IndicatorAction, IndicatorCategory, MatchedIndicator, UnixMillis,
};

/// How bad it is for the organization. A threat that was prevented is informational.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know; usually already prevented.
    Informational,
    /// Prevalent, or of little effect.
    Low,
    /// Someone got in, or is about to.
    Medium,
    /// Severe damage is likely.
    High,
}

impl Severity {
    /// Every severity, lowest first.
    pub const ALL: [Self; 4] = [Self::Informational, Self::Low, Self::Medium, Self::High];

    /// Returns the word for it, as Defender's API spells it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Informational => "Informational",
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.word() == word)
    }
}

/// What the attacker was after, as in Defender's enumeration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Getting a foot in the door.
    InitialAccess,
    /// Talking to what already got in.
    CommandAndControl,
    /// Something that is not told more closely.
    SuspiciousActivity,
}

impl Category {
    /// Returns the word for it, as Defender's API spells it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::InitialAccess => "InitialAccess",
            Self::CommandAndControl => "CommandAndControl",
            Self::SuspiciousActivity => "SuspiciousActivity",
        }
    }
}

/// What found the threat. The table of ids, titles, severities and techniques is public; see
/// `docs/alerts.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Detector {
    /// A phishing site was stopped.
    WebPhishingBlocked,
    /// A person went on to a site in spite of the warning.
    WebPhishingOverridden,
    /// A connection to malware infrastructure was stopped.
    WebMalwareBlocked,
    /// A connection to mercenary-spyware infrastructure was stopped.
    WebSpywareBlocked,
    /// An indicator of the organization's own matched, or one that only watches.
    IndicatorMatched,
    /// Another product; not in the public table, and nothing that a device may say.
    External,
}

impl Detector {
    /// Every detector of ours, in the order of the public table.
    pub const ALL: [Self; 5] = [
        Self::WebPhishingBlocked,
        Self::WebPhishingOverridden,
        Self::WebMalwareBlocked,
        Self::WebSpywareBlocked,
        Self::IndicatorMatched,
    ];

    /// Returns the detector that reports a block by an indicator of this category.
    #[must_use]
    pub fn of_block(category: IndicatorCategory) -> Self {
        match category {
            IndicatorCategory::Phishing | IndicatorCategory::Scam => Self::WebPhishingBlocked,
            IndicatorCategory::Malware | IndicatorCategory::CommandAndControl => {
                Self::WebMalwareBlocked
            }
            IndicatorCategory::Spyware => Self::WebSpywareBlocked,
            IndicatorCategory::Tracker | IndicatorCategory::Custom => Self::IndicatorMatched,
        }
    }

    /// Returns its stable id.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::WebPhishingBlocked => "web.phishing.blocked",
            Self::WebPhishingOverridden => "web.phishing.overridden",
            Self::WebMalwareBlocked => "web.malware.blocked",
            Self::WebSpywareBlocked => "web.spyware.blocked",
            Self::IndicatorMatched => "indicator.matched",
            Self::External => "external",
        }
    }

    /// Reads the id of a detector of ours back.
    #[must_use]
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|detector| detector.id() == id)
    }

    /// Returns the title of its alerts.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::WebPhishingBlocked => "Phishing site blocked",
            Self::WebPhishingOverridden => "Phishing warning overridden by the user",
            Self::WebMalwareBlocked => "Connection to malware infrastructure blocked",
            Self::WebSpywareBlocked => "Connection to mercenary-spyware infrastructure blocked",
            Self::IndicatorMatched => "Connection to a custom network indicator",
            Self::External => "Alert of another product",
        }
    }

    /// Returns the severity its alerts have by default.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::WebPhishingBlocked | Self::IndicatorMatched | Self::External => {
                Severity::Informational
            }
            Self::WebPhishingOverridden => Severity::Low,
            Self::WebMalwareBlocked => Severity::Medium,
            Self::WebSpywareBlocked => Severity::High,
        }
    }

    /// Returns the category of its alerts.
    #[must_use]
    pub fn category(self) -> Category {
        match self {
            Self::WebPhishingBlocked | Self::WebPhishingOverridden => Category::InitialAccess,
            Self::WebMalwareBlocked | Self::WebSpywareBlocked | Self::IndicatorMatched => {
                Category::CommandAndControl
            }
            Self::External => Category::SuspiciousActivity,
        }
    }

    /// Returns the technique's id in MITRE ATT&CK for Mobile; empty where none is known.
    #[must_use]
    pub fn technique(self) -> &'static str {
        match self {
            Self::WebPhishingBlocked | Self::WebPhishingOverridden => "T1660",
            Self::WebMalwareBlocked | Self::WebSpywareBlocked | Self::IndicatorMatched => "T1437",
            Self::External => "",
        }
    }
}

/// An alert as a device raises it. Nothing else about the person's traffic leaves the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Recognizes a repeated upload.
    pub id: AlertId,
    /// What found it.
    pub detector: Detector,
    /// The host it is about; `None` where policy keeps that on the device.
    pub host: Option<DomainName>,
    /// The indicator that decided. `None` with `host`.
    pub matched: Option<MatchedIndicator>,
    /// What was done.
    pub action: IndicatorAction,
    /// When it first happened, by the device's clock.
    pub first_seen: UnixMillis,
    /// When it last happened, by the device's clock.
    pub last_seen: UnixMillis,
    /// How often it happened in between, at least 1.
    pub count: u32,
    /// The indicator file that decided.
    pub indicator_epoch: u64,
}

/// How far people have dealt with an alert. Everything but `Resolved` counts toward a device's risk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertStatus {
    /// Nobody has looked at it.
    New,
    /// Somebody is on it.
    InProgress,
    /// It is dealt with.
    Resolved,
}

impl AlertStatus {
    /// Every status, in the order of work.
    pub const ALL: [Self; 3] = [Self::New, Self::InProgress, Self::Resolved];

    /// Returns the word for it, as Defender's API spells it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::InProgress => "InProgress",
            Self::Resolved => "Resolved",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }

    /// Returns it as people read it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::InProgress => "In progress",
            Self::Resolved => "Resolved",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_table_of_detectors() {
        let table: Vec<_> = Detector::ALL
            .into_iter()
            .map(|d| (d.id(), d.severity().word(), d.category().word(), d.technique()))
            .collect();
        assert_eq!(
            table,
            [
                ("web.phishing.blocked", "Informational", "InitialAccess", "T1660"),
                ("web.phishing.overridden", "Low", "InitialAccess", "T1660"),
                ("web.malware.blocked", "Medium", "CommandAndControl", "T1437"),
                ("web.spyware.blocked", "High", "CommandAndControl", "T1437"),
                ("indicator.matched", "Informational", "CommandAndControl", "T1437"),
            ]
        );
        for detector in Detector::ALL {
            assert_eq!(Detector::from_id(detector.id()), Some(detector));
        }
        assert_eq!(Detector::from_id(Detector::External.id()), None);
    }
}
