//! What the engine on a device goes by, read out of one document and written into it: for those who decide these keys
//! alone, by the form or on the command line.
//!
//! # Invariants
//! - What is written is read again, also where protection is off: the mode for later is kept (tested).
//! - A key that nobody set stays unset where its default is wanted.

use bartizan_model::{DeviceId, Policy, WebProtection};

use super::effective::{Audience, Layer, Version, resolve};
use super::rollout::PolicyId;
use super::schema::Key;
use super::settings::Settings;
use super::value::Raw;

/// Reads what a document decides, as the given version.
#[must_use]
pub fn read(settings: &Settings, version: u64) -> Policy {
    let document = Version { number: version, settings: settings.clone() };
    let layer = Layer {
        policy: PolicyId(0),
        audience: Audience::Tenant,
        in_force: Some(document),
        rolling_out: None,
    };
    resolve(DeviceId(0), &[layer]).decided(version)
}

/// Has a document decide it. A number that no policy can have is left as it was.
pub fn write(settings: &mut Settings, policy: &Policy) {
    let upstream = policy.dns.upstream.to_string();
    for (key, raw) in [
        (Key::WebProtection, Raw::Flag(policy.web_protection == WebProtection::Block)),
        (Key::ExcludeHost, Raw::Flag(!policy.report_blocked_host)),
        (Key::Mode, Raw::Text(policy.mode.word())),
        (Key::WarnPassHours, Raw::Number(policy.warn_pass_hours.into())),
        (Key::CheckinInterval, Raw::Number(policy.checkin_interval_s.into())),
        (Key::DnsUpstream, Raw::Text(&upstream)),
        (Key::DnsFallback, Raw::Flag(policy.dns.upstream_fallback)),
        (Key::StripEch, Raw::Flag(policy.dns.strip_ech)),
        (Key::BlockEncryptedDns, Raw::Flag(policy.dns.block_encrypted_dns)),
        (Key::BlockPrivateRelay, Raw::Flag(policy.dns.block_private_relay)),
    ] {
        let before = settings.get(key).cloned();
        let is_set = settings.set(key, &raw).is_ok();
        if is_set && before.is_none() && settings.get(key) == key.setting().default.as_ref() {
            settings.clear(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use bartizan_model::{DnsPolicy, Mode};

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for mode in Mode::ALL {
            for web_protection in WebProtection::ALL {
                let policy = Policy {
                    version: 3,
                    mode,
                    web_protection,
                    report_blocked_host: false,
                    checkin_interval_s: 3_600,
                    warn_pass_hours: 168,
                    dns: DnsPolicy {
                        upstream: "tls://dns.example?ip=192.0.2.53".parse().unwrap(),
                        upstream_fallback: false,
                        strip_ech: true,
                        block_encrypted_dns: true,
                        block_private_relay: true,
                    },
                };
                let mut settings = Settings::default();
                write(&mut settings, &policy);
                assert_eq!(read(&settings, 3), policy);
                write(&mut settings, &Policy::default());
                assert_eq!(read(&settings, 0), Policy::default());
            }
        }
    }

    #[test]
    fn a_key_that_nobody_set_stays_unset_where_its_default_is_wanted() {
        let mut settings = Settings::default();
        write(&mut settings, &Policy::default());
        assert_eq!(settings, Settings::default());
        write(&mut settings, &Policy { mode: Mode::Tunnel, ..Policy::default() });
        assert_eq!(settings.to_json(), r#"{"BartizanMode":"tunnel"}"#);
    }
}
