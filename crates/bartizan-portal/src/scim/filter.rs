//! SCIM filters and paths (RFC 7644 §3.4.2.2 and §3.5.2): read, written again, and asked of a value.
//!
//! # What it does not do
//! - Know attributes: whoever asks decides which there are.
//!
//! # Invariants
//! - No input panics. At most [`MAX_LENGTH`] octets, [`MAX_DEPTH`] levels and [`MAX_TERMS`] comparisons.
//! - What was read and written again reads as the same.

use std::fmt;

use serde_json::{Map, Value};

/// Names an attribute. Names are in lower case: theirs does not count (RFC 7643 §2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttributePath {
    /// The schema it was spelled with, in lower case.
    pub(crate) schema: Option<String>,
    /// Such as `emails`.
    pub(crate) name: String,
    /// Such as `value`.
    pub(crate) sub: Option<String>,
}

/// What fits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Filter {
    /// An attribute compared with a plain value.
    Compare(AttributePath, Operator, Value),
    /// An attribute that has a value.
    Present(AttributePath),
    /// Both.
    And(Box<Self>, Box<Self>),
    /// Either.
    Or(Box<Self>, Box<Self>),
    /// It does not fit.
    Not(Box<Self>),
    /// An attribute one of whose values fits.
    Within(AttributePath, Box<Self>),
}

/// How it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equals,
    NotEquals,
    Contains,
    StartsWith,
    EndsWith,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// What a change is about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PatchPath {
    /// The attribute; its `sub` where no values are chosen.
    pub(crate) attribute: AttributePath,
    /// Which of its values.
    pub(crate) which: Option<Filter>,
    /// Of these, which part.
    pub(crate) part: Option<String>,
}

/// Not a filter, or not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FilterError {
    /// Too long, too deep, or with too many comparisons.
    #[error("longer or deeper than what is read")]
    TooLarge,
    /// Something else stands where this is expected.
    #[error("{0} is expected")]
    Expected(&'static str),
}

