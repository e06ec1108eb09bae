//! Every route, called by nobody, by the wrong kind of caller, by the wrong tenant, and by each role. A route
//! without a row here fails.

use axum::body::Body;
use axum::http::{Method, Request};
use bartizan_contract::{BASE_PATH, path};
use bartizan_portal::feeds::{FeedOrigin, settings};
use bartizan_portal::{Access, BuiltIn, routes};

use crate::indicators::{create, upload};
use crate::world::{Browser, Device, OWN_PASSWORD, World, batch, call, json, report};

/// How GLOBEX calls a route for what is ACME's, and what it is to be told.
struct Row {
    method: &'static str,
    pattern: &'static str,
    /// `{sha256}`, `{alert}`, `{upload}`, `{device}`, `{feed}`, `{notice}` and `{report}` (and more) stand for ACME's.
    path: &'static str,
    foreign: u16,
}

const fn row(method: &'static str, pattern: &'static str, foreign: u16) -> Row {
    Row { method, pattern, path: pattern, foreign }
}

const fn at(method: &'static str, pattern: &'static str, path: &'static str, foreign: u16) -> Row {
    Row { method, pattern, path, foreign }
}

const ROWS: &[Row] = &[
    row("GET", "/livez", 200),
    row("GET", "/readyz", 200),
    row("POST", path::ENROLL, 400),
    row("POST", path::TOKEN, 400),
    row("POST", path::CHECKIN, 400),
    row("GET", path::POLICY, 200),
    // GLOBEX has published nothing, and does not see that ACME has.
    row("GET", path::MANIFEST, 404),
    row("GET", "/device/v1/indicators/files/{sha256}", 404),
    row("POST", path::ALERTS, 400),
    row("POST", path::REPORT, 400),
    row("GET", "/assets/{file}", 404),
    row("GET", "/sign-in", 200),
    row("POST", "/sign-in", 422),
    row("GET", "/sign-in/code", 303),
    row("POST", "/sign-in/code", 422),
    row("GET", "/second-factor", 200),
    row("POST", "/second-factor", 422),
    row("POST", "/second-factor/remove", 422),
    row("POST", "/sign-in/find", 404),
    row("GET", "/sign-in/at/{address}", 404),
    row("GET", "/sign-in/at/{address}/go", 404),
    row("GET", "/sign-in/callback", 401),
    row("POST", "/sign-in/back-channel/{address}", 400),
    row("POST", "/sign-out", 303),
    row("GET", "/password", 200),
    row("POST", "/password", 422),
    row("GET", "/", 303),
    row("GET", "/alerts", 200),
    Row { method: "GET", pattern: "/alerts/{id}", path: "/alerts/{alert}", foreign: 404 },
    Row {
        method: "POST",
        pattern: "/alerts/{id}/status",
        path: "/alerts/{alert}/status",
        foreign: 404,
    },
    row("GET", "/incidents", 200),
    at("GET", "/incidents/{id}", "/incidents/{incident}", 404),
    row("GET", "/devices", 200),
    Row { method: "GET", pattern: "/devices/{id}", path: "/devices/{device}", foreign: 404 },
    row("GET", "/feeds", 200),
    row("POST", "/feeds", 422),
    row("GET", "/feeds/new", 200),
    row("POST", "/feeds/compile", 303),
    row("POST", "/feeds/own", 422),
    row("POST", "/feeds/own/remove", 422),
    row("POST", "/feeds/released", 422),
    row("POST", "/feeds/released/remove", 422),
    at("POST", "/feeds/notices/{id}/dismiss", "/feeds/notices/{notice}/dismiss", 404),
    at("POST", "/feeds/reports/{id}", "/feeds/reports/{report}", 422),
    at("GET", "/feeds/{id}", "/feeds/{feed}", 404),
    at("POST", "/feeds/{id}", "/feeds/{feed}", 404),
    at("POST", "/feeds/{id}/update", "/feeds/{feed}/update", 404),
    at("POST", "/feeds/{id}/enabled", "/feeds/{feed}/enabled", 404),
    at("POST", "/feeds/{id}/remove", "/feeds/{feed}/remove", 404),
    at("POST", "/feeds/{id}/upload", "/feeds/{feed}/upload", 404),
    at("POST", "/feeds/{id}/versions/{version}/use", "/feeds/{feed}/versions/1/use", 404),
    row("GET", "/indicators", 200),
    row("POST", "/indicators", 422),
    row("GET", "/indicators/new", 200),
    row("POST", "/indicators/bulk", 400),
    row("GET", "/indicators/export.csv", 200),
    row("GET", "/indicators/import", 200),
    row("POST", "/indicators/import", 400),
    // The upload and the indicator are ACME's.
    Row { method: "GET", pattern: "/indicators/import/{upload}", path: "{upload}", foreign: 404 },
    Row { method: "POST", pattern: "/indicators/import/{upload}", path: "{upload}", foreign: 404 },
    Row { method: "GET", pattern: "/indicators/{id}", path: "/indicators/1", foreign: 404 },
    Row { method: "POST", pattern: "/indicators/{id}", path: "/indicators/1", foreign: 404 },
    row("GET", "/policy", 200),
    row("POST", "/policy", 422),
    at("GET", "/policy/{who}", "/policy/{group}", 404),
    at("POST", "/policy/{who}", "/policy/{group}", 404),
    at("POST", "/policy/{who}/percent", "/policy/{group}/percent", 422),
    at("GET", "/policy/{who}/versions/{number}", "/policy/{group}/versions/1", 404),
    at("GET", "/policy/{who}/file", "/policy/{group}/file?file=plist", 404),
    at("POST", "/devices/{id}", "/devices/{device}", 422),
    at("POST", "/devices/{id}/tags", "/devices/{device}/tags", 422),
    at("GET", "/devices/{id}/remove", "/devices/{device}/remove", 404),
    at("POST", "/devices/{id}/offboard", "/devices/{device}/offboard", 404),
    at("POST", "/devices/{id}/forget", "/devices/{device}/forget", 404),
    row("GET", "/groups", 200),
    row("POST", "/groups", 422),
    row("GET", "/groups/new", 200),
    at("GET", "/groups/{id}", "/groups/{group}", 404),
    at("POST", "/groups/{id}", "/groups/{group}", 404),
    at("POST", "/groups/{id}/rank", "/groups/{group}/rank", 422),
    at("GET", "/groups/{id}/delete", "/groups/{group}/delete", 404),
    at("POST", "/groups/{id}/delete", "/groups/{group}/delete", 404),
    row("GET", "/people", 200),
    row("POST", "/people", 422),
    at("GET", "/people/{id}", "/people/{person}", 404),
    at("POST", "/people/{id}/roles", "/people/{person}/roles", 404),
    at("POST", "/people/{id}/disabled", "/people/{person}/disabled", 404),
    at("POST", "/people/{id}/password", "/people/{person}/password", 404),
    at("POST", "/people/{id}/erase", "/people/{person}/erase", 404),
    at("POST", "/people/{id}/sessions/{session}/end", "/people/{person}/sessions/x/end", 404),
    at("GET", "/people/{id}/sign-in", "/people/{person}/sign-in", 404),
    at("POST", "/people/{id}/break-glass", "/people/{person}/break-glass", 404),
    at("POST", "/people/{id}/second-factor/remove", "/people/{person}/second-factor/remove", 404),
    row("GET", "/sign-in-settings", 200),
    row("POST", "/sign-in-settings", 422),
    row("POST", "/sign-in-settings/rule", 303),
    row("POST", "/sign-in-settings/remove", 404),
    row("GET", "/roles", 200),
    row("POST", "/roles", 422),
    row("GET", "/roles/new", 200),
    at("GET", "/roles/{id}", "/roles/{role}", 404),
    at("POST", "/roles/{id}", "/roles/{role}", 404),
    at("POST", "/roles/{id}/remove", "/roles/{role}/remove", 404),
    row("GET", "/audit", 200),
    row("GET", "/audit/export.jsonl", 200),
    row("GET", "/sessions", 200),
    at("POST", "/sessions/{id}/end", "/sessions/x/end", 404),
    row("GET", "/events", 200),
];

