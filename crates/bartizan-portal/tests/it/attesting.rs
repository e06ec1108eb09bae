//! App Attest from a device's side, with certificates of our own making in the place of Apple's.

use bartizan_contract::attestation::{Attestation, ChallengeReply, client_data_hash};
use bartizan_contract::enroll::{EnrollReply, EnrollmentToken};
use bartizan_contract::keys::Jwk;
use bartizan_contract::path;
use bartizan_portal::{AttestationSettings, Clock, Portal, PortalConfig};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minicbor::Encoder;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, IsCa, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, date_time_ymd,
};
use sha2::{Digest as _, Sha256};

use crate::world::{Answer, Device, NOW, World, json};

const APP: &str = "A1B2C3D4E5.test.bartizan.app";

/// In the place of Apple: a root and what stands between.
struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    between: CertifiedIssuer<'static, KeyPair>,
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    Sha256::digest(parts.concat()).into()
}

impl Authority {
    fn new() -> Self {
        let params = |name: &str| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, name);
            params
        };
        let key = || KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let root = CertifiedIssuer::self_signed(params("Test root"), key()).unwrap();
        let between = CertifiedIssuer::signed_by(params("Test CA 1"), key(), &root).unwrap();
        Self { root, between }
    }
}

/// What an attestation is made of; each can be made wrong.
struct Parts {
    key: KeyPair,
    format: &'static str,
    app: &'static str,
    flags: u8,
    counter: u32,
    aaguid: [u8; 16],
    credential_id: Option<Vec<u8>>,
    /// As it is told beside the object.
    key_id: Option<Vec<u8>>,
    nonce: Option<[u8; 32]>,
    has_nonce: bool,
    expires: i32,
    has_between: bool,
    challenge: String,
    hash: [u8; 32],
    /// After all is made.
    spoil: fn(&mut Vec<u8>),
}

impl Parts {
    /// All as it is to be, for a device that has asked for this challenge.
    fn new(device: &Device, token: &EnrollmentToken, challenge: &str) -> Self {
        let device_key = Jwk::from_device_key(device.key.verifying_key());
        Self {
            key: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
            format: "apple-appattest",
            app: APP,
            flags: 0x40,
            counter: 0,
            aaguid: *b"appattest\0\0\0\0\0\0\0",
            credential_id: None,
            key_id: None,
            nonce: None,
            has_nonce: true,
            expires: 2045,
            has_between: true,
            challenge: challenge.into(),
            hash: client_data_hash(challenge, &device_key, &token.portal_key),
            spoil: |_| {},
        }
    }

    fn made_by(self, authority: &Authority) -> Attestation {
        let name = sha256(&[self.key.public_key_raw()]).to_vec();
        let id = self.credential_id.unwrap_or_else(|| name.clone());
        let length = u16::try_from(id.len()).unwrap().to_be_bytes();
        let auth_data = [
            sha256(&[self.app.as_bytes()]).as_slice(),
            &[self.flags],
            &self.counter.to_be_bytes(),
            &self.aaguid,
            &length,
            &id,
            // An empty map stands where the public key is told again.
            &[0xa0],
        ]
        .concat();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_after = date_time_ymd(self.expires, 1, 1);
        if self.has_nonce {
            let nonce = self.nonce.unwrap_or_else(|| sha256(&[&auth_data, &self.hash]));
            let content = [&[0x30, 0x24, 0xa1, 0x22, 0x04, 0x20], nonce.as_slice()].concat();
            let oid = [1, 2, 840, 113_635, 100, 8, 2];
            params.custom_extensions = vec![CustomExtension::from_oid_content(&oid, content)];
        }
        let leaf = params.signed_by(&self.key, &authority.between).unwrap();
        let mut cbor = Encoder::new(Vec::new());
        cbor.map(3).unwrap().str("fmt").unwrap().str(self.format).unwrap();
        cbor.str("attStmt").unwrap().map(2).unwrap().str("x5c").unwrap();
        cbor.array(1 + u64::from(self.has_between)).unwrap().bytes(leaf.der()).unwrap();
        if self.has_between {
            cbor.bytes(authority.between.as_ref().der()).unwrap();
        }
        cbor.str("receipt").unwrap().bytes(&[7; 99]).unwrap();
        cbor.str("authData").unwrap().bytes(&auth_data).unwrap();
        let mut object = cbor.into_writer();
        (self.spoil)(&mut object);
        Attestation {
            challenge: self.challenge,
            key_id: URL_SAFE_NO_PAD.encode(self.key_id.unwrap_or(name)),
            object: URL_SAFE_NO_PAD.encode(object),
        }
    }
}

/// A portal that accepts the app, and trusts this root.
async fn world(authority: &Authority, allow_development: bool) -> World {
    let dir = tempfile::tempdir().unwrap();
    let roots = dir.path().join("roots.pem");
    std::fs::write(&roots, authority.root.as_ref().pem()).unwrap();
    let clock = Clock::fixed(NOW);
    let attestation =
        AttestationSettings { app_ids: vec![APP.into()], allow_development, roots: Some(roots) };
    let config = PortalConfig { attestation, ..PortalConfig::new(dir.path().join("data")) };
    let portal = Portal::open_at(config, clock.clone()).await.unwrap();
    let acme = portal.create_tenant("ACME").await.unwrap();
    let globex = portal.create_tenant("GLOBEX").await.unwrap();
    World { dir, portal, clock, acme, globex }
}

