//! What happens to every call: who, how often, what for, what with; then its handler, and the answer.
//!
//! # Invariants
//! - A handler sees nothing that its row does not describe.
//! - What it answers is as its row describes (checked in builds for tests).

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{FromRequest as _, FromRequestParts as _, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use bartizan_contract::problem::code;
use bartizan_store::Repeat;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::access::{self, Application};
use super::operation::{Call, Operation, Reply, Tagged, Verb, path_names, path_schema};
use super::schema::{Object, Schema, whole_numbers};
use crate::error::ApiError;
use crate::policy_files::{self, File};
use crate::request::Caller;
use crate::state::AppState;

/// The route of an operation.
pub(crate) fn route(operation: &'static Operation) -> MethodRouter<AppState> {
    let filter = match operation.verb {
        Verb::Get => MethodFilter::GET,
        Verb::Post => MethodFilter::POST,
        Verb::Put => MethodFilter::PUT,
        Verb::Patch => MethodFilter::PATCH,
        Verb::Delete => MethodFilter::DELETE,
    };
    on(filter, move |State(state): State<AppState>, request: Request| {
        serve(operation, state, request)
    })
}

async fn serve(
    operation: &'static Operation,
    state: AppState,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let application = access::application(&parts, &state).await?;
    let (now, tenant) = (state.clock.now(), application.scope.tenant_id());
    state.rates.take(tenant, application.id, now).map_err(too_often)?;
    if !application.permissions.has(operation.permission) {
        let word = operation.permission.word();
        tracing::warn!(
            tenant.id = tenant.0,
            application.id = %application.id,
            permission = word,
            request.id = Caller::request_id(&parts),
            "permission refused"
        );
        let detail = format!("this token does not have the scope \"{word}\"");
        return Err(ApiError::new(StatusCode::FORBIDDEN, SCOPE_MISSING, detail));
    }
    let path = path(operation, &mut parts, &state).await?;
    let address = policy_files::address(&state, &parts.headers, &parts.uri);
    let query = query(operation, &parts)?;
    let if_match = if_match(operation, &parts.headers)?;
    let key = idempotency_key(operation, &parts.headers)?;
    let octets = match operation.body {
        None => Bytes::new(),
        Some(_) => {
            expect_json(&parts.headers)?;
            let request = Request::from_parts(parts, body);
            Bytes::from_request(request, &state).await.map_err(|rejection| {
                let status = rejection.status();
                if status == StatusCode::PAYLOAD_TOO_LARGE {
                    ApiError::new(status, code::TOO_LARGE, "the request is too large")
                } else {
                    ApiError::malformed("the request's body did not arrive whole")
                }
            })?
        }
    };
    let body = message(operation, &octets)?;
    let places: Vec<_> = path.values().map(String::as_str).collect();
    let asked = format!("{} {}\n", operation.id, places.join("/"));
    let hash = Sha256::new().chain_update(asked).chain_update(&octets).finalize().into();
    let call = Call {
        operation,
        application: application.clone(),
        path,
        query,
        body,
        if_match,
        now,
        address,
        state,
    };
    match key {
        None => (operation.handler)(call).await.and_then(|reply| write(operation, reply)),
        Some(key) => once(operation, call, application, key, hash).await,
    }
}

/// Carries a call out unless that was done before.
async fn once(
    operation: &'static Operation,
    call: Call,
    application: Application,
    key: String,
    hash: [u8; 32],
) -> Result<Response, ApiError> {
    let (scope, id, state) = (application.scope, application.id, call.state.clone());
    let store = &state.store;
    match store.begin_idempotent(scope, id, key.clone(), hash, call.now).await? {
        Repeat::Fresh => {}
        Repeat::Answered { status, body } => return again(status, &body),
        Repeat::UnderWay => {
            let detail = "a request with this Idempotency-Key is being carried out";
            let mut error = ApiError::new(StatusCode::CONFLICT, KEY_IN_USE, detail);
            error.retry_after = Some(1);
            return Err(error);
        }
        Repeat::Other => {
            let detail = "this Idempotency-Key stands for another request";
            return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, KEY_REUSED, detail));
        }
    }
    let answer = (operation.handler)(call).await;
    let kept = match &answer {
        Ok(reply) => Some((
            operation.answer.0.as_u16(),
            json!({ "body": reply.body, "tag": reply.tag, "location": reply.location }),
        )),
        // What failed here may be tried again.
        Err(error) if error.status.is_server_error() => None,
        Err(error) => {
            Some((error.status.as_u16(), json!({ "code": error.code, "detail": error.detail })))
        }
    };
    let kept = kept.map(|(status, body)| (status, body.to_string()));
    store.end_idempotent(scope, id, key, kept).await?;
    write(operation, answer?)
}

