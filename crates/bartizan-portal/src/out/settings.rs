//! How a sink is set: where it goes, in what form, and what of all that happens it is told.
//!
//! # Invariants
//! - What is secret stands in [`Secrets`] alone: settings can be shown and exported.

use std::fmt;

use bartizan_model::{Severity, UnixMillis};
use bartizan_store::EventKind;
use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// The form that events take, and the way they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// Our own JSON, by HTTP, signed.
    Webhook,
    /// OCSF, by HTTP, signed.
    WebhookOcsf,
    /// Slack's blocks, by HTTP.
    Slack,
    /// An Adaptive Card for a workflow of Microsoft Teams, by HTTP.
    Teams,
    /// E-mail, by SMTP.
    Email,
    /// CEF, by syslog.
    SyslogCef,
    /// OCSF, by syslog.
    SyslogOcsf,
}

impl Channel {
    /// Every channel.
    pub(crate) const ALL: [Self; 7] = [
        Self::Webhook,
        Self::WebhookOcsf,
        Self::Slack,
        Self::Teams,
        Self::Email,
        Self::SyslogCef,
        Self::SyslogOcsf,
    ];

    /// Returns the word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::WebhookOcsf => "webhook-ocsf",
            Self::Slack => "slack",
            Self::Teams => "teams",
            Self::Email => "email",
            Self::SyslogCef => "syslog-cef",
            Self::SyslogOcsf => "syslog-ocsf",
        }
    }

    /// Reads the word back.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.word() == word)
    }

    /// Names it to people.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Webhook => "Webhook",
            Self::WebhookOcsf => "Webhook, OCSF",
            Self::Slack => "Slack",
            Self::Teams => "Microsoft Teams",
            Self::Email => "E-mail",
            Self::SyslogCef => "Syslog, CEF",
            Self::SyslogOcsf => "Syslog, OCSF",
        }
    }

    /// Returns the way it goes.
    pub(crate) fn way(self) -> Way {
        match self {
            Self::Webhook | Self::WebhookOcsf | Self::Slack | Self::Teams => Way::Http,
            Self::Email => Way::Mail,
            Self::SyslogCef | Self::SyslogOcsf => Way::Syslog,
        }
    }

    /// Whether people read it: such can be told less often, and be left alone at night.
    pub(crate) fn is_for_people(self) -> bool {
        match self {
            Self::Slack | Self::Teams | Self::Email => true,
            Self::Webhook | Self::WebhookOcsf | Self::SyslogCef | Self::SyslogOcsf => false,
        }
    }

    /// Whether what it sends is signed.
    pub(crate) fn is_signed(self) -> bool {
        matches!(self, Self::Webhook | Self::WebhookOcsf)
    }
}

/// The way events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// HTTP.
    Http,
    /// SMTP.
    Mail,
    /// Syslog over TCP.
    Syslog,
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protection {
    /// TLS from the first octet.
    #[default]
    Tls,
    /// TLS after a greeting: mail servers.
    StartTls,
    /// None.
    Plain,
}

impl Protection {
    /// Returns the word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::StartTls => "starttls",
            Self::Plain => "plain",
        }
    }

    /// Reads the word back.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Tls, Self::StartTls, Self::Plain].into_iter().find(|one| one.word() == word)
    }
}

/// What may be shown of how a sink is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// Scheme and host of a webhook, for show: the rest may be a secret.
    pub(crate) shown_url: String,
    /// Of a mail or syslog server.
    pub(crate) host: String,
    /// Of a mail or syslog server.
    pub(crate) port: u16,
    /// Of the connection to a mail or syslog server.
    pub(crate) protection: Protection,
    /// Who signs in to a mail server; empty for nobody.
    pub(crate) user: String,
    /// An e-mail address.
    pub(crate) from: String,
    /// E-mail addresses.
    pub(crate) to: Vec<String>,
    /// PEM: who may vouch for the server; empty for those that the system trusts.
    pub(crate) authorities: String,
    /// PEM: what we show a server that asks who we are.
    pub(crate) certificate: String,
    /// Go to private addresses.
    pub(crate) allow_private: bool,
    /// Go without TLS.
    pub(crate) allow_plain: bool,
    /// Words of [`EventKind`].
    pub(crate) kinds: Vec<String>,
    /// A word of [`Severity`]: alerts, incidents and risks below are left out.
    pub(crate) severity: String,
    /// Ids of device groups; empty for all devices.
    pub(crate) groups: Vec<String>,
    /// At most one message in so many minutes; 0 for one for each event.
    pub(crate) digest_minutes: u32,
    /// When people are left alone.
    pub(crate) quiet: Option<Quiet>,
    /// Where the console is, for links.
    pub(crate) console_url: String,
}

/// Hours in which only what is critical is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Quiet {
    /// `HH:MM`.
    pub(crate) from: String,
    /// `HH:MM`; before `from` if the night is between.
    pub(crate) until: String,
    /// A name of the IANA time zone database.
    pub(crate) zone: String,
}

