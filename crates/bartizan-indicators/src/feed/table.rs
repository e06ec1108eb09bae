//! Tables: rows of fields, some of which hold what is listed.
//!
//! Which they are, a header says, as a line or in a comment before the rows; else the rows do. Where a header
//! names several (`url`, `host`, `ip`), the most telling that a row has counts. A column that names the kind of
//! each row sorts out digests, mailboxes and the like.

use std::borrow::Cow;

use super::report::Unread;
use super::{FeedFormat, entry};
use crate::pattern::Pattern;

/// How to read a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    separator: u8,
    /// Where an entry may be, the most telling first. Never empty.
    columns: Vec<usize>,
    /// Where the row says of which kind it is.
    kind: Option<usize>,
}

impl Table {
    /// Reads a header.
    pub(super) fn of_header(line: &str, separators: &[u8]) -> Option<Self> {
        separators.iter().find_map(|separator| {
            let words: Vec<String> =
                fields(line, *separator).iter().map(|word| plain(word)).collect();
            let columns: Vec<usize> = COLUMNS
                .iter()
                .filter_map(|known| words.iter().position(|word| known.contains(&word.as_str())))
                .collect();
            let kind = words.iter().position(|word| KINDS.contains(&word.as_str()));
            // What lists something itself is no header.
            let is_row = fields(line, *separator).iter().any(|field| entry::is_certain(field));
            (!columns.is_empty() && !is_row).then_some(Self {
                separator: *separator,
                columns,
                kind,
            })
        })
    }

    /// Takes the entries from this column.
    pub(super) fn of_column(rows: &[&str], separators: &[u8], column: usize) -> Self {
        let most = separators.iter().copied().max_by_key(|separator| {
            rows.iter().filter(|row| column < fields(row, *separator).len()).count()
        });
        let separator =
            most.filter(|most| rows.first().is_some_and(|row| 1 < fields(row, *most).len()));
        let separator = separator.or_else(|| separators.first().copied()).unwrap_or(b',');
        Self { separator, columns: vec![column], kind: None }
    }

    /// Finds the column of rows without a header: in nearly all of them it holds what can only be an entry.
    pub(super) fn of_rows(rows: &[&str], separators: &[u8]) -> Option<Self> {
        separators.iter().find_map(|separator| {
            let rows: Vec<_> = rows.iter().map(|row| fields(row, *separator)).collect();
            let nearly_all = |count: usize| rows.len() * 9 <= count * 10;
            let width = rows.iter().map(Vec::len).max().unwrap_or_default();
            if width < 2 || !nearly_all(rows.iter().filter(|row| row.len() == width).count()) {
                return None;
            }
            let holds_entries = |column: &usize| {
                let held = |row: &&Vec<Cow<'_, str>>| {
                    row.get(*column).is_some_and(|field| entry::is_certain(field))
                };
                nearly_all(rows.iter().filter(held).count())
            };
            let column = (0..width.min(MOST_COLUMNS)).find(holds_entries)?;
            Some(Self { separator: *separator, columns: vec![column], kind: None })
        })
    }

    /// Tells whether a line has the fields that are looked at, and nothing else for an entry.
    pub(super) fn fits(&self, line: &str) -> bool {
        let fields = fields(line, self.separator);
        self.columns
            .iter()
            .any(|column| fields.get(*column).is_some_and(|field| entry::is_certain(field)))
    }

    /// Returns what a row lists.
    pub(super) fn entry(&self, row: &str) -> Result<Pattern, Unread> {
        if let [column] = self.columns.as_slice()
            && self.kind.is_none()
            && !row.contains('"')
        {
            let field = row.split(char::from(self.separator)).nth(*column);
            return value(field.ok_or(Unread::Because("has too few fields"))?);
        }
        let fields = fields(row, self.separator);
        let kind = self.kind.and_then(|kind| fields.get(kind)).map(|kind| plain(kind));
        if kind.is_some_and(|kind| OTHER_KINDS.iter().any(|other| kind.contains(other))) {
            return Err(Unread::SaysNothing);
        }
        let mut held = self.columns.iter().filter_map(|column| fields.get(*column)).peekable();
        if held.peek().is_none() {
            return Err(Unread::Because("has too few fields"));
        }
        value(held.find(|field| !field.is_empty()).ok_or(Unread::SaysNothing)?)
    }

    pub(super) fn format(&self) -> FeedFormat {
        if self.separator == b'\t' { FeedFormat::Tsv } else { FeedFormat::Csv }
    }
}

fn value(field: &str) -> Result<Pattern, Unread> {
    let field = field.trim();
    let is_digest =
        MIN_DIGEST <= field.len() && field.bytes().all(|octet| octet.is_ascii_hexdigit());
    if field.is_empty() || is_digest {
        return Err(Unread::SaysNothing);
    }
    entry::pattern(field)
}

