//! Every route, called by nobody, by the wrong kind of caller, by the wrong tenant, and by each role. A route
//! without a row here fails.

use axum::body::Body;
use axum::http::{Method, Request};
use bartizan_contract::{BASE_PATH, path};
use bartizan_portal::feeds::{FeedOrigin, settings};
use bartizan_portal::{Access, BuiltIn, Duty, Permission, routes};

use crate::applications::client;
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
    row("POST", path::ATTESTATION_CHALLENGE, 404),
    row("POST", path::ENROLL, 400),
    row("POST", path::ENROLLMENT_CODE, 400),
    row("POST", path::TOKEN, 400),
    row("POST", path::CHECKIN, 400),
    row("GET", path::POLICY, 200),
    // GLOBEX has published nothing, and does not see that ACME has.
    row("GET", path::MANIFEST, 404),
    row("GET", "/device/v1/indicators/files/{sha256}", 404),
    row("POST", path::ALERTS, 400),
    row("POST", path::REPORT, 400),
    row("POST", path::FEEDBACK, 400),
    row("GET", path::FEEDBACK, 200),
    row("GET", "/scim/v2/ServiceProviderConfig", 200),
    row("GET", "/scim/v2/ResourceTypes", 200),
    row("GET", "/scim/v2/ResourceTypes/{id}", 404),
    row("GET", "/scim/v2/Schemas", 200),
    row("GET", "/scim/v2/Schemas/{id}", 404),
    row("POST", "/scim/v2/.search", 501),
    row("GET", "/scim/v2/Users", 200),
    row("POST", "/scim/v2/Users", 400),
    at("GET", "/scim/v2/Users/{id}", "/scim/v2/Users/{user}", 404),
    at("PUT", "/scim/v2/Users/{id}", "/scim/v2/Users/{user}", 404),
    at("PATCH", "/scim/v2/Users/{id}", "/scim/v2/Users/{user}", 404),
    at("DELETE", "/scim/v2/Users/{id}", "/scim/v2/Users/{user}", 404),
    row("GET", "/scim/v2/Groups", 200),
    row("POST", "/scim/v2/Groups", 400),
    at("GET", "/scim/v2/Groups/{id}", "/scim/v2/Groups/{user-group}", 404),
    at("PUT", "/scim/v2/Groups/{id}", "/scim/v2/Groups/{user-group}", 404),
    at("PATCH", "/scim/v2/Groups/{id}", "/scim/v2/Groups/{user-group}", 404),
    at("DELETE", "/scim/v2/Groups/{id}", "/scim/v2/Groups/{user-group}", 404),
    row("POST", "/oauth2/token", 401),
    row("GET", "/api/v1/", 200),
    row("GET", "/api/v1/openapi.json", 200),
    row("GET", "/api/v1/me", 200),
    row("GET", "/api/v1/alerts", 200),
    at("GET", "/api/v1/alerts/{alert}", "/api/v1/alerts/{alert}", 404),
    at("PATCH", "/api/v1/alerts/{alert}", "/api/v1/alerts/{alert}", 404),
    at("GET", "/api/v1/alerts/{alert}/history", "/api/v1/alerts/{alert}/history", 404),
    at("GET", "/api/v1/alerts/{alert}/evidence", "/api/v1/alerts/{alert}/evidence", 404),
    row("GET", "/api/v1/incidents", 200),
    at("GET", "/api/v1/incidents/{incident}", "/api/v1/incidents/{incident}", 404),
    row("GET", "/api/v1/devices", 200),
    at("GET", "/api/v1/devices/{device}", "/api/v1/devices/{device}", 404),
    at("PATCH", "/api/v1/devices/{device}", "/api/v1/devices/{device}", 404),
    at("DELETE", "/api/v1/devices/{device}", "/api/v1/devices/{device}", 404),
    at("POST", "/api/v1/devices/{device}/merge", "/api/v1/devices/{device}/merge", 404),
    at("POST", "/api/v1/devices/{device}/offboard", "/api/v1/devices/{device}/offboard", 404),
    at("GET", "/api/v1/devices/{device}/timeline", "/api/v1/devices/{device}/timeline", 404),
    at("GET", "/api/v1/devices/{device}/risk", "/api/v1/devices/{device}/risk", 404),
    row("GET", "/api/v1/device-groups", 200),
    at("GET", "/api/v1/device-groups/{group}", "/api/v1/device-groups/{group}", 404),
    row("GET", "/api/v1/policies", 200),
    at("GET", "/api/v1/policies/{policy}", "/api/v1/policies/{group}", 404),
    at("PUT", "/api/v1/policies/{policy}", "/api/v1/policies/{group}", 404),
    at("GET", "/api/v1/policies/{policy}/versions", "/api/v1/policies/{group}/versions", 404),
    at(
        "GET",
        "/api/v1/policies/{policy}/app-configuration",
        "/api/v1/policies/{group}/app-configuration",
        404,
    ),
    at(
        "GET",
        "/api/v1/policies/{policy}/profiles/{profile}",
        "/api/v1/policies/{group}/profiles/vpn?app=com.example.bartizan",
        404,
    ),
    row("GET", "/api/v1/indicators", 200),
    row("POST", "/api/v1/indicators", 400),
    row("POST", "/api/v1/indicators/import", 400),
    at("GET", "/api/v1/indicators/{indicator}", "/api/v1/indicators/1", 404),
    at("PUT", "/api/v1/indicators/{indicator}", "/api/v1/indicators/1", 404),
    at("DELETE", "/api/v1/indicators/{indicator}", "/api/v1/indicators/1", 404),
    row("GET", "/api/v1/feeds", 200),
    at("GET", "/api/v1/feeds/{feed}", "/api/v1/feeds/{feed}", 404),
    at("POST", "/api/v1/feeds/{feed}/update", "/api/v1/feeds/{feed}/update", 404),
    row("GET", "/api/v1/audit", 200),
    row("POST", "/api/v1/intake/ocsf", 422),
    row("POST", "/api/v1/intake/defender", 422),
    row("POST", "/api/v1/intake/webhook", 400),
    row("GET", "/assets/{file}", 404),
    row("GET", "/sign-in", 200),
    row("POST", "/sign-in", 422),
    row("GET", "/sign-in/code", 303),
    row("POST", "/sign-in/code", 422),
    row("GET", "/second-factor", 200),
    row("POST", "/second-factor", 422),
    row("POST", "/second-factor/remove", 422),
    row("POST", "/sign-in/code/question", 401),
    row("POST", "/sign-in/code/passkey", 422),
    row("POST", "/sign-in/passkey/question", 409),
    row("POST", "/sign-in/passkey", 422),
    row("GET", "/passkeys", 200),
    row("POST", "/passkeys", 422),
    row("POST", "/passkeys/question", 403),
    row("POST", "/passkeys/confirm", 422),
    row("POST", "/passkeys/confirm/question", 409),
    at("POST", "/passkeys/{id}/name", "/passkeys/{person}/name", 422),
    at("POST", "/passkeys/{id}/remove", "/passkeys/{person}/remove", 403),
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
    row("POST", "/alerts/bulk", 422),
    row("GET", "/alerts/jobs", 200),
    at("GET", "/alerts/jobs/{id}", "/alerts/jobs/{job}", 404),
    at("POST", "/alerts/jobs/{id}/cancel", "/alerts/jobs/{job}/cancel", 404),
    at("GET", "/alerts/jobs/{id}/results.csv", "/alerts/jobs/{job}/results.csv", 404),
    Row { method: "GET", pattern: "/alerts/{id}", path: "/alerts/{alert}", foreign: 404 },
    Row {
        method: "POST",
        pattern: "/alerts/{id}/status",
        path: "/alerts/{alert}/status",
        foreign: 404,
    },
    row("GET", "/overview", 200),
    row("GET", "/incidents", 200),
    at("GET", "/incidents/{id}", "/incidents/{incident}", 404),
    at("POST", "/incidents/{id}/title", "/incidents/{incident}/title", 404),
    at("POST", "/incidents/{id}/merge", "/incidents/{incident}/merge", 404),
    at("POST", "/incidents/{id}/split", "/incidents/{incident}/split", 404),
    row("GET", "/detectors", 200),
    row("POST", "/detectors", 303),
    row("GET", "/suppressions", 200),
    row("POST", "/suppressions", 422),
    row("GET", "/suppressions/new", 200),
    at("GET", "/suppressions/{id}", "/suppressions/{rule}", 404),
    at("POST", "/suppressions/{id}", "/suppressions/{rule}", 404),
    at("POST", "/suppressions/{id}/end", "/suppressions/{rule}/end", 404),
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
    at("GET", "/devices/{id}/risk", "/devices/{device}/risk", 404),
    at("GET", "/devices/{id}/merge", "/devices/{device}/merge", 404),
    at("POST", "/devices/{id}/merge", "/devices/{device}/merge", 422),
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
    row("GET", "/users", 200),
    row("POST", "/users", 422),
    row("GET", "/users/new", 200),
    at("GET", "/users/{id}", "/users/{user}", 404),
    at("POST", "/users/{id}", "/users/{user}", 404),
    at("POST", "/users/{id}/active", "/users/{user}/active", 404),
    at("POST", "/users/{id}/erase", "/users/{user}/erase", 404),
    row("GET", "/user-groups", 200),
    row("POST", "/user-groups", 422),
    at("GET", "/user-groups/{id}", "/user-groups/{user-group}", 404),
    at("POST", "/user-groups/{id}", "/user-groups/{user-group}", 404),
    at("POST", "/user-groups/{id}/members", "/user-groups/{user-group}/members", 404),
    at("POST", "/user-groups/{id}/delete", "/user-groups/{user-group}/delete", 404),
    at("POST", "/users/{id}/license", "/users/{user}/license", 404),
    at("POST", "/user-groups/{id}/license", "/user-groups/{user-group}/license", 404),
    row("GET", "/licenses", 200),
    row("POST", "/licenses/seats", 422),
    row("POST", "/licenses/enforced", 422),
    row("GET", "/enroll", 200),
    row("GET", "/enrollment", 200),
    row("POST", "/enrollment/codes", 422),
    row("POST", "/enrollment/rules", 422),
    row("GET", "/directory", 200),
    row("POST", "/directory", 422),
    at("POST", "/directory/{id}/revoke", "/directory/{user}/revoke", 404),
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
    at("POST", "/people/{id}/passkeys/remove", "/people/{person}/passkeys/remove", 404),
    row("GET", "/sign-in-settings", 200),
    row("POST", "/sign-in-settings", 422),
    row("POST", "/sign-in-settings/rule", 303),
    row("POST", "/sign-in-settings/remove", 404),
    row("POST", "/sign-in-settings/operators", 303),
    row("GET", "/roles", 200),
    row("POST", "/roles", 422),
    row("GET", "/roles/new", 200),
    at("GET", "/roles/{id}", "/roles/{role}", 404),
    at("POST", "/roles/{id}", "/roles/{role}", 404),
    at("POST", "/roles/{id}/remove", "/roles/{role}/remove", 404),
    row("GET", "/applications", 200),
    row("POST", "/applications", 422),
    row("GET", "/applications/new", 200),
    at("GET", "/applications/{id}", "/applications/{application}", 404),
    at("POST", "/applications/{id}", "/applications/{application}", 404),
    at("POST", "/applications/{id}/disabled", "/applications/{application}/disabled", 404),
    at("POST", "/applications/{id}/secrets", "/applications/{application}/secrets", 404),
    at("POST", "/applications/{id}/keys", "/applications/{application}/keys", 404),
    at(
        "POST",
        "/applications/{id}/credentials/{credential}/remove",
        "/applications/{application}/credentials/{application}/remove",
        404,
    ),
    row("GET", "/audit", 200),
    row("GET", "/audit/export.jsonl", 200),
    row("GET", "/retention", 200),
    row("POST", "/retention", 422),
    row("GET", "/feedback", 200),
    row("POST", "/feedback", 422),
    row("GET", "/feedback/new", 200),
    at("GET", "/feedback/{id}", "/feedback/{feedback}", 404),
    at("GET", "/feedback/{id}/logs", "/feedback/{feedback}/logs", 404),
    at("POST", "/feedback/{id}/status", "/feedback/{feedback}/status", 422),
    at("POST", "/feedback/{id}/reply", "/feedback/{feedback}/reply", 422),
    row("GET", "/sinks", 200),
    row("POST", "/sinks", 422),
    row("GET", "/sinks/new", 200),
    at("GET", "/sinks/{id}", "/sinks/{sink}", 404),
    at("POST", "/sinks/{id}", "/sinks/{sink}", 404),
    at("POST", "/sinks/{id}/paused", "/sinks/{sink}/paused", 422),
    at("POST", "/sinks/{id}/test", "/sinks/{sink}/test", 404),
    at("POST", "/sinks/{id}/rotate", "/sinks/{sink}/rotate", 404),
    at("POST", "/sinks/{id}/replay", "/sinks/{sink}/replay", 404),
    at("POST", "/sinks/{id}/discard", "/sinks/{sink}/discard", 404),
    at("POST", "/sinks/{id}/remove", "/sinks/{sink}/remove", 404),
    row("GET", "/sessions", 200),
    at("POST", "/sessions/{id}/end", "/sessions/x/end", 404),
    row("GET", "/events", 200),
    // No tenant's member, device, directory or application is an operator.
    row("GET", "/operator", 303),
    row("GET", "/operator/sign-in", 200),
    row("POST", "/operator/sign-in", 422),
    row("GET", "/operator/sign-in/code", 303),
    row("POST", "/operator/sign-in/code", 422),
    row("POST", "/operator/sign-in/code/question", 401),
    row("POST", "/operator/sign-in/code/passkey", 422),
    row("POST", "/operator/sign-in/passkey/question", 409),
    row("POST", "/operator/sign-in/passkey", 422),
    row("POST", "/operator/sign-out", 401),
    row("POST", "/operator/leave", 401),
    row("GET", "/operator/password", 401),
    row("POST", "/operator/password", 401),
    row("GET", "/operator/second-factor", 401),
    row("POST", "/operator/second-factor", 401),
    row("GET", "/operator/passkeys", 401),
    row("POST", "/operator/passkeys", 401),
    row("POST", "/operator/passkeys/question", 401),
    row("POST", "/operator/passkeys/confirm", 401),
    row("POST", "/operator/passkeys/confirm/question", 401),
    at("POST", "/operator/passkeys/{id}/name", "/operator/passkeys/{person}/name", 401),
    at("POST", "/operator/passkeys/{id}/remove", "/operator/passkeys/{person}/remove", 401),
    row("GET", "/operator/sessions", 401),
    at("POST", "/operator/sessions/{id}/end", "/operator/sessions/x/end", 401),
    row("GET", "/operator/tenants", 401),
    row("POST", "/operator/tenants", 401),
    row("GET", "/operator/tenants/new", 401),
    at("GET", "/operator/tenants/{id}", "/operator/tenants/1", 401),
    at("POST", "/operator/tenants/{id}/enter", "/operator/tenants/1/enter", 401),
    at("POST", "/operator/tenants/{id}/rename", "/operator/tenants/1/rename", 401),
    at("POST", "/operator/tenants/{id}/suspend", "/operator/tenants/1/suspend", 401),
    at("POST", "/operator/tenants/{id}/resume", "/operator/tenants/1/resume", 401),
    at("POST", "/operator/tenants/{id}/delete", "/operator/tenants/1/delete", 401),
    row("GET", "/operator/operators", 401),
    row("POST", "/operator/operators", 401),
    at("GET", "/operator/operators/{id}", "/operator/operators/{person}", 401),
    at("POST", "/operator/operators/{id}/grants", "/operator/operators/{person}/grants", 401),
    at(
        "POST",
        "/operator/operators/{id}/grants/remove",
        "/operator/operators/{person}/grants/remove",
        401,
    ),
    at("POST", "/operator/operators/{id}/disabled", "/operator/operators/{person}/disabled", 401),
    at("POST", "/operator/operators/{id}/password", "/operator/operators/{person}/password", 401),
    at(
        "POST",
        "/operator/operators/{id}/second-factor/remove",
        "/operator/operators/{person}/second-factor/remove",
        401,
    ),
    at(
        "POST",
        "/operator/operators/{id}/passkeys/remove",
        "/operator/operators/{person}/passkeys/remove",
        401,
    ),
    at("POST", "/operator/operators/{id}/remove", "/operator/operators/{person}/remove", 401),
    row("GET", "/operator/audit", 401),
    row("GET", "/operator/audit/export.jsonl", 401),
];

