//! Renders every page with sample data, some of it hostile, and holds all of them to the invariants.

use askama::Template;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use bartizan_indicators::pattern::PatternKind;
use bartizan_model::{
    AlertStatus, Detector, DeviceId, IndicatorAction, Mode, ProtectionState, RiskLevel, Severity,
    UnixMillis, UnresolvedAlerts,
};

use bartizan_store::{AlertChange, IncidentId, IncidentRow, Verdict};

use super::*;
use crate::indicator_csv::RowError;
use crate::indicator_rule::{Field, FieldError};

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
            for id in attributes(&html, reference) {
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
    let empty = |has_devices| AlertQueue { has_devices, ..queue(Vec::new()) };
    let filtered = AlertQueue {
        filter: AlertFilter {
            severity: Some(Severity::High),
            status: StatusFilter::Only(AlertStatus::InProgress),
        },
        ..queue(Vec::new())
    };
    let mut older = queue(alerts());
    older.after = "c1".into();
    older.next = Some("c2".into());
    let invited = Shell { one_time_password: true, ..shell() };
    let noticed = Shell { notice: Some("Status changed to In progress.".into()), ..shell() };
    let none = DevicesPage { total: 0, rows: Vec::new(), ..devices() };
    let unmatched = DevicesPage {
        rows: Vec::new(),
        filter: DeviceFilter {
            text: "\"><img src=x>\u{202e}".into(),
            state: Some(DeviceState::Off),
            tag: "<img src=x>".into(),
            ..DeviceFilter::default()
        },
        ..devices()
    };
    let withheld = AlertPage {
        host: None,
        matched: None,
        detector: Detector::WebSpywareBlocked,
        title: Detector::WebSpywareBlocked.title().into(),
        severity: Severity::High,
        status: AlertStatus::InProgress,
        changed_by: Some("admin".into()),
        changed_at: Some(NOW),
        shell: noticed,
        ..alert()
    };
    let hostile = AlertPage {
        host: Some(long_host()),
        matched: Some("<script>alert(1)</script>.test".into()),
        device: hostile_device(),
        external: Some(bartizan_store::ExternalRow {
            product: "<script>\u{202e}".into(),
            external_id: "<img src=x>".into(),
            link: "https://edr.example/1".into(),
            original: "{\"a\":\"<script>\u{202e}\"}".into(),
            updated_at: NOW,
        }),
        ..alert()
    };
    let password = |one_time_password, problem| PasswordPage {
        shell: Shell { one_time_password, ..shell() },
        problem,
        next: "/alerts".into(),
        min_length: 12,
    };
    let rows = indicator_rows().into_iter().map(|row| (row.id, row.pattern)).collect();
    let delete = IndicatorsDeletePage { shell: shell(), rows };
    let import = IndicatorImportPage {
        shell: shell(),
        problem: Some("The file is <script>empty</script>.".into()),
        max_mib: 32,
    };
    let same = IndicatorPreviewPage { new: 0, changed: 0, ..preview() };
    let rendered = |page: &dyn askama::DynTemplate| page.dyn_render().unwrap();
    let mut pages = vec![
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
        ("alerts", rendered(&AlertsPage { shell: shell(), queue: queue(alerts()) })),
        ("alerts-older", rendered(&AlertsPage { shell: invited, queue: older })),
        ("alerts-none", rendered(&AlertsPage { shell: shell(), queue: empty(true) })),
        ("alerts-first", rendered(&AlertsPage { shell: shell(), queue: empty(false) })),
        ("alerts-filtered", rendered(&AlertsPage { shell: shell(), queue: filtered })),
        ("alert", rendered(&alert())),
        ("alert-withheld", rendered(&withheld)),
        ("alert-hostile", rendered(&hostile)),
        ("devices", rendered(&devices())),
        ("devices-none", rendered(&none)),
        ("devices-filtered", rendered(&unmatched)),
        ("device", rendered(&device())),
        ("device-fresh", rendered(&fresh_device())),
        ("indicators", rendered(&indicators(indicator_rows()))),
        ("indicators-none", rendered(&IndicatorsPage { total: 0, ..indicators(Vec::new()) })),
        ("indicators-filtered", rendered(&filtered_indicators())),
        ("indicators-delete", rendered(&delete)),
        ("indicator", rendered(&indicator())),
        ("indicator-new", rendered(&new_indicator())),
        ("indicator-import", rendered(&import)),
        ("indicator-preview", rendered(&preview())),
        ("indicator-preview-none", rendered(&same)),
        ("policy", rendered(&policy(None))),
        ("policy-unfit", rendered(&policy(Some("Nothing was saved: <img src=x>.".into())))),
        (
            "policy-first",
            rendered(&PolicyPage {
                progress: bartizan_store::PolicyProgress::default(),
                ..policy(None)
            }),
        ),
        ("groups", rendered(&groups(vec![group()]))),
        ("groups-none", rendered(&groups(Vec::new()))),
        ("group", rendered(&group_page(None))),
        ("group-unfit", rendered(&group_page(Some("Rule 1 <img src=x>.".into())))),
        ("group-delete", rendered(&GroupDeletePage { shell: shell(), group: group() })),
        ("policy-document", rendered(&document(Vec::new()))),
        ("policy-document-unfit", rendered(&document(vec!["<img src=x> is no key".into()]))),
        ("policy-version", rendered(&version())),
        ("device-remove", rendered(&removal())),
        ("error-404", rendered(&ErrorPage::not_found())),
        ("error-403", rendered(&ErrorPage::forbidden())),
        ("error-503", rendered(&ErrorPage::unavailable())),
    ];
    pages.extend(feed_samples::pages(&shell()));
    pages.extend(people_samples::pages(&operator_samples::visiting(&shell())));
    pages.extend(operator_samples::pages(&shell()));
    pages.extend(users_samples::pages(&shell()));
    pages.extend(application_samples::pages(&shell()));
    pages.extend(sink_samples::pages(&shell()));
    pages.extend(feedback_samples::pages(&shell()));
    pages.extend(incidents());
    pages.extend(alert_samples::pages(&shell()));
    pages
}

