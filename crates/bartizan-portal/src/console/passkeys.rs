//! One's own passkeys: `/passkeys`.

use askama::Template;
use bartizan_model::UnixMillis;
use bartizan_store::PasskeyRow;

use super::format::Ago;
use super::{Icon, Section, Shell, filters};

/// One's own passkeys: a list, and adding another.
#[derive(Template)]
#[template(path = "console/passkeys.html")]
pub(crate) struct PasskeysPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Those there are.
    pub(crate) passkeys: Vec<PasskeyRow>,
    /// The host that this page is at, if passkeys work there; why they do not otherwise.
    pub(crate) site: Result<String, &'static str>,
    /// They have shown anew, a moment ago, that it is they.
    pub(crate) is_confirmed: bool,
    /// Whether they have a password to show it by.
    pub(crate) has_password: bool,
    /// The organization wants them to have a second factor before they go on.
    pub(crate) is_required: bool,
    /// The name that was typed.
    pub(crate) name: String,
    /// What did not succeed, and why.
    pub(crate) problem: Option<(PasskeyAction, String)>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

/// What is done on the page, to say beside it why it was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PasskeyAction {
    /// Showing anew that it is they.
    Confirm,
    /// Adding one.
    Add,
    /// Renaming or removing one.
    Change,
}

impl PasskeysPage {
    fn section(&self) -> Section {
        Section::Account
    }

    fn told(&self, action: PasskeyAction) -> Option<&str> {
        self.problem.as_ref().filter(|(at, _)| *at == action).map(|(_, text)| text.as_str())
    }

    fn is_elsewhere(&self, passkey: &PasskeyRow) -> bool {
        self.site.as_ref().is_ok_and(|site| *site != passkey.site)
    }

    /// Whether one of them can be used here.
    fn has_one_here(&self) -> bool {
        let here = self.site.as_ref();
        here.is_ok_and(|site| self.passkeys.iter().any(|passkey| passkey.site == *site))
    }
}
