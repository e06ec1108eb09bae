//! The controls of a policy document's form, one for each key of the schema.
//!
//! # What it does not do
//! - Know keys: kinds, bounds, defaults and meanings come from [`crate::policy::schema`], places and labels from
//!   [`crate::policy::form`].

use std::collections::BTreeMap;

use crate::policy::form::{self, control};
use crate::policy::schema::{Enrollment, Key, Place};
use crate::policy::settings::Settings;
use crate::policy::value::{BadValue, Kind, Value};
use bartizan_model::Mode;

/// Controls under one heading.
#[derive(Debug)]
pub(crate) struct FieldGroup {
    /// The heading.
    pub(crate) title: &'static str,
    /// The controls.
    pub(crate) fields: Vec<KeyField>,
}

/// One key's control.
#[derive(Debug)]
pub(crate) struct KeyField {
    /// As documents spell it.
    pub(crate) key: &'static str,
    /// The name of the control.
    pub(crate) name: String,
    /// For people.
    pub(crate) label: &'static str,
    /// What it does.
    pub(crate) meaning: &'static str,
    /// What holds where published documents contradict each other.
    pub(crate) decided: Option<&'static str>,
    /// What the control holds; empty where the document leaves the key to others.
    pub(crate) value: String,
    /// What holds while it is empty.
    pub(crate) inherited: String,
    /// What would do.
    pub(crate) expected: String,
    /// Where devices find it.
    pub(crate) place: &'static str,
    /// On which devices it does something; empty for all.
    pub(crate) works_on: String,
    /// What is wrong with what was sent.
    pub(crate) error: Option<String>,
    /// How it is filled in.
    pub(crate) control: Control,
}

/// How a key is filled in.
#[derive(Debug)]
pub(crate) enum Control {
    /// By one of these: what is sent, and what is shown.
    Choice(Vec<(String, String)>),
    /// By a number.
    Number {
        /// The least there can be.
        least: u32,
        /// The most there can be.
        most: u32,
        /// In the plural.
        unit: &'static str,
    },
    /// By text of at most so many characters.
    Text {
        /// In characters.
        most: usize,
    },
}

/// What a form is filled in with.
pub(crate) enum Filled<'a> {
    /// By a document.
    Document(&'a Settings),
    /// By what was sent, some of which may not fit.
    Sent(&'a [(String, String)], &'a BTreeMap<Key, BadValue>),
}

