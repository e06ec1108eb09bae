//! Sample pages of users, their groups and directories, for the tests over all pages.

use askama::Template;
use bartizan_model::{DeviceId, UnixMillis};
use bartizan_store::{
    DirectoryOrigin, EnrollmentRule, GroupFacts, OwnDevice, PersonEmail, PersonFacts,
    PersonGroupId, PersonGroupRow, PersonId, PersonRow, Plan, PlanUse, RefusalRow, ScimTokenId,
    ScimTokenRow,
};

use super::{
    DirectoryPage, EnrollPage, EnrollmentPage, GivenCode, LicensesPage, Pager, Shell, UserForm,
    UserGroupPage, UserGroupsPage, UserPage, UsersPage,
};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const HOSTILE: &str = "<script>\u{202e}\"><img src=x>";

/// Every page in several states.
pub(super) fn pages(shell: &Shell) -> Vec<(&'static str, String)> {
    let person = PersonRow {
        id: PersonId(7),
        facts: PersonFacts {
            user_name: HOSTILE.into(),
            display_name: HOSTILE.into(),
            emails: vec![PersonEmail { value: HOSTILE.into(), ..PersonEmail::default() }],
            ..PersonFacts::default()
        },
        origin: DirectoryOrigin::Scim,
        version: 1,
        created_at: NOW,
        updated_at: NOW,
        groups: vec![(PersonGroupId(3), HOSTILE.into())],
    };
    let mut inactive = person.clone();
    (inactive.facts.active, inactive.origin) = (Some(false), DirectoryOrigin::Hand);
    let pager = || Pager { first: Some("/users".into()), next: Some("/users?after=a".into()) };
    let users = |text: &str, rows: Vec<PersonRow>, pager| UsersPage {
        shell: shell.clone(),
        text: text.into(),
        rows: Vec::into_iter(rows).map(|row| (row, Some(Plan::Two))).collect(),
        pager,
    };
    let device =
        OwnDevice { id: DeviceId(1), name: HOSTILE.into(), os: HOSTILE.into(), last_seen_at: NOW };
    let user = |person: Option<PersonRow>, problem: Option<String>, devices| UserPage {
        shell: shell.clone(),
        form: person.as_ref().map(|one| UserForm::of(&one.facts)).unwrap_or_default(),
        person,
        problem,
        devices,
        plans: vec![Plan::One],
        plan: Some(Plan::Two),
        now: NOW,
    };
    let group = PersonGroupRow {
        id: PersonGroupId(3),
        facts: GroupFacts { display_name: HOSTILE.into(), external_id: String::new() },
        origin: DirectoryOrigin::Scim,
        version: 1,
        created_at: NOW,
        updated_at: NOW,
        members: 1,
    };
    let groups = |text: &str, rows, problem| UserGroupsPage {
        shell: shell.clone(),
        text: text.into(),
        rows,
        pager: Pager::default(),
        problem,
    };
    let one = |people, problem| UserGroupPage {
        shell: shell.clone(),
        group: group.clone(),
        people,
        plans: vec![Plan::Two],
        pager: Pager::default(),
        problem,
    };
    let token = ScimTokenRow {
        id: ScimTokenId(5),
        name: HOSTILE.into(),
        created_at: NOW,
        expires_at: NOW,
        last_used_at: Some(NOW),
    };
    let directory = |tokens, given, problem| DirectoryPage {
        shell: shell.clone(),
        tokens,
        address: "https://portal.test/scim/v2".into(),
        given,
        problem,
        now: NOW,
    };
    let unfit = || Some((HOSTILE.to_owned(), HOSTILE.to_owned()));
    let plan = |plan, seats, without_seat: Vec<_>| PlanUse { plan, seats, used: 3, without_seat };
    let licenses = |is_enforced, problem| LicensesPage {
        shell: shell.clone(),
        plans: vec![
            plan(Plan::One, 2, vec![(PersonId(7), HOSTILE.into())]),
            plan(Plan::Two, 9, Vec::new()),
        ],
        groups: vec![(Plan::Two, PersonGroupId(3), HOSTILE.into())],
        is_enforced,
        problem,
    };
    let refusal = RefusalRow {
        at: NOW,
        reason: "no-license".into(),
        person: Some((PersonId(7), HOSTILE.into())),
        device_name: HOSTILE.into(),
        os: HOSTILE.into(),
    };
    let code = GivenCode {
        user: HOSTILE.into(),
        code: "ABCDE-FGHJK".into(),
        link: "https://portal.test/enroll#ABCDE-FGHJK.AAAA".into(),
        picture: "<svg viewBox=\"0 0 1 1\"></svg>".into(),
        expires_at: NOW,
    };
    let enrollment = |refusals, given, problem| EnrollmentPage {
        shell: shell.clone(),
        rule: EnrollmentRule { allow_code: false, ..EnrollmentRule::default() },
        refusals,
        given,
        problem,
        now: NOW,
    };
    let wrong = |form| Some((form, HOSTILE.to_owned()));
    vec![
        ("licenses", licenses(false, None).render().unwrap()),
        ("licenses-enforced", licenses(true, Some(HOSTILE.into())).render().unwrap()),
        ("enroll", EnrollPage.render().unwrap()),
        ("enrollment", enrollment(vec![refusal], Some(code), wrong("user")).render().unwrap()),
        ("enrollment-none", enrollment(Vec::new(), None, wrong("rules")).render().unwrap()),
        ("users", users("", vec![person.clone(), inactive.clone()], pager()).render().unwrap()),
        ("users-none", users("", Vec::new(), Pager::default()).render().unwrap()),
        ("users-unmatched", users(HOSTILE, Vec::new(), Pager::default()).render().unwrap()),
        ("user", user(Some(person), None, vec![device]).render().unwrap()),
        ("user-inactive", user(Some(inactive), Some(HOSTILE.into()), Vec::new()).render().unwrap()),
        ("user-new", user(None, Some(HOSTILE.into()), Vec::new()).render().unwrap()),
        ("user-groups", groups("", vec![group.clone()], None).render().unwrap()),
        (
            "user-groups-none",
            groups(HOSTILE, Vec::new(), Some(("No.", HOSTILE.into()))).render().unwrap(),
        ),
        ("user-group", one(vec![(PersonId(7), HOSTILE.into())], None).render().unwrap()),
        ("user-group-empty", one(Vec::new(), Some(("user", HOSTILE.into()))).render().unwrap()),
        ("directory", directory(vec![token], Some("bzs1".into()), None).render().unwrap()),
        ("directory-none", directory(Vec::new(), None, unfit()).render().unwrap()),
    ]
}
