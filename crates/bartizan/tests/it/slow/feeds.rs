//! A feed of real size: the folder is in `BARTIZAN_TEST_DATA`, and `cargo xtask test` leaves this out where
//! there is none.

use serde_json::Value;

use crate::support::bartizan;

#[test]
fn a_feed_of_650_000_names_plays_the_demo() {
    let folder = std::env::var_os("BARTIZAN_TEST_DATA")
        .expect("BARTIZAN_TEST_DATA names a folder with feeds");
    let feed = std::path::Path::new(&folder).join("dev/phishing-domains.tsv.zst");
    let output = bartizan(&["demo", "--once", "--json", "--feed", feed.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(600_000 < report["feed_entries"].as_u64().unwrap(), "{report}");
    assert_eq!(report["protected"], serde_json::json!({ "harmless": 200, "phishing": "blocked" }));
}
