//! The console as a person uses it: Chromium signs in, sees the alert of the scenario, and opens it.

use std::path::PathBuf;

use crate::slow::webdriver::Browser;
use crate::support::{PortalProcess, TestDevice, bartizan, wait_for};

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

    follow_menu(&browser, "/devices");
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
fn what_is_picked_is_changed_by_a_job_that_tells_of_itself() {
    let world = World::new();
    world.device.resolve("login.evil.test");
    world.device.resolve("www.evil.test");
    world.device.wait_until("acknowledged", |status| status.alerts_waiting == 0);
    for (width, height, is_dark, prefix) in [(1_280, 900, false, ""), (390, 844, true, "phone-")] {
        let browser = Browser::start(width, height, is_dark);
        world.sign_in(&browser);
        let show = |path: &str, text: &str, name: &str| {
            browser.go(&format!("{}{path}", world.portal.url));
            browser.wait_for_text(text);
            browser.screenshot(&screenshot(&format!("{prefix}{name}")));
            check_width(&browser);
        };
        browser.wait_for_text("evil.test");
        let alert = browser.run("return document.querySelector('#queue input[name=id]').value");
        show("/detectors", "Alerts that resolve themselves", "detectors");
        show("/suppressions", "No rule hides anything", "suppressions");
        let new = format!("/suppressions/new?alert={}", alert.as_str().unwrap());
        show(&new, "Whose alerts", "suppression-new");
        show("/incidents", "Incidents", "incidents");
        let incident =
            browser.run("return document.querySelector(\"a[href^='/incidents/']\").pathname");
        show(incident.as_str().unwrap(), "Change all its alerts", "incident");
        show("/alerts", "Change selected", "alerts-bulk");
        // Picked rows stay as they are while new alerts come in.
        // Cards have no head to pick all by.
        browser.click(if is_dark { "#queue input[name=id]" } else { "#queue [data-pick-all]" });
        world.device.resolve(if is_dark { "b.evil.test" } else { "a.evil.test" });
        world.device.wait_until("acknowledged", |status| status.alerts_waiting == 0);
        let picked = "return document.querySelectorAll('#queue input[name=id]:checked').length";
        let count = browser.run(picked).as_u64().unwrap();
        assert!(0 < count, "{prefix}");
        browser.run("document.querySelector('#bulk-status').value = 'Resolved'");
        let button = "document.querySelector('#queue button[value=some]')";
        browser
            .run(&format!("{button}.scrollIntoView({{ block: 'center', behavior: 'instant' }})"));
        browser.click("#queue button[value=some]");
        browser.wait_for_text("All alerts were looked at");
        browser.wait_for_text(&format!("{count} of {count} alert"));
        browser.screenshot(&screenshot(&format!("{prefix}alert-job")));
        check_width(&browser);
        show("/alerts/jobs", "status Resolved", "alert-jobs");
        show("/alerts", if is_dark { "b.evil.test" } else { "a.evil.test" }, "alerts-after");
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

/// Clicks an entry of the menu at the side. WebDriver takes what a menu that cannot be closed shows for closed; whoever
/// points at it meets it.
fn follow_menu(browser: &Browser, href: &str) {
    let met = browser.run(&format!(
        "const link = document.querySelector(\"nav a[href='{href}']\");
         link.scrollIntoView({{ block: 'nearest', behavior: 'instant' }});
         const box = link.getBoundingClientRect();
         const met = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
         link.click(); return link.contains(met)",
    ));
    assert_eq!(met, true, "{href}");
}

#[track_caller]
pub(crate) fn check_width(browser: &Browser) {
    assert_eq!(
        browser.run("return document.documentElement.scrollWidth <= innerWidth"),
        true,
        "{}",
        browser.text()
    );
}

/// A portal with one protected device.
pub(crate) struct World {
    pub(crate) portal: PortalProcess,
    pub(crate) device: TestDevice,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let feed = folder.path().join("feed.txt");
        std::fs::write(&feed, "evil.test\n").unwrap();
        let portal = PortalProcess::start(
            &folder.path().join("portal"),
            &["--feed", feed.to_str().unwrap(), "--private-addresses", "allowed"],
        );
        let token = portal.enrollment_token();
        let device = TestDevice::start(&folder.path().join("device"), &portal.url, Some(&token));
        device.wait_until("protected", |status| {
            status.protection == "on" && status.policy_version != 0
        });
        Self { portal, device, folder }
    }

    pub(crate) fn add_feed(&self, name: &str, text: &str) {
        let path = self.folder.path().join("added.txt");
        std::fs::write(&path, text).unwrap();
        let data = self.folder.path().join("portal");
        let (data, path) = (data.to_str().unwrap(), path.to_str().unwrap());
        let added = bartizan(&["feed", "add", name, path, "--data", data]);
        assert!(added.status.success(), "{added:?}");
    }

    pub(crate) fn sign_in(&self, browser: &Browser) {
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

pub(crate) fn screenshot(name: &str) -> PathBuf {
    let folder = std::env::var_os("BARTIZAN_SCREENSHOTS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/screenshots")),
        PathBuf::from,
    );
    folder.join(format!("{name}.png"))
}

#[test]
fn users_licenses_and_enrollment_are_kept_in_the_console() {
    let world = World::new();
    for (width, height, is_dark, prefix) in [(1_280, 900, false, ""), (390, 844, true, "phone-")] {
        let browser = Browser::start(width, height, is_dark);
        world.sign_in(&browser);
        let look = |text: &str, name: &str| {
            browser.wait_for_text(text);
            browser.screenshot(&screenshot(&format!("{prefix}{name}")));
            check_width(&browser);
        };
        let go = |path: &str| browser.go(&format!("{}{path}", world.portal.url));
        if !is_dark {
            go("/users");
            look("No users yet", "users-none");
            go("/users/new");
            browser.type_into("input[name='user_name']", "ada@example.test");
            browser.type_into("input[name='display_name']", "Ada");
            browser.click("main form button[type='submit']");
            browser.wait_for_text("Added.");
            go("/user-groups");
            browser.type_into("input[name='name']", "Field staff");
            browser.click("form[action='/user-groups'][method='post'] button");
            browser.wait_for_text("Who is in it");
            browser.type_into("input[name='user']", "ada@example.test");
            browser.click("button[value='add']");
            look("1 user", "user-group");
        }
        go("/users");
        look("ada@example.test", "users");
        let user = browser
            .run("return document.querySelector(\"main table a[href^='/users/']\").pathname");
        go(user.as_str().unwrap());
        look("Another device", "user");
        go("/user-groups");
        look("Field staff", "user-groups");
        go("/licenses");
        look("What each plan gives", "licenses");
        go("/directory");
        look("Make a token", "directory");
        go("/enrollment");
        look("Rules", "enrollment");
        browser.type_into("input[name='user']", "ada@example.test");
        browser.click("form[action='/enrollment/codes'] button");
        look("It is shown only now", "enrollment-code");
        go("/enroll");
        look("Enroll this device", "enroll");
    }
}

#[test]
fn sinks_and_feedback_are_kept_in_the_console() {
    let world = World::new();
    for (width, height, is_dark, prefix) in [(1_280, 900, false, ""), (390, 844, true, "phone-")] {
        let browser = Browser::start(width, height, is_dark);
        world.sign_in(&browser);
        let go = |path: &str| browser.go(&format!("{}{path}", world.portal.url));
        let seen = |text: &str, name: &str| {
            browser.wait_for_text(text);
            browser.screenshot(&screenshot(&format!("{prefix}{name}")));
            check_width(&browser);
        };
        go("/sinks");
        seen(if is_dark { "Example receiver" } else { "Add the first sink" }, "sinks-first");
        go("/sinks/new");
        seen("Microsoft Teams", "sinks-new");
        go("/sinks/new?kind=email");
        seen("Quiet from", "sink-new");
        if !is_dark {
            go("/sinks/new?kind=webhook");
            browser.type_into("input[name='name']", "Example receiver");
            browser.type_into("input[name='url']", "http://127.0.0.1:9/hook");
            // Below what is seen.
            for below in ["[name=allow_plain]", "[name=allow_private]", "main form [type=submit]"] {
                browser.run(&format!("document.querySelector('{below}').click()"));
            }
            seen("It is shown only now", "sink-secret");
            browser.run("document.querySelector('form[action$=\"/test\"] button').click()");
            seen("does not accept connections", "sink-tested");
            world.device.resolve("login.evil.test");
        }
        // The page does not change by itself.
        wait_for("a failure", || {
            go("/sinks");
            let text = browser.text();
            (text.contains("Failing") || text.contains("Down")).then_some(())
        });
        seen("Example receiver", "sinks");
        browser.click("table a[href^='/sinks/']");
        seen("Failures since", "sink");
        if !is_dark {
            follow_menu(&browser, "/feedback/new");
            browser.type_into("textarea[name='text']", "Where is the map of all devices?");
            browser.click("main form button[type='submit']");
            seen("Sent. Thank you.", "feedback-said");
        }
        go("/feedback");
        seen("Where is the map", "feedback-inbox");
        browser.click("table a[href^='/feedback/']");
        seen("What was said", "feedback");
    }
}
