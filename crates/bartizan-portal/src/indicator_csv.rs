//! Indicators as a CSV file in Defender's columns, in and out.
//!
//! In: UTF-8, separated by commas, semicolons or tabs, columns in any order and case. A row that is wrong
//! is reported with its line, and the others are read. Of two rows about the same, the later is wrong.
//!
//! Out: cells that a spreadsheet would run as a formula get an apostrophe before them, and lose it when
//! they are read.
//!
//! # Invariants
//! - What is written is read as the same.
//! - No input panics; memory is linear in its size.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bartizan_indicators::pattern::{Pattern, PatternKind};
use bartizan_store::{IndicatorRow, NewIndicator};
use csv::{ByteRecord, ReaderBuilder, Writer};

use crate::indicator_rule::{
    Field, FieldError, cell, indicator, read_pattern, read_rule, type_word,
};

/// A file that was read.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    /// Each about something else.
    pub(crate) rows: Vec<SheetRow>,
    /// In the order of the lines.
    pub(crate) errors: Vec<RowError>,
    /// Names of columns that mean nothing here.
    pub(crate) ignored: Vec<String>,
}

/// A row that is right.
#[derive(Debug)]
pub(crate) struct SheetRow {
    /// Where it begins, from 1.
    pub(crate) line: u64,
    /// What it says.
    pub(crate) indicator: NewIndicator,
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowError {
    /// Where the row begins, from 1.
    pub(crate) line: u64,
    /// The column; empty if it is about the whole row.
    pub(crate) column: &'static str,
    /// What is wrong, to be read after the column's name.
    pub(crate) reason: String,
    /// What stands there.
    pub(crate) value: String,
}

/// Why a file is none of indicators.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SheetError {
    /// Nothing, or blank lines.
    #[error("The file is empty.")]
    Empty,
    /// Not even its first line is text.
    #[error("The file is not UTF-8 text. Save it as “CSV UTF-8”.")]
    NotText,
    /// A column that must be there is not.
    #[error("The first line has no column “{column}”. It must name the columns.")]
    NoColumn {
        /// As Defender spells it.
        column: &'static str,
    },
    /// A column is there twice.
    #[error("The first line has the column “{column}” twice.")]
    TwoColumns {
        /// As Defender spells it.
        column: &'static str,
    },
}

/// Reads a file.
///
/// # Errors
/// It has no line with the names of the columns.
pub(crate) fn read(octets: &[u8]) -> Result<Sheet, SheetError> {
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter(octets))
        .from_reader(octets);
    let mut record = ByteRecord::new();
    // Reading octets that are in memory does not fail.
    let mut next = move |record: &mut ByteRecord| reader.read_byte_record(record).unwrap_or(false);
    if !next(&mut record) {
        return Err(SheetError::Empty);
    }
    let mut sheet = Sheet::default();
    let columns = Columns::read(&record, &mut sheet.ignored)?;
    let mut counted = Lines { octets, at: 0, line: 1 };
    let mut lines = HashMap::new();
    while next(&mut record) {
        let line = counted.line_of(record.position().map_or(0, csv::Position::byte));
        match columns.row(&record) {
            Ok(None) => {}
            Ok(Some(indicator)) => match lines.entry(indicator.pattern.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(line);
                    sheet.rows.push(SheetRow { line, indicator });
                }
                Entry::Occupied(first) => sheet.errors.push(RowError {
                    line,
                    column: Field::Value.column(),
                    reason: format!("is in line {} already", first.get()),
                    value: indicator.source_text,
                }),
            },
            Err(errors) => sheet.errors.extend(errors.into_iter().map(|wrong| RowError {
                line,
                column: wrong.field.map_or("", Field::column),
                reason: wrong.reason,
                value: wrong.value,
            })),
        }
    }
    Ok(sheet)
}

/// Returns the line with the names of the columns.
pub(crate) fn header() -> String {
    format!("{}\r\n", Field::ALL.map(Field::column).join(","))
}

