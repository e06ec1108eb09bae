//! The devices: `GET /devices`.

use askama::Template;
use bartizan_model::{DeviceId, ProtectionState, RiskLevel, UnixMillis};
use bartizan_store::{Attestation, OsSupport};

use super::badge::Badge;
use super::format::{self, Ago};
use super::{Icon, Pager, Section, Shell, filters};

/// The list, the one last heard of first.
#[derive(Template)]
#[template(path = "console/devices.html")]
pub(crate) struct DevicesPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// What is shown.
    pub(crate) filter: DeviceFilter,
    /// The cursor this page came by, empty on the first.
    pub(crate) after: String,
    /// The devices of this page.
    pub(crate) rows: Vec<DeviceRow>,
    /// The cursor of the next page, if there is one.
    pub(crate) next: Option<String>,
    /// How many devices the tenant has, whatever the filter.
    pub(crate) total: u64,
    /// Ids and names of the groups.
    pub(crate) groups: Vec<(String, String)>,
    /// How to enroll a device; shown while there is none.
    pub(crate) enroll: EnrollHelp,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl DevicesPage {
    fn section(&self) -> Section {
        Section::Devices
    }

    fn pager(&self) -> Pager {
        Pager {
            first: (!self.after.is_empty()).then(|| self.filter.address("")),
            next: self.next.as_ref().map(|next| self.filter.address(next)),
        }
    }

    fn total_text(&self) -> String {
        format::count(self.total, "device")
    }
}

/// The two commands that bring in the first device.
#[derive(Clone, Debug)]
pub(crate) struct EnrollHelp {
    /// Run on the portal's machine; makes an enrollment token.
    pub(crate) token_command: String,
    /// Run on the device; uses it.
    pub(crate) device_command: String,
}

/// One device in a table, or on a card.
#[derive(Clone, Debug)]
pub(crate) struct DeviceRow {
    /// Leads to its page.
    pub(crate) id: DeviceId,
    /// What people call it.
    pub(crate) name: String,
    /// Operating system and version, such as `iOS 18.1`.
    pub(crate) os: String,
    /// Whether that is one that is protected.
    pub(crate) support: OsSupport,
    /// What vouches for its key.
    pub(crate) attestation: Attestation,
    /// Version of our program; empty before the first check-in.
    pub(crate) app_version: String,
    /// What it said at its latest check-in.
    pub(crate) protection: Option<ProtectionState>,
    /// How much it is at risk.
    pub(crate) risk: RiskLevel,
    /// How many of its alerts are not resolved.
    pub(crate) unresolved: u64,
    /// Its latest check-in.
    pub(crate) last_seen: Option<UnixMillis>,
}

impl DeviceRow {
    fn support_text(&self) -> Option<&'static str> {
        match self.support {
            OsSupport::Supported => None,
            OsSupport::Ending => Some("Soon unsupported"),
            OsSupport::Ended => Some("Unsupported"),
        }
    }

    /// Said where no genuine app on genuine hardware is vouched for.
    fn attestation_text(&self) -> Option<&'static str> {
        match self.attestation {
            Attestation::Genuine => None,
            Attestation::Development => Some("Development build"),
            // A record by another product has no key.
            Attestation::None if self.app_version.is_empty() => None,
            Attestation::None => Some("Not attested"),
        }
    }

    pub(super) fn alerts_text(&self) -> String {
        format::grouped(self.unresolved)
    }
}

/// Whether a device is heard from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is enrolled, and that was all.
    NeverCheckedIn,
    /// It checked in within a week.
    Active,
    /// It did not.
    Inactive,
}

impl Presence {
    /// Applies the published rule: no signal for 7 days means inactive.
    pub(crate) fn of(last_seen: &Option<UnixMillis>, now: &UnixMillis) -> Self {
        match last_seen {
            None => Self::NeverCheckedIn,
            Some(at) if now.0.saturating_sub(at.0) < INACTIVE_AFTER_MS => Self::Active,
            Some(_) => Self::Inactive,
        }
    }
}

