//! A Python of our own in the target folder, with what the slow tests talk to.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{Done, say, target};

/// Makes it, unless it is there; else says why not.
pub(crate) fn make() -> Done {
    if has_packages() {
        return Ok(());
    }
    say("making a Python environment with aiosmtpd in the target folder");
    let folder = target().join("python");
    let made = quiet(Command::new("python3").args(["-m", "venv"]).arg(&folder));
    if !made {
        return Err(
            "python3 cannot make a virtual environment here (Debian: python3-venv)".to_owned()
        );
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE];
    if quiet(Command::new(program()).args(pip)) && has_packages() {
        Ok(())
    } else {
        Err(format!("pip cannot install {PACKAGE}"))
    }
}

/// Where it is.
pub(crate) fn program() -> PathBuf {
    target().join("python/bin/python")
}

fn has_packages() -> bool {
    program().is_file() && quiet(Command::new(program()).args(["-c", "import aiosmtpd"]))
}

fn quiet(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The mail server of the tests.
const PACKAGE: &str = "aiosmtpd==1.4.6";
