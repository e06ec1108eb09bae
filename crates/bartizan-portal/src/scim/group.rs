//! A group of people as a SCIM group (RFC 7643 §4.2), and back.

use bartizan_store::{GroupFacts, MemberChange, PersonGroupRow, PersonId};
use serde_json::{Map, Value, json};

use super::error::ScimError;
use super::filter::AttributePath;
use super::patch::{Kind, Operation, member};
use super::schema::GROUP;
use super::user::text;
use super::{rfc3339, spelled, version_text};

/// Reads a whole group, as POST and PUT have it: what is known of it, and who is in it.
pub(crate) fn read(body: &Value) -> Result<(GroupFacts, Vec<PersonId>), ScimError> {
    let body =
        body.as_object().ok_or_else(|| ScimError::bad("invalidSyntax", "the body is no object"))?;
    let plain = |name: &str| match member(body, name) {
        Some(value) => text(name, value),
        None => Ok(String::new()),
    };
    let facts =
        GroupFacts { display_name: plain("displayName")?, external_id: plain("externalId")? };
    Ok((named(facts)?, member(body, "members").map_or(Ok(Vec::new()), members)?))
}

/// Reads changes of a group.
pub(crate) fn change(
    facts: &GroupFacts,
    operations: Vec<Operation>,
) -> Result<(GroupFacts, Vec<MemberChange>), ScimError> {
    let (mut facts, mut changes) = (facts.clone(), Vec::new());
    for Operation { kind, path, value } in operations {
        let value =
            if kind == Kind::Remove && !is_members(&path.attribute) { Value::Null } else { value };
        match path.attribute.name.as_str() {
            _ if is_foreign(&path.attribute) => {
                return Err(ScimError::bad("invalidPath", format!("no attribute {path}")));
            }
            "displayname" => facts.display_name = text("displayName", &value)?,
            "externalid" => facts.external_id = text("externalId", &value)?,
            "members" => {
                let chosen = match &path.which {
                    Some(which) => Some(which.one_of("value").ok_or_else(|| {
                        ScimError::bad("invalidFilter", "members are chosen by value eq only")
                    })?),
                    None => None,
                };
                changes.push(match (kind, chosen) {
                    (Kind::Remove, Some(ids)) => {
                        // Somebody who is nobody is in no group.
                        MemberChange::Remove(
                            ids.into_iter().filter_map(|id| id.parse().ok()).collect(),
                        )
                    }
                    (Kind::Remove, None) if value.is_null() => MemberChange::Replace(Vec::new()),
                    // Entra ID says in the value who goes.
                    (Kind::Remove, None) => MemberChange::Remove(members(&value)?),
                    (Kind::Add, None) => MemberChange::Add(members(&value)?),
                    (Kind::Replace, None) => MemberChange::Replace(members(&value)?),
                    (Kind::Add | Kind::Replace, Some(_)) => {
                        return Err(ScimError::bad(
                            "mutability",
                            "who is in a group is added or removed",
                        ));
                    }
                });
            }
            // Entra ID repeats the id in changes without a path.
            "id" | "schemas" => {}
            "meta" => {
                return Err(ScimError::bad("mutability", format!("{path} cannot be changed")));
            }
            _ => return Err(ScimError::bad("invalidPath", format!("no attribute {path}"))),
        }
    }
    Ok((named(facts)?, changes))
}

/// Writes a group, with who is in it where that was read.
pub(crate) fn write(
    group: &PersonGroupRow,
    people: Option<&[(PersonId, String)]>,
    base: &str,
) -> Map<String, Value> {
    let mut written = Map::new();
    written.insert("schemas".into(), json!([GROUP]));
    written.insert("id".into(), group.id.to_string().into());
    spelled(&mut written, "displayName", &group.facts.display_name);
    spelled(&mut written, "externalId", &group.facts.external_id);
    let people = people.unwrap_or_default();
    if !people.is_empty() {
        let members = people.iter().map(|(id, _)| {
            json!({ "value": id.to_string(), "$ref": format!("{base}/Users/{id}"), "type": "User" })
        });
        written.insert("members".into(), members.collect());
    }
    written.insert(
        "meta".into(),
        json!({
            "resourceType": "Group",
            "created": rfc3339(group.created_at),
            "lastModified": rfc3339(group.updated_at),
            "location": format!("{base}/Groups/{}", group.id),
            "version": version_text(group.version),
        }),
    );
    written
}

fn is_members(path: &AttributePath) -> bool {
    path.is("members")
}

fn is_foreign(path: &AttributePath) -> bool {
    path.schema.as_ref().is_some_and(|schema| *schema != GROUP.to_ascii_lowercase())
}

fn named(facts: GroupFacts) -> Result<GroupFacts, ScimError> {
    if facts.display_name.is_empty() {
        return Err(ScimError::value("displayName is required"));
    }
    Ok(facts)
}

fn members(value: &Value) -> Result<Vec<PersonId>, ScimError> {
    let all = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(all) => all.as_slice(),
        Value::Object(_) | Value::String(_) | Value::Number(_) | Value::Bool(_) => {
            std::slice::from_ref(value)
        }
    };
    let mut ids = Vec::with_capacity(all.len());
    for one in all {
        let id = one.as_object().map_or(Some(one), |one| member(one, "value"));
        let id = id.and_then(Value::as_str).and_then(|id| id.parse().ok());
        ids.push(id.ok_or_else(|| ScimError::value("a member is the id of a user"))?);
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::super::patch;
    use super::*;

    const ONE: PersonId = PersonId(0x0192_f3a4_b5c6_7d8e_9f00_1122_3344_5566);

    #[test]
    fn who_is_in_a_group_changes_as_directories_say() {
        let id = ONE.to_string();
        let check = |operation: Value, expected: MemberChange| {
            let read = patch::read(&json!({ "Operations": [operation] })).unwrap();
            let facts = GroupFacts { display_name: "G".into(), external_id: String::new() };
            assert_eq!(change(&facts, read).unwrap().1, [expected], "{operation}");
        };
        check(
            json!({ "op": "Add", "path": "members", "value": [{ "value": id }] }),
            MemberChange::Add(vec![ONE]),
        );
        check(
            json!({ "op": "add", "value": { "members": { "value": id } } }),
            MemberChange::Add(vec![ONE]),
        );
        check(
            json!({ "op": "remove", "path": format!("members[value eq \"{id}\"]") }),
            MemberChange::Remove(vec![ONE]),
        );
        check(
            json!({ "op": "Remove", "path": "members", "value": [{ "value": id }] }),
            MemberChange::Remove(vec![ONE]),
        );
        check(json!({ "op": "remove", "path": "members" }), MemberChange::Replace(Vec::new()));
        check(
            json!({ "op": "replace", "path": "members", "value": [{ "value": id }] }),
            MemberChange::Replace(vec![ONE]),
        );
    }

    #[test]
    fn a_group_keeps_its_name() {
        let facts = GroupFacts { display_name: "G".into(), external_id: "x".into() };
        let change = |operation: Value| {
            change(&facts, patch::read(&json!({ "Operations": [operation] })).unwrap())
        };
        let renamed =
            change(json!({ "op": "Replace", "value": { "id": "x", "displayName": "H" } }));
        assert_eq!(renamed.unwrap().0.display_name, "H");
        assert!(change(json!({ "op": "remove", "path": "displayName" })).is_err());
        assert!(change(json!({ "op": "replace", "path": "meta", "value": {} })).is_err());
        assert!(
            change(json!({ "op": "add", "path": "members", "value": [{ "value": "me" }] }))
                .is_err()
        );
    }
}
