//! Renders every page with sample data, some of it hostile, and holds all of them to the invariants.

use askama::Template;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use bartizan_model::{AlertStatus, Detector, UnixMillis};

use super::door_samples::sign_in;
use super::queue_samples::{alert, alerts, hostile_alert, queue};
use super::*;

#[test]
fn every_page_is_whole() {
    for (name, html) in pages() {
        assert!(html.starts_with("<!doctype html>"), "{name}");
        assert_eq!(html.matches("<h1").count(), 1, "{name}");
        assert_eq!(html.matches("<main id=\"main\"").count(), 1, "{name}");
        assert!(html.contains("<a class=\"skip\" href=\"#main\">"), "{name}");
        assert!(html.contains("<html lang=\"en\">"), "{name}");
        let title = between(&html, "<title>", "</title>");
        assert!(
            " · Bartizan".len() < title.len() && title.ends_with(" · Bartizan"),
            "{name}: {title}"
        );
    }
}

#[test]
fn every_page_works_under_the_content_security_policy() {
    for (name, html) in pages().into_iter().chain(fragments()) {
        for tag in tags(&html) {
            // Every other part stands between quotes, where anything may stand.
            let lower: String = tag.split('"').step_by(2).collect();
            let lower = lower.to_ascii_lowercase();
            assert!(!lower.contains(" style="), "{name}: {tag}");
            assert!(!lower.starts_with("style"), "{name}: {tag}");
            assert!(!lower.contains(" on"), "{name}: {tag}");
            assert!(!lower.contains(" hx-on"), "{name}: {tag}");
            assert!(
                !lower.starts_with("script") || tag.starts_with("script src=\"/assets/"),
                "{name}: {tag}"
            );
            for attribute in [" href=\"", " src=\"", " action=\"", " hx-get=\""] {
                if let Some((_, rest)) = tag.split_once(attribute) {
                    let is_ours =
                        rest.starts_with('#') || rest.starts_with('/') && !rest.starts_with("//");
                    assert!(is_ours, "{name}: {tag}");
                }
            }
        }
        assert!(!html.contains("/assets/missing"), "{name}");
    }
}

#[test]
fn what_comes_from_outside_is_escaped_and_seen() {
    for (name, html) in pages().into_iter().chain(fragments()) {
        let lower = html.to_ascii_lowercase();
        assert!(!lower.contains("<img") && !lower.contains("<script>"), "{name}");
        assert!(!html.contains('\u{202e}') && !html.contains('\0'), "{name}");
    }
    let shown =
        AlertsPage { shell: shell(), queue: queue(vec![hostile_alert()]) }.render().unwrap();
    assert!(shown.contains("&#60;script&#62;"), "{shown}");
}

#[test]
fn every_icon_is_in_the_sprite() {
    let known = assets::icon_names();
    for (name, html) in pages().into_iter().chain(fragments()) {
        for icon in html.split(".svg#").skip(1) {
            let icon = icon.split('"').next().unwrap();
            assert!(known.contains(&icon), "{name}: {icon}");
        }
    }
}

#[test]
fn every_asset_that_a_page_names_is_served() {
    for (name, html) in pages() {
        for file in html.split("\"/assets/").skip(1) {
            let file = file.split(['"', '#']).next().unwrap().to_owned();
            let response = asset(Path(file.clone()), HeaderMap::new()).into_inner();
            assert_eq!(response.status(), StatusCode::OK, "{name}: {file}");
        }
    }
}

#[test]
fn every_label_names_a_field_and_no_id_comes_twice() {
    for (name, html) in pages() {
        let ids: Vec<_> = attributes(&html, " id=\"");
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids.iter().skip(at + 1).any(|other| other == id), "{name}: {id} twice");
        }
        for reference in
            [" for=\"", " aria-labelledby=\"", " aria-describedby=\"", " data-reveal=\""]
        {
            let named = attributes(&html, reference);
            for id in named.iter().flat_map(|several| several.split_ascii_whitespace()) {
                assert!(ids.contains(&id), "{name}: {reference}{id}");
            }
        }
    }
}

#[test]
fn the_fragment_is_what_the_page_includes() {
    let fragment = queue(alerts()).render().unwrap();
    assert!(fragment.starts_with("<div id=\"queue\" hx-get=\"/alerts\""), "{fragment}");
    let page = AlertsPage { shell: shell(), queue: queue(alerts()) }.render().unwrap();
    assert!(page.contains(&fragment));
}

#[test]
fn an_alert_is_told_in_plain_words() {
    let told = |alter: &dyn Fn(&mut AlertPage)| {
        let mut page = alert();
        alter(&mut page);
        let html = page.render().unwrap();
        between(&html, "<p class=\"story\">", "</p>").to_owned()
    };
    assert_eq!(
        told(&|_| {}),
        "Bartizan stopped this device from reaching login.evil.test. evil.test is on the phishing list."
    );
    assert_eq!(
        told(&|page| page.matched = page.host.clone()),
        "Bartizan stopped this device from reaching login.evil.test, which is on the phishing list."
    );
    assert_eq!(
        told(&|page| page.host = None),
        "Bartizan stopped this device from reaching a phishing site."
    );
    assert_eq!(
        told(&|page| page.detector = Detector::WebPhishingOverridden),
        "Bartizan warned of login.evil.test, and the person went on. evil.test is on a list of unsafe sites."
    );
    assert_eq!(
        told(&|page| {
            page.detector = Detector::WebPhishingOverridden;
            (page.host, page.matched) = (None, None);
        }),
        "Bartizan warned of a phishing site, and the person went on."
    );
}

