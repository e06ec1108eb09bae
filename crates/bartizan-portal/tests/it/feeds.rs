//! Feeds as rows: fetched, accepted or refused, rolled back, compiled, published.

use bartizan_contract::path;
use bartizan_contract::report::SiteReportReply;
use bartizan_indicators::{IndicatorFile, Indicators};
use bartizan_portal::feeds::{
    FeedId, FeedOrigin, FeedOutcome, FeedRole, FeedSettings, FeedVersionState, settings,
};

use crate::site::{Page, Site};
use crate::world::{HOUR, World, report};

#[tokio::test]
async fn a_feed_goes_from_its_address_to_the_devices() {
    let (world, site) = (World::new().await, Site::new());
    site.list("/evil", "\"1\"", 0..10);
    let feed = world.portal.add_feed(world.acme, from(&site, "/evil")).await.unwrap();
    world.portal.work_on_feeds().await.unwrap();
    assert_eq!(row(&world, feed).await, (FeedOutcome::Taken, Some(1), 10));
    assert_eq!(listed(&world, "h9.test").await, Some(1));

    // Nothing new: not fetched again before it is due, not compiled again.
    world.portal.work_on_feeds().await.unwrap();
    assert_eq!(site.asked().len(), 1);
    world.advance(7 * HOUR);
    world.portal.work_on_feeds().await.unwrap();
    assert_eq!(site.asked().len(), 2);
    assert_eq!(row(&world, feed).await, (FeedOutcome::Unchanged, Some(1), 10));
    assert_eq!(listed(&world, "h9.test").await, Some(1));

    world.portal.remove_feed(world.acme, feed).await.unwrap();
    world.portal.work_on_feeds().await.unwrap();
    assert_eq!(listed(&world, "h9.test").await, None);
    let left = world.dir.path().join("data/feeds").join(world.acme.0.to_string());
    assert_eq!(std::fs::read_dir(left).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_not_fit_is_refused_and_the_last_good_version_stays() {
    let (world, site) = (World::new().await, Site::new());
    site.list("/evil", "\"1\"", 0..10);
    let feed = world.portal.add_feed(world.acme, from(&site, "/evil")).await.unwrap();
    world.portal.work_on_feeds().await.unwrap();
    for (version, tag, page, reason) in [
        (
            2,
            "\"2\"",
            b"<!doctype html><title>Sign in</title>".to_vec(),
            "It is a web page, not a feed.",
        ),
        (3, "\"3\"", b"# gone\n".to_vec(), "It holds no entries."),
        (4, "\"4\"", b"one fine day\nevil.test\n".to_vec(), "It is not a feed: 1 of 2 lines"),
        (5, "\"5\"", b"h1.test\n".to_vec(), "It shrank by 90 %, from 10 to 1 entries"),
    ] {
        site.put("/evil", Page::Tagged(tag, page));
        let update = world.portal.update_feed(world.acme, feed).await.unwrap();
        assert_eq!(update.outcome, FeedOutcome::Refused);
        assert!(update.detail.starts_with(reason), "{}", update.detail);
        let versions = world.portal.feed_versions(world.acme, feed).await.unwrap();
        assert_eq!(versions[0].version, version);
    }
    site.list("/evil", "\"6\"", 0..16);
    let update = world.portal.update_feed(world.acme, feed).await.unwrap();
    assert!(update.detail.starts_with("It grew by 60 %, from 10 to 16 entries"), "{update:?}");
    assert_eq!(row(&world, feed).await, (FeedOutcome::Refused, Some(1), 10));
    // The same again is refused as before, and is no further version.
    let update = world.portal.update_feed(world.acme, feed).await.unwrap();
    assert!(update.detail.starts_with("The server still gives what was refused."), "{update:?}");
    assert_eq!(world.portal.feed_versions(world.acme, feed).await.unwrap().len(), 6);

    // A person may mean it.
    world.portal.use_feed_version(world.acme, feed, 6).await.unwrap();
    world.portal.work_on_feeds().await.unwrap();
    assert_eq!(listed(&world, "h15.test").await, Some(2));
}

#[tokio::test]
async fn a_version_that_was_rolled_back_is_not_taken_again_but_another_is() {
    let (world, site) = (World::new().await, Site::new());
    site.list("/evil", "\"1\"", 0..10);
    let feed = world.portal.add_feed(world.acme, from(&site, "/evil")).await.unwrap();
    world.portal.work_on_feeds().await.unwrap();
    site.list("/evil", "\"2\"", 0..12);
    world.portal.update_feed(world.acme, feed).await.unwrap();
    world.portal.use_feed_version(world.acme, feed, 1).await.unwrap();
    world.portal.work_on_feeds().await.unwrap();
    assert_eq!(listed(&world, "h11.test").await, None);

    // By its tag, and by its octets under another tag.
    for tag in ["\"2\"", "\"3\""] {
        site.list("/evil", tag, 0..12);
        let update = world.portal.update_feed(world.acme, feed).await.unwrap();
        assert_eq!(update.outcome, FeedOutcome::Unchanged);
        assert!(update.detail.contains("rolled back"), "{update:?}");
    }
    assert_eq!(row(&world, feed).await.1, Some(1));
    site.list("/evil", "\"4\"", 0..13);
    let update = world.portal.update_feed(world.acme, feed).await.unwrap();
    assert_eq!(update.outcome, FeedOutcome::Taken);
    world.portal.work_on_feeds().await.unwrap();
    assert!(listed(&world, "h11.test").await.is_some());
}

#[tokio::test]
async fn a_feed_that_cannot_be_fetched_is_tried_again_and_told_of() {
    let (world, site) = (World::new().await, Site::new());
    let feed = world.portal.add_feed(world.acme, from(&site, "/absent")).await.unwrap();
    for minutes in [0, 6, 12, 24] {
        world.advance(minutes * 60_000);
        world.portal.work_on_feeds().await.unwrap();
    }
    assert_eq!(site.asked().len(), 4, "after 5, 10 and 20 minutes");
    let feeds = world.portal.feeds(world.acme).await.unwrap();
    assert_eq!(feeds[0].failures, 4);
    assert_eq!(feeds[0].outcome_detail, "127.0.0.1 answers with status 404.");
    let page = world.member(world.acme, "a@acme.test").await.get("/feeds").await.text();
    assert!(page.contains("could not be fetched 3 times in a row"), "{page}");
    // It is reached again, even if what it gives is not used.
    site.put("/absent", Page::Tagged("\"0\"", b"<html>".to_vec()));
    world.portal.update_feed(world.acme, feed).await.unwrap();
    let page = world.member(world.acme, "a@acme.test").await.get("/feeds").await.text();
    assert!(!page.contains("in a row"), "it is settled");
}

#[tokio::test]
async fn a_portal_that_ends_does_not_wait_for_a_silent_server() {
    let (world, site) = (World::new().await, Site::new());
    site.put("/silent", Page::Silent);
    world.portal.add_feed(world.acme, from(&site, "/silent")).await.unwrap();
    let (portal, watch) = (world.portal.clone(), site.clone());
    let asked = async move {
        while watch.asked().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let served = tokio::spawn(async move { portal.serve(Vec::new(), asked).await });
    let limit = std::time::Duration::from_secs(20);
    tokio::time::timeout(limit, served).await.unwrap().unwrap().unwrap();
    let reopened = World::reopen(world.dir.path()).await;
    let feeds = reopened.feeds(world.acme).await.unwrap();
    assert_eq!(feeds[0].outcome, Some(FeedOutcome::Failed));
}

#[tokio::test]
async fn popular_feeds_own_domains_and_releases_decide_what_is_listed() {
    let (world, site) = (World::new().await, Site::new());
    site.list("/evil", "\"1\"", 0..10);
    site.put("/popular", Page::Tagged("\"1\"", b"1,h1.test\n2,h2.test\n".to_vec()));
    world.portal.add_feed(world.acme, from(&site, "/evil")).await.unwrap();
    let popular = FeedSettings { role: FeedRole::Popular, ..from(&site, "/popular") };
    world.portal.add_feed(world.acme, popular).await.unwrap();
    let own = "h3.test".parse::<bartizan_indicators::pattern::Pattern>().unwrap();
    world.portal.add_own_domain(world.acme, own.name().unwrap()).await.unwrap();
    world.portal.work_on_feeds().await.unwrap();
    for (name, expected) in [("h1.test", None), ("h3.test", None), ("h4.test", Some(1))] {
        assert_eq!(listed(&world, name).await, expected, "{name}");
    }
    let mut browser = world.member(world.acme, "a@acme.test").await;
    let page = browser.get("/feeds").await.text();
    assert!(page.contains("h2.test") && page.contains("h3.test"), "{page}");
    let done = browser.submit("/feeds/released", &[("pattern", "h2.test")]).await;
    assert_eq!(done.header("location"), "/feeds?done=released");
    world.portal.work_on_feeds().await.unwrap();
    assert_eq!(listed(&world, "h2.test").await, Some(2));
    assert_eq!(listed(&world, "h1.test").await, None);
}

#[tokio::test]
async fn an_upload_is_judged_as_what_is_fetched() {
    let world = World::new().await;
    let upload = settings::usual("brought", FeedOrigin::Upload);
    let feed = world.portal.add_feed(world.acme, upload).await.unwrap();
    let bring = async |octets: &'static [u8]| {
        world.portal.upload_feed(world.acme, feed, octets).await.unwrap().outcome
    };
    assert_eq!(bring(b"<html>").await, FeedOutcome::Refused);
    assert_eq!(bring(b"evil.test\n").await, FeedOutcome::Taken);
    assert_eq!(bring(b"evil.test\n").await, FeedOutcome::Unchanged);
    assert!(world.portal.update_feed(world.acme, feed).await.is_err(), "nobody fetches it");
    let versions = world.portal.feed_versions(world.acme, feed).await.unwrap();
    let states: Vec<_> = versions.iter().map(|version| version.state).collect();
    assert_eq!(states, [FeedVersionState::Current, FeedVersionState::Refused]);
    world.portal.work_on_feeds().await.unwrap();
    assert_eq!(listed(&world, "evil.test").await, Some(1));
}

#[tokio::test]
async fn a_version_that_cannot_be_read_leaves_the_published_file() {
    let (world, site) = (World::new().await, Site::new());
    site.list("/evil", "\"1\"", 0..10);
    world.portal.add_feed(world.acme, from(&site, "/evil")).await.unwrap();
    world.portal.work_on_feeds().await.unwrap();
    let folder = world.dir.path().join("data/feeds").join(world.acme.0.to_string());
    for file in std::fs::read_dir(folder).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let error = world.portal.compile_feeds(world.acme).await.unwrap_err();
    assert!(format!("{error:#}").starts_with("version 1 of evil cannot be opened"), "{error:#}");
    assert_eq!(listed(&world, "h9.test").await, Some(1));
    let page = world.member(world.acme, "a@acme.test").await.get("/feeds").await.text();
    assert!(page.contains("The published one stays."), "{page}");
}

#[tokio::test]
async fn a_feed_is_added_changed_and_removed_by_its_pages() {
    let (world, site) = (World::new().await, Site::new());
    site.list("/evil", "\"1\"", 0..10);
    let mut browser = world.member(world.acme, "a@acme.test").await;
    assert!(browser.get("/feeds").await.text().contains("Add the first feed"));
    assert!(browser.get("/feeds/new").await.text().contains("name=\"credentials\""));
    let url = site.url("/evil");
    let form = |name: &'static str, allow: &'static str| {
        vec![
            ("name", name),
            ("role", "threat"),
            ("origin", "url"),
            ("url", url.as_str()),
            ("category", "malware"),
            ("action", "block"),
            ("urls", "host"),
            ("trust", "60"),
            ("interval", "3600"),
            ("change_limit", "50"),
            (allow, "on"),
            ("allow_private", "on"),
            ("credentials", "user:pass"),
        ]
    };
    let refused = browser.submit("/feeds", &form("evil", "no")).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("The address begins with http://"), "{}", refused.text());
    let added = browser.submit("/feeds", &form("evil", "allow_http")).await;
    let path = added.header("location").split('?').next().unwrap().to_owned();
    assert_eq!(added.status, 303, "{}", added.text());
    let again = browser.submit("/feeds", &form("evil", "allow_http")).await;
    assert!(again.text().contains("Another feed has this name already"));
    world.portal.work_on_feeds().await.unwrap();
    assert!(site.asked()[0].contains("Basic dXNlcjpwYXNz"));
    let page = browser.get(&path).await.text();
    assert!(page.contains("10 entries, 0 of 10 lines not read"), "{page}");
    assert!(!page.contains("dXNlcjpwYXNz") && page.contains("Kept as they are"));

    // Credentials stay with the host that they were given for.
    let mut saved = form("renamed", "allow_http");
    saved.pop();
    assert_eq!(browser.submit(&path, &saved).await.status, 303);
    let page = browser.get(&path).await.text();
    assert!(page.contains("<bdi>renamed</bdi>") && page.contains("Kept as they are"), "{page}");
    saved[3].1 = "https://elsewhere.example/";
    assert_eq!(browser.submit(&path, &saved).await.status, 303);
    assert!(!browser.get(&path).await.text().contains("Kept as they are"));

    let off = browser.submit(&format!("{path}/enabled"), &[("enabled", "off")]).await;
    assert_eq!(off.header("location"), format!("{path}?done=off"));
    world.portal.work_on_feeds().await.unwrap();
    assert_eq!(listed(&world, "h9.test").await, None);
    let gone = browser.submit(&format!("{path}/remove"), &[("sure", "on")]).await;
    assert_eq!(gone.header("location"), "/feeds?done=removed");
    assert_eq!(browser.get(&path).await.status, 404);
}

#[tokio::test]
async fn a_file_is_uploaded_by_a_form_or_as_it_is() {
    let world = World::new().await;
    let browser = world.member(world.acme, "a@acme.test").await;
    let upload = settings::usual("brought", FeedOrigin::Upload);
    let feed = world.portal.add_feed(world.acme, upload).await.unwrap();
    let path = format!("/feeds/{feed}/upload");
    let form = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"list.txt\"\r\n\r\nevil.test\n\r\n--x--\r\n";
    let done = browser.bring(&path, "multipart/form-data; boundary=x", form.into()).await;
    assert_eq!(done.header("location"), format!("/feeds/{feed}?done=taken"), "{}", done.text());
    let done = browser.bring(&path, "application/octet-stream", b"evil.test\n".to_vec()).await;
    assert_eq!(done.header("location"), format!("/feeds/{feed}?done=unchanged"));
    let refused = browser.bring(&path, "text/plain", b"<html>".to_vec()).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("The upload is not used. It is a web page, not a feed."));
    let empty =
        browser.bring(&path, "multipart/form-data; boundary=x", b"--x--\r\n".to_vec()).await;
    assert_eq!(empty.problem(), (400, "malformed".into()));
    // Larger than any other body, smaller than the limit.
    let large: String = (0..200_000).map(|number| format!("h{number}.test\n")).collect();
    let large = browser.bring(&path, "text/plain", large.into_bytes()).await;
    assert!(large.text().contains("It grew by"), "{}", large.status);
    let huge = browser.bring(&path, "text/plain", vec![b'a'; (64 << 20) + 1]).await;
    assert_eq!(huge.problem(), (413, "too_large".into()));
}