#[tokio::test]
async fn every_route_knows_who_may_call_it() {
    let world = World::new().await;
    let published = world.publish(world.acme, "secret-of-acme.test").await;
    let acme = world.device(world.acme, 1).await;
    assert_eq!(acme.post(path::ALERTS, &batch(0..1)).await.status, 200);
    let alert = world.portal.newest_alerts(world.acme).await.unwrap().remove(0).id;
    let usual = settings::usual("feed of acme", FeedOrigin::Upload);
    let feed = world.portal.add_feed(world.acme, usual).await.unwrap();
    for octets in [&b"evil.test\n"[..], b"<html>"] {
        world.portal.upload_feed(world.acme, feed, octets).await.unwrap();
    }
    let said = acme.post(path::REPORT, &report(1, "feed of acme")).await;
    assert_eq!(said.status, 200);
    let globex = world.device(world.globex, 2).await;
    let mut member = world.member(world.acme, "a@acme.test").await;
    let indicator = create(&mut member, "secret-of-acme.test", "Block").await;
    assert_eq!(indicator.header("location"), "/indicators/1?done=created");
    let upload = upload(&member, "title").await.header("location").to_owned();
    world.member(world.globex, "g@globex.test").await;

    assert_eq!(member.submit("/groups", &[("name", "of acme"), ("do", "save")]).await.status, 303);
    let page = member.get("/groups").await.text();
    let group = page.split("href=\"/groups/").nth(2).unwrap().split('"').next().unwrap();

    let mut browser = world.browser();
    assert_eq!(browser.sign_in("a@acme.test", OWN_PASSWORD).await.status, 303);
    let page = browser.get("/feeds").await.text();
    let notice = page.split("/feeds/notices/").nth(1).unwrap().split('/').next().unwrap();

    let page = browser.get("/incidents").await.text();
    let incident = page.split("href=\"/incidents/").nth(1).unwrap().split('"').next().unwrap();

    let page = browser.get("/people").await.text();
    let person = page.split("href=\"/people/").nth(1).unwrap().split('"').next().unwrap();
    let form = [("name", "Own role"), ("permission", "view-data")];
    assert_eq!(browser.post("/roles", &form).await.status, 303);
    let page = browser.get("/roles").await.text();
    let role_page = page.split("href=\"/roles/").last().unwrap();
    let role_id = role_page.split('"').next().unwrap();

    let mut by_role = Vec::new();
    for role in BuiltIn::ALL {
        let email = format!("{}@globex.test", role.id());
        let password = world.portal.create_member(world.globex, &email, role).await.unwrap();
        let mut browser = world.browser();
        assert_eq!(browser.sign_in(&email, &password.to_string()).await.status, 303);
        by_role.push((role, browser.cookie));
    }

    for (method, pattern, access) in routes() {
        let row = ROWS.iter().find(|row| row.pattern == pattern && row.method == method.as_str());
        let row = row.unwrap_or_else(|| panic!("{method} {pattern} has no row"));
        let path = row
            .path
            .replace("{sha256}", &published.sha256)
            .replace("{alert}", &alert)
            .replace("{upload}", &upload)
            .replace("{device}", &acme.id.to_string())
            .replace("{feed}", &feed.to_string())
            .replace("{group}", group)
            .replace("{incident}", incident)
            .replace("{notice}", notice)
            .replace("{person}", person)
            .replace("{role}", role_id)
            .replace("{report}", &report(1, "").id);

        let nobody = Caller::Nobody.status(&world, method, &path).await;
        let mut browser = world.browser();
        assert_eq!(browser.sign_in("g@globex.test", OWN_PASSWORD).await.status, 303);
        let member = Caller::Member(browser).status(&world, method, &path).await;
        let device = Caller::Device(Box::new(globex.clone())).status(&world, method, &path).await;
        match access {
            Access::Anyone => {}
            Access::Device => {
                assert_eq!((nobody, member), (401, 401), "{method} {pattern}");
                assert_eq!(device, row.foreign, "{method} {pattern}");
            }
            Access::Member => {
                assert_eq!((nobody, device), (401, 401), "{method} {pattern}");
                assert_eq!(member, row.foreign, "{method} {pattern}");
            }
            Access::May(permission) => {
                assert_eq!((nobody, device), (401, 401), "{method} {pattern}");
                assert_eq!(member, row.foreign, "{method} {pattern}");
                for (role, cookie) in &by_role {
                    let browser = Browser { router: world.portal.router(), cookie: cookie.clone() };
                    let status = Caller::Member(browser).status(&world, method, &path).await;
                    let is_let = role.permissions().has(permission);
                    assert_eq!(status != 403, is_let, "{method} {pattern}: {role:?} got {status}");
                }
            }
        }
    }
    assert_eq!(ROWS.len(), routes().count(), "a row without a route");
}

