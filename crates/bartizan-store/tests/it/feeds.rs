//! Feeds and their versions: settings, looks, rolling back, what is kept.

use bartizan_model::{IndicatorAction, IndicatorCategory, Private, UnixMillis};
use bartizan_store::{
    FeedCheck, FeedId, FeedOrigin, FeedOutcome, FeedRole, FeedSettings, FeedUrls,
    FeedVersionState as State, NewFeedVersion, NoticeKind, StoreError, Validators,
};

use crate::world::{HOUR, NOW, World};

#[tokio::test]
async fn what_is_set_is_read_back_and_a_name_is_taken_once() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let mut wanted = settings("evil");
    wanted.credentials = Some(Private("Basic c2VjcmV0".into()));
    wanted.format = Some("csv".into());
    wanted.column = Some("2".into());
    let feed = store.create_feed(scope, wanted.clone(), NOW).await.unwrap();
    let row = store.feed(scope, feed).await.unwrap();
    assert_eq!((row.settings.clone(), row.due_at, row.version), (wanted, Some(NOW), None));
    assert!(!format!("{row:?}").contains("c2VjcmV0"));

    let again = store.create_feed(scope, settings("evil"), NOW).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })));
    let other = store.create_feed(scope, settings("other"), NOW).await.unwrap();
    let renamed = store.set_feed(scope, other, settings("evil"), NOW).await;
    assert!(matches!(renamed, Err(StoreError::Conflict { .. })));
    let long = store.create_feed(scope, settings(&"é".repeat(33)), NOW).await;
    assert!(long.is_err(), "a name has at most 64 octets");
}

#[tokio::test]
async fn a_feed_is_due_as_its_schedule_says() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let by_hand = FeedSettings { interval_s: 0, ..settings("by hand") };
    let upload =
        FeedSettings { origin: FeedOrigin::Upload, url: None, ..settings("brought along") };
    let off = FeedSettings { enabled: false, ..settings("off") };
    for other in [by_hand, upload, off] {
        store.create_feed(scope, other, NOW).await.unwrap();
    }
    let feed = store.create_feed(scope, settings("evil"), NOW).await.unwrap();
    assert_eq!(store.due_feeds(NOW, 9).await.unwrap(), [(scope, feed)]);

    let later = UnixMillis(NOW.0 + HOUR);
    let validators = Validators { etag: Some("\"1\"".into()), last_modified: None };
    note(&world, feed, FeedOutcome::Taken, Some(validators.clone())).await;
    assert_eq!(store.due_feeds(NOW, 9).await.unwrap(), []);
    assert_eq!(store.due_feeds(later, 9).await.unwrap(), [(scope, feed)]);
    for failures in 1..4 {
        note(&world, feed, FeedOutcome::Failed, None).await;
        let row = store.feed(scope, feed).await.unwrap();
        assert_eq!((row.failures, &row.validators), (failures, &validators));
    }
    note(&world, feed, FeedOutcome::Unchanged, None).await;
    assert_eq!(store.feed(scope, feed).await.unwrap().failures, 0);

    // The same address keeps what the server said of it; another does not, and is due at once.
    store.set_feed(scope, feed, settings("renamed"), NOW).await.unwrap();
    assert_eq!(store.feed(scope, feed).await.unwrap().validators, validators);
    let moved = FeedSettings { url: Some("https://feeds.example/2".into()), ..settings("renamed") };
    store.set_feed(scope, feed, moved, NOW).await.unwrap();
    assert_eq!(store.feed(scope, feed).await.unwrap().validators, Validators::default());
    assert_eq!(store.due_feeds(NOW, 9).await.unwrap(), [(scope, feed)]);
}

#[tokio::test]
async fn a_refused_version_changes_nothing_until_somebody_uses_it() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let feed = store.create_feed(scope, settings("evil"), NOW).await.unwrap();
    store.add_feed_version(scope, feed, octets(1, None)).await.unwrap();
    let refused = octets(2, Some("too few entries"));
    assert_eq!(store.add_feed_version(scope, feed, refused).await.unwrap().version, 2);
    assert_eq!(states(&world, feed).await, [(2, State::Refused), (1, State::Current)]);
    assert_eq!(store.feed(scope, feed).await.unwrap().entries, 1);

    store.use_feed_version(scope, feed, 2, NOW).await.unwrap();
    assert_eq!(states(&world, feed).await, [(2, State::Current), (1, State::Kept)]);
    let row = store.feed(scope, feed).await.unwrap();
    assert_eq!((row.version, row.entries), (Some(2), 2));
}

