//! Every message as it stands on the wire.
//!
//! A device in somebody's pocket is not updated with the portal. If a file in `golden/` has to change
//! in any way but by a new optional field, that is version 2 of the contract, beside this one.

use bartizan_contract::alerts::{AlertAck, AlertBatch, AlertReport, Refusal};
use bartizan_contract::attestation::{Attestation, ChallengeReply, client_data_hash};
use bartizan_contract::checkin::{CheckinReply, CheckinRequest, Counters, SystemNotice};
use bartizan_contract::enroll::{
    CodeReply, CodeRequest, EnrollReply, EnrollRequest, EnrollmentToken, Installation, Platform,
};
use bartizan_contract::feedback::{Feedback, FeedbackList, FeedbackReply, FeedbackState, mood};
use bartizan_contract::indicators::{DeltaRef, FileRef, Manifest, ManifestReply, TenantRef};
use bartizan_contract::keys::Jwk;
use bartizan_contract::policy::{PolicyDocument, PolicyReply};
use bartizan_contract::problem::{Problem, code};
use bartizan_contract::report::{SiteReport, SiteReportReply, kind};
use bartizan_contract::signed;
use bartizan_contract::token::{TokenReply, TokenRequest};
use bartizan_model::{DeviceId, DnsPolicy, Mode, Policy, WebProtection};
use serde::Serialize;
use serde::de::DeserializeOwned;

