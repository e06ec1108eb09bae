//! What an organization decides for its devices, kept by version.

use bartizan_model::{DnsPolicy, Mode, Policy, ProtectionState, WebProtection};
use bartizan_store::{Counters, DeviceReport};

use crate::world::{NOW, World};

#[tokio::test]
async fn every_setting_is_kept_and_the_version_counts_up() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    assert_eq!(store.policy(scope).await.unwrap(), Policy { version: 1, ..Policy::default() });
    for (version, mode) in (2..).zip(Mode::ALL) {
        let policy = Policy {
            version,
            mode,
            web_protection: WebProtection::Off,
            report_blocked_host: false,
            checkin_interval_s: 3_600,
            warn_pass_hours: 168,
            dns: DnsPolicy {
                upstream: "tls://dns.example?ip=192.0.2.53".parse().unwrap(),
                upstream_fallback: version % 2 == 1,
                strip_ech: true,
                block_encrypted_dns: version % 2 == 0,
                block_private_relay: true,
            },
        };
        let wanted = Policy { version: 0, ..policy.clone() };
        assert_eq!(store.set_policy(scope, wanted, NOW).await.unwrap(), version);
        assert_eq!(store.policy(scope).await.unwrap(), policy);
    }
    assert_eq!(store.policy(world.globex.scope).await.unwrap().version, 1);
}

#[tokio::test]
async fn devices_are_counted_by_the_policy_they_use_in_any_mode() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    assert_eq!(store.devices_by_policy(acme.scope).await.unwrap(), [(0, 1)]);
    for mode in Mode::ALL {
        let report = DeviceReport {
            mode,
            protection: ProtectionState::On,
            os_version: "18.1".into(),
            app_version: "0.1.0".into(),
            policy_version: 3,
            indicator_epoch: None,
            tenant_epoch: None,
            counters: Counters::default(),
        };
        store.check_in(acme.scope, acme.device, report, NOW).await.unwrap();
        let row = store.device(acme.scope, acme.device).await.unwrap();
        assert_eq!((row.mode, row.policy_version), (Some(mode), 3));
    }
    assert_eq!(store.devices_by_policy(acme.scope).await.unwrap(), [(3, 1)]);
}
