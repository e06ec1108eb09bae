//! What pages offer: members of every role follow every link from the menu on, and no page has a link or a form for them
//! that would be refused.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bartizan_contract::path;
use bartizan_portal::feeds::{FeedOrigin, settings};
use bartizan_portal::{Access, BuiltIn, Permission, routes};

use crate::world::{Browser, Device, OWN_PASSWORD, World, batch, report};

#[tokio::test]
async fn no_page_offers_what_its_reader_may_not_do() {
    let stage = Stage::new().await;
    let (mut seen, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for role in BuiltIn::ALL {
        let browser = stage.member(role.id(), &[role.id()]).await;
        let pages = crawl(&browser).await;
        for (address, page) in &pages {
            for (method, target) in targets(page) {
                let pattern = pattern(method, &target);
                let Some((pattern, access)) = pattern else {
                    panic!("{role:?} at {address}: {method} {target} is no route")
                };
                let is_let = match access {
                    Access::May(permission) => role.permissions().has(permission),
                    Access::Anyone | Access::Member => true,
                    Access::Device | Access::Directory | Access::Api(_) | Access::Operator(_) => {
                        false
                    }
                };
                if !is_let {
                    refused.insert(format!("{role:?} at {address}: {method} {target}"));
                }
                if method == "POST" {
                    seen.insert(pattern);
                }
            }
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
    // The crawl is worth something only if it came around.
    for expected in [
        "/alerts/{id}/status",
        "/devices/{id}/tags",
        "/devices/{id}/merge",
        "/devices/{id}/forget",
        "/feeds/{id}/remove",
        "/feeds/reports/{id}",
        "/groups/{id}",
        "/incidents/{id}/title",
        "/indicators/{id}",
        "/policy/{who}",
        "/suppressions/{id}/end",
        "/users/{id}/erase",
        "/enrollment/codes",
        "/roles/{id}",
        "/sinks/{id}/test",
    ] {
        assert!(seen.contains(expected), "{expected} was on no page");
    }
}

#[tokio::test]
async fn who_sees_more_than_they_may_change_is_offered_only_that() {
    let stage = Stage::new().await;
    let limited = stage.limited().await;
    for (device, alert, is_near) in
        [(&stage.near, &stage.alerts[1], true), (&stage.far, &stage.alerts[0], false)]
    {
        for address in [format!("/devices/{}", device.id), format!("/alerts/{alert}")] {
            let answer = limited.get(&address).await;
            assert_eq!(answer.status, 200, "{address}");
            let page = answer.text();
            let own: Vec<_> = targets(&page)
                .into_iter()
                .filter(|(_, target)| {
                    target.starts_with(&format!("{address}/")) || *target == address
                })
                .filter(|(method, target)| *method == "POST" || target.ends_with("/remove"))
                .collect();
            assert_eq!(!own.is_empty(), is_near, "{address}: {own:?}");
        }
    }
    let queue = limited.get("/alerts?status=any").await.text();
    let picks = |alert: &str| queue.contains(&format!("name=\"id\" value=\"{alert}\""));
    assert!(picks(&stage.alerts[1]) && !picks(&stage.alerts[0]), "{queue}");
    let feeds = limited.get("/feeds").await.text();
    let decides =
        |number: u128| feeds.contains(&format!("/feeds/reports/{}", report(number, "").id));
    assert!(decides(2) && !decides(1), "{feeds}");
    // The incident has alerts of both: it is theirs to split, and not to change as a whole.
    let incident = limited.get(&format!("/incidents/{}", stage.incident)).await.text();
    assert!(incident.contains("/split\"") && !incident.contains("/title\""), "{incident}");
    for (_, page) in crawl(&limited).await {
        for (method, target) in targets(&page) {
            let is_far =
                target.contains(&stage.far.id.to_string()) || target.contains(&stage.alerts[0]);
            assert!(method == "GET" || !is_far, "{target}");
        }
    }
}

/// A portal with something of everything, of two devices in groups of their own.
struct Stage {
    world: World,
    /// Of the administrator.
    cookie: String,
    far: Device,
    near: Device,
    /// Of the far device, of the near one.
    alerts: [String; 2],
    incident: String,
    near_group: String,
}

impl Stage {
    async fn new() -> Self {
        let world = World::new().await;
        world.publish(world.acme, "evil.test").await;
        let mut admin = world.member(world.acme, "a@acme.test").await;
        let (far, near) = (world.device(world.acme, 1).await, world.device(world.acme, 2).await);
        let usual = settings::usual("list", FeedOrigin::Upload);
        let feed = world.portal.add_feed(world.acme, usual).await.unwrap();
        world.portal.upload_feed(world.acme, feed, &b"evil.test\n"[..]).await.unwrap();
        let mut near_group = String::new();
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
            let about = [("owner", "kim@acme.test"), ("value", "Normal")];
            let page = format!("/devices/{}", device.id);
            assert_eq!(admin.submit(&page, &about).await.status, 303);
            let list = admin.get("/groups").await.text();
            let row =
                list.split("data-row=\"").find(|row| row.contains(&format!(">{name}<"))).unwrap();
            near_group = row.split('"').next().unwrap().to_owned();
        }
        let mut alerts = Vec::new();
        for (device, number) in [(&far, 1), (&near, 2)] {
            // Of the same host: they are one incident.
            let mut one = batch(1..2);
            one.alerts[0].id = batch(number..number + 1).alerts[0].id.clone();
            assert_eq!(device.post(path::ALERTS, &one).await.status, 200);
            let said = report(u128::from(number), "");
            assert_eq!(device.post(path::REPORT, &said).await.status, 200);
            crate::feedback::say(device, u128::from(number)).await;
            let known: Vec<String> = alerts.clone();
            let newest = world.portal.newest_alerts(world.acme).await.unwrap();
            let fresh = newest.into_iter().find(|alert| !known.contains(&alert.id)).unwrap();
            alerts.push(fresh.id);
        }
        let page = admin.get(&format!("/alerts/{}", alerts[0])).await.text();
        let incident = page.split("href=\"/incidents/").nth(1).unwrap();
        let incident = incident.split('"').next().unwrap().to_owned();
        let asked = [("id", alerts[1].as_str()), ("tag", "x")];
        assert_eq!(admin.submit("/alerts/bulk", &asked).await.status, 303);
        let rule = [("scope", "all"), ("reason", "Training."), ("never", "yes"), ("do", "save")];
        assert_eq!(admin.submit("/suppressions", &rule).await.status, 303);
        let made = crate::indicators::create(&mut admin, "own.test", "Block").await;
        assert_eq!(made.status, 303);
        crate::scim::resources(&world, world.acme).await;
        crate::sinks::webhook(&mut admin, "https://hooks.example/x").await;
        let alerts = alerts.try_into().unwrap();
        let cookie = admin.cookie;
        Self { world, cookie, far, near, alerts, incident, near_group }
    }

    /// A member with a role, who has chosen their own password.
    async fn member(&self, name: &str, roles: &[&str]) -> Browser {
        let (world, email) = (&self.world, format!("{name}@acme.test"));
        let password =
            world.portal.create_member(world.acme, &email, BuiltIn::ReadOnly).await.unwrap();
        let mut admin = self.admin();
        let list = admin.get("/people").await.text();
        let row = list.split("href=\"/people/").find(|row| row.contains(&email)).unwrap();
        let path = format!("/people/{}/roles", row.split('"').next().unwrap());
        let roles: Vec<_> = roles.iter().map(|role| ("role", *role)).collect();
        assert_eq!(admin.submit(&path, &roles).await.status, 303);
        let mut browser = world.browser();
        assert_eq!(browser.sign_in(&email, &password.to_string()).await.status, 303);
        assert_eq!(browser.choose("", OWN_PASSWORD).await.status, 303);
        browser
    }

    /// Somebody who sees everything, and does everything with the devices of one group.
    async fn limited(&self) -> Browser {
        let mut admin = self.admin();
        let mut form = vec![("name", "Near"), ("devices", "groups"), ("group", &*self.near_group)];
        form.extend(Permission::ALL.map(|permission| ("permission", permission.word())));
        assert_eq!(admin.submit("/roles", &form).await.status, 303);
        let page = admin.get("/roles").await.text();
        let role = page.split("href=\"/roles/").last().unwrap().split('"').next().unwrap();
        self.member("limited", &[BuiltIn::ReadOnly.id(), role]).await
    }

    fn admin(&self) -> Browser {
        Browser { router: self.world.portal.router(), cookie: self.cookie.clone() }
    }
}

/// Follows links from the first page on, of each route a few; every one leads somewhere. Returns addresses and pages.
async fn crawl(browser: &Browser) -> Vec<(String, String)> {
    let (mut pages, mut visits) = (Vec::new(), BTreeMap::<&str, usize>::new());
    let mut known = BTreeSet::from(["/feedback/new".to_owned()]);
    let mut next = VecDeque::from(["/feedback/new".to_owned()]);
    while let Some(address) = next.pop_front() {
        let Some((pattern, _)) = pattern("GET", &address) else { panic!("{address} is no route") };
        let visits = visits.entry(pattern).or_default();
        if pattern == "/assets/{file}" || pattern == "/events" || EACH < *visits {
            continue;
        }
        *visits += 1;
        let answer = browser.get(&address).await;
        let status = answer.status.as_u16();
        assert!(status < 400, "{address} answers {status}");
        let text = answer.text();
        if !text.starts_with("<!doctype html>") {
            continue;
        }
        for (method, target) in targets(&text) {
            if method == "GET" && known.insert(target.clone()) {
                next.push_back(target);
            }
        }
        pages.push((address, text));
    }
    pages
}

/// Where the links and forms of a page lead: method, and path with its query.
fn targets(page: &str) -> Vec<(&'static str, String)> {
    let mut targets = Vec::new();
    for tag in page.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        let attribute = |name: &str| {
            let value = tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
            Some(value.replace("&#38;", "&").split('#').next().unwrap_or_default().to_owned())
        };
        let found = if tag.starts_with("a ") {
            attribute("href").map(|to| ("GET", to))
        } else if tag.starts_with("form") && tag.contains("method=\"post\"") {
            attribute("action").map(|to| ("POST", to))
        } else {
            attribute("formaction").map(|to| ("POST", to))
        };
        targets.extend(found.filter(|(_, to)| to.starts_with('/')));
    }
    targets
}

/// Finds the row of the table of routes.
fn pattern(method: &str, target: &str) -> Option<(&'static str, Access)> {
    let path = target.split('?').next()?;
    let fits = |pattern: &str| {
        let (mut wanted, mut found) = (pattern.split('/'), path.split('/'));
        loop {
            match (wanted.next(), found.next()) {
                (None, None) => return true,
                (Some(wanted), Some(found)) if wanted == found || wanted.starts_with('{') => {}
                _ => return false,
            }
        }
    };
    let all: Vec<_> =
        routes().filter(|(verb, pattern, _)| *verb == method && fits(pattern)).collect();
    // What is named goes before what has a place in braces.
    let best = all.into_iter().min_by_key(|(_, pattern, _)| pattern.matches('{').count());
    best.map(|(_, pattern, access)| (pattern, access))
}

/// Pages of one route that are looked at.
const EACH: usize = 4;
