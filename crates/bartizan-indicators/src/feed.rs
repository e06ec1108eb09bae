//! Reading a threat feed: whatever the form, what it lists comes out.
//!
//! The forms are told apart by their contents ([`detect`]): plain lists, `hosts` files, tables ([`table`]),
//! rules of ad blockers ([`adblock`]), policy zones ([`rpz`]), dnsmasq's options ([`dnsmasq`]), and in JSON
//! ([`json`]) the lists of wallets, events of MISP ([`misp`]), STIX bundles ([`stix`]) and TAXII envelopes
//! ([`taxii`]). Names, URLs, addresses and networks are brought to one form by [`crate::normal`]. Everything is
//! read as it comes, so memory does not grow with the feed.
//!
//! # What it does not do
//! - Decompress ([`crate::unpack`]) or fetch: it is given octets.
//! - Judge entries: what must not be blocked is for [`crate::guard`] to say, and whether a URL stands for its
//!   host for [`crate::compile`].
//!
//! # Invariants
//! - A bad line is counted and, if among the first, named with its number; it never ends the reading.
//! - A web page, or anything of which too few lines can be read, is not a feed at all.

mod adblock;
mod category;
mod detect;
mod dnsmasq;
mod entry;
mod format;
mod hosts;
mod json;
mod lines;
pub mod misp;
mod report;
mod rpz;
mod stix;
pub mod stix_pattern;
mod table;
pub mod taxii;

use std::io::{BufRead, Cursor, Read as _};

use bartizan_model::{IndicatorCategory, UnixMillis};

use crate::pattern::Pattern;
use report::Reading;

pub use format::{FeedFormat, UnknownFormat};
pub use report::{BadLine, FeedError, FeedReport};

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

/// How a feed is read, where that is not left to its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How its entries stand. Which of the forms of JSON it is, its keys tell in any case.
    pub format: Option<FeedFormat>,
    /// Which field of a table holds the entry, from 0; without it the header or the rows tell.
    pub column: Option<usize>,
    /// How many of a hundred lines must be readable for it to be a feed.
    pub least_readable: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self { format: None, column: None, least_readable: 90 }
    }
}

/// Reads a feed, of whatever form, and hands each entry to `each`.
///
/// # Errors
/// Why this is not a feed. Entries may have been handed out before that became clear; forget them.
pub fn read(input: impl BufRead, each: impl FnMut(FeedEntry)) -> Result<FeedReport, FeedError> {
    read_as(input, &Options::default(), each)
}

/// Reads a feed as told, and hands each entry to `each`.
///
/// # Errors
/// Why this is not such a feed. Entries may have been handed out before that became clear; forget them.
pub fn read_as(
    mut input: impl BufRead,
    options: &Options,
    mut each: impl FnMut(FeedEntry),
) -> Result<FeedReport, FeedError> {
    let mut head = Vec::new();
    input.by_ref().take(HEAD).read_to_end(&mut head)?;
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Err(FeedError::Utf16);
    }
    if head.starts_with(BYTE_ORDER_MARK) {
        head.drain(..BYTE_ORDER_MARK.len());
    }
    let json = match options.format {
        Some(format) => format.is_json().then(|| detect::json(&head).unwrap_or_default()),
        None => detect::json(&head),
    };
    let input = Cursor::new(head).chain(input);
    let mut reading = Reading::new(&mut each);
    let format = match json {
        Some(shape) => json::read(input, shape, &mut reading)?,
        None => lines::read(input, options, &mut reading)?,
    };
    reading.finish(format, options.least_readable)
}

/// Reads any octets in every way, for the fuzzer and its replay.
#[doc(hidden)]
pub fn fuzz_read(octets: &[u8]) {
    let _ = read(octets, |_| {});
    for format in FeedFormat::ALL {
        let options = Options { format: Some(format), column: Some(1), least_readable: 0 };
        let _ = read_as(octets, &options, |_| {});
    }
    let _ = misp::manifest(octets);
    let _ = taxii::page(octets);
}

/// What is looked at to tell JSON from lines.
const HEAD: u64 = 4 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[cfg(test)]
mod tests;
