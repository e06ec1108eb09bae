//! What an indicator says, and what the engine concludes.

/// Why a name is listed. The number is the octet in the indicator file: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum IndicatorClass {
    /// Pretends to be somebody else to take credentials or money.
    Phishing = 1,
    /// Serves or directs malware.
    Malware = 2,
    /// Mercenary spyware.
    Spyware = 3,
}

impl IndicatorClass {
    /// Every class, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Phishing, Self::Malware, Self::Spyware];

    /// Returns the class with this number in the indicator file.
    #[must_use]
    pub fn from_octet(octet: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| *class as u8 == octet)
    }

    /// Returns the word for it on the wire and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Phishing => "phishing",
            Self::Malware => "malware",
            Self::Spyware => "spyware",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.word() == word)
    }
}

/// What to do with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is known against it.
    Allow,
    /// An exact hit in the indicator file.
    Block(IndicatorClass),
}
