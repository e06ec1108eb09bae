//! What a form says about a sink, as text, so that it can come back as it was with what is wrong beside each field.

use bartizan_model::Severity;
use bartizan_store::{EventKind, GroupRow};

use crate::out::settings::{Channel, Protection, Secrets, Settings, Way};

/// The form's fields by their names, and what is wrong with some.
#[derive(Clone, Debug, Default)]
pub(crate) struct SinkForm {
    /// Names and values, as they come; those of boxes may come often.
    pub(crate) pairs: Vec<(String, String)>,
    /// Name of a field, and what is wrong with it.
    pub(crate) problems: Vec<(&'static str, String)>,
    /// What is kept where a secret field stays empty.
    pub(crate) kept: Kept,
}

/// Secrets that are there already.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    /// Scheme and host of the address.
    pub(crate) url: String,
    /// Whether there is a header.
    pub(crate) authorization: bool,
    /// Whether there is a password.
    pub(crate) password: bool,
    /// Whether there is a key.
    pub(crate) key: bool,
}

/// A field, as shown.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) value: String,
    pub(crate) input: Input,
    pub(crate) hint: &'static str,
    pub(crate) placeholder: String,
    pub(crate) problem: Option<String>,
}

/// How a field is entered.
pub(crate) enum Input {
    /// One line, of an HTML type.
    Line(&'static str),
    /// Many lines.
    Area,
    /// One of some: word, label.
    Select(Vec<(String, String)>),
}

impl SinkForm {
    /// What a new sink begins with.
    pub(crate) fn blank(channel: Channel, console_url: &str) -> Self {
        let for_people = channel.is_for_people();
        let kinds: Vec<_> = EventKind::ALL
            .into_iter()
            .filter(|kind| !for_people || *kind == EventKind::AlertRaised)
            .map(|kind| kind.word().to_owned())
            .collect();
        let port = match channel.way() {
            Way::Mail => 587,
            Way::Syslog | Way::Http => 6_514,
        };
        let protection =
            if channel.way() == Way::Mail { Protection::StartTls } else { Protection::Tls };
        let settings = Settings {
            port,
            protection,
            kinds,
            severity: Severity::Informational.word().into(),
            digest_minutes: if for_people { 5 } else { 0 },
            console_url: console_url.into(),
            ..Settings::default()
        };
        let mut form = Self::of("", &settings, &Secrets::default());
        form.kept = Kept::default();
        form
    }

    /// Shows what is set.
    pub(crate) fn of(name: &str, settings: &Settings, secrets: &Secrets) -> Self {
        let mut pairs = Vec::new();
        let mut add = |name: &str, value: String| pairs.push((name.to_owned(), value));
        add("name", name.into());
        add("host", settings.host.clone());
        add("port", settings.port.to_string());
        add("protection", settings.protection.word().into());
        add("user", settings.user.clone());
        add("from", settings.from.clone());
        add("to", settings.to.join("\n"));
        add("authorities", settings.authorities.clone());
        add("certificate", settings.certificate.clone());
        add("severity", settings.severity.clone());
        add("digest", settings.digest_minutes.to_string());
        add("console_url", settings.console_url.clone());
        if let Some(quiet) = &settings.quiet {
            add("quiet_from", quiet.from.clone());
            add("quiet_until", quiet.until.clone());
            add("zone", quiet.zone.clone());
        }
        for kind in &settings.kinds {
            add("kind", kind.clone());
        }
        for group in &settings.groups {
            add("group", group.clone());
        }
        for (name, is_set) in
            [("allow_private", settings.allow_private), ("allow_plain", settings.allow_plain)]
        {
            if is_set {
                add(name, "on".into());
            }
        }
        let kept = Kept {
            url: settings.shown_url.clone(),
            authorization: !secrets.authorization.is_empty(),
            password: !secrets.password.is_empty(),
            key: !secrets.key.is_empty(),
        };
        Self { pairs, problems: Vec::new(), kept }
    }

    /// The value of a field; empty if it did not come.
    pub(crate) fn value(&self, name: &str) -> &str {
        let pair = self.pairs.iter().find(|(field, _)| field == name);
        pair.map_or("", |(_, value)| value.as_str())
    }

    /// Whether a box is ticked.
    pub(crate) fn has(&self, name: &str, value: &str) -> bool {
        self.pairs.iter().any(|(field, it)| field == name && it == value)
    }

    /// What is wrong with a field.
    pub(crate) fn problem(&self, name: &str) -> Option<&str> {
        let problem = self.problems.iter().find(|(field, _)| *field == name);
        problem.map(|(_, problem)| problem.as_str())
    }

    fn field(
        &self,
        name: &'static str,
        label: &'static str,
        input: Input,
        hint: &'static str,
    ) -> Field {
        Field {
            name,
            label,
            value: self.value(name).to_owned(),
            input,
            hint,
            placeholder: String::new(),
            problem: self.problem(name).map(str::to_owned),
        }
    }

