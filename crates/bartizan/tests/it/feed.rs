//! `bartizan feed`, from adding one to going back and removing it.

use serde_json::Value;

use crate::support::{PortalProcess, bartizan};

#[test]
fn a_feed_is_added_rolled_back_and_removed_by_commands() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("portal");
    drop(PortalProcess::start(&data, &[]));
    let list = folder.path().join("evil.txt");
    std::fs::write(&list, "evil.test\nbad.test\n").unwrap();
    let list = list.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let mut whole = vec!["feed", arguments[0], "--data", data.to_str().unwrap()];
        whole.extend(&arguments[1..]);
        let output = bartizan(&whole);
        let said = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
        (output.status.success(), said(output.stdout), said(output.stderr))
    };

    let (well, said, noted) = run(&["add", "evil", list, "--category", "malware", "--trust", "70"]);
    assert!(well, "{noted}");
    assert!(said.starts_with("evil: taken: 2 entries as version 1"), "{said}");
    assert!(noted.starts_with("Published 2 entries as epoch 1"), "{noted}");
    let (well, _, noted) = run(&["add", "evil", list]);
    assert!(!well && noted.contains("a feed of this name is there already"), "{noted}");

    let (_, said, _) = run(&["list", "--json"]);
    let feeds: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&feeds[0]["category"], &feeds[0]["entries"]), (&"malware".into(), &2.into()));
    let (_, said, _) = run(&["list"]);
    assert!(said.lines().nth(1).unwrap().starts_with("evil  threat  malware"), "{said}");

    for (arguments, reason) in [
        (vec!["update", "evil"], "evil came from a file"),
        (vec!["update", "other"], "there is no feed other"),
        (vec!["rollback", "evil"], "evil has no earlier version"),
        (vec!["rollback", "evil", "--to", "7"], "cannot use version 7 of evil: kept are 1"),
        (vec!["remove", "other"], "there is no feed other"),
        (vec!["add", "far", "http://feeds.example/"], "The address begins with http://"),
        (vec!["add", "near", "https://127.0.0.1:1/"], "which is this machine"),
        (vec!["add", "odd", list, "--category", "bad"], "expected one of: tracker"),
        (vec!["add", "odd", "/nonexistent"], "cannot open /nonexistent"),
    ] {
        let (well, said, noted) = run(&arguments);
        assert!(!well, "{arguments:?}");
        assert!(noted.contains(reason) || said.contains(reason), "{arguments:?}: {said}{noted}");
    }
    assert!(run(&["remove", "near"]).0);
    let (well, _, noted) = run(&["update"]);
    assert!(well && noted == "Nothing new is in use, so nothing is published\n", "{noted}");
    let (well, said, noted) = run(&["remove", "evil"]);
    assert!(well && said == "evil is removed\n", "{said}");
    assert!(noted.starts_with("Published 0 entries"), "{noted}");
}
