//! The files that an MDM takes, made of what a policy document decides: managed app configuration, and profiles, signed if
//! that is wanted.
//!
//! # What it does not do
//! - Hold an enrollment token: a file is downloaded, mailed and kept.

use axum::http::{HeaderMap, Uri};
use bartizan_store::{GroupId, StoreError, TenantScope};

use crate::policy::engine;
use crate::policy::managed_config::{ManagedConfig, Onboarding};
use crate::policy::mobileconfig::{self, BadProfile, OnDemand, Subject};
use crate::policy::schema::{Key, Place};
use crate::policy::settings::Settings;
use crate::policy::value::Raw;
use crate::signing::BadSigner;
use crate::state::AppState;
use crate::{policies, request};

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Managed app configuration as a property list.
    PropertyList,
    /// Its dictionary alone.
    Dictionary,
    /// Profile of the VPN.
    Vpn,
    /// Profile of the content filter.
    ContentFilter,
    /// Profile of encrypted DNS.
    Dns,
}

impl Kind {
    const ALL: [Self; 5] =
        [Self::PropertyList, Self::Dictionary, Self::Vpn, Self::ContentFilter, Self::Dns];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::PropertyList => "plist",
            Self::Dictionary => "dict",
            Self::Vpn => "vpn",
            Self::ContentFilter => "filter",
            Self::Dns => "dns",
        }
    }

    pub(crate) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    fn is_profile(self) -> bool {
        match self {
            Self::PropertyList | Self::Dictionary => false,
            Self::Vpn | Self::ContentFilter | Self::Dns => true,
        }
    }

    fn media(self) -> &'static str {
        if self.is_profile() { PROFILE } else { CONFIGURATION }
    }

    fn name(self) -> &'static str {
        match self {
            Self::PropertyList => "app-configuration.plist",
            Self::Dictionary => "app-configuration.xml",
            Self::Vpn => "vpn.mobileconfig",
            Self::ContentFilter => "filter.mobileconfig",
            Self::Dns => "dns.mobileconfig",
        }
    }
}

/// What is asked for.
pub(crate) struct Wanted<'a> {
    pub(crate) kind: Kind,
    /// Address of the portal, as devices are to reach it.
    pub(crate) portal: String,
    /// The app's bundle identifier, which profiles name.
    pub(crate) app: &'a str,
    /// Whether a profile is to be signed.
    pub(crate) is_signed: bool,
}

/// A file to be downloaded.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) media: &'static str,
    pub(crate) name: &'static str,
    pub(crate) octets: Vec<u8>,
}

impl File {
    /// The value of `Content-Disposition`.
    pub(crate) fn disposition(&self) -> String {
        format!("attachment; filename=\"{}\"", self.name)
    }
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// A profile does not say for which app it is.
    #[error("a profile names the app by its bundle identifier, such as com.example.bartizan")]
    NoApp,
    /// The portal was given no certificate.
    #[error("this portal has no certificate to sign profiles by")]
    NoSigner,
    /// The policy has no such file.
    #[error(transparent)]
    Profile(#[from] BadProfile),
    /// The certificate does not sign.
    #[error(transparent)]
    Signer(#[from] BadSigner),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a file of a document: of the tenant's, or of a group's over it.
pub(crate) async fn make(
    state: &AppState,
    scope: TenantScope,
    organization: String,
    group: Option<GroupId>,
    wanted: Wanted<'_>,
) -> Result<File, FileError> {
    let Wanted { kind, portal, app, is_signed } = wanted;
    if kind.is_profile() && !is_bundle(app) {
        return Err(FileError::NoApp);
    }
    let settings = merged(state, scope, group).await?;
    let subject = Subject {
        portal: portal.clone(),
        tenant: scope.tenant_id(),
        organization,
        app: app.to_owned(),
        tunnel: format!("{app}.tunnel"),
    };
    let text = match kind {
        Kind::PropertyList => config(&settings, portal).to_plist().map_err(BadProfile::from)?,
        Kind::Dictionary => config(&settings, portal).to_dict().map_err(BadProfile::from)?,
        Kind::Vpn => mobileconfig::vpn(&subject, &settings, &OnDemand::default())?,
        Kind::ContentFilter => mobileconfig::content_filter(&subject)?,
        Kind::Dns => {
            let dns = engine::read(&settings, 0).dns;
            mobileconfig::dns(&subject, &dns.upstream, dns.upstream_fallback, false)?
        }
    };
    let octets = if is_signed && kind.is_profile() {
        let signer = state.profile_signer.as_ref().ok_or(FileError::NoSigner)?;
        signer.sign(&text, state.clock.now())?
    } else {
        text.into_bytes()
    };
    Ok(File { media: kind.media(), name: kind.name(), octets })
}

/// The latest of the tenant's document, with what a group's sets over it.
pub(crate) async fn merged(
    state: &AppState,
    scope: TenantScope,
    group: Option<GroupId>,
) -> Result<Settings, StoreError> {
    let (_, mut settings) = policies::latest(state, scope, None).await?;
    if group.is_some() {
        let (_, over) = policies::latest(state, scope, group).await?;
        for (key, value) in over.iter() {
            let value = value.to_json();
            let damaged = |_| StoreError::Damaged { column: "settings" };
            settings.set(key, &Raw::from(&value)).map_err(damaged)?;
        }
    }
    // The portal alone goes by them.
    for key in Key::ALL {
        if key.setting().place == Place::Portal {
            settings.clear(*key);
        }
    }
    Ok(settings)
}

/// What an MDM gives to the app.
pub(crate) fn config(settings: &Settings, portal: String) -> ManagedConfig {
    let onboarding =
        Onboarding { portal, token: None, supervised: None, is_user_enrollment: false };
    ManagedConfig::new(settings, &onboarding)
}

/// The address that a request came to.
pub(crate) fn address(state: &AppState, headers: &HeaderMap, uri: &Uri) -> String {
    let scheme = if state.secure_cookies { "https" } else { "http" };
    let host = request::host(headers, uri).unwrap_or("portal.example");
    format!("{scheme}://{host}")
}

fn is_bundle(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    (1..=MAX_BUNDLE).contains(&text.len()) && text.chars().all(fits) && text.contains('.')
}

/// Media type of managed app configuration.
pub(crate) const CONFIGURATION: &str = "application/xml";
/// Media type of profiles.
pub(crate) const PROFILE: &str = "application/x-apple-aspen-config";
/// As long as Apple lets a bundle identifier be.
pub(crate) const MAX_BUNDLE: usize = 155;