#[test]
fn every_message_is_as_its_golden_file() {
    let device_key = Jwk::from_device_key(
        p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap().verifying_key(),
    );
    let portal_key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let signing_key = Jwk::from_portal_key(&portal_key.verifying_key());
    let device_id = DeviceId(0x0192_f3a4_b5c6_7d8e_9f00_1122_3344_5566).to_string();
    let alert = AlertReport {
        id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
        detector: "web.phishing.blocked".into(),
        host: Some("login.evil.test".into()),
        matched: Some("evil.test".into()),
        source: Some("a feed".into()),
        indicator_id: None,
        action: "block".into(),
        first_seen_ms: 1_800_000_000_000,
        last_seen_ms: 1_800_000_000_010,
        count: 2,
        indicator_epoch: 3,
    };
    let private_alert = AlertReport { host: None, matched: None, source: None, ..alert.clone() };
    let file = |size_bytes| FileRef { format: 1, sha256: "00".repeat(32), size_bytes };
    let manifest = Manifest {
        epoch: 3,
        base: Some(file(1_024)),
        deltas: vec![DeltaRef { from: 2, to: 3, file: file(64) }],
        tenant: Some(TenantRef { epoch: 2, file: file(512) }),
    };
    let policy =
        PolicyDocument::new(device_id.clone(), &Policy { version: 4, ..Policy::default() });

    check(
        "enroll-request",
        &EnrollRequest {
            enrollment_token: EnrollmentToken::new([9; 32], &signing_key).to_string(),
            device_key,
            platform: Platform {
                os: "iOS".into(),
                os_version: "18.1".into(),
                model: "iPhone17,3".into(),
                device_name: "Phone".into(),
                app_version: "0.1.0".into(),
            },
            installation: None,
            attestation: None,
        },
    );
    check(
        "attestation",
        &Attestation { challenge: "Y2g".into(), key_id: "a2V5".into(), object: "b2Jq".into() },
    );
    check(
        "challenge-reply",
        &ChallengeReply {
            challenge: "Y2g".into(),
            expires_in: 300,
            server_time_ms: 1_800_000_000_000,
        },
    );
    check("installation", &Installation { hardware_id: "h".into(), shared: true });
    check("code-request", &CodeRequest { code: "ABCDE-FGHJK".into() });
    check(
        "code-reply",
        &CodeReply {
            enrollment_token: EnrollmentToken::new([9; 32], &signing_key).to_string(),
            server_time_ms: 1_800_000_000_000,
        },
    );
    check(
        "enroll-reply",
        &EnrollReply {
            device_id,
            tenant_name: "Example".into(),
            signing_key,
            server_time_ms: 1_800_000_000_000,
        },
    );
    check("token-request", &TokenRequest::new("a.b.c".into()));
    check(
        "token-reply",
        &TokenReply {
            access_token: "opaque".into(),
            token_type: "DPoP".into(),
            expires_in: 600,
            server_time_ms: 1_800_000_000_000,
        },
    );
    check(
        "checkin-request",
        &CheckinRequest {
            sent_at_ms: 1_800_000_000_000,
            mode: "dns".into(),
            protection: "on".into(),
            os_version: "18.1".into(),
            app_version: "0.1.0".into(),
            policy_version: 4,
            indicator_epoch: Some(3),
            tenant_epoch: Some(2),
            counters: Counters { queries: 100, blocked: 1, dropped: 0, alerts_lost: 0 },
        },
    );
    check(
        "checkin-reply",
        &CheckinReply {
            policy_version: 4,
            indicator_epoch: Some(3),
            tenant_epoch: Some(2),
            system: None,
            server_time_ms: 1_800_000_000_000,
        },
    );
    check(
        "system-notice",
        &SystemNotice { minimum_version: "16.0".into(), unsupported_from_ms: 1_738_281_600_000 },
    );
    check("policy-reply", &PolicyReply { policy: signed::seal(&policy, &portal_key) });
    check("policy-document", &policy);
    check("manifest-reply", &ManifestReply { manifest: signed::seal(&manifest, &portal_key) });
    check("manifest-document", &manifest);
    check("alert-batch", &AlertBatch { alerts: vec![alert, private_alert] });
    check(
        "alert-ack",
        &AlertAck {
            durable: vec!["01ARZ3NDEKTSV4RRFFQ69G5FAV".into()],
            refused: vec![Refusal { id: "x".into(), detail: "id is not valid".into() }],
        },
    );
    check(
        "site-report",
        &SiteReport {
            id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
            kind: kind::FALSE_POSITIVE.into(),
            host: "www.harmless.test".into(),
            matched: Some("harmless.test".into()),
            source: Some("phishing list".into()),
            comment: "Our supplier.".into(),
            indicator_epoch: Some(3),
        },
    );
    check("site-report-reply", &SiteReportReply { fresh: true });
    check(
        "feedback",
        &Feedback {
            id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
            text: "Two\nlines.".into(),
            mood: Some(mood::GOOD.into()),
            logs: Some("a line\n".into()),
        },
    );
    check("feedback-reply", &FeedbackReply { fresh: true });
    let state = FeedbackState {
        id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
        sent_at_ms: 1_800_000_000_000,
        text: "Two\nlines.".into(),
        status: "Answered".into(),
        reply: Some("Thanks.".into()),
    };
    check("feedback-list", &FeedbackList { feedback: vec![state] });
    check(
        "problem",
        &Problem {
            status: 409,
            code: code::ENROLLMENT_TOKEN_USED.into(),
            detail: "This enrollment token was already used.".into(),
            server_time_ms: 1_800_000_000_000,
        },
    );
}

/// The committed corpus of the fuzzer, and each golden file with every octet changed in turn.
#[test]
fn what_strangers_send_is_replayed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/contract");
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/golden");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap().chain(std::fs::read_dir(golden).unwrap()) {
        let mut octets = std::fs::read(entry.unwrap().path()).unwrap();
        bartizan_contract::fuzz_strangers(&octets);
        for at in 0..octets.len() {
            octets[at] ^= 0x15;
            bartizan_contract::fuzz_strangers(&octets);
            octets[at] ^= 0x15;
        }
        files += 1;
    }
    assert!(20 <= files, "{files}");
}

