//! What holds for every answer: headers, kinds, methods; and what a client cannot make the portal believe.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use bartizan_portal::{Access, Clock, Portal, PortalConfig, routes};

use crate::world::{Answer, NOW, OWN_PASSWORD, World, call};

#[tokio::test]
async fn every_answer_has_the_headers_that_browsers_obey() {
    let dir = tempfile::tempdir().unwrap();
    let config =
        PortalConfig { secure_cookies: true, ..PortalConfig::new(dir.path().join("data")) };
    let portal = Portal::open_at(config, Clock::fixed(NOW)).await.unwrap();
    let router = portal.router();
    for (method, pattern, _) in routes() {
        let answer = ask(&router, method, pattern).await;
        let told = |name: &str| answer.header(name).to_owned();
        let policy = told("content-security-policy");
        for part in ["default-src 'none'", "object-src 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{method} {pattern}: {policy}");
        }
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        assert_eq!(told("strict-transport-security"), "max-age=31536000; includeSubDomains");
        assert_eq!(told("x-content-type-options"), "nosniff");
        assert_eq!(told("referrer-policy"), "no-referrer");
        assert_eq!(told("cross-origin-opener-policy"), "same-origin");
        assert_eq!(told("cross-origin-resource-policy"), "same-origin");
        assert!(told("permissions-policy").contains("geolocation=()"));
        assert!(told("access-control-allow-origin").is_empty(), "{method} {pattern}");
        // Of what it is made is nobody's business.
        assert!(told("server").is_empty() && told("x-powered-by").is_empty());
        // The API's description is of the program and says nothing of anybody.
        if !pattern.starts_with("/assets/") && pattern != "/api/v1/openapi.json" {
            assert_eq!(told("cache-control"), "no-store", "{method} {pattern}");
        }
        let kind = told("content-type");
        assert!(answer.body.is_empty() || !kind.is_empty(), "{method} {pattern}");
        assert!(!kind.starts_with("text/") || kind.contains("charset=utf-8"), "{pattern}: {kind}");
    }
}

#[tokio::test]
async fn what_a_route_does_not_do_is_refused() {
    let world = World::new().await;
    let router = world.portal.router();
    let mut known: BTreeMap<&str, Vec<&Method>> = BTreeMap::new();
    for (method, pattern, _) in routes() {
        known.entry(pattern).or_default().push(method);
    }
    let all =
        [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::TRACE];
    for (pattern, methods) in known {
        for method in all.iter().chain([&Method::OPTIONS]).filter(|one| !methods.contains(one)) {
            let answer = ask(&router, method, pattern).await;
            assert_eq!(answer.status, 405, "{method} {pattern}");
            assert!(!answer.header("allow").is_empty(), "{method} {pattern}");
        }
    }
}

#[tokio::test]
async fn what_a_client_says_of_its_address_is_not_believed() {
    let world = World::new().await;
    world.member(world.acme, "a@acme.test").await;
    let router = world.portal.router();
    for number in 0..6 {
        let request = Request::post("/sign-in")
            .header("host", "portal.test")
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-forwarded-for", format!("203.0.113.{number}"))
            .header("forwarded", format!("for=203.0.113.{number}"))
            .header("x-real-ip", format!("203.0.113.{number}"))
            .body(Body::from("email=a@acme.test&password=wrong"))
            .unwrap();
        let status = call(&router, request).await.status;
        assert_eq!(status, if number < 5 { 401 } else { 429 }, "{number}");
    }
}

#[tokio::test]
async fn a_field_that_comes_twice_is_refused() {
    let world = World::new().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    for form in [
        [("email", "a@acme.test"), ("email", "b@acme.test"), ("password", OWN_PASSWORD)],
        [("email", "a@acme.test"), ("password", "x"), ("password", OWN_PASSWORD)],
    ] {
        let answer = world.browser().post("/sign-in", &form).await;
        assert_eq!(answer.status, 422, "{}", answer.text());
    }
    let twice = browser.post("/sign-out?next=/a&next=/b", &[]).await;
    assert_eq!(twice.header("location"), "/sign-in");
}

#[tokio::test]
async fn nothing_of_a_session_is_left_in_the_browser() {
    let world = World::new().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let gone = browser.post("/sign-out", &[]).await;
    assert_eq!(gone.header("clear-site-data"), "\"cache\"");
    let cookie = gone.header("set-cookie");
    assert!(cookie.starts_with("session=;") && cookie.contains("Max-Age=0"), "{cookie}");
}

