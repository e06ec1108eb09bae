//! The portal: what devices speak to, and what stands behind the console.
//!
//! [`Portal`] opens a data folder, serves it, and does what the command line asks for. Every route
//! stands in one table ([`routes`]), with who may call it.
//!
//! # What it does not do
//! - Read configuration or logs set up: `bartizan` does.
//! - SQL: `bartizan-store` does. A handler extracts, narrows, asks the store, shows.
//!
//! # Invariants
//! - One `clock` reads the time.
//! - A 5xx says nothing of the inside and is logged once, in `error`.

mod access_token;
mod admission;
mod api;
mod attestation;
pub mod audit;
mod auto_resolve;
mod bulk;
mod clock;
mod connections;
mod console;
mod deltas;
mod demo;
mod der;
mod device_auth;
mod draw;
mod error;
mod es256;
pub mod feeds;
mod files;
#[doc(hidden)]
pub mod fuzz;
mod health;
mod indicator_csv;
mod indicator_import;
mod indicator_rule;
mod lease;
mod live;
mod metrics;
mod offered;
mod oidc;
mod one_time_password;
mod operator_session;
mod out;
mod own_password;
mod pages;
mod passkey;
mod password;
mod patience;
mod policies;
pub mod policy;
mod policy_files;
mod publish;
mod reach;
mod regroup;
mod replay;
mod request;
mod retention;
mod router;
mod scim;
mod seal;
mod second_factor;
#[cfg(test)]
mod security_page;
mod serve;
mod session;
mod sign_in;
mod signing;
mod stamp;
mod state;
mod tallies;
mod telemetry;
mod tenant_removal;
mod throttle;
mod ticket;
mod totp;
mod v1;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bartizan_contract::enroll::EnrollmentToken;
use bartizan_contract::keys::Jwk;
use bartizan_indicators::build::{Stamp, build};
use bartizan_indicators::compile::Compiled;
use bartizan_model::{Policy, Private, TenantId, UnixMillis};
use bartizan_store::{AlertFilter, AlertRow, IndicatorFileRow, MemberId, Store, TenantScope};
use ed25519_dalek::SigningKey;
use sha2::{Digest as _, Sha256};

pub use attestation::AttestationSettings;
pub use bartizan_store::{BuiltIn, Permission};
pub use bartizan_store::{DatabaseError, DatabaseFacts, DatabaseUrl, StoreError};
pub use clock::Clock;
pub use one_time_password::OneTimePassword;
pub use operator_session::Duty;
pub use reach::Reach;
pub use router::{Access, routes};
pub use serve::{Listener, serve};
pub use signing::{BadSigner, ProfileSigner};

use draw::random;
use files::{Files, hexadecimal};
use state::AppState;

/// Where the portal keeps its things, and how it is reached.
#[derive(Clone, Debug)]
pub struct PortalConfig {
    /// Database and indicator files; made, for its owner alone, if it is absent.
    pub data_dir: PathBuf,
    /// Whether browsers reach it by HTTPS: cookies then demand it.
    pub secure_cookies: bool,
    /// Where the database is; `portal.db` in the data folder if it is not named.
    pub database: Option<DatabaseUrl>,
    /// How long resolved alerts, decided reports and dismissed notices are kept; for ever if it is not said.
    pub retention: Option<Duration>,
    /// What profiles are signed by; they are not if it is not given.
    pub profile_signer: Option<ProfileSigner>,
    /// Address of a collector of OpenTelemetry, which gets a span for each request; none do if it is not named.
    pub otlp_endpoint: Option<String>,
    /// The network around it.
    pub reach: Reach,
    /// Which apps may vouch for devices' keys.
    pub attestation: AttestationSettings,
}

impl PortalConfig {
    /// A data folder with its own database, reached without TLS.
    #[must_use]
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            secure_cookies: false,
            database: None,
            retention: Some(RETENTION),
            profile_signer: None,
            otlp_endpoint: None,
            reach: Reach::default(),
            attestation: AttestationSettings::default(),
        }
    }

    /// Returns where the database is.
    #[must_use]
    pub fn database(&self) -> DatabaseUrl {
        let file = || DatabaseUrl::File(self.data_dir.join("portal.db"));
        self.database.clone().unwrap_or_else(file)
    }
}

