//! Reading a threat feed: whatever the form, host names come out.
//!
//! The forms are told apart by their contents: plain lists of hosts or URLs, `hosts` files, tables separated
//! by tabs, commas or semicolons (the column is named `host`, `domain` or `url` in a header, or is the first
//! that holds a name), rules of ad blockers ([`adblock`]), policy zones ([`rpz`]), dnsmasq's `address=` lines,
//! and lists in JSON ([`lists`]). Of a URL the host counts. Names are brought to A-labels by UTS 46 (`idna`).
//! Reads line by line, but for JSON, so memory does not grow with the feed.
//!
//! # What it does not do
//! - Decompress or fetch: it is given octets.
//! - Judge entries: that a name must not be blocked is for [`crate::guard`] to say.
//!
//! # Invariants
//! - A bad line is counted and, if among the first, named with its number; it never ends the reading.
//! - A web page, or anything of which fewer than nine lines in ten can be read, is not a feed at all.

mod adblock;
mod lists;
mod rpz;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead};
use std::net::IpAddr;

use bartizan_model::{DomainName, IndicatorCategory, UnixMillis};

use crate::pattern::Pattern;

/// How the entries stand in the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedFormat {
    /// One name or URL a line.
    Plain,
    /// An address, then names, as in `/etc/hosts`.
    Hosts,
    /// Fields.
    Table {
        /// Between two fields.
        separator: u8,
        /// Which field holds the host or URL, from 0.
        column: usize,
    },
    /// Rules such as `||host^`.
    Adblock,
    /// A zone file of response policies.
    Rpz,
    /// Lines such as `address=/host/0.0.0.0`.
    Dnsmasq,
    /// A list in JSON.
    Json,
}

impl fmt::Display for FeedFormat {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => out.write_str("host list"),
            Self::Hosts => out.write_str("hosts file"),
            Self::Table { separator: b'\t', .. } => out.write_str("TSV"),
            Self::Table { .. } => out.write_str("CSV"),
            Self::Adblock => out.write_str("ad-blocker rules"),
            Self::Rpz => out.write_str("response policy zone"),
            Self::Dnsmasq => out.write_str("dnsmasq configuration"),
            Self::Json => out.write_str("JSON"),
        }
    }
}

/// One thing that a feed lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// What.
    pub pattern: Pattern,
    /// Why, where the entry says so itself.
    pub category: Option<IndicatorCategory>,
    /// Until when, where the entry says so.
    pub expires_at: Option<UnixMillis>,
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedReport {
    /// As detected.
    pub format: FeedFormat,
    /// Lines that should hold an entry: neither empty, nor a comment, nor the header.
    pub lines: u64,
    /// Names handed out.
    pub names: u64,
    /// Lines whose entry is an IP address, which this version does not list.
    pub addresses: u64,
    /// Lines that are in order and say nothing about a name: exceptions, paths, a zone's own records.
    pub passed_over: u64,
    /// Lines that could not be read.
    pub bad_lines: u64,
    /// The first few of them.
    pub first_bad: Vec<BadLine>,
}

/// A line that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// From 1.
    pub number: u64,
    /// Why.
    pub reason: &'static str,
}

/// Why this is not a feed.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// It could not be read to its end, or its compression is damaged.
    #[error("cannot be read to its end: {0}")]
    Unreadable(#[from] io::Error),
    /// An HTML or XML page, such as an error page or a sign-in form.
    #[error("is a web page, not a feed")]
    WebPage,
    /// No entries.
    #[error("holds no entries")]
    Empty,
    /// JSON, but not a list of names or one of the objects known here.
    #[error("is JSON of a form that is not known here, as of line {line}")]
    OtherJson {
        /// From 1; 0 where no line is to blame.
        line: usize,
    },
    /// Most likely some other kind of file.
    #[error(
        "is not a feed: {bad} of {lines} lines are not host names, the first on line {first}: {reason}"
    )]
    TooManyBadLines {
        /// How many could not be read.
        bad: u64,
        /// Of how many.
        lines: u64,
        /// Number of the first.
        first: u64,
        /// Why that one.
        reason: &'static str,
    },
}

