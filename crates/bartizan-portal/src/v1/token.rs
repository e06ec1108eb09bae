//! `POST /oauth2/token`: client credentials buy a short-lived access token (RFC 6749 §4.4, RFC 7523).
//!
//! Errors are those of RFC 6749 §5.2, in its own shape: programs that ask for tokens know no other.

use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Form, Json};
use bartizan_model::UnixMillis;
use bartizan_store::{
    ApplicationCaller, CredentialKind, CredentialRow, Permission, Permissions, StoreError,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::access::{ClientId, LIFETIME_MS, issue, touch};
use super::assertion::Assertion;
use crate::error::ApiError;
use crate::request::{Origin, host};
use crate::state::AppState;

/// Where tokens are given out.
pub(crate) const PATH: &str = "/oauth2/token";

/// Why no token was given.
#[derive(Debug)]
enum Refusal {
    /// A word of RFC 6749 §5.2, and a sentence.
    Bad(&'static str, &'static str),
    /// Nobody known; whether they tried by the header `Authorization`.
    Client { by_header: bool },
    /// Too many failures, for so many seconds.
    Wait(u64),
    /// The portal failed.
    Failed(ApiError),
}

/// What a client proves itself with.
enum Proof {
    Secret(String),
    Assertion(String),
}

pub(crate) async fn token(
    State(state): State<AppState>,
    origin: Origin,
    headers: HeaderMap,
    uri: Uri,
    form: Result<Form<Vec<(String, String)>>, FormRejection>,
) -> Response {
    let answer = match form {
        Ok(Form(pairs)) => answer(&state, origin, &headers, &uri, &pairs).await,
        Err(_) => Err(Refusal::Bad("invalid_request", "send a form")),
    };
    answer.unwrap_or_else(refuse)
}

async fn answer(
    state: &AppState,
    origin: Origin,
    headers: &HeaderMap,
    uri: &Uri,
    pairs: &[(String, String)],
) -> Result<Response, Refusal> {
    let grant = one(pairs, "grant_type")?;
    let (client, proof, by_header) = credentials(headers, pairs)?;
    match grant {
        Some("client_credentials") => {}
        Some(_) => {
            return Err(Refusal::Bad("unsupported_grant_type", "ask for client_credentials"));
        }
        None => return Err(Refusal::Bad("invalid_request", "grant_type is missing")),
    }
    let now = state.clock.now();
    let attempt = state
        .throttle
        .begin(&format!("application {client}"), origin.address, now)
        .map_err(|wait| Refusal::Wait(wait.as_secs().saturating_add(1)))?;
    let endpoint = format!("{}{PATH}", host(headers, uri).unwrap_or_default());
    let (client, caller) = check(state, &client, &proof, &endpoint, now)
        .await?
        .ok_or(Refusal::Client { by_header })?;
    state.throttle.succeeded(attempt);
    let granted = granted(one(pairs, "scope")?, caller.permissions)?;
    let scope = caller.scope.during(origin.request, origin.address);
    touch(state, scope, client.application, caller.used_at, now).await.map_err(Refusal::Failed)?;
    let words: Vec<_> = granted.iter().map(Permission::word).collect();
    Ok(Json(json!({
        "access_token": issue(state, client, granted, now),
        "token_type": "Bearer",
        "expires_in": LIFETIME_MS / 1_000,
        "scope": words.join(" "),
    }))
    .into_response())
}

/// Reads whom the client says it is and how it proves it: in one way (RFC 6749 §2.3).
fn credentials(
    headers: &HeaderMap,
    pairs: &[(String, String)],
) -> Result<(String, Proof, bool), Refusal> {
    let id = one(pairs, "client_id")?;
    let secret = one(pairs, "client_secret")?;
    let assertion = one(pairs, "client_assertion")?;
    let kind = one(pairs, "client_assertion_type")?;
    match (headers.get(header::AUTHORIZATION), secret, assertion) {
        (Some(value), None, None) => {
            let failed = || Refusal::Client { by_header: true };
            let (named, secret) = basic(value).ok_or_else(failed)?;
            if id.is_some_and(|id| id != named) {
                return Err(Refusal::Bad("invalid_request", "two different clients are named"));
            }
            Ok((named, Proof::Secret(secret), true))
        }
        (None, Some(secret), None) => {
            let id = id.ok_or(Refusal::Bad("invalid_request", "client_id is missing"))?;
            Ok((id.to_owned(), Proof::Secret(secret.to_owned()), false))
        }
        (None, None, Some(assertion)) => {
            if kind != Some(ASSERTION_TYPE) {
                return Err(Refusal::Bad("invalid_request", "client_assertion_type is not known"));
            }
            let parsed = Assertion::parse(assertion);
            let named = parsed.ok_or(Refusal::Client { by_header: false })?.client.to_string();
            if id.is_some_and(|id| id != named) {
                return Err(Refusal::Bad("invalid_request", "two different clients are named"));
            }
            Ok((named, Proof::Assertion(assertion.to_owned()), false))
        }
        (None, None, None) => Err(Refusal::Client { by_header: false }),
        (_, _, _) => Err(Refusal::Bad("invalid_request", "prove yourself in one way")),
    }
}

/// Finds the client, if the proof is theirs.
async fn check(
    state: &AppState,
    client: &str,
    proof: &Proof,
    endpoint: &str,
    now: UnixMillis,
) -> Result<Option<(ClientId, ApplicationCaller)>, Refusal> {
    let Ok(client) = client.parse::<ClientId>() else { return Ok(None) };
    let caller = match state.store.application_caller(client.tenant, client.application, now).await
    {
        Ok(caller) => caller,
        Err(StoreError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(Refusal::Failed(error.into())),
    };
    let of_kind = |kind| {
        let has_kind = move |credential: &&CredentialRow| credential.kind == kind;
        caller.credentials.iter().filter(has_kind).collect::<Vec<_>>()
    };
    let is_theirs = match proof {
        Proof::Secret(secret) => {
            let hash: [u8; 32] = Sha256::digest(secret).into();
            of_kind(CredentialKind::Secret).iter().any(|secret| secret.value == hash)
        }
        Proof::Assertion(text) => {
            let Some(assertion) = Assertion::parse(text) else { return Ok(None) };
            let keys = of_kind(CredentialKind::Key);
            keys.iter().any(|key| assertion.holds(&key.value, endpoint, now))
                && state.replays.accept(assertion.id(), now)
        }
    };
    Ok(is_theirs.then_some((client, caller)))
}

/// Narrows what the application may do to what it asks for; all, if it asks for nothing.
fn granted(scope: Option<&str>, may: Permissions) -> Result<Permissions, Refusal> {
    let Some(scope) = scope.filter(|scope| !scope.is_empty()) else { return Ok(may) };
    let bad =
        Refusal::Bad("invalid_scope", "the application does not have one of these permissions");
    let asked: Option<Vec<_>> = scope
        .split(' ')
        .map(|word| Permission::from_word(word).filter(|permission| may.has(*permission)))
        .collect();
    asked.map(|asked| Permissions::of(&asked)).ok_or(bad)
}

/// Takes apart what RFC 7617 puts together.
fn basic(value: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    scheme.eq_ignore_ascii_case("Basic").then(|| (id.to_owned(), secret.to_owned()))
}

/// The one value of a parameter (RFC 6749 §3.2: none comes twice).
fn one<'a>(pairs: &'a [(String, String)], name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = pairs.iter().filter(|(found, _)| found == name).map(|(_, value)| &**value);
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(Refusal::Bad("invalid_request", "a parameter comes twice")),
    }
}

fn refuse(refusal: Refusal) -> Response {
    let (status, word, sentence) = match refusal {
        Refusal::Bad(word, sentence) => (StatusCode::BAD_REQUEST, word, sentence),
        Refusal::Client { .. } => {
            let sentence = "client id, secret or assertion is wrong";
            (StatusCode::UNAUTHORIZED, "invalid_client", sentence)
        }
        Refusal::Wait(_) => {
            let sentence = "too many failures; try again later";
            (StatusCode::TOO_MANY_REQUESTS, "invalid_client", sentence)
        }
        Refusal::Failed(error) => return error.into_response(),
    };
    let body = Json(json!({ "error": word, "error_description": sentence }));
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    if let Refusal::Client { by_header: true } = refusal {
        let challenge = HeaderValue::from_static(r#"Basic realm="bartizan", charset="UTF-8""#);
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    if let Refusal::Wait(seconds) = refusal {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
