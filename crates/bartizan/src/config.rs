//! How a portal is set up: flags, environment and one TOML file, by one table of keys.
//!
//! A key `tls-cert` is `--tls-cert` as a flag, `BARTIZAN_TLS_CERT` in the environment and `tls-cert = ".."` in the file.
//! A flag wins over the environment, and that over the file. Everything is text until [`Config::read`] makes of it what
//! the program needs, so that a mistake is told in the same words wherever it was made.
//!
//! # Invariants
//! - A key that is not in [`KEYS`] is refused, and the nearest one is named.
//! - A secret is never shown, in no error and no listing.

mod keys;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use bartizan_portal::{AttestationSettings, DatabaseUrl, PortalConfig, Reach};

pub(crate) use keys::{Flags, KEYS, Key, Kind};

/// What a portal is to do.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) database: Option<DatabaseUrl>,
    pub(crate) listen: SocketAddr,
    pub(crate) tls_cert: Option<PathBuf>,
    pub(crate) tls_key: Option<PathBuf>,
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Whom it believes, and where it goes.
    pub(crate) reach: Reach,
    /// 0 keeps everything.
    pub(crate) retention_days: u64,
    pub(crate) profile_cert: Option<PathBuf>,
    pub(crate) profile_key: Option<PathBuf>,
    /// Where traces go; nowhere if it is not named.
    pub(crate) otlp_endpoint: Option<String>,
    /// Where the log goes; standard error if it is not named.
    pub(crate) log_file: Option<PathBuf>,
    pub(crate) feed: Vec<String>,
    pub(crate) allow: Vec<String>,
    pub(crate) own: Vec<String>,
    /// Which apps may vouch for devices' keys.
    pub(crate) attestation: AttestationSettings,
    pub(crate) tenant: String,
    pub(crate) admin: String,
    /// Every key with its value and where that comes from; secrets are hidden.
    pub(crate) listing: Vec<(&'static str, String, Origin)>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Environment,
    File,
    Default,
}

impl Origin {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        }
    }
}

/// Values by key, of one origin.
pub(crate) type Layer = BTreeMap<&'static str, Vec<String>>;

impl Config {
    /// Reads the environment and the file, if one is named; `flags` win over both.
    pub(crate) fn read(file: Option<&Path>, flags: Layer) -> anyhow::Result<Self> {
        let variables: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let named = variables.iter().find(|(name, _)| name == FILE_VARIABLE);
        let file = file.or_else(|| named.map(|(_, path)| Path::new(path)));
        let of_file = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                file_layer(&text).with_context(|| path.display().to_string())?
            }
            None => Layer::new(),
        };
        Self::of(&flags, &environment_layer(&variables)?, &of_file)
    }

    /// Makes settings of the three layers.
    fn of(flags: &Layer, environment: &Layer, file: &Layer) -> anyhow::Result<Self> {
        let settings = Settings { flags, environment, file };
        let listing = KEYS.iter().map(|key| settings.shown(key)).collect();
        let config = Self {
            data: settings.text("data").into(),
            database: settings
                .parsed("database", |text| text.parse().map_err(anyhow::Error::new))?,
            listen: settings
                .parsed("listen", address)?
                .context("there is no address to listen on")?,
            tls_cert: settings.path("tls-cert"),
            tls_key: settings.path("tls-key"),
            metrics_listen: settings.parsed("metrics-listen", address)?,
            reach: Reach {
                proxies: settings.each("proxies", proxy)?,
                private_addresses: settings
                    .parsed("private-addresses", allowed)?
                    .unwrap_or_default(),
            },
            retention_days: settings.parsed("retention-days", days)?.unwrap_or(0),
            profile_cert: settings.path("profile-cert"),
            profile_key: settings.path("profile-key"),
            otlp_endpoint: settings.parsed("otlp-endpoint", http_address)?,
            log_file: settings.path("log-file"),
            feed: settings.list("feed"),
            allow: settings.list("allow"),
            own: settings.list("own"),
            attestation: AttestationSettings {
                app_ids: settings.list("attestation-app-ids"),
                allow_development: settings
                    .parsed("attestation-allow-development", truth)?
                    .unwrap_or(false),
                roots: settings.path("attestation-roots"),
            },
            tenant: settings.text("tenant"),
            admin: settings.text("admin"),
            listing,
        };
        anyhow::ensure!(
            config.tls_cert.is_some() == config.tls_key.is_some(),
            "tls-cert and tls-key belong together: give both, or none"
        );
        anyhow::ensure!(
            config.profile_cert.is_some() == config.profile_key.is_some(),
            "profile-cert and profile-key belong together: give both, or none"
        );
        Ok(config)
    }

    /// What the portal itself needs to know of it.
    pub(crate) fn portal(&self) -> PortalConfig {
        PortalConfig {
            secure_cookies: self.tls_cert.is_some() || !self.reach.proxies.is_empty(),
            reach: self.reach.clone(),
            database: self.database.clone(),
            retention: (self.retention_days != 0)
                .then(|| Duration::from_secs(self.retention_days * 86_400)),
            otlp_endpoint: self.otlp_endpoint.clone(),
            attestation: self.attestation.clone(),
            ..PortalConfig::new(self.data.clone())
        }
    }
}

