//! `POST checkin`: the device says how it is, the portal says what has changed.

use serde::{Deserialize, Serialize};

/// How the device is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckinRequest {
    /// By the device's clock.
    pub sent_at_ms: u64,
    /// A [`bartizan_model::Mode`] as a word.
    pub mode: String,
    /// A [`bartizan_model::ProtectionState`] as a word.
    pub protection: String,
    /// Such as `18.1`.
    pub os_version: String,
    /// Version of this program.
    pub app_version: String,
    /// Of the policy in use; 0 if none was fetched yet.
    pub policy_version: u64,
    /// Of the indicator file in use; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indicator_epoch: Option<u64>,
    /// Of the tenant file in use; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_epoch: Option<u64>,
    /// Since the program started.
    pub counters: Counters,
}

/// What the engine counted since the program started. No names, no addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Questions that applications asked.
    pub queries: u64,
    /// Of these, answered with a block.
    pub blocked: u64,
    /// Packets dropped, for whatever reason.
    pub dropped: u64,
    /// Alerts that had to be given up because too many were waiting.
    pub alerts_lost: u64,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckinReply {
    /// The device's policy; fetch it when it is newer.
    pub policy_version: u64,
    /// The newest indicator file; fetch the manifest when it is newer. Absent if there is none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indicator_epoch: Option<u64>,
    /// The newest tenant file, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_epoch: Option<u64>,
    /// What the organization says of the device's system; absent while it is supported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemNotice>,
    /// The portal's time, to correct the device's clock by.
    pub server_time_ms: u64,
}

/// The system is older than what is supported. Before its day that is a warning; after it the device goes on protecting, and
/// cannot enroll again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemNotice {
    /// The oldest that is supported, such as `16.0`.
    pub minimum_version: String,
    /// From then on what is older is not.
    pub unsupported_from_ms: u64,
}
