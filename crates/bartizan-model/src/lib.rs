//! The words everything else is written in.
//!
//! No I/O, no serialization, no clock: types that say what a value means, and the published rules
//! (severities, risk levels) as pure functions. Everything of ours depends on this crate, and it
//! depends on nothing of ours.

mod alert;
mod domain;
mod id;
mod indicator;
mod policy;
mod private;
mod risk;
mod time;
mod upstream;

pub use alert::{Alert, AlertStatus, Category, Detector, Severity};
pub use domain::{DomainName, DomainNameError, MAX_NAME_LEN};
pub use id::{AlertId, AlertIdError, DeviceId, DeviceIdError, TenantId};
pub use indicator::{
    IndicatorAction, IndicatorCategory, IndicatorSource, MAX_MATCHED, MatchedIndicator,
};
pub use policy::{
    BadPolicy, CHECKIN_INTERVAL_S, DnsPolicy, MAX_WARN_PASS_HOURS, Mode, Policy, ProtectionState,
    WebProtection,
};
pub use private::Private;
pub use risk::{RiskLevel, ThreatLevel, UnresolvedAlerts};
pub use time::UnixMillis;
pub use upstream::{DnsUpstream, DnsUpstreamError, SecureResolver};
