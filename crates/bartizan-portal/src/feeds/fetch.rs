//! Fetching a feed over HTTP: one document, or what a MISP folder or a TAXII collection come to.
//!
//! Blocks; the portal runs it on a thread for that, and stops it by [`Fetcher::stop`].
//!
//! # Invariants
//! - TLS and public addresses only, unless the row says otherwise, after redirects too.
//! - Octets, redirects, time, pages and events are bounded ([`Limits`]).
//! - Errors name the host and never the rest of an address, which may hold a key.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bartizan_model::{Private, UnixMillis};
use bartizan_store::Validators;
use ureq::http::{HeaderMap, StatusCode, Uri, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::DefaultConnector;

use super::address::{PrivateAddress, PublicOnly};
use crate::Clock;

/// What a fetch is allowed to do.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Come without TLS.
    pub allow_http: bool,
    /// Come from a private address.
    pub allow_private: bool,
    /// Value of the header `Authorization`.
    pub authorization: Option<Private<String>>,
}

/// Bounds of one fetch.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Octets, as they come.
    pub octets: u64,
    /// From the first request to the last octet.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { octets: 256 << 20, time: Duration::from_secs(300) }
    }
}

/// What a fetch came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The server has nothing newer than what is known.
    Unchanged,
    /// The octets were written; this is what the server calls them.
    New(Validators),
}

/// Why nothing came.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Not an address of the web.
    #[error("is not an http:// or https:// address")]
    NotAnAddress,
    /// Without TLS, in the row or by a redirect.
    #[error(
        "{host} is not reached by https://: whoever changes a feed on the way decides what is blocked. Allow plain HTTP for this feed if that is meant"
    )]
    NotHttps {
        /// Where.
        host: String,
    },
    /// A private address, in the row or by a redirect.
    #[error("{0}: allow private addresses for this feed if that is meant")]
    Private(PrivateAddress),
    /// Another status than 200 or 304.
    #[error("{host} answers with status {status}")]
    Status {
        /// Who.
        host: String,
        /// RFC 9110 §15.
        status: u16,
    },
    /// Longer than allowed.
    #[error("is larger than {} MiB", .limit.div_ceil(1 << 20))]
    TooLarge {
        /// In octets.
        limit: u64,
    },
    /// Slower than allowed.
    #[error("{host} took longer than {} s", .limit.as_secs())]
    TooSlow {
        /// Who.
        host: String,
        /// For all of it.
        limit: Duration,
    },
    /// Sent on and on.
    #[error("{host} redirects more than {MAX_REDIRECTS} times")]
    TooManyRedirects {
        /// Where it began.
        host: String,
    },
    /// No connection, or one that broke.
    #[error("{host} cannot be reached, or broke off: {cause}")]
    Network {
        /// Who.
        host: String,
        /// In words.
        cause: String,
    },
    /// Not the document that such an origin has there.
    #[error("{0}")]
    OtherDocument(&'static str),
    /// The octets could not be kept.
    #[error("cannot be written: {0}")]
    Sink(#[source] io::Error),
}

/// Makes the requests of one fetch.
#[derive(Clone, Debug)]
pub struct Fetcher {
    agent: ureq::Agent,
    access: Access,
    limits: Limits,
    clock: Clock,
    ends_at: UnixMillis,
}

impl Fetcher {
    /// Begins; the time limit runs from here.
    #[must_use]
    pub fn new(url: &str, access: Access, limits: Limits, clock: &Clock) -> Self {
        let agent = agent(url, &access, MAX_REDIRECTS);
        let ends_at = crate::later(clock.now(), limits.time);
        Self { agent, access, limits, clock: clock.clone(), ends_at }
    }

    /// Breaks off whatever is under way, on whichever thread.
    pub fn stop(&self) {
        self.agent.clone().shutdown();
    }

    /// Fetches one document, unless it is the one known by `known`.
    ///
    /// # Errors
    /// Why it did not come whole. Something may have been written.
    pub fn document(
        &self,
        url: &str,
        known: &Validators,
        into: &mut dyn Write,
    ) -> Result<Fetched, FetchError> {
        let mut octets = self.limits.octets;
        let Some(answer) = self.get(url, known, "*/*")? else { return Ok(Fetched::Unchanged) };
        let validators = answer.validators();
        self.copy(answer, &mut octets, into)?;
        Ok(Fetched::New(validators))
    }

    /// Asks; `None` if the server has nothing newer.
    pub(super) fn get(
        &self,
        url: &str,
        known: &Validators,
        accept: &str,
    ) -> Result<Option<Answer>, FetchError> {
        let uri: Uri = url.parse().map_err(|_| FetchError::NotAnAddress)?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(FetchError::NotAnAddress);
        }
        let host = uri.host().unwrap_or_default().to_owned();
        let left = self.ends_at.0.saturating_sub(self.clock.now().0);
        if left == 0 {
            return Err(FetchError::TooSlow { host, limit: self.limits.time });
        }
        let mut request = self.agent.get(uri).header(header::ACCEPT, accept);
        for (name, value) in [
            (header::IF_NONE_MATCH, &known.etag),
            (header::IF_MODIFIED_SINCE, &known.last_modified),
        ] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        if let Some(secret) = &self.access.authorization {
            request = request.header(header::AUTHORIZATION, &secret.0);
        }
        let request = request.config().timeout_global(Some(Duration::from_millis(left))).build();
        let response = request.call().map_err(|error| self.explain(error, &host))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED => return Ok(None),
            other => return Err(FetchError::Status { host, status: other.as_u16() }),
        }
        let (parts, body) = response.into_parts();
        Ok(Some(Answer { host, headers: parts.headers, body }))
    }

    /// Writes an answer's body; `octets` is what may still come.
    pub(super) fn copy(
        &self,
        answer: Answer,
        octets: &mut u64,
        into: &mut dyn Write,
    ) -> Result<(), FetchError> {
        let too_large = FetchError::TooLarge { limit: self.limits.octets };
        if answer.body.content_length().is_some_and(|length| *octets < length) {
            return Err(too_large);
        }
        let mut body = answer.body.into_with_config().limit(u64::MAX).reader();
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = match body.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) => return Err(self.explain(ureq::Error::from(error), &answer.host)),
            };
            let Some(left) = octets.checked_sub(u64::try_from(read).unwrap_or(u64::MAX)) else {
                return Err(too_large);
            };
            *octets = left;
            into.write_all(chunk.get(..read).unwrap_or_default()).map_err(FetchError::Sink)?;
        }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "ureq's errors are many and grow")]
    fn explain(&self, error: ureq::Error, host: &str) -> FetchError {
        let host = host.to_owned();
        match error {
            ureq::Error::RequireHttpsOnly(_) => FetchError::NotHttps { host },
            ureq::Error::TooManyRedirects => FetchError::TooManyRedirects { host },
            ureq::Error::Timeout(_) => FetchError::TooSlow { host, limit: self.limits.time },
            ureq::Error::Other(error) => match error.downcast::<PrivateAddress>() {
                Ok(private) => FetchError::Private(*private),
                Err(error) => FetchError::Network { host, cause: error.to_string() },
            },
            ureq::Error::BadUri(_) => FetchError::NotAnAddress,
            other => FetchError::Network { host, cause: other.to_string() },
        }
    }
}