async fn challenge(device: &Device) -> String {
    let answer = device.send("POST", path::ATTESTATION_CHALLENGE, None, Vec::new()).await;
    let reply: ChallengeReply = answer.json();
    assert_eq!((reply.expires_in, reply.server_time_ms), (300, device.clock.now().0));
    reply.challenge
}

async fn enroll(device: &Device, token: &EnrollmentToken, sent: Attestation) -> Answer {
    let mut request = device.enrollment(&token.to_string(), "18.1", None);
    request.attestation = Some(sent);
    device.send("POST", path::ENROLL, None, json(&request)).await
}

#[tokio::test]
async fn a_key_that_apple_vouches_for_is_told_apart() {
    let authority = Authority::new();
    let world = world(&authority, true).await;
    let admin = world.member(world.acme, "a@acme.test").await;
    let token = world.token(world.acme).await;
    let device = world.stranger(1);
    let asked = challenge(&device).await;
    let genuine = Parts::new(&device, &token, &asked).made_by(&authority);
    let reply: EnrollReply = enroll(&device, &token, genuine.clone()).await.json();
    let page = admin.get(&format!("/devices/{}", reply.device_id)).await.text();
    assert!(page.contains("Genuine app and hardware"), "{page}");
    // The answer was lost, and comes again, also once the challenge is over.
    world.advance(300_000);
    let again: EnrollReply = enroll(&device, &token, genuine).await.json();
    assert_eq!(again.device_id, reply.device_id);

    let (device, token) = (world.stranger(2), world.token(world.acme).await);
    let asked = challenge(&device).await;
    let parts = Parts { aaguid: *b"appattestdevelop", ..Parts::new(&device, &token, &asked) };
    assert_eq!(enroll(&device, &token, parts.made_by(&authority)).await.status, 200);
    world.device(world.acme, 3).await;
    for (filter, own) in [
        ("genuine", "Phone"),
        ("development", "Development build</span>"),
        ("none", "Not attested</span>"),
    ] {
        let page = admin.get(&format!("/devices?attestation={filter}")).await.text();
        assert_eq!(page.matches("data-row=").count(), 1, "{filter}");
        assert!(page.contains(own), "{filter}: {page}");
    }
}

#[tokio::test]
async fn whatever_is_wrong_with_an_attestation_is_told_and_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let world = world(&authority, false).await;
    let admin = world.member(world.acme, "a@acme.test").await;
    let (token, foreign) = (world.token(world.acme).await, world.token(world.globex).await);
    let (device, neighbor) = (world.stranger(1), world.stranger(2));
    let asked = challenge(&device).await;
    let fresh = || Parts::new(&device, &token, &asked);
    let (bad, of_neighbor) = ("it is no attestation", challenge(&neighbor).await);
    let (chain, nonce) = ("do not lead to a root", "another challenge, device key or organization");
    let rows: Vec<(&str, &str, Parts)> = vec![
        ("another format", bad, Parts { format: "packed", ..fresh() }),
        ("another app", "by an app that is not", Parts { app: "A1B2C3D4E5.evil", ..fresh() }),
        ("a key that signed", "was used before", Parts { counter: 1, ..fresh() }),
        ("no key told of", bad, Parts { flags: 0, ..fresh() }),
        (
            "a development build",
            "under development",
            Parts { aaguid: *b"appattestdevelop", ..fresh() },
        ),
        ("no environment", "not known", Parts { aaguid: [0; 16], ..fresh() }),
        (
            "another key's name",
            "another key",
            Parts { credential_id: Some(vec![1; 32]), ..fresh() },
        ),
        ("another key id", "another key", Parts { key_id: Some(vec![1; 32]), ..fresh() }),
        ("no key id", "another key", Parts { key_id: Some(Vec::new()), ..fresh() }),
        ("a long key id", bad, Parts { key_id: Some(vec![1; 99]), ..fresh() }),
        ("another nonce", nonce, Parts { nonce: Some([1; 32]), ..fresh() }),
        ("no nonce", nonce, Parts { has_nonce: false, ..fresh() }),
        (
            "another device's key",
            nonce,
            Parts { hash: Parts::new(&neighbor, &token, &asked).hash, ..fresh() },
        ),
        (
            "another organization",
            nonce,
            Parts { hash: Parts::new(&device, &foreign, &asked).hash, ..fresh() },
        ),
        (
            "another challenge",
            nonce,
            Parts { hash: Parts::new(&device, &token, &of_neighbor).hash, ..fresh() },
        ),
        (
            "the challenge of another key",
            "its challenge",
            Parts::new(&device, &token, &of_neighbor),
        ),
        (
            "a challenge of one's own",
            "its challenge",
            Parts { challenge: "AAAA".into(), ..fresh() },
        ),
        ("a certificate that is over", chain, Parts { expires: 2026, ..fresh() }),
        ("a gap in the chain", chain, Parts { has_between: false, ..fresh() }),
        ("octets cut off", bad, Parts { spoil: |object| object.truncate(900), ..fresh() }),
        ("octets added", bad, Parts { spoil: |object| object.push(0), ..fresh() }),
        ("a signature changed", chain, Parts { spoil: |object| flip_signature(object), ..fresh() }),
        ("nothing", bad, Parts { spoil: Vec::clear, ..fresh() }),
        ("far too much", bad, Parts { spoil: |object| object.resize(20_000, 0), ..fresh() }),
    ];
    let count = rows.len();
    for (what, reason, parts) in rows {
        let refused = enroll(&device, &token, parts.made_by(&authority)).await;
        check(&refused, what, reason);
    }
    check(&enroll(&device, &token, fresh().made_by(&other)).await, "another root", chain);
    let mut unreadable = fresh().made_by(&authority);
    unreadable.object = "+/=".into();
    check(&enroll(&device, &token, unreadable).await, "no base64url", bad);
    let page = admin.get("/enrollment").await.text();
    assert_eq!(page.matches("The attestation does not hold").count(), count + 2);
    assert!(page.contains("by an app that is not accepted here"), "{page}");

    // A token that says another organization's key is not believed: the true one counts.
    let forged = EnrollmentToken { portal_key: foreign.portal_key, ..token };
    let parts = Parts::new(&device, &forged, &asked).made_by(&authority);
    check(&enroll(&device, &forged, parts).await, "a forged token", nonce);
    let unknown = EnrollmentToken { secret: [0; 32], ..token };
    let answer = enroll(&device, &unknown, fresh().made_by(&authority)).await;
    assert_eq!(answer.problem(), (403, "enrollment_token_unknown".into()));

    let late = fresh().made_by(&authority);
    world.advance(300_000);
    check(&enroll(&device, &token, late).await, "too late", "its challenge");
    let asked = challenge(&device).await;
    let good = Parts::new(&device, &token, &asked).made_by(&authority);
    assert_eq!(enroll(&device, &token, good).await.status, 200, "the token was not used up");
}

