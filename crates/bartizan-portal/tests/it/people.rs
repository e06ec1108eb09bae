//! People, roles, sessions and the audit log, as a browser sees them.

use bartizan_portal::BuiltIn;
use bartizan_portal::audit::{AuditProblem, verify};

use crate::world::{Browser, HOUR, OWN_PASSWORD, World};

#[tokio::test]
async fn somebody_invited_signs_in_with_what_their_role_lets_them() {
    let world = World::new().await;
    let mut admin = world.member(world.acme, "a@acme.test").await;
    let form = [("email", "b@acme.test"), ("role", "read-only")];
    let page = admin.submit("/people", &form).await.text();
    let password =
        page.split("one-time password <code>").nth(1).unwrap().split('<').next().unwrap();

    let mut reader = world.browser();
    assert_eq!(reader.sign_in("b@acme.test", password).await.status, 303);
    assert_eq!(reader.choose("", OWN_PASSWORD).await.status, 303);
    let alerts = reader.get("/alerts").await.text();
    assert!(alerts.contains("href=\"/policy\"") && !alerts.contains("href=\"/people\""));
    let refused = reader.get("/people").await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("Manage portal system settings"), "{}", refused.text());
    let refused = reader.post("/policy", &[]).await;
    assert_eq!(refused.problem(), (403, "permission_missing".into()));

    let again = admin.submit("/people", &form).await;
    assert_eq!(again.status, 422);
    assert!(again.text().contains("There is somebody with this address already."));
    let nowhere = admin.submit("/people", &[("email", "nowhere"), ("role", "read-only")]).await;
    assert!(nowhere.text().contains("This is not an e-mail address."));
    let roleless = admin.submit("/people", &[("email", "c@acme.test")]).await;
    assert!(roleless.text().contains("Choose at least one role."));
}

#[tokio::test]
async fn the_last_administrator_stays_and_a_disabled_person_is_out() {
    let world = World::new().await;
    let mut admin = world.member(world.acme, "a@acme.test").await;
    let own = person(&admin, "a@acme.test").await;
    for (path, form) in [("roles", ("role", "analyst")), ("disabled", ("disabled", "yes"))] {
        let kept = admin.submit(&format!("{own}/{path}"), &[form]).await;
        assert_eq!(kept.status, 409);
        assert!(kept.text().contains("the last administrator"));
    }

    let password =
        world.portal.create_member(world.acme, "b@acme.test", BuiltIn::Analyst).await.unwrap();
    let mut other = world.browser();
    assert_eq!(other.sign_in("b@acme.test", &password.to_string()).await.status, 303);
    assert_eq!(other.get("/alerts").await.status, 200);
    let theirs = person(&admin, "b@acme.test").await;
    let disable = format!("{theirs}/disabled");
    assert_eq!(admin.submit(&disable, &[("disabled", "yes")]).await.status, 303);
    assert_eq!(other.get("/alerts").await.status, 303, "sent to sign in");
    assert_eq!(other.sign_in("b@acme.test", &password.to_string()).await.status, 401);
    assert_eq!(admin.submit(&disable, &[("disabled", "no")]).await.status, 303);
    assert_eq!(other.sign_in("b@acme.test", &password.to_string()).await.status, 303);
}