/// Answers as before.
fn again(status: u16, kept: &str) -> Result<Response, ApiError> {
    let kept: Value = serde_json::from_str(kept).map_err(|error| ApiError::internal(&error))?;
    let status = StatusCode::from_u16(status).map_err(|error| ApiError::internal(&error))?;
    let text = |name: &str| kept.get(name).and_then(Value::as_str).map(str::to_owned);
    if status.is_success() {
        let body = kept.get("body").filter(|body| !body.is_null()).cloned();
        return finish(
            status,
            Reply { body, file: None, tag: text("tag"), location: text("location") },
        );
    }
    let detail = text("detail").unwrap_or_default();
    let known = [code::MALFORMED, code::NOT_FOUND, UNFIT, CONFLICT];
    let word = text("code").and_then(|word| known.into_iter().find(|known| *known == word));
    Err(ApiError::new(status, word.unwrap_or(UNFIT), detail))
}

fn write(operation: &'static Operation, reply: Reply) -> Result<Response, ApiError> {
    let (status, schema) = operation.answer;
    debug_assert_eq!(
        schema.zip(reply.body.as_ref()).map_or(Ok(()), |(it, body)| Schema::Object(it).check(body)),
        Ok(()),
        "{}",
        operation.id
    );
    debug_assert_eq!(
        schema.and_then(Object::media).is_some_and(|media| {
            reply.file.as_ref().is_some_and(|file| media.contains(&file.media))
        }),
        reply.file.is_some(),
        "{}",
        operation.id
    );
    finish(status, reply)
}