impl Quiet {
    /// Tells whether these hours are now. What cannot be read is never.
    pub(crate) fn is_at(&self, now: UnixMillis) -> bool {
        let Some((from, until, zone)) = self.read() else { return false };
        let Some(at) =
            i64::try_from(now.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok())
        else {
            return false;
        };
        let time = at.to_zoned(zone).time();
        if from <= until { from <= time && time < until } else { from <= time || time < until }
    }

    /// Reads both times and the zone.
    pub(crate) fn read(&self) -> Option<(Time, Time, TimeZone)> {
        Some((clock(&self.from)?, clock(&self.until)?, TimeZone::get(&self.zone).ok()?))
    }
}

fn clock(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let is_number =
        |text: &str| text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_digit());
    if !is_number(hour) || !is_number(minute) {
        return None;
    }
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

impl Settings {
    /// Tells whether a kind of event is told.
    pub(crate) fn tells(&self, kind: EventKind) -> bool {
        self.kinds.iter().any(|word| word == kind.word())
    }

    /// Returns the least severity that is told.
    pub(crate) fn least(&self) -> Severity {
        Severity::from_word(&self.severity).unwrap_or(Severity::Informational)
    }
}

/// What must not be shown.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Secrets {
    /// Of a webhook; of Slack's and Teams', whoever knows it may write there.
    pub(crate) url: String,
    /// Value of the header `Authorization` of a webhook; empty for none.
    pub(crate) authorization: String,
    /// For a mail server.
    pub(crate) password: String,
    /// PEM: the key of our certificate.
    pub(crate) key: String,
    /// What webhooks are signed with, the newest first.
    pub(crate) signing: Vec<Signing>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secrets(<private>)")
    }
}

/// A signing secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signing {
    /// 32 octets.
    pub(crate) secret: Vec<u8>,
    /// Until when it signs, once another has taken its place; Unix milliseconds.
    pub(crate) until_ms: Option<u64>,
}

impl Secrets {
    /// Returns the secrets that sign at a time.
    pub(crate) fn live(&self, now: UnixMillis) -> impl Iterator<Item = &[u8]> {
        let live = move |one: &&Signing| one.until_ms.is_none_or(|until| now.0 < until);
        self.signing.iter().filter(live).map(|one| one.secret.as_slice())
    }

    /// Puts a new secret first; the one before goes on signing until `until`, and older ones go.
    pub(crate) fn rotate(&mut self, secret: Vec<u8>, until: UnixMillis) {
        self.signing.truncate(1);
        for old in &mut self.signing {
            old.until_ms = Some(until.0);
        }
        self.signing.insert(0, Signing { secret, until_ms: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_may_lie_around_midnight() {
        // 2027-01-15 08:00 UTC is 09:00 in Berlin.
        check("22:00", "06:00", "Europe/Berlin", false);
        check("22:00", "09:00", "Europe/Berlin", false);
        check("22:00", "09:01", "Europe/Berlin", true);
        check("09:00", "10:00", "Europe/Berlin", true);
        check("08:00", "09:00", "UTC", true);
        check("09:00", "08:00", "UTC", false);
        check("09:00", "08:30", "UTC", true);
        check("08:00", "09:00", "Nowhere/Such", false);
        check("8:00", "09:00", "UTC", false);
        check("08:00", "25:00", "UTC", false);
    }

    #[track_caller]
    fn check(from: &str, until: &str, zone: &str, expected: bool) {
        let quiet = Quiet { from: from.into(), until: until.into(), zone: zone.into() };
        assert_eq!(quiet.is_at(UnixMillis(1_800_000_000_000)), expected, "{quiet:?}");
    }

    #[test]
    fn two_secrets_sign_while_they_change_and_no_more() {
        let mut secrets = Secrets::default();
        let live = |secrets: &Secrets, at| {
            secrets.live(UnixMillis(at)).map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        secrets.rotate(vec![1], UnixMillis(10));
        secrets.rotate(vec![2], UnixMillis(20));
        assert_eq!(live(&secrets, 19), [vec![2], vec![1]]);
        assert_eq!(live(&secrets, 20), [vec![2]]);
        secrets.rotate(vec![3], UnixMillis(30));
        assert_eq!(live(&secrets, 19), [vec![3], vec![2]]);
        assert!(!format!("{secrets:?}").contains('3'));
    }

    #[test]
    fn every_channel_and_protection_has_a_word_of_its_own() {
        for channel in Channel::ALL {
            assert_eq!(Channel::from_word(channel.word()), Some(channel));
        }
        for one in [Protection::Tls, Protection::StartTls, Protection::Plain] {
            assert_eq!(Protection::from_word(one.word()), Some(one));
            assert_eq!(serde_json::to_value(one).unwrap(), one.word());
        }
    }
}