/// Makes what sends requests: from public addresses only and over TLS, unless access says otherwise.
pub(crate) fn agent(url: &str, access: &Access, max_redirects: u32) -> ureq::Agent {
    let proxy = if is_this_machine(url) { None } else { ureq::Proxy::try_from_env() };
    let proxy_uri = proxy.as_ref().map(|proxy| proxy.uri().clone());
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(system_roots())))
        .build();
    let config = ureq::Agent::config_builder()
        .tls_config(tls)
        .proxy(proxy)
        .https_only(!access.allow_http)
        .http_status_as_error(false)
        .max_redirects(max_redirects)
        .timeout_connect(Some(Duration::from_secs(10)))
        .user_agent(concat!("bartizan/", env!("CARGO_PKG_VERSION")))
        .build();
    if access.allow_private {
        ureq::Agent::with_parts(config, DefaultConnector::new(), DefaultResolver::default())
    } else {
        let connector = PublicOnly::new(proxy_uri);
        ureq::Agent::with_parts(config, connector, DefaultResolver::default())
    }
}

/// An answer with status 200, its body not read.
pub(super) struct Answer {
    host: String,
    headers: HeaderMap,
    body: ureq::Body,
}

impl Answer {
    /// What the server calls it. What is too long to be kept is taken as not said.
    pub(super) fn validators(&self) -> Validators {
        let said = |name| {
            let value = self.headers.get(name)?.to_str().ok()?;
            (value.len() <= LONGEST_VALIDATOR).then(|| value.to_owned())
        };
        Validators { etag: said(header::ETAG), last_modified: said(header::LAST_MODIFIED) }
    }
}

/// Tells whether an address names this machine in so many words.
#[must_use]
pub fn is_this_machine(url: &str) -> bool {
    let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
    host.is_some_and(|host| ["127.0.0.1", "localhost", "[::1]"].contains(&host.as_str()))
}

fn system_roots() -> Vec<ureq::tls::Certificate<'static>> {
    let pem = std::fs::read(SYSTEM_ROOTS).unwrap_or_default();
    let certificates = ureq::tls::parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        Ok(_) | Err(_) => None,
    });
    certificates.collect()
}

const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
const MAX_REDIRECTS: u32 = 5;
const CHUNK: usize = 1 << 16;
const LONGEST_VALIDATOR: usize = 500;
