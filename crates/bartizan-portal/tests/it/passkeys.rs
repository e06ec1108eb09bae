//! Passkeys, as a browser with an authenticator of our own sees them.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use bartizan_model::TenantId;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::operators::operator;
use crate::world::{Answer, OWN_PASSWORD, World, call};

#[tokio::test]
async fn a_passkey_is_added_and_lets_its_owner_in_without_a_password() {
    let world = World::new().await;
    let (mut browser, mut key) = with_passkey(&world, world.acme, "a@acme.test", 1).await;
    let page = browser.get("/passkeys").await.text();
    assert!(page.contains("Work laptop") && page.contains("never used"), "{page}");
    let sessions = browser.get("/sessions").await.text();
    assert!(sessions.contains("by password and passkey"), "{sessions}");

    let mut other = browser.fresh();
    let question = other.ask("/sign-in/passkey/question").await;
    assert_eq!(question["get"]["allowCredentials"], json!([]));
    assert_eq!(question["get"]["userVerification"], "required");
    let answer = key.show(&question, USUAL);
    let form = [("answer", answer.as_str()), ("next", "/devices")];
    let kept = other.cookies.clone();
    let entered = other.post("/sign-in/passkey", &form).await;
    assert_eq!((entered.status.as_u16(), entered.header("location")), (303, "/devices"));
    assert_eq!(other.get("/alerts").await.status, 200);
    let sessions = other.get("/sessions").await.text();
    assert!(sessions.contains("by passkey"), "{sessions}");
    let page = other.get("/passkeys").await.text();
    assert!(page.contains("last used"), "{page}");
    // The same answer is not good twice, in the same browser or another.
    for cookies in [kept.clone(), BTreeMap::new()] {
        let mut again = Browser { cookies, ..browser.fresh() };
        let refused = again.post("/sign-in/passkey", &form).await;
        assert!([401, 422].contains(&refused.status.as_u16()), "{}", refused.status);
        assert_eq!(again.get("/alerts").await.status, 303);
    }
    let audit = other.get("/audit?action=passkey.add").await.text();
    assert!(audit.contains("Passkey added") && audit.contains("Work laptop"), "{audit}");

    // Renamed without much ado; removed only by whoever shows a passkey or the password anew.
    let id = page.split("/passkeys/").find(|rest| rest.contains("/name\"")).unwrap();
    let id = id.split('/').next().unwrap().to_owned();
    let renamed = other.post(&format!("/passkeys/{id}/name"), &[("name", " Old one ")]).await;
    assert_eq!(renamed.header("location"), "/passkeys?done=renamed");
    let remove = format!("/passkeys/{id}/remove");
    let refused = other.post(&remove, &[]).await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("Show first that it is you."));
    let question = other.ask("/passkeys/confirm/question").await;
    assert_eq!(question["get"]["allowCredentials"][0]["id"], text(&key.credential));
    let unverified = key.show(&question, PRESENT);
    let refused = other.post("/passkeys/confirm", &[("answer", &unverified)]).await;
    assert_eq!(refused.status, 422);
    let shown = key.show(&question, USUAL);
    let confirmed = other.post("/passkeys/confirm", &[("answer", &shown)]).await;
    assert_eq!(confirmed.header("location"), "/passkeys");
    assert_eq!(other.post(&remove, &[]).await.header("location"), "/passkeys?done=removed");
    let question = other.ask("/sign-in/passkey/question").await;
    let gone = key.show(&question, USUAL);
    assert_eq!(other.post("/sign-in/passkey", &[("answer", &gone)]).await.status, 401);
}

#[tokio::test]
async fn a_passkey_tells_its_owner_that_their_organization_is_suspended() {
    let world = World::new().await;
    let (browser, mut key) = with_passkey(&world, world.acme, "a@acme.test", 1).await;
    let mut root = operator(&world, "root", true).await;
    let page = format!("/operator/tenants/{}", world.acme.0);
    for (change, status) in [("suspend", 403), ("resume", 303)] {
        root.submit(&format!("{page}/{change}"), &[("reason", "Unpaid.")]).await;
        let mut other = browser.fresh();
        let answer = key.show(&other.ask("/sign-in/passkey/question").await, USUAL);
        let entered = other.post("/sign-in/passkey", &[("answer", &answer)]).await;
        assert_eq!(entered.status, status);
        let told = entered.text().contains("Your organization is suspended.");
        assert_eq!(told, status == 403, "{}", entered.text());
    }
}

