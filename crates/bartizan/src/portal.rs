//! `bartizan portal`: the server, until SIGINT or SIGTERM.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use bartizan_model::{DomainName, TenantId};
use bartizan_portal::{Listener, Portal, PortalConfig, ProfileSigner};
use tokio::signal::unix::SignalKind;

use crate::config::{Config, Flags};
use crate::feeds::{Listed, Sources};
use crate::out;

/// How to run a portal.
#[derive(Debug, clap::Args)]
pub(crate) struct PortalArgs {
    /// TOML file with settings of the names below; `BARTIZAN_` variables win over it, and flags over both
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Show what the settings come to, and end
    #[arg(long)]
    check_config: bool,
    /// Let any program on this machine enroll devices, for `bartizan fleet`; only on a loopback address
    #[arg(long)]
    demo_admin: bool,
    #[command(flatten)]
    flags: Flags,
}

pub(crate) fn run(args: PortalArgs) -> anyhow::Result<ExitCode> {
    let config = Config::read(args.config.as_deref(), args.flags.0)?;
    let (tls, profile_signer) = check(&config)?;
    if args.check_config {
        show(&config);
        return Ok(ExitCode::SUCCESS);
    }
    anyhow::ensure!(
        !args.demo_admin || config.listen.ip().is_loopback(),
        "--demo-admin lets anybody who reaches {} enroll devices: listen on 127.0.0.1",
        config.listen
    );
    match &config.log_file {
        Some(path) => out::log_to_file(path)
            .with_context(|| format!("cannot write the log to {}", path.display()))?,
        None => out::log_to_stderr(),
    }
    raise_limits();
    tokio::runtime::Runtime::new()?.block_on(serve(
        config,
        tls,
        profile_signer,
        args.demo_admin,
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// A connection takes a descriptor, and many systems allow no more than 1,024 unless they are asked.
fn raise_limits() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(error = %error, "cannot raise the number of open files");
    }
}

/// Refuses what could only fail later.
fn check(
    config: &Config,
) -> anyhow::Result<(Option<Arc<rustls::ServerConfig>>, Option<ProfileSigner>)> {
    let tls = match (&config.tls_cert, &config.tls_key) {
        (Some(cert), Some(key)) => Some(tls_config(cert, key)?),
        _ => None,
    };
    anyhow::ensure!(
        tls.is_some() || config.listen.ip().is_loopback(),
        "{} can be reached from outside: give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy",
        config.listen
    );
    config.portal().database().check_place()?;
    config.attestation.check()?;
    let profile_signer = match (&config.profile_cert, &config.profile_key) {
        (Some(cert), Some(key)) => Some(ProfileSigner::open(cert, key)?),
        _ => None,
    };
    Ok((tls, profile_signer))
}

fn show(config: &Config) {
    for (name, value, origin) in &config.listing {
        if !value.is_empty() {
            out::line(&format!("{name} = {value}  ({})", origin.word()));
        }
    }
    out::note("The configuration can be used");
}

async fn serve(
    config: Config,
    tls: Option<Arc<rustls::ServerConfig>>,
    profile_signer: Option<ProfileSigner>,
    demo_admin: bool,
) -> anyhow::Result<()> {
    let socket = tokio::net::TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = socket.local_addr()?;
    let metrics = match config.metrics_listen {
        Some(wanted) => Some(
            tokio::net::TcpListener::bind(wanted)
                .await
                .with_context(|| format!("cannot listen on {wanted} for metrics"))?,
        ),
        None => None,
    };
    let portal = Portal::open(PortalConfig { profile_signer, ..config.portal() }).await?;
    let tenant = first_tenant(&portal, &config.tenant, &config.admin).await?;
    let portal = if demo_admin { portal.with_demo_routes(tenant) } else { portal };
    for name in &config.own {
        let name = DomainName::parse(name.as_bytes())
            .with_context(|| format!("{name} is not a host name"))?;
        portal.add_own_domain(tenant, &name).await?;
    }
    if !config.feed.is_empty() {
        publish(&portal, tenant, config.feed, config.allow, config.own).await?;
    }
    if let Some(listener) = &metrics {
        out::line(&format!("Metrics are at http://{}/metrics", listener.local_addr()?));
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    out::line(&format!("The portal is at {scheme}://{address}"));
    let listener = match tls {
        Some(config) => Listener::Tls(socket, config),
        None => Listener::Plain(socket),
    };
    let show_metrics = async {
        if let Some(listener) = metrics {
            portal.serve_metrics(listener).await;
        }
    };
    tokio::join!(portal.serve(vec![listener], asked_to_stop()), show_metrics).0
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
