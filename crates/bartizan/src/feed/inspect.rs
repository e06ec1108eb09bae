//! `bartizan feed lookup|explain|diff`: what an indicator file says. Whoever signed it: that is for devices to check.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use bartizan_indicators::found::{Found, Source};
use bartizan_indicators::normal::{CanonicalUrl, UrlError};
use bartizan_indicators::{Damaged, IndicatorFile, Indicators, delta, mapping};
use bartizan_model::UnixMillis;
use serde_json::json;

use crate::out;
use crate::stopwatch::Stopwatch;

#[derive(Debug, clap::Args)]
pub(crate) struct LookupArgs {
    /// The indicator file
    file: PathBuf,
    /// What to look up, one name, URL or address a line; standard input if absent
    #[arg(long, value_name = "LIST")]
    names: Option<PathBuf>,
    /// Print a JSON object a line, and one that sums up
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// The indicator file
    file: PathBuf,
    /// A name, URL or address
    url: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// The earlier indicator file
    a: PathBuf,
    /// The later one
    b: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Opens a file and verifies all but who signed it.
pub(super) fn open(path: &Path) -> anyhow::Result<IndicatorFile> {
    let octets = mapping::map(path).with_context(|| format!("cannot open {}", path.display()))?;
    IndicatorFile::inspect(octets).with_context(|| path.display().to_string())
}

pub(crate) fn lookup(args: &LookupArgs) -> anyhow::Result<ExitCode> {
    let stopwatch = Stopwatch::start();
    let base = open(&args.file)?;
    let open_ms = stopwatch.elapsed().as_secs_f64() * 1e3;
    let indicators = Indicators { base: Some(base), tenant: None };

    let questions = match &args.names {
        Some(path) => {
            let file =
                File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            read(BufReader::new(file))
        }
        None => read(io::stdin().lock()),
    };
    let questions = questions.context("cannot read what to look up")?;
    let parsed: Vec<_> = questions.iter().map(|question| CanonicalUrl::parse(question)).collect();
    let damaged = |_: Damaged| anyhow::anyhow!("{} is damaged", args.file.display());

    // Once without printing, for the figure, which also brings every page in.
    let time = |indicators: &Indicators| -> Result<(f64, u64), Damaged> {
        let stopwatch = Stopwatch::start();
        let mut listed = 0;
        for url in parsed.iter().flatten() {
            listed += u64::from(indicators.lookup_url(url, UnixMillis(0))?.is_some());
        }
        Ok((stopwatch.elapsed().as_secs_f64() * 1e9, listed))
    };
    time(&indicators).map_err(damaged)?;
    let (nanoseconds, listed) = time(&indicators).map_err(damaged)?;
    let asked = parsed.iter().flatten().count();

    let mut output = BufWriter::new(io::stdout().lock());
    for (question, url) in questions.iter().zip(&parsed) {
        let found = match url {
            Ok(url) => Ok(indicators.lookup_url(url, UnixMillis(0)).map_err(damaged)?),
            Err(error) => Err(*error),
        };
        let line = if args.json { as_json(question, &found) } else { as_text(question, &found) };
        // A reader that has seen enough, such as `head`, is no failure.
        if writeln!(output, "{line}").is_err() {
            return Ok(ExitCode::SUCCESS);
        }
    }
    if args.json {
        let ns_per_lookup = if asked == 0 { 0.0 } else { nanoseconds / as_float(asked) };
        let summary = json!({
            "asked": asked, "listed": listed, "invalid": questions.len() - asked,
            "ns_per_lookup": round(ns_per_lookup), "open_ms": round(open_ms),
        });
        let _ = writeln!(output, "{summary}");
    }
    let _ = output.flush();
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn explain(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let indicators = Indicators { base: Some(open(&args.file)?), tenant: None };
    let explanation = bartizan_indicators::explain::explain(&indicators, &args.url, UnixMillis(0))
        .with_context(|| args.url.clone())?;
    out::line(&explanation.to_string());
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn diff(args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let (a, b) = (open(&args.a)?, open(&args.b)?);
    let difference = delta::difference(&a, &b)?;
    let Some(difference) = difference else {
        anyhow::bail!(
            "{} and {} hash names under different keys, so their entries cannot be compared; compile the later one with --after",
            args.a.display(),
            args.b.display()
        );
    };
    if args.json {
        let object = json!({
            "entries": [a.entries(), b.entries()], "epochs": [a.epoch(), b.epoch()],
            "added": difference.added, "removed": difference.removed, "changed": difference.changed,
            "delta_bytes": difference.delta.len(), "bytes": b.size_bytes(),
        });
        out::line(&object.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    for (what, value) in [
        ("Entries", format!("{} -> {}", a.entries(), b.entries())),
        ("Added", difference.added.to_string()),
        ("Removed", difference.removed.to_string()),
        ("Changed", format!("{}: same entry, other category, action or feed", difference.changed)),
        (
            "Delta",
            format!("{} octets, the whole file has {}", difference.delta.len(), b.size_bytes()),
        ),
    ] {
        out::line(&format!("{what:<10}{value}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn read(mut input: impl BufRead) -> io::Result<Vec<String>> {
    let (mut lines, mut line) = (Vec::new(), Vec::new());
    while {
        line.clear();
        input.read_until(b'\n', &mut line)? != 0
    } {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if !text.is_empty() && !text.starts_with('#') {
            lines.push(text.to_owned());
        }
    }
    Ok(lines)
}

type Outcome<'a> = Result<Option<Found<'a>>, UrlError>;

fn as_text(question: &str, found: &Outcome<'_>) -> String {
    match found {
        Ok(Some(found)) => {
            let winner = found.winner();
            format!("{question}\t{}\t{}", winner.action.word(), winner.entry)
        }
        Ok(None) => format!("{question}\tnone\t"),
        Err(error) => format!("{question}\tinvalid\t{error}"),
    }
}

fn as_json(question: &str, found: &Outcome<'_>) -> String {
    match found {
        Ok(Some(found)) => {
            let winner = found.winner();
            let source = match winner.source {
                Source::Feed(feed) => feed,
                Source::Tenant(own) => own.title,
            };
            json!({
                "name": question, "verdict": winner.action.word(), "matched": winner.entry.to_string(),
                "category": winner.category.word(), "source": source,
            })
        }
        Ok(None) => json!({ "name": question, "verdict": "none", "matched": null }),
        Err(error) => json!({ "name": question, "verdict": "invalid", "matched": null, "reason": error.to_string() }),
    }
    .to_string()
}

#[expect(clippy::cast_precision_loss, reason = "a count of lines, for an average")]
fn as_float(count: usize) -> f64 {
    count as f64
}

fn round(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}
