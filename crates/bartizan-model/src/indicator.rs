//! The words of an indicator: why something is listed, what is to be done, and what the engine concludes.

/// Why something is listed. The number is the octet in the indicator file: never reuse one.
///
/// Ordered by gravity: where several feeds list the same, the greater category stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum IndicatorCategory {
    /// Pretends to be somebody else to take credentials or money.
    Phishing = 1,
    /// Serves malware.
    Malware = 2,
    /// Mercenary spyware or stalkerware.
    Spyware = 3,
    /// Directs malware that is there already.
    CommandAndControl = 4,
    /// Sells what does not exist.
    Scam = 5,
    /// Follows people from site to site.
    Tracker = 6,
    /// Listed by the organization itself.
    Custom = 7,
}

impl IndicatorCategory {
    /// Every category, the gravest last.
    pub const ALL: [Self; 7] = [
        Self::Tracker,
        Self::Custom,
        Self::Scam,
        Self::Phishing,
        Self::Malware,
        Self::CommandAndControl,
        Self::Spyware,
    ];

    /// Returns the category with this number in the indicator file.
    #[must_use]
    pub fn from_octet(octet: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|category| *category as u8 == octet)
    }

    /// Returns the word for it on the wire and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Phishing => "phishing",
            Self::Malware => "malware",
            Self::Spyware => "spyware",
            Self::CommandAndControl => "c2",
            Self::Scam => "scam",
            Self::Tracker => "tracker",
            Self::Custom => "custom",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.word() == word)
    }

    /// Returns it as people read it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Phishing => "Phishing",
            Self::Malware => "Malware",
            Self::Spyware => "Spyware",
            Self::CommandAndControl => "Command and control",
            Self::Scam => "Scam",
            Self::Tracker => "Tracker",
            Self::Custom => "Custom",
        }
    }
}

impl PartialOrd for IndicatorCategory {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for IndicatorCategory {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let gravity = |category| Self::ALL.iter().position(|known| *known == category);
        gravity(*self).cmp(&gravity(*other))
    }
}

/// What is to be done with what an indicator names. The number is the octet in the indicator file.
///
/// Ordered by precedence: of two indicators of equal length the lesser action wins
/// (`docs/indicator-format.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum IndicatorAction {
    /// Let through without an alert, whatever feeds say.
    Allow = 1,
    /// Stopped, but the person may go on.
    Warn = 2,
    /// Stopped.
    Block = 3,
    /// Let through with an alert.
    Audit = 4,
}

impl IndicatorAction {
    /// Every action, in the order of precedence.
    pub const ALL: [Self; 4] = [Self::Allow, Self::Warn, Self::Block, Self::Audit];

    /// Returns the action with this number in the indicator file.
    #[must_use]
    pub fn from_octet(octet: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|action| *action as u8 == octet)
    }

    /// Returns the word for it on the wire and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Warn => "warn",
            Self::Block => "block",
            Self::Audit => "audit",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.word() == word)
    }

    /// Returns it as people read it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Warn => "Warn",
            Self::Block => "Block",
            Self::Audit => "Audit",
        }
    }
}

/// The indicator that decided, as an alert names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchedIndicator {
    /// As it is written: `evil.test`, `*.evil.test`, `192.0.2.0/24`. At most [`MAX_MATCHED`] octets.
    pub entry: Box<str>,
    /// Who listed it.
    pub source: IndicatorSource,
}

/// Who listed an indicator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndicatorSource {
    /// The feed of this name, at most 64 octets.
    Feed(Box<str>),
    /// The organization itself, which numbers its indicators.
    Tenant(u64),
}

/// Octets of an entry that an alert names: a host name and the mark before it.
pub const MAX_MATCHED: usize = crate::MAX_NAME_LEN + 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_octets_are_read_back() {
        for category in IndicatorCategory::ALL {
            assert_eq!(IndicatorCategory::from_word(category.word()), Some(category));
            assert_eq!(IndicatorCategory::from_octet(category as u8), Some(category));
        }
        for action in IndicatorAction::ALL {
            assert_eq!(IndicatorAction::from_word(action.word()), Some(action));
            assert_eq!(IndicatorAction::from_octet(action as u8), Some(action));
        }
    }

    #[test]
    fn spyware_is_graver_than_phishing_and_trackers_weigh_least() {
        assert!(IndicatorCategory::Phishing < IndicatorCategory::Spyware);
        assert!(IndicatorCategory::ALL.is_sorted());
        assert!(IndicatorAction::ALL.is_sorted());
    }
}
