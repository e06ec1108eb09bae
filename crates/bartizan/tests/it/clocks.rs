//! Devices whose clock is a day off: they learn the portal's time, and what they say is kept within what can be.

use std::path::Path;
use std::sync::{Arc, Mutex};

use bartizan_contract::problem::{Problem, code};
use bartizan_host::portal::{Http, HttpRequest, HttpResponse};
use bartizan_indicators::compile::Compiled;
use bartizan_model::{IndicatorCategory, TenantId, UnixMillis};
use bartizan_portal::{Clock, Listener, Portal, PortalConfig};
use bartizan_store::{AlertFilter, AlertRow, Store};
use tokio::sync::oneshot;

use crate::support::{TestDevice, World, http};

#[test]
fn a_device_whose_clock_is_a_day_ahead_corrects_itself() {
    check(|device| UnixMillis(device.0 - DAY_MS));
}

#[test]
fn a_device_whose_clock_is_a_day_behind_corrects_itself() {
    check(|device| UnixMillis(device.0 + DAY_MS));
}

#[track_caller]
fn check(of_portal: fn(UnixMillis) -> UnixMillis) {
    let world = World::new();
    let now = of_portal(Clock::system().now());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = PortalConfig::new(world.data());
    let portal = runtime.block_on(Portal::open_at(config, Clock::fixed(now))).unwrap();
    let (tenant, token) = runtime.block_on(prepared(&portal));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let served = runtime.spawn(async move {
        portal.serve(vec![Listener::Plain(listener)], async { drop(stopped.await) }).await
    });

    let noting = Noting::default();
    let problems = Arc::clone(&noting.problems);
    let device = TestDevice::start_with(&world.state(), &url, Some(&token), Box::new(noting));
    device.wait_until("protected", |status| status.protection == "on");
    device.resolve("evil.test");
    device.wait_until("acknowledged", |status| status.alerts_waiting == 0);
    {
        let problems = problems.lock().unwrap();
        assert_eq!(problems.len(), 1, "once is enough: {problems:?}");
        assert_eq!((problems[0].status, problems[0].code.as_str()), (401, code::CLOCK_SKEW));
        assert_eq!(problems[0].server_time_ms, now.0);
    }

    // After a start what comes first is stamped by the device's own clock.
    drop(device);
    let device = TestDevice::start(&world.state(), &url, None);
    device.resolve("login.evil.test");
    device.wait_until("both are acknowledged", |status| {
        status.alerts_waiting == 0 && status.last_contact_ms != 0
    });
    drop(device);
    drop(stop);
    runtime.block_on(served).unwrap().unwrap();

    let alerts = runtime.block_on(alerts(&world.data(), tenant));
    let mut hosts: Vec<_> = alerts.iter().map(host).collect();
    hosts.sort();
    assert_eq!(hosts, ["evil.test", "login.evil.test"]);
    for alert in &alerts {
        assert_eq!(alert.received_at, now);
        assert!(alert.first_seen_at <= alert.last_seen_at && alert.last_seen_at <= now);
        assert!(now.0 - 2 * DAY_MS < alert.first_seen_at.0);
    }
    let corrected = alerts.iter().find(|alert| host(alert) == "evil.test").unwrap();
    assert!(now.0 - corrected.last_seen_at.0 < 60_000, "by the portal's clock: {corrected:?}");
}

fn host(alert: &AlertRow) -> String {
    alert.host.as_ref().unwrap().to_string()
}

async fn prepared(portal: &Portal) -> (TenantId, String) {
    let tenant = portal.create_tenant("ACME").await.unwrap();
    let listed = [("evil.test".parse().unwrap(), IndicatorCategory::Phishing)];
    portal.publish_indicators(tenant, Compiled::of(&listed), "{}".into()).await.unwrap();
    let hour = std::time::Duration::from_secs(3_600);
    (tenant, portal.create_enrollment_token(tenant, hour).await.unwrap().to_string())
}

async fn alerts(data: &Path, tenant: TenantId) -> Vec<AlertRow> {
    let store = Store::open(data.join("portal.db").as_path(), UnixMillis(0)).unwrap();
    let scope = store.tenant(tenant).await.unwrap();
    let alerts = store.alerts(scope.whole(), AlertFilter::default(), None, 10).await.unwrap();
    store.close().await;
    alerts
}

/// Keeps what the portal found wrong with requests.
#[derive(Default)]
struct Noting {
    problems: Arc<Mutex<Vec<Problem>>>,
}

impl Http for Noting {
    fn send(&mut self, request: HttpRequest) -> Result<HttpResponse, String> {
        let answer = http().send(request)?;
        if answer.status == 401 {
            self.problems.lock().unwrap().push(serde_json::from_slice(&answer.body).unwrap());
        }
        Ok(answer)
    }

    fn download(
        &mut self,
        request: HttpRequest,
        to: &mut dyn std::io::Write,
    ) -> Result<HttpResponse, String> {
        http().download(request, to)
    }
}

const DAY_MS: u64 = 86_400_000;
