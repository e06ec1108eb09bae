//! `bartizan admin policy` and `bartizan agent pass`: what is decided at the portal, and what a person at the device
//! may do about a warning.

use std::net::Ipv4Addr;
use std::process::Output;

use crate::console::Console;
use crate::support::{PortalProcess, SITE, TestDevice, World, bartizan, wait_for};

#[test]
fn the_command_line_shows_the_policy_and_changes_what_is_named() {
    let world = World::new();
    let portal = PortalProcess::start(&world.data(), &[]);
    let (well, said) = policy(&world, &[]);
    for line in ["Version              1", "Mode                 dns", "Check-in every       900 s"]
    {
        assert!(well && said.lines().any(|said| said == line), "{line}: {said}");
    }
    let changes = [
        "--mode",
        "tunnel",
        "--warn-pass-hours",
        "1",
        "--strip-ech",
        "on",
        "--checkin-interval-s",
        "60",
    ];
    let (well, said) = policy(&world, &changes);
    assert!(well && said.contains("Saved as version 2"), "{said}");
    for line in [
        "Mode                 tunnel",
        "Warnings passed      for 1 hour",
        "Strip ECH            on",
    ] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    let (_, said) = policy(&world, &changes);
    assert!(!said.contains("Saved"), "what is there already is no new version: {said}");
    let (_, said) = policy(&world, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&json["version"], &json["mode"]), (&2.into(), &"tunnel".into()));
    assert_eq!(
        (&json["dns"]["strip_ech"], &json["dns"]["block_encrypted_dns"]),
        (&true.into(), &false.into())
    );
    for (wrong, expected) in [
        (["--mode", "later"], "it is tunnel, dns, filter or off"),
        (["--strip-ech", "yes"], "it is on or off"),
        (["--checkin-interval-s", "59"], "a check-in interval has 60 to 86400 seconds"),
        (["--warn-pass-hours", "169"], "169 is not in 0..=168"),
    ] {
        let (well, said) = policy(&world, &wrong);
        assert!(!well && said.contains(expected), "{said}");
    }
    assert!(Console::sign_in(&portal).page("/policy").contains("In force: version 2"));
}

#[test]
fn a_person_passes_a_warning_and_the_organization_is_told() {
    let world = World::new();
    let portal = world.portal();
    let console = Console::sign_in(&portal);
    let form = [
        ("indicatorValue", "warned.test"),
        ("action", "Warn"),
        ("title", "Looks like the old supplier"),
        ("severity", "Medium"),
    ];
    assert_eq!(console.submit("/indicators", &form), "/indicators/1?done=created");
    wait_for("the tenant file is published", || {
        portal.ask(async |store, scope| store.newest_tenant_file(scope).await.unwrap())
    });
    let device = world.device(&portal);
    device.wait_until("the tenant file is fetched", |status| status.tenant_entries == 1);
    assert_eq!(device.resolve("www.warned.test"), Ipv4Addr::UNSPECIFIED);

    let (well, said) = pass(&world, "https://www.warned.test/order?customer=7");
    for line in [
        "Site            www.warned.test",
        "Listed          warned.test, by the organization itself",
        "Passed for      24 hours",
    ] {
        assert!(well && said.lines().any(|said| said == line), "{line}: {said}");
    }
    assert_eq!(device.resolve("www.warned.test"), SITE);
    let (well, said) = pass(&world, "evil.test");
    assert!(!well && said.contains("evil.test is blocked, which cannot be passed"), "{said}");
    let told = wait_for("the alert is on the portal", || {
        portal.alerts().into_iter().find(|alert| alert.detector == "web.phishing.overridden")
    });
    assert_eq!((told.severity, told.host.as_deref()), ("Low", Some("www.warned.test")));

    // A restart makes the device check in, and keeps what was passed.
    drop(device);
    let (well, said) = pass(&world, "warned.test");
    assert!(!well && said.contains("no agent runs with"), "{said}");
    let device = TestDevice::start(&world.state(), &portal.url, None);
    assert_eq!(device.resolve("warned.test"), SITE);

    let (well, said) = policy(&world, &["--warn-pass-hours", "0"]);
    assert!(well, "{said}");
    drop(device);
    let device = TestDevice::start(&world.state(), &portal.url, None);
    device.wait_until("the new policy is in use", |status| status.policy_version == 2);
    wait_for("the warning stops again", || {
        (device.resolve("warned.test") == Ipv4Addr::UNSPECIFIED).then_some(())
    });
    let (well, said) = pass(&world, "warned.test");
    assert!(!well && said.contains("the organization lets nobody go on"), "{said}");
}

fn policy(world: &World, arguments: &[&str]) -> (bool, String) {
    let data = world.data();
    let at = ["admin", "policy", "--data", data.to_str().unwrap()];
    said(bartizan(&[&at, arguments].concat()))
}

fn pass(world: &World, site: &str) -> (bool, String) {
    let state = world.state();
    said(bartizan(&["agent", "pass", site, "--state", state.to_str().unwrap()]))
}

/// Whether it went well, and what was said.
fn said(output: Output) -> (bool, String) {
    let text = [output.stdout, output.stderr].map(|octets| String::from_utf8(octets).unwrap());
    (output.status.success(), text.concat())
}