/// Writes indicators, one a line, without the header.
pub(crate) fn write(rows: &[IndicatorRow]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::with_capacity(rows.len() * 160));
    for row in rows {
        // Writing to memory does not fail.
        let _ = write_one(&mut writer, row);
    }
    writer.into_inner().unwrap_or_default()
}

fn write_one(writer: &mut Writer<Vec<u8>>, row: &IndicatorRow) -> csv::Result<()> {
    for field in Field::ALL {
        let text = match (field, row.pattern.parse::<Pattern>().map(|pattern| pattern.kind())) {
            (Field::Type, Ok(kind)) => type_word(kind).into(),
            (Field::Value, Ok(PatternKind::Host)) => row.pattern.trim_start_matches('=').into(),
            (Field::Value, _) => row.pattern.as_str().into(),
            _ => cell(&row.rule, field),
        };
        writer.write_field(defused(&text).as_bytes())?;
    }
    writer.write_record(None::<&[u8]>)
}

/// Tells lines by offsets that only grow. The reader's own count lags behind where lines end in CR LF.
struct Lines<'a> {
    octets: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// Returns the line of the record that the reader began to look for at an offset.
    fn line_of(&mut self, offset: u64) -> u64 {
        let from = usize::try_from(offset).unwrap_or(self.octets.len());
        let rest = self.octets.get(from..).unwrap_or_default();
        let blank = rest.iter().take_while(|octet| matches!(octet, b'\n' | b'\r')).count();
        let passed = self.octets.get(self.at..from + blank).unwrap_or_default();
        self.line += passed.iter().map(|octet| u64::from(*octet == b'\n')).sum::<u64>();
        self.at = self.at.max(from + blank);
        self.line
    }
}

/// Where each field stands in a record.
struct Columns {
    places: [Option<usize>; Field::ALL.len()],
    /// How many cells the first line has.
    width: usize,
}

/// What is wrong with a cell, or with the row.
struct CellError {
    field: Option<Field>,
    reason: String,
    value: String,
}

impl Columns {
    fn read(header: &ByteRecord, ignored: &mut Vec<String>) -> Result<Self, SheetError> {
        let mut places = [None; Field::ALL.len()];
        for (place, name) in header.iter().enumerate() {
            let name = std::str::from_utf8(name).map_err(|_| SheetError::NotText)?.trim();
            if name.contains('\0') {
                return Err(SheetError::NotText);
            }
            let known = Field::ALL.iter().zip(&mut places);
            let column =
                known.into_iter().find(|(field, _)| field.column().eq_ignore_ascii_case(name));
            match column {
                Some((_, slot @ None)) => *slot = Some(place),
                Some((field, Some(_))) => {
                    return Err(SheetError::TwoColumns { column: field.column() });
                }
                None if name.is_empty() => {}
                None => ignored.push(name.into()),
            }
        }
        let columns = Self { places, width: header.len() };
        for field in Field::REQUIRED {
            if columns.place(field).is_none() {
                return Err(SheetError::NoColumn { column: field.column() });
            }
        }
        Ok(columns)
    }

    fn place(&self, field: Field) -> Option<usize> {
        let mut known = Field::ALL.iter().zip(&self.places);
        known.find(|(known, _)| **known == field).and_then(|(_, place)| *place)
    }

