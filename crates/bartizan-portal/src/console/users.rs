//! The people whom the product protects, their groups, and the directories that keep both: `GET /users`,
//! `/user-groups`, one of each, and `/directory`.

use askama::Template;
use bartizan_model::UnixMillis;
use bartizan_store::{
    DirectoryOrigin, OwnDevice, PersonFacts, PersonGroupRow, PersonId, PersonRow, Plan,
    ScimTokenRow,
};

use super::format::{self, Ago};
use super::{Icon, Pager, Section, Shell, filters};

/// All users, by user name.
#[derive(Template)]
#[template(path = "console/users.html")]
pub(crate) struct UsersPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// What was searched for.
    pub(crate) text: String,
    /// Of this page, each with the plan that they have.
    pub(crate) rows: Vec<(PersonRow, Option<Plan>)>,
    /// Other pages.
    pub(crate) pager: Pager,
}

impl UsersPage {
    fn section(&self) -> Section {
        Section::Users
    }
}

/// One user, or a new one.
#[derive(Template)]
#[template(path = "console/user.html")]
pub(crate) struct UserPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// As stored; `None` before they are added.
    pub(crate) person: Option<PersonRow>,
    /// What stands in the form.
    pub(crate) form: UserForm,
    /// What is wrong with the form.
    pub(crate) problem: Option<String>,
    /// Their devices.
    pub(crate) devices: Vec<OwnDevice>,
    /// What was given to them, and not to a group of theirs.
    pub(crate) plans: Vec<Plan>,
    /// What they have.
    pub(crate) plan: Option<Plan>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

/// The form's fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserForm {
    /// Unique.
    pub(crate) user_name: String,
    /// For people.
    pub(crate) display_name: String,
    /// The primary address.
    pub(crate) email: String,
}

impl UserForm {
    /// Shows what is stored.
    pub(crate) fn of(facts: &PersonFacts) -> Self {
        Self {
            user_name: facts.user_name.clone(),
            display_name: facts.display_name.clone(),
            email: facts.address().unwrap_or_default().to_owned(),
        }
    }
}

impl UserPage {
    fn section(&self) -> Section {
        Section::Users
    }

    fn heading(&self) -> &str {
        self.person.as_ref().map_or("New user", |person| person.facts.name())
    }

    fn action(&self) -> String {
        self.person
            .as_ref()
            .map_or_else(|| "/users".into(), |person| format!("/users/{}", person.id))
    }
}

/// All groups of users, by name.
#[derive(Template)]
#[template(path = "console/user_groups.html")]
pub(crate) struct UserGroupsPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// What was searched for.
    pub(crate) text: String,
    /// Of this page.
    pub(crate) rows: Vec<PersonGroupRow>,
    /// Other pages.
    pub(crate) pager: Pager,
    /// Why a new one was not added, and its name.
    pub(crate) problem: Option<(&'static str, String)>,
}

impl UserGroupsPage {
    fn section(&self) -> Section {
        Section::UserGroups
    }

    fn typed(&self) -> &str {
        self.problem.as_ref().map_or("", |(_, name)| name)
    }
}

/// One group of users.
#[derive(Template)]
#[template(path = "console/user_group.html")]
pub(crate) struct UserGroupPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// The group.
    pub(crate) group: PersonGroupRow,
    /// Who is in it, of this page.
    pub(crate) people: Vec<(PersonId, String)>,
    /// What was given to it.
    pub(crate) plans: Vec<Plan>,
    /// Other pages.
    pub(crate) pager: Pager,
    /// Why the last action was not done, with the field that it is about.
    pub(crate) problem: Option<(&'static str, String)>,
}

impl UserGroupPage {
    fn section(&self) -> Section {
        Section::UserGroups
    }

    fn problem_of(&self, field: &str) -> Option<&str> {
        self.problem.as_ref().filter(|(about, _)| *about == field).map(|(_, text)| text.as_str())
    }
}

/// The tokens of directories.
#[derive(Template)]
#[template(path = "console/directory.html")]
pub(crate) struct DirectoryPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// The latest first.
    pub(crate) tokens: Vec<ScimTokenRow>,
    /// What a directory asks for as its address.
    pub(crate) address: String,
    /// A token that was made, shown once.
    pub(crate) given: Option<String>,
    /// Why none was made, and the name that was typed.
    pub(crate) problem: Option<(String, String)>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl DirectoryPage {
    fn section(&self) -> Section {
        Section::Directory
    }

    fn is_over(&self, token: &ScimTokenRow) -> bool {
        token.expires_at <= self.now
    }

    fn typed(&self) -> &str {
        self.problem.as_ref().map_or("", |(_, name)| name)
    }
}

fn people(count: &u64) -> String {
    format::count(*count, "user")
}

fn is_of_directory(origin: &DirectoryOrigin) -> bool {
    *origin == DirectoryOrigin::Scim
}
