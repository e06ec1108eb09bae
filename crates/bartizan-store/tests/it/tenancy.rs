//! One tenant never sees another's rows: every function, called by GLOBEX for what is ACME's.

use std::time::Duration;

use bartizan_model::{
    AlertStatus, Mode, Private, ProtectionState, RiskLevel, UnixMillis, UnresolvedAlerts,
};
use bartizan_store::{
    AlertFilter, Counters, DeviceFilter, DeviceReport, DeviceState, HeldBackRow, IndicatorFileRow,
    IndicatorFilter, IndicatorId, NewPolicyVersion, NewSession, NewSiteReport, NoticeKind,
    SignInMethod, SiteReportKind, SiteReportStatus, StoreError, TenantFileRow,
};

use super::feeds::{octets, settings};
use crate::world::{DAY, NOW, World, alert, enroll, indicator};

#[tokio::test]
async fn reading_shows_nothing_of_another_tenant() {
    let world = World::new().await;
    world.ingest(alert(1, "evil.test", 0), 0).await;
    let key = world.list(AlertFilter::default()).await.remove(0).key;
    let (store, acme, globex) = (&world.store, world.acme, world.globex);
    store.add_indicator_file(acme.scope, file(1)).await.unwrap();
    let off = NewPolicyVersion {
        settings: "{}".into(),
        note: String::new(),
        changed_by: String::new(),
        percent: 100,
    };
    assert_eq!(store.add_policy_version(acme.scope, None, off, NOW).await.unwrap(), 2);

    let filter = AlertFilter { device: Some(acme.device), ..AlertFilter::default() };
    assert_eq!(store.alerts(globex.scope.whole(), filter, None, 9).await.unwrap(), []);
    assert_eq!(
        store.alerts(globex.scope.whole(), AlertFilter::default(), None, 9).await.unwrap(),
        []
    );
    not_found(store.alert(globex.scope.whole(), key).await);
    not_found(store.device(globex.scope.whole(), acme.device).await);
    let devices =
        store.devices(globex.scope.whole(), DeviceFilter::default(), None, 9).await.unwrap();
    assert_eq!(devices.iter().map(|device| device.id).collect::<Vec<_>>(), [globex.device]);
    assert_eq!(
        store.unresolved_alerts(globex.scope.whole()).await.unwrap(),
        UnresolvedAlerts::default()
    );
    assert_eq!(store.tally(globex.scope.whole(), UnixMillis(0)).await.unwrap().devices, 1,);
    assert_eq!(store.newest_indicator_file(globex.scope).await.unwrap(), None);
    not_found(store.device_file(globex.scope, &file(1).sha256).await);
    assert_eq!(store.indicator_files(globex.scope, 9).await.unwrap(), []);
    assert_eq!(store.indicator_deltas(globex.scope, 9).await.unwrap(), []);
    assert_eq!(store.policy_epoch(globex.scope).await.unwrap(), 1);
    not_found(store.policy_version(globex.scope, None, 2).await);
    not_found(store.device_policy(globex.scope.whole(), acme.device).await);
    assert_eq!(store.device_events(globex.scope.whole(), acme.device, None, 9).await.unwrap(), []);
    assert_eq!(store.device_tags(globex.scope.whole(), acme.device).await.unwrap(), []);
    assert_eq!(store.tenant_row(globex.scope).await.unwrap().name, "GLOBEX");
    not_found(store.device_of_token(globex.tenant, acme.device).await);
    not_found(store.password_hash(globex.scope, acme.member).await);
    let members = store.members(globex.scope).await.unwrap();
    assert_eq!(members.iter().map(|member| member.id).collect::<Vec<_>>(), [globex.member]);
}

