//! Suppression rules: `GET /suppressions`, and one that is written, looked at or changed.

use std::collections::BTreeMap;

use askama::Template;
use bartizan_model::{Detector, DeviceId, UnixMillis};
use bartizan_store::{
    DeviceRow, GroupId, SuppressionPreview, SuppressionRow, SuppressionScope, SuppressionTerms,
};

use super::badge::Badge;
use super::format::{self, Ago};
use super::{Icon, Pager, Section, Shell, filters};

/// The rules.
#[derive(Template)]
#[template(path = "console/suppressions.html")]
pub(crate) struct SuppressionsPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Whether those that have ended are shown as well.
    pub(crate) all: bool,
    /// The newest first.
    pub(crate) rules: Vec<SuppressionRow>,
    /// Names of groups.
    pub(crate) groups: Vec<(GroupId, String)>,
    /// Names of devices that rules are for, of those that the member sees.
    pub(crate) devices: BTreeMap<DeviceId, String>,
    /// Where the pages before and after are.
    pub(crate) pager: Pager,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

/// A rule, to be written or changed.
#[derive(Template)]
#[template(path = "console/suppression.html")]
pub(crate) struct SuppressionPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// The rule as it is stored; `None` before it is.
    pub(crate) stored: Option<SuppressionRow>,
    /// What stands in the form.
    pub(crate) form: SuppressionForm,
    /// Names of groups.
    pub(crate) groups: Vec<(GroupId, String)>,
    /// What is wrong with the field of a name.
    pub(crate) problem: Option<(&'static str, &'static str)>,
    /// The device that is chosen.
    pub(crate) device: Option<DeviceRow>,
    /// Those that it may be.
    pub(crate) choices: Vec<DeviceRow>,
    /// What the rule would have hidden.
    pub(crate) preview: Option<SuppressionPreview>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

/// The form's fields as text, so that it can come back as it was.
#[derive(Clone, Debug, Default)]
pub(crate) struct SuppressionForm {
    /// `all`, `group`, `device` or `person`.
    pub(crate) scope: String,
    /// The group's id.
    pub(crate) group: String,
    /// The device: a part of its name, or its id.
    pub(crate) device: String,
    /// The id of the device that is chosen; empty for none.
    pub(crate) device_id: String,
    /// The person's address.
    pub(crate) person: String,
    /// The detector's id, or empty.
    pub(crate) detector: String,
    /// A name, `*.` and a name, or empty.
    pub(crate) host: String,
    /// Why.
    pub(crate) reason: String,
    /// A day.
    pub(crate) until: String,
    /// `yes` for a rule without end.
    pub(crate) never: String,
}

impl SuppressionForm {
    /// Shows what is stored.
    pub(crate) fn of(terms: &SuppressionTerms) -> Self {
        let mut form = Self {
            detector: terms.detector.map_or("", Detector::id).into(),
            host: terms.host.clone(),
            reason: terms.reason.clone(),
            until: terms.expires_at.map(|end| format::day(&end)).unwrap_or_default(),
            never: if terms.expires_at.is_none() { "yes".into() } else { String::new() },
            ..Self::default()
        };
        match &terms.scope {
            SuppressionScope::All => form.scope = "all".into(),
            SuppressionScope::Group(group) => {
                (form.scope, form.group) = ("group".into(), group.to_string());
            }
            SuppressionScope::Device(device) => {
                (form.scope, form.device_id) = ("device".into(), device.to_string());
            }
            SuppressionScope::Person(person) => {
                (form.scope, form.person) = ("person".into(), person.clone());
            }
        }
        form
    }

    fn is_scope(&self, word: &str) -> bool {
        self.scope == word || self.scope.is_empty() && word == "all"
    }

    fn is_detector(&self, detector: &Detector) -> bool {
        self.detector == detector.id()
    }

    fn is_group(&self, group: &GroupId) -> bool {
        self.group == group.to_string()
    }
}

impl SuppressionsPage {
    fn section(&self) -> Section {
        Section::Suppressions
    }

    fn pager(&self) -> &Pager {
        &self.pager
    }

    fn scope(&self, rule: &SuppressionRow) -> String {
        let scope = &rule.terms.scope;
        if let SuppressionScope::Device(device) = scope
            && let Some(name) = self.devices.get(device)
        {
            return format!("Device {name}");
        }
        scope_text(scope, &self.groups)
    }
}

impl SuppressionPage {
    /// What stands in the field: the name of what is chosen, or what was written.
    fn device_text(&self) -> &str {
        self.device.as_ref().map_or(self.form.device.as_str(), |row| row.device_name.as_str())
    }

    /// The id of what is chosen; that of a device which is not seen stays as it is.
    fn device_id(&self) -> String {
        let id = self.device.as_ref().map(|row| row.id.to_string());
        id.unwrap_or_else(|| self.form.device_id.clone())
    }

    fn section(&self) -> Section {
        Section::Suppressions
    }

    fn action(&self) -> String {
        let stored = self.stored.as_ref();
        stored.map_or_else(|| "/suppressions".into(), |rule| format!("/suppressions/{}", rule.id))
    }

    fn may_change(&self) -> bool {
        self.shell.sets_security()
            && self.stored.as_ref().is_none_or(|rule| rule.ended_at.is_none())
    }

    fn problem_with(&self, field: &str) -> Option<&'static str> {
        self.problem.filter(|(name, _)| *name == field).map(|(_, text)| text)
    }

    fn preview_text(&self) -> Option<String> {
        let preview = self.preview?;
        let (hidden, of) = (preview.matching, format::count(preview.of, "alert"));
        let all = if preview.of < u64::from(bartizan_store::PREVIEWED) {
            format!("the {of} of the last 30 days")
        } else {
            format!("the newest {of} of the last 30 days")
        };
        Some(format!("This rule would have hidden {} of {all}.", format::grouped(hidden)))
    }
}

fn scope_text(scope: &SuppressionScope, groups: &[(GroupId, String)]) -> String {
    match scope {
        SuppressionScope::All => "Every device".into(),
        SuppressionScope::Group(group) => {
            let name = groups.iter().find(|(id, _)| id == group).map(|(_, name)| name.as_str());
            format!("Group {}", name.unwrap_or("that is gone"))
        }
        SuppressionScope::Device(device) => format!("Device {}", short(device)),
        SuppressionScope::Person(person) => person.clone(),
    }
}

/// The end of an id tells devices apart.
fn short(device: &DeviceId) -> String {
    let text = device.to_string();
    let end = text.len().checked_sub(8).and_then(|at| text.get(at..));
    format!("…{}", end.unwrap_or(&text))
}

/// Says what a rule is about.
fn about(terms: &SuppressionTerms) -> String {
    let what = terms.detector.map_or("Every detector", Detector::title);
    if terms.host.is_empty() { what.into() } else { format!("{what}: {}", terms.host) }
}

fn state(rule: &SuppressionRow, now: &UnixMillis) -> Badge {
    if rule.holds_at(*now) { Badge::holds() } else { Badge::expired() }
}
