//! Every page, asked for by somebody whose role is limited to one device group, for what is of another's device: it is not
//! found, and nothing of it stands on any page. A route without a place here fails.

use axum::body::Body;
use axum::http::{Method, Request};
use bartizan_contract::path;
use bartizan_portal::{Access, BuiltIn, Permission, routes};

use crate::world::{Browser, OWN_PASSWORD, World, batch, call, report};

/// Routes on what hangs on devices, and what the limited member is told when it is another's.
const OF_DEVICES: &[(&str, &str, &str, u16)] = &[
    ("GET", "/overview", "/overview", 200),
    ("GET", "/alerts", "/alerts?status=any", 200),
    ("POST", "/alerts/bulk", "/alerts/bulk", 422),
    ("GET", "/alerts/jobs", "/alerts/jobs", 200),
    ("GET", "/alerts/jobs/{id}", "/alerts/jobs/{job}", 404),
    ("POST", "/alerts/jobs/{id}/cancel", "/alerts/jobs/{job}/cancel", 404),
    ("GET", "/alerts/jobs/{id}/results.csv", "/alerts/jobs/{job}/results.csv", 404),
    ("GET", "/alerts/{id}", "/alerts/{alert}", 404),
    ("POST", "/alerts/{id}/status", "/alerts/{alert}/status", 404),
    ("GET", "/incidents", "/incidents?show=all", 200),
    ("GET", "/incidents/{id}", "/incidents/{incident}", 404),
    ("POST", "/incidents/{id}/title", "/incidents/{incident}/title", 404),
    ("POST", "/incidents/{id}/merge", "/incidents/{incident}/merge", 404),
    ("POST", "/incidents/{id}/split", "/incidents/{incident}/split", 404),
    ("GET", "/devices", "/devices", 200),
    ("GET", "/devices/{id}", "/devices/{device}", 404),
    ("POST", "/devices/{id}", "/devices/{device}", 404),
    ("POST", "/devices/{id}/tags", "/devices/{device}/tags", 404),
    ("GET", "/devices/{id}/remove", "/devices/{device}/remove", 404),
    ("GET", "/devices/{id}/risk", "/devices/{device}/risk", 404),
    ("GET", "/devices/{id}/merge", "/devices/{device}/merge", 404),
    ("POST", "/devices/{id}/merge", "/devices/{device}/merge", 404),
    ("POST", "/devices/{id}/offboard", "/devices/{device}/offboard", 404),
    ("POST", "/devices/{id}/forget", "/devices/{device}/forget", 404),
    ("GET", "/feedback", "/feedback", 200),
    ("GET", "/feedback/{id}", "/feedback/{feedback}", 404),
    ("GET", "/feedback/{id}/logs", "/feedback/{feedback}/logs", 404),
    ("POST", "/feedback/{id}/status", "/feedback/{feedback}/status", 404),
    ("POST", "/feedback/{id}/reply", "/feedback/{feedback}/reply", 404),
    ("POST", "/feeds/reports/{id}", "/feeds/reports/{report}", 404),
    ("GET", "/feeds", "/feeds", 200),
    ("GET", "/users", "/users", 200),
    ("GET", "/users/{id}", "/users/{user}", 200),
    ("GET", "/groups", "/groups", 200),
    ("GET", "/groups/{id}", "/groups/{group}", 200),
    ("GET", "/policy", "/policy", 200),
    ("GET", "/suppressions/new", "/suppressions/new?alert={alert}", 404),
    ("GET", "/events", "/events", 200),
];

/// Settings, which are the whole organization's; whoever may see or change them does so for all devices.
const SETTINGS: &[&str] = &[
    "/feeds",
    "/detectors",
    "/suppressions",
    "/groups",
    "/indicators",
    "/policy",
    "/users",
    "/user-groups",
    "/licenses",
    "/enrollment",
    "/directory",
    "/people",
    "/sign-in-settings",
    "/roles",
    "/applications",
    "/audit",
    "/retention",
    "/sinks",
];

