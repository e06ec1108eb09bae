//! Signing in, and what a session is good for.

use axum::body::Body;
use axum::http::Request;
use bartizan_contract::path;
use bartizan_portal::{Clock, Portal, PortalConfig};

use crate::world::{HOUR, NOW, OWN_PASSWORD, World, batch, call};

#[tokio::test]
async fn a_member_is_asked_to_replace_the_one_time_password() {
    let world = World::new().await;
    let password = world.portal.create_administrator(world.acme, "a@acme.test").await.unwrap();
    assert_eq!(password.to_string().len(), 23);
    assert_eq!(format!("{password:?}"), "OneTimePassword(<private>)");
    let mut browser = world.browser();
    let answer = browser.sign_in("A@acme.test", &password.to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/"));
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("session=") && cookie.contains("HttpOnly; SameSite=Strict"));

    let page = browser.get("/alerts").await.text();
    assert!(page.contains("one-time password") && page.contains("ACME"), "{page}");
    let short = browser.choose("", "too short").await;
    assert_eq!(short.problem(), (422, "password_unfit".into()));
    let same = browser.choose("", &password.to_string()).await;
    assert_eq!(same.problem(), (422, "password_unfit".into()));
    let first_cookie = browser.cookie.clone();
    let set = browser.choose("", OWN_PASSWORD).await;
    assert_eq!((set.status.as_u16(), set.header("location")), (303, "/alerts"));
    assert_ne!(browser.cookie, first_cookie);
    let page = browser.get("/alerts").await.text();
    assert!(page.contains("a@acme.test") && !page.contains("one-time password"), "{page}");

    let mut old = world.browser();
    let refused = old.sign_in("a@acme.test", &password.to_string()).await;
    assert_eq!(refused.problem(), (401, "sign_in_refused".into()));
    assert_eq!(browser.post("/sign-out", &[]).await.header("location"), "/sign-in");
    browser.cookie = first_cookie;
    assert_eq!(browser.get("/alerts").await.header("location"), "/sign-in?next=/alerts");
}

#[tokio::test]
async fn a_one_time_password_expires() {
    let world = World::new().await;
    let password = world.portal.create_administrator(world.acme, "a@acme.test").await.unwrap();
    world.advance(24 * HOUR);
    let late = world.browser().sign_in("a@acme.test", &password.to_string()).await;
    assert_eq!(late.problem(), (401, "one_time_password_expired".into()));
    let reset = world.portal.create_administrator(world.acme, "a@acme.test").await.unwrap();
    assert_eq!(world.browser().sign_in("a@acme.test", &reset.to_string()).await.status, 303);
}

#[tokio::test]
async fn guessing_is_slowed_down_for_known_and_unknown_accounts_alike() {
    let world = World::new().await;
    world.member(world.acme, "a@acme.test").await;
    for email in ["a@acme.test", "nobody@acme.test"] {
        let mut browser = world.browser();
        for _ in 0..5 {
            let refused = browser.sign_in(email, "wrong").await;
            assert_eq!(refused.problem(), (401, "sign_in_refused".into()), "{email}");
        }
        let limited = browser.sign_in(email, OWN_PASSWORD).await;
        assert_eq!(limited.problem(), (429, "rate_limited".into()), "{email}");
        assert_eq!(limited.header("retry-after"), "30");
    }
    world.advance(30_000);
    assert_eq!(world.browser().sign_in("a@acme.test", OWN_PASSWORD).await.status, 303);
}

#[tokio::test]
async fn changing_a_password_takes_the_current_one_and_ends_other_sessions() {
    let world = World::new().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let mut other = world.browser();
    assert_eq!(other.sign_in("a@acme.test", OWN_PASSWORD).await.status, 303);
    let different = [("current", OWN_PASSWORD), ("new", "aaaaaaaaaaaa"), ("repeat", "b")];
    let refused = browser.post("/password", &different).await;
    assert_eq!(refused.problem(), (422, "password_unfit".into()));
    assert_eq!(browser.choose(OWN_PASSWORD, OWN_PASSWORD).await.status, 422);
    assert_eq!(browser.choose(OWN_PASSWORD, &"a".repeat(257)).await.status, 422);
    for easy in ["password12345", "acme-acme-2026"] {
        let refused = browser.choose(OWN_PASSWORD, easy).await;
        assert_eq!(refused.problem(), (422, "password_unfit".into()), "{easy}");
    }
    assert_eq!(browser.choose(OWN_PASSWORD, "another long one").await.status, 303);
    assert_eq!(other.get("/alerts").await.status, 303);
    for _ in 0..5 {
        assert_eq!(browser.choose("guess", "one more long one").await.status, 422);
    }
    assert_eq!(browser.choose("another long one", "one more long one").await.status, 429);
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_and_when_it_is_old() {
    let world = World::new().await;
    let browser = world.member(world.acme, "a@acme.test").await;
    for _ in 0..23 {
        world.advance(HOUR / 2 - 1);
        assert_eq!(browser.get("/alerts").await.status, 200);
    }
    world.advance(HOUR / 2 + 23);
    assert_eq!(browser.get("/alerts").await.status, 303);

    let mut browser = world.browser();
    browser.sign_in("a@acme.test", OWN_PASSWORD).await;
    world.advance(HOUR / 2);
    assert_eq!(browser.get("/alerts").await.status, 303);
}

#[tokio::test]
async fn what_fails_comes_back_as_a_page_to_whoever_can_show_one() {
    let world = World::new().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let missing = browser.get("/alerts/0192f3a4-b5c6-7d8e-9f00-112233445566").await;
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("Page not found"), "{}", missing.text());
    assert!(browser.get("/nowhere").await.text().contains("Page not found"));

    let form = [("email", "a@acme.test"), ("password", "wrong"), ("next", "/devices")];
    let refused = browser.submit("/sign-in", &form).await;
    assert_eq!(refused.status, 401);
    let page = refused.text();
    assert!(page.contains("is wrong") && page.contains("value=\"a@acme.test\""), "{page}");
    assert!(page.contains("value=\"/devices\""), "{page}");
    let form = [("current", OWN_PASSWORD), ("new", "short"), ("repeat", "short")];
    let refused = browser.submit("/password", &form).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("too short"), "{}", refused.text());
}

