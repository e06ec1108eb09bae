//! One indicator, to be written or changed: `GET /indicators/new` and `GET /indicators/{id}`.

use std::collections::BTreeMap;

use askama::Template;
use bartizan_indicators::pattern::Pattern;
use bartizan_model::{IndicatorAction, IndicatorCategory, Severity, UnixMillis};
use bartizan_store::IndicatorRule;

use super::badge::Badge;
use super::format::{self, Ago};
use super::{Icon, Section, Shell, filters};
use crate::indicator_rule::{Field, FieldError, action_word, category_word, cell};

/// The form of an indicator, with what it does in words.
#[derive(Template)]
#[template(path = "console/indicator.html")]
pub(crate) struct IndicatorPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// What there is of it; `None` before it is created.
    pub(crate) stored: Option<StoredIndicator>,
    /// What stands in the form.
    pub(crate) form: IndicatorForm,
    /// What is wrong with it.
    pub(crate) errors: Vec<FieldError>,
    /// Why it is here although something else was asked for.
    pub(crate) hint: Option<String>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

/// An indicator that is there.
#[derive(Clone, Debug)]
pub(crate) struct StoredIndicator {
    /// Names it.
    pub(crate) id: u64,
    /// What it is about.
    pub(crate) pattern: Pattern,
    /// As it was entered.
    pub(crate) source_text: String,
    /// What is to be done.
    pub(crate) action: IndicatorAction,
    /// Of the alerts it raises.
    pub(crate) severity: Severity,
    /// From then on it does nothing.
    pub(crate) expires_at: Option<UnixMillis>,
    /// How often devices reported a hit.
    pub(crate) hits: u64,
    /// Why no feed may list it, if so.
    pub(crate) held_back: Option<&'static str>,
    /// The name of who created it.
    pub(crate) created_by: String,
    /// When it was created.
    pub(crate) created_at: UnixMillis,
    /// When it was last changed.
    pub(crate) updated_at: UnixMillis,
}

impl StoredIndicator {
    fn is_expired(&self, now: &UnixMillis) -> bool {
        self.expires_at.is_some_and(|at| at <= *now)
    }

    fn kind(&self) -> &'static str {
        self.pattern.kind().label()
    }

    /// Says what it matches.
    fn matches(&self) -> String {
        match &self.pattern {
            Pattern::Domain(name) => format!("Matches {name} and every name under it."),
            Pattern::Host(name) => {
                format!("Matches {name} alone, and none of the names under it.")
            }
            Pattern::Subdomains(name) => {
                format!("Matches every name under {name}, but not {name} itself.")
            }
            Pattern::Url(url) if url.query().is_some() => format!(
                "Matches {url} with just this query, also on names under the host. Where a device sees only names, it does nothing."
            ),
            Pattern::Url(url) => format!(
                "Matches {url} and every page under it, also on names under the host. Where a device sees only names, it does nothing."
            ),
            Pattern::Address(address) => format!("Matches the IP address {address}."),
            Pattern::Network(network) => format!(
                "Matches the IP addresses from {} to {}.",
                network.network(),
                network.broadcast()
            ),
        }
    }

    /// Says what happens at a match.
    fn effect(&self) -> &'static str {
        match self.action {
            IndicatorAction::Allow => "Let through without an alert, whatever feeds say.",
            IndicatorAction::Warn => "Stopped, but the person may go on.",
            IndicatorAction::Block => "Stopped.",
            IndicatorAction::Audit => "Let through, with an alert.",
        }
    }
}

impl IndicatorPage {
    fn section(&self) -> Section {
        Section::Indicators
    }

    fn heading(&self) -> String {
        self.stored
            .as_ref()
            .map_or_else(|| "New indicator".into(), |stored| stored.pattern.to_string())
    }

    fn post_address(&self) -> String {
        self.stored
            .as_ref()
            .map_or_else(|| "/indicators".into(), |stored| format!("/indicators/{}", stored.id))
    }

    fn error(&self, field: Field) -> Option<&str> {
        let found = self.errors.iter().find(|error| error.field == field);
        found.map(|error| error.reason.as_str())
    }

