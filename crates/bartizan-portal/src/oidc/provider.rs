//! A provider as it describes itself (OpenID Connect Discovery 1.0), with its keys; fetched when needed, kept for an hour.
//!
//! # Invariants
//! - Nothing is fetched but over TLS, and from public addresses unless the organization allows others. On this very
//!   machine, where private addresses are allowed, plain HTTP does.
//! - Keys are fetched anew when a token names one that is not known, but for a token from a stranger not more than once
//!   in [`STRANGER_PAUSE`].
//! - A provider that does not answer is left alone for [`AFTER_FAILURE`].

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use bartizan_model::{Private, UnixMillis};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, Semaphore};
use ureq::http::header;

use super::jose::{JoseError, KeySet};
use crate::feeds::{Access, agent, is_this_machine};
use crate::later;
use crate::state::AppState;

/// Why a provider could not be asked, or what it says makes no sense.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ProviderError {
    /// Not reached by TLS.
    #[error("{0} is not reached by https://")]
    NotHttps(String),
    /// No answer, or none in time.
    #[error("{url} cannot be reached: {cause}")]
    Unreachable { url: String, cause: String },
    /// Another status than 200. What came with it is the provider's code for the error, if it gave one.
    #[error("{url} answers with status {status} {code}")]
    Status { url: String, status: u16, code: String },
    /// Not the JSON that belongs there.
    #[error("what {url} answers is not what belongs there: {cause}")]
    OtherDocument { url: String, cause: String },
    /// It calls itself otherwise.
    #[error("the provider calls itself {0}")]
    OtherIssuer(String),
    /// Its keys are none.
    #[error(transparent)]
    Keys(#[from] JoseError),
    /// It has just failed.
    #[error("the provider did not answer a moment ago")]
    Pausing,
    /// The portal is shutting down.
    #[error("the portal is shutting down")]
    Closing,
}

/// What the provider says of itself (Discovery §3, RFC 8414, RFC 9207), as far as it is used.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: String,
    pub(crate) token_endpoint: String,
    pub(crate) jwks_uri: String,
    pub(crate) userinfo_endpoint: Option<String>,
    /// `client_secret_basic` if absent.
    pub(crate) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) authorization_response_iss_parameter_supported: bool,
}

/// Where a provider is, and what may be reached there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) issuer: String,
    pub(crate) allow_private: bool,
}

/// The providers that were asked by this process. Cloning an entry shares it.
#[derive(Default)]
pub(crate) struct Providers {
    entries: Mutex<BTreeMap<Place, Arc<Mutex<Entry>>>>,
}

#[derive(Default)]
struct Entry {
    known: Option<(Metadata, UnixMillis)>,
    keys: Option<(KeySet, UnixMillis)>,
    failed_at: Option<UnixMillis>,
}

impl Providers {
    async fn entry(&self, place: &Place) -> Arc<Mutex<Entry>> {
        let mut entries = self.entries.lock().await;
        if MAX_ENTRIES <= entries.len() && !entries.contains_key(place) {
            // What is forgotten is fetched again.
            entries.clear();
        }
        Arc::clone(entries.entry(place.clone()).or_default())
    }

    /// Forgets what is known of a provider, so that a change of its settings is tried on the provider itself.
    pub(crate) async fn forget(&self, place: &Place) {
        self.entries.lock().await.remove(place);
    }
}

/// Returns what the provider says of itself.
pub(crate) async fn metadata(state: &AppState, place: &Place) -> Result<Metadata, ProviderError> {
    let entry = state.providers.entry(place).await;
    let mut entry = entry.lock().await;
    let now = state.clock.now();
    if let Some((known, at)) = &entry.known
        && now < later(*at, KEPT)
    {
        return Ok(known.clone());
    }
    let issuer = place.issuer.trim_end_matches('/');
    let url = format!("{issuer}/.well-known/openid-configuration");
    let fetched: Metadata = guarded(&mut entry, now, get(place, url, None)).await?;
    if fetched.issuer != place.issuer {
        return Err(ProviderError::OtherIssuer(fetched.issuer));
    }
    for url in [&fetched.authorization_endpoint, &fetched.token_endpoint, &fetched.jwks_uri] {
        check_address(place, url)?;
    }
    entry.known = Some((fetched.clone(), now));
    Ok(fetched)
}

/// Who brought the token that keys are needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bearer {
    /// The provider's own token endpoint.
    Provider,
    /// Anybody.
    Stranger,
}

/// Returns the provider's keys: those that are known, or `anew` because a token names another.
pub(crate) async fn keys(
    state: &AppState,
    place: &Place,
    metadata: &Metadata,
    anew: Option<Bearer>,
) -> Result<KeySet, ProviderError> {
    let entry = state.providers.entry(place).await;
    let mut entry = entry.lock().await;
    let now = state.clock.now();
    if let Some((known, at)) = &entry.keys {
        let kept = match anew {
            None => KEPT,
            Some(Bearer::Stranger) => STRANGER_PAUSE,
            Some(Bearer::Provider) => Duration::ZERO,
        };
        if now < later(*at, kept) {
            return Ok(known.clone());
        }
    }
    let url = metadata.jwks_uri.clone();
    let octets = guarded(&mut entry, now, fetch(place, Request::get(url, None))).await?;
    let keys = KeySet::parse(&octets)?;
    entry.keys = Some((keys.clone(), now));
    Ok(keys)
}

/// Notes whether it answered; asks nothing of a provider that has just failed.
async fn guarded<T>(
    entry: &mut Entry,
    now: UnixMillis,
    asking: impl Future<Output = Result<T, ProviderError>>,
) -> Result<T, ProviderError> {
    if entry.failed_at.is_some_and(|at| now < later(at, AFTER_FAILURE)) {
        return Err(ProviderError::Pausing);
    }
    let answer = asking.await;
    entry.failed_at = answer.is_err().then_some(now);
    answer
}

