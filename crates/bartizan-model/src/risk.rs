//! Device risk: a published, deterministic rule over unresolved alerts (`docs/alerts.md`).

use crate::Severity;

/// How many unresolved alerts of each severity a device has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnresolvedAlerts {
    /// How many are [`Severity::High`].
    pub high: u64,
    /// How many are [`Severity::Medium`].
    pub medium: u64,
    /// How many are [`Severity::Low`].
    pub low: u64,
    /// How many are [`Severity::Informational`].
    pub informational: u64,
}

impl UnresolvedAlerts {
    /// Adds `count` alerts of one severity.
    pub fn add(&mut self, severity: Severity, count: u64) {
        match severity {
            Severity::High => self.high += count,
            Severity::Medium => self.medium += count,
            Severity::Low => self.low += count,
            Severity::Informational => self.informational += count,
        }
    }

    /// Returns how many there are in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.high + self.medium + self.low + self.informational
    }
}

/// The risk of a device, as the portal shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RiskLevel {
    /// No unresolved alert.
    None,
    /// Only informational ones.
    Informational,
    /// At least one of low severity.
    Low,
    /// At least one of medium, or 5 of low severity.
    Medium,
    /// At least one of high, or 3 of medium severity.
    High,
}

impl RiskLevel {
    /// Applies the rule.
    #[must_use]
    pub fn of(alerts: UnresolvedAlerts) -> Self {
        if 0 < alerts.high || 3 <= alerts.medium {
            Self::High
        } else if 0 < alerts.medium || 5 <= alerts.low {
            Self::Medium
        } else if 0 < alerts.low {
            Self::Low
        } else if 0 < alerts.informational {
            Self::Informational
        } else {
            Self::None
        }
    }

    /// Returns the word for it, as Defender's API spells it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Informational => "Informational",
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
        }
    }

    /// Returns the level that [`Self::word`] names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::None, Self::Informational, Self::Low, Self::Medium, Self::High]
            .into_iter()
            .find(|level| level.word() == word)
    }

    /// Returns the level that management and apps are told.
    #[must_use]
    pub fn threat_level(self) -> ThreatLevel {
        match self {
            Self::None | Self::Informational => ThreatLevel::Secured,
            Self::Low => ThreatLevel::Low,
            Self::Medium => ThreatLevel::Medium,
            Self::High => ThreatLevel::High,
        }
    }
}

/// The threat level that device management and managed apps compare with their limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ThreatLevel {
    /// Nothing that matters.
    Secured,
    /// Low risk.
    Low,
    /// Medium risk.
    Medium,
    /// High risk.
    High,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn risk_follows_the_published_rule() {
        check([0, 0, 0, 0], RiskLevel::None, ThreatLevel::Secured);
        check([0, 0, 0, 900], RiskLevel::Informational, ThreatLevel::Secured);
        check([0, 0, 1, 0], RiskLevel::Low, ThreatLevel::Low);
        check([0, 0, 4, 9], RiskLevel::Low, ThreatLevel::Low);
        check([0, 0, 5, 0], RiskLevel::Medium, ThreatLevel::Medium);
        check([0, 1, 0, 0], RiskLevel::Medium, ThreatLevel::Medium);
        check([0, 2, 4, 0], RiskLevel::Medium, ThreatLevel::Medium);
        check([0, 3, 0, 0], RiskLevel::High, ThreatLevel::High);
        check([1, 0, 0, 0], RiskLevel::High, ThreatLevel::High);
    }

    #[track_caller]
    fn check([high, medium, low, informational]: [u64; 4], risk: RiskLevel, threat: ThreatLevel) {
        let level = RiskLevel::of(UnresolvedAlerts { high, medium, low, informational });
        assert_eq!((level, level.threat_level()), (risk, threat));
    }
}
