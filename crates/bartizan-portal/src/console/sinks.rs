//! Sinks: `GET /sinks`, a new one, and one with how far it has come.

use askama::Template;
use bartizan_model::UnixMillis;
use bartizan_store::{DeadLetterRow, EventRow, GroupRow, SinkRow};

use super::format::{self, Ago};
use super::sink_form::{Input, SinkForm, kind_label};
use super::{Icon, Pager, Section, Shell, filters};
use crate::out::exchange::Exchange;
use crate::out::settings::Channel;

/// The sinks.
#[derive(Template)]
#[template(path = "console/sinks.html")]
pub(crate) struct SinksPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// By name.
    pub(crate) sinks: Vec<SinkRow>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

/// A new sink: its kind first, then its form.
#[derive(Template)]
#[template(path = "console/sink_new.html")]
pub(crate) struct NewSinkPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Once it is chosen.
    pub(crate) chosen: Option<(Channel, SinkForm)>,
    /// The tenant's.
    pub(crate) device_groups: Vec<GroupRow>,
}

/// One sink.
#[derive(Template)]
#[template(path = "console/sink.html")]
pub(crate) struct SinkPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// How far it has come.
    pub(crate) sink: SinkRow,
    /// What it is.
    pub(crate) channel: Channel,
    /// How it is set.
    pub(crate) form: SinkForm,
    /// The tenant's.
    pub(crate) device_groups: Vec<GroupRow>,
    /// What it did not take, the newest first.
    pub(crate) letters: Vec<DeadLetterRow>,
    /// Ways to other pages of these.
    pub(crate) pager: Pager,
    /// What a test came to, and what was said.
    pub(crate) tested: Option<(Option<String>, Exchange)>,
    /// A signing secret, shown once.
    pub(crate) secret: Option<String>,
    /// Until when the one before signs as well.
    pub(crate) old_secret_until: Option<UnixMillis>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl SinksPage {
    fn section(&self) -> Section {
        Section::Sinks
    }
}

impl NewSinkPage {
    fn section(&self) -> Section {
        Section::Sinks
    }
}

impl SinkPage {
    fn section(&self) -> Section {
        Section::Sinks
    }

    fn dead_text(&self) -> String {
        format::count_of(self.sink.dead, "event was", "events were")
    }

    fn pager(&self) -> &Pager {
        &self.pager
    }
}

/// Names what a sink is.
fn label(sink: &SinkRow) -> &'static str {
    Channel::from_word(&sink.kind).map_or("Unknown", Channel::label)
}

/// Says in a word how a sink fares: class, icon, word.
fn state(sink: &SinkRow) -> (&'static str, &'static str, &'static str) {
    if sink.paused {
        ("quiet", "zzz", "Paused")
    } else if 5 <= sink.failures {
        ("high", "alert-octagon", "Down")
    } else if 0 < sink.failures {
        ("medium", "alert-triangle", "Failing")
    } else if 0 < sink.dead {
        ("low", "alert-circle", "Has dead letters")
    } else if sink.last_success_at.is_none() {
        ("info", "hourglass-off", "Nothing sent yet")
    } else {
        ("good", "circle-check", "Delivers")
    }
}

/// Says what a dead letter was about.
fn subject(event: &EventRow) -> String {
    let about = match (&event.alert, &event.incident, &event.device) {
        (Some(alert), _, _) => match &alert.host {
            Some(host) => format!(": {} ({host})", alert.title),
            None => format!(": {}", alert.title),
        },
        (None, Some(incident), _) => format!(": {}", incident.title),
        (None, None, Some(device)) => format!(": {}", device.name),
        (None, None, None) => String::new(),
    };
    format!("{}{about}", kind_label(event.kind))
}

/// Explains a kind of sink in a sentence.
fn about(channel: &Channel) -> &'static str {
    match channel {
        Channel::Webhook => {
            "Our JSON by HTTPS, signed after Standard Webhooks: for programs of your own."
        }
        Channel::WebhookOcsf => {
            "The same with OCSF 1.3: for what reads security events in that form."
        }
        Channel::Slack => "A message in a channel, by an incoming webhook.",
        Channel::Teams => "A card in a channel, by a workflow that takes webhook requests.",
        Channel::Email => "A message to some addresses, by your mail server.",
        Channel::SyslogCef => "CEF in RFC 5424 messages, by TLS or TCP: for a SIEM.",
        Channel::SyslogOcsf => "OCSF 1.3 as JSON in RFC 5424 messages, by TLS or TCP: for a SIEM.",
    }
}