impl AttributePath {
    /// Names an attribute without its schema.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// `emails` or `emails.value`, in lower case.
    pub(crate) fn text(&self) -> String {
        match &self.sub {
            Some(sub) => format!("{}.{sub}", self.name),
            None => self.name.clone(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (schema, rest) = match text.rsplit_once(':') {
            Some((schema, rest)) => (Some(schema.to_ascii_lowercase()), rest),
            None => (None, text),
        };
        if schema.as_ref().is_some_and(|schema| !schema.starts_with("urn:")) {
            return None;
        }
        let (name, sub) = match rest.split_once('.') {
            Some((name, sub)) => (name, Some(sub)),
            None => (rest, None),
        };
        let whole = is_name(name) && sub.is_none_or(is_name);
        whole.then(|| Self {
            schema,
            name: name.to_ascii_lowercase(),
            sub: sub.map(str::to_ascii_lowercase),
        })
    }
}

impl Operator {
    const ALL: [Self; 9] = [
        Self::Equals,
        Self::NotEquals,
        Self::Contains,
        Self::StartsWith,
        Self::EndsWith,
        Self::Greater,
        Self::GreaterOrEqual,
        Self::Less,
        Self::LessOrEqual,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Equals => "eq",
            Self::NotEquals => "ne",
            Self::Contains => "co",
            Self::StartsWith => "sw",
            Self::EndsWith => "ew",
            Self::Greater => "gt",
            Self::GreaterOrEqual => "ge",
            Self::Less => "lt",
            Self::LessOrEqual => "le",
        }
    }

    fn holds(self, left: &Value, right: &Value) -> bool {
        use std::cmp::Ordering;
        let texts = (text(left), text(right));
        let order = match (left.as_f64(), right.as_f64()) {
            (Some(left), Some(right)) => left.partial_cmp(&right),
            _ => Some(texts.0.cmp(&texts.1)),
        };
        match self {
            Self::Equals => texts.0 == texts.1,
            Self::NotEquals => texts.0 != texts.1,
            Self::Contains => texts.0.contains(&texts.1),
            Self::StartsWith => texts.0.starts_with(&texts.1),
            Self::EndsWith => texts.0.ends_with(&texts.1),
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => order.is_some_and(Ordering::is_le),
        }
    }
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// Why it is none.
    pub(crate) fn parse(text: &str) -> Result<Self, FilterError> {
        let mut reader = Reader::new(text)?;
        let filter = reader.either(0)?;
        if reader.rest.is_empty() { Ok(filter) } else { Err(FilterError::Expected("the end")) }
    }

    /// Whether one value of an attribute fits: its parts are what the filter names.
    pub(crate) fn fits(&self, value: &Map<String, Value>) -> bool {
        let part = |path: &AttributePath| {
            value.iter().find(|(name, _)| path.is(name)).map_or(&Value::Null, |(_, part)| part)
        };
        match self {
            Self::Compare(path, operator, wanted) => operator.holds(part(path), wanted),
            Self::Present(path) => !text(part(path)).is_empty(),
            Self::And(left, right) => left.fits(value) && right.fits(value),
            Self::Or(left, right) => left.fits(value) || right.fits(value),
            Self::Not(filter) => !filter.fits(value),
            Self::Within(..) => false,
        }
    }

    /// What a value must have to fit, as far as plain equalities that must all hold say it.
    pub(crate) fn equalities(&self) -> Vec<(&str, &Value)> {
        match self {
            Self::Compare(path, Operator::Equals, value) => vec![(&path.name, value)],
            Self::And(left, right) => {
                left.equalities().into_iter().chain(right.equalities()).collect()
            }
            Self::Compare(..)
            | Self::Present(_)
            | Self::Or(..)
            | Self::Not(_)
            | Self::Within(..) => Vec::new(),
        }
    }

    /// The values that an attribute is one of, if that is all that the filter says.
    pub(crate) fn one_of(&self, name: &str) -> Option<Vec<&str>> {
        match self {
            Self::Compare(path, Operator::Equals, Value::String(value)) if path.is(name) => {
                Some(vec![value])
            }
            Self::Or(left, right) => {
                let mut all = left.one_of(name)?;
                all.extend(right.one_of(name)?);
                Some(all)
            }
            Self::Compare(..)
            | Self::Present(_)
            | Self::And(..)
            | Self::Not(_)
            | Self::Within(..) => None,
        }
    }
}

impl PatchPath {
    /// Reads a path.
    ///
    /// # Errors
    /// Why it is none.
    pub(crate) fn parse(text: &str) -> Result<Self, FilterError> {
        let mut reader = Reader::new(text)?;
        let attribute = reader.attribute()?;
        if !reader.skip("[") {
            return reader.end(Self { attribute, which: None, part: None });
        }
        let which = Some(reader.either(0)?);
        reader.expect("]", "a closing bracket")?;
        let part = if reader.skip(".") { Some(reader.attribute()?.name) } else { None };
        reader.end(Self { attribute, which, part })
    }
}

/// What stands for a value where it is compared: its text in lower case.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.to_lowercase(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// RFC 7643 §2.1; `$ref` is a name, too.
fn is_name(text: &str) -> bool {
    let plain = text.strip_prefix('$').unwrap_or(text);
    plain.starts_with(|c: char| c.is_ascii_alphabetic())
        && plain.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet))
}

