//! `POST feedback`: what a person at the device tells the organization, when they do; `GET feedback`: what became of it.
//!
//! The portal stores an id once, however often it comes.

use bartizan_model::AlertId;
use serde::{Deserialize, Serialize};

/// What somebody says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// A ULID.
    pub id: String,
    /// In the person's words: 1 to [`MAX_TEXT`] characters.
    pub text: String,
    /// A word of [`mood`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mood: Option<String>,
    /// What the program logged, if the person agreed to send it: up to [`MAX_LOGS`] octets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<String>,
}

/// What the portal answers once the feedback is on its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackReply {
    /// Whether the portal did not know it yet.
    pub fresh: bool,
}

/// What became of this device's feedback, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackList {
    /// At most a few dozen.
    pub feedback: Vec<FeedbackState>,
}

/// What became of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackState {
    /// As it was sent.
    pub id: String,
    /// When it came, by the portal's clock.
    pub sent_at_ms: u64,
    /// As it was sent.
    pub text: String,
    /// `New`, `Read`, `Answered` or `Closed`.
    pub status: String,
    /// What the organization says to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
}

/// How somebody feels about it.
pub mod mood {
    /// Glad.
    pub const GOOD: &str = "good";
    /// Neither.
    pub const NEUTRAL: &str = "neutral";
    /// Annoyed.
    pub const BAD: &str = "bad";
    /// Every mood.
    pub const ALL: [&str; 3] = [GOOD, NEUTRAL, BAD];
}

/// Why feedback is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is not valid")]
pub struct BadFeedback {
    /// The first field that is wrong.
    pub field: &'static str,
}

impl Feedback {
    /// Checks what was sent, and returns the id.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self) -> Result<AlertId, BadFeedback> {
        let bad = |field| BadFeedback { field };
        if !is_text(&self.text) {
            return Err(bad("text"));
        }
        if self.mood.as_ref().is_some_and(|mood| !mood::ALL.contains(&mood.as_str())) {
            return Err(bad("mood"));
        }
        if self.logs.as_ref().is_some_and(|logs| MAX_LOGS < logs.len() || logs.contains('\0')) {
            return Err(bad("logs"));
        }
        self.id.parse().map_err(|_| bad("id"))
    }
}

/// Tells whether this is what somebody could say: some lines of text.
#[must_use]
pub fn is_text(text: &str) -> bool {
    let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    !text.trim().is_empty() && text.chars().count() <= MAX_TEXT && text.chars().all(is_plain)
}

/// Characters of a text.
pub const MAX_TEXT: usize = 4_000;
/// Octets of logs.
pub const MAX_LOGS: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_feedback_names_the_field() {
        check(None, |_| {});
        check(None, |feedback| feedback.text = "two\r\nlines\tof ü".into());
        check(None, |feedback| feedback.text = "ü".repeat(4_000));
        check(None, |feedback| (feedback.mood, feedback.logs) = (None, None));
        check(Some("id"), |feedback| feedback.id.push('0'));
        check(Some("text"), |feedback| feedback.text = " \n".into());
        check(Some("text"), |feedback| feedback.text = "x".repeat(4_001));
        check(Some("text"), |feedback| feedback.text = "a\u{1b}[2J".into());
        check(Some("mood"), |feedback| feedback.mood = Some("odd".into()));
        check(Some("logs"), |feedback| feedback.logs = Some("x".repeat(MAX_LOGS + 1)));
        check(Some("logs"), |feedback| feedback.logs = Some("a\0b".into()));
    }

    #[track_caller]
    fn check(field: Option<&'static str>, spoil: impl FnOnce(&mut Feedback)) {
        let mut feedback = Feedback {
            id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
            text: "It is slow.".into(),
            mood: Some(mood::BAD.into()),
            logs: Some("a line".into()),
        };
        spoil(&mut feedback);
        assert_eq!(feedback.check().err().map(|error| error.field), field);
    }
}
