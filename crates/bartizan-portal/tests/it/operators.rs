//! Operators of the installation: signing in, organizations, entering one, and what a suspended one answers.

use bartizan_contract::path;
use bartizan_portal::BuiltIn;

use crate::sign_in::enroll_at;
use crate::world::{Browser, HOUR, OWN_PASSWORD, World, batch};

/// A browser of an operator who has a password and a second factor of their own.
pub(crate) async fn operator(world: &World, name: &str, administers: bool) -> Browser {
    let password = world.portal.add_operator(name, administers).await.unwrap().to_string();
    let mut browser = world.browser();
    let form = [("name", name), ("password", &*password)];
    assert_eq!(browser.submit("/operator/sign-in", &form).await.status, 303);
    let first = browser.get("/operator/tenants").await;
    assert_eq!(first.header("location"), "/operator/password?next=/operator/tenants");
    let form = [("new", OWN_PASSWORD), ("repeat", OWN_PASSWORD), ("next", "/operator/tenants")];
    assert_eq!(browser.submit("/operator/password", &form).await.status, 303);
    let next = browser.get("/operator/tenants").await;
    assert_eq!(next.header("location"), "/operator/second-factor?next=/operator/tenants");
    enroll_at(world, &mut browser, "/operator/second-factor").await;
    assert_eq!(browser.get("/operator/tenants").await.status, 200);
    browser
}

/// Enters an organization, and returns a browser that has both sessions.
async fn enter(browser: &Browser, tenant: i64, role: &str) -> Result<Browser, String> {
    let mut entering = Browser { router: browser.router.clone(), cookie: browser.cookie.clone() };
    let form = [("reason", "They called."), ("role", role)];
    let done = entering.submit(&format!("/operator/tenants/{tenant}/enter"), &form).await;
    if done.status != 303 {
        return Err(done.text());
    }
    let both = format!("{}; {}", browser.cookie, entering.cookie);
    Ok(Browser { router: browser.router.clone(), cookie: both })
}

#[tokio::test]
async fn an_operator_signs_in_by_password_and_code_at_their_own_door() {
    let world = World::new().await;
    let password = world.portal.add_operator("Root", true).await.unwrap().to_string();
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("root", &password).await.status, 401, "not at the members' door");
    let form = [("name", "root"), ("password", "wrong")];
    let refused = browser.submit("/operator/sign-in", &form).await;
    assert_eq!(refused.status, 401);
    assert!(refused.text().contains("The name or the password is wrong."));
    world.member(world.acme, "a@acme.test").await;
    let form = [("name", "a@acme.test"), ("password", OWN_PASSWORD)];
    assert_eq!(browser.submit("/operator/sign-in", &form).await.status, 401, "no member is one");

    world.portal.remove_operator("root").await.unwrap_err();
    let root = operator(&world, "second", true).await;
    world.portal.remove_operator("root").await.unwrap();
    assert_eq!(root.get("/alerts").await.header("location"), "/operator/tenants?next=/alerts");
    let form = [("name", "second"), ("password", OWN_PASSWORD)];
    let asked = browser.submit("/operator/sign-in", &form).await;
    assert_eq!(asked.header("location"), "/operator/sign-in/code");
    let page = browser.get("/operator/sign-in/code").await.text();
    assert!(page.contains("href=\"/operator/sign-in\""), "{page}");
    let elsewhere = browser.get("/sign-in/code").await;
    assert_eq!(elsewhere.header("location"), "/sign-in?late=true", "nobody asked there");
    world.advance(5 * 60_000);
    let late = browser.submit("/operator/sign-in/code", &[("code", "000000")]).await;
    assert_eq!(late.header("location"), "/operator/sign-in?late=true");
    let told = browser.get(late.header("location")).await.text();
    assert!(told.contains("Sign in as an operator"), "{told}");
    assert!(told.contains("That took too long. Sign in again."), "{told}");
    let password = world.portal.reset_operator("second").await.unwrap().to_string();
    assert_eq!(root.get("/operator/tenants").await.status, 303, "their sessions have ended");
    let form = [("name", "second"), ("password", &*password)];
    let again = browser.submit("/operator/sign-in", &form).await;
    assert_eq!(again.header("location"), "/operator/tenants", "the factor is gone as well");
}

