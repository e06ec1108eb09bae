//! A tenant's own indicators: once per pattern, listed, imported whole, and counted.

use bartizan_model::{IndicatorAction, UnixMillis};
use bartizan_store::{
    Imported, IndicatorFilter, IndicatorId, IndicatorRow, IndicatorState, NewIndicator, StoreError,
    TenantFileRow,
};

use crate::world::{HOUR, NOW, World, indicator};

#[tokio::test]
async fn an_indicator_is_created_changed_and_deleted() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let id = create(&world, indicator("evil.test")).await;
    let row = store.indicator(acme.scope, id).await.unwrap();
    assert_eq!((row.pattern.as_str(), row.created_by.as_str()), ("evil.test", "admin"));
    assert_eq!((row.created_at, row.updated_at), (NOW, NOW));
    assert_eq!(row.rule, indicator("evil.test").rule);

    let later = UnixMillis(NOW.0 + HOUR);
    let mut rule = row.rule.clone();
    (rule.action, rule.expires_at) = (IndicatorAction::Allow, Some(later));
    store.update_indicator(acme.scope, id, rule.clone(), later).await.unwrap();
    let changed = store.indicator(acme.scope, id).await.unwrap();
    assert_eq!(changed, IndicatorRow { rule, updated_at: later, ..row });

    assert_eq!(
        store.delete_indicators(acme.scope, vec![id, IndicatorId(9)], NOW).await.unwrap(),
        1
    );
    let gone = store.indicator(acme.scope, id).await;
    assert!(matches!(gone, Err(StoreError::NotFound { what: "indicator" })));
    assert_eq!(create(&world, indicator("evil.test")).await, IndicatorId(2), "no id comes twice");
}

#[tokio::test]
async fn a_pattern_is_there_once() {
    let world = World::new().await;
    create(&world, indicator("evil.test")).await;
    let acme = world.acme;
    let again =
        world.store.create_indicator(acme.scope, indicator("evil.test"), acme.member, NOW).await;
    assert!(matches!(again, Err(StoreError::Conflict { what: "indicator" })));
    assert_eq!(world.store.indicator_count(acme.scope).await.unwrap(), 1);
    assert_eq!(create(&world, indicator("=evil.test")).await, IndicatorId(2));
}

#[tokio::test]
async fn every_change_counts_the_version_up_and_nothing_else_does() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let mut expected = 0;
    let mut check = async |changed: bool| {
        expected += u64::from(changed);
        assert_eq!(store.indicator_version(acme.scope).await.unwrap(), expected);
    };
    check(false).await;
    let id = create(&world, indicator("a.test")).await;
    check(true).await;
    store.update_indicator(acme.scope, id, indicator("a.test").rule, NOW).await.unwrap();
    check(true).await;
    let many = vec![indicator("b.test"), indicator("c.test")];
    store.import_indicators(acme.scope, many, acme.member, NOW).await.unwrap();
    check(true).await;
    store.import_indicators(acme.scope, Vec::new(), acme.member, NOW).await.unwrap();
    check(false).await;
    assert_eq!(store.expire_indicators(acme.scope, vec![id], NOW).await.unwrap(), 1);
    check(true).await;
    let later = UnixMillis(NOW.0 + 1);
    assert_eq!(store.expire_indicators(acme.scope, vec![id], later).await.unwrap(), 0);
    check(false).await;
    assert_eq!(store.delete_indicators(acme.scope, vec![id], NOW).await.unwrap(), 1);
    check(true).await;
    assert_eq!(store.delete_indicators(acme.scope, vec![id], NOW).await.unwrap(), 0);
    check(false).await;
    assert_eq!(store.indicator_count(acme.scope).await.unwrap(), 2);
}

#[tokio::test]
async fn an_import_adds_what_is_absent_and_changes_what_is_there() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    create(&world, indicator("a.test")).await;
    let mut changed = indicator("a.test");
    changed.rule.title = "Changed".into();
    let many = vec![indicator("b.test"), changed, indicator("c.test")];
    let later = UnixMillis(NOW.0 + HOUR);
    let done = store.import_indicators(acme.scope, many, acme.member, later).await.unwrap();
    assert_eq!(done, Imported { created: 2, changed: 1 });
    let all = store.indicators_after(acme.scope, IndicatorId(0), 9).await.unwrap();
    let titles: Vec<_> =
        all.iter().map(|row| (row.id.0, row.pattern.as_str(), row.rule.title.as_str())).collect();
    assert_eq!(
        titles,
        [
            (1, "a.test", "Changed"),
            (2, "b.test", "Title of b.test"),
            (3, "c.test", "Title of c.test")
        ]
    );
    let asked = vec!["c.test".into(), "none.test".into(), "a.test".into()];
    let found = store.indicators_by_pattern(acme.scope, asked).await.unwrap();
    let ids: Vec<_> = found.iter().map(|row| row.as_ref().map(|row| row.id.0)).collect();
    assert_eq!(ids, [Some(3), None, Some(1)]);
}

