//! The second factor: one's own page `/second-factor`, and being asked for a code at `/sign-in/code`.

use askama::Template;
use bartizan_model::UnixMillis;

use super::format::{self, Ago};
use super::{Icon, Section, Shell, filters};

/// One's own second factor.
#[derive(Template)]
#[template(path = "console/second_factor.html")]
pub(crate) struct SecondFactorPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// What there is.
    pub(crate) state: FactorState,
    /// The organization wants them to have one before they go on.
    pub(crate) is_required: bool,
    /// Why the last try did not succeed.
    pub(crate) problem: Option<CodeProblem>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

/// How one's second factor stands.
pub(crate) enum FactorState {
    /// None yet: what an authenticator wants to know.
    Offered {
        /// Of the code to scan: a path, and modules to a side.
        drawn: Option<(String, usize)>,
        /// The seed, to type.
        spelled: String,
        /// For an authenticator on this device.
        uri: String,
    },
    /// It was enrolled just now; the codes are shown once.
    Fresh {
        /// Recovery codes.
        codes: Vec<String>,
    },
    /// There is one.
    Enrolled {
        /// Since when.
        at: UnixMillis,
        /// How many recovery codes are left.
        codes_left: u64,
    },
    /// The provider vouches for them: passwords and codes are not asked for.
    NotAsked,
}

/// Why a code was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CodeProblem {
    /// Not the code of this moment, or used before.
    Wrong,
    /// Too many were.
    TooManyTries {
        /// At least 1.
        wait_s: u64,
    },
    /// Too much time went by.
    Late,
    /// Not a passkey of theirs, or it did not answer as it should.
    Passkey,
    /// Too much time went by until a passkey was shown.
    PasskeyLate,
}

impl CodeProblem {
    fn sentence(&self) -> String {
        match self {
            Self::Wrong => {
                "This code is wrong, or was used already. Wait for the next one, and see that the clock of your device is right.".into()
            }
            Self::TooManyTries { wait_s } => {
                format!("Too many tries. Wait {}, then try again.", format::wait(*wait_s))
            }
            Self::Late => "That took too long. Begin again.".into(),
            Self::Passkey => "This passkey was not accepted.".into(),
            Self::PasskeyLate => "That took too long. Try again.".into(),
        }
    }
}

impl SecondFactorPage {
    fn section(&self) -> Section {
        Section::Account
    }

    fn left(&self, codes: &u64) -> String {
        format::count(*codes, "recovery code")
    }
}

/// Asks for a code or a passkey after the password.
#[derive(Template)]
#[template(path = "console/sign_in_code.html")]
pub(crate) struct SignInCodePage {
    /// Where they began.
    pub(crate) begin: &'static str,
    /// They have an app that shows codes.
    pub(crate) has_codes: bool,
    /// They have passkeys.
    pub(crate) has_passkeys: bool,
    /// Why the last try did not succeed.
    pub(crate) problem: Option<CodeProblem>,
}
