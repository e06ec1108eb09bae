//! How an organization's people sign in: its provider, the rule for passwords, break-glass accounts.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_model::Private;
use bartizan_store::{IdentityProvider, MemberId, SignInRule, StoreError, TenantScope};

use super::feeds::DoneQuery;
use super::people::{all, one};
use super::provider_sign_in::base;
use super::second_factor::SECOND_FACTOR;
use super::{html, shell};
use crate::console::{PersonSignInPage, ProviderField, ProviderForm, SignInSettingsPage};
use crate::error::ApiError;
use crate::oidc;
use crate::session::Session;
use crate::state::AppState;

/// `GET /sign-in-settings`.
pub(crate) async fn page(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<DoneQuery>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let notice = match query.done.as_str() {
        "saved" => Some("Saved. The provider answered as it should."),
        "off" => Some("Saved. Nobody signs in by it, and the sessions it vouched for have ended."),
        "rule" => Some("Saved. It counts from the next sign-in on."),
        "removed" => Some("The provider is removed."),
        "operators" => Some("Saved. It counts at once."),
        _ => None,
    };
    let base = base(&state, &headers, &uri)?;
    let stored = state.store.identity_provider(session.scope).await?;
    let form = stored.as_ref().map_or_else(ProviderForm::usual, ProviderForm::of);
    show(&state, session, base, notice, stored, form, None).await
}

