//! Enrollment by code, licenses, and the organization's rules, as devices and administrators see them.

use bartizan_contract::checkin::{CheckinReply, CheckinRequest, Counters, SystemNotice};
use bartizan_contract::enroll::{
    CodeReply, CodeRequest, EnrollReply, EnrollmentLink, EnrollmentToken, Installation,
};
use bartizan_contract::path;

use crate::scim::Directory;
use crate::world::{Answer, Browser, World, call, json};

/// A code for a user, from the console.
async fn code(browser: &mut Browser, user: &str) -> EnrollmentLink {
    let page = browser.submit("/enrollment/codes", &[("user", user)]).await.text();
    let link = page.split("<code>http://").nth(1).unwrap_or_else(|| panic!("{page}"));
    let link = format!("http://{}", link.split('<').next().unwrap());
    assert!(page.contains("<svg viewBox="), "{page}");
    link.parse().unwrap()
}

async fn redeem(world: &World, code: &str) -> Answer {
    let request = axum::http::Request::post(path::ENROLLMENT_CODE).header("host", "portal.test");
    let body = json(&CodeRequest { code: code.into() });
    call(&world.portal.router(), request.body(body.into()).unwrap()).await
}

async fn token(world: &World, browser: &mut Browser, user: &str) -> String {
    let link = code(browser, user).await;
    redeem(world, &link.code).await.json::<CodeReply>().enrollment_token
}

#[tokio::test]
async fn a_code_lets_a_user_s_device_in_once() {
    let world = World::new().await;
    let mut admin = world.member(world.acme, "a@acme.test").await;
    Directory::new(&world, world.acme).await.add_user("ada@example.test").await;
    let link = code(&mut admin, "ada@example.test").await;
    let typed = link.code.to_lowercase().replace('-', " ");
    let reply: CodeReply = redeem(&world, &typed).await.json();
    let token: EnrollmentToken = reply.enrollment_token.parse().unwrap();
    assert_eq!(token.portal_key, link.portal_key);
    assert_eq!(redeem(&world, &link.code).await.problem(), (409, "enrollment_code_used".into()));

    let device = world.stranger(1);
    let reply: EnrollReply = device.enroll(&token.to_string()).await.json();
    let page = admin.get(&format!("/devices/{}", reply.device_id)).await.text();
    assert!(page.contains("ada@example.test"), "{page}");
    let again: EnrollReply = device.enroll(&token.to_string()).await.json();
    assert_eq!(again.device_id, reply.device_id);

    let late = code(&mut admin, "ada@example.test").await;
    world.advance(24 * crate::world::HOUR);
    assert_eq!(redeem(&world, &late.code).await.problem(), (410, "enrollment_code_expired".into()));
}

#[tokio::test]
async fn guessing_codes_is_slowed_down() {
    let world = World::new().await;
    let mut statuses = Vec::new();
    for number in 0..10 {
        statuses.push(redeem(&world, &format!("ABCDE-FGHJ{number}")).await.problem().0);
    }
    assert_eq!(statuses, [403, 403, 403, 403, 403, 429, 429, 429, 429, 429]);
    let long = redeem(&world, &"A".repeat(60_000)).await;
    assert_eq!(long.problem().0, 429);
}