/// Reads a feed and hands each entry to `each`.
///
/// # Errors
/// Why this is not a feed. Names may have been handed out before that became clear; forget them.
pub fn read(
    mut input: impl BufRead,
    mut each: impl FnMut(FeedEntry),
) -> Result<FeedReport, FeedError> {
    let mut each = |name| {
        each(FeedEntry { pattern: Pattern::Domain(name), category: None, expires_at: None });
    };
    let mut reading = Reading::default();
    // JSON has no lines to speak of: often it is one, of megabytes.
    if is_json(input.fill_buf()?) {
        for (number, entry) in (1..).zip(lists::read(input)?) {
            reading.line(number, FeedFormat::Plain, entry.trim(), &mut each);
        }
        return reading.finish(FeedFormat::Json);
    }
    let mut line = Vec::new();
    let mut number = 0;
    let mut format = None;
    while next_line(&mut input, &mut line)? {
        number += 1;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_start_matches('\u{feff}').trim_end();
        if text.trim_start().is_empty() || text.trim_start().starts_with(['#', '!', ';']) {
            continue;
        }
        let (known, is_header) = match format {
            Some(known) => (known, false),
            None => {
                let first = text.trim_start();
                if first.starts_with('<') {
                    return Err(FeedError::WebPage);
                }
                let (detected, is_header) = detect(first);
                format = Some(detected);
                (detected, is_header)
            }
        };
        if !is_header {
            reading.line(number, known, text, &mut each);
        }
    }
    reading.finish(format.ok_or(FeedError::Empty)?)
}

#[derive(Default)]
struct Reading {
    lines: u64,
    names: u64,
    addresses: u64,
    passed_over: u64,
    bad_lines: u64,
    first_bad: VecDeque<BadLine>,
    zone: rpz::Zone,
}

impl Reading {
    fn line(
        &mut self,
        number: u64,
        format: FeedFormat,
        text: &str,
        each: &mut impl FnMut(DomainName),
    ) {
        self.lines += 1;
        let mut found = 0;
        let outcome = entries(&mut self.zone, format, text, &mut |name| {
            found += 1;
            each(name);
        });
        self.names += found;
        match outcome {
            Ok(()) => {}
            Err(BadEntry::Address) => self.addresses += 1,
            Err(BadEntry::SaysNothing) => self.passed_over += 1,
            Err(BadEntry::Because(reason)) => {
                self.bad_lines += 1;
                if self.first_bad.len() < SHOWN_BAD_LINES {
                    self.first_bad.push_back(BadLine { number, reason });
                }
            }
        }
    }

    fn finish(self, format: FeedFormat) -> Result<FeedReport, FeedError> {
        if let Some(first) = self.first_bad.front()
            && self.lines < self.bad_lines.saturating_mul(10)
        {
            return Err(FeedError::TooManyBadLines {
                bad: self.bad_lines,
                lines: self.lines,
                first: first.number,
                reason: first.reason,
            });
        }
        if self.names == 0 && self.addresses == 0 {
            return Err(FeedError::Empty);
        }
        Ok(FeedReport {
            format,
            lines: self.lines,
            names: self.names,
            addresses: self.addresses,
            passed_over: self.passed_over,
            bad_lines: self.bad_lines,
            first_bad: self.first_bad.into(),
        })
    }
}

/// Why a line gives no name.
#[derive(Debug)]
enum BadEntry {
    /// It is about an address.
    Address,
    /// It is in order and about something else.
    SaysNothing,
    /// It cannot be read.
    Because(&'static str),
}

fn is_json(beginning: &[u8]) -> bool {
    let text = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning).trim_ascii_start();
    text.starts_with(b"{") || (text.starts_with(b"[") && !text.starts_with(b"[Adblock"))
}

