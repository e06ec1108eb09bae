//! `GET /api/v1/openapi.json`: the API as `OpenAPI` 3.1, made from the rows that serve it.

use std::sync::LazyLock;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bartizan_store::Permission;
use serde_json::{Map, Value, json};

use super::operation::{Operation, Tagged, Verb, path_names, path_schema};
use super::schema::{Field, Object, Schema, always};
use super::{operations, token};

/// Where it is.
pub(crate) const PATH: &str = "/api/v1/openapi.json";

/// `GET /api/v1/openapi.json`.
pub(crate) async fn document() -> Response {
    let mut response = TEXT.clone().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}

static TEXT: LazyLock<String> = LazyLock::new(|| write().to_string());

static PROBLEM: Object = Object {
    name: "Problem",
    about: "What went wrong (RFC 9457).",
    fields: &[
        always("status", Schema::Number { least: 400, most: 599 }, "The HTTP status, again."),
        always("code", Schema::Text { least: 1, most: 100 }, "In a word; stable."),
        always("detail", Schema::Lines { most: 65_536 }, "One sentence for people; may change."),
        always("server_time_ms", Schema::Time, "The portal's time."),
    ],
};

fn write() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    let mut objects: Vec<&'static Object> = vec![&PROBLEM];
    for operation in operations() {
        operation.objects(&mut objects);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(verb(operation.verb).into(), one(operation));
        }
    }
    let schemas: Map<String, Value> =
        objects.iter().map(|object| (object.name.to_owned(), object.describe())).collect();
    let scopes: Map<String, Value> = Permission::ALL
        .into_iter()
        .map(|permission| (permission.word().to_owned(), permission.meaning().into()))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bartizan",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What an organization's own programs call. See docs/api.md.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [],
        "tags": tags(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "application": {
                    "type": "oauth2",
                    "description": "An application's access token, as a bearer token.",
                    "flows": {
                        "clientCredentials": { "tokenUrl": token::PATH, "scopes": scopes },
                    },
                },
            },
        },
    })
}

fn one(operation: &Operation) -> Value {
    let mut parameters: Vec<Value> = path_names(operation.path)
        .map(|name| {
            let (schema, about) = path_schema(name);
            json!({
                "name": name, "in": "path", "required": true, "description": about,
                "schema": schema.describe(),
            })
        })
        .collect();
    parameters.extend(operation.query.iter().map(query));
    if operation.tagged == Tagged::Must {
        parameters.push(json!({
            "name": "If-Match", "in": "header", "required": true,
            "description": "The ETag of the state that this is to change, or `*` for any.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]([ -~]*[!-~])?$" },
        }));
    }
    if operation.verb == Verb::Post {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "Drawn by the caller: a repeat within a day is answered as the first was.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
        }));
    }
    let mut written = json!({
        "operationId": operation.id,
        "tags": [tag(operation)],
        "summary": operation.summary,
        "security": [{ "application": [operation.permission.word()] }],
        "parameters": parameters,
        "responses": responses(operation),
    });
    if let (Some(body), Some(members)) = (&operation.body, written.as_object_mut()) {
        let schema = body.describe();
        members.insert(
            "requestBody".into(),
            json!({ "required": true, "content": { "application/json": { "schema": schema } } }),
        );
    }
    written
}

fn query(field: &Field) -> Value {
    json!({
        "name": field.name, "in": "query", "required": field.is_required,
        "description": field.about, "schema": field.schema.describe(),
    })
}

fn responses(operation: &Operation) -> Value {
    let mut all = Map::new();
    let (status, object) = operation.answer;
    let mut success = json!({ "description": status.canonical_reason().unwrap_or("Success") });
    if let Some(members) = success.as_object_mut() {
        let file = object.and_then(Object::media);
        if let Some(media) = file {
            // Octets have no schema (OpenAPI 3.1 §4.8.14.1).
            let content: Map<String, Value> =
                media.iter().map(|media| ((*media).to_owned(), json!({}))).collect();
            members.insert("content".into(), content.into());
        } else if let Some(object) = object {
            let schema = Schema::Object(object).describe();
            let content = json!({ "application/json": { "schema": schema } });
            members.insert("content".into(), content);
        }
        let mut headers = Map::new();
        let text = |about: &str| json!({ "description": about, "schema": { "type": "string" } });
        if operation.tagged != Tagged::No {
            let about = "The state of what can be changed about it, for If-Match.";
            headers.insert("ETag".into(), text(about));
        }
        if file.is_some() {
            headers.insert("Content-Disposition".into(), text("What to call the file."));
        }
        if status == StatusCode::CREATED {
            headers.insert("Location".into(), text("Where it is."));
        }
        if !headers.is_empty() {
            members.insert("headers".into(), headers.into());
        }
        let links = links(operation);
        if !links.is_empty() {
            members.insert("links".into(), links.into());
        }
    }
    all.insert(status.as_u16().to_string(), success);
    let problem = json!({
        "application/problem+json": { "schema": Schema::Object(&PROBLEM).describe() },
    });
    for (status, about) in refusals(operation) {
        let refusal = json!({ "description": about, "content": problem });
        all.insert(status.to_string(), refusal);
    }
    all.into()
}

