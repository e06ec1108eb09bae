//! The story of the demo, step by step, and what came of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bartizan_host::Status;
use bartizan_host::clock::Clock;
use bartizan_indicators::guard::HeldBack;
use bartizan_model::{Mode, Policy, TenantId};
use bartizan_portal::{Listener, Portal, PortalConfig, Reach};
use serde::Serialize;
use tokio::task::JoinHandle;

use crate::demo::DemoArgs;
use crate::demo::internet::{self, PORTAL, SITE, Zone};
use crate::demo::stage::{Fetched, Kind, Stage};
use crate::feeds::{Listed, Sources};
use crate::out;
use crate::portal::tls_config;

/// The scenario, and all that has to stay alive while it is looked at.
pub(crate) struct Scenario<'a> {
    args: &'a DemoArgs,
    stage: Stage,
    folder: PathBuf,
    clock: Clock,
    started: Instant,
    /// Never said: what runs, runs until the scenario is dropped.
    closing: tokio::sync::watch::Sender<bool>,
    running: Vec<JoinHandle<anyhow::Result<()>>>,
}

/// What came of it; with `--json` this very object is printed.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    device: Kind,
    feed_entries: u64,
    unprotected: Outcomes,
    protected: Outcomes,
    alerts: Vec<AlertLine>,
    seconds: f64,
    #[serde(skip)]
    console: Console,
    #[serde(skip)]
    hosts: (String, String),
}

/// What came of fetching both sites, over HTTP and HTTPS alike.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Outcomes {
    harmless: Outcome,
    phishing: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Outcome {
    Status(u16),
    Word(String),
}

#[derive(Debug, Serialize)]
struct AlertLine {
    id: String,
    detector: &'static str,
    severity: &'static str,
    host: Option<String>,
    device: String,
}

#[derive(Clone, Debug, Default)]
struct Console {
    url: String,
    email: String,
    password: String,
}

impl<'a> Scenario<'a> {
    pub(crate) fn new(args: &'a DemoArgs, stage: Stage, folder: &Path) -> Self {
        let clock = Clock::new();
        let started = clock.now();
        let closing = tokio::sync::watch::Sender::new(false);
        Self {
            args,
            stage,
            folder: folder.to_owned(),
            clock,
            started,
            closing,
            running: Vec::new(),
        }
    }

    pub(crate) async fn play(&mut self) -> anyhow::Result<Report> {
        let listed = self.read_feeds().await?;
        let sample =
            listed.compiler.sample().context("the feeds list no name that a site could have")?;
        let phishing = sample.to_string();
        let report = listed.report();
        let harmless = HARMLESS.to_owned();

        let (ca, sockets_tls) = self.make_certificates(&[&harmless, &phishing, PORTAL_NAME])?;
        let bodies = Arc::new(BTreeMap::from([
            (harmless.clone(), page("A harmless site", 64 * 1024)),
            (phishing.clone(), page("Your account is locked: sign in", 4 * 1024)),
        ]));
        let portal_socket = self.open_internet(&harmless, &phishing, &bodies, &sockets_tls)?;
        self.step(
            "internet",
            &format!("{harmless} and {phishing} over HTTP and HTTPS, a DNS server"),
        );

        let (portal, tenant, console, portal_url) =
            self.open_portal(portal_socket, sockets_tls).await?;
        let published = portal.publish_indicators(tenant, listed.compiler.finish(), report).await?;
        self.step(
            "portal",
            &format!(
                "indicator file of {} names, {}, signed",
                published.entries,
                size(published.size_bytes)
            ),
        );

        let unprotected = self.fetch_both(&harmless, &phishing, &ca, &bodies).await?;
        self.step("unprotected", &unprotected.line());

        if self.args.mode != Mode::Dns {
            let policy = Policy { mode: self.args.mode, ..portal.policy(tenant).await? };
            portal.set_policy(tenant, policy).await?;
        }
        let token = portal.create_enrollment_token(tenant, Duration::from_secs(3_600)).await?;
        self.stage.protect(&portal_url, token, &ca, &self.folder)?;
        let status = self.wait_for_protection().await?;
        self.step(
            "device",
            &format!(
                "enrolled, holds epoch {} with {} names",
                published.epoch, status.indicator_entries
            ),
        );

        let protected = self.fetch_both(&harmless, &phishing, &ca, &bodies).await?;
        self.step("protected", &protected.line());

        let alerts = self.wait_for_alert(&portal, tenant, &phishing).await?;
        self.step("alert", &format!("{} in the portal", alerts.len()));

        Ok(Report {
            device: self.stage.kind(),
            feed_entries: listed.feeds.iter().map(|(_, added)| added.report.entries()).sum(),
            unprotected,
            protected,
            alerts,
            seconds: (self.elapsed().as_secs_f64() * 100.0).round() / 100.0,
            console,
            hosts: (harmless, phishing),
        })
    }

