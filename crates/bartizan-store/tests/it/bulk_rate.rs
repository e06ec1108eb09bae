//! How fast many alerts are changed, and how long what devices send waits meanwhile: figures for `docs/budgets.md`.
//!
//! 100,000 alerts where the build is optimized, 5,000 otherwise.

use std::io::{Seek as _, Write as _};
use std::time::{Duration, Instant};

use bartizan_model::{Alert, AlertStatus, UnixMillis};
use bartizan_store::{AlertChoice, AlertFilter, AlertJobState, AlertUpdate, JobStep, StatusFilter};

use crate::world::{HOUR, NOW, World, alert, enroll};

const ALERTS: u64 = if cfg!(debug_assertions) { 5_000 } else { 100_000 };
const DEVICES: u8 = 100;

#[expect(clippy::print_stdout, reason = "a figure for people, on which nothing depends")]
#[tokio::test]
async fn many_alerts_are_resolved_while_devices_go_on() {
    let world = World::new().await;
    let (store, acme) = (&world.store, world.acme);
    let mut devices = Vec::new();
    for number in 10..10 + DEVICES {
        devices.push(enroll(store, acme.scope, number).await);
    }
    let mut filling = Vec::new();
    for (chunk, device) in (0..ALERTS / 50).zip(devices.iter().cycle()) {
        let batch: Vec<Alert> = (chunk * 50..chunk * 50 + 50)
            .map(|number| alert(number.into(), &format!("h{number}.test"), 0))
            .collect();
        let (store, device) = (store.clone(), *device);
        filling.push(tokio::spawn(async move {
            store.ingest_alerts(acme.scope, device, batch, NOW).await.unwrap();
        }));
        if filling.len() == 64 {
            for filled in filling.drain(..) {
                filled.await.unwrap();
            }
        }
    }
    for filled in filling {
        filled.await.unwrap();
    }

    let open = AlertFilter { status: StatusFilter::Unresolved, ..AlertFilter::default() };
    let resolve = AlertUpdate { status: Some(AlertStatus::Resolved), ..AlertUpdate::default() };
    let now = UnixMillis(NOW.0 + HOUR);
    let choice = AlertChoice::Filter(open);
    let job = store
        .create_alert_job(acme.scope.whole(), choice, resolve, acme.member, now)
        .await
        .unwrap();

    // A device that raises alerts all the while.
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let meanwhile = tokio::spawn({
        let (store, device) = (store.clone(), devices[0]);
        async move {
            let mut took = Vec::new();
            let mut number = u128::from(ALERTS);
            while stopped.try_recv().is_err() {
                number += 1;
                let one = alert(number, &format!("h{number}.test"), HOUR + 1);
                let began = start();
                let now = UnixMillis(NOW.0 + HOUR + 1);
                store.ingest_alerts(acme.scope, device, vec![one], now).await.unwrap();
                took.push(began.elapsed());
            }
            took
        }
    });
    let mut slices = Vec::new();
    let began = start();
    loop {
        let slice = start();
        if store.step_alert_job(acme.scope, 256, now).await.unwrap() == JobStep::Idle {
            break;
        }
        slices.push(slice.elapsed());
    }
    let all = began.elapsed();
    stop.send(()).unwrap();
    let waits = meanwhile.await.unwrap();
    let row = store.alert_job(acme.scope.whole(), job).await.unwrap();
    assert_eq!((row.state, row.changed), (AlertJobState::Done, ALERTS));
    assert_eq!(store.alerts_matching(acme.scope.whole(), open).await.unwrap(), waits.len() as u64);

    println!(
        "{ALERTS} alerts resolved in {:.2} s: {:.0}/s; a slice of 256 {}; {} alerts of a device meanwhile {}; \
         fdatasync {}",
        all.as_secs_f64(),
        ALERTS as f64 / all.as_secs_f64(),
        percentiles(slices),
        waits.len(),
        percentiles(waits),
        percentiles(disk(world.folder())),
    );
}

/// Times `fdatasync` after small writes, because every rate depends on it.
fn disk(folder: &std::path::Path) -> Vec<Duration> {
    let mut file = tempfile::tempfile_in(folder).unwrap();
    let mut took = Vec::new();
    for _ in 0..200 {
        file.rewind().unwrap();
        file.write_all(&[0x42; 4096]).unwrap();
        let one = start();
        file.sync_data().unwrap();
        took.push(one.elapsed());
    }
    took
}

fn percentiles(mut took: Vec<Duration>) -> String {
    took.sort_unstable();
    let at = |percent: usize| took.get((took.len() * percent / 100).min(took.len() - 1));
    let ms = |percent| at(percent).map_or(0.0, |it| it.as_secs_f64() * 1e3);
    format!("p50 {:.1} ms, p99 {:.1} ms", ms(50), ms(99))
}

#[expect(clippy::disallowed_methods, reason = "a figure for people, on which nothing depends")]
fn start() -> Instant {
    Instant::now()
}
