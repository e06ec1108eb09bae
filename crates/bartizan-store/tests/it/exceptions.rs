//! Own domains, released and held-back entries, hits, site reports.

use bartizan_model::{Alert, IndicatorSource, MatchedIndicator};
use bartizan_store::{HeldBackRow, SiteReportStatus, StoreError};

use super::feeds::settings;
use super::tenancy::site_report;
use crate::world::{NOW, World, alert};

#[tokio::test]
async fn exceptions_are_added_once_and_removed() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    for new in [true, false] {
        assert_eq!(store.add_own_domain(scope, "acme.test", NOW).await.unwrap(), new);
        store.release_entry(scope, "shared.test", "a@acme.test", NOW).await.unwrap();
    }
    assert_eq!(store.own_domains(scope).await.unwrap(), ["acme.test"]);
    let released = store.released_entries(scope).await.unwrap();
    assert_eq!((released.len(), released[0].released_by.as_str()), (1, "a@acme.test"));
    store.remove_own_domain(scope, "acme.test", NOW).await.unwrap();
    store.unrelease_entry(scope, "shared.test", NOW).await.unwrap();
    assert_eq!(store.own_domains(scope).await.unwrap(), Vec::<String>::new());
    let again = store.unrelease_entry(scope, "shared.test", NOW).await;
    assert!(matches!(again, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn what_is_held_back_is_replaced_and_bounded() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let held = |number: u32| HeldBackRow {
        pattern: format!("h{number:05}.test"),
        reason: "popular".into(),
        source: "evil".into(),
    };
    store.set_held_back(scope, (0..10_100).map(held).collect()).await.unwrap();
    let (rows, all) = store.held_back(scope, 2).await.unwrap();
    assert_eq!((rows, all), (vec![held(0), held(1)], 10_000));
    store.set_held_back(scope, vec![held(7)]).await.unwrap();
    assert_eq!(store.held_back(scope, 2).await.unwrap(), (vec![held(7)], 1));
}

#[tokio::test]
async fn hits_and_reports_are_counted_by_feed() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    let feed = store.create_feed(scope, settings("evil"), NOW).await.unwrap();
    let evil = || IndicatorSource::Feed("evil".into());
    let stopped =
        [(evil(), "a.test", 2), (evil(), "b.test", 5), (IndicatorSource::Tenant(1), "c.test", 1)];
    for (id, (source, host, count)) in (1..).zip(stopped) {
        let matched = Some(MatchedIndicator { entry: host.into(), source });
        world.ingest(Alert { matched, count, ..alert(id, host, 0) }, 0).await;
    }
    for new in [true, false] {
        let stored = store.add_site_report(scope, world.acme.device, site_report(1), NOW).await;
        assert_eq!(stored.unwrap(), new);
    }
    let row = store.feed(scope, feed).await.unwrap();
    assert_eq!((row.hits, row.reports), (7, 1));
    let top = store.top_hits(scope.whole(), "evil", 1).await.unwrap();
    assert_eq!((top[0].pattern.as_str(), top[0].hits, top[0].last_hit_at.0), ("b.test", 5, NOW.0));
    let own =
        store.hits_of(scope.whole(), "", vec!["c.test".into(), "d.test".into()]).await.unwrap();
    assert_eq!(own.len(), 1);

    let rejected = SiteReportStatus::Rejected;
    store.decide_site_report(scope.whole(), 1, rejected, "a@acme.test", NOW).await.unwrap();
    assert_eq!(store.feed(scope, feed).await.unwrap().reports, 0);
    let report = store.site_reports(scope.whole(), None, 9).await.unwrap().remove(0);
    assert_eq!((report.status, report.app_version.as_str()), (rejected, "0.1.0"));
    assert_eq!(report.report, site_report(1));
}

#[tokio::test]
async fn a_device_cannot_report_without_end() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    for number in 0..200 {
        store.add_site_report(acme.scope, acme.device, site_report(number), NOW).await.unwrap();
    }
    let more = store.add_site_report(acme.scope, acme.device, site_report(200), NOW).await;
    assert!(matches!(more, Err(StoreError::Busy)));
}
