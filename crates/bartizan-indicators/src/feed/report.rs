//! What comes of reading a feed: counts, the first bad lines, or why it is none.

use std::io;

use bartizan_model::{IndicatorCategory, UnixMillis};

use super::{FeedEntry, FeedFormat};
use crate::pattern::Pattern;

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedReport {
    /// As detected.
    pub format: FeedFormat,
    /// Lines that should hold an entry: neither empty, nor a comment, nor the header. In JSON, entries.
    pub lines: u64,
    /// Names handed out.
    pub names: u64,
    /// URLs handed out. One without path and query counts as its host.
    pub urls: u64,
    /// Addresses handed out.
    pub addresses: u64,
    /// Networks handed out.
    pub networks: u64,
    /// Lines that are in order and list nothing that a device meets: exceptions, digests, a zone's own records.
    pub passed_over: u64,
    /// Lines that could not be read.
    pub bad_lines: u64,
    /// The first few of them.
    pub first_bad: Vec<BadLine>,
}

impl FeedReport {
    /// Returns how many entries were handed out.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.names + self.urls + self.addresses + self.networks
    }
}

/// A line that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// From 1. In JSON, which entry it is.
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
    /// Its octets are no UTF-8 throughout.
    #[error("is in UTF-16, not in UTF-8")]
    Utf16,
    /// No entries.
    #[error("holds no entries")]
    Empty,
    /// JSON, but not one of the forms known here.
    #[error("is JSON of a form that is not known here, as of line {line}")]
    OtherJson {
        /// From 1; 0 where no line is to blame.
        line: usize,
    },
    /// JSON is one document, and nobody publishes such a large one.
    #[error("is JSON of more than {} MiB", most_octets >> 20)]
    LongJson {
        /// How many octets are read.
        most_octets: u64,
    },
    /// Most likely some other kind of file.
    #[error(
        "is not a feed: {bad} of {lines} lines are not host names, URLs or addresses, the first on line {first}: {reason}"
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

/// Why a line gives no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is in order and about something else.
    SaysNothing,
    /// It cannot be read.
    Because(&'static str),
}

/// Counts while the entries go out.
pub(super) struct Reading<'each> {
    each: &'each mut dyn FnMut(FeedEntry),
    report: FeedReport,
}

impl<'each> Reading<'each> {
    pub(super) fn new(each: &'each mut dyn FnMut(FeedEntry)) -> Self {
        let report = FeedReport {
            format: FeedFormat::Plain,
            lines: 0,
            names: 0,
            urls: 0,
            addresses: 0,
            networks: 0,
            passed_over: 0,
            bad_lines: 0,
            first_bad: Vec::new(),
        };
        Self { each, report }
    }

    /// Takes what came of a line.
    pub(super) fn line(&mut self, number: u64, outcome: Result<(), Unread>) {
        self.report.lines += 1;
        match outcome {
            Ok(()) => {}
            Err(Unread::SaysNothing) => self.report.passed_over += 1,
            Err(Unread::Because(reason)) => {
                self.report.bad_lines += 1;
                if self.report.first_bad.len() < SHOWN_BAD_LINES {
                    self.report.first_bad.push(BadLine { number, reason });
                }
            }
        }
    }

    /// Hands out an entry that says no more than what it is about.
    pub(super) fn found(&mut self, pattern: Pattern) {
        self.found_with(pattern, None, None);
    }

    /// Hands out an entry.
    pub(super) fn found_with(
        &mut self,
        pattern: Pattern,
        category: Option<IndicatorCategory>,
        expires_at: Option<UnixMillis>,
    ) {
        let count = match &pattern {
            Pattern::Domain(_) | Pattern::Host(_) | Pattern::Subdomains(_) => {
                &mut self.report.names
            }
            Pattern::Url(_) => &mut self.report.urls,
            Pattern::Address(_) => &mut self.report.addresses,
            Pattern::Network(_) => &mut self.report.networks,
        };
        *count += 1;
        (self.each)(FeedEntry { pattern, category, expires_at });
    }

    pub(super) fn finish(
        mut self,
        format: FeedFormat,
        least_readable: u8,
    ) -> Result<FeedReport, FeedError> {
        self.report.format = format;
        let report = self.report;
        let most_bad = 100_u64.saturating_sub(least_readable.into());
        if let Some(first) = report.first_bad.first()
            && report.lines.saturating_mul(most_bad) < report.bad_lines.saturating_mul(100)
        {
            return Err(FeedError::TooManyBadLines {
                bad: report.bad_lines,
                lines: report.lines,
                first: first.number,
                reason: first.reason,
            });
        }
        if report.entries() == 0 { Err(FeedError::Empty) } else { Ok(report) }
    }
}

const SHOWN_BAD_LINES: usize = 5;