struct Reader<'a> {
    rest: &'a str,
    terms: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Result<Self, FilterError> {
        if MAX_LENGTH < text.len() {
            return Err(FilterError::TooLarge);
        }
        Ok(Self { rest: text.trim(), terms: 0 })
    }

    fn end<T>(&self, value: T) -> Result<T, FilterError> {
        if self.rest.is_empty() { Ok(value) } else { Err(FilterError::Expected("the end")) }
    }

    fn either(&mut self, depth: usize) -> Result<Filter, FilterError> {
        let mut filter = self.both(depth)?;
        while self.word("or") {
            filter = Filter::Or(Box::new(filter), Box::new(self.both(depth)?));
        }
        Ok(filter)
    }

    fn both(&mut self, depth: usize) -> Result<Filter, FilterError> {
        let mut filter = self.term(depth)?;
        while self.word("and") {
            filter = Filter::And(Box::new(filter), Box::new(self.term(depth)?));
        }
        Ok(filter)
    }

    fn term(&mut self, depth: usize) -> Result<Filter, FilterError> {
        self.terms += 1;
        if MAX_DEPTH <= depth || MAX_TERMS < self.terms {
            return Err(FilterError::TooLarge);
        }
        let before = self.rest;
        if self.word("not") {
            if self.skip("(") {
                let filter = self.either(depth + 1)?;
                self.expect(")", "a closing parenthesis")?;
                return Ok(Filter::Not(Box::new(filter)));
            }
            self.rest = before;
        }
        if self.skip("(") {
            let filter = self.either(depth + 1)?;
            self.expect(")", "a closing parenthesis")?;
            return Ok(filter);
        }
        let path = self.attribute()?;
        if self.skip("[") {
            let filter = self.either(depth + 1)?;
            self.expect("]", "a closing bracket")?;
            return Ok(Filter::Within(path, Box::new(filter)));
        }
        if self.word("pr") {
            return Ok(Filter::Present(path));
        }
        let operator = Operator::ALL.into_iter().find(|operator| self.word(operator.word()));
        let operator = operator.ok_or(FilterError::Expected("an operator"))?;
        Ok(Filter::Compare(path, operator, self.value()?))
    }

    fn attribute(&mut self) -> Result<AttributePath, FilterError> {
        let is_end = |c: char| !(c.is_ascii_alphanumeric() || "-_.:$".contains(c));
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at_checked(end).unwrap_or(("", self.rest));
        let path = AttributePath::parse(text).ok_or(FilterError::Expected("an attribute"))?;
        self.rest = rest.trim_start();
        Ok(path)
    }

    /// A plain JSON value.
    fn value(&mut self) -> Result<Value, FilterError> {
        let expected = FilterError::Expected("a value");
        let end = if self.rest.starts_with('"') {
            let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<Value>();
            values.next().and_then(Result::ok).ok_or(expected)?;
            values.byte_offset()
        } else {
            let is_end = |c: char| c.is_whitespace() || ")]".contains(c);
            self.rest.find(is_end).unwrap_or(self.rest.len())
        };
        let (text, rest) = self.rest.split_at_checked(end).ok_or(expected)?;
        // Entra ID spells truth with a capital.
        let value = match text {
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            _ => serde_json::from_str(text).map_err(|_| expected)?,
        };
        self.rest = rest.trim_start();
        match value {
            Value::Array(_) | Value::Object(_) => Err(expected),
            // Read to the last bit, which `serde_json` does not promise: what is written is then read as the same.
            Value::Number(ref number) if number.is_f64() => {
                let exact = text.parse().ok().and_then(serde_json::Number::from_f64);
                exact.map(Value::Number).ok_or(expected)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(value),
        }
    }

    /// A word in any case, which ends where it is followed by what is no name.
    fn word(&mut self, word: &str) -> bool {
        let Some((found, rest)) = self.rest.split_at_checked(word.len()) else { return false };
        let is_it = found.eq_ignore_ascii_case(word)
            && !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || "-_.:$".contains(c));
        if is_it {
            self.rest = rest.trim_start();
        }
        is_it
    }

    fn skip(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.map_or(self.rest, str::trim_start);
        rest.is_some()
    }

    fn expect(&mut self, text: &str, what: &'static str) -> Result<(), FilterError> {
        if self.skip(text) { Ok(()) } else { Err(FilterError::Expected(what)) }
    }
}

impl fmt::Display for AttributePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(out, "{schema}:")?;
        }
        out.write_str(&self.text())
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare(path, operator, value) => {
                write!(out, "{path} {} {value}", operator.word())
            }
            Self::Present(path) => write!(out, "{path} pr"),
            Self::And(left, right) => write!(out, "({left}) and ({right})"),
            Self::Or(left, right) => write!(out, "({left}) or ({right})"),
            Self::Not(filter) => write!(out, "not ({filter})"),
            Self::Within(path, filter) => write!(out, "{path}[{filter}]"),
        }
    }
}

impl fmt::Display for PatchPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.attribute)?;
        if let Some(which) = &self.which {
            write!(out, "[{which}]")?;
        }
        match &self.part {
            Some(part) => write!(out, ".{part}"),
            None => Ok(()),
        }
    }
}

