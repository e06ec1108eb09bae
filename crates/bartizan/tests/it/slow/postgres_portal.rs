//! A portal on PostgreSQL, end to end: the same line as on SQLite, and errors that say what is wrong with the server.

use std::io::BufRead as _;
use std::process::{Command, Output};

use tokio_postgres::NoTls;

use crate::console::Console;
use crate::support::{BARTIZAN, PortalProcess, TestDevice, World, bartizan, wait_for};

#[test]
fn a_device_enrolls_checks_in_and_alerts_and_the_console_lists_it() {
    let place = Place::new();
    let world = World::new();
    let feed = world.file("feed.txt", "evil.test\n");
    let more = ["--database", place.url.as_str(), "--feed", feed.as_str()];
    let portal = PortalProcess::start(&world.data(), &more);
    assert!(!world.data().join("portal.db").exists(), "nothing is kept in a file");

    let token = enrollment_token(&world, &place);
    let device = TestDevice::start(&world.state(), &portal.url, Some(&token));
    device
        .wait_until("protected", |status| status.protection == "on" && status.policy_version != 0);
    assert_eq!(device.resolve("login.evil.test"), std::net::Ipv4Addr::UNSPECIFIED);
    device.wait_until("acknowledged", |status| {
        status.alerts_waiting == 0 && status.last_contact_ms != 0
    });

    let console = Console::sign_in(&portal);
    wait_for("the alert", || console.page("/alerts").contains("login.evil.test").then_some(()));
    let devices = console.page("/devices");
    assert!(devices.contains("/devices/"), "{devices}");
}

#[test]
fn what_one_portal_takes_in_shows_live_at_another_on_the_same_database() {
    let place = Place::new();
    let world = World::new();
    let feed = world.file("feed.txt", "evil.test\n");
    let more = ["--database", place.url.as_str(), "--feed", feed.as_str()];
    let first = PortalProcess::start(&world.data(), &more);
    let second = PortalProcess::start(&world.data(), &["--database", place.url.as_str()]);
    let token = enrollment_token(&world, &place);
    let device = TestDevice::start(&world.state(), &first.url, Some(&token));
    device.wait_until("protected", |status| status.protection == "on");

    let console = Console::sign_in(&first).at(&second);
    assert!(!console.page("/alerts").contains("login.evil.test"));
    let mut events = console.events().lines();
    // What came before may be told once: that nothing was missed is not known at first.
    device.resolve("login.evil.test");
    wait_for("the alert, at the other portal", || {
        let line = events.find(|line| line.as_ref().is_ok_and(|line| line == "event: alerts"));
        line.unwrap().unwrap();
        console.page("/alerts").contains("login.evil.test").then_some(())
    });
}

#[test]
fn what_is_wrong_with_the_server_is_told() {
    let world = World::new();
    let told = |url: &str| {
        let output = portal(&world, url);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let place = Place::new();
    let missing = place.url.replace(&place.name, "absent_here");
    let missing = told(&missing);
    assert!(missing.contains("has no database \"absent_here\""), "{missing}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = told(&format!("postgres://bartizan:hidden-word@{free}/bartizan"));
    assert!(away.contains(&format!("PostgreSQL at {free} does not answer")), "{away}");
    assert!(!away.contains("hidden-word"), "{away}");
    let role = told(&place.url.replace("bartizan@", "nobody_here@"));
    assert!(role.contains("does not let \"nobody_here\" in"), "{role}");
}

/// Tries to run a portal; the address comes by the environment, where it is not in the list of processes.
fn portal(world: &World, url: &str) -> Output {
    Command::new(BARTIZAN)
        .args(["portal", "--listen", "127.0.0.1:0", "--data"])
        .arg(world.data())
        .env("BARTIZAN_DATABASE", url)
        .output()
        .unwrap()
}

fn enrollment_token(world: &World, place: &Place) -> String {
    let data = world.data();
    let arguments =
        ["admin", "enrollment-token", "--data", data.to_str().unwrap(), "--database", &place.url];
    let output = bartizan(&arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A database of its own on the server that `BARTIZAN_TEST_POSTGRES` names; removed after the test.
struct Place {
    url: String,
    name: String,
}

impl Place {
    fn new() -> Self {
        let name = format!("portal_{}_{:?}", std::process::id(), std::thread::current().id());
        let name: String =
            name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let name = name.to_lowercase();
        statement(&format!("CREATE DATABASE {name}"));
        Self { url: address().replacen("/postgres", &format!("/{name}"), 1), name }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        statement(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

fn statement(sql: &str) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let (client, connection) = tokio_postgres::connect(&address(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
    });
}

#[expect(clippy::disallowed_methods, reason = "the automation says where the server is")]
fn address() -> String {
    std::env::var("BARTIZAN_TEST_POSTGRES").expect("`cargo xtask test` names a server")
}
