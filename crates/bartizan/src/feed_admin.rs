//! What an administrator does to the feeds of a portal. The portal may be running.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use bartizan_indicators::feed::FeedFormat;
use bartizan_model::{IndicatorAction, IndicatorCategory, TenantId};
use bartizan_portal::Portal;
use bartizan_portal::feeds::{
    FeedOrigin, FeedOutcome, FeedRole, FeedRow, FeedSettings, FeedUrls, FeedVersionState, settings,
};
use serde_json::json;

use crate::admin::At;
use crate::out;

#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    #[command(flatten)]
    at: At,
    /// What alerts, hits and reports call it
    name: String,
    /// An https:// address that is looked at by itself, or a file that is taken in once
    #[arg(value_name = "URL_OR_FILE")]
    source: String,
    /// What it is for: `threat`, or `popular` for names that no feed may block
    #[arg(long, value_name = "ROLE", default_value = "threat", value_parser = role)]
    role: FeedRole,
    /// What is at the address: `url` for one document, `misp` for a folder of events, `taxii` for a
    /// collection
    #[arg(long, value_name = "ORIGIN", default_value = "url", value_parser = origin)]
    origin: FeedOrigin,
    /// Why it lists something: phishing, malware, c2, spyware, scam, tracker or custom
    #[arg(long, value_name = "WORD", default_value = "phishing", value_parser = category)]
    category: IndicatorCategory,
    /// What is done about its entries: block, warn, audit or allow
    #[arg(long, value_name = "WORD", default_value = "block", value_parser = action)]
    action: IndicatorAction,
    /// What its URLs list: `host`, since most connections show no more, or `url` alone
    #[arg(long, value_name = "WORD", default_value = "host", value_parser = urls)]
    urls: FeedUrls,
    /// How its entries stand, where the contents are mistaken for something else: plain, hosts, csv, tsv, adblock,
    /// rpz, dnsmasq, json, misp, stix or taxii
    #[arg(long, value_name = "WORD", value_parser = format)]
    format: Option<FeedFormat>,
    /// Which column of a table holds the entries, from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    column: Option<u16>,
    /// How often it is looked at, such as 30m, 6h or 1d; 0 for by hand
    #[arg(long, value_name = "TIME", value_parser = interval)]
    every: Option<u64>,
    /// On which terms it may be used
    #[arg(long, value_name = "TEXT", default_value = "")]
    license: String,
    /// 0 to 100; of two feeds that list the same, the one with more is named
    #[arg(long, value_name = "N", default_value_t = 50)]
    trust: u8,
    /// By how many percent it may shrink or grow without a person
    #[arg(long, value_name = "PERCENT", default_value_t = 50)]
    change_limit: u16,
    /// File with USER:PASSWORD, a token, or the value of the header Authorization
    #[arg(long, value_name = "FILE")]
    credentials_file: Option<PathBuf>,
    /// Let it come without TLS
    #[arg(long)]
    allow_http: bool,
    /// Let it come from a private address
    #[arg(long)]
    allow_private: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    at: At,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Update {
    #[command(flatten)]
    at: At,
    /// Which; all that are enabled if none is named
    name: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    #[command(flatten)]
    at: At,
    /// Which
    name: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    at: At,
    /// Which
    name: String,
    /// To which version; the one before the current one if it is not said
    #[arg(long, value_name = "VERSION")]
    to: Option<u64>,
}

