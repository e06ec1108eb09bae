//! Groups, tags and documents at the console, up to what a device is given.

use bartizan_contract::path;
use bartizan_model::Mode;

use crate::policy::told;
use crate::world::World;

#[tokio::test]
async fn a_group_with_a_policy_reaches_the_devices_that_a_tag_brings_into_it() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let rule = [("name", "Field"), ("field", "tag"), ("operator", "equals"), ("value", "field")];
    let count = browser.submit("/groups", &[&rule[..], &[("do", "preview")]].concat()).await;
    assert!(count.text().contains("These rules match 0 devices."), "{}", count.text());
    let saved = browser.submit("/groups", &[&rule[..], &[("do", "save")]].concat()).await;
    assert_eq!(saved.header("location"), "/groups?done=saved");
    let taken = browser.submit("/groups", &[&rule[..], &[("do", "save")]].concat()).await;
    assert!(taken.status == 422 && taken.text().contains("Another group has this name."));
    let list = browser.get("/groups").await.text();
    let id = list.split("href=\"/groups/").nth(2).unwrap().split('"').next().unwrap().to_owned();

    let document = [
        ("settings", r#"{"BartizanMode": "tunnel", "DefenderDeviceTag": "Büro"}"#),
        ("note", "as agreed"),
        ("percent", "0"),
    ];
    let saved = browser.submit(&format!("/policy/{id}"), &document).await;
    assert_eq!(saved.header("location"), format!("/policy/{id}?done=saved"));
    let page = format!("/devices/{}", device.id);
    let tagged = browser.submit(&format!("{page}/tags"), &[("tag", "field"), ("do", "add")]).await;
    assert_eq!(tagged.header("location"), format!("{page}?done=saved"));
    assert_eq!(told(&device).await.mode, Mode::Dns, "no device is to have it yet");
    let share = [("number", "1"), ("percent", "100")];
    assert_eq!(browser.submit(&format!("/policy/{id}/percent"), &share).await.status, 303);
    assert_eq!(told(&device).await.mode, Mode::Tunnel);

    let shown = browser.get(&page).await.text();
    for expected in ["group Field v1", "Tag “field” given", "Büro", "by policy", "a@acme.test"]
    {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    for filter in ["tag=B%C3%BCro", "os=iOS", "app=0.1.0", &format!("group={id}")] {
        let listed = browser.get(&format!("/devices?{filter}")).await.text();
        assert!(listed.contains(&page), "{filter}");
    }
    let none = browser.get("/devices?group=none").await.text();
    assert!(!none.contains(&page), "{none}");

    assert_eq!(browser.submit(&format!("/groups/{id}/delete"), &[]).await.status, 303);
    assert_eq!(browser.get(&format!("/policy/{id}")).await.status, 404);
}

#[tokio::test]
async fn a_document_says_what_does_not_fit_and_what_changed() {
    let world = World::new().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let form = |settings, percent| [("settings", settings), ("note", ""), ("percent", percent)];
    let wrong = r#"{"BartizanMod": "tunnel", "BartizanWarnPassHours": 999}"#;
    let refused = browser.submit("/policy/all", &form(wrong, "101")).await;
    assert_eq!(refused.status, 422);
    let text = refused.text();
    for expected in ["perhaps BartizanMode", "0 to 168 hours", "from 0 to 100", "BartizanMod"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let right =
        r#"{"BartizanMode": "tunnel", "BartizanDnsUpstream": "tls://dns.example?ip=192.0.2.53"}"#;
    assert_eq!(browser.submit("/policy/all", &form(right, "100")).await.status, 303);
    let page = browser.get("/policy/all/versions/2").await.text();
    assert!(page.contains("BartizanMode is set to tunnel"), "{page}");
    let page = browser.get("/policy/all/versions/1?against=2").await.text();
    assert!(page.contains("BartizanMode is no longer set (it was tunnel)"), "{page}");
    assert_eq!(browser.get("/policy/all/versions/3").await.status, 404);

    for (file, expected) in [
        ("plist", "<key>BartizanMode</key>"),
        ("dict", "<dict>"),
        ("vpn&app=com.example.bartizan", "com.example.bartizan.tunnel"),
        ("filter&app=com.example.bartizan", "com.apple.webcontent-filter"),
        ("dns&app=com.example.bartizan", "com.apple.dnsSettings.managed"),
    ] {
        let answer = browser.get(&format!("/policy/all/file?file={file}")).await;
        assert!(answer.text().contains(expected), "{file}: {}", answer.text());
        assert!(answer.header("content-disposition").starts_with("attachment"));
    }
    assert_eq!(browser.get("/policy/all/file?file=vpn").await.status, 422);
    assert_eq!(browser.get("/policy/all/file?file=other").await.status, 404);
}

#[tokio::test]
async fn a_device_that_was_taken_out_is_told_so_and_one_that_is_forgotten_is_gone() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let page = format!("/devices/{}", device.id);
    let about = [("owner", "Kim@acme.test"), ("value", "High")];
    assert_eq!(browser.submit(&page, &about).await.status, 303);
    assert!(browser.get(&page).await.text().contains("Person set to kim@acme.test"));
    let nobody = browser.submit(&page, &[("owner", "Kim"), ("value", "High")]).await;
    assert!(nobody.status == 422 && nobody.text().contains("That is no e-mail address."));

    assert_eq!(browser.get(&format!("{page}/remove")).await.status, 200);
    assert_eq!(browser.submit(&format!("{page}/offboard"), &[]).await.status, 303);
    let refused = (401, "device_offboarded".to_owned());
    assert_eq!(device.get(path::POLICY).await.problem(), refused);
    assert_eq!(device.ask_for_token().await.problem(), refused);
    assert!(browser.get(&page).await.text().contains("This device was taken out"));

    assert_eq!(browser.submit(&format!("{page}/forget"), &[]).await.status, 303);
    assert_eq!(browser.get(&page).await.status, 404);
    assert_eq!(device.ask_for_token().await.problem(), (401, "device_unknown".into()));
}
