//! Feeds that are read line by line.
//!
//! Lines end in LF, CR or both. The first lines are kept until they have told the form.

use std::io::{self, BufRead};

use super::report::{Reading, Unread};
use super::rpz::Zone;
use super::table::Table;
use super::{FeedError, FeedFormat, Options, adblock, detect, dnsmasq, entry, hosts};
use crate::pattern::Pattern;

/// Reads lines to their end.
pub(super) fn read(
    input: impl BufRead,
    options: &Options,
    reading: &mut Reading<'_>,
) -> Result<FeedFormat, FeedError> {
    let mut lines = Lines::new(input);
    let mut first = Vec::new();
    let mut comments = Vec::new();
    while first.len() < PREVIEW
        && let Some(line) = lines.next()?
    {
        let text = String::from_utf8_lossy(line.octets);
        let text = text.trim_end();
        if text.trim_start().is_empty() {
            continue;
        }
        if let Some(comment) = comment(text) {
            if comments.len() < PREVIEW {
                comments.push(comment.to_owned());
            }
            continue;
        }
        if first.is_empty() && text.trim_start().starts_with('<') {
            return Err(FeedError::WebPage);
        }
        first.push((line.number, text.to_owned(), line.is_cut));
    }
    if first.is_empty() {
        return Err(FeedError::Empty);
    }
    let preview: Vec<&str> = first.iter().map(|(_, text, _)| text.as_str()).collect();
    let (mut form, has_header) = detect::form(&preview, &comments, options);
    for (number, text, is_cut) in first.iter().skip(usize::from(has_header)) {
        form.line(*number, text, *is_cut, reading);
    }
    while let Some(line) = lines.next()? {
        let text = String::from_utf8_lossy(line.octets);
        let text = text.trim_end();
        if !text.trim_start().is_empty() && comment(text).is_none() {
            form.line(line.number, text, line.is_cut, reading);
        }
    }
    Ok(form.format())
}

/// Returns what a comment says.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix(['#', '!', ';']).or_else(|| line.strip_prefix("// "))
}

/// What a line is read as.
#[derive(Debug)]
pub(super) enum Form {
    Plain,
    Hosts,
    Table(Table),
    Adblock,
    Rpz(Zone),
    Dnsmasq,
}

impl Form {
    fn line(&mut self, number: u64, text: &str, is_cut: bool, reading: &mut Reading<'_>) {
        let outcome = if is_cut {
            Err(Unread::Because("is longer than any line of a feed"))
        } else {
            self.entries(text, &mut |pattern| reading.found(pattern))
        };
        reading.line(number, outcome);
    }

    fn entries(&mut self, line: &str, each: &mut dyn FnMut(Pattern)) -> Result<(), Unread> {
        let text = line.trim_start();
        match self {
            Self::Plain => {
                let end = text.find(" #").or_else(|| text.find("\t#")).unwrap_or(text.len());
                each(entry::pattern(text.get(..end).unwrap_or(text))?);
                Ok(())
            }
            Self::Hosts => hosts::entries(text, each),
            Self::Table(table) => {
                each(table.entry(text)?);
                Ok(())
            }
            Self::Adblock => {
                each(entry::pattern(adblock::host(text)?)?);
                Ok(())
            }
            Self::Rpz(zone) => {
                each(zone.policy(line)?);
                Ok(())
            }
            Self::Dnsmasq => dnsmasq::entries(text, each),
        }
    }

    fn format(&self) -> FeedFormat {
        match self {
            Self::Plain => FeedFormat::Plain,
            Self::Hosts => FeedFormat::Hosts,
            Self::Table(table) => table.format(),
            Self::Adblock => FeedFormat::Adblock,
            Self::Rpz(_) => FeedFormat::Rpz,
            Self::Dnsmasq => FeedFormat::Dnsmasq,
        }
    }
}

/// Lines of octets, of which a longer one than any entry needs keeps only its beginning.
struct Lines<R> {
    input: R,
    octets: Vec<u8>,
    number: u64,
    /// A CR ended the line before: an LF that follows belongs to it.
    after_cr: bool,
}

struct Line<'a> {
    /// From 1.
    number: u64,
    octets: &'a [u8],
    is_cut: bool,
}

impl<R: BufRead> Lines<R> {
    fn new(input: R) -> Self {
        Self { input, octets: Vec::new(), number: 0, after_cr: false }
    }

    fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.octets.clear();
        self.number += 1;
        let (mut any, mut is_cut) = (false, false);
        loop {
            let mut available = self.input.fill_buf()?;
            if self.after_cr && !available.is_empty() {
                self.after_cr = false;
                if available.starts_with(b"\n") {
                    self.input.consume(1);
                    available = self.input.fill_buf()?;
                }
            }
            if available.is_empty() {
                let (number, octets) = (self.number, self.octets.as_slice());
                return Ok(any.then_some(Line { number, octets, is_cut }));
            }
            any = true;
            // `contains` is quick, and most buffers of a line without end have no end in them.
            let end = if available.contains(&b'\n') || available.contains(&b'\r') {
                available.iter().position(|octet| matches!(octet, b'\n' | b'\r'))
            } else {
                None
            };
            let part = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
            let room = MAX_LINE.saturating_sub(self.octets.len());
            is_cut |= room < part.len();
            self.octets.extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
            let used = part.len() + usize::from(end.is_some());
            self.after_cr = end.and_then(|end| available.get(end)) == Some(&b'\r');
            self.input.consume(used);
            if end.is_some() {
                return Ok(Some(Line { number: self.number, octets: &self.octets, is_cut }));
            }
        }
    }
}

/// Lines that tell the form of a feed.
const PREVIEW: usize = 16;
/// A URL of the web has at most a few thousand octets; a row of a table may say more around it.
const MAX_LINE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn lines_end_however_they_end() {
        check("a\nb\n", &[(1, "a"), (2, "b")]);
        check("a\r\n\r\nb", &[(1, "a"), (2, ""), (3, "b")]);
        check("a\rb\r", &[(1, "a"), (2, "b")]);
        check("\n\r\n\ra", &[(1, ""), (2, ""), (3, ""), (4, "a")]);
        check("", &[]);
    }

    #[test]
    fn a_line_without_end_takes_no_more_memory_than_another() {
        let endless = io::repeat(b'x').take(64 << 20).chain(&b"\nevil.test"[..]);
        let mut lines = Lines::new(io::BufReader::new(endless));
        let line = lines.next().unwrap().unwrap();
        assert!(line.is_cut && line.octets.len() == MAX_LINE);
        assert!(lines.octets.capacity() <= 2 * MAX_LINE);
        let line = lines.next().unwrap().unwrap();
        assert_eq!((line.number, line.octets, line.is_cut), (2, &b"evil.test"[..], false));
    }

    #[track_caller]
    fn check(text: &str, expected: &[(u64, &str)]) {
        // Whatever the buffers are, down to an octet each.
        for capacity in 1..4 {
            let mut lines = Lines::new(io::BufReader::with_capacity(capacity, text.as_bytes()));
            let mut read = Vec::new();
            while let Some(line) = lines.next().unwrap() {
                read.push((line.number, String::from_utf8(line.octets.to_vec()).unwrap()));
            }
            let read: Vec<_> = read.iter().map(|(number, text)| (*number, text.as_str())).collect();
            assert_eq!(read, expected, "{text:?}");
        }
    }
}
