//! The way in: `GET` and `POST /sign-in`.

use askama::Template;

use super::{Icon, format};

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
}

/// Why somebody was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// They were signed in until now: too long without a sign of them.
    SessionEnded,
}

impl SignInProblem {
    fn sentence(self) -> String {
        match self {
            Self::WrongCredentials => "The email address or the password is wrong.".into(),
            Self::OneTimePasswordExpired => {
                "This one-time password has expired. Ask an administrator for another.".into()
            }
            Self::TooManyTries { wait_s } => {
                format!("Too many tries. Wait {}, then try again.", format::wait(wait_s))
            }
            Self::SessionEnded => "Your session has ended. Sign in again to go on.".into(),
        }
    }

    fn is_failure(self) -> bool {
        match self {
            Self::WrongCredentials | Self::OneTimePasswordExpired | Self::TooManyTries { .. } => {
                true
            }
            Self::SessionEnded => false,
        }
    }
}
