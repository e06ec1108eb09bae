//! The console as a person uses it: Chromium signs in, sees the alert of the scenario, and opens it.

use std::path::PathBuf;

use crate::slow::webdriver::Browser;
use crate::support::{PortalProcess, TestDevice, bartizan};

#[test]
fn an_administrator_signs_in_sees_the_alert_live_and_opens_it() {
    let world = World::new();
    let browser = Browser::start(1_280, 900, false);
    world.sign_in(&browser);
    browser.wait_for_text("Nothing to do");
    browser.screenshot(&screenshot("alerts-empty"));

    // Nobody reloads: the alert has to come by itself.
    world.device.resolve("login.evil.test");
    browser.wait_for_text("login.evil.test");
    browser.screenshot(&screenshot("alerts"));
    browser.click("table a[href^='/alerts/']");
    browser.wait_for_text("Phishing site blocked");
    assert!(browser.text().contains("evil.test"), "{}", browser.text());
    browser.screenshot(&screenshot("alert"));
    assert_eq!(browser.run("return document.documentElement.scrollWidth <= innerWidth"), true);

    browser.click("nav a[href='/devices'], aside a[href='/devices'], a[href='/devices']");
    browser.wait_for_text("Linux");
    browser.screenshot(&screenshot("devices"));
    browser.click("table a[href^='/devices/']");
    browser.wait_for_text("Protection");
    browser.screenshot(&screenshot("device"));
}

#[test]
fn the_queue_works_by_keyboard() {
    let world = World::new();
    world.device.resolve("login.evil.test");
    world.device.wait_until("acknowledged", |status| status.alerts_waiting == 0);
    let browser = Browser::start(1_280, 900, false);
    world.sign_in(&browser);
    browser.wait_for_text("login.evil.test");
    browser.press("j");
    browser.press("\u{e007}");
    browser.wait_for_text("What happened");
    browser.press("gd");
    browser.wait_for_text("Devices");
    assert!(browser.run("return location.pathname").as_str().unwrap().starts_with("/devices"));
}

#[test]
fn every_page_fits_a_phone_and_a_dark_room() {
    let world = World::new();
    world.device.resolve("a-very-long-name-that-somebody-made-up-to-look-like-a-bank.evil.test");
    world.device.wait_until("acknowledged", |status| status.alerts_waiting == 0);
    let browser = Browser::start(390, 844, true);
    browser.go(&format!("{}/sign-in", world.portal.url));
    browser.screenshot(&screenshot("phone-sign-in"));
    world.sign_in(&browser);
    browser.wait_for_text("evil.test");
    browser.screenshot(&screenshot("phone-alerts"));
    check_width(&browser);
    let alert = browser.run("return document.querySelector(\"a[href^='/alerts/']\").pathname");
    browser.go(&format!("{}{}", world.portal.url, alert.as_str().unwrap()));
    browser.screenshot(&screenshot("phone-alert"));
    check_width(&browser);
    browser.go(&format!("{}/devices", world.portal.url));
    browser.screenshot(&screenshot("phone-devices"));
    check_width(&browser);
    let device = browser.run("return document.querySelector(\"a[href^='/devices/']\").pathname");
    browser.go(&format!("{}{}", world.portal.url, device.as_str().unwrap()));
    browser.screenshot(&screenshot("phone-device"));
    check_width(&browser);
}

#[test]
fn feeds_and_own_indicators_are_kept_in_the_console() {
    let world = World::new();
    world.add_feed("Example phishing list", "evil.test\ngoogle.com\nworse.test/login\n");
    for (width, height, is_dark, prefix) in [(1_280, 900, false, ""), (390, 844, true, "phone-")] {
        let browser = Browser::start(width, height, is_dark);
        world.sign_in(&browser);
        let show = |path: &str, text: &str, name: &str| {
            browser.go(&format!("{}{path}", world.portal.url));
            browser.wait_for_text(text);
            browser.screenshot(&screenshot(&format!("{prefix}{name}")));
            check_width(&browser);
        };
        show("/feeds", "google.com", "feeds");
        let feed = browser.run("return document.querySelector(\"main a[href^='/feeds/']:not([href$='new'])\").pathname");
        show(feed.as_str().unwrap(), "Example phishing list", "feed");
        show("/feeds/new", "Trust", "feed-new");
        show("/indicators/new", "Title", "indicator-new");
        show("/indicators/import", "CSV", "indicators-import");
        if !is_dark {
            browser.go(&format!("{}/indicators/new", world.portal.url));
            browser.type_into("input[name='indicatorValue']", "https://Partner.test/portal/");
            browser.type_into("input[name='title']", "Partner portal was taken over");
            browser.click("main form button[type='submit']");
        }
        show("/indicators", "partner.test/portal", "indicators");
        show("/indicators/1", "partner.test/portal", "indicator");
    }
}

#[test]
fn a_wrong_password_is_refused_and_soon_slowed_down() {
    let world = World::new();
    let browser = Browser::start(1_280, 900, false);
    for _ in 0..5 {
        world.try_password(&browser, "not the password");
        browser.wait_for_text("is wrong");
    }
    world.try_password(&browser, "not the password");
    browser.wait_for_text("Too many");
    browser.screenshot(&screenshot("sign-in-limited"));
}

#[track_caller]
fn check_width(browser: &Browser) {
    assert_eq!(
        browser.run("return document.documentElement.scrollWidth <= innerWidth"),
        true,
        "{}",
        browser.text()
    );
}

/// A portal with one protected device.
struct World {
    portal: PortalProcess,
    device: TestDevice,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let feed = folder.path().join("feed.txt");
        std::fs::write(&feed, "evil.test\n").unwrap();
        let portal = PortalProcess::start(
            &folder.path().join("portal"),
            &["--feed", feed.to_str().unwrap()],
        );
        let token = portal.enrollment_token();
        let device = TestDevice::start(&folder.path().join("device"), &portal.url, Some(&token));
        device.wait_until("protected", |status| {
            status.protection == "on" && status.policy_version != 0
        });
        Self { portal, device, folder }
    }

    fn add_feed(&self, name: &str, text: &str) {
        let path = self.folder.path().join("added.txt");
        std::fs::write(&path, text).unwrap();
        let data = self.folder.path().join("portal");
        let (data, path) = (data.to_str().unwrap(), path.to_str().unwrap());
        let added = bartizan(&["feed", "add", name, path, "--data", data]);
        assert!(added.status.success(), "{added:?}");
    }

    fn sign_in(&self, browser: &Browser) {
        self.try_password(browser, self.portal.password());
        browser.wait_for_text("Alerts");
    }

    fn try_password(&self, browser: &Browser, password: &str) {
        browser.go(&format!("{}/sign-in", self.portal.url));
        browser.type_into("input[name='email']", "admin@example.test");
        browser.type_into("input[name='password']", password);
        browser.click("button[type='submit']");
    }
}

/// Where a picture goes.
pub(crate) fn screenshot(name: &str) -> PathBuf {
    let folder = std::env::var_os("BARTIZAN_SCREENSHOTS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/screenshots")),
        PathBuf::from,
    );
    folder.join(format!("{name}.png"))
}
