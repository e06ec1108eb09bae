//! The console's styles and scripts: from npm by the lock file, into the folder that the build embeds.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{Done, npm, root, run};

/// Builds the assets, unless they are newer than all they are made from.
pub(crate) fn build() -> Done {
    let folder = root().join("crates/bartizan-portal/assets");
    if is_fresh(&folder) {
        return Ok(());
    }
    npm::install("crates/bartizan-portal/assets")?;
    run(Command::new("node").arg("crates/bartizan-portal/assets/build.mjs"))
}

fn is_fresh(folder: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    let Some(built) = time(&folder.join("dist/manifest.json")) else { return false };
    let mut sources = vec![folder.join("package-lock.json"), folder.join("build.mjs")];
    let own = fs::read_dir(folder.join("src")).into_iter().flatten().flatten();
    sources.extend(own.map(|entry| entry.path()));
    sources.iter().all(|source| time(source).is_some_and(|changed| changed <= built))
}
