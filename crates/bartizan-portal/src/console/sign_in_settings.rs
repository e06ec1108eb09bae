//! How an organization's people sign in: `GET` and `POST /sign-in-settings`, and of one person `/people/{id}/sign-in`.

use askama::Template;
use bartizan_model::UnixMillis;
use bartizan_store::{
    IdentityProvider, MemberRow, PasskeyRow, RoleRow, SecondFactorRow, SignInRule,
};

use super::format::{self, Ago};
use super::{Icon, Section, Shell, filters};

/// The provider, and the rule for passwords.
#[derive(Template)]
#[template(path = "console/sign_in_settings.html")]
pub(crate) struct SignInSettingsPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// What is set, or was typed.
    pub(crate) form: ProviderForm,
    /// Whether a provider is set.
    pub(crate) is_set: bool,
    /// Whether a secret is kept.
    pub(crate) has_secret: bool,
    /// All roles there are.
    pub(crate) roles: Vec<RoleRow>,
    /// What is decided about passwords.
    pub(crate) rule: SignInRule,
    /// Whether operators of the installation may enter.
    pub(crate) admits_operators: bool,
    /// Where browsers reach this portal, such as `https://portal.example`.
    pub(crate) base: String,
    /// What does not fit.
    pub(crate) problem: Option<(ProviderField, String)>,
}

/// A field of the form, to say beside it what does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProviderField {
    /// See [`IdentityProvider::name`].
    Name,
    /// See [`IdentityProvider::address`].
    Address,
    /// See [`IdentityProvider::issuer`].
    Issuer,
    /// See [`IdentityProvider::client_id`].
    ClientId,
    /// See [`IdentityProvider::client_secret`].
    ClientSecret,
    /// See [`IdentityProvider::scopes`].
    Scopes,
    /// See [`IdentityProvider::group_claim`].
    GroupClaim,
    /// See [`IdentityProvider::domains`].
    Domains,
    /// See [`IdentityProvider::roles`].
    Roles,
    /// The rule for passwords.
    Rule,
}

/// The form's fields as text, so that it can come back as it was.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProviderForm {
    /// See [`IdentityProvider::name`].
    pub(crate) name: String,
    /// See [`IdentityProvider::address`].
    pub(crate) address: String,
    /// See [`IdentityProvider::issuer`].
    pub(crate) issuer: String,
    /// See [`IdentityProvider::client_id`].
    pub(crate) client_id: String,
    /// See [`IdentityProvider::scopes`].
    pub(crate) scopes: String,
    /// See [`IdentityProvider::group_claim`].
    pub(crate) group_claim: String,
    /// Separated by spaces.
    pub(crate) domains: String,
    /// See [`IdentityProvider::trusts_email`].
    pub(crate) trusts_email: bool,
    /// See [`IdentityProvider::admits_unknown`].
    pub(crate) admits_unknown: bool,
    /// See [`IdentityProvider::allow_private`].
    pub(crate) allow_private: bool,
    /// See [`IdentityProvider::is_enabled`].
    pub(crate) is_enabled: bool,
    /// A group and a role's id in each.
    pub(crate) roles: Vec<(String, String)>,
}

impl ProviderForm {
    /// Shows what is set.
    pub(crate) fn of(provider: &IdentityProvider) -> Self {
        Self {
            name: provider.name.clone(),
            address: provider.address.clone(),
            issuer: provider.issuer.clone(),
            client_id: provider.client_id.clone(),
            scopes: provider.scopes.clone(),
            group_claim: provider.group_claim.clone(),
            domains: provider.domains.join(" "),
            trusts_email: provider.trusts_email,
            admits_unknown: provider.admits_unknown,
            allow_private: provider.allow_private,
            is_enabled: provider.is_enabled,
            roles: provider.roles.clone(),
        }
    }

    /// What most providers want.
    pub(crate) fn usual() -> Self {
        Self { scopes: "openid email profile".into(), is_enabled: true, ..Self::default() }
    }
}

impl SignInSettingsPage {
    fn section(&self) -> Section {
        Section::SignIn
    }

    fn told(&self, field: ProviderField) -> Option<&str> {
        self.problem.as_ref().filter(|(at, _)| *at == field).map(|(_, text)| text.as_str())
    }

    /// The rows of the table, and some to fill in.
    fn rows(&self) -> Vec<(usize, &str, &str)> {
        let given = self.form.roles.iter().map(|(group, role)| (group.as_str(), role.as_str()));
        let all = given.chain([("", ""); BLANK_ROWS]);
        all.enumerate().map(|(at, (group, role))| (at + 1, group, role)).collect()
    }

    fn address(&self) -> &str {
        if self.form.address.is_empty() { "ADDRESS" } else { &self.form.address }
    }
}

/// How one person signs in.
#[derive(Template)]
#[template(path = "console/person_sign_in.html")]
pub(crate) struct PersonSignInPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Who it is.
    pub(crate) person: MemberRow,
    /// What is decided about passwords.
    pub(crate) rule: SignInRule,
    /// Their second factor.
    pub(crate) factor: Option<SecondFactorRow>,
    /// Their passkeys.
    pub(crate) passkeys: Vec<PasskeyRow>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
    /// Why the last action was not done.
    pub(crate) problem: Option<&'static str>,
}

impl PersonSignInPage {
    fn section(&self) -> Section {
        Section::People
    }

    fn left(&self, codes: &u64) -> String {
        format::count(*codes, "recovery code")
    }
}

const BLANK_ROWS: usize = 3;
