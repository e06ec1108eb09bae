//! What happens when something is killed, lost or changed on its way: nothing is lost, and what worked
//! goes on working.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bartizan_host::portal::{Http, HttpRequest, HttpResponse};

use crate::support::{PortalProcess, SITE, TestDevice, World, bartizan, http, wait_for};

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

    let second = TestDevice::start(&world.path("second"), &portal.url, Some(&token));
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

#[test]
fn a_newer_file_comes_as_a_delta_and_a_damaged_delta_costs_no_more_than_the_whole_file() {
    let world = World::new();
    let names = |count: u32| (0..count).map(|n| format!("evil{n}.test\n")).collect::<String>();
    let feed = world.file("feed.txt", &names(20_000));
    let portal = PortalProcess::start(&world.data(), &["--feed", &feed]);
    let counting = Counting::new();
    let fetched = Arc::clone(&counting.fetched);
    let token = portal.enrollment_token();
    let device =
        TestDevice::start_with(&world.state(), &portal.url, Some(&token), Box::new(counting));
    device.wait_until("protected", |status| status.protection == "on");
    let whole = fetched.swap(0, Ordering::SeqCst);
    assert!(100_000 < whole, "{whole} octets");

    let publish = |count| {
        let feed = world.file("feed.txt", &names(count));
        let published = bartizan(&[
            "admin",
            "publish",
            "--data",
            world.data().to_str().unwrap(),
            "--feed",
            &feed,
        ]);
        assert!(published.status.success(), "{published:?}");
    };
    let restarted = || {
        let counting = Counting::new();
        let fetched = Arc::clone(&counting.fetched);
        let device = TestDevice::start_with(&world.state(), &portal.url, None, Box::new(counting));
        (device, fetched)
    };
    publish(20_050);
    drop(device);
    let (device, fetched) = restarted();
    device.wait_until("the delta is applied", |status| status.indicator_epoch == Some(2));
    let delta = fetched.load(Ordering::SeqCst);
    assert!(delta < whole / 50, "{delta} octets for 50 more names");
    assert_eq!(device.resolve("evil20049.test"), Ipv4Addr::UNSPECIFIED);
    assert_eq!(device.resolve("evil20050.test"), SITE);

    publish(20_060);
    drop(device);
    for entry in std::fs::read_dir(world.data().join("indicators")).unwrap() {
        let path = entry.unwrap().path();
        let mut octets = std::fs::read(&path).unwrap();
        if octets.starts_with(b"BTZ-DELT") {
            octets[100] ^= 1;
            std::fs::write(&path, octets).unwrap();
        }
    }
    let (device, fetched) = restarted();
    device.wait_until("the file is fetched", |status| status.indicator_epoch == Some(3));
    assert!(whole <= fetched.load(Ordering::SeqCst));
    assert_eq!(device.resolve("evil20059.test"), Ipv4Addr::UNSPECIFIED);
}

#[test]
fn a_file_that_is_damaged_while_in_use_leaves_names_resolving_and_is_fetched_again() {
    let world = World::new();
    let portal = world.portal();
    let device = world.device(&portal);
    let path = world.state().join("indicators.bin");
    let mut octets = std::fs::read(&path).unwrap();
    let last = octets.len() - 1;
    octets[last] ^= 1;
    // Restarted, so that no page of the file was verified before.
    drop(device);
    std::fs::write(&path, octets).unwrap();
    let device = TestDevice::start(&world.state(), &portal.url, None);
    assert_eq!(device.resolve("harmless.test"), SITE, "a damaged file lists nothing");
    wait_for("fetched again", || {
        (device.resolve("evil.test") == Ipv4Addr::UNSPECIFIED).then_some(())
    });
}

/// Counts the octets of files that were downloaded.
struct Counting {
    http: Box<dyn Http>,
    fetched: Arc<AtomicUsize>,
}

impl Counting {
    fn new() -> Self {
        Self { http: Box::new(http()), fetched: Arc::default() }
    }
}

impl Http for Counting {
    fn send(&mut self, request: HttpRequest) -> Result<HttpResponse, String> {
        self.http.send(request)
    }

    fn download(
        &mut self,
        request: HttpRequest,
        to: &mut dyn std::io::Write,
    ) -> Result<HttpResponse, String> {
        let mut octets = Vec::new();
        let response = self.http.download(request, &mut octets)?;
        self.fetched.fetch_add(octets.len(), Ordering::SeqCst);
        to.write_all(&octets).unwrap();
        Ok(response)
    }
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

    fn download(
        &mut self,
        request: HttpRequest,
        to: &mut dyn std::io::Write,
    ) -> Result<HttpResponse, String> {
        self.http.download(request, to)
    }
}