pub(crate) async fn add(add: Add) -> anyhow::Result<ExitCode> {
    let is_address = add.source.contains("://");
    let origin = if is_address { add.origin } else { FeedOrigin::Upload };
    let usual = settings::usual(&add.name, origin);
    let credentials = match &add.credentials_file {
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            settings::authorization(&text)
        }
        None => None,
    };
    let wanted = FeedSettings {
        role: add.role,
        url: is_address.then(|| add.source.clone()),
        category: add.category,
        action: add.action,
        urls: add.urls,
        format: add.format.map(|format| format.word().to_owned()),
        column: add.column.map(|column| column.to_string()),
        trust: add.trust,
        license: add.license,
        interval_s: if is_address { add.every.unwrap_or(usual.interval_s) } else { 0 },
        allow_http: add.allow_http,
        allow_private: add.allow_private,
        change_limit: add.change_limit,
        credentials,
        ..usual
    };
    let file = if is_address {
        None
    } else {
        Some(File::open(&add.source).with_context(|| format!("cannot open {}", add.source))?)
    };
    let (portal, tenant) = add.at.open().await?;
    let feed = portal.add_feed(tenant, wanted).await.with_context(|| {
        format!("cannot add {}; `bartizan feed list` shows the feeds there are", add.name)
    })?;
    let update = match file {
        Some(file) => portal.upload_feed(tenant, feed, file).await?,
        None => portal.update_feed(tenant, feed).await?,
    };
    out::line(&format!("{}: {}: {}", add.name, update.outcome.word(), update.detail));
    match update.outcome {
        FeedOutcome::Taken => publish(&portal, tenant).await?,
        FeedOutcome::Unchanged => {}
        FeedOutcome::Refused | FeedOutcome::Failed => {
            out::note(&format!(
                "{} was added, but lists nothing yet: mend what is said above and run `bartizan feed update {}`, or remove it",
                add.name, add.name
            ));
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn list(list: List) -> anyhow::Result<ExitCode> {
    let (portal, tenant) = list.at.open().await?;
    let feeds = portal.feeds(tenant).await?;
    if list.json {
        let feeds: Vec<_> = feeds.iter().map(as_json).collect();
        out::line(&serde_json::to_string_pretty(&feeds)?);
        return Ok(ExitCode::SUCCESS);
    }
    if feeds.is_empty() {
        out::note("There are no feeds; add one with `bartizan feed add NAME URL_OR_FILE`");
        return Ok(ExitCode::SUCCESS);
    }
    let head = ["NAME", "ROLE", "CATEGORY", "ACTION", "ENTRIES", "VERSION", "STATE", "LAST LOOK"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(feeds.iter().map(|feed| {
        let state = if feed.settings.enabled { "on" } else { "off" };
        [
            feed.settings.name.clone(),
            feed.settings.role.word().to_owned(),
            feed.settings.category.word().to_owned(),
            feed.settings.action.word().to_owned(),
            feed.entries.to_string(),
            feed.version.map_or_else(|| "-".to_owned(), |version| version.to_string()),
            state.to_owned(),
            feed.outcome.map_or_else(
                || "not yet".to_owned(),
                |outcome| format!("{}: {}", outcome.word(), feed.outcome_detail),
            ),
        ]
    }));
    for line in table(&rows) {
        out::line(&line);
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn update(update: Update) -> anyhow::Result<ExitCode> {
    let (portal, tenant) = update.at.open().await?;
    let feeds = portal.feeds(tenant).await?;
    let wanted: Vec<_> = if update.name.is_empty() {
        let is_fetched =
            |feed: &&FeedRow| feed.settings.enabled && feed.settings.origin != FeedOrigin::Upload;
        feeds.iter().filter(is_fetched).collect()
    } else {
        update.name.iter().map(|name| find(&feeds, name)).collect::<Result<_, _>>()?
    };
    let (mut all_well, mut any_taken) = (true, false);
    for feed in wanted {
        let name = &feed.settings.name;
        if feed.settings.origin == FeedOrigin::Upload {
            bail!(
                "{name} came from a file: remove it and add it again, or upload a version in the console"
            );
        }
        let outcome = portal.update_feed(tenant, feed.id).await?;
        out::line(&format!("{name}: {}: {}", outcome.outcome.word(), outcome.detail));
        any_taken |= outcome.outcome == FeedOutcome::Taken;
        all_well &= match outcome.outcome {
            FeedOutcome::Taken | FeedOutcome::Unchanged => true,
            FeedOutcome::Refused | FeedOutcome::Failed => false,
        };
    }
    if any_taken {
        publish(&portal, tenant).await?;
    } else {
        out::note("Nothing new is in use, so nothing is published");
    }
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) async fn remove(remove: Remove) -> anyhow::Result<ExitCode> {
    let (portal, tenant) = remove.at.open().await?;
    let feeds = portal.feeds(tenant).await?;
    portal.remove_feed(tenant, find(&feeds, &remove.name)?.id).await?;
    out::line(&format!("{} is removed", remove.name));
    publish(&portal, tenant).await?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn rollback(rollback: Rollback) -> anyhow::Result<ExitCode> {
    let (portal, tenant) = rollback.at.open().await?;
    let feeds = portal.feeds(tenant).await?;
    let feed = find(&feeds, &rollback.name)?;
    let versions = portal.feed_versions(tenant, feed.id).await?;
    let before = versions.iter().find(|version| {
        version.state == FeedVersionState::Kept
            && version.has_octets
            && feed.version.is_some_and(|current| version.version < current)
    });
    let to = match (rollback.to, before) {
        (Some(to), _) => to,
        (None, Some(before)) => before.version,
        (None, None) => bail!(
            "{} has no earlier version that is kept; `bartizan feed list --json` shows the current one",
            rollback.name
        ),
    };
    portal.use_feed_version(tenant, feed.id, to).await.with_context(|| {
        let kept: Vec<_> = versions
            .iter()
            .filter(|version| version.has_octets)
            .map(|version| version.version.to_string())
            .collect();
        format!("cannot use version {to} of {}: kept are {}", rollback.name, kept.join(", "))
    })?;
    out::line(&format!("{} is at version {to}; what was newer is not taken again", rollback.name));
    publish(&portal, tenant).await?;
    Ok(ExitCode::SUCCESS)
}

/// Compiles and publishes, and says so.
async fn publish(portal: &Portal, tenant: TenantId) -> anyhow::Result<()> {
    let published = portal
        .compile_feeds(tenant)
        .await
        .context("the feeds were not published; what was published before stays")?;
    out::note(&format!(
        "Published {} entries as epoch {}; devices fetch it at their next check-in",
        published.entries, published.epoch
    ));
    Ok(())
}

fn find<'feeds>(feeds: &'feeds [FeedRow], name: &str) -> anyhow::Result<&'feeds FeedRow> {
    let found = feeds.iter().find(|feed| feed.settings.name == name);
    found.with_context(|| {
        format!("there is no feed {name}; `bartizan feed list` shows those there are")
    })
}

fn as_json(feed: &FeedRow) -> serde_json::Value {
    let settings = &feed.settings;
    json!({
        "name": settings.name, "role": settings.role.word(), "origin": settings.origin.word(),
        "url": settings.url, "category": settings.category.word(),
        "action": settings.action.word(), "urls": settings.urls.word(), "trust": settings.trust,
        "license": settings.license, "interval_s": settings.interval_s,
        "enabled": settings.enabled, "allow_http": settings.allow_http,
        "allow_private": settings.allow_private, "change_limit_percent": settings.change_limit,
        "has_credentials": settings.credentials.is_some(), "version": feed.version,
        "entries": feed.entries, "changed_at_ms": feed.changed_at.map(|at| at.0),
        "checked_at_ms": feed.checked_at.map(|at| at.0), "due_at_ms": feed.due_at.map(|at| at.0),
        "failures": feed.failures, "outcome": feed.outcome.map(FeedOutcome::word),
        "outcome_detail": feed.outcome_detail, "hits": feed.hits,
        "false_positive_reports": feed.reports,
    })
}

/// Pads all columns but the last.
fn table<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn role(word: &str) -> Result<FeedRole, String> {
    FeedRole::from_word(word).ok_or_else(|| one_of(FeedRole::ALL.map(FeedRole::word)))
}

fn origin(word: &str) -> Result<FeedOrigin, String> {
    let meant = FeedOrigin::from_word(word).filter(|origin| *origin != FeedOrigin::Upload);
    meant.ok_or_else(|| one_of(["url", "misp", "taxii"]))
}

fn category(word: &str) -> Result<IndicatorCategory, String> {
    IndicatorCategory::from_word(word)
        .ok_or_else(|| one_of(IndicatorCategory::ALL.map(IndicatorCategory::word)))
}

fn action(word: &str) -> Result<IndicatorAction, String> {
    IndicatorAction::from_word(word)
        .ok_or_else(|| one_of(IndicatorAction::ALL.map(IndicatorAction::word)))
}

pub(crate) fn format(word: &str) -> Result<FeedFormat, String> {
    word.parse().map_err(|_| one_of(FeedFormat::ALL.map(FeedFormat::word)))
}

fn urls(word: &str) -> Result<FeedUrls, String> {
    FeedUrls::from_word(word).ok_or_else(|| one_of(FeedUrls::ALL.map(FeedUrls::word)))
}

fn one_of<const N: usize>(words: [&str; N]) -> String {
    format!("expected one of: {}", words.join(", "))
}

/// Reads `30m`, `6h`, `1d` or `0` as seconds.
fn interval(text: &str) -> Result<u64, String> {
    let wrong = || "expected a time such as 30m, 6h or 1d, or 0".to_owned();
    if text == "0" {
        return Ok(0);
    }
    let unit = match text.chars().last() {
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 =
        text.get(..text.len() - 1).unwrap_or_default().parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_people_write_it() {
        for (text, expected) in
            [("0", Some(0)), ("30m", Some(1_800)), ("6h", Some(21_600)), ("1d", Some(86_400))]
        {
            assert_eq!(interval(text).ok(), expected);
        }
        for text in
            ["", "6", "h", "-1h", "1w", "é", "99999999999999999999d", "9999999999999999999d"]
        {
            assert!(interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), "b".to_owned()], ["long".to_owned(), String::new()]];
        assert_eq!(table(&rows), ["a     b", "long"]);
    }
}
