//! What people and programs read: the only file that writes to the terminal.
//!
//! Results go to standard output, everything else to standard error, so that `--json` can be piped.

use std::io::Write;
#[cfg(feature = "portal")]
use std::path::Path;

#[cfg(any(feature = "agent", feature = "portal"))]
use tracing_subscriber::EnvFilter;

/// Writes a line of the result.
#[cfg(any(feature = "agent", feature = "portal"))]
pub(crate) fn line(text: &str) {
    // Nobody reads: nothing to be done, and no reason to fail.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Writes a line about the work.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Says why it did not work: the last cause is usually the one that helps.
pub(crate) fn error(error: &anyhow::Error) {
    note(&format!("bartizan: {error:#}"));
}

/// Logs as JSON, one object a line, to standard error.
#[cfg(any(feature = "agent", feature = "portal"))]
pub(crate) fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// Logs as JSON to the end of a file, so that the terminal stays readable.
#[cfg(feature = "portal")]
pub(crate) fn log_to_file(path: &Path) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path)?;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(file).init();
    Ok(())
}