#[tokio::test]
async fn a_session_ends_by_hand_idle_and_absolutely() {
    let world = World::new().await;
    let first = world.member(world.acme, "a@acme.test").await;
    let mut second = world.browser();
    assert_eq!(second.sign_in("a@acme.test", OWN_PASSWORD).await.status, 303);
    assert_ne!(first.cookie, second.cookie, "each sign-in has a token of its own");
    let page = second.get("/sessions").await.text();
    let ends = page.match_indices("/end\"").count();
    assert_eq!(ends, 2);
    let others = page
        .split("<form class=\"field\"")
        .find(|form| !form.contains("This one.") && form.contains("/end"));
    let path =
        others.unwrap().split("action=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(second.submit(&path, &[]).await.status, 303);
    assert_eq!(first.get("/alerts").await.status, 303, "sent to sign in");

    world.advance(HOUR / 2 - 1);
    assert_eq!(second.get("/alerts").await.status, 200);
    world.advance(HOUR / 2);
    assert_eq!(second.get("/alerts").await.status, 303, "idle for too long");
    assert_eq!(second.sign_in("a@acme.test", OWN_PASSWORD).await.status, 303);
    for _ in 0..24 {
        world.advance(HOUR / 2 - 60_000);
        second.get("/alerts").await;
    }
    assert_eq!(second.get("/alerts").await.status, 200);
    world.advance(HOUR / 2 - 60_000);
    assert_eq!(second.get("/alerts").await.status, 303, "twelve hours are over");
}

#[tokio::test]
async fn an_exported_log_is_proven_and_what_was_done_to_it_is_told() {
    let world = World::new().await;
    let mut admin = world.member(world.acme, "a@acme.test").await;
    let export = async |admin: &Browser, query: &str| {
        admin.get(&format!("/audit/export.jsonl{query}")).await.text()
    };
    let before = export(&admin, "").await;
    let older: serde_json::Value = serde_json::from_str(before.lines().next().unwrap()).unwrap();
    let older = older["head"].as_str().unwrap().to_owned();
    assert!(admin.get("/audit").await.text().contains("Signed in"));
    assert_eq!(admin.post("/feeds/own", &[("name", "acme.test")]).await.status, 303);

    let file = export(&admin, "").await;
    let report = verify(file.as_bytes(), Some(&older)).unwrap();
    assert_eq!(report.entries, report.size);
    assert!(report.continues.unwrap() < report.size);
    let part = export(&admin, "?action=own-domain.add").await;
    let proven = verify(part.as_bytes(), None).unwrap();
    assert_eq!((proven.entries, proven.size), (1, report.size));

    let lines: Vec<_> = file.lines().collect();
    let told = |lines: &[&str], older: Option<&str>| {
        verify(lines.join("\n").as_bytes(), older).unwrap_err().to_string()
    };
    let last = lines.len() - 2;
    let without = |at: usize| [&lines[..at], &lines[at + 1..]].concat();
    assert_eq!(told(&without(3), None), "entries 2 to 2 are missing");
    assert_eq!(
        told(&lines[..lines.len() - 1], None),
        format!("entries {last} to {last} are missing")
    );
    let mut swapped = lines.clone();
    swapped.swap(2, 3);
    assert_eq!(told(&swapped, None), "entries 1 to 1 are missing");
    let mut repeated = lines.clone();
    repeated.insert(3, lines[2]);
    assert_eq!(
        told(&repeated, None),
        "entry 1 stands after entry 1: entries were reordered or repeated"
    );
    let changed = lines[2].replace("\"action\":\"", "\"action\":\"x");
    let mut with = lines.clone();
    with[2] = &changed;
    assert_eq!(told(&with, None), "entry 1 was changed");
    let head = lines[0].replace("\\ntime ", "\\ntime 1");
    with = lines.clone();
    with[0] = &head;
    assert!(told(&with, None).contains("the head was changed"));
    let newest: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
    let cut: Vec<_> = before.lines().collect();
    assert!(told(&cut, newest["head"].as_str()).contains("cut short"));
    assert!(matches!(verify(part.as_bytes(), Some(&older)), Err(AuditProblem::Partial)));
    assert!(matches!(verify(&b"{}"[..], None), Err(AuditProblem::NotALog)));
}

/// The address of somebody's page.
async fn person(admin: &Browser, email: &str) -> String {
    let page = admin.get("/people").await.text();
    let row = page.split("<tr").skip(1).find(|row| row.contains(email)).unwrap();
    row.split("href=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn people_are_found_by_a_part_of_their_address() {
    let world = World::new().await;
    let browser = world.member(world.acme, "a@acme.test").await;
    for email in ["p07@acme.test", "p08@acme.test"] {
        world.portal.create_member(world.acme, email, BuiltIn::ReadOnly).await.unwrap();
    }
    let found = browser.get("/people?q=P07").await.text();
    assert!(found.contains("p07@acme.test") && !found.contains("p08@acme.test"), "{found}");
    let rest = browser.get("/people?after=p07@acme.test").await.text();
    assert!(rest.contains("p08@acme.test") && rest.contains("First page"), "{rest}");
    let none = browser.get("/people?q=globex").await.text();
    assert!(none.contains("Nobody matches"), "{none}");
}
