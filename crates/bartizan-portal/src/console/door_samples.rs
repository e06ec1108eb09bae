//! Sample pages before and around the console: signing in, the password, errors, and the overview behind the door; for
//! the tests over all pages.

use bartizan_model::UnresolvedAlerts;
use bartizan_store::{IncidentId, OldAlerts, Plan, Seats, StoppedHost, StoppedHosts};

use super::tests::{NOW, shell};
use super::*;

/// Every page in several states.
pub(super) fn pages() -> Vec<(&'static str, String)> {
    let password = |one_time_password, problem| PasswordPage {
        shell: Shell { one_time_password, ..shell() },
        problem,
        next: "/alerts".into(),
        min_length: 12,
    };
    let mut tally = bartizan_store::Tally::default();
    (tally.devices, tally.on, tally.off, tally.open_incidents) = (1_204, 1_203, 1, 7);
    let overview = |indicators| OverviewPage {
        shell: shell(),
        tally,
        stopped: StoppedHosts {
            hosts: vec![StoppedHost {
                host: "<script>\u{202e}.test".into(),
                times: 1_204,
                devices: 12,
                incident: Some(IncidentId(7)),
            }],
            since: Some(NOW),
        },
        seats: vec![
            Seats { plan: Plan::One, seats: 10, used: 12 },
            Seats { plan: Plan::Two, seats: 1, used: 1 },
        ],
        unresolved: UnresolvedAlerts { high: 1, medium: 0, low: 12, informational: 1_234_567 },
        indicators,
        notices: 2,
        now: NOW,
    };
    let rendered = |page: &dyn askama::DynTemplate| page.dyn_render().unwrap();
    vec![
        ("overview", rendered(&overview(Some((1_000_000, NOW))))),
        ("overview-first", rendered(&overview(None))),
        (
            "overview-plain",
            rendered(&OverviewPage {
                stopped: StoppedHosts::default(),
                seats: Vec::new(),
                ..overview(None)
            }),
        ),
        ("retention", rendered(&retention(None))),
        (
            "retention-review",
            rendered(&retention(Some((30, OldAlerts { resolved: 9_000, more: true })))),
        ),
        ("sign-in", rendered(&sign_in(None))),
        ("sign-in-wrong", rendered(&sign_in(Some(SignInProblem::WrongCredentials)))),
        ("sign-in-wait", rendered(&sign_in(Some(SignInProblem::TooManyTries { wait_s: 30 })))),
        ("sign-in-organization", rendered(&organization(None))),
        (
            "sign-in-refused",
            rendered(&organization(Some(SignInProblem::ProviderRefused { request: "00".into() }))),
        ),
        ("sign-in-ended", rendered(&sign_in(Some(SignInProblem::SessionEnded)))),
        ("password", rendered(&password(true, None))),
        ("password-short", rendered(&password(false, Some(PasswordProblem::TooShort)))),
        ("error-404", rendered(&ErrorPage::not_found())),
        ("error-403", rendered(&ErrorPage::forbidden())),
        ("error-503", rendered(&ErrorPage::unavailable())),
    ]
}

fn retention(review: Option<(u64, OldAlerts)>) -> RetentionPage {
    RetentionPage {
        shell: shell(),
        installation: Some(180),
        own: review.map(|_| 90),
        kept: Some(180),
        next: OldAlerts { resolved: 1, more: false },
        bounds: (7, 180),
        days: "<script>\u{202e}".into(),
        problem: review.is_none().then(|| "Days are a number.".into()),
        review,
    }
}

pub(super) fn sign_in(problem: Option<SignInProblem>) -> SignInPage {
    let email = if problem.is_some() { "admin@example.test" } else { "" };
    let next = "/alerts?severity=High".into();
    SignInPage { problem, email: email.into(), next, organization: None }
}

fn organization(problem: Option<SignInProblem>) -> SignInPage {
    let organization = Organization {
        name: "<script>\u{202e}".into(),
        provider: "<img src=x>\u{202e}".into(),
        go: "/sign-in/at/acme/go?next=/".into(),
    };
    SignInPage { organization: Some(organization), ..sign_in(problem) }
}
