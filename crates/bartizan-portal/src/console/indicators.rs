//! The tenant's own indicators: `GET /indicators`, and what is asked before some are deleted.

use askama::Template;
use bartizan_indicators::pattern::PatternKind;
use bartizan_model::{IndicatorAction, Severity, UnixMillis};

use super::badge::Badge;
use super::format::{self, Ago};
use super::{Icon, Pager, Section, Shell, filters};

/// The list, the one last changed first.
#[derive(Template)]
#[template(path = "console/indicators.html")]
pub(crate) struct IndicatorsPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// What is shown.
    pub(crate) filter: IndicatorFilter,
    /// The cursor this page came by, empty on the first.
    pub(crate) after: String,
    /// The indicators of this page.
    pub(crate) rows: Vec<IndicatorRow>,
    /// The cursor of the next page, if there is one.
    pub(crate) next: Option<String>,
    /// How many indicators the tenant has, whatever the filter.
    pub(crate) total: u64,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl IndicatorsPage {
    fn section(&self) -> Section {
        Section::Indicators
    }

    fn pager(&self) -> Pager {
        Pager {
            first: (!self.after.is_empty()).then(|| self.filter.address("")),
            next: self.next.as_ref().map(|next| self.filter.address(next)),
        }
    }

    fn total_text(&self) -> String {
        format::count(self.total, "indicator")
    }
}

/// Asks whether indicators are really to be deleted.
#[derive(Template)]
#[template(path = "console/indicators_delete.html")]
pub(crate) struct IndicatorsDeletePage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Ids and patterns.
    pub(crate) rows: Vec<(u64, String)>,
}

impl IndicatorsDeletePage {
    fn section(&self) -> Section {
        Section::Indicators
    }

    fn count_text(&self) -> String {
        format::count(u64::try_from(self.rows.len()).unwrap_or(u64::MAX), "indicator")
    }
}

/// One indicator in a table, or on a card.
#[derive(Clone, Debug)]
pub(crate) struct IndicatorRow {
    /// Leads to its page.
    pub(crate) id: u64,
    /// What it names.
    pub(crate) pattern: String,
    /// How it names it.
    pub(crate) kind: PatternKind,
    /// What is to be done.
    pub(crate) action: IndicatorAction,
    /// Of the alerts it raises.
    pub(crate) severity: Severity,
    /// One line for people.
    pub(crate) title: String,
    /// From then on it does nothing.
    pub(crate) expires_at: Option<UnixMillis>,
    /// How often devices reported a hit.
    pub(crate) hits: u64,
    /// When it was last changed.
    pub(crate) updated_at: UnixMillis,
}

impl IndicatorRow {
    fn is_expired(&self, now: &UnixMillis) -> bool {
        self.expires_at.is_some_and(|at| at <= *now)
    }
}

/// Which indicators are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IndicatorFilter {
    /// Part of the value or of the title, any case.
    pub(crate) text: String,
    /// Only those with this action.
    pub(crate) action: Option<IndicatorAction>,
    /// Only those of this kind.
    pub(crate) kind: Option<PatternKind>,
    /// Only those that do something, or that no longer do.
    pub(crate) state: Option<IndicatorState>,
}

/// Whether indicators still do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IndicatorState {
    /// They do.
    Active,
    /// Their time is over.
    Expired,
}

impl IndicatorState {
    const ALL: [Self; 2] = [Self::Active, Self::Expired];

    fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Expired => "Expired",
        }
    }
}

/// Links that narrow the list by one thing.
struct Choices {
    name: &'static str,
    links: Vec<Choice>,
}

struct Choice {
    label: &'static str,
    href: String,
    is_current: bool,
}

impl IndicatorFilter {
    /// Reads the parts of an address. What is not known counts as not given.
    pub(crate) fn from_query(
        text: Option<&str>,
        action: Option<&str>,
        kind: Option<&str>,
        state: Option<&str>,
    ) -> Self {
        let of_word = |word: &str| PatternKind::ALL.into_iter().find(|kind| kind.word() == word);
        let state_of =
            |word: &str| IndicatorState::ALL.into_iter().find(|state| state.word() == word);
        Self {
            text: text.unwrap_or_default().trim().into(),
            action: action.and_then(IndicatorAction::from_word),
            kind: kind.and_then(of_word),
            state: state.and_then(state_of),
        }
    }

    /// Returns the address of the page with this filter that begins after a cursor.
    pub(crate) fn address(&self, after: &str) -> String {
        format::address(
            "/indicators",
            &[
                ("q", &self.text),
                ("action", self.action.map_or("", IndicatorAction::word)),
                ("kind", self.kind.map_or("", PatternKind::word)),
                ("state", self.state.map_or("", IndicatorState::word)),
                ("after", after),
            ],
        )
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What stands in the address beside the text, for the search form.
    fn hidden(&self) -> Vec<(&'static str, &'static str)> {
        let words = [
            ("action", self.action.map_or("", IndicatorAction::word)),
            ("kind", self.kind.map_or("", PatternKind::word)),
            ("state", self.state.map_or("", IndicatorState::word)),
        ];
        words.into_iter().filter(|(_, word)| !word.is_empty()).collect()
    }

    fn choices(&self) -> [Choices; 3] {
        let choice = |label, filter: Self| Choice {
            label,
            href: filter.address(""),
            is_current: filter == *self,
        };
        let action = |action: Option<IndicatorAction>| Self { action, ..self.clone() };
        let kind = |kind: Option<PatternKind>| Self { kind, ..self.clone() };
        let state = |state: Option<IndicatorState>| Self { state, ..self.clone() };
        let mut actions = vec![choice("Any", action(None))];
        actions.extend(IndicatorAction::ALL.map(|one| choice(one.label(), action(Some(one)))));
        let mut kinds = vec![choice("Any", kind(None))];
        kinds.extend(PatternKind::ALL.map(|one| choice(one.label(), kind(Some(one)))));
        let mut states = vec![choice("Any", state(None))];
        states.extend(IndicatorState::ALL.map(|one| choice(one.label(), state(Some(one)))));
        [
            Choices { name: "Action", links: actions },
            Choices { name: "Kind", links: kinds },
            Choices { name: "State", links: states },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_survives_its_address() {
        check([None, None, None, None], "/indicators");
        check([Some(" "), Some("deny"), Some("hash"), Some("old")], "/indicators");
        check([Some("a&b"), Some("block"), None, None], "/indicators?q=a%26b&action=block");
        check([None, None, Some("url"), Some("expired")], "/indicators?kind=url&state=expired");
    }

    #[test]
    fn a_link_changes_one_thing_and_keeps_the_others() {
        let filter = IndicatorFilter::from_query(Some("evil"), Some("warn"), None, None);
        let [actions, kinds, _] = filter.choices();
        assert_eq!(actions.links[0].href, "/indicators?q=evil");
        assert_eq!(kinds.links[4].href, "/indicators?q=evil&action=warn&kind=url");
        let current: Vec<_> =
            actions.links.iter().filter(|link| link.is_current).map(|link| link.label).collect();
        assert_eq!(current, ["Warn"]);
    }

    #[track_caller]
    fn check([text, action, kind, state]: [Option<&str>; 4], expected: &str) {
        let filter = IndicatorFilter::from_query(text, action, kind, state);
        assert_eq!(filter.address(""), expected);
    }
}
