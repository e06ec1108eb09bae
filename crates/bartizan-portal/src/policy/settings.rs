//! A policy document: the keys that somebody set, and what they set them to.
//!
//! Its canonical form is a JSON object without white space, its keys in the order of their octets, so that equal
//! documents are equal text. Reading accepts every spelling of [`value::read`](super::value::read) and finds
//! every fault, not only the first.
//!
//! A document that was stored may be of a newer portal. What is not understood in it decides nothing here, and is kept
//! as it is through every change.
//!
//! # What it does not do
//! - Fill defaults in: a key that is absent was not decided here, and another layer may decide it.
//!
//! # Invariants
//! - A value is of its key's kind, and its key is one that a document may hold.
//! - `from_stored(&settings.to_json())` is `settings` (property), and `from_json` as well where all is understood.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::schema::{Key, Place};
use super::value::{BadValue, Raw, Value, read};

/// The keys that are set, with their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    known: BTreeMap<Key, Value>,
    /// What is not understood, by its name, which no key in `known` has.
    others: BTreeMap<String, serde_json::Value>,
}

/// Why a document cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSetting {
    /// It is no JSON object.
    #[error("a policy is a JSON object of keys and values: {0}")]
    Form(String),
    /// There is no such key.
    #[error("there is no key {name:?}{}", .nearest.map(|near| format!("; perhaps {near}")).unwrap_or_default())]
    Unknown {
        /// At most the start of what was given.
        name: String,
        /// What may have been meant.
        nearest: Option<&'static str>,
    },
    /// It is there twice.
    #[error("{0} is set twice")]
    Twice(&'static str),
    /// It is filled in when a file for an MDM is made.
    #[error("{0} is filled in when a file for an MDM is made, and is no part of a policy")]
    FilledIn(&'static str),
    /// Its value does not fit.
    #[error("{name} {bad}")]
    Value {
        /// Of the key.
        name: &'static str,
        /// Why not.
        bad: BadValue,
    },
}

impl Settings {
    /// Reads a document.
    ///
    /// # Errors
    /// Everything that is wrong with it, in its order.
    pub fn from_json(text: &str) -> Result<Self, Vec<BadSetting>> {
        Self::from_json_over(text, &Self::default())
    }

    /// Reads a document that somebody made of another, whose members that are not understood it may repeat.
    ///
    /// # Errors
    /// Everything else that is wrong with it, in its order.
    pub fn from_json_over(text: &str, before: &Self) -> Result<Self, Vec<BadSetting>> {
        let members = Members::read(text).map_err(|error| vec![error])?;
        let (mut settings, mut faults) = (Self::default(), Vec::new());
        for (name, value) in members.0 {
            if before.others.get(&name) == Some(&value) {
                settings.others.insert(name, value);
            } else {
                faults.extend(settings.take(&name, &Raw::from(&value)).err());
            }
        }
        if faults.is_empty() { Ok(settings) } else { Err(faults) }
    }

    /// Reads a document that was checked when it was written, perhaps by a newer portal.
    ///
    /// # Errors
    /// It is no JSON object.
    pub fn from_stored(text: &str) -> Result<Self, BadSetting> {
        let mut settings = Self::default();
        for (name, value) in Members::read(text)?.0 {
            let taken = settings.take(&name, &Raw::from(&value));
            match taken {
                // The first one decides.
                Ok(()) | Err(BadSetting::Twice(_)) => {}
                Err(
                    BadSetting::Form(_)
                    | BadSetting::Unknown { .. }
                    | BadSetting::FilledIn(_)
                    | BadSetting::Value { .. },
                ) => {
                    settings.others.insert(name, value);
                }
            }
        }
        Ok(settings)
    }

    /// Sets one key by its name, which must not be set yet.
    ///
    /// # Errors
    /// There is no such key, it is set, or its value does not fit.
    pub fn take(&mut self, name: &str, raw: &Raw<'_>) -> Result<(), BadSetting> {
        let key = Key::from_name(name).ok_or_else(|| BadSetting::Unknown {
            name: name.chars().take(SHOWN).collect(),
            nearest: Key::nearest(name),
        })?;
        if self.known.contains_key(&key) {
            return Err(BadSetting::Twice(key.setting().name));
        }
        self.set(key, raw)
    }

    /// Sets a key, whether or not it is set.
    ///
    /// # Errors
    /// No document can hold it, or its value does not fit.
    pub fn set(&mut self, key: Key, raw: &Raw<'_>) -> Result<(), BadSetting> {
        let setting = key.setting();
        let name = setting.name;
        if !setting.place.is_decided() {
            return Err(BadSetting::FilledIn(name));
        }
        let value = read(setting.kind, raw).map_err(|bad| BadSetting::Value { name, bad })?;
        self.known.insert(key, value);
        self.others.remove(name);
        Ok(())
    }

    /// Leaves a key to others.
    pub fn clear(&mut self, key: Key) {
        self.known.remove(&key);
    }

    /// Returns what a key is set to here.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&Value> {
        self.known.get(&key)
    }

    /// Returns the keys that are set, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &Value)> {
        self.known.iter().map(|(key, value)| (*key, value))
    }

    /// Returns what is not understood, by its name.
    pub fn others(&self) -> impl Iterator<Item = (&str, &serde_json::Value)> {
        self.others.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns those that devices find in one place.
    pub fn in_place(&self, place: Place) -> impl Iterator<Item = (Key, &Value)> {
        self.iter().filter(move |(key, _)| key.setting().place == place)
    }

    /// Returns the canonical form.
    #[must_use]
    pub fn to_json(&self) -> String {
        let named = |(key, value): (Key, &Value)| (key.setting().name, value.to_json());
        let others = self.others().map(|(name, value)| (name, value.clone()));
        let members: BTreeMap<&str, serde_json::Value> =
            self.iter().map(named).chain(others).collect();
        serde_json::json!(members).to_string()
    }
}

