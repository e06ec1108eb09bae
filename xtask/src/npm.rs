//! Packages of npm, by the lock file of the folder that needs them.

use std::process::Command;

use crate::{Done, packages, run, say};

/// Installs what the folder's `package-lock.json` says; no package's scripts run.
pub(crate) fn install(folder: &str) -> Done {
    packages::need(&[("node", "nodejs"), ("npm", "npm")])?;
    say(&format!("installing npm packages by {folder}/package-lock.json"));
    let npm = [
        "--prefix",
        folder,
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel",
        "error",
    ];
    run(Command::new("npm").args(npm))
}