#[tokio::test]
async fn indicators_are_seen_and_changed_by_their_own_tenant_alone() {
    let world = World::new().await;
    let (store, acme, globex) = (&world.store, world.acme, world.globex);
    let id =
        store.create_indicator(acme.scope, indicator("evil.test"), acme.member, NOW).await.unwrap();
    store.add_tenant_file(acme.scope, tenant_file()).await.unwrap();
    let row = store.indicator(acme.scope, id).await.unwrap();

    not_found(store.indicator(globex.scope, id).await);
    let all = IndicatorFilter::default();
    assert_eq!(store.indicators(globex.scope, all, None, 9).await.unwrap(), []);
    assert_eq!(store.indicators_after(globex.scope, IndicatorId(0), 9).await.unwrap(), []);
    let found = store.indicators_by_pattern(globex.scope, vec!["evil.test".into()]).await.unwrap();
    assert_eq!(found, [None]);
    assert_eq!(store.active_indicators(globex.scope, NOW).await.unwrap(), []);
    assert_eq!(store.indicator_count(globex.scope).await.unwrap(), 0);
    assert_eq!(store.indicator_version(globex.scope).await.unwrap(), 0);
    assert_eq!(store.newest_tenant_file(globex.scope).await.unwrap(), None);
    assert!(store.forget_tenant_files(globex.scope, u64::MAX).await.unwrap().is_empty());
    not_found(store.device_file(globex.scope, &tenant_file().sha256).await);
    assert!(store.device_file(acme.scope, &tenant_file().sha256).await.is_ok());
    let told = store.check_in(globex.scope, globex.device, report(), NOW).await.unwrap();
    assert_eq!(told.tenant_epoch, None);
    let told = store.check_in(acme.scope, acme.device, report(), NOW).await.unwrap();
    assert_eq!(told.tenant_epoch, Some(1));

    not_found(store.update_indicator(globex.scope, id, row.rule.clone(), NOW).await);
    assert_eq!(store.delete_indicators(globex.scope, vec![id], NOW).await.unwrap(), 0);
    assert_eq!(store.expire_indicators(globex.scope, vec![id], NOW).await.unwrap(), 0);
    let by_other = store.create_indicator(globex.scope, indicator("a.test"), acme.member, NOW);
    assert!(by_other.await.is_err(), "a row that would join two tenants is refused");
    let many = vec![indicator("evil.test")];
    store.import_indicators(globex.scope, many, globex.member, NOW).await.unwrap();
    assert_eq!(store.indicator(acme.scope, id).await.unwrap(), row);
    assert_eq!(store.indicator_version(acme.scope).await.unwrap(), 1);
}

#[tokio::test]
async fn writing_changes_nothing_of_another_tenant() {
    let world = World::new().await;
    world.ingest(alert(1, "evil.test", 0), 0).await;
    let row = world.list(AlertFilter::default()).await.remove(0);
    let (store, acme, globex) = (&world.store, world.acme, world.globex);
    let device = store.device(acme.scope.whole(), acme.device).await.unwrap();

    let resolved = AlertStatus::Resolved;
    not_found(
        store.set_alert_status(globex.scope.whole(), row.key, resolved, globex.member, NOW).await,
    );
    not_found(store.check_in(globex.scope, acme.device, report(), NOW).await);
    let batch = vec![alert(1, "evil.test", 0)];
    not_found(store.ingest_alerts(globex.scope, acme.device, batch, NOW).await);
    let hash = Private("stolen".to_owned());
    not_found(store.set_password(globex.scope, acme.member, hash, NOW).await);
    let session = NewSession {
        member: acme.member,
        token_hash: [9; 32],
        expires_at: UnixMillis(NOW.0 + DAY),
        agent: String::new(),
        method: SignInMethod::Password,
        vouched: None,
    };
    // A row that would join two tenants is refused by the database itself.
    assert!(store.create_session(globex.scope, session, NOW).await.is_err());
    assert_eq!(store.session([9; 32], Duration::from_secs(60), NOW).await.unwrap(), None);
    let by_other =
        store.set_alert_status(acme.scope.whole(), row.key, resolved, globex.member, NOW).await;
    assert!(by_other.is_err());

    assert_eq!(world.list(AlertFilter::default()).await, [row]);
    assert_eq!(store.device(acme.scope.whole(), acme.device).await.unwrap(), device);
    let hash = store.password_hash(acme.scope, acme.member).await.unwrap();
    assert_eq!(hash.0, "hash of ACME");
}

