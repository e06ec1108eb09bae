//! Choosing a password of one's own: `GET` and `POST /password`.

use askama::Template;

use super::{Icon, Section, Shell, filters, format};

/// Asks for a password twice, and for the present one unless that was a one-time password.
#[derive(Template)]
#[template(path = "console/password.html")]
pub(crate) struct PasswordPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Why the last try did not succeed.
    pub(crate) problem: Option<PasswordProblem>,
    /// The page they wanted: a path of ours, which the handler has checked.
    pub(crate) next: String,
    /// The fewest characters a password may have.
    pub(crate) min_length: u32,
}

impl PasswordPage {
    fn section(&self) -> Section {
        Section::Account
    }
}

/// Why a password was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PasswordProblem {
    /// The present password is wrong.
    WrongCurrent,
    /// It has fewer characters than asked for.
    TooShort,
    /// It has more than we take.
    TooLong {
        /// The most characters it may have.
        max_length: u32,
    },
    /// The two are not the same.
    NotRepeated,
    /// It is the one they have.
    Unchanged,
    /// It is found early by whoever tries what people choose.
    Guessable,
    /// The present password was wrong too often; the next is looked at after this many seconds.
    TooManyTries {
        /// At least 1.
        wait_s: u64,
    },
}

impl PasswordProblem {
    fn sentence(self, min_length: &u32) -> String {
        let characters = |number: u32| format::count(u64::from(number), "character");
        match self {
            Self::WrongCurrent => "The current password is wrong.".into(),
            Self::TooShort => {
                format!("The new password is too short: use {} or more.", characters(*min_length))
            }
            Self::TooLong { max_length } => {
                format!("The new password is too long: use at most {}.", characters(max_length))
            }
            Self::NotRepeated => "The two new passwords are not the same.".into(),
            Self::Unchanged => "The new password is the one you have. Choose another.".into(),
            Self::Guessable => {
                "The new password is easy to guess: it is used by many, or made of names, dates, rows of keys or \
                 repetitions. Choose another."
                    .into()
            }
            Self::TooManyTries { wait_s } => {
                format!("Too many tries. Wait {}, then try again.", format::wait(wait_s))
            }
        }
    }
}
