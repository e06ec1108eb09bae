//! Connections to receivers: resolved once, to public addresses only unless the sink says otherwise, with TLS or without.
//!
//! The check is made on the very addresses that are connected to, as for feeds (`feeds::address`). Connections go
//! straight, through no proxy.
//!
//! # Invariants
//! - Every step has a time limit.
//! - A certificate is verified, always; what was shown is kept for whoever looks into a failure.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::exchange::Exchange;
use super::settings::{Secrets, Settings};
use crate::feeds::not_public;
use crate::files::hexadecimal;

/// Why something was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    /// The receiver cannot be reached or takes nothing now: all waits.
    #[error("{why}")]
    Down {
        /// In words.
        why: String,
        /// When it wants to be asked again.
        after: Option<Duration>,
    },
    /// The receiver does not take this one.
    #[error("{0}")]
    Refused(String),
}

impl Trouble {
    /// The receiver takes nothing now.
    pub(crate) fn down(why: impl Into<String>) -> Self {
        Self::Down { why: why.into(), after: None }
    }
}

/// A connection of either kind.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// An open connection.
pub(crate) type Stream = Box<dyn Duplex>;

/// Connects to one of a host's addresses.
pub(crate) async fn connect(
    host: &str,
    port: u16,
    allow_private: bool,
    exchange: &mut Exchange,
) -> Result<TcpStream, Trouble> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found = timeout(LIMIT, tokio::net::lookup_host((bare, port))).await;
    let addresses: Vec<SocketAddr> = match found {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => return Err(Trouble::down(format!("{host} has no address: {error}"))),
        Err(_) => return Err(Trouble::down(format!("{host} is not looked up within 10 s"))),
    };
    if !allow_private {
        for address in &addresses {
            if let Some(reason) = not_public(address.ip()) {
                return Err(Trouble::down(format!(
                    "{host} has the address {}, which is {reason}: if that is meant, allow private addresses for this sink and in the portal's settings",
                    address.ip()
                )));
            }
        }
    }
    let mut last = format!("{host} has no address");
    for address in addresses {
        match timeout(LIMIT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // What cannot be told not to wait still works.
                let _ = stream.set_nodelay(true);
                exchange.note(format!("Connected to {address}"));
                return Ok(stream);
            }
            Ok(Err(error)) => last = format!("{address} does not accept connections: {error}"),
            Err(_) => last = format!("{address} does not answer within 10 s"),
        }
        exchange.note(last.clone());
    }
    Err(Trouble::down(last))
}

/// Begins TLS on a connection.
pub(crate) async fn secure(
    stream: TcpStream,
    host: &str,
    trust: &Trust,
    exchange: &mut Exchange,
) -> Result<Stream, Trouble> {
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(bare)
        .map_err(|_| Trouble::down(format!("{host} is no name that a certificate could have")))?;
    let connector = TlsConnector::from(Arc::clone(&trust.config));
    let begun = timeout(LIMIT, connector.connect(name, stream)).await;
    if let Some(shown) = trust.seen.lock().unwrap_or_else(PoisonError::into_inner).take() {
        exchange.certificate(shown);
    }
    match begun {
        Ok(Ok(stream)) => {
            let (_, session) = stream.get_ref();
            let version = session.protocol_version().map(|version| format!("{version:?}"));
            let suite =
                session.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
            exchange.note(format!(
                "{} with {}",
                version.unwrap_or_default(),
                suite.unwrap_or_default()
            ));
            Ok(Box::new(stream))
        }
        Ok(Err(error)) => Err(Trouble::down(format!("TLS with {host} failed: {error}"))),
        Err(_) => Err(Trouble::down(format!("{host} does not begin TLS within 10 s"))),
    }
}

/// Whom a sink trusts, and how it shows itself.
pub(crate) struct Trust {
    config: Arc<ClientConfig>,
    seen: Arc<Mutex<Option<Certificate>>>,
}

/// What a server showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// SHA-256, in hexadecimal.
    pub(crate) fingerprint: String,
    /// For whoever looks closer.
    pub(crate) pem: String,
}

impl Certificate {
    fn of(der: &[u8]) -> Self {
        let encoded = STANDARD.encode(der);
        let lines = encoded.as_bytes().chunks(64).map(String::from_utf8_lossy);
        let body = lines.fold(String::new(), |text, line| text + &line + "\n");
        Self {
            fingerprint: hexadecimal(&Sha256::digest(der)),
            pem: format!("-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n"),
        }
    }
}

impl Trust {
    /// Reads authorities, certificate and key of a sink; blocks for the system's authorities.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn of(settings: &Settings, secrets: &Secrets) -> Result<Self, String> {
        let roots = roots(&settings.authorities)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let inner =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| format!("the authorities cannot be used: {error}"))?;
        let seen = Arc::default();
        let verifier = Arc::new(Recording { inner, seen: Arc::clone(&seen) });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = if settings.certificate.trim().is_empty() {
            config.with_no_client_auth()
        } else {
            let chain = certificates(&settings.certificate)?;
            let key = PrivateKeyDer::from_pem_slice(secrets.key.as_bytes())
                .map_err(|_| "the key of the certificate is not a private key in PEM".to_owned())?;
            config.with_client_auth_cert(chain, key).map_err(|error| {
                format!("the certificate and its key do not go together: {error}")
            })?
        };
        Ok(Self { config: Arc::new(config), seen })
    }
}

fn roots(authorities: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if authorities.trim().is_empty() {
        let pem = std::fs::read(SYSTEM_ROOTS).unwrap_or_default();
        roots
            .add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
        if roots.is_empty() {
            return Err(format!("this system trusts nobody: {SYSTEM_ROOTS} has no certificates"));
        }
        return Ok(roots);
    }
    for certificate in certificates(authorities)? {
        roots.add(certificate).map_err(|error| format!("an authority cannot be used: {error}"))?;
    }
    Ok(roots)
}

/// Reads certificates in PEM; none is an error.
pub(crate) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) | Err(_) => Err("that is no certificate in PEM".to_owned()),
    }
}

/// Verifies as usual, and remembers what was shown.
#[derive(Debug)]
struct Recording {
    inner: Arc<WebPkiServerVerifier>,
    seen: Arc<Mutex<Option<Certificate>>>,
}

impl ServerCertVerifier for Recording {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Certificate::of(end_entity));
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Says what broke while talking.
pub(crate) fn broke(host: &str, error: &io::Error) -> Trouble {
    Trouble::down(format!("the connection to {host} broke: {error}"))
}

/// For one step of a conversation.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