/// One key that two documents set differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub key: Key,
    /// What it was set to; `None` where it was not.
    pub before: Option<Value>,
    /// What it is set to now; `None` where it is not. Never the same as `before`.
    pub after: Option<Value>,
}

/// Returns what changed from one document to the next, in the order of the table.
#[must_use]
pub fn diff(before: &Settings, after: &Settings) -> Vec<Change> {
    let change = |key: &Key| {
        let (before, after) = (before.get(*key), after.get(*key));
        let change = || Change { key: *key, before: before.cloned(), after: after.cloned() };
        (before != after).then(change)
    };
    Key::ALL.iter().filter_map(change).collect()
}

impl fmt::Display for Change {
    /// Says it in a line.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.key.setting().name;
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(out, "{name} changes from {before} to {after}"),
            (None, Some(after)) => write!(out, "{name} is set to {after}"),
            (Some(before), None) => write!(out, "{name} is no longer set (it was {before})"),
            (None, None) => write!(out, "{name} stays unset"),
        }
    }
}

/// The members of an object, with those that are there twice.
struct Members(Vec<(String, serde_json::Value)>);

impl Members {
    fn read(text: &str) -> Result<Self, BadSetting> {
        serde_json::from_str(text).map_err(|error| BadSetting::Form(error.to_string()))
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            if MAX_MEMBERS <= members.len() {
                return Err(serde::de::Error::custom("it has too many keys"));
            }
            members.push(member);
        }
        Ok(Members(members))
    }
}

/// What the fuzzer and the replay of its corpus call: reads any octets, and what was read once more.
pub(crate) fn fuzz(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    if let Ok(stored) = Settings::from_stored(text) {
        assert_eq!(Settings::from_stored(&stored.to_json()), Ok(stored));
    }
    match Settings::from_json(text) {
        Ok(settings) => assert_eq!(Settings::from_json(&settings.to_json()), Ok(settings)),
        Err(faults) => assert!(faults.iter().all(|fault| fault.to_string().len() < 1_000)),
    }
}