#[tokio::test]
async fn a_passkey_is_a_second_factor_after_the_password() {
    let world = World::new().await;
    let (mut browser, mut key) = with_passkey(&world, world.acme, "a@acme.test", 1).await;
    let mut other = browser.fresh();
    let asked = other.sign_in("a@acme.test", OWN_PASSWORD).await;
    assert_eq!(asked.header("location"), "/sign-in/code");
    assert_eq!(other.get("/alerts").await.status, 303, "nobody is in yet");
    let page = other.get("/sign-in/code").await.text();
    assert!(page.contains("Show your passkey") && !page.contains("Code from your app"), "{page}");
    let question = other.ask("/sign-in/code/question").await;
    assert_eq!(question["get"]["userVerification"], "discouraged");
    // An answer to the question without a password is none to this.
    let mut elsewhere = browser.fresh();
    let wrong = elsewhere.ask("/sign-in/passkey/question").await;
    let wrong = key.show(&wrong, USUAL);
    let refused = other.post("/sign-in/code/passkey", &[("answer", &wrong)]).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    let answer = key.show(&question, PRESENT);
    let entered = other.post("/sign-in/code/passkey", &[("answer", &answer)]).await;
    assert_eq!(entered.status, 303, "{}", entered.text());
    assert_eq!(other.get("/alerts").await.status, 200);

    // Another member's passkey does not stand in.
    let (_, mut foreign) = with_passkey(&world, world.acme, "b@acme.test", 2).await;
    let mut other = browser.fresh();
    other.sign_in("a@acme.test", OWN_PASSWORD).await;
    let question = other.ask("/sign-in/code/question").await;
    let answer = foreign.show(&question, USUAL);
    let refused = other.post("/sign-in/code/passkey", &[("answer", &answer)]).await;
    assert_eq!(refused.status, 422);
    assert_eq!(other.get("/alerts").await.status, 303);
    // Without a password nobody is asked.
    let nobody = browser.fresh().post("/sign-in/code/question", &[]).await;
    assert_eq!(nobody.status, 401);

    // Lost: an administrator takes them away.
    let people = browser.get("/people").await.text();
    let row = people.split("<tr").find(|row| row.contains("b@acme.test")).unwrap();
    let person = row.split("href=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let page = browser.get(&format!("{person}/sign-in")).await.text();
    assert!(page.contains("Work laptop"), "{page}");
    let removed = browser.post(&format!("{person}/passkeys/remove"), &[]).await;
    assert_eq!(removed.header("location"), format!("{person}/sign-in?done=passkeys"));
    let mut b = browser.fresh();
    assert_eq!(b.sign_in("b@acme.test", OWN_PASSWORD).await.header("location"), "/");
}

#[tokio::test]
async fn whoever_has_to_have_a_second_factor_adds_a_passkey() {
    let world = World::new().await;
    let password = world.portal.create_administrator(world.acme, "a@acme.test").await.unwrap();
    let mut browser = Browser::new(&world);
    browser.sign_in("a@acme.test", &password.to_string()).await;
    browser.post("/password", &[("new", OWN_PASSWORD), ("repeat", OWN_PASSWORD)]).await;
    browser.post("/sign-in-settings/rule", &[("second_factor", "on")]).await;
    assert_eq!(browser.get("/alerts").await.header("location"), "/second-factor?next=/alerts");
    let page = browser.get("/second-factor").await.text();
    assert!(page.contains("href=\"/passkeys\""), "{page}");
    let page = browser.get("/passkeys").await.text();
    assert!(page.contains("Your organization asks for a second factor"), "{page}");
    let mut key = Authenticator::new(1);
    browser.add(&mut key).await;
    assert_eq!(browser.get("/alerts").await.status, 200);
    let mut other = browser.fresh();
    let question = other.ask("/sign-in/passkey/question").await;
    let answer = key.show(&question, USUAL);
    other.post("/sign-in/passkey", &[("answer", &answer)]).await;
    assert_eq!(other.get("/alerts").await.status, 200);
}

#[tokio::test]
async fn whatever_is_wrong_with_an_answer_looks_alike() {
    let world = World::new().await;
    let (browser, mut key) = with_passkey(&world, world.acme, "a@acme.test", 1).await;
    let (mut globex, mut foreign) = with_passkey(&world, world.globex, "g@globex.test", 2).await;
    let mut pages = Vec::new();
    let mut refused = async |spoil: &mut dyn FnMut(&Value) -> String| {
        let mut other = browser.fresh();
        let question = other.ask("/sign-in/passkey/question").await;
        let answer = spoil(&question);
        let told = other.post("/sign-in/passkey", &[("answer", &answer)]).await;
        assert_eq!(told.status, 401, "{answer}");
        assert_eq!(other.get("/alerts").await.status, 303, "{answer}");
        pages.push(told.text());
        world.advance(1_000_000);
    };
    let with = |answer: String, name: &str, value: Value| {
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        answer[name] = value;
        answer.to_string()
    };
    let unknown = text(b"nobody's");
    refused(&mut |_| "{}".into()).await;
    refused(&mut |_| "\u{0}".into()).await;
    refused(&mut |asked| with(key.show(asked, USUAL), "id", json!(unknown))).await;
    refused(&mut |asked| with(key.show(asked, USUAL), "userHandle", Value::Null)).await;
    refused(&mut |asked| with(key.show(asked, USUAL), "userHandle", json!(text(&[0; 24])))).await;
    refused(&mut |asked| with(key.show(asked, USUAL), "signature", json!("AAAA"))).await;
    // Of ACME's passkey with GLOBEX's owner, and the other way around.
    let (own, theirs) = (text(&key.handle), text(&foreign.handle));
    refused(&mut |asked| with(key.show(asked, USUAL), "userHandle", json!(theirs))).await;
    refused(&mut |asked| with(foreign.show(asked, USUAL), "userHandle", json!(own))).await;
    refused(&mut |asked| key.show(asked, PRESENT)).await;
    let mut elsewhere = Authenticator { origin: "https://evil.test", ..key.clone() };
    refused(&mut |asked| elsewhere.show(asked, USUAL)).await;
    let mut elsewhere = Authenticator { site: "evil.test", ..key.clone() };
    refused(&mut |asked| elsewhere.show(asked, USUAL)).await;
    let mut forged =
        Authenticator { key: SigningKey::from_slice(&[9; 32]).unwrap(), ..key.clone() };
    refused(&mut |asked| forged.show(asked, USUAL)).await;
    assert!(pages.iter().all(|page| *page == pages[0]), "{pages:#?}");

    // GLOBEX's own is right where it belongs; its owner, disabled or not let in so, is refused like the rest.
    let mut other = globex.fresh();
    let question = other.ask("/sign-in/passkey/question").await;
    let answer = foreign.show(&question, USUAL);
    assert_eq!(other.post("/sign-in/passkey", &[("answer", &answer)]).await.status, 303);
    let page = globex.get("/people").await;
    assert_eq!(page.status, 303, "the clock went on, so that this session is over");
    let people = other.get("/people").await.text();
    assert!(people.contains("g@globex.test") && !people.contains("a@acme.test"));
}

#[tokio::test]
async fn an_authenticator_that_counts_backwards_is_refused_and_noted() {
    let world = World::new().await;
    let (mut browser, mut key) = with_passkey(&world, world.acme, "a@acme.test", 1).await;
    let mut copy = key.clone();
    for expected in [303, 303] {
        let mut other = browser.fresh();
        let question = other.ask("/sign-in/passkey/question").await;
        let answer = key.show(&question, USUAL);
        let told = other.post("/sign-in/passkey", &[("answer", &answer)]).await;
        assert_eq!(told.status, expected);
    }
    let mut other = browser.fresh();
    let question = other.ask("/sign-in/passkey/question").await;
    let answer = copy.show(&question, USUAL);
    let told = other.post("/sign-in/passkey", &[("answer", &answer)]).await;
    assert_eq!(told.status, 401);
    assert!(told.text().contains("This passkey was not accepted."));
    let audit = browser.get("/audit?action=passkey.refuse").await.text();
    assert!(audit.contains("counts backwards") && audit.contains("Work laptop"), "{audit}");
}

#[tokio::test]
async fn guessing_is_slow_and_questions_grow_old() {
    let world = World::new().await;
    let (mut browser, mut key) = with_passkey(&world, world.acme, "a@acme.test", 1).await;
    let mut other = browser.fresh();
    let mut forged =
        Authenticator { key: SigningKey::from_slice(&[9; 32]).unwrap(), ..key.clone() };
    for expected in [401, 401, 401, 401, 401, 429] {
        let question = other.ask("/sign-in/passkey/question").await;
        let answer = forged.show(&question, USUAL);
        let told = other.post("/sign-in/passkey", &[("answer", &answer)]).await;
        assert_eq!(told.status, expected);
    }
    world.advance(31_000);
    let question = other.ask("/sign-in/passkey/question").await;
    world.advance(5 * 60_000);
    let answer = key.show(&question, USUAL);
    let late = other.post("/sign-in/passkey", &[("answer", &answer)]).await;
    assert_eq!(late.status, 422);
    assert!(late.text().contains("That took too long. Sign in again."));
    // So does what was confirmed.
    assert_eq!(browser.post("/passkeys/question", &[]).await.status, 403);
    let wrong = browser.post("/passkeys/confirm", &[("password", "wrong")]).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text().contains("The password is wrong."));
}

