//! Applications in a browser: set up, given a secret, and what they may call.

use std::path::PathBuf;

use crate::slow::webdriver::Browser;
use crate::support::World;

#[test]
fn an_application_is_set_up_and_its_api_is_read() {
    let world = World::new();
    let portal = world.portal();
    for (width, height, is_dark, prefix) in [(1_280, 900, false, ""), (390, 844, true, "phone-")] {
        let browser = Browser::start(width, height, is_dark);
        browser.go(&format!("{}/sign-in", portal.url));
        browser.type_into("input[name='email']", "admin@example.test");
        browser.type_into("input[name='password']", portal.password());
        browser.click("button[type='submit']");
        browser.wait_for_text("Alerts");
        let shot = |name: &str| {
            browser.screenshot(&screenshot(&format!("{prefix}{name}")));
            let fits = browser.run("return document.documentElement.scrollWidth <= innerWidth");
            assert_eq!(fits, true, "{name}");
        };
        let go = |path: &str| browser.go(&format!("{}{path}", portal.url));
        go("/applications");
        browser.wait_for_text("Applications");
        shot("applications");
        go("/applications/new");
        browser.wait_for_text("What it may do");
        shot("application-new");
        browser.type_into("input[name='name']", &format!("SIEM {prefix}"));
        press(&browser, "input[value='view-data']");
        press(&browser, "main form button[type='submit']");
        browser.wait_for_text("Client id");
        press(&browser, "form[action$='/secrets'] button");
        browser.wait_for_text("It is shown only now");
        shot("application");
        go("/applications");
        browser.wait_for_text("SIEM");
        shot("applications-one");
        go("/api/v1/");
        browser.wait_for_text("API, version 1");
        shot("api");
    }
}

/// What lies below the fold of a phone is not clicked by the driver.
fn press(browser: &Browser, selector: &str) {
    browser.run(&format!("document.querySelector(\"{selector}\").click()"));
}

fn screenshot(name: &str) -> PathBuf {
    let folder = std::env::var_os("BARTIZAN_SCREENSHOTS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/screenshots")),
        PathBuf::from,
    );
    folder.join(format!("{name}.png"))
}
