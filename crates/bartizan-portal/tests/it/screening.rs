//! Detectors, suppression rules and incidents at the console.

use bartizan_contract::path;

use crate::world::{Browser, HOUR, World, batch};

#[tokio::test]
async fn a_rule_is_made_from_an_alert_looked_at_and_ended() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    assert_eq!(device.post(path::ALERTS, &batch(0..3)).await.status, 200);
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let alert = world.portal.newest_alerts(world.acme).await.unwrap().remove(0);
    let page = browser.get(&format!("/alerts/{}", alert.id)).await.text();
    let new = format!("/suppressions/new?alert={}", alert.id);
    assert!(page.contains(&new), "{page}");
    let host = alert.host.unwrap();
    assert!(browser.get(&new).await.text().contains(&format!("value=\"{host}\"")));

    let like = [("scope", "all"), ("detector", alert.detector), ("host", &*host)];
    let preview: Vec<_> = like.into_iter().chain([("do", "preview")]).collect();
    let page = browser.submit("/suppressions", &preview).await.text();
    assert!(page.contains("would have hidden 1 of the 3 alerts"), "{page}");
    for (field, value, told) in [
        ("reason", "", "Say why"),
        ("until", "2001-01-01", "This day is over"),
        ("until", "soon", "This is not a day"),
        ("never", "", "Choose a last day"),
        ("host", "a b", "not the name of a host"),
        ("scope", "group", "Choose a device group"),
        ("scope", "device", "Write a part of the device’s name"),
        ("scope", "person", "e-mail address"),
    ] {
        let mut form = vec![("reason", "Training."), ("never", "yes"), ("do", "save")];
        form.extend(like);
        form.retain(|(name, _)| *name != field && (field != "until" || *name != "never"));
        form.push((field, value));
        let refused = browser.submit("/suppressions", &form).await;
        assert_eq!(refused.status, 422, "{field}");
        assert!(refused.text().contains(told), "{told}: {}", refused.text());
    }
    let mut form = vec![("reason", "Training."), ("never", "yes"), ("do", "save")];
    form.extend(like);
    assert_eq!(browser.submit("/suppressions", &form).await.status, 303);
    world.advance(48 * HOUR);
    assert_eq!(browser.sign_in("a@acme.test", crate::world::OWN_PASSWORD).await.status, 303);
    let page = browser.get("/suppressions").await.text();
    assert!(page.contains("Training.") && page.contains("Every device"), "{page}");
    let id = page.split("data-row=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let rule = format!("/suppressions/{id}");
    let until = [("scope", "all"), ("reason", "Until then."), ("until", "2099-01-01")];
    assert_eq!(browser.submit(&rule, &until).await.status, 303);
    assert!(browser.get(&rule).await.text().contains("value=\"2099-01-01\""));
    assert_eq!(browser.submit(&format!("{rule}/end"), &[]).await.status, 303);
    assert!(browser.get("/suppressions").await.text().contains("No rule hides anything"));
    let page = browser.get("/suppressions?show=all").await.text();
    assert!(page.contains("Until then.") && page.contains("Expired"), "{page}");
    assert_eq!(browser.submit(&rule, &until).await.status, 409, "it has ended");
}

#[tokio::test]
async fn a_rule_for_one_device_is_made_from_its_page_or_by_its_name() {
    let world = World::new().await;
    let (one, other) = (world.device(world.acme, 1).await, world.device(world.acme, 2).await);
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let new = format!("/suppressions/new?device={}", one.id);
    assert!(browser.get(&format!("/devices/{}", one.id)).await.text().contains(&new));
    let page = browser.get(&new).await.text();
    let chosen = |id: &bartizan_model::DeviceId| format!("name=\"device-id\" value=\"{id}\"");
    assert!(page.contains(&chosen(&one.id)), "{page}");
    assert!(page.contains("value=\"device\" checked") && page.contains("Chosen:"), "{page}");

    // Both have the same name: which one is asked.
    let base = [("scope", "device"), ("reason", "Training."), ("never", "yes")];
    let name = page.split("id=\"device\" name=\"device\" value=\"").nth(1).unwrap();
    let name = name.split('"').next().unwrap().to_owned();
    let with = |more: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        base.iter().chain(more).map(|(name, value)| (*name, (*value).to_owned())).collect()
    };
    let send = async |browser: &mut Browser, form: Vec<(&'static str, String)>| {
        let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        browser.submit("/suppressions", &form).await
    };
    let asked = send(&mut browser, with(&[("device", &name), ("do", "save")])).await;
    assert_eq!(asked.status, 422);
    for id in [&one.id, &other.id] {
        assert!(asked.text().contains(&format!("name=\"device-pick\" value=\"{id}\"")));
    }
    let none = send(&mut browser, with(&[("device", "no such"), ("do", "find")])).await;
    assert!(none.text().contains("No device has this in its name"));
    let picked = other.id.to_string();
    let found =
        send(&mut browser, with(&[("device", &name), ("device-pick", &picked), ("do", "find")]))
            .await;
    assert_eq!(found.status, 200);
    assert!(found.text().contains(&chosen(&other.id)), "{}", found.text());
    let saved = [("device", name.as_str()), ("device-id", &picked), ("do", "save")];
    assert_eq!(send(&mut browser, with(&saved)).await.status, 303);
    let list = browser.get("/suppressions").await.text();
    assert!(list.contains(&format!("Device {name}")), "{list}");
    let by_id = with(&[("device", &one.id.to_string()), ("do", "save")]);
    assert_eq!(send(&mut browser, by_id).await.status, 303);
}

