//! What a JSON value may be: said once, and used to check what comes in, to describe it, and to hold answers to it.
//!
//! # What it does not do
//! - Read values into types: `serde` does that with what was checked.
//!
//! # Invariants
//! - Whatever [`Schema::check`] accepts, the JSON Schema of [`Schema::describe`] accepts, and the reverse.

use serde_json::{Map, Value, json};
use uuid::Uuid;

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Schema {
    /// Characters on one line, no control characters among them.
    Text { least: usize, most: usize },
    /// Characters on any number of lines.
    Lines { most: usize },
    /// One of these.
    Word(&'static [&'static str]),
    /// A UUID in lower case.
    Id,
    /// A whole number.
    Number { least: u64, most: u64 },
    /// Unix milliseconds.
    Time,
    /// True or false.
    Flag,
    /// Some of one kind.
    List { of: &'static Self, most: usize },
    /// One of a kind, or some.
    OneOrMany { of: &'static Self, most: usize },
    /// Members of these names.
    Object(&'static Object),
    /// The same, or nothing.
    Nullable(&'static Self),
    /// Any object: what is in it, somebody else checks.
    Any,
    /// Octets of one of these media types: alone in its object, it is the whole of an answer.
    File(&'static [&'static str]),
}

/// An object, by which others name it.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) fields: &'static [Field],
}

impl Object {
    /// The media types of a file, where it stands for one.
    pub(crate) fn media(&self) -> Option<&'static [&'static str]> {
        match self.fields {
            [Field { schema: Schema::File(media), .. }] => Some(media),
            _ => None,
        }
    }
}

/// A member of an object.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) schema: Schema,
    pub(crate) is_required: bool,
    pub(crate) about: &'static str,
}

/// A member that is always there.
pub(crate) const fn always(name: &'static str, schema: Schema, about: &'static str) -> Field {
    Field { name, schema, is_required: true, about }
}

/// A member that may be absent.
pub(crate) const fn maybe(name: &'static str, schema: Schema, about: &'static str) -> Field {
    Field { name, schema, is_required: false, about }
}

