//! How long an organization keeps things, decided in the browser and carried out.

use bartizan_contract::path;
use bartizan_portal::BuiltIn;

use crate::world::{HOUR, OWN_PASSWORD, World, batch};

const DAY: u64 = 24 * HOUR;

#[tokio::test]
async fn a_shorter_time_is_shown_with_what_goes_before_it_holds() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    assert_eq!(device.post(path::ALERTS, &batch(0..3)).await.status, 200);
    world.advance(40 * DAY);
    let mut admin = world.member(world.acme, "a@acme.test").await;
    let list = admin.get("/alerts").await.text();
    for alert in list.split("href=\"/alerts/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        if alert.len() == 36 {
            admin.submit(&format!("/alerts/{alert}/status"), &[("status", "Resolved")]).await;
        }
    }
    let page = admin.get("/retention").await.text();
    assert!(page.contains("What is settled is kept for 180 days."), "{page}");
    assert!(page.contains("From 7 to 180. Empty: as whoever runs the portal decides, 180 days."));
    assert!(page.contains("At the next run: 0 resolved alerts."), "{page}");
    for odd in ["6", "181", "x", "-1"] {
        let refused = admin.submit("/retention", &[("days", odd), ("seen", "")]).await;
        assert_eq!(refused.status, 422, "{odd}");
        assert!(refused.text().contains("Days are a number from 7 to 180, or nothing."));
    }
    let asked = admin.submit("/retention", &[("days", "30"), ("seen", "")]).await;
    assert_eq!(asked.status, 200);
    let text = asked.text();
    assert!(text.contains("Keep things for 30 days only?"), "{text}");
    assert!(text.contains("3 resolved alerts, and what else is older"), "{text}");
    assert_eq!(world.portal.remove_old().await.unwrap(), 0, "not before they say yes");
    let sure = [("days", "30"), ("seen", ""), ("sure", "yes")];
    let saved = admin.submit("/retention", &sure).await;
    assert_eq!(saved.header("location"), "/retention?done=saved");
    let late = admin.submit("/retention", &[("days", "60"), ("seen", "")]).await;
    assert_eq!(late.status, 412);
    assert!(late.text().contains("Somebody has changed this since you opened the page."));
    let page = admin.get("/retention").await.text();
    assert!(page.contains("What is settled is kept for 30 days."), "{page}");
    assert!(page.contains("At the next run: 3 resolved alerts."), "{page}");
    assert_eq!(world.portal.remove_old().await.unwrap(), 3);
    let log = admin.get("/audit").await.text();
    assert!(log.contains("Retention changed") && log.contains("days_before"), "{log}");
    // A longer time takes nothing away, so nobody is asked.
    let longer = admin.submit("/retention", &[("days", ""), ("seen", "30")]).await;
    assert_eq!(longer.status, 303);
}

#[tokio::test]
async fn where_the_installation_keeps_all_an_organization_may_decide_otherwise() {
    let world = World::chosen(|config| config.retention = None).await;
    let mut admin = world.member(world.acme, "a@acme.test").await;
    let page = admin.get("/retention").await.text();
    assert!(page.contains("What is settled is kept for ever."), "{page}");
    let sure = [("days", "3650"), ("seen", ""), ("sure", "yes")];
    assert_eq!(admin.submit("/retention", &sure).await.status, 303);
    assert!(admin.get("/retention").await.text().contains("kept for 3,650 days."));

    let password = world.portal.create_member(world.acme, "r@acme.test", BuiltIn::ReadOnly).await;
    let mut reader = world.browser();
    reader.sign_in("r@acme.test", &password.unwrap().to_string()).await;
    reader.choose("", OWN_PASSWORD).await;
    assert_eq!(reader.get("/retention").await.status, 403);
    assert_eq!(reader.post("/retention", &sure).await.status, 403);
}