#[tokio::test]
async fn organizations_are_added_renamed_suspended_and_deleted() {
    let world = World::new().await;
    let mut root = operator(&world, "root", true).await;
    let form = [("name", "<b>Initech"), ("email", "nobody")];
    let unfit = root.submit("/operator/tenants", &form).await;
    assert_eq!(unfit.status, 422);
    assert!(unfit.text().contains("This is not an e-mail address."));
    let taken = root.submit("/operator/tenants", &[("name", "acme"), ("email", "i@i.test")]).await;
    assert!(taken.text().contains("Another organization has this name."));
    let form = [("name", "Initech"), ("email", "i@initech.test")];
    let made = root.submit("/operator/tenants", &form).await.text();
    let password = made.split("password <code>").nth(1).unwrap().split('<').next().unwrap();
    let mut first = world.browser();
    assert_eq!(first.sign_in("i@initech.test", password).await.status, 303);
    assert_eq!(first.choose("", OWN_PASSWORD).await.status, 303);
    let found = root.get("/operator/tenants?q=INI").await.text();
    assert!(found.contains("Initech") && !found.contains("GLOBEX"), "{found}");
    let at = found.split("href=\"/operator/tenants/").nth(2).unwrap();
    let id: i64 = at.split('"').next().unwrap().parse().unwrap();
    let page = format!("/operator/tenants/{id}");
    let renamed = root.submit(&format!("{page}/rename"), &[("name", "Initrode")]).await;
    assert_eq!(renamed.header("location"), format!("{page}?done=renamed"));

    let early = root.submit(&format!("{page}/delete"), &[("name", "Initrode")]).await;
    assert_eq!(early.status, 422);
    assert!(early.text().contains("Suspend the organization first."));
    root.submit(&format!("{page}/suspend"), &[("reason", "Unpaid.")]).await;
    assert_eq!(first.get("/alerts").await.status, 303);
    let refused =
        first.submit("/sign-in", &[("email", "i@initech.test"), ("password", OWN_PASSWORD)]);
    let refused = refused.await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("Your organization is suspended."), "{}", refused.text());
    let wrong = root.submit(&format!("{page}/delete"), &[("name", "Initech")]).await;
    assert!(wrong.text().contains("This is not its name."));
    let asked = root.submit(&format!("{page}/delete"), &[("name", "Initrode")]).await;
    assert_eq!(asked.header("location"), format!("{page}?done=deleted"));
    assert_eq!(world.portal.remove_deleted_tenants().await.unwrap(), 0);
    root.submit(&format!("{page}/resume"), &[]).await;
    assert_eq!(first.sign_in("i@initech.test", OWN_PASSWORD).await.status, 303, "it came back");
    root.submit(&format!("{page}/suspend"), &[]).await;
    root.submit(&format!("{page}/delete"), &[("name", "Initrode")]).await;
    world.advance(31 * 24 * HOUR);
    assert_eq!(world.portal.remove_deleted_tenants().await.unwrap(), 1);
    assert_eq!(world.portal.tenants().await.unwrap().len(), 2);
    // Half a year of idling ends a session; so a new one looks at the log.
    let root = operator(&world, "later", true).await;
    let log = root.get("/operator/audit").await.text();
    for said in ["Organization deleted", "Organization suspended", "Organization created"] {
        assert!(log.contains(said), "{said}");
    }
    let export = root.get("/operator/audit/export.jsonl").await.text();
    bartizan_portal::audit::verify(export.as_bytes(), None).unwrap();
}

