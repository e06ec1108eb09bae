//! A simulated device: a key that follows from a seed, and what it says.

use bartizan_contract::alerts::{AlertBatch, AlertReport};
use bartizan_contract::checkin::{CheckinRequest, Counters};
use bartizan_contract::dpop;
use bartizan_contract::enroll::{EnrollRequest, Platform};
use bartizan_contract::jws;
use bartizan_contract::keys::Jwk;
use bartizan_model::{
    Alert, AlertId, Detector, DeviceId, DomainName, IndicatorAction, IndicatorSource,
    MatchedIndicator, Mode, ProtectionState, UnixMillis,
};
use p256::ecdsa::SigningKey;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use sha2::{Digest as _, Sha256};

/// Some 1 KiB each.
pub(crate) struct Device {
    key: EcdsaKeyPair,
    jwk: Jwk,
    number: u64,
    pub(crate) id: DeviceId,
    pub(crate) access_token: String,
    /// When the token has to be renewed.
    pub(crate) renew_at: UnixMillis,
}

impl Device {
    /// The device with this number of the fleet with this seed.
    pub(crate) fn new(seed: &[u8], number: u64) -> anyhow::Result<Self> {
        let mut hash = Sha256::new();
        hash.update(seed);
        hash.update(number.to_be_bytes());
        let secret: [u8; 32] = hash.finalize().into();
        let key = SigningKey::from_slice(&secret)?;
        let point = key.verifying_key().to_sec1_point(false);
        let jwk = Jwk::from_device_key(key.verifying_key());
        let key = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &secret,
            point.as_bytes(),
            &SystemRandom::new(),
        )
        .map_err(|error| anyhow::anyhow!("a key was refused: {error}"))?;
        Ok(Self {
            key,
            jwk,
            number,
            id: DeviceId(0),
            access_token: String::new(),
            renew_at: UnixMillis(0),
        })
    }

    pub(crate) fn proof(&self, request: dpop::Request<'_>, now: UnixMillis, id: u128) -> String {
        dpop::prove_by(request, self.jwk.clone(), now, id.to_be_bytes(), |input| self.sign(input))
    }

    pub(crate) fn assertion(&self, now: UnixMillis) -> String {
        bartizan_contract::token::assertion_by(self.id, now, |input| self.sign(input))
    }

    fn sign(&self, input: &[u8]) -> [u8; jws::ES256_LEN] {
        // Signing fails only without randomness; the portal then refuses the zeros, which is counted.
        let signature = self.key.sign(&SystemRandom::new(), input).ok();
        signature.and_then(|made| made.as_ref().try_into().ok()).unwrap_or([0; jws::ES256_LEN])
    }

    pub(crate) fn enrollment(&self, enrollment_token: String) -> EnrollRequest {
        EnrollRequest {
            enrollment_token,
            device_key: self.jwk.clone(),
            platform: Platform {
                os: "iOS".into(),
                os_version: "18.1".into(),
                model: "iPhone17,3".into(),
                device_name: format!("Simulated phone {}", self.number),
                app_version: env!("CARGO_PKG_VERSION").into(),
            },
            installation: None,
            attestation: None,
        }
    }
}

pub(crate) fn checkin(now: UnixMillis, count: u64) -> CheckinRequest {
    CheckinRequest {
        sent_at_ms: now.0,
        mode: Mode::Tunnel.word().into(),
        protection: ProtectionState::On.word().into(),
        os_version: "18.1".into(),
        app_version: env!("CARGO_PKG_VERSION").into(),
        policy_version: 1,
        indicator_epoch: None,
        tenant_epoch: None,
        counters: Counters { queries: count, ..Counters::default() },
    }
}

/// Alerts about a thousand different hosts, so that repeats are joined as in life.
pub(crate) fn alerts(ids: &[AlertId], now: UnixMillis) -> AlertBatch {
    let report = |id: &AlertId| {
        let host = format!("login-{}.phish.test", id.0 % 1_000);
        AlertReport::from(&Alert {
            id: *id,
            detector: Detector::WebPhishingBlocked,
            host: DomainName::parse(host.as_bytes()).ok(),
            matched: Some(MatchedIndicator {
                entry: host.as_str().into(),
                source: IndicatorSource::Feed("fleet".into()),
            }),
            action: IndicatorAction::Block,
            first_seen: now,
            last_seen: now,
            count: 1,
            indicator_epoch: 1,
        })
    };
    AlertBatch { alerts: ids.iter().map(report).collect() }
}
