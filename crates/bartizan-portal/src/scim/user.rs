//! A person as a SCIM user (RFC 7643 §4.1), and back.
//!
//! Kept are names, addresses, and whether they are active. Other attributes of the core and enterprise schemas are
//! taken without complaint and not kept: what the product does not need it does not know.

use bartizan_store::{MAX_EMAILS, PersonEmail, PersonFacts, PersonRow};
use serde_json::{Map, Value, json};

use super::error::ScimError;
use super::filter::AttributePath;
use super::patch::{self, Attribute, member};
use super::schema::{ENTERPRISE, USER};
use super::{rfc3339, spelled, version_text};

/// What an attribute of a user is to whoever changes it.
pub(crate) fn known(path: &AttributePath) -> Option<Attribute> {
    if let Some(schema) = &path.schema {
        let full = format!("{schema}:{}", path.name);
        if full.starts_with(&ENTERPRISE.to_ascii_lowercase()) {
            return Some(Attribute::Ignored);
        }
        if *schema != USER.to_ascii_lowercase() {
            return None;
        }
    }
    Some(match path.name.as_str() {
        "username" => Attribute::Plain("userName"),
        "externalid" => Attribute::Plain("externalId"),
        "displayname" => Attribute::Plain("displayName"),
        "active" => Attribute::Plain("active"),
        "name" => Attribute::Complex("name", &NAME_PARTS),
        "emails" => Attribute::Many("emails", &EMAIL_PARTS),
        "id" | "meta" | "groups" => Attribute::ReadOnly,
        "schemas" => Attribute::Ignored,
        name if IGNORED.contains(&name) => Attribute::Ignored,
        _ => return None,
    })
}

/// Reads a whole user, as POST and PUT have it.
pub(crate) fn read(body: &Value) -> Result<PersonFacts, ScimError> {
    let body =
        body.as_object().ok_or_else(|| ScimError::bad("invalidSyntax", "the body is no object"))?;
    let name = member(body, "name").and_then(Value::as_object);
    let part = |wanted: &str| match name.and_then(|name| member(name, wanted)) {
        Some(value) => text(wanted, value),
        None => Ok(String::new()),
    };
    let plain = |wanted: &str| match member(body, wanted) {
        Some(value) => text(wanted, value),
        None => Ok(String::new()),
    };
    let facts = PersonFacts {
        user_name: plain("userName")?.trim().to_owned(),
        external_id: plain("externalId")?,
        display_name: plain("displayName")?,
        formatted_name: part("formatted")?,
        given_name: part("givenName")?,
        family_name: part("familyName")?,
        emails: member(body, "emails").map_or_else(|| Ok(Vec::new()), emails)?,
        active: member(body, "active").map_or(Ok(None), |value| truth("active", value))?,
    };
    if facts.user_name.is_empty() {
        return Err(ScimError::value("userName is required"));
    }
    Ok(facts)
}

/// Changes what is known of a person.
pub(crate) fn change(
    facts: &PersonFacts,
    operations: Vec<patch::Operation>,
) -> Result<PersonFacts, ScimError> {
    let mut resource = attributes(facts);
    for operation in operations {
        patch::apply(&mut resource, operation, known)?;
    }
    read(&Value::Object(resource))
}

/// Writes a user.
pub(crate) fn write(person: &PersonRow, base: &str) -> Map<String, Value> {
    let mut user = attributes(&person.facts);
    user.insert("schemas".into(), json!([USER]));
    user.insert("id".into(), person.id.to_string().into());
    if !person.groups.is_empty() {
        let groups = person.groups.iter().map(|(id, name)| {
            json!({ "value": id.to_string(), "$ref": format!("{base}/Groups/{id}"), "display": name, "type": "direct" })
        });
        user.insert("groups".into(), groups.collect());
    }
    user.insert(
        "meta".into(),
        json!({
            "resourceType": "User",
            "created": rfc3339(person.created_at),
            "lastModified": rfc3339(person.updated_at),
            "location": format!("{base}/Users/{}", person.id),
            "version": version_text(person.version),
        }),
    );
    user
}

