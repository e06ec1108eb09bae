//! What is decided for the devices.

use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use bartizan_contract::problem::code;
use bartizan_model::{BadPolicy, DnsPolicy, DnsUpstreamError, Mode, Policy, WebProtection};
use bartizan_store::{GroupRow, TenantScope};

use super::feeds::DoneQuery;
use super::{accepts_html, html, shell};
use crate::console::{DocumentLine, PolicyForm, PolicyPage};
use crate::error::ApiError;
use crate::policies;
use crate::session::Session;
use crate::state::AppState;

/// `GET /policy`.
pub(crate) async fn page(
    State(state): State<AppState>,
    session: Session,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let notice = match query.done.as_str() {
        "saved" => Some("Saved. Devices follow from their next check-in on.".to_owned()),
        "same" => Some("Nothing was changed.".to_owned()),
        _ => None,
    };
    let policy = policies::of_tenant(&state, session.scope).await?;
    show(&state, session, PolicyForm::of(&policy), notice, None).await
}

/// `POST /policy`.
pub(crate) async fn save(
    State(state): State<AppState>,
    session: Session,
    headers: HeaderMap,
    Form(form): Form<PolicyForm>,
) -> Result<Response, ApiError> {
    let before = policies::of_tenant(&state, session.scope).await?;
    let problem = match wanted(&form, before.version) {
        Ok(same) if same == before => return Ok(Redirect::to("/policy?done=same").into_response()),
        Ok(policy) => {
            let (who, now) = ((session.email.as_str(), ""), state.clock.now());
            policies::set_of_tenant(&state, session.scope, &policy, who, now).await?;
            return Ok(Redirect::to("/policy?done=saved").into_response());
        }
        Err(problem) => problem,
    };
    let error = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code::MALFORMED, &problem);
    if !accepts_html(&headers) {
        return Err(error);
    }
    let problem = Some(format!("Nothing was saved: {problem}."));
    let page = show(&state, session, form, None, problem).await?;
    Ok((error.status, page).into_response())
}

async fn show(
    state: &AppState,
    session: Session,
    form: PolicyForm,
    notice: Option<String>,
    problem: Option<String>,
) -> Result<Response, ApiError> {
    let (store, scope, sight) = (&state.store, session.scope, session.sight);
    let mut documents = vec![document(state, scope, None).await?];
    for group in store.device_groups(sight).await? {
        documents.push(document(state, scope, Some(group)).await?);
    }
    html(&PolicyPage {
        shell: shell(session, notice),
        version: policies::latest(state, scope, None).await?.0,
        form,
        problem,
        progress: store.policy_progress(sight).await?,
        versions: store.policy_uses(sight, VERSIONS).await?,
        documents,
    })
}

/// A line of the list of documents.
async fn document(
    state: &AppState,
    scope: TenantScope,
    group: Option<GroupRow>,
) -> Result<DocumentLine, ApiError> {
    let layer = state.store.policy_layer(scope, group.as_ref().map(|group| group.id)).await?;
    Ok(DocumentLine {
        href: group
            .as_ref()
            .map_or_else(|| "/policy/all".into(), |group| format!("/policy/{}", group.id)),
        name: group.map_or_else(|| "Every device".into(), |group| group.name),
        in_force: layer.in_force.map(|row| row.number),
        rolling_out: layer.rolling_out.map(|row| (row.number, row.percent)),
    })
}

/// Reads what a form wants; the form says all there is to decide.
fn wanted(form: &PolicyForm, version: u64) -> Result<Policy, String> {
    let policy = Policy {
        version,
        mode: Mode::from_word(&form.mode).ok_or("choose a mode that is offered")?,
        web_protection: WebProtection::from_word(&form.web_protection)
            .ok_or("choose one of what is offered for listed sites")?,
        report_blocked_host: form.report_blocked_host.is_some(),
        checkin_interval_s: number(&form.checkin_interval_s, BadPolicy::CheckinInterval)?,
        warn_pass_hours: number(&form.warn_pass_hours, BadPolicy::WarnPassHours)?,
        dns: DnsPolicy {
            upstream: form
                .dns_upstream
                .trim()
                .parse()
                .map_err(|bad: DnsUpstreamError| bad.to_string())?,
            upstream_fallback: form.dns_fallback.is_some(),
            strip_ech: form.strip_ech.is_some(),
            block_encrypted_dns: form.block_encrypted_dns.is_some(),
            block_private_relay: form.block_private_relay.is_some(),
        },
    };
    policy.check().map_err(|bad| bad.to_string())?;
    Ok(policy)
}

fn number<T: std::str::FromStr>(text: &str, bad: BadPolicy) -> Result<T, String> {
    text.trim().parse().map_err(|_| bad.to_string())
}

/// Versions that are run, as many as a card has room for; the earlier ones are found by the filter of the devices.
const VERSIONS: u32 = 20;
