//! Portals and databases that die under load, again and again: what was acknowledged is there afterwards, once, and the
//! audit log proves itself.

use std::process::{Command, Stdio};

use crate::console::Console;
use crate::slow::cluster::Cluster;
use crate::support::{PortalProcess, World, bartizan, wait_for};

/// `BARTIZAN_TEST_CRASHES` asks for another number; a release is tried with 200, by
/// `cargo test -p bartizan --test it -- slow::fleet`, which knows no limit of time.
const CRASHES: u64 = 20;

#[test]
fn nothing_acknowledged_is_lost_when_the_portal_is_killed() {
    let world = World::new();
    let portal = PortalProcess::start(&world.data(), &["--demo-admin"]);
    crash_again_and_again(&world, portal, |_, mut portal| {
        portal.kill();
        portal.start_again_with(&["--demo-admin"])
    });
}

#[test]
fn nothing_acknowledged_is_lost_when_portal_and_postgresql_are_killed() {
    let cluster = Cluster::make("-killed").unwrap();
    let mut server = Some(cluster.start().unwrap());
    let psql = Command::new("psql")
        .args(["-X", "-q", "-d", &cluster.address(), "-c", "CREATE DATABASE killed"])
        .status();
    assert!(psql.unwrap().success());
    let database = cluster.address().replacen("/postgres", "/killed", 1);
    let world = World::new();
    let start = ["--demo-admin", "--database", database.as_str()];
    let portal = PortalProcess::start(&world.data(), &start);
    crash_again_and_again(&world, portal, |crash, mut portal| {
        if crash % 3 != 0 {
            kill_server(&cluster);
        }
        if crash % 3 != 1 {
            portal.kill();
        }
        // The dead one is waited for first.
        if crash % 3 != 0 {
            drop(server.take());
            server = Some(cluster.start().unwrap());
        }
        if crash % 3 != 1 { portal.start_again_with(&start) } else { portal }
    });
}

/// As the system does when memory runs out; the server's other processes see it and end.
fn kill_server(cluster: &Cluster) {
    let address = cluster.address();
    let (_, folder) = address.rsplit_once("host=").unwrap();
    let file = std::fs::read_to_string(format!("{folder}/data/postmaster.pid")).unwrap();
    let pid = file.lines().next().unwrap();
    assert!(Command::new("kill").args(["-KILL", pid]).status().unwrap().success());
}

/// Makes load, has `crash` kill something and bring it back at another moment each time, and looks at what is left.
fn crash_again_and_again(
    world: &World,
    mut portal: PortalProcess,
    mut crash: impl FnMut(u64, PortalProcess) -> PortalProcess,
) {
    let crashes = std::env::var_os("BARTIZAN_TEST_CRASHES")
        .map_or(CRASHES, |text| text.to_str().unwrap().parse().unwrap());
    let console = Console::sign_in(&portal);
    let ledger = world.path("ledger");
    let length = || std::fs::metadata(&ledger).map_or(0, |file| file.len());
    let mut in_the_middle = 0;
    for number in 0..crashes {
        let before = length();
        let mut fleet = Command::new(env!("CARGO_BIN_EXE_bartizan"))
            .args(["fleet", "--portal", &portal.url, "--devices", "50", "--seconds", "2"])
            .args(["--connections", "16", "--alerts-per-second", "2000", "--alert-batch", "3"])
            .arg("--ledger")
            .arg(&ledger)
            .arg("--data")
            .arg(world.path(""))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Each time at another moment: after another number of octets was acknowledged. A machine which is too busy to
        // acknowledge as many has the crash when the load ends.
        let enough = before + 64 + number * 7_919 % 50_000;
        let ended = wait_for("acknowledged alerts", || {
            let ended = fleet.try_wait().unwrap().is_some();
            (ended || enough < length()).then_some(ended)
        });
        in_the_middle += u64::from(!ended);
        portal = crash(number, portal);
        assert!(fleet.wait().unwrap().success(), "after crash {number}");
    }
    assert!(crashes / 2 < in_the_middle, "{in_the_middle} of {crashes} crashes came in the middle");
    let ledger = ledger.to_str().unwrap();
    let checked = bartizan(&["fleet", "--portal", &portal.url, "--check", ledger, "--json"]);
    let figures: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(figures["lost"], 0, "{figures}");
    assert!(0 < figures["acknowledged"].as_u64().unwrap(), "{figures}");

    let log = world.file("audit.jsonl", &console.page("/audit/export.jsonl"));
    let verified = bartizan(&["admin", "audit", "verify", &log]);
    let said = String::from_utf8(verified.stdout).unwrap();
    assert!(said.contains("entries are there, unchanged and in order"), "{said}");
}