    /// What is wrong with fields that have no place of their own for it.
    fn errors_elsewhere(&self) -> impl Iterator<Item = &FieldError> {
        self.errors.iter().filter(|error| match error.field {
            Field::Value
            | Field::Action
            | Field::Title
            | Field::Description
            | Field::ExpirationTime
            | Field::GenerateAlert => false,
            Field::Type
            | Field::Severity
            | Field::RecommendedActions
            | Field::RbacGroups
            | Field::Category
            | Field::MitreTechniques => true,
        })
    }

    fn actions(&self) -> [(&'static str, &'static str); 4] {
        IndicatorAction::ALL.map(|action| (action_word(action), action.label()))
    }

    fn categories(&self) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> = IndicatorCategory::ALL
            .map(|category| (category_word(category).to_owned(), category.label().to_owned()))
            .into();
        let present = self.form.text(Field::Category);
        if !all.iter().any(|(word, _)| word == present) {
            all.push((present.into(), present.into()));
        }
        all
    }
}

/// What stands in the form: a text for each field.
#[derive(Clone, Debug, Default)]
pub(crate) struct IndicatorForm(BTreeMap<Field, String>);

impl IndicatorForm {
    /// The form as it is first shown.
    pub(crate) fn blank(value: &str) -> Self {
        // Whoever lists something wants to hear of it; who does not says so.
        let texts = [
            (Field::Value, value),
            (Field::Action, "Block"),
            (Field::Severity, "Informational"),
            (Field::GenerateAlert, "True"),
        ];
        Self(texts.into_iter().map(|(field, text)| (field, text.to_owned())).collect())
    }

    /// The form as it was sent: the inputs are named as the columns of the file are.
    pub(crate) fn sent(pairs: &[(String, String)]) -> Self {
        let text = |field: Field| pairs.iter().find(|(name, _)| name == field.column());
        Self(
            Field::ALL
                .into_iter()
                .filter_map(|field| Some((field, text(field)?.1.clone())))
                .collect(),
        )
    }

    /// The form of what is stored.
    pub(crate) fn stored(rule: &IndicatorRule) -> Self {
        let mut texts: BTreeMap<_, _> = Field::OF_RULE
            .into_iter()
            .map(|field| (field, cell(rule, field).into_owned()))
            .collect();
        // The input takes neither fraction nor zone.
        if let Some(time) = texts.get_mut(&Field::ExpirationTime) {
            time.truncate("2027-01-31T00:00:00".len());
        }
        Self(texts)
    }

    /// Tells whether something stands in the fields that are folded away.
    fn has_more(&self) -> bool {
        [Field::RecommendedActions, Field::RbacGroups, Field::MitreTechniques]
            .iter()
            .any(|field| !self.text(*field).is_empty())
    }

    /// Returns what stands in a field.
    pub(crate) fn text(&self, field: Field) -> &str {
        self.0.get(&field).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_matches_is_told_in_words() {
        for (pattern, expected) in [
            ("evil.test", "Matches evil.test and every name under it."),
            ("=evil.test", "Matches evil.test alone, and none of the names under it."),
            ("*.evil.test", "Matches every name under evil.test, but not evil.test itself."),
            (
                "evil.test/a",
                "Matches evil.test/a and every page under it, also on names under the host. Where a device sees only names, it does nothing.",
            ),
            (
                "evil.test/a?b",
                "Matches evil.test/a?b with just this query, also on names under the host. Where a device sees only names, it does nothing.",
            ),
            ("192.0.2.1", "Matches the IP address 192.0.2.1."),
            ("192.0.2.0/28", "Matches the IP addresses from 192.0.2.0 to 192.0.2.15."),
        ] {
            let stored = StoredIndicator {
                id: 1,
                pattern: pattern.parse().unwrap(),
                source_text: String::new(),
                action: IndicatorAction::Block,
                severity: Severity::Low,
                expires_at: None,
                hits: 0,
                held_back: None,
                created_by: String::new(),
                created_at: UnixMillis(0),
                updated_at: UnixMillis(0),
            };
            assert_eq!(stored.matches(), expected);
        }
    }
}
