//! Sinks at the console, and what receivers get: receivers that take, refuse, hang and come back.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use bartizan_contract::path;
use bartizan_model::UnixMillis;
use bartizan_portal::Reach;
use bartizan_portal::feeds::{FeedOrigin, FeedSettings, settings};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::sync::Notify;

use crate::site::Site;
use crate::world::{Browser, HOUR, NOW, World, batch};

#[tokio::test]
async fn a_webhook_is_tried_and_gets_signed_events_in_their_order() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let page = create(&mut browser, &receiver.url, &[]).await;
    let secret = page.split("whsec_").nth(1).unwrap().split('<').next().unwrap();
    let secret = STANDARD.decode(secret).unwrap();
    let id = id_of(&page);
    let again = browser.get(&format!("/sinks/{id}")).await.text();
    assert!(!again.contains("whsec_") && !again.contains("secret-path"), "shown once: {again}");

    let tested = browser.submit(&format!("/sinks/{id}/test"), &[]).await.text();
    for expected in
        ["The test was taken.", "webhook-signature: v1,", "HTTP/1.1 200 OK", "taken, thanks"]
    {
        assert!(tested.contains(expected), "{expected}: {tested}");
    }
    assert!(receiver.bodies()[0]["data"]["test"].as_bool().unwrap());

    let device = world.device(world.acme, 1).await;
    assert_eq!(device.post(path::ALERTS, &batch(0..3)).await.status, 200);
    world.portal.tell_sinks().await.unwrap();
    let got = receiver.taken();
    for (headers, body) in &got {
        let header = |name: &str| headers[name].to_str().unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
        let signed = format!("{}.{}.", header("webhook-id"), header("webhook-timestamp"));
        mac.update(signed.as_bytes());
        mac.update(body);
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(header("webhook-signature"), expected);
    }
    let bodies = receiver.bodies();
    let seqs: Vec<_> =
        bodies.iter().skip(1).map(|body| body["data"]["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted() && 6 < seqs.len(), "{seqs:?}");
    let raised = bodies.iter().filter(|body| body["type"] == "alert.raised").count();
    assert_eq!(raised, 4, "one of them is the test");
    let state = browser.get(&format!("/sinks/{id}")).await.text();
    assert!(state.contains("Delivers"), "{state}");

    let rotated = browser.submit(&format!("/sinks/{id}/rotate"), &[]).await.text();
    assert!(rotated.contains("whsec_") && rotated.contains("signs as well until"), "{rotated}");
    browser.submit(&format!("/sinks/{id}/test"), &[]).await;
    let (headers, _) = receiver.taken().pop().unwrap();
    assert_eq!(headers["webhook-signature"].to_str().unwrap().matches("v1,").count(), 2);
}

#[tokio::test]
async fn a_receiver_that_was_away_gets_everything_once_it_is_back() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let id = webhook_of(&mut browser, &receiver.url, "alert.raised").await;
    receiver.answer(503);
    let device = world.device(world.acme, 1).await;
    device.post(path::ALERTS, &batch(0..3)).await;
    world.portal.tell_sinks().await.unwrap();
    world.portal.tell_sinks().await.unwrap();
    assert_eq!(receiver.taken().len(), 1, "not again before its time");
    let page = browser.get(&format!("/sinks/{id}")).await.text();
    assert!(page.contains("Failing") && page.contains("503 Service Unavailable"), "{page}");

    receiver.answer(200);
    world.clock.set(UnixMillis(NOW.0 + HOUR / 4));
    world.portal.tell_sinks().await.unwrap();
    let hosts: Vec<_> =
        receiver.bodies().iter().map(|body| body["data"]["alert"]["host"].clone()).collect();
    assert_eq!(hosts, ["h0.test", "h0.test", "h1.test", "h2.test"]);
    let ids: Vec<_> =
        receiver.taken().iter().map(|(headers, _)| headers["webhook-id"].clone()).collect();
    assert_eq!(ids[0], ids[1], "the same under the same id");
}

#[tokio::test]
async fn what_is_refused_three_times_waits_for_a_person_and_holds_nobody_up() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let id = webhook_of(&mut browser, &receiver.url, "alert.raised").await;
    let device = world.device(world.acme, 1).await;
    device.post(path::ALERTS, &batch(0..2)).await;
    receiver.refuse("h0.test");
    for quarter in 1..=5 {
        world.portal.tell_sinks().await.unwrap();
        world.clock.set(UnixMillis(NOW.0 + quarter * HOUR / 4));
        browser.sign_in("a@acme.test", crate::world::OWN_PASSWORD).await;
    }
    assert_eq!(receiver.hosts(), ["h0.test", "h0.test", "h0.test", "h1.test"]);
    let page = browser.get(&format!("/sinks/{id}")).await.text();
    for expected in ["Phishing", "(h0.test)", "3 tries", "422 Unprocessable"] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
    receiver.refuse("-");
    assert_eq!(browser.submit(&format!("/sinks/{id}/replay"), &[]).await.status, 303);
    world.portal.tell_sinks().await.unwrap();
    assert_eq!(receiver.hosts().last().unwrap(), "h0.test");
    let page = browser.get(&format!("/sinks/{id}")).await.text();
    assert!(!page.contains("3 tries"), "{page}");
}