/// What Apple signs over is a format as well.
#[test]
fn the_hash_that_is_attested_names_challenge_key_and_organization() {
    let device_key = |scalar| {
        let key = p256::ecdsa::SigningKey::from_slice(&[scalar; 32]).unwrap();
        Jwk::from_device_key(key.verifying_key())
    };
    let hash = client_data_hash("Y2g", &device_key(7), &[1; 16]);
    let hex: String = hash.iter().map(|octet| format!("{octet:02x}")).collect();
    assert_eq!(hex, "5338ab10c8ff7840c5565365fb5712b874e23b1625cc289f040307b8b8770afd");
    assert_ne!(client_data_hash("Y2k", &device_key(7), &[1; 16]), hash);
    assert_ne!(client_data_hash("Y2g", &device_key(8), &[1; 16]), hash);
    assert_ne!(client_data_hash("Y2g", &device_key(7), &[2; 16]), hash);
}

/// A newer portal may say more than a device knows.
#[test]
fn unknown_fields_are_ignored() {
    let reply = r#"{"policy_version":4,"server_time_ms":1,"later":{"more":true}}"#;
    let reply: CheckinReply = serde_json::from_str(reply).unwrap();
    assert_eq!(
        reply,
        CheckinReply {
            policy_version: 4,
            indicator_epoch: None,
            tenant_epoch: None,
            system: None,
            server_time_ms: 1,
        }
    );
}

/// A portal from before a setting leaves it as a device has it by default.
#[test]
fn a_policy_from_before_a_setting_is_read() {
    let old = r#"{"device_id":"d","version":4,"mode":"dns","web_protection":"block",
        "report_blocked_host":true,"checkin_interval_s":900}"#;
    let document: PolicyDocument = serde_json::from_str(old).unwrap();
    assert_eq!(document.policy(), Some(Policy { version: 4, ..Policy::default() }));
}

#[test]
fn every_policy_survives_its_document() {
    for mode in Mode::ALL {
        for bits in 0..16_u8 {
            let on = |bit: u8| bits & 1 << bit != 0;
            let policy = Policy {
                version: 7,
                mode,
                web_protection: WebProtection::Off,
                report_blocked_host: on(3),
                checkin_interval_s: 60,
                warn_pass_hours: 168,
                dns: DnsPolicy {
                    upstream: "https://dns.example/dns-query?ip=192.0.2.53".parse().unwrap(),
                    upstream_fallback: on(1),
                    strip_ech: on(0),
                    block_encrypted_dns: on(1),
                    block_private_relay: on(2),
                },
            };
            let json = serde_json::to_string(&PolicyDocument::new("d".into(), &policy)).unwrap();
            let document: PolicyDocument = serde_json::from_str(&json).unwrap();
            assert_eq!(document.policy(), Some(policy));
        }
    }
}

/// What a device does not know it does not obey by half: it keeps the policy it has.
#[test]
fn a_policy_with_a_word_of_later_is_not_read() {
    let document = PolicyDocument::new("d".into(), &Policy::default());
    let later = PolicyDocument { mode: "later".into(), ..document.clone() };
    assert_eq!(later.policy(), None);
    let later = PolicyDocument { web_protection: "later".into(), ..document.clone() };
    assert_eq!(later.policy(), None);
    let beyond = PolicyDocument { warn_pass_hours: u16::MAX, ..document };
    assert_eq!(beyond.policy().unwrap().warn_pass_hours, 168);
}

#[track_caller]
fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, message: &T) {
    let path = format!("{}/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let written = serde_json::to_string_pretty(message).unwrap() + "\n";
    let Ok(golden) = std::fs::read_to_string(&path) else {
        std::fs::write(&path, written).unwrap();
        panic!("{path} was missing and has been written: read it, commit it, run again");
    };
    assert_eq!(written, golden, "{name} has changed: raise the version of the contract");
    assert_eq!(&serde_json::from_str::<T>(&golden).unwrap(), message, "{name} does not read back");
}