    /// Returns when something that has to run has ended, which it should not.
    pub(crate) async fn stay(&mut self) -> anyhow::Result<()> {
        loop {
            self.stage.status(&self.folder)?;
            if let Some(ended) = self.running.iter_mut().find(|task| task.is_finished()) {
                ended.await.context("a part of the demo has failed")??;
                bail!("a part of the demo has ended by itself");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn read_feeds(&self) -> anyhow::Result<Listed> {
        let (mut feeds, allow) = (self.args.feed.clone(), self.args.allow.clone());
        if feeds.is_empty() {
            let path = self.folder.join("demo-feed.txt");
            std::fs::write(&path, DEMO_FEED)?;
            feeds.push(path.to_string_lossy().into_owned());
        }
        let listed = tokio::task::spawn_blocking(move || {
            Listed::read(&Sources::new(&feeds, &allow, &[PORTAL_NAME.to_owned()]))
        })
        .await??;
        for (source, added) in &listed.feeds {
            let report = &added.report;
            self.step(
                "feed",
                &format!(
                    "{source}: {}, {} names, {} lines not read",
                    report.format, report.names, report.bad_lines
                ),
            );
        }
        let held: Vec<_> = HeldBack::ALL
            .iter()
            .map(|reason| format!("{} {reason}", listed.held_back(*reason)))
            .collect();
        self.step(
            "guard",
            &format!("{} entries to list; held back: {}", listed.kept(), held.join(", ")),
        );
        Ok(listed)
    }

    /// Makes a certificate authority for this demo alone, and one certificate for all hosts.
    fn make_certificates(
        &self,
        hosts: &[&str],
    ) -> anyhow::Result<(PathBuf, Arc<rustls::ServerConfig>)> {
        let authority_key = rcgen::KeyPair::generate()?;
        let mut parameters = rcgen::CertificateParams::new(Vec::new())?;
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Bartizan demo, worthless elsewhere");
        let authority_pem = parameters.self_signed(&authority_key)?.pem();
        let authority = rcgen::Issuer::new(parameters, authority_key);

        let key = rcgen::KeyPair::generate()?;
        let names: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let certificate = rcgen::CertificateParams::new(names)?.signed_by(&key, &authority)?;
        let (ca, cert_path, key_path) =
            (self.folder.join("ca.pem"), self.folder.join("cert.pem"), self.folder.join("key.pem"));
        std::fs::write(&ca, authority_pem)?;
        std::fs::write(&cert_path, certificate.pem())?;
        std::fs::write(&key_path, key.serialize_pem())?;
        Ok((ca, tls_config(&cert_path, &key_path)?))
    }

    fn open_internet(
        &mut self,
        harmless: &str,
        phishing: &str,
        bodies: &internet::Sites,
        tls: &Arc<rustls::ServerConfig>,
    ) -> anyhow::Result<Option<std::net::TcpListener>> {
        let sockets = self.stage.sockets()?;
        let first = |listeners: &[std::net::TcpListener]| -> anyhow::Result<SocketAddr> {
            Ok(listeners.first().context("no socket")?.local_addr()?)
        };
        let dns = sockets.dns.first().context("no socket")?.0.local_addr()?;
        self.stage.connect(dns, first(&sockets.http)?, first(&sockets.https)?);

        let zone: Zone = Arc::new(BTreeMap::from([
            (harmless.to_owned(), SITE),
            (phishing.to_owned(), SITE),
            (PORTAL_NAME.to_owned(), PORTAL),
        ]));
        internet::start_dns(sockets.dns, &zone)?;
        let site = internet::site(Arc::clone(bodies));
        for listener in sockets.http {
            let listener = Listener::Plain(tokio::net::TcpListener::from_std(listener)?);
            self.serve(listener, site.clone());
        }
        for listener in sockets.https {
            let listener =
                Listener::Tls(tokio::net::TcpListener::from_std(listener)?, Arc::clone(tls));
            self.serve(listener, site.clone());
        }
        Ok(sockets.portal)
    }

    fn serve(&mut self, listener: Listener, site: axum::Router) {
        let closing = self.closing.subscribe();
        self.running.push(tokio::spawn(async move {
            bartizan_portal::serve(site, vec![listener], closing).await;
            Ok(())
        }));
    }

    async fn open_portal(
        &mut self,
        device_side: Option<std::net::TcpListener>,
        tls: Arc<rustls::ServerConfig>,
    ) -> anyhow::Result<(Portal, TenantId, Console, String)> {
        let data_dir = self.args.data.clone().unwrap_or_else(|| self.folder.join("portal"));
        // What the demo fetches is on this machine.
        let reach = Reach { private_addresses: true, ..Reach::default() };
        let config = PortalConfig { reach, ..PortalConfig::new(data_dir) };
        let portal = Portal::open(config).await?;
        let tenant = portal.create_tenant("Bartizan demo").await?;
        let password = portal.create_administrator(tenant, ADMIN).await?;

        let here = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .context("cannot listen on 127.0.0.1")?;
        let url = format!("http://{}", here.local_addr()?);
        let mut listeners = vec![Listener::Plain(here)];
        let mut device_url = url.clone();
        if let Some(socket) = device_side {
            listeners.push(Listener::Tls(tokio::net::TcpListener::from_std(socket)?, tls));
            device_url = format!("https://{PORTAL_NAME}");
        }
        let serving = portal.clone();
        self.running.push(tokio::spawn(async move {
            serving.serve(listeners, std::future::pending()).await
        }));
        let console = Console { url, email: ADMIN.to_owned(), password: password.to_string() };
        Ok((portal, tenant, console, device_url))
    }

    /// Fetches both sites over HTTP and HTTPS; the two have to agree.
    async fn fetch_both(
        &self,
        harmless: &str,
        phishing: &str,
        ca: &Path,
        bodies: &internet::Sites,
    ) -> anyhow::Result<Outcomes> {
        Ok(Outcomes {
            harmless: self.fetch_one(harmless, ca, bodies).await?,
            phishing: self.fetch_one(phishing, ca, bodies).await?,
        })
    }

    async fn fetch_one(
        &self,
        host: &str,
        ca: &Path,
        bodies: &internet::Sites,
    ) -> anyhow::Result<Outcome> {
        let mut outcomes = Vec::new();
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}/");
            let outcome = match self.stage.fetch(&url, ca, &self.folder).await? {
                Fetched::Loaded { status, body } if Some(&body) == bodies.get(host) => {
                    Outcome::Status(status)
                }
                Fetched::Loaded { .. } => {
                    Outcome::Word(format!("{scheme}: other octets than were served"))
                }
                Fetched::Blocked => Outcome::Word("blocked".to_owned()),
                Fetched::Failed(why) => Outcome::Word(format!("{scheme}: {why}")),
            };
            outcomes.push(outcome);
        }
        let odd = outcomes.iter().find(|outcome| Some(*outcome) != outcomes.first());
        match odd.or_else(|| outcomes.first()) {
            Some(outcome) => Ok(outcome.clone()),
            None => bail!("nothing was fetched"),
        }
    }

    async fn wait_for_protection(&mut self) -> anyhow::Result<Status> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            if let Some(status) = self.stage.status(&self.folder)? {
                if status.protection == "on" && status.policy_version != 0 {
                    return Ok(status);
                }
                last = status.problem;
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!(
            "the device is not protected after 30 seconds: {}",
            last.unwrap_or_else(|| "no reason given".to_owned())
        )
    }

    /// Returns the portal's alerts once one is about this host, or after 30 seconds.
    async fn wait_for_alert(
        &self,
        portal: &Portal,
        tenant: TenantId,
        host: &str,
    ) -> anyhow::Result<Vec<AlertLine>> {
        let mut alerts = Vec::new();
        for _ in 0..ATTEMPTS {
            alerts = portal.newest_alerts(tenant).await?;
            if alerts.iter().any(|alert| alert.host.as_deref() == Some(host)) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        let lines = alerts.into_iter().map(|alert| AlertLine {
            id: alert.id,
            detector: alert.detector,
            severity: alert.severity,
            host: alert.host,
            device: alert.device,
        });
        Ok(lines.collect())
    }

    fn elapsed(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.started)
    }

    fn step(&self, what: &str, text: &str) {
        out::note(&format!("[{:6.2} s] {what:<12} {text}", self.elapsed().as_secs_f64()));
    }
}

impl Report {
    /// Tells whether everything came as it should.
    pub(crate) fn as_expected(&self) -> bool {
        let blocked = Outcome::Word("blocked".to_owned());
        let both = Outcomes { harmless: Outcome::Status(200), phishing: Outcome::Status(200) };
        let one = Outcomes { harmless: Outcome::Status(200), phishing: blocked };
        let (_, phishing) = &self.hosts;
        let told = self.alerts.iter().any(|alert| alert.host.as_ref() == Some(phishing));
        self.unprotected == both && self.protected == one && told
    }