#[tokio::test]
async fn without_a_license_nobody_enrolls_where_licenses_are_enforced() {
    let world = World::new().await;
    let mut admin = world.member(world.acme, "a@acme.test").await;
    let directory = Directory::new(&world, world.acme).await;
    let id = directory.add_user("ada@example.test").await;
    let given = token(&world, &mut admin, "ada@example.test").await;
    assert_eq!(admin.submit("/licenses/enforced", &[("enforced", "yes")]).await.status, 303);
    let device = world.stranger(1);
    let refused = device.enroll(&given).await;
    assert_eq!(refused.problem(), (403, "license_missing".into()));
    assert!(refused.text().contains("you have no license"), "{}", refused.text());
    let page = admin.get("/enrollment").await.text();
    assert!(
        page.contains("The user has no license") && page.contains("ada@example.test"),
        "{page}"
    );

    // The same token lets it in once there is a license; the timeline is not part of this one.
    let path = format!("/users/{id}/license");
    assert_eq!(admin.submit(&path, &[("plan", "plan-1")]).await.status, 303);
    let reply: EnrollReply = device.enroll(&given).await.json();
    let page = admin.get("/licenses").await.text();
    assert!(page.contains("Plan 1: 1 user has no seat."), "{page}");
    let seats = [("plan", "plan-1"), ("seats", "1")];
    assert_eq!(admin.submit("/licenses/seats", &seats).await.status, 303);
    assert!(!admin.get("/licenses").await.text().contains("no seat"), "there is one");
    let page = admin.get(&format!("/devices/{}", reply.device_id)).await.text();
    assert!(page.contains("part of Plan 2"), "{page}");
    assert_eq!(admin.submit(&path, &[("plan", "plan-2")]).await.status, 303);
    let page = admin.get(&format!("/devices/{}", reply.device_id)).await.text();
    assert!(!page.contains("part of Plan 2"), "{page}");
}

#[tokio::test]
async fn the_rules_decide_who_gets_in() {
    let world = World::new().await;
    let mut admin = world.member(world.acme, "a@acme.test").await;
    // Without users a device needs none.
    let first = world.token(world.acme).await.to_string();
    assert_eq!(world.stranger(1).enroll(&first).await.status, 200);
    let directory = Directory::new(&world, world.acme).await;
    let id = directory.add_user("ada@example.test").await;
    let nobodys = world.token(world.acme).await.to_string();
    let refused = world.stranger(2).enroll(&nobodys).await;
    assert_eq!(refused.problem(), (403, "user_required".into()));

    let given = token(&world, &mut admin, "ada@example.test").await;
    let device = world.stranger(3);
    let shared = Some(Installation { hardware_id: String::new(), shared: true });
    let refused = device.enroll_as(&given, "18.1", shared.clone()).await;
    assert_eq!(refused.problem(), (403, "user_required".into()));
    let refused = device.enroll_as(&given, "15.8", None).await;
    assert_eq!(refused.problem(), (403, "system_unsupported".into()));
    assert!(refused.text().contains("16.0 or later"), "{}", refused.text());

    let rules = |without_user: &'static str, from: &'static str, code: &'static str| {
        [
            ("allow_token", "yes"),
            ("allow_code", code),
            ("without_user", without_user),
            ("minimum_ios", "16.0"),
            ("minimum_from", from),
            ("sign_in_days", "30"),
        ]
    };
    let set = rules("allowed", "2030-01-01", "no");
    assert_eq!(admin.submit("/enrollment/rules", &set).await.status, 303);
    let refused = device.enroll_as(&given, "15.8", None).await;
    assert_eq!(refused.problem(), (403, "enrollment_way_closed".into()));
    assert_eq!(world.stranger(2).enroll_as(&nobodys, "15.8", shared).await.status, 200);
    assert!(admin.get("/devices").await.text().contains("Soon unsupported"));

    let set = rules("refused", "2020-01-01", "yes");
    assert_eq!(admin.submit("/enrollment/rules", &set).await.status, 303);
    let page = admin.get("/devices").await.text();
    assert!(page.contains("Unsupported") && !page.contains("Soon unsupported"), "{page}");
    let path = format!("/users/{id}/active");
    assert_eq!(admin.submit(&path, &[("active", "no")]).await.status, 303);
    assert_eq!(device.enroll(&given).await.problem(), (403, "user_inactive".into()));
    assert_eq!(admin.submit(&path, &[("active", "yes")]).await.status, 303);
    let reply: EnrollReply = device.enroll(&given).await.json();
    world.advance(30 * 24 * crate::world::HOUR);
    let mut admin = world.browser();
    admin.sign_in("a@acme.test", crate::world::OWN_PASSWORD).await;
    let page = admin.get(&format!("/devices/{}", reply.device_id)).await.text();
    assert!(page.contains("prove again who they are"), "{page}");
}

