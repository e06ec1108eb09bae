//! `POST report`: what a person at the device says about a site, when they say it.
//!
//! The portal stores an id once, however often it comes.

use bartizan_model::{AlertId, DomainName};
use serde::{Deserialize, Serialize};

/// What is said about a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteReport {
    /// A ULID.
    pub id: String,
    /// A word of [`kind`].
    pub kind: String,
    /// The site's host.
    pub host: String,
    /// The entry of the indicator file that matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<String>,
    /// Who listed it: a feed's name, or empty for the organization's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// In the person's words; at most [`MAX_COMMENT`] characters.
    #[serde(default)]
    pub comment: String,
    /// Of the indicator file in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indicator_epoch: Option<u64>,
}

/// What the portal answers once the report is on its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteReportReply {
    /// Whether the portal did not know it yet.
    pub fresh: bool,
}

/// What can be said.
pub mod kind {
    /// The site was stopped and is harmless.
    pub const FALSE_POSITIVE: &str = "false-positive";
    /// The site was let through and is not.
    pub const UNSAFE: &str = "unsafe";
}

/// Why a report is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is not valid")]
pub struct BadSiteReport {
    /// The first field that is wrong.
    pub field: &'static str,
}

impl SiteReport {
    /// Checks what was sent, and returns the id.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self) -> Result<AlertId, BadSiteReport> {
        let bad = |field| BadSiteReport { field };
        if ![kind::FALSE_POSITIVE, kind::UNSAFE].contains(&self.kind.as_str()) {
            return Err(bad("kind"));
        }
        // An address is a host too.
        let is_address = self.host.parse::<std::net::IpAddr>().is_ok();
        if !is_address && DomainName::parse(self.host.as_bytes()).is_err() {
            return Err(bad("host"));
        }
        let is_plain = |text: &str, most: usize| {
            text.chars().count() <= most && !text.chars().any(char::is_control)
        };
        for (field, text, most) in [
            ("matched", self.matched.as_deref(), MAX_PATTERN),
            ("source", self.source.as_deref(), MAX_SOURCE),
        ] {
            if text.is_some_and(|text| !is_plain(text, most)) {
                return Err(bad(field));
            }
        }
        let comment = self.comment.replace(['\n', '\t'], " ");
        if !is_plain(&comment, MAX_COMMENT) {
            return Err(bad("comment"));
        }
        self.id.parse().map_err(|_| bad("id"))
    }
}

/// Characters of a comment.
pub const MAX_COMMENT: usize = 1_000;
const MAX_PATTERN: usize = 2_000;
/// Octets of a feed's name.
const MAX_SOURCE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_report_names_the_field() {
        check(None, |_| {});
        check(None, |report| report.host = "2001:db8::1".into());
        check(None, |report| report.comment = "two\nlines".into());
        check(Some("id"), |report| report.id.push('0'));
        check(Some("kind"), |report| report.kind = "dull".into());
        check(Some("host"), |report| report.host = "<script>".into());
        check(Some("matched"), |report| report.matched = Some("x".repeat(2_001)));
        check(Some("source"), |report| report.source = Some("a\0b".into()));
        check(Some("comment"), |report| report.comment = "x".repeat(1_001));
    }

    #[track_caller]
    fn check(field: Option<&'static str>, spoil: impl FnOnce(&mut SiteReport)) {
        let mut report = SiteReport {
            id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
            kind: kind::FALSE_POSITIVE.into(),
            host: "www.harmless.test".into(),
            matched: Some("harmless.test".into()),
            source: Some("phishing list".into()),
            comment: String::new(),
            indicator_epoch: Some(3),
        };
        spoil(&mut report);
        assert_eq!(report.check().err().map(|error| error.field), field);
    }
}
