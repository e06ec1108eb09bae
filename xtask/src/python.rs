//! Python programs that tests drive: each in an environment of its own under the target folder, by its version.

use std::process::Command;

use crate::{Done, run, say, target};

/// Makes sure that a program of `PyPI` is there in this version.
pub(crate) fn need(program: &str, version: &str) -> Done {
    let folder = target().join("venv").join(program);
    let mark = folder.join(version);
    if mark.is_file() {
        return Ok(());
    }
    say(&format!("installing {program} {version} from PyPI into target/venv"));
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let package = format!("{program}=={version}");
    run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", &package]))?;
    std::fs::write(&mark, "").map_err(|error| format!("cannot write {}: {error}", mark.display()))
}
