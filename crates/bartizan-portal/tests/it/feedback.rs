//! Feedback, from a device and from the console to an answer.

use bartizan_contract::feedback::{Feedback, FeedbackList, FeedbackReply, MAX_LOGS, mood};
use bartizan_contract::path;
use bartizan_model::{AlertId, DeviceId};

use crate::world::{Device, NOW, World};

#[tokio::test]
async fn what_a_device_says_is_answered_and_the_device_is_told() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    let id = say(&device, 1).await;
    let again: FeedbackReply = device.post(path::FEEDBACK, &feedback(1)).await.json();
    assert!(!again.fresh);
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let inbox = browser.get("/feedback?status=New").await.text();
    assert!(
        inbox.contains("It is &#60;b&#62;slow&#60;/b&#62;.") && inbox.contains("Annoyed"),
        "{inbox}"
    );
    let page = browser.get(&format!("/feedback/{id}")).await.text();
    assert!(page.contains(&format!("/devices/{}", device.id)) && page.contains("0.1.0"), "{page}");
    let logs = browser.get(&format!("/feedback/{id}/logs")).await;
    assert_eq!(logs.header("content-type"), "text/plain; charset=utf-8");
    assert!(logs.header("content-disposition").starts_with("attachment"));
    assert_eq!(logs.header("x-content-type-options"), "nosniff");
    assert_eq!(logs.text(), "<script>\n");

    let empty = browser.submit(&format!("/feedback/{id}/reply"), &[("reply", "+")]).await;
    assert!(empty.status == 422 && empty.text().contains("Say it in 1 to"), "{}", empty.text());
    let replied =
        browser.submit(&format!("/feedback/{id}/reply"), &[("reply", "We look into it.")]).await;
    assert_eq!(replied.header("location"), format!("/feedback/{id}?done=reply"));
    let told: FeedbackList = device.get(path::FEEDBACK).await.json();
    let told = &told.feedback[0];
    assert_eq!(
        (told.status.as_str(), told.reply.as_deref()),
        ("Answered", Some("We look into it."))
    );
    assert_eq!(told.id, feedback(1).id);
    let closed = browser.submit(&format!("/feedback/{id}/status"), &[("status", "Closed")]).await;
    assert_eq!(closed.header("location"), format!("/feedback/{id}?done=status"));
    let other = world.device(world.globex, 2).await;
    assert_eq!(other.get(path::FEEDBACK).await.json::<FeedbackList>(), FeedbackList::default());
}

#[tokio::test]
async fn too_much_and_too_often_is_refused() {
    let world = World::new().await;
    let device = world.device(world.acme, 1).await;
    let long = Feedback { logs: Some("x".repeat(MAX_LOGS + 1)), ..feedback(1) };
    assert_eq!(device.post(path::FEEDBACK, &long).await.problem().0, 400);
    for number in 1..=20 {
        say(&device, number).await;
    }
    let more = device.post(path::FEEDBACK, &feedback(21)).await;
    assert_eq!(more.problem(), (429, "rate_limited".into()));
    assert_eq!(more.header("retry-after"), "3600");
}

#[tokio::test]
async fn a_member_says_something_from_any_page_and_sees_what_became_of_it() {
    let world = World::new().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    assert!(browser.get("/devices").await.text().contains("href=\"/feedback/new\""));
    let refused = browser.submit("/feedback", &[("text", "")]).await;
    assert_eq!(refused.status, 422);
    let form = [("text", "Where is the map?"), ("mood", "good"), ("page", "/devices")];
    assert_eq!(
        browser.submit("/feedback", &form).await.header("location"),
        "/feedback/new?done=sent"
    );
    let own = browser.get("/feedback/new").await.text();
    assert!(own.contains("Where is the map?"), "{own}");
    let inbox = browser.get("/feedback").await.text();
    assert!(inbox.contains("a@acme.test") && inbox.contains("Glad"), "{inbox}");
}

/// Says something as a device; returns its id at the console.
pub(crate) async fn say(device: &Device, number: u128) -> String {
    let reply: FeedbackReply = device.post(path::FEEDBACK, &feedback(number)).await.json();
    assert!(reply.fresh);
    let id: AlertId = feedback(number).id.parse().unwrap();
    // Written as that of a device is.
    DeviceId(id.0).to_string()
}

fn feedback(number: u128) -> Feedback {
    Feedback {
        id: AlertId::new(NOW, number).to_string(),
        text: "It is <b>slow</b>.".into(),
        mood: Some(mood::BAD.into()),
        logs: Some("<script>\n".into()),
    }
}
