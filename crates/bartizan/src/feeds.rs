//! Feeds from files and addresses, compressed or not, to the names that are listed.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;

use anyhow::Context;
use bartizan_indicators::compile::{Added, Compiler, FeedTerms, UrlListing};
use bartizan_indicators::feed;
use bartizan_indicators::guard::{Guard, HeldBack};
use bartizan_indicators::unpack;
use bartizan_model::{DomainName, IndicatorCategory};
use bartizan_portal::Clock;
use bartizan_portal::feeds::{Access, Fetcher, Limits, Validators, is_this_machine};
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use serde_json::json;

/// Which feeds to read, and how.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    /// Files or addresses, each after its category if that is not phishing.
    pub(crate) feeds: &'a [String],
    /// Files or addresses of popular names, held back beside the built-in ones.
    pub(crate) allow: &'a [String],
    /// The organization's own names, held back too.
    pub(crate) own: &'a [String],
    /// What a URL lists.
    pub(crate) urls: UrlListing,
    /// How the feeds are read, where that is not left to their contents.
    pub(crate) read: feed::Options,
    /// That of the file to follow; a random one if absent.
    pub(crate) hash_key: Option<[u8; 16]>,
    /// Whether to show in a terminal how far it is.
    pub(crate) show_progress: bool,
}

impl<'a> Sources<'a> {
    /// Reads these feeds as feeds are read by default.
    pub(crate) fn new(feeds: &'a [String], allow: &'a [String], own: &'a [String]) -> Self {
        Self {
            feeds,
            allow,
            own,
            urls: UrlListing::Host,
            read: feed::Options::default(),
            hash_key: None,
            show_progress: false,
        }
    }
}

/// What a set of feeds comes to.
pub(crate) struct Listed {
    /// The names, without those held back.
    pub(crate) compiler: Compiler,
    /// A feed each, in the order given.
    pub(crate) feeds: Vec<(String, Added)>,
}

impl Listed {
    /// Reads all feeds.
    ///
    /// # Errors
    /// The first feed that is none, by its name.
    pub(crate) fn read(sources: &Sources<'_>) -> anyhow::Result<Self> {
        let mut guard = Guard::new();
        for name in sources.own {
            let name = DomainName::parse(name.as_bytes())
                .with_context(|| format!("{name} is not a host name"))?;
            guard.protect(&name);
        }
        for source in sources.allow {
            let mut allow = |entry: feed::FeedEntry| {
                if let Some(name) = entry.pattern.name() {
                    guard.allow(name);
                }
            };
            feed::read(open(source, sources.show_progress)?, &mut allow)
                .with_context(|| format!("allow list {source}"))?;
        }
        let hash_key = match sources.hash_key {
            Some(hash_key) => hash_key,
            None => {
                let mut hash_key = [0; 16];
                getrandom::fill(&mut hash_key)?;
                hash_key
            }
        };
        let mut compiler = Compiler::new(guard, hash_key, Clock::system().now());
        let mut reports = Vec::new();
        for feed in sources.feeds {
            let (category, source) = category_and_source(feed);
            let input = open(source, sources.show_progress)?;
            let name =
                Path::new(source).file_name().and_then(|name| name.to_str()).unwrap_or(source);
            let terms = FeedTerms {
                urls: sources.urls,
                read: sources.read,
                ..FeedTerms::new(name, category)
            };
            let added = compiler.add(input, &terms).with_context(|| format!("feed {source}"))?;
            for bad in &added.report.first_bad {
                tracing::info!(
                    feed = source,
                    line = bad.number,
                    reason = bad.reason,
                    "line not read"
                );
            }
            reports.push((source.to_owned(), added));
        }
        Ok(Self { compiler, feeds: reports })
    }

    /// Returns how many entries were kept, counting one that several feeds list for each of them.
    pub(crate) fn kept(&self) -> u64 {
        self.feeds.iter().map(|(_, added)| added.kept).sum()
    }

    /// Returns how many entries were held back for a reason.
    pub(crate) fn held_back(&self, reason: HeldBack) -> usize {
        self.compiler.held_back().values().filter(|held| **held == reason).count()
    }

    /// Says how each feed was read.
    pub(crate) fn feed_reports(&self) -> Vec<serde_json::Value> {
        self.feeds
            .iter()
            .map(|(source, added)| {
                let report = &added.report;
                json!({
                    "source": source, "format": report.format.to_string(), "lines": report.lines,
                    "names": report.names, "urls": report.urls, "addresses": report.addresses,
                    "networks": report.networks, "passed_over": report.passed_over, "bad_lines": report.bad_lines,
                    "first_bad": report.first_bad.iter().map(|bad| json!({ "line": bad.number, "reason": bad.reason })).collect::<Vec<_>>(),
                })
            })
            .collect()
    }

