//! What became of an alert.

/// What became of an alert. Everything but `Resolved` counts toward a device's risk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AlertStatus {
    /// Nobody has looked at it.
    New,
    /// Somebody is on it.
    InProgress,
    /// It is dealt with.
    Resolved,
}

impl AlertStatus {
    /// Every status, in the order of work.
    pub(crate) const ALL: [Self; 3] = [Self::New, Self::InProgress, Self::Resolved];

    /// Returns the word for it in addresses and forms, as Defender's API spells it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::InProgress => "InProgress",
            Self::Resolved => "Resolved",
        }
    }

    /// Reads the word back.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }

    /// Returns it as people read it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::InProgress => "In progress",
            Self::Resolved => "Resolved",
        }
    }
}
