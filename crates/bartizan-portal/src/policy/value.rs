//! One value of a policy: its kinds, and reading it in every spelling that the world writes.
//!
//! A flag is `true` or `false`, `1` or `0`, native or as text in any case, since published instructions for
//! managed app configuration use all of these for the same keys. A number is native or its digits.
//!
//! # Invariants
//! - A [`Value`] that [`read`] returned is of the kind and within the bounds that were asked for.
//! - [`read`] of [`Value::to_json`] is that value again.

use std::borrow::Cow;
use std::fmt;

use bartizan_model::{DnsUpstream, DnsUpstreamError, Mode};

/// What a key is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Yes or no.
    Flag(bool),
    /// In the key's unit; a level by its number.
    Number(u32),
    /// As it was given, without white space around it.
    Text(Cow<'static, str>),
    /// How much is judged.
    Mode(Mode),
    /// Whom lookups go to.
    Resolver(DnsUpstream),
}

/// What a key can be set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Yes or no.
    Flag,
    /// A number from `least` to `most`, of `unit`.
    Number {
        /// The least there can be.
        least: u32,
        /// The most there can be.
        most: u32,
        /// In the plural.
        unit: &'static str,
    },
    /// A number that counts these up from 0; its word is read too. Each with what it does.
    Level(&'static [(&'static str, &'static str)]),
    /// Text of at most so many characters, without control characters.
    Text {
        /// In characters.
        most: usize,
    },
    /// A version of an operating system: one to three numbers with dots between them.
    Version,
    /// A word of [`Mode`].
    Mode,
    /// The text form of [`DnsUpstream`].
    Resolver,
}

/// How managed app configuration spells a value, since some MDMs ask for its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// A string, flags as `true` and `false`.
    Text,
    /// An integer, flags as 1 and 0.
    Integer,
    /// A Boolean.
    Boolean,
}

/// A value before anybody knows what it should be.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw<'a> {
    /// A native Boolean.
    Flag(bool),
    /// A native whole number.
    Number(i64),
    /// Text.
    Text(&'a str),
    /// What is none of these: its name, with an article.
    Other(&'static str),
}

/// Why a value does not fit. Says nothing of its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadValue {
    /// It is of another type.
    #[error("has to be {expected}, and is {found}")]
    Type {
        /// What would do.
        expected: String,
        /// What it is.
        found: String,
    },
    /// It is a number outside of its bounds.
    #[error("has to be {least} to {most} {unit}, and is {found}")]
    Range {
        /// The least there can be.
        least: u32,
        /// The most there can be.
        most: u32,
        /// In the plural.
        unit: &'static str,
        /// What it is.
        found: i64,
    },
    /// It is text of the wrong length, or with control characters.
    #[error("has to be text of 1 to {most} characters on one line")]
    Text {
        /// In characters.
        most: usize,
    },
    /// It names no resolver.
    #[error("{0}")]
    Resolver(#[from] DnsUpstreamError),
}

/// Reads a value of a kind.
///
/// # Errors
/// Says what would have been right.
pub fn read(kind: Kind, raw: &Raw<'_>) -> Result<Value, BadValue> {
    let wrong = || BadValue::Type { expected: kind.to_string(), found: raw.to_string() };
    let text = match raw {
        Raw::Text(text) => Some(text.trim()),
        Raw::Flag(_) | Raw::Number(_) | Raw::Other(_) => None,
    };
    match kind {
        Kind::Flag => flag(raw).map(Value::Flag).ok_or_else(wrong),
        Kind::Number { least, most, unit } => {
            let found = number(raw).ok_or_else(wrong)?;
            let fitting = u32::try_from(found).ok().filter(|n| (least..=most).contains(n));
            fitting.map(Value::Number).ok_or(BadValue::Range { least, most, unit, found })
        }
        Kind::Level(levels) => {
            let named = text.and_then(|text| {
                levels.iter().position(|(word, _)| word.eq_ignore_ascii_case(text))
            });
            let counted = || number(raw).and_then(|number| usize::try_from(number).ok());
            let level = named.or_else(counted).filter(|level| *level < levels.len());
            let level = level.and_then(|level| u32::try_from(level).ok());
            level.map(Value::Number).ok_or_else(wrong)
        }
        Kind::Text { most } => {
            let text = text.ok_or_else(wrong)?;
            let fits = (1..=most).contains(&text.chars().count());
            if !fits || text.contains(char::is_control) {
                return Err(BadValue::Text { most });
            }
            Ok(Value::Text(Cow::Owned(text.to_owned())))
        }
        Kind::Version => {
            let digits = raw_digits(raw);
            let text = text.or(digits.as_deref()).filter(|text| is_version(text));
            text.map(|text| Value::Text(Cow::Owned(text.to_owned()))).ok_or_else(wrong)
        }
        Kind::Mode => {
            let word = text.map(str::to_ascii_lowercase);
            word.and_then(|word| Mode::from_word(&word)).map(Value::Mode).ok_or_else(wrong)
        }
        Kind::Resolver => Ok(Value::Resolver(text.ok_or_else(wrong)?.parse()?)),
    }
}

impl Value {
    /// Returns it in the form in which documents hold it.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Flag(flag) => (*flag).into(),
            Self::Number(number) => (*number).into(),
            Self::Text(_) | Self::Mode(_) | Self::Resolver(_) => self.to_string().into(),
        }
    }

    /// Returns it in the form in which managed app configuration holds it.
    #[must_use]
    pub fn to_plist(&self, spelling: Spelling) -> plist::Value {
        match (self, spelling) {
            (Self::Flag(flag), Spelling::Boolean) => (*flag).into(),
            (Self::Flag(flag), Spelling::Integer) => u32::from(*flag).into(),
            (Self::Number(number), Spelling::Integer | Spelling::Boolean) => (*number).into(),
            (Self::Flag(_) | Self::Number(_), Spelling::Text)
            | (Self::Text(_) | Self::Mode(_) | Self::Resolver(_), _) => self.to_string().into(),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(out, "{flag}"),
            Self::Number(number) => write!(out, "{number}"),
            Self::Text(text) => out.write_str(text),
            Self::Mode(mode) => out.write_str(mode.word()),
            Self::Resolver(upstream) => write!(out, "{upstream}"),
        }
    }
}

