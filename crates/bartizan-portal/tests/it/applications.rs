//! Applications: set up in the console, and given tokens for what they prove.

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use p256::ecdsa::signature::Signer as _;
use rcgen::{KeyPair, PKCS_ED25519};
use serde_json::{Value, json};

use crate::world::{Answer, Browser, HOUR, World, call};

/// An application with a secret.
pub(crate) struct Client {
    pub(crate) page: String,
    pub(crate) id: String,
    pub(crate) secret: String,
}

#[tokio::test]
async fn a_secret_buys_a_token_as_long_as_it_is_there() {
    let world = World::new().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let client = client(&mut browser, "SIEM", &["view-data", "alerts-investigation"]).await;

    let reply = world.ask(&client, &[]).await.json::<Value>();
    assert_eq!(reply["token_type"], "Bearer");
    assert_eq!(reply["expires_in"], 600);
    assert_eq!(reply["scope"], "view-data alerts-investigation");
    let basic = STANDARD.encode(format!("{}:{}", client.id, client.secret));
    let reply = world.exchange(&[GRANT, ("scope", "view-data")], Some(&basic)).await;
    assert_eq!(reply.json::<Value>()["scope"], "view-data");
    assert_eq!(reply.header("cache-control"), "no-store");

    // Another secret takes over, and a third there is not.
    let other = secret(&mut browser, &client.page).await;
    let full = browser.submit(&format!("{}/secrets", client.page), &[("days", "90")]).await;
    assert_eq!(full.status, 422);
    assert!(full.text().contains("It has two secrets already"));
    let page = browser.get(&client.page).await.text();
    let remove = page.split("/credentials/").nth(1).unwrap().split('"').next().unwrap();
    let removed = browser.submit(&format!("{}/credentials/{remove}", client.page), &[]).await;
    assert_eq!(removed.status, 303);
    assert_eq!(world.ask(&client, &[]).await.status, 401);
    let client = Client { secret: other, ..client };
    assert_eq!(world.ask(&client, &[]).await.status, 200);
    assert!(browser.get(&client.page).await.text().contains("Called last"));

    let switch = format!("{}/disabled", client.page);
    assert_eq!(browser.submit(&switch, &[("disabled", "yes")]).await.status, 303);
    assert_eq!(world.ask(&client, &[]).await.status, 401);
    assert_eq!(browser.submit(&switch, &[("disabled", "no")]).await.status, 303);
    assert_eq!(world.ask(&client, &[]).await.status, 200);
    world.advance(181 * 24 * HOUR);
    assert_eq!(world.ask(&client, &[]).await.status, 401);
}

#[tokio::test]
async fn errors_of_the_token_endpoint_are_those_of_the_standard() {
    let world = World::new().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let client = client(&mut browser, "SIEM", &["view-data"]).await;
    let id = ("client_id", client.id.as_str());
    let right = ("client_secret", client.secret.as_str());
    let wrong = STANDARD.encode(format!("{}:wrong", client.id));
    for (form, basic, status, error) in [
        (vec![id, right], None, 400, "invalid_request"),
        (vec![("grant_type", "password"), id, right], None, 400, "unsupported_grant_type"),
        (vec![GRANT, right], None, 400, "invalid_request"),
        (vec![GRANT, id, right, right], None, 400, "invalid_request"),
        (vec![GRANT, id, right, ("scope", "view-data enrollment")], None, 400, "invalid_scope"),
        (vec![GRANT, id, right, ("scope", "everything")], None, 400, "invalid_scope"),
        (vec![GRANT, id, right], Some(&*wrong), 400, "invalid_request"),
        (vec![GRANT, id], None, 401, "invalid_client"),
        (vec![GRANT, id, ("client_secret", "wrong")], None, 401, "invalid_client"),
        (vec![GRANT, ("client_id", "nobody"), right], None, 401, "invalid_client"),
        (vec![GRANT], Some("?"), 401, "invalid_client"),
        (vec![GRANT], Some(&*wrong), 401, "invalid_client"),
    ] {
        let answer = world.exchange(&form, basic).await;
        assert_eq!(answer.status, status, "{form:?}");
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["error"], error, "{form:?}");
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge.starts_with("Basic"), status == 401 && basic.is_some(), "{form:?}");
    }
    for _ in 0..6 {
        world.exchange(&[GRANT, id, ("client_secret", "wrong")], None).await;
    }
    let slowed = world.exchange(&[GRANT, id, right], None).await;
    assert_eq!((slowed.status.as_u16(), slowed.header("retry-after").is_empty()), (429, false));
}

