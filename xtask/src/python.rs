//! Virtual environments with the Python packages that a slow test drives, under the target folder.

use std::process::Command;

use crate::{Done, packages, root, run, say, target};

/// Makes the environment of this name, with the packages that a file lists, unless it is there already.
pub(crate) fn environment(name: &str, requirements: &str) -> Done {
    let (folder, list) = (target().join(name), root().join(requirements));
    let wanted = std::fs::read_to_string(&list)
        .map_err(|error| format!("cannot read {requirements}: {error}"))?;
    let installed = folder.join("installed.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(());
    }
    // Without the second package Python has the module, but not what it needs.
    packages::need(&[("python3", "python3-venv")])?;
    say(&format!("installing the Python packages of {requirements}"));
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let python = folder.join("bin/python");
    run(Command::new(python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(list))?;
    std::fs::write(installed, wanted).map_err(|error| format!("cannot write: {error}"))
}