/// Fetches JSON.
pub(crate) async fn get<T: DeserializeOwned>(
    place: &Place,
    url: String,
    bearer: Option<Private<String>>,
) -> Result<T, ProviderError> {
    let octets = fetch(place, Request::get(url.clone(), bearer)).await?;
    read(url, &octets)
}

/// Sends a form and reads the JSON that comes back; `authorization` is the header's value.
pub(crate) async fn post<T: DeserializeOwned>(
    place: &Place,
    url: String,
    authorization: Option<Private<String>>,
    form: Private<String>,
) -> Result<T, ProviderError> {
    let request = Request { url: url.clone(), authorization, form: Some(form) };
    let octets = fetch(place, request).await?;
    read(url, &octets)
}

fn read<T: DeserializeOwned>(url: String, octets: &[u8]) -> Result<T, ProviderError> {
    serde_json::from_slice(octets)
        .map_err(|error| ProviderError::OtherDocument { url, cause: error.to_string() })
}

struct Request {
    url: String,
    authorization: Option<Private<String>>,
    form: Option<Private<String>>,
}

impl Request {
    fn get(url: String, bearer: Option<Private<String>>) -> Self {
        let authorization = bearer.map(|token| Private(format!("Bearer {}", token.0)));
        Self { url, authorization, form: None }
    }
}

async fn fetch(place: &Place, request: Request) -> Result<Vec<u8>, ProviderError> {
    check_address(place, &request.url)?;
    let allow_private = place.allow_private;
    let _permit = AT_ONCE.acquire().await.map_err(|_| ProviderError::Closing)?;
    tokio::task::spawn_blocking(move || call(allow_private, request))
        .await
        .map_err(|_| ProviderError::Closing)?
}

fn call(allow_private: bool, request: Request) -> Result<Vec<u8>, ProviderError> {
    let Request { url, authorization, form } = request;
    // `check_address` has refused all plain HTTP but this machine's.
    let access = Access { allow_http: allow_private, allow_private, authorization: None };
    let agent = agent(&url, &access, 0);
    let unreachable = |cause: String| ProviderError::Unreachable { url: url.clone(), cause };
    let authorization = authorization.as_ref().map(|value| value.0.as_str());
    let answer = match &form {
        None => {
            let mut request = agent.get(&url).header(header::ACCEPT, "application/json");
            if let Some(value) = authorization {
                request = request.header(header::AUTHORIZATION, value);
            }
            request.config().timeout_global(Some(TIME_LIMIT)).build().call()
        }
        Some(form) => {
            let mut request = agent
                .post(&url)
                .header(header::ACCEPT, "application/json")
                .content_type("application/x-www-form-urlencoded");
            if let Some(value) = authorization {
                request = request.header(header::AUTHORIZATION, value);
            }
            request.config().timeout_global(Some(TIME_LIMIT)).build().send(form.0.as_bytes())
        }
    };
    let answer = answer.map_err(|error| unreachable(error.to_string()))?;
    let status = answer.status().as_u16();
    let mut octets = Vec::new();
    let body = answer.into_body().into_with_config().limit(MAX_ANSWER).reader();
    body.take(MAX_ANSWER)
        .read_to_end(&mut octets)
        .map_err(|error| unreachable(error.to_string()))?;
    if status == 200 {
        Ok(octets)
    } else {
        Err(ProviderError::Status { url, status, code: error_code(&octets) })
    }
}

/// The provider's word for what went wrong (RFC 6749 §5.2); nothing else of its answer is told on.
fn error_code(octets: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Told {
        error: String,
    }
    let code = serde_json::from_slice::<Told>(octets).map(|told| told.error).unwrap_or_default();
    code.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect()
}

/// Refuses what is not reached by TLS.
pub(crate) fn check_address(place: &Place, url: &str) -> Result<(), ProviderError> {
    let is_local = place.allow_private && url.starts_with("http://") && is_this_machine(url);
    if url.starts_with("https://") || is_local {
        Ok(())
    } else {
        Err(ProviderError::NotHttps(url.to_owned()))
    }
}

/// How long what a provider says of itself is taken to hold.
const KEPT: Duration = Duration::from_secs(60 * 60);
/// Between two fetches of keys because of tokens that anybody may send.
const STRANGER_PAUSE: Duration = Duration::from_secs(30);
const AFTER_FAILURE: Duration = Duration::from_secs(5);
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Metadata and keys are some KiB.
const MAX_ANSWER: u64 = 1 << 20;
const MAX_ENTRIES: usize = 10_000;
/// Each holds a thread for up to [`TIME_LIMIT`].
static AT_ONCE: Semaphore = Semaphore::const_new(16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tls_and_this_machine_if_allowed() {
        check("https://id.test", false, true);
        check("http://id.test", true, false);
        check("http://127.0.0.1:1", false, false);
        check("http://127.0.0.1:1", true, true);
        check("http://127.0.0.1.evil.test", true, false);
        check("ftp://id.test", true, false);
    }

    #[test]
    fn of_an_error_only_its_word_is_told() {
        assert_eq!(
            error_code(br#"{"error":"invalid_grant","error_description":"x"}"#),
            "invalid_grant"
        );
        assert_eq!(error_code(br#"{"error":"a<b>\n"}"#), "ab");
        assert_eq!(error_code(b"<html>"), "");
    }

    #[track_caller]
    fn check(url: &str, allow_private: bool, expected: bool) {
        let place = Place { issuer: url.into(), allow_private };
        assert_eq!(check_address(&place, url).is_ok(), expected, "{url}");
    }
}
