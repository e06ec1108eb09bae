//! `bartizan feed compile`: from feeds to a signed indicator file, with a report.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use bartizan_indicators::IndicatorFile;
use bartizan_indicators::build::{Stamp, build};
use bartizan_indicators::compile::UrlListing;
use bartizan_indicators::feed::{self, FeedFormat};
use bartizan_indicators::guard::HeldBack;
use ed25519_dalek::SigningKey;
use serde_json::json;

use crate::feeds::{Listed, Sources};
use crate::out;
use crate::stopwatch::Stopwatch;

#[derive(Debug, clap::Args)]
pub(crate) struct CompileArgs {
    /// A feed: a file or an https:// address, after `malware=`, `spyware=`, `c2=`, `scam=` or `tracker=` where it does
    /// not list phishing sites (repeatable)
    #[arg(long, value_name = "FILE_OR_URL", required = true, num_args = 1..)]
    input: Vec<String>,
    /// Popular names that no feed may block, beside the built-in ones (repeatable)
    #[arg(long, value_name = "FILE_OR_URL", num_args = 1..)]
    allow: Vec<String>,
    /// A host name of the organization's own that no feed may block (repeatable)
    #[arg(long, value_name = "NAME")]
    own: Vec<String>,
    /// What a URL lists: its host, unless that is shared or popular, or always the URL alone
    #[arg(long, value_name = "WHAT", default_value = "host", value_parser = ["host", "url"])]
    urls: String,
    /// How the entries of all inputs stand, where the contents are mistaken for something else: plain, hosts, csv,
    /// tsv, adblock, rpz, dnsmasq, json, misp, stix or taxii
    #[arg(long, value_name = "WORD", value_parser = crate::feed_admin::format)]
    format: Option<FeedFormat>,
    /// Which column of a table holds the entries, from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    column: Option<u16>,
    /// Where to write the indicator file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Follow this file: the next epoch under the same hash key, so that `feed diff` has a delta
    #[arg(long, value_name = "FILE")]
    after: Option<PathBuf>,
    /// Sign with the key in this file, 32 octets; a new one is made and written there if it is absent. Without it the
    /// file is signed by a key that nobody keeps: good for looking into, not for devices
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &CompileArgs) -> anyhow::Result<ExitCode> {
    let stopwatch = Stopwatch::start();
    let before = args.after.as_deref().map(super::inspect::open).transpose()?;
    let key = signing_key(args.signing_key.as_deref())?;
    let urls = if args.urls == "url" { UrlListing::Url } else { UrlListing::Host };
    let listed = Listed::read(&Sources {
        feeds: &args.input,
        allow: &args.allow,
        own: &args.own,
        urls,
        read: feed::Options {
            format: args.format,
            column: args.column.map(|column| usize::from(column) - 1),
            ..feed::Options::default()
        },
        hash_key: before.as_ref().map(IndicatorFile::hash_key),
        show_progress: !args.json,
    })?;
    let read: u64 = listed.feeds.iter().map(|(_, added)| added.report.lines).sum();
    let kept = listed.kept();
    let held_back: Vec<_> =
        HeldBack::ALL.into_iter().map(|reason| (reason, listed.held_back(reason))).collect();
    let report = listed.feed_reports();
    let not_read: Vec<_> = listed
        .feeds
        .iter()
        .filter(|(_, added)| added.report.bad_lines != 0)
        .map(|(source, added)| {
            let first = added.report.first_bad.iter();
            let first: Vec<_> =
                first.map(|bad| format!("line {} {}", bad.number, bad.reason)).collect();
            format!("{} of {source}: {}", added.report.bad_lines, first.join(", "))
        })
        .collect();
    let compiled = listed.compiler.finish();
    let stamp = Stamp {
        epoch: before.map_or(1, |file| file.epoch() + 1),
        built_at: bartizan_portal::Clock::system().now(),
    };
    let octets = build(&compiled, stamp, &key)?;
    write(&args.out, &octets)?;

    let seconds = stopwatch.elapsed().as_secs_f64();
    let (entries, size) = (compiled.len(), octets.len());
    let peak_kib = peak_memory_kib();
    if args.json {
        let reasons: serde_json::Map<_, _> = held_back
            .iter()
            .map(|(reason, count)| (reason.word().to_owned(), (*count).into()))
            .collect();
        let object = json!({
            "read": read, "kept": kept, "entries": entries, "held_back": reasons, "bytes": size,
            "seconds": seconds, "peak_memory_kib": peak_kib, "epoch": stamp.epoch, "feeds": report,
        });
        out::line(&object.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    for (what, value) in [
        ("Lines read", read.to_string()),
        ("Kept", kept.to_string()),
        ("Entries", format!("{entries}, each once")),
        ("Size", format!("{size} octets")),
        ("Time", format!("{seconds:.2} s")),
        (
            "Peak memory",
            peak_kib.map_or_else(|| "unknown".to_owned(), |kib| format!("{} MiB", kib / 1_024)),
        ),
    ] {
        out::line(&format!("{what:<14}{value}"));
    }
    for line in not_read {
        out::line(&format!("{:<14}{line}", "Not read"));
    }
    for (reason, count) in held_back.iter().filter(|(_, count)| *count != 0) {
        out::line(&format!("{:<14}{count} because {reason}", "Held back"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the key, or makes one.
fn signing_key(path: Option<&Path>) -> anyhow::Result<SigningKey> {
    let mut seed = [0; 32];
    let Some(path) = path else {
        getrandom::fill(&mut seed)?;
        return Ok(SigningKey::from_bytes(&seed));
    };
    match std::fs::read(path) {
        Ok(octets) => {
            let seed = octets.try_into().ok().with_context(|| {
                format!("{} is not a signing key: it should have 32 octets", path.display())
            })?;
            Ok(SigningKey::from_bytes(&seed))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            getrandom::fill(&mut seed)?;
            write(path, &seed)?;
            Ok(SigningKey::from_bytes(&seed))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Writes a file whole or not at all, readable for its owner alone.
fn write(path: &Path, octets: &[u8]) -> anyhow::Result<()> {
    use std::io::Write as _;

    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let written = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or_else(|| Path::new(".")))?;
        file.write_all(octets)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}

/// The most memory this process ever had, as the kernel counts it; `None` where there is no such count.
fn peak_memory_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
