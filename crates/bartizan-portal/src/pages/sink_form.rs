//! Reading the form of a sink: what fits becomes settings, what does not is told beside its field.

use bartizan_store::{EventKind, GroupRow};

use crate::console::SinkForm;
use crate::out::http::Url;
use crate::out::net::{Trust, certificates};
use crate::out::settings::{Channel, Protection, Quiet, Secrets, Settings, Way};

/// What a form comes to.
pub(super) struct Read {
    pub(super) name: String,
    pub(super) settings: Settings,
    pub(super) secrets: Secrets,
}

/// Reads a form; `old` keeps what it leaves empty. Problems are put into the form. Blocks a little.
pub(super) fn read(
    form: &mut SinkForm,
    channel: Channel,
    groups: &[GroupRow],
    old: Option<(&Settings, &Secrets)>,
) -> Option<Read> {
    let mut reading = Reading {
        settings: Settings::default(),
        secrets: old.map(|(_, secrets)| secrets.clone()).unwrap_or_default(),
        problems: Vec::new(),
        form,
    };
    let name = reading.name();
    reading.settings.allow_plain = reading.form.has("allow_plain", "on");
    reading.settings.allow_private = reading.form.has("allow_private", "on");
    match channel.way() {
        Way::Http => reading.http(channel, old.map(|(settings, _)| settings)),
        Way::Mail => reading.mail(),
        Way::Syslog => reading.syslog(),
    }
    reading.routing(groups);
    reading.time(channel);
    reading.trust();
    let Reading { settings, secrets, problems, .. } = reading;
    let fits = problems.is_empty();
    form.problems = problems;
    fits.then_some(Read { name, settings, secrets })
}

struct Reading<'a> {
    form: &'a SinkForm,
    settings: Settings,
    secrets: Secrets,
    problems: Vec<(&'static str, String)>,
}