/// Reads the first line that says something, and tells whether it is a header.
fn detect(text: &str) -> (FeedFormat, bool) {
    if text.starts_with("[Adblock") || text.starts_with("||") || text.starts_with("@@") {
        return (FeedFormat::Adblock, false);
    }
    if DNSMASQ.iter().any(|word| text.starts_with(word)) {
        return (FeedFormat::Dnsmasq, false);
    }
    for separator in *b"\t,;" {
        let fields =
            || text.split(char::from(separator)).map(|field| field.trim().trim_matches('"'));
        let is_named = |field: &str| HOST_COLUMNS.contains(&field.to_ascii_lowercase().as_str());
        if let Some(column) = fields().position(is_named) {
            return (FeedFormat::Table { separator, column }, true);
        }
        let is_name = |field: &str| field.contains('.') && host_of(field).is_ok();
        if 1 < fields().count()
            && let Some(column) = fields().position(is_name)
        {
            return (FeedFormat::Table { separator, column }, false);
        }
    }
    if rpz::Zone::begins(text) {
        return (FeedFormat::Rpz, false);
    }
    let mut words = text.split_ascii_whitespace();
    let starts_with_address = words.next().is_some_and(|word| word.parse::<IpAddr>().is_ok());
    let format = if starts_with_address && words.next().is_some() {
        FeedFormat::Hosts
    } else {
        FeedFormat::Plain
    };
    (format, false)
}

fn entries(
    zone: &mut rpz::Zone,
    format: FeedFormat,
    line: &str,
    each: &mut impl FnMut(DomainName),
) -> Result<(), BadEntry> {
    let text = line.trim_start();
    match format {
        FeedFormat::Adblock => each(host_of(adblock::host(text)?)?),
        FeedFormat::Rpz => each(host_of(&zone.owner(line)?)?),
        FeedFormat::Dnsmasq => {
            for host in dnsmasq_hosts(text)? {
                each(host_of(host)?);
            }
        }
        // Its entries come as those of a plain list.
        FeedFormat::Json => return Err(BadEntry::SaysNothing),
        FeedFormat::Plain => {
            let text = text.split(" #").next().unwrap_or(text).trim_end();
            each(host_of(text)?);
        }
        FeedFormat::Hosts => {
            let text = text.split('#').next().unwrap_or(text);
            let mut words = text.split_ascii_whitespace();
            if words.next().is_none_or(|word| word.parse::<IpAddr>().is_err()) {
                return Err(BadEntry::Because("does not start with an address"));
            }
            let mut any = false;
            for word in words {
                any = true;
                if !OWN_NAMES.contains(&word) {
                    each(host_of(word)?);
                }
            }
            if !any {
                return Err(BadEntry::Because("has an address but no name"));
            }
        }
        FeedFormat::Table { separator, column } => {
            // Most rows quote nothing, and a CSV reader a row is slow.
            let host = if text.contains('"') {
                let mut reader = csv::ReaderBuilder::new();
                reader.has_headers(false).flexible(true).delimiter(separator);
                let record =
                    reader.from_reader(text.as_bytes()).into_records().next().and_then(Result::ok);
                let record = record.ok_or(BadEntry::Because("is not a row of the table"))?;
                record.get(column).map(str::to_owned)
            } else {
                text.split(char::from(separator)).nth(column).map(str::to_owned)
            };
            each(host_of(host.ok_or(BadEntry::Because("has too few fields"))?.trim())?);
        }
    }
    Ok(())
}

/// Returns the names that a line of dnsmasq's makes resolve to nothing.
///
/// `server=/name/192.0.2.1` sends questions elsewhere, and so blocks nothing.
fn dnsmasq_hosts(line: &str) -> Result<Vec<&str>, BadEntry> {
    let (option, value) =
        line.split_once('=').ok_or(BadEntry::Because("is not an option of dnsmasq"))?;
    let is_meant = DNSMASQ.iter().any(|word| word.trim_end_matches(['=', '/']) == option);
    let Some((names, target)) =
        value.strip_prefix('/').and_then(|value| value.rsplit_once('/')).filter(|_| is_meant)
    else {
        return Err(BadEntry::SaysNothing);
    };
    if option == "server" && !target.is_empty() {
        return Err(BadEntry::SaysNothing);
    }
    Ok(names.split('/').collect())
}