/// `POST /sign-in-settings`.
pub(crate) async fn save(
    State(state): State<AppState>,
    session: Session,
    headers: HeaderMap,
    uri: Uri,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let stored = state.store.identity_provider(session.scope).await?;
    let form = typed(&pairs);
    let kept = stored.as_ref().and_then(|stored| stored.client_secret.clone());
    let problem = match wanted(&state, session.scope, &form, &pairs, kept)? {
        Err(problem) => problem,
        Ok(wanted) => match keep(&state, session.scope, wanted).await? {
            Ok(()) => {
                let done = if form.is_enabled { "saved" } else { "off" };
                return Ok(Redirect::to(&format!("{SETTINGS}?done={done}")).into_response());
            }
            Err(problem) => problem,
        },
    };
    let base = base(&state, &headers, &uri)?;
    let page = show(&state, session, base, None, stored, form, Some(problem)).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// `POST /sign-in-settings/remove`.
pub(crate) async fn remove(
    State(state): State<AppState>,
    session: Session,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    match state.store.remove_identity_provider(session.scope, state.clock.now()).await {
        Ok(()) => Ok(Redirect::to(&format!("{SETTINGS}?done=removed")).into_response()),
        Err(StoreError::LastAdministrator) => {
            again(&state, session, base(&state, &headers, &uri)?, NO_LOCAL_ADMINISTRATOR).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /sign-in-settings/rule`.
pub(crate) async fn set_rule(
    State(state): State<AppState>,
    session: Session,
    headers: HeaderMap,
    uri: Uri,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let rule = SignInRule {
        local_passwords: one(&pairs, "only_break_glass").is_empty(),
        second_factor: !one(&pairs, "second_factor").is_empty(),
    };
    match state.store.set_sign_in_rule(session.scope, rule, state.clock.now()).await {
        Ok(()) => Ok(Redirect::to(&format!("{SETTINGS}?done=rule")).into_response()),
        Err(StoreError::LastAdministrator) => {
            let problem = "No administrator has a break-glass account. Make one first.";
            again(&state, session, base(&state, &headers, &uri)?, problem).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /sign-in-settings/operators`.
pub(crate) async fn set_admits_operators(
    State(state): State<AppState>,
    session: Session,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let admits = !one(&pairs, "admits_operators").is_empty();
    state.store.set_admits_operators(session.scope, admits, state.clock.now()).await?;
    Ok(Redirect::to(&format!("{SETTINGS}?done=operators")).into_response())
}

/// `GET /people/{id}/sign-in`.
pub(crate) async fn person(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let notice = match query.done.as_str() {
        "glass" => Some("It is a break-glass account now."),
        "ordinary" => Some("It is an ordinary account now."),
        "passkeys" => Some("The passkeys are removed, and their sessions have ended."),
        "factor" => Some("The second factor is removed, and their sessions have ended."),
        _ => None,
    };
    show_person(&state, session, parse(&id)?, notice, None).await
}

/// `POST /people/{id}/break-glass`.
pub(crate) async fn set_break_glass(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let (member, wanted) = (parse(&id)?, one(&pairs, "break_glass") == "yes");
    let problem =
        match state.store.set_break_glass(session.scope, member, wanted, state.clock.now()).await {
            Ok(()) => {
                let done = if wanted { "glass" } else { "ordinary" };
                let page = format!("/people/{member}/sign-in?done={done}");
                return Ok(Redirect::to(&page).into_response());
            }
            Err(StoreError::LastAdministrator) => {
                "Nothing was changed: this is the last administrator with a break-glass account."
            }
            Err(StoreError::Conflict { .. }) => {
                "Nothing was changed: they have no password. Give them a one-time password first."
            }
            Err(error) => return Err(error.into()),
        };
    let page = show_person(&state, session, member, None, Some(problem)).await?;
    Ok((StatusCode::CONFLICT, page).into_response())
}

/// `POST /people/{id}/second-factor/remove`: for somebody who has lost theirs.
pub(crate) async fn remove_second_factor(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let member = parse(&id)?;
    if member == session.member {
        // One's own takes a code, so that a browser that was left open is not enough.
        return Ok(Redirect::to(SECOND_FACTOR).into_response());
    }
    let now = state.clock.now();
    state.store.remove_second_factor(session.scope, member, false, now).await?;
    Ok(Redirect::to(&format!("/people/{member}/sign-in?done=factor")).into_response())
}

type Problem = (ProviderField, String);

/// What is to be set, or what does not fit.
fn wanted(
    state: &AppState,
    scope: TenantScope,
    form: &ProviderForm,
    pairs: &[(String, String)],
    kept: Option<Private<Vec<u8>>>,
) -> Result<Result<IdentityProvider, Problem>, ApiError> {
    if let Some((field, text)) = misfit(form) {
        return Ok(Err((field, text.to_owned())));
    }
    let secret = one(pairs, "client_secret");
    let client_secret = if !secret.is_empty() {
        let sealed = state.sealer.seal(&oidc::secret_purpose(scope), secret.as_bytes());
        Some(Private(sealed.map_err(|error| ApiError::internal(&error))?))
    } else if one(pairs, "no_secret").is_empty() {
        kept
    } else {
        None
    };
    Ok(Ok(IdentityProvider {
        name: form.name.clone(),
        address: form.address.clone(),
        issuer: form.issuer.clone(),
        client_id: form.client_id.clone(),
        client_secret,
        scopes: form.scopes.clone(),
        group_claim: form.group_claim.clone(),
        trusts_email: form.trusts_email,
        admits_unknown: form.admits_unknown,
        allow_private: form.allow_private,
        is_enabled: form.is_enabled,
        domains: form.domains.split_whitespace().map(str::to_owned).collect(),
        roles: form.roles.clone(),
    }))
}

/// Asks the provider, unless nobody is to sign in by it, and stores.
async fn keep(
    state: &AppState,
    scope: TenantScope,
    wanted: IdentityProvider,
) -> Result<Result<(), Problem>, ApiError> {
    if wanted.is_enabled
        && let Err(error) = oidc::try_out(state, &wanted).await
    {
        let told = format!("The provider does not answer as it should: {error}.");
        return Ok(Err((ProviderField::Issuer, told)));
    }
    match state.store.set_identity_provider(scope, wanted, state.clock.now()).await {
        Ok(()) => Ok(Ok(())),
        Err(StoreError::Conflict { what: "domain" }) => Ok(Err((
            ProviderField::Domains,
            "One of these domains is another organization's on this portal.".into(),
        ))),
        Err(StoreError::Conflict { .. }) => Ok(Err((
            ProviderField::Address,
            "This address is another organization's. Choose another word.".into(),
        ))),
        Err(StoreError::NotFound { .. }) => {
            Ok(Err((ProviderField::Roles, "One of the roles is not there any more.".into())))
        }
        Err(StoreError::LastAdministrator) => {
            Ok(Err((ProviderField::Issuer, NO_LOCAL_ADMINISTRATOR.into())))
        }
        Err(error) => Err(error.into()),
    }
}

fn typed(pairs: &[(String, String)]) -> ProviderForm {
    let text = |name| one(pairs, name).trim().to_owned();
    let ticked = |name| !one(pairs, name).is_empty();
    let mut domains: Vec<_> =
        one(pairs, "domains").split_whitespace().map(str::to_ascii_lowercase).collect();
    domains.sort();
    domains.dedup();
    let groups = all(pairs, "group").into_iter().map(|group| group.trim().to_owned());
    let roles = groups.zip(all(pairs, "role"));
    ProviderForm {
        name: text("name"),
        address: text("address").to_ascii_lowercase(),
        issuer: text("issuer"),
        client_id: text("client_id"),
        scopes: text("scopes").split_whitespace().collect::<Vec<_>>().join(" "),
        group_claim: text("group_claim"),
        domains: domains.join(" "),
        trusts_email: ticked("trusts_email"),
        admits_unknown: ticked("admits_unknown"),
        allow_private: ticked("allow_private"),
        is_enabled: ticked("enabled"),
        roles: roles.filter(|(group, role)| !group.is_empty() || !role.is_empty()).collect(),
    }
}

/// The first that does not fit.
fn misfit(form: &ProviderForm) -> Option<(ProviderField, &'static str)> {
    let fits = |text: &str, limit: usize| {
        !text.is_empty() && text.chars().count() <= limit && !text.contains(char::is_control)
    };
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_domain = |name: &str| {
        name.len() <= 253
            && name.contains('.')
            && name.split('.').all(|label| !label.is_empty() && label.len() <= 63)
            && name.chars().all(|c| is_word(c) || c == '.')
    };
    let is_scope = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ';
    let issuer = &form.issuer;
    let is_issuer = issuer.starts_with("https://") || issuer.starts_with("http://");
    if !fits(&form.name, 64) {
        Some((ProviderField::Name, "Give it a name of at most 64 characters."))
    } else if !fits(&form.address, 40) || !form.address.chars().all(is_word) {
        Some((
            ProviderField::Address,
            "A word of lower-case letters, digits and hyphens, at most 40.",
        ))
    } else if !is_issuer || 500 < issuer.len() || issuer.contains(['?', '#', '@', ' ']) {
        Some((
            ProviderField::Issuer,
            "The issuer begins with https:// and has no user, query or fragment.",
        ))
    } else if issuer.starts_with("http://")
        && !(form.allow_private && crate::feeds::is_this_machine(issuer))
    {
        Some((
            ProviderField::Issuer,
            "The issuer begins with https://: whoever changes its answers on the way decides who comes in.",
        ))
    } else if !fits(&form.client_id, 200) {
        Some((ProviderField::ClientId, "The client id is what the provider calls this portal."))
    } else if 300 < form.scopes.len()
        || !form.scopes.chars().all(is_scope)
        || !form.scopes.split(' ').any(|scope| scope == "openid")
    {
        Some((
            ProviderField::Scopes,
            "Scopes are words with spaces between them, and openid is one of them.",
        ))
    } else if !form.group_claim.is_empty() && !fits(&form.group_claim, 200) {
        Some((ProviderField::GroupClaim, "The claim's name has at most 200 characters."))
    } else if !form.domains.split_whitespace().all(is_domain)
        || 20 < form.domains.split(' ').count()
    {
        Some((ProviderField::Domains, "At most 20 domains, such as mail.example."))
    } else if form.roles.iter().any(|(group, role)| group.is_empty() || role.is_empty()) {
        Some((ProviderField::Roles, "Each line has a group and a role."))
    } else if form.roles.iter().any(|(group, _)| !fits(group, 200)) || 100 < form.roles.len() {
        Some((ProviderField::Roles, "At most 100 lines, and 200 characters of each group."))
    } else if form.group_claim.is_empty() && form.roles.iter().any(|(group, _)| group != "*") {
        Some((ProviderField::GroupClaim, "Name the claim that lists the groups."))
    } else {
        None
    }
}

async fn again(
    state: &AppState,
    session: Session,
    base: String,
    problem: &str,
) -> Result<Response, ApiError> {
    let stored = state.store.identity_provider(session.scope).await?;
    let form = stored.as_ref().map_or_else(ProviderForm::usual, ProviderForm::of);
    let problem = Some((ProviderField::Rule, problem.to_owned()));
    let page = show(state, session, base, None, stored, form, problem).await?;
    Ok((StatusCode::CONFLICT, page).into_response())
}

async fn show(
    state: &AppState,
    session: Session,
    base: String,
    notice: Option<&str>,
    stored: Option<IdentityProvider>,
    form: ProviderForm,
    problem: Option<Problem>,
) -> Result<Response, ApiError> {
    html(&SignInSettingsPage {
        roles: state.store.roles(session.scope).await?,
        rule: state.store.sign_in_rule(session.scope).await?,
        admits_operators: state.store.admits_operators(session.scope).await?,
        shell: shell(session, notice.map(str::to_owned)),
        is_set: stored.is_some(),
        has_secret: stored.is_some_and(|stored| stored.client_secret.is_some()),
        form,
        base,
        problem,
    })
}

async fn show_person(
    state: &AppState,
    session: Session,
    member: MemberId,
    notice: Option<&str>,
    problem: Option<&'static str>,
) -> Result<Response, ApiError> {
    html(&PersonSignInPage {
        person: state.store.member(session.scope, member).await?,
        rule: state.store.sign_in_rule(session.scope).await?,
        factor: state.store.second_factor(session.scope, member).await?,
        passkeys: state.store.passkeys(session.scope, member).await?,
        now: state.clock.now(),
        shell: shell(session, notice.map(str::to_owned)),
        problem,
    })
}

fn parse(id: &str) -> Result<MemberId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("person"))
}

const SETTINGS: &str = "/sign-in-settings";
const NO_LOCAL_ADMINISTRATOR: &str =
    "No administrator has a password: nobody could come in. Give one a one-time password first.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_said_beside_its_field() {
        check(|_| {}, None);
        check(|form| form.name.clear(), Some(ProviderField::Name));
        check(|form| form.address = "Two words".into(), Some(ProviderField::Address));
        check(|form| form.issuer = "id.test".into(), Some(ProviderField::Issuer));
        check(|form| form.issuer = "https://id.test?x".into(), Some(ProviderField::Issuer));
        check(|form| form.issuer = "https://user@id.test".into(), Some(ProviderField::Issuer));
        check(|form| form.issuer = "http://id.test".into(), Some(ProviderField::Issuer));
        let local = "http://127.0.0.1:1";
        check(|form| form.issuer = local.into(), Some(ProviderField::Issuer));
        check(|form| (form.issuer, form.allow_private) = (local.into(), true), None);
        check(|form| form.client_id = "a\nb".into(), Some(ProviderField::ClientId));
        check(|form| form.scopes = "email".into(), Some(ProviderField::Scopes));
        check(|form| form.scopes = "openid \"".into(), Some(ProviderField::Scopes));
        check(|form| form.domains = "acme.test b".into(), Some(ProviderField::Domains));
        check(|form| form.domains = "acme.test".into(), None);
        let line = |group: &str, role: &str| vec![(group.to_owned(), role.to_owned())];
        check(|form| form.roles = line("g", ""), Some(ProviderField::Roles));
        check(|form| form.roles = line("g", "analyst"), Some(ProviderField::GroupClaim));
        check(|form| form.roles = line("*", "analyst"), None);
        check(|form| (form.roles, form.group_claim) = (line("g", "a"), "groups".into()), None);
    }

    #[track_caller]
    fn check(spoil: impl FnOnce(&mut ProviderForm), expected: Option<ProviderField>) {
        let mut form = ProviderForm {
            name: "ACME ID".into(),
            address: "acme".into(),
            issuer: "https://id.test".into(),
            client_id: "bartizan".into(),
            ..ProviderForm::usual()
        };
        spoil(&mut form);
        assert_eq!(misfit(&form).map(|(field, _)| field), expected);
    }
}