/// A portal over a data folder. Cloning shares it.
#[derive(Clone)]
pub struct Portal {
    state: AppState,
    /// Whom the fleet of a load test enrolls with; an ordinary portal has none.
    demo: Option<TenantId>,
}

impl Portal {
    /// Opens the data folder, and makes or migrates what is in it.
    ///
    /// # Errors
    /// The folder or the database cannot be used.
    pub async fn open(config: PortalConfig) -> anyhow::Result<Self> {
        Self::open_at(config, Clock::system()).await
    }

    /// Opens the data folder at a time of the caller's choosing.
    ///
    /// # Errors
    /// The folder or the database cannot be used.
    pub async fn open_at(config: PortalConfig, clock: Clock) -> anyhow::Result<Self> {
        let now = clock.now();
        let place = config.clone();
        let opened = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
            let files = Files::open(&place.data_dir)?;
            let store = Store::open(place.database(), now).context("cannot open the database")?;
            Ok((files, store))
        });
        let (files, store) = opened.await??;
        let state = AppState::new(store, files, clock, &config).await?;
        Ok(Self { state, demo: None })
    }

    /// Adds the routes of a load test, by which any program on this machine enrolls devices with `tenant`.
    #[must_use]
    pub fn with_demo_routes(self, tenant: TenantId) -> Self {
        Self { demo: Some(tenant), ..self }
    }

    /// Returns the tenants, oldest first.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn tenants(&self) -> Result<Vec<(TenantId, String)>, StoreError> {
        self.state.store.tenants().await
    }

    /// Creates a tenant with a signing key of its own and the default policy.
    ///
    /// # Errors
    /// The store is unavailable, or there is no randomness.
    pub async fn create_tenant(&self, name: &str) -> anyhow::Result<TenantId> {
        Ok(self.state.store.create_tenant(name, random()?, self.state.clock.now()).await?)
    }

    /// Returns what the tenant's policy decides, whatever those of groups add.
    ///
    /// # Errors
    /// There is no such tenant, or the store is unavailable.
    pub async fn policy(&self, tenant: TenantId) -> Result<Policy, StoreError> {
        let scope = self.state.store.tenant(tenant).await?;
        policies::of_tenant(&self.state, scope).await
    }

    /// Decides something else for them, and returns its version; `policy.version` is ignored.
    ///
    /// # Errors
    /// A number is out of its bounds, there is no such tenant, or the store is unavailable.
    pub async fn set_policy(&self, tenant: TenantId, policy: Policy) -> anyhow::Result<u64> {
        policy.check()?;
        let scope = self.state.store.tenant(tenant).await?;
        let now = self.state.clock.now();
        Ok(policies::set_of_tenant(&self.state, scope, &policy, ("", ""), now).await?)
    }

    /// Creates an administrator of the tenant, or makes an existing member one and resets their password.
    ///
    /// # Errors
    /// Not an address, no such tenant, or the store is unavailable.
    pub async fn create_administrator(
        &self,
        tenant: TenantId,
        email: &str,
    ) -> anyhow::Result<OneTimePassword> {
        self.create_member(tenant, email, BuiltIn::Administrator).await
    }

    /// Creates a member with a role, or gives an existing one the role as well and resets their password.
    ///
    /// # Errors
    /// Not an address, no such tenant, or the store is unavailable.
    pub async fn create_member(
        &self,
        tenant: TenantId,
        email: &str,
        role: BuiltIn,
    ) -> anyhow::Result<OneTimePassword> {
        let is_address = email.contains('@') && !email.contains(|c: char| c.is_control());
        anyhow::ensure!(is_address, "not an e-mail address");
        let scope = self.state.store.tenant(tenant).await?;
        let now = self.state.clock.now();
        let roles = vec![role.id().into()];
        let (password, member) = OneTimePassword::for_new(email.into(), roles, now).await?;
        let id = self.state.store.invite_member(scope, member, now).await?;
        if !self.state.store.sign_in_rule(scope).await?.local_passwords {
            // Whoever can open the database wants to get in, also where the provider alone lets people in.
            self.state.store.set_break_glass(scope, id, true, now).await?;
        }
        Ok(password)
    }

    /// Adds an operator of the installation; the password lets them in once, at `/operator`.
    ///
    /// # Errors
    /// Not a name, somebody has it, or the store is unavailable.
    pub async fn add_operator(
        &self,
        name: &str,
        administers: bool,
    ) -> anyhow::Result<OneTimePassword> {
        let name = name.to_ascii_lowercase();
        anyhow::ensure!(pages::operators::is_name(&name), "a name is one word, or an address");
        let (scope, now) = (self.state.store.installation().scope(), self.state.clock.now());
        let roles = pages::operators::roles(administers);
        let (password, account) = OneTimePassword::for_new(name, roles, now).await?;
        self.state.store.add_member(scope, account, now).await?;
        Ok(password)
    }

    /// Returns the operators' names, and what each may do in a few words.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn operators(&self) -> Result<Vec<(String, &'static str)>, StoreError> {
        let all = self.state.store.members(self.state.store.installation().scope()).await?;
        let administers = |roles: &[String]| roles.iter().any(|id| id == "administrator");
        let what = |row: bartizan_store::MemberRow| {
            let what = match (row.disabled_at.is_some(), administers(&row.roles)) {
                (true, _) => "disabled",
                (false, true) => "administers",
                (false, false) => "enters organizations",
            };
            (row.email, what)
        };
        Ok(all.into_iter().map(what).collect())
    }

    /// Gives an operator a one-time password and takes their second factor and their passkeys away: for whoever has lost
    /// all of them.
    ///
    /// # Errors
    /// There is no such operator, or the store is unavailable.
    pub async fn reset_operator(&self, name: &str) -> anyhow::Result<OneTimePassword> {
        let (scope, operator) = self.operator(name).await?;
        let (store, now) = (&self.state.store, self.state.clock.now());
        let (password, hash, until) = OneTimePassword::draw(now).await?;
        store.reset_password(scope, operator, hash, until, now).await?;
        if store.second_factor(scope, operator).await?.is_some() {
            store.remove_second_factor(scope, operator, false, now).await?;
        }
        if !store.passkeys(scope, operator).await?.is_empty() {
            store.remove_passkeys(scope, operator, now).await?;
        }
        store.set_member_disabled(scope, operator, false, now).await?;
        Ok(password)
    }

    /// Removes an operator; their sessions end, also those in organizations.
    ///
    /// # Errors
    /// There is no such operator, it is the last who administers, or the store is unavailable.
    pub async fn remove_operator(&self, name: &str) -> anyhow::Result<()> {
        let (scope, operator) = self.operator(name).await?;
        Ok(self.state.store.erase_member(scope, operator, self.state.clock.now()).await?)
    }

    async fn operator(&self, name: &str) -> anyhow::Result<(TenantScope, MemberId)> {
        let found = self.state.store.operators_by_name(name).await?.pop();
        let found = found.with_context(|| format!("there is no operator {name}"))?;
        Ok((self.state.store.installation().scope(), found.id))
    }

    /// Lets an operator enter an organization, or every one, with a role at most.
    ///
    /// # Errors
    /// There is no such operator or organization, or the store is unavailable.
    pub async fn grant_operator(
        &self,
        name: &str,
        tenant: Option<TenantId>,
        role: BuiltIn,
    ) -> anyhow::Result<()> {
        let (_, operator) = self.operator(name).await?;
        let (store, now) = (&self.state.store, self.state.clock.now());
        Ok(store.grant_operator(store.installation(), operator, tenant, role, now).await?)
    }

    /// Removes what is older than it is kept, and tells how many alerts went; a portal that serves does so by itself.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn remove_old(&self) -> Result<u64, StoreError> {
        retention::sweep(&self.state).await
    }

    /// Removes organizations whose days of grace are over, and tells how many; a portal that serves does so by itself.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn remove_deleted_tenants(&self) -> Result<u64, StoreError> {
        tenant_removal::sweep(&self.state).await
    }

    /// Gives out a token that lets one device in.
    ///
    /// # Errors
    /// There is no such tenant, or the store is unavailable.
    pub async fn create_enrollment_token(
        &self,
        tenant: TenantId,
        valid_for: Duration,
    ) -> anyhow::Result<EnrollmentToken> {
        let scope = self.state.store.tenant(tenant).await?;
        let row = self.state.store.tenant_row(scope).await?;
        let key = SigningKey::from_bytes(&row.signing_key.0);
        let token = EnrollmentToken::new(random()?, &Jwk::from_portal_key(&key.verifying_key()));
        let (hash, now) = (Sha256::digest(token.secret).into(), self.state.clock.now());
        let expires_at = later(now, valid_for);
        self.state.store.create_enrollment_token(scope, hash, expires_at, now).await?;
        Ok(token)
    }

    /// Makes a token that a directory keeps the tenant's users and groups up to date with; it is shown only now.
    ///
    /// # Errors
    /// There is no such tenant, it has too many tokens, or the store is unavailable.
    pub async fn create_directory_token(
        &self,
        tenant: TenantId,
        name: &str,
        valid_for: Duration,
    ) -> anyhow::Result<Private<String>> {
        let scope = self.state.store.tenant(tenant).await?;
        let (token, now) = (scim::DirectoryToken::random(tenant)?, self.state.clock.now());
        let named = (name.to_owned(), token.hash());
        self.state.store.create_scim_token(scope, named, later(now, valid_for), now).await?;
        Ok(Private(token.to_string()))
    }

    /// Returns the key to hash the entries of the tenant's next indicator file with.
    ///
    /// # Errors
    /// There is no such tenant, no randomness, or the store is unavailable.
    pub async fn hash_key(&self, tenant: TenantId) -> anyhow::Result<[u8; 16]> {
        let scope = self.state.store.tenant(tenant).await?;
        deltas::hash_key(&self.state, scope).await
    }

    /// Builds, signs and publishes an indicator file; devices fetch it at their next check-in.
    ///
    /// # Errors
    /// Too many names, no space, no such tenant, or the store is unavailable.
    pub async fn publish_indicators(
        &self,
        tenant: TenantId,
        compiled: Compiled,
        report_json: String,
    ) -> anyhow::Result<Published> {
        let store = &self.state.store;
        let scope = store.tenant(tenant).await?;
        let key = SigningKey::from_bytes(&store.tenant_row(scope).await?.signing_key.0);
        let compiled = Arc::new(compiled);
        // Another process may publish at the same time; then this one takes the next number.
        for _ in 0..PUBLISH_TRIES {
            let newest = store.newest_indicator_file(scope).await?;
            let epoch = newest.map_or(0, |file| file.epoch) + 1;
            let stamp = Stamp { epoch, built_at: self.state.clock.now() };
            let (compiled, key, files) =
                (Arc::clone(&compiled), key.clone(), self.state.files.clone());
            let written = tokio::task::spawn_blocking(move || -> anyhow::Result<Published> {
                let octets = build(&compiled, stamp, &key)?;
                let sha256 = hexadecimal(&Sha256::digest(&octets));
                files.write(&sha256, &octets).context("cannot write the indicator file")?;
                let size_bytes = u64::try_from(octets.len())?;
                Ok(Published { epoch, sha256, size_bytes, entries: u64::try_from(compiled.len())? })
            });
            let published = written.await??;
            let row = IndicatorFileRow {
                epoch,
                sha256: published.sha256.clone(),
                size_bytes: published.size_bytes,
                entries: published.entries,
                built_at: stamp.built_at,
                report: report_json.clone(),
            };
            match store.add_indicator_file(scope, row).await {
                Ok(()) => {
                    if let Err(error) = deltas::make(&self.state, scope, epoch).await {
                        let error: &dyn std::error::Error = error.as_ref();
                        tracing::warn!(error, "no deltas lead to the file that was published");
                    }
                    return Ok(published);
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        anyhow::bail!("others keep publishing at the same time")
    }

    /// Returns the newest alerts, at most a page of them.
    ///
    /// # Errors
    /// There is no such tenant, or the store is unavailable.
    pub async fn newest_alerts(&self, tenant: TenantId) -> Result<Vec<AlertSummary>, StoreError> {
        let scope = self.state.store.tenant(tenant).await?;
        let rows = self
            .state
            .store
            .alerts(scope.whole(), AlertFilter::default(), None, ALERT_PAGE)
            .await?;
        Ok(rows.into_iter().map(AlertSummary::from).collect())
    }

    /// Carries out the changes of many alerts that were asked for; a portal that serves does so by itself.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn carry_out_changes(&self) -> Result<(), StoreError> {
        bulk::work(&self.state).await
    }

    /// Resolves alerts that have been quiet for long enough, and tells how many; a portal that serves does so by itself.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn resolve_quiet_alerts(&self) -> Result<u64, StoreError> {
        auto_resolve::sweep(&self.state).await
    }

    /// Tells sinks what waits for them, as a running portal does by itself, and returns when each had its turn.
    ///
    /// # Errors
    /// The store is unavailable. That a sink took nothing is noted, not an error.
    pub async fn tell_sinks(&self) -> Result<(), StoreError> {
        out::run_once(&self.state).await
    }

    /// Returns all routes as one service, for a server or a test.
    pub fn router(&self) -> axum::Router {
        router::build(&self.state, self.demo)
    }

    /// Answers `GET /metrics` in plain HTTP until the portal closes.
    pub async fn serve_metrics(&self, listener: tokio::net::TcpListener) {
        let closing = self.state.closing.subscribe();
        serve(metrics::router(self.state.clone()), vec![Listener::Plain(listener)], closing).await;
    }

    /// Serves, works on feeds, and removes what is old, until `shutdown` completes; then stops accepting, ends event streams, finishes requests
    /// for up to 10 s, and closes the store.
    ///
    /// # Errors
    /// The store is unavailable; a connection that fails is that connection's matter.
    pub async fn serve(
        &self,
        listeners: Vec<Listener>,
        shutdown: impl Future<Output = ()> + Send,
    ) -> anyhow::Result<()> {
        publish::catch_up(&self.state).await?;
        let closing = self.state.closing.subscribe();
        let ended = serve(self.router(), listeners, closing);
        let work = feeds::run(self.state.clone());
        let regroup = regroup::run(self.state.clone());
        let signing = audit::run(self.state.clone());
        let bulk = bulk::run(self.state.clone());
        let quiet = auto_resolve::run(self.state.clone());
        let stop = async {
            shutdown.await;
            self.state.closing.send_replace(true);
        };
        let upkeep = retention::run(self.state.clone());
        let out = out::run(self.state.clone());
        let others = live::run(self.state.clone());
        let traces = telemetry::run(self.state.clone());
        tokio::join!(ended, work, regroup, signing, bulk, quiet, upkeep, out, others, traces, stop);
        self.state.store.close().await;
        Ok(())
    }
}

/// An alert in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertSummary {
    /// As in its address in the console.
    pub id: String,
    /// The detector's id.
    pub detector: &'static str,
    /// In words.
    pub severity: &'static str,
    /// What it is about; `None` where policy keeps that on the device.
    pub host: Option<String>,
    /// The device's name.
    pub device: String,
    /// How often it happened.
    pub count: u64,
}

impl From<AlertRow> for AlertSummary {
    fn from(row: AlertRow) -> Self {
        Self {
            id: row.key.to_string(),
            detector: row.detector.id(),
            severity: row.severity.word(),
            host: row.host.map(|host| host.to_string()),
            device: row.device_name,
            count: row.count,
        }
    }
}

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Counts up with every file of the tenant.
    pub epoch: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// In octets.
    pub size_bytes: u64,
    /// How many names it holds.
    pub entries: u64,
}

fn later(now: UnixMillis, by: Duration) -> UnixMillis {
    UnixMillis(now.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
}

/// Half a year.
pub const RETENTION: Duration = Duration::from_secs(180 * 24 * 60 * 60);
/// Of tokens for a load test.
const DEMO_TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
const ALERT_PAGE: u32 = 50;
/// Each try builds the file again, so a few are plenty.
const PUBLISH_TRIES: usize = 3;
