//! TLS to PostgreSQL: whom to believe, and how the password's proof is tied to the connection.
//!
//! The words are those of PostgreSQL's own programs: `sslmode`, `sslrootcert`, `sslcert`, `sslkey`. Unlike there, a server
//! that is reached over a network has to prove its name unless the address says otherwise.
//!
//! # Invariants
//! - Nothing is sent before the server has proven what the mode asks for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

/// What the server has to prove, as `sslmode` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Disable,
    /// Encrypted if the server can; proves nothing.
    Prefer,
    /// Encrypted; proves nothing, unless authorities are named.
    Require,
    /// By one of the authorities.
    VerifyCa,
    /// By one of the authorities, for the name it was reached by.
    VerifyFull,
}

impl Mode {
    pub(super) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }
}

/// The files that an address names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    /// Authorities; the system's if there is none.
    pub(super) authorities: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

/// Makes connections encrypted. Cloning shares what it believes.
#[derive(Clone)]
pub(super) struct Tls(Arc<ClientConfig>);

impl fmt::Debug for Tls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may hold a key.
        out.write_str("Tls")
    }
}

impl Tls {
    /// Reads the files; what is wrong with them is said in words.
    pub(super) fn new(mode: Mode, files: &Files) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        // As PostgreSQL's own programs do: who names authorities wants them asked.
        let asks = mode == Mode::Require && files.authorities.is_some();
        let verification = if asks { Mode::VerifyCa } else { mode };
        let any_name = |authorities| AnyName { authorities, provider: Arc::clone(&provider) };
        let verifier: Arc<dyn ServerCertVerifier> = match verification {
            Mode::Disable | Mode::Prefer | Mode::Require => Arc::new(any_name(None)),
            Mode::VerifyCa => Arc::new(any_name(Some(by_authorities(files, &provider)?))),
            Mode::VerifyFull => by_authorities(files, &provider)?,
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match (&files.certificate, &files.key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate)?;
                let key_der = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| format!("{} is no private key: {error}", key.display()))?;
                config
                    .with_client_auth_cert(chain, key_der)
                    .map_err(|error| format!("{} cannot be used: {error}", certificate.display()))?
            }
            (None, None) => config.with_no_client_auth(),
            (Some(_), None) | (None, Some(_)) => {
                return Err("sslcert and sslkey belong together".to_owned());
            }
        };
        Ok(Self(Arc::new(config)))
    }
}

fn by_authorities(
    files: &Files,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, String> {
    let mut roots = RootCertStore::empty();
    match &files.authorities {
        Some(file) => {
            for authority in certificates(file)? {
                roots.add(authority).map_err(|error| {
                    format!("{} has an authority that cannot be used: {error}", file.display())
                })?;
            }
        }
        None => {
            let all = certificates(Path::new(SYSTEM_ROOTS))?;
            roots.add_parsable_certificates(all);
        }
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| error.to_string())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(format!("{} holds no certificate in PEM", file.display())),
        Err(error) => Err(format!("cannot read certificates from {}: {error}", file.display())),
    }
}

/// Says in words why TLS did not come about, if that is what failed.
pub(super) fn explain(error: &tokio_postgres::Error) -> Option<String> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let of_io = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let of_tls = of_io.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(error) = of_tls.or_else(|| error.downcast_ref()) {
            return Some(words(error));
        }
        if error.to_string() == NO_TLS {
            return Some(
                "it does not speak TLS; set `ssl = on` there, or say sslmode=disable if nobody else is on the way"
                    .to_owned(),
            );
        }
        cause = error.source();
    }
    None
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the errors of TLS are many and grow")]
fn words(error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(fault) = error else { return error.to_string() };
    match fault {
        // Another authority of the same name has signed.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is by none of the authorities that are believed; name the right one by sslrootcert"
                .to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name; reach it by the name in there, or say sslmode=verify-ca".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Asks for less than the name: whoever an authority believes, under any name, or, without authorities, everybody; but always
/// that they hold the key of what they show.
#[derive(Debug)]
struct AnyName {
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(authorities) = &self.authorities else {
            return Ok(ServerCertVerified::assertion());
        };
        match authorities.verify_server_cert(certificate, others, name, ocsp, now) {
            // The name is what is looked at last.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let by = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, by)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let by = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, by)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Secured;
    type TlsConnect = Handshake;
    type Error = std::io::Error;

    fn make_tls_connect(&mut self, name: &str) -> std::io::Result<Handshake> {
        // A socket has no name, and is not encrypted.
        let name = ServerName::try_from(name.to_owned()).ok();
        Ok(Handshake { connector: TlsConnector::from(Arc::clone(&self.0)), name })
    }
}

/// A handshake that is to be done.
pub(super) struct Handshake {
    connector: TlsConnector,
    name: Option<ServerName<'static>>,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Secured;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Secured>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let name = self.name.ok_or(std::io::ErrorKind::InvalidInput)?;
            Ok(Secured(Box::new(self.connector.connect(name, socket).await?)))
        })
    }
}

