//! The hosts that were stopped most often.

use bartizan_model::{Alert, IndicatorAction, UnixMillis};
use bartizan_store::StoppedHosts;

use crate::world::{DAY, NOW, World, alert, enroll};

#[tokio::test]
async fn hosts_are_ranked_by_how_often_they_were_stopped_since_then() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let other = enroll(store, acme.scope, 11).await;
    let seen = |id, host, day, count| Alert { count, ..alert(id, host, day * DAY) };
    let take = async |device, alert: Alert| {
        let now = alert.last_seen;
        store.ingest_alerts(acme.scope, device, vec![alert], now).await.unwrap();
    };
    take(acme.device, seen(1, "old.test", 0, 900)).await;
    take(acme.device, seen(2, "often.test", 2, 5)).await;
    take(other, seen(3, "often.test", 3, 2)).await;
    take(acme.device, seen(4, "twice.test", 3, 2)).await;
    take(acme.device, seen(5, "b.test", 3, 2)).await;
    let audited = Alert { action: IndicatorAction::Audit, ..seen(6, "audited.test", 3, 99) };
    take(acme.device, audited).await;
    take(acme.device, Alert { host: None, ..seen(7, "hidden.test", 3, 99) }).await;
    let since = UnixMillis(NOW.0 + DAY);
    let ranked = async |limit| store.stopped_hosts(acme.scope.whole(), since, limit).await.unwrap();
    let named = |stopped: &StoppedHosts| -> Vec<(String, u64, u64)> {
        let hosts = stopped.hosts.iter();
        hosts.map(|host| (host.host.clone(), host.times, host.devices)).collect()
    };
    let all = ranked(9).await;
    let row = |host: &str, times, devices| (host.to_owned(), times, devices);
    let expected = [row("often.test", 7, 2), row("b.test", 2, 1), row("twice.test", 2, 1)];
    assert_eq!(named(&all), expected);
    assert!(all.hosts[0].incident.is_some());
    assert_eq!(all.since, None, "all of them were looked at");
    assert_eq!(named(&ranked(1).await), expected[..1]);
    let globex = world.globex.scope.whole();
    assert_eq!(store.stopped_hosts(globex, since, 9).await.unwrap(), StoppedHosts::default());
}
