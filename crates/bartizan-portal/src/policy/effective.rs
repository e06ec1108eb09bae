//! What a device gets out of several documents, and which of them each value comes from.
//!
//! Layers, from the weakest: the table's defaults, the tenant's policy, then the policies of the device's groups
//! by rank, where rank 1 is the strongest. Each layer may have a version that is being rolled out; a device has
//! either that or the version in force, never a mix.
//!
//! # What it does not do
//! - Say which groups a device is in: the caller passes the layers that apply.
//!
//! # Invariants
//! - Every key has exactly one source.
//! - The order in which layers are passed does not matter (property).

use std::collections::BTreeMap;
use std::fmt;

use bartizan_model::{DeviceId, DnsPolicy, DnsUpstream, Mode, Policy, WebProtection};

use super::rollout::{Percent, PolicyId, has_reached};
use super::schema::Key;
use super::settings::Settings;
use super::value::Value;

/// For whom a policy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every device of the tenant.
    Tenant,
    /// The devices of a group.
    Group {
        /// Its name.
        name: String,
        /// 1 is the strongest.
        rank: u32,
    },
}

/// One version of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Counts up from 1 with every change of the policy.
    pub number: u64,
    /// What it decides.
    pub settings: Settings,
}

/// A policy that applies to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Which.
    pub policy: PolicyId,
    /// For whom it is.
    pub audience: Audience,
    /// The version that everybody has; `None` while the first is being rolled out.
    pub in_force: Option<Version>,
    /// A later version, and the share of devices that have it.
    pub rolling_out: Option<(Version, Percent)>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody decided it.
    Default,
    /// A version of a policy.
    Policy {
        /// Of which policy.
        policy: PolicyId,
        /// For whom that is.
        audience: Audience,
        /// Which version.
        version: u64,
        /// How many devices have it, where it is being rolled out.
        rolled_out: Option<Percent>,
    },
}

/// What holds for one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective(BTreeMap<Key, (Value, Source)>);

/// Returns what holds for a device that these layers apply to.
#[must_use]
pub fn resolve(device: DeviceId, layers: &[Layer]) -> Effective {
    let default = |key: &Key| {
        let default = key.setting().default.clone();
        default.map(|default| (*key, (default, Source::Default)))
    };
    let mut values: BTreeMap<Key, (Value, Source)> = Key::ALL.iter().filter_map(default).collect();
    let mut weakest_first: Vec<&Layer> = layers.iter().collect();
    weakest_first.sort_by_key(|layer| std::cmp::Reverse(layer.strength()));
    for layer in weakest_first {
        let Some((version, source)) = layer.version_of(device) else { continue };
        let decided = version.settings.iter();
        values.extend(decided.map(|(key, value)| (key, (value.clone(), source.clone()))));
    }
    Effective(values)
}

impl Layer {
    /// The least wins. Two groups of one rank do not happen; were there any, the older policy would win everywhere.
    fn strength(&self) -> (u64, PolicyId) {
        match self.audience {
            Audience::Tenant => (u64::MAX, self.policy),
            Audience::Group { rank, .. } => (u64::from(rank), self.policy),
        }
    }

    /// Returns the version that a device has, and the source that its values name.
    #[must_use]
    pub fn version_of(&self, device: DeviceId) -> Option<(&Version, Source)> {
        let source = |version: &Version, rolled_out| Source::Policy {
            policy: self.policy,
            audience: self.audience.clone(),
            version: version.number,
            rolled_out,
        };
        if let Some((version, percent)) = &self.rolling_out
            && has_reached(self.policy, version.number, device, *percent)
        {
            return Some((version, source(version, Some(*percent))));
        }
        self.in_force.as_ref().map(|version| (version, source(version, None)))
    }
}