/// An encrypted connection.
pub(super) struct Secured(Box<tokio_rustls::client::TlsStream<Socket>>);

impl TlsStream for Secured {
    fn channel_binding(&self) -> ChannelBinding {
        let (_, session) = self.0.get_ref();
        let shown = session.peer_certificates().and_then(<[_]>::first);
        shown
            .and_then(|certificate| end_point(certificate))
            .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(context, octets)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(context)
    }
}

/// The server's certificate, hashed as it was signed (RFC 5929 §4.1); nothing where that is not defined.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, parts, _) = value(certificate)?;
    // tbsCertificate, then signatureAlgorithm.
    let (_, _, rest) = value(parts)?;
    let (_, algorithm, _) = value(rest)?;
    let (OBJECT, id, _) = value(algorithm)? else { return None };
    let hash = match (id.strip_prefix(RSA), id.strip_prefix(ECDSA)) {
        // MD5 and SHA-1 are replaced by SHA-256.
        (Some([4 | 5 | 11]), _) | (_, Some([1] | [3, 2])) => Sha256::digest(certificate).to_vec(),
        (Some([12]), _) | (_, Some([3, 3])) => Sha384::digest(certificate).to_vec(),
        (Some([13]), _) | (_, Some([3, 4])) => Sha512::digest(certificate).to_vec(),
        _ => return None,
    };
    Some(hash)
}

/// Takes one value of DER: its tag, its contents, and what stands after it.
fn value(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = octets.split_first_chunk::<2>()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if 4 < length.len() {
            return None;
        }
        (length.iter().fold(0, |sum, octet| (sum << 8) | usize::from(*octet)), rest)
    };
    let (contents, after) = rest.split_at_checked(length)?;
    Some((tag, contents, after))
}

const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The driver's words for a server that does not.
const NO_TLS: &str = "server does not support TLS";
const OBJECT: u8 = 0x06;
/// 1.2.840.113549.1.1, the algorithms of PKCS #1.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1];
/// 1.2.840.10045.4, ECDSA with a hash.
const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_hashed_as_it_was_signed() {
        let check = |id: &[u8], length: Option<usize>| {
            let mut algorithm = vec![OBJECT, u8::try_from(id.len()).unwrap()];
            algorithm.extend(id);
            let mut certificate = vec![0x30, u8::try_from(4 + algorithm.len()).unwrap(), 0x30, 0];
            certificate.extend([0x30, u8::try_from(algorithm.len()).unwrap()]);
            certificate.extend(algorithm);
            assert_eq!(end_point(&certificate).map(|hash| hash.len()), length, "{id:?}");
            for length in 0..certificate.len() {
                assert_eq!(end_point(&certificate[..length]), None);
            }
        };
        check(&[RSA, &[5]].concat(), Some(32));
        check(&[RSA, &[11]].concat(), Some(32));
        check(&[RSA, &[12]].concat(), Some(48));
        check(&[RSA, &[13]].concat(), Some(64));
        check(&[RSA, &[10]].concat(), None); // PSS names its hash elsewhere
        check(&[ECDSA, &[1]].concat(), Some(32));
        check(&[ECDSA, &[3, 2]].concat(), Some(32));
        check(&[ECDSA, &[3, 3]].concat(), Some(48));
        check(&[ECDSA, &[3, 4]].concat(), Some(64));
        check(&[0x2b, 0x65, 0x70], None); // Ed25519 has none
    }
}
