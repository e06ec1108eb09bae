//! One device: `GET /devices/{id}`.

use askama::Template;
use bartizan_model::{
    DeviceId, Mode, ProtectionState, RiskLevel, ThreatLevel, UnixMillis, UnresolvedAlerts,
};
use bartizan_store::{Attestation, DeviceEventKind, DeviceEventRow, DeviceValue, Replacement};

use super::badge::Badge;
use super::format::{self, Ago};
use super::{AlertRow, Duplicate, Icon, Presence, RiskLine, Section, Shell, filters};

/// What a device is, how it is, and what it raised.
#[derive(Template)]
#[template(path = "console/device.html")]
pub(crate) struct DevicePage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Names it.
    pub(crate) id: DeviceId,
    /// What people call it.
    pub(crate) name: String,
    /// Operating system and version, such as `iOS 18.1`.
    pub(crate) os: String,
    /// Such as `iPhone 15`; empty if it did not say.
    pub(crate) model: String,
    /// Version of our program; empty before the first check-in.
    pub(crate) app_version: String,
    /// When it was enrolled.
    pub(crate) enrolled_at: UnixMillis,
    /// Its latest check-in.
    pub(crate) last_seen: Option<UnixMillis>,
    /// How much of its traffic it said the engine sees.
    pub(crate) mode: Option<Mode>,
    /// What it said at its latest check-in.
    pub(crate) protection: Option<ProtectionState>,
    /// The policy it uses; 0 if it has fetched none.
    pub(crate) policy_version: u64,
    /// The policy it should use.
    pub(crate) newest_policy_version: u64,
    /// The indicator file it uses, if any.
    pub(crate) indicator_epoch: Option<u64>,
    /// The newest indicator file, if there is one.
    pub(crate) newest_indicator_epoch: Option<u64>,
    /// What its engine counted since it started; absent before the first check-in.
    pub(crate) counters: Option<EngineCounters>,
    /// Its person's address; empty where nobody is known.
    pub(crate) owner: String,
    /// What it is worth.
    pub(crate) value: DeviceValue,
    /// Its group's page and name; absent where none matches.
    pub(crate) group: Option<(String, String)>,
    /// Its tags, and whether a policy gives them.
    pub(crate) tags: Vec<(String, bool)>,
    /// When it was taken out.
    pub(crate) offboarded_at: Option<UnixMillis>,
    /// What holds for it: key, value, and where that comes from; what nobody decided last.
    pub(crate) settings: Vec<(&'static str, String, String)>,
    /// What happened to it, the latest first.
    pub(crate) events: Vec<DeviceEventRow>,
    /// How often it checked in on the day of its latest check-in.
    pub(crate) day_checkins: u64,
    /// Where there is more of that.
    pub(crate) older: Option<String>,
    /// What the rules of enrollment say of it.
    pub(crate) remarks: Vec<String>,
    /// What vouches for its key, and when that was verified.
    pub(crate) attestation: (Attestation, Option<UnixMillis>),
    /// Whether it says that several people use it.
    pub(crate) is_shared: bool,
    /// What took its place, and what it took the place of.
    pub(crate) replacement: Replacement,
    /// How its risk changed last.
    pub(crate) risk_lines: Vec<RiskLine>,
    /// Where its alerts can be brought to what took its place, by whoever may.
    pub(crate) handover: Option<String>,
    /// Other records that may be of it.
    pub(crate) duplicates: Vec<Duplicate>,
    /// Whether its person's license gives the timeline.
    pub(crate) has_timeline: bool,
    /// Why the last change was not made.
    pub(crate) problem: Option<String>,
    /// Its unresolved alerts.
    pub(crate) unresolved: UnresolvedAlerts,
    /// Its latest alerts, resolved or not, the newest first.
    pub(crate) alerts: Vec<AlertRow>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

/// What the engine counted since the program started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EngineCounters {
    /// Questions that applications asked.
    pub(crate) queries: u64,
    /// Of these, answered with a block.
    pub(crate) blocked: u64,
    /// Packets dropped.
    pub(crate) dropped: u64,
    /// Alerts that had to be given up.
    pub(crate) alerts_lost: u64,
}

impl DevicePage {
    fn section(&self) -> Section {
        Section::Devices
    }

    /// One line for each thing that happened: when, what, and who did it.
    fn happened(&self) -> Vec<(UnixMillis, String, String)> {
        let told = |event: &DeviceEventRow| (event.at, told(event), event.actor.clone());
        self.events.iter().map(told).collect()
    }

    fn day_checkins_text(&self) -> String {
        format::count(self.day_checkins, "check-in")
    }