/// Splits a row as RFC 4180 has it, where something is quoted.
fn fields(row: &str, separator: u8) -> Vec<Cow<'_, str>> {
    if !row.contains('"') {
        return row.split(char::from(separator)).map(|field| Cow::Borrowed(field.trim())).collect();
    }
    // Some write a space between the separator and the quote.
    let spaced = format!("{} \"", char::from(separator));
    let row = if row.contains(&spaced) {
        Cow::Owned(row.replace(&spaced, &format!("{}\"", char::from(separator))))
    } else {
        Cow::Borrowed(row)
    };
    let mut reader = csv::ReaderBuilder::new();
    reader.has_headers(false).flexible(true).delimiter(separator).buffer_capacity(row.len().max(1));
    let record = reader.from_reader(row.as_bytes()).into_records().next().and_then(Result::ok);
    let fields = record.iter().flat_map(csv::StringRecord::iter);
    fields.map(|field| Cow::Owned(field.trim().to_owned())).collect()
}

/// Brings a word of a header to one form: `"IOC value"`, `ioc_value` and `IocValue` are one.
fn plain(word: &str) -> String {
    let kept = word.chars().filter(char::is_ascii_alphanumeric);
    kept.map(|character| character.to_ascii_lowercase()).collect()
}

/// What may stand between fields, the most certain first.
pub(super) const SEPARATORS: [u8; 4] = *b"\t,;|";

/// Words for a column that holds entries, the most telling kind first.
const COLUMNS: [&[&str]; 4] = [
    &["indicator", "indicatorvalue", "ioc", "iocvalue", "value", "observable"],
    &["url", "urls", "uri", "phishurl", "maliciousurl", "phishingurl"],
    &["host", "hosts", "hostname", "domain", "domains", "domainname", "fqdn"],
    &[
        "ip",
        "ips",
        "ipaddress",
        "ipaddr",
        "address",
        "dstip",
        "destip",
        "destinationip",
        "srcip",
        "sourceip",
        "ipv4",
        "ipv6",
        "cidr",
        "network",
        "netblock",
        "subnet",
    ],
];
const KINDS: [&str; 5] = ["type", "ioctype", "indicatortype", "valuetype", "observabletype"];
/// Parts of the words for kinds that no connection shows.
const OTHER_KINDS: [&str; 15] = [
    "hash", "md5", "sha1", "sha256", "sha512", "mail", "file", "path", "mutex", "registry", "cert",
    "process", "yara", "ja3", "cve",
];
/// An MD5 in hexadecimal. No top-level domain is as long.
const MIN_DIGEST: usize = 32;
/// Columns that are looked at where no header names them.
const MOST_COLUMNS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_where_the_entries_are() {
        let table = |line| Table::of_header(line, &SEPARATORS).map(|table| table.columns);
        assert_eq!(table("id,URL,host"), Some(vec![1, 2]));
        assert_eq!(table("\"first seen\", \"IOC value\""), Some(vec![1]));
        assert_eq!(table("IndicatorType;IndicatorValue"), Some(vec![1]));
        assert_eq!(table("dst_ip|dst_port"), Some(vec![0]));
        assert_eq!(table("domain"), Some(vec![0]));
        assert_eq!(table("192.0.2.1\thost"), None);
        assert_eq!(table("evil.test,url"), None);
        assert_eq!(table("id,name"), None);
    }

    #[test]
    fn the_first_telling_field_of_a_row_counts() {
        let table = Table::of_header("type,url,domain,ip", &SEPARATORS).unwrap();
        for (row, expected) in [
            ("URL,http://evil.test/a,evil.test,192.0.2.1", Ok("evil.test/a")),
            ("x,,evil.test,192.0.2.1", Ok("evil.test")),
            ("x,\"\",\"\",\"192.0.2.1\"", Ok("192.0.2.1")),
            ("x,\"http://evil.test/a,b\"", Ok("evil.test/a,b")),
            ("x, \"http://evil.test/a,b\", \"c\"", Ok("evil.test/a,b")),
            ("sha256_hash,ab,,", Err(Unread::SaysNothing)),
            ("x,d41d8cd98f00b204e9800998ecf8427e,,", Err(Unread::SaysNothing)),
            ("x,,,", Err(Unread::SaysNothing)),
            ("x", Err(Unread::Because("has too few fields"))),
            ("x,no good", Err(Unread::Because("is not one host name"))),
        ] {
            let entry = table.entry(row).map(|pattern| pattern.to_string());
            assert_eq!(entry.as_deref().map_err(|unread| *unread), expected, "{row}");
        }
    }

    #[test]
    fn rows_without_a_header_show_where_the_entries_are() {
        let table = |rows: &[&str]| Table::of_rows(rows, &SEPARATORS).map(|table| table.columns);
        assert_eq!(table(&["1,evil.test", "2,bad.test"]), Some(vec![1]));
        assert_eq!(table(&["192.0.2.1\t3", "192.0.2.2\t7"]), Some(vec![0]));
        assert_eq!(table(&["2026-01-01;7;evil.test"]), Some(vec![2]));
        assert_eq!(table(&["evil.test", "bad.test"]), None);
        assert_eq!(table(&["a,b", "c,d"]), None);
    }
}