impl Reading<'_> {
    fn wrong(&mut self, field: &'static str, why: impl Into<String>) {
        self.problems.push((field, why.into()));
    }

    /// The value of a field of one line.
    fn line(&mut self, field: &'static str, most: usize) -> String {
        let value = self.form.value(field).trim().to_owned();
        if value.chars().any(char::is_control) || most < value.chars().count() {
            self.wrong(field, format!("This has up to {most} characters on one line."));
            return String::new();
        }
        value
    }

    fn name(&mut self) -> String {
        let name = self.line("name", MAX_NAME);
        if name.is_empty() {
            self.wrong("name", "A sink has a name.");
        }
        name
    }

    fn http(&mut self, channel: Channel, old: Option<&Settings>) {
        let url = self.line("url", MAX_URL);
        if !url.is_empty() {
            match Url::parse(&url) {
                Ok(parsed) if !parsed.is_tls && !self.settings.allow_plain => {
                    self.wrong("url", "This goes without TLS. Allow it below, or use https://.");
                }
                Ok(parsed) => {
                    self.settings.shown_url = parsed.shown();
                    self.secrets.url = url;
                }
                Err(why) => self.wrong("url", format!("Sorry, {why}.")),
            }
        } else if let Some(old) = old.filter(|_| !self.secrets.url.is_empty()) {
            self.settings.shown_url.clone_from(&old.shown_url);
            if !self.settings.allow_plain && self.secrets.url.starts_with("http://") {
                self.wrong("url", "The address that is kept goes without TLS. Allow it below.");
            }
        } else {
            self.wrong("url", "Where is it to go?");
        }
        let authorization = self.line("authorization", MAX_SECRET);
        if !authorization.is_empty() {
            if authorization.is_ascii() {
                self.secrets.authorization = authorization;
            } else {
                self.wrong("authorization", "A header has ASCII characters only.");
            }
        }
        if !channel.is_signed() {
            self.secrets.authorization.clear();
            self.secrets.signing.clear();
        }
    }

    fn mail(&mut self) {
        self.server();
        self.settings.user = self.line("user", MAX_NAME * 4);
        let password = self.line("password", MAX_SECRET);
        if !password.is_empty() {
            self.secrets.password = password;
        }
        if self.settings.user.is_empty() {
            self.secrets.password.clear();
        } else if self.secrets.password.is_empty() {
            self.wrong("password", "Who signs in has a password.");
        }
        self.settings.from = self.line("from", MAX_ADDRESS);
        if !is_address(&self.settings.from) {
            self.wrong("from", "This is no e-mail address.");
        }
        let to: Vec<String> = self
            .form
            .value("to")
            .split(['\n', '\r', ',', ';', ' '])
            .filter(|address| !address.is_empty())
            .map(str::to_owned)
            .collect();
        if let Some(wrong) = to.iter().find(|address| !is_address(address)) {
            let wrong: String = wrong.chars().take(60).collect();
            self.wrong("to", format!("“{wrong}” is no e-mail address."));
        } else if to.is_empty() || MAX_TO < to.len() {
            self.wrong("to", format!("From 1 to {MAX_TO} addresses."));
        }
        self.settings.to = to;
    }

    fn syslog(&mut self) {
        self.server();
        if self.settings.protection == Protection::StartTls {
            self.wrong("protection", "Syslog has no STARTTLS.");
        }
        if self.settings.protection == Protection::Plain && !self.settings.allow_plain {
            self.wrong("protection", "This goes without TLS. Allow it below, or use TLS.");
        }
        let key = self.text("key");
        if !key.is_empty() {
            self.secrets.key = key;
        }
        self.settings.certificate = self.text("certificate");
        if self.settings.certificate.is_empty() {
            self.secrets.key.clear();
        } else if let Err(why) = certificates(&self.settings.certificate) {
            self.wrong("certificate", format!("Sorry, {why}."));
        } else if self.secrets.key.is_empty() {
            self.wrong("key", "A certificate needs its key.");
        }
    }

    fn server(&mut self) {
        let host = self.line("host", 253);
        let is_host = !host.is_empty()
            && host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_'));
        if !is_host {
            self.wrong("host", "This is no host name and no address.");
        }
        self.settings.host = host;
        match self.form.value("port").trim().parse() {
            Ok(port) if port != 0 => self.settings.port = port,
            Ok(_) | Err(_) => self.wrong("port", "A port is a number from 1 to 65535."),
        }
        match Protection::from_word(self.form.value("protection")) {
            Some(protection) => self.settings.protection = protection,
            None => self.wrong("protection", "Choose one."),
        }
    }

    /// The value of a field of many lines.
    fn text(&mut self, field: &'static str) -> String {
        let value = self.form.value(field).trim().replace("\r\n", "\n");
        if MAX_PEM < value.len() {
            self.wrong(field, format!("This has up to {} KiB.", MAX_PEM >> 10));
            return String::new();
        }
        value
    }

    fn trust(&mut self) {
        self.settings.authorities = self.text("authorities");
        if !self.settings.authorities.is_empty()
            && let Err(why) = certificates(&self.settings.authorities)
        {
            self.wrong("authorities", format!("Sorry, {why}."));
        }
        if self.problems.is_empty()
            && let Err(why) = Trust::of(&self.settings, &self.secrets)
        {
            let field = if self.settings.certificate.is_empty() { "authorities" } else { "key" };
            self.wrong(field, format!("Sorry, {why}."));
        }
    }

    fn routing(&mut self, groups: &[GroupRow]) {
        let all = |name: &str| {
            let values = self.form.pairs.iter().filter(|(field, _)| field == name);
            values.map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        let (kinds, chosen) = (all("kind"), all("group"));
        self.settings.kinds =
            kinds.into_iter().filter(|word| EventKind::from_word(word).is_some()).collect();
        if self.settings.kinds.is_empty() {
            self.wrong("kind", "Choose at least one.");
        }
        // A group that is gone meanwhile is left out.
        let is_there = |id: &String| groups.iter().any(|group| group.id.to_string() == *id);
        self.settings.groups = chosen.into_iter().filter(is_there).collect();
        let severity = self.form.value("severity").to_owned();
        if bartizan_model::Severity::from_word(&severity).is_none() {
            self.wrong("severity", "Choose one.");
        }
        self.settings.severity = severity;
    }

    fn time(&mut self, channel: Channel) {
        let url = self.line("console_url", MAX_URL);
        if !url.is_empty() && Url::parse(&url).is_err() {
            self.wrong("console_url", "This is no address that begins with https:// or http://.");
        }
        self.settings.console_url = url.trim_end_matches('/').to_owned();
        if !channel.is_for_people() {
            return;
        }
        match self.form.value("digest").parse() {
            Ok(minutes) if minutes <= 1_440 => self.settings.digest_minutes = minutes,
            Ok(_) | Err(_) => self.wrong("digest", "Choose one."),
        }
        let (from, until) = (self.line("quiet_from", 5), self.line("quiet_until", 5));
        let zone = self.line("zone", 64);
        if from.is_empty() && until.is_empty() {
            return;
        }
        let quiet = Quiet { from, until, zone };
        if quiet.read().is_some() {
            self.settings.quiet = Some(quiet);
        } else if jiff::tz::TimeZone::get(&quiet.zone).is_err() {
            self.wrong("zone", "This is no time zone that is known here, such as Europe/Berlin.");
        } else {
            self.wrong("quiet_from", "Both times are needed, such as 22:00 and 06:00.");
        }
    }
}