#[tokio::test]
async fn rolling_back_marks_what_was_newer() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let feed = store.create_feed(scope, settings("evil"), NOW).await.unwrap();
    for number in 1..=3 {
        store.add_feed_version(scope, feed, octets(number, None)).await.unwrap();
    }
    store.use_feed_version(scope, feed, 1, NOW).await.unwrap();
    let expected = [(3, State::RolledBack), (2, State::RolledBack), (1, State::Current)];
    assert_eq!(states(&world, feed).await, expected);
    store.add_feed_version(scope, feed, octets(4, None)).await.unwrap();
    assert_eq!(states(&world, feed).await[..2], [(4, State::Current), (3, State::RolledBack)]);
    let gone = store.use_feed_version(scope, feed, 9, NOW).await;
    assert!(matches!(gone, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn octets_of_five_good_versions_and_the_newest_refused_one_are_kept() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let feed = store.create_feed(scope, settings("evil"), NOW).await.unwrap();
    let mut orphans = Vec::new();
    for number in 1..=7 {
        let added = store.add_feed_version(scope, feed, octets(number, None)).await.unwrap();
        orphans.extend(added.orphans);
        let reason = Some("not a feed");
        let refused = store.add_feed_version(scope, feed, octets(number + 100, reason)).await;
        orphans.extend(refused.unwrap().orphans);
    }
    let kept: Vec<_> = store
        .feed_versions(scope, feed)
        .await
        .unwrap()
        .into_iter()
        .filter(|version| version.has_octets)
        .map(|version| version.sha256)
        .collect();
    let expected = [107, 7, 6, 5, 4, 3].map(|number| octets(number, None).sha256);
    assert_eq!(kept, expected);
    assert_eq!(orphans.len(), 8);
    assert!(!orphans.iter().any(|orphan| kept.contains(orphan)));

    // Another feed that has the same octets keeps them.
    let twin = store.create_feed(scope, settings("twin"), NOW).await.unwrap();
    store.add_feed_version(scope, twin, octets(7, None)).await.unwrap();
    let orphans = store.remove_feed(scope, feed, NOW).await.unwrap();
    assert_eq!(orphans.len(), 5);
    assert!(!orphans.contains(&octets(7, None).sha256));
    assert!(matches!(store.feed(scope, feed).await, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn a_notice_takes_the_place_of_an_older_one_of_its_kind() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let feed = store.create_feed(scope, settings("evil"), NOW).await.unwrap();
    for (after, kind, text) in [
        (0, NoticeKind::Shrank, "by half"),
        (1, NoticeKind::Shrank, "by more"),
        (2, NoticeKind::Unreachable, "three times"),
    ] {
        let at = UnixMillis(NOW.0 + after);
        store.raise_notice(scope, kind, Some(feed), text.into(), at).await.unwrap();
    }
    store.raise_notice(scope, NoticeKind::NotPublished, None, "full".into(), NOW).await.unwrap();
    let texts = async || {
        let notices = store.notices(scope).await.unwrap();
        let mut texts: Vec<_> = notices.into_iter().map(|notice| notice.text).collect();
        texts.sort();
        texts
    };
    assert_eq!(texts().await, ["by more", "full", "three times"]);
    let shrank = store.notices(scope).await.unwrap();
    let shrank = shrank.iter().find(|notice| notice.kind == NoticeKind::Shrank).unwrap();
    store.dismiss_notice(scope, shrank.id, NOW).await.unwrap();
    assert_eq!(texts().await, ["full", "three times"]);
    store.settle_notices(scope, Some(feed), Some(NoticeKind::Grew), NOW).await.unwrap();
    assert_eq!(texts().await, ["full", "three times"]);
    store.settle_notices(scope, Some(feed), None, NOW).await.unwrap();
    assert_eq!(texts().await, ["full"]);
}

async fn note(world: &World, feed: FeedId, outcome: FeedOutcome, validators: Option<Validators>) {
    let due_at = Some(UnixMillis(NOW.0 + HOUR));
    let check = FeedCheck { at: NOW, outcome, detail: "so it went".into(), due_at, validators };
    world.store.note_feed_check(world.acme.scope, feed, check).await.unwrap();
}

async fn states(world: &World, feed: FeedId) -> Vec<(u64, State)> {
    let versions = world.store.feed_versions(world.acme.scope, feed).await.unwrap();
    versions.into_iter().map(|version| (version.version, version.state)).collect()
}

pub(crate) fn settings(name: &str) -> FeedSettings {
    FeedSettings {
        name: name.into(),
        role: FeedRole::Threat,
        origin: FeedOrigin::Url,
        url: Some("https://feeds.example/1".into()),
        format: None,
        column: None,
        category: IndicatorCategory::Phishing,
        action: IndicatorAction::Block,
        urls: FeedUrls::Host,
        trust: 50,
        license: "CC0".into(),
        interval_s: 3_600,
        enabled: true,
        allow_http: false,
        allow_private: false,
        change_limit: 50,
        credentials: None,
    }
}

/// Octets with this many entries.
pub(crate) fn octets(entries: u64, refused: Option<&str>) -> NewFeedVersion {
    NewFeedVersion {
        sha256: format!("{entries:064x}"),
        size_bytes: 10 * entries,
        fetched_at: NOW,
        entries,
        lines: entries,
        bad_lines: 0,
        format: "host list".into(),
        refused: refused.map(str::to_owned),
    }
}
