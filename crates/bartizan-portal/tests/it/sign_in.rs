//! Second factors and settings of signing in, as a browser sees them.

use bartizan_portal::BuiltIn;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use ring::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use serde_json::json;

use crate::operators::operator;
use crate::site::{Page, Site};
use crate::world::{Answer, Browser, OWN_PASSWORD, World};

#[tokio::test]
async fn whoever_has_a_second_factor_is_asked_for_it() {
    let world = World::new().await;
    let mut admin = world.member(world.acme, "a@acme.test").await;
    let (key, codes) = enroll(&world, &mut admin).await;
    assert_eq!(codes.len(), 10);
    let again = admin.get("/second-factor").await.text();
    assert!(again.contains("10 recovery codes left") && !again.contains(&codes[0]));

    let mut browser = world.browser();
    let asked = browser.sign_in("a@acme.test", OWN_PASSWORD).await;
    assert_eq!(asked.header("location"), "/sign-in/code");
    assert!(!asked.header("set-cookie").starts_with("session="), "nobody is in yet");
    assert_eq!(browser.get("/alerts").await.status, 303);
    assert_eq!(browser.get("/sign-in/code").await.status, 200);
    // The code that set it up was used.
    let used = enter(&mut browser, &code(&key, &world, 0)).await;
    assert_eq!(used.status, 422);
    assert!(used.text().contains("was used already"));
    world.advance(30_000);
    let fresh = code(&key, &world, 0);
    let entered = enter(&mut browser, &fresh).await;
    assert_eq!((entered.status.as_u16(), entered.header("location")), (303, "/"));
    assert_eq!(browser.get("/alerts").await.status, 200);
    let sessions = browser.get("/sessions").await.text();
    assert!(sessions.contains("by password and second factor"), "{sessions}");

    // A recovery code, once, and as people type it.
    let typed = codes[3].to_lowercase().replace('-', " ");
    for expected in [303, 422] {
        let mut browser = world.browser();
        browser.sign_in("a@acme.test", OWN_PASSWORD).await;
        assert_eq!(enter(&mut browser, &typed).await.status, expected);
    }
    // Guessing is slow, whoever guesses.
    let mut browser = world.browser();
    browser.sign_in("a@acme.test", OWN_PASSWORD).await;
    for _ in 0..4 {
        assert_eq!(enter(&mut browser, "000000").await.status, 422);
    }
    world.advance(30_000 - 1);
    let held_up = enter(&mut browser, &code(&key, &world, 0)).await;
    assert_eq!(held_up.status, 429, "{}", held_up.text());
    // The ticket of one who knows the password is good for some minutes.
    world.advance(5 * 60_000);
    let late = enter(&mut browser, &code(&key, &world, 0)).await;
    assert_eq!(late.header("location"), "/sign-in?late=true");
    let told = browser.get(late.header("location")).await.text();
    assert!(told.contains("That took too long. Sign in again."), "{told}");

    // Its owner removes it with a code of it.
    let mut browser = world.browser();
    browser.sign_in("a@acme.test", OWN_PASSWORD).await;
    assert_eq!(enter(&mut browser, &code(&key, &world, 0)).await.status, 303);
    let refused = browser.submit("/second-factor/remove", &[("code", "1")]).await;
    assert_eq!(refused.status, 422);
    let removed = browser.submit("/second-factor/remove", &[("code", &codes[5])]).await;
    assert_eq!(removed.status, 303);
    assert_eq!(world.browser().sign_in("a@acme.test", OWN_PASSWORD).await.header("location"), "/");
}

