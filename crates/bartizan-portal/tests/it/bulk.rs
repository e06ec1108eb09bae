//! Many alerts changed at once, from the list to the results.

use bartizan_contract::path;

use crate::world::{Browser, World, batch};

#[tokio::test]
async fn a_whole_filter_is_asked_about_and_then_changed_in_the_background() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    for start in [0, 50] {
        assert_eq!(device.post(path::ALERTS, &batch(start..start + 50)).await.status, 200);
    }
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let page = browser.get("/alerts?severity=Informational").await.text();
    assert!(page.contains("Change all 100 that match"), "{page}");
    let form = [
        ("of-severity", "Informational"),
        ("of-status", "Unresolved"),
        ("do", "all"),
        ("status", "Resolved"),
        ("assign", "me"),
    ];
    let asked = browser.submit("/alerts/bulk", &form).await;
    assert_eq!(asked.status, 200, "nothing is done before it is confirmed");
    assert!(asked.text().contains("Change 100 alerts"), "{}", asked.text());
    let sure: Vec<_> = form.into_iter().chain([("sure", "yes")]).collect();
    let done = browser.submit("/alerts/bulk", &sure).await;
    let job = done.header("location").to_owned();
    assert!(job.starts_with("/alerts/jobs/"), "{job}");
    let page = browser.get(&job).await.text();
    assert!(page.contains("Waiting") && page.contains("0 of 100 alerts"), "{page}");

    world.portal.carry_out_changes().await.unwrap();
    let page = browser.get(&job).await.text();
    assert!(page.contains("Done") && page.contains("100 of 100 alerts"), "{page}");
    assert!(browser.get("/alerts").await.text().contains("Nothing to do"));
    let results = browser.get(&format!("{job}/results.csv")).await.text();
    assert_eq!(results.matches(",changed,").count(), 100, "{results}");
    assert!(results.starts_with("alert_id,outcome,reason\r\n"), "{results}");
    assert!(browser.get("/alerts/jobs").await.text().contains("status Resolved, assignee"));
}

#[tokio::test]
async fn a_selection_is_changed_and_a_job_is_canceled() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    assert_eq!(device.post(path::ALERTS, &batch(0..2)).await.status, 200);
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let alert = world.portal.newest_alerts(world.acme).await.unwrap().remove(0).id;
    let form = [
        ("id", alert.as_str()),
        ("do", "some"),
        ("tag", "campaign 7, mail"),
        ("verdict", "TruePositive/Phishing"),
        ("comment", "Told everybody."),
    ];
    let job = browser.submit("/alerts/bulk", &form).await.header("location").to_owned();
    world.portal.carry_out_changes().await.unwrap();
    let page = browser.get(&format!("/alerts/{alert}")).await.text();
    assert!(page.contains("campaign 7, mail") && page.contains("Told everybody."), "{page}");
    assert!(browser.get(&job).await.text().contains("1 of 1 alert"));
    let untag = [("status", "New"), ("untag", "mail"), ("tag", "seen")];
    assert_eq!(browser.submit(&format!("/alerts/{alert}/status"), &untag).await.status, 303);
    let page = browser.get(&format!("/alerts/{alert}")).await.text();
    assert!(page.contains("campaign 7, seen"), "{page}");

    let all = [("do", "all"), ("of-status", "Any"), ("status", "Resolved"), ("sure", "yes")];
    let job = browser.submit("/alerts/bulk", &all).await.header("location").to_owned();
    assert_eq!(browser.submit(&format!("{job}/cancel"), &[]).await.header("location"), job);
    world.portal.carry_out_changes().await.unwrap();
    assert!(browser.get(&job).await.text().contains("Canceled"));
    assert!(browser.get("/alerts").await.text().contains(&alert));
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_said() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    assert_eq!(device.post(path::ALERTS, &batch(0..1)).await.status, 200);
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let alert = world.portal.newest_alerts(world.acme).await.unwrap().remove(0).id;
    let long = "x".repeat(101);
    check(&mut browser, &[("status", "Resolved")], "No alert is selected").await;
    check(&mut browser, &[("id", "nonsense"), ("status", "Resolved")], "No alert is selected")
        .await;
    for (name, value, told) in [
        ("comment", " ", "Choose what is to change"),
        ("status", "Gone", "Choose a status"),
        ("assign", "x", "Choose an assignee"),
        ("tag", &long, "At most 20 tags"),
    ] {
        check(&mut browser, &[("id", &alert), (name, value)], told).await;
    }
    for (name, value) in [
        ("verdict", "TruePositive/NotMalicious"),
        ("assign", "0192f3a4-b5c6-7d8e-9f00-112233445566"),
    ] {
        let refused = browser.submit("/alerts/bulk", &[("id", &alert), (name, value)]).await;
        assert_eq!(refused.status, 404, "{name}");
    }
}

async fn check(browser: &mut Browser, form: &[(&str, &str)], told: &str) {
    let refused = browser.submit("/alerts/bulk", form).await;
    assert_eq!(refused.status, 422, "{form:?}");
    assert!(refused.text().contains(told), "{told}: {}", refused.text());
}