/// Reads a name, a wildcard or a URL.
fn host_of(entry: &str) -> Result<DomainName, BadEntry> {
    let rest = entry.split_once("://").map_or(entry, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.starts_with('[') || host.parse::<IpAddr>().is_ok() {
        return Err(BadEntry::Address);
    }
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let host = host.strip_prefix("*.").or_else(|| host.strip_prefix('.')).unwrap_or(host);
    if host.is_empty() {
        return Err(BadEntry::Because("has no host"));
    }
    if host.bytes().any(|octet| octet.is_ascii_whitespace()) {
        return Err(BadEntry::Because("is not one host name"));
    }
    if host.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err(BadEntry::Address);
    }
    let is_a_label = host.is_ascii();
    let name = if is_a_label {
        DomainName::parse(host.as_bytes())
    } else {
        let ascii = idna::domain_to_ascii(host)
            .map_err(|_| BadEntry::Because("is not a valid international name"))?;
        DomainName::parse(ascii.as_bytes())
    };
    name.map_err(|_| BadEntry::Because("is not a host name"))
}

/// Reads up to the next line feed; of a longer line than any entry needs only the beginning is kept.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let available = input.fill_buf()?;
        if available.is_empty() {
            return Ok(any);
        }
        any = true;
        let (part, ends) = match available.iter().position(|octet| *octet == b'\n') {
            Some(at) => (available.get(..at).unwrap_or_default(), true),
            None => (available, false),
        };
        let room = MAX_LINE.saturating_sub(line.len()).min(part.len());
        line.extend_from_slice(part.get(..room).unwrap_or_default());
        let used = part.len() + usize::from(ends);
        input.consume(used);
        if ends {
            return Ok(true);
        }
    }
}

/// Reads any octets, for the fuzzer and its replay.
#[doc(hidden)]
pub fn fuzz_read(octets: &[u8]) {
    let _ = read(octets, |_| {});
}

const HOST_COLUMNS: [&str; 3] = ["host", "domain", "url"];
const DNSMASQ: [&str; 3] = ["address=/", "server=/", "local=/"];
/// What a `hosts` file says about its own machine.
const OWN_NAMES: [&str; 5] =
    ["localhost", "localhost.localdomain", "broadcasthost", "local", "0.0.0.0"];