/// What a directory may change, without what is empty.
fn attributes(facts: &PersonFacts) -> Map<String, Value> {
    let mut user = Map::new();
    for (name, value) in [
        ("userName", &facts.user_name),
        ("externalId", &facts.external_id),
        ("displayName", &facts.display_name),
    ] {
        spelled(&mut user, name, value);
    }
    let mut name = Map::new();
    let parts = [&facts.formatted_name, &facts.family_name, &facts.given_name];
    NAME_PARTS.iter().zip(parts).for_each(|(part, value)| spelled(&mut name, part, value));
    if !name.is_empty() {
        user.insert("name".into(), Value::Object(name));
    }
    let emails = facts.emails.iter().map(|email| {
        let mut value = Map::new();
        spelled(&mut value, "value", &email.value);
        spelled(&mut value, "type", &email.kind);
        value.insert("primary".into(), email.is_primary.into());
        Value::Object(value)
    });
    if !facts.emails.is_empty() {
        user.insert("emails".into(), emails.collect());
    }
    if let Some(active) = facts.active {
        user.insert("active".into(), active.into());
    }
    user
}

fn emails(value: &Value) -> Result<Vec<PersonEmail>, ScimError> {
    let all = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(all) => all.as_slice(),
        one @ (Value::Object(_) | Value::String(_)) => std::slice::from_ref(one),
        Value::Bool(_) | Value::Number(_) => return Err(ScimError::value("emails are objects")),
    };
    let mut read: Vec<PersonEmail> = Vec::new();
    for value in all {
        let part = |name| value.as_object().and_then(|email| member(email, name));
        let address =
            part("value").or_else(|| value.is_string().then_some(value)).unwrap_or(&Value::Null);
        let value = text("emails.value", address)?;
        if value.is_empty() {
            continue;
        }
        let kind = part("type").map_or(Ok(String::new()), |kind| text("emails.type", kind))?;
        let is_primary = match part("primary") {
            Some(value) => truth("emails.primary", value)?.unwrap_or(false),
            None => false,
        };
        if is_primary {
            // The last word counts (RFC 7644 §3.5.2).
            read.iter_mut().for_each(|email| email.is_primary = false);
        }
        read.push(PersonEmail { value, kind, is_primary });
    }
    if MAX_EMAILS < read.len() {
        return Err(ScimError::value(format!("at most {MAX_EMAILS} emails are kept")));
    }
    Ok(read)
}

/// Text of at most [`MAX_TEXT`] characters on one line; nothing is empty.
pub(crate) fn text(name: &str, value: &Value) -> Result<String, ScimError> {
    let text = match value {
        Value::Null => "",
        Value::String(text) => text.trim(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            return Err(ScimError::value(format!("{name} is a string")));
        }
    };
    if MAX_TEXT < text.chars().count() || text.chars().any(char::is_control) {
        let detail = format!("{name} has at most {MAX_TEXT} characters on one line");
        return Err(ScimError::value(detail));
    }
    Ok(text.to_owned())
}

/// Entra ID sends `"True"`.
fn truth(name: &str, value: &Value) -> Result<Option<bool>, ScimError> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(truth) => Ok(Some(*truth)),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Value::String(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(ScimError::value(format!("{name} is true or false")))
        }
    }
}

/// Reads a body as a user and as a change of one; a user that was read and written reads as the same.
pub(crate) fn fuzz(body: &Value) {
    if let Ok(facts) = read(body) {
        let again = read(&Value::Object(attributes(&facts)));
        assert_eq!(again.ok().as_ref(), Some(&facts));
    }
    if let Ok(operations) = patch::read(body) {
        let start = PersonFacts {
            user_name: "a".into(),
            emails: vec![PersonEmail { value: "a@a.test".into(), ..PersonEmail::default() }],
            ..PersonFacts::default()
        };
        let _ = change(&start, operations);
    }
}

