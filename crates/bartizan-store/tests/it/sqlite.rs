//! Where a test's database is: a file in a folder of its own.

use std::path::{Path, PathBuf};

use bartizan_store::DatabaseUrl;

/// Keeps the database while it lives.
pub(crate) struct Place {
    pub(crate) url: DatabaseUrl,
    pub(crate) file: PathBuf,
}

pub(crate) fn place(folder: &Path) -> Place {
    let file = folder.join("portal.db");
    Place { url: file.as_path().into(), file }
}