#[tokio::test]
async fn whoever_manages_settings_sets_one_up_first_where_the_organization_says_so() {
    let world = World::new().await;
    let mut admin = world.member(world.acme, "a@acme.test").await;
    let password = world.portal.create_member(world.acme, "r@acme.test", BuiltIn::ReadOnly).await;
    let rule = admin.submit("/sign-in-settings/rule", &[("second_factor", "on")]).await;
    assert_eq!(rule.header("location"), "/sign-in-settings?done=rule");
    let held = admin.get("/alerts").await;
    assert_eq!(held.header("location"), "/second-factor?next=/alerts");
    let refused = admin.post("/policy", &[]).await;
    assert_eq!(refused.problem(), (403, "second_factor_required".into()));
    let page = admin.get("/second-factor").await.text();
    assert!(page.contains("Your organization asks for a second factor"), "{page}");
    enroll(&world, &mut admin).await;
    assert_eq!(admin.get("/alerts").await.status, 200);

    // Who only reads goes on as before.
    let mut reader = world.browser();
    let password = password.unwrap().to_string();
    assert_eq!(reader.sign_in("r@acme.test", &password).await.status, 303);
    assert_eq!(reader.get("/alerts").await.status, 200);

    // An administrator takes it from somebody who has lost it.
    let page = admin.get("/people").await.text();
    let row = page.split("<tr").find(|row| row.contains("r@acme.test")).unwrap();
    let person = row.split("href=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    reader.choose("", OWN_PASSWORD).await;
    enroll(&world, &mut reader).await;
    let page = admin.get(&format!("{person}/sign-in")).await.text();
    assert!(page.contains("10 recovery codes left"), "{page}");
    let removed = admin.submit(&format!("{person}/second-factor/remove"), &[]).await;
    assert_eq!(removed.header("location"), format!("{person}/sign-in?done=factor"));
    assert_eq!(reader.get("/alerts").await.status, 303, "their sessions have ended");
    let audit = admin.get("/audit?action=second-factor.remove").await.text();
    assert!(audit.contains("administrator"), "{audit}");
}

#[tokio::test]
async fn passwords_are_for_break_glass_accounts_alone_where_the_organization_says_so() {
    let world = World::new().await;
    let mut admin = world.member(world.acme, "a@acme.test").await;
    let only = [("only_break_glass", "on")];
    let refused = admin.submit("/sign-in-settings/rule", &only).await;
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("No administrator has a break-glass account."));
    let page = admin.get("/people").await.text();
    let person = page.split("href=\"/people/").nth(1).unwrap().split('"').next().unwrap();
    let glass = format!("/people/{person}/break-glass");
    assert_eq!(admin.submit(&glass, &[("break_glass", "yes")]).await.status, 303);
    assert_eq!(admin.submit("/sign-in-settings/rule", &only).await.status, 303);
    let kept = admin.submit(&glass, &[("break_glass", "no")]).await;
    assert_eq!(kept.status, 409);

    let other = admin
        .submit("/people", &[("email", "b@acme.test"), ("role", "administrator")])
        .await
        .text();
    let password = other.split("password <code>").nth(1).unwrap().split('<').next().unwrap();
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("b@acme.test", password).await.status, 401);
    assert_eq!(browser.sign_in("a@acme.test", OWN_PASSWORD).await.status, 303);
    // Whoever can open the database gets in.
    let password = world.portal.create_administrator(world.acme, "c@acme.test").await.unwrap();
    assert_eq!(browser.sign_in("c@acme.test", &password.to_string()).await.status, 303);
}

#[tokio::test]
async fn a_provider_that_calls_itself_otherwise_is_not_taken() {
    let (world, site) = (World::new().await, Site::new());
    let mut admin = world.member(world.acme, "a@acme.test").await;
    let refused = save_provider(&mut admin, &site, "https://other.test").await;
    assert_eq!(refused.status, 422);
    let told = "the provider calls itself https://other.test";
    assert!(refused.text().contains(told), "{}", refused.text());
}

#[tokio::test]
async fn whom_the_provider_vouches_for_is_told_that_their_organization_is_suspended() {
    let (world, site) = (World::new().await, Site::new());
    let mut admin = world.member(world.acme, "a@acme.test").await;
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
    let keys = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": public }] });
    site.put("/keys", Page::Tagged("\"1\"", keys.to_string().into_bytes()));
    let saved = save_provider(&mut admin, &site, &site.url("")).await;
    assert_eq!(saved.status, 303, "{}", saved.text());
    let mut root = operator(&world, "root", true).await;
    let tenant = format!("/operator/tenants/{}", world.acme.0);
    for (change, status, told) in
        [("suspend", 403, "Your organization is suspended."), ("resume", 200, "0; url=/devices")]
    {
        root.submit(&format!("{tenant}/{change}"), &[("reason", "Unpaid.")]).await;
        let mut browser = world.browser();
        let page = browser.get("/sign-in/at/acme").await;
        assert_eq!(page.status, 200, "nobody is told before the provider vouches for them");
        let away = browser.get("/sign-in/at/acme/go?next=/devices").await;
        browser.cookie = away.header("set-cookie").split(';').next().unwrap().to_owned();
        let query = away.header("location").split_once('?').unwrap().1;
        let sent = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(found, _)| *found == name).unwrap().1.to_owned()
        };
        let now = world.clock.now().0 / 1_000;
        let claims = json!({
            "iss": site.url(""), "sub": "one", "aud": "bartizan", "iat": now, "exp": now + 60,
            "nonce": sent("nonce"), "email": "one@acme.test", "email_verified": true,
        });
        let [header, claims] = [json!({ "alg": "EdDSA" }), claims]
            .map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).to_bytes());
        let tokens = json!({ "id_token": format!("{signed}.{signature}") }).to_string();
        site.put("/token", Page::Tagged("\"1\"", tokens.into_bytes()));
        let back = format!("/sign-in/callback?code=x&state={}", sent("state"));
        let back = browser.get(&back).await;
        assert_eq!(back.status, status, "{}", back.text());
        assert!(back.text().contains(told), "{}", back.text());
    }
}

