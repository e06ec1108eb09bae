//! What people do wrong gets one clear sentence, and nothing that worked stops working.

use crate::support::{PortalProcess, bartizan};

#[test]
fn a_feed_that_is_none_is_refused_with_the_reason_and_the_published_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, octets: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, octets).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = write("good.txt", b"evil.test\n");
    let data = folder.path().join("portal");
    let portal = PortalProcess::start(&data, &["--feed", &good]);
    let published = || std::fs::read_dir(data.join("indicators")).unwrap().count();
    assert_eq!(published(), 1);

    let names: String = (0..9_999).map(|n| format!("evil{n}.test\n")).collect();
    let packed = zstd::encode_all(names.as_bytes(), 3).unwrap();
    for (feed, reason) in [
        (write("page.html", b"<!DOCTYPE html><title>Sign in</title>"), "is a web page, not a feed"),
        (write("empty.txt", b""), "holds no entries"),
        (write("cut.zst", &packed[..packed.len() / 2]), "cannot be read to its end"),
        (write("prose.txt", b"It was a dark and stormy night.\nThe end.\n"), "are not host names"),
        (folder.path().join("missing.txt").to_str().unwrap().to_owned(), "cannot open"),
        ("http://feeds.example/list.txt".to_owned(), "is not reached by https://"),
    ] {
        let output =
            bartizan(&["admin", "publish", "--data", data.to_str().unwrap(), "--feed", &feed]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(reason), "{feed}: {said}");
        assert!(said.contains(&feed), "the sentence names the feed: {said}");
    }
    assert_eq!(published(), 1);
    drop(portal);
}

#[test]
fn a_portal_that_could_be_reached_without_tls_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        bartizan(&["portal", "--listen", "0.0.0.0:0", "--data", folder.path().to_str().unwrap()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert_eq!(
        said,
        "bartizan: 0.0.0.0:0 can be reached from outside: give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy\n"
    );
}

#[test]
fn an_agent_says_what_is_wrong_before_it_touches_anything() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "bze1.not.it").unwrap();
    for (arguments, reason) in [
        (vec!["--portal", "http://portal.example"], "the portal's address starts with https://"),
        (
            vec!["--portal", "https://portal.example", "--token-file", token.to_str().unwrap()],
            "holds no enrollment token",
        ),
        (
            vec!["--portal", "https://portal.example", "--ca", "/nonexistent"],
            "cannot read certificates",
        ),
        (
            vec!["--portal", "https://portal.example", "--ca", token.to_str().unwrap()],
            "holds no certificates",
        ),
    ] {
        let mut all = vec!["agent", "run", "--state", folder.path().to_str().unwrap()];
        all.extend(arguments);
        let output = bartizan(&all);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(reason), "{said}");
    }
    let output = bartizan(&["agent", "status", "--state", folder.path().to_str().unwrap()]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("no device has run with"));
}

#[test]
fn an_admin_command_on_a_wrong_folder_makes_no_portal_there() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        bartizan(&["admin", "enrollment-token", "--data", folder.path().to_str().unwrap()]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("there is no portal's database"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
