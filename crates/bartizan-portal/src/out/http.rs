//! Delivery by HTTP/1.1: one POST for each message, over a connection that is kept for a turn.
//!
//! # What it does not do
//! - Follow redirects: what is signed for one address is not for another.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::exchange::Exchange;
use super::net::{self, LIMIT, Stream, Trouble, Trust};

/// A receiver by HTTP.
pub(crate) struct Http<'a> {
    /// Where.
    pub(crate) url: &'a str,
    /// Value of the header `Authorization`; empty for none.
    pub(crate) authorization: &'a str,
    /// Whether who knows the path may write there.
    pub(crate) hides_path: bool,
    /// Whom it trusts.
    pub(crate) trust: &'a Trust,
    /// Go to private addresses.
    pub(crate) allow_private: bool,
    /// Go without TLS.
    pub(crate) allow_plain: bool,
    open: Option<Open>,
}

struct Open {
    sender: SendRequest<Body>,
    driver: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Headers beside those that every request has.
pub(crate) type Headers = Vec<(HeaderName, String)>;

impl<'a> Http<'a> {
    pub(crate) fn new(
        url: &'a str,
        authorization: &'a str,
        hides_path: bool,
        trust: &'a Trust,
        (allow_private, allow_plain): (bool, bool),
    ) -> Self {
        Self { url, authorization, hides_path, trust, allow_private, allow_plain, open: None }
    }

    /// Sends one message. A connection that was kept and is gone by now is opened once more.
    pub(crate) async fn post(
        &mut self,
        headers: &Headers,
        body: &[u8],
        exchange: &mut Exchange,
    ) -> Result<(), Trouble> {
        let was_open = self.open.is_some();
        let sent = timeout(LIMIT * 2, self.once(headers, body, exchange)).await;
        match sent {
            Ok(Err(Trouble::Down { after: None, .. })) if was_open => {
                self.open = None;
                timeout(LIMIT * 2, self.once(headers, body, exchange))
                    .await
                    .unwrap_or_else(|_| self.slow())
            }
            Ok(sent) => sent,
            Err(_) => self.slow(),
        }
    }

    fn slow(&mut self) -> Result<(), Trouble> {
        self.open = None;
        Err(Trouble::down("no answer within 20 s"))
    }

    async fn once(
        &mut self,
        headers: &Headers,
        body: &[u8],
        exchange: &mut Exchange,
    ) -> Result<(), Trouble> {
        let url = Url::parse(self.url).map_err(Trouble::down)?;
        if !url.is_tls && !self.allow_plain {
            return Err(Trouble::down(
                "the address is not https:// and this sink does not allow plain HTTP",
            ));
        }
        let mut open = match self.open.take().filter(|open| !open.sender.is_closed()) {
            Some(open) => open,
            None => self.connect(&url, exchange).await?,
        };
        let path = if self.hides_path { "/…" } else { &url.path };
        exchange.us(&format!("POST {path} HTTP/1.1\nhost: {}", url.authority));
        let mut request = Request::post(&url.path)
            .header(header::HOST, &url.authority)
            .header(header::USER_AGENT, concat!("bartizan/", env!("CARGO_PKG_VERSION")))
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            exchange.us(&format!("{name}: {value}"));
            request = request.header(name, value);
        }
        if !self.authorization.is_empty() {
            exchange.us("authorization: •••");
            let mut value = HeaderValue::from_str(self.authorization).map_err(|_| {
                Trouble::down("the header Authorization has characters that it cannot have")
            })?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        exchange.us(&String::from_utf8_lossy(body));
        let request = request
            .body(Body::from(body.to_vec()))
            .map_err(|error| Trouble::down(format!("the request cannot be made: {error}")))?;
        open.sender.ready().await.map_err(|error| {
            Trouble::down(format!("{} closed the connection: {error}", url.host))
        })?;
        let response = open
            .sender
            .send_request(request)
            .await
            .map_err(|error| Trouble::down(format!("{} did not answer: {error}", url.host)))?;
        let (parts, body) = response.into_parts();
        exchange.them(&format!("{:?} {}", parts.version, parts.status));
        for (name, value) in parts.headers.iter().take(20) {
            exchange.them(&format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
        }
        let after = parts.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let after = after.and_then(|value| value.parse().ok()).map(Duration::from_secs);
        // What does not fit is a page for people; the status says enough.
        let answer = to_bytes(Body::new(body), LONGEST_ANSWER).await;
        if let Ok(answer) = &answer {
            exchange.them(&String::from_utf8_lossy(answer));
            self.open = Some(open);
        }
        let answer = answer.map(|answer| String::from_utf8_lossy(&answer).into_owned());
        outcome(parts.status, after, answer.unwrap_or_default().trim())
    }

    async fn connect(&self, url: &Url, exchange: &mut Exchange) -> Result<Open, Trouble> {
        let stream = net::connect(&url.host, url.port, self.allow_private, exchange).await?;
        let stream: Stream = if url.is_tls {
            net::secure(stream, &url.host, self.trust, exchange).await?
        } else {
            Box::new(stream)
        };
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Trouble::down(format!("{} does not speak HTTP: {error}", url.host)))?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = &error as &dyn std::error::Error, "a receiver broke off");
            }
        });
        Ok(Open { sender, driver })
    }
}

