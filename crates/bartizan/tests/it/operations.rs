//! What whoever runs a portal does beside it: metrics, settings, backup, checks.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{BARTIZAN, PortalProcess, TestDevice, World, bartizan, wait_for};

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

#[test]
fn a_backup_of_a_running_portal_is_restored_and_goes_on() {
    let world = World::new();
    let mut portal = world.portal();
    let device = world.device(&portal);
    device.resolve("evil.test");
    wait_for("the alert is stored", || (portal.alerts().len() == 1).then_some(()));
    drop(device);
    let archive = world.path("backup.tar.zst");
    let said = done(&["backup", "--data", text(&world.data()), text(&archive)]);
    assert!(said.contains("read back and opened"), "{said}");
    // The disk is lost.
    portal.kill();
    std::fs::remove_dir_all(world.data()).unwrap();
    done(&["restore", "--data", text(&world.data()), text(&archive)]);
    let restored = portal.start_again();
    assert_eq!(restored.alerts().len(), 1);
    let device = TestDevice::start(&world.state(), &restored.url, None);
    device.wait_until("it is known there", |status| status.last_contact_ms != 0);
}

#[test]
fn a_restore_touches_nothing_that_is_there_and_takes_nothing_strange() {
    let world = World::new();
    drop(world.portal());
    let archive = world.path("backup.tar.zst");
    done(&["backup", "--data", text(&world.data()), text(&archive)]);
    let refused = |folder: &str, archive: &Path| {
        let output = bartizan(&["admin", "restore", "--data", folder, text(archive)]);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(text(&world.data()), &archive).contains("is not empty"));
    let fresh = world.path("fresh");

    let octets = std::fs::read(&archive).unwrap();
    let cut = world.path("cut.tar.zst");
    std::fs::write(&cut, &octets[..octets.len() / 2]).unwrap();
    assert!(refused(text(&fresh), &cut).contains("cannot restore"));
    assert!(!fresh.exists(), "all or nothing");

    let strange = |entries: &[(&str, &[u8])]| {
        let path = world.path("strange.tar.zst");
        let mut unpacked = Vec::new();
        zstd::stream::copy_decode(&*octets, &mut unpacked).unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        let mut source = tar::Archive::new(&*unpacked);
        for entry in source.entries().unwrap() {
            let entry = entry.unwrap();
            let (mut header, name) = (entry.header().clone(), entry.path().unwrap().into_owned());
            tar.append_data(&mut header, name, entry).unwrap();
        }
        for (name, octets) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(u64::try_from(octets.len()).unwrap());
            tar.append_data(&mut header, name, *octets).unwrap();
        }
        let packed = zstd::encode_all(&*tar.into_inner().unwrap(), 1).unwrap();
        std::fs::write(&path, packed).unwrap();
        path
    };
    let foreign = strange(&[("etc/passwd", b"x")]);
    assert!(refused(text(&fresh), &foreign).contains("which no backup of ours does"));
    let damaged = strange(&[(&format!("indicators/{}", "0".repeat(64)), b"x")]);
    assert!(refused(text(&fresh), &damaged).contains("is damaged"));
    // A log of another moment would undo what is in the database.
    let stray = strange(&[("portal.db-wal", b"stale")]);
    done(&["restore", "--data", text(&fresh), text(&stray)]);
    drop(PortalProcess::start(&fresh, &[]));
}

#[test]
fn the_doctor_finds_a_sound_portal_sound_and_says_what_is_wrong() {
    let world = World::new();
    let portal = world.portal();
    let said = done(&["doctor", "--data", text(&world.data())]);
    for subject in [
        "who can read",
        "space for",
        "fdatasync",
        "database: SQLite",
        "schema: up to date",
        "clock",
    ] {
        assert!(said.contains(subject), "{subject} is not in\n{said}");
    }
    assert!(!said.contains("fail"), "{said}");
    drop(portal);
    let output = bartizan(&["admin", "doctor", "--data", text(&world.path("absent"))]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success() && said.contains("fail  database"), "{said}");
}

#[test]
fn a_support_bundle_holds_no_secret_and_no_name() {
    let world = World::new();
    let log = world.path("portal.log");
    let portal = PortalProcess::start(
        &world.data(),
        &["--tenant", "Hidden Words", "--own", "hidden.test", "--log-file", text(&log)],
    );
    let bundle = world.path("bundle.tar.zst");
    let config = world.file(
        "portal.toml",
        &format!(
            "tenant = 'Hidden Words'\nadmin = 'person@hidden.test'\nlog-file = '{}'",
            log.display()
        ),
    );
    done(&["support-bundle", "--config", &config, "--data", text(&world.data()), text(&bundle)]);
    let octets = zstd::decode_all(&*std::fs::read(&bundle).unwrap()).unwrap();
    let all = String::from_utf8(octets).unwrap();
    for held in
        ["bartizan 0.", "tenant = (set)", "device: 0", "fdatasync", "schema brought up to date"]
    {
        assert!(all.contains(held), "{held} is not in\n{all}");
    }
    for hidden in ["Hidden Words", "hidden.test", "person@", portal.password()] {
        assert!(!all.contains(hidden), "{hidden} is in\n{all}");
    }
}

#[test]
fn a_migration_is_tried_on_a_copy_first() {
    let world = World::new();
    std::fs::create_dir(world.data()).unwrap();
    let said = done(&["migrate", "--dry-run", "--data", text(&world.data())]);
    assert!(said.starts_with("To be done: base, feeds"), "{said}");
    assert!(!world.data().join("portal.db").exists());
    assert!(done(&["migrate", "--data", text(&world.data())]).starts_with("Done: base, feeds"));
    assert_eq!(done(&["migrate", "--data", text(&world.data())]), "The schema is up to date\n");
}

/// Runs `bartizan admin` and returns what it printed.
#[track_caller]
fn done(arguments: &[&str]) -> String {
    let all: Vec<_> = std::iter::once("admin").chain(arguments.iter().copied()).collect();
    let output = bartizan(&all);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