const NAME_PARTS: [&str; 3] = ["formatted", "familyName", "givenName"];
const EMAIL_PARTS: [&str; 3] = ["value", "type", "primary"];
const IGNORED: [&str; 15] = [
    "nickname",
    "profileurl",
    "title",
    "usertype",
    "preferredlanguage",
    "locale",
    "timezone",
    "password",
    "phonenumbers",
    "ims",
    "photos",
    "addresses",
    "entitlements",
    "roles",
    "x509certificates",
];
const MAX_TEXT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_directories_send_is_understood() {
        // RFC 7644 §3.5.2.
        check(
            json!({ "op": "replace", "path": "displayName", "value": "B" }),
            json!({ "displayName": "B" }),
        );
        check(
            json!({ "op": "add", "path": "name.givenName", "value": "G" }),
            json!({ "name": { "givenName": "G", "familyName": "F" } }),
        );
        check(json!({ "op": "remove", "path": "name" }), json!({ "name": null }));
        check(
            json!({ "op": "remove", "path": "emails[type eq \"work\"]" }),
            json!({ "emails": null }),
        );
        check(
            json!({ "op": "add", "path": "emails", "value": [{ "value": "b@a.test", "primary": true }] }),
            json!({ "emails": [
                { "value": "a@a.test", "type": "work", "primary": false }, { "value": "b@a.test", "primary": true }] }),
        );
        // Entra ID: capitals, text for truth, no path, dotted keys, a choice of what is not there.
        check(
            json!({ "op": "Replace", "path": "active", "value": "False" }),
            json!({ "active": false }),
        );
        check(
            json!({ "op": "Replace", "value": { "active": "True", "name.familyName": "X" } }),
            json!({ "active": true, "name": { "familyName": "X" } }),
        );
        check(
            json!({ "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "c@a.test" }),
            json!({ "emails": [{ "value": "c@a.test", "type": "work", "primary": true }] }),
        );
        check(
            json!({ "op": "Add", "path": "emails[type eq \"home\"].value", "value": "h@a.test" }),
            json!({ "emails": [
                { "value": "a@a.test", "type": "work", "primary": true }, { "value": "h@a.test", "type": "home", "primary": false }] }),
        );
        check(
            json!({ "op": "Add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "D" }),
            json!({}),
        );
        check(
            json!({ "op": "add", "value": { "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": { "department": "D" }, "title": "T" } }),
            json!({}),
        );
        check(
            json!({ "op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:displayName", "value": "U" }),
            json!({ "displayName": "U" }),
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for operation in [
            json!({ "op": "move", "path": "a" }),
            json!({ "op": "remove" }),
            json!({ "op": "remove", "path": "userName" }),
            json!({ "op": "replace", "path": "id", "value": "x" }),
            json!({ "op": "replace", "path": "shoeSize", "value": 1 }),
            json!({ "op": "replace", "path": "active", "value": "maybe" }),
            json!({ "op": "add", "path": "emails", "value": 7 }),
            json!({ "op": "add", "value": 7 }),
            json!({ "op": "add", "path": "displayName", "value": "a\nb" }),
        ] {
            assert!(changed(&operation).is_err(), "{operation}");
        }
    }

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "rows read better so")]
    fn check(operation: Value, expected: Value) {
        let mut wanted = attributes(&start());
        for (name, value) in expected.as_object().unwrap() {
            if value.is_null() {
                wanted.remove(name);
            } else {
                wanted.insert(name.clone(), value.clone());
            }
        }
        let facts = changed(&operation).unwrap();
        let wanted = read(&Value::Object(wanted)).unwrap();
        assert_eq!(facts, wanted, "{operation}");
    }

    fn changed(operation: &Value) -> Result<PersonFacts, ScimError> {
        change(&start(), patch::read(&json!({ "Operations": [operation] }))?)
    }

    fn start() -> PersonFacts {
        read(&json!({
            "userName": "a", "displayName": "A", "name": { "familyName": "F" },
            "emails": [{ "value": "a@a.test", "type": "work", "primary": true }],
        }))
        .unwrap()
    }
}