/// Members of a document; several times as many as there are keys.
const MAX_MEMBERS: usize = 500;
/// Characters of an unknown key that a message repeats.
const SHOWN: usize = 40;

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::policy::value::Kind;

    #[test]
    fn a_document_is_read_in_any_spelling_and_written_in_one() {
        let text = r#"{ "WebProtection": "False", "DefenderOpenNetworkDetection": "audit", "BartizanMode": "tunnel",
                        "DefenderPreview": 1, "DefenderDeviceTag": " Sales " }"#;
        let settings = Settings::from_json(text).unwrap();
        let canonical = r#"{"BartizanMode":"tunnel","DefenderDeviceTag":"Sales","DefenderOpenNetworkDetection":1,"DefenderPreview":true,"WebProtection":false}"#;
        assert_eq!(settings.to_json(), canonical);
        assert_eq!(Settings::from_json("{}").unwrap().to_json(), "{}");
    }

    #[test]
    fn every_fault_of_a_document_is_told() {
        check(
            "[]",
            &[
                "a policy is a JSON object of keys and values: invalid type: sequence, expected an object at line 1 column 0",
            ],
        );
        check(
            r#"{"WebProtecton": true, "BartizanWarnPassHours": 200, "DisableSignOut": null, "Wallpaper": 1}"#,
            &[
                "there is no key \"WebProtecton\"; perhaps WebProtection",
                "BartizanWarnPassHours has to be 0 to 168 hours, and is 200",
                "DisableSignOut has to be true or false, and is nothing",
                "there is no key \"Wallpaper\"",
            ],
        );
        check(r#"{"WebProtection": 1, "WebProtection": 0}"#, &["WebProtection is set twice"]);
        check(
            r#"{"issupervised": "{{issupervised}}"}"#,
            &[
                "issupervised is filled in when a file for an MDM is made, and is no part of a policy",
            ],
        );
    }

    #[test]
    fn what_a_newer_portal_wrote_is_kept_and_decides_nothing() {
        let text =
            r#"{"BartizanMode":"quantum","BartizanTomorrow":{"a":[1]},"WebProtection":false}"#;
        let stored = Settings::from_stored(text).unwrap();
        assert_eq!(stored.to_json(), text);
        assert_eq!(stored.get(Key::Mode), None);
        assert_eq!(stored.iter().count(), 1);

        // Whoever edits the text may leave it in, and may not bring in more of it.
        assert_eq!(Settings::from_json_over(text, &stored), Ok(stored.clone()));
        assert_eq!(Settings::from_json(text).unwrap_err().len(), 2);
        let other = r#"{"BartizanTomorrow":2}"#;
        assert_eq!(Settings::from_json_over(other, &stored).unwrap_err().len(), 1);

        let mut set = stored;
        set.set(Key::Mode, &Raw::Text("dns")).unwrap();
        let expected =
            r#"{"BartizanMode":"dns","BartizanTomorrow":{"a":[1]},"WebProtection":false}"#;
        assert_eq!(set.to_json(), expected);
    }

    #[test]
    fn a_diff_says_what_changed() {
        let before =
            settings(r#"{"WebProtection": true, "BartizanMode": "dns", "DisableSignOut": 1}"#);
        let after =
            settings(r#"{"WebProtection": true, "BartizanMode": "tunnel", "DefenderPreview": 1}"#);
        let lines: Vec<String> = diff(&before, &after).iter().map(Change::to_string).collect();
        assert_eq!(
            lines,
            [
                "DisableSignOut is no longer set (it was true)",
                "DefenderPreview is set to true",
                "BartizanMode changes from dns to tunnel",
            ]
        );
        assert_eq!(diff(&after, &after), []);
    }

    #[test]
    fn the_committed_corpus_is_replayed() {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/policy_settings");
        let files: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(!files.is_empty());
        for file in files {
            fuzz(&std::fs::read(file).unwrap());
        }
    }

    proptest! {
        #[test]
        fn the_canonical_form_reads_back(settings in any_settings()) {
            prop_assert_eq!(Settings::from_json(&settings.to_json()), Ok(settings));
        }

        #[test]
        fn a_diff_leads_from_one_to_the_other(before in any_settings(), after in any_settings()) {
            let mut led = before.clone();
            for change in diff(&before, &after) {
                prop_assert_ne!(&change.before, &change.after);
                match change.after {
                    Some(value) => led.set(change.key, &Raw::from(&value.to_json())).unwrap(),
                    None => led.clear(change.key),
                }
            }
            prop_assert_eq!(led, after);
        }

        #[test]
        fn no_text_is_too_strange(text in ".{0,200}") {
            fuzz(text.as_bytes());
        }
    }

    pub(crate) fn settings(text: &str) -> Settings {
        Settings::from_json(text).unwrap()
    }

    /// Any document.
    pub(crate) fn any_settings() -> impl Strategy<Value = Settings> {
        let decided: Vec<Key> =
            Key::ALL.iter().copied().filter(|key| key.setting().place.is_decided()).collect();
        let member = prop::sample::select(decided).prop_flat_map(|key| (Just(key), any_value(key)));
        prop::collection::vec(member, 0..12).prop_map(|members| {
            let mut settings = Settings::default();
            for (key, json) in members {
                settings.set(key, &Raw::from(&json)).unwrap();
            }
            settings
        })
    }

    fn any_value(key: Key) -> BoxedStrategy<serde_json::Value> {
        let words =
            |words: &'static [&'static str]| prop::sample::select(words).prop_map_into().boxed();
        match key.setting().kind {
            Kind::Flag => any::<bool>().prop_map_into().boxed(),
            Kind::Number { least, most, .. } => (least..=most).prop_map_into().boxed(),
            Kind::Level(levels) => (0..levels.len()).prop_map_into().boxed(),
            Kind::Text { .. } => "[a-z\"<&é]{1,20}".prop_map_into().boxed(),
            Kind::Version => words(&["16", "17.4", "18.0.1"]),
            Kind::Mode => words(&["tunnel", "dns", "filter", "off"]),
            Kind::Resolver => words(&[
                "system",
                "tls://dns.example?ip=192.0.2.53",
                "https://dns.example/q?ip=2001:db8::53",
            ]),
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let faults = Settings::from_json(text).unwrap_err();
        let faults: Vec<String> = faults.iter().map(BadSetting::to_string).collect();
        assert_eq!(faults, expected);
    }
}