#[tokio::test]
async fn an_alert_is_found_read_and_resolved() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    assert_eq!(device.post(path::ALERTS, &batch(0..2)).await.status, 200);
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let id = world.portal.newest_alerts(world.acme).await.unwrap().remove(0).id;
    let address = format!("/alerts/{id}");
    assert!(browser.get("/alerts").await.text().contains(&address));
    assert!(browser.get(&address).await.text().contains("What happened"));

    let bad = browser.submit(&format!("{address}/status"), &[("status", "Gone")]).await;
    assert_eq!(bad.status, 400);
    let done = browser.submit(&format!("{address}/status"), &[("status", "Resolved")]).await;
    assert_eq!(
        (done.status.as_u16(), done.header("location")),
        (303, format!("{address}?changed=status").as_str())
    );
    assert!(
        browser
            .get(&format!("{address}?changed=status"))
            .await
            .text()
            .contains("Your change is stored.")
    );
    assert!(
        !browser.get("/alerts").await.text().contains(&address),
        "the queue shows what there is to do"
    );
    assert!(browser.get("/alerts?status=Resolved").await.text().contains(&address));
}

#[tokio::test]
async fn lists_are_paged_to_their_end() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    for start in [0, 50, 100] {
        assert_eq!(device.post(path::ALERTS, &batch(start..start + 50)).await.status, 200);
    }
    let browser = world.member(world.acme, "a@acme.test").await;
    let mut address = "/alerts".to_owned();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let page = browser.get(&address).await.text();
        let ids = page
            .split("href=\"/alerts/")
            .skip(1)
            .filter_map(|rest| rest.get(..36))
            .filter(|id| !id.starts_with("jobs"))
            .map(str::to_owned);
        seen.extend(ids);
        let next = page.split("href=\"/alerts?after=").nth(1);
        address = next.map_or_else(String::new, |rest| {
            format!("/alerts?after={}", rest.split('"').next().unwrap())
        });
    }
    assert_eq!((seen.len(), address.as_str()), (150, ""));
}

#[tokio::test]
async fn another_site_cannot_act_through_the_browser() {
    let world = World::new().await;
    let browser = world.member(world.acme, "a@acme.test").await;
    let send = async |headers: &[(&str, &str)]| {
        let mut request = Request::post("/sign-out").header("host", "portal.test");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.header("cookie", &browser.cookie).body(Body::empty()).unwrap();
        call(&browser.router, request).await
    };
    for headers in [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site"), ("origin", "https://portal.test")],
        &[("origin", "https://evil.test")],
        &[("origin", "null")],
    ] {
        assert_eq!(send(headers).await.problem(), (403, "cross_site".into()), "{headers:?}");
    }
    assert_eq!(browser.get("/alerts").await.status, 200);
    assert_eq!(send(&[("origin", "https://portal.test")]).await.status, 303);
}

#[tokio::test]
async fn nobody_is_sent_elsewhere_after_signing_in() {
    let world = World::new().await;
    world.member(world.acme, "a@acme.test").await;
    for (next, expected) in
        [("/alerts", "/alerts"), ("//evil.test", "/"), ("https://evil.test", "/")]
    {
        let form = [("email", "a@acme.test"), ("password", OWN_PASSWORD), ("next", next)];
        let answer = world.browser().post("/sign-in", &form).await;
        assert_eq!(answer.header("location"), expected);
    }
}

#[tokio::test]
async fn a_fragment_is_told_where_to_go() {
    let world = World::new().await;
    let request = Request::get("/alerts").header("hx-request", "true");
    let request = request.header("accept", "text/html").body(Body::empty()).unwrap();
    let answer = call(&world.portal.router(), request).await;
    assert_eq!(answer.problem(), (401, "sign_in_required".into()));
    assert_eq!(answer.header("hx-redirect"), "/sign-in");
}

#[tokio::test]
async fn secure_cookies_demand_https() {
    let dir = tempfile::tempdir().unwrap();
    let config =
        PortalConfig { secure_cookies: true, ..PortalConfig::new(dir.path().join("data")) };
    let portal = Portal::open_at(config, Clock::fixed(NOW)).await.unwrap();
    let tenant = portal.create_tenant("ACME").await.unwrap();
    let password = portal.create_administrator(tenant, "a@acme.test").await.unwrap();
    let mut browser = crate::world::Browser { router: portal.router(), cookie: String::new() };
    let answer = browser.sign_in("a@acme.test", &password.to_string()).await;
    let cookie = answer.header("set-cookie");
    assert!(
        cookie.starts_with("__Host-session=")
            && cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure")
    );
    assert!(answer.header("strict-transport-security").starts_with("max-age="));
}

#[tokio::test]
async fn the_data_folder_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new().await;
    let mode = |name: &str| {
        let path = world.dir.path().join(name);
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode("data"), mode("data/indicators")), (0o700, 0o700));
    let published = world.publish(world.acme, "evil.test").await;
    assert_eq!(mode(&format!("data/indicators/{}", published.sha256)), 0o600);
}
