//! Holds docs/security.md to the figures of the code.

use std::time::Duration;

use bartizan_store::{BuiltIn, Permission};

use crate::feeds::Limits;
use crate::own_password::{MAX_PASSWORD, MIN_PASSWORD};
use crate::pages::feed::UPLOAD_LIMIT;
use crate::request::BODY_LIMIT;
use crate::session::{ABSOLUTE_LIMIT, IDLE_LIMIT};
use crate::throttle::{FAILURES_PER_ACCOUNT, FAILURES_PER_ADDRESS, FIRST_WAIT_MS, LONGEST_WAIT_MS};
use crate::v1::rate::{BURST, RATE};
use crate::{access_token, admission, indicator_import, one_time_password, v1};

/// The failure says what to put there.
#[test]
fn the_page_on_security_says_the_figures_that_hold() {
    assert_eq!(access_token::LIFETIME_MS, v1::access::LIFETIME_MS, "the page says one for both");
    let fetched = usize::try_from(Limits::default().octets).unwrap();
    let rows = [
        ("a session without use ends after", minutes(IDLE_LIMIT)),
        ("any session ends after", hours(ABSOLUTE_LIMIT)),
        (
            "sessions of one person at a time",
            "any number; each is listed and can be ended under *Sessions*".into(),
        ),
        (
            "a password has",
            format!("{MIN_PASSWORD} to {MAX_PASSWORD} characters, of any kind; it does not expire"),
        ),
        ("a one-time password is good for", hours(one_time_password::LIFETIME)),
        (
            "wrong passwords or secrets until there is a wait, of one account from one address",
            FAILURES_PER_ACCOUNT.to_string(),
        ),
        ("the same of all accounts from one address", FAILURES_PER_ADDRESS.to_string()),
        (
            "the first wait and the longest",
            format!(
                "{} seconds, {}",
                FIRST_WAIT_MS / 1_000,
                minutes(Duration::from_millis(LONGEST_WAIT_MS))
            ),
        ),
        ("a code of an app is good for", "its half minute and one either side, once".into()),
        (
            "an access token of a device or an application is good for",
            minutes(Duration::from_millis(access_token::LIFETIME_MS)),
        ),
        ("requests of an application a second, and at once", format!("{RATE}, {BURST}")),
        ("the largest request", mebibytes(BODY_LIMIT)),
        (
            "the largest file of indicators, and of a feed that is uploaded",
            format!("{}, {}", mebibytes(indicator_import::MAX_FILE), mebibytes(UPLOAD_LIMIT)),
        ),
        ("the largest document of a feed, fetched or unpacked", mebibytes(fetched)),
        ("devices' requests at work at once", admission::MOST.to_string()),
    ];
    let mut table = String::from("| | |\n|---|---|\n");
    for (what, figure) in rows {
        table += &format!("| {what} | {figure} |\n");
    }
    let page = include_str!("../../../docs/security.md");
    assert!(page.contains(&table), "docs/security.md lacks this table:\n{table}");
}

/// The failure says what to put there.
#[test]
fn the_page_on_security_says_who_may_do_what() {
    let mut tables = String::from("| Permission | Lets one |\n|---|---|\n");
    for permission in Permission::ALL {
        tables += &format!("| `{}` | {} |\n", permission.word(), permission.meaning());
    }
    tables += "\n| Role from the start | |\n|---|---|\n";
    for role in BuiltIn::ALL {
        tables += &format!("| {} | {} |\n", role.name(), role.description());
    }
    let page = include_str!("../../../docs/security.md");
    assert!(page.contains(&tables), "docs/security.md lacks these tables:\n{tables}");
}

/// What the other sections have to say, by a part that cannot be left out.
#[test]
fn the_page_on_security_has_what_others_look_for() {
    let page = include_str!("../../../docs/security.md");
    for heading in [
        "## Who might attack",
        "## Figures",
        "## How one signs in",
        "## Keys and algorithms",
        "## Whom the portal connects to",
        "## What comes in as a file",
        "## What is logged",
        "## Components",
        "## ASVS",
    ] {
        assert!(page.contains(heading), "{heading}");
    }
    for word in ["Ed25519", "ChaCha20-Poly1305", "Argon2id, 19 MiB, 2 passes", "HMAC-SHA-256"] {
        assert!(page.contains(word), "{word}");
    }
    let argon2 = argon2::Params::default();
    assert_eq!((argon2.m_cost(), argon2.t_cost()), (19 * 1024, 2));
}

fn minutes(time: Duration) -> String {
    format!("{} minutes", time.as_secs() / 60)
}

fn hours(time: Duration) -> String {
    format!("{} hours", time.as_secs() / 3_600)
}

fn mebibytes(octets: usize) -> String {
    format!("{} MiB", octets >> 20)
}