#[tokio::test]
async fn an_operator_enters_with_a_reason_and_moves_on() {
    let world = World::new().await;
    let (acme, globex) = (world.acme.0, world.globex.0);
    let mut member = world.member(world.acme, "a@acme.test").await;
    let root = operator(&world, "root", true).await;
    let mut analyst = operator(&world, "ana@msp.test", false).await;
    let own = analyst.cookie.clone();
    assert_eq!(analyst.get(&format!("/operator/tenants/{acme}")).await.status, 404);
    assert!(analyst.get("/operator/tenants").await.text().contains("have not been let into any"));
    let listed = root.get("/operator/operators").await.text();
    let at = listed.split("href=\"/operator/operators/").find(|part| part.contains("ana@msp"));
    let id = at.unwrap().split('"').next().unwrap();
    let page = format!("/operator/operators/{id}");
    let mut root = root;
    let none = root.submit(&format!("{page}/grants"), &[("tenant", "Nowhere")]).await;
    assert!(none.text().contains("No organization has this name."));
    for tenant in ["acme", "GLOBEX"] {
        let form = [("tenant", tenant), ("role", "analyst")];
        assert_eq!(root.submit(&format!("{page}/grants"), &form).await.status, 303);
    }
    assert!(root.get(&page).await.text().contains("as Analyst at most"));

    let unreasoned = format!("/operator/tenants/{acme}/enter");
    assert_eq!(analyst.submit(&unreasoned, &[("reason", " ")]).await.status, 422);
    analyst.cookie = own;
    let too_much = enter(&analyst, acme, "administrator").await.err().unwrap();
    assert!(too_much.contains("You were not let in"), "{too_much}");
    let mut inside = enter(&analyst, acme, "read-only").await.unwrap();
    let alerts = inside.get("/alerts").await;
    assert_eq!(alerts.status, 200);
    let text = alerts.text();
    assert!(
        text.contains("You are in <bdi>ACME</bdi> as an operator, Read only, until "),
        "{text}"
    );
    assert!(text.contains("They called."));
    assert_eq!(inside.get("/people").await.status, 403);
    let both = inside.cookie.clone();
    assert_eq!(inside.submit("/policy", &[]).await.status, 403);
    inside.cookie = both;

    // From one to the next without signing in again; the first session ends.
    let next = enter(&inside, globex, "analyst").await.unwrap();
    let moved = next.cookie.rsplit("; ").next().unwrap().to_owned();
    let operator_cookie = next.cookie.split("; ").next().unwrap().to_owned();
    let cookie = format!("{operator_cookie}; {moved}");
    let in_globex = Browser { router: next.router.clone(), cookie };
    assert!(in_globex.get("/alerts").await.text().contains("<bdi>GLOBEX</bdi>"));
    assert_eq!(inside.get("/alerts").await.status, 303, "out of the other");
    let log = member.get("/audit").await.text();
    assert!(log.contains("Operator entered") && log.contains("ana@msp.test"), "{log}");
    assert!(root.get("/operator/audit").await.text().contains("Operator entered"));

    member.submit("/sign-in-settings/operators", &[]).await;
    let shut = enter(&analyst, acme, "read-only").await.err().unwrap();
    assert!(shut.contains("admits no operators"), "{shut}");
    member.submit("/sign-in-settings/operators", &[("admits_operators", "on")]).await;
    let back = enter(&analyst, acme, "analyst").await.unwrap();
    assert_eq!(back.get("/alerts").await.status, 200);
    let gone = root.submit(&format!("{page}/disabled"), &[("disabled", "yes")]).await;
    assert_eq!(gone.status, 303);
    assert_eq!(back.get("/alerts").await.status, 303, "everywhere at once");
}

#[tokio::test]
async fn a_device_of_a_suspended_organization_is_told_to_come_back() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    let token = world.token(world.acme).await.to_string();
    let mut root = operator(&world, "root", true).await;
    let page = format!("/operator/tenants/{}", world.acme.0);
    root.submit(&format!("{page}/suspend"), &[("reason", "Unpaid.")]).await;
    let refused = device.post(path::ALERTS, &batch(0..1)).await;
    assert_eq!(refused.problem(), (503, "suspended".into()));
    assert_eq!(refused.header("retry-after"), "900");
    assert_eq!(device.ask_for_token().await.problem().0, 503);
    assert_eq!(world.stranger(2).enroll(&token).await.problem(), (503, "suspended".into()));
    root.submit(&format!("{page}/resume"), &[]).await;
    assert_eq!(device.post(path::ALERTS, &batch(0..1)).await.status, 200);
}

#[tokio::test]
async fn an_administrator_lets_all_in_with_one_word() {
    let world = World::new().await;
    operator(&world, "root", true).await;
    let analyst = operator(&world, "ana", false).await;
    world.portal.grant_operator("ana", None, BuiltIn::ReadOnly).await.unwrap();
    let list = analyst.get("/operator/tenants").await.text();
    assert!(list.contains("ACME") && list.contains("GLOBEX"));
    let inside = enter(&analyst, world.globex.0, "").await.unwrap();
    // Who is in an organization is not idle elsewhere.
    for _ in 0..2 {
        world.advance(25 * 60_000);
        assert_eq!(inside.get("/alerts").await.status, 200);
    }
    world.advance(10 * 60_000);
    let over = inside.get("/alerts").await;
    assert_eq!(over.header("location"), "/operator/tenants?next=/alerts", "an hour is over");
    assert_eq!(inside.get("/operator/tenants").await.status, 200);
    world.advance(HOUR);
    assert_eq!(analyst.get("/operator/tenants").await.status, 303, "idle for too long");
}