    /// How Defender names its state.
    fn health(&self) -> &'static str {
        match (self.presence(), self.protection) {
            (Presence::Inactive, _) => "Inactive",
            (Presence::NeverCheckedIn, _) | (_, None | Some(ProtectionState::Off)) => {
                "No sensor data"
            }
            (Presence::Active, Some(ProtectionState::Degraded)) => "Impaired communication",
            (Presence::Active, Some(ProtectionState::On)) => "Active",
        }
    }

    fn attestation_text(&self) -> &'static str {
        match self.attestation.0 {
            Attestation::Genuine => "Genuine app and hardware",
            Attestation::Development => "Development build",
            Attestation::None => "Not attested",
        }
    }

    fn presence(&self) -> Presence {
        Presence::of(&self.last_seen, &self.now)
    }

    fn risk(&self) -> RiskLevel {
        RiskLevel::of(self.unresolved)
    }

    fn risk_reason(&self) -> String {
        format::risk_reason(self.unresolved)
    }

    fn threat_word(&self) -> &'static str {
        match self.risk().threat_level() {
            ThreatLevel::Secured => "Secured",
            ThreatLevel::Low => "Low",
            ThreatLevel::Medium => "Medium",
            ThreatLevel::High => "High",
        }
    }

    fn protection_sentence(&self) -> &'static str {
        match (self.presence(), self.protection, self.mode) {
            (Presence::NeverCheckedIn, _, _) | (_, None, _) => {
                "The device is enrolled but has never checked in. Open the app on it once."
            }
            (Presence::Inactive, Some(_), _) => {
                "No signal for 7 days or more: this is what the device said last. While its VPN is off, it reports only when the app is opened."
            }
            (Presence::Active, Some(ProtectionState::On), _) => {
                "Names that the device looks up are checked, and listed ones are blocked."
            }
            (Presence::Active, Some(ProtectionState::Degraded), _) => {
                "The tunnel runs, but something is missing, such as the indicator file. Traffic flows unchecked."
            }
            (Presence::Active, Some(ProtectionState::Off), Some(Mode::Off)) => {
                "Policy has turned protection off. The device reports only when the app is opened."
            }
            (
                Presence::Active,
                Some(ProtectionState::Off),
                Some(Mode::Tunnel | Mode::Dns | Mode::Filter) | None,
            ) => {
                "The tunnel does not run, so nothing is checked. The device reports only when the app is opened."
            }
        }
    }

    fn mode_text(&self) -> &'static str {
        match self.mode {
            Some(Mode::Tunnel) => "Tunnel: all traffic",
            Some(Mode::Filter) => "Filter: connections that the system hands over",
            Some(Mode::Dns) => "DNS: name lookups only",
            Some(Mode::Off) => "Off: status only",
            None => "Not reported",
        }
    }

    fn is_policy_current(&self) -> bool {
        self.newest_policy_version <= self.policy_version
    }

    fn is_indicator_file_current(&self) -> bool {
        self.newest_indicator_epoch <= self.indicator_epoch
    }
}

fn told(event: &DeviceEventRow) -> String {
    let detail = &event.detail;
    match event.kind {
        DeviceEventKind::Enrolled => "Enrolled".into(),
        DeviceEventKind::CheckedIn => {
            format!("{} on this day", format::count(event.count, "check-in"))
        }
        DeviceEventKind::Alert if event.count == 1 => format!("Alert: {detail}"),
        DeviceEventKind::Alert => format!("Alert: {detail}, {} times", event.count),
        DeviceEventKind::Detected if event.count == 1 => format!("Logged: {detail}"),
        DeviceEventKind::Detected => format!("Logged: {detail}, {} times", event.count),
        DeviceEventKind::Tagged => format!("Tag “{detail}” given"),
        DeviceEventKind::Untagged => format!("Tag “{detail}” taken away"),
        DeviceEventKind::Owner if detail.is_empty() => "Person removed".into(),
        DeviceEventKind::Owner => format!("Person set to {detail}"),
        DeviceEventKind::Value => format!("Value set to {detail}"),
        DeviceEventKind::Offboarded => "Taken out".into(),
        DeviceEventKind::Merged => format!("Earlier record “{detail}” merged into this one"),
    }
}

/// Asks before a device is taken out or forgotten.
#[derive(Template)]
#[template(path = "console/device_remove.html")]
pub(crate) struct DeviceRemovePage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Names it.
    pub(crate) id: DeviceId,
    /// What people call it.
    pub(crate) name: String,
    /// Whether it was taken out.
    pub(crate) is_offboarded: bool,
}

impl DeviceRemovePage {
    fn section(&self) -> Section {
        Section::Devices
    }
}
