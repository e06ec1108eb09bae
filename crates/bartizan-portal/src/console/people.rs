//! People, their roles and their sessions: `GET /people`, `/people/{id}`, `/roles`, `/roles/{id}` and `/sessions`.

use askama::Template;
use bartizan_model::UnixMillis;
use bartizan_store::{MemberRow, OpenSessionRow, Permission, RoleRow, SessionId};

use super::format::{self, Ago};
use super::{Icon, Pager, Section, Shell, filters};

/// Everybody, and a form to invite one more.
#[derive(Template)]
#[template(path = "console/people.html")]
pub(crate) struct PeoplePage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Of this page, by address.
    pub(crate) people: Vec<MemberRow>,
    /// What was searched for.
    pub(crate) text: String,
    /// Other pages.
    pub(crate) pager: Pager,
    /// All there are.
    pub(crate) roles: Vec<RoleRow>,
    /// What was typed.
    pub(crate) email: String,
    /// Why nobody was invited.
    pub(crate) problem: Option<&'static str>,
    /// Who was invited, and the password that is shown once.
    pub(crate) given: Option<(String, String)>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl PeoplePage {
    fn section(&self) -> Section {
        Section::People
    }

    fn roles_of(&self, person: &MemberRow) -> String {
        let mut names = self.roles.iter().filter(|role| person.roles.contains(&role.id));
        let first = names.next().map_or("None", |role| &role.name).to_owned();
        names.fold(first, |text, role| format!("{text}, {}", role.name))
    }
}

/// One person.
#[derive(Template)]
#[template(path = "console/person.html")]
pub(crate) struct PersonPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Who it is.
    pub(crate) person: MemberRow,
    /// All roles there are.
    pub(crate) roles: Vec<RoleRow>,
    /// Their open sessions.
    pub(crate) sessions: Vec<OpenSessionRow>,
    /// Why the last action was not done.
    pub(crate) problem: Option<&'static str>,
    /// A one-time password, shown once.
    pub(crate) password: Option<String>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl PersonPage {
    fn section(&self) -> Section {
        Section::People
    }

    fn has(&self, role: &RoleRow) -> bool {
        self.person.roles.contains(&role.id)
    }
}

/// All roles.
#[derive(Template)]
#[template(path = "console/roles.html")]
pub(crate) struct RolesPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// First those that every organization has.
    pub(crate) roles: Vec<RoleRow>,
}

impl RolesPage {
    fn devices(role: &RoleRow) -> String {
        match &role.device_groups {
            None => "All".to_owned(),
            Some(groups) => {
                let many = u64::try_from(groups.len()).unwrap_or(u64::MAX);
                format::count_of(many, "device group", "device groups")
            }
        }
    }

    fn section(&self) -> Section {
        Section::Roles
    }
}

/// One role, or a new one.
#[derive(Template)]
#[template(path = "console/role.html")]
pub(crate) struct RolePage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Without an id while it is new.
    pub(crate) role: RoleRow,
    /// The device groups that there are: id and name.
    pub(crate) groups: Vec<(String, String)>,
    /// Why it was not saved.
    pub(crate) problem: Option<&'static str>,
}

impl RolePage {
    fn section(&self) -> Section {
        Section::Roles
    }

    fn heading(&self) -> &str {
        if self.role.id.is_empty() { "New role" } else { &self.role.name }
    }

    fn is_limited(&self) -> bool {
        self.role.device_groups.is_some()
    }

    fn has_group(&self, id: &str) -> bool {
        self.role.device_groups.iter().flatten().any(|group| group == id)
    }

    fn members(&self) -> String {
        format::count_of(self.role.members, "person has it", "people have it")
    }
}

/// One's own sessions.
#[derive(Template)]
#[template(path = "console/sessions.html")]
pub(crate) struct SessionsPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// The one last used first.
    pub(crate) sessions: Vec<OpenSessionRow>,
    /// The one that looks at this page.
    pub(crate) own: SessionId,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl SessionsPage {
    fn is_own(&self, session: &OpenSessionRow) -> bool {
        session.id == self.own
    }

    fn section(&self) -> Section {
        Section::Account
    }
}