fn incidents() -> [(&'static str, String); 3] {
    let row = IncidentRow {
        id: IncidentId(7),
        title: "Phishing site blocked: <script>\u{202e}\"><img src=x>".into(),
        severity: Severity::High,
        created_at: NOW,
        last_seen_at: NOW,
        alerts: 1_204,
        unresolved: 1,
    };
    let next =
        Pager { first: Some("/incidents?show=".into()), next: Some("/incidents?after=c".into()) };
    let list = |all, rows, pager| IncidentsPage { shell: shell(), all, rows, pager, now: NOW };
    let change = |kind: &str| bartizan_store::IncidentChange {
        at: NOW,
        by: "<img src=x>\u{202e}".into(),
        kind: kind.into(),
        detail: if kind == "title" { "<img src=x>\u{202e}".into() } else { "7".into() },
        reason: "<img src=x>\u{202e}".into(),
    };
    let one = IncidentPage {
        shell: shell(),
        incident: row.clone(),
        changes: ["title", "merged", "split", "made"].map(change).to_vec(),
        others: vec![row.clone()],
        problem: Some("Say why."),
        rows: alerts(),
        now: NOW,
    };
    [
        ("incidents", list(true, vec![row], next).render().unwrap()),
        ("incidents-none", list(false, Vec::new(), Pager::default()).render().unwrap()),
        ("incident", one.render().unwrap()),
    ]
}

fn fragments() -> Vec<(&'static str, String)> {
    vec![("queue", queue(alerts()).render().unwrap())]
}

fn policy(problem: Option<String>) -> PolicyPage {
    let form = PolicyForm::of(&bartizan_model::Policy::default());
    let progress = bartizan_store::PolicyProgress { current: 1_204, behind: 72, without: 1 };
    let line = |name: &str, in_force, rolling_out| DocumentLine {
        href: "/policy/all".into(),
        name: name.into(),
        in_force,
        rolling_out,
    };
    let documents = vec![
        line("Every device", Some(11), Some((12, 20))),
        line("<img src=x>\u{202e}", None, None),
    ];
    PolicyPage { shell: shell(), version: 12, form, problem, progress, documents }
}

fn group() -> bartizan_store::GroupRow {
    bartizan_store::GroupRow {
        id: bartizan_store::GroupId(7),
        name: "<img src=x>\u{202e}".into(),
        rank: 1,
        rules: bartizan_store::GroupRules {
            combine: bartizan_store::Combine::Any,
            rules: vec![bartizan_store::Rule {
                field: bartizan_store::RuleField::Tag,
                operator: bartizan_store::RuleOperator::StartsWith,
                value: "<img src=x>".into(),
            }],
        },
        devices: 1_204,
        created_at: NOW,
    }
}

fn groups(groups: Vec<bartizan_store::GroupRow>) -> GroupsPage {
    GroupsPage { shell: shell(), groups, total: 1_300, is_working: true }
}

fn group_page(rules_problem: Option<String>) -> GroupPage {
    let group = group();
    GroupPage {
        shell: shell(),
        id: rules_problem.is_none().then(|| group.id.to_string()),
        form: GroupForm::of(group.name, &group.rules),
        name_problem: rules_problem.as_ref().map(|_| "Another group has this name."),
        rules_problem,
        matching: Some(12),
    }
}

fn policy_version(number: u64, percent: u8) -> bartizan_store::PolicyVersionRow {
    bartizan_store::PolicyVersionRow {
        number,
        epoch: number,
        settings: "{}".into(),
        note: "<img src=x>".into(),
        changed_by: if number == 1 { String::new() } else { "<img src=x>\u{202e}".into() },
        created_at: NOW,
        percent,
    }
}

fn document(problems: Vec<String>) -> DocumentPage {
    DocumentPage {
        shell: shell(),
        href: "/policy/all".into(),
        name: "every device".into(),
        settings: "{\n  \"BartizanMode\": \"<img src=x>\"\n}".into(),
        note: "<img src=x>".into(),
        percent: "20".into(),
        problems,
        versions: vec![policy_version(3, 20), policy_version(2, 100), policy_version(1, 100)],
        is_first_page: true,
        next: Some("/policy/all?before=1".into()),
        rows: vec![crate::policy::managed_config::Row {
            key: "BartizanMode",
            value_type: "String",
            value: "<img src=x>".into(),
        }],
        can_sign: true,
        now: NOW,
    }
}

fn version() -> VersionPage {
    VersionPage {
        shell: shell(),
        href: "/policy/all".into(),
        name: "<img src=x>".into(),
        version: policy_version(3, 20),
        settings: "{\n  \"BartizanMode\": \"<img src=x>\"\n}".into(),
        against: 2,
        others: vec![2, 1],
        changes: vec!["BartizanMode changes from dns to <img src=x>".into()],
        now: NOW,
    }
}

fn removal() -> DeviceRemovePage {
    DeviceRemovePage {
        shell: shell(),
        id: DeviceId(5),
        name: hostile_device().name,
        is_offboarded: false,
    }
}

fn sign_in(problem: Option<SignInProblem>) -> SignInPage {
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

fn shell() -> Shell {
    Shell {
        email: "admin@example.test".into(),
        tenant: "Example Ltd".into(),
        one_time_password: false,
        permissions: Permissions::of(&Permission::ALL),
        notice: None,
        is_operator: false,
        visit: None,
    }
}

fn queue(rows: Vec<AlertRow>) -> AlertQueue {
    let mut unresolved = UnresolvedAlerts::default();
    for row in &rows {
        unresolved.add(row.severity, u64::from(row.status != AlertStatus::Resolved));
    }
    unresolved.informational *= 307;
    AlertQueue {
        unresolved,
        filter: AlertFilter::default(),
        after: String::new(),
        next: (!rows.is_empty()).then(|| "01J8ZK3V".into()),
        rows,
        has_devices: true,
        matching: 12_345,
        may_change: true,
        members: vec![("7".into(), "<img src=x>\u{202e}".into())],
        form: BulkForm::default(),
        now: NOW,
    }
}

fn alerts() -> Vec<AlertRow> {
    let row =
        |number: u8, detector: Detector, host: Option<&str>, name: &str, status, minutes: u64| {
            AlertRow {
                id: format!("0192f3a4-0000-7000-8000-0000000000{number:02}"),
                severity: detector.severity(),
                title: detector.title().into(),
                host: host.map(Into::into),
                device: DeviceId(0x0192_f3a4_b5c6_7d8e_9f00_1122_3344_5500 + u128::from(number)),
                device_name: name.into(),
                status,
                count: u64::from(number) * u64::from(number) * 17 % 1_400 + 1,
                last_seen: UnixMillis(NOW.0 - minutes * 60_000),
            }
        };
    use AlertStatus::{InProgress, New, Resolved};
    use Detector::{WebMalwareBlocked, WebPhishingBlocked, WebSpywareBlocked};
    vec![
        row(1, WebPhishingBlocked, Some("login.evil.test"), "Finance iPad 3", New, 0),
        row(2, WebSpywareBlocked, Some("cdn-update.night.test"), "Board iPhone 1", New, 4),
        row(
            3,
            WebPhishingBlocked,
            Some("secure-bank.example.parcel-track.test"),
            "Field iPhone 12",
            New,
            11,
        ),
        hostile_alert(),
        row(5, WebMalwareBlocked, Some("c2.botnet.test"), "Warehouse tablet 7", InProgress, 47),
        row(6, WebPhishingBlocked, None, "Sales iPhone 4", New, 130),
        row(
            7,
            WebPhishingBlocked,
            Some("sso.mail-quota.test"),
            "Support iPad 2",
            InProgress,
            1_500,
        ),
        row(8, WebMalwareBlocked, Some("dropper.test"), "Lab Linux 1", New, 2_900),
        row(9, WebPhishingBlocked, Some("prize.test"), "Reception iPad", Resolved, 80_000),
    ]
}

fn hostile_alert() -> AlertRow {
    AlertRow {
        id: "0192f3a4-0000-7000-8000-000000000004".into(),
        severity: Severity::Low,
        title: "<script>alert('title')</script>".into(),
        host: Some(long_host()),
        device: DeviceId(4),
        device_name:
            "\u{202e}enohPi\0 <img src=x onerror=alert(1)> with a name that never seems to end"
                .into(),
        status: AlertStatus::New,
        count: 1_234_567,
        last_seen: UnixMillis(NOW.0 - 15 * 60_000),
    }
}

fn alert() -> AlertPage {
    AlertPage {
        shell: shell(),
        id: "0192f3a4-0000-7000-8000-000000000007".into(),
        detector: Detector::WebPhishingBlocked,
        title: Detector::WebPhishingBlocked.title().into(),
        severity: Severity::Informational,
        status: AlertStatus::New,
        host: Some("login.evil.test".into()),
        matched: Some("evil.test".into()),
        source: Some("a phishing feed".into()),
        indicator: None,
        action: IndicatorAction::Block,
        first_seen: UnixMillis(NOW.0 - 3 * 3_600_000),
        last_seen: UnixMillis(NOW.0 - 300_000),
        count: 4,
        changed_by: None,
        changed_at: None,
        indicator_epoch: 1_042,
        verdict: Verdict {
            classification: "TruePositive".into(),
            determination: "Phishing".into(),
        },
        assigned_to: Some("Sam <b>".into()),
        incident: Some("01890000-0000-7000-8000-000000000001".into()),
        suppressed_by: Some(bartizan_store::SuppressionId(7)),
        tags: vec!["<img src=x>".into(), "campaign 7".into()],
        external: None,
        changes: vec![AlertChange {
            at: NOW,
            by: Some("Sam <b>".into()),
            kind: "comment".into(),
            before: String::new(),
            after: "Asked <i>them</i>.".into(),
        }],
        device: device_rows().remove(0),
        now: NOW,
    }
}

fn devices() -> DevicesPage {
    DevicesPage {
        shell: shell(),
        filter: DeviceFilter::default(),
        after: String::new(),
        rows: device_rows(),
        next: Some("c2".into()),
        total: 1_284,
        groups: vec![("1".into(), "<img src=x>\u{202e}".into())],
        enroll: EnrollHelp {
            token_command: "bartizan admin enrollment-token".into(),
            device_command: "bartizan agent enroll https://portal.example.test TOKEN".into(),
        },
        now: NOW,
    }
}

fn device_rows() -> Vec<DeviceRow> {
    let row =
        |number: u8, name: &str, os: &str, protection, risk, unresolved, minutes: Option<u64>| {
            DeviceRow {
                id: DeviceId(0x0192_f3a4_b5c6_7d8e_9f00_1122_3344_5500 + u128::from(number)),
                name: name.into(),
                os: os.into(),
                support: bartizan_store::OsSupport::Ending,
                attestation: bartizan_store::Attestation::None,
                app_version: if minutes.is_some() { "1.0.0".into() } else { String::new() },
                protection,
                risk,
                unresolved,
                last_seen: minutes.map(|minutes| UnixMillis(NOW.0 - minutes * 60_000)),
            }
        };
    use ProtectionState::{Degraded, Off, On};
    use RiskLevel::{High, Informational, Low, Medium, None as Secured};
    vec![
        row(1, "Board iPhone 1", "iOS 18.1", Some(On), High, 3, Some(4)),
        row(2, "Field iPhone 12", "iOS 17.6.1", Some(On), Informational, 12, Some(9)),
        row(3, "Finance iPad 3", "iPadOS 18.1", Some(Degraded), Low, 1, Some(14)),
        row(4, "Lab Linux 1", "Linux 6.12", Some(On), Medium, 2, Some(2)),
        hostile_device(),
        row(6, "Reception iPad", "iPadOS 16.7", Some(On), Secured, 0, Some(20_000)),
        row(7, "Sales iPhone 4", "iOS 18.0", Some(Off), Informational, 1, Some(700)),
        row(8, "Spare iPhone", "iOS 18.1", None, Secured, 0, None),
    ]
}

fn hostile_device() -> DeviceRow {
    DeviceRow {
        id: DeviceId(5),
        name:
            "<script>alert('name')</script> \u{202e}and a name that is far too long for any column"
                .into(),
        os: "<img src=x>\0 9999.9999.9999".into(),
        support: bartizan_store::OsSupport::Ending,
        attestation: bartizan_store::Attestation::None,
        app_version: "<img src=x>".into(),
        protection: Some(ProtectionState::Off),
        risk: RiskLevel::None,
        unresolved: 0,
        last_seen: Some(UnixMillis(NOW.0 - 9 * 86_400_000)),
    }
}

fn device() -> DevicePage {
    DevicePage {
        remarks: vec!["Its system is old.".into()],
        attestation: (bartizan_store::Attestation::Genuine, Some(NOW)),
        is_shared: true,
        replacement: bartizan_store::Replacement {
            later: Some((DeviceId(6), "<img src=x>\u{202e}".into())),
            earlier: vec![
                (DeviceId(7), "<img src=x>\u{202e}".into()),
                (DeviceId(8), "Older".into()),
            ],
        },
        has_timeline: false,
        shell: shell(),
        id: DeviceId(0x0192_f3a4_b5c6_7d8e_9f00_1122_3344_5501),
        name: "Board iPhone 1".into(),
        os: "iOS 18.1".into(),
        model: "iPhone 15".into(),
        app_version: "1.0.0".into(),
        enrolled_at: UnixMillis(NOW.0 - 40 * 86_400_000),
        last_seen: Some(UnixMillis(NOW.0 - 240_000)),
        mode: Some(Mode::Dns),
        protection: Some(ProtectionState::On),
        policy_version: 7,
        newest_policy_version: 7,
        indicator_epoch: Some(1_042),
        newest_indicator_epoch: Some(1_044),
        counters: Some(EngineCounters { queries: 48_211, blocked: 37, dropped: 0, alerts_lost: 0 }),
        owner: "kim@example.test".into(),
        value: bartizan_store::DeviceValue::High,
        group: Some(("/groups/1".into(), "<img src=x>".into())),
        tags: vec![("Field".into(), false), ("<img src=x>\u{202e}".into(), true)],
        offboarded_at: Some(NOW),
        settings: vec![
            ("BartizanMode", "tunnel".into(), "group Field v7".into()),
            ("WebProtection", "true".into(), "default".into()),
        ],
        events: vec![bartizan_store::DeviceEventRow {
            id: 1,
            at: NOW,
            kind: bartizan_store::DeviceEventKind::Tagged,
            actor: "<img src=x>".into(),
            detail: "<img src=x>\u{202e}".into(),
            count: 1,
        }],
        day_checkins: 17,
        older: Some("/devices/1?before=5-1".into()),
        problem: None,
        unresolved: UnresolvedAlerts { high: 1, medium: 0, low: 0, informational: 2 },
        alerts: alerts().into_iter().take(3).collect(),
        now: NOW,
    }
}

fn fresh_device() -> DevicePage {
    DevicePage {
        name: hostile_device().name,
        os: hostile_device().os,
        model: "<img src=x>".into(),
        app_version: String::new(),
        last_seen: None,
        mode: None,
        protection: None,
        policy_version: 0,
        indicator_epoch: None,
        counters: None,
        unresolved: UnresolvedAlerts::default(),
        alerts: Vec::new(),
        ..device()
    }
}

fn indicators(rows: Vec<IndicatorRow>) -> IndicatorsPage {
    IndicatorsPage {
        shell: shell(),
        filter: IndicatorFilter::default(),
        after: String::new(),
        rows,
        next: Some("c2".into()),
        total: 100_000,
        now: NOW,
    }
}

fn filtered_indicators() -> IndicatorsPage {
    let text = "\"><img src=x>\u{202e}";
    let filter =
        IndicatorFilter::from_query(Some(text), Some("warn"), Some("url"), Some("expired"));
    IndicatorsPage { filter, ..indicators(Vec::new()) }
}

fn indicator_rows() -> Vec<IndicatorRow> {
    let row =
        |id: u64, pattern: &str, kind, action, title: &str, expires_in: Option<i64>| IndicatorRow {
            id,
            pattern: pattern.into(),
            kind,
            action,
            severity: Severity::ALL[usize::try_from(id % 4).unwrap()],
            title: title.into(),
            expires_at: expires_in.map(|ms| UnixMillis(NOW.0.checked_add_signed(ms).unwrap())),
            hits: id * 997,
            updated_at: UnixMillis(NOW.0 - id * 300_000),
        };
    use IndicatorAction::{Allow, Audit, Block, Warn};
    use PatternKind::{Address, Domain, Host, Network, Subdomains, Url};
    vec![
        row(1, "parcel-fee.test", Domain, Block, "Parcel fee by text message", None),
        row(2, "=login.partner.example", Host, Allow, "Listed by mistake", Some(86_400_000)),
        row(3, "*.free-pages.test", Subdomains, Warn, "Free pages", Some(-5)),
        row(4, "files.example/shared/invoice?id=7", Url, Audit, "Invoice of March", None),
        row(5, "192.0.2.7", Address, Block, "Scanner", None),
        row(
            1_000_000,
            "2001:db8:1234::/48",
            Network,
            Block,
            "<script>alert(1)</script>\u{202e}",
            None,
        ),
        row(7, &long_host(), Domain, Block, &"A title that goes on and on ".repeat(7), None),
    ]
}

fn indicator() -> IndicatorPage {
    let pairs = [
        ("action", "Block"),
        ("severity", "High"),
        ("title", "<script>alert(1)</script>\u{202e}"),
        ("description", "Seen in a mail.\r\n<img src=x>\u{202e}\0"),
        ("expirationTime", "2026-04-01T00:00:00"),
        ("category", "<img src=x>"),
        ("rbacGroups", "Field, Board"),
    ];
    let pairs: Vec<_> =
        pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    IndicatorPage {
        shell: shell(),
        stored: Some(StoredIndicator {
            id: 4,
            pattern: "sites.example".parse().unwrap(),
            source_text: "https://<img src=x>.test/\u{202e}".into(),
            action: IndicatorAction::Block,
            severity: Severity::High,
            expires_at: Some(UnixMillis(1_775_001_600_000)),
            hits: 1_234,
            held_back: Some("This is a popular or shared site: people and apps may depend on it."),
            created_by: "<img src=x>".into(),
            created_at: UnixMillis(NOW.0 - 86_400_000),
            updated_at: UnixMillis(NOW.0 - 3_600_000),
        }),
        form: IndicatorForm::sent(&pairs),
        errors: Vec::new(),
        hint: Some("This value has an indicator already.".into()),
        now: NOW,
    }
}

fn new_indicator() -> IndicatorPage {
    let wrong = |field| FieldError::new(field, "is <img src=x> wrong\u{202e}");
    IndicatorPage {
        stored: None,
        form: IndicatorForm::blank("\"><img src=x>\u{202e}"),
        errors: Field::ALL.map(wrong).into(),
        hint: None,
        ..indicator()
    }
}

fn preview() -> IndicatorPreviewPage {
    let hostile = "=cmd|<script>alert(1)</script>\u{202e}\0";
    IndicatorPreviewPage {
        shell: shell(),
        upload: "00112233445566778899aabbccddeeff".into(),
        file_name: hostile.into(),
        new: 98_120,
        changed: 2,
        unchanged: 1_875,
        wrong: 3,
        ignored: vec!["scopeTags".into(), hostile.into()],
        new_rows: vec![
            ("parcel-fee.test".into(), "Block", "Parcel fee by text message".into()),
            (long_host(), "Allowed", hostile.into()),
        ],
        changed_rows: vec![ChangedRow {
            id: 4,
            pattern: "free-pages.test".into(),
            fields: vec![
                ("action", "Block".into(), "Warn".into()),
                ("title", hostile.into(), String::new()),
                ("expirationTime", String::new(), "2027-01-31T00:00:00.0Z".into()),
            ],
        }],
        errors: vec![
            RowError {
                line: 14,
                column: "indicatorType",
                reason: "is not a network indicator".into(),
                value: "FileSha256".into(),
            },
            RowError {
                line: 100_001,
                column: "",
                reason: "has more cells than the first line".into(),
                value: hostile.into(),
            },
        ],
    }
}

fn long_host() -> String {
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
const NOW: UnixMillis = UnixMillis(1_772_600_767_000);