/// What the fuzzer and the replay of its corpus call.
pub(crate) fn fuzz(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    if let Ok(filter) = Filter::parse(text) {
        filter.fits(&Map::new());
        again(&filter, &filter.to_string(), Filter::parse);
    }
    if let Ok(path) = PatchPath::parse(text) {
        again(&path, &path.to_string(), PatchPath::parse);
    }
}

/// What is written may be too long or deep to be read.
fn again<T: PartialEq + fmt::Debug>(
    value: &T,
    written: &str,
    parse: impl Fn(&str) -> Result<T, FilterError>,
) {
    match parse(written) {
        Ok(read) => assert_eq!(read, *value, "{written}"),
        Err(error) => assert_eq!(error, FilterError::TooLarge, "{written}"),
    }
}

/// Directories send some 100 octets.
pub(crate) const MAX_LENGTH: usize = 4_096;
const MAX_DEPTH: usize = 16;
const MAX_TERMS: usize = 64;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn filters_are_read_as_the_rfc_has_them() {
        check(r#"userName eq "bjensen""#, r#"username eq "bjensen""#);
        check(r#"name.familyName co "O'Malley""#, r#"name.familyname co "O'Malley""#);
        check(
            r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "J""#,
            r#"urn:ietf:params:scim:schemas:core:2.0:user:username sw "J""#,
        );
        check("title PR", "title pr");
        check(
            r#"title pr and userType eq "Employee" or active eq true"#,
            r#"((title pr) and (usertype eq "Employee")) or (active eq true)"#,
        );
        check(
            r#"userType eq "E" and (emails co "a.test" or emails.value co "b")"#,
            r#"(usertype eq "E") and ((emails co "a.test") or (emails.value co "b"))"#,
        );
        check(r#"not(emails co "a")"#, r#"not (emails co "a")"#);
        check(
            r#"emails[type eq "work" and value co "@a.test"] or not pr"#,
            r#"(emails[(type eq "work") and (value co "@a.test")]) or (not pr)"#,
        );
        check(r#"a eq "\"]) or (""#, r#"a eq "\"]) or (""#);
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in [
            "",
            "a",
            "a eq",
            "a is 1",
            "a eq {}",
            "a eq [1]",
            "(a pr",
            "a pr)",
            "a pr b pr",
            "1 pr",
            "a eq \"",
            "x:a pr",
        ] {
            assert!(Filter::parse(text).is_err(), "{text}");
        }
        let deep = format!("{}a pr{}", "(".repeat(40), ")".repeat(40));
        assert_eq!(Filter::parse(&deep), Err(FilterError::TooLarge));
        assert_eq!(Filter::parse(&"a pr or ".repeat(99)), Err(FilterError::TooLarge));
    }

    #[test]
    fn paths_choose_values_and_parts() {
        let path = PatchPath::parse(r#"emails[type eq "work"].value"#).unwrap();
        assert_eq!((path.attribute.name.as_str(), path.part.as_deref()), ("emails", Some("value")));
        let members = PatchPath::parse(r#"members[value eq "a" or value eq "b"]"#).unwrap();
        assert_eq!(members.which.unwrap().one_of("value"), Some(vec!["a", "b"]));
        assert!(PatchPath::parse("emails[type eq \"work\"]x").is_err());
        assert!(PatchPath::parse("emails[").is_err());
    }

    #[test]
    fn values_fit_in_any_case() {
        let value = serde_json::json!({ "Type": "Work", "value": "a@a.test" });
        let fits = |text: &str| Filter::parse(text).unwrap().fits(value.as_object().unwrap());
        assert!(fits(r#"type eq "work""#) && fits(r#"value ew "A.TEST" and not (display pr)"#));
        assert!(!fits(r#"type ne "WORK""#) && !fits("display pr"));
    }

    #[test]
    fn the_committed_corpus_is_replayed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/scim");
        let mut replayed = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let octets = std::fs::read(entry.unwrap().path()).unwrap();
            fuzz(&octets);
            super::super::patch::fuzz(&octets);
            replayed += 1;
        }
        assert!(10 < replayed, "{replayed}");
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let filter = Filter::parse(text).unwrap();
        assert_eq!(filter.to_string(), expected);
        assert_eq!(Filter::parse(expected), Ok(filter));
    }
}
