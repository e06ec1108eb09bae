//! Programs that call the API: `GET /applications`, `/applications/new` and `/applications/{id}`.

use askama::Template;
use bartizan_model::UnixMillis;
use bartizan_store::{ApplicationRow, CredentialKind, CredentialRow, Permission, Permissions};

use super::format::{self, Ago};
use super::{Icon, Section, Shell, filters};

/// All of them.
#[derive(Template)]
#[template(path = "console/applications.html")]
pub(crate) struct ApplicationsPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// By name.
    pub(crate) rows: Vec<ApplicationRow>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl ApplicationsPage {
    fn section(&self) -> Section {
        Section::Applications
    }
}

/// What is said of an application, as typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct ApplicationForm {
    /// As people know it.
    pub(crate) name: String,
    /// What it may do.
    pub(crate) permissions: Permissions,
    /// A day, such as `2027-01-31`.
    pub(crate) expires: String,
    /// What is wrong with each.
    pub(crate) problems: FormProblems,
}

/// What is wrong with the fields of a form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FormProblems {
    pub(crate) name: Option<&'static str>,
    pub(crate) permissions: Option<&'static str>,
    pub(crate) expires: Option<&'static str>,
}

/// A new one.
#[derive(Template)]
#[template(path = "console/application_new.html")]
pub(crate) struct NewApplicationPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// As typed.
    pub(crate) form: ApplicationForm,
}

impl NewApplicationPage {
    fn section(&self) -> Section {
        Section::Applications
    }
}

/// One application.
#[derive(Template)]
#[template(path = "console/application.html")]
pub(crate) struct ApplicationPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// The application.
    pub(crate) row: ApplicationRow,
    /// How it names itself.
    pub(crate) client_id: String,
    /// Its secrets and keys.
    pub(crate) credentials: Vec<CredentialRow>,
    /// What is said of it, as typed.
    pub(crate) form: ApplicationForm,
    /// A secret that is shown once.
    pub(crate) secret: Option<String>,
    /// What was typed as a key.
    pub(crate) pem: String,
    /// Why no secret was made.
    pub(crate) secret_problem: Option<String>,
    /// Why no key was taken.
    pub(crate) key_problem: Option<String>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl ApplicationPage {
    fn section(&self) -> Section {
        Section::Applications
    }

    fn state(&self) -> &'static str {
        state(&self.row, self.now)
    }

    fn kind(&self, credential: &CredentialRow) -> &'static str {
        match credential.kind {
            CredentialKind::Secret => "Secret",
            CredentialKind::Key => "Public key",
        }
    }

    fn is_over(&self, credential: &CredentialRow) -> bool {
        credential.expires_at <= self.now
    }
}

fn state(row: &ApplicationRow, now: UnixMillis) -> &'static str {
    if row.disabled_at.is_some() {
        "Disabled"
    } else if row.expires_at <= now {
        "Expired"
    } else {
        "Active"
    }
}
