//! Sample pages of the installation, for the tests over all pages.

use askama::Template;
use bartizan_model::{TenantId, UnixMillis};
use bartizan_store::{
    BuiltIn, GrantRow, MemberId, MemberRow, OpenSessionRow, OperatedTenant, Permissions, Plan,
    Seats, SessionId, SignInMethod,
};

use super::{
    NewTenantPage, OperatorPage, OperatorSignInPage, OperatorsPage, Shell, SignInProblem,
    TenantPage, TenantsPage, VisitBanner,
};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const HOSTILE: &str = "<script>\u{202e}\"><img src=x>";

/// Every page in several states.
pub(super) fn pages(shell: &Shell) -> Vec<(&'static str, String)> {
    let shell = Shell { is_operator: true, tenant: "Installation".into(), ..shell.clone() };
    let analyst = Shell { permissions: Permissions::default(), ..shell.clone() };
    let tenant = OperatedTenant {
        id: TenantId(7),
        name: HOSTILE.into(),
        created_at: NOW,
        suspended_at: None,
        delete_at: None,
        admits_operators: true,
        devices: 10_000,
        unresolved: 3,
        role: Some(BuiltIn::Analyst),
    };
    let suspended = OperatedTenant { suspended_at: Some(NOW), ..tenant.clone() };
    let ending = OperatedTenant { delete_at: Some(NOW), ..suspended.clone() };
    let closed = OperatedTenant { admits_operators: false, role: None, ..tenant.clone() };
    let tenants = |shell: &Shell, q: &str, rows: Vec<OperatedTenant>| TenantsPage {
        shell: shell.clone(),
        q: q.into(),
        is_first: rows.is_empty(),
        next: rows.first().map(|row| format!("7-{}", row.name)),
        rows,
    };
    let all = vec![tenant.clone(), suspended.clone(), ending.clone(), closed.clone()];
    let new = |problem, given| NewTenantPage {
        shell: shell.clone(),
        name: HOSTILE.into(),
        email: HOSTILE.into(),
        name_problem: problem,
        email_problem: problem,
        given,
    };
    let one = |shell: &Shell, tenant: &OperatedTenant, problem: Option<&'static str>| TenantPage {
        shell: shell.clone(),
        tenant: tenant.clone(),
        seats: vec![Seats { plan: Plan::Two, seats: 10, used: 12 }],
        enter_problem: problem.map(str::to_owned),
        rename_problem: problem,
        delete_problem: problem,
    };
    let person = MemberRow {
        id: MemberId(7),
        email: HOSTILE.into(),
        name: HOSTILE.into(),
        one_time_expires_at: None,
        created_at: NOW,
        disabled_at: None,
        roles: vec![BuiltIn::Administrator.id().into()],
        last_seen_at: Some(NOW),
        is_break_glass: false,
    };
    let session = OpenSessionRow {
        id: SessionId::of(&[1; 32]),
        created_at: NOW,
        last_seen_at: NOW,
        expires_at: NOW,
        address: "192.0.2.1".into(),
        agent: HOSTILE.into(),
        method: SignInMethod::SecondFactor,
    };
    let operators = |problem, given| OperatorsPage {
        shell: shell.clone(),
        operators: vec![person.clone(), MemberRow { disabled_at: Some(NOW), ..person.clone() }],
        name: HOSTILE.into(),
        problem,
        given,
        now: NOW,
    };
    let grant =
        |tenant, name: &str| GrantRow { tenant, tenant_name: name.into(), role: BuiltIn::Analyst };
    let operator =
        |grants, sessions, problem: Option<&'static str>, password: Option<&str>| OperatorPage {
            shell: shell.clone(),
            person: person.clone(),
            grants,
            has_second_factor: problem.is_none(),
            passkeys: 2,
            sessions,
            problem,
            password: password.map(str::to_owned),
            now: NOW,
        };
    let door = |problem: Option<SignInProblem>| OperatorSignInPage {
        name: if problem.is_some() { HOSTILE.into() } else { String::new() },
        problem,
        next: "/operator/tenants".into(),
    };
    let given = Some((HOSTILE.to_owned(), "ABCDE-FGHJK".to_owned()));
    let grants = vec![grant(None, ""), grant(Some(TenantId(7)), HOSTILE)];
    let said = Some("Something is wrong.");
    [
        ("operator_sign_in", door(None).render()),
        ("operator_sign_in_wrong", door(Some(SignInProblem::WrongCredentials)).render()),
        ("tenants", tenants(&shell, "", all).render()),
        ("tenants_unmatched", tenants(&shell, HOSTILE, Vec::new()).render()),
        ("tenants_first", tenants(&shell, "", Vec::new()).render()),
        ("tenants_of_analyst", tenants(&analyst, "", vec![tenant.clone()]).render()),
        ("tenants_of_nobody", tenants(&analyst, "", Vec::new()).render()),
        ("tenant_new", new(None, None).render()),
        ("tenant_new_wrong", new(said, None).render()),
        ("tenant_made", new(None, Some((7, HOSTILE.into(), "ABCDE".into()))).render()),
        ("tenant", one(&shell, &tenant, None).render()),
        ("tenant_of_analyst", one(&analyst, &tenant, said).render()),
        ("tenant_suspended", one(&shell, &suspended, said).render()),
        ("tenant_ending", one(&shell, &ending, None).render()),
        ("tenant_closed", one(&shell, &closed, said).render()),
        ("operators", operators(None, given).render()),
        ("operators_wrong", operators(said, None).render()),
        ("operator", operator(grants, vec![session], None, Some("ABCDE-FGHJK")).render()),
        ("operator_bare", operator(Vec::new(), Vec::new(), said, None).render()),
    ]
    .into_iter()
    .map(|(name, page)| (name, page.unwrap()))
    .collect()
}

/// What an operator sees above every page of an organization.
pub(super) fn visiting(shell: &Shell) -> Shell {
    let visit =
        VisitBanner { role: "Read only", reason: HOSTILE.into(), until: "12:30 UTC".into() };
    Shell { visit: Some(visit), ..shell.clone() }
}