#[tokio::test]
async fn what_is_of_a_device_outside_of_the_group_is_not_found_and_not_shown() {
    let world = World::new().await;
    let mut admin = world.member(world.acme, "a@acme.test").await;
    let (far, near) = (world.device(world.acme, 1).await, world.device(world.acme, 2).await);
    let mut groups = Vec::new();
    for (device, name) in [(&far, "far"), (&near, "near")] {
        let rule = [
            ("name", name),
            ("field", "tag"),
            ("operator", "equals"),
            ("value", name),
            ("do", "save"),
        ];
        assert_eq!(admin.submit("/groups", &rule).await.status, 303);
        let tags = format!("/devices/{}/tags", device.id);
        assert_eq!(admin.submit(&tags, &[("tag", name), ("do", "add")]).await.status, 303);
        let list = admin.get("/groups").await.text();
        let mut ids: Vec<_> = list
            .split("href=\"/groups/")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .filter(|id| id != "new" && !groups.contains(id))
            .collect();
        groups.push(ids.remove(0));
    }
    for (device, number) in [(&far, 1), (&near, 2)] {
        assert_eq!(device.post(path::ALERTS, &batch(number..number + 1)).await.status, 200);
        let report = report(u128::from(number), "");
        assert_eq!(device.post(path::REPORT, &report).await.status, 200);
    }
    let feedback = crate::feedback::say(&far, 1).await;
    crate::feedback::say(&near, 2).await;
    let alerts = world.portal.newest_alerts(world.acme).await.unwrap();
    assert_eq!(alerts.len(), 2);
    let mut of_far = None;
    for alert in &alerts {
        let page = admin.get(&format!("/alerts/{}", alert.id)).await.text();
        if page.contains(&far.id.to_string()) {
            let incident = page.split("href=\"/incidents/").nth(1).unwrap();
            of_far = Some((alert.id.clone(), incident.split('"').next().unwrap().to_owned()));
        }
    }
    let (alert, incident) = of_far.unwrap();
    let asked = admin.submit("/alerts/bulk", &[("id", alert.as_str()), ("tag", "x")]).await;
    let job = asked.header("location").rsplit('/').next().unwrap().to_owned();
    let (user, _) = crate::scim::resources(&world, world.acme).await;

    let mut form = vec![("name", "Near"), ("devices", "groups"), ("group", &groups[1])];
    form.extend(Permission::ALL.map(|permission| ("permission", permission.word())));
    let none = [("name", "None"), ("devices", "groups"), ("permission", "view-data")];
    assert_eq!(admin.submit("/roles", &none).await.status, 422);
    assert_eq!(admin.submit("/roles", &form).await.status, 303);
    let page = admin.get("/roles").await.text();
    assert!(page.contains("1 device group"), "{page}");
    let role = page.split("href=\"/roles/").last().unwrap().split('"').next().unwrap().to_owned();
    let shown = admin.get(&format!("/roles/{role}")).await.text();
    assert!(shown.contains(&format!("value=\"{}\" checked", groups[1])), "{shown}");

    let email = "near@acme.test";
    let password =
        world.portal.create_member(world.acme, email, BuiltIn::ReadOnly).await.unwrap().to_string();
    let list = admin.get("/people").await.text();
    let row = list.split("href=\"/people/").find(|row| row.contains(email)).unwrap();
    let person = row.split('"').next().unwrap();
    let roles = format!("/people/{person}/roles");
    assert_eq!(admin.submit(&roles, &[("role", role.as_str())]).await.status, 303);
    let mut limited = world.browser();
    assert_eq!(limited.sign_in(email, &password).await.status, 303);
    assert_eq!(limited.choose("", OWN_PASSWORD).await.status, 303);

    let secrets = [far.id.to_string(), "h1.test".to_owned(), alert.clone(), incident.clone()];
    let (mut placed, report) = (0, report(1, "").id);
    for (method, pattern, access) in routes() {
        let Access::May(_) = access else { continue };
        let row = OF_DEVICES.iter().find(|row| row.0 == method.as_str() && row.1 == pattern);
        let Some((_, _, path, expected)) = row else {
            let is_setting = SETTINGS.iter().any(|start| pattern.starts_with(start));
            assert!(is_setting, "{method} {pattern} is neither of devices nor a setting");
            continue;
        };
        placed += 1;
        let path = path
            .replace("{alert}", &alert)
            .replace("{incident}", &incident)
            .replace("{device}", &far.id.to_string())
            .replace("{feedback}", &feedback)
            .replace("{report}", &report)
            .replace("{group}", &groups[0])
            .replace("{user}", &user)
            .replace("{job}", &job);
        let (status, text) = ask(&world, &limited, method, &path).await;
        assert_eq!(status, *expected, "{method} {path}: {text}");
        for secret in &secrets {
            let is_asked_for = path.contains(secret.as_str());
            assert!(is_asked_for || !text.contains(secret.as_str()), "{method} {path}: {text}");
        }
    }
    assert_eq!(placed, OF_DEVICES.len(), "a place without a route");

    // What is theirs they see and change.
    let list = limited.get("/devices").await.text();
    assert!(list.contains(&near.id.to_string()), "{list}");
    let queue = limited.get("/alerts").await.text();
    assert!(queue.contains("h2.test"), "{queue}");
    let page = limited.get(&format!("/devices/{}", near.id)).await;
    assert_eq!(page.status, 200);
    let tags = format!("/devices/{}/tags", near.id);
    assert_eq!(limited.submit(&tags, &[("tag", "seen"), ("do", "add")]).await.status, 303);
    // All that match are all that they see.
    let everything = [("do", "all"), ("sure", "yes"), ("tag", "mine")];
    let asked = limited.submit("/alerts/bulk", &everything).await;
    world.portal.carry_out_changes().await.unwrap();
    let results = format!("{}/results.csv", asked.header("location"));
    assert_eq!(limited.get(&results).await.text().lines().count(), 2);
    let page = admin.get(&format!("/alerts/{alert}")).await.text();
    assert!(!page.contains("mine"), "{page}");
}

async fn ask(world: &World, browser: &Browser, method: &Method, path: &str) -> (u16, String) {
    let form = match path {
        path if path.ends_with("/tags") => "tag=x&do=add",
        path if path.starts_with("/feedback") => "status=Closed&reply=x",
        path if path.contains("/reports/") => "feed=&decision=accepted",
        path if path.starts_with("/devices") => {
            "owner=&value=High&into=00000000-0000-0000-0000-000000000001"
        }
        _ => "status=Resolved&tag=&title=x&reason=x",
    };
    let body = if method == Method::POST { form } else { "" };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("cookie", &browser.cookie)
        .header("host", "portal.test")
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(body))
        .unwrap();
    if path == "/events" {
        // A stream does not end by itself.
        use tower::ServiceExt as _;
        let answer = world.portal.router().oneshot(request).await.unwrap();
        return (answer.status().as_u16(), String::new());
    }
    let answer = call(&world.portal.router(), request).await;
    (answer.status.as_u16(), answer.text())
}
