//! What is decided for the devices: `GET /policy`; its form goes to `POST /policy`.

use askama::Template;
use bartizan_model::{CHECKIN_INTERVAL_S, MAX_WARN_PASS_HOURS, Mode, Policy, WebProtection};
use bartizan_store::{PolicyProgress, PolicyUse};
use serde::Deserialize;

use super::feed_form::{Choice, choices};
use super::{Icon, Section, Shell, filters, format};

/// The policy in force, who uses it, and the form that changes it.
#[derive(Template)]
#[template(path = "console/policy.html")]
pub(crate) struct PolicyPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// The latest of the document for every device.
    pub(crate) version: u64,
    /// The policy in force, or what somebody wanted that does not fit.
    pub(crate) form: PolicyForm,
    /// Why the last change was not made.
    pub(crate) problem: Option<String>,
    /// How many devices have what they should have.
    pub(crate) progress: PolicyProgress,
    /// Which versions devices in service run, the latest first.
    pub(crate) versions: Vec<PolicyUse>,
    /// The document for every device, then those of groups by their rank.
    pub(crate) documents: Vec<DocumentLine>,
}

/// A document in a line.
#[derive(Clone, Debug)]
pub(crate) struct DocumentLine {
    /// Its page.
    pub(crate) href: String,
    /// For whom it is.
    pub(crate) name: String,
    /// The version that all of them have.
    pub(crate) in_force: Option<u64>,
    /// A later one, and how many of 100 have it.
    pub(crate) rolling_out: Option<(u64, u8)>,
}

/// The fields of the form, by their names there, as text, so that it can come back as it was.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PolicyForm {
    /// A word.
    pub(crate) mode: String,
    /// A word.
    pub(crate) web_protection: String,
    /// A number.
    pub(crate) warn_pass_hours: String,
    /// A number.
    pub(crate) checkin_interval_s: String,
    /// In its text form.
    pub(crate) dns_upstream: String,
    /// Present if checked, as are those that follow.
    pub(crate) report_blocked_host: Option<String>,
    /// See [`bartizan_model::DnsPolicy::upstream_fallback`].
    pub(crate) dns_fallback: Option<String>,
    /// See [`bartizan_model::DnsPolicy::strip_ech`].
    pub(crate) strip_ech: Option<String>,
    /// See [`bartizan_model::DnsPolicy::block_encrypted_dns`].
    pub(crate) block_encrypted_dns: Option<String>,
    /// See [`bartizan_model::DnsPolicy::block_private_relay`].
    pub(crate) block_private_relay: Option<String>,
}

impl PolicyForm {
    /// Shows what is decided.
    pub(crate) fn of(policy: &Policy) -> Self {
        let checked = |flag: bool| flag.then(|| "on".to_owned());
        Self {
            mode: policy.mode.word().into(),
            web_protection: policy.web_protection.word().into(),
            warn_pass_hours: policy.warn_pass_hours.to_string(),
            checkin_interval_s: policy.checkin_interval_s.to_string(),
            report_blocked_host: checked(policy.report_blocked_host),
            dns_upstream: policy.dns.upstream.to_string(),
            dns_fallback: checked(policy.dns.upstream_fallback),
            strip_ech: checked(policy.dns.strip_ech),
            block_encrypted_dns: checked(policy.dns.block_encrypted_dns),
            block_private_relay: checked(policy.dns.block_private_relay),
        }
    }

    fn modes(&self) -> Vec<(Choice, &'static str)> {
        let label = |mode| match mode {
            Mode::Tunnel => "Tunnel",
            Mode::Dns => "DNS",
            Mode::Filter => "Filter",
            Mode::Off => "Off",
        };
        let all = choices(&self.mode, Mode::ALL.map(|mode| (mode.word(), label(mode))));
        all.into_iter().zip(Mode::ALL.map(explained)).collect()
    }

    fn protections(&self) -> Vec<Choice> {
        let label = |action| match action {
            WebProtection::Block => "Stopped, with an alert",
            WebProtection::Off => "Nothing",
        };
        let all = WebProtection::ALL.map(|action| (action.word(), label(action)));
        choices(&self.web_protection, all)
    }
}

impl PolicyPage {
    fn section(&self) -> Section {
        Section::Policy
    }

    /// One line for each version that is run: what it is called, where its devices are listed, and how many they are.
    fn run(&self) -> Vec<(String, String, String)> {
        let line = |one: &PolicyUse| {
            let version = format::grouped(one.version);
            let name =
                if one.version == 0 { "None yet".into() } else { format!("Version {version}") };
            let href = format!("/devices?policy={}", one.version);
            (name, href, format::count(one.devices, "device"))
        };
        self.versions.iter().map(line).collect()
    }

    /// One line for each state that a device is in.
    fn uses(&self) -> Vec<(&'static str, String)> {
        let PolicyProgress { current, behind, without } = self.progress;
        let lines =
            [("Up to date", current), ("From the next check-in", behind), ("None yet", without)];
        let lines = lines.into_iter().filter(|(_, devices)| *devices != 0);
        lines.map(|(state, devices)| (state, format::count(devices, "device"))).collect()
    }
}

fn explained(mode: Mode) -> &'static str {
    match mode {
        Mode::Tunnel => {
            "All traffic passes the engine on the device: names, server names in TLS and QUIC, HTTP requests and addresses are judged."
        }
        Mode::Dns => {
            "Only name lookups pass the engine. What is reached by its address alone is not seen."
        }
        Mode::Filter => {
            "The system hands over each connection and obeys the verdict; for supervised iPhones and iPads."
        }
        Mode::Off => "Nothing is judged. Devices report their status only.",
    }
}
