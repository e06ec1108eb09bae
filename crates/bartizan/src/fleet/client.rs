//! One connection to the portal: HTTP/1.1 over plain TCP or TLS, a request at a time.
//!
//! By hand, because load and portal share the machine's processors: what the load spends, the portal lacks.
//! It reads what the portal writes (a length with every body) and nothing more general.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where the portal is.
pub(crate) struct Target {
    pub(crate) scheme: &'static str,
    /// Host and port, as in its address.
    pub(crate) host: String,
    address: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Target {
    pub(crate) async fn new(url: &str, ca: Option<&Path>, resume: bool) -> anyhow::Result<Self> {
        let (scheme, rest) = match url.split_once("://") {
            Some(("http", rest)) => ("http", rest),
            Some(("https", rest)) => ("https", rest),
            _ => anyhow::bail!("{url} does not begin with http:// or https://"),
        };
        let host = rest.trim_end_matches('/').to_owned();
        let (name, has_port) = match host.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => (name.to_owned(), true),
            _ => (host.clone(), false),
        };
        let default = if scheme == "https" { 443 } else { 80 };
        let place = if has_port { host.clone() } else { format!("{host}:{default}") };
        let mut found = tokio::net::lookup_host(&place)
            .await
            .with_context(|| format!("cannot find {place}"))?;
        let address = found.next().with_context(|| format!("{place} has no address"))?;
        let tls = match scheme {
            "https" => {
                let ca = ca.context("give the certificate to trust with --ca")?;
                let name = name.trim_matches(['[', ']']).to_owned();
                Some((TlsConnector::from(Arc::new(trusting(ca, resume)?)), name.try_into()?))
            }
            _ => None,
        };
        Ok(Self { scheme, host, address, tls })
    }

    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some((tls, name)) => Ok(Box::new(tls.connect(name.clone(), stream).await?)),
        }
    }
}

fn trusting(ca: &Path, resume: bool) -> anyhow::Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(ca)
        .with_context(|| format!("cannot read {}", ca.display()))?;
    for certificate in certificates {
        roots.add(certificate.with_context(|| format!("{} is not PEM", ca.display()))?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    if !resume {
        config.resumption = rustls::client::Resumption::disabled();
    }
    Ok(config)
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// What the portal said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) body: Vec<u8>,
}

/// A connection, opened when it is needed.
pub(crate) struct Client {
    target: Rc<Target>,
    stream: Option<Box<dyn Stream>>,
    buffer: Vec<u8>,
    /// Whether each request gets a connection of its own.
    always_new: bool,
}

impl Client {
    pub(crate) fn new(target: Rc<Target>, always_new: bool) -> Self {
        Self { target, stream: None, buffer: Vec::new(), always_new }
    }

    /// Posts JSON; after an error the next request opens a new connection.
    pub(crate) async fn post(
        &mut self,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        if self.always_new {
            self.stream = None;
        }
        let outcome = tokio::time::timeout(PATIENCE, self.exchange(path, headers, body)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        if !matches!(outcome, Ok((_, true))) {
            self.stream = None;
        }
        outcome.map(|(answer, _)| answer)
    }

    /// Returns with the answer whether the connection can be used again.
    async fn exchange(
        &mut self,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> io::Result<(Answer, bool)> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(self.target.connect().await?),
        };
        let (host, scheme) = (&self.target.host, self.target.scheme);
        self.buffer.clear();
        self.buffer.extend_from_slice(
            format!(
                "POST {path} HTTP/1.1\r\nhost: {host}\r\norigin: {scheme}://{host}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n",
                body.len()
            )
            .as_bytes(),
        );
        self.buffer.extend_from_slice(body);
        stream.write_all(&self.buffer).await?;
        stream.flush().await?;
        self.buffer.clear();
        let head = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            if stream.read_buf(&mut self.buffer).await? == 0 || MAX_ANSWER < self.buffer.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let (head, rest) = self.buffer.split_at(head);
        let head = Head::parse(head).ok_or(io::ErrorKind::InvalidData)?;
        let mut body = rest.get(4..).unwrap_or_default().to_vec();
        while body.len() < head.length {
            if stream.read_buf(&mut body).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let answer = Answer { status: head.status, retry_after_s: head.retry_after_s, body };
        Ok((answer, head.stays_open))
    }
}

struct Head {
    status: u16,
    length: usize,
    retry_after_s: Option<u64>,
    stays_open: bool,
}

impl Head {
    fn parse(octets: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(octets).ok()?.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let mut head = Self { status, length: 0, retry_after_s: None, stays_open: true };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                head.length = value.parse().ok().filter(|length| *length <= MAX_ANSWER)?;
            } else if name.eq_ignore_ascii_case("retry-after") {
                head.retry_after_s = value.parse().ok();
            } else if name.eq_ignore_ascii_case("connection") {
                head.stays_open = !value.eq_ignore_ascii_case("close");
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                return None;
            }
        }
        Some(head)
    }
}

/// More than the portal takes over a request.
const PATIENCE: Duration = Duration::from_secs(40);
const MAX_ANSWER: usize = 1 << 20;
