//! SCIM 2.0 (RFC 7643, RFC 7644): a directory keeps the tenant's users and groups up to date.
//!
//! Whoever calls has a bearer token of the tenant. Bodies and errors have SCIM's shape.
//!
//! # What it does not do
//! - Bulk requests, sorting, and searching by POST: the service says so.
//!
//! # Invariants
//! - At most [`MAX_COUNT`] resources an answer.

mod error;
mod filter;
mod group;
mod groups;
mod patch;
mod schema;
mod token;
mod user;
mod users;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bartizan_model::UnixMillis;
use bartizan_store::{DirectoryField, DirectoryFilter, DirectoryMatch};
use serde_json::{Map, Value, json};

pub(crate) use error::render;
pub(crate) use groups::{
    create as create_group, delete as delete_group, group, list as list_groups,
    patch as patch_group, replace as replace_group,
};
pub(crate) use token::{Directory, DirectoryToken};
pub(crate) use users::{
    create as create_user, delete as delete_user, list as list_users, patch as patch_user,
    replace as replace_user, user,
};

use error::ScimError;
use filter::{AttributePath, Filter, Operator};

use crate::request::host;
use crate::state::AppState;

/// Where it is.
pub(crate) const BASE: &str = "/scim/v2";
/// RFC 7644 §3.1.
const MEDIA_TYPE: &str = "application/scim+json";
/// Resources of one answer.
const MAX_COUNT: u32 = 200;

/// `GET /scim/v2/ServiceProviderConfig`.
pub(crate) async fn service_provider_config(_: Directory, asked: Asked) -> Response {
    answer(StatusCode::OK, &schema::service_provider_config(&asked.base))
}

/// `GET /scim/v2/ResourceTypes`.
pub(crate) async fn resource_types(_: Directory, asked: Asked) -> Response {
    list(&schema::resource_types(&asked.base), 2, 1)
}

/// `GET /scim/v2/ResourceTypes/{id}`.
pub(crate) async fn resource_type(
    _: Directory,
    asked: Asked,
    Path(id): Path<String>,
) -> Result<Response, ScimError> {
    one_of(&schema::resource_types(&asked.base), &id)
}

/// `GET /scim/v2/Schemas`.
pub(crate) async fn schemas(_: Directory, asked: Asked) -> Response {
    list(&schema::schemas(&asked.base), 2, 1)
}

/// `GET /scim/v2/Schemas/{id}`.
pub(crate) async fn schema(
    _: Directory,
    asked: Asked,
    Path(id): Path<String>,
) -> Result<Response, ScimError> {
    one_of(&schema::schemas(&asked.base), &id)
}

/// `POST /scim/v2/.search`.
pub(crate) async fn search(_: Directory) -> ScimError {
    ScimError::new(StatusCode::NOT_IMPLEMENTED, "searching by POST is not supported; use GET")
}

fn one_of(all: &[Value], id: &str) -> Result<Response, ScimError> {
    let found = all.iter().find(|one| one.get("id").and_then(Value::as_str) == Some(id));
    found.map(|one| answer(StatusCode::OK, one)).ok_or_else(ScimError::not_found)
}

/// What the address of a request says, beside the path.
pub(crate) struct Asked {
    /// The service's own address, as the client sees it.
    base: String,
    /// In lower case: what to write of a resource, or what not.
    attributes: Vec<String>,
    excluded: Vec<String>,
    filter: Option<String>,
    start_index: u32,
    count: u32,
    if_match: Option<Vec<String>>,
    if_none_match: Option<String>,
}

