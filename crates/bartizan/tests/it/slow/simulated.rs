//! The demo without any right: the device is simulated in the process, and real `curl` fetches.

use serde_json::Value;

use crate::support::bartizan;

#[test]
fn the_demo_protects_a_simulated_device() {
    let output = bartizan(&["demo", "--once", "--json", "--device", "simulated"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["device"], "simulated");
    assert_eq!(report["feed_entries"], 7);
    assert_eq!(report["unprotected"], serde_json::json!({ "harmless": 200, "phishing": 200 }));
    assert_eq!(report["protected"], serde_json::json!({ "harmless": 200, "phishing": "blocked" }));
    assert_eq!(report["alerts"].as_array().unwrap().len(), 1, "{report}");
}

#[test]
fn a_feed_that_is_none_ends_the_demo_with_its_name_and_the_reason() {
    let page = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(page.path(), "<html><title>Sign in</title></html>").unwrap();
    let feed = page.path().to_str().unwrap();
    let output = bartizan(&["demo", "--once", "--device", "simulated", "--feed", feed]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.ends_with(&format!("bartizan: feed {feed}: is a web page, not a feed\n")),
        "{said}"
    );
}