#[tokio::test]
async fn modes_and_days_are_kept_and_followed() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let days = "days/web.phishing.blocked";
    for word in ["0", "366", "x"] {
        let refused = browser.submit("/detectors", &[(days, word)]).await;
        assert_eq!(refused.status, 422, "{word}");
        assert!(refused.text().contains("from 1 to 365"), "{word}");
    }
    let log = [("all/web.phishing.blocked", "log-only"), (days, "7")];
    assert_eq!(browser.submit("/detectors", &log).await.status, 303);
    let page = browser.get("/detectors?done=saved").await.text();
    assert!(page.contains("Saved.") && page.contains("value=\"7\""), "{page}");
    assert!(page.contains("value=\"log-only\" selected"), "{page}");
    assert_eq!(device.post(path::ALERTS, &batch(0..2)).await.status, 200);
    assert!(world.portal.newest_alerts(world.acme).await.unwrap().is_empty());
    let page = browser.get(&format!("/devices/{}", device.id)).await.text();
    assert!(page.contains("Logged: Phishing site blocked"), "{page}");
    assert!(browser.get("/detectors").await.text().contains("2 logged, 0 dropped"));
    assert_eq!(browser.submit("/detectors", &[(days, "7")]).await.status, 303);
    assert_eq!(device.post(path::ALERTS, &batch(2..3)).await.status, 200);
    assert_eq!(world.portal.newest_alerts(world.acme).await.unwrap().len(), 1);
    assert_eq!(world.portal.resolve_quiet_alerts().await.unwrap(), 0);
    world.advance(8 * 24 * HOUR);
    assert_eq!(world.portal.resolve_quiet_alerts().await.unwrap(), 1);
    assert_eq!(browser.sign_in("a@acme.test", crate::world::OWN_PASSWORD).await.status, 303);
    let alert = world.portal.newest_alerts(world.acme).await.unwrap().remove(0).id;
    let page = browser.get(&format!("/alerts/{alert}")).await.text();
    assert!(page.contains("AutoResolved") && page.contains("not seen again for 7 days"), "{page}");
}

#[tokio::test]
async fn an_incident_is_renamed_split_and_merged() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    assert_eq!(device.post(path::ALERTS, &batch(0..3)).await.status, 200);
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let page = browser.get("/incidents").await.text();
    let id = page.split("href=\"/incidents/").nth(1).unwrap().split('"').next().unwrap();
    let incident = format!("/incidents/{id}");
    let alert = world.portal.newest_alerts(world.acme).await.unwrap().remove(0).id;

    assert_eq!(submit(&mut browser, &incident, "title", &[("title", "Monday")]).await, "title");
    assert!(browser.get(&incident).await.text().contains("<h1>Monday</h1>"));
    for (form, problem) in [
        (&[("reason", "Why.")][..], "none"),
        (&[("id", &*alert)][..], "reason"),
        (&[("id", &*alert), ("title", &*"x".repeat(301))][..], "title"),
    ] {
        assert_eq!(submit(&mut browser, &incident, "split", form).await, problem);
        let page = browser.get(&format!("{incident}?problem={problem}")).await.text();
        assert!(page.contains("role=\"alert\""), "{problem}");
    }
    let form = [("id", &*alert), ("reason", "Another matter."), ("title", "Tuesday")];
    let made = browser.submit(&format!("{incident}/split"), &form).await;
    let made = made.header("location").split('?').next().unwrap().to_owned();
    let page = browser.get(&made).await.text();
    assert!(page.contains("Tuesday") && page.contains("Another matter."), "{page}");
    for (form, problem) in [
        (&[("into", id), ("reason", "x")][..], "into"),
        (&[("into", made.rsplit('/').next().unwrap())][..], "reason"),
        (&[("into", "0192f3a4-b5c6-7d8e-9f00-112233445566"), ("reason", "x")][..], "into"),
    ] {
        assert_eq!(submit(&mut browser, &incident, "merge", form).await, problem);
    }
    let form = [("into", id), ("reason", "The same after all.")];
    let merged = browser.submit(&format!("{made}/merge"), &form).await;
    assert_eq!(merged.header("location"), format!("{incident}?done=merged"));
    assert_eq!(browser.get(&made).await.header("location"), incident);
    let page = browser.get(&incident).await.text();
    assert!(page.contains("The same after all.") && page.contains("3 alerts"), "{page}");

    // All of its alerts at once.
    let form = [("of-incident", id), ("do", "all")];
    let asked = browser.submit("/alerts/bulk", &form).await.text();
    assert!(asked.contains("Change 3 alerts") && asked.contains(&incident), "{asked}");
    let form = [("of-incident", id), ("do", "all"), ("sure", "yes"), ("status", "Resolved")];
    assert_eq!(browser.submit("/alerts/bulk", &form).await.status, 303);
    world.portal.carry_out_changes().await.unwrap();
    assert!(browser.get("/incidents").await.text().contains("No incident has unresolved alerts"));
}

/// Returns the word that the page is told.
async fn submit(
    browser: &mut Browser,
    incident: &str,
    action: &str,
    form: &[(&str, &str)],
) -> String {
    let answer = browser.submit(&format!("{incident}/{action}"), form).await;
    answer.header("location").rsplit('=').next().unwrap().to_owned()
}
