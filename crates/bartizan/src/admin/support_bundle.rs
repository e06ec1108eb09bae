//! `bartizan admin support-bundle`: what somebody who helps needs to know, in one archive to look through first.
//!
//! # Invariants
//! - No secret and nothing of people: of settings that may hold either it says only that they are set.

use std::fs::OpenOptions;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;

use super::doctor;
use crate::config::Config;
use crate::out;

/// Writes the archive.
pub(super) fn write(config: &Config, archive: &Path) -> anyhow::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(archive)
        .with_context(|| format!("cannot write {}", archive.display()))?;
    let mut tar = tar::Builder::new(zstd::Encoder::new(file, 0)?);
    let mut names = Vec::new();
    let log = config
        .log_file
        .as_deref()
        .map(tail)
        .transpose()
        .unwrap_or_else(|error| Some(format!("the log cannot be read: {error}\n")));
    for (name, text) in [
        ("version.txt", Some(version())),
        ("configuration.txt", Some(configuration(config))),
        ("counts.txt", Some(counts(config))),
        ("doctor.txt", Some(doctor::text(&doctor::examine(config)))),
        ("log.txt", log),
    ] {
        let Some(text) = text else { continue };
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(text.len())?);
        header.set_mode(0o600);
        tar.append_data(&mut header, name, text.as_bytes())?;
        names.push(name);
    }
    tar.into_inner()?.finish()?.sync_all()?;
    out::line(&format!("{}: {}", archive.display(), names.join(", ")));
    out::note("Look through it before you pass it on: tar --zstd -xOf FILE");
    Ok(())
}

fn version() -> String {
    let system = rustix::system::uname();
    format!(
        "bartizan {}\n{} {} {}\n",
        env!("CARGO_PKG_VERSION"),
        system.sysname().to_string_lossy(),
        system.release().to_string_lossy(),
        system.machine().to_string_lossy(),
    )
}

fn configuration(config: &Config) -> String {
    let mut text = String::new();
    for (name, value, origin) in &config.listing {
        let shown = if value.is_empty() {
            "(not set)"
        } else if SHOWN.contains(name) {
            value
        } else {
            "(set)"
        };
        text += &format!("{name} = {shown}  ({})\n", origin.word());
    }
    text
}

fn counts(config: &Config) -> String {
    match config.portal().database().counts() {
        Ok(counts) => {
            counts.iter().map(|count| format!("{}: {}\n", count.table, count.rows)).collect()
        }
        Err(error) => format!("not counted: {:#}\n", anyhow::Error::new(error)),
    }
}

/// Reads the last lines.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let start = file.metadata()?.len().saturating_sub(LOG_OCTETS);
    file.seek(SeekFrom::Start(start))?;
    let mut octets = Vec::new();
    file.take(LOG_OCTETS).read_to_end(&mut octets)?;
    let text = String::from_utf8_lossy(&octets);
    let whole =
        if start == 0 { &*text } else { text.split_once('\n').map_or("", |(_, rest)| rest) };
    Ok(whole.to_owned())
}

/// Settings that hold neither secrets nor names: of others it is told only whether they are set.
const SHOWN: [&str; 4] = ["listen", "metrics-listen", "retention-days", "log-file"];
/// Some two thousand lines.
const LOG_OCTETS: u64 = 512 * 1_024;