    /// Writes the table that people read.
    pub(crate) fn table(&self) -> String {
        let (harmless, phishing) = &self.hosts;
        let width = harmless.len().max(phishing.len()).max(4);
        let mut lines = vec![
            String::new(),
            format!("{:<width$}  without protection  with protection", "site"),
            format!(
                "{harmless:<width$}  {:<18}  {}",
                self.unprotected.harmless.word(),
                self.protected.harmless.word()
            ),
            format!(
                "{phishing:<width$}  {:<18}  {}",
                self.unprotected.phishing.word(),
                self.protected.phishing.word()
            ),
            String::new(),
        ];
        for alert in &self.alerts {
            let host = alert.host.as_deref().unwrap_or("(withheld)");
            lines.push(format!(
                "Alert {}: {} ({}), {host}, on {}",
                alert.id, alert.detector, alert.severity, alert.device
            ));
        }
        let verdict = if self.as_expected() {
            "Everything came as it should"
        } else {
            "NOT everything came as it should"
        };
        lines.push(format!("{verdict}, in {} s.", self.seconds));
        lines.push(String::new());
        lines.push(self.sign_in());
        lines.join("\n")
    }
}

impl Report {
    /// Writes where the console is and how to get in.
    pub(crate) fn sign_in(&self) -> String {
        let Console { url, email, password } = &self.console;
        format!("Console   {url}\nSign in   {email}   one-time password {password}")
    }
}

impl Outcomes {
    fn line(&self) -> String {
        format!("harmless site {}, phishing site {}", self.harmless.word(), self.phishing.word())
    }
}

impl Outcome {
    fn word(&self) -> String {
        match self {
            Self::Status(200) => "loads".to_owned(),
            Self::Status(status) => format!("status {status}"),
            Self::Word(word) => word.clone(),
        }
    }
}

fn page(title: &str, length: usize) -> Vec<u8> {
    let mut page = format!("<!doctype html><title>{title}</title><h1>{title}</h1>\n").into_bytes();
    let text = b"Every octet of this page has to arrive as it was sent. ";
    page.extend(text.iter().copied().cycle().take(length.saturating_sub(page.len())));
    page
}

fn size(octets: u64) -> String {
    match octets {
        0..1_024 => format!("{octets} octets"),
        1_024..1_048_576 => format!("{} KiB", octets / 1_024),
        _ => format!("{}.{} MiB", octets / 1_048_576, octets % 1_048_576 * 10 / 1_048_576),
    }
}

const DEMO_FEED: &str = include_str!("../../data/demo-feed.txt");
const HARMLESS: &str = "harmless.example";
const PORTAL_NAME: &str = "portal.example";
const ADMIN: &str = "admin@example.test";
/// 30 seconds.
const ATTEMPTS: u32 = 300;
const PAUSE: Duration = Duration::from_millis(100);
