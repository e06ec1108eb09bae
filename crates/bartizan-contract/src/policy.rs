//! `GET policy`: the effective policy of this device, signed.

use bartizan_model::{DnsPolicy, MAX_WARN_PASS_HOURS, Mode, Policy, WebProtection};
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
    /// See [`Policy::warn_pass_hours`]; the default where a portal does not say.
    #[serde(default = "default_warn_pass_hours")]
    pub warn_pass_hours: u16,
    /// What is done with name lookups.
    #[serde(default)]
    pub dns: DnsDocument,
}

/// See [`DnsPolicy`]. What a portal does not say is as by default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsDocument {
    /// See [`DnsPolicy::upstream`], in its text form.
    pub upstream: String,
    /// See [`DnsPolicy::upstream_fallback`].
    pub upstream_fallback: bool,
    /// See [`DnsPolicy::strip_ech`].
    pub strip_ech: bool,
    /// See [`DnsPolicy::block_encrypted_dns`].
    pub block_encrypted_dns: bool,
    /// See [`DnsPolicy::block_private_relay`].
    pub block_private_relay: bool,
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
            warn_pass_hours: policy.warn_pass_hours,
            dns: DnsDocument::new(&policy.dns),
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
            warn_pass_hours: self.warn_pass_hours.min(MAX_WARN_PASS_HOURS),
            dns: self.dns.policy()?,
        })
    }
}

impl DnsDocument {
    fn new(policy: &DnsPolicy) -> Self {
        let DnsPolicy {
            ref upstream,
            upstream_fallback,
            strip_ech,
            block_encrypted_dns,
            block_private_relay,
        } = *policy;
        let upstream = upstream.to_string();
        Self { upstream, upstream_fallback, strip_ech, block_encrypted_dns, block_private_relay }
    }

    fn policy(&self) -> Option<DnsPolicy> {
        let Self {
            ref upstream,
            upstream_fallback,
            strip_ech,
            block_encrypted_dns,
            block_private_relay,
        } = *self;
        let upstream = upstream.parse().ok()?;
        Some(DnsPolicy {
            upstream,
            upstream_fallback,
            strip_ech,
            block_encrypted_dns,
            block_private_relay,
        })
    }
}

impl Default for DnsDocument {
    fn default() -> Self {
        Self::new(&DnsPolicy::default())
    }
}

fn default_warn_pass_hours() -> u16 {
    Policy::default().warn_pass_hours
}
