//! A portal that dies under load, again and again: what it acknowledged is there afterwards.

use std::process::{Command, Stdio};

use crate::support::{PortalProcess, World, bartizan, wait_for};

/// `BARTIZAN_CRASHES` asks for another number; a release is tried with 200.
const CRASHES: u64 = 20;

#[test]
fn nothing_acknowledged_is_lost_when_the_portal_is_killed() {
    let crashes = std::env::var_os("BARTIZAN_CRASHES")
        .map_or(CRASHES, |text| text.to_str().unwrap().parse().unwrap());
    let world = World::new();
    let ledger = world.path("ledger");
    let length = || std::fs::metadata(&ledger).map_or(0, |file| file.len());
    let mut portal = PortalProcess::start(&world.data(), &["--demo-admin"]);
    for crash in 0..crashes {
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
        // Each time at another moment: after another number of octets was acknowledged.
        let enough = before + 64 + crash * 7_919 % 50_000;
        wait_for("acknowledged alerts", || (enough < length()).then_some(()));
        portal.kill();
        portal = portal.start_again_with(&["--demo-admin"]);
        assert!(fleet.wait().unwrap().success(), "after crash {crash}");
    }
    let checked = bartizan(&[
        "fleet",
        "--portal",
        &portal.url,
        "--check",
        ledger.to_str().unwrap(),
        "--json",
    ]);
    let figures: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(figures["lost"], 0, "{figures}");
    assert!(0 < figures["acknowledged"].as_u64().unwrap(), "{figures}");
}