/// What can be called with what an answer says: from a list or from what was made to the thing, from the thing to its
/// change.
fn links(operation: &Operation) -> Map<String, Value> {
    let mut links = Map::new();
    let id = if operation.path.ends_with("/policies") { "policy" } else { "id" };
    for other in operations() {
        let mut names = path_names(other.path);
        let (Some(name), None) = (names.next(), names.next()) else { continue };
        let rest = other.path.strip_prefix(operation.path);
        let leads = rest.is_some_and(|rest| rest.starts_with(&format!("/{{{name}}}")));
        let is_change = other.path == operation.path && other.tagged == Tagged::Must;
        let (place, tag) = if leads && operation.verb == Verb::Get {
            (format!("$response.body#/items/0/{id}"), "*")
        } else if leads && operation.answer.0 == StatusCode::CREATED {
            ("$response.body#/id".to_owned(), "$response.header.ETag")
        } else if is_change && operation.verb == Verb::Get {
            (format!("$request.path.{name}"), "$response.header.ETag")
        } else {
            continue;
        };
        let mut parameters = json!({ name: place });
        if let (Tagged::Must, Some(members)) = (other.tagged, parameters.as_object_mut()) {
            members.insert("If-Match".into(), tag.into());
        }
        let link = json!({ "operationId": other.id, "parameters": parameters });
        links.insert(other.id.to_owned(), link);
    }
    links
}

/// The statuses of failure, with what each means.
pub(super) fn refusals(operation: &Operation) -> Vec<(u16, &'static str)> {
    let mut all = vec![
        (400, "The request is not as described here."),
        (401, "No access token, or none that is good."),
        (403, "The token does not have the scope."),
        (429, "Too many requests; Retry-After says when to come back."),
        (503, "The portal cannot answer now."),
    ];
    if path_names(operation.path).next().is_some() {
        all.push((404, "There is no such thing."));
    }
    if operation.tagged == Tagged::Must {
        all.push((412, "It has changed since: the ETag is another."));
        all.push((428, "If-Match is missing."));
    }
    if operation.body.is_some() {
        all.push((413, "The request is too large."));
        all.push((415, "The body is not application/json."));
    }
    if operation.verb != Verb::Get {
        all.push((409, "Something that is there stands in the way."));
    }
    let is_paged = operation.query.iter().any(|field| field.name == "after");
    let is_file = operation.answer.1.and_then(Object::media).is_some();
    if operation.verb != Verb::Get || is_paged || is_file {
        all.push((422, "As described, but it cannot be: detail says why."));
    }
    all.sort_unstable();
    all
}

/// What an operation is about: the first word of its path.
pub(super) fn tag(operation: &Operation) -> &'static str {
    operation.path.split('/').nth(3).unwrap_or_default()
}

/// What operations are about, in their order.
pub(super) fn tags() -> Vec<Value> {
    let mut names: Vec<&str> = Vec::new();
    for operation in operations() {
        if !names.contains(&tag(operation)) {
            names.push(tag(operation));
        }
    }
    names.into_iter().map(|name| json!({ "name": name })).collect()
}

pub(super) fn verb(verb: Verb) -> &'static str {
    match verb {
        Verb::Get => "get",
        Verb::Post => "post",
        Verb::Put => "put",
        Verb::Patch => "patch",
        Verb::Delete => "delete",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::router::routes;

    #[test]
    fn every_route_is_in_the_document_and_the_reverse() {
        let document = write();
        let paths = document["paths"].as_object().unwrap();
        let described: BTreeSet<_> = paths
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().unwrap().keys();
                methods.map(move |method| (method.to_ascii_uppercase(), path.clone()))
            })
            .collect();
        let not_described = [PATH, super::super::EXPLORER];
        let served: BTreeSet<_> = routes()
            .filter(|(_, path, _)| path.starts_with("/api/v1") && !not_described.contains(path))
            .map(|(method, path, _)| (method.to_string(), path.to_owned()))
            .collect();
        assert_eq!(described, served);
        assert!(25 < described.len());
    }

    #[test]
    fn names_come_once_and_references_lead_somewhere() {
        let document = write();
        let ids: Vec<_> = operations().map(|operation| operation.id).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        let text = document.to_string();
        for name in text.split("#/components/schemas/").skip(1) {
            let name = name.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }

    #[test]
    fn objects_of_one_name_are_one() {
        let mut found: Vec<&'static Object> = Vec::new();
        for operation in operations() {
            let mut all = Vec::new();
            operation.objects(&mut all);
            for object in all {
                let other = found.iter().find(|known| known.name == object.name);
                assert!(other.is_none_or(|it| std::ptr::eq(*it, object)), "{}", object.name);
                found.push(object);
            }
        }
    }
}