async fn save_provider(admin: &mut Browser, site: &Site, named: &str) -> Answer {
    let issuer = site.url("");
    let metadata = json!({
        "issuer": named,
        "authorization_endpoint": site.url("/authorize"),
        "token_endpoint": site.url("/token"),
        "jwks_uri": site.url("/keys"),
    });
    let place = "/.well-known/openid-configuration";
    site.put(place, Page::Tagged("\"1\"", metadata.to_string().into_bytes()));
    let form = [
        ("name", "ACME ID"),
        ("address", "acme"),
        ("issuer", &issuer),
        ("client_id", "bartizan"),
        ("client_secret", "not known to anybody"),
        ("scopes", "openid email"),
        ("group_claim", "groups"),
        ("domains", "acme.test"),
        ("admits_unknown", "on"),
        ("allow_private", "on"),
        ("enabled", "on"),
        ("group", "*"),
        ("role", "analyst"),
    ];
    admin.submit("/sign-in-settings", &form).await
}

/// Sets a second factor up by its page; returns the key and the recovery codes.
async fn enroll(world: &World, browser: &mut Browser) -> (Vec<u8>, Vec<String>) {
    enroll_at(world, browser, "/second-factor").await
}

/// The same, for whom the page is elsewhere.
pub(crate) async fn enroll_at(
    world: &World,
    browser: &mut Browser,
    path: &str,
) -> (Vec<u8>, Vec<String>) {
    let page = browser.get(path).await;
    let session = browser.cookie.clone();
    let ticket = page.header("set-cookie").split(';').next().unwrap().to_owned();
    let page = page.text();
    let key = page.split("Key: <code>").nth(1).unwrap().split('<').next().unwrap();
    let key = base32(key);
    browser.cookie = format!("{session}; {ticket}");
    let wrong = browser.submit(path, &[("code", "000000")]).await;
    assert_eq!(wrong.status, 422, "{}", wrong.text());
    browser.cookie = format!("{session}; {ticket}");
    let done = browser.submit(path, &[("code", &code(&key, world, 0))]).await;
    let done = done.text();
    browser.cookie = session;
    assert!(done.contains("is set up"), "{done}");
    let codes = done.split("<li><code>").skip(1).map(|code| code.split('<').next().unwrap().into());
    (key, codes.collect())
}

async fn enter(browser: &mut Browser, code: &str) -> Answer {
    browser.submit("/sign-in/code", &[("code", code)]).await
}

/// The code of a step after the present one.
fn code(key: &[u8], world: &World, after: u64) -> String {
    let step = world.clock.now().0 / 30_000 + after;
    let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let tag = sign(&key, &step.to_be_bytes());
    let at = usize::from(tag.as_ref()[19] & 0xf);
    let four: [u8; 4] = tag.as_ref()[at..at + 4].try_into().unwrap();
    format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000)
}

fn base32(text: &str) -> Vec<u8> {
    let (mut octets, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b' ') {
        let value = if letter.is_ascii_uppercase() { letter - b'A' } else { letter - b'2' + 26 };
        held = held << 5 | u32::from(value);
        bits += 5;
        if 8 <= bits {
            bits -= 8;
            octets.push(u8::try_from(held >> bits & 0xff).unwrap());
        }
    }
    octets
}
