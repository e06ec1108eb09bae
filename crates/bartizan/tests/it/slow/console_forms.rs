//! The overview and the form of a policy, as an administrator uses them in Chromium.

use crate::slow::browser::{World, check_width, screenshot};
use crate::slow::webdriver::Browser;

#[test]
fn the_overview_says_what_its_numbers_mean_and_leads_to_what_they_count() {
    let world = World::new();
    world.device.resolve("login.evil.test");
    world.device.wait_until("acknowledged", |status| status.alerts_waiting == 0);
    for (width, height, is_dark, prefix) in [(1_280, 900, false, ""), (390, 844, true, "phone-")] {
        let browser = Browser::start(width, height, is_dark);
        world.sign_in(&browser);
        browser.go(&format!("{}/overview", world.portal.url));
        browser.wait_for_text("unresolved alerts");
        browser.screenshot(&screenshot(&format!("{prefix}overview")));
        check_width(&browser);
        // Nobody opens the menu on a wide screen; on a phone it is folded.
        let seen =
            "return document.querySelector(\".side-nav a[href='/audit']\").checkVisibility()";
        assert_eq!(browser.run(seen), !is_dark);
        if is_dark {
            browser.click(".side-menu > summary");
            browser.screenshot(&screenshot("phone-menu"));
            check_width(&browser);
            assert_eq!(browser.run(seen), true);
        }
        let here = "return document.querySelector('.side-nav [aria-current]').textContent";
        assert_eq!(browser.run(here), "Overview");
        browser.run("document.querySelector('.count-info').click()");
        browser.wait_for_text("login.evil.test");
        assert_eq!(browser.run("return location.search"), "?severity=Informational");
    }
}

#[test]
fn a_policy_is_edited_key_by_key_and_reviewed_before_it_is_saved() {
    let world = World::new();
    for (width, height, is_dark, prefix) in [(1_280, 900, false, ""), (390, 844, true, "phone-")] {
        let browser = Browser::start(width, height, is_dark);
        world.sign_in(&browser);
        let look = |text: &str, name: &str| {
            browser.wait_for_text(text);
            browser.screenshot(&screenshot(&format!("{prefix}{name}")));
            check_width(&browser);
        };
        browser.go(&format!("{}/policy/all", world.portal.url));
        look("How long a warning can be passed", "policy-form");
        let hours = "document.getElementById('key.BartizanWarnPassHours')";
        let review = "document.querySelector('button[value=review]').click()";
        // What the browser would refuse by itself is refused by the portal too.
        browser.run(&format!("{hours}.value = 200; {hours}.form.noValidate = true; {review}"));
        look("This has to be 0 to 168 hours", "policy-form-unfit");
        browser.run(&format!("{hours}.value = {width} % 100; {review}"));
        look("Not saved yet", "policy-form-review");
        browser.run("document.querySelector('button[value=save]').click()");
        browser.wait_for_text("Saved.");
        assert_eq!(browser.run(&format!("return {hours}.value")), (width % 100).to_string());
        browser.go(&format!("{}/policy/all?view=json", world.portal.url));
        look("as a JSON object", "policy-text");
    }
}