#[tokio::test]
async fn a_device_of_another_tenant_is_not_let_into_this_ones_files() {
    let world = World::new().await;
    let published = world.publish(world.acme, "evil.test").await;
    let path = format!("{}{}", path::INDICATOR_FILE, published.sha256);
    assert_eq!(world.device(world.acme, 1).await.get(&path).await.status, 200);
    let other = world.device(world.globex, 2).await;
    let refused = other.get(&path).await;
    assert_eq!(refused.problem(), (404, "not_found".into()));
    let odd = other.get(&format!("{}%ff", path::INDICATOR_FILE)).await;
    assert_eq!(odd.problem(), (404, "not_found".into()));
}

enum Caller {
    Nobody,
    Member(Browser),
    Device(Box<Device>),
}

impl Caller {
    async fn status(self, world: &World, method: &Method, path: &str) -> u16 {
        let mut request = Request::builder().method(method).uri(path);
        match &self {
            Self::Nobody => {}
            Self::Member(browser) => request = request.header("cookie", &browser.cookie),
            Self::Device(device) => {
                let own =
                    device.request(method.as_str(), path, Some(&device.access_token), Vec::new());
                for name in ["dpop", "authorization"] {
                    request = request.header(name, &own.headers()[name]);
                }
            }
        }
        let request = request.header("host", "portal.test").header("sec-fetch-site", "same-origin");
        let (content_type, body) = match (method == Method::POST, path.starts_with(BASE_PATH)) {
            (false, _) => ("text/plain", Vec::new()),
            (true, true) => ("application/json", json(&"nonsense")),
            (true, false) => ("application/x-www-form-urlencoded", b"status=Resolved".to_vec()),
        };
        let request = request.header("content-type", content_type).body(Body::from(body)).unwrap();
        if path == "/events" {
            // A stream does not end by itself.
            use tower::ServiceExt as _;
            return world.portal.router().oneshot(request).await.unwrap().status().as_u16();
        }
        let answer = call(&world.portal.router(), request).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!text.contains("ACME") && !text.contains("acme"), "{path}: {text}");
        answer.status.as_u16()
    }
}
