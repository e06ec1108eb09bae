//! `GET policy`: the effective policy of this device, signed.

use bartizan_model::{Mode, Policy, WebProtection};
use serde::{Deserialize, Serialize};

use crate::signed::Document;

/// What the portal answers; the version is also the entity tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyReply {
    /// A [`PolicyDocument`], sealed.
    pub policy: String,
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyDocument {
    /// The device it is for; another's is refused.
    pub device_id: String,
    /// See [`Policy::version`].
    pub version: u64,
    /// A [`Mode`] as a word.
    pub mode: String,
    /// A [`WebProtection`] as a word.
    pub web_protection: String,
    /// See [`Policy::report_blocked_host`].
    pub report_blocked_host: bool,
    /// See [`Policy::checkin_interval_s`].
    pub checkin_interval_s: u32,
}

impl Document for PolicyDocument {
    const TYPE: &'static str = "bartizan-policy+jwt";
}

impl PolicyDocument {
    /// Writes a policy for one device.
    #[must_use]
    pub fn new(device_id: String, policy: &Policy) -> Self {
        Self {
            device_id,
            version: policy.version,
            mode: policy.mode.word().into(),
            web_protection: policy.web_protection.word().into(),
            report_blocked_host: policy.report_blocked_host,
            checkin_interval_s: policy.checkin_interval_s,
        }
    }

    /// Reads the policy; `None` if it asks for something this version does not know.
    #[must_use]
    pub fn policy(&self) -> Option<Policy> {
        Some(Policy {
            version: self.version,
            mode: Mode::from_word(&self.mode)?,
            web_protection: WebProtection::from_word(&self.web_protection)?,
            report_blocked_host: self.report_blocked_host,
            checkin_interval_s: self.checkin_interval_s,
            ..Policy::default()
        })
    }
}
