//! Passkeys as a person uses them: Chromium, with an authenticator that it pretends to have.

use crate::slow::browser::screenshot;
use crate::slow::webdriver::Browser;
use crate::support::{PortalProcess, bartizan};

#[test]
fn a_passkey_is_added_and_signs_in_alone_and_after_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let portal = PortalProcess::start(&folder.path().join("portal"), &[]);
    // Browsers trust this name without TLS, and make passkeys for names alone.
    let at = |path: &str| format!("{}{path}", portal.url.replace("127.0.0.1", "localhost"));
    let browser = Browser::start(1_280, 900, false);
    let authenticator = browser.add_authenticator();
    let show = |browser: &Browser, text: &str, name: &str| {
        browser.wait_for_text(text);
        browser.screenshot(&screenshot(name));
        let fits = browser.run("return document.documentElement.scrollWidth <= innerWidth");
        assert_eq!(fits, true, "{name}: {}", browser.text());
    };
    let password = |browser: &Browser| {
        browser.go(&at("/sign-in"));
        browser.type_into("input[name='email']", "admin@example.test");
        browser.type_into("input[name='password']", portal.password());
        browser.click("button[type='submit']");
    };
    let sign_out = |browser: &Browser| {
        browser.click("form[action='/sign-out'] button");
        browser.wait_for_text("Sign in to the console");
    };

    password(&browser);
    browser.wait_for_text("Alerts");
    browser.go(&at("/passkeys"));
    show(&browser, "You have none yet.", "passkeys-none");
    browser.type_into("input[name='password']", portal.password());
    browser.click("main form button[type='submit']");
    show(&browser, "By which you will know it again", "passkeys-add");
    browser.type_into("#name", "Work laptop");
    browser.click("form[action='/passkeys'] button[type='submit']");
    browser.wait_for_text("The passkey is added.");
    show(&browser, "Work laptop", "passkeys-added");
    // The authenticator knows that it holds one already, and the page says so.
    browser.type_into("#name", "Another");
    browser.click("form[action='/passkeys'] button[type='submit']");
    browser.wait_for_text("This authenticator holds a passkey of yours already.");
    sign_out(&browser);

    show(&browser, "Sign in with a passkey", "sign-in-passkey");
    browser.click("form[action='/sign-in/passkey'] button");
    browser.wait_for_text("Keyboard shortcuts");
    browser.go(&at("/sessions"));
    show(&browser, "by passkey", "sessions-passkey");
    sign_out(&browser);

    password(&browser);
    show(&browser, "One more step", "sign-in-second-passkey");
    browser.click("form[action='/sign-in/code/passkey'] button");
    browser.wait_for_text("Keyboard shortcuts");
    browser.go(&at("/sessions"));
    browser.wait_for_text("by password and passkey");

    // The same passkey on a phone, which its maker has brought there, in a dark room.
    let phone = Browser::start(390, 844, true);
    browser.copy_passkeys(&authenticator, &phone, &phone.add_authenticator());
    phone.go(&at("/sign-in"));
    show(&phone, "Sign in with a passkey", "phone-sign-in-passkey");
    phone.click("form[action='/sign-in/passkey'] button");
    phone.wait_for_text("Alerts");
    phone.go(&at("/passkeys"));
    show(&phone, "Work laptop", "phone-passkeys");
    phone.click("form[data-passkey='/passkeys/confirm/question'] button");
    show(&phone, "By which you will know it again", "phone-passkeys-add");
    phone.click("main details summary");
    show(&phone, "Remove", "phone-passkeys-change");

    // By its address, a browser cannot.
    browser.go(&format!("{}/sign-in", portal.url));
    show(
        &browser,
        "Passkeys work only where the portal is opened by its name",
        "sign-in-no-passkey",
    );
}

#[test]
fn an_operator_adds_a_passkey_and_signs_in_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("portal");
    let portal = PortalProcess::start(&data, &[]);
    let data = data.to_str().unwrap();
    let added = bartizan(&["admin", "operator", "add", "--data", data, "root@msp.example"]);
    let told = String::from_utf8(added.stdout).unwrap();
    let password = told.split_whitespace().find(|word| word.matches('-').count() == 3);
    let password = password.unwrap_or_else(|| panic!("{told}"));
    let at = |path: &str| format!("{}{path}", portal.url.replace("127.0.0.1", "localhost"));
    let browser = Browser::start(1_280, 900, false);
    let authenticator = browser.add_authenticator();
    let show = |browser: &Browser, text: &str, name: &str| {
        browser.wait_for_text(text);
        browser.screenshot(&screenshot(name));
        let fits = browser.run("return document.documentElement.scrollWidth <= innerWidth");
        assert_eq!(fits, true, "{name}: {}", browser.text());
    };
    let own = "correct horse battery";
    let sign_in = |browser: &Browser, password: &str| {
        browser.go(&at("/operator/sign-in"));
        browser.type_into("input[name='name']", "root@msp.example");
        browser.type_into("input[name='password']", password);
        browser.click("button[type='submit']");
    };
    let sign_out = |browser: &Browser| {
        browser.click("form[action='/operator/sign-out'] button");
        browser.wait_for_text("Sign in as an operator");
    };
    sign_in(&browser, password);
    browser.wait_for_text("New password again");
    browser.type_into("input[name='new']", own);
    browser.type_into("input[name='repeat']", own);
    browser.click("main form button[type='submit']");
    browser.wait_for_text("Every operator has a second factor.");
    browser.go(&at("/operator/passkeys"));
    show(&browser, "You have none yet.", "operator-passkeys-none");
    browser.type_into("input[name='password']", own);
    browser.click("main form button[type='submit']");
    browser.wait_for_text("By which you will know it again");
    browser.type_into("#name", "Work laptop");
    browser.click("form[action='/operator/passkeys'] button[type='submit']");
    show(&browser, "The passkey is added.", "operator-passkeys-added");
    sign_out(&browser);

    show(&browser, "Sign in with a passkey", "operator-sign-in");
    browser.click("form[action='/operator/sign-in/passkey'] button");
    browser.wait_for_text("Add an organization");
    sign_out(&browser);
    sign_in(&browser, own);
    show(&browser, "One more step", "operator-sign-in-code");
    browser.click("form[action='/operator/sign-in/code/passkey'] button");
    browser.wait_for_text("Add an organization");

    // On a phone, in a dark room; and the members' door does not open by it.
    let phone = Browser::start(390, 844, true);
    browser.copy_passkeys(&authenticator, &phone, &phone.add_authenticator());
    phone.go(&at("/sign-in"));
    phone.click("form[action='/sign-in/passkey'] button");
    phone.wait_for_text("This passkey was not accepted.");
    phone.go(&at("/operator/sign-in?late=true"));
    show(&phone, "That took too long. Sign in again.", "phone-operator-sign-in");
    phone.click("form[action='/operator/sign-in/passkey'] button");
    phone.wait_for_text("Organizations");
    phone.go(&at("/operator/passkeys"));
    show(&phone, "Work laptop", "phone-operator-passkeys");
}