    /// Writes the report that is kept beside the file.
    pub(crate) fn report(&self) -> String {
        let feeds = self.feed_reports();
        let held: serde_json::Map<_, _> = HeldBack::ALL
            .iter()
            .map(|reason| (reason.to_string(), self.held_back(*reason).into()))
            .collect();
        // A feed that lists very many popular names is not worth keeping each of them.
        let names: Vec<_> = self
            .compiler
            .held_back()
            .iter()
            .take(MOST_HELD_BACK_NAMED)
            .map(|(name, reason)| json!({ "name": name, "reason": reason.to_string() }))
            .collect();
        json!({ "feeds": feeds, "listed": self.kept(), "held_back": held, "held_back_names": names })
            .to_string()
    }
}

/// Reads `malware=FILE`; what names no category lists phishing sites.
fn category_and_source(feed: &str) -> (IndicatorCategory, &str) {
    let named = feed
        .split_once('=')
        .and_then(|(word, source)| Some((IndicatorCategory::from_word(word)?, source)));
    named.unwrap_or((IndicatorCategory::Phishing, feed))
}

/// Opens a file or an address, and looks through its packing, whatever it is called.
fn open(source: &str, show_progress: bool) -> anyhow::Result<Box<dyn BufRead>> {
    let (raw, len): (Box<dyn Read>, u64) = if source.contains("://") {
        let fetched = fetch(source)?;
        let len = fetched.len() as u64;
        (Box::new(Cursor::new(fetched)), len)
    } else {
        let file = File::open(source).with_context(|| format!("cannot open {source}"))?;
        let len = file.metadata().map_or(0, |metadata| metadata.len());
        (Box::new(file), len)
    };
    let raw = if show_progress { Box::new(progress(source, len).wrap_read(raw)) } else { raw };
    unpack::open(BufReader::with_capacity(1 << 16, raw))
        .with_context(|| format!("cannot read {source}"))
}

/// A bar on standard error that fills as a feed is read; nothing where that is no terminal.
fn progress(source: &str, len: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:<40!} {bar:30} {bytes}/{total_bytes} {eta}");
    let bar = ProgressBar::new(len).with_message(source.to_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
    .with_finish(ProgressFinish::AndClear)
}

/// Whoever sits at the machine may fetch from any address of its network.
fn fetch(url: &str) -> anyhow::Result<Vec<u8>> {
    let access =
        Access { allow_http: is_this_machine(url), allow_private: true, authorization: None };
    let fetcher = Fetcher::new(url, access, Limits::default(), &Clock::system());
    let mut octets = Vec::new();
    fetcher
        .document(url, &Validators::default(), &mut octets)
        .with_context(|| format!("cannot fetch {url}"))?;
    Ok(octets)
}

const MOST_HELD_BACK_NAMED: usize = 1_000;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_feed_is_read_however_it_is_packed() {
        let plain = b"evil.test\n".to_vec();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&plain).unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd = zstd::encode_all(plain.as_slice(), 3).unwrap();
        for packed in [&plain, &gzip, &zstd] {
            assert_eq!(read(packed).unwrap().compiler.finish().len(), 1);
        }
    }

    #[test]
    fn a_feed_may_say_what_it_lists() {
        for (feed, expected) in [
            ("a.txt", (IndicatorCategory::Phishing, "a.txt")),
            ("phishing=a.txt", (IndicatorCategory::Phishing, "a.txt")),
            (
                "malware=https://feeds.example/?a=b",
                (IndicatorCategory::Malware, "https://feeds.example/?a=b"),
            ),
            ("spyware=a=b", (IndicatorCategory::Spyware, "a=b")),
            (
                "https://feeds.example/?malware=1",
                (IndicatorCategory::Phishing, "https://feeds.example/?malware=1"),
            ),
        ] {
            assert_eq!(category_and_source(feed), expected);
        }
    }

    #[test]
    fn what_is_not_a_feed_is_named_with_the_reason() {
        let plain: Vec<u8> =
            (0..5_000).flat_map(|n| format!("evil{n}.test\n").into_bytes()).collect();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&plain).unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd = zstd::encode_all(plain.as_slice(), 3).unwrap();

        refused(&gzip[..gzip.len() / 2], "cannot be read to its end");
        refused(&zstd[..zstd.len() / 2], "cannot be read to its end");
        refused(b"<!doctype html><title>Sign in</title>", "is a web page, not a feed");
        refused(b"", "holds no entries");
        let missing =
            Listed::read(&Sources::new(&["/nonexistent/feed".to_owned()], &[], &[])).err().unwrap();
        assert!(format!("{missing:#}").starts_with("cannot open /nonexistent/feed"), "{missing:#}");
        let plain_http =
            Listed::read(&Sources::new(&["http://feeds.example/list".to_owned()], &[], &[]))
                .err()
                .unwrap();
        assert!(format!("{plain_http:#}").contains("is not reached by https://"), "{plain_http:#}");
    }

    #[track_caller]
    fn refused(octets: &[u8], reason: &str) {
        let error = read(octets).err().unwrap();
        assert!(format!("{error:#}").contains(reason), "{error:#}");
    }

    fn read(octets: &[u8]) -> anyhow::Result<Listed> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), octets).unwrap();
        Listed::read(&Sources::new(&[file.path().to_string_lossy().into_owned()], &[], &[]))
    }
}