#[tokio::test]
async fn what_does_not_fit_is_said_where_it_was_done() {
    let world = World::new().await;
    let (mut browser, mut key) = with_passkey(&world, world.acme, "a@acme.test", 1).await;
    let question = browser.ask("/passkeys/question").await;
    assert_eq!(question["create"]["excludeCredentials"][0]["id"], text(&key.credential));
    assert_eq!(question["create"]["attestation"], "none");
    for (name, said) in
        [("  ", "Give the passkey a name."), (&"x".repeat(61), "at most 60 characters")]
    {
        let answer = Authenticator::new(2).make(&question);
        let told = browser.post("/passkeys", &[("name", name), ("answer", &answer)]).await;
        assert_eq!(told.status, 422);
        assert!(told.text().contains(said), "{}", told.text());
    }
    // The same credential again, whoever has it.
    let again = key.make(&question);
    let told = browser.post("/passkeys", &[("name", "Again"), ("answer", &again)]).await;
    assert_eq!(told.status, 409);
    assert!(told.text().contains("This passkey is here already."));
    let told = browser.post("/passkeys", &[("name", "Again"), ("answer", "{}")]).await;
    assert_eq!(told.status, 422);
    assert!(told.text().contains("This passkey was not accepted."));
    for path in ["/passkeys/x/name", "/passkeys/0192f3a4-b5c6-7d8e-9f00-112233445566/name"] {
        assert_eq!(browser.post(path, &[("name", "Mine")]).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn where_passkeys_do_not_work_the_page_says_so() {
    let world = World::new().await;
    let (mut browser, _) = with_passkey(&world, world.acme, "a@acme.test", 1).await;
    for (host, said) in
        [("192.0.2.1:8443", "by its name, not by its IP"), ("portal.test", "HTTPS only")]
    {
        browser.host = host;
        let page = browser.get("/passkeys").await.text();
        assert!(page.contains(said), "{page}");
        assert_eq!(browser.post("/sign-in/passkey/question", &[]).await.status, 409);
        // Elsewhere the password alone is not enough either.
        let mut other = browser.fresh();
        let asked = other.sign_in("a@acme.test", OWN_PASSWORD).await;
        assert_eq!(asked.header("location"), "/sign-in/code");
    }
    browser.host = "b.localhost";
    let page = browser.get("/passkeys").await.text();
    assert!(page.contains("For <bdi>localhost</bdi> only."), "{page}");
}

#[tokio::test]
async fn an_operator_adds_a_passkey_and_comes_in_by_it_at_their_own_door_alone() {
    let world = World::new().await;
    let password = world.portal.add_operator("root", true).await.unwrap().to_string();
    let mut root = Browser { base: "/operator", ..Browser::new(&world) };
    let form = [("name", "root"), ("password", &*password)];
    assert_eq!(root.post("/operator/sign-in", &form).await.status, 303);
    let form = [("new", OWN_PASSWORD), ("repeat", OWN_PASSWORD)];
    assert_eq!(root.post("/operator/password", &form).await.status, 303);
    let first = root.get("/operator/tenants").await;
    assert_eq!(first.header("location"), "/operator/second-factor?next=/operator/tenants");
    let page = root.get("/operator/second-factor").await.text();
    assert!(page.contains("<a href=\"/operator/passkeys\">add a passkey</a>"), "{page}");
    let mut key = Authenticator::new(1);
    root.add(&mut key).await;
    assert_eq!(root.get("/operator/tenants").await.status, 200, "it is a second factor");

    let mut other = root.fresh();
    let question = other.ask("/operator/sign-in/passkey/question").await;
    let answer = key.show(&question, USUAL);
    let form = [("answer", answer.as_str()), ("next", "/alerts")];
    let entered = other.post("/operator/sign-in/passkey", &form).await;
    assert_eq!(entered.header("location"), "/operator/tenants", "{}", entered.text());
    assert_eq!(other.get("/operator/tenants").await.status, 200);
    assert_eq!(other.get("/alerts").await.status, 303, "no organization");

    // Neither door takes what the other asked, nor whom it is not for.
    let (_, members) = with_passkey(&world, world.acme, "a@acme.test", 2).await;
    let mut keys = [key, members];
    let doors = ["/sign-in", "/operator/sign-in"];
    for (asks, takes, whose, status) in [
        (doors[0], doors[0], 0, 401),
        (doors[1], doors[1], 1, 401),
        (doors[1], doors[0], 0, 422),
        (doors[0], doors[1], 1, 422),
    ] {
        let mut browser = root.fresh();
        let question = browser.ask(&format!("{asks}/passkey/question")).await;
        let answer = keys[whose].show(&question, USUAL);
        let refused = browser.post(&format!("{takes}/passkey"), &[("answer", &answer)]).await;
        assert_eq!(refused.status, status, "{asks} {takes}");
        assert!(
            !browser.cookies.contains_key("operator") && !browser.cookies.contains_key("session")
        );
    }

    let [mut key, _] = keys;
    // After the password.
    let mut after = root.fresh();
    let form = [("name", "root"), ("password", OWN_PASSWORD)];
    let asked = after.post("/operator/sign-in", &form).await;
    assert_eq!(asked.header("location"), "/operator/sign-in/code");
    let question = after.ask("/operator/sign-in/code/question").await;
    let answer = key.show(&question, PRESENT);
    let entered = after.post("/operator/sign-in/code/passkey", &[("answer", &answer)]).await;
    assert_eq!(entered.header("location"), "/operator/tenants");

    // Somebody who lost it is let in anew from the command line, and by another operator.
    world.portal.reset_operator("root").await.unwrap();
    assert_eq!(root.get("/operator/tenants").await.status, 303, "their sessions have ended");
    let mut gone = root.fresh();
    let question = gone.ask("/operator/sign-in/passkey/question").await;
    let answer = key.show(&question, USUAL);
    assert_eq!(gone.post("/operator/sign-in/passkey", &[("answer", &answer)]).await.status, 401);
}

#[tokio::test]
async fn an_operator_takes_the_passkeys_of_another_away() {
    let world = World::new().await;
    let password = world.portal.add_operator("lost", false).await.unwrap().to_string();
    let mut lost = Browser { base: "/operator", ..Browser::new(&world) };
    let form = [("name", "lost"), ("password", &*password)];
    assert_eq!(lost.post("/operator/sign-in", &form).await.status, 303);
    let form = [("new", OWN_PASSWORD), ("repeat", OWN_PASSWORD)];
    assert_eq!(lost.post("/operator/password", &form).await.status, 303);
    lost.add(&mut Authenticator::new(1)).await;
    let mut root = operator(&world, "root", true).await;
    let list = root.get("/operator/operators").await.text();
    let id = list.split("/operator/operators/").find(|part| part.contains("lost")).unwrap();
    let page = format!("/operator/operators/{}", id.split('"').next().unwrap());
    let text = root.get(&page).await.text();
    assert!(text.contains("Has 1 passkey."), "{text}");
    let removed = root.submit(&format!("{page}/passkeys/remove"), &[]).await;
    assert_eq!(removed.header("location"), format!("{page}?done=passkeys"));
    assert_eq!(lost.get("/operator/passkeys").await.status, 303, "their sessions have ended");
    let log = root.get("/operator/audit").await.text();
    assert!(log.contains("passkeys"), "{log}");
}

/// A member with a password of their own and a passkey.
async fn with_passkey(
    world: &World,
    tenant: TenantId,
    email: &str,
    seed: u8,
) -> (Browser, Authenticator) {
    let password = world.portal.create_administrator(tenant, email).await.unwrap();
    let mut browser = Browser::new(world);
    assert_eq!(browser.sign_in(email, &password.to_string()).await.status, 303);
    let form = [("new", OWN_PASSWORD), ("repeat", OWN_PASSWORD)];
    assert_eq!(browser.post("/password", &form).await.status, 303);
    let mut key = Authenticator::new(seed);
    browser.add(&mut key).await;
    (browser, key)
}

/// A browser at this machine's name, with cookies.
struct Browser {
    router: Router,
    host: &'static str,
    /// What the addresses of one's own account begin with.
    base: &'static str,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn new(world: &World) -> Self {
        Self {
            router: world.portal.router(),
            host: "localhost",
            base: "",
            cookies: BTreeMap::new(),
        }
    }

    /// Another one, of somebody who is not signed in.
    fn fresh(&self) -> Self {
        Self {
            router: self.router.clone(),
            host: self.host,
            base: self.base,
            cookies: BTreeMap::new(),
        }
    }

    async fn sign_in(&mut self, email: &str, password: &str) -> Answer {
        self.post("/sign-in", &[("email", email), ("password", password)]).await
    }

    /// Shows the password anew and adds a passkey.
    async fn add(&mut self, key: &mut Authenticator) {
        let page = format!("{}/passkeys", self.base);
        assert_eq!(self.post(&format!("{page}/question"), &[]).await.status, 403);
        let form = [("password", OWN_PASSWORD)];
        let confirmed = self.post(&format!("{page}/confirm"), &form).await;
        assert_eq!(confirmed.header("location"), page, "{}", confirmed.text());
        let question = self.ask(&format!("{page}/question")).await;
        let answer = key.make(&question);
        let form = [("name", "Work laptop"), ("answer", &answer)];
        let added = self.post(&page, &form).await;
        assert_eq!(added.header("location"), format!("{page}?done=added"), "{}", added.text());
    }

    /// What the portal asks an authenticator.
    async fn ask(&mut self, path: &str) -> Value {
        self.post(path, &[]).await.json()
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path), Body::empty()).await
    }

    async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let pairs: Vec<_> =
            form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let request = Request::post(path)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request, Body::from(pairs.join("&"))).await
    }

    async fn send(&mut self, request: axum::http::request::Builder, body: Body) -> Answer {
        let cookies: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request
            .header("host", self.host)
            .header("accept", "text/html")
            .header("cookie", cookies.join("; "));
        let answer = call(&self.router, request.body(body).unwrap()).await;
        for cookie in answer.headers.get_all("set-cookie") {
            let (name, value) =
                cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.into(), value.into());
            }
        }
        answer
    }
}

