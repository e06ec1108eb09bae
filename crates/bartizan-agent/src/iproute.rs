//! Runs `ip` of iproute2, which knows netlink so that we need not.

use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// Runs `ip` with these arguments and returns what it printed.
///
/// # Errors
/// It is not installed, or it refused; its own words are in the error.
pub fn ip(arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("cannot run `ip`: install the package iproute2")?;
    if !output.status.success() {
        bail!(
            "`ip {}` failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(output.stdout)
}
