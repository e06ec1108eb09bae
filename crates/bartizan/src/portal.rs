//! `bartizan portal`: the server, until SIGINT or SIGTERM.

use std::fs::File;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use bartizan_model::{DomainName, TenantId};
use bartizan_portal::{Listener, Portal, PortalConfig};
use tokio::signal::unix::SignalKind;

use crate::feeds::{Listed, Sources};
use crate::out;

/// How to run a portal.
#[derive(Debug, clap::Args)]
pub(crate) struct PortalArgs {
    /// Folder for the database and the indicator files
    #[arg(long, value_name = "DIR", default_value = "/var/lib/bartizan-portal")]
    data: PathBuf,
    /// Address to listen on; without a certificate it has to be one of this machine's own
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Certificate chain as PEM; with it the portal speaks TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Threat feed to list and publish at the start: a file or an https:// address, after `malware=` or
    /// `spyware=` where it does not list phishing sites (repeatable)
    #[arg(long, value_name = "FILE_OR_URL")]
    feed: Vec<String>,
    /// Popular names that no feed may block, beside the built-in ones (repeatable)
    #[arg(long, value_name = "FILE_OR_URL")]
    allow: Vec<String>,
    /// A host name of the organization's own that no feed may block, such as this portal's (repeatable)
    #[arg(long, value_name = "NAME")]
    own: Vec<String>,
    /// Name of the organization, when the data folder is new
    #[arg(long, value_name = "NAME", default_value = "My organization")]
    tenant: String,
    /// Address of the first administrator, when the data folder is new
    #[arg(long, value_name = "EMAIL", default_value = "admin@localhost")]
    admin: String,
    /// Let any program on this machine enroll devices, for `bartizan fleet`; only on a loopback address
    #[arg(long)]
    demo_admin: bool,
}

pub(crate) fn run(args: PortalArgs) -> anyhow::Result<ExitCode> {
    tokio::runtime::Runtime::new()?.block_on(serve(args))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(args: PortalArgs) -> anyhow::Result<()> {
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(cert), Some(key)) => Some(tls_config(cert, key)?),
        _ => None,
    };
    anyhow::ensure!(
        tls.is_some() || args.listen.ip().is_loopback(),
        "{} can be reached from outside: give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy",
        args.listen
    );
    anyhow::ensure!(
        !args.demo_admin || args.listen.ip().is_loopback(),
        "--demo-admin lets anybody who reaches {} enroll devices: listen on 127.0.0.1",
        args.listen
    );
    let socket = tokio::net::TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = socket.local_addr()?;
    let portal =
        Portal::open(PortalConfig { data_dir: args.data, secure_cookies: tls.is_some() }).await?;
    let tenant = first_tenant(&portal, &args.tenant, &args.admin).await?;
    let portal = if args.demo_admin { portal.with_demo_routes(tenant) } else { portal };
    for name in &args.own {
        let name = DomainName::parse(name.as_bytes())
            .with_context(|| format!("{name} is not a host name"))?;
        portal.add_own_domain(tenant, &name).await?;
    }
    if !args.feed.is_empty() {
        publish(&portal, tenant, args.feed, args.allow, args.own).await?;
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    out::line(&format!("The portal is at {scheme}://{address}"));
    let listener = match tls {
        Some(config) => Listener::Tls(socket, config),
        None => Listener::Plain(socket),
    };
    portal.serve(vec![listener], asked_to_stop()).await
}

/// Makes the first tenant and administrator in a new data folder, and says how to sign in.
async fn first_tenant(portal: &Portal, name: &str, admin: &str) -> anyhow::Result<TenantId> {
    if let Some((tenant, _)) = portal.tenants().await?.into_iter().next() {
        return Ok(tenant);
    }
    let tenant = portal.create_tenant(name).await?;
    let password = portal.create_administrator(tenant, admin).await?;
    out::line(&format!("Sign in as {admin} with the one-time password {password}"));
    Ok(tenant)
}

async fn publish(
    portal: &Portal,
    tenant: TenantId,
    feeds: Vec<String>,
    allow: Vec<String>,
    own: Vec<String>,
) -> anyhow::Result<()> {
    // That of the file before, so that devices are led on from it by a delta.
    let hash_key = Some(portal.hash_key(tenant).await?);
    let listed = tokio::task::spawn_blocking(move || {
        Listed::read(&Sources { hash_key, ..Sources::new(&feeds, &allow, &own) })
    })
    .await??;
    let (report, held_back) = (listed.report(), listed.compiler.held_back().len());
    let published = portal.publish_indicators(tenant, listed.compiler.finish(), report).await?;
    out::line(&format!(
        "Published {} names as epoch {}, {} held back",
        published.entries, published.epoch, held_back
    ));
    Ok(())
}

/// Reads a certificate chain and its key.
pub(crate) fn tls_config(cert: &Path, key: &Path) -> anyhow::Result<Arc<rustls::ServerConfig>> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let open = |path: &Path| {
        File::open(path)
            .map(BufReader::new)
            .with_context(|| format!("cannot open {}", path.display()))
    };
    let chain = CertificateDer::pem_reader_iter(open(cert)?)
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| format!("{} is not a certificate chain in PEM", cert.display()))?;
    let key_der = PrivateKeyDer::from_pem_reader(open(key)?)
        .with_context(|| format!("{} is not a private key in PEM", key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .with_context(|| format!("{} does not belong to {}", key.display(), cert.display()))?;
    // The server keeps nothing for a client that comes back, so a whole fleet can; one ticket is enough.
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// Returns when the person, the system or a closing terminal asks the program to stop.
pub(crate) async fn asked_to_stop() {
    let heard = async |kind: SignalKind| match tokio::signal::unix::signal(kind) {
        Ok(mut signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = heard(SignalKind::interrupt()) => {}
        () = heard(SignalKind::terminate()) => {}
        () = heard(SignalKind::hangup()) => {}
    }
}
