//! What whoever runs a portal does beside it: metrics, settings, backup, checks.

use std::process::{Command, Stdio};

use crate::support::{BARTIZAN, PortalProcess, World, bartizan, wait_for};

#[test]
fn metrics_stand_apart_and_count_what_happens() {
    let world = World::new();
    let feed = world.file("feed.txt", "evil.test\n");
    let portal = PortalProcess::start(&world.data(), &["--metrics-listen", "0", "--feed", &feed]);
    let device = world.device(&portal);
    device.resolve("evil.test");
    let line = portal.said.iter().find_map(|line| line.strip_prefix("Metrics are at ")).unwrap();
    let text = wait_for("the alert is counted", || {
        let text = ureq::get(line).call().unwrap().body_mut().read_to_string().unwrap();
        text.contains("\nbartizan_alerts_stored_total 1\n").then_some(text)
    });
    let value = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(name) && !line.starts_with('#'));
        let line = line.unwrap_or_else(|| panic!("{name} is not in\n{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(1.0 <= value("bartizan_checkins_total"));
    assert!(1.0 <= value("bartizan_store_commits_total"));
    assert_eq!(value("bartizan_database_up"), 1.0);
    assert!(!text.contains("My organization") && !text.contains("evil.test"), "{text}");
    let elsewhere = format!("{}/metrics", portal.url);
    assert!(ureq::get(&elsewhere).call().is_err(), "not where devices are");
}

#[test]
fn a_configuration_is_checked_without_running() {
    let world = World::new();
    let file = world.file("portal.toml", "listen = 8444\ntenant = 'ACME'\n");
    let check = |more: &[&str]| {
        let mut command = Command::new(BARTIZAN);
        command.args(["portal", "--check-config", "--config", &file]).args(more);
        command.env("BARTIZAN_DATABASE", "postgres://u:hidden-word@db.example/x");
        command.stdin(Stdio::null()).output().unwrap()
    };
    let output = check(&["--tenant", "Globex"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    for line in [
        "listen = 8444  (file)",
        "tenant = Globex  (flag)",
        "database = (not shown)  (environment)",
        "admin = admin@localhost  (default)",
    ] {
        assert!(said.lines().any(|written| written == line), "{line} is not in\n{said}");
    }
    let wrong = world.file("wrong.toml", "lisen = 8444\n");
    let output = bartizan(&["portal", "--check-config", "--config", &wrong]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        told.contains("wrong.toml: there is no setting lisen; the nearest is listen"),
        "{told}"
    );
}