/// The three layers, asked by key.
struct Settings<'a> {
    flags: &'a Layer,
    environment: &'a Layer,
    file: &'a Layer,
}

impl Settings<'_> {
    fn find(&self, key: &str) -> Option<(&[String], Origin)> {
        let layers = [
            (self.flags, Origin::Flag),
            (self.environment, Origin::Environment),
            (self.file, Origin::File),
        ];
        layers.iter().find_map(|(layer, origin)| Some((layer.get(key)?.as_slice(), *origin)))
    }

    /// The values in force; a default is one as well.
    fn values(&self, key: &str) -> (Vec<String>, Origin) {
        if let Some((values, origin)) = self.find(key) {
            return (values.to_vec(), origin);
        }
        let default = KEYS.iter().find(|known| known.name == key).and_then(|key| key.default);
        (default.map(str::to_owned).into_iter().collect(), Origin::Default)
    }

    fn list(&self, key: &str) -> Vec<String> {
        self.values(key).0
    }

    fn one(&self, key: &str) -> Option<String> {
        self.values(key).0.pop().filter(|value| !value.is_empty())
    }

    fn text(&self, key: &str) -> String {
        self.one(key).unwrap_or_default()
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        self.one(key).map(PathBuf::from)
    }

    fn parsed<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> anyhow::Result<T>,
    ) -> anyhow::Result<Option<T>> {
        let Some(text) = self.one(key) else { return Ok(None) };
        let origin = self.values(key).1.word();
        parse(&text).map(Some).with_context(|| format!("{key} ({origin})"))
    }

    /// What each value of a list comes to.
    fn each<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> anyhow::Result<T>,
    ) -> anyhow::Result<Vec<T>> {
        let (values, origin) = self.values(key);
        let parsed: anyhow::Result<_> = values.iter().map(|value| parse(value)).collect();
        parsed.with_context(|| format!("{key} ({})", origin.word()))
    }

    fn shown(&self, key: &'static Key) -> (&'static str, String, Origin) {
        let (values, origin) = self.values(key.name);
        let is_secret = key.kind == Kind::Secret && !values.is_empty();
        let shown = if is_secret { "(not shown)".to_owned() } else { values.join(", ") };
        (key.name, shown, origin)
    }
}

/// Reads the file.
fn file_layer(text: &str) -> Result<Layer, ConfigError> {
    // The error of the parser shows the line, which may hold a secret.
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        ConfigError::Syntax {
            line: 1 + before.matches('\n').count(),
            problem: error.message().to_owned(),
        }
    })?;
    let mut layer = Layer::new();
    for (name, value) in table {
        let key = known(&name).ok_or_else(|| ConfigError::unknown(name, |key| key.to_owned()))?;
        let values = match (value, key.kind) {
            (toml::Value::Array(items), Kind::List) => {
                items.into_iter().map(|item| scalar(key, item)).collect::<Result<_, _>>()?
            }
            (value, _) => vec![scalar(key, value)?],
        };
        layer.insert(key.name, values);
    }
    Ok(layer)
}