fn finish(status: StatusCode, reply: Reply) -> Result<Response, ApiError> {
    let disposition = reply.file.as_ref().map(File::disposition);
    let mut response = match (reply.body, reply.file) {
        (Some(body), _) => (status, axum::Json(body)).into_response(),
        (None, Some(file)) => {
            let kind = HeaderValue::from_static(file.media);
            (status, [(header::CONTENT_TYPE, kind)], file.octets).into_response()
        }
        (None, None) => status.into_response(),
    };
    for (name, value) in [
        (header::ETAG, reply.tag),
        (header::LOCATION, reply.location),
        (header::CONTENT_DISPOSITION, disposition),
    ] {
        if let Some(value) = value {
            let value = HeaderValue::try_from(value).map_err(|error| ApiError::internal(&error))?;
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

async fn path(
    operation: &'static Operation,
    parts: &mut Parts,
    state: &AppState,
) -> Result<BTreeMap<String, String>, ApiError> {
    let found = Path::<BTreeMap<String, String>>::from_request_parts(parts, state).await;
    let Path(found) = found.map_err(|_| ApiError::not_found("path"))?;
    for name in path_names(operation.path) {
        let text = found.get(name).map_or("", String::as_str);
        // What no id can be names nothing.
        path_schema(name).0.read(text).map_err(|_| ApiError::not_found(name))?;
    }
    Ok(found)
}

fn query(
    operation: &'static Operation,
    parts: &Parts,
) -> Result<BTreeMap<&'static str, Value>, ApiError> {
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
    let Query(pairs) = pairs.map_err(|_| ApiError::malformed("the query cannot be read"))?;
    let mut query = BTreeMap::new();
    for (name, text) in &pairs {
        let field = operation.query.iter().find(|field| field.name == name);
        let field = field
            .ok_or_else(|| ApiError::malformed("a parameter of the query is not known here"))?;
        let value = field.schema.read(text);
        let value = value.map_err(|what| ApiError::malformed(format!("{}{what}", field.name)))?;
        if query.insert(field.name, value).is_some() {
            return Err(ApiError::malformed(format!("{} comes twice", field.name)));
        }
    }
    let missing = operation.query.iter().find(|it| it.is_required && !query.contains_key(it.name));
    if let Some(field) = missing {
        return Err(ApiError::malformed(format!("{} is missing", field.name)));
    }
    Ok(query)
}

fn if_match(
    operation: &'static Operation,
    headers: &HeaderMap,
) -> Result<Option<String>, ApiError> {
    let values: Vec<_> = headers.get_all(header::IF_MATCH).iter().collect();
    if operation.tagged != Tagged::Must {
        return Ok(None);
    }
    if values.is_empty() {
        let detail = "say by If-Match which state this is to change: its ETag, or *";
        return Err(ApiError::new(StatusCode::PRECONDITION_REQUIRED, TAG_REQUIRED, detail));
    }
    let values: Result<Vec<_>, _> = values.into_iter().map(HeaderValue::to_str).collect();
    let told = values.map(|values| values.join(",")).unwrap_or_default();
    let is_plain = told.bytes().all(|octet| (b' '..=b'~').contains(&octet));
    if !(1..=MAX_TAGS).contains(&told.trim().len()) || !is_plain {
        return Err(ApiError::malformed("If-Match is not 1 to 200 visible characters"));
    }
    Ok(Some(told))
}

fn idempotency_key(
    operation: &'static Operation,
    headers: &HeaderMap,
) -> Result<Option<String>, ApiError> {
    if operation.verb != Verb::Post {
        return Ok(None);
    }
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (first, second) = (values.next(), values.next());
    let Some(value) = first else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| {
        (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_graphic())
    });
    match (text, second) {
        (Some(text), None) => Ok(Some(text.to_owned())),
        (_, _) => Err(ApiError::malformed("Idempotency-Key is not 1 to 255 visible characters")),
    }
}

fn expect_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    if kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let detail = "send application/json";
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, NOT_JSON, detail))
}

fn message(operation: &'static Operation, octets: &[u8]) -> Result<Value, ApiError> {
    let Some(schema) = &operation.body else { return Ok(Value::Null) };
    let mut value = serde_json::from_slice(octets)
        .map_err(|error| ApiError::malformed(format!("the body is not JSON: {error}")))?;
    whole_numbers(&mut value);
    schema.check(&value).map_err(ApiError::malformed)?;
    Ok(value)
}

fn too_often(seconds: u64) -> ApiError {
    let detail = "this application calls too often";
    let mut error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, code::RATE_LIMITED, detail);
    error.retry_after = Some(seconds);
    error
}

/// Something that the schema allows and that cannot be.
pub(crate) fn unfit(detail: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, UNFIT, detail)
}

/// As what is there stands in the way.
pub(crate) fn conflict(detail: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, CONFLICT, detail)
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const MAX_KEY: usize = 255;
/// Characters of entity tags; ours have 26.
const MAX_TAGS: usize = 200;
const SCOPE_MISSING: &str = "scope_missing";
const TAG_REQUIRED: &str = "if_match_required";
const NOT_JSON: &str = "not_json";
const KEY_IN_USE: &str = "idempotency_key_in_use";
const KEY_REUSED: &str = "idempotency_key_reused";
const UNFIT: &str = "unfit";
const CONFLICT: &str = "conflict";