#[tokio::test]
async fn feeds_and_what_comes_of_them_are_the_tenants_own() {
    let world = World::new().await;
    let (store, acme, globex) = (&world.store, world.acme, world.globex);
    let feed = store.create_feed(acme.scope, settings("evil"), NOW).await.unwrap();
    store.add_feed_version(acme.scope, feed, octets(1, None)).await.unwrap();
    let text = "it shrank".to_owned();
    store.raise_notice(acme.scope, NoticeKind::Shrank, Some(feed), text, NOW).await.unwrap();
    store.add_own_domain(acme.scope, "acme.test", NOW).await.unwrap();
    store.release_entry(acme.scope, "popular.test", "a@acme.test", NOW).await.unwrap();
    let held = HeldBackRow {
        pattern: "held.test".into(),
        reason: "popular".into(),
        source: "evil".into(),
    };
    store.set_held_back(acme.scope, vec![held]).await.unwrap();
    store.add_site_report(acme.scope, acme.device, site_report(1), NOW).await.unwrap();

    assert_eq!(store.feeds(globex.scope).await.unwrap(), []);
    not_found(store.feed(globex.scope, feed).await);
    assert_eq!(store.feed_versions(globex.scope, feed).await.unwrap(), []);
    assert_eq!(store.notices(globex.scope).await.unwrap(), []);
    assert_eq!(store.own_domains(globex.scope).await.unwrap(), Vec::<String>::new());
    assert_eq!(store.released_entries(globex.scope).await.unwrap(), []);
    assert_eq!(store.held_back(globex.scope, 9).await.unwrap(), (Vec::new(), 0));
    assert_eq!(store.site_reports(globex.scope.whole(), None, 9).await.unwrap(), []);
    assert_eq!(store.top_hits(globex.scope.whole(), "evil", 9).await.unwrap(), []);
    assert_eq!(store.indicator_files(globex.scope, 9).await.unwrap(), []);
    assert_eq!(store.due_feeds(NOW, 9).await.unwrap(), [(acme.scope, feed)]);

    let before = store.feed(acme.scope, feed).await.unwrap();
    let notice = store.notices(acme.scope).await.unwrap().remove(0);
    not_found(store.set_feed(globex.scope, feed, settings("stolen"), NOW).await);
    not_found(store.add_feed_version(globex.scope, feed, octets(2, None)).await);
    not_found(store.use_feed_version(globex.scope, feed, 1, NOW).await);
    not_found(store.set_feed_due(globex.scope, feed, NOW).await);
    not_found(store.remove_feed(globex.scope, feed, NOW).await);
    not_found(store.dismiss_notice(globex.scope, notice.id, NOW).await);
    not_found(store.remove_own_domain(globex.scope, "acme.test", NOW).await);
    not_found(store.unrelease_entry(globex.scope, "popular.test", NOW).await);
    not_found(store.add_site_report(globex.scope, acme.device, site_report(2), NOW).await);
    let accepted = SiteReportStatus::Accepted;
    not_found(
        store.decide_site_report(globex.scope.whole(), 1, accepted, "g@globex.test", NOW).await,
    );
    store.settle_notices(globex.scope, Some(feed), None, NOW).await.unwrap();
    // A notice that would join two tenants is refused by the database itself.
    let joined =
        store.raise_notice(globex.scope, NoticeKind::Grew, Some(feed), String::new(), NOW).await;
    assert!(joined.is_err());
    // Two tenants may call a feed the same.
    store.create_feed(globex.scope, settings("evil"), NOW).await.unwrap();

    assert_eq!(store.feed(acme.scope, feed).await.unwrap(), before);
    assert_eq!(store.notices(acme.scope).await.unwrap(), [notice]);
    assert_eq!(store.own_domains(acme.scope).await.unwrap(), ["acme.test"]);
    assert_eq!(store.released_entries(acme.scope).await.unwrap().len(), 1);
    assert_eq!(store.held_back(acme.scope, 9).await.unwrap().1, 1);
    let reports = store.site_reports(acme.scope.whole(), Some("evil".into()), 9).await.unwrap();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].status, SiteReportStatus::New);
}

#[tokio::test]
async fn credentials_lead_to_their_own_tenant() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    assert_eq!(store.device_by_id(acme.device).await.unwrap().scope, acme.scope);
    let scopes: Vec<_> = store
        .members_by_email("admin@EXAMPLE.test")
        .await
        .unwrap()
        .into_iter()
        .map(|member| (member.scope, member.id))
        .collect();
    assert_eq!(scopes, [(acme.scope, acme.member), (world.globex.scope, world.globex.member)]);
    assert!(store.members_by_email("nobody@example.test").await.unwrap().is_empty());
    not_found(store.tenant(bartizan_model::TenantId(99)).await);
    let names: Vec<_> = store.tenants().await.unwrap().into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["ACME", "GLOBEX"]);
}

