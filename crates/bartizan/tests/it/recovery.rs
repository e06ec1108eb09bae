//! What happens when something is killed, lost or changed on its way: nothing is lost, and what worked
//! goes on working.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bartizan_host::portal::{Http, HttpRequest, HttpResponse};

use crate::support::{PortalProcess, TestDevice, bartizan, http, wait_for};

const SITE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);

#[test]
fn an_alert_survives_a_killed_portal_and_arrives_once() {
    let world = World::new();
    let mut portal = world.portal();
    let device = world.device(&portal);
    portal.kill();

    assert_eq!(device.resolve("login.evil.test"), Ipv4Addr::UNSPECIFIED);
    assert_eq!(device.resolve("harmless.test"), SITE);
    device.wait_until("the alert waits on disk", |status| status.alerts_waiting == 1);
    // The device goes down as well, and comes back before the portal does.
    drop(device);
    let device = TestDevice::start(&world.state(), &portal.url, None);
    assert_eq!(
        device.resolve("evil.test"),
        Ipv4Addr::UNSPECIFIED,
        "kept indicators protect from the start"
    );

    let portal = portal.start_again();
    device.wait_until("both alerts are acknowledged", |status| {
        status.alerts_waiting == 0 && status.last_contact_ms != 0
    });
    let mut hosts: Vec<_> =
        portal.alerts().into_iter().map(|alert| (alert.host.unwrap(), alert.count)).collect();
    hosts.sort();
    assert_eq!(hosts, [("evil.test".to_owned(), 1), ("login.evil.test".to_owned(), 1)]);
}

#[test]
fn an_alert_whose_acknowledgment_is_lost_is_stored_once() {
    let world = World::new();
    let portal = world.portal();
    let lossy = Lossy::new("/alerts", 2);
    let lost = Arc::clone(&lossy.lost);
    let token = portal.enrollment_token();
    let device = TestDevice::start_with(&world.state(), &portal.url, Some(&token), Box::new(lossy));
    device.wait_until("protected", |status| status.protection == "on");

    assert_eq!(device.resolve("evil.test"), Ipv4Addr::UNSPECIFIED);
    wait_for("the acknowledgment is lost", || (lost.load(Ordering::SeqCst) == 2).then_some(()));
    device.wait_until("the alert is acknowledged", |status| status.alerts_waiting == 0);
    let alerts = portal.alerts();
    assert_eq!(
        alerts.iter().map(|alert| (alert.host.as_deref(), alert.count)).collect::<Vec<_>>(),
        [(Some("evil.test"), 1)]
    );
}

#[test]
fn an_enrollment_whose_reply_is_lost_succeeds_the_next_time() {
    let world = World::new();
    let portal = world.portal();
    let token = portal.enrollment_token();
    let device = TestDevice::start_with(
        &world.state(),
        &portal.url,
        Some(&token),
        Box::new(Lossy::new("/enroll", 1)),
    );
    device.wait_until("protected", |status| status.protection == "on");
    assert_eq!(device.resolve("evil.test"), Ipv4Addr::UNSPECIFIED);
}

#[test]
fn a_used_up_token_lets_nobody_in_and_the_first_device_stays() {
    let world = World::new();
    let portal = world.portal();
    let token = portal.enrollment_token();
    let first = TestDevice::start(&world.state(), &portal.url, Some(&token));
    first.wait_until("protected", |status| status.protection == "on");

    let second = TestDevice::start(&world.folder.path().join("second"), &portal.url, Some(&token));
    let status = second.wait_until("told why", |status| status.problem.is_some());
    let problem = status.problem.unwrap();
    assert!(problem.contains("already") || problem.contains("used"), "{problem}");
    assert_eq!(second.resolve("evil.test"), SITE, "without a file names resolve");
    assert_eq!(first.resolve("evil.test"), Ipv4Addr::UNSPECIFIED);
}

#[test]
fn a_damaged_indicator_file_is_refused_and_the_old_one_protects() {
    let world = World::new();
    let portal = world.portal();
    let device = world.device(&portal);
    let epoch = device.status().unwrap().indicator_epoch.unwrap();

    let feed = world.file("next.txt", "evil.test\nworse.test\n");
    let published =
        bartizan(&["admin", "publish", "--data", world.data().to_str().unwrap(), "--feed", &feed]);
    assert!(published.status.success(), "{published:?}");
    for entry in std::fs::read_dir(world.data().join("indicators")).unwrap() {
        let path = entry.unwrap().path();
        let mut octets = std::fs::read(&path).unwrap();
        let last = octets.len() - 1;
        octets[last] ^= 1;
        std::fs::write(&path, octets).unwrap();
    }
    // A restart makes the device check in, and see that there is something newer.
    drop(device);
    let device = TestDevice::start(&world.state(), &portal.url, None);
    let status = device.wait_until("told why", |status| status.problem.is_some());
    assert_eq!(status.problem.as_deref(), Some("indicator file is not the one in the manifest"));
    assert_eq!(status.indicator_epoch, Some(epoch));
    assert_eq!(device.resolve("evil.test"), Ipv4Addr::UNSPECIFIED);
}

/// Loses what the portal answers to the first calls of one kind, after it has stored what they brought.
struct Lossy {
    http: Box<dyn Http>,
    call: &'static str,
    most: usize,
    lost: Arc<AtomicUsize>,
}

impl Lossy {
    fn new(call: &'static str, most: usize) -> Self {
        Self { http: Box::new(http()), call, most, lost: Arc::default() }
    }
}

impl Http for Lossy {
    fn send(&mut self, request: HttpRequest) -> Result<HttpResponse, String> {
        let is_meant = request.url.ends_with(self.call);
        let response = self.http.send(request)?;
        if is_meant && self.lost.load(Ordering::SeqCst) < self.most {
            assert_eq!(response.status, 200);
            self.lost.fetch_add(1, Ordering::SeqCst);
            return Err("connection reset".to_owned());
        }
        Ok(response)
    }
}

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn portal(&self) -> PortalProcess {
        let feed = self.file("feed.txt", "evil.test\n");
        PortalProcess::start(&self.data(), &["--feed", &feed])
    }

    fn device(&self, portal: &PortalProcess) -> TestDevice {
        let device =
            TestDevice::start(&self.state(), &portal.url, Some(&portal.enrollment_token()));
        device.wait_until("protected", |status| {
            status.protection == "on" && status.policy_version != 0
        });
        device
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("portal")
    }

    fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("device")
    }
}