#[tokio::test]
async fn a_false_positive_is_reported_decided_and_kept_from_being_blocked() {
    let world = World::new().await;
    let upload = settings::usual("evil", FeedOrigin::Upload);
    let feed = world.portal.add_feed(world.acme, upload).await.unwrap();
    let octets = &b"evil.test\nharmless.test\n"[..];
    world.portal.upload_feed(world.acme, feed, octets).await.unwrap();
    world.portal.work_on_feeds().await.unwrap();
    assert_eq!(listed(&world, "harmless.test").await, Some(1));
    let device = world.device(world.acme, 1).await;
    for fresh in [true, false] {
        let said: SiteReportReply = device.post(path::REPORT, &report(1, "evil")).await.json();
        assert_eq!(said.fresh, fresh);
    }
    let mut bad = report(2, "evil");
    bad.host = "<script>".into();
    assert_eq!(device.post(path::REPORT, &bad).await.problem(), (400, "malformed".into()));

    let mut browser = world.member(world.acme, "a@acme.test").await;
    let page = browser.get(&format!("/feeds/{feed}")).await.text();
    assert!(
        page.contains("www.harmless.test") && page.contains("Our &#60;b&#62;supplier"),
        "{page}"
    );
    assert!(!browser.get("/feeds").await.text().contains("Other reports"));
    let mut of_no_feed = report(3, "");
    of_no_feed.host = "unlisted.test".into();
    assert_eq!(device.post(path::REPORT, &of_no_feed).await.status, 200);
    let page = browser.get("/feeds").await.text();
    assert!(page.contains("Other reports") && page.contains("unlisted.test"), "{page}");

    let decide = format!("/feeds/reports/{}", report(1, "").id);
    let form = [("decision", "accepted"), ("feed", &feed.to_string())];
    let decided = browser.submit(&decide, &form).await;
    assert_eq!(decided.header("location"), format!("/feeds/{feed}?done=decided"));
    let page = browser.get(&format!("/feeds/{feed}")).await.text();
    assert!(page.contains("Let no feed block <bdi>harmless.test</bdi>"), "{page}");
    browser.submit("/feeds/own", &[("name", "harmless.test")]).await;
    world.portal.work_on_feeds().await.unwrap();
    assert_eq!(listed(&world, "harmless.test").await, None);
    assert_eq!(listed(&world, "evil.test").await, Some(2));
}

