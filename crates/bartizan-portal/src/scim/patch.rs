//! Changes of a resource (RFC 7644 §3.5.2), as directories send them: on JSON, without knowing what it means.
//!
//! Entra ID writes operations with a capital, may leave the path out, gives dotted names as keys, and replaces chosen
//! values that are not there yet: all of that is understood.
//!
//! # Invariants
//! - At most [`MAX_OPERATIONS`] operations. No input panics.

use serde_json::{Map, Value};

use super::error::ScimError;
use super::filter::{AttributePath, Filter, PatchPath};

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Operation {
    pub(crate) kind: Kind,
    pub(crate) path: PatchPath,
    pub(crate) value: Value,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Add,
    Replace,
    Remove,
}

/// What an attribute is to whoever is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    /// One plain value.
    Plain(&'static str),
    /// Parts with names.
    Complex(&'static str, &'static [&'static str]),
    /// Any number of values that have parts.
    Many(&'static str, &'static [&'static str]),
    /// It is known and not kept.
    Ignored,
    /// Only the portal changes it.
    ReadOnly,
}

/// Reads the body of a PATCH request. An operation without a path becomes one for each attribute that it has.
pub(crate) fn read(body: &Value) -> Result<Vec<Operation>, ScimError> {
    let syntax = |detail: &str| ScimError::bad("invalidSyntax", detail);
    let body = body.as_object().ok_or_else(|| syntax("the body is no object"))?;
    let operations = member(body, "operations").and_then(Value::as_array);
    let operations = operations.ok_or_else(|| syntax("there are no Operations"))?;
    let mut read = Vec::new();
    for operation in operations {
        let operation = operation.as_object().ok_or_else(|| syntax("an operation is no object"))?;
        let kind = member(operation, "op").and_then(Value::as_str).unwrap_or_default();
        let kind = match kind.to_ascii_lowercase().as_str() {
            "add" => Kind::Add,
            "replace" => Kind::Replace,
            "remove" => Kind::Remove,
            _ => return Err(syntax("op is add, replace or remove")),
        };
        let value = member(operation, "value").cloned().unwrap_or(Value::Null);
        match member(operation, "path").and_then(Value::as_str) {
            Some(path) => read.push(Operation { kind, path: parse(path)?, value }),
            None if kind == Kind::Remove => {
                return Err(ScimError::bad("noTarget", "remove needs a path"));
            }
            None => {
                let Value::Object(attributes) = value else {
                    return Err(ScimError::value("without a path the value is an object"));
                };
                for (name, value) in attributes {
                    // An extension's attributes, by its name.
                    let path = match name.to_ascii_lowercase() {
                        name if name.starts_with("urn:") && value.is_object() => PatchPath {
                            attribute: AttributePath {
                                schema: Some(name),
                                name: String::new(),
                                sub: None,
                            },
                            which: None,
                            part: None,
                        },
                        _ => parse(&name)?,
                    };
                    read.push(Operation { kind, path, value });
                }
            }
        }
        if MAX_OPERATIONS < read.len() {
            return Err(ScimError::new(
                axum::http::StatusCode::PAYLOAD_TOO_LARGE,
                format!("at most {MAX_OPERATIONS} operations"),
            ));
        }
    }
    if read.is_empty() && operations.is_empty() {
        return Err(syntax("there are no Operations"));
    }
    Ok(read)
}

/// Applies one operation to a resource whose keys are as `known` spells them.
pub(crate) fn apply(
    resource: &mut Map<String, Value>,
    operation: Operation,
    known: impl Fn(&AttributePath) -> Option<Attribute>,
) -> Result<(), ScimError> {
    let Operation { kind, path, value } = operation;
    let attribute = known(&path.attribute)
        .ok_or_else(|| ScimError::bad("invalidPath", format!("no attribute {path}")))?;
    let is_removal = kind == Kind::Remove || value.is_null();
    match attribute {
        Attribute::Ignored => {}
        Attribute::ReadOnly => {
            return Err(ScimError::bad("mutability", format!("{path} cannot be changed")));
        }
        Attribute::Plain(name) if is_removal => drop(resource.remove(name)),
        Attribute::Plain(name) => drop(resource.insert(name.to_owned(), value)),
        Attribute::Complex(name, parts) => {
            let Some(sub) = &path.attribute.sub else {
                if is_removal {
                    resource.remove(name);
                    return Ok(());
                }
                let Value::Object(given) = value else {
                    return Err(ScimError::value(format!("{name} is an object")));
                };
                let into = object(resource, name);
                given.into_iter().for_each(|(part, value)| set(into, parts, &part, value));
                return Ok(());
            };
            set(object(resource, name), parts, sub, if is_removal { Value::Null } else { value });
        }
        Attribute::Many(name, parts) => {
            let values = array(resource, name);
            let part = path.part.as_ref().or(path.attribute.sub.as_ref());
            change_many(values, kind, parts, path.which.as_ref(), part, value, is_removal)?;
            if values.is_empty() {
                resource.remove(name);
            }
        }
    }
    Ok(())
}

fn change_many(
    values: &mut Vec<Value>,
    kind: Kind,
    parts: &[&'static str],
    which: Option<&Filter>,
    part: Option<&String>,
    value: Value,
    is_removal: bool,
) -> Result<(), ScimError> {
    let fits = |value: &Value| {
        which.is_none_or(|which| value.as_object().is_some_and(|value| which.fits(value)))
    };
    if is_removal {
        match part {
            Some(part) => values
                .iter_mut()
                .filter(|value| fits(value))
                .filter_map(Value::as_object_mut)
                .for_each(|value| set(value, parts, part, Value::Null)),
            None => values.retain(|value| !fits(value)),
        }
        return Ok(());
    }
    let given = |value: Value| -> Result<Map<String, Value>, ScimError> {
        let mut read = Map::new();
        match (part, value) {
            (Some(part), value) => set(&mut read, parts, part, value),
            (None, Value::Object(value)) => {
                value.into_iter().for_each(|(name, value)| set(&mut read, parts, &name, value));
            }
            (None, value @ Value::String(_)) => set(&mut read, parts, "value", value),
            (None, Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
                return Err(ScimError::value("a value of many is an object"));
            }
        }
        Ok(read)
    };
    if which.is_some() || part.is_some() {
        let given = given(value)?;
        let mut found = false;
        for value in values.iter_mut().filter(|value| fits(value)).filter_map(Value::as_object_mut)
        {
            found = true;
            value.extend(given.clone());
        }
        if !found {
            // What was to be chosen is made, as the choice describes it.
            let mut made = Map::new();
            for (name, value) in which.map(Filter::equalities).unwrap_or_default() {
                set(&mut made, parts, name, value.clone());
            }
            made.extend(given);
            values.push(Value::Object(made));
        }
        return Ok(());
    }
    if kind == Kind::Replace {
        values.clear();
    }
    let all = match value {
        Value::Array(all) => all,
        one @ (Value::Object(_) | Value::String(_)) => vec![one],
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            return Err(ScimError::value("a value of many is an object"));
        }
    };
    for value in all {
        let value = Value::Object(given(value)?);
        if !values.contains(&value) {
            values.push(value);
        }
    }
    Ok(())
}

/// Sets a part under its one spelling, or removes it; what is not known is left out.
fn set(into: &mut Map<String, Value>, parts: &[&'static str], name: &str, value: Value) {
    let Some(part) = parts.iter().find(|part| part.eq_ignore_ascii_case(name)) else { return };
    if value.is_null() {
        into.remove(*part);
    } else {
        into.insert((*part).to_owned(), value);
    }
}

/// The object of this name, made where there is none.
fn object<'a>(resource: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    fn of(value: &mut Value) -> &mut Map<String, Value> {
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        let Value::Object(object) = value else { return of(value) };
        object
    }
    of(resource.entry(name).or_insert(Value::Null))
}

/// The array of this name, likewise.
fn array<'a>(resource: &'a mut Map<String, Value>, name: &str) -> &'a mut Vec<Value> {
    fn of(value: &mut Value) -> &mut Vec<Value> {
        if !value.is_array() {
            *value = Value::Array(Vec::new());
        }
        let Value::Array(array) = value else { return of(value) };
        array
    }
    of(resource.entry(name).or_insert(Value::Null))
}

/// A member by its name in any case (RFC 7643 §2.1).
pub(crate) fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn parse(path: &str) -> Result<PatchPath, ScimError> {
    PatchPath::parse(path).map_err(|error| {
        let detail = format!("the path cannot be read: {error}");
        ScimError::bad("invalidPath", detail)
    })
}

/// What the fuzzer and the replay of its corpus call: changes a person by any octets.
pub(crate) fn fuzz(octets: &[u8]) {
    let Ok(body) = serde_json::from_slice(octets) else { return };
    super::user::fuzz(&body);
}

/// Entra ID sends at most some 100 at once.
const MAX_OPERATIONS: usize = 1_000;