    /// Reads a row; `None` if it is blank.
    fn row(&self, record: &ByteRecord) -> Result<Option<NewIndicator>, Vec<CellError>> {
        if record.iter().all(|cell| cell.trim_ascii().is_empty()) {
            return Ok(None);
        }
        // A comma in a text that has no quotes moves all that follows: nothing of such a row is certain.
        if let Some(extra) =
            record.iter().skip(self.width).find(|cell| !cell.trim_ascii().is_empty())
        {
            return Err(vec![CellError {
                field: None,
                reason: "has more cells than the first line; a text with a separator needs quotes"
                    .into(),
                value: String::from_utf8_lossy(extra).into_owned(),
            }]);
        }
        let mut cells = [""; Field::ALL.len()];
        let mut errors = Vec::new();
        for ((field, at), slot) in Field::ALL.iter().zip(&self.places).zip(&mut cells) {
            let octets = at.and_then(|at| record.get(at)).unwrap_or_default();
            match std::str::from_utf8(octets) {
                Ok(text) => *slot = armed(text.trim()),
                Err(_) => errors.push(CellError {
                    field: Some(*field),
                    reason: "is not UTF-8 text".into(),
                    value: String::from_utf8_lossy(octets).into_owned(),
                }),
            }
        }
        let cell = |field: Field| {
            Field::ALL.iter().zip(cells).find(|(known, _)| **known == field).map_or("", |(_, c)| c)
        };
        let of_cell = |error: FieldError| CellError {
            field: Some(error.field),
            value: cell(error.field).into(),
            reason: error.reason,
        };
        if !errors.is_empty() {
            return Err(errors);
        }
        let value = cell(Field::Value);
        let pattern = if Field::Value.limit() < value.chars().count() {
            Err(FieldError::new(Field::Value, "is too long"))
        } else {
            read_pattern(cell(Field::Type), value)
        };
        match (pattern, read_rule(cell)) {
            (Ok(pattern), Ok(rule)) => Ok(Some(indicator(&pattern, value, rule))),
            (pattern, rule) => {
                let all = pattern.err().into_iter().chain(rule.err().into_iter().flatten());
                Err(all.map(of_cell).collect())
            }
        }
    }
}

/// The separator that the first line has most of.
fn delimiter(octets: &[u8]) -> u8 {
    let first = octets.split(|octet| matches!(octet, b'\n' | b'\r')).next().unwrap_or_default();
    let count = |wanted: u8| first.iter().filter(|octet| **octet == wanted).count();
    // Of equal ones the last counts, which is the comma.
    b"\t;,".iter().copied().max_by_key(|octet| count(*octet)).unwrap_or(b',')
}

/// Puts an apostrophe before what a spreadsheet would run. What has apostrophes there gets one more.
fn defused(text: &str) -> std::borrow::Cow<'_, str> {
    if is_formula(text.trim_start_matches('\'')) { format!("'{text}").into() } else { text.into() }
}

/// Undoes [`defused`].
fn armed(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if is_formula(rest.trim_start_matches('\'')) => rest,
        Some(_) | None => text,
    }
}

fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@'])
}

/// What the fuzzer and the replay of its corpus call: reads any octets, and what was read once more.
pub(crate) fn fuzz(octets: &[u8]) {
    let Ok(sheet) = read(octets) else { return };
    let rows: Vec<IndicatorRow> = sheet.rows.iter().map(as_stored).collect();
    let mut written = header().into_bytes();
    written.extend(write(&rows));
    let again = read(&written).map(|sheet| (sheet.rows, sheet.errors)).unwrap_or_default();
    assert!(again.1.is_empty(), "{:?}", again.1);
    assert_eq!(again.0.len(), sheet.rows.len());
    for (before, after) in sheet.rows.iter().zip(&again.0) {
        assert_eq!(before.indicator.pattern, after.indicator.pattern);
        assert_eq!(before.indicator.rule, after.indicator.rule);
    }
}

fn as_stored(row: &SheetRow) -> IndicatorRow {
    IndicatorRow {
        id: bartizan_store::IndicatorId(row.line),
        pattern: row.indicator.pattern.clone(),
        source_text: row.indicator.source_text.clone(),
        rule: row.indicator.rule.clone(),
        created_by: String::new(),
        created_at: bartizan_model::UnixMillis(0),
        updated_at: bartizan_model::UnixMillis(0),
        hits: 0,
    }
}

#[cfg(test)]
mod tests;