fn from(site: &Site, path: &str) -> FeedSettings {
    FeedSettings {
        url: Some(site.url(path)),
        allow_http: true,
        allow_private: true,
        ..settings::usual(path.trim_start_matches('/'), FeedOrigin::Url)
    }
}

async fn row(world: &World, feed: FeedId) -> (FeedOutcome, Option<u64>, u64) {
    let feeds = world.portal.feeds(world.acme).await.unwrap();
    let row = feeds.into_iter().find(|row| row.id == feed).unwrap();
    (row.outcome.unwrap(), row.version, row.entries)
}

/// The epoch of the newest file, if a device that holds it would block the name.
async fn listed(world: &World, name: &str) -> Option<u64> {
    let device = world.device(world.acme, 9).await;
    let manifest: bartizan_contract::indicators::ManifestReply =
        device.get(path::MANIFEST).await.json();
    let key = device.signing_key.clone().unwrap().portal_key().unwrap();
    let manifest: bartizan_contract::indicators::Manifest =
        bartizan_contract::signed::open(&manifest.manifest, &key).unwrap();
    let file = format!("{}{}", path::INDICATOR_FILE, manifest.base.unwrap().sha256);
    let octets = device.get(&file).await.body.to_vec();
    let file = IndicatorFile::open(Box::new(octets), &key, 0).unwrap();
    let indicators = Indicators { base: Some(file), tenant: None };
    let name = bartizan_model::DomainName::parse(name.as_bytes()).unwrap();
    indicators.lookup(&name, world.clock.now()).unwrap().map(|_| manifest.epoch)
}