/// Neither a user nor a group, but a change of either.
const NO_OPERATIONS: &[u8] = br#"{"Operations":[{"op":"add","value":{}}]}"#;

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
    let feedback = crate::feedback::say(&acme, 1).await;
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

    let form = [("id", alert.as_str()), ("tag", "of acme")];
    let asked = browser.submit("/alerts/bulk", &form).await;
    let job = asked.header("location").rsplit('/').next().unwrap().to_owned();

    let form = [("scope", "all"), ("reason", "of acme"), ("never", "yes"), ("do", "save")];
    assert_eq!(browser.submit("/suppressions", &form).await.status, 303);
    let page = browser.get("/suppressions").await.text();
    let rule = page.split("data-row=\"").nth(1).unwrap().split('"').next().unwrap();

    let page = browser.get("/people").await.text();
    let person = page.split("href=\"/people/").nth(1).unwrap().split('"').next().unwrap();
    let form = [("name", "Own role"), ("permission", "view-data")];
    assert_eq!(browser.post("/roles", &form).await.status, 303);
    let page = browser.get("/roles").await.text();
    let role_page = page.split("href=\"/roles/").last().unwrap();
    let role_id = role_page.split('"').next().unwrap();

    let (user, user_group) = crate::scim::resources(&world, world.acme).await;
    let directory = crate::scim::token(&world, world.globex).await;
    let form = [("name", "Own"), ("permission", "view-data"), ("expires", "2030-01-01")];
    let made = browser.submit("/applications", &form).await;
    let application = made.header("location").split(['/', '?']).nth(2).unwrap();
    let sink = crate::sinks::webhook(&mut browser, "https://hooks.example/x").await;

    let mut by_role = Vec::new();
    for role in BuiltIn::ALL {
        let email = format!("{}@globex.test", role.id());
        let password = world.portal.create_member(world.globex, &email, role).await.unwrap();
        let mut browser = world.browser();
        assert_eq!(browser.sign_in(&email, &password.to_string()).await.status, 303);
        by_role.push((role, browser.cookie));
    }

    let mut browser = world.browser();
    assert_eq!(browser.sign_in("g@globex.test", OWN_PASSWORD).await.status, 303);
    let words = Permission::ALL.map(Permission::word);
    let client = client(&mut browser, "Everything", &words).await;
    let everything = world.api(&client).await;
    let mut signed_in = browser.cookie;
    let mut by_scope = Vec::new();
    for scope in Permission::ALL {
        let reply = world.ask(&client, &[("scope", scope.word())]).await;
        let reply: serde_json::Value = reply.json();
        by_scope.push((scope, reply["access_token"].as_str().unwrap().to_owned()));
    }

    let analyst = crate::operators::operator(&world, "ana", false).await.cookie;
    let leaving = crate::operators::operator(&world, "ann", false).await.cookie;

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
            .replace("{job}", &job)
            .replace("{rule}", rule)
            .replace("{notice}", notice)
            .replace("{sink}", &sink)
            .replace("{feedback}", &feedback)
            .replace("{person}", person)
            .replace("{role}", role_id)
            .replace("{user}", &user)
            .replace("{user-group}", &user_group)
            .replace("{application}", application)
            .replace("{report}", &report(1, "").id);

        let nobody = Caller::Nobody.status(&world, method, &path).await;
        let mut browser = Browser { router: world.portal.router(), cookie: signed_in.clone() };
        // The last route may have ended the session.
        if browser.get("/feedback/new").await.status != 200 {
            assert_eq!(browser.sign_in("g@globex.test", OWN_PASSWORD).await.status, 303);
            signed_in.clone_from(&browser.cookie);
        }
        let member = Caller::Member(browser).status(&world, method, &path).await;
        let device = Caller::Device(Box::new(globex.clone())).status(&world, method, &path).await;
        match access {
            Access::Anyone => {}
            Access::Device => {
                assert_eq!((nobody, member), (401, 401), "{method} {pattern}");
                assert_eq!(device, row.foreign, "{method} {pattern}");
            }
            Access::Directory => {
                assert_eq!((nobody, member, device), (401, 401, 401), "{method} {pattern}");
                let directory = Caller::Directory(directory.clone());
                let status = directory.status(&world, method, &path).await;
                assert_eq!(status, row.foreign, "{method} {pattern}");
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
            Access::Operator(duty) => {
                assert_eq!((nobody, member, device), (401, 401, 401), "{method} {pattern}");
                let directory = Caller::Directory(directory.clone());
                let program = Caller::Application(everything.clone());
                for other in [directory, program] {
                    assert_eq!(other.status(&world, method, &path).await, 401, "{pattern}");
                }
                // An analyst who was let in nowhere sees no organization, and administers nothing.
                let cookie = if pattern.ends_with("sign-out") { &leaving } else { &analyst };
                let browser = Browser { router: world.portal.router(), cookie: cookie.clone() };
                let status = Caller::Member(browser).status(&world, method, &path).await;
                // A passkey of one's own is added and removed by whoever has shown anew that it is they.
                let asks_anew = pattern.starts_with("/operator/passkeys");
                let is_refused = status == 403 && !asks_anew;
                assert_eq!(is_refused, duty == Duty::Administer, "{pattern}: {status}");
                let is_tenants = path.contains("/tenants/1");
                assert!(!is_tenants || [403, 404, 422].contains(&status), "{pattern}: {status}");
            }
            Access::Api(permission) => {
                assert_eq!((nobody, member, device), (401, 401, 401), "{method} {pattern}");
                let all = Caller::Application(everything.clone()).status(&world, method, &path);
                assert_eq!(all.await, row.foreign, "{method} {pattern}");
                for (scope, token) in &by_scope {
                    let caller = Caller::Application(token.clone());
                    let status = caller.status(&world, method, &path).await;
                    let is_let = *scope == permission;
                    assert_eq!(status != 403, is_let, "{method} {pattern}: {scope:?} got {status}");
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
    Directory(String),
    /// An access token.
    Application(String),
}

impl Caller {
    async fn status(self, world: &World, method: &Method, path: &str) -> u16 {
        let path = path.to_owned();
        let mut request = Request::builder().method(method).uri(&path);
        match &self {
            Self::Nobody => {}
            Self::Member(browser) => request = request.header("cookie", &browser.cookie),
            Self::Directory(token) => {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            Self::Application(token) => {
                request = request.header("authorization", format!("Bearer {token}"));
                request = request.header("if-match", "*");
            }
            Self::Device(device) => {
                let own =
                    device.request(method.as_str(), &path, Some(&device.access_token), Vec::new());
                for name in ["dpop", "authorization"] {
                    request = request.header(name, &own.headers()[name]);
                }
            }
        }
        let request = request.header("host", "portal.test").header("sec-fetch-site", "same-origin");
        let for_api = match path.as_str() {
            path if path.ends_with("/merge") => {
                r#"{"into":"00000000-0000-0000-0000-000000000001"}"#
            }
            path if path.contains("/policies/") => r#"{"settings":{}}"#,
            path if path.contains("/indicators/1") => r#"{"action":"Block","title":"x"}"#,
            _ => "{}",
        };
        let (content_type, body) = match (method == Method::POST, path.starts_with(BASE_PATH)) {
            _ if path.starts_with("/scim/") => ("application/scim+json", NO_OPERATIONS.into()),
            (_, _) if path.starts_with("/api/") => ("application/json", for_api.into()),
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
