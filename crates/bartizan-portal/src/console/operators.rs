//! The installation's pages: `GET /operator/sign-in`, `/operator/tenants`, `/operator/operators` and what is below them.

use askama::Template;
use bartizan_model::UnixMillis;
use bartizan_store::{
    BuiltIn, COUNTED_DEVICES, GrantRow, MemberRow, OpenSessionRow, OperatedTenant, Seats,
};

use super::format::{self, Ago};
use super::{Icon, Pager, Section, Shell, SignInProblem, filters};

/// Asks an operator for name and password.
#[derive(Template)]
#[template(path = "console/operator_sign_in.html")]
pub(crate) struct OperatorSignInPage {
    /// Why the last try did not succeed.
    pub(crate) problem: Option<SignInProblem>,
    /// What they typed.
    pub(crate) name: String,
    /// The page they wanted: a path of the installation's.
    pub(crate) next: String,
}

impl OperatorSignInPage {
    fn sentence(&self, problem: &SignInProblem) -> String {
        if *problem == SignInProblem::WrongCredentials {
            "The name or the password is wrong.".into()
        } else {
            problem.sentence()
        }
    }
}

/// Organizations, by name.
#[derive(Template)]
#[template(path = "console/tenants.html")]
pub(crate) struct TenantsPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// What names are to contain.
    pub(crate) q: String,
    /// Those of this page.
    pub(crate) rows: Vec<OperatedTenant>,
    /// Whether this is the first page.
    pub(crate) is_first: bool,
    /// The cursor of the next page, if there is one.
    pub(crate) next: Option<String>,
}

impl TenantsPage {
    fn section(&self) -> Section {
        Section::Tenants
    }

    fn pager(&self) -> Pager {
        let at = |after: &str| format::address(PATH, &[("q", &self.q), ("after", after)]);
        Pager {
            first: (!self.is_first).then(|| at("")),
            next: self.next.as_ref().map(|next| at(next)),
        }
    }
}

/// A new organization.
#[derive(Template)]
#[template(path = "console/tenant_new.html")]
pub(crate) struct NewTenantPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// What was typed.
    pub(crate) name: String,
    /// What was typed: the first administrator's address.
    pub(crate) email: String,
    /// What is wrong with the name.
    pub(crate) name_problem: Option<&'static str>,
    /// What is wrong with the address.
    pub(crate) email_problem: Option<&'static str>,
    /// The one that was made: number, administrator, and the password that is shown once.
    pub(crate) given: Option<(i64, String, String)>,
}

impl NewTenantPage {
    fn section(&self) -> Section {
        Section::Tenants
    }
}

/// One organization.
#[derive(Template)]
#[template(path = "console/tenant.html")]
pub(crate) struct TenantPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Which.
    pub(crate) tenant: OperatedTenant,
    /// How the seats of its plans are taken; empty where nobody counts them.
    pub(crate) seats: Vec<Seats>,
    /// Why they were not let in.
    pub(crate) enter_problem: Option<String>,
    /// Why it was not renamed.
    pub(crate) rename_problem: Option<&'static str>,
    /// Why it is not to be deleted.
    pub(crate) delete_problem: Option<&'static str>,
}

impl TenantPage {
    fn section(&self) -> Section {
        Section::Tenants
    }

    /// The least first: it is what is chosen unless another is.
    fn roles(&self) -> Vec<BuiltIn> {
        let mut roles = vec![BuiltIn::ReadOnly];
        roles.extend(self.tenant.role.filter(|role| *role != BuiltIn::ReadOnly));
        roles
    }
}

/// Operators.
#[derive(Template)]
#[template(path = "console/operators.html")]
pub(crate) struct OperatorsPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// By name.
    pub(crate) operators: Vec<MemberRow>,
    /// What was typed.
    pub(crate) name: String,
    /// Why nobody was added.
    pub(crate) problem: Option<&'static str>,
    /// Who was added, and the password that is shown once.
    pub(crate) given: Option<(String, String)>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl OperatorsPage {
    fn section(&self) -> Section {
        Section::Operators
    }
}

/// One operator.
#[derive(Template)]
#[template(path = "console/operator.html")]
pub(crate) struct OperatorPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Who it is.
    pub(crate) person: MemberRow,
    /// What they may enter.
    pub(crate) grants: Vec<GrantRow>,
    /// Whether they have set one up.
    pub(crate) has_second_factor: bool,
    /// How many passkeys they have.
    pub(crate) passkeys: u64,
    /// Their open sessions.
    pub(crate) sessions: Vec<OpenSessionRow>,
    /// Why the last action was not done.
    pub(crate) problem: Option<&'static str>,
    /// A one-time password, shown once.
    pub(crate) password: Option<String>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl OperatorPage {
    fn section(&self) -> Section {
        Section::Operators
    }

    /// How many passkeys they have; nothing for none.
    fn said_passkeys(&self) -> String {
        match self.passkeys {
            0 => String::new(),
            some => format!("Has {}.", format::count(some, "passkey")),
        }
    }

    fn roles(&self) -> [BuiltIn; 4] {
        [
            BuiltIn::ReadOnly,
            BuiltIn::Analyst,
            BuiltIn::SecurityAdministrator,
            BuiltIn::Administrator,
        ]
    }
}

/// Whether they administer the installation.
fn administers(person: &MemberRow) -> bool {
    person.roles.iter().any(|role| role == BuiltIn::Administrator.id())
}

/// Says how many, as far as they are counted.
fn devices(number: &u64) -> String {
    let more = if *number < COUNTED_DEVICES { "" } else { "+" };
    format!("{}{more}", format::grouped(*number))
}

/// How an organization is, in a word.
fn state(tenant: &OperatedTenant) -> &'static str {
    match (tenant.suspended_at, tenant.delete_at) {
        (Some(_), Some(_)) => "To be deleted",
        (Some(_), None) => "Suspended",
        (None, _) => "Active",
    }
}

const PATH: &str = "/operator/tenants";