    /// A field whose value is not shown again.
    fn secret(
        &self,
        (name, label, hint): (&'static str, &'static str, &'static str),
        input: Input,
        kept: &str,
    ) -> Field {
        Field {
            value: String::new(),
            placeholder: kept.to_owned(),
            ..self.field(name, label, input, hint)
        }
    }

    /// Where it goes.
    pub(crate) fn way_fields(&self, channel: &Channel) -> Vec<Field> {
        let kept = |is_kept: bool| if is_kept { "Kept as it is" } else { "" };
        let authorities = self.field(
            "authorities",
            "Authorities that may vouch for the server",
            Input::Area,
            "Certificates in PEM. Empty: those that this system trusts.",
        );
        match channel.way() {
            Way::Http => {
                let hint = match channel {
                    Channel::Slack => {
                        "Of an incoming webhook. Never shown again: who knows it may write there."
                    }
                    Channel::Teams => {
                        "Of a workflow that begins when a webhook request is received. Never shown again."
                    }
                    Channel::Webhook
                    | Channel::WebhookOcsf
                    | Channel::Email
                    | Channel::SyslogCef
                    | Channel::SyslogOcsf => {
                        "Gets a POST for each event. Never shown again: it may hold a key."
                    }
                };
                let placeholder = if self.kept.url.is_empty() {
                    "https://hooks.example/…".to_owned()
                } else {
                    format!("Kept as it is: {}", self.kept.url)
                };
                let mut fields =
                    vec![self.secret(("url", "Address", hint), Input::Line("text"), &placeholder)];
                if channel.is_signed() {
                    fields.push(self.secret(
                        (
                            "authorization",
                            "Header Authorization",
                            "Where a receiver wants one, such as Bearer and a token.",
                        ),
                        Input::Line("password"),
                        kept(self.kept.authorization),
                    ));
                }
                fields.push(authorities);
                fields
            }
            Way::Mail => vec![
                self.field(
                    "host",
                    "Mail server",
                    Input::Line("text"),
                    "A host name, such as smtp.example.",
                ),
                self.field(
                    "port",
                    "Port",
                    Input::Line("number"),
                    "587 with STARTTLS, 465 with TLS.",
                ),
                self.field(
                    "protection",
                    "Connection",
                    Input::Select(options(&[
                        ("starttls", "STARTTLS"),
                        ("tls", "TLS"),
                        ("plain", "Plain: to this machine only, unless allowed"),
                    ])),
                    "",
                ),
                self.field("user", "Signs in as", Input::Line("text"), "Empty: not at all."),
                self.secret(
                    ("password", "Password", "Never shown again."),
                    Input::Line("password"),
                    kept(self.kept.password),
                ),
                self.field(
                    "from",
                    "From",
                    Input::Line("text"),
                    "An address that the server lets us use.",
                ),
                self.field("to", "To", Input::Area, "Addresses, one a line; at most 50."),
                authorities,
            ],
            Way::Syslog => vec![
                self.field("host", "Server", Input::Line("text"), "A host name or an address."),
                self.field("port", "Port", Input::Line("number"), "6514 with TLS."),
                self.field(
                    "protection",
                    "Connection",
                    Input::Select(options(&[
                        ("tls", "TLS"),
                        ("plain", "TCP without TLS, if allowed"),
                    ])),
                    "Messages are framed by their length (RFC 6587, RFC 5425).",
                ),
                authorities,
                self.field(
                    "certificate",
                    "Our certificate",
                    Input::Area,
                    "In PEM, where the server asks who we are. Empty: none.",
                ),
                self.secret(
                    ("key", "Its key", "In PEM. Never shown again."),
                    Input::Area,
                    kept(self.kept.key),
                ),
            ],
        }
    }

    /// When it is told, and where links lead.
    pub(crate) fn time_fields(&self, channel: &Channel) -> Vec<Field> {
        let url = self.field(
            "console_url",
            "Address of this console",
            Input::Line("text"),
            "For links in messages. Empty: no links.",
        );
        if !channel.is_for_people() {
            return vec![url];
        }
        let digest = Input::Select(options(&[
            ("0", "Each event by itself"),
            ("5", "One message every 5 minutes"),
            ("15", "One message every 15 minutes"),
            ("60", "One message every hour"),
            ("1440", "One message every day"),
        ]));
        let quiet =
            "In these hours only what is of high severity is told; the rest comes afterwards.";
        vec![
            self.field("digest", "How often", digest, "The first event comes at once."),
            url,
            self.field("quiet_from", "Quiet from", Input::Line("time"), quiet),
            self.field("quiet_until", "Quiet until", Input::Line("time"), "Empty: never quiet."),
            self.field("zone", "Time zone", Input::Line("text"), "Such as Europe/Berlin."),
        ]
    }

    /// Severities to choose from.
    pub(crate) fn severity_field(&self) -> Field {
        let all = Severity::ALL.map(|severity| (severity.word(), severity.word()));
        self.field(
            "severity",
            "Least severity",
            Input::Select(options(&all)),
            "Of alerts, incidents and risks; other events have none and are told.",
        )
    }

    /// Kinds of events to choose from: word, label, ticked.
    pub(crate) fn kinds(&self) -> Vec<(&'static str, &'static str, bool)> {
        EventKind::ALL
            .into_iter()
            .map(|kind| (kind.word(), kind_label(kind), self.has("kind", kind.word())))
            .collect()
    }

    /// Groups to choose from: id, name, ticked.
    pub(crate) fn groups(&self, groups: &[GroupRow]) -> Vec<(String, String, bool)> {
        groups
            .iter()
            .map(|group| {
                let id = group.id.to_string();
                let is_ticked = self.has("group", &id);
                (id, group.name.clone(), is_ticked)
            })
            .collect()
    }
}

/// Names a kind of event to people.
pub(crate) fn kind_label(kind: EventKind) -> &'static str {
    match kind {
        EventKind::AlertRaised => "An alert is raised",
        EventKind::AlertRepeated => "The same threat again",
        EventKind::AlertChanged => "Somebody deals with an alert",
        EventKind::IncidentOpened => "An incident begins",
        EventKind::RiskChanged => "A device’s risk changes",
        EventKind::DeviceEnrolled => "A device enrolls",
        EventKind::DeviceOffboarded => "A device is taken out",
        EventKind::Audit => "The audit log has a new entry",
    }
}

fn options(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(word, label)| ((*word).to_owned(), (*label).to_owned())).collect()
}