impl Schema {
    /// Checks a value.
    ///
    /// # Errors
    /// What is wrong first, with where.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        self.inspect(value).map_err(|Wrong { at, what }| {
            if at.is_empty() { format!("the body {what}") } else { format!("{at} {what}") }
        })
    }

    fn inspect(&self, value: &Value) -> Result<(), Wrong> {
        let wrong = |what: &str| Err(Wrong { at: String::new(), what: what.to_owned() });
        match self {
            Self::Text { least, most } => {
                let Some(text) = value.as_str() else { return wrong("is not text") };
                let length = text.chars().count();
                if length < *least {
                    wrong("is too short")
                } else if *most < length {
                    wrong(&format!("has more than {most} characters"))
                } else if text.chars().any(char::is_control) {
                    wrong("has a control character")
                } else {
                    Ok(())
                }
            }
            Self::Lines { most } => {
                let Some(text) = value.as_str() else { return wrong("is not text") };
                let is_odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
                if *most < text.chars().count() {
                    wrong(&format!("has more than {most} characters"))
                } else if text.chars().any(is_odd) {
                    wrong("has a control character")
                } else {
                    Ok(())
                }
            }
            Self::Word(words) => match value.as_str() {
                Some(word) if words.contains(&word) => Ok(()),
                _ => wrong(&format!("is not one of {}", words.join(", "))),
            },
            Self::Id => match value.as_str() {
                Some(text) if is_id(text) => Ok(()),
                _ => wrong("is not an id"),
            },
            Self::Number { least, most } => match value.as_u64() {
                Some(number) if (*least..=*most).contains(&number) => Ok(()),
                _ => wrong(&format!("is not a whole number from {least} to {most}")),
            },
            Self::Time => match value.as_u64() {
                Some(number) if number <= LATEST_MS => Ok(()),
                _ => wrong("is not a time in Unix milliseconds"),
            },
            Self::Flag if value.is_boolean() => Ok(()),
            Self::Flag => wrong("is neither true nor false"),
            Self::List { of, most } => {
                let Some(items) = value.as_array() else { return wrong("is not a list") };
                if *most < items.len() {
                    return wrong(&format!("has more than {most} items"));
                }
                for (number, item) in items.iter().enumerate() {
                    of.inspect(item).map_err(|wrong| wrong.under(&number.to_string()))?;
                }
                Ok(())
            }
            Self::OneOrMany { of, most } if value.is_array() => {
                Self::List { of, most: *most }.inspect(value)
            }
            Self::OneOrMany { of, .. } => of.inspect(value),
            Self::Object(object) => {
                let Some(members) = value.as_object() else { return wrong("is not an object") };
                for field in object.fields {
                    match members.get(field.name) {
                        Some(member) => {
                            field
                                .schema
                                .inspect(member)
                                .map_err(|wrong| wrong.under(field.name))?;
                        }
                        None if field.is_required => {
                            return wrong(&format!("lacks {}", field.name));
                        }
                        None => {}
                    }
                }
                let is_known = |name: &String| object.fields.iter().any(|it| it.name == name);
                match members.keys().find(|name| !is_known(name)) {
                    Some(_) => wrong("has a member that is not known here"),
                    None => Ok(()),
                }
            }
            Self::Nullable(_) if value.is_null() => Ok(()),
            Self::Nullable(schema) => schema.inspect(value),
            Self::Any if value.is_object() => Ok(()),
            Self::Any => wrong("is not an object"),
            Self::File(_) => wrong("is a file"),
        }
    }

    /// Reads what stands in a path or a query.
    ///
    /// # Errors
    /// What is wrong with it, to be read after its name.
    pub(crate) fn read(&self, text: &str) -> Result<Value, String> {
        let value = match self {
            Self::Number { .. } | Self::Time => match text.parse::<u64>() {
                // Accept only the one spelling we write.
                Ok(number) if number.to_string() == text => Value::from(number),
                _ => return Err(" is not a whole number".to_owned()),
            },
            Self::Flag => match text {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                _ => return Err(" is neither true nor false".to_owned()),
            },
            Self::Text { .. }
            | Self::Lines { .. }
            | Self::Word(_)
            | Self::Id
            | Self::List { .. }
            | Self::OneOrMany { .. }
            | Self::Object(_)
            | Self::Nullable(_)
            | Self::Any
            | Self::File(_) => Value::from(text),
        };
        self.inspect(&value).map_err(|wrong| format!(" {}", wrong.what))?;
        Ok(value)
    }

    /// Writes it as JSON Schema (2020-12, as `OpenAPI` 3.1 has it); objects by reference.
    pub(crate) fn describe(&self) -> Value {
        match self {
            Self::Text { least, most } => json!({
                "type": "string", "minLength": least, "maxLength": most, "pattern": ONE_LINE,
            }),
            Self::Lines { most } => json!({
                "type": "string", "maxLength": most, "pattern": LINES,
            }),
            Self::Word(words) => json!({ "type": "string", "enum": words }),
            Self::Id => json!({ "type": "string", "format": "uuid", "pattern": ID }),
            Self::Number { least, most } => json!({
                "type": "integer", "minimum": least, "maximum": most,
            }),
            Self::Time => json!({
                "type": "integer", "format": "int64", "minimum": 0, "maximum": LATEST_MS,
            }),
            Self::Flag => json!({ "type": "boolean" }),
            Self::List { of, most } => json!({
                "type": "array", "maxItems": most, "items": of.describe(),
            }),
            Self::OneOrMany { of, most } => {
                json!({ "anyOf": [of.describe(), Self::List { of, most: *most }.describe()] })
            }
            Self::Object(object) => {
                json!({ "$ref": format!("#/components/schemas/{}", object.name) })
            }
            Self::Nullable(schema) => json!({ "anyOf": [schema.describe(), { "type": "null" }] }),
            Self::Any => json!({ "type": "object" }),
            Self::File(_) => json!({}),
        }
    }

    /// In words, for people.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Text { most, .. } => format!("text, at most {most} characters"),
            Self::Lines { most } => format!("text of several lines, at most {most} characters"),
            Self::Word(words) => words.join(" | "),
            Self::Id => "UUID".to_owned(),
            Self::Number { least, most } if *most == MOST => format!("number from {least}"),
            Self::Number { least, most } => format!("number, {least} to {most}"),
            Self::Time => "Unix milliseconds".to_owned(),
            Self::Flag => "true | false".to_owned(),
            Self::List { of, most } => format!("list of at most {most}: {}", of.words()),
            Self::OneOrMany { of, most } => format!("{}, or a list of at most {most}", of.words()),
            Self::Object(object) => object.name.to_owned(),
            Self::Nullable(schema) => format!("{} | null", schema.words()),
            Self::Any => "object".to_owned(),
            Self::File(media) => format!("file: {}", media.join(" | ")),
        }
    }

    /// Gathers the objects that it names, and those that they name.
    pub(crate) fn objects(&self, found: &mut Vec<&'static Object>) {
        match self {
            Self::Object(object) => object.objects(found),
            Self::List { of, .. } | Self::OneOrMany { of, .. } | Self::Nullable(of) => {
                of.objects(found);
            }
            Self::Text { .. }
            | Self::Lines { .. }
            | Self::Word(_)
            | Self::Id
            | Self::Number { .. }
            | Self::Time
            | Self::Flag
            | Self::File(_)
            | Self::Any => {}
        }
    }
}

