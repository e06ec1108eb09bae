//! What was said while something was sent, for whoever tries a sink. Secrets are never in it: who writes leaves them out.

use super::net::Certificate;

/// A conversation; keeps nothing unless it is to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exchange {
    is_kept: bool,
    /// Lines, each with who said it.
    pub(crate) lines: Vec<(Who, String)>,
    /// What the server showed.
    pub(crate) shown: Option<Certificate>,
}

/// Who says a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Nobody: it happened.
    Note,
    /// The portal.
    Us,
    /// The receiver.
    Them,
}

impl Who {
    /// Stands before the line.
    pub(crate) fn mark(self) -> &'static str {
        match self {
            Self::Note => "*",
            Self::Us => ">",
            Self::Them => "<",
        }
    }
}

impl Exchange {
    /// One that is kept.
    pub(crate) fn kept() -> Self {
        Self { is_kept: true, ..Self::default() }
    }

    pub(crate) fn note(&mut self, text: String) {
        self.add(Who::Note, &text);
    }

    pub(crate) fn us(&mut self, text: &str) {
        self.add(Who::Us, text);
    }

    pub(crate) fn them(&mut self, text: &str) {
        self.add(Who::Them, text);
    }

    pub(crate) fn certificate(&mut self, shown: Certificate) {
        if self.is_kept {
            self.add(Who::Note, &format!("Certificate with the SHA-256 {}", shown.fingerprint));
            self.shown = Some(shown);
        }
    }

    fn add(&mut self, who: Who, text: &str) {
        if !self.is_kept {
            return;
        }
        for line in text.lines() {
            if self.lines.len() < MOST {
                self.lines.push((who, line.chars().take(LONGEST).collect()));
            }
        }
    }
}

const MOST: usize = 200;
const LONGEST: usize = 1_000;