/// What goes between `<` and `>` in SMTP, and into a header, without further ado.
fn is_address(text: &str) -> bool {
    let is_plain = |c: char| {
        c.is_ascii_graphic()
            && !matches!(c, '<' | '>' | '(' | ')' | ',' | ';' | ':' | '"' | '\\' | '[' | ']')
    };
    let halves = text.split_once('@');
    text.len() <= MAX_ADDRESS
        && text.chars().all(is_plain)
        && halves
            .is_some_and(|(who, host)| !who.is_empty() && !host.is_empty() && !host.contains('@'))
}

const MAX_NAME: usize = 64;
const MAX_URL: usize = 2_000;
const MAX_SECRET: usize = 2_000;
const MAX_ADDRESS: usize = 254;
const MAX_TO: usize = 50;
const MAX_PEM: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_told_beside_its_field() {
        check(Channel::Webhook, &[("url", "https://hooks.example/x")], &[]);
        check(Channel::Webhook, &[("url", "")], &["url"]);
        check(Channel::Webhook, &[("url", "http://hooks.example/x")], &["url"]);
        check(Channel::Webhook, &[("url", "http://hooks.example/x"), ("allow_plain", "on")], &[]);
        check(Channel::Webhook, &[("url", "https://h.example"), ("name", " ")], &["name"]);
        check(
            Channel::Webhook,
            &[("url", "https://h.example"), ("name", "a\nb")],
            &["name", "name"],
        );
        check(
            Channel::Slack,
            &[("url", "https://h.example"), ("zone", "Mars/Base"), ("quiet_from", "22:00")],
            &["zone"],
        );
        check(
            Channel::Slack,
            &[("url", "https://h.example"), ("zone", "UTC"), ("quiet_from", "22:00")],
            &["quiet_from"],
        );
        check(
            Channel::Webhook,
            &[("url", "https://h.example"), ("authorities", "nonsense")],
            &["authorities"],
        );
        let mail = [
            ("host", "mail.example"),
            ("from", "a@b.example"),
            ("to", "c@d.example\r\ne@f.example"),
        ];
        check(Channel::Email, &mail, &[]);
        check(
            Channel::Email,
            &[&mail[..2], &[("to", "c@d.example\r\nRCPT TO:<x@y.example>")]].concat(),
            &["to"],
        );
        check(
            Channel::Email,
            &[&mail[..1], &[("from", "a@b.example>\r\nDATA"), mail[2]]].concat(),
            &["from", "from"],
        );
        check(Channel::Email, &[&mail[..], &[("user", "kim")]].concat(), &["password"]);
        check(Channel::Email, &[&mail[1..], &[("host", "mail example")]].concat(), &["host"]);
        check(Channel::SyslogCef, &[("host", "192.0.2.1"), ("port", "0")], &["port"]);
        check(
            Channel::SyslogCef,
            &[("host", "log.example"), ("protection", "plain")],
            &["protection"],
        );
        check(
            Channel::SyslogCef,
            &[("host", "log.example"), ("certificate", "x")],
            &["certificate"],
        );
    }

    #[track_caller]
    fn check(channel: Channel, changes: &[(&str, &str)], expected: &[&str]) {
        let mut form = SinkForm::blank(channel, "https://portal.example");
        let changed = |name: &String| changes.iter().any(|(change, _)| change == name);
        form.pairs.retain(|(name, _)| !changed(name));
        form.pairs.extend(changes.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        if !changed(&"name".to_owned()) {
            form.pairs.retain(|(name, _)| name != "name");
            form.pairs.push(("name".into(), "one".into()));
        }
        let read = read(&mut form, channel, &[], None);
        let problems: Vec<_> = form.problems.iter().map(|(field, _)| *field).collect();
        assert_eq!(problems, expected, "{channel:?} {changes:?}: {:?}", form.problems);
        assert_eq!(read.is_some(), expected.is_empty());
    }

    #[test]
    fn an_empty_secret_keeps_what_is_there() {
        let mut form = SinkForm::blank(Channel::Webhook, "");
        form.pairs.retain(|(name, _)| name != "name");
        form.pairs.extend([("name".into(), "one".into()), ("url".into(), String::new())]);
        let old = Settings { shown_url: "https://hooks.example/…".into(), ..Settings::default() };
        let secrets = Secrets {
            url: "https://hooks.example/secret".into(),
            authorization: "Bearer x".into(),
            ..Secrets::default()
        };
        let read = read(&mut form, Channel::Webhook, &[], Some((&old, &secrets))).unwrap();
        assert_eq!(read.secrets, secrets);
        assert_eq!(read.settings.shown_url, old.shown_url);
    }
}
