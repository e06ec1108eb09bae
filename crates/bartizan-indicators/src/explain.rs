//! Why a look-up has the outcome it has, in words.

use std::fmt;

use bartizan_model::{IndicatorAction, UnixMillis};

use crate::found::{Found, Match, Source};
use crate::normal::{CanonicalUrl, UrlError};
use crate::{Damaged, Indicators};

/// A look-up, told to a person: a sentence about what decides, then a line for each other match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    lines: Vec<String>,
}

/// Why nothing can be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// What was asked for is no name, URL or address.
    #[error(transparent)]
    Question(#[from] UrlError),
    /// The file is damaged.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

/// Looks up what a person typed, a name, a URL or an address, and says why the outcome is what it is.
///
/// # Errors
/// The question makes no sense, or a file is damaged.
pub fn explain(
    indicators: &Indicators,
    question: &str,
    now: UnixMillis,
) -> Result<Explanation, ExplainError> {
    let url = CanonicalUrl::parse(question)?;
    let found = indicators.lookup_url(&url, now)?;
    Ok(Explanation { lines: lines(&url, found.as_ref()) })
}

fn lines(url: &CanonicalUrl, found: Option<&Found<'_>>) -> Vec<String> {
    let shown = if url.path_and_query() == "/" { url.host().to_string() } else { url.to_string() };
    let Some(found) = found else {
        return vec![format!("{shown} passes: neither it nor what it belongs to is listed.")];
    };
    let winner = found.winner();
    let outcome = match winner.action {
        IndicatorAction::Allow => "is allowed",
        IndicatorAction::Warn => "is stopped with a warning that the person may override",
        IndicatorAction::Block => "is blocked",
        IndicatorAction::Audit => "passes, with an alert",
    };
    let mut lines = vec![format!("{shown} {outcome}: {}.", listed(winner))];
    for other in found.iter().skip(1) {
        lines.push(format!(
            "Also: {} ({}), {}.",
            listed(other),
            other.action.word(),
            why_not(winner, other)
        ));
    }
    lines
}

fn listed(found: &Match<'_>) -> String {
    let category = found.category.label().to_lowercase();
    match found.source {
        Source::Feed(feed) => format!("the feed {feed} lists {} as {category}", found.entry),
        Source::Tenant(own) => {
            format!(
                "the organization's own indicator {} \"{}\" names {}",
                own.id, own.title, found.entry
            )
        }
    }
}

fn why_not(winner: &Match<'_>, other: &Match<'_>) -> &'static str {
    let is_own = |found: &Match<'_>| match found.source {
        Source::Tenant(_) => true,
        Source::Feed(_) => false,
    };
    if is_own(winner) && !is_own(other) {
        "which an own indicator outranks"
    } else if other.entry.length() < winner.entry.length() {
        "which the longer match outranks"
    } else if winner.action < other.action {
        "which the other action outranks"
    } else {
        "which the graver category outranks"
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.lines.join("\n"))
    }
}
