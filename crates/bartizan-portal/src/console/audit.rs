//! The audit log: `GET /audit`.

use askama::Template;
use bartizan_model::UnixMillis;
use bartizan_store::ACTIONS;
use serde::Deserialize;

use super::format::{self, Ago};
use super::{Icon, Pager, Section, Shell, filters};

/// Who did what, the newest first.
#[derive(Template)]
#[template(path = "console/audit.html")]
pub(crate) struct AuditPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// What is asked.
    pub(crate) form: AuditForm,
    /// Ids and addresses of the members on the page and of the one who is asked for, to choose from.
    pub(crate) people: Vec<(String, String)>,
    /// Whether this is the first page.
    pub(crate) is_first: bool,
    /// The entries of this page.
    pub(crate) rows: Vec<AuditEntryRow>,
    /// The cursor of the next page, if there is one.
    pub(crate) next: Option<String>,
    /// How many entries there are in all.
    pub(crate) size: u64,
    /// The signed head.
    pub(crate) head: String,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

/// What the filter says, as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct AuditForm {
    /// From then on, UTC.
    #[serde(default)]
    pub(crate) from: String,
    /// Before then, UTC.
    #[serde(default)]
    pub(crate) until: String,
    /// A kind, or a kind and an id.
    #[serde(default)]
    pub(crate) actor: String,
    /// One of the actions.
    #[serde(default)]
    pub(crate) action: String,
    /// A kind, or a kind and an id.
    #[serde(default)]
    pub(crate) object: String,
}

/// An entry in a table.
#[derive(Clone, Debug)]
pub(crate) struct AuditEntryRow {
    /// Its number.
    pub(crate) seq: u64,
    /// When it was.
    pub(crate) at: UnixMillis,
    /// Who did it, in words.
    pub(crate) actor: String,
    /// What was done, in words.
    pub(crate) action: String,
    /// Leads to what it was done to; empty where that has no page.
    pub(crate) link: String,
    /// What it was done to, in words.
    pub(crate) object: String,
    /// Its id.
    pub(crate) object_id: String,
    /// JSON, or nothing.
    pub(crate) detail: String,
    /// What it says of people, as far as that is kept.
    pub(crate) personal: Vec<String>,
    /// The request's id, or nothing.
    pub(crate) request: String,
}

impl AuditPage {
    fn section(&self) -> Section {
        Section::Audit
    }

    fn actions(&self) -> &'static [(&'static str, &'static str)] {
        ACTIONS
    }

    fn pager(&self) -> Pager {
        Pager {
            first: (!self.is_first).then(|| self.form.address(&self.path(), "")),
            next: self.next.as_ref().map(|next| self.form.address(&self.path(), next)),
        }
    }

    fn export_address(&self) -> String {
        self.form.address(&format!("{}/export.jsonl", self.path()), "")
    }

    fn path(&self) -> String {
        format!("{}/audit", self.shell.base())
    }

    fn size_text(&self) -> String {
        format::count_of(self.size, "entry", "entries")
    }
}

impl AuditForm {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn address(&self, path: &str, before: &str) -> String {
        format::address(
            path,
            &[
                ("from", &self.from),
                ("until", &self.until),
                ("actor", &self.actor),
                ("action", &self.action),
                ("object", &self.object),
                ("before", before),
            ],
        )
    }
}