impl fmt::Display for Kind {
    /// Says what would do, as in “has to be …”.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => out.write_str("true or false"),
            Self::Number { least, most, unit } => write!(out, "{least} to {most} {unit}"),
            Self::Level(levels) => {
                for (level, (word, _)) in levels.iter().enumerate() {
                    let between = if level == 0 { "" } else { ", " };
                    write!(out, "{between}{level} ({word})")?;
                }
                Ok(())
            }
            Self::Text { most } => write!(out, "text of at most {most} characters"),
            Self::Version => out.write_str("a version such as 16 or 17.4"),
            Self::Mode => {
                for (place, mode) in Mode::ALL.into_iter().enumerate() {
                    write!(out, "{}{}", if place == 0 { "" } else { ", " }, mode.word())?;
                }
                Ok(())
            }
            Self::Resolver => out.write_str("system, tls://… or https://…"),
        }
    }
}

impl fmt::Display for Raw<'_> {
    /// Says what it is, as in “and is …”; never more of a text than a line holds.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(out, "{flag}"),
            Self::Number(number) => write!(out, "{number}"),
            Self::Text(text) => {
                let start: String = text.chars().take(SHOWN).collect();
                write!(out, "{start:?}{}", if start.len() < text.len() { "…" } else { "" })
            }
            Self::Other(name) => out.write_str(name),
        }
    }
}

impl<'a> From<&'a serde_json::Value> for Raw<'a> {
    fn from(value: &'a serde_json::Value) -> Self {
        match value {
            serde_json::Value::Bool(flag) => Self::Flag(*flag),
            serde_json::Value::Number(number) => {
                number.as_i64().map_or(Self::Other("a number that is not whole"), Self::Number)
            }
            serde_json::Value::String(text) => Self::Text(text),
            serde_json::Value::Null => Self::Other("nothing"),
            serde_json::Value::Array(_) => Self::Other("a list"),
            serde_json::Value::Object(_) => Self::Other("an object"),
        }
    }
}

fn flag(raw: &Raw<'_>) -> Option<bool> {
    match raw {
        Raw::Flag(flag) => Some(*flag),
        Raw::Number(0) => Some(false),
        Raw::Number(1) => Some(true),
        Raw::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        Raw::Number(_) | Raw::Other(_) => None,
    }
}

fn number(raw: &Raw<'_>) -> Option<i64> {
    match raw {
        Raw::Number(number) => Some(*number),
        Raw::Text(text) => text.trim().parse().ok(),
        Raw::Flag(_) | Raw::Other(_) => None,
    }
}

