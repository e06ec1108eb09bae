//! What all handlers share.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bartizan_model::Private;
use bartizan_store::{JobHolder, Store};
use tokio::sync::{Notify, watch};

use crate::access_token::AccessTokens;
use crate::admission::Admission;
use crate::attestation::Verifier;
use crate::clock::Clock;
use crate::feeds::Work;
use crate::files::Files;
use crate::indicator_import::Uploads;
use crate::live::News;
use crate::metrics::Metrics;
use crate::oidc::provider::Providers;
use crate::publish::Publisher;
use crate::reach::Reach;
use crate::replay::Replays;
use crate::seal::Sealer;
use crate::signing::ProfileSigner;
use crate::stamp::Stamper;
use crate::tallies::Tallies;
use crate::telemetry::Telemetry;
use crate::throttle::Throttle;
use crate::v1::rate::Rates;
use crate::{PortalConfig, password, random};

/// The state of a portal, given to every handler. Cloning shares it.
#[derive(Clone)]
pub(crate) struct AppState(Arc<Shared>);

/// What [`AppState`] gives access to.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) files: Files,
    pub(crate) clock: Clock,
    pub(crate) secure_cookies: bool,
    /// Whom it believes, and where it goes.
    pub(crate) reach: Reach,
    /// How long what is settled is kept; for ever if it is not said.
    pub(crate) retention: Option<Duration>,
    /// Signs profiles, where whoever runs the portal wants that.
    pub(crate) profile_signer: Option<ProfileSigner>,
    pub(crate) telemetry: Telemetry,
    /// Tells this process from others that share its work.
    pub(crate) holder: JobHolder,
    pub(crate) access_tokens: AccessTokens,
    pub(crate) admission: Admission,
    /// Says what vouches for a device's key; absent where no attestation is accepted.
    pub(crate) attestation: Option<Verifier>,
    /// Seals what has to be read again.
    pub(crate) sealer: Sealer,
    pub(crate) providers: Providers,
    pub(crate) replays: Replays,
    pub(crate) rates: Rates,
    /// Of what goes out and comes back: tokens of applications, places in lists.
    pub(crate) stamper: Stamper,
    pub(crate) throttle: Throttle,
    pub(crate) news: News,
    pub(crate) metrics: Metrics,
    pub(crate) feeds: Work,
    pub(crate) uploads: Uploads,
    pub(crate) tallies: Tallies,
    pub(crate) publisher: Publisher,
    /// Wakes who puts devices into groups anew.
    pub(crate) regroup: Notify,
    /// Wakes who carries out changes of many alerts.
    pub(crate) bulk: Notify,
    /// Whether the portal is shutting down.
    pub(crate) closing: watch::Sender<bool>,
    /// Hash of a password that nobody has, to verify against where there is no account.
    pub(crate) nobodys_password: Private<String>,
}

impl AppState {
    pub(crate) async fn new(
        store: Store,
        files: Files,
        clock: Clock,
        config: &PortalConfig,
    ) -> anyhow::Result<Self> {
        let installation = store.access_token_key().await?;
        let sealer = Sealer::new(&installation)?;
        let stamper = Stamper::new(installation);
        let access_tokens = AccessTokens::new(installation);
        let nobody = Private(crate::files::hexadecimal(&random::<32>()?));
        let nobodys_password = password::hash(nobody).await?;
        let metrics = Metrics::started_at(clock.now());
        let news = News::new(store.clone());
        Ok(Self(Arc::new(Shared {
            store,
            files,
            clock,
            secure_cookies: config.secure_cookies,
            reach: config.reach.clone(),
            retention: config.retention,
            profile_signer: config.profile_signer.clone(),
            telemetry: Telemetry::new(config.otlp_endpoint.as_deref()),
            holder: JobHolder(random()?),
            access_tokens,
            admission: Admission::default(),
            attestation: Verifier::open(&config.attestation)?,
            sealer,
            providers: Providers::default(),
            replays: Replays::default(),
            rates: Rates::default(),
            stamper,
            throttle: Throttle::default(),
            news,
            metrics,
            feeds: Work::default(),
            uploads: Uploads::default(),
            tallies: Tallies::default(),
            publisher: Publisher::default(),
            regroup: Notify::new(),
            bulk: Notify::new(),
            closing: watch::Sender::new(false),
            nobodys_password,
        })))
    }
}

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