/// Builds the form. `below` is the document that decides what this one leaves out, with its name for people.
pub(crate) fn groups(filled: &Filled<'_>, below: Option<(&Settings, &str)>) -> Vec<FieldGroup> {
    let field = |(key, label): &(Key, &'static str)| one(*key, label, filled, below);
    let group = |group: form::Group| FieldGroup {
        title: group.title,
        fields: group.keys.iter().map(field).collect(),
    };
    form::groups().into_iter().map(group).collect()
}

fn one(
    key: Key,
    label: &'static str,
    filled: &Filled<'_>,
    below: Option<(&Settings, &str)>,
) -> KeyField {
    let (setting, name) = (key.setting(), control(key));
    let (value, error) = match filled {
        Filled::Document(settings) => (form::text(settings, key), None),
        Filled::Sent(pairs, faults) => {
            let sent = pairs.iter().find(|(sent, _)| *sent == name);
            let fault = faults.get(&key).map(|bad| format!("This {bad}."));
            (sent.map(|(_, text)| text.trim().to_owned()).unwrap_or_default(), fault)
        }
    };
    let above = below.and_then(|(settings, whose)| Some((settings.get(key)?, whose)));
    let inherited = match (above, &setting.default) {
        (Some((value, whose)), _) => format!("{}, from {whose}", said(setting.kind, value)),
        (None, Some(default)) => format!("{}, the default", said(setting.kind, default)),
        (None, None) => "not set anywhere".to_owned(),
    };
    let everywhere = setting.works_on.len() == Enrollment::ALL.len();
    let works_on: Vec<_> = setting.works_on.iter().map(|kind| kind.word()).collect();
    KeyField {
        key: setting.name,
        name,
        label,
        meaning: setting.meaning,
        decided: setting.decided,
        value,
        inherited,
        expected: setting.kind.to_string(),
        place: match setting.place {
            Place::Portal => "the portal alone goes by it",
            place @ (Place::Policy | Place::AppConfig | Place::VpnProfile | Place::SsoProfile) => {
                place.word()
            }
        },
        works_on: if everywhere { String::new() } else { works_on.join(", ") },
        error,
        control: kind(setting.kind),
    }
}

fn kind(kind: Kind) -> Control {
    let said = |value: Value| (value.to_string(), said(kind, &value));
    match kind {
        Kind::Flag => Control::Choice([true, false].map(|flag| said(Value::Flag(flag))).into()),
        Kind::Level(levels) => {
            let numbers = (0_u32..).take(levels.len());
            Control::Choice(numbers.map(|number| said(Value::Number(number))).collect())
        }
        Kind::Mode => Control::Choice(Mode::ALL.map(|mode| said(Value::Mode(mode))).into()),
        Kind::Number { least, most, unit } => Control::Number { least, most, unit },
        Kind::Text { most } => Control::Text { most },
        Kind::Version => Control::Text { most: LONGEST_VERSION },
        Kind::Resolver => Control::Text { most: LONGEST_RESOLVER },
    }
}

/// A value as people read it.
fn said(kind: Kind, value: &Value) -> String {
    match (kind, value) {
        (_, Value::Flag(true)) => "Yes (true)".into(),
        (_, Value::Flag(false)) => "No (false)".into(),
        (Kind::Level(levels), Value::Number(number)) => {
            let level = usize::try_from(*number).ok().and_then(|number| levels.get(number));
            level.map_or_else(|| number.to_string(), |(word, does)| format!("{word}: {does}"))
        }
        (Kind::Number { unit, .. }, Value::Number(number)) => format!("{number} {unit}"),
        (_, Value::Mode(mode)) => match mode {
            Mode::Tunnel => "tunnel: all traffic".into(),
            Mode::Dns => "dns: name lookups".into(),
            Mode::Filter => "filter: what a content filter is given".into(),
            Mode::Off => "off: nothing".into(),
        },
        (_, Value::Number(_) | Value::Text(_) | Value::Resolver(_)) => value.to_string(),
    }
}

const LONGEST_VERSION: usize = 14;
const LONGEST_RESOLVER: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_while_a_control_is_empty_is_said() {
        let tenant = Settings::from_json(r#"{"BartizanWarnPassHours":48,"WebProtection":false}"#);
        let tenant = tenant.unwrap();
        let below = Some((&tenant, "every device"));
        check(Key::WarnPassHours, below, "48 hours, from every device");
        check(Key::WebProtection, below, "No (false), from every device");
        check(Key::WarnPassHours, None, "24 hours, the default");
        check(Key::OpenNetworks, below, "on: an event, and the person is told, the default");
        check(Key::Mode, None, "dns: name lookups, the default");
        check(Key::DeviceTag, below, "not set anywhere");
    }

    #[test]
    fn what_was_sent_stays_with_what_is_wrong_with_it() {
        let sent = [(control(Key::WarnPassHours), " 200 ".to_owned())];
        let faults = form::apply(&sent, &Settings::default()).unwrap_err();
        let field = one(Key::WarnPassHours, "", &Filled::Sent(&sent, &faults), None);
        assert_eq!(field.value, "200");
        assert_eq!(field.error.unwrap(), "This has to be 0 to 168 hours, and is 200.");
    }

    #[track_caller]
    fn check(key: Key, below: Option<(&Settings, &str)>, expected: &str) {
        let field = one(key, "", &Filled::Document(&Settings::default()), below);
        assert_eq!(field.inherited, expected);
    }
}
