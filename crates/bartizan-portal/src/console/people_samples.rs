//! Sample pages of people, roles, sessions and the audit log, for the tests over all pages.

use askama::Template;
use bartizan_model::{Private, UnixMillis};
use bartizan_store::{
    BuiltIn, MemberId, MemberRow, OpenSessionRow, PasskeyId, PasskeyRow, Permissions, RoleRow,
    SecondFactorRow, SessionId, SignInMethod, SignInRule,
};

use super::{
    AuditEntryRow, AuditForm, AuditPage, CodeProblem, FactorState, GoOnPage, Pager, PasskeyAction,
    PasskeysPage, PeoplePage, PersonPage, PersonSignInPage, ProviderField, ProviderForm, RolePage,
    RolesPage, SecondFactorPage, SessionsPage, Shell, SignInCodePage, SignInSettingsPage,
};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const HOSTILE: &str = "<script>\u{202e}\"><img src=x>";

/// Every page in several states.
pub(super) fn pages(shell: &Shell) -> Vec<(&'static str, String)> {
    let person = MemberRow {
        id: MemberId(7),
        email: HOSTILE.into(),
        name: HOSTILE.into(),
        one_time_expires_at: None,
        created_at: NOW,
        disabled_at: None,
        roles: vec!["analyst".into()],
        last_seen_at: Some(NOW),
        is_break_glass: false,
    };
    let built_in = BuiltIn::Analyst;
    let role = RoleRow {
        id: built_in.id().into(),
        name: HOSTILE.into(),
        description: HOSTILE.into(),
        permissions: built_in.permissions(),
        device_groups: None,
        is_built_in: false,
        members: 1,
    };
    let session = OpenSessionRow {
        id: SessionId::of(&[1; 32]),
        created_at: NOW,
        last_seen_at: NOW,
        expires_at: NOW,
        address: "192.0.2.1".into(),
        agent: HOSTILE.into(),
        method: SignInMethod::Provider,
    };
    let people = |problem, given| PeoplePage {
        shell: shell.clone(),
        text: HOSTILE.into(),
        pager: Pager { first: Some("/people".into()), next: Some("/people?after=x".into()) },
        people: vec![person.clone(), MemberRow { disabled_at: Some(NOW), ..person.clone() }],
        roles: vec![role.clone()],
        email: HOSTILE.into(),
        problem,
        given,
        now: NOW,
    };
    let one = |problem, password, sessions| PersonPage {
        shell: shell.clone(),
        person: person.clone(),
        roles: vec![role.clone()],
        sessions,
        problem,
        password,
        now: NOW,
    };
    let groups = vec![("1".to_owned(), HOSTILE.to_owned())];
    let of_role =
        |role, problem| RolePage { shell: shell.clone(), role, groups: groups.clone(), problem };
    let limited = RoleRow { device_groups: Some(vec!["1".into()]), ..role.clone() };
    let blank = RoleRow { id: String::new(), permissions: Permissions::default(), ..role.clone() };
    let fixed = RoleRow { is_built_in: true, ..role.clone() };
    let sessions = SessionsPage {
        shell: shell.clone(),
        sessions: vec![session.clone()],
        own: session.id.clone(),
        now: NOW,
    };
    let roles = RolesPage { shell: shell.clone(), roles: vec![role.clone()] };
    let entry = AuditEntryRow {
        seq: 3,
        at: NOW,
        actor: HOSTILE.into(),
        action: HOSTILE.into(),
        link: "/alerts/1".into(),
        object: HOSTILE.into(),
        object_id: HOSTILE.into(),
        detail: HOSTILE.into(),
        personal: vec![HOSTILE.into()],
        request: "00".into(),
    };
    let audit = |form, rows: Vec<AuditEntryRow>| AuditPage {
        shell: shell.clone(),
        form,
        people: vec![("id".into(), HOSTILE.into())],
        is_first: false,
        next: rows.last().map(|row| row.seq.to_string()),
        rows,
        size: 4,
        head: "bartizan/audit/1\n4\n".into(),
        now: NOW,
    };
    let searched = AuditForm { object: HOSTILE.into(), ..AuditForm::default() };
    let secret = || Some("ABCDE".to_owned());
    let settings = |form: ProviderForm, problem| SignInSettingsPage {
        shell: shell.clone(),
        is_set: Option::is_none(&problem),
        has_secret: true,
        form,
        roles: vec![role.clone()],
        rule: SignInRule::default(),
        admits_operators: true,
        base: HOSTILE.into(),
        problem,
    };
    let typed = ProviderForm {
        name: HOSTILE.into(),
        address: HOSTILE.into(),
        roles: vec![(HOSTILE.into(), "analyst".into())],
        ..ProviderForm::usual()
    };
    let said = Some((ProviderField::Issuer, HOSTILE.to_owned()));
    let passkey = |site: &str| PasskeyRow {
        id: PasskeyId(if site == "portal.test" { 7 } else { 8 }),
        credential: vec![1],
        site: site.into(),
        name: HOSTILE.into(),
        transports: Vec::new(),
        is_backed_up: true,
        created_at: NOW,
        used_at: (site == "portal.test").then_some(NOW),
    };
    let passkeys = |is_confirmed, site, action: Option<PasskeyAction>| PasskeysPage {
        shell: shell.clone(),
        passkeys: vec![passkey("portal.test"), passkey(HOSTILE)],
        site,
        is_confirmed,
        has_password: true,
        is_required: is_confirmed,
        name: HOSTILE.into(),
        problem: action.map(|action| (action, HOSTILE.to_owned())),
        now: NOW,
    };
    let here = || Ok("portal.test".to_owned());
    let no_passkeys = PasskeysPage { passkeys: Vec::new(), ..passkeys(false, Err("No."), None) };
    let their_sign_in = |is_break_glass, problem| PersonSignInPage {
        shell: shell.clone(),
        person: MemberRow { is_break_glass, ..person.clone() },
        rule: SignInRule::default(),
        factor: is_break_glass.then(|| SecondFactorRow {
            secret: Private(Vec::new()),
            enrolled_at: NOW,
            last_step: 1,
            codes_left: 10,
        }),
        passkeys: is_break_glass.then(|| passkey("portal.test")).into_iter().collect(),
        now: NOW,
        problem,
    };
    let factor = |state, problem| SecondFactorPage {
        shell: shell.clone(),
        state,
        is_required: true,
        problem,
        now: NOW,
    };
    let offered = FactorState::Offered {
        drawn: Some(("M4 4h1v1h-1z".into(), 41)),
        spelled: "GEZD".into(),
        uri: HOSTILE.into(),
    };
    let fresh = FactorState::Fresh { codes: vec!["ABCDE-FGHJK".into()] };
    let enrolled = FactorState::Enrolled { at: NOW, codes_left: 10 };
    let asked = |has_codes, has_passkeys, problem| SignInCodePage {
        begin: "/sign-in",
        has_codes,
        has_passkeys,
        problem,
    };
    let waiting = Some(CodeProblem::TooManyTries { wait_s: 30 });
    vec![
        ("people", people(None, None).render().unwrap()),
        ("people, refused", people(Some("No."), None).render().unwrap()),
        ("people, invited", people(None, Some((HOSTILE.into(), "A".into()))).render().unwrap()),
        ("person", one(None, None, vec![session]).render().unwrap()),
        ("person, refused", one(Some("No."), secret(), Vec::new()).render().unwrap()),
        ("sign-in settings, none", settings(ProviderForm::usual(), None).render().unwrap()),
        ("sign-in settings", settings(typed, said).render().unwrap()),
        ("how they sign in", their_sign_in(false, None).render().unwrap()),
        ("how they sign in, refused", their_sign_in(true, Some("No.")).render().unwrap()),
        ("second factor, offered", factor(offered, Some(CodeProblem::Late)).render().unwrap()),
        ("second factor, fresh", factor(fresh, None).render().unwrap()),
        ("second factor", factor(enrolled, Some(CodeProblem::Wrong)).render().unwrap()),
        ("second factor, not asked", factor(FactorState::NotAsked, None).render().unwrap()),
        ("passkeys, none", no_passkeys.render().unwrap()),
        ("passkeys", passkeys(false, here(), Some(PasskeyAction::Confirm)).render().unwrap()),
        ("passkeys, adding", passkeys(true, here(), Some(PasskeyAction::Add)).render().unwrap()),
        ("passkeys, change", passkeys(true, here(), Some(PasskeyAction::Change)).render().unwrap()),
        ("code", asked(true, false, None).render().unwrap()),
        ("code, refused", asked(true, true, waiting).render().unwrap()),
        ("passkey after password", asked(false, true, None).render().unwrap()),
        ("signed in", GoOnPage { next: "/alerts?a=\"b".into() }.render().unwrap()),
        ("roles", roles.render().unwrap()),
        ("role", of_role(role.clone(), Some("No.")).render().unwrap()),
        ("role, new", of_role(blank, None).render().unwrap()),
        ("role, built in", of_role(fixed, None).render().unwrap()),
        ("role, limited", of_role(limited, None).render().unwrap()),
        ("sessions", sessions.render().unwrap()),
        ("audit", audit(AuditForm::default(), vec![entry]).render().unwrap()),
        ("audit, nothing", audit(searched, Vec::new()).render().unwrap()),
    ]
}
