//! The way in: `GET` and `POST /sign-in`, an organization's own page, and the step back from its provider.

use askama::Template;

use super::{Icon, filters, format};

/// Asks for address and password.
#[derive(Template)]
#[template(path = "console/sign_in.html")]
pub(crate) struct SignInPage {
    /// Why the last try did not succeed.
    pub(crate) problem: Option<SignInProblem>,
    /// What they typed, so that they need not type it again.
    pub(crate) email: String,
    /// The page they wanted: a path of ours, which the handler has checked.
    pub(crate) next: String,
    /// Whose page it is, where it is one organization's.
    pub(crate) organization: Option<Organization>,
}

/// An organization whose people sign in by a provider.
pub(crate) struct Organization {
    /// Its name.
    pub(crate) name: String,
    /// Its provider's name.
    pub(crate) provider: String,
    /// A path of ours that leads to the provider.
    pub(crate) go: String,
}

/// Leads on after the provider: from here the browser sends the session's cookie.
#[derive(Template)]
#[template(path = "console/go_on.html")]
pub(crate) struct GoOnPage {
    /// The page they wanted: a path of ours, which the handler has checked.
    pub(crate) next: String,
}

/// Why somebody was not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SignInProblem {
    /// Address or password is wrong; not said which.
    WrongCredentials,
    /// The password was a one-time one, and its time is over.
    OneTimePasswordExpired,
    /// Too many tries; the next is looked at after this many seconds.
    TooManyTries {
        /// At least 1.
        wait_s: u64,
    },
    /// A passkey was not taken; not said why.
    PasskeyRefused,
    /// Too much time went by until the next step.
    Late,
    /// They have shown who they are, and the organization is suspended.
    Suspended,
    /// They were signed in until now: too long without a sign of them.
    SessionEnded,
    /// No organization signs in by addresses of this domain.
    NoProvider,
    /// The provider did not vouch for them, or they are not let in; not said which.
    ProviderRefused {
        /// What the log knows it by.
        request: String,
    },
}

impl SignInProblem {
    pub(super) fn sentence(&self) -> String {
        match self {
            Self::WrongCredentials => "The email address or the password is wrong.".into(),
            Self::OneTimePasswordExpired => {
                "This one-time password has expired. Ask an administrator for another.".into()
            }
            Self::TooManyTries { wait_s } => {
                format!("Too many tries. Wait {}, then try again.", format::wait(*wait_s))
            }
            Self::PasskeyRefused => {
                "This passkey was not accepted. Use your password, or ask an administrator.".into()
            }
            Self::Late => "That took too long. Sign in again.".into(),
            Self::Suspended => {
                "Your organization is suspended. Nobody signs in until whoever runs the portal resumes it; devices go on protecting."
                    .into()
            }
            Self::SessionEnded => "Your session has ended. Sign in again to go on.".into(),
            Self::NoProvider => {
                "No organization here signs in by addresses of this domain. Use your password."
                    .into()
            }
            Self::ProviderRefused { request } => format!(
                "You were not signed in. Try again; if that does not help, tell an administrator the number {request}."
            ),
        }
    }

    fn is_failure(&self) -> bool {
        match self {
            Self::WrongCredentials
            | Self::OneTimePasswordExpired
            | Self::TooManyTries { .. }
            | Self::PasskeyRefused
            | Self::Late
            | Self::NoProvider
            | Self::Suspended
            | Self::ProviderRefused { .. } => true,
            Self::SessionEnded => false,
        }
    }
}
