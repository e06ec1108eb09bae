//! What devices call, in the order in which they call it.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use bartizan_contract::alerts::AlertAck;
use bartizan_contract::checkin::{CheckinReply, CheckinRequest, Counters};
use bartizan_contract::indicators::{Manifest, ManifestReply};
use bartizan_contract::path;
use bartizan_contract::policy::{PolicyDocument, PolicyReply};
use bartizan_contract::problem::Problem;
use bartizan_contract::signed;
use bartizan_indicators::{IndicatorFile, Indicators};
use bartizan_model::{DomainName, Policy};
use p256::ecdsa::SigningKey;

use crate::world::{Device, HOUR, World, batch, call, json};

#[tokio::test]
async fn a_device_enrolls_once_and_knows_the_tenants_key() {
    let world = World::new().await;
    let token = world.token(world.acme).await;
    let first = world.stranger(1).enroll(&token.to_string()).await;
    let reply: bartizan_contract::enroll::EnrollReply = first.json();
    assert_eq!(reply.tenant_name, "ACME");
    assert!(token.names(&reply.signing_key));

    // The answer was lost: the same key is let in again, as the same device.
    let again: bartizan_contract::enroll::EnrollReply =
        world.stranger(1).enroll(&token.to_string()).await.json();
    assert_eq!(again.device_id, reply.device_id);
    check(&world.stranger(2).enroll(&token.to_string()).await, 409, "enrollment_token_used");

    let unknown = bartizan_contract::enroll::EnrollmentToken { secret: [0; 32], ..token };
    check(&world.stranger(2).enroll(&unknown.to_string()).await, 403, "enrollment_token_unknown");
    check(&world.stranger(2).enroll("nonsense").await, 403, "enrollment_token_unknown");
    let late = world.token(world.acme).await;
    world.advance(HOUR);
    check(&world.stranger(2).enroll(&late.to_string()).await, 410, "enrollment_token_expired");
}

#[tokio::test]
async fn a_key_that_is_not_proven_is_not_enrolled() {
    let world = World::new().await;
    let (thief, owner) = (world.stranger(1), world.stranger(2));
    let token = world.token(world.acme).await;
    let honest = owner.request("POST", path::ENROLL, None, Vec::new());
    let proof = honest.headers()["dpop"].clone();
    let platform = bartizan_contract::enroll::Platform {
        os: "x".repeat(101),
        os_version: String::new(),
        model: String::new(),
        device_name: String::new(),
        app_version: String::new(),
    };
    let mut request = bartizan_contract::enroll::EnrollRequest {
        enrollment_token: token.to_string(),
        device_key: bartizan_contract::keys::Jwk::from_device_key(thief.key.verifying_key()),
        platform,
        installation: None,
        attestation: None,
    };
    let send = async |body: Vec<u8>, proof| {
        let request = Request::post(path::ENROLL).header("host", "portal.test");
        let request = request.header("dpop", proof).body(Body::from(body)).unwrap();
        call(&thief.router, request).await
    };
    check(&send(json(&request), proof.clone()).await, 401, "proof_invalid");
    request.device_key = bartizan_contract::keys::Jwk::from_device_key(owner.key.verifying_key());
    check(&send(json(&request), proof).await, 400, "malformed");
}

#[tokio::test]
async fn an_access_token_is_useless_without_its_key() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    assert_eq!(device.get(path::POLICY).await.status, 200);

    let thief = Device { key: SigningKey::from_slice(&[9; 32]).unwrap(), ..device.clone() };
    let refused = thief.get(path::POLICY).await;
    check(&refused, 401, "token_invalid");
    assert!(refused.header("www-authenticate").starts_with("DPoP error=\"invalid_token\""));
    check(&thief.ask_for_token().await, 401, "proof_invalid");

    let mut forged = device.clone();
    forged.access_token.replace_range(0..1, "B");
    check(&forged.get(path::POLICY).await, 401, "token_invalid");
    let bare = device.send("GET", path::POLICY, None, Vec::new()).await;
    check(&bare, 401, "token_invalid");
    world.advance(600_000);
    check(&device.get(path::POLICY).await, 401, "token_expired");
}

#[tokio::test]
async fn a_proof_is_good_once_here_and_at_this_time() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    let token = Some(device.access_token.as_str());
    let copy = |request: &Request<Body>, path: &str| {
        let mut copy = Request::get(path).body(Body::empty()).unwrap();
        *copy.headers_mut() = request.headers().clone();
        copy
    };
    let request = device.request("GET", path::POLICY, token, Vec::new());
    let (again, elsewhere) = (copy(&request, path::POLICY), copy(&request, path::MANIFEST));
    check(&call(&device.router, elsewhere).await, 401, "proof_invalid");
    assert_eq!(call(&device.router, request).await.status, 200);
    let replayed = call(&device.router, again).await;
    check(&replayed, 401, "proof_replayed");
    assert!(replayed.header("www-authenticate").contains("invalid_dpop_proof"));

    let request = device.request("GET", path::POLICY, token, Vec::new());
    world.advance(121_000);
    let stale = call(&device.router, request).await;
    check(&stale, 401, "clock_skew");
    let problem: Problem = serde_json::from_slice(&stale.body).unwrap();
    assert_eq!(problem.server_time_ms, world.clock.now().0);
    let mut bare = device.request("GET", path::POLICY, token, Vec::new());
    bare.headers_mut().remove("dpop");
    check(&call(&device.router, bare).await, 401, "proof_invalid");
}