#[test]
fn a_wait_is_said_on_the_sign_in_page() {
    let html = sign_in(Some(SignInProblem::TooManyTries { wait_s: 30 })).render().unwrap();
    assert!(html.contains("Too many tries. Wait 30 seconds, then try again."));
    let html = sign_in(Some(SignInProblem::WrongCredentials)).render().unwrap();
    assert!(html.contains("value=\"admin@example.test\""));
}

#[test]
fn a_refused_password_is_told_why() {
    let sentences = [
        (PasswordProblem::WrongCurrent, "The current password is wrong."),
        (PasswordProblem::TooShort, "The new password is too short: use 12 characters or more."),
        (
            PasswordProblem::TooLong { max_length: 128 },
            "The new password is too long: use at most 128 characters.",
        ),
        (PasswordProblem::NotRepeated, "The two new passwords are not the same."),
        (PasswordProblem::Unchanged, "The new password is the one you have. Choose another."),
        (
            PasswordProblem::Guessable,
            "The new password is easy to guess: it is used by many, or made of names, dates, rows of keys or \
             repetitions. Choose another.",
        ),
        (
            PasswordProblem::TooManyTries { wait_s: 200 },
            "Too many tries. Wait 4 minutes, then try again.",
        ),
    ];
    for (problem, sentence) in sentences {
        let (problem, next) = (Some(problem), "/alerts".into());
        let page = PasswordPage { shell: shell(), problem, next, min_length: 12 };
        assert!(page.render().unwrap().contains(sentence), "{problem:?}");
    }
    let expired = sign_in(Some(SignInProblem::OneTimePasswordExpired)).render().unwrap();
    assert!(expired.contains("This one-time password has expired."));
}

#[test]
fn a_status_survives_its_form() {
    for status in AlertStatus::ALL {
        assert_eq!(AlertStatus::from_word(status.word()), Some(status));
    }
    assert_eq!(AlertStatus::from_word("resolved"), None);
}

#[test]
fn an_older_page_leads_on_and_back() {
    let mut page = queue(alerts());
    page.filter = AlertFilter::from_query(Some("High"), None);
    page.after = "c1".into();
    page.next = Some("c 2".into());
    let html = page.render().unwrap();
    assert!(html.contains("hx-get=\"/alerts?severity=High&#38;after=c1\""), "{html}");
    assert!(html.contains("id=\"pager-first\" href=\"/alerts?severity=High\""), "{html}");
    assert!(html.contains("href=\"/alerts?severity=High&#38;after=c%202\""), "{html}");
}

/// Writes the pages where `BARTIZAN_PAGES` points to, for looking at them in a browser; does nothing
/// without it.
#[test]
fn pages_can_be_looked_at() {
    let Some(folder) = std::env::var_os("BARTIZAN_PAGES") else { return };
    for (name, html) in pages() {
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}.html")), html).unwrap();
    }
}

fn pages() -> Vec<(&'static str, String)> {
    let mut pages = door_samples::pages();
    pages.extend(queue_samples::pages());
    pages.extend(device_samples::pages());
    pages.extend(indicator_samples::pages());
    pages.extend(policy_samples::pages(&shell()));
    pages.extend(feed_samples::pages(&shell()));
    pages.extend(people_samples::pages(&operator_samples::visiting(&shell())));
    pages.extend(operator_samples::pages(&shell()));
    pages.extend(users_samples::pages(&shell()));
    pages.extend(application_samples::pages(&shell()));
    pages.extend(sink_samples::pages(&shell()));
    pages.extend(feedback_samples::pages(&shell()));
    pages.extend(alert_samples::pages(&shell()));
    pages
}

fn fragments() -> Vec<(&'static str, String)> {
    vec![("queue", queue(alerts()).render().unwrap())]
}

pub(super) fn shell() -> Shell {
    Shell {
        email: "admin@example.test".into(),
        tenant: "Example Ltd".into(),
        one_time_password: false,
        permissions: Permissions::of(&Permission::ALL),
        here: Permissions::of(&Permission::ALL),
        notice: None,
        is_operator: false,
        visit: None,
    }
}

pub(super) fn long_host() -> String {
    let label = "login-account-verification-secure-update-".repeat(5);
    format!("<script>alert(1)</script>\u{202e}.{label}.evil.test")
}

/// Returns what stands between `<` and `>` of each tag that opens.
fn tags(html: &str) -> impl Iterator<Item = &str> {
    html.split('<').skip(1).filter_map(|rest| rest.split('>').next())
}

fn attributes<'a>(html: &'a str, start: &'a str) -> Vec<&'a str> {
    html.split(start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

fn between<'a>(html: &'a str, start: &str, end: &str) -> &'a str {
    html.split_once(start).and_then(|(_, rest)| rest.split_once(end)).unwrap().0
}

/// 2026-03-04 05:06:07 UTC.
pub(super) const NOW: UnixMillis = UnixMillis(1_772_600_767_000);
