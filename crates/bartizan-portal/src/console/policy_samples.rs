//! Sample pages of policies and device groups, for the tests over all pages.

use bartizan_model::UnixMillis;

use super::{
    DocumentLine, DocumentPage, Filled, GroupDeletePage, GroupForm, GroupPage, GroupsPage,
    PolicyForm, PolicyPage, SettingsForm, Shell, VersionPage, policy_groups,
};
use crate::policy::settings::Settings;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const HOSTILE: &str = "<script>\u{202e}\"><img src=x>";
/// Known keys, one that a newer portal wrote, and text as hostile as a document may hold.
const STORED: &str = r#"{"BartizanMode":"tunnel","BartizanWarnPassHours":48,"DefenderDeviceTag":"<img src=x>","BartizanLater":"<img src=x>"}"#;

/// Every page in several states.
pub(super) fn pages(shell: &Shell) -> Vec<(&'static str, String)> {
    let rendered = |page: &dyn askama::DynTemplate| page.dyn_render().unwrap();
    let first = PolicyPage {
        progress: bartizan_store::PolicyProgress::default(),
        versions: Vec::new(),
        ..policy(shell, None)
    };
    let reviewed = {
        let mut page = document(shell, Vec::new());
        page.form.review = Some(vec![HOSTILE.into()]);
        page
    };
    vec![
        ("policy", rendered(&policy(shell, None))),
        ("policy-unfit", rendered(&policy(shell, Some("Nothing was saved: <img src=x>.".into())))),
        ("policy-first", rendered(&first)),
        ("groups", rendered(&groups(shell, vec![group()]))),
        ("groups-none", rendered(&groups(shell, Vec::new()))),
        ("group", rendered(&group_page(shell, None))),
        ("group-unfit", rendered(&group_page(shell, Some("Rule 1 <img src=x>.".into())))),
        ("group-delete", rendered(&GroupDeletePage { shell: shell.clone(), group: group() })),
        ("policy-document", rendered(&document(shell, Vec::new()))),
        ("policy-document-reviewed", rendered(&reviewed)),
        ("policy-document-unfit", rendered(&unfit(shell))),
        ("policy-document-text", rendered(&document(shell, vec![HOSTILE.into()]))),
        ("policy-version", rendered(&version(shell))),
    ]
}

fn policy(shell: &Shell, problem: Option<String>) -> PolicyPage {
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
    let one = |version, devices| bartizan_store::PolicyUse { version, devices };
    let versions = vec![one(1_012, 1_204), one(11, 72), one(0, 1)];
    PolicyPage { shell: shell.clone(), version: 12, form, problem, progress, versions, documents }
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

fn groups(shell: &Shell, groups: Vec<bartizan_store::GroupRow>) -> GroupsPage {
    GroupsPage { shell: shell.clone(), groups, total: 1_300, is_working: true }
}

fn group_page(shell: &Shell, rules_problem: Option<String>) -> GroupPage {
    let group = group();
    GroupPage {
        shell: shell.clone(),
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

fn document(shell: &Shell, problems: Vec<String>) -> DocumentPage {
    let is_text = !problems.is_empty();
    let settings = Settings::from_stored(STORED).unwrap_or_default();
    let form = SettingsForm {
        base: 3,
        is_text,
        settings: "{\n  \"BartizanMode\": \"<img src=x>\"\n}".into(),
        groups: policy_groups(&Filled::Document(&settings), Some((&settings, HOSTILE))),
        others: settings.others().map(|(name, value)| format!("{name}: {value}")).collect(),
        review: is_text.then(|| vec![HOSTILE.into()]),
        note: HOSTILE.into(),
        percent: "20".into(),
    };
    DocumentPage {
        shell: shell.clone(),
        href: "/policy/all".into(),
        name: HOSTILE.into(),
        form,
        problems,
        versions: vec![policy_version(3, 20), policy_version(2, 100), policy_version(1, 100)],
        can_sign: true,
        is_first_page: true,
        next: Some("/policy/all?before=1".into()),
        rows: vec![crate::policy::managed_config::Row {
            key: "BartizanMode",
            value_type: "String",
            value: HOSTILE.into(),
        }],
        now: NOW,
    }
}

/// A form that came back, with what does not fit.
fn unfit(shell: &Shell) -> DocumentPage {
    let sent = [
        ("key.BartizanWarnPassHours".to_owned(), HOSTILE.to_owned()),
        ("key.DefenderDeviceTag".to_owned(), HOSTILE.to_owned()),
    ];
    let faults = crate::policy::form::apply(&sent, &Settings::default()).err().unwrap_or_default();
    let mut page = document(shell, Vec::new());
    page.form.groups = policy_groups(&Filled::Sent(&sent, &faults), None);
    page.form.review = Some(Vec::new());
    page.problems = vec![HOSTILE.into()];
    page
}

fn version(shell: &Shell) -> VersionPage {
    VersionPage {
        shell: shell.clone(),
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
