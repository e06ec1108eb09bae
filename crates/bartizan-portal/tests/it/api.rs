//! `/api/v1` as a program sees it.

use axum::body::Body;
use axum::http::Request;
use bartizan_contract::path;
use serde_json::{Value, json};

use crate::applications::{Client, client};
use crate::world::{Answer, Browser, Device, World, batch, call};

/// A portal with ACME's administrator, its device with some alerts, and its program.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) browser: Browser,
    pub(crate) device: Device,
    pub(crate) client: Client,
    pub(crate) token: String,
}

impl Stage {
    pub(crate) async fn new(alerts: u32) -> Self {
        let world = World::new().await;
        let device = world.device(world.acme, 1).await;
        for number in 0..alerts {
            world.advance(1_000);
            assert_eq!(device.post(path::ALERTS, &batch(number..number + 1)).await.status, 200);
        }
        let mut browser = world.member(world.acme, "a@acme.test").await;
        let words = bartizan_portal::Permission::ALL.map(bartizan_portal::Permission::word);
        let client = client(&mut browser, "SIEM", &words).await;
        let token = world.api(&client).await;
        Self { world, browser, device, client, token }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.send("GET", path, &[], Value::Null).await.json()
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "portal.test")
            .header("authorization", format!("Bearer {}", self.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut octets = Vec::new();
        if !body.is_null() {
            request = request.header("content-type", "application/json");
            octets = body.to_string().into_bytes();
        }
        call(&self.world.portal.router(), request.body(Body::from(octets)).unwrap()).await
    }
}

impl World {
    /// Asks for an access token.
    pub(crate) async fn api(&self, client: &Client) -> String {
        let reply: Value = self.ask(client, &[]).await.json();
        reply["access_token"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn alerts_are_listed_page_by_page_in_the_order_that_is_asked_for() {
    let stage = Stage::new(5).await;
    for sort in ["-last_seen_at", "last_seen_at", "-updated_at", "updated_at"] {
        let mut hosts = Vec::new();
        let mut place = String::new();
        loop {
            let page = stage.get(&format!("/api/v1/alerts?limit=2&sort={sort}{place}")).await;
            let items = page["items"].as_array().unwrap();
            hosts.extend(items.iter().map(|item| item["host"].as_str().unwrap().to_owned()));
            let Some(next) = page["next"].as_str() else { break };
            place = format!("&after={next}");
        }
        let mut expected = ["h0.test", "h1.test", "h2.test", "h3.test", "h4.test"];
        if sort.starts_with('-') {
            expected.reverse();
        }
        assert_eq!(hosts, expected, "{sort}");
    }
    let none = stage.get("/api/v1/alerts?severity=High&status=Unresolved").await;
    assert_eq!(none, json!({ "items": [], "next": null }));
    let id = stage.device.id;
    assert_eq!(items(&stage.get(&format!("/api/v1/alerts?device={id}")).await), 5);

    // A place in one list is none in another.
    let page = stage.get("/api/v1/alerts?limit=2").await;
    let next = page["next"].as_str().unwrap();
    for path in [
        format!("/api/v1/alerts?sort=updated_at&after={next}"),
        format!("/api/v1/devices?after={next}"),
        "/api/v1/alerts?after=x".to_owned(),
    ] {
        let refused = stage.send("GET", &path, &[], Value::Null).await;
        assert_eq!(refused.problem().0, 422, "{path}");
    }
}

#[tokio::test]
async fn a_triage_is_made_of_the_state_that_the_caller_has_seen() {
    let mut stage = Stage::new(1).await;
    let list = stage.get("/api/v1/alerts").await;
    let path = format!("/api/v1/alerts/{}", list["items"][0]["id"].as_str().unwrap());
    let seen = stage.send("GET", &path, &[], Value::Null).await;
    let tag = seen.header("etag").to_owned();
    let resolve = json!({
        "status": "Resolved", "classification": "TruePositive", "determination": "Phishing",
        "assigned_to": "a@acme.test", "comment": "Seen by the SIEM.",
    });
    assert_eq!(stage.send("PATCH", &path, &[], resolve.clone()).await.problem().0, 428);
    for odd in ["", &"x".repeat(201)] {
        let odd = [("if-match", odd)];
        assert_eq!(stage.send("PATCH", &path, &odd, resolve.clone()).await.problem().0, 400);
    }
    let stale = [("if-match", "\"other\"")];
    assert_eq!(stage.send("PATCH", &path, &stale, resolve.clone()).await.problem().0, 412);
    let right = [("if-match", tag.as_str())];
    let done = stage.send("PATCH", &path, &right, resolve.clone()).await;
    let alert: Value = done.json();
    assert_eq!(
        (&alert["status"], &alert["determination"]),
        (&"Resolved".into(), &"Phishing".into())
    );
    assert_eq!(alert["assigned_to"], "a");
    assert_eq!(alert["status_by"], Value::Null);
    assert_ne!(done.header("etag"), tag);
    assert_eq!(stage.send("PATCH", &path, &right, resolve).await.problem().0, 412, "a second time");
    let any = [("if-match", "*")];
    for (body, status) in [
        (json!({ "assigned_to": null }), 200),
        (json!({}), 200),
        (json!({ "classification": "TruePositive" }), 422),
        (json!({ "classification": "FalsePositive", "determination": "Phishing" }), 422),
        (json!({ "assigned_to": "nobody@acme.test" }), 422),
        (json!({ "status": "Done" }), 400),
        (json!({ "else": 1 }), 400),
        (json!([]), 400),
    ] {
        let answer = stage.send("PATCH", &path, &any, body.clone()).await;
        assert_eq!(answer.status, status, "{body}");
    }
    let history = stage.get(&format!("{path}/history")).await;
    let by: Vec<_> = history["items"].as_array().unwrap().iter().map(|it| &it["by"]).collect();
    assert_eq!(by, ["SIEM"; 5], "{history}");
    assert!(
        stage.browser.get(&path.replace("/api/v1", "")).await.text().contains("Seen by the SIEM")
    );
    let audit = stage.get("/api/v1/audit?action=alert.status&actor=application").await;
    assert_eq!(items(&audit), 1);
    let log = stage.browser.get("/audit").await.text();
    assert!(log.contains("An application"), "{log}");
    let _ = &mut stage;
}

#[tokio::test]
async fn of_changes_of_one_state_at_the_same_time_one_is_made() {
    let stage = Stage::new(1).await;
    let list = stage.get("/api/v1/alerts").await;
    let path = format!("/api/v1/alerts/{}", list["items"][0]["id"].as_str().unwrap());
    let seen = stage.send("GET", &path, &[], Value::Null).await;
    let right = [("if-match", seen.header("etag"))];
    let change = |status: &str| stage.send("PATCH", &path, &right, json!({ "status": status }));
    let (one, other) = tokio::join!(change("Resolved"), change("InProgress"));
    let mut told = [one.status.as_u16(), other.status.as_u16()];
    told.sort_unstable();
    assert_eq!(told, [200, 412]);
}

#[tokio::test]
async fn devices_are_described_taken_out_and_forgotten() {
    let stage = Stage::new(1).await;
    let path = format!("/api/v1/devices/{}", stage.device.id);
    let any = [("if-match", "*")];
    let body = json!({ "owner": "P@acme.test", "value": "High", "tags": ["b", "a"] });
    let device: Value = stage.send("PATCH", &path, &any, body).await.json();
    assert_eq!((&device["owner"], &device["value"]), (&"p@acme.test".into(), &"High".into()));
    assert_eq!(device["tags"], json!(["a", "b"]));
    assert_eq!(device["risk"], "Informational");
    let device: Value =
        stage.send("PATCH", &path, &any, json!({ "tags": ["b", "c"] })).await.json();
    assert_eq!((&device["tags"], &device["value"]), (&json!(["b", "c"]), &"High".into()));
    let device: Value = stage.send("PATCH", &path, &any, json!({ "owner": null })).await.json();
    assert_eq!(device["owner"], Value::Null);
    for body in [json!({ "owner": "nobody" }), json!({ "tags": [" a"] })] {
        assert_eq!(stage.send("PATCH", &path, &any, body.clone()).await.problem().0, 422, "{body}");
    }
    for (query, many) in [
        ("tag=c&name=pho", 1),
        ("risk=Informational", 1),
        ("risk=High", 0),
        ("health=never&os=iOS", 1),
        ("health=inactive", 0),
        ("os_version=18.1&app_version=0.1.0", 1),
        ("os_version=18.2", 0),
        ("app_version=9", 0),
        ("group=00000000-0000-7000-8000-000000000000", 0),
    ] {
        let listed = stage.get(&format!("/api/v1/devices?{query}")).await;
        assert_eq!(items(&listed), many, "{query}: {listed}");
    }
    for (query, status) in
        [("risk=Worst", 400), ("health=well", 400), ("health=never&protection=on", 422)]
    {
        let path = format!("/api/v1/devices?{query}");
        assert_eq!(stage.send("GET", &path, &[], Value::Null).await.problem().0, status, "{query}");
    }
    assert_eq!(items(&stage.get("/api/v1/devices?tag=a").await), 0);
    let timeline = stage.get(&format!("{path}/timeline?limit=3")).await;
    assert_eq!(timeline["items"][0]["actor"], "application SIEM");
    let next = timeline["next"].as_str().unwrap();
    assert!(0 < items(&stage.get(&format!("{path}/timeline?limit=3&after={next}")).await));
    assert_eq!(items(&stage.get(&format!("{path}/risk")).await), 1);

    let out: Value = stage.send("POST", &format!("{path}/offboard"), &[], Value::Null).await.json();
    assert!(out["offboarded_at_ms"].is_u64());
    assert_eq!(stage.send("DELETE", &path, &[], Value::Null).await.status, 204);
    assert_eq!(stage.send("DELETE", &path, &[], Value::Null).await.problem().0, 404);
    let actions =
        ["device.describe", "device.tag", "device.untag", "device.offboard", "device.forget"];
    for action in actions {
        let audit = stage.get(&format!("/api/v1/audit?action={action}")).await;
        assert_eq!(audit["items"][0]["actor"]["kind"], "application", "{action}");
    }
}

#[tokio::test]
async fn an_earlier_record_is_merged_into_the_one_that_is_kept() {
    let stage = Stage::new(2).await;
    let kept = stage.world.device(stage.world.acme, 9).await;
    let one = |id: &bartizan_model::DeviceId| format!("/api/v1/devices/{id}");
    let path = one(&stage.device.id);
    for id in [&stage.device.id, &kept.id] {
        let body = json!({ "owner": "p@acme.test" });
        assert_eq!(stage.send("PATCH", &one(id), &[("if-match", "*")], body).await.status, 200);
    }
    let likely = "/api/v1/devices?likely_duplicate=true";
    assert_eq!(items(&stage.get(likely).await), 2);

    let merge = async |into: String, tag: &str| {
        let body = json!({ "into": into });
        stage.send("POST", &format!("{path}/merge"), &[("if-match", tag)], body).await
    };
    let unguarded =
        stage.send("POST", &format!("{path}/merge"), &[], json!({ "into": path })).await;
    assert!([400, 428].contains(&unguarded.problem().0));
    assert_eq!(merge(kept.id.to_string(), "\"other\"").await.problem().0, 412);
    assert_eq!(merge(stage.device.id.to_string(), "*").await.problem().0, 409);
    let foreign = stage.world.device(stage.world.globex, 8).await;
    assert_eq!(merge(foreign.id.to_string(), "*").await.problem().0, 404);
    let merged: Value = merge(kept.id.to_string(), "*").await.json();
    assert_eq!(merged["id"], kept.id.to_string());
    assert_eq!(merged["unresolved"]["informational"], 2);
    let earlier = stage.get(&path).await;
    assert!(earlier["offboarded_at_ms"].is_u64());
    assert_eq!(earlier["unresolved"]["informational"], 0);
    assert_eq!(stage.device.get(path::POLICY).await.problem().1, "device_offboarded");
    let history = stage.get(&format!("{path}/risk?limit=1")).await;
    assert_eq!(history["items"][0]["risk"], "None");
    let next = history["next"].as_str().unwrap();
    let history = stage.get(&format!("{path}/risk?limit=1&after={next}")).await;
    assert_eq!(history["items"][0]["risk"], "Informational");
    assert_eq!(items(&stage.get(likely).await), 0);
    let audit = stage.get("/api/v1/audit?action=device.merge").await;
    assert_eq!(items(&audit), 1);
}

#[tokio::test]
async fn indicators_are_added_once_changed_and_removed() {
    let stage = Stage::new(0).await;
    let new = json!({ "value": "Evil.test", "action": "Block", "title": "Evil" });
    let key = [("idempotency-key", "k1")];
    let made = stage.send("POST", "/api/v1/indicators", &key, new.clone()).await;
    assert_eq!((made.status.as_u16(), made.header("location")), (201, "/api/v1/indicators/1"));
    let again = stage.send("POST", "/api/v1/indicators", &key, new.clone()).await;
    assert_eq!((again.status, &again.body), (made.status, &made.body));
    assert_eq!(again.header("etag"), made.header("etag"));
    let other = json!({ "value": "other.test", "action": "Block", "title": "Evil" });
    let reused = stage.send("POST", "/api/v1/indicators", &key, other).await;
    assert_eq!(reused.problem(), (422, "idempotency_key_reused".into()));
    let second = [("idempotency-key", "k2")];
    for _ in 0..2 {
        let there = stage.send("POST", "/api/v1/indicators", &second, new.clone()).await;
        assert_eq!(there.problem(), (409, "conflict".into()));
    }
    let unfit = json!({ "value": "no good", "action": "Block", "title": "Evil" });
    assert_eq!(stage.send("POST", "/api/v1/indicators", &[], unfit).await.problem().0, 422);

    let rule =
        json!({ "action": "Warn", "title": "Less evil", "expires_at_ms": 1_900_000_000_000_u64 });
    let tag = made.header("etag").to_owned();
    let right = [("if-match", tag.as_str())];
    let changed: Value =
        stage.send("PUT", "/api/v1/indicators/1", &right, rule.clone()).await.json();
    assert_eq!((&changed["action"], &changed["value"]), (&"Warn".into(), &"evil.test".into()));
    assert_eq!(changed["expires_at_ms"], 1_900_000_000_000_u64);
    assert_eq!(stage.send("PUT", "/api/v1/indicators/1", &right, rule).await.problem().0, 412);

    let several = json!({ "items": [
        { "value": "evil.test", "action": "Allowed", "title": "Good" },
        { "value": "192.0.2.0/24", "action": "Block", "title": "Net", "severity": "High" },
    ]});
    let done: Value = stage.send("POST", "/api/v1/indicators/import", &[], several).await.json();
    assert_eq!(done, json!({ "created": 1, "changed": 1 }));
    assert_eq!(items(&stage.get("/api/v1/indicators?action=Allowed&state=active").await), 1);
    assert_eq!(stage.send("DELETE", "/api/v1/indicators/1", &[], Value::Null).await.status, 204);
    assert_eq!(items(&stage.get("/api/v1/indicators").await), 1);
}

#[tokio::test]
async fn policies_are_read_and_given_versions() {
    let stage = Stage::new(0).await;
    let list = stage.get("/api/v1/policies").await;
    assert_eq!(list["items"][0]["policy"], "all");
    let seen = stage.send("GET", "/api/v1/policies/all", &[], Value::Null).await;
    let tag = seen.header("etag").to_owned();
    let right = [("if-match", tag.as_str())];
    let new = json!({ "settings": { "WebProtection": false }, "note": "Test", "percent": 50 });
    let put: Value = stage.send("PUT", "/api/v1/policies/all", &right, new.clone()).await.json();
    assert_eq!(
        (&put["settings"], &put["percent"]),
        (&json!({ "WebProtection": false }), &50.into())
    );
    assert_eq!(stage.send("PUT", "/api/v1/policies/all", &right, new).await.problem().0, 412);
    let odd = json!({ "settings": { "NoSuchKey": 1 } });
    let any = [("if-match", "*")];
    assert_eq!(stage.send("PUT", "/api/v1/policies/all", &any, odd).await.problem().0, 422);
    let versions = stage.get("/api/v1/policies/all/versions?limit=1").await;
    assert_eq!(versions["items"][0]["changed_by"], "application SIEM");
    let next = versions["next"].as_str().unwrap();
    let older = stage.get(&format!("/api/v1/policies/all/versions?limit=1&after={next}")).await;
    assert_eq!(older["items"][0]["number"], 1);
    assert_eq!(stage.send("GET", "/api/v1/policies/x", &[], Value::Null).await.problem().0, 404);
}

#[tokio::test]
async fn a_policy_comes_as_the_files_that_an_mdm_takes() {
    let stage = Stage::new(0).await;
    let new = json!({ "settings": { "WebProtection": false } });
    let any = [("if-match", "*")];
    assert_eq!(stage.send("PUT", "/api/v1/policies/all", &any, new).await.status, 200);
    let get = async |path: &str| {
        stage.send("GET", &format!("/api/v1/policies/{path}"), &[], Value::Null).await
    };
    let profile = "application/x-apple-aspen-config";
    for (path, file, media, said) in [
        ("app-configuration", "app-configuration.plist", "application/xml", "<key>WebProtection<"),
        ("app-configuration?form=dict", "app-configuration.xml", "application/xml", "<dict>"),
        ("profiles/vpn?app=com.example.bartizan", "vpn.mobileconfig", profile, "VPNType"),
        ("profiles/filter?app=com.example.bartizan", "filter.mobileconfig", profile, "webcontent"),
    ] {
        let answer = get(&format!("all/{path}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), media);
        let named = format!("attachment; filename=\"{file}\"");
        assert_eq!(answer.header("content-disposition"), named);
        assert!(answer.text().contains(said), "{}", answer.text());
        // Apart from who asks, the console gives the same.
        let kind = path.split(['/', '?']).nth(1).unwrap_or("plist").replace("form=", "");
        let app = path.split_once("app=").map_or("", |(_, app)| app);
        let same = format!("/policy/all/file?file={kind}&app={app}");
        assert_eq!(answer.text(), stage.browser.get(&same).await.text());
    }
    for (path, status) in [
        ("all/profiles/vpn", 400),
        ("all/profiles/vpn?app=bartizan", 422),
        ("all/profiles/vpn?app=com.example.bartizan&signed=true", 422),
        ("all/profiles/wifi?app=com.example.bartizan", 404),
        ("all/app-configuration?form=json", 400),
        ("x/app-configuration", 404),
    ] {
        assert_eq!(get(path).await.problem().0, status, "{path}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_by_its_status() {
    let stage = Stage::new(0).await;
    for (method, path, status) in [
        ("GET", "/api/v1/alerts?limit=0", 400),
        ("GET", "/api/v1/alerts?limit=1001", 400),
        ("GET", "/api/v1/alerts?limit=1&limit=1", 400),
        ("GET", "/api/v1/alerts?page=2", 400),
        ("GET", "/api/v1/alerts?%ff", 400),
        ("GET", "/api/v1/alerts/x", 404),
        ("GET", "/api/v1/alerts/%ff", 404),
        ("GET", "/api/v1/indicators/0", 404),
        ("GET", "/api/v1/nothing", 404),
        ("PUT", "/api/v1/alerts", 405),
        ("TRACE", "/api/v1/alerts", 405),
        ("POST", "/api/v1/indicators", 415),
        ("GET", "/api/v1/audit?action=nothing.done", 422),
    ] {
        let answer = stage.send(method, path, &[], Value::Null).await;
        assert_eq!(answer.problem().0, status, "{method} {path}");
        assert_eq!(answer.header("allow").is_empty(), status != 405, "{method} {path}");
    }
    let large = json!({ "text": "x".repeat(1024 * 1024) });
    assert_eq!(stage.send("POST", "/api/v1/indicators", &[], large).await.problem().0, 413);
    for key in ["", "with space", &"x".repeat(256)] {
        let key = [("idempotency-key", key)];
        let answer = stage.send("POST", "/api/v1/indicators", &key, json!({})).await;
        assert_eq!(answer.problem().0, 400, "{key:?}");
    }
    let page = stage.send("GET", "/api/v1/", &[], Value::Null).await;
    assert!(page.text().contains("API, version 1"));
    let document = stage.get("/api/v1/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
}

#[tokio::test]
async fn a_token_is_good_for_what_and_as_long_as_its_application_is() {
    let mut stage = Stage::new(0).await;
    let me = stage.get("/api/v1/me").await;
    assert_eq!((&me["client_id"], &me["name"]), (&stage.client.id.as_str().into(), &"SIEM".into()));
    let full = std::mem::take(&mut stage.token);
    let narrow: Value = stage.world.ask(&stage.client, &[("scope", "view-data")]).await.json();
    stage.token = narrow["access_token"].as_str().unwrap().to_owned();
    assert_eq!(stage.get("/api/v1/me").await["scopes"], json!(["view-data"]));
    let lacking = stage.send("GET", "/api/v1/audit", &[], Value::Null).await;
    assert_eq!(lacking.problem(), (403, "scope_missing".into()));
    stage.token = full;
    assert_eq!(items(&stage.get("/api/v1/devices").await), 1);

    let switch = format!("{}/disabled", stage.client.page);
    assert_eq!(stage.browser.submit(&switch, &[("disabled", "yes")]).await.status, 303);
    let refused = stage.send("GET", "/api/v1/me", &[], Value::Null).await;
    assert_eq!(refused.problem(), (401, "api_token_invalid".into()));
    assert!(refused.header("www-authenticate").starts_with("Bearer"));
    assert_eq!(stage.browser.submit(&switch, &[("disabled", "no")]).await.status, 303);
    stage.world.advance(600_000);
    let over = stage.send("GET", "/api/v1/me", &[], Value::Null).await;
    assert_eq!(over.problem(), (401, "api_token_expired".into()));
}

#[tokio::test]
async fn an_application_that_calls_too_often_is_told_to_wait() {
    let stage = Stage::new(0).await;
    let mut answer = stage.send("GET", "/api/v1/me", &[], Value::Null).await;
    for _ in 0..1_000 {
        answer = stage.send("GET", "/api/v1/me", &[], Value::Null).await;
    }
    assert_eq!(answer.problem(), (429, "rate_limited".into()));
    assert_eq!(answer.header("retry-after"), "1");
    stage.world.advance(1_000);
    assert_eq!(stage.send("GET", "/api/v1/me", &[], Value::Null).await.status, 200);
}

fn items(page: &Value) -> usize {
    page["items"].as_array().unwrap().len()
}