const SHOWN_BAD_LINES: usize = 5;
/// A URL of the web has at most a few thousand octets.
const MAX_LINE: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_of_feed_is_recognized() {
        check("evil.test\nBAD.test.\n", FeedFormat::Plain, &["evil.test", "bad.test"]);
        check(
            "\u{feff}# list\n\nhttps://u:p@evil.test:8443/a?b\n*.bad.test # note\n",
            FeedFormat::Plain,
            &["evil.test", "bad.test"],
        );
        check("b\u{fc}cher.test\n", FeedFormat::Plain, &["xn--bcher-kva.test"]);
        check(
            "127.0.0.1 localhost\n0.0.0.0 evil.test bad.test # note\r\n",
            FeedFormat::Hosts,
            &["evil.test", "bad.test"],
        );
        check(
            "host\tgrade\nevil.test\tA\nbad.test\tB\n",
            FeedFormat::Table { separator: b'\t', column: 0 },
            &["evil.test", "bad.test"],
        );
        check(
            "id,URL\n1,\"http://evil.test/a,b\"\n2,http://bad.test\n",
            FeedFormat::Table { separator: b',', column: 1 },
            &["evil.test", "bad.test"],
        );
    }

    #[test]
    fn lists_of_other_programs_are_recognized() {
        let names = ["evil.test", "bad.test"];
        check(
            "[Adblock Plus 2.0]\n! x\n||evil.test^\n@@||good.test^\n||bad.test^$important\n",
            FeedFormat::Adblock,
            &names,
        );
        check("||evil.test^\nbad.test\n", FeedFormat::Adblock, &names);
        check(
            "$TTL 60\n@ SOA a. b. 1 2 3 4 5\n NS c.\nevil.test CNAME .\n; x\nbad.test CNAME .\n",
            FeedFormat::Rpz,
            &names,
        );
        check(
            "address=/evil.test/bad.test/0.0.0.0\nserver=/corp.test/192.0.2.1\ncache-size=1\n",
            FeedFormat::Dnsmasq,
            &names,
        );
        check(
            "{\"version\": 2,\n\"blacklist\": [\"evil.test\"], \"deny\": [\"bad.test\"], \"allow\": [\"good.test\"]}",
            FeedFormat::Json,
            &names,
        );
        let long = " ".repeat(2 * MAX_LINE);
        check(&format!("[\"evil.test\",{long}\"bad.test\"]"), FeedFormat::Json, &names);
        check(
            "1,evil.test\n2,bad.test\n",
            FeedFormat::Table { separator: b',', column: 1 },
            &names,
        );
    }

    #[test]
    fn what_says_nothing_is_passed_over_and_not_bad() {
        let rules = "||evil.test^\n".to_owned() + &"@@||good.test^\ngood.test##.ad\n".repeat(20);
        let report = read(rules.as_bytes(), |_| {}).unwrap();
        assert_eq!((report.names, report.passed_over, report.bad_lines), (1, 40, 0));
    }

    #[test]
    fn what_is_not_a_feed_says_why() {
        refused("<!DOCTYPE html>\n<p>Sign in</p>", "is a web page, not a feed");
        refused("\n  <html>", "is a web page, not a feed");
        refused("", "holds no entries");
        refused("# nothing yet\n", "holds no entries");
        refused("{\"a\": 1}", "holds no entries");
        refused("{\"deny\": 7}", "is JSON of a form that is not known here, as of line 0");
        refused("host\tgrade\n", "holds no entries");
        refused(
            "one fine day\nevil.test\n",
            "is not a feed: 1 of 2 lines are not host names, the first on line 1: is not one host name",
        );
        refused(
            "\0\u{1}\u{2}\n",
            "is not a feed: 1 of 1 lines are not host names, the first on line 1: is not a host name",
        );
    }

    #[test]
    fn few_bad_lines_are_counted_and_named() {
        let mut feed: String = (0..30).map(|n| format!("evil{n}.test\n")).collect();
        feed.push_str("no good\n192.0.2.1\n[2001:db8::1]\n");
        let report = read(feed.as_bytes(), |_| {}).unwrap();
        assert_eq!(
            (report.lines, report.names, report.addresses, report.bad_lines),
            (33, 30, 2, 1)
        );
        assert_eq!(report.first_bad, [BadLine { number: 31, reason: "is not one host name" }]);
    }

    #[test]
    fn a_line_without_end_is_one_bad_line() {
        let mut feed = "evil.test\n".repeat(20).into_bytes();
        feed.extend(std::iter::repeat_n(b'x', 1 << 20));
        let report = read(feed.as_slice(), |_| {}).unwrap();
        assert_eq!((report.lines, report.bad_lines), (21, 1));
    }

    proptest! {
        #[test]
        fn no_input_panics(octets in prop::collection::vec(any::<u8>(), 0..400)) {
            fuzz_read(&octets);
        }
    }

    #[track_caller]
    fn check(feed: &str, format: FeedFormat, expected: &[&str]) {
        let mut names = Vec::new();
        let report = read(feed.as_bytes(), |entry| names.push(entry.pattern.to_string())).unwrap();
        assert_eq!(
            (report.format, names.as_slice()),
            (format, expected.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice())
        );
    }

    #[track_caller]
    fn refused(feed: &str, expected: &str) {
        let error = read(feed.as_bytes(), |_| {}).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
