//! `GET /api/v1/`: the API for people to read, made from the rows that serve it.

use askama::Template as _;
use axum::response::{Html, IntoResponse as _, Response};

use super::document::{refusals, tag, tags, verb};
use super::operation::{Operation, Tagged, Verb, path_names, path_schema};
use super::schema::{Field, Object, Schema};
use super::{DOCUMENT, operations, token};
use crate::console::{ApiCall, ApiField, ApiGroup, ApiObject, ApiPage};
use crate::error::ApiError;

/// `GET /api/v1/`.
pub(crate) async fn explorer() -> Result<Response, ApiError> {
    let page = page().render().map_err(|error| ApiError::internal(&error))?;
    Ok(Html(page).into_response())
}

fn page() -> ApiPage {
    let of = |name: &str| operations().filter(|it| tag(it) == name).map(call).collect();
    let names = tags();
    let names = names.iter().filter_map(|tag| tag.get("name")?.as_str());
    let groups = names.map(|name| ApiGroup { name: name.to_owned(), calls: of(name) }).collect();
    let mut objects: Vec<&'static Object> = Vec::new();
    for operation in operations() {
        operation.objects(&mut objects);
    }
    let objects = objects.into_iter().map(object).collect();
    ApiPage { groups, objects, document: DOCUMENT, token: token::PATH }
}

fn call(operation: &'static Operation) -> ApiCall {
    ApiCall {
        id: operation.id,
        method: verb(operation.verb).to_ascii_uppercase(),
        path: operation.path,
        summary: operation.summary,
        scope: operation.permission.word(),
        parameters: parameters(operation),
        body: operation.body.as_ref().map(|schema| field("body", "", schema, "")),
        answer: (operation.answer.0.as_u16(), operation.answer.1.map(|object| object.name)),
        refusals: refusals(operation),
        curl: curl(operation),
    }
}

fn object(object: &'static Object) -> ApiObject {
    let member = |it: &Field| {
        let place = if it.is_required { "" } else { "may be absent" };
        field(it.name, place, &it.schema, it.about)
    };
    let fields = object.fields.iter().map(member).collect();
    ApiObject { name: object.name, about: object.about, fields }
}

fn field(name: &str, place: &'static str, schema: &Schema, about: &'static str) -> ApiField {
    let mut named = Vec::new();
    schema.objects(&mut named);
    ApiField {
        name: name.to_owned(),
        place,
        words: schema.words(),
        object: named.first().map(|object| object.name),
        about,
    }
}

/// What goes beside the body.
fn parameters(operation: &Operation) -> Vec<ApiField> {
    let of_path = path_names(operation.path).map(|name| {
        let (schema, about) = path_schema(name);
        field(name, "path", &schema, about)
    });
    let of_query = operation.query.iter().map(|it| field(it.name, "query", &it.schema, it.about));
    let mut all: Vec<_> = of_path.chain(of_query).collect();
    let text = Schema::Text { least: 1, most: 255 };
    if operation.tagged == Tagged::Must {
        let about = "The ETag of the state that this is to change, or * for any.";
        all.push(field("If-Match", "header", &text, about));
    }
    if operation.verb == Verb::Post {
        let about = "May be absent. A repeat within a day is answered as the first was.";
        all.push(field("Idempotency-Key", "header", &text, about));
    }
    all
}

/// How to call it from a shell.
fn curl(operation: &Operation) -> String {
    let mut text = "curl -H \"Authorization: Bearer $TOKEN\"".to_owned();
    if operation.verb != Verb::Get {
        text.push_str(" -X ");
        text.push_str(&verb(operation.verb).to_ascii_uppercase());
    }
    if operation.tagged == Tagged::Must {
        text.push_str(" -H \"If-Match: $ETAG\"");
    }
    if operation.body.is_some() {
        text.push_str(" \\\n  -H \"Content-Type: application/json\" -d @body.json");
    }
    text.push_str(" \\\n  https://portal.example");
    text.push_str(operation.path);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_and_object_is_on_the_page() {
        let html = page().render().unwrap();
        for operation in operations() {
            assert!(html.contains(&format!("id=\"{}\"", operation.id)), "{}", operation.id);
        }
        for name in html.split("href=\"#").skip(1) {
            let name = name.split('"').next().unwrap();
            assert!(html.contains(&format!("id=\"{name}\"")), "{name}");
        }
        for odd in ["<script>", "style=", "http-equiv"] {
            assert!(!html.contains(odd), "{odd}");
        }
    }
}
