//! What is decided for the devices, from the console's form to what a device is told.

use bartizan_contract::path;
use bartizan_contract::policy::{PolicyDocument, PolicyReply};
use bartizan_model::{DnsPolicy, Mode, Policy, WebProtection};

use crate::world::{Device, World};

#[tokio::test]
async fn a_change_at_the_console_reaches_the_device_signed() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let page = browser.get("/policy").await.text();
    assert!(page.contains("In force: version 1"), "{page}");
    assert!(page.contains("name=\"mode\" value=\"dns\" required checked"), "{page}");

    let saved = browser.submit("/policy", &form("tunnel", "48", "3600")).await;
    assert_eq!((saved.status.as_u16(), saved.header("location")), (303, "/policy?done=saved"));
    let page = browser.get("/policy?done=saved").await.text();
    assert!(page.contains("In force: version 2") && page.contains("Saved."), "{page}");
    let expected = Policy {
        version: 2,
        mode: Mode::Tunnel,
        web_protection: WebProtection::Block,
        report_blocked_host: false,
        checkin_interval_s: 3_600,
        warn_pass_hours: 48,
        dns: DnsPolicy { strip_ech: true, ..DnsPolicy::default() },
    };
    assert_eq!(told(&device).await, expected);
    assert_eq!(world.portal.policy(world.acme).await.unwrap(), expected);
    assert_eq!(world.portal.policy(world.globex).await.unwrap().version, 1);

    let same = browser.submit("/policy", &form("tunnel", "48", "3600")).await;
    assert_eq!(same.header("location"), "/policy?done=same");
    assert_eq!(told(&device).await.version, 2, "saving what is there is no new version");
}

#[tokio::test]
async fn what_does_not_fit_is_said_and_changes_nothing() {
    let world = World::new().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    for (mode, hours, interval, expected) in [
        ("tunnel", "24", "59", "a check-in interval has 60 to 86400 seconds"),
        ("tunnel", "24", "86401", "a check-in interval has 60 to 86400 seconds"),
        ("tunnel", "24", "often", "a check-in interval has 60 to 86400 seconds"),
        ("tunnel", "169", "900", "a warning can be passed for 0 to 168 hours"),
        ("tunnel", "-1", "900", "a warning can be passed for 0 to 168 hours"),
        ("later", "24", "900", "choose a mode that is offered"),
    ] {
        let refused = browser.submit("/policy", &form(mode, hours, interval)).await;
        assert_eq!(refused.status, 422);
        let page = refused.text();
        assert!(page.contains(&format!("Nothing was saved: {expected}.")), "{page}");
        assert!(page.contains(&format!("value=\"{hours}\"")), "what was typed is kept: {page}");
        let problem = browser.post("/policy", &form(mode, hours, interval)).await.problem();
        assert_eq!(problem, (422, "malformed".to_owned()));
    }
    assert_eq!(world.portal.policy(world.acme).await.unwrap().version, 1);
    let short = Policy { checkin_interval_s: 1, ..Policy::default() };
    assert!(world.portal.set_policy(world.acme, short).await.is_err());
}

fn form<'a>(mode: &'a str, hours: &'a str, interval: &'a str) -> [(&'a str, &'a str); 7] {
    [
        ("mode", mode),
        ("web_protection", "block"),
        ("warn_pass_hours", hours),
        ("checkin_interval_s", interval),
        ("dns_upstream", "system"),
        ("dns_fallback", "on"),
        ("strip_ech", "on"),
    ]
}

pub(crate) async fn told(device: &Device) -> Policy {
    let reply: PolicyReply = device.get(path::POLICY).await.json();
    let key = device.signing_key.as_ref().unwrap().portal_key().unwrap();
    let document: PolicyDocument = bartizan_contract::signed::open(&reply.policy, &key).unwrap();
    document.policy().unwrap()
}

#[tokio::test]
async fn a_document_is_edited_by_a_form_and_reviewed_before_it_is_saved() {
    let world = World::new().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let page = browser.get("/policy/all").await.text();
    assert!(
        page.contains("name=\"key.BartizanWarnPassHours\" type=\"number\" min=\"0\""),
        "{page}"
    );
    assert!(page.contains("24 hours, the default"), "{page}");

    let sent = |hours, step| {
        [("base", "1"), ("key.BartizanWarnPassHours", hours), ("key.WebProtection", "true")]
            .into_iter()
            .chain([("note", "More time"), ("percent", "100"), ("step", step)])
            .collect::<Vec<_>>()
    };
    let reviewed = browser.submit("/policy/all", &sent("48", "review")).await;
    assert_eq!(reviewed.status, 200);
    let page = reviewed.text();
    assert!(page.contains("BartizanWarnPassHours is set to 48"), "{page}");
    assert!(page.contains("name=\"step\" value=\"save\""), "{page}");
    assert!(!browser.get("/policy/all").await.text().contains("/versions/2"), "nothing was saved");

    let refused = browser.submit("/policy/all", &sent("200", "save")).await;
    assert_eq!(refused.status, 422);
    let page = refused.text();
    assert!(page.contains("This has to be 0 to 168 hours, and is 200."), "{page}");
    assert!(page.contains("value=\"200\""), "what was typed is kept: {page}");

    let saved = browser.submit("/policy/all", &sent("48", "save")).await;
    assert_eq!((saved.status.as_u16(), saved.header("location")), (303, "/policy/all?done=saved"));
    let page = browser.get("/policy/all?view=json").await.text();
    assert!(page.contains("&#34;BartizanWarnPassHours&#34;: 48"), "{page}");

    // Somebody else saved since this form was opened.
    let late = browser.submit("/policy/all", &sent("12", "save")).await;
    assert_eq!(late.status, 422);
    assert!(late.text().contains("Version 2 was saved meanwhile"));
}
