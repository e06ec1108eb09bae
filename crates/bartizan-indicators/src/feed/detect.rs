//! Telling the form of a feed by how it begins.

use super::json::Shape;
use super::lines::Form;
use super::rpz::Zone;
use super::table::{SEPARATORS, Table};
use super::{FeedFormat, Options, dnsmasq, hosts};

/// Tells whether a feed is JSON, and how its top looks.
///
/// An opening bracket alone may be that of an address, or of ad-blocker rules.
pub(super) fn json(head: &[u8]) -> Option<Shape> {
    let head = head.trim_ascii_start();
    if head.starts_with(b"{") {
        return Some(Shape::Objects);
    }
    match head.strip_prefix(b"[")?.trim_ascii_start().first()? {
        b'"' => Some(Shape::Strings),
        b'{' | b'[' | b']' => Some(Shape::Objects),
        _ => None,
    }
}

/// Tells the form by the first lines that are no comments, and whether the first of them is a header.
pub(super) fn form(lines: &[&str], comments: &[String], options: &Options) -> (Form, bool) {
    match options.format {
        Some(FeedFormat::Csv) => table(lines, comments, b",;|", options.column),
        Some(FeedFormat::Tsv) => table(lines, comments, b"\t", options.column),
        Some(FeedFormat::Hosts) => (Form::Hosts, false),
        Some(FeedFormat::Adblock) => (Form::Adblock, false),
        Some(FeedFormat::Rpz) => (Form::Rpz(Zone::default()), false),
        Some(FeedFormat::Dnsmasq) => (Form::Dnsmasq, false),
        Some(FeedFormat::Plain) => (Form::Plain, false),
        // JSON does not come here.
        Some(FeedFormat::Json | FeedFormat::Misp | FeedFormat::Stix | FeedFormat::Taxii) => {
            (Form::Plain, false)
        }
        None if options.column.is_some() => table(lines, comments, &SEPARATORS, options.column),
        None => by_contents(lines, comments),
    }
}

fn by_contents(lines: &[&str], comments: &[String]) -> (Form, bool) {
    let first = lines.first().copied().unwrap_or_default().trim_start();
    let starts_rule = |line: &&str| line.starts_with("||") || line.starts_with("@@||");
    if first.starts_with("[Adblock") || lines.iter().any(starts_rule) {
        return (Form::Adblock, false);
    }
    if lines.iter().any(|line| dnsmasq::is_line(line)) {
        return (Form::Dnsmasq, false);
    }
    if let Some(table) = Table::of_header(first, &SEPARATORS) {
        return (Form::Table(table), true);
    }
    if lines.iter().any(|line| Zone::begins(line)) {
        return (Form::Rpz(Zone::default()), false);
    }
    if let Some(table) = commented_header(lines, comments, &SEPARATORS) {
        return (Form::Table(table), false);
    }
    if lines.len() < 2 * lines.iter().filter(|line| hosts::is_line(line)).count() {
        return (Form::Hosts, false);
    }
    // Few URLs with commas in them are no table yet.
    let may_be_urls = lines.len() < MIN_ROWS
        && lines.iter().all(|line| line.contains("://") && !line.contains([' ', '\t', '"']));
    match Table::of_rows(lines, &SEPARATORS).filter(|_| !may_be_urls) {
        Some(table) => (Form::Table(table), false),
        None => (Form::Plain, false),
    }
}

fn table(
    lines: &[&str],
    comments: &[String],
    separators: &[u8],
    column: Option<usize>,
) -> (Form, bool) {
    let first = lines.first().copied().unwrap_or_default();
    if let Some(column) = column {
        let table = Table::of_column(lines, separators, column);
        // A header is the one line that lists nothing while the next does.
        let has_header =
            !table.fits(first) && lines.get(1).is_some_and(|second| table.fits(second));
        return (Form::Table(table), has_header);
    }
    if let Some(table) = Table::of_header(first, separators) {
        return (Form::Table(table), true);
    }
    let table = commented_header(lines, comments, separators)
        .or_else(|| Table::of_rows(lines, separators))
        .unwrap_or_else(|| Table::of_column(lines, separators, 0));
    (Form::Table(table), false)
}

/// Finds a header among the comments: one that the first rows fit.
fn commented_header(lines: &[&str], comments: &[String], separators: &[u8]) -> Option<Table> {
    comments.iter().rev().find_map(|comment| {
        Table::of_header(comment.trim(), separators)
            .filter(|table| lines.iter().any(|line| table.fits(line)) && comment.contains(SPLITS))
    })
}

/// A word alone is a comment, not a header.
const SPLITS: [char; 4] = ['\t', ',', ';', '|'];
/// Rows that make a table of what might be URLs.
const MIN_ROWS: usize = 4;