/// Which devices are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeviceFilter {
    /// Part of the name, any case.
    pub(crate) text: String,
    /// Only those in this state.
    pub(crate) state: Option<DeviceState>,
    /// Only those of this system; empty for all, as are those that follow.
    pub(crate) os: String,
    /// Only those with this version of the app.
    pub(crate) app: String,
    /// Only those with this tag.
    pub(crate) tag: String,
    /// Only those in the group of this id, or `none` for those in none.
    pub(crate) group: String,
    /// Only those with this risk.
    pub(crate) risk: Option<RiskLevel>,
    /// Only those whose key this vouches for.
    pub(crate) attestation: Option<Attestation>,
    /// Only those in service that run this version of their policy; 0 for none yet.
    pub(crate) policy: Option<u64>,
    /// Only those of which there may be another record.
    pub(crate) is_likely_twice: bool,
}

impl DeviceFilter {
    /// Reads the `q` and `state` of an address. What is not known counts as not given.
    pub(crate) fn from_query(text: Option<&str>, state: Option<&str>) -> Self {
        Self {
            text: text.unwrap_or_default().trim().into(),
            state: state.and_then(DeviceState::from_word),
            ..Self::default()
        }
    }

    /// Returns the address of the page with this filter that begins after a cursor.
    pub(crate) fn address(&self, after: &str) -> String {
        let state = self.state.map_or("", DeviceState::word);
        format::address(
            "/devices",
            &[
                ("q", &self.text),
                ("state", state),
                ("os", &self.os),
                ("app", &self.app),
                ("tag", &self.tag),
                ("group", &self.group),
                ("risk", self.risk.map_or("", RiskLevel::word)),
                ("attestation", self.attestation.map_or("", Attestation::word)),
                ("policy", &self.policy_text()),
                ("records", if self.is_likely_twice { LIKELY_TWICE } else { "" }),
                ("after", after),
            ],
        )
    }

    fn policy_text(&self) -> String {
        self.policy.map(|version| version.to_string()).unwrap_or_default()
    }

    fn risks() -> [RiskLevel; 5] {
        [
            RiskLevel::High,
            RiskLevel::Medium,
            RiskLevel::Low,
            RiskLevel::Informational,
            RiskLevel::None,
        ]
    }

    fn attestations() -> [(Attestation, &'static str); 3] {
        [
            (Attestation::Genuine, "Attested"),
            (Attestation::Development, "Development build"),
            (Attestation::None, "Not attested"),
        ]
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What devices can be filtered by: what they said last, or that they said nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceState {
    /// Said last that protection is on.
    On,
    /// Said last that it is degraded.
    Degraded,
    /// Said last that it is off.
    Off,
    /// Said something, but not for a week.
    Inactive,
    /// Never said anything.
    NeverCheckedIn,
}

impl DeviceState {
    const ALL: [Self; 5] =
        [Self::On, Self::Degraded, Self::Off, Self::Inactive, Self::NeverCheckedIn];

    fn word(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Degraded => "degraded",
            Self::Off => "off",
            Self::Inactive => "inactive",
            Self::NeverCheckedIn => "never",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    fn label(self) -> &'static str {
        match self {
            Self::On => "Protection on",
            Self::Degraded => "Protection degraded",
            Self::Off => "Protection off",
            Self::Inactive => "Inactive",
            Self::NeverCheckedIn => "Never checked in",
        }
    }
}

/// In an address, as `records`.
pub(crate) const LIKELY_TWICE: &str = "twice";
/// The published rule (`docs/alerts.md`).
pub(crate) const INACTIVE_AFTER_MS: u64 = 7 * format::DAY_MS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_inactive_after_seven_days_of_silence() {
        let now = UnixMillis(1_800_000_000_000);
        let ago = |ms: u64| Presence::of(&Some(UnixMillis(now.0 - ms)), &now);
        assert_eq!(Presence::of(&None, &now), Presence::NeverCheckedIn);
        assert_eq!(ago(0), Presence::Active);
        assert_eq!(ago(INACTIVE_AFTER_MS - 1), Presence::Active);
        assert_eq!(ago(INACTIVE_AFTER_MS), Presence::Inactive);
        assert_eq!(Presence::of(&Some(UnixMillis(now.0 + 1)), &now), Presence::Active);
    }

    #[test]
    fn a_filter_survives_its_address() {
        check(None, None, "/devices");
        check(Some(" "), Some("none"), "/devices");
        check(Some("o&o"), Some("off"), "/devices?q=o%26o&state=off");
        check(None, Some("never"), "/devices?state=never");
    }

    #[track_caller]
    fn check(text: Option<&str>, state: Option<&str>, expected: &str) {
        assert_eq!(DeviceFilter::from_query(text, state).address(""), expected);
    }
}
