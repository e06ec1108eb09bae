//! Every page of the console under axe-core: in both themes, wide and on a phone.
//!
//! Pages are found as a person finds them, by links: a page that nobody has listed here is looked at too. Of pages that
//! differ by an id alone one is looked at.

use std::collections::{BTreeSet, VecDeque};

use serde_json::Value;

use crate::slow::browser::World;
use crate::slow::webdriver::Browser;
use crate::support::wait_for;

#[test]
fn no_page_of_the_console_has_a_serious_violation() {
    let world = World::new();
    world.device.resolve("login.evil.test");
    world.device.wait_until("acknowledged", |status| status.alerts_waiting == 0);
    world.add_feed("Example phishing list", "evil.test\nworse.test/login\n");
    let axe = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/axe/node_modules/axe-core/axe.min.js");
    let axe = std::fs::read_to_string(axe).expect("installed by `cargo xtask test`");
    let mut faults = Vec::new();
    for (width, height, is_dark) in [(1_280, 900, false), (390, 844, true)] {
        let browser = Browser::start(width, height, is_dark);
        world.sign_in(&browser);
        let mut pages: BTreeSet<String> = BEGIN.map(str::to_owned).into();
        let mut waiting: VecDeque<String> = BEGIN.map(str::to_owned).into();
        while let Some(page) = waiting.pop_front() {
            browser.go(&format!("{}{page}", world.portal.url));
            for found in links(&browser) {
                if pages.insert(shape(&found)) {
                    waiting.push_back(found);
                }
            }
            let wide = browser.run("return document.documentElement.scrollWidth - innerWidth");
            if 0 < wide.as_i64().unwrap() {
                faults.push(format!("{width} {page}: is {wide} pixels too wide"));
            }
            browser.run(&axe);
            let told = violations(&browser);
            faults.extend(told.into_iter().map(|fault| format!("{width} {page}: {fault}")));
        }
        assert!(35 < pages.len(), "pages were not found: {pages:?}");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The links of a page that lead to pages.
fn links(browser: &Browser) -> Vec<String> {
    let found = browser.run(
        "return [...document.querySelectorAll(\"nav a[href^='/'], main a[href^='/']\")].map(a => a.pathname)",
    );
    let paths = found.as_array().unwrap().iter().map(|path| path.as_str().unwrap().to_owned());
    let is_page =
        |path: &String| !path.contains('.') && !path.ends_with("/file") && !path.ends_with("/logs");
    paths.filter(is_page).collect()
}

/// A path with its ids left out.
fn shape(path: &str) -> String {
    let is_id = |part: &&str| {
        20 < part.len() || (!part.is_empty() && part.chars().all(|c| c.is_ascii_digit()))
    };
    let parts: Vec<_> =
        path.split('/').map(|part| if is_id(&part) { "{id}" } else { part }).collect();
    parts.join("/")
}

/// What axe finds that keeps somebody from using the page, each with where.
fn violations(browser: &Browser) -> Vec<String> {
    browser.run(
        "window.found = null; axe.run(document, { resultTypes: ['violations'] }).then(
           (result) => (window.found = result.violations), (error) => (window.found = [{ id: String(error) }]));",
    );
    let found = wait_for("axe", || browser.run("return window.found").as_array().cloned());
    let is_serious = |fault: &&Value| fault["impact"] != "moderate" && fault["impact"] != "minor";
    let told = |fault: &Value| format!("{} {}", fault["id"], fault["nodes"][0]["html"]);
    found.iter().filter(is_serious).map(told).collect()
}

/// Where the looking begins; the others hang on the account, which stands beside the menu.
const BEGIN: [&str; 4] = ["/overview", "/password", "/sessions", "/second-factor"];