fn raw_digits(raw: &Raw<'_>) -> Option<String> {
    match raw {
        Raw::Number(number) => Some(number.to_string()),
        Raw::Flag(_) | Raw::Text(_) | Raw::Other(_) => None,
    }
}

fn is_version(text: &str) -> bool {
    let is_part = |part: &str| {
        (1..=4).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_digit())
    };
    text.split('.').count() <= 3 && text.split('.').all(is_part)
}

/// Characters of a wrong text that a message repeats.
const SHOWN: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    const LEVELS: Kind = Kind::Level(&[("off", ""), ("audit", ""), ("on", "")]);
    const HOURS: Kind = Kind::Number { least: 0, most: 168, unit: "hours" };

    #[test]
    fn a_flag_is_read_in_every_spelling() {
        for yes in [Raw::Flag(true), Raw::Number(1)] {
            check(Kind::Flag, yes, Ok(Value::Flag(true)));
        }
        for text in ["true", "True", "TRUE", "1", " true "] {
            check(Kind::Flag, Raw::Text(text), Ok(Value::Flag(true)));
        }
        for text in ["false", "False", "0"] {
            check(Kind::Flag, Raw::Text(text), Ok(Value::Flag(false)));
        }
        check(Kind::Flag, Raw::Number(0), Ok(Value::Flag(false)));
        check(Kind::Flag, Raw::Number(2), Err("has to be true or false, and is 2"));
        check(Kind::Flag, Raw::Text("yes"), Err("has to be true or false, and is \"yes\""));
        check(Kind::Flag, Raw::Other("a list"), Err("has to be true or false, and is a list"));
    }

    #[test]
    fn a_number_keeps_its_bounds() {
        check(HOURS, Raw::Number(24), Ok(Value::Number(24)));
        check(HOURS, Raw::Text("168"), Ok(Value::Number(168)));
        check(HOURS, Raw::Number(169), Err("has to be 0 to 168 hours, and is 169"));
        check(HOURS, Raw::Text("-1"), Err("has to be 0 to 168 hours, and is -1"));
        check(HOURS, Raw::Flag(true), Err("has to be 0 to 168 hours, and is true"));
        check(HOURS, Raw::Text("2.5"), Err("has to be 0 to 168 hours, and is \"2.5\""));
    }

    #[test]
    fn a_level_is_its_number_or_its_word() {
        check(LEVELS, Raw::Number(2), Ok(Value::Number(2)));
        check(LEVELS, Raw::Text("1"), Ok(Value::Number(1)));
        check(LEVELS, Raw::Text("Off"), Ok(Value::Number(0)));
        let expected = "has to be 0 (off), 1 (audit), 2 (on), and is 3";
        check(LEVELS, Raw::Number(3), Err(expected));
    }

    #[test]
    fn words_versions_and_resolvers_are_checked() {
        check(Kind::Mode, Raw::Text("Tunnel"), Ok(Value::Mode(Mode::Tunnel)));
        let expected = "has to be tunnel, dns, filter, off, and is \"on\"";
        check(Kind::Mode, Raw::Text("on"), Err(expected));
        check(Kind::Version, Raw::Text("17.4.1"), Ok(Value::Text("17.4.1".into())));
        check(Kind::Version, Raw::Number(16), Ok(Value::Text("16".into())));
        for bad in ["", "17.", "17.4.1.2", "iOS 17", "-1", "99999"] {
            assert!(read(Kind::Version, &Raw::Text(bad)).is_err(), "{bad}");
        }
        check(Kind::Resolver, Raw::Text("system"), Ok(Value::Resolver(DnsUpstream::System)));
        assert!(matches!(read(Kind::Resolver, &Raw::Text("doh")), Err(BadValue::Resolver(_))));
        let expected = "has to be text of 1 to 3 characters on one line";
        for bad in ["", "  ", "four", "a\nb"] {
            check(Kind::Text { most: 3 }, Raw::Text(bad), Err(expected));
        }
    }

    #[test]
    fn a_message_repeats_only_the_start_of_a_long_text() {
        let long = "x".repeat(1_000);
        let shown = read(Kind::Flag, &Raw::Text(&long)).unwrap_err().to_string();
        assert!(shown.len() < 100 && shown.ends_with('…'), "{shown}");
    }

    #[track_caller]
    fn check(kind: Kind, raw: Raw<'_>, expected: Result<Value, &str>) {
        let found = read(kind, &raw).map_err(|bad| bad.to_string());
        assert_eq!(found, expected.map_err(str::to_owned));
    }
}