/// An authenticator with a key, and the browser that hands on what it says.
#[derive(Clone)]
struct Authenticator {
    key: SigningKey,
    credential: Vec<u8>,
    handle: Vec<u8>,
    count: u32,
    origin: &'static str,
    site: &'static str,
}

impl Authenticator {
    fn new(seed: u8) -> Self {
        Self {
            key: SigningKey::from_slice(&[seed; 32]).unwrap(),
            credential: vec![seed; 16],
            handle: Vec::new(),
            count: 0,
            origin: "http://localhost",
            site: "localhost",
        }
    }

    fn make(&mut self, question: &Value) -> String {
        let asked = &question["create"];
        self.handle = octets(asked["user"]["id"].as_str().unwrap());
        let point = self.key.verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes()[1..].split_at(32);
        let length = u16::try_from(self.credential.len()).unwrap().to_be_bytes();
        let mut data = self.data(USUAL | MADE);
        data.extend([0; 16]);
        data.extend(length);
        data.extend(&self.credential);
        data.extend(
            [&b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20"[..], x, b"\x22\x58\x20", y].concat(),
        );
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        let object =
            [&b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59"[..], &length, &data].concat();
        json!({
            "clientData": text(&self.client("webauthn.create", asked)),
            "attestationObject": text(&object),
            "transports": ["internal"],
        })
        .to_string()
    }

    fn show(&mut self, question: &Value, flags: u8) -> String {
        self.count += 1;
        let (client, data) = (self.client("webauthn.get", &question["get"]), self.data(flags));
        let signed = [&data[..], &Sha256::digest(&client)].concat();
        let signature: DerSignature = self.key.sign(&signed);
        json!({
            "id": text(&self.credential),
            "clientData": text(&client),
            "authenticatorData": text(&data),
            "signature": text(signature.as_bytes()),
            "userHandle": text(&self.handle),
        })
        .to_string()
    }

    fn client(&self, kind: &str, asked: &Value) -> Vec<u8> {
        let challenge = &asked["challenge"];
        json!({ "type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false })
            .to_string()
            .into_bytes()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let mut data = Sha256::digest(self.site).to_vec();
        data.push(flags);
        data.extend(self.count.to_be_bytes());
        data
    }
}

fn text(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

fn octets(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|octet| format!("%{octet:02X}")).collect()
}

const PRESENT: u8 = 1;
const USUAL: u8 = 1 | 1 << 2;
const MADE: u8 = 1 << 6;