impl Effective {
    /// Returns every key that has a value, with it and its source, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &Value, &Source)> {
        self.0.iter().map(|(key, (value, source))| (*key, value, source))
    }

    /// Returns the value of a key; `None` where it has no default and nobody set it.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&Value> {
        self.0.get(&key).map(|(value, _)| value)
    }

    /// Returns where the value of a key comes from.
    #[must_use]
    pub fn source(&self, key: Key) -> &Source {
        self.0.get(&key).map_or(&Source::Default, |(_, source)| source)
    }

    /// Whether a flag is set; one that is absent is not.
    #[must_use]
    pub fn flag(&self, key: Key) -> bool {
        self.get(key) == Some(&Value::Flag(true))
    }

    /// Returns the number of a key that has one.
    #[must_use]
    pub fn number(&self, key: Key) -> Option<u32> {
        if let Some(Value::Number(number)) = self.get(key) { Some(*number) } else { None }
    }

    /// Returns what the device's engine goes by, as the given version of it.
    #[must_use]
    pub fn policy(&self, version: u64) -> Policy {
        let decided = self.decided(version);
        if self.flag(Key::WebProtection) && !self.flag(Key::TunnelOnly) {
            decided
        } else {
            Policy { mode: Mode::Off, web_protection: WebProtection::Off, ..decided }
        }
    }

    /// Returns what is decided, also of what does nothing while protection is off.
    #[must_use]
    pub fn decided(&self, version: u64) -> Policy {
        let default = Policy::default();
        let is_on = self.flag(Key::WebProtection);
        let hours = self.number(Key::WarnPassHours).and_then(|hours| u16::try_from(hours).ok());
        Policy {
            version,
            mode: self.mode(),
            web_protection: if is_on { WebProtection::Block } else { WebProtection::Off },
            report_blocked_host: !self.flag(Key::ExcludeHost),
            checkin_interval_s: self
                .number(Key::CheckinInterval)
                .unwrap_or(default.checkin_interval_s),
            warn_pass_hours: hours.unwrap_or(default.warn_pass_hours),
            dns: DnsPolicy {
                upstream: self.upstream(),
                upstream_fallback: self.flag(Key::DnsFallback),
                strip_ech: self.flag(Key::StripEch),
                block_encrypted_dns: self.flag(Key::BlockEncryptedDns),
                block_private_relay: self.flag(Key::BlockPrivateRelay),
            },
        }
    }

    fn mode(&self) -> Mode {
        if let Some(Value::Mode(mode)) = self.get(Key::Mode) {
            *mode
        } else {
            Policy::default().mode
        }
    }

    fn upstream(&self) -> DnsUpstream {
        if let Some(Value::Resolver(upstream)) = self.get(Key::DnsUpstream) {
            upstream.clone()
        } else {
            DnsUpstream::System
        }
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant => out.write_str("tenant policy"),
            Self::Group { name, .. } => write!(out, "group {name}"),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::Policy { audience, version, rolled_out, .. } => {
                write!(out, "{audience} v{version}")?;
                rolled_out.map_or(Ok(()), |percent| write!(out, " (rolled out to {percent})"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::settings::tests::{any_settings, settings};

    #[test]
    fn without_a_document_a_device_does_what_it_did_before_it_had_one() {
        let effective = resolve(DeviceId(1), &[]);
        assert_eq!(effective.policy(0), Policy::default());
        assert!(effective.iter().all(|(_, _, source)| source.to_string() == "default"));
        assert_eq!(effective.get(Key::DeviceTag), None);
        assert_eq!(effective.number(Key::InactiveAfter), Some(7));
    }

    #[test]
    fn the_group_of_the_first_rank_wins_over_others_and_the_tenant() {
        let layers = [
            group(
                "Everybody else",
                2,
                4,
                r#"{"BartizanMode": "dns", "DisableSignOut": 1, "DefenderDeviceTag": "b"}"#,
            ),
            group("Sales", 1, 7, r#"{"BartizanMode": "tunnel", "DefenderDeviceTag": "a"}"#),
            tenant(3, r#"{"BartizanMode": "off", "BartizanWarnPassHours": 1}"#),
        ];
        let effective = resolve(DeviceId(1), &layers);
        let check = |key, value: &str, source: &str| {
            assert_eq!(effective.get(key).unwrap().to_string(), value);
            assert_eq!(effective.source(key).to_string(), source);
        };
        check(Key::Mode, "tunnel", "group Sales v7");
        check(Key::DeviceTag, "a", "group Sales v7");
        check(Key::DisableSignOut, "true", "group Everybody else v4");
        check(Key::WarnPassHours, "1", "tenant policy v3");
        check(Key::Feedback, "true", "default");
    }

    #[test]
    fn a_version_that_is_rolled_out_holds_for_its_share_and_the_old_one_for_the_rest() {
        let mut layer = group("Sales", 1, 6, r#"{"BartizanMode": "dns", "DisableSignOut": 1}"#);
        let next = Version { number: 7, settings: settings(r#"{"BartizanMode": "tunnel"}"#) };
        layer.rolling_out = Some((next, Percent::new(20).unwrap()));
        let mut found = [0, 0];
        for device in 0..200 {
            let effective = resolve(DeviceId(device), std::slice::from_ref(&layer));
            let source = effective.source(Key::Mode).to_string();
            if effective.policy(1).mode == Mode::Tunnel {
                assert_eq!(source, "group Sales v7 (rolled out to 20 %)");
                assert!(!effective.flag(Key::DisableSignOut), "the new version leaves it out");
                found[0] += 1;
            } else {
                assert_eq!(source, "group Sales v6");
                assert!(effective.flag(Key::DisableSignOut));
                found[1] += 1;
            }
        }
        assert!(0 < found[0] && found[0] < found[1], "{found:?}");
    }

    #[test]
    fn a_first_version_that_has_not_reached_a_device_decides_nothing() {
        let mut layer = tenant(1, r#"{"BartizanMode": "tunnel"}"#);
        layer.rolling_out =
            layer.in_force.take().map(|version| (version, Percent::new(0).unwrap()));
        assert_eq!(resolve(DeviceId(1), &[layer]).source(Key::Mode), &Source::Default);
    }

    #[test]
    fn settings_become_what_the_engine_goes_by() {
        let check = |text, expected: Policy| {
            let effective = resolve(DeviceId(1), &[tenant(1, text)]);
            assert_eq!(effective.policy(5), Policy { version: 5, ..expected });
        };
        let off =
            Policy { mode: Mode::Off, web_protection: WebProtection::Off, ..Policy::default() };
        check(r#"{"WebProtection": "false", "BartizanMode": "tunnel"}"#, off.clone());
        check(r#"{"TunnelOnly": "True"}"#, off);
        let upstream = "tls://dns.example?ip=192.0.2.53";
        check(
            r#"{"DefenderExcludeURLInReport": true, "BartizanMode": "filter", "BartizanCheckinSeconds": 60,
                "BartizanWarnPassHours": 0, "BartizanDnsUpstream": "tls://dns.example?ip=192.0.2.53",
                "BartizanDnsFallback": 0, "BartizanStripEch": 1, "BartizanBlockEncryptedDns": 1,
                "BartizanBlockPrivateRelay": 1}"#,
            Policy {
                mode: Mode::Filter,
                report_blocked_host: false,
                checkin_interval_s: 60,
                warn_pass_hours: 0,
                dns: DnsPolicy {
                    upstream: upstream.parse().unwrap(),
                    upstream_fallback: false,
                    strip_ech: true,
                    block_encrypted_dns: true,
                    block_private_relay: true,
                },
                ..Policy::default()
            },
        );
    }

    proptest! {
        #[test]
        fn any_layers_in_any_order_give_one_policy_that_holds_its_bounds(
            documents in prop::collection::vec(any_settings(), 0..5),
            percent in 0_u8..=100,
            device: u128,
        ) {
            let mut layers: Vec<Layer> = documents.into_iter().zip(0..).map(|(settings, rank)| {
                let version = Version { number: 1, settings };
                let percent = Percent::new(percent).unwrap();
                let audience = if rank == 0 {
                    Audience::Tenant
                } else {
                    Audience::Group { name: format!("Group {rank}"), rank }
                };
                Layer { policy: PolicyId(rank.into()), audience, in_force: None, rolling_out: Some((version, percent)) }
            }).collect();
            let effective = resolve(DeviceId(device), &layers);
            prop_assert_eq!(effective.policy(1).check(), Ok(()));
            // The obvious way: ask each layer for each key, the strongest first.
            for key in Key::ALL {
                let strongest = layers.iter().skip(1).chain(layers.first());
                let by_hand = strongest
                    .filter_map(|layer| layer.version_of(DeviceId(device)))
                    .find_map(|(version, _)| version.settings.get(*key).cloned());
                let by_hand = by_hand.or_else(|| key.setting().default.clone());
                prop_assert_eq!(effective.get(*key), by_hand.as_ref());
            }
            layers.reverse();
            prop_assert_eq!(resolve(DeviceId(device), &layers), effective);
        }
    }

    fn tenant(number: u64, text: &str) -> Layer {
        let version = Version { number, settings: settings(text) };
        Layer {
            policy: PolicyId(1),
            audience: Audience::Tenant,
            in_force: Some(version),
            rolling_out: None,
        }
    }

    fn group(name: &str, rank: u32, number: u64, text: &str) -> Layer {
        let audience = Audience::Group { name: name.into(), rank };
        Layer { policy: PolicyId(u128::from(rank) + 1), audience, ..tenant(number, text) }
    }
}
