//! A policy document while it is edited: what was sent by the form or as text, and whether it can be saved.
//!
//! # What it does not do
//! - Ask the store anything: it is given the version that the new one would follow.

use std::collections::BTreeMap;

use super::people::one;
use super::policy_document::lines;
use crate::console::{Filled, SettingsForm, policy_groups};
use crate::policy::form;
use crate::policy::rollout::Percent;
use crate::policy::schema::Key;
use crate::policy::settings::{BadSetting, Settings};
use crate::policy::value::BadValue;

/// What somebody filled in, and what came of it.
pub(super) struct Edited {
    pairs: Vec<(String, String)>,
    is_text: bool,
    /// Whether they want to see what would change before it does.
    pub(super) is_review: bool,
    settings: Option<Settings>,
    percent: Option<Percent>,
    faults: BTreeMap<Key, BadValue>,
    problems: Vec<String>,
    /// What would change, where that was asked for.
    pub(super) review: Option<Vec<String>>,
}

impl Edited {
    /// Nothing was filled in yet: the form shows the document that there is.
    pub(super) fn blank(is_text: bool) -> Self {
        Self {
            pairs: Vec::new(),
            is_text,
            is_review: false,
            settings: None,
            percent: None,
            faults: BTreeMap::new(),
            problems: Vec::new(),
            review: None,
        }
    }

    /// Reads what was sent, to follow version `number`, which is `before`.
    pub(super) fn read(pairs: Vec<(String, String)>, number: u64, before: &Settings) -> Self {
        let is_text = pairs.iter().any(|(name, _)| name == "settings");
        let mut edited =
            Self { is_review: one(&pairs, "step") == "review", ..Self::blank(is_text) };
        if is_text {
            match Settings::from_json_over(one(&pairs, "settings"), before) {
                Ok(settings) => edited.settings = Some(settings),
                Err(faults) => edited.problems.extend(faults.iter().map(BadSetting::to_string)),
            }
        } else {
            match form::apply(&pairs, before) {
                Ok(settings) => edited.settings = Some(settings),
                Err(faults) => {
                    let told =
                        |(key, bad): (&Key, &BadValue)| format!("{} {bad}", key.setting().name);
                    edited.problems.extend(faults.iter().map(told));
                    edited.faults = faults;
                }
            }
        }
        edited.percent = one(&pairs, "percent").trim().parse().ok().and_then(Percent::new);
        if edited.percent.is_none() {
            edited.problems.push("The percentage is a number from 0 to 100".into());
        }
        let note = one(&pairs, "note").trim();
        if MAX_NOTE < note.chars().count() || note.chars().any(char::is_control) {
            edited.problems.push("The note has at most 200 characters on one line".into());
        }
        // Programs that know nothing of it save onto whatever is the latest.
        if one(&pairs, "base").parse().is_ok_and(|base: u64| base != number) {
            edited.problems.push(format!(
                "Version {number} was saved meanwhile. Review what you filled in against it"
            ));
        }
        edited.pairs = pairs;
        edited
    }

    /// Returns what can be saved, and for how many devices; `None` where something is wrong.
    pub(super) fn fits(&self) -> Option<(&Settings, Percent)> {
        let settings = self.settings.as_ref().filter(|_| self.problems.is_empty())?;
        Some((settings, self.percent?))
    }

    /// Why, as it was filled in.
    pub(super) fn note(&self) -> &str {
        one(&self.pairs, "note").trim()
    }

    /// What is wrong, in one line.
    pub(super) fn told(&self) -> String {
        self.problems.join("; ")
    }

    /// Returns the form as it stands, to follow `latest`, and what is wrong with it.
    pub(super) fn form(
        self,
        (number, latest): (u64, &Settings),
        below: Option<&Settings>,
    ) -> (SettingsForm, Vec<String>) {
        let is_blank = self.pairs.is_empty();
        let filled = if is_blank {
            Filled::Document(latest)
        } else {
            Filled::Sent(&self.pairs, &self.faults)
        };
        let below = below.map(|settings| (settings, "every device"));
        let sent = |name: &str, blank: String| {
            if is_blank { blank } else { one(&self.pairs, name).to_owned() }
        };
        let form = SettingsForm {
            base: number,
            is_text: self.is_text,
            settings: sent("settings", lines(latest)),
            groups: if self.is_text { Vec::new() } else { policy_groups(&filled, below) },
            others: latest.others().map(|(name, value)| format!("{name}: {value}")).collect(),
            review: self.review,
            note: sent("note", String::new()),
            percent: sent("percent", "100".into()),
        };
        (form, self.problems)
    }
}

const MAX_NOTE: usize = 200;