impl Object {
    /// Writes it as JSON Schema.
    pub(crate) fn describe(&self) -> Value {
        let mut properties = Map::new();
        for field in self.fields {
            let mut schema = field.schema.describe();
            if let Some(members) = schema.as_object_mut() {
                members.insert("description".into(), field.about.into());
            }
            properties.insert(field.name.into(), schema);
        }
        let required: Vec<_> =
            self.fields.iter().filter(|field| field.is_required).map(|field| field.name).collect();
        json!({
            "type": "object",
            "description": self.about,
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }

    /// Gathers it and the objects that it names.
    pub(crate) fn objects(&'static self, found: &mut Vec<&'static Self>) {
        if !found.iter().any(|object| object.name == self.name) {
            found.push(self);
            for field in self.fields {
                field.schema.objects(found);
            }
        }
    }
}

/// Writes numbers such as `7.0` as the whole numbers that they are (RFC 8259 knows but one kind of number).
pub(crate) fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole =
                number.to_string().strip_suffix(".0").and_then(|text| text.parse::<u64>().ok());
            if let Some(whole) = whole.filter(|whole| *whole <= MOST) {
                *value = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(members) => members.values_mut().for_each(whole_numbers),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What is wrong, and where: a JSON Pointer (RFC 6901).
struct Wrong {
    at: String,
    what: String,
}

impl Wrong {
    fn under(self, name: &str) -> Self {
        Self { at: format!("/{name}{}", self.at), ..self }
    }
}

fn is_id(text: &str) -> bool {
    Uuid::try_parse(text).is_ok_and(|id| id.hyphenated().to_string() == text)
}

/// What every reader of JSON keeps exactly (RFC 8259 §6).
pub(crate) const MOST: u64 = (1 << 53) - 1;
/// Any number of things.
pub(crate) const COUNT: Schema = Schema::Number { least: 0, most: MOST };
/// The last of the year 9999.
const LATEST_MS: u64 = 253_402_300_799_999;
const ONE_LINE: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
const LINES: &str = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$";
const ID: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    static INNER: Object = Object {
        name: "Inner",
        about: "",
        fields: &[always("word", Schema::Word(&["a", "b"]), "")],
    };
    static OUTER: Object = Object {
        name: "Outer",
        about: "",
        fields: &[
            always("text", Schema::Text { least: 1, most: 3 }, ""),
            maybe("list", Schema::List { of: &Schema::Object(&INNER), most: 2 }, ""),
            maybe("id", Schema::Nullable(&Schema::Id), ""),
            maybe("number", Schema::Number { least: 2, most: 4 }, ""),
            maybe("lines", Schema::Lines { most: 5 }, ""),
            maybe("flag", Schema::Flag, ""),
            maybe("at", Schema::Time, ""),
            maybe("any", Schema::Any, ""),
        ],
    };

    #[test]
    fn a_value_is_held_to_what_is_said() {
        for (value, expected) in [
            (json!({ "text": "a" }), Ok(())),
            (json!({ "text": "äöü" }), Ok(())),
            (json!({ "text": "a", "list": [{ "word": "a" }], "id": null, "number": 2 }), Ok(())),
            (json!({ "text": "a", "lines": "a\nb", "flag": true, "at": 0, "any": {} }), Ok(())),
            (json!(1), Err("the body is not an object")),
            (json!({}), Err("the body lacks text")),
            (json!({ "text": 1 }), Err("/text is not text")),
            (json!({ "text": "" }), Err("/text is too short")),
            (json!({ "text": "abcd" }), Err("/text has more than 3 characters")),
            (json!({ "text": "a\n" }), Err("/text has a control character")),
            (
                json!({ "text": "a", "else": 1 }),
                Err("the body has a member that is not known here"),
            ),
            (json!({ "text": "a", "list": {} }), Err("/list is not a list")),
            (json!({ "text": "a", "list": [1, 2, 3] }), Err("/list has more than 2 items")),
            (
                json!({ "text": "a", "list": [{ "word": "c" }] }),
                Err("/list/0/word is not one of a, b"),
            ),
            (json!({ "text": "a", "id": "x" }), Err("/id is not an id")),
            (json!({ "text": "a", "number": 5 }), Err("/number is not a whole number from 2 to 4")),
            (
                json!({ "text": "a", "number": 2.5 }),
                Err("/number is not a whole number from 2 to 4"),
            ),
            (json!({ "text": "a", "lines": "\u{0}" }), Err("/lines has a control character")),
            (json!({ "text": "a", "flag": "true" }), Err("/flag is neither true nor false")),
            (json!({ "text": "a", "at": -1 }), Err("/at is not a time in Unix milliseconds")),
            (json!({ "text": "a", "any": [] }), Err("/any is not an object")),
        ] {
            let found = Schema::Object(&OUTER).check(&value);
            assert_eq!(found.as_ref().map_err(String::as_str).copied(), expected, "{value}");
        }
    }

    #[test]
    fn a_query_is_read_in_one_spelling() {
        let number = Schema::Number { least: 1, most: 9 };
        assert_eq!(number.read("7"), Ok(json!(7)));
        for text in ["", "07", "+7", "-1", "10", "7.0", "x"] {
            assert!(number.read(text).is_err(), "{text}");
        }
        assert_eq!(Schema::Flag.read("true"), Ok(json!(true)));
        assert_eq!(Schema::Flag.read("yes"), Err(" is neither true nor false".into()));
        assert_eq!(Schema::Word(&["a"]).read("b"), Err(" is not one of a".into()));
    }

    #[test]
    fn a_whole_number_may_be_spelled_with_a_fraction() {
        for (text, expected) in [
            ("[7.0]", json!([7])),
            (r#"{"a":{"b":-0.0}}"#, json!({ "a": { "b": -0.0 } })),
            ("7.5", json!(7.5)),
            ("1e3", json!(1_000)),
            ("1e300", json!(1e300)),
            ("7", json!(7)),
        ] {
            let mut value = serde_json::from_str(text).unwrap();
            whole_numbers(&mut value);
            assert_eq!(value, expected, "{text}");
        }
    }

    #[test]
    fn objects_are_named_once() {
        let mut found = Vec::new();
        Schema::Object(&OUTER).objects(&mut found);
        let names: Vec<_> = found.iter().map(|object| object.name).collect();
        assert_eq!(names, ["Outer", "Inner"]);
        assert_eq!(OUTER.describe()["required"], json!(["text"]));
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text: String) {
            let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
            let _ = Schema::Object(&OUTER).check(&value);
        }
    }
}
