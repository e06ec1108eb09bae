//! The organization at a glance: what was stopped, and how seats are taken; the latter for operators too.

use bartizan_contract::path;

use crate::operators::operator;
use crate::world::{World, batch};

#[tokio::test]
async fn the_overview_has_what_is_stopped_most_often_and_seats_where_they_count() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    let mut admin = world.member(world.acme, "a@acme.test").await;
    let empty = admin.get("/overview").await.text();
    assert!(empty.contains("No device was stopped from reaching any."), "{empty}");
    assert!(!empty.contains("Licenses</h2>"), "nobody counts seats");
    assert_eq!(device.post(path::ALERTS, &batch(0..7)).await.status, 200);
    let page = admin.get("/overview").await.text();
    assert!(page.contains("By the alerts of the last seven days."), "{page}");
    let row = page.split("<tr>").find(|row| row.contains("h0.test")).unwrap();
    assert!(row.contains("href=\"/incidents/"), "{row}");
    assert_eq!(page.matches("href=\"/incidents/").count(), 5, "{page}");

    let seats = [("plan", "plan-1"), ("seats", "3")];
    assert_eq!(admin.submit("/licenses/seats", &seats).await.status, 303);
    let page = admin.get("/overview").await.text();
    assert!(page.contains("<a href=\"/licenses\">0 of 3 seats</a>"), "{page}");
    let root = operator(&world, "root", true).await;
    let page = root.get(&format!("/operator/tenants/{}", world.acme.0)).await.text();
    assert!(page.contains("0 of 3 seats"), "{page}");
    let page = root.get(&format!("/operator/tenants/{}", world.globex.0)).await.text();
    assert!(!page.contains("Licenses</h2>"), "{page}");
}

#[tokio::test]
async fn the_audit_log_offers_the_people_of_its_page() {
    let world = World::new().await;
    let admin = world.member(world.acme, "a@acme.test").await;
    let other = world.member(world.acme, "b@acme.test").await;
    let page = admin.get("/audit").await.text();
    let option = page.split("<option value=\"member:").find(|it| it.contains("b@acme.test"));
    let id = option.unwrap().split('"').next().unwrap();
    let only = other.get(&format!("/audit?actor=member:{id}")).await.text();
    assert!(only.contains(&format!("value=\"member:{id}\" selected>b@acme.test")), "{only}");
    let none = other.get(&format!("/audit?actor=member:{id}&action=role.create")).await.text();
    assert!(none.contains("selected>b@acme.test"), "who is asked for stands there: {none}");
    assert!(!none.contains("a@acme.test</option>"), "{none}");
}