#[tokio::test]
async fn a_device_that_enrolled_elsewhere_is_unknown() {
    let world = World::new().await;
    let mut stranger = world.stranger(5);
    stranger.id = bartizan_model::DeviceId(77);
    check(&stranger.ask_for_token().await, 401, "device_unknown");
}

#[tokio::test]
async fn a_check_in_tells_what_changed() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    let reply: CheckinReply = device.post(path::CHECKIN, &checkin()).await.json();
    assert_eq!((reply.policy_version, reply.indicator_epoch), (1, None));
    world.publish(world.acme, "evil.test").await;
    let reply: CheckinReply = device.post(path::CHECKIN, &checkin()).await.json();
    assert_eq!(reply.indicator_epoch, Some(1));
    let odd = CheckinRequest { mode: "tunnel-of-love".into(), ..checkin() };
    check(&device.post(path::CHECKIN, &odd).await, 400, "malformed");
    let odd = CheckinRequest { app_version: "\u{1b}[2J".into(), ..checkin() };
    check(&device.post(path::CHECKIN, &odd).await, 400, "malformed");
}

#[tokio::test]
async fn the_policy_is_signed_for_this_device_and_sent_once() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    let answer = device.get(path::POLICY).await;
    let reply: PolicyReply = answer.json();
    let key = device.signing_key.as_ref().unwrap().portal_key().unwrap();
    let document: PolicyDocument = signed::open(&reply.policy, &key).unwrap();
    assert_eq!(document.device_id, device.id.to_string());
    assert_eq!(document.policy(), Some(Policy { version: 1, ..Policy::default() }));
    assert_eq!(answer.header("etag"), "\"1\"");

    let token = Some(device.access_token.as_str());
    let mut request = device.request("GET", path::POLICY, token, Vec::new());
    request.headers_mut().insert("if-none-match", "\"1\"".parse().unwrap());
    let answer = call(&device.router, request).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0));
}

#[tokio::test]
async fn a_published_file_arrives_and_verifies() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    check(&device.get(path::MANIFEST).await, 404, "not_found");
    let first = world.publish(world.acme, "old.test").await;
    let published = world.publish(world.acme, "evil.test").await;
    assert_eq!((first.epoch, published.epoch, published.entries), (1, 2, 1));

    let reply: ManifestReply = device.get(path::MANIFEST).await.json();
    let key = device.signing_key.as_ref().unwrap().portal_key().unwrap();
    let manifest: Manifest = signed::open(&reply.manifest, &key).unwrap();
    let base = manifest.base.unwrap();
    assert_eq!((manifest.epoch, &base.sha256), (2, &published.sha256));
    let answer = device.get(&format!("{}{}", path::INDICATOR_FILE, published.sha256)).await;
    assert_eq!(answer.header("content-length"), published.size_bytes.to_string());
    assert!(answer.header("cache-control").contains("immutable"));
    let octets: Arc<[u8]> = answer.body.to_vec().into();
    let file = IndicatorFile::open(Box::new(octets.to_vec()), &key, 2).unwrap();
    let indicators = Indicators { base: Some(file), tenant: None };
    let name = DomainName::parse(b"www.evil.test").unwrap();
    assert!(indicators.lookup(&name, bartizan_model::UnixMillis(0)).unwrap().is_some());

    for hash in ["0".repeat(64), "..%2Fportal.db".into(), published.sha256.to_uppercase()] {
        let answer = device.get(&format!("{}{hash}", path::INDICATOR_FILE)).await;
        check(&answer, 404, "not_found");
    }
}

#[tokio::test]
async fn alerts_are_taken_once_and_bad_ones_refused() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    let mut alerts = batch(0..3);
    alerts.alerts[1].detector = "web.none".into();
    for _ in 0..2 {
        let ack: AlertAck = device.post(path::ALERTS, &alerts).await.json();
        assert_eq!(ack.durable, [alerts.alerts[0].id.clone(), alerts.alerts[2].id.clone()]);
        assert_eq!(ack.refused.len(), 1);
        assert_eq!(ack.refused[0].id, alerts.alerts[1].id);
    }
    let ack: AlertAck = device.post(path::ALERTS, &batch(0..50)).await.json();
    assert_eq!(ack.durable.len(), 50);
    check(&device.post(path::ALERTS, &batch(0..51)).await, 413, "too_large");
}

#[tokio::test]
async fn what_is_no_message_is_refused() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    let token = Some(device.access_token.as_str());
    for body in ["", "{", "[]", r#"{"alerts":7}"#] {
        let answer = device.send("POST", path::ALERTS, token, body.into()).await;
        check(&answer, 400, "malformed");
    }
    let huge = vec![b' '; 1024 * 1024 + 1];
    check(&device.send("POST", path::ALERTS, token, huge).await, 413, "too_large");
    // Whoever has not shown yet who they are has less room.
    let large = vec![b' '; 64 * 1024 + 1];
    let stranger = world.stranger(2);
    check(&stranger.send("POST", path::ENROLL, None, large).await, 413, "too_large");
    check(&device.get("/device/v1/none").await, 404, "not_found");
    check(&device.get(path::ALERTS).await, 405, "method_not_allowed");
}

#[track_caller]
fn check(answer: &crate::world::Answer, status: u16, code: &str) {
    assert_eq!(answer.problem(), (status, code.to_owned()));
}

fn checkin() -> CheckinRequest {
    CheckinRequest {
        sent_at_ms: 1,
        mode: "dns".into(),
        protection: "on".into(),
        os_version: "18.1".into(),
        app_version: "0.1.0".into(),
        policy_version: 0,
        indicator_epoch: None,
        tenant_epoch: None,
        counters: Counters::default(),
    }
}
