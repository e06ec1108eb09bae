//! What the organization decided for a device.

use std::ops::RangeInclusive;

use crate::DnsUpstream;

/// How much of the device's traffic the engine sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All of it: names, servers' names in TLS and QUIC, HTTP requests and addresses are judged.
    Tunnel,
    /// Only packets to the resolvers pass through the tunnel.
    Dns,
    /// None; the system hands over each connection or URL and obeys the verdict, as a supervised content filter.
    Filter,
    /// Nothing does; the device reports its status only.
    Off,
}

impl Mode {
    /// Every mode, the one that sees most first.
    pub const ALL: [Self; 4] = [Self::Tunnel, Self::Dns, Self::Filter, Self::Off];

    /// Returns the word for it on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tunnel => "tunnel",
            Self::Dns => "dns",
            Self::Filter => "filter",
            Self::Off => "off",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.word() == word)
    }
}

/// What happens to a listed name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebProtection {
    /// It is stopped, and an alert is raised.
    Block,
    /// Nothing is stopped or raised.
    Off,
}

impl WebProtection {
    /// Everything that may happen.
    pub const ALL: [Self; 2] = [Self::Block, Self::Off];

    /// Returns the word for it on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Off => "off",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.word() == word)
    }
}

/// The effective policy of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Counts up with every change; a device refuses an older one than it has.
    pub version: u64,
    /// How much the engine sees.
    pub mode: Mode,
    /// What happens to a listed name.
    pub web_protection: WebProtection,
    /// Whether alerts name the host that was blocked, or only say that one was.
    pub report_blocked_host: bool,
    /// Seconds between check-ins while the tunnel runs, before jitter: [`CHECKIN_INTERVAL_S`]. 15 minutes by default.
    pub checkin_interval_s: u32,
    /// For how many hours a person may pass a warning, at most [`MAX_WARN_PASS_HOURS`]; zero where warnings stop like
    /// blocks.
    pub warn_pass_hours: u16,
    /// What is done with name lookups.
    pub dns: DnsPolicy,
}

/// What is done with name lookups beside judging them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsPolicy {
    /// Whom lookups go to.
    pub upstream: DnsUpstream,
    /// Whether the system's resolver answers, in plain, while `upstream` is another and cannot be reached; else
    /// nothing does.
    pub upstream_fallback: bool,
    /// Whether `ech` parameters are taken out of HTTPS records (RFC 9848), so that servers' names stay readable
    /// on the device. Changes an answer that DNSSEC may have signed.
    pub strip_ech: bool,
    /// Whether names of known public resolvers over HTTPS, and the names by which applications ask whether they
    /// may use one, do not exist: lookups then stay where they are judged.
    pub block_encrypted_dns: bool,
    /// Whether the names of iCloud Private Relay do not exist, by which Apple has networks turn it off.
    pub block_private_relay: bool,
}

impl Policy {
    /// Checks what somebody wants to decide.
    ///
    /// # Errors
    /// The first number that is out of its bounds.
    pub fn check(&self) -> Result<(), BadPolicy> {
        if !CHECKIN_INTERVAL_S.contains(&self.checkin_interval_s) {
            return Err(BadPolicy::CheckinInterval);
        }
        if MAX_WARN_PASS_HOURS < self.warn_pass_hours {
            return Err(BadPolicy::WarnPassHours);
        }
        Ok(())
    }
}

/// Why a policy cannot be decided so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPolicy {
    /// See [`Policy::checkin_interval_s`].
    #[error(
        "a check-in interval has {} to {} seconds",
        CHECKIN_INTERVAL_S.start(),
        CHECKIN_INTERVAL_S.end()
    )]
    CheckinInterval,
    /// See [`Policy::warn_pass_hours`].
    #[error("a warning can be passed for 0 to {MAX_WARN_PASS_HOURS} hours")]
    WarnPassHours,
}

/// Seconds between check-ins that somebody may decide: once a minute to once a day.
pub const CHECKIN_INTERVAL_S: RangeInclusive<u32> = 60..=86_400;
/// The longest that a warning stays passed: a week.
pub const MAX_WARN_PASS_HOURS: u16 = 168;

impl Default for DnsPolicy {
    /// Lookups go where they would go, and nothing is changed or stopped.
    fn default() -> Self {
        Self {
            upstream: DnsUpstream::System,
            upstream_fallback: true,
            strip_ech: false,
            block_encrypted_dns: false,
            block_private_relay: false,
        }
    }
}

impl Default for Policy {
    /// What a device does before it has ever seen a policy.
    fn default() -> Self {
        Self {
            version: 0,
            mode: Mode::Dns,
            web_protection: WebProtection::Block,
            report_blocked_host: true,
            checkin_interval_s: 900,
            warn_pass_hours: 24,
            dns: DnsPolicy::default(),
        }
    }
}

/// Whether the device is protected at this moment, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtectionState {
    /// The tunnel runs and holds an indicator file.
    On,
    /// The tunnel runs but something is missing, such as the indicator file: traffic flows.
    Degraded,
    /// The tunnel does not run, or policy has turned web protection off.
    Off,
}

impl ProtectionState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::On, Self::Degraded, Self::Off];

    /// Returns the word for it on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Degraded => "degraded",
            Self::Off => "off",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_bounds() {
        let check = |checkin_interval_s, warn_pass_hours, expected: Result<(), &str>| {
            let policy = Policy { checkin_interval_s, warn_pass_hours, ..Policy::default() };
            let found = policy.check().map_err(|bad| bad.to_string());
            assert_eq!(found, expected.map_err(str::to_owned));
        };
        check(60, 0, Ok(()));
        check(86_400, 168, Ok(()));
        for seconds in [0, 59, 86_401, u32::MAX] {
            check(seconds, 24, Err("a check-in interval has 60 to 86400 seconds"));
        }
        check(900, 169, Err("a warning can be passed for 0 to 168 hours"));
        assert_eq!(Policy::default().check(), Ok(()));
    }

    #[test]
    fn every_word_reads_back() {
        for mode in Mode::ALL {
            assert_eq!(Mode::from_word(mode.word()), Some(mode));
        }
        for action in WebProtection::ALL {
            assert_eq!(WebProtection::from_word(action.word()), Some(action));
        }
        assert_eq!(Mode::from_word("later"), None);
    }
}