fn scalar(key: &'static Key, value: toml::Value) -> Result<String, ConfigError> {
    match value {
        toml::Value::String(text) => Ok(text),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(truth) => Ok(truth.to_string()),
        toml::Value::Float(_)
        | toml::Value::Datetime(_)
        | toml::Value::Array(_)
        | toml::Value::Table(_) => {
            Err(ConfigError::Kind { key: key.name, wanted: key.kind.word() })
        }
    }
}

/// Reads the environment; a list is separated by commas.
fn environment_layer(variables: &[(String, String)]) -> Result<Layer, ConfigError> {
    let mut layer = Layer::new();
    for (variable, value) in variables {
        let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
        if variable == FILE_VARIABLE || OTHERS.iter().any(|other| rest.starts_with(other)) {
            continue;
        }
        let key = known(&rest.to_lowercase().replace('_', "-"))
            .ok_or_else(|| ConfigError::unknown(variable.clone(), variable_of))?;
        let values = match key.kind {
            Kind::List => value.split(',').map(|item| item.trim().to_owned()).collect(),
            Kind::Text | Kind::Path | Kind::Address | Kind::Number | Kind::Truth | Kind::Secret => {
                vec![value.clone()]
            }
        };
        layer.insert(key.name, values);
    }
    Ok(layer)
}

/// The variable of a key.
pub(crate) fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('-', "_"))
}

fn known(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Reads an address; a port alone is one of this machine.
fn address(text: &str) -> anyhow::Result<SocketAddr> {
    if let Ok(port) = text.parse() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse().with_context(|| format!("{text} is not an address with a port, as 127.0.0.1:8443"))
}

/// Reads the address of a service over HTTP, without a path of its own.
fn http_address(text: &str) -> anyhow::Result<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_one = rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['?', '#', '@', ' ']));
    anyhow::ensure!(is_one, "{text} is not an address that begins with https:// or http://");
    Ok(text.to_owned())
}

/// Reads the address of a proxy.
fn proxy(text: &str) -> anyhow::Result<IpAddr> {
    let address: Result<IpAddr, _> = text.parse();
    address.map(|it| it.to_canonical()).with_context(|| format!("{text} is not an address"))
}

/// Reads whether something is allowed.
fn allowed(text: &str) -> anyhow::Result<bool> {
    match text {
        "allowed" => Ok(true),
        "refused" => Ok(false),
        other => anyhow::bail!("{other} is neither allowed nor refused"),
    }
}

/// Reads a number of days, up to a century.
fn days(text: &str) -> anyhow::Result<u64> {
    let days = text.parse().ok().filter(|days| *days <= 36_500);
    days.with_context(|| format!("{text} is no number of days from 0 to 36500"))
}

fn truth(text: &str) -> anyhow::Result<bool> {
    text.parse().with_context(|| format!("{text} is neither true nor false"))
}

/// What is wrong with the file or the environment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ConfigError {
    Syntax { line: usize, problem: String },
    Unknown { name: String, nearest: String },
    Kind { key: &'static str, wanted: &'static str },
}

impl ConfigError {
    fn unknown(name: String, spelled: impl Fn(&str) -> String) -> Self {
        let near = |key: &&Key| (strsim::jaro_winkler(&spelled(key.name), &name) * 1e6).round();
        let nearest = KEYS.iter().max_by(|one, other| near(one).total_cmp(&near(other)));
        let nearest = nearest.map(|key| spelled(key.name)).unwrap_or_default();
        Self::Unknown { name, nearest }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { line, problem } => write!(out, "line {line}: {problem}"),
            Self::Unknown { name, nearest } => {
                write!(out, "there is no setting {name}; the nearest is {nearest}")
            }
            Self::Kind { key, wanted } => write!(out, "{key} has to be {wanted}"),
        }
    }
}

impl std::error::Error for ConfigError {}

const PREFIX: &str = "BARTIZAN_";
const FILE_VARIABLE: &str = "BARTIZAN_CONFIG";
/// Variables that tests and the automation read.
const OTHERS: [&str; 5] = ["TEST_", "SEED", "SCREENSHOTS", "PAGES", "FORWARDER"];

#[cfg(test)]
mod tests;