#[tokio::test]
async fn an_import_that_fails_changes_nothing() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let mut unfit = indicator("b.test");
    unfit.rule.title = String::new();
    let many = vec![indicator("a.test"), unfit];
    assert!(store.import_indicators(acme.scope, many, acme.member, NOW).await.is_err());
    assert_eq!(store.indicators_after(acme.scope, IndicatorId(0), 9).await.unwrap(), []);
    assert_eq!(store.indicator_version(acme.scope).await.unwrap(), 0);
}

#[tokio::test]
async fn indicators_are_listed_by_what_is_asked_a_page_at_a_time() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let mut network = indicator("192.0.2.0/24");
    (network.kind, network.rule.title) = ("network", "Odd NEIGHBORS".into());
    let mut allowed = indicator("good.test");
    (allowed.rule.action, allowed.rule.expires_at) = (IndicatorAction::Allow, Some(NOW));
    let many = vec![indicator("evil.test"), network, allowed, indicator("evil.example")];
    store.import_indicators(acme.scope, many, acme.member, NOW).await.unwrap();
    create_at(&world, indicator("last.test"), UnixMillis(NOW.0 + 5)).await;

    let all = IndicatorFilter::default;
    let check = async |filter: IndicatorFilter, expected: &[&str]| {
        let rows = store.indicators(acme.scope, filter, None, 9).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.pattern.as_str()).collect::<Vec<_>>(), expected);
    };
    let whole = ["last.test", "evil.example", "good.test", "192.0.2.0/24", "evil.test"];
    check(all(), &whole).await;
    check(IndicatorFilter { text: "EVIL".into(), ..all() }, &["evil.example", "evil.test"]).await;
    check(IndicatorFilter { text: "neighbors".into(), ..all() }, &["192.0.2.0/24"]).await;
    check(IndicatorFilter { text: "%".into(), ..all() }, &[]).await;
    check(IndicatorFilter { kind: Some("network"), ..all() }, &["192.0.2.0/24"]).await;
    let action = Some(IndicatorAction::Allow);
    check(IndicatorFilter { action, ..all() }, &["good.test"]).await;
    let expired = Some(IndicatorState::Expired(NOW));
    check(IndicatorFilter { state: expired, ..all() }, &["good.test"]).await;
    let state = Some(IndicatorState::Active(NOW));
    let active = ["last.test", "evil.example", "192.0.2.0/24", "evil.test"];
    check(IndicatorFilter { state, ..all() }, &active).await;

    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let page = store.indicators(acme.scope, all(), after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.cursor());
        paged.extend(page.into_iter().map(|row| row.pattern));
    }
    assert_eq!(paged, whole);

    let devices = store.active_indicators(acme.scope, NOW).await.unwrap();
    let told: Vec<_> = devices.iter().map(|row| row.pattern.as_str()).collect();
    assert_eq!(told, ["evil.test", "192.0.2.0/24", "evil.example", "last.test"]);
}

#[tokio::test]
async fn of_two_that_publish_one_wins() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    assert_eq!(store.newest_tenant_file(acme.scope).await.unwrap(), None);
    store.add_tenant_file(acme.scope, tenant_file(1)).await.unwrap();
    store.add_tenant_file(acme.scope, tenant_file(3)).await.unwrap();
    for epoch in [2, 3] {
        let refused = store.add_tenant_file(acme.scope, tenant_file(epoch)).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{epoch}");
    }
    assert_eq!(store.newest_tenant_file(acme.scope).await.unwrap(), Some(tenant_file(3)));
    let first = store.device_file(acme.scope, &tenant_file(1).sha256).await.unwrap();
    assert_eq!(first.size_bytes, tenant_file(1).size_bytes);
    let gone = store.forget_tenant_files(acme.scope, 3).await.unwrap();
    assert_eq!(gone, [tenant_file(1).sha256]);
    assert_eq!(store.newest_tenant_file(acme.scope).await.unwrap(), Some(tenant_file(3)));
}

async fn create(world: &World, indicator: NewIndicator) -> IndicatorId {
    create_at(world, indicator, NOW).await
}

async fn create_at(world: &World, indicator: NewIndicator, now: UnixMillis) -> IndicatorId {
    let acme = world.acme;
    world.store.create_indicator(acme.scope, indicator, acme.member, now).await.unwrap()
}

fn tenant_file(epoch: u64) -> TenantFileRow {
    TenantFileRow {
        epoch,
        sha256: format!("{epoch:064x}"),
        size_bytes: 10,
        entries: 1,
        indicator_version: 4,
        built_at: NOW,
    }
}