#[tokio::test]
async fn one_that_hangs_holds_nobody_up_and_who_is_killed_meanwhile_sends_again() {
    let world = World::new().await;
    let (hanging, other) = (Receiver::start().await, Receiver::start().await);
    let mut browser = world.member(world.acme, "a@acme.test").await;
    webhook_of(&mut browser, &hanging.url, "alert.raised").await;
    webhook_of(&mut browser, &other.url, "alert.raised").await;
    hanging.answer(0);
    let device = world.device(world.acme, 1).await;
    device.post(path::ALERTS, &batch(0..2)).await;
    let portal = world.portal.clone();
    let telling = tokio::spawn(async move { portal.tell_sinks().await });
    other.wait_for(2).await;
    hanging.wait_for(1).await;
    // Received, and not noted: as if the power went out.
    telling.abort();
    let _ = telling.await;
    hanging.answer(200);
    world.portal.tell_sinks().await.unwrap();
    assert_eq!(hanging.hosts(), ["h0.test", "h0.test", "h1.test"]);
}

#[tokio::test]
async fn what_a_sink_is_not_to_hear_it_does_not() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let id = webhook_of(&mut browser, &receiver.url, "device.enrolled").await;
    let device = world.device(world.acme, 1).await;
    device.post(path::ALERTS, &batch(0..2)).await;
    world.portal.tell_sinks().await.unwrap();
    let kinds: Vec<_> = receiver.bodies().iter().map(|body| body["type"].clone()).collect();
    assert_eq!(kinds, ["device.enrolled"]);
    assert_eq!(
        browser.submit(&format!("/sinks/{id}/paused"), &[("paused", "yes")]).await.status,
        303
    );
    world.device(world.acme, 2).await;
    world.portal.tell_sinks().await.unwrap();
    assert_eq!(receiver.bodies().len(), 1);
    assert_eq!(
        browser.submit(&format!("/sinks/{id}/paused"), &[("paused", "no")]).await.status,
        303
    );
    world.portal.tell_sinks().await.unwrap();
    assert_eq!(receiver.bodies().len(), 2, "it was kept meanwhile");
    assert_eq!(browser.submit(&format!("/sinks/{id}/remove"), &[]).await.status, 303);
    assert_eq!(browser.get(&format!("/sinks/{id}")).await.status, 404);
}

#[tokio::test]
async fn in_quiet_hours_only_what_is_urgent_is_told_and_the_rest_afterwards() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    // It is 08:00.
    let form = [
        ("channel", "slack"),
        ("name", "chat"),
        ("url", receiver.url.as_str()),
        ("kind", "alert.raised"),
        ("kind", "device.risk"),
        ("severity", "Informational"),
        ("digest", "0"),
        ("quiet_from", "07:30"),
        ("quiet_until", "08:30"),
        ("zone", "UTC"),
        ("allow_plain", "on"),
        ("allow_private", "on"),
    ];
    let added = browser.submit("/sinks", &form).await;
    assert_eq!(added.status, 303, "{}", added.text());
    let device = world.device(world.acme, 1).await;
    let mut alerts = batch(0..3);
    alerts.alerts[1].detector = "web.spyware.blocked".into();
    device.post(path::ALERTS, &alerts).await;
    let told = |receiver: &Receiver| {
        let text = |body: Value| body["text"].as_str().unwrap().to_owned();
        receiver.bodies().into_iter().map(text).collect::<Vec<_>>()
    };
    world.portal.tell_sinks().await.unwrap();
    let urgent = told(&receiver);
    assert!(
        urgent[0].ends_with("h1.test") && urgent[1] == "Risk of Phone is High, was None",
        "{urgent:?}"
    );
    world.clock.set(UnixMillis(NOW.0 + HOUR / 4));
    world.portal.tell_sinks().await.unwrap();
    assert_eq!(receiver.taken().len(), 2, "once");
    world.clock.set(UnixMillis(NOW.0 + HOUR));
    world.portal.tell_sinks().await.unwrap();
    let rest = told(&receiver);
    assert_eq!(rest.len(), 4, "{rest:?}");
    assert!(rest[2..].iter().all(|text| text.starts_with("Phishing")), "{rest:?}");
}