/// The last octets of the leaf stand before its neighbor.
fn flip_signature(object: &mut [u8]) {
    let at = object.windows(4).position(|four| four == b"\x63x5c").unwrap();
    let length = usize::from(u16::from_be_bytes([object[at + 6], object[at + 7]]));
    object[at + 7 + length] ^= 1;
}

#[track_caller]
fn check(answer: &Answer, what: &str, reason: &str) {
    assert_eq!(answer.problem(), (403, "attestation_invalid".into()), "{what}");
    assert!(answer.text().contains(reason), "{what}: {}", answer.text());
}

#[tokio::test]
async fn where_it_is_required_nobody_gets_in_without() {
    let authority = Authority::new();
    let world = world(&authority, false).await;
    let mut admin = world.member(world.acme, "a@acme.test").await;
    let rule = [
        ("allow_token", "yes"),
        ("without_user", "auto"),
        ("minimum_ios", "16.0"),
        ("minimum_from", "2025-01-31"),
        ("sign_in_days", "0"),
        ("attestation_required", "yes"),
    ];
    assert_eq!(admin.submit("/enrollment/rules", &rule).await.status, 303);
    let (device, token) = (world.stranger(1), world.token(world.acme).await);
    let refused = device.enroll(&token.to_string()).await;
    assert_eq!(refused.problem(), (403, "attestation_required".into()));
    assert!(refused.text().contains("App Attest"), "{}", refused.text());
    let page = admin.get("/enrollment").await.text();
    assert!(page.contains("Nothing vouches for its key"), "{page}");
    let asked = challenge(&device).await;
    let good = Parts::new(&device, &token, &asked).made_by(&authority);
    assert_eq!(enroll(&device, &token, good).await.status, 200);
}

#[tokio::test]
async fn a_portal_that_accepts_none_says_so_before_and_refuses_what_is_sent() {
    let world = World::new().await;
    let (device, token) = (world.stranger(1), world.token(world.acme).await);
    let answer = device.send("POST", path::ATTESTATION_CHALLENGE, None, Vec::new()).await;
    assert_eq!(answer.problem(), (404, "not_found".into()));
    let sent = Parts::new(&device, &token, "AAAA").made_by(&Authority::new());
    check(&enroll(&device, &token, sent).await, "not accepted", "accepts no attestations");
    let mut admin = world.member(world.acme, "a@acme.test").await;
    let rule = [
        ("without_user", "auto"),
        ("minimum_ios", "16.0"),
        ("minimum_from", "2025-01-31"),
        ("sign_in_days", "0"),
        ("attestation_required", "yes"),
    ];
    let answer = admin.submit("/enrollment/rules", &rule).await;
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("attestation-app-ids"), "{}", answer.text());
    assert_eq!(device.enroll(&token.to_string()).await.status, 200);
}
