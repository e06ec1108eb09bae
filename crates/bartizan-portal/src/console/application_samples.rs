//! Sample pages of applications, for the tests over all pages.

use askama::Template;
use bartizan_model::UnixMillis;
use bartizan_store::{
    ApplicationId, ApplicationRow, CredentialId, CredentialKind, CredentialRow, Permission,
    Permissions,
};

use super::Shell;
use super::applications::{
    ApplicationForm, ApplicationPage, ApplicationsPage, FormProblems, NewApplicationPage,
};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const HOSTILE: &str = "<script>\u{202e}\"><img src=x>";

/// Every page in several states.
pub(super) fn pages(shell: &Shell) -> Vec<(&'static str, String)> {
    let row = ApplicationRow {
        id: ApplicationId(7),
        name: HOSTILE.into(),
        permissions: Permissions::of(&[Permission::ViewData]),
        created_by: HOSTILE.into(),
        created_at: NOW,
        expires_at: NOW,
        disabled_at: Some(NOW),
        used_at: Some(NOW),
    };
    let form = ApplicationForm {
        name: HOSTILE.into(),
        permissions: row.permissions,
        expires: HOSTILE.into(),
        problems: FormProblems {
            name: Some("No."),
            permissions: Some("No."),
            expires: Some("No."),
        },
    };
    let credential = CredentialRow {
        id: CredentialId(7),
        kind: CredentialKind::Secret,
        value: Vec::new(),
        hint: HOSTILE.into(),
        created_at: NOW,
        expires_at: NOW,
    };
    let fresh = ApplicationRow { disabled_at: None, used_at: None, ..row.clone() };
    let one = |row: &ApplicationRow, secret, credentials| ApplicationPage {
        shell: shell.clone(),
        row: row.clone(),
        client_id: "7.x".into(),
        credentials,
        form: form.clone(),
        secret,
        pem: HOSTILE.into(),
        secret_problem: Some("No.".into()),
        key_problem: Some("No.".into()),
        now: NOW,
    };
    let all = |rows| ApplicationsPage { shell: shell.clone(), rows, now: NOW };
    let new = NewApplicationPage { shell: shell.clone(), form: form.clone() };
    vec![
        ("applications", all(vec![row.clone(), fresh.clone()]).render().unwrap()),
        ("applications, none", all(Vec::new()).render().unwrap()),
        ("application, new", new.render().unwrap()),
        ("application", one(&row, None, vec![credential]).render().unwrap()),
        ("application, secret", one(&fresh, Some("bzs_x".into()), Vec::new()).render().unwrap()),
    ]
}