#[tokio::test]
async fn a_signed_assertion_buys_a_token_once() {
    let world = World::new().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let client = client(&mut browser, "SIEM", &["view-data"]).await;
    let key = p256::ecdsa::SigningKey::from_slice(&[9; 32]).unwrap();
    let bad = [("pem", "nonsense")];
    let keys = format!("{}/keys", client.page);
    assert!(browser.submit(&keys, &bad).await.text().contains("no certificate and no public key"));
    let pem = form_text(&KeyPair::generate_for(&PKCS_ED25519).unwrap().public_key_pem());
    assert_eq!(browser.submit(&keys, &[("pem", &pem)]).await.status, 303);
    assert_eq!(browser.submit(&keys, &[("pem", &form_text(&spki_pem(&key)))]).await.status, 303);

    let now = world.clock.now().0 / 1_000;
    let claims = json!({
        "iss": client.id, "sub": client.id, "aud": "https://portal.test/oauth2/token",
        "exp": now + 60, "jti": "one",
    });
    let assertion = sign(&claims, &key);
    let form = [GRANT, KIND, ("client_assertion", assertion.as_str())];
    assert_eq!(world.exchange(&form, None).await.json::<Value>()["scope"], "view-data");
    assert_eq!(world.exchange(&form, None).await.status, 401, "a second time");
    let stranger = p256::ecdsa::SigningKey::from_slice(&[8; 32]).unwrap();
    let forged = sign(&claims, &stranger);
    let form = [GRANT, KIND, ("client_assertion", forged.as_str())];
    assert_eq!(world.exchange(&form, None).await.status, 401, "another key");
    let other = json!({ "client_assertion_type": "other" });
    let form = [
        GRANT,
        ("client_assertion_type", other["client_assertion_type"].as_str().unwrap()),
        ("client_assertion", assertion.as_str()),
    ];
    assert_eq!(world.exchange(&form, None).await.status, 400, "another kind");
}

#[tokio::test]
async fn what_is_wrong_with_an_application_is_said_beside_the_field() {
    let world = World::new().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    assert!(browser.get("/applications").await.text().contains("No applications yet"));
    let answer = browser.submit("/applications", &[("name", " "), ("expires", "2020-01-01")]).await;
    assert_eq!(answer.status, 422);
    for problem in ["A name has 1 to 100", "Tick at least one", "Choose a day that lies ahead"] {
        assert!(answer.text().contains(problem), "{problem}");
    }
    client(&mut browser, "SIEM", &["view-data"]).await;
    let form = [("name", "SIEM"), ("permission", "view-data"), ("expires", "2030-01-01")];
    let again = browser.submit("/applications", &form).await;
    assert!(again.text().contains("Another application has this name"));
    let log = browser.get("/audit").await.text();
    assert!(log.contains("Application added") && log.contains("Secret or key given"), "{log}");
}

impl World {
    pub(crate) async fn exchange(&self, form: &[(&str, &str)], basic: Option<&str>) -> Answer {
        let body: Vec<_> = form.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let mut request = Request::post("/oauth2/token")
            .header("host", "portal.test")
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some(basic) = basic {
            request = request.header("authorization", format!("Basic {basic}"));
        }
        call(&self.portal.router(), request.body(Body::from(body.join("&"))).unwrap()).await
    }

    pub(crate) async fn ask(&self, client: &Client, more: &[(&str, &str)]) -> Answer {
        let mut form = vec![GRANT, ("client_id", &client.id), ("client_secret", &client.secret)];
        form.extend(more);
        self.exchange(&form, None).await
    }
}

/// Sets an application up in the console.
pub(crate) async fn client(browser: &mut Browser, name: &str, permissions: &[&str]) -> Client {
    let mut form = vec![("name", name), ("expires", "2030-01-01")];
    form.extend(permissions.iter().map(|word| ("permission", *word)));
    let made = browser.submit("/applications", &form).await;
    assert_eq!(made.status, 303, "{}", made.text());
    let page = made.header("location").split('?').next().unwrap().to_owned();
    let text = browser.get(&page).await.text();
    let id = text.split("Client id <code class=\"long\">").nth(1).unwrap();
    let id = id.split('<').next().unwrap().to_owned();
    let secret = secret(browser, &page).await;
    Client { page, id, secret }
}

async fn secret(browser: &mut Browser, page: &str) -> String {
    let shown = browser.submit(&format!("{page}/secrets"), &[("days", "180")]).await.text();
    let secret = shown.split("The secret is <code class=\"long\">").nth(1).unwrap();
    secret.split('<').next().unwrap().to_owned()
}

fn sign(claims: &Value, key: &p256::ecdsa::SigningKey) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": "ES256", "typ": "JWT" })), part(claims));
    let signature: p256::ecdsa::Signature = key.sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

fn spki_pem(key: &p256::ecdsa::SigningKey) -> String {
    let mut spki = vec![0x30, 0x59, 0x30, 0x13];
    spki.extend([0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01]);
    spki.extend([0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00]);
    spki.extend(key.verifying_key().to_sec1_point(false).as_bytes());
    let text = STANDARD.encode(spki);
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
}

/// Escapes what a form would.
fn form_text(text: &str) -> String {
    text.replace('+', "%2B").replace('=', "%3D").replace('\n', "%0A")
}

const GRANT: (&str, &str) = ("grant_type", "client_credentials");
const KIND: (&str, &str) =
    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
