//! What the SCIM service says of itself (RFC 7643 §5 to §7): constant documents.

use serde_json::{Value, json};

use super::MAX_COUNT;

pub(crate) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub(crate) const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub(crate) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";

/// What is supported.
pub(crate) fn service_provider_config(base: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": { "supported": true },
        "bulk": { "supported": false, "maxOperations": 0, "maxPayloadSize": 0 },
        "filter": { "supported": true, "maxResults": MAX_COUNT },
        "changePassword": { "supported": false },
        "sort": { "supported": false },
        "etag": { "supported": true },
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "A token of the organization, made in the console under Users.",
            "specUri": "https://www.rfc-editor.org/info/rfc6750",
            "primary": true,
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{base}/ServiceProviderConfig"),
        },
    })
}

/// The kinds of resources.
pub(crate) fn resource_types(base: &str) -> [Value; 2] {
    [("User", "/Users", USER), ("Group", "/Groups", GROUP)].map(|(name, endpoint, schema)| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": name,
            "name": name,
            "endpoint": endpoint,
            "schema": schema,
            "meta": {
                "resourceType": "ResourceType",
                "location": format!("{base}/ResourceTypes/{name}"),
            },
        })
    })
}

/// The attributes of each.
pub(crate) fn schemas(base: &str) -> [Value; 2] {
    let user = json!([
        attribute(
            "userName",
            "What they sign in to the directory by",
            "string",
            "readWrite",
            (true, "server")
        ),
        complex(
            "name",
            "Their name",
            false,
            "readWrite",
            &[
                plain("formatted", "The whole name"),
                plain("familyName", "The last name, in much of the world"),
                plain("givenName", "The first name, in much of the world"),
            ]
        ),
        plain("displayName", "As people know them"),
        attribute(
            "active",
            "Whether they may have devices protected",
            "boolean",
            "readWrite",
            (false, "none")
        ),
        complex(
            "emails",
            "Their addresses",
            true,
            "readWrite",
            &[
                plain("value", "The address"),
                plain("type", "Such as work"),
                attribute(
                    "primary",
                    "Whether it is the one to use",
                    "boolean",
                    "readWrite",
                    (false, "none")
                ),
            ]
        ),
        complex(
            "groups",
            "The groups they are in",
            true,
            "readOnly",
            &[
                attribute("value", "The group's id", "string", "readOnly", (false, "none")),
                reference("$ref", "The group's address", "readOnly", "Group"),
                attribute("display", "The group's name", "string", "readOnly", (false, "none")),
                attribute("type", "direct", "string", "readOnly", (false, "none")),
            ]
        ),
    ]);
    let group = json!([
        attribute("displayName", "The group's name", "string", "readWrite", (true, "none")),
        complex(
            "members",
            "Who is in it",
            true,
            "readWrite",
            &[
                attribute("value", "The user's id", "string", "immutable", (false, "none")),
                reference("$ref", "The user's address", "immutable", "User"),
                member_type(),
            ]
        ),
    ]);
    [
        ("User", USER, "Somebody whom the product protects", user),
        ("Group", GROUP, "A group of users", group),
    ]
    .map(|(name, id, description, attributes)| {
        json!({
            "schemas": [SCHEMA],
            "id": id,
            "name": name,
            "description": description,
            "attributes": attributes,
            "meta": { "resourceType": "Schema", "location": format!("{base}/Schemas/{id}") },
        })
    })
}

fn plain(name: &str, description: &str) -> Value {
    attribute(name, description, "string", "readWrite", (false, "none"))
}

fn attribute(
    name: &str,
    description: &str,
    kind: &str,
    mutability: &str,
    (required, uniqueness): (bool, &str),
) -> Value {
    json!({
        "name": name, "type": kind, "multiValued": false, "description": description,
        "required": required, "caseExact": false, "mutability": mutability, "returned": "default",
        "uniqueness": uniqueness,
    })
}

fn complex(name: &str, description: &str, many: bool, mutability: &str, parts: &[Value]) -> Value {
    let value = attribute(name, description, "complex", mutability, (false, "none"));
    with(value, [("multiValued", many.into()), ("subAttributes", parts.into())])
}

fn reference(name: &str, description: &str, mutability: &str, to: &str) -> Value {
    let value = attribute(name, description, "reference", mutability, (false, "none"));
    with(value, [("referenceTypes", json!([to])), ("caseExact", true.into())])
}

fn member_type() -> Value {
    let value = attribute("type", "What it is", "string", "immutable", (false, "none"));
    with(value, [("canonicalValues", json!(["User"]))])
}

fn with<const N: usize>(mut value: Value, more: [(&str, Value); N]) -> Value {
    if let Value::Object(object) = &mut value {
        object.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    value
}