#[tokio::test]
async fn the_same_phone_again_takes_the_place_of_its_earlier_record() {
    let world = World::new().await;
    let mut admin = world.member(world.acme, "a@acme.test").await;
    let directory = Directory::new(&world, world.acme).await;
    directory.add_user("ada@example.test").await;
    directory.add_user("eve@example.test").await;
    let hardware = |id: &str| Some(Installation { hardware_id: id.into(), shared: false });
    let mut enroll = async |number, user: &str, id: &str| -> String {
        let given = token(&world, &mut admin, user).await;
        let answer = world.stranger(number).enroll_as(&given, "18.1", hardware(id)).await;
        answer.json::<EnrollReply>().device_id
    };
    let first = enroll(1, "ada@example.test", "h1").await;
    // Another one who claims the same hardware ousts nobody.
    let claimed = enroll(2, "eve@example.test", "h1").await;
    let second = enroll(3, "ada@example.test", "h1").await;
    let other = enroll(4, "ada@example.test", "h2").await;
    let [to_first, to_second] = [&first, &second].map(|id| format!("<a href=\"/devices/{id}\">"));
    for (id, is_out) in [(&first, true), (&claimed, false), (&second, false), (&other, false)] {
        let page = admin.get(&format!("/devices/{id}")).await.text();
        assert_eq!(page.contains("was taken out"), is_out, "{id}");
        let leads_on = format!("This is an earlier record of {to_second}");
        assert_eq!(page.contains(&leads_on), is_out, "{id} leads on");
        assert_eq!(page.contains(&to_first), *id == second, "{id} leads back");
    }
}

#[tokio::test]
async fn a_device_is_told_that_its_system_is_too_old() {
    let world = World::new().await;
    let mut admin = world.member(world.acme, "a@acme.test").await;
    let device = world.device(world.acme, 1).await;
    let checkin = CheckinRequest {
        sent_at_ms: 1,
        mode: "dns".into(),
        protection: "on".into(),
        os_version: "18.1".into(),
        app_version: "0.1.0".into(),
        policy_version: 0,
        indicator_epoch: None,
        tenant_epoch: None,
        counters: Counters::default(),
    };
    let told = async || device.post(path::CHECKIN, &checkin).await.json::<CheckinReply>().system;
    assert_eq!(told().await, None);
    for (day, from, remark) in [
        ("2030-01-01", 1_893_456_000_000, "will soon no longer be supported"),
        ("2020-01-01", 1_577_836_800_000, "is no longer supported"),
    ] {
        let rule = [
            ("allow_token", "yes"),
            ("without_user", "auto"),
            ("minimum_ios", "18.2"),
            ("minimum_from", day),
            ("sign_in_days", "0"),
        ];
        assert_eq!(admin.submit("/enrollment/rules", &rule).await.status, 303);
        let notice = SystemNotice { minimum_version: "18.2".into(), unsupported_from_ms: from };
        assert_eq!(told().await, Some(notice));
        let page = admin.get(&format!("/devices/{}", device.id)).await.text();
        assert!(page.contains(remark), "{page}");
    }
}

#[tokio::test]
async fn a_shared_device_says_so_on_its_page() {
    let world = World::new().await;
    let mut admin = world.member(world.acme, "a@acme.test").await;
    let token = world.token(world.acme).await.to_string();
    let device = world.stranger(1);
    let shared = || Some(Installation { hardware_id: String::new(), shared: true });
    let refused = device.enroll_as(&token, "18.1", shared()).await;
    assert_eq!(refused.problem(), (403, "user_required".into()));
    assert!(refused.text().contains("are shared or belong to no user"), "{}", refused.text());
    let page = admin.get("/enrollment").await.text();
    assert!(page.contains("Shared, or without a user"), "{page}");
    let rule = [
        ("allow_token", "yes"),
        ("without_user", "allowed"),
        ("minimum_ios", "16.0"),
        ("minimum_from", "2025-01-31"),
        ("sign_in_days", "0"),
    ];
    assert_eq!(admin.submit("/enrollment/rules", &rule).await.status, 303);
    let reply: EnrollReply = device.enroll_as(&token, "18.1", shared()).await.json();
    let page = admin.get(&format!("/devices/{}", reply.device_id)).await.text();
    assert!(page.contains("By several people"), "{page}");
}