#[tokio::test]
async fn a_check_in_is_noted_and_told_what_there_is() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let later = UnixMillis(NOW.0 + 5);
    let state = store.check_in(acme.scope, acme.device, report(), later).await.unwrap();
    assert_eq!((state.policy_version, state.indicator_epoch), (1, None));
    store.add_indicator_file(acme.scope, file(1)).await.unwrap();
    store.add_indicator_file(acme.scope, file(4)).await.unwrap();
    for epoch in [3, 4] {
        let refused = store.add_indicator_file(acme.scope, file(epoch)).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{epoch}");
    }
    let state = store.check_in(acme.scope, acme.device, report(), NOW).await.unwrap();
    assert_eq!(state.indicator_epoch, Some(4));
    let row = store.device(acme.scope.whole(), acme.device).await.unwrap();
    assert_eq!((row.last_seen_at, row.protection), (later, Some(ProtectionState::On)));
    assert_eq!(row.counters, report().counters);
    let tally = store.tally(acme.scope.whole(), later).await.unwrap();
    assert_eq!((tally.devices, tally.on, tally.silent, tally.never_checked_in), (1, 1, 0, 0));
    assert_eq!(tally.by_risk().last(), Some((RiskLevel::None, 1)));
}

#[tokio::test]
async fn devices_are_listed_by_name_and_state_a_page_at_a_time() {
    let world = World::new().await;
    let (store, scope, first) = (&world.store, world.acme.scope, world.acme.device);
    let mut all = vec![first];
    for number in 10..14 {
        all.push(enroll(store, scope, number).await);
    }
    let list = async |filter: DeviceFilter, after, limit| {
        let rows = store.devices(scope.whole(), filter, after, limit).await.unwrap();
        rows.into_iter().map(|row| (row.id, row.cursor())).collect::<Vec<_>>()
    };
    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let page = list(DeviceFilter::default(), after, 2).await;
        let Some((_, cursor)) = page.last() else { break };
        after = Some(*cursor);
        paged.extend(page.into_iter().map(|(id, _)| id));
    }
    all.reverse();
    assert_eq!(paged, all);

    store.check_in(scope, first, report(), NOW).await.unwrap();
    let state = |state| DeviceFilter { state: Some(state), ..DeviceFilter::default() };
    let said = DeviceState::Said(ProtectionState::On);
    assert_eq!(list(state(said), None, 9).await.len(), 1);
    assert_eq!(list(state(DeviceState::NeverCheckedIn), None, 9).await.len(), 4);
    assert_eq!(list(state(DeviceState::SilentSince(NOW)), None, 9).await.len(), 0);
    let later = UnixMillis(NOW.0 + 1);
    assert_eq!(list(state(DeviceState::SilentSince(later)), None, 9).await.len(), 1);
    let named = |name: &str| DeviceFilter { name_contains: name.into(), ..DeviceFilter::default() };
    assert_eq!(list(named("pHONE 1"), None, 9).await.len(), 5);
    assert_eq!(list(named("phone 12"), None, 9).await.len(), 1);
    assert_eq!(list(named("%"), None, 9).await.len(), 0);
}

#[track_caller]
fn not_found<T>(result: Result<T, StoreError>) {
    match result {
        Err(StoreError::NotFound { .. }) => {}
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was found"),
    }
}

fn file(epoch: u64) -> IndicatorFileRow {
    IndicatorFileRow {
        epoch,
        sha256: format!("{epoch:064x}"),
        size_bytes: 10,
        entries: 1,
        built_at: NOW,
        report: "{}".into(),
    }
}

fn tenant_file() -> TenantFileRow {
    TenantFileRow {
        epoch: 1,
        sha256: "0".repeat(64),
        size_bytes: 10,
        entries: 1,
        indicator_version: 1,
        built_at: NOW,
    }
}

pub(crate) fn site_report(id: u128) -> NewSiteReport {
    NewSiteReport {
        id,
        kind: SiteReportKind::FalsePositive,
        host: "www.harmless.test".into(),
        pattern: Some("harmless.test".into()),
        source: "evil".into(),
        comment: "our supplier".into(),
        indicator_epoch: Some(3),
    }
}

fn report() -> DeviceReport {
    DeviceReport {
        mode: Mode::Dns,
        protection: ProtectionState::On,
        os_version: "18.2".into(),
        app_version: "0.2.0".into(),
        policy_version: 1,
        indicator_epoch: None,
        tenant_epoch: None,
        counters: Counters { queries: u64::MAX >> 1, blocked: 2, dropped: 3, alerts_lost: 4 },
    }
}