impl FromRequestParts<AppState> for Asked {
    type Rejection = ScimError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ScimError> {
        let query = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let pairs = query.map_err(|_| ScimError::value("the query cannot be read"))?.0;
        let value = |name: &str| {
            pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        let names = |name: &str| -> Vec<String> {
            let text = value(name).map_or("", String::as_str);
            let names = text.split(',').map(|name| attribute_name(name.trim()));
            names.filter(|name| !name.is_empty()).collect()
        };
        // RFC 7644 §3.4.2.4: what is below counts as the least there is.
        let number = |name: &str, usual: u32| -> Result<u32, ScimError> {
            let Some(text) = value(name) else { return Ok(usual) };
            let number = text.trim().parse::<i64>();
            let number = number.map_err(|_| ScimError::value(format!("{name} is a number")))?;
            Ok(u32::try_from(number.max(0)).unwrap_or(u32::MAX))
        };
        let scheme = if state.secure_cookies { "https" } else { "http" };
        let host = host(&parts.headers, &parts.uri).unwrap_or("localhost");
        let text = |name: header::HeaderName| {
            parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        Ok(Self {
            base: format!("{scheme}://{host}{BASE}"),
            attributes: names("attributes"),
            excluded: names("excludedAttributes"),
            filter: value("filter").cloned(),
            start_index: number("startIndex", 1)?.max(1),
            count: number("count", MAX_COUNT)?.min(MAX_COUNT),
            if_match: text(header::IF_MATCH)
                .map(|text| text.split(',').map(|one| one.trim().to_owned()).collect()),
            if_none_match: text(header::IF_NONE_MATCH),
        })
    }
}

impl Asked {
    /// How many to leave out.
    fn skip(&self) -> u32 {
        self.start_index - 1
    }

    /// Whether an attribute is to be written.
    fn wants(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let always = ["id", "schemas"].contains(&name.as_str());
        always
            || (self.attributes.is_empty() || self.attributes.contains(&name))
                && !self.excluded.contains(&name)
    }

    fn narrowed(&self, resource: Map<String, Value>) -> Value {
        resource.into_iter().filter(|(name, _)| self.wants(name)).collect()
    }

    /// Refuses a change of what is no longer as the client knows it; says which version is expected.
    fn expected(&self, version: u64) -> Result<u64, ScimError> {
        let own = version_text(version);
        let strong = own.trim_start_matches("W/");
        let fits = self
            .if_match
            .as_ref()
            .is_none_or(|tags| tags.iter().any(|tag| tag == "*" || *tag == own || tag == strong));
        if fits {
            Ok(version)
        } else {
            Err(ScimError::new(StatusCode::PRECONDITION_FAILED, "it has another version"))
        }
    }

    /// The filter, in the store's words.
    fn condition(&self) -> Result<Option<DirectoryFilter>, ScimError> {
        let Some(text) = &self.filter else { return Ok(None) };
        let invalid = |detail: String| ScimError::bad("invalidFilter", detail);
        let filter = Filter::parse(text)
            .map_err(|error| invalid(format!("the filter cannot be read: {error}")))?;
        condition(&filter, None).map(Some).ok_or_else(unfit)
    }

    /// Writes one resource, or that the client has it already.
    fn resource(&self, status: StatusCode, version: u64, resource: Map<String, Value>) -> Response {
        let tag = version_text(version);
        let mut response = if status == StatusCode::OK && self.if_none_match.as_ref() == Some(&tag)
        {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            answer(status, &self.narrowed(resource))
        };
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

fn unfit() -> ScimError {
    let detail = "nothing is found by this attribute and operator: eq, co, sw and pr of id, userName, displayName, \
                  externalId, active, emails and members are supported";
    ScimError::bad("invalidFilter", detail)
}

/// `emails.value` narrows to `emails`, and a schema before a name is left out.
fn attribute_name(text: &str) -> String {
    let name = if text.starts_with("urn:") {
        text.rsplit_once(':').map_or(text, |(_, name)| name)
    } else {
        text
    };
    name.split('.').next().unwrap_or_default().to_ascii_lowercase()
}

fn condition(filter: &Filter, within: Option<&AttributePath>) -> Option<DirectoryFilter> {
    let both = |left: &Filter, right: &Filter| {
        Some(vec![condition(left, within)?, condition(right, within)?])
    };
    match filter {
        Filter::And(left, right) if within.is_some() => {
            // Whether one value has both is not asked: kinds of addresses are not told apart.
            match (condition(left, within), condition(right, within)) {
                (Some(left), Some(right)) => Some(DirectoryFilter::And(vec![left, right])),
                (Some(one), None) | (None, Some(one)) => Some(one),
                (None, None) => None,
            }
        }
        Filter::And(left, right) => both(left, right).map(DirectoryFilter::And),
        Filter::Or(left, right) => both(left, right).map(DirectoryFilter::Or),
        Filter::Not(one) => Some(DirectoryFilter::Not(Box::new(condition(one, within)?))),
        Filter::Within(path, filter) => condition(filter, Some(path)),
        Filter::Present(path) => {
            Some(DirectoryFilter::Is(field(path, within)?, DirectoryMatch::Present, String::new()))
        }
        Filter::Compare(path, operator, value) => {
            let field = field(path, within)?;
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Bool(truth) => truth.to_string(),
                Value::Number(number) => number.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            };
            let value =
                if field == DirectoryField::Active { value.to_ascii_lowercase() } else { value };
            let is = |how, value| DirectoryFilter::Is(field, how, value);
            Some(match operator {
                Operator::Equals => is(DirectoryMatch::Equals, value),
                Operator::NotEquals => {
                    DirectoryFilter::Not(Box::new(is(DirectoryMatch::Equals, value)))
                }
                Operator::Contains => is(DirectoryMatch::Contains, value),
                Operator::StartsWith => is(DirectoryMatch::StartsWith, value),
                Operator::EndsWith
                | Operator::Greater
                | Operator::GreaterOrEqual
                | Operator::Less
                | Operator::LessOrEqual => return None,
            })
        }
    }
}

fn field(path: &AttributePath, within: Option<&AttributePath>) -> Option<DirectoryField> {
    let text = match within {
        Some(within) => format!("{}.{}", within.name, path.text()),
        None => path.text(),
    };
    Some(match text.as_str() {
        "id" => DirectoryField::Id,
        "username" => DirectoryField::UserName,
        "displayname" => DirectoryField::DisplayName,
        "externalid" => DirectoryField::ExternalId,
        "active" => DirectoryField::Active,
        "emails" | "emails.value" => DirectoryField::Email,
        "members" | "members.value" => DirectoryField::Member,
        _ => return None,
    })
}

/// A body of JSON, whatever it calls itself.
pub(crate) struct Body(Value);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ScimError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ScimError> {
        let octets = Bytes::from_request(request, state).await;
        let octets = octets
            .map_err(|rejection| ScimError::new(rejection.status(), "the body was not taken"))?;
        let value = serde_json::from_slice(&octets);
        value.map(Self).map_err(|_| ScimError::bad("invalidSyntax", "the body is no JSON"))
    }
}

fn list(resources: &[Value], total: u64, start_index: u32) -> Response {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": total,
        "startIndex": start_index,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    });
    answer(StatusCode::OK, &body)
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    (status, headers, body.to_string()).into_response()
}

/// Writes what is not empty.
fn spelled(into: &mut Map<String, Value>, name: &str, value: &str) {
    if !value.is_empty() {
        into.insert(name.into(), value.into());
    }
}

fn version_text(version: u64) -> String {
    format!("W/\"{version}\"")
}

fn rfc3339(at: UnixMillis) -> String {
    let time = i64::try_from(at.0).ok();
    let time = time.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// Reads a filter, a path or the body of a change, for the fuzzer.
pub(crate) fn fuzz(octets: &[u8]) {
    filter::fuzz(octets);
    patch::fuzz(octets);
}