#[tokio::test]
async fn a_form_sets_what_it_asks_for_and_nothing_else() {
    let world = World::new().await;
    let mut admin = world.member(world.acme, "a@acme.test").await;
    let more = [
        ("email", "b@acme.test"),
        ("role", "read-only"),
        ("permission", "manage-portal-settings"),
        ("tenant_id", "2"),
        ("break_glass", "yes"),
        ("is_disabled", "yes"),
    ];
    let page = admin.submit("/people", &more).await.text();
    let password = page.split("password <code>").nth(1).unwrap().split('<').next().unwrap();
    let mut reader = world.browser();
    assert_eq!(reader.sign_in("b@acme.test", password).await.status, 303);
    assert_eq!(reader.choose("", OWN_PASSWORD).await.status, 303);
    assert_eq!(reader.get("/alerts").await.status, 200);
    assert_eq!(reader.get("/people").await.status, 403);
}

#[tokio::test]
async fn a_password_counts_as_it_was_typed() {
    let world = World::new().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let long = "Tulpe fliegt sieben Mal um den Turm, und niemand singt dabei mit 1!".to_owned();
    assert_eq!(browser.choose(OWN_PASSWORD, &long).await.status, 303);
    for other in [long.to_lowercase(), long.replace(" mit 1!", ""), format!("{long} ")] {
        let refused = world.browser().sign_in("a@acme.test", &other).await;
        assert_eq!(refused.status, 401, "{other}");
    }
    assert_eq!(world.browser().sign_in("a@acme.test", &long).await.status, 303);
}

#[tokio::test]
async fn passwords_are_hidden_and_may_be_filled_in_by_a_program() {
    let world = World::new().await;
    let browser = world.member(world.acme, "a@acme.test").await;
    for (page, names) in [
        ("/sign-in", &[("password", "current-password")][..]),
        (
            "/password",
            &[("current", "current-password"), ("new", "new-password"), ("repeat", "new-password")],
        ),
    ] {
        let text = browser.get(page).await.text();
        for (name, filled) in names {
            let field = text.split("<input").find(|tag| tag.contains(&format!("name=\"{name}\"")));
            let field = field.unwrap().split('>').next().unwrap();
            assert!(field.contains("type=\"password\""), "{field}");
            assert!(field.contains(&format!("autocomplete=\"{filled}\"")), "{field}");
        }
    }
}

#[tokio::test]
async fn whoever_is_in_can_sign_out_on_every_page() {
    let world = World::new().await;
    let browser = world.member(world.acme, "a@acme.test").await;
    let mut seen = 0;
    for (method, pattern, access) in routes() {
        let for_members = matches!(access, Access::Member | Access::May(_));
        if !for_members || method != Method::GET || pattern.contains('{') || pattern == "/events" {
            continue;
        }
        let answer = browser.get(pattern).await;
        if answer.header("content-type").starts_with("text/html") {
            assert!(answer.text().contains("action=\"/sign-out\""), "{pattern}");
            seen += 1;
        }
    }
    assert!(20 < seen, "{seen}");
}

#[tokio::test]
async fn nobody_is_signed_in_by_a_link_of_another_site() {
    let world = World::new().await;
    let request = Request::get("/sign-in/at/acme/go?next=/devices")
        .header("host", "portal.test")
        .header("sec-fetch-site", "cross-site")
        .body(Body::empty())
        .unwrap();
    let answer = call(&world.portal.router(), request).await;
    assert_eq!(answer.header("location"), "/sign-in/at/acme?next=/devices");
    assert!(answer.header("set-cookie").is_empty());
}

#[test]
fn scripts_make_no_html_and_keep_no_data_in_the_browser() {
    for script in
        [include_str!("../../assets/src/console.js"), include_str!("../../assets/src/theme.js")]
    {
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "postMessage",
            "sessionStorage",
            "indexedDB",
            "document.cookie",
            "\"paste\"",
        ] {
            assert!(!script.contains(word), "{word}");
        }
        // What is kept is how the console looks and which keys it hears.
        for kept in ["remember(", "localStorage.setItem("] {
            for call in script.split(kept).skip(1) {
                let known = ["key", "\"bartizan.keys\"", "\"bartizan.theme\""];
                assert!(known.iter().any(|name| call.starts_with(name)), "{kept}{call:.40}");
            }
        }
    }
}

/// Asks as a browser on the portal's own page, as nobody.
async fn ask(router: &Router, method: &Method, pattern: &str) -> Answer {
    let path: String = pattern
        .split('/')
        .map(|part| if part.starts_with('{') { "1" } else { part })
        .collect::<Vec<_>>()
        .join("/");
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "portal.test")
        .header("sec-fetch-site", "same-origin")
        .body(Body::empty())
        .unwrap();
    call(router, request).await
}
