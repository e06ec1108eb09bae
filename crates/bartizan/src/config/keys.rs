//! The table of keys: what flags, environment, file, `--help` and docs/operating.md know.

use super::Layer;

/// A setting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: Option<&'static str>,
    /// What it says, in a sentence without its full stop.
    pub(crate) about: &'static str,
}

/// What its value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Path,
    Address,
    Number,
    Truth,
    List,
    Secret,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Path => "a path, as text",
            Self::Address => "an address with a port, as text, or a port of this machine",
            Self::Number => "a whole number",
            Self::Truth => "true or false",
            Self::List => "a list of texts",
            Self::Secret => "text; it is never shown",
        }
    }

    fn value_name(self) -> &'static str {
        match self {
            Self::Text | Self::List => "TEXT",
            Self::Path => "PATH",
            Self::Address => "ADDR",
            Self::Number => "N",
            Self::Truth => "BOOL",
            Self::Secret => "URL",
        }
    }
}

const fn key(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    about: &'static str,
) -> Key {
    Key { name, kind, default, about }
}

/// Every setting of `bartizan portal`.
pub(crate) const KEYS: &[Key] = &[
    key(
        "data",
        Kind::Path,
        Some("/var/lib/bartizan-portal"),
        "Folder for the indicator files, and for the database unless `database` names another; made if it is absent",
    ),
    key(
        "database",
        Kind::Secret,
        None,
        "Database: a file, or `postgres://ROLE:PASSWORD@HOST/NAME`, best by the environment, as flags show in the list \
         of processes; `portal.db` in the data folder if it is not given",
    ),
    key(
        "listen",
        Kind::Address,
        Some("127.0.0.1:8443"),
        "Address to listen on; without a certificate it has to be one of this machine's own",
    ),
    key("tls-cert", Kind::Path, None, "Certificate chain as PEM; with it the portal speaks TLS"),
    key("tls-key", Kind::Path, None, "Private key as PEM"),
    key(
        "metrics-listen",
        Kind::Address,
        None,
        "Address that answers `GET /metrics` in plain HTTP to whoever can reach it; off if it is not given",
    ),
    key(
        "proxies",
        Kind::List,
        None,
        "Address of a proxy that ends TLS before the portal: browsers are then told to insist on HTTPS, and who calls is \
         taken from its `X-Forwarded-For`, which it has to write itself",
    ),
    key(
        "private-addresses",
        Kind::Text,
        Some("refused"),
        "`allowed` lets feeds, sinks and providers of identities be at private addresses, where an administrator says so; \
         `refused` keeps the portal from its own network, whatever they say",
    ),
    key(
        "retention-days",
        Kind::Number,
        Some("180"),
        "Days after which resolved alerts, decided reports of sites, dismissed notices and how risks changed are removed; \
         0 keeps them",
    ),
    key(
        "profile-cert",
        Kind::Path,
        None,
        "Certificate as PEM, with its chain after it, that configuration profiles can be signed by",
    ),
    key("profile-key", Kind::Path, None, "Its private key as PEM: RSA, P-256 or P-384"),
    key(
        "otlp-endpoint",
        Kind::Text,
        None,
        "Address of a collector of OpenTelemetry, as http://127.0.0.1:4318: it gets a trace of each request, without \
         anything of people or organizations; off if it is not given",
    ),
    key(
        "log-file",
        Kind::Path,
        None,
        "File that the log is appended to, one JSON object a line; standard error if it is not given",
    ),
    key(
        "feed",
        Kind::List,
        None,
        "Threat feed to list and publish at the start: a file or an https:// address, after `malware=` or `spyware=` \
         where it does not list phishing sites",
    ),
    key(
        "allow",
        Kind::List,
        None,
        "Popular names that no such feed may block, beside the built-in ones: a file or an https:// address",
    ),
    key(
        "own",
        Kind::List,
        None,
        "A host name of the organization's own that no feed may block, such as this portal's",
    ),
    key(
        "attestation-app-ids",
        Kind::List,
        None,
        "The id of an app, as `A1B2C3D4E5.com.example.app`, whose keys App Attest may vouch for; without any, no \
         attestation is accepted",
    ),
    key(
        "attestation-allow-development",
        Kind::Truth,
        Some("false"),
        "Whether App Attest may vouch for builds that are under development as well",
    ),
    key(
        "attestation-roots",
        Kind::Path,
        None,
        "Certificates as PEM that attestations have to lead to, instead of Apple's",
    ),
    key(
        "tenant",
        Kind::Text,
        Some("My organization"),
        "Name of the organization, when the database is new",
    ),
    key(
        "admin",
        Kind::Text,
        Some("admin@localhost"),
        "E-mail address of the first administrator, when the database is new",
    ),
];

/// The table as flags.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags(pub(crate) Layer);

impl clap::Args for Flags {
    fn augment_args(command: clap::Command) -> clap::Command {
        KEYS.iter().fold(command, |command, key| {
            let action =
                if key.kind == Kind::List { clap::ArgAction::Append } else { clap::ArgAction::Set };
            let default =
                key.default.map(|value| format!(" [default: {value}]")).unwrap_or_default();
            let repeatable = if key.kind == Kind::List { " (repeatable)" } else { "" };
            command.arg(
                clap::Arg::new(key.name)
                    .long(key.name)
                    .value_name(key.kind.value_name())
                    .action(action)
                    .help(format!("{}{repeatable}{default}", key.about)),
            )
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Flags {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let mut layer = Layer::new();
        for key in KEYS {
            if let Some(values) = matches.get_many::<String>(key.name) {
                layer.insert(key.name, values.cloned().collect());
            }
        }
        Ok(Self(layer))
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
