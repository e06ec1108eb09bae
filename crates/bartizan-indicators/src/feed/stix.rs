//! Indicators of STIX 2.0 and 2.1: what their patterns name, and how long that holds.
//!
//! # What it does not do
//! - Take observed objects (`domain-name` and the like) for indicators: they were seen, and may be harmless.
//! - Follow relationships, or compare versions of an object.

use bartizan_model::{IndicatorCategory, UnixMillis};

use super::report::Unread;
use super::stix_pattern::{self, Named};
use super::{category, entry};
use crate::pattern::Pattern;

/// What is read of an indicator.
#[derive(Debug, Default)]
pub(super) struct Indicator {
    pub(super) pattern: Option<String>,
    pub(super) pattern_type: Option<String>,
    pub(super) valid_until: Option<String>,
    pub(super) is_revoked: bool,
    /// And its types, which in 2.0 are labels.
    pub(super) labels: Vec<String>,
}

impl Indicator {
    /// Returns what it names, and until when.
    pub(super) fn patterns(&self) -> Result<(Vec<Pattern>, Option<UnixMillis>), Unread> {
        let is_other = self.pattern_type.as_deref().is_some_and(|kind| kind != "stix");
        let is_benign = self.labels.iter().any(|label| label == "benign");
        if self.is_revoked || is_other || is_benign {
            return Err(Unread::SaysNothing);
        }
        let pattern = self.pattern.as_deref().ok_or(Unread::Because("is without a pattern"))?;
        let named = stix_pattern::alternatives(pattern)
            .map_err(|_| Unread::Because("is not a pattern of STIX"))?;
        if named.is_empty() {
            return Err(Unread::SaysNothing);
        }
        let expires_at = match &self.valid_until {
            Some(text) => {
                Some(time(text).ok_or(Unread::Because("has a date that cannot be read"))?)
            }
            None => None,
        };
        let patterns = named.iter().map(|Named { value, .. }| entry::pattern(value));
        Ok((patterns.collect::<Result<_, _>>()?, expires_at))
    }

    pub(super) fn category(&self) -> Option<IndicatorCategory> {
        category::of_words(self.labels.iter().map(String::as_str))
    }
}

/// Reads a time of RFC 3339.
fn time(text: &str) -> Option<UnixMillis> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(UnixMillis(u64::try_from(time.as_millisecond()).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_indicator_holds_until_it_is_revoked_or_over() {
        let evil = Indicator {
            pattern: Some("[domain-name:value = 'evil.test']".to_owned()),
            ..Indicator::default()
        };
        let (patterns, expires_at) = evil.patterns().unwrap();
        assert_eq!((patterns.len(), expires_at), (1, None));

        let over =
            Indicator { valid_until: Some("1970-01-01T00:00:01.5Z".to_owned()), ..copy(&evil) };
        assert_eq!(over.patterns().unwrap().1, Some(UnixMillis(1_500)));
        let undated = Indicator { valid_until: Some("soon".to_owned()), ..copy(&evil) };
        assert!(matches!(undated.patterns(), Err(Unread::Because(_))));
        for nothing in [
            Indicator { is_revoked: true, ..copy(&evil) },
            Indicator { pattern_type: Some("yara".to_owned()), ..copy(&evil) },
            Indicator { labels: vec!["benign".to_owned()], ..copy(&evil) },
            Indicator { pattern: Some("[file:name = 'a']".to_owned()), ..copy(&evil) },
        ] {
            assert_eq!(nothing.patterns(), Err(Unread::SaysNothing), "{nothing:?}");
        }
        assert!(matches!(Indicator::default().patterns(), Err(Unread::Because(_))));
    }

    fn copy(indicator: &Indicator) -> Indicator {
        Indicator { pattern: indicator.pattern.clone(), ..Indicator::default() }
    }
}
