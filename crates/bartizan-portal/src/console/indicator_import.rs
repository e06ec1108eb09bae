//! Importing indicators: `GET /indicators/import` and what the file would change.

use askama::Template;

use super::{Icon, Section, Shell, filters, format};
use crate::indicator_csv::RowError;

/// Asks for a file.
#[derive(Template)]
#[template(path = "console/indicator_import.html")]
pub(crate) struct IndicatorImportPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Why the last file was not taken.
    pub(crate) problem: Option<String>,
    /// The largest file, in mebibytes.
    pub(crate) max_mib: usize,
}

impl IndicatorImportPage {
    fn section(&self) -> Section {
        Section::Indicators
    }
}

/// Shows what a file would change.
#[derive(Template)]
#[template(path = "console/indicator_preview.html")]
pub(crate) struct IndicatorPreviewPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Names the upload.
    pub(crate) upload: String,
    /// As the browser names the file.
    pub(crate) file_name: String,
    /// How many are not there yet.
    pub(crate) new: usize,
    /// How many are there and different.
    pub(crate) changed: usize,
    /// How many are there and the same.
    pub(crate) unchanged: usize,
    /// How many things are wrong.
    pub(crate) wrong: usize,
    /// Names of columns that mean nothing here.
    pub(crate) ignored: Vec<String>,
    /// The first of those that are not there yet: value, action, title.
    pub(crate) new_rows: Vec<(String, &'static str, String)>,
    /// The first of those that are different.
    pub(crate) changed_rows: Vec<ChangedRow>,
    /// The first of what is wrong.
    pub(crate) errors: Vec<RowError>,
}

/// An indicator that would be changed.
#[derive(Clone, Debug)]
pub(crate) struct ChangedRow {
    /// Leads to its page.
    pub(crate) id: u64,
    /// What it names.
    pub(crate) pattern: String,
    /// Column, before, after.
    pub(crate) fields: Vec<(&'static str, String, String)>,
}

impl IndicatorPreviewPage {
    fn section(&self) -> Section {
        Section::Indicators
    }

    fn applies(&self) -> usize {
        self.new + self.changed
    }

    fn number(&self, number: &usize) -> String {
        format::grouped(u64::try_from(*number).unwrap_or(u64::MAX))
    }

    fn apply_text(&self) -> String {
        let count = format::count(u64::try_from(self.applies()).unwrap_or(u64::MAX), "indicator");
        if self.wrong == 0 {
            format!("Import {count}")
        } else {
            format!("Import {count}, leave out what is wrong")
        }
    }

    /// Says how many more there are than are shown.
    fn more(&self, shown: usize, all: &usize) -> Option<String> {
        let rest = all.saturating_sub(shown);
        (0 < rest).then(|| format!("and {} more", self.number(&rest)))
    }
}