/// Says what a status means for what was sent.
fn outcome(status: StatusCode, after: Option<Duration>, answer: &str) -> Result<(), Trouble> {
    if status.is_success() {
        return Ok(());
    }
    let said: String = answer.chars().take(200).collect();
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let why = format!("answered {status}{said}");
    match status.as_u16() {
        400 | 406 | 411 | 413 | 415 | 422 => Err(Trouble::Refused(why)),
        300..400 => Err(Trouble::down(format!("{why}; redirects are not followed"))),
        _ => Err(Trouble::Down { why, after }),
    }
}

/// An address of the web in its parts.
pub(crate) struct Url {
    pub(crate) is_tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) authority: String,
    pub(crate) path: String,
}

impl Url {
    /// Reads an address; the error is for people.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let problem = "that is no address that begins with https:// or http://";
        let uri: Uri = text.parse().map_err(|_| problem)?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(problem),
        };
        let authority = uri.authority().ok_or(problem)?;
        if authority.as_str().contains('@') {
            return Err("leave the password out of the address: use the field for it");
        }
        let host = authority.host().to_owned();
        if host.is_empty() {
            return Err(problem);
        }
        Ok(Self {
            is_tls,
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            authority: authority.to_string(),
            path: uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            host,
        })
    }

    /// What of it is no secret.
    pub(crate) fn shown(&self) -> String {
        format!("{}://{}/…", if self.is_tls { "https" } else { "http" }, self.authority)
    }
}

const LONGEST_ANSWER: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whether_all_waits_or_one_is_given_up() {
        check(204, None);
        check(400, Some("refused"));
        check(422, Some("refused"));
        check(401, Some("down"));
        check(404, Some("down"));
        check(429, Some("down"));
        check(302, Some("down"));
        check(503, Some("down"));
    }

    #[track_caller]
    fn check(status: u16, expected: Option<&str>) {
        let outcome = outcome(StatusCode::from_u16(status).unwrap(), None, "why");
        let told = outcome.err().map(|trouble| match trouble {
            Trouble::Down { .. } => "down",
            Trouble::Refused(_) => "refused",
        });
        assert_eq!(told, expected, "{status}");
    }

    #[test]
    fn an_address_is_taken_apart() {
        let url = Url::parse("https://hooks.example:8443/services/T/B?x=1").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.is_tls), ("hooks.example", 8443, true));
        assert_eq!(url.path, "/services/T/B?x=1");
        assert_eq!(url.shown(), "https://hooks.example:8443/…");
        assert_eq!(Url::parse("http://[2001:db8::1]").unwrap().port, 80);
        for text in ["", "hooks.example", "ftp://a.test/", "https://", "https://u:p@a.test/"] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }
}
