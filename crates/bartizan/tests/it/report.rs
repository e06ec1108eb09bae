//! `bartizan agent report`: what a person at a device says reaches the portal, or they are told why not.

use std::process::Output;

use bartizan_store::{SiteReportKind, SiteReportStatus};

use crate::console::Console;
use crate::support::{PortalProcess, World, bartizan};

#[test]
fn a_report_is_counted_for_the_feed_that_lists_the_site() {
    let world = World::new();
    let portal = PortalProcess::start(&world.data(), &[]);
    let (data, list) = (world.data(), world.file("list.txt", "evil.test\n"));
    let data = data.to_str().unwrap();
    let added = bartizan(&["feed", "add", "Phishing list", &list, "--data", data]);
    assert!(added.status.success(), "{added:?}");
    // The device runs meanwhile, and goes on.
    let device = world.device(&portal);
    let before = files(&world);

    let site = "https://www.evil.test/order?customer=7";
    let (well, said) = report(&world, &[site, "--comment", "Our supplier."]);
    assert!(well, "{said}");
    for line in [
        "Sent to         My organization",
        "Site            www.evil.test",
        "Reported as     blocked by mistake",
        "Listed          evil.test, by the feed Phishing list",
        "Indicators      epoch 1",
        "Comment         Our supplier.",
    ] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    let (well, said) = report(&world, &["elsewhere.test", "--unsafe"]);
    assert!(well && said.contains("unsafe, and not blocked"), "{said}");
    assert_eq!(files(&world), before, "a report leaves the device's files alone");
    assert!(device.status().unwrap().problem.is_none());

    let (feeds, mut reports) = portal.ask(async |store, scope| {
        (
            store.feeds(scope).await.unwrap(),
            store.site_reports(scope.whole(), None, 10).await.unwrap(),
        )
    });
    assert_eq!((feeds[0].settings.name.as_str(), feeds[0].reports), ("Phishing list", 1));
    reports.sort_by_key(|row| row.report.kind == SiteReportKind::Unsafe);
    let [harmless, unsafe_] = reports.try_into().unwrap();
    assert_eq!(harmless.status, SiteReportStatus::New);
    let harmless = harmless.report;
    assert_eq!((&*harmless.host, &*harmless.source), ("www.evil.test", "Phishing list"));
    assert_eq!(
        (harmless.pattern.as_deref(), &*harmless.comment),
        (Some("evil.test"), "Our supplier.")
    );
    assert_eq!(harmless.indicator_epoch, Some(1));
    assert_eq!((&*unsafe_.report.host, unsafe_.report.pattern), ("elsewhere.test", None));

    let page = Console::sign_in(&portal).page(&format!("/feeds/{}", feeds[0].id));
    assert!(page.contains("www.evil.test") && page.contains("Our supplier."), "{page}");
    assert!(!page.contains("customer"), "{page}");
}

#[test]
fn a_report_that_cannot_be_sent_says_why() {
    let world = World::new();
    let (well, said) = report(&world, &["evil.test"]);
    assert!(!well && said.contains("this device is not enrolled"), "{said}");
    assert!(!world.state().exists(), "and no folder is made for it");

    let mut portal = world.portal();
    let device = world.device(&portal);
    let (well, said) = report(&world, &["not a site"]);
    assert!(!well && said.contains("not a site is neither a name nor an address"), "{said}");
    portal.kill();
    let (well, said) = report(&world, &["evil.test"]);
    let expected = format!("the report was not sent to {}", portal.url);
    assert!(!well && said.contains(&expected), "{said}");
    drop(device);
}

/// Runs the command; returns whether it went well and what it said.
fn report(world: &World, arguments: &[&str]) -> (bool, String) {
    let state = world.state();
    let mut whole = vec!["agent", "report", "--state", state.to_str().unwrap()];
    whole.extend(arguments);
    let Output { status, stdout, stderr } = bartizan(&whole);
    (status.success(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

/// What the device keeps, but for what it shows of itself all the time.
fn files(world: &World) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(world.state()).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !path.to_str().unwrap().contains("status.json"))
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}
