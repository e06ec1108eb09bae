//! A database with two tenants, ACME and GLOBEX, each with a member and a device.

use crate::{Place, place};
use bartizan_model::{
    Alert, AlertId, Detector, DeviceId, DomainName, IndicatorAction, IndicatorCategory,
    IndicatorSource, MatchedIndicator, Private, Severity, TenantId, UnixMillis,
};
use bartizan_store::{
    AlertCursor, AlertFilter, AlertRow, Attestation, BuiltIn, IndicatorRule, MemberId, NewDevice,
    NewIndicator, NewMember, Store, StoreError, TenantScope,
};

/// Some day in 2027.
pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
pub(crate) const HOUR: u64 = 3_600_000;
pub(crate) const DAY: u64 = 24 * HOUR;

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) acme: Party,
    pub(crate) globex: Party,
    pub(crate) place: Place,
    /// Gone when the test is.
    dir: tempfile::TempDir,
}

/// A tenant, its member and its device.
#[derive(Clone, Copy)]
pub(crate) struct Party {
    pub(crate) tenant: TenantId,
    pub(crate) scope: TenantScope,
    pub(crate) member: MemberId,
    pub(crate) device: DeviceId,
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = place(dir.path());
        let store = Store::open(place.url.clone(), NOW).unwrap();
        let acme = party(&store, "ACME", 1).await;
        let globex = party(&store, "GLOBEX", 2).await;
        Self { store, acme, globex, place, dir }
    }

    /// A folder on the disk where tests keep their files.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Opens the same database once more.
    pub(crate) fn open_again(&self) -> Result<Store, StoreError> {
        Store::open(self.place.url.clone(), NOW)
    }

    /// Takes an alert in for ACME's device at `NOW` plus so much.
    pub(crate) async fn ingest(&self, alert: Alert, after_ms: u64) {
        let (acme, now) = (self.acme, UnixMillis(NOW.0 + after_ms));
        let id = alert.id;
        let done = self.store.ingest_alerts(acme.scope, acme.device, vec![alert], now).await;
        assert_eq!(done.unwrap().durable, [id]);
    }

    pub(crate) async fn list(&self, filter: AlertFilter) -> Vec<AlertRow> {
        self.page(filter, None, 1_000).await
    }

    pub(crate) async fn page(
        &self,
        filter: AlertFilter,
        after: Option<AlertCursor>,
        limit: u32,
    ) -> Vec<AlertRow> {
        self.store.alerts(self.acme.scope.whole(), filter, after, limit).await.unwrap()
    }
}

async fn party(store: &Store, name: &str, number: u8) -> Party {
    let tenant = store.create_tenant(name, [number; 32], NOW).await.unwrap();
    let scope = store.tenant(tenant).await.unwrap();
    let member = NewMember {
        email: "Admin@Example.Test".into(),
        password_hash: Private(format!("hash of {name}")),
        one_time_expires_at: UnixMillis(NOW.0 + DAY),
        roles: vec![BuiltIn::Administrator.id().into()],
    };
    let member = store.invite_member(scope, member, NOW).await.unwrap();
    let device = enroll(store, scope, number).await;
    Party { tenant, scope, member, device }
}

pub(crate) async fn enroll(store: &Store, scope: TenantScope, number: u8) -> DeviceId {
    let hash = [number; 32];
    store.create_enrollment_token(scope, hash, UnixMillis(NOW.0 + DAY), NOW).await.unwrap();
    store.enroll(hash, new_device(number), NOW).await.unwrap().device
}

pub(crate) fn new_device(number: u8) -> NewDevice {
    NewDevice {
        id: DeviceId(u128::from(number)),
        jwk: format!("key {number}"),
        key_thumbprint: [number; 32],
        os: "iOS".into(),
        os_version: "18.1".into(),
        model: "iPhone17,3".into(),
        device_name: format!("Phone {number}"),
        app_version: "0.1.0".into(),
        hardware_id: String::new(),
        is_shared: false,
        attestation: Ok(Attestation::None),
    }
}

/// An alert about a host, seen once, so long after `NOW`.
pub(crate) fn alert(id: u128, host: &str, after_ms: u64) -> Alert {
    let seen = UnixMillis(NOW.0 + after_ms);
    Alert {
        id: AlertId(id),
        detector: Detector::WebPhishingBlocked,
        host: DomainName::parse(host.as_bytes()).ok(),
        matched: Some(MatchedIndicator {
            entry: host.into(),
            source: IndicatorSource::Feed("list".into()),
        }),
        action: IndicatorAction::Block,
        first_seen: seen,
        last_seen: seen,
        count: 1,
        indicator_epoch: 3,
    }
}

/// An indicator that blocks a domain.
pub(crate) fn indicator(pattern: &str) -> NewIndicator {
    NewIndicator {
        pattern: pattern.into(),
        kind: "domain",
        source_text: pattern.to_uppercase(),
        rule: IndicatorRule {
            action: IndicatorAction::Block,
            category: IndicatorCategory::Phishing,
            title: format!("Title of {pattern}"),
            description: "Seen in a mail.".into(),
            severity: Severity::Medium,
            expires_at: None,
            generate_alert: true,
            recommended_actions: "Call the person.".into(),
            rbac_groups: r#"["Field"]"#.into(),
            mitre_techniques: "T1660".into(),
            defender_category: "InitialAccess".into(),
        },
    }
}