/// An organization's administrator is not who runs the portal.
#[tokio::test]
async fn the_portals_own_network_is_out_of_reach_unless_who_runs_it_says_so() {
    let world = World::within(Reach::default()).await;
    let receiver = Receiver::start().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let sink = webhook(&mut browser, &receiver.url).await;
    let tested = browser.submit(&format!("/sinks/{sink}/test"), &[]).await.text();
    assert!(tested.contains("127.0.0.1, which is this machine"), "{tested}");
    let site = Site::new();
    let feed = FeedSettings {
        url: Some(site.url("/list")),
        allow_http: true,
        allow_private: true,
        ..settings::usual("list", FeedOrigin::Url)
    };
    world.portal.add_feed(world.acme, feed).await.unwrap();
    world.portal.work_on_feeds().await.unwrap();
    let told = world.portal.feeds(world.acme).await.unwrap().remove(0).outcome_detail;
    assert!(told.contains("which is this machine"), "{told}");
    assert!(receiver.taken().is_empty() && site.asked().is_empty());
}

#[tokio::test]
async fn private_addresses_and_plain_connections_are_for_whom_the_sink_says_so() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let form = [
        ("channel", "slack"),
        ("name", "chat"),
        ("url", &receiver.url),
        ("kind", "alert.raised"),
        ("severity", "Low"),
        ("digest", "0"),
    ];
    let refused = browser.submit("/sinks", &form).await;
    assert!(
        refused.status == 422 && refused.text().contains("This goes without TLS."),
        "{}",
        refused.text()
    );
    let added = browser.submit("/sinks", &[&form[..], &[("allow_plain", "on")]].concat()).await;
    let sink = added.header("location").split('?').next().unwrap().to_owned();
    let tested = browser.submit(&format!("{sink}/test"), &[]).await.text();
    assert!(tested.contains("127.0.0.1, which is this machine"), "{tested}");
    assert!(receiver.taken().is_empty());
}

/// A webhook of everything; returns its id.
pub(crate) async fn webhook(browser: &mut Browser, url: &str) -> String {
    id_of(&create(browser, url, &[]).await)
}

async fn webhook_of(browser: &mut Browser, url: &str, kind: &str) -> String {
    id_of(&create(browser, url, &[kind]).await)
}

async fn create(browser: &mut Browser, url: &str, kinds: &[&str]) -> String {
    let all = ["alert.raised", "incident.opened", "device.risk", "device.enrolled", "audit.entry"];
    let kinds = if kinds.is_empty() { &all[..] } else { kinds };
    let name = url.replace("/secret-path", "");
    let form = [
        ("channel", "webhook"),
        ("name", &name),
        ("url", url),
        ("severity", "Informational"),
        ("allow_plain", "on"),
        ("allow_private", "on"),
    ];
    let kinds: Vec<_> = kinds.iter().map(|kind| ("kind", *kind)).collect();
    let answer = browser.submit("/sinks", &[&form[..], &kinds].concat()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

fn id_of(page: &str) -> String {
    page.split("action=\"/sinks/").nth(1).unwrap().split('/').next().unwrap().to_owned()
}

/// Somebody who takes webhooks, or does not.
struct Receiver {
    url: String,
    state: Arc<Receiving>,
}

struct Receiving {
    taken: Mutex<Vec<(HeaderMap, Bytes)>>,
    /// What to answer, 0 for nothing; and what to refuse if it stands in a message.
    answer: Mutex<(u16, String)>,
    came: Notify,
}

impl Receiver {
    async fn start() -> Self {
        let state = Arc::new(Receiving {
            taken: Mutex::default(),
            answer: Mutex::new((200, "-".into())),
            came: Notify::new(),
        });
        let router = Router::new().fallback(take).with_state(Arc::clone(&state));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/secret-path", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    fn answer(&self, status: u16) {
        self.state.answer.lock().unwrap().0 = status;
    }

    fn refuse(&self, text: &str) {
        self.state.answer.lock().unwrap().1 = text.into();
    }

    fn taken(&self) -> Vec<(HeaderMap, Bytes)> {
        self.state.taken.lock().unwrap().clone()
    }

    fn bodies(&self) -> Vec<Value> {
        self.taken().iter().map(|(_, body)| serde_json::from_slice(body).unwrap()).collect()
    }

    fn hosts(&self) -> Vec<String> {
        let host = |body: Value| body["data"]["alert"]["host"].as_str().unwrap().to_owned();
        self.bodies().into_iter().map(host).collect()
    }

    async fn wait_for(&self, count: usize) {
        while self.taken().len() < count {
            self.state.came.notified().await;
        }
    }
}

async fn take(
    State(state): State<Arc<Receiving>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    state.taken.lock().unwrap().push((headers, body.clone()));
    state.came.notify_one();
    let (status, refused) = state.answer.lock().unwrap().clone();
    if status == 0 {
        std::future::pending::<()>().await;
    }
    if String::from_utf8_lossy(&body).contains(&format!("\"{refused}\"")) {
        return (StatusCode::UNPROCESSABLE_ENTITY, "I do not know this host");
    }
    (StatusCode::from_u16(status).unwrap(), "taken, thanks")
}
