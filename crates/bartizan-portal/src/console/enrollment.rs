//! Licenses and enrollment: `GET /licenses`, `/enrollment` and `/enroll`.

use askama::Template;
use bartizan_model::UnixMillis;
use bartizan_store::{
    EnrollmentRule, FEATURES, PersonGroupId, Plan, PlanUse, RefusalRow, Seats, WithoutUser,
};

use super::format::{self, Ago};
use super::{Icon, Section, Shell, filters};

/// How the plans are used.
#[derive(Template)]
#[template(path = "console/licenses.html")]
pub(crate) struct LicensesPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// Both plans.
    pub(crate) plans: Vec<PlanUse>,
    /// Groups that have one.
    pub(crate) groups: Vec<(Plan, PersonGroupId, String)>,
    /// Whether a person needs a license.
    pub(crate) is_enforced: bool,
    /// Why the last change was not made.
    pub(crate) problem: Option<String>,
}

impl LicensesPage {
    fn section(&self) -> Section {
        Section::Licenses
    }

    fn groups_of(&self, plan: &Plan) -> Vec<&(Plan, PersonGroupId, String)> {
        self.groups.iter().filter(|(of, _, _)| of == plan).collect()
    }
}

/// Codes, rules, and who could not enroll.
#[derive(Template)]
#[template(path = "console/enrollment.html")]
pub(crate) struct EnrollmentPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// What is decided.
    pub(crate) rule: EnrollmentRule,
    /// The latest first.
    pub(crate) refusals: Vec<RefusalRow>,
    /// A code that was made, shown once.
    pub(crate) given: Option<GivenCode>,
    /// Why something was not done, and in which form.
    pub(crate) problem: Option<(&'static str, String)>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

/// A code that was made.
pub(crate) struct GivenCode {
    /// Whose, as it was typed; empty for nobody's.
    pub(crate) user: String,
    /// Grouped for people.
    pub(crate) code: String,
    /// What the picture says.
    pub(crate) link: String,
    /// SVG of our own making.
    pub(crate) picture: String,
    /// Until when it holds.
    pub(crate) expires_at: UnixMillis,
}

impl EnrollmentPage {
    fn section(&self) -> Section {
        Section::Enrollment
    }

    fn problem_of(&self, form: &str) -> Option<&str> {
        self.problem.as_ref().filter(|(of, _)| *of == form).map(|(_, text)| text.as_str())
    }
}

/// What a QR picture leads to in a browser.
#[derive(Template)]
#[template(path = "console/enroll.html")]
pub(crate) struct EnrollPage;

/// Why a device was refused, in words.
fn reason(word: &str) -> String {
    if let Some(why) = word.strip_prefix("bad-attestation ") {
        return format!("The attestation does not hold: {why}");
    }
    let words = match word {
        "way-closed" => "This way is not open",
        "inactive-user" => "The user is not active",
        "no-license" => "The user has no license",
        "no-user" => "Shared, or without a user",
        "old-system" => "The system is too old",
        "no-attestation" => "Nothing vouches for its key",
        other => other,
    };
    words.to_owned()
}

fn without_user(word: &WithoutUser) -> &'static str {
    match word {
        WithoutUser::Auto => "Refused as soon as there are users",
        WithoutUser::Allowed => "Allowed: shared mode",
        WithoutUser::Refused => "Refused",
    }
}

fn used(plan: &PlanUse) -> String {
    let seats = format::count(plan.seats, "seat");
    format!("{} of {seats} used.", format::grouped(plan.used))
}

fn over(plan: &PlanUse) -> String {
    without_seat(plan.over())
}

/// Says how the seats of a plan are taken.
pub(super) fn taken(one: &Seats) -> String {
    format!("{} of {}", format::grouped(one.used), format::count(one.seats, "seat"))
}

pub(super) fn without_seat(people: u64) -> String {
    format!("{} no seat.", format::count_of(people, "user has", "users have"))
}
