//! A policy document: `GET /policy/{who}`, and one of its versions beside another.

use askama::Template;
use bartizan_model::UnixMillis;
use bartizan_store::PolicyVersionRow;

use super::format::Ago;
use super::policy_fields::{Control, FieldGroup};
use super::{Icon, Section, Shell, filters};
use crate::policy::managed_config::Row;

/// A document as it is edited.
pub(crate) struct SettingsForm {
    /// The number of the version that it began with, 0 before the first.
    pub(crate) base: u64,
    /// Whether it is edited as text.
    pub(crate) is_text: bool,
    /// The text.
    pub(crate) settings: String,
    /// The controls; none where it is edited as text.
    pub(crate) groups: Vec<FieldGroup>,
    /// Members that are kept and not understood.
    pub(crate) others: Vec<String>,
    /// What would change, where that was asked for.
    pub(crate) review: Option<Vec<String>>,
    /// Why.
    pub(crate) note: String,
    /// Of 100 devices.
    pub(crate) percent: String,
}

/// A document, its versions, its roll-out and its files.
#[derive(Template)]
#[template(path = "console/policy_document.html")]
pub(crate) struct DocumentPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Where it is.
    pub(crate) href: String,
    /// For whom it is.
    pub(crate) name: String,
    /// The form.
    pub(crate) form: SettingsForm,
    /// Why the last change was not made.
    pub(crate) problems: Vec<String>,
    /// A page of versions, the latest first.
    pub(crate) versions: Vec<PolicyVersionRow>,
    /// Whether the first of them is the latest there is.
    pub(crate) is_first_page: bool,
    /// Where there are more.
    pub(crate) next: Option<String>,
    /// What an MDM is given, a key a row.
    pub(crate) rows: Vec<Row>,
    /// Whether profiles can be signed here.
    pub(crate) can_sign: bool,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

/// What a version changed against another.
#[derive(Template)]
#[template(path = "console/policy_version.html")]
pub(crate) struct VersionPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Where the document is.
    pub(crate) href: String,
    /// For whom it is.
    pub(crate) name: String,
    /// The version.
    pub(crate) version: PolicyVersionRow,
    /// Its settings, a key a line.
    pub(crate) settings: String,
    /// What it is compared with; 0 is a document that decides nothing.
    pub(crate) against: u64,
    /// The numbers that it can be compared with.
    pub(crate) others: Vec<u64>,
    /// What is different, a key a line.
    pub(crate) changes: Vec<String>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl SettingsForm {
    fn has_changes(&self) -> bool {
        self.review.as_ref().is_some_and(|changes| !changes.is_empty())
    }
}

impl DocumentPage {
    fn section(&self) -> Section {
        Section::Policy
    }

    /// The latest version, while only a share of devices have it.
    fn rolling_out(&self) -> Option<&PolicyVersionRow> {
        self.versions.first().filter(|latest| self.is_first_page && latest.percent < 100)
    }

    fn state(&self, version: &PolicyVersionRow) -> String {
        let in_force = self.versions.iter().find(|version| version.percent == 100);
        if in_force.is_some_and(|in_force| in_force.number == version.number && self.is_first_page)
        {
            "In force".into()
        } else if self.rolling_out().is_some_and(|latest| latest.number == version.number) {
            format!("At {} %", version.percent)
        } else {
            "Earlier".into()
        }
    }
}

impl VersionPage {
    fn section(&self) -> Section {
        Section::Policy
    }
}

fn by(version: &PolicyVersionRow) -> &str {
    if version.changed_by.is_empty() { "the command line" } else { &version.changed_by }
}
