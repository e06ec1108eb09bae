//! HTTP from the device to the portal: `ureq` over rustls. Blocking, since the courier has a thread.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bartizan_host::portal::{Http, HttpRequest, HttpResponse};
use ureq::tls::{PemItem, RootCerts, TlsConfig};

/// Speaks HTTP and keeps connections alive between requests.
#[derive(Debug)]
pub struct UreqHttp {
    agent: ureq::Agent,
}

impl UreqHttp {
    /// Trusts the certificates in a PEM file, and no others.
    ///
    /// # Errors
    /// The file cannot be read or holds none.
    pub fn new(ca: &Path) -> anyhow::Result<Self> {
        let pem = fs::read(ca)
            .with_context(|| format!("cannot read certificates from {}", ca.display()))?;
        let mut roots = Vec::new();
        for item in ureq::tls::parse_pem(&pem) {
            if let Ok(PemItem::Certificate(certificate)) = item {
                roots.push(certificate);
            }
        }
        anyhow::ensure!(!roots.is_empty(), "{} holds no certificates", ca.display());
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent(concat!("bartizan/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .build();
        Ok(Self { agent: config.into() })
    }
}

impl UreqHttp {
    fn run(
        &self,
        request: HttpRequest,
        timeout: Duration,
    ) -> Result<ureq::http::Response<ureq::Body>, String> {
        let mut message = ureq::http::Request::builder().method(request.method).uri(&request.url);
        for (name, value) in &request.headers {
            message = message.header(*name, value);
        }
        let message = message.body(request.body).map_err(|error| error.to_string())?;
        let sent = if message.body().is_empty() {
            let message = self.agent.configure_request(message.map(|_| ()));
            self.agent.run(message.timeout_global(Some(timeout)).build())
        } else {
            let message = self.agent.configure_request(message);
            self.agent.run(message.timeout_global(Some(timeout)).build())
        };
        sent.map_err(|error| error.to_string())
    }
}

impl Http for UreqHttp {
    fn send(&mut self, request: HttpRequest) -> Result<HttpResponse, String> {
        let max_reply = request.max_reply;
        whole(self.run(request, TIMEOUT)?, max_reply)
    }

    fn download(
        &mut self,
        request: HttpRequest,
        to: &mut dyn Write,
    ) -> Result<HttpResponse, String> {
        let max_reply = request.max_reply;
        let mut response = self.run(request, DOWNLOAD_TIMEOUT)?;
        if !response.status().is_success() {
            return whole(response, MAX_PROBLEM);
        }
        let mut body = response.body_mut().with_config().limit(max_reply).reader();
        std::io::copy(&mut body, to).map_err(|error| error.to_string())?;
        whole(response, 0)
    }
}

/// Reads an answer to its end, at most so many octets of it.
fn whole(
    mut response: ureq::http::Response<ureq::Body>,
    max_reply: u64,
) -> Result<HttpResponse, String> {
    let retry_after = response
        .headers()
        .get("retry-after")
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let body = match max_reply {
        // Read already.
        0 => Vec::new(),
        _ => {
            let body = response.body_mut().with_config().limit(max_reply).read_to_vec();
            body.map_err(|error| error.to_string())?
        }
    };
    Ok(HttpResponse { status: response.status().as_u16(), retry_after, body })
}

/// A few megabytes over the slowest link that is still one.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(600);
const MAX_PROBLEM: u64 = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
